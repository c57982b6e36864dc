"""Photos whose machine mask was rejected on a sheet: another mask of them can be asked about on the next one."""

from __future__ import annotations

from collections.abc import Sequence

from figureground.annotate.decisions import newest_answers
from figureground.schemas.records import SHEET_TOOL, Annotation, Decision, ProposalRecord
from figureground.schemas.store.workspace import Workspace


def is_rejected(decision: Decision, answers: Sequence[Annotation]) -> bool:
    """Whether nothing is said of a photo but that its mask was rejected on a sheet.

    Whoever rejected it may accept another mask on a later sheet: the newest answer of each person counts. A doubt of
    Label Studio, of somebody who looks at the dataset, or about an accepted mask is settled by a second look alone.

    Args:
        decision: The photo's newest decision.
        answers: All answers to it.
    """
    given = newest_answers(answers)
    by_sheets = all(answer.tool == SHEET_TOOL and not answer.masks for answer in given)
    return decision.state == "needs_second" and not decision.annotation_id and bool(given) and by_sheets


def is_judged(proposal: ProposalRecord, answers: Sequence[Annotation]) -> bool:
    """Whether somebody accepted or rejected this very mask on a sheet; one that was skipped is to be shown again."""
    return any(answer.proposal_id == proposal.proposal_id and answer.state == "submitted" for answer in answers)


def rejected_photos(workspace: Workspace) -> dict[str, list[str]]:
    """Photo whose mask was rejected on a sheet to the segmenters of its other first masks, which nobody judged yet."""
    photos: dict[str, list[str]] = {}
    for decision in workspace.newest_decisions():
        if decision.state != "needs_second":
            continue
        answers = list(workspace.annotations(decision.image_id))
        if is_rejected(decision, answers):
            firsts = [proposal for proposal in workspace.proposals(decision.image_id) if proposal.rank == 0]
            photos[decision.image_id] = [mask.segmenter for mask in firsts if not is_judged(mask, answers)]
    return photos
