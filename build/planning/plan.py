"""The plan: a table with one row per output, made before any pixel is touched."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from figureground.build.geometry.views import view_matte
from figureground.build.planning.donors import DonorPool, check_classes
from figureground.build.planning.plan_rows import NONE, TEXTURE, PlanRow, PlanRows, RowGroup, RowWriter, Turn, row_seed
from figureground.build.planning.row_params import crop_of
from figureground.build.planning.seeds import HashRing
from figureground.build.planning.selection import Candidate, Refusal, balance_classes, class_counts, select_candidates
from figureground.build.planning.splits import assign_splits
from figureground.errors import DataError, Faults
from figureground.runtime.files import replace_file
from figureground.schemas.attributes import AttributeSchema
from figureground.schemas.classes import ClassMap
from figureground.schemas.rasters.masks import decode_coco_rle
from figureground.schemas.recipes import Photo, Recipe, RuleName, RuleSet, Variant
from figureground.schemas.records import ObjectRecord, PhotoRef

__all__ = ["Plan", "PlanRow", "PlanRows", "make_plan", "read_plan", "write_plan"]

_ROWS_PER_GROUP: Final = 1 << 20
_ROWS_AT_A_TIME: Final = 1 << 15  # spelled out together; divides a row group, so that pages end where they would
_SCHEMA: Final = pa.schema(
    [
        ("variant", pa.string()),
        ("split", pa.string()),
        ("object_id", pa.string()),
        ("attribute", pa.string()),
        ("draw", pa.int32()),
        ("label", pa.int32()),
        ("seed", pa.uint64()),
        ("ground_id", pa.string()),
        ("ground_label", pa.int32()),
        ("texture_id", pa.string()),
        ("params", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All rows of a build, sorted by key, and what was left out."""

    rows: Sequence[PlanRow]
    """Of ``make_plan``, ``PlanRows``: spelled out when asked for."""
    candidates: dict[str, Candidate]
    """Objects that take part, by object_id."""
    refusals: tuple[Refusal, ...]
    """Objects that do not, sorted by object_id."""
    class_counts: dict[str, int]
    """Objects per class."""
    splits: dict[str, str]
    """Object id to split."""
    vanished: tuple[Refusal, ...]
    """Attributes that have no pixel left on the canvas, and so no rows; their objects take part."""
    textures: dict[str, PhotoRef]
    """Photos that rows take as their texture, by image_id."""

    def lengths(self) -> list[tuple[tuple[str, str], int]]:
        """Number of rows of each variant and split, in the order of the rows."""
        if isinstance(self.rows, PlanRows):
            return [((group.variant, group.split), len(group)) for group in self.rows.groups if len(group)]
        grouped = groupby(self.rows, key=lambda row: (row.variant, row.split))
        return [(key, sum(1 for _ in found)) for key, found in grouped]

    @property
    def balanced(self) -> bool:
        """Whether every class that has objects has equally many."""
        return len({count for count in self.class_counts.values() if count}) <= 1


def make_plan(
    records: Sequence[ObjectRecord],
    recipe: Recipe,
    classes: ClassMap,
    *,
    attributes: AttributeSchema | None = None,
    textures: Sequence[PhotoRef] = (),
    rules: RuleName = "exact",
    draws: int = 1,
) -> Plan:
    """Plan every row of ``recipe`` over the objects of a release.

    Args:
        records: Objects of the release.
        recipe: The recipe.
        classes: Its class map.
        attributes: Its attribute schema: its local attributes have rows of their own. Without one, all that
            have masks.
        textures: Photos of the source that the recipe takes textures from.
        rules: Which of the recipe's rule sets to follow.
        draws: How many donors each row of a donor variant is given, one row per draw.

    Raises:
        DataError: if nothing is left to plan, a class can have no donor, or there are no textures to draw from.
    """
    rule_set = recipe.rules[rules]
    offered = {texture.image_id: texture for texture in sorted(textures, key=lambda each: each.image_id)}
    if any(variant.texture == "photos" for variant in recipe.variants.values()) and not offered:
        raise DataError.single(
            "workspace",
            recipe.textures or "",
            expected="photos of this source, to take textures from",
            got="none",
            remedy=f"index them: figureground index FOLDER --name {recipe.textures} -w WORKSPACE",
        )
    usable, refusals = select_candidates(records, recipe, rule_set, classes)
    if not usable:
        raise DataError.single(
            "release",
            "",
            expected="objects that the recipe can use",
            got=f"{len(refusals)} refused, 0 left",
            remedy=_reasons(refusals),
        )
    policies: set[Photo] = {variant.donor for variant in recipe.variants.values() if variant.donor}
    faults = Faults()
    check_classes(usable, policies, rule_set.donors, classes, faults)
    faults.raise_if_any()
    kept, splits, dropped = _settle(usable, recipe, rule_set, classes, policies)
    vanished: list[Refusal] = []
    turner = _Turner(
        recipe=recipe,
        rules=rule_set,
        kept=kept,
        splits=splits,
        pools=_pools(kept, splits, rule_set, classes),
        textures=HashRing(list(offered)),
        parts=_attributes(kept, recipe, rule_set, attributes, vanished),
        draws=draws,
    )
    turns = {name: turner.turns(name) for name in recipe.variants}
    photos = tuple(offered.values())
    used = dict.fromkeys(place for each in turns.values() for place in each[:, TEXTURE].tolist() if place != NONE)
    return Plan(
        rows=PlanRows(list(_groups(turner, rule_set, turns, photos))),
        candidates={candidate.object_id: candidate for candidate in kept},
        refusals=tuple(sorted([*refusals, *dropped], key=lambda refusal: refusal.object_id)),
        class_counts=dict(class_counts(kept, classes)),
        splits=splits,
        vanished=tuple(vanished),
        textures={photos[place].image_id: photos[place] for place in used},
    )


