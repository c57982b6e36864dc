"""Shapes of ``agree``, ``lint``, ``rims``, ``policy`` and ``freeze``."""

# pyright: reportInvalidTypeForm=false
# Shapes that `printed` makes of records are types when the program runs only.

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from figureground.annotate import freeze
from figureground.annotate.agreement import adjudication, agreement, annotators, intervals, time_saved
from figureground.annotate.agreement.consensus_masks import ConsensusMethod
from figureground.annotate.freezing.policy import Policy
from figureground.annotate.lint import findings, fixing
from figureground.annotate.lint.settings import Severity
from figureground.cli.outputs.photos import Choice, FaultLines
from figureground.cli.outputs.printed import ABSENT, Output, printed
from figureground.schemas.store.rim_leaks import RimLeak

Estimate = printed(
    intervals.Estimate,
    no_ci95=(Annotated[str, Field(description="Why a figure that has a value has no interval.")], ABSENT),
)
MaskAgreement = printed(agreement.MaskAgreement, iou=Estimate, dice=Estimate, boundary_iou=Estimate)
AttributeAgreement = printed(agreement.AttributeAgreement, equal=Estimate, kappa=Estimate, alpha=Estimate)
_ESTIMATED: dict[str, Any] = dict.fromkeys(
    ("edited", "proposal_iou", "object_iou", "equal_attributes", "consensus_iou", "consensus_attributes", "honeypots"),
    Estimate,
)
Annotator = printed(
    annotators.AnnotatorReport,
    untouched=Annotated[float | None, Field(description="Share of the answers that left the machine mask as it was.")],
    **_ESTIMATED,
)
Doubt = printed(
    adjudication.Doubt,
    without=("decision",),
    image_id=str,
    reason=Annotated[str, Field(description="Why the photo is in doubt.")],
)


class AttributeErrors(Output):
    """How one person answers an attribute, as the consensus estimates it."""

    sensitivity: float
    """Share of photos that have it of which he or she says so."""
    specificity: float
    """Share of photos that lack it of which he or she says so."""


class AttributeConsensus(Output):
    """One attribute of the photos that three or more people answered."""

    photos: int
    present: int
    """Photos that have it."""
    overruled: int
    """Photos where the consensus is not what most people said."""
    annotators: dict[str, AttributeErrors]
    """By pseudonym."""


class Consensus(Output):
    """What the answers of three or more people add up to."""

    method: ConsensusMethod
    """How that of masks is made; that of attributes is Dawid and Skene's."""
    object_iou: Estimate
    """IoU of the answers' object with the consensus."""
    attributes: dict[str, AttributeConsensus]


class Queue(Output):
    """Photos in doubt, the greatest disagreement first."""

    by: adjudication.Ranking
    """What they are ranked by."""
    photos: list[Doubt]


class Pauses(Output):
    """Times that are taken for pauses, and count in no figure."""

    over_seconds: float
    answers: int


Saved = printed(
    time_saved.Saving,
    without=("reason",),
    minutes=Annotated[float | None, Field(description="Minutes saved on all answers, as if all were of these people.")],
    minutes_ci95=Annotated[tuple[float, float] | None, Field(description="Its 95 % interval.")],
    no_ci95=(Annotated[str, Field(description="Why there is no figure or no ``ci95``.")], ABSENT),
)
SegmenterTimes = printed(
    time_saved.SegmenterTimes,
    without=("saving",),
    saved=(Annotated[Saved, Field(description="Absent for what was painted from nothing.")], ABSENT),
)
Agreement = printed(
    agreement.Agreement,
    "How far people agree, who they are by pseudonym, what is in doubt, and what machine masks saved.",
    masks=dict[str, MaskAgreement],
    attributes=dict[str, AttributeAgreement],
    equal_attributes=Estimate,
    consensus=Consensus,
    annotators=list[Annotator],
    queue=Queue,
    segmenters=list[SegmenterTimes],
    pauses=Pauses,
)


class RuleCounts(Output):
    """What one rule looked at and found."""

    severity: Severity
    checked: int
    """Objects that it looked at; 0 where it lacked what it needs."""
    findings: int
    """That stand."""
    waived: int


class LintSummary(Output):
    """What masks were checked by, in counts."""

    objects: int
    findings: int
    """That stand, of all rules."""
    waived: int
    rules: dict[str, RuleCounts]


class CheckedMasks(LintSummary):
    """The same of a release, with the settings that are not the usual ones."""

    settings: dict[str, Any] = ABSENT
    """Absent where all are."""


class UncheckedMasks(Output):
    """Nothing: nobody asked for lint."""


Finding = printed(
    findings.Finding,
    without=("marked",),
    box_xyxy_px=Annotated[
        tuple[float, float, float, float] | None,
        Field(description="Half-open box around the pixels that are wrong, stored pixels; null for the whole mask."),
    ],
)


class Lint(Output):
    """What the rules found, the worst first."""

    summary: LintSummary
    passed_over: int
    """Objects without a mask that are to have none."""
    findings: list[Finding]
    faults: FaultLines


class LintRule(Output):
    """One rule of lint."""

    rule: str
    severity: Severity
    finds: str
    """What it finds, in words."""


class LintRules(Output):
    """The rules, of ``lint --rules``."""

    rules: list[LintRule]


Fixed = printed(fixing.FixReport, mended=Annotated[int, Field(description="Photos with a change.")], faults=FaultLines)
Linted = Lint | LintRules | Fixed


class Rims(Output):
    """How much of each figure its mask leaves at the rim."""

    models: int
    """Whose answers count; 0 for colours alone."""
    masks: list[RimLeak]
    """The worst first."""


Policies = dict[str, str] | Policy

Frozen = printed(
    freeze.FreezeReport,
    without=("choice", "lint"),
    lint=CheckedMasks | UncheckedMasks,
    chosen_by=(Annotated[Choice, Field(description="How rankings chose machine masks.")], ABSENT),
)
