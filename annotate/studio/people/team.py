"""The team: who answers on a server, how it changes, and how many photos two of them get."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from figureground.annotate.studio.projects import newest_projects
from figureground.errors import UsageError
from figureground.schemas.records import NAME_PATTERN, StudioTeam
from figureground.schemas.store.workspace import Workspace

EVERYBODY: Final = ""
"""The annotator of a project that anybody answers in."""

_COUNT: Final = re.compile(r"\d{1,9}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamChange:
    """What a push says about people; what it does not say stays as it is."""

    annotators: tuple[str, ...] = ()
    """Those who answer, at first; later the same names, or none."""
    add: tuple[str, ...] = ()
    """Newcomers."""
    hand_over: tuple[tuple[str, str], ...] = ()
    """(who leaves, who takes over what they have not begun)."""
    overlap: str | None = None
    """Photos that two people get: a count such as ``40``, or a share such as ``0.1``."""
    honeypots: int | None = None
    """Photos with a known mask, mixed into each queue."""
    entry_test: int | None = None
    """Photos with a known mask that come first to whoever is new."""

    def __post_init__(self) -> None:
        """Refuse what cannot be done, before anything is."""
        for names in (self.annotators, (*self.add, *(name for pair in self.hand_over for name in pair))):
            strange = [name for name in names if not NAME_PATTERN.fullmatch(name)]
            if strange or (names is self.annotators and len(set(names)) < len(names)):
                raise UsageError("annotators are named once each, with letters, digits, dots, dashes and underscores")
        for giver, taker in self.hand_over:
            if giver == taker:
                raise UsageError(f"{giver} cannot hand over to {taker}")
        if self.overlap is not None:
            overlap_count(self.overlap, 0)


def overlap_count(overlap: str, photos: int) -> int:
    """Number of photos that two people get.

    Args:
        overlap: A count such as ``40``, or a share such as ``0.1`` or ``1.0``.
        photos: Photos that there are; a share is of these, rounded.

    Raises:
        UsageError: if it is neither.
    """
    if _COUNT.fullmatch(overlap):
        return int(overlap)
    try:
        share = float(overlap)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise UsageError(f"an overlap is a number of photos such as 40, or a share such as 0.1, not {overlap}")
    return round(share * photos)


def remembered_team(workspace: Workspace, server: str) -> StudioTeam | None:
    """Who answers on a server, or was sent photos before people were remembered; None if nobody was."""
    team = workspace.studio_team(server)
    if team is not None:
        return team
    names = newest_projects(workspace, server, "first_look")
    named = tuple(name for name in names if name != EVERYBODY)
    return StudioTeam(annotators=named or (EVERYBODY,)) if names else None


def change_team(before: StudioTeam | None, change: TeamChange) -> StudioTeam:
    """The team after a change.

    Raises:
        UsageError: if names do not fit those of before, or there are too few for an overlap.
    """
    team = _named(before, change.annotators)
    if change.add and team.annotators == (EVERYBODY,):
        raise UsageError("anybody answers in one project; name all who shall have their own with --annotator")
    team = _joined(team, change.add)
    for giver, taker in change.hand_over:
        if giver not in team.annotators and team.heirs.get(giver) != taker:
            raise UsageError(f"{giver} is none of the annotators: {_list(team.annotators)}")
        staying = tuple(name for name in team.annotators if name != giver)
        team = _joined(replace(team, annotators=staying, heirs={**team.heirs, giver: taker}), (taker,))
    names = [name.casefold() for name in team.annotators]  # accounts do not tell capitals apart
    if len(set(names)) < len(names):
        raise UsageError("annotators whose names differ in more than capitals")
    if change.overlap is not None:
        team = replace(team, overlap=change.overlap)
        if overlap_count(change.overlap, 1000) and len(team.annotators) < 2:
            raise UsageError("an overlap needs two annotators: name them with --annotator, once each")
    if change.honeypots is not None:
        team = replace(team, honeypots=change.honeypots)
    if change.entry_test is not None:
        team = replace(team, entry_test=change.entry_test)
    return team


def heir_of(team: StudioTeam, name: str) -> str | None:
    """Who takes over from somebody who left; None for nobody in particular."""
    heir = team.heirs.get(name, EVERYBODY)
    for _ in team.heirs:
        heir = heir if heir in team.annotators else team.heirs.get(heir, EVERYBODY)
    return heir if heir in team.annotators and heir != EVERYBODY else None


def _named(before: StudioTeam | None, names: tuple[str, ...]) -> StudioTeam:
    if before is None:
        return StudioTeam(annotators=names or (EVERYBODY,))
    if not names or set(names) == set(before.annotators):
        return before
    if before.annotators == (EVERYBODY,):
        return replace(before, annotators=names, heirs={**before.heirs, EVERYBODY: ""})
    raise UsageError(
        f"the annotators are {_list(before.annotators)}: leave --annotator out, bring somebody in with --add, and let "
        "somebody go with --hand-over"
    )


def _joined(team: StudioTeam, names: Sequence[str]) -> StudioTeam:
    new = tuple(dict.fromkeys(name for name in names if name not in team.annotators))
    heirs = {giver: taker for giver, taker in team.heirs.items() if giver not in names}
    return replace(team, annotators=(*team.annotators, *new), heirs=heirs)


def _list(names: Sequence[str]) -> str:
    return ", ".join(name or "everybody" for name in names)
