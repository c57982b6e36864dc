"""How far people agree, each annotator's figures, what is in doubt, and what machine masks saved: one report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from figureground.annotate.agreement.adjudication import Doubt, Ranking, ranked_doubts
from figureground.annotate.agreement.agreement import Agreement, measure_agreement
from figureground.annotate.agreement.annotators import AnnotatorReport, annotator_reports
from figureground.annotate.agreement.attribute_consensus import AttributeConsensus, consensus_of_all
from figureground.annotate.agreement.attribute_votes import Votes
from figureground.annotate.agreement.consensus_masks import ConsensusMethod
from figureground.annotate.agreement.intervals import Estimate, mean_over_photos
from figureground.annotate.agreement.overlaps import photo_agreements
from figureground.annotate.agreement.time_saved import PAUSE_SECONDS, TimeReport, report_times
from figureground.schemas.store.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Consensus:
    """What the answers of three or more people add up to."""

    method: ConsensusMethod
    """How that of masks is made; that of attributes is Dawid and Skene's."""
    object_iou: Estimate
    """IoU of the answers' object with the consensus; a photo's figure is the mean over its people."""
    attributes: Mapping[str, AttributeConsensus]
    """By name; those that three or more people answered of some photo."""

    def to_json(self) -> dict[str, Any]:
        """JSON-ready, without photos."""
        return {
            "method": self.method,
            "object_iou": self.object_iou.to_json(),
            "attributes": {name: attribute.to_json() for name, attribute in self.attributes.items()},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementReport:
    """Agreement of a workspace's answers, and who gave them."""

    agreement: Agreement
    consensus: Consensus
    annotators: Sequence[AnnotatorReport]
    """By pseudonym."""
    votes: Mapping[str, Mapping[str, Votes]]
    """image_id to attribute to what each person said, of photos that several answered."""
    ranking: Ranking
    """What ``queue`` is ranked by."""
    queue: Sequence[Doubt]
    """Photos in doubt, the greatest disagreement first."""
    times: TimeReport

    def to_json(self) -> dict[str, Any]:
        """JSON-ready: pseudonyms, no names, so that it may be passed on."""
        return {
            **self.agreement.to_json(),
            "consensus": self.consensus.to_json(),
            "annotators": [annotator.to_json() for annotator in self.annotators],
            "queue": {"by": self.ranking, "photos": [doubt.to_json() for doubt in self.queue]},
            "segmenters": [times.to_json() for times in self.times.segmenters],
            "pauses": {"over_seconds": PAUSE_SECONDS, "answers": self.times.pauses},
        }


def report_agreement(workspace: Workspace, method: ConsensusMethod = "staple", by: Ranking = "both") -> AgreementReport:
    """Compare all answers of a workspace.

    Args:
        workspace: Where the answers are.
        method: How the consensus of masks is made.
        by: What the photos in doubt are ranked by.
    """
    photos = list(photo_agreements(workspace, method))
    votes = {photo.image_id: photo.votes for photo in photos}
    attributes = consensus_of_all(votes)
    agreed = [fmean(photo.consensus_ious.values()) for photo in photos if photo.consensus_ious]
    return AgreementReport(
        agreement=measure_agreement(photos),
        consensus=Consensus(method=method, object_iou=mean_over_photos(agreed), attributes=attributes),
        annotators=annotator_reports(workspace, photos, attributes=attributes),
        votes=votes,
        ranking=by,
        queue=ranked_doubts(workspace, by),
        times=report_times(workspace),
    )
