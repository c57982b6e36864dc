"""Which rows a plan has, and whose ground and texture each of them takes."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from figureground.build.geometry.objects import MeasuredObject
from figureground.build.planning.crossing import CrossedGrounds, Crossing
from figureground.build.planning.donors import DonorPool
from figureground.build.planning.plan_rows import NONE, ROW_CODE, RowCodes, RowGroup, RowWriter, row_seed
from figureground.build.planning.seeds import HashRing
from figureground.schemas.recipes import Recipe, RuleSet, Variant
from figureground.schemas.records import PhotoRef


@dataclass(frozen=True, slots=True, kw_only=True)
class RowChooser:
    """Chooses the rows of each variant, with their donors and textures."""

    recipe: Recipe
    rules: RuleSet
    objects: Sequence[MeasuredObject]
    """Objects that take part."""
    splits: Mapping[str, str]
    """Object id to split."""
    pools: Mapping[str, DonorPool]
    """Split to who may lend in it."""
    crossings: Mapping[Crossing, CrossedGrounds]
    """Grounds that all figures of a split share, of the variants that have such."""
    textures: Sequence[PhotoRef]
    """Photos to take textures from, sorted by image_id."""
    texture_ring: HashRing
    """Chooses among the ids of ``textures``."""
    attributes: Mapping[str, Sequence[str]]
    """Object id to the attributes that have rows; objects without any may be missing."""
    draws: int
    """Donors of each row in variants that have one."""

    def attribute_names(self) -> list[str]:
        """Attributes that rows are about, sorted; the first is the empty name of rows that are about none."""
        return ["", *sorted({name for names in self.attributes.values() for name in names})]

    def codes(self, name: str) -> RowCodes:
        """Rows of a variant, in the order of the objects."""
        variant = self.recipe.variants[name]
        attribute_codes = {attribute: code for code, attribute in enumerate(self.attribute_names())}
        numbers = array("i")
        for index, figure in enumerate(self.objects):
            if variant.grounds is not None:
                crossed = self.crossings[Crossing(name, self.splits[figure.object_id])]
                for draw, donor in crossed.shown_to(index):
                    numbers.extend((index, 0, draw, donor, NONE))
                continue
            draws = self.draws if variant.donor else _instance_rows(variant, self.rules, figure)
            for attribute in self.attributes.get(figure.object_id, ()) if variant.per_attribute else ("",):
                for draw in range(draws):
                    donor, texture = self._others(name, variant, figure, attribute, draw)
                    numbers.extend((index, attribute_codes[attribute], draw, donor, texture))
        return np.array(numbers, dtype=np.int32).view(ROW_CODE)

    def groups(self, codes: Mapping[str, RowCodes]) -> Iterator[RowGroup]:
        """Rows by variant and split, each group sorted by object id, attribute and draw.

        Args:
            codes: Variant to its rows, as ``codes`` gives them.
        """
        by_id = sorted(range(len(self.objects)), key=lambda index: self.objects[index].object_id)
        rank = np.empty(len(by_id), dtype=np.int32)
        rank[by_id] = np.arange(len(by_id), dtype=np.int32)
        splits = sorted(set(self.splits.values()))
        split_codes = {split: code for code, split in enumerate(splits)}
        split_of = np.array([split_codes[self.splits[figure.object_id]] for figure in self.objects], dtype=np.int32)
        attributes = self.attribute_names()
        for variant, rows in sorted(codes.items()):
            writer = RowWriter(self.recipe, self.rules, variant, self.objects, self.textures)
            ordered = rows[np.lexsort((rows["draw"], rows["attribute_index"], rank[rows["figure_index"]]))]
            for code, split in enumerate(splits):
                of_split = ordered[split_of[ordered["figure_index"]] == code]
                if len(of_split):
                    yield RowGroup(writer, split, attributes, of_split)

    def _others(
        self, name: str, variant: Variant, figure: MeasuredObject, attribute: str, draw: int
    ) -> tuple[int, int]:
        """Indices of the donor and of the texture."""
        if variant.donor is None and variant.texture != "photos":
            return NONE, NONE
        seed = row_seed(self.recipe, name, figure.object_id, attribute, draw)
        donor = None
        if variant.donor is not None:
            donor = self.pools[self.splits[figure.object_id]].choose(figure, variant.donor, seed)
        texture = next(self.texture_ring.in_order(seed)) if variant.texture == "photos" else NONE
        return NONE if donor is None else donor, texture


def _instance_rows(variant: Variant, rules: RuleSet, figure: MeasuredObject) -> int:
    """Number of rows of one object: one, or one for each of its instances."""
    window = rules.views[variant.layers[0].view].window
    return len(figure.crops[variant.layers[0].view]) if window is not None and window.take == "each" else 1
