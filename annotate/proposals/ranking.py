"""Which of the masks that several segmenters made of a photo comes first, by a rule that says why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from figureground.annotate.proposals.mask_features import photo_features
from figureground.annotate.proposals.ranking_rule import NO_CORRECTION, RankingRule, shipped_rule
from figureground.runtime.progress import Progress
from figureground.schemas.records import ProposalRecord
from figureground.schemas.store.ranked_proposals import RankedProposal
from figureground.schemas.store.workspace import Workspace

_DIGITS: Final = 6
"""Decimals of features and probabilities as they are stored: what lies below is no news of a mask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RankingReport:
    """Counts of one call of ``rank_photos``."""

    rule: str
    """``name@version`` of the rule."""
    min_iou: float
    """IoU from which a mask needs no correction."""
    segmenters: tuple[str, ...]
    """Those whose masks were ranked, sorted."""
    photos: int
    """Photos whose masks are ranked now."""
    new: int
    """Those of them whose ranking is news."""
    waiting: int
    """Photos that not all segmenters have done yet."""
    chosen: Mapping[str, int] = field(default_factory=Counter)
    """Segmenter, or ``consensus``, to the photos whose first mask is its."""


def rank_photos(
    workspace: Workspace,
    runs: Mapping[str, Sequence[str]],
    *,
    segmenters: Sequence[str],
    consensus: Mapping[str, str] | None = None,
    min_iou: float = NO_CORRECTION,
    rule: RankingRule | None = None,
    progress: Progress = lambda *_: None,
) -> RankingReport:
    """Rank the stored masks of photos; the same masks get the same ranking, in whatever order they were made.

    Args:
        workspace: Where the masks are, and rankings go to.
        runs: Photo to the runs whose masks compete, one of each segmenter; photos with fewer wait.
        segmenters: Who was asked.
        consensus: Photo to the run of the consensus of these masks, which is ranked with them; None for none.
        min_iou: IoU from which a mask needs no correction, one that the rule knows.
        rule: The rule; None for the one that comes with the program.
        progress: Called after every photo.

    Raises:
        UsageError: for an IoU that the rule does not know.
    """
    rule = rule or shipped_rule()
    rule.reading(min_iou)  # an IoU that it does not know is refused before anything is stored
    ready = {image_id: ids for image_id, ids in sorted(runs.items()) if len(ids) == len(segmenters)}
    chosen: Counter[str] = Counter()
    new = 0
    for number, (image_id, ids) in enumerate(ready.items(), start=1):
        competing = {*ids, (consensus or {}).get(image_id, "")}
        masks = [proposal for proposal in workspace.proposals(image_id) if proposal.run_id in competing]
        if masks:
            ranks = rank_masks(masks, len(ids), rule, min_iou=min_iou)
            new += workspace.add_ranking(ranks)
            names = {proposal.proposal_id: proposal.segmenter for proposal in masks}
            chosen[names[ranks[0].proposal_id]] += 1
        progress("rank", number, len(ready))
    return RankingReport(
        rule=rule.label,
        min_iou=min_iou,
        segmenters=tuple(sorted(segmenters)),
        photos=sum(chosen.values()),
        new=new,
        waiting=len(runs) - len(ready),
        chosen=dict(sorted(chosen.items())),
    )


def rank_masks(
    proposals: Iterable[ProposalRecord], asked: int, rule: RankingRule, *, min_iou: float = NO_CORRECTION
) -> list[RankedProposal]:
    """Places of all masks of one photo by several segmenters, the first first.

    The order is that of the rule's weighted sum; equal sums come by the segmenters' own ranks, then by id, so that the
    order in which masks are given says nothing.

    Args:
        proposals: The masks, one or more.
        asked: How many segmenters were asked, those that found nothing among them.
        rule: The rule.
        min_iou: IoU from which a mask needs no correction.

    Raises:
        UsageError: for an IoU that the rule does not know.
    """
    masks = sorted(proposals, key=lambda proposal: proposal.proposal_id)
    features = [
        {name: round(value, _DIGITS) for name, value in values.items()} for values in photo_features(masks, asked)
    ]
    merits = [rule.merit(values) for values in features]
    order = sorted(range(len(masks)), key=lambda index: (-merits[index], masks[index].rank))
    return [
        RankedProposal(
            image_id=masks[index].image_id,
            proposal_id=masks[index].proposal_id,
            place=place,
            probability=round(rule.probability(features[index], min_iou), _DIGITS),
            min_iou=min_iou,
            features=features[index],
            rule=rule.label,
        )
        for place, index in enumerate(order)
    ]
