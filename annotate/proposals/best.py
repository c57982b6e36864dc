"""The machine mask that stands for a photo: the first choice of one segmenter, one checkpoint and one way of asking."""

from __future__ import annotations

from collections.abc import Iterator

from figureground.errors import UsageError
from figureground.schemas.records import ProposalRecord
from figureground.schemas.store.workspace import Workspace


def best_proposals(
    workspace: Workspace, segmenter: str | None, *, apart_from: str | None = None, option: str = "--segmenter"
) -> Iterator[ProposalRecord]:
    """First-ranked proposal of every image that has one, sorted by image_id.

    Masks are read one after another, for those of a million photos do not fit into memory.

    Args:
        workspace: Where the proposals are.
        segmenter: Whose proposals to take: ``sam``, or ``sam:box`` where proposals differ by their prompts; None where
            one segmenter made all of them.
        apart_from: Whose proposals are not looked at, where ``segmenter`` names none; written likewise.
        option: The option that names ``segmenter``, for the error.

    Raises:
        UsageError: if several segmenters, checkpoints or settings compete: which one is taken is never left to order.
    """
    makers: set[str] = set()
    passed_over: set[str] = set()
    last, crowded = "", False
    for image_id, run_id, name, mode in workspace.first_ranked_makers():
        maker = f"{name}:{mode}"
        if segmenter not in {None, name, maker} or (segmenter is None and apart_from in {name, maker}):
            passed_over.add(run_id)
            continue
        crowded |= image_id == last
        last = image_id
        makers.add(maker)
    if crowded or len(makers) > 1:
        raise UsageError(f"several segmenters made proposals; choose one with {option}: {', '.join(sorted(makers))}")
    return (proposal for proposal in workspace.first_ranked() if proposal.run_id not in passed_over)
