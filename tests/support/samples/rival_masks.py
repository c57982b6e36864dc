"""Drawn masks by several segmenters that a rule ranks, and a workspace that holds them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from figureground.annotate.proposals.ranking_rule import RankingRule, Reading
from figureground.schemas.rasters.masks import Mask, encode_coco_rle
from figureground.schemas.records import ProposalRecord, ProposalRun, content_id
from figureground.schemas.store.workspace import Workspace

SIZE_HW = (40, 60)
RULE = RankingRule(
    name="toy",
    version=3,
    fitted="by hand, for tests",
    weights={"agreement": 4.0, "border": -2.0},
    needs_no_correction={
        0.9: Reading(offset=-6.0, weights={"agreement": 8.0}),
        0.8: Reading(offset=-5.0, weights={"agreement": 8.0}),
    },
)
"""Four for agreement, two off for what touches the border."""


def block(x0: int, y0: int, x1: int, y1: int, size_hw: tuple[int, int] = SIZE_HW) -> Mask:
    """A mask that is a half-open box."""
    mask = np.zeros(size_hw, dtype=np.bool_)
    mask[y0:y1, x0:x1] = True
    return mask


def proposal(
    segmenter: str, mask_hw: Mask, *, image_id: str = "0" * 32, rank: int = 0, score: float = 0.9
) -> ProposalRecord:
    """A machine mask of a segmenter's one run over a photo."""
    run_id = content_id("run", segmenter, image_id)
    return ProposalRecord(
        proposal_id=content_id(run_id, str(rank)),
        run_id=run_id,
        image_id=image_id,
        rle=encode_coco_rle(mask_hw),
        score=score,
        stability=0.8,
        rank=rank,
        prompt="{}",
        segmenter=segmenter,
        checkpoint_sha256="",
    )


def store_masks(store: Workspace, proposals: Sequence[ProposalRecord]) -> dict[str, list[str]]:
    """Store masks with their runs; returns photo to the ids of its runs."""
    runs: dict[tuple[str, str, str], list[ProposalRecord]] = {}
    for one in proposals:
        runs.setdefault((one.image_id, one.run_id, one.segmenter), []).append(one)
    by_photo: dict[str, list[str]] = {}
    for (image_id, run_id, segmenter), masks in runs.items():
        run = ProposalRun(
            run_id=run_id, image_id=image_id, segmenter=segmenter, prompt_mode="auto", reason="", seconds=0.0
        )
        store.add_run(run, masks)
        by_photo.setdefault(image_id, []).append(run_id)
    return by_photo
