"""Which split a photo goes to: shares of every source class, by hash; near-duplicates stay together."""

from __future__ import annotations

from bisect import bisect
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import accumulate

from figureground.build.geometry.objects import MeasuredObject
from figureground.build.planning.near_duplicates import NearDuplicates
from figureground.build.planning.seeds import hash_order
from figureground.errors import Faults
from figureground.schemas.recipes import Recipe, Splits
from figureground.schemas.records import ObjectRecord


def members_by_split(objects: Sequence[MeasuredObject], splits: Mapping[str, str]) -> dict[str, list[int]]:
    """Split to the indices of its objects; ``splits`` is object id to split."""
    members: dict[str, list[int]] = defaultdict(list)
    for index, measured in enumerate(objects):
        members[splits[measured.object_id]].append(index)
    return dict(members)


def assign_splits(
    records: Sequence[ObjectRecord], recipe: Recipe, duplicates: NearDuplicates | None = None
) -> dict[str, str]:
    """Object id to split.

    Groups of near-duplicates are divided as wholes. In each source class they are put in the order of their hashes,
    and cut where the shares say, so that one photo more or less moves at most one group at each cut.

    Args:
        records: The objects.
        recipe: Says how they are divided.
        duplicates: Near-duplicates among them, where they are known already; None to look for them.

    Raises:
        DataError: if splits go by the source, and it has others than the recipe.
    """
    if recipe.splits is None:
        return {record.object_id: recipe.split for record in records}
    together: dict[str, list[ObjectRecord]] = defaultdict(list)
    for record in records:
        together[record.source_split if recipe.splits.by == "source" else ""].append(record)
    shares = _shares(list(together), recipe.splits)
    if duplicates is None:
        duplicates = NearDuplicates.among(records, recipe.splits.near_duplicate_bits)
    chosen: dict[str, str] = {}
    for part, members in together.items():
        by_class: dict[str, list[list[ObjectRecord]]] = defaultdict(list)
        for group in duplicates.groups(members):
            by_class[group[0].label].append(group)
        for groups in by_class.values():
            ordered = sorted(groups, key=lambda group: hash_order(f"{recipe.seed}\0split", group[0].object_id))
            for group, split in zip(ordered, _cut([len(group) for group in ordered], shares[part]), strict=True):
                chosen.update((record.object_id, split) for record in group)
    return chosen


def _shares(source_splits: Sequence[str], splits: Splits) -> dict[str, dict[str, float]]:
    """Split of the source to the shares of the splits that it is divided into.

    These are itself, and those after it in the recipe that the source lacks.
    """
    if splits.by == "seed":
        return {"": splits.shares}
    faults, names = Faults(), list(splits.shares)
    for strange in sorted(set(source_splits) - set(names)):
        faults.add("release", repr(strange), expected=f"source splits {', '.join(names)}", got="another")
    faults.raise_if_any()
    shares: dict[str, dict[str, float]] = {}
    owner = names[0]
    for name in names:
        owner = name if name in source_splits else owner
        shares.setdefault(owner, {})[name] = splits.shares[name]
    return shares


def _cut(sizes: Sequence[int], shares: Mapping[str, float]) -> list[str]:
    """Split of each group: that in whose share of the whole the group's middle lies.

    Args:
        sizes: Number of objects of each group, in order.
        shares: Split to its share.
    """
    names, ends = list(shares), list(accumulate(shares.values()))
    unit = ends[-1] / sum(sizes)
    middles = [(end - size / 2) * unit for end, size in zip(accumulate(sizes), sizes, strict=True)]
    return [names[bisect(ends[:-1], middle)] for middle in middles]
