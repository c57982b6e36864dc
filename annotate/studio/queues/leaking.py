"""Masks that leave the most of their figure at the rim, which annotators get first."""

from __future__ import annotations

from collections.abc import Sequence

from figureground.annotate.agreement.adjudication import Doubt
from figureground.errors import UsageError, shell_word
from figureground.schemas.records import Decision, ImageRecord
from figureground.schemas.store.rim_leaks import RimLeak
from figureground.schemas.store.workspace import Workspace


def leaking_first(photos: Sequence[ImageRecord], workspace: Workspace, count: int) -> list[ImageRecord]:
    """Photos without a decision, those ``count`` first whose machine masks leak most, the others in their order.

    Raises:
        UsageError: if the workspace has no scores of rims.
    """
    ranks = {leak.image_id: rank for rank, leak in enumerate(_scores(workspace))}
    worst = sorted((photo for photo in photos if photo.image_id in ranks), key=lambda photo: ranks[photo.image_id])
    first = worst[:count]
    chosen = {photo.image_id for photo in first}
    return [*first, *(photo for photo in photos if photo.image_id not in chosen)]


def doubt_leaks(workspace: Workspace, count: int) -> list[str]:
    """Put the accepted masks that leak most in doubt, as far as they are still those that were scored.

    Args:
        workspace: Gets a decision ``needs_second`` for each of them, with the reason.
        count: How many; those that are in doubt already count.

    Returns:
        Their image ids, the worst first.

    Raises:
        UsageError: if the workspace has no scores of rims.
    """
    scores = _scores(workspace)
    with workspace.writing():
        decisions = workspace.decisions()
        worst = [leak for leak in scores if _is_scored_mask(decisions.get(leak.image_id), leak)][:count]
        workspace.decide_all(
            Decision(
                image_id=leak.image_id,
                state="needs_second",
                reason=f"{_REASON} {leak.score:.2f} of 1)",
                annotation_id=leak.origin,
            )
            for leak in worst
            if decisions[leak.image_id].state == "accepted"
        )
    return [leak.image_id for leak in worst]


_REASON = "the mask may leave figure at its rim (score"


def _is_scored_mask(decision: Decision | None, leak: RimLeak) -> bool:
    """Whether a photo's mask is the one that was scored: accepted, or put in doubt for its rim."""
    if decision is None or decision.annotation_id != leak.origin:
        return False
    return decision.state == "accepted" or (decision.state == "needs_second" and decision.reason.startswith(_REASON))


def _scores(workspace: Workspace) -> list[RimLeak]:
    scores = workspace.rim_leaks()
    if not scores:
        raise UsageError(
            f"{workspace.root} has no scores of rims; make some with: figureground rims -w {shell_word(workspace.root)}"
        )
    return scores


def in_order(doubts: Sequence[Doubt], first: Sequence[str]) -> list[Doubt]:
    """Photos in doubt, those of ``first`` in its order before the others."""
    ranks = {image_id: rank for rank, image_id in enumerate(first)}
    return sorted(doubts, key=lambda doubt: ranks.get(doubt.decision.image_id, len(ranks)))
