"""The report on agreement as files: JSON, and a CSV for each of its tables, by pseudonym."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from figureground.annotate.agreement.intervals import Estimate
from figureground.annotate.agreement.report import AgreementReport
from figureground.runtime.files import csv_text, write_text


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureRow:
    """One figure of what several people painted or said; empty cells are what is not known."""

    about: str
    """``mask``, ``attribute`` or ``consensus``."""
    name: str
    """``object``, a part, an attribute, or the method of the consensus."""
    figure: str
    photos: int
    value: float | None
    low: float | None
    """Lower end of the 95 % interval."""
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatorRow:
    """One figure of one annotator."""

    annotator: str
    figure: str
    photos: int
    """Answers that it is of, each of another photo."""
    value: float | None
    low: float | None
    """Lower end of the 95 % interval; of the median of ``seconds`` the lower quartile."""
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubtRow:
    """One photo in doubt; the first row should be looked at first."""

    image_id: str
    source: str
    uri: str
    label: str
    mask_disagreement: float | None
    attribute_disagreement: float | None
    answers: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteRow:
    """What one person said of one attribute of one photo, and what all say together."""

    image_id: str
    attribute: str
    annotator: str
    said: str
    """``yes`` or ``no``."""
    consensus: str
    """Likewise; empty where too few people answered."""
    probability: float | None
    """That the attribute is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmenterRow:
    """Times of what began from one segmenter's masks."""

    segmenter: str
    answers: int
    annotators: int
    seconds_lower: float
    seconds_median: float
    seconds_upper: float
    untouched: int
    touched_up: int
    redrawn: int
    saved_seconds: float | None
    saved_low: float | None
    saved_high: float | None
    others_low: float | None
    """Of the interval for other people."""
    others_high: float | None
    saved_minutes: float | None
    why_not: str
    """Why there is no saving or no interval."""


def write_agreement(report: AgreementReport, folder: Path) -> list[Path]:
    """Write the report into a folder, which is made; each file appears whole, and one of before is replaced.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "agreement.json": json.dumps(report.to_json(), indent=1, sort_keys=True) + "\n",
        "agreement.csv": csv_text(FigureRow, _figures(report)),
        "annotators.csv": csv_text(AnnotatorRow, _annotators(report)),
        "queue.csv": csv_text(DoubtRow, _queue(report)),
        "votes.csv": csv_text(VoteRow, _votes(report)),
        "segmenters.csv": csv_text(SegmenterRow, _segmenters(report)),
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    return [folder / name for name in texts]


def _row(figure: str, estimate: Estimate) -> dict[str, str | float | int | None]:
    low, high = estimate.ci95 or (None, None)
    return {"figure": figure, "photos": estimate.photos, "value": estimate.value, "low": low, "high": high}


def _figures(report: AgreementReport) -> Iterator[FigureRow]:
    agreement = report.agreement
    for name, masks in agreement.masks.items():
        for figure in ("iou", "dice", "boundary_iou"):
            yield FigureRow(about="mask", name=name, **_row(figure, getattr(masks, figure)))  # type: ignore[arg-type]
    for name, own in agreement.attributes.items():
        for figure in ("equal", "kappa", "alpha"):
            yield FigureRow(about="attribute", name=name, **_row(figure, getattr(own, figure)))  # type: ignore[arg-type]
    row = _row("object_iou", report.consensus.object_iou)
    yield FigureRow(about="consensus", name=report.consensus.method, **row)  # type: ignore[arg-type]


def _annotators(report: AgreementReport) -> Iterator[AnnotatorRow]:
    for own in report.annotators:
        if own.seconds is not None:
            seconds = own.seconds
            yield AnnotatorRow(
                annotator=own.annotator,
                figure="seconds",
                photos=own.timed,
                value=seconds.median,
                low=seconds.lower,
                high=seconds.upper,
            )
        for figure in (
            "object_iou",
            "equal_attributes",
            "consensus_iou",
            "consensus_attributes",
            "edited",
            "proposal_iou",
            "honeypots",
        ):
            row = _row(figure, getattr(own, figure))
            yield AnnotatorRow(annotator=own.annotator, **row)  # type: ignore[arg-type]


def _queue(report: AgreementReport) -> Iterator[DoubtRow]:
    for doubt in report.queue:
        yield DoubtRow(**doubt.to_json())


def _votes(report: AgreementReport) -> Iterator[VoteRow]:
    for image_id, attributes in report.votes.items():
        for name, votes in sorted(attributes.items()):
            agreed = report.consensus.attributes.get(name)
            value = agreed.value(image_id) if agreed is not None else None
            for annotator, vote in sorted(votes.items()):
                yield VoteRow(
                    image_id=image_id,
                    attribute=name,
                    annotator=annotator,
                    said=_word(vote),
                    consensus="" if value is None else _word(value),
                    probability=agreed.probabilities.get(image_id) if agreed is not None else None,
                )


def _word(value: bool) -> str:
    return "yes" if value else "no"


def _segmenters(report: AgreementReport) -> Iterator[SegmenterRow]:
    for own in report.times.segmenters:
        low, high = (own.saving.ci95 if own.saving is not None else None) or (None, None)
        others_low, others_high = (own.saving.ci95_others if own.saving is not None else None) or (None, None)
        yield SegmenterRow(
            segmenter=own.segmenter,
            answers=own.answers,
            annotators=own.annotators,
            seconds_lower=own.seconds.lower,
            seconds_median=own.seconds.median,
            seconds_upper=own.seconds.upper,
            untouched=own.edits.get("untouched", 0),
            touched_up=own.edits.get("touched_up", 0),
            redrawn=own.edits.get("redrawn", 0),
            saved_seconds=own.saving.seconds if own.saving is not None else None,
            saved_low=low,
            saved_high=high,
            others_low=others_low,
            others_high=others_high,
            saved_minutes=own.minutes_saved,
            why_not=own.saving.reason if own.saving is not None else "",
        )
