"""Crossed grounds: one set of grounds that every figure of a split is shown on, or a block of it by a design.

What differs between two grounds of such a set is theirs, and not that of the figures that happened to be on them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from figureground.build.geometry.objects import MeasuredObject
from figureground.build.planning.blocks import BlockDesign, find_design, share_blocks
from figureground.build.planning.donors import why_not_lent
from figureground.build.planning.seeds import derive_seed, hash_order
from figureground.build.planning.splits import members_by_split
from figureground.errors import DataError
from figureground.schemas.recipes import DonorRules, Recipe, RuleSet


class Crossing(NamedTuple):
    """Which rows share a set of grounds."""

    variant: str
    split: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossedGrounds:
    """A set of grounds, and who is shown on which of them."""

    grounds: tuple[int, ...]
    """Indices of the photos that lend them, among all objects; a ground's number in ``draw`` counts in this order."""
    shown: Mapping[int, tuple[int, ...]]
    """Index of a figure to the numbers of its grounds, ascending; the exclusions are left out of them."""
    excluded: Mapping[str, int]
    """Pairs of a figure and a ground that the design has and the rules do not allow, by reason."""
    design: BlockDesign | None
    """Blocks of the set; None where every figure has all of it."""

    def shown_to(self, figure: int) -> Iterator[tuple[int, int]]:
        """Number in ``draw`` and index of each ground that a figure is shown on."""
        return ((number, self.grounds[number]) for number in self.shown[figure])

    def stranded(self) -> list[int]:
        """Figures that are left without any ground."""
        return [figure for figure, numbers in self.shown.items() if not numbers]


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossedSet:
    """What became of the crossed grounds of one variant in one split."""

    variant: str
    split: str
    figures: int
    grounds: int
    """Different grounds in the set."""
    block: int
    """Grounds that each figure is to be shown on."""
    blocks: int
    """Blocks of the design; 1 where every figure has the whole set."""
    meetings: int
    """Blocks that hold two given grounds, lambda; 1 with the whole set."""
    rows: int
    own_class: int
    """Rows whose ground is of the figure's class."""
    excluded: str
    """Pairs of the design that the rules do not allow, by reason; empty for none."""
    fewest_figures: int
    """Figures on the ground that has the fewest."""
    most_figures: int
    fewest_shared: int
    """Figures that the two grounds share which share the fewest."""
    most_shared: int

    def __str__(self) -> str:
        """What it costs and covers, in a line."""
        by = f"blocks of {self.block} ({self.blocks} blocks, lambda {self.meetings})" if self.blocks > 1 else "all"
        return (
            f"{self.variant}, {self.split}: {self.figures} figures on {self.grounds} crossed grounds, {by}: "
            f"{self.rows} rows, {self.own_class} on a ground of the own class; left out: {self.excluded or 'none'}; "
            f"{self.fewest_figures} to {self.most_figures} figures a ground, {self.fewest_shared} to "
            f"{self.most_shared} shared by two"
        )


def cross_grounds(
    objects: Sequence[MeasuredObject], splits: Mapping[str, str], recipe: Recipe, rules: RuleSet
) -> dict[Crossing, CrossedGrounds]:
    """The grounds of every crossed variant in every split.

    Args:
        objects: Objects that take part.
        splits: Object id to split.
        recipe: The recipe.
        rules: Its rule set.

    Raises:
        DataError: if a split has fewer photos that can lend than a variant asks grounds for.
    """
    names = [name for name, variant in recipe.variants.items() if variant.grounds is not None]
    if not names:
        return {}
    members = members_by_split(objects, splits)
    return {
        Crossing(name, split): _cross(objects, indices, recipe, rules.donors, Crossing(name, split))
        for name in names
        for split, indices in members.items()
    }


def _cross(
    objects: Sequence[MeasuredObject], members: Sequence[int], recipe: Recipe, rules: DonorRules, key: Crossing
) -> CrossedGrounds:
    variant, stream = recipe.variants[key.variant], recipe.stream(key.variant)
    wanted = variant.grounds
    if wanted is None:
        raise AssertionError(f"{key.variant} has no crossed grounds")
    grounds = choose_grounds(objects, members, rules, wanted.crossed, lambda slot: _seed(recipe, stream, slot))
    if len(grounds) < wanted.crossed:
        raise DataError.single(
            "release",
            f"{key.variant}, {key.split}",
            expected=f"{wanted.crossed} photos that can lend a ground, no two near-duplicates",
            got=str(len(grounds)),
            remedy="ask for fewer grounds in the recipe (grounds: {crossed: …}), or add photos",
        )
    design = find_design(wanted.crossed, wanted.block) if wanted.block is not None else None
    planned = _planned(objects, members, design, len(grounds), f"{_seed(recipe, stream, -1)}")
    excluded: Counter[str] = Counter()
    shown: dict[int, tuple[int, ...]] = {}
    for figure, numbers in planned.items():
        left = []
        for number in numbers:
            lender = objects[grounds[number]]
            own = variant.donor == "other_class" and lender.label == objects[figure].label
            reason = why_not_lent(objects[figure], lender, rules) or ("own_class" if own else None)
            excluded.update([reason] if reason else [])
            left += [] if reason else [number]
        shown[figure] = tuple(left)
    return CrossedGrounds(grounds=tuple(grounds), shown=shown, excluded=dict(sorted(excluded.items())), design=design)


