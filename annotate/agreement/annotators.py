"""Each annotator's own figures: how many answers, how fast, how much was changed, and how far others agree."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, median
from typing import Any

from figureground.annotate.agreement.attribute_consensus import AttributeConsensus, equal_to_consensus
from figureground.annotate.agreement.intervals import Estimate, mean_over_photos
from figureground.annotate.agreement.mask_overlap import compare_masks
from figureground.annotate.agreement.overlaps import PhotoAgreement
from figureground.annotate.agreement.time_saved import Quartiles
from figureground.annotate.decisions import AGREEING_IOU, accepted_state, newest_answers
from figureground.schemas.attributes import OBJECT
from figureground.schemas.rasters.masks import CocoRle, decode_coco_rle
from figureground.schemas.records import Annotation
from figureground.schemas.store.workspace import Workspace

_DIGITS = 4
_NONE = Estimate(value=None, photos=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatorReport:
    """Figures of one annotator's first looks, the newest answer for each photo."""

    annotator: str
    """Pseudonym."""
    answers: int = 0
    """Submitted first looks."""
    skips: int = 0
    """Photos that were skipped, and not answered later."""
    second_looks: int = 0
    seconds: Quartiles | None = None
    """On the page, of the answers whose time is known; None where none is."""
    timed: int = 0
    """Answers whose time is known."""
    edited: Estimate = _NONE
    """Share of the answers that began from a machine mask in which the object is not that mask, pixel for pixel."""
    edit_iou_median: float | None = None
    """IoU of an edited object with the machine mask, in the middle."""
    proposal_iou: Estimate = _NONE
    """IoU of the object with the machine mask that it began from, changed or not."""
    flags: Mapping[str, int] = field(default_factory=dict)
    """Flag to number of answers that set it."""
    object_iou: Estimate = _NONE
    """IoU with others' object masks; a photo's figure is the mean over the others."""
    equal_attributes: Estimate = _NONE
    """Share of attributes that others answered alike."""
    consensus_iou: Estimate = _NONE
    """IoU with the consensus of photos that three or more people painted, of which the own mask is a part."""
    consensus_attributes: Estimate = _NONE
    """Share of attributes that are as the consensus has them, of which the own answer is a part."""
    honeypots: Estimate = _NONE
    """IoU with the known masks of honeypots; one without an object mask has 0."""
    honeypots_passed: int = 0
    """Honeypots with an IoU of at least ``AGREEING_IOU``."""

    @property
    def untouched(self) -> float | None:
        """Share of the answers that began from a machine mask and left the object as it was."""
        return None if self.edited.value is None else 1 - self.edited.value

    def to_json(self) -> dict[str, Any]:
        """JSON-ready, without a name."""

        def short(value: float | None) -> float | None:
            return None if value is None else round(value, _DIGITS)

        return {
            "annotator": self.annotator,
            "answers": self.answers,
            "skips": self.skips,
            "second_looks": self.second_looks,
            "seconds": None if self.seconds is None else self.seconds.to_json(),
            "timed": self.timed,
            "edited": self.edited.to_json(),
            "untouched": short(self.untouched),
            "edit_iou_median": short(self.edit_iou_median),
            "proposal_iou": self.proposal_iou.to_json(),
            "flags": dict(sorted(self.flags.items())),
            "object_iou": self.object_iou.to_json(),
            "equal_attributes": self.equal_attributes.to_json(),
            "consensus_iou": self.consensus_iou.to_json(),
            "consensus_attributes": self.consensus_attributes.to_json(),
            "honeypots": self.honeypots.to_json(),
            "honeypots_passed": self.honeypots_passed,
        }


def annotator_reports(
    workspace: Workspace,
    photos: Sequence[PhotoAgreement],
    honeypots: Mapping[str, CocoRle] | None = None,
    *,
    attributes: Mapping[str, AttributeConsensus] | None = None,
) -> list[AnnotatorReport]:
    """Figures of everybody who answered or skipped something, sorted by pseudonym.

    Args:
        workspace: Where the answers are.
        photos: The photos that several people answered, compared.
        honeypots: image_id of each honeypot to its known object mask, stored pixels; None for ``known_masks``.
        attributes: Consensus on attributes by name; None for none.
    """
    with_others = agreement_with_others(photos)
    with_consensus = _with_consensus(photos)
    as_consensus = equal_to_consensus({photo.image_id: photo.votes for photo in photos}, attributes or {})
    checked = honeypot_ious(workspace, known_masks(workspace) if honeypots is None else honeypots)
    reports = []
    for name, answers in _by_annotator(workspace).items():
        ious, equal = with_others.get(name, ([], []))
        reports.append(
            replace(
                summarise_answers(name, answers),
                object_iou=mean_over_photos(ious),
                equal_attributes=mean_over_photos(equal),
                consensus_iou=mean_over_photos(with_consensus.get(name, [])),
                consensus_attributes=mean_over_photos(as_consensus.get(name, [])),
                honeypots=mean_over_photos(checked.get(name, [])),
                honeypots_passed=sum(iou >= AGREEING_IOU for iou in checked.get(name, [])),
            )
        )
    return sorted(reports, key=lambda report: report.annotator)


