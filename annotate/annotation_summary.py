"""How the masks of a release came about, in numbers: who answered how, and how far they agreed. For its card."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from statistics import fmean, median
from typing import Any

from figureground.annotate.decisions import newest_answers
from figureground.schemas.attributes import OBJECT
from figureground.schemas.rasters.masks import decode_coco_rle, mask_iou
from figureground.schemas.records import SECOND_LOOKS, Annotation
from figureground.schemas.store.workspace import Workspace

_DIGITS = 4


def summarise_annotation(workspace: Workspace, origins: Mapping[str, str]) -> dict[str, Any]:
    """Numbers about the answers behind a release, as JSON holds them; what there is none of is left out.

    Args:
        workspace: Where the answers are.
        origins: Image to the answer or proposal that its mask in the release is; empty where it has none.

    IoUs are of object masks in stored pixels, one pair of annotators each, photos answered by several; the share of
    equal attributes is over the same pairs. Seconds are Label Studio's, on the page.
    """
    by_image: dict[str, list[Annotation]] = defaultdict(list)
    for answer in workspace.annotations():
        if answer.image_id in origins:
            without_masks = replace(answer, masks={}, instances=())  # those of a million answers fill the memory
            by_image[answer.image_id].append(without_masks)
    newest = {image_id: newest_answers(answers) for image_id, answers in by_image.items()}
    given = [answer for answers in newest.values() for answer in answers]
    summary: dict[str, Any] = {}
    if given:
        summary["answers"] = len(given)
        summary["annotators"] = len({answer.annotator for answer in given})
        summary["tools"] = dict(sorted(Counter(answer.tool or "unknown" for answer in given).items()))
    if timed := [answer.seconds for answer in given if answer.seconds]:
        summary["seconds_median"] = round(median(timed), 1)
    if ious := [answer.edit_iou for answer in given if answer.edit_iou is not None]:
        summary["began_from_proposals"] = {"answers": len(ious), "mean_iou": round(fmean(ious), _DIGITS)}
    if looks := sum(answer.purpose in SECOND_LOOKS for answer in given):
        summary["second_looks"] = looks
    if schemas := sorted({answer.attribute_schema for answer in given} - {""}):
        summary["attribute_schemas"] = schemas
    overlaps = (workspace.annotations(image_id) for image_id, answers in newest.items() if len(answers) > 1)
    if agreement := _agreement(newest_answers(list(overlap)) for overlap in overlaps):
        summary["agreement"] = agreement
    if checkpoints := _checkpoints(workspace, origins):
        summary["checkpoints"] = checkpoints
    return summary


def _agreement(overlaps: Iterable[Sequence[Annotation]]) -> dict[str, Any]:
    """How far people agreed on photos that several of them answered in their first look; empty without such photos."""
    ious: list[float] = []
    equal: list[bool] = []
    photos = 0
    for given in overlaps:
        first = [answer for answer in given if answer.purpose == "first_look" and OBJECT in answer.masks]
        photos += len(first) > 1
        masks = [decode_coco_rle(answer.masks[OBJECT], record=answer.image_id) for answer in first]
        ious += [mask_iou(one, other) for one, other in combinations(masks, 2)]
        for one, other in combinations(first, 2):
            named = one.attributes.keys() & other.attributes.keys()
            equal += [one.attributes[name] == other.attributes[name] for name in sorted(named)]
    if not ious:
        return {}
    shares = {"equal_attributes": round(fmean(equal), _DIGITS)} if equal else {}
    return {
        "photos": photos,
        "pairs": len(ious),
        "mean_iou": round(fmean(ious), _DIGITS),
        "least_iou": round(min(ious), _DIGITS),
        **shares,
    }


def _checkpoints(workspace: Workspace, origins: Mapping[str, str]) -> dict[str, str]:
    """Segmenter to SHA-256 of its weights, of the proposals that masks are or began from."""
    used = set(origins.values())
    used |= {answer.proposal_id for answer in workspace.annotations() if answer.annotation_id in used}
    checkpoints = {
        proposal.segmenter: proposal.checkpoint_sha256
        for proposal in workspace.proposals()
        if proposal.checkpoint_sha256 and proposal.proposal_id in used
    }
    return dict(sorted(checkpoints.items()))