def write_plan(plan: Plan, path: Path) -> None:
    """Write the plan as Parquet, sorted by key; equal plans, equal bytes."""
    with replace_file(path) as temporary, pq.ParquetWriter(temporary, _SCHEMA, compression="zstd") as writer:
        for start in range(0, max(len(plan.rows), 1), _ROWS_PER_GROUP):
            parts = [
                _table(plan.rows[first : min(first + _ROWS_AT_A_TIME, start + _ROWS_PER_GROUP)])
                for first in range(start, min(start + _ROWS_PER_GROUP, max(len(plan.rows), 1)), _ROWS_AT_A_TIME)
            ]
            writer.write_table(pa.concat_tables(parts), row_group_size=_ROWS_PER_GROUP)


def _table(rows: Sequence[PlanRow]) -> pa.Table:
    return pa.table({name: [getattr(row, name) for row in rows] for name in _SCHEMA.names}, schema=_SCHEMA)


def read_plan(path: Path) -> tuple[PlanRow, ...]:
    """Read the rows that ``write_plan`` wrote.

    Raises:
        DataError: if it is no plan.
    """
    try:
        with pq.ParquetFile(path) as file:
            return tuple(PlanRow(**row) for batch in file.iter_batches(_ROWS_AT_A_TIME) for row in batch.to_pylist())
    except (pa.ArrowException, OSError, TypeError) as error:
        raise DataError.single(str(path), "", expected="a plan (Parquet)", got=str(error)) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turner:
    """Decides which rows there are, and whose pixels each takes."""

    recipe: Recipe
    rules: RuleSet
    kept: Sequence[Candidate]
    splits: Mapping[str, str]
    pools: Mapping[str, DonorPool]
    """Split to who may lend in it."""
    textures: HashRing
    parts: Mapping[str, Sequence[str]]
    """Object id to the attributes that have rows; objects without any may be missing."""
    draws: int

    @property
    def attributes(self) -> list[str]:
        """Attributes that rows are about, sorted; the first is none."""
        return ["", *sorted({name for names in self.parts.values() for name in names})]

    def turns(self, name: str) -> NDArray[np.int32]:
        """Rows of a variant, ``(n, 5)``, columns as in ``Turn``, in the order of the objects."""
        variant = self.recipe.variants[name]
        codes = {attribute: code for code, attribute in enumerate(self.attributes)}
        found = array("i")
        for place, figure in enumerate(self.kept):
            draws = self.draws if variant.donor else _instances(variant, self.rules, figure)
            for attribute in self.parts.get(figure.object_id, ()) if variant.per_attribute else ("",):
                for draw in range(draws):
                    donor, texture = self._others(name, variant, figure, attribute, draw)
                    found.extend((place, codes[attribute], draw, donor, texture))
        return np.array(found, dtype=np.int32).reshape(-1, len(Turn._fields))

    def _others(self, name: str, variant: Variant, figure: Candidate, attribute: str, draw: int) -> tuple[int, int]:
        """Places of donor and texture."""
        if variant.donor is None and variant.texture != "photos":
            return NONE, NONE
        seed = row_seed(self.recipe, name, figure.object_id, attribute, draw)
        donor = None
        if variant.donor is not None:
            donor = self.pools[self.splits[figure.object_id]].choose(figure, variant.donor, seed)
        texture = next(self.textures.in_order(seed)) if variant.texture == "photos" else NONE
        return NONE if donor is None else donor, texture


