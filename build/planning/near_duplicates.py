"""Which photos are near-duplicates by perceptual hashes, without comparing all with all, or by their named group."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from math import comb
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from figureground.schemas.records import ObjectRecord

HASH_BITS: Final = 64

_WIDEST: Final = 22
"""Bits of the widest part: its table of starts has four million entries."""
_COMPARED: Final = 1 << 22
"""Pairs compared at a time."""


class Link(NamedTuple):
    """Two photos that are near-duplicates."""

    one: ObjectRecord
    """That of the smaller object id."""
    other: ObjectRecord
    bits: int
    """Bits of 64 in which their perceptual hashes differ."""
    one_scene: bool
    """Whether they are in one named group, whatever their hashes."""

    def spell_reason(self) -> str:
        """Why they are near-duplicates, in words."""
        return f"both of group {self.one.group}" if self.one_scene else f"{self.bits} of 64 bits differ"


@dataclass(frozen=True, slots=True, eq=False)
class NearDuplicates:
    """The near-duplicates among some photos: looked for once, then asked for any part of them."""

    _hashes: NDArray[np.uint64]
    """``(n,)``: the different perceptual hashes, ascending."""
    _links: Any
    """``(n, n)`` sparse array of SciPy, not zero where two of the hashes are near each other."""

    @classmethod
    def among(cls, records: Sequence[ObjectRecord], bits: int) -> NearDuplicates:
        """Link the records whose perceptual hashes differ in at most ``bits`` of 64."""
        from scipy.sparse import csr_array  # type: ignore[import-untyped]  # takes a quarter of a second to load

        hashes = np.unique(_hashes_of(records))
        pairs = np.concatenate([np.zeros((0, 2), dtype=np.int64), *near_pairs(hashes, bits)])
        ones = np.ones(len(pairs), dtype=np.int8)
        return cls(hashes, csr_array((ones, (pairs[:, 0], pairs[:, 1])), shape=(len(hashes), len(hashes))))

    def groups(self, records: Sequence[ObjectRecord]) -> list[list[ObjectRecord]]:
        """Records that are linked directly or through others of ``records``, each group sorted by object id.

        Photos of one video, burst or photographer are linked, as near-duplicates are.

        Args:
            records: Some or all of those that were linked. The groups are in the order of their first object ids.
        """
        from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]  # likewise

        ordered = sorted(records, key=lambda record: record.object_id)
        present, node = np.unique(np.searchsorted(self._hashes, _hashes_of(ordered)), return_inverse=True)
        _, component = connected_components(self._links[present][:, present], directed=False)
        groups: dict[int, list[ObjectRecord]] = defaultdict(list)
        for record, label in zip(ordered, _joined(component[node], ordered), strict=True):
            groups[label].append(record)
        return list(groups.values())

    def crossing(self, group: Sequence[ObjectRecord], part_of: Mapping[str, str]) -> Link | None:
        """The two records of one group that are linked themselves and lie in two parts; None if all lie in one.

        A named group comes first, then the nearest pair, then the smallest ids. If a group has records in two parts
        then two of them are linked, for whoever walks along its links from one part to the other steps over.

        Args:
            group: One of ``groups``.
            part_of: Object id to the name of its part.
        """
        if len({part_of[record.object_id] for record in group}) < 2:
            return None
        first: dict[tuple[str, str], ObjectRecord] = {}
        for record in group:
            if record.scene is not None:
                one = first.setdefault(record.scene, record)
                if part_of[one.object_id] != part_of[record.object_id]:
                    return Link(one, record, hash_distance(one, record), one_scene=True)
        nodes = np.searchsorted(self._hashes, _hashes_of(group))
        members: dict[int, list[ObjectRecord]] = defaultdict(list)
        for node, record in zip(nodes.tolist(), group, strict=True):
            members[node].append(record)
        present = sorted(members)
        rows, columns = self._links[present][:, present].nonzero()
        linked = [(present[row], present[column]) for row, column in zip(rows.tolist(), columns.tolist(), strict=True)]
        pairs = (
            sorted((one, other), key=lambda record: record.object_id)
            for row, column in [*((node, node) for node in present), *linked]
            for one in _one_a_part(members[row], part_of)
            for other in _one_a_part(members[column], part_of)
            if part_of[one.object_id] != part_of[other.object_id]
        )
        links = (Link(one, other, hash_distance(one, other), one_scene=False) for one, other in pairs)
        return min(links, key=lambda link: (link.bits, link.one.object_id, link.other.object_id))


def _one_a_part(records: Sequence[ObjectRecord], part_of: Mapping[str, str]) -> list[ObjectRecord]:
    """The first record of each part."""
    first: dict[str, ObjectRecord] = {}
    for record in records:
        first.setdefault(part_of[record.object_id], record)
    return list(first.values())


def hash_distance(one: ObjectRecord, other: ObjectRecord) -> int:
    """Number of bits in which the perceptual hashes of two photos differ, 0 to 64."""
    return (int(one.phash, 16) ^ int(other.phash, 16)).bit_count()


def _joined(labels: NDArray[np.int64], records: Sequence[ObjectRecord]) -> list[int]:
    """Labels ``(n,)`` of some groups after groups that share a scene are made one."""
    from scipy.sparse import csr_array  # as above
    from scipy.sparse.csgraph import connected_components

    scenes = {record.scene for record in records} - {None}
    if not scenes:
        return [int(label) for label in labels.tolist()]
    first = int(labels.max()) + 1
    node_of = {scene: first + number for number, scene in enumerate(sorted(scenes, key=str))}
    ties = [
        (label, node_of[record.scene]) for label, record in zip(labels.tolist(), records, strict=True) if record.scene
    ]
    rows, columns = zip(*ties, strict=True)
    count = first + len(node_of)
    _, merged = connected_components(
        csr_array((np.ones(len(ties), np.int8), (rows, columns)), shape=(count, count)), directed=False
    )
    return [int(label) for label in merged[labels].tolist()]


def _hashes_of(records: Sequence[ObjectRecord]) -> NDArray[np.uint64]:
    return np.array([int(record.phash, 16) for record in records], dtype=np.uint64)


def near_pairs(hashes: NDArray[np.uint64], bits: int) -> Iterator[NDArray[np.int64]]:
    """Indices of hashes that differ in at most ``bits`` of 64, ``(n, 2)`` at a time, the smaller first; some twice.

    Two hashes that differ in at most b bits agree in one of any m parts of them but for b // m bits. So each part is
    looked up with up to so many of its bits changed; wider parts take more look-ups and find fewer strangers
    (multi-index hashing: Norouzi, Punjani and Fleet, arXiv 1307.2982).

    Args:
        hashes: ``(n,)``.
        bits: Most bits in which two may differ, 0 to 63.
    """
    parts = min(range(bits + 2), key=lambda count: _cost(len(hashes), bits, count))
    for low, high in _edges(parts):
        radius = bits // parts if parts else 0
        width = high - low
        keys = (hashes >> np.uint64(low)) & np.uint64((1 << width) - 1)
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        starts = np.searchsorted(ordered, np.arange((1 << width) + 1, dtype=np.uint64))
        for flip in _flips(width, radius):
            looked_up = (ordered ^ np.uint64(flip)).astype(np.int64)
            yield from _close(hashes, order, starts[looked_up], starts[looked_up + 1], bits)


def _close(
    hashes: NDArray[np.uint64], order: NDArray[np.int64], first: NDArray[np.int64], last: NDArray[np.int64], bits: int
) -> Iterator[NDArray[np.int64]]:
    """Pairs of near hashes: each hash, and those of the hashes at ``order[first:last]`` that are near to it."""
    rows = np.flatnonzero(last > first)
    counts = last[rows] - first[rows]
    ends = np.cumsum(counts)
    start = 0
    while start < len(rows):
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + _COMPARED, side="right")))
        part = counts[start:stop]
        offsets = np.arange(int(ends[stop - 1]) - before) - np.repeat(ends[start:stop] - part - before, part)
        one = np.repeat(order[rows[start:stop]], part)
        other = order[np.repeat(first[rows[start:stop]], part) + offsets]
        near = (one < other) & (np.bitwise_count(hashes[one] ^ hashes[other]) <= bits)
        if near.any():
            yield np.stack([one[near], other[near]], axis=1)
        start = stop


def _cost(count: int, bits: int, parts: int) -> float:
    """About how many look-ups and comparisons ``parts`` parts take; 0 parts compare all with all."""
    if not parts:
        return float(count) ** 2
    width = -(-HASH_BITS // parts)
    if width > _WIDEST:
        return float("inf")
    flips = sum(comb(width, changed) for changed in range(bits // parts + 1))
    keys = 1 << width
    return float(parts * (keys + flips * count * (4 + count / keys)))


def _edges(parts: int) -> list[tuple[int, int]]:
    """First bit of each part, and the bit after its last; one part of no bits if all are compared with all."""
    return list(pairwise(part * HASH_BITS // parts for part in range(parts + 1))) if parts else [(0, 0)]


def _flips(width: int, most: int) -> Iterator[int]:
    """Every way to change at most ``most`` of ``width`` bits, as the number whose bits are those changed."""
    for changed in range(min(most, width) + 1):
        for bits in combinations(range(width), changed):
            yield sum(1 << bit for bit in bits)
