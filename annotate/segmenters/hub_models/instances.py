"""Instances of a thing that was asked for by its name, gathered into candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Final

import numpy as np

from figureground.annotate.segmenters.mask_measures import distinct_masks, pack_masks
from figureground.annotate.segmenters.protocol import Candidate
from figureground.schemas.rasters.masks import Mask, tight_box
from figureground.schemas.records import Prompt

SAME_IOU: Final = 0.8
"""Two instances whose masks overlap by more are one, found twice: by two names, or by two boxes."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Instance:
    """One thing on the photo."""

    mask_hw: Mask
    score: float
    """In [0, 1]: the segmenter's own of this mask."""
    stability: float
    prompt: Prompt
    """The text, the thing's box, and the score of the text for it."""


def gather_instances(instances: Sequence[Instance], *, origin: str) -> list[Candidate]:
    """Candidates of one photo: all instances together, then each alone, the likeliest by its text's score first.

    Together they are what a class covers, so that nothing of the object stays in the ground; the single ones are there
    for whoever wants the best alone. Together they have the score and the stability of the least certain of them. Of
    one instance there is one candidate, of none none.

    Args:
        instances: Those of all texts, in any order.
        origin: What found them.
    """
    filled = [instance for instance in instances if instance.mask_hw.any()]
    if not filled:
        return []
    likelihood = np.array([instance.prompt.score or 0.0 for instance in filled])
    order = distinct_masks(pack_masks([instance.mask_hw for instance in filled]), likelihood, same_iou=SAME_IOU)
    distinct = [filled[index] for index in order]
    alone = [
        Candidate(mask_hw=one.mask_hw, score=one.score, stability=one.stability, prompt=one.prompt) for one in distinct
    ]
    if len(alone) == 1:
        return alone
    union: Mask = reduce(np.logical_or, [one.mask_hw for one in distinct])
    texts = dict.fromkeys(one.prompt.text for one in distinct)
    together = Candidate(
        mask_hw=union,
        score=min(one.score for one in distinct),
        stability=min(one.stability for one in distinct),
        prompt=Prompt(
            kind="text",
            text=", ".join(texts),
            box_xyxy_px=tight_box(union),
            score=min(one.prompt.score or 0.0 for one in distinct),
            origin=origin,
        ),
        instances=tuple(one.mask_hw for one in distinct),
    )
    return [together, *alone]
