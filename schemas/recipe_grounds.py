"""Crossed grounds of a recipe: a set of grounds that all figures of a variant share."""

from __future__ import annotations

from pydantic import Field, model_validator

from figureground.schemas.documents import Document


class Grounds(Document):
    """The set of grounds that the figures of a variant are shown on, in place of a donor for each row."""

    crossed: int = Field(ge=2, le=512)
    """Number of grounds in the set; each split has a set of its own."""
    block: int | None = Field(default=None, ge=2)
    """Number of them that each figure is shown on, by a balanced incomplete block design; None shows all."""

    @model_validator(mode="after")
    def _blocks_are_known(self) -> Grounds:
        if self.block is None:
            return self
        if self.block >= self.crossed:
            raise ValueError(f"a block smaller than crossed, {self.crossed}; leave it out to show all of them")
        if self.crossed < 3 or any(self.crossed % factor == 0 for factor in range(2, int(self.crossed**0.5) + 1)):
            raise ValueError(f"crossed: a prime number where there are blocks, such as 7, 13, 31; got {self.crossed}")
        return self
