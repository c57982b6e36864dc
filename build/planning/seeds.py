"""Choice by hash: no state, no order, no global generator; one photo more or less moves only what it must."""

from __future__ import annotations

import hashlib
from bisect import bisect
from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

Item = TypeVar("Item")

WINDOW: Final = 64
"""Candidates that are compared at a time; of fewer, all are (docs/adr/0010)."""


def derive_seed(recipe_seed: int, stream: str, object_id: str, draw: int) -> int:
    """64-bit seed of one row: first 8 bytes of SHA-256 over the NUL-joined parts, big-endian."""
    text = "\0".join((str(recipe_seed), stream, object_id, str(draw)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def hash_order(seed: int | str, candidate: str) -> bytes:
    """Sort key of a candidate: SHA-256 of seed and candidate id. The smallest wins (rendezvous hashing)."""
    return hashlib.sha256(f"{seed}\0{candidate}".encode()).digest()


class HashRing:
    """Candidates among which every seed chooses, in time that does not grow with their number.

    The smallest ``hash_order`` wins. Where there are more than ``WINDOW``, they stand on a ring at the hashes of their
    ids, and the ``WINDOW`` after the seed's own place are compared first, then the next, and so on round. One candidate
    more or less changes the choice of the seeds that choose it, and of about as many that lose another one at the
    window's far end.
    """

    def __init__(self, candidates: Sequence[str]) -> None:
        self._points: list[bytes] = []
        self._order = list(range(len(candidates)))
        if len(candidates) > WINDOW:
            placed = sorted((hash_order("ring", candidate), place) for place, candidate in enumerate(candidates))
            self._points = [point for point, _ in placed]
            self._order = [place for _, place in placed]
        self._ids = [candidates[place].encode() for place in self._order]

    def in_order(self, seed: int) -> Iterator[int]:
        """Places of the candidates in the sequence, the chosen one first."""
        prefix, sha256 = f"{seed}\0".encode(), hashlib.sha256
        for window in self._windows(bisect(self._points, seed.to_bytes(8, "big"))):
            hashes = [sha256(prefix + candidate).digest() for candidate in _taken(self._ids, window)]
            places = _taken(self._order, window)
            yield places[hashes.index(min(hashes))]
            yield from [place for _, place in sorted(zip(hashes, places, strict=True))[1:]]

    def _windows(self, start: int) -> Iterator[range]:
        """All places of the ring once, in windows from ``start`` on; what goes past the end goes on at the start."""
        end = start + len(self._order)
        for first in range(start, end, WINDOW):
            yield range(first, min(first + WINDOW, end))


def _taken(ring: Sequence[Item], window: range) -> Sequence[Item]:
    """What stands on the ring in a window."""
    first, last = window.start % len(ring), (window.stop - 1) % len(ring) + 1
    return ring[first:last] if first < last else [*ring[first:], *ring[:last]]
