"""Rows of a plan: stored as a few numbers each, and spelled out when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from figureground.build.geometry.objects import MeasuredObject
from figureground.build.planning.row_params import PhotoParams, json_object, json_text
from figureground.build.planning.seeds import choose_family, derive_seed
from figureground.schemas.recipes import Recipe, RuleSet, Variant
from figureground.schemas.records import PhotoRef, PlanRow

NONE: Final = -1
"""Index of the donor or texture, and label of the ground, in rows that have none."""

_AT_A_TIME: Final = 4096  # rows that iteration spells out ahead


class RowCode(NamedTuple):
    """A row of a variant as a few numbers: which object's, and whose pixels it takes besides the object's own."""

    figure_index: int
    """Index of the object among those of the plan."""
    attribute_index: int
    """Index of its attribute among the names that the plan's rows are about; the first is the empty name."""
    draw: int
    """Number of the donor draw, or of the instance where each instance has a row."""
    donor_index: int
    """Index of the donor among the plan's objects; ``NONE`` without one."""
    texture_index: int
    """Index of the texture among the photos to take textures from; ``NONE`` without one."""


ROW_CODE: Final = np.dtype([(field, np.int32) for field in RowCode._fields])
"""A ``RowCode`` in an array."""
RowCodes = NDArray[np.void]
"""``(n,)`` of ``ROW_CODE``."""


def row_seed(recipe: Recipe, variant: str, object_id: str, attribute: str, draw: int) -> int:
    """64-bit seed of a row: by its variant, or by the one that this takes its donors from."""
    stream = recipe.stream(variant)
    stream = f"{stream}/{attribute}" if attribute else stream
    return derive_seed(recipe.seed, stream, object_id, draw)


class RowWriter:
    """Spells out the rows of one variant."""

    def __init__(
        self,
        recipe: Recipe,
        rules: RuleSet,
        variant_name: str,
        objects: Sequence[MeasuredObject],
        textures: Sequence[PhotoRef],
    ) -> None:
        self.variant_name = variant_name
        self._recipe = recipe
        self._variant: Variant = recipe.variants[variant_name]
        self._objects = objects
        self._textures = textures
        self._figure = PhotoParams(rules, self._variant, of_self=True)
        self._ground = PhotoParams(rules, self._variant, of_self=False)
        self._swaps = self._variant.swaps_attribute
        self._texture = self._variant.texture
        self._donors_label = self._variant.labels == "donor"

    def row(self, split: str, attribute: str, code: RowCode) -> PlanRow:
        """One row.

        Args:
            split: Split that it is published under.
            attribute: Name of the attribute that it is about; empty for none.
            code: The rest of it.
        """
        figure = self._objects[code.figure_index]
        donor = None if code.donor_index == NONE else self._objects[code.donor_index]
        texture = None if code.texture_index == NONE else self._textures[code.texture_index]
        seed = row_seed(self._recipe, self.variant_name, figure.object_id, attribute, code.draw)
        labelled = donor if donor is not None and self._donors_label else figure
        params = {"figure": self._figure.of(figure, code.draw)}
        if donor is not None:
            params["ground"] = self._ground.of(donor, code.draw)
        if attribute:
            params["attribute"] = json_text(attribute)
        if donor is not None and self._swaps:
            params |= _swap_params(figure, donor, attribute)
        return PlanRow(
            variant=self.variant_name,
            object_id=figure.object_id,
            draw=code.draw,
            split=split,
            attribute=attribute,
            label=labelled.label,
            seed=seed,
            ground_id=donor.object_id if donor else "",
            ground_label=donor.label if donor else NONE,
            texture_id=texture.image_id if texture else "",
            params=json_object(params | self._texture_params(texture, seed)),
        )

    def _texture_params(self, texture: PhotoRef | None, seed: int) -> dict[str, str]:
        if texture is not None:
            return {"texture": json_text({"image_id": texture.image_id, "sha256": texture.sha256})}
        if self._texture is not None:
            return {"texture": json_text({"family": choose_family(self._texture, seed)})}
        return {}


def _swap_params(figure: MeasuredObject, donor: MeasuredObject, attribute: str) -> dict[str, str]:
    """Photos and classes of a swapped attribute, as canonical JSON by name: ``pos`` has it, ``neg`` is the other photo.

    ``changed_attrs`` names what was pasted in or over, whether or not ``neg`` has one of its own: that is a random
    other photo (RIVAL10, arXiv 2201.10766).
    """
    return {
        "pos_id": json_text(figure.record.image_id),
        "pos_label": json_text(figure.label),
        "neg_id": json_text(donor.record.image_id),
        "neg_label": json_text(donor.label),
        "changed_attrs": json_text([attribute]),
    }


class RowGroup(Sequence[PlanRow]):
    """The rows of one variant in one split, sorted by key."""

    def __init__(self, writer: RowWriter, split: str, attributes: Sequence[str], codes: RowCodes) -> None:
        """Store the rows.

        Args:
            writer: Spells them out.
            split: Their split.
            attributes: Names that ``attribute_index`` counts.
            codes: The rows.
        """
        self.variant, self.split = writer.variant_name, split
        self._writer = writer
        self._attributes = attributes
        self._codes = codes

    def __len__(self) -> int:
        return len(self._codes)

    @overload
    def __getitem__(self, index: int) -> PlanRow: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[PlanRow, ...]: ...
    def __getitem__(self, index: int | slice) -> PlanRow | tuple[PlanRow, ...]:
        if isinstance(index, slice):
            return tuple(map(self._row, self._codes[index].tolist()))
        return self._row(self._codes[index].item())

    def __iter__(self) -> Iterator[PlanRow]:
        for start in range(0, len(self), _AT_A_TIME):
            yield from self[start : start + _AT_A_TIME]

    def repeated_donors(self) -> int:
        """Number of rows whose donor is that of another draw of the same figure: there were fewer donors than draws."""
        drawn = self._codes[self._codes["donor_index"] != NONE]
        return len(drawn) - len(np.unique(drawn[["figure_index", "attribute_index", "donor_index"]]))

    def _row(self, numbers: Sequence[int]) -> PlanRow:
        code = RowCode(*numbers)
        return self._writer.row(self.split, self._attributes[code.attribute_index], code)


class PlanRows(Sequence[PlanRow]):
    """All rows of a plan, sorted by key; a million photos have ten million, so none stays spelled out."""

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
        indices = range(len(self))[index]
        if isinstance(indices, int):
            return self._rows(indices, indices + 1)[0]
        if indices.step == 1:
            return self._rows(indices.start, indices.stop)
        return tuple(self[row] for row in indices)

    def __iter__(self) -> Iterator[PlanRow]:
        for group in self.groups:
            yield from group

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PlanRows):
            return NotImplemented
        return len(self) == len(other) and all(one == another for one, another in zip(self, other, strict=True))

    def _rows(self, start: int, stop: int) -> tuple[PlanRow, ...]:
        rows: list[PlanRow] = []
        for group, end in zip(self.groups, self._ends, strict=True):
            first = end - len(group)
            if first < stop and start < end:
                rows += group[max(start - first, 0) : stop - first]
        return tuple(rows)
