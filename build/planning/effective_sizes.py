"""How many independent photos a dataset has: near-duplicates and photos of one scene say less than as many others."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from figureground.build.planning.near_duplicates import NearDuplicates
from figureground.build.planning.plan import Plan
from figureground.schemas.classes import ClassMap
from figureground.schemas.recipes import Recipe, RuleSet

_USUAL_BITS: Final = 8
"""Of 64: that of a recipe's splits and donors where it says nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveSize:
    """Photos of one class, or of all."""

    photos: int
    groups: int
    """Groups of near-duplicates and of named scenes, a photo without any like being a group of its own."""
    effective: float
    """Photos without any like that would say at least as much."""


def effective_number(sizes: Iterable[int]) -> float:
    """Number of independent photos that groups of these sizes are worth at least; 0 of none.

    The design effect of clusters of unequal sizes m, whose members are correlated by rho, is 1 + (Σm²/Σm - 1) rho
    (Kish, Survey Sampling, 1965, section 5.4, with the mean size weighted by size); a classifier that answers alike
    within a group has rho 1, which leaves (Σm)² ÷ Σm². With a smaller rho there are more.
    """
    counted = list(sizes)
    total = sum(counted)
    return total**2 / sum(size**2 for size in counted) if total else 0.0


def near_duplicate_bits(recipe: Recipe, rules: RuleSet) -> int:
    """Bits of 64 up to which two perceptual hashes are those of near-duplicates, as a recipe says it."""
    if recipe.splits is not None:
        return recipe.splits.near_duplicate_bits
    bits = rules.donors.near_duplicate_bits
    return _USUAL_BITS if bits is None else bits


def effective_sizes(plan: Plan, classes: ClassMap, bits: int) -> tuple[EffectiveSize, dict[str, EffectiveSize]]:
    """That of all objects of a plan, and of each class that has some, in the order of the classes.

    Args:
        plan: The plan.
        classes: Its class map.
        bits: Bits of 64 up to which two perceptual hashes are those of near-duplicates.
    """
    records = [measured.record for measured in plan.objects.values()]
    groups = (plan.near_duplicates or NearDuplicates.among(records, bits)).groups(records)
    own: dict[int, list[int]] = defaultdict(list)
    for group in groups:
        counts = Counter(plan.objects[record.object_id].label for record in group)
        for label, count in counts.items():
            own[label].append(count)
    return _size([len(group) for group in groups]), {
        name: _size(own[label]) for label, name in enumerate(classes.names) if label in own
    }


def _size(sizes: Sequence[int]) -> EffectiveSize:
    return EffectiveSize(photos=sum(sizes), groups=len(sizes), effective=round(effective_number(sizes), 1))
