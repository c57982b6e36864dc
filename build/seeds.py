"""Choice by hash: no state, no order, no global generator; one photo more or less moves only what it must."""

from __future__ import annotations

import hashlib


def derive_seed(recipe_seed: int, stream: str, object_id: str, draw: int) -> int:
    """64-bit seed of one row: first 8 bytes of SHA-256 over the NUL-joined parts, big-endian."""
    text = "\0".join((str(recipe_seed), stream, object_id, str(draw)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def hash_order(seed: int | str, candidate: str) -> bytes:
    """Sort key of a candidate: SHA-256 of seed and candidate id. The smallest wins (rendezvous hashing)."""
    return hashlib.sha256(f"{seed}\0{candidate}".encode()).digest()