def summarise_answers(annotator: str, answers: Sequence[Annotation]) -> AnnotatorReport:
    """Figures of one person's answers alone.

    Args:
        annotator: Pseudonym.
        answers: All of the person's answers, in every state; masks are not looked at.
    """
    looks: dict[tuple[str, str], list[Annotation]] = defaultdict(list)
    for answer in answers:
        if answer.state != "draft":
            looks[answer.purpose, answer.image_id].append(answer)
    newest = {look: newest_answers(own) for look, own in looks.items()}
    first = [answer for (purpose, _), own in newest.items() if purpose == "first_look" for answer in own]
    began = [answer for answer in first if answer.proposal_id and answer.changed_px is not None]
    ious = {answer.annotation_id: answer.edit_iou for answer in began if answer.edit_iou is not None}
    edit_ious = [ious[answer.annotation_id] for answer in began if answer.changed_px and answer.annotation_id in ious]
    timed = [answer.seconds for answer in first if answer.seconds]
    return AnnotatorReport(
        annotator=annotator,
        answers=len(first),
        skips=sum(purpose == "first_look" and not own for (purpose, _), own in newest.items()),
        second_looks=sum(purpose == "second_look" and bool(own) for (purpose, _), own in newest.items()),
        seconds=Quartiles.of(timed) if timed else None,
        timed=len(timed),
        edited=mean_over_photos([float(bool(answer.changed_px)) for answer in began]),
        edit_iou_median=float(median(edit_ious)) if edit_ious else None,
        proposal_iou=mean_over_photos(list(ious.values())),
        flags=Counter(flag for answer in first for flag in answer.flags),
    )


def agreement_with_others(photos: Iterable[PhotoAgreement]) -> dict[str, tuple[list[float], list[float]]]:
    """Pseudonym to IoUs of the object with others' and to shares of equal attributes, a number for each photo."""
    figures: dict[str, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    for photo in photos:
        for name in sorted({name for pair in photo.pairs for name in pair.annotators}):
            own = [pair for pair in photo.pairs if name in pair.annotators]
            if ious := [pair.masks[OBJECT].iou for pair in own if OBJECT in pair.masks]:
                figures[name][0].append(fmean(ious))
            if equal := [value for pair in own for value in pair.equal.values()]:
                figures[name][1].append(fmean(equal))
    return dict(figures)


def _with_consensus(photos: Iterable[PhotoAgreement]) -> dict[str, list[float]]:
    ious: dict[str, list[float]] = defaultdict(list)
    for photo in photos:
        for name, iou in photo.consensus_ious.items():
            ious[name].append(iou)
    return dict(ious)


def known_masks(workspace: Workspace) -> dict[str, CocoRle]:
    """image_id of every honeypot that was answered to its known object mask: that of the answer that was accepted."""
    masks: dict[str, CocoRle] = {}
    for image_id in sorted({answer.image_id for answer in workspace.annotations() if answer.purpose == "honeypot"}):
        answer = accepted_state(list(workspace.annotations(image_id)), workspace.decision(image_id))
        if answer is not None:
            masks[image_id] = answer.masks[OBJECT]
    return masks


def honeypot_ious(workspace: Workspace, honeypots: Mapping[str, CocoRle]) -> dict[str, list[float]]:
    """Pseudonym to the IoU of each answer to a honeypot with its known mask; 0 for one without an object mask.

    Args:
        workspace: Where the answers are.
        honeypots: image_id to the known object mask, stored pixels.
    """
    ious: dict[str, list[float]] = defaultdict(list)
    for image_id, known in sorted(honeypots.items()):
        mask = decode_coco_rle(known, record=image_id)
        asked = [answer for answer in workspace.annotations(image_id) if answer.purpose == "honeypot"]
        # To the rule that counts the newest answer of each person, these are answers like any others.
        for answer in newest_answers([replace(answer, purpose="first_look") for answer in asked]):
            painted = answer.masks.get(OBJECT)
            iou = compare_masks(mask, decode_coco_rle(painted, record=image_id)).iou if painted else 0.0
            ious[answer.annotator].append(iou)
    return dict(ious)


def _by_annotator(workspace: Workspace) -> dict[str, list[Annotation]]:
    answers: dict[str, list[Annotation]] = defaultdict(list)
    for answer in workspace.annotations():
        if answer.annotator:
            answers[answer.annotator].append(replace(answer, masks={}, instances=()))
    return answers
