"""Shapes of ``index``, ``photos``, ``duplicates``, ``forget``, ``propose``, ``checkpoints``, ``import``, ``sheet``."""

# pyright: reportInvalidTypeForm=false
# Shapes that `printed` makes of records are types when the program runs only.

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from figureground.annotate import catalogue, photo_states
from figureground.annotate.imports import answers, coco_answers
from figureground.annotate.proposals import best, ranking, reports, triage
from figureground.annotate.segmenters.checkpoint_listing import ListedCheckpoint
from figureground.annotate.sheet import making, reading
from figureground.cli.outputs.printed import ABSENT, Output, printed
from figureground.exports.duplicates import groups, places

FaultLines = Annotated[list[str], Field(description="What is wrong, a line each, as it stands on stderr too.")]
Warnings = Annotated[list[str], Field(description="Remarks for people, a line each.")]

Index = printed(
    catalogue.IndexReport,
    without=("alike",),
    faults=FaultLines,
    rejected=Annotated[dict[str, int], Field(description="Number of rejected photos by reason.")],
    rejections=list[catalogue.Rejection],
    warnings=Warnings,
)


class Photos(Output):
    """Photos of a workspace."""

    photos: list[photo_states.PhotoState]
    """By source and name."""


class DuplicateLink(Output):
    """Two photos that are alike."""

    one: str
    """Id of a photo."""
    other: str
    kind: groups.Kind
    distance: float
    """Of ``bytes`` 0, of ``phash`` the bits of 64 that differ, of ``embedding`` the cosine of the features."""


class DuplicateGroup(Output):
    """Photos that are linked directly or through others."""

    problems: list[str]
    """``across_classes``, ``across_splits`` and ``across_places``, whichever it is."""
    photos: list[printed(places.PlacedPhoto, without=("record",))]
    links: list[DuplicateLink]


Duplicates = printed(
    groups.DuplicateReport,
    groups=list[DuplicateGroup],
    problems=Annotated[dict[str, int], Field(description="Number of groups by problem.")],
)


class Forgotten(Output):
    """The photo that is forgotten."""

    forgotten: str
    """Its id."""


class TriageCheck(Output):
    """What people made of chosen masks since, beside what was expected of these."""

    photos: int
    """Photos with an answer that began from the chosen mask, the first of each."""
    expected: float
    """Mean probability of these that it needs no correction."""
    observed: float
    """Share of these that needed none."""
    ci95: tuple[float, float]
    """Wilson's interval of that share."""


Triage = printed(triage.Triage, check=(TriageCheck, ABSENT))
_OF_SEVERAL = ("by_segmenter", "ranking", "triage", "runs")
OneSegmenter = printed(reports.ProposalReport, without=_OF_SEVERAL)
Proposals = printed(
    reports.ProposalReport,
    without=("runs",),
    by_segmenter=(Annotated[dict[str, OneSegmenter], Field(description="Of several: what each did.")], ABSENT),
    ranking=(Annotated[ranking.RankingReport, Field(description="Of several: how masks were ranked.")], ABSENT),
    triage=(Annotated[Triage | None, Field(description="Of several: how many photos may be skimmed.")], ABSENT),
)


class Checkpoints(Output):
    """Weights that have a name."""

    checkpoints: list[ListedCheckpoint]


Imported = printed(answers.ImportReport, faults=FaultLines, warnings=Warnings)
ImportedCoco = printed(coco_answers.CocoReport, faults=FaultLines, warnings=Warnings)

Choice = printed(best.Choice)
Sheet = printed(
    making.SheetReport,
    without=("choice",),
    pages=Annotated[list[str], Field(description="Files to open in a browser.")],
    faults=FaultLines,
    chosen_by=(Annotated[Choice, Field(description="How rankings chose the masks; absent where none did.")], ABSENT),
)
SheetDecisions = printed(reading.SheetDecisionsReport, faults=FaultLines)
