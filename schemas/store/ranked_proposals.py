"""A machine mask's place among the masks that several segmenters made of a photo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedProposal:
    """The place of a machine mask in a ranking, and what it follows from."""

    image_id: str
    proposal_id: str
    place: int
    """0 is the one that was chosen; without gaps."""
    probability: float
    """That a person would leave it as it is, in [0, 1]: that its IoU with the person's mask is ``min_iou`` or more.
    Rules are fitted so that it is right of chosen masks; of others it says how far segmenters agree."""
    min_iou: float
    """IoU in [0, 1] from which a mask needs no correction."""
    features: Mapping[str, float]
    """What was measured of the mask, by name; the rule says what each is."""
    rule: str
    """``name@version`` of the rule."""
