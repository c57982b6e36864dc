"""Honeypots: photos whose mask is known, mixed unmarked into a queue, to see how somebody works."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from figureground.annotate.decisions import accepted_state
from figureground.annotate.studio.people.assignment import fraction, mix
from figureground.annotate.studio.people.holdings import Holdings
from figureground.schemas.records import ImageRecord, ProposalRecord
from figureground.schemas.store.workspace import Workspace


def known_photos(workspace: Workspace, proposals: Mapping[str, ProposalRecord]) -> list[str]:
    """Photos whose mask people made that look like any other: with a machine mask, if others have one."""
    known = []
    for decision in workspace.newest_decisions():
        if decision.state != "accepted" or (proposals and decision.image_id not in proposals):
            continue
        answer = accepted_state(list(workspace.annotations(decision.image_id)), decision)
        if answer is not None and not answer.machine:
            known.append(decision.image_id)
    return known


def choose_honeypots(
    holdings: Holdings, name: str, known: Sequence[str], *, shown: Set[str], wanted: int
) -> tuple[list[str], int]:
    """The honeypots to send to an annotator, and how many more there should be.

    Args:
        holdings: Who has what: nobody gets a photo as a honeypot that they answered.
        name: The annotator.
        known: Photos whose mask is known.
        shown: Photos that the annotator's project shows already.
        wanted: Honeypots that the project should hold.
    """
    project = holdings.projects[name]
    noted = {image_id for number, image_id in holdings.honeypots if number == project}
    lacking = wanted - len(noted & shown)
    if lacking <= 0:
        return [], 0
    # Those noted and not shown belong to a push that was killed.
    free = [image_id for image_id in known if image_id not in shown and name not in holdings.holders(image_id).answered]
    ranked = sorted(free, key=lambda image_id: (image_id not in noted, fraction("honeypot", name, image_id)))
    return ranked[:lacking], max(0, lacking - len(ranked))


def mix_honeypots(
    queue: Sequence[ImageRecord], honeypots: Sequence[ImageRecord], name: str, *, first: int
) -> list[ImageRecord]:
    """A queue with honeypots in it: some at its beginning, the others at places that only their ids give."""
    rest = [(photo.image_id, photo) for photo in honeypots[first:]]
    return [*honeypots[:first], *mix(queue, rest, name)]
