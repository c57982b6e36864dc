"""How the masks of a release came about, in numbers: who answered how, and how far they agreed. For its card."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from statistics import fmean, median
from typing import Any

from figureground.annotate.studio.decide import newest_answers
from figureground.schemas.attributes import OBJECT
from figureground.schemas.rasters.masks import decode_coco_rle, mask_iou
from figureground.schemas.records import Annotation
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
    answers: dict[str, list[Annotation]] = defaultdict(list)
    for answer in workspace.annotations():
        if answer.image_id in origins:
            answers[answer.image_id].append(replace(answer, masks={}))  # those of a million would not fit into memory
    newest = {image_id: newest_answers(given) for image_id, given in answers.items()}
    given = [answer for each in newest.values() for answer in each]
    found: dict[str, Any] = {}
    if given:
        found["answers"] = len(given)
        found["annotators"] = len({answer.annotator for answer in given})
        found["tools"] = dict(sorted(Counter(answer.tool or "unknown" for answer in given).items()))
    if timed := [answer.seconds for answer in given if answer.seconds]:
        found["seconds_median"] = round(median(timed), 1)
    if began := [answer.edit_iou for answer in given if answer.edit_iou is not None]:
        found["began_from_proposals"] = {"answers": len(began), "mean_iou": round(fmean(began), _DIGITS)}
    if looks := sum(answer.purpose == "second_look" for answer in given):
        found["second_looks"] = looks
    if schemas := sorted({answer.attribute_schema for answer in given} - {""}):
        found["attribute_schemas"] = schemas
    overlaps = (workspace.annotations(image_id) for image_id, each in newest.items() if len(each) > 1)
    if agreement := _agreement(newest_answers(list(overlap)) for overlap in overlaps):
        found["agreement"] = agreement
    if checkpoints := _checkpoints(workspace, origins):
        found["checkpoints"] = checkpoints
    return found


def _agreement(overlaps: Iterable[Sequence[Annotation]]) -> dict[str, Any]:
    """Over photos that several people answered in their first look."""
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
    found = {
        proposal.segmenter: proposal.checkpoint_sha256
        for proposal in workspace.proposals()
        if proposal.checkpoint_sha256 and proposal.proposal_id in used
    }
    return dict(sorted(found.items()))
