"""What ``figureground build`` prints of what it made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from figureground.errors import listed, shell_word
from figureground.exports.dataset.building import BuildReport
from figureground.exports.dataset.files import CONTACT_SHEET

_HINTS: Final = {
    "box_too_large": "--max-box-share takes objects with larger boxes; report/refused.csv has each one's share",
    "balance": "their class has more than the others; --per-class all takes every object",
}
"""Reason why objects were left out to what would take them."""


def describe_report(report: BuildReport) -> str:
    """Text of a build's report."""
    filled = {name: count for name, count in report.class_counts.items() if count}
    classes = ", ".join(f"{name} {count}" for name, count in filled.items())
    if empty := [name for name, count in report.class_counts.items() if not count]:
        classes += f"; without any: {listed(empty)}"
    refused = ", ".join(f"{reason} {count}" for reason, count in report.refused.items()) or "none"
    splits = ", ".join(f"{name} {count}" for name, count in report.splits.items())
    sheet = report.folder / CONTACT_SHEET
    kind = f"not balanced ({report.unbalanced})" if report.unbalanced else "balanced"
    lines = [
        f"{report.folder}: {report.rows} rows of {report.objects} objects, {kind}"
        + (" (built before, unchanged)" if report.reused else ""),
        *(
            [f"{report.copied} rows copied, {report.rows - report.copied} rendered; diff tells which changed"]
            if report.copied
            else []
        ),
        f"classes: {classes}",
        *([f"splits: {splits}"] if len(report.splits) > 1 else []),
        f"left out: {refused}",
        *map(str, report.crossed),
        *(f"{reason}: {hint}" for reason, hint in _HINTS.items() if report.refused.get(reason, 0)),
        *_unmapped(report),
        *report.warnings,
        f"look at {sheet}" if sheet.exists() else "rows hold no images, only what they are made of; --pixels adds them",
        f"all of it on one page: figureground report {shell_word(report.folder)}",
    ]
    return "\n".join(lines)


def _unmapped(report: BuildReport) -> Iterator[str]:
    """Labels of photos that are in no class, with what each was perhaps to be in the class map."""
    if not report.unmapped:
        return
    labels = [
        f"{label or '(no label)'} {count}"
        + (f" (did you mean {like}, which no photo has?)" if (like := report.misspelt.get(label)) else "")
        for label, count in report.unmapped.items()
    ]
    yield f"unmapped_class: no class of the class map has the labels {listed(labels)}; --class-map takes another map"
