"""How the masks of a release came about, in numbers: who answered how, and how far they agreed. For its card."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from statistics import fmean, median
from typing import Any

from figureground.annotate.agreement.agreement import measure_agreement
from figureground.annotate.agreement.overlaps import photo_agreements
from figureground.annotate.decisions import newest_answers
from figureground.annotate.proposals.fusion import fused_from
from figureground.schemas.records import SECOND_LOOKS, Annotation
from figureground.schemas.store.workspace import Workspace

_DIGITS = 4


def summarise_annotation(workspace: Workspace, origins: Mapping[str, str]) -> dict[str, Any]:
    """Numbers about the answers behind a release, as JSON holds them; what there is none of is left out.

    Args:
        workspace: Where the answers are.
        origins: Image to the answer or proposal that its mask in the release is, or the answers whose consensus it is;
            empty where it has none.

    Agreement is that of every photo that several people answered in a first look, whether or not it is in the release:
    those on which people disagreed are the ones that are missing. Seconds are Label Studio's, on the page.
    """
    by_image: dict[str, list[Annotation]] = defaultdict(list)
    for answer in workspace.annotations():
        if answer.image_id in origins and not answer.machine:  # an imported mask of a machine is nobody's answer
            without_masks = replace(answer, masks={}, instances=())  # those of a million answers fill the memory
            by_image[answer.image_id].append(without_masks)
    newest = {image_id: newest_answers(answers) for image_id, answers in by_image.items()}
    given = [answer for answers in newest.values() for answer in answers]
    summary: dict[str, Any] = {}
    if given:
        summary["answers"] = len(given)
        summary["annotators"] = len({answer.annotator for answer in given} - {""})
        if nameless := sum(not answer.annotator for answer in given):
            summary["answers_without_author"] = nameless
        summary["tools"] = dict(sorted(Counter(answer.tool or "unknown" for answer in given).items()))
    if timed := [answer.seconds for answer in given if answer.seconds]:
        summary["seconds_median"] = round(median(timed), 1)
    if ious := [answer.edit_iou for answer in given if answer.edit_iou is not None]:
        summary["began_from_proposals"] = {"answers": len(ious), "mean_iou": round(fmean(ious), _DIGITS)}
    if looks := sum(answer.purpose in SECOND_LOOKS for answer in given):
        summary["second_looks"] = looks
    if schemas := sorted({answer.attribute_schema for answer in given} - {""}):
        summary["attribute_schemas"] = schemas
    agreement = measure_agreement(photo_agreements(workspace))
    if agreement.masks or agreement.attributes:
        summary["agreement"] = agreement.to_json()
    if checkpoints := _checkpoints(workspace, origins):
        summary["checkpoints"] = checkpoints
    return summary


def _checkpoints(workspace: Workspace, origins: Mapping[str, str]) -> dict[str, str]:
    """Segmenter to SHA-256 of its weights, of the proposals that masks are or began from."""
    used = {word for origin in origins.values() for word in origin.split()}  # a consensus names several answers
    used |= {answer.proposal_id for answer in workspace.annotations() if answer.annotation_id in used}
    weights: dict[str, tuple[str, str]] = {}
    for proposal in workspace.proposals():
        weights[proposal.proposal_id] = (proposal.segmenter, proposal.checkpoint_sha256)
        if proposal.proposal_id in used:
            used.update(fused_from(proposal))
    checkpoints = {segmenter: sha256 for name, (segmenter, sha256) in weights.items() if sha256 and name in used}
    return dict(sorted(checkpoints.items()))
