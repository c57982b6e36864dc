"""Which perceptual hashes are near each other, without comparing all with all."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, pairwise
from math import comb
from typing import Final

import numpy as np
from numpy.typing import NDArray

HASH_BITS: Final = 64

_WIDEST: Final = 22
"""Bits of the widest part: its table of places has four million entries."""
_COMPARED: Final = 1 << 22
"""Pairs compared at a time."""


def near_pairs(hashes: NDArray[np.uint64], bits: int) -> Iterator[NDArray[np.int64]]:
    """Places of hashes that differ in at most ``bits`` of 64, ``(n, 2)`` at a time, the smaller first; some twice.

    Two hashes that differ in at most b bits agree in one of any m parts of them but for b // m bits. So each part is
    looked up with up to so many of its bits changed; wider parts take more look-ups and find fewer strangers
    (multi-index hashing: Norouzi, Punjani and Fleet, arXiv 1307.2982).

    Args:
        hashes: ``(n,)``.
        bits: How many.
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
            found = (ordered ^ np.uint64(flip)).astype(np.int64)
            yield from _close(hashes, order, starts[found], starts[found + 1], bits)


def _close(
    hashes: NDArray[np.uint64], order: NDArray[np.int64], first: NDArray[np.int64], last: NDArray[np.int64], bits: int
) -> Iterator[NDArray[np.int64]]:
    """Near ones among the hashes and those at ``order[first:last]`` of each."""
    rows = np.flatnonzero(last > first)
    counts = last[rows] - first[rows]
    ends = np.cumsum(counts)
    start = 0
    while start < len(rows):
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + _COMPARED, side="right")))
        part = counts[start:stop]
        places = np.arange(int(ends[stop - 1]) - before) - np.repeat(ends[start:stop] - part - before, part)
        one = np.repeat(order[rows[start:stop]], part)
        other = order[np.repeat(first[rows[start:stop]], part) + places]
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
    places = 1 << width
    return float(parts * (places + flips * count * (4 + count / places)))


def _edges(parts: int) -> list[tuple[int, int]]:
    return list(pairwise(part * HASH_BITS // parts for part in range(parts + 1))) if parts else [(0, 0)]


def _flips(width: int, most: int) -> Iterator[int]:
    """Every way to change at most so many of ``width`` bits."""
    for changed in range(min(most, width) + 1):
        for places in combinations(range(width), changed):
            yield sum(1 << place for place in places)
