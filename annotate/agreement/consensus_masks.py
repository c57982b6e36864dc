"""One mask of several people's: by majority, or by STAPLE, which trusts people as far as they agree with the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, get_args

import numpy as np

from figureground.annotate.agreement.vote_model import fit_votes
from figureground.schemas.rasters.masks import Mask, mask_iou, tight_box

ConsensusMethod = Literal["majority", "staple"]
METHODS: Final[tuple[ConsensusMethod, ...]] = get_args(ConsensusMethod)

MIN_PEOPLE: Final = 3
"""Fewest people who make a consensus: of two who differ, votes cannot tell who is right."""
_MOST_PEOPLE: Final = 16
"""Most whose votes on a pixel fit the table of all that can be voted."""


def enough_people(count: int) -> bool:
    """Whether so many people make a consensus."""
    return MIN_PEOPLE <= count <= _MOST_PEOPLE


def consensus_mask(masks: Sequence[Mask], method: ConsensusMethod) -> Mask:
    """Consensus of ``(H, W)`` bool masks of one photo, in an order that depends on nothing but the answers.

    Raises:
        ValueError: for fewer than three masks or more than 16, for masks of several sizes, or an unknown method.
    """
    if not enough_people(len(masks)):
        raise ValueError(f"a consensus is of {MIN_PEOPLE} to {_MOST_PEOPLE} masks; got {len(masks)}")
    if len({mask.shape for mask in masks}) > 1:
        raise ValueError(f"masks of one size have a consensus; got {sorted({mask.shape for mask in masks})}")
    if method == "majority":
        return majority_mask(masks)
    if method == "staple":
        return staple_mask(masks)
    raise ValueError(f"a consensus is by {' or '.join(METHODS)}; got {method!r}")


def majority_mask(masks: Sequence[Mask]) -> Mask:
    """Pixels that more than half of the masks hold; of a pixel that just half hold, the mask nearest to all decides.

    Leaving such pixels out would make every consensus of an even number too small.
    """
    votes = np.sum(masks, axis=0, dtype=np.int16)
    mask = np.asarray(2 * votes > len(masks))
    if len(masks) % 2 == 0:
        mask |= (2 * votes == len(masks)) & masks[nearest_mask(masks)]
    return mask


def nearest_mask(masks: Sequence[Mask]) -> int:
    """Index of the mask with the greatest mean IoU with the others; the first of several."""
    sums = [sum(mask_iou(mask, other) for other in masks if other is not mask) for mask in masks]
    return sums.index(max(sums))


def staple_mask(masks: Sequence[Mask]) -> Mask:
    """Pixels that are more likely figure than not, by STAPLE (Warfield, Zou and Wells 2004, section II).

    Its prior is the share of figure in all masks, as theirs. The pixels are those of the box around all masks together:
    in a whole photo most of the ground is beyond dispute, so that every specificity is nearly 1 and tells nobody from
    anybody, and of disputed pixels alone it goes astray (docs/adr/0014).
    """
    votes = np.zeros(masks[0].shape, dtype=np.uint16)  # a bit for each person
    for place, mask in enumerate(masks):
        votes |= mask * np.uint16(1 << place)
    box = tight_box(votes > 0)
    consensus = np.zeros(votes.shape, dtype=np.bool_)
    if box is None:
        return consensus
    x0, y0, x1, y1 = box
    # Pixels that everybody voted on alike are alike to the model: at most 2 to the power of people are fitted.
    inside = votes[y0:y1, x0:x1]
    counts = np.bincount(inside.ravel(), minlength=1 << len(masks))
    kinds = np.flatnonzero(counts)
    ballots = ((kinds[:, None] >> np.arange(len(masks))) & 1).astype(np.int8)
    prior = float(counts[kinds] @ ballots.sum(axis=1)) / (inside.size * len(masks))
    if prior == 1:  # all masks are the whole box
        consensus[y0:y1, x0:x1] = True
        return consensus
    chosen = np.zeros(1 << len(masks), dtype=np.bool_)
    chosen[kinds] = fit_votes(ballots, counts[kinds].astype(np.float64), prior=prior).truth >= 0.5
    consensus[y0:y1, x0:x1] = chosen[inside]
    return consensus
