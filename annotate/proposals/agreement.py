"""How far the first choices of two segmenters are the same: which machine masks may be trusted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from figureground.annotate.proposals.best import best_proposals
from figureground.errors import DataError, UsageError
from figureground.schemas.rasters.masks import decode_coco_rle, mask_iou
from figureground.schemas.rasters.sizes import ORDER, spell_size
from figureground.schemas.records import CONSENSUS, ProposalRecord
from figureground.schemas.store.workspace import Workspace


class OtherMasks(NamedTuple):
    """What other masks of a photo a proposal is compared with."""

    image_id: str
    proposals: Sequence[ProposalRecord]


def other_masks(workspace: Workspace, agree: str | None) -> Iterator[OtherMasks]:
    """The masks that proposals are compared with, by photo, sorted by image_id.

    Args:
        workspace: Where the proposals are.
        agree: Whose they are, NAME or NAME:PROMPT; None for the first choices of all segmenters, where there are
            several.

    Raises:
        UsageError: if ``agree`` made no proposal, or all of them, or several of its checkpoints or prompts compete.
    """
    makers = {(name, f"{name}:{mode}") for _, _, name, mode in workspace.first_ranked_makers()}
    if agree is not None:
        if not any(agree in names for names in makers):
            known = ", ".join(sorted({name for name, _ in makers})) or "none"
            raise UsageError(f"--agree {agree}: it made no proposals here; segmenters that did: {known}")
        if all(agree in names for names in makers):
            raise UsageError(f"--agree {agree}: no other segmenter made proposals here; propose with another one too")
        return (
            OtherMasks(proposal.image_id, (proposal,))
            for proposal in best_proposals(workspace, agree, option="--agree")
        )
    if len({name for name, _ in makers}) < 2:
        return iter(())
    grouped = groupby(workspace.first_ranked(), key=lambda proposal: proposal.image_id)
    return (OtherMasks(image_id, tuple(proposals)) for image_id, proposals in grouped)


def agreement_iou(proposal: ProposalRecord, others: OtherMasks | None, *, named: bool) -> float | None:
    """IoU in [0, 1] of a proposal with another segmenter's, the least of several; None where there is none.

    Args:
        proposal: The mask.
        others: The masks that it is compared with; None where the photo has none.
        named: Whether they are those of a segmenter that was named, which may be the same one asked in another way.

    Raises:
        UsageError: if the segmenter that was named made the proposal itself.
        DataError: for masks of different sizes.
    """
    ious = []
    for other in others.proposals if others else ():
        if named and other.proposal_id == proposal.proposal_id:
            raise UsageError("--agree names the segmenter of the masks themselves; name another one")
        if other.segmenter in (proposal.segmenter, CONSENSUS) and not named:
            continue
        if other.rle.size_hw != proposal.rle.size_hw:
            expected, got = (f"a mask of {spell_size(mask.rle.size_hw)} {ORDER}" for mask in (proposal, other))
            raise DataError.single("proposals", f"{proposal.image_id} {other.segmenter}", expected=expected, got=got)
        first, second = (decode_coco_rle(mask.rle, record=mask.image_id) for mask in (proposal, other))
        ious.append(mask_iou(first, second))
    return min(ious, default=None)