def _seed(recipe: Recipe, stream: str, slot: int) -> int:
    """Seed of the choice of a ground; nobody's in particular, so that its object id is empty."""
    return derive_seed(recipe.seed, f"{stream}/grounds", "", slot)


def choose_grounds(
    objects: Sequence[MeasuredObject],
    members: Sequence[int],
    rules: DonorRules,
    count: int,
    seed_of: Callable[[int], int],
) -> list[int]:
    """Up to ``count`` grounds, evenly from all classes, no two near-duplicates of each other.

    The slots go round the classes in the order of their labels, and each takes the photo with the smallest hash of its
    own seed, so that one photo more or less changes few slots, and most often none. A class that has no photo left
    passes its turn on.

    Args:
        objects: All objects.
        members: Indices in them of those that may lend.
        rules: Who may not stand beside whom.
        count: Number of grounds.
        seed_of: Number of a slot to its seed.
    """
    lenders: dict[int, list[int]] = defaultdict(list)
    for index in members:
        if "class_visible_outside" not in objects[index].record.flags:
            lenders[objects[index].label].append(index)
    labels = sorted(lenders)
    apart = rules.model_copy(update={"exclude_self": True})
    chosen: list[int] = []
    for slot in range(count if labels else 0):
        seed = seed_of(slot)
        for turn in range(len(labels)):
            own = lenders[labels[(slot + turn) % len(labels)]]
            ordered = sorted(own, key=lambda index: hash_order(seed, objects[index].object_id))
            free = (
                index
                for index in ordered
                if not any(why_not_lent(objects[index], objects[other], apart) for other in chosen)
            )
            if (ground := next(free, None)) is not None:
                chosen.append(ground)
                break
    return chosen


def _planned(
    objects: Sequence[MeasuredObject], members: Sequence[int], design: BlockDesign | None, count: int, seed: str
) -> dict[int, tuple[int, ...]]:
    """Numbers of the grounds that the design shows each figure on; blocks are shared out within each class."""
    if design is None:
        return dict.fromkeys(members, tuple(range(count)))
    by_class: dict[int, dict[str, int]] = defaultdict(dict)
    for index in members:
        by_class[objects[index].label][objects[index].object_id] = index
    planned: dict[int, tuple[int, ...]] = {}
    for label, index_of in by_class.items():
        blocks = share_blocks(list(index_of), design, f"{seed}\0{label}")
        planned |= {index_of[name]: design.block(block) for name, block in blocks.items()}
    return {index: planned[index] for index in members}


def describe_crossings(
    objects: Sequence[MeasuredObject], crossings: Mapping[Crossing, CrossedGrounds]
) -> Iterator[CrossedSet]:
    """What became of each set, in the order of the variants and splits."""
    for key, crossed in sorted(crossings.items()):
        incidence = np.zeros((len(crossed.shown), len(crossed.grounds)), dtype=np.int64)
        for row, numbers in enumerate(crossed.shown.values()):
            incidence[row, list(numbers)] = 1
        shared = incidence.T @ incidence
        figures, pairs = np.diag(shared), shared[~np.eye(len(shared), dtype=np.bool_)]
        labels = np.array([objects[index].label for index in crossed.grounds])
        own = sum(
            int((labels[list(numbers)] == objects[figure].label).sum()) for figure, numbers in crossed.shown.items()
        )
        design = crossed.design
        yield CrossedSet(
            variant=key.variant,
            split=key.split,
            figures=len(crossed.shown),
            grounds=len(crossed.grounds),
            block=design.size if design else len(crossed.grounds),
            blocks=design.count if design else 1,
            meetings=design.meetings if design else 1,
            rows=int(incidence.sum()),
            own_class=own,
            excluded=" ".join(f"{reason}:{count}" for reason, count in crossed.excluded.items()),
            fewest_figures=int(figures.min()),
            most_figures=int(figures.max()),
            fewest_shared=int(pairs.min()),
            most_shared=int(pairs.max()),
        )
