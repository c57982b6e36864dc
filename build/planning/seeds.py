"""Choice by hash: no state, no order, no global generator; one photo more or less moves only what it must."""

from __future__ import annotations

import hashlib
from bisect import bisect
from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

import numpy as np

from figureground.schemas.recipes import TEXTURE_FAMILIES

Item = TypeVar("Item")

RING_SPAN: Final = 64
"""Candidates that are compared at a time; of fewer, all are (docs/adr/0010)."""


def derive_seed(recipe_seed: int, stream: str, object_id: str, draw: int) -> int:
    """64-bit seed of one row: first 8 bytes of SHA-256 over the NUL-joined parts, big-endian."""
    text = "\0".join((str(recipe_seed), stream, object_id, str(draw)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def hash_order(seed: int | str, candidate: str) -> bytes:
    """Sort key of a candidate: SHA-256 of seed and candidate id. The smallest wins (rendezvous hashing)."""
    return hashlib.sha256(f"{seed}\0{candidate}".encode()).digest()


def choose_family(texture: str, seed: int) -> str:
    """Name of the drawn texture of a row; ``any`` lets the row's seed choose among ``TEXTURE_FAMILIES``.

    The choice is the first raw number of Philox, which NumPy promises not to change, modulo the number of families in
    alphabetical order.
    """
    if texture != "any":
        return texture
    families = sorted(TEXTURE_FAMILIES)
    return families[int(np.random.Philox(key=seed).random_raw() % len(families))]


class HashRing:
    """Candidates among which every seed chooses, in time that does not grow with their number.

    The smallest ``hash_order`` wins. Where there are more than ``RING_SPAN``, they stand on a ring at the hashes of
    their ids, and the ``RING_SPAN`` after the seed's own position are compared first, then the next, and so on round.
    One candidate more or less changes the choice of the seeds that choose it, and of about as many that lose another
    one at the span's far end.
    """

    def __init__(self, candidates: Sequence[str]) -> None:
        self._points: list[bytes] = []
        self._order = list(range(len(candidates)))
        if len(candidates) > RING_SPAN:
            ring = sorted((hash_order("ring", candidate), index) for index, candidate in enumerate(candidates))
            self._points = [point for point, _ in ring]
            self._order = [index for _, index in ring]
        self._ids = [candidates[index].encode() for index in self._order]

    def in_order(self, seed: int) -> Iterator[int]:
        """Indices of the candidates in the sequence that the ring was made of, the chosen one first."""
        prefix, sha256 = f"{seed}\0".encode(), hashlib.sha256
        for span in self._spans(bisect(self._points, seed.to_bytes(8, "big"))):
            hashes = [sha256(prefix + candidate).digest() for candidate in _on_span(self._ids, span)]
            indices = _on_span(self._order, span)
            yield indices[hashes.index(min(hashes))]
            yield from [index for _, index in sorted(zip(hashes, indices, strict=True))[1:]]

    def _spans(self, start: int) -> Iterator[range]:
        """All positions on the ring once, in spans from ``start`` on; positions past the end are those at the start."""
        end = start + len(self._order)
        for first in range(start, end, RING_SPAN):
            yield range(first, min(first + RING_SPAN, end))


def _on_span(ring: Sequence[Item], span: range) -> Sequence[Item]:
    """Items of the ring at the positions of a span, which may go past its end."""
    first, last = span.start % len(ring), (span.stop - 1) % len(ring) + 1
    return ring[first:last] if first < last else [*ring[first:], *ring[:last]]
