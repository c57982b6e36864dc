"""Rows of a plan: kept as a few numbers each, and spelled out when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from figureground.build.painting.textures import choose_family
from figureground.build.planning.row_params import PhotoParams, json_object, json_text
from figureground.build.planning.seeds import derive_seed
from figureground.build.planning.selection import Candidate
from figureground.schemas.recipes import Recipe, RuleSet, Variant
from figureground.schemas.records import PhotoRef

NONE: Final = -1
"""Place of a donor or texture in rows that have none."""

_AT_A_TIME: Final = 4096  # rows that iteration spells out ahead


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRow:
    """One output: everything that rendering needs besides the photos and masks themselves."""

    variant: str
    object_id: str
    """Whose figure and label."""
    draw: int
    """0, the number of the repeated donor draw, or that of the instance where each has a row."""
    split: str
    """Split that the row is published under."""
    attribute: str
    """Attribute that the row is about; empty in variants that are about whole photos."""
    label: int
    """Class index of the photo that the row is labelled by."""
    seed: int
    """64-bit seed of the row."""
    ground_id: str
    """Object whose ground is used; empty where it is the row's own."""
    ground_label: int
    """Class index of the donor; -1 without one."""
    texture_id: str
    """Photo that is the texture; empty without one."""
    params: str
    """Canonical JSON: stored→canvas affine, box, strip and flags of figure and ground."""

    @property
    def key(self) -> tuple[str, str, str, str, int]:
        """What a row is sorted and found by."""
        return self.variant, self.split, self.object_id, self.attribute, self.draw


class Turn(NamedTuple):
    """Which of an object's rows in a variant, and whose pixels it takes besides its own."""

    figure: int
    """Place of the object among the plan's candidates."""
    attribute: str
    draw: int
    """Of its donor, or of its instances where each has a row."""
    donor: int = NONE
    """Place of the donor among the plan's candidates."""
    texture: int = NONE
    """Place of the texture among the photos to take textures from."""


TEXTURE: Final = Turn._fields.index("texture")


def row_seed(recipe: Recipe, variant: str, object_id: str, attribute: str, draw: int) -> int:
    """64-bit seed of a row."""
    stream = f"{variant}/{attribute}" if attribute else variant
    return derive_seed(recipe.seed, stream, object_id, draw)


class RowWriter:
    """Spells out the rows of one variant."""

    def __init__(
        self, recipe: Recipe, rules: RuleSet, name: str, candidates: Sequence[Candidate], textures: Sequence[PhotoRef]
    ) -> None:
        self.name = name
        self._recipe = recipe
        self._variant: Variant = recipe.variants[name]
        self._candidates = candidates
        self._textures = textures
        self._figure = PhotoParams(rules, self._variant, of_self=True)
        self._ground = PhotoParams(rules, self._variant, of_self=False)
        self._swaps = self._variant.swaps_attribute
        self._texture = self._variant.texture
        self._donors_label = self._variant.labels == "donor"

    def row(self, split: str, turn: Turn) -> PlanRow:
        """One row."""
        figure = self._candidates[turn.figure]
        donor = None if turn.donor == NONE else self._candidates[turn.donor]
        seed = row_seed(self._recipe, self.name, figure.object_id, turn.attribute, turn.draw)
        labelled = donor if donor is not None and self._donors_label else figure
        return PlanRow(
            variant=self.name,
            object_id=figure.object_id,
            draw=turn.draw,
            split=split,
            attribute=turn.attribute,
            label=labelled.label,
            seed=seed,
            ground_id=donor.object_id if donor else "",
            ground_label=donor.label if donor else NONE,
            texture_id="" if turn.texture == NONE else self._textures[turn.texture].image_id,
            params=self._params(turn, figure, donor, seed),
        )

    def _params(self, turn: Turn, figure: Candidate, donor: Candidate | None, seed: int) -> str:
        params = {"figure": self._figure.of(figure, turn.draw)}
        if donor is not None:
            params["ground"] = self._ground.of(donor, turn.draw)
        if turn.texture != NONE:
            texture = self._textures[turn.texture]
            params["texture"] = json_text({"image_id": texture.image_id, "sha256": texture.sha256})
        elif self._texture is not None:
            params["texture"] = json_text({"family": choose_family(self._texture, seed)})
        if turn.attribute:
            params["attribute"] = json_text(turn.attribute)
        if donor is not None and self._swaps:
            swapped = {"pos_id": figure.record.image_id, "pos_label": figure.label, "neg_id": donor.record.image_id}
            swapped |= {"neg_label": donor.label, "changed_attrs": [turn.attribute]}
            params |= {name: json_text(value) for name, value in swapped.items()}
        return json_object(params)


class RowGroup(Sequence[PlanRow]):
    """The rows of one variant in one split, sorted by key."""

    def __init__(self, writer: RowWriter, split: str, attributes: Sequence[str], turns: NDArray[np.int32]) -> None:
        """Keep the rows.

        Args:
            writer: Spells them out.
            split: Their split.
            attributes: Names that ``turns`` counts.
            turns: ``(n, 5)``, columns as in ``Turn``, attributes as places in ``attributes``.
        """
        self.variant, self.split = writer.name, split
        self._writer = writer
        self._attributes = attributes
        self._turns = turns

    def __len__(self) -> int:
        return len(self._turns)

    @overload
    def __getitem__(self, index: int) -> PlanRow: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[PlanRow, ...]: ...
    def __getitem__(self, index: int | slice) -> PlanRow | tuple[PlanRow, ...]:
        if isinstance(index, slice):
            return tuple(map(self._row, self._turns[index].tolist()))
        return self._row(self._turns[index].tolist())

    def __iter__(self) -> Iterator[PlanRow]:
        for start in range(0, len(self), _AT_A_TIME):
            yield from self[start : start + _AT_A_TIME]

    def _row(self, numbers: Sequence[int]) -> PlanRow:
        figure, attribute, draw, donor, texture = numbers
        return self._writer.row(self.split, Turn(figure, self._attributes[attribute], draw, donor, texture))


class PlanRows(Sequence[PlanRow]):
    """All rows of a plan, sorted by key; a million photos have ten million, so none is kept spelled out."""

    def __init__(self, groups: Sequence[RowGroup]) -> None:
        self.groups = tuple(groups)
        """Rows by variant and split, sorted."""
        self._ends = list(accumulate(map(len, groups)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, index: int) -> PlanRow: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[PlanRow, ...]: ...
    def __getitem__(self, index: int | slice) -> PlanRow | tuple[PlanRow, ...]:
        places = range(len(self))[index]
        if isinstance(places, int):
            return self._rows(places, places + 1)[0]
        if places.step == 1:
            return self._rows(places.start, places.stop)
        return tuple(self[place] for place in places)

    def __iter__(self) -> Iterator[PlanRow]:
        for group in self.groups:
            yield from group

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PlanRows):
            return NotImplemented
        return len(self) == len(other) and all(one == another for one, another in zip(self, other, strict=True))

    def _rows(self, start: int, stop: int) -> tuple[PlanRow, ...]:
        found: list[PlanRow] = []
        for group, end in zip(self.groups, self._ends, strict=True):
            first = end - len(group)
            if first < stop and start < end:
                found += group[max(start - first, 0) : stop - first]
        return tuple(found)
