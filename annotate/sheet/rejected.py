"""Photos whose machine mask was rejected on a sheet: another mask of them can be asked about on the next one."""

from __future__ import annotations

from collections.abc import Sequence

from figureground.annotate.decisions import newest_answers
from figureground.schemas.records import SHEET_TOOL, Annotation, Decision, ProposalRecord
from figureground.schemas.store.workspace import Workspace


def sheet_rejections(workspace: Workspace, decision: Decision) -> list[Annotation]:
    """All answers to a photo of which nothing is known but that its mask was rejected on a sheet; of others none.

    Whoever rejected it may accept another mask on a later sheet: the newest answer of each person counts. A doubt of
    Label Studio, of somebody who looks at the dataset, or about an accepted mask is settled by a second look alone.

    Args:
        workspace: Where the answers are.
        decision: The photo's newest decision.
    """
    if decision.state != "needs_second" or decision.annotation_id:
        return []
    answers = list(workspace.annotations(decision.image_id))
    given = newest_answers(answers)
    rejected = all(answer.tool == SHEET_TOOL and not answer.masks for answer in given)
    return answers if given and rejected else []


def is_judged(proposal: ProposalRecord, answers: Sequence[Annotation]) -> bool:
    """Whether somebody accepted or rejected this very mask on a sheet; one that was skipped is to be shown again."""
    return any(answer.proposal_id == proposal.proposal_id and answer.state == "submitted" for answer in answers)


def other_masks_command(root: str) -> str:
    """What to type to have other masks of rejected photos on a sheet; ``root`` is the workspace as a shell takes it."""
    return (
        f"figureground propose -w {root} --segmenter OTHER, then "
        f"figureground sheet make -w {root} -o SHEET --segmenter OTHER"
    )


def rejected_photos(workspace: Workspace) -> dict[str, list[str]]:
    """Photo whose mask was rejected on a sheet to the segmenters of its other first masks, which nobody judged yet."""
    photos: dict[str, list[str]] = {}
    for decision in workspace.newest_decisions():
        if answers := sheet_rejections(workspace, decision):
            firsts = [proposal for proposal in workspace.proposals(decision.image_id) if proposal.rank == 0]
            photos[decision.image_id] = [mask.segmenter for mask in firsts if not is_judged(mask, answers)]
    return photos
