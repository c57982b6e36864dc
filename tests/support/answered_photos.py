"""A workspace of plain photos with answers that a test writes down: who said and painted what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from figureground.schemas.rasters.masks import Mask, encode_coco_rle
from figureground.schemas.records import Annotation, Decision, ImageRecord, ProposalRecord, ProposalRun, content_id
from figureground.schemas.store.workspace import Workspace

SIZE_HW = (4, 10)


def band(columns: int, *, start: int = 0) -> Mask:
    """Columns of a photo from ``start`` on: the IoU of two bands from 0 on is the ratio of their widths."""
    mask = np.zeros(SIZE_HW, np.bool_)
    mask[:, start : start + columns] = True
    return mask


def add_photo(store: Workspace, name: str) -> str:
    """Catalogue a photo of 4 x 10 pixels; returns its image_id."""
    image = ImageRecord(
        image_id=content_id(name),
        source="s",
        uri=name,
        sha256="0" * 64,
        width=SIZE_HW[1],
        height=SIZE_HW[0],
        exif_orientation=1,
        label="cat",
        source_split="val",
        phash="0" * 16,
    )
    store.add_images([image])
    return image.image_id


def add_answer(
    store: Workspace, image_id: str, who: str, masks: Mapping[str, Mask], *, day: int = 1, **more: Any
) -> Annotation:
    """Store an answer of somebody on a day of January; it decides nothing."""
    given: dict[str, Any] = {
        "attributes": {},
        "flags": (),
        "seconds": 0.0,
        "tool": "manual",
        "proposal_id": "",
        "edit_iou": None,
        **more,
    }
    answer = Annotation(
        annotation_id=content_id(image_id, who, str(day)),
        updated_at=f"2026-01-{day:02}T00:00:00.000000Z",
        image_id=image_id,
        annotator=who,
        masks={name: encode_coco_rle(mask) for name, mask in masks.items()},
        **given,
    )
    store.add_answer(answer, None)
    return answer


def accept(store: Workspace, answer: Annotation) -> None:
    """Accept an answer."""
    decision = Decision(image_id=answer.image_id, state="accepted", reason="", annotation_id=answer.annotation_id)
    store.decide(decision)


def add_proposal(store: Workspace, image_id: str, segmenter: str = "sam", *, columns: int = 5) -> str:
    """A machine mask of the first columns of a photo; returns its proposal_id."""
    run_id = content_id(image_id, segmenter)
    run = ProposalRun(run_id=run_id, image_id=image_id, segmenter=segmenter, prompt_mode="box", reason="", seconds=0.1)
    proposal = ProposalRecord(
        proposal_id=content_id(run_id, "0"),
        run_id=run_id,
        image_id=image_id,
        rle=encode_coco_rle(band(columns)),
        score=1.0,
        stability=1.0,
        rank=0,
        prompt="{}",
        segmenter=segmenter,
        checkpoint_sha256="5a" * 32,
    )
    store.add_run(run, [proposal])
    return proposal.proposal_id
