"""How far people agree, and each annotator's figures: as JSON, and as tables for the lead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from figureground.annotate.agreement.agreement import Agreement, measure_agreement
from figureground.annotate.agreement.annotators import AnnotatorReport, annotator_reports
from figureground.annotate.agreement.intervals import TOO_FEW, Estimate
from figureground.annotate.agreement.overlaps import photo_agreements
from figureground.annotate.decisions import AGREEING_IOU
from figureground.console import count_text, counts_text, table_text
from figureground.schemas.store.workspace import Workspace

_EMPTY = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementReport:
    """Agreement of a workspace's answers, and who gave them."""

    agreement: Agreement
    annotators: Sequence[AnnotatorReport]
    """By pseudonym."""

    def to_json(self) -> dict[str, Any]:
        """JSON-ready: pseudonyms, no names, so that it may be passed on."""
        return {**self.agreement.to_json(), "annotators": [annotator.to_json() for annotator in self.annotators]}

    def to_text(self, names: Mapping[str, str] | None = None) -> str:
        """Tables for people.

        Args:
            names: Pseudonym to the name that stands before it.
        """
        return "\n\n".join([*_agreement_parts(self.agreement), *_annotator_parts(self.annotators, names or {})])


def report_agreement(workspace: Workspace) -> AgreementReport:
    """Compare all answers of a workspace."""
    photos = list(photo_agreements(workspace))
    return AgreementReport(agreement=measure_agreement(photos), annotators=annotator_reports(workspace, photos))


def _agreement_parts(agreement: Agreement) -> Iterator[str]:
    if not agreement.photos:
        yield "no photo was answered by several people; give some to two with: figureground studio push --overlap"
        return
    yield (
        f"{count_text(agreement.photos, 'photo')} answered by several people, {count_text(agreement.pairs, 'pair')} of "
        "answers; 95 % intervals in brackets, photos are the sample"
    )
    if agreement.masks:
        rows = [["mask", "photos", "IoU", "boundary IoU", "Dice", "least IoU"]]
        for name, own in agreement.masks.items():
            figures = [_figure(own.iou), _figure(own.boundary_iou), _figure(own.dice)]
            rows.append([name, str(own.iou.photos), *figures, f"{own.least_iou:.3f}"])
        yield table_text(rows)
    if agreement.attributes:
        rows = [["attribute", "photos", "equal", "kappa", "alpha"]]
        for name, said in agreement.attributes.items():
            rows.append([name, str(said.equal.photos), *map(_figure, (said.equal, said.kappa, said.alpha))])
        together = agreement.equal_attributes
        rows.append(["all together", str(together.photos), _figure(together), "", ""])
        yield table_text(rows)


def _annotator_parts(annotators: Sequence[AnnotatorReport], names: Mapping[str, str]) -> Iterator[str]:
    if not annotators:
        yield "nobody has answered anything that was pulled; fetch answers with: figureground studio pull"
        return
    called = {
        report.annotator: f"{names[report.annotator]} ({report.annotator})"
        if report.annotator in names
        else report.annotator
        for report in annotators
    }
    rows = [["annotator", "answers", "skips", "second looks", "seconds", "mask changed", "IoU of changed"]]
    rows += [
        [
            called[own.annotator],
            str(own.answers),
            str(own.skips),
            str(own.second_looks),
            _EMPTY if own.seconds_median is None else f"{own.seconds_median:.0f}",
            _figure(own.edited, digits=2),
            _EMPTY if own.edit_iou_median is None else f"{own.edit_iou_median:.3f}",
        ]
        for own in annotators
    ]
    yield table_text(rows)
    rows = [["annotator", "photos of several", "IoU with others", "attributes as others", "honeypots", "IoU with them"]]
    rows += [
        [
            called[own.annotator],
            str(own.object_iou.photos),
            _figure(own.object_iou),
            _figure(own.equal_attributes, digits=2),
            f"{own.honeypots_passed} of {own.honeypots.photos}" if own.honeypots.photos else _EMPTY,
            _figure(own.honeypots),
        ]
        for own in annotators
    ]
    yield table_text(rows)
    flags = [
        f"  {called[own.annotator]}: {counts_text(dict(sorted(own.flags.items())))}" for own in annotators if own.flags
    ]
    if flags:
        yield "\n".join(["flags", *flags])
    if any(own.honeypots.photos for own in annotators):
        yield f"a honeypot is passed with an IoU of at least {AGREEING_IOU}"


def _figure(estimate: Estimate, *, digits: int = 3) -> str:
    """``0.912 [0.874, 0.940]``; a dash where there is no figure."""
    if estimate.value is None:
        return "undefined" if estimate.photos else _EMPTY
    bounds = TOO_FEW
    if estimate.ci95 is not None:
        bounds = ", ".join(f"{bound:.{digits}f}" for bound in estimate.ci95)
    return f"{estimate.value:.{digits}f} [{bounds}]"
