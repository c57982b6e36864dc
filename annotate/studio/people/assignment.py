"""Who is asked about a photo: decided by its id and their names alone, and nobody loses what they have."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from typing import TypeVar

from figureground.annotate.studio.people.team import heir_of
from figureground.schemas.records import StudioTeam

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Holders:
    """The people whom a photo was sent to, by name."""

    open: Set[str] = frozenset()
    """Those who have it and have not answered."""
    answered: Set[str] = frozenset()
    """Those who answered, also where they left since."""
    skipped: Set[str] = frozenset()
    left: Set[str] = frozenset()
    """Those from whom it was taken back, unanswered."""

    @property
    def asked(self) -> Set[str]:
        """Those who are not asked again."""
        return self.open | self.answered | self.skipped


def choose(image_id: str, team: StudioTeam, holders: Holders, *, wanted: int = 1) -> list[str]:
    """Who is sent a photo besides those who have it or answered it: the heir of who left it, else the smallest hash.

    By rendezvous hashing, one photo or annotator more or less leaves the others' photos where they are.

    Args:
        image_id: The photo.
        team: Everybody who could be asked.
        holders: The people whom it was sent to.
        wanted: How many people shall answer it.

    Returns:
        Names, empty if there are enough, or nobody is left.
    """
    enough = len(holders.open & set(team.annotators)) + len(holders.answered)
    heirs = {heir_of(team, name) for name in holders.left}
    free = [name for name in team.annotators if name not in holders.asked]
    ranked = sorted(free, key=lambda name: (name not in heirs, fraction(name, image_id)))
    return ranked[: max(0, wanted - enough)]


def nobody_is_left(team: StudioTeam, holders: Holders) -> bool:
    """Whether a photo was skipped by all who could answer it."""
    return bool(holders.skipped) and not holders.answered and not set(team.annotators) - holders.skipped


def choose_pairs(image_ids: Iterable[str], count: int) -> list[str]:
    """The photos that two people get: those of the smallest hash, so that more photos or a higher count keep them."""
    return sorted(image_ids, key=lambda image_id: fraction("overlap", image_id))[: max(0, count)]


def choose_move(image_id: str, team: StudioTeam, holders: Holders, *, newcomers: Set[str], wanted: int) -> str | None:
    """Whose photo goes to a newcomer; None if it stays.

    A photo moves if the newcomer would have got it, had they been there from the start: that is a fair share of what
    nobody has answered.
    """
    due = sorted(team.annotators, key=lambda name: fraction(name, image_id))[:wanted]
    if not any(name in newcomers and name not in holders.asked for name in due):
        return None
    givers = (holders.open & set(team.annotators)) - newcomers - set(due)
    return max(givers, key=lambda name: fraction(name, image_id), default=None)


def mix(queue: Sequence[_Item], more: Sequence[tuple[str, _Item]], salt: str) -> list[_Item]:
    """A queue with more items at places that hashes give: the same every time.

    Args:
        queue: In its order, which stays.
        more: Items to mix in, with the text that gives each its place.
        salt: What makes the places of one queue others than those of the next.
    """
    places = sorted((int(fraction("place", salt, text) * (len(queue) + 1)), text, item) for text, item in more)
    mixed = list(queue)
    for place, _, item in reversed(places):
        mixed.insert(place, item)
    return mixed


def fraction(*parts: str) -> float:
    """A number in [0, 1) that is the same every time."""
    digest = hashlib.sha256("\0".join(("studio", *parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
