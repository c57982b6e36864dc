"""Who takes part in a build: balanced, divided into splits, and everybody with a donor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from figureground.build.geometry.objects import MeasuredObject
from figureground.build.planning.crossing import CrossedGrounds, Crossing, cross_grounds
from figureground.build.planning.donors import DonorPool
from figureground.build.planning.near_duplicates import NearDuplicates
from figureground.build.planning.selection import Refusal, balance_classes, refusal_counts
from figureground.build.planning.splits import assign_splits, members_by_split
from figureground.errors import DataError
from figureground.schemas.classes import ClassMap
from figureground.schemas.recipes import Photo, Recipe, RuleSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """The objects that take part."""

    objects: list[MeasuredObject]
    splits: dict[str, str]
    """Object id to split."""
    pools: Mapping[str, DonorPool]
    """Split to who may lend in it: no pixel of a training photo reaches the test split."""
    crossings: Mapping[Crossing, CrossedGrounds]
    """Grounds that all figures of a split share, of the variants that have such."""
    near_duplicates: NearDuplicates | None
    """Near-duplicates among all objects that passed the filters; None in a recipe without splits."""
    refusals: list[Refusal]
    """Objects that passed the filters and do not take part: too many of their class, or without a donor."""


def settle(
    usable: Sequence[MeasuredObject], recipe: Recipe, rules: RuleSet, classes: ClassMap, policies: set[Photo]
) -> Settlement:
    """Balance, divide, and refuse whoever is left without a donor, until all hold: a refusal may cost others theirs.

    Args:
        usable: Objects that passed the filters.
        recipe: The recipe.
        rules: Its rule set.
        classes: Its class map.
        policies: Where its variants take donors from.

    Raises:
        DataError: if nobody is left.
    """
    duplicates = None
    if recipe.splits is not None:
        records = [measured.record for measured in usable]
        duplicates = NearDuplicates.among(records, recipe.splits.near_duplicate_bits)
    stranded: list[Refusal] = []
    remaining = list(usable)
    while remaining:
        balanced, unbalanced = balance_classes(remaining, recipe.balance, seed=recipe.seed)
        splits = assign_splits([measured.record for measured in balanced], recipe, duplicates)
        pools = _pools(balanced, splits, rules, classes)
        without_donor: dict[str, str] = {
            measured.object_id: policy
            for measured in balanced
            for policy in sorted(policies)
            if not pools[splits[measured.object_id]].has_donor(measured, policy)
        }
        crossings = cross_grounds(balanced, splits, recipe, rules)
        without_donor |= _without_ground(balanced, crossings)
        if not without_donor:
            return Settlement(
                objects=balanced,
                splits=splits,
                pools=pools,
                crossings=crossings,
                near_duplicates=duplicates,
                refusals=[*stranded, *unbalanced],
            )
        stranded += [
            Refusal(
                object_id=measured.object_id,
                label=measured.record.label,
                reason="no_donor",
                detail=without_donor[measured.object_id],
            )
            for measured in remaining
            if measured.object_id in without_donor
        ]
        remaining = [measured for measured in remaining if measured.object_id not in without_donor]
    raise DataError.single(
        "release",
        "",
        expected="photos that can lend each other a ground",
        got="none left",
        remedy=refusal_counts(stranded),
    )


def _without_ground(objects: Sequence[MeasuredObject], crossings: Mapping[Crossing, CrossedGrounds]) -> dict[str, str]:
    """Object id to the crossed variant that has no ground for it."""
    return {objects[index].object_id: key.variant for key, crossed in crossings.items() for index in crossed.stranded()}


def _pools(
    objects: Sequence[MeasuredObject], splits: Mapping[str, str], rules: RuleSet, classes: ClassMap
) -> dict[str, DonorPool]:
    members = members_by_split(objects, splits)
    return {split: DonorPool(objects, indices, rules.donors, classes) for split, indices in members.items()}
