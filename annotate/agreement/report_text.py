"""The report on agreement as tables for the lead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from figureground.annotate.agreement.agreement import Agreement
from figureground.annotate.agreement.annotators import AnnotatorReport
from figureground.annotate.agreement.intervals import TOO_FEW, Estimate
from figureground.annotate.agreement.report import AgreementReport, Consensus
from figureground.annotate.agreement.time_saved import NOTHING, PAUSE_SECONDS, Quartiles, SegmenterTimes, TimeReport
from figureground.annotate.decisions import AGREEING_IOU
from figureground.console import count_text, counts_text, table_text
from figureground.errors import shell_word
from figureground.schemas.sources.names import photo_name

_EMPTY: Final = "-"
_NOT_DRAWN: Final = (
    "Who began from which mask was not drawn by lot: photos that a segmenter found no mask for may be harder than "
    "others. A saving is a person's time from nothing less the same person's with the mask; the first interval is for "
    "these people on other photos, the second for other people like them."
)


def report_text(
    report: AgreementReport, workspace: Path, names: Mapping[str, str] | None = None, *, limit: int = 10
) -> str:
    """Tables for people.

    Args:
        report: The report.
        workspace: Its workspace, for commands to type.
        names: Pseudonym to the name that stands before it.
        limit: Most photos in doubt that are listed.
    """
    studio, work = "figureground studio", f"-w {shell_word(workspace)}"
    called = {own.annotator: _called(own.annotator, names or {}) for own in report.annotators}
    parts = [
        *_agreement_parts(report.agreement, f"{studio} push {work} --overlap NUMBER"),
        *_consensus_parts(report.consensus),
        *_annotator_parts(report.annotators, called, f"{studio} pull {work}"),
        *_queue_parts(report, limit, f"{studio} push {work} --second-look"),
        *_time_parts(report.times),
    ]
    return "\n\n".join(parts)


def _called(pseudonym: str, names: Mapping[str, str]) -> str:
    return f"{names[pseudonym]} ({pseudonym})" if pseudonym in names else pseudonym


def _agreement_parts(agreement: Agreement, give: str) -> Iterator[str]:
    if not agreement.photos:
        yield f"no photo was answered by several people; give some to two with: {give}"
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
        for name, answers in agreement.attributes.items():
            rows.append([name, str(answers.equal.photos), *map(_figure, (answers.equal, answers.kappa, answers.alpha))])
        together = agreement.equal_attributes
        rows.append(["all together", str(together.photos), _figure(together), "", ""])
        yield table_text(rows)


def _consensus_parts(consensus: Consensus) -> Iterator[str]:
    if consensus.object_iou.photos:
        yield (
            f"consensus ({consensus.method}) of {count_text(consensus.object_iou.photos, 'photo')} that three or more "
            f"people painted: IoU of their masks with it {_figure(consensus.object_iou)}"
        )
    if consensus.attributes:
        rows = [["attribute by consensus", "photos", "present", "not as most said"]]
        for name, own in consensus.attributes.items():
            present = sum(probability >= 0.5 for probability in own.probabilities.values())
            rows.append([name, str(len(own.probabilities)), str(present), str(own.overruled)])
        yield table_text(rows)


def _annotator_parts(annotators: Sequence[AnnotatorReport], called: Mapping[str, str], fetch: str) -> Iterator[str]:
    if not annotators:
        yield f"nobody has answered anything that was pulled; fetch answers with: {fetch}"
        return
    rows = [["annotator", "answers", "skips", "second looks", "seconds", "mask changed", "IoU with machine's"]]
    rows += [
        [
            called[own.annotator],
            str(own.answers),
            str(own.skips),
            str(own.second_looks),
            _EMPTY if own.seconds is None else _quartiles(own.seconds),
            _figure(own.edited, digits=2),
            _figure(own.proposal_iou),
        ]
        for own in annotators
    ]
    yield f"{table_text(rows)}\nseconds: median (quartiles) on the page"
    rows = [["annotator", "photos of several", "IoU with others", "with consensus", "attributes as others"]]
    rows[0] += ["as consensus", "honeypots", "IoU with them"]
    rows += [
        [
            called[own.annotator],
            str(own.object_iou.photos),
            _figure(own.object_iou),
            _figure(own.consensus_iou),
            _figure(own.equal_attributes, digits=2),
            _figure(own.consensus_attributes, digits=2),
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


def _queue_parts(report: AgreementReport, limit: int, send: str) -> Iterator[str]:
    if not report.queue:
        return
    rows = [["in doubt", "masks differ", "attributes differ", "answers", "why"]]
    for doubt in report.queue[:limit]:
        shares = [
            _EMPTY if share is None else f"{share:.3f}"
            for share in (doubt.mask_disagreement, doubt.attribute_disagreement)
        ]
        rows.append([photo_name(doubt.source, doubt.uri), *shares, str(doubt.answers), doubt.decision.reason])
    more = len(report.queue) - limit
    tail = f"\nand {more} more; all with --json or --out" if more > 0 else ""
    yield f"{table_text(rows)}{tail}\nby {report.ranking}; send them in this order with: {send}"


def _time_parts(times: TimeReport) -> Iterator[str]:
    if not times.segmenters:
        return
    rows = [["began from", "answers", "people", "seconds", "untouched", "touched up", "redrawn", "saved a photo, s"]]
    for own in times.segmenters:
        cells = [_edit(own, name) for name in ("untouched", "touched_up", "redrawn")]
        rows.append(
            [own.segmenter, str(own.answers), str(own.annotators), _quartiles(own.seconds), *cells, _saving(own)]
        )
    lines = [
        table_text(rows),
        f"touched up: IoU with the machine mask of {AGREEING_IOU} or more; in brackets median seconds",
    ]
    lines += [line for own in times.segmenters if (line := _minutes(own))]
    compared = [own for own in times.segmenters if own.saving is not None]
    if any(own.saving is not None and own.saving.seconds is not None for own in compared):
        lines.append(_NOT_DRAWN)
    elif compared:
        lines.append(
            "What masks save cannot be told: nobody painted two photos from nothing and two from a segmenter's masks"
        )
    if times.pauses:
        lines.append(
            f"left out: {count_text(times.pauses, 'answer')} of over {PAUSE_SECONDS / 60:.0f} minutes, for pauses"
        )
    yield "\n".join(lines)


def _minutes(own: SegmenterTimes) -> str:
    """What a segmenter saved in all, in words that claim no more than the interval holds; empty where it is unknown."""
    if own.minutes_saved is None:
        return ""
    over = f"over its {count_text(own.answers, 'answer')}"
    if own.minutes_ci95 is None:
        return f"{own.segmenter}: {own.minutes_saved:.0f} minutes saved {over}, of photos that are {TOO_FEW}"
    low, high = own.minutes_ci95
    verdict = "" if low > 0 else "; it may have saved nothing" if high >= 0 else "; it cost time"
    return f"{own.segmenter}: {own.minutes_saved:.0f} minutes saved {over} [{low:.0f}, {high:.0f}]{verdict}"


def _edit(own: SegmenterTimes, name: str) -> str:
    """``12 (30 s)``."""
    return f"{own.edits[name]} ({own.edit_seconds[name]:.0f})" if name in own.edits else _EMPTY


def _saving(own: SegmenterTimes) -> str:
    if own.segmenter == NOTHING or own.saving is None or own.saving.seconds is None:
        return _EMPTY
    bounds = own.saving.reason
    if own.saving.ci95 is not None:
        bounds = ", ".join(f"{bound:.1f}" for bound in own.saving.ci95)
    others = ""
    if own.saving.ci95_others is not None:
        others = f"; others [{', '.join(f'{bound:.1f}' for bound in own.saving.ci95_others)}]"
    return f"{own.saving.seconds:.1f} [{bounds}]{others}"


def _quartiles(seconds: Quartiles) -> str:
    """``30 (20-45)``."""
    return f"{seconds.median:.0f} ({seconds.lower:.0f}-{seconds.upper:.0f})"


def _figure(estimate: Estimate, *, digits: int = 3) -> str:
    """``0.912 [0.874, 0.940]``; a dash where there is no figure."""
    if estimate.value is None:
        return "undefined" if estimate.photos else _EMPTY
    bounds = TOO_FEW
    if estimate.ci95 is not None:
        bounds = ", ".join(f"{bound:.{digits}f}" for bound in estimate.ci95)
    return f"{estimate.value:.{digits}f} [{bounds}]"
