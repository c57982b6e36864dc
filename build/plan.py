"""The plan: a table with one row per output, made in seconds before any pixel is touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from figureground.build.donors import DonorPool, check_classes
from figureground.build.seeds import derive_seed
from figureground.build.selection import Candidate, Refusal, balance_classes, class_counts, select_candidates
from figureground.build.views import view_geometry
from figureground.errors import DataError, Faults
from figureground.schemas.classes import ClassMap
from figureground.schemas.files import replace_file
from figureground.schemas.recipes import Photo, Recipe, RuleName, RuleSet, Variant
from figureground.schemas.records import ObjectRecord, canonical_json


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRow:
    """One output: everything that rendering needs besides the photos and masks themselves."""

    variant: str
    object_id: str
    """Whose figure and label."""
    draw: int
    """0, or the number of the repeated donor draw."""
    label: int
    """Class index of the figure."""
    seed: int
    """64-bit seed of the row."""
    ground_id: str
    """Object whose ground is used; empty where it is the row's own."""
    ground_label: int
    """Class index of the donor; -1 without one."""
    params: str
    """Canonical JSON: stored→canvas affine, box, strip and flags of figure and ground."""

    @property
    def key(self) -> tuple[str, str, int]:
        """What a row is sorted and found by."""
        return self.variant, self.object_id, self.draw


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All rows of a build, sorted by key, and what was left out."""

    rows: tuple[PlanRow, ...]
    candidates: dict[str, Candidate]
    """Objects that take part, by object_id."""
    refusals: tuple[Refusal, ...]
    """Objects that do not, sorted by object_id."""
    class_counts: dict[str, int]
    """Objects per class."""

    @property
    def balanced(self) -> bool:
        """Whether every class that has objects has equally many."""
        return len({count for count in self.class_counts.values() if count}) <= 1


def make_plan(
    records: Sequence[ObjectRecord], recipe: Recipe, classes: ClassMap, *, rules: RuleName = "exact", draws: int = 1
) -> Plan:
    """Plan every row of ``recipe`` over the objects of a release.

    Args:
        records: Objects of the release.
        recipe: The recipe.
        classes: Its class map.
        rules: Which of the recipe's rule sets to follow.
        draws: How many donors each row of a donor variant is given, one row per draw.

    Raises:
        DataError: if nothing is left to plan, or a class can have no donor.
    """
    rule_set = recipe.rules[rules]
    usable, refusals = select_candidates(records, recipe, rule_set, classes)
    if not usable:
        raise DataError.single(
            "release", "", expected="objects that the recipe can use", got=f"{len(refusals)} refused, 0 left",
            remedy=_reasons(refusals),
        )  # fmt: skip
    policies = {variant.donor for variant in recipe.variants.values() if variant.donor}
    faults = Faults()
    check_classes(usable, policies, rule_set.donors, classes, faults)
    faults.raise_if_any()
    kept, dropped = _settle(usable, recipe, rule_set, classes, policies)
    pool = DonorPool(kept, rule_set.donors, classes)
    rows = [
        _row(recipe, rule_set, name, variant, candidate, draw, pool)
        for name, variant in recipe.variants.items()
        for candidate in kept
        for draw in range(draws if variant.donor else 1)
    ]
    return Plan(
        rows=tuple(sorted(rows, key=lambda row: row.key)),
        candidates={candidate.object_id: candidate for candidate in kept},
        refusals=tuple(sorted([*refusals, *dropped], key=lambda refusal: refusal.object_id)),
        class_counts=dict(class_counts(kept, classes)),
    )


def write_plan(plan: Plan, path: Path) -> None:
    """Write the plan as Parquet, sorted by key; equal plans, equal bytes."""
    schema = pa.schema(
        [
            ("variant", pa.string()), ("object_id", pa.string()), ("draw", pa.int32()), ("label", pa.int32()),
            ("seed", pa.uint64()), ("ground_id", pa.string()), ("ground_label", pa.int32()), ("params", pa.string()),
        ]
    )  # fmt: skip
    columns = {name: [getattr(row, name) for row in plan.rows] for name in schema.names}
    with replace_file(path) as temporary:
        pq.write_table(pa.table(columns, schema=schema), temporary, compression="zstd")


def _settle(
    usable: list[Candidate], recipe: Recipe, rules: RuleSet, classes: ClassMap, policies: set[Photo]
) -> tuple[list[Candidate], list[Refusal]]:
    """Balance, and refuse whoever is left without a donor, until both hold: a refusal may cost others their donor."""
    stranded: list[Refusal] = []
    while usable:
        kept, unbalanced = balance_classes(usable, recipe.balance, seed=recipe.seed)
        pool = DonorPool(kept, rules.donors, classes)
        lonely = {
            candidate.object_id: policy
            for candidate in kept
            for policy in sorted(policies)
            if not pool.has_donor(candidate, policy)
        }
        if not lonely:
            return kept, [*stranded, *unbalanced]
        stranded += [
            Refusal(object_id=each.object_id, label=each.record.label, reason="no_donor", detail=lonely[each.object_id])
            for each in usable
            if each.object_id in lonely
        ]
        usable = [each for each in usable if each.object_id not in lonely]
    raise DataError.single(
        "release", "", expected="photos that can lend each other a ground", got="none left", remedy=_reasons(stranded)
    )


def _row(
    recipe: Recipe, rules: RuleSet, name: str, variant: Variant, figure: Candidate, draw: int, pool: DonorPool
) -> PlanRow:
    seed = derive_seed(recipe.seed, name, figure.object_id, draw)
    donor = pool.choose(figure, variant.donor, seed) if variant.donor else None
    params = {"figure": _photo_params(rules, variant, figure, of_self=True)}
    if donor is not None:
        params["ground"] = _photo_params(rules, variant, donor, of_self=False)
    return PlanRow(
        variant=name,
        object_id=figure.object_id,
        draw=draw,
        label=figure.label,
        seed=seed,
        ground_id=donor.object_id if donor else "",
        ground_label=donor.label if donor else -1,
        params=canonical_json(params),
    )


def _photo_params(rules: RuleSet, variant: Variant, candidate: Candidate, *, of_self: bool) -> dict[str, Any]:
    layers = [layer for layer in variant.layers if (layer.of == "self") == of_self]
    view = rules.views[layers[0].view if layers else variant.layers[0].view]
    geometry = view_geometry(view, candidate.record.size_hw)
    params: dict[str, Any] = {"affine": geometry.affine(candidate.record.size_hw)}
    uses_box = any(layer.paint == "tile" or layer.matte == "box" for layer in layers)
    flags = [*candidate.record.image_flags, *candidate.record.flags]
    if len(candidate.record.instances) > 1:
        flags.append("several_instances")
    if len(candidate.record.boxes_xyxy_px) > 1:
        flags.append("several_boxes")
    if uses_box:
        params["box"] = candidate.box_xyxy_px
        if candidate.box_from_mask:
            flags.append("box_from_mask")
    if candidate.strip is not None and any(layer.paint == "tile" for layer in layers):
        params["strip"] = {"side": candidate.strip.side, "box": candidate.strip.box_xyxy_px}
        if candidate.strip.width_px == 1:
            flags.append("strip_1px")
    if flags:
        params["flags"] = sorted(flags)
    return params


def _reasons(refusals: Sequence[Refusal]) -> str:
    counts: dict[str, int] = {}
    for refusal in refusals:
        counts[refusal.reason] = counts.get(refusal.reason, 0) + 1
    return "reasons: " + ", ".join(f"{reason} {count}" for reason, count in sorted(counts.items()))
