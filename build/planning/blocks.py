"""Balanced incomplete block designs: which of a set of grounds each figure is shown on, where all would be too many.

A design has ``grounds`` numbers and blocks of ``size`` of them, so that every number stands in equally many blocks and
every two numbers stand together in equally many, lambda. It is developed from base blocks over the numbers modulo a
prime: B, B + 1, B + 2 and so on. Base blocks whose differences hold every number but 0 equally often give such a
design (Bose, Annals of Eugenics 9, 1939); those here are unions of cosets of a multiplicative group, with or without
0, times a group of multipliers (Wilson, Journal of Number Theory 4, 1972). The fewest are taken.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, islice
from typing import Final

from figureground.build.planning.seeds import hash_order

_MOST_TRIED: Final = 500
"""Unions of cosets that are tried for each group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockDesign:
    """A balanced incomplete block design over the numbers from 0 to ``grounds`` - 1."""

    grounds: int
    """A prime."""
    size: int
    """Numbers in a block, from 2 to ``grounds`` - 1."""
    bases: tuple[tuple[int, ...], ...]
    """Base blocks; the design has each of them shifted by 0 to ``grounds`` - 1."""

    @property
    def count(self) -> int:
        """Number of blocks."""
        return self.grounds * len(self.bases)

    @property
    def repeats(self) -> int:
        """Number of blocks that hold a given number, r."""
        return self.size * len(self.bases)

    @property
    def meetings(self) -> int:
        """Number of blocks that hold two given numbers, lambda = r (size - 1) / (grounds - 1)."""
        return self.repeats * (self.size - 1) // (self.grounds - 1)

    def block(self, number: int) -> tuple[int, ...]:
        """Numbers in a block, sorted; blocks count from 0, base by base."""
        base, shift = divmod(number, self.grounds)
        return tuple(sorted((item + shift) % self.grounds for item in self.bases[base]))


@lru_cache(maxsize=32)
def find_design(grounds: int, size: int) -> BlockDesign:
    """The design with the fewest blocks that unions of cosets give, the same one each time.

    Args:
        grounds: A prime.
        size: Numbers in a block, from 2 to ``grounds`` - 1.
    """
    least = next(count for count in range(1, grounds) if count * size * (size - 1) % (grounds - 1) == 0)
    best: tuple[tuple[int, ...], ...] | None = None
    for bases in _families(grounds, size):
        if best is None or len(bases) < len(best):
            best = bases
        if len(best) == least:
            break
    if best is None:
        raise AssertionError(f"no blocks of {size} among {grounds}: the whole group of multipliers always gives some")
    return BlockDesign(grounds=grounds, size=size, bases=best)


def _families(grounds: int, size: int) -> Iterator[tuple[tuple[int, ...], ...]]:
    """Families of base blocks whose differences are balanced, from the largest group of cosets to the smallest."""
    order = grounds - 1
    root = next(number for number in range(1, grounds) if _is_root(number, grounds))
    powers = [pow(root, exponent, grounds) for exponent in range(order)]
    for members in (count for count in range(order, 0, -1) if order % count == 0):
        cosets = [sorted(powers[start :: order // members]) for start in range(order // members)]
        for zero in (0, 1):
            unions, rest = divmod(size - zero, members)
            if rest or not 0 < unions <= len(cosets):
                continue
            for chosen in islice(combinations(range(1, len(cosets)), unions - 1), _MOST_TRIED):
                union = [0] * zero + [item for coset in (0, *chosen) for item in cosets[coset]]
                yield _fewest_multiples(union, powers[: len(cosets)], grounds)


def _fewest_multiples(block: Sequence[int], multipliers: Sequence[int], grounds: int) -> tuple[tuple[int, ...], ...]:
    """The block times the fewest of the multipliers, evenly taken, that balance its differences; all of them do."""
    counts = [count for count in range(1, len(multipliers) + 1) if len(multipliers) % count == 0]
    for count in counts:
        family = tuple(
            tuple(sorted(item * multiplier % grounds for item in block))
            for multiplier in multipliers[:: len(multipliers) // count]
        )
        differences = Counter(
            (one - other) % grounds for base in family for one in base for other in base if one != other
        )
        if len(differences) == grounds - 1 and len(set(differences.values())) == 1:
            return family
    raise AssertionError(f"multiples of {block} modulo {grounds} whose differences are not balanced")


def _is_root(number: int, prime: int) -> bool:
    """Whether the powers of a number are all numbers but 0 modulo a prime."""
    return len({pow(number, exponent, prime) for exponent in range(prime - 1)}) == prime - 1


def share_blocks(names: Sequence[str], design: BlockDesign, seed: str) -> dict[str, int]:
    """A block for each name, so that all blocks have equally many but for one.

    Each name asks for blocks in the order of its hashes with them, and a full block keeps the smallest (Gale and
    Shapley, American Mathematical Monthly 69, 1962): the answer does not depend on the order of the names. Blocks that
    have one name more are those that come first, base by base, in the order of their own hashes, so that every number
    is equally often in them whenever a base is used up. One name more or less moves about as many others as there are
    blocks at most; ``tests/build/planning/test_blocks.py`` counts them.

    Args:
        names: Different names, such as object ids.
        design: Its blocks.
        seed: Of the hashes.
    """
    size, more = divmod(len(names), design.count)
    ranked = sorted(range(design.count), key=lambda block: _turn(block, design, seed))
    room = {block: size + (rank < more) for rank, block in enumerate(ranked)}
    open_blocks = [block for block in ranked if room[block]]
    wishes: dict[str, Iterator[tuple[bytes, int]]] = {
        name: iter(sorted((hash_order(f"{seed}\0{block}", name), block) for block in open_blocks)) for name in names
    }
    held: dict[int, list[tuple[int, str]]] = {block: [] for block in open_blocks}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        wish, block = next(wishes[name])
        heapq.heappush(held[block], (-int.from_bytes(wish, "big"), name))
        if len(held[block]) > room[block]:
            waiting.append(heapq.heappop(held[block])[1])
    return {name: block for block, members in held.items() for _, name in members}


def _turn(block: int, design: BlockDesign, seed: str) -> tuple[bytes, bytes]:
    base = block // design.grounds
    return hash_order(f"{seed}\0base", str(base)), hash_order(f"{seed}\0block", str(block))