def _groups(
    turner: _Turner, rules: RuleSet, turns: Mapping[str, NDArray[np.int32]], textures: Sequence[PhotoRef]
) -> Iterator[RowGroup]:
    """Rows by variant and split, each sorted by object, attribute and draw."""
    by_id = sorted(range(len(turner.kept)), key=lambda place: turner.kept[place].object_id)
    rank = np.empty(len(by_id), dtype=np.int32)
    rank[by_id] = np.arange(len(by_id), dtype=np.int32)
    names = sorted(set(turner.splits.values()))
    codes = {name: code for code, name in enumerate(names)}
    split_of = np.array([codes[turner.splits[each.object_id]] for each in turner.kept], dtype=np.int32)
    attributes = turner.attributes
    for variant in sorted(turns):
        writer = RowWriter(turner.recipe, rules, variant, turner.kept, textures)
        figure, attribute, draw = turns[variant].T[:3]
        ordered = turns[variant][np.lexsort((draw, attribute, rank[figure]))]
        for code, split in enumerate(names):
            rows = ordered[split_of[ordered[:, 0]] == code]
            if len(rows):
                yield RowGroup(writer, split, attributes, rows)


def _instances(variant: Variant, rules: RuleSet, figure: Candidate) -> int:
    """Rows of one object: one, or one for each of its instances."""
    window = rules.views[variant.layers[0].view].window
    return len(figure.crops[variant.layers[0].view]) if window is not None and window.take == "each" else 1


def _settle(
    usable: list[Candidate], recipe: Recipe, rules: RuleSet, classes: ClassMap, policies: set[Photo]
) -> tuple[list[Candidate], dict[str, str], list[Refusal]]:
    """Balance, divide, and refuse whoever is left without a donor, until all hold: a refusal may cost others theirs."""
    stranded: list[Refusal] = []
    while usable:
        kept, unbalanced = balance_classes(usable, recipe.balance, seed=recipe.seed)
        splits = assign_splits([candidate.record for candidate in kept], recipe)
        pools = _pools(kept, splits, rules, classes)
        lonely = {
            candidate.object_id: policy
            for candidate in kept
            for policy in sorted(policies)
            if not pools[splits[candidate.object_id]].has_donor(candidate, policy)
        }
        if not lonely:
            return kept, splits, [*stranded, *unbalanced]
        stranded += [
            Refusal(object_id=each.object_id, label=each.record.label, reason="no_donor", detail=lonely[each.object_id])
            for each in usable
            if each.object_id in lonely
        ]
        usable = [each for each in usable if each.object_id not in lonely]
    raise DataError.single(
        "release", "", expected="photos that can lend each other a ground", got="none left", remedy=_reasons(stranded)
    )


def _pools(
    candidates: Sequence[Candidate], splits: Mapping[str, str], rules: RuleSet, classes: ClassMap
) -> dict[str, DonorPool]:
    """Donors of each split: no pixel of a training photo reaches the test split."""
    members: dict[str, list[int]] = defaultdict(list)
    for place, candidate in enumerate(candidates):
        members[splits[candidate.object_id]].append(place)
    return {split: DonorPool(candidates, found, rules.donors, classes) for split, found in members.items()}


def _attributes(
    kept: Sequence[Candidate], recipe: Recipe, rules: RuleSet, schema: AttributeSchema | None, vanished: list[Refusal]
) -> dict[str, list[str]]:
    """Local attributes of each object that leave a pixel on every canvas on which the recipe paints them."""
    views = {layer.view for variant in recipe.variants.values() if variant.per_attribute for layer in variant.layers}
    if not views:
        return {}
    return {each.object_id: _shown_attributes(each, views, rules, schema, vanished) for each in kept}


def _shown_attributes(
    figure: Candidate, views: set[str], rules: RuleSet, schema: AttributeSchema | None, vanished: list[Refusal]
) -> list[str]:
    local = schema.names("local") if schema and schema.attributes else tuple(figure.record.attribute_masks)
    found = []
    for name in sorted(set(local) & set(figure.record.attribute_masks)):
        rle = figure.record.attribute_masks[name]
        mask = decode_coco_rle(rle, size_hw=figure.record.size_hw, record=figure.object_id)
        frames = {view: crop.frame if (crop := crop_of(figure, view, 0)) else None for view in views}
        if all(view_matte(mask, rules.views[view], frame).any() for view, frame in frames.items()):
            found.append(name)
        else:
            label = figure.record.label
            vanished.append(Refusal(object_id=figure.object_id, label=label, reason="attribute_vanishes", detail=name))
    return found


def _reasons(refusals: Sequence[Refusal]) -> str:
    counts: dict[str, int] = {}
    for refusal in refusals:
        counts[refusal.reason] = counts.get(refusal.reason, 0) + 1
    return "reasons: " + ", ".join(f"{reason} {count}" for reason, count in sorted(counts.items()))
