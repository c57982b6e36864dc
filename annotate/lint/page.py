"""A page of findings: photo, mask and what is wrong with it, in one file that opens in any browser."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from figureground.annotate.lint.findings import Finding
from figureground.annotate.lint.linting import LintReport
from figureground.annotate.lint.looks import Look
from figureground.annotate.lint.registry import RULES
from figureground.annotate.lint.settings import DEFAULTS, SEVERITIES
from figureground.annotate.lint.subjects import Subject
from figureground.annotate.studio.served import ServedView
from figureground.annotate.studio.tasks import label_title
from figureground.console import count_text
from figureground.errors import printable
from figureground.runtime.files import replace_file
from figureground.runtime.progress import Progress
from figureground.schemas.attributes import OBJECT
from figureground.schemas.pages.inline_pictures import mask_url, photo_url
from figureground.schemas.pages.page_style import GROUND_COLOUR, OBJECT_COLOUR, mask_filter
from figureground.schemas.rasters.masks import Mask, decode_coco_rle
from figureground.schemas.records import SourceRow
from figureground.schemas.sources.names import photo_name

SHOWN_PIXELS: Final = 480_000
"""Most pixels of a photo on the page, 800 x 600."""
SHOWN_A_RULE: Final = 60
"""Findings of one rule that are shown: those that are furthest from its threshold come first."""


def write_page(
    path: Path,
    report: LintReport,
    find: Callable[[str], Subject | None],
    sources: Mapping[str, SourceRow] | None,
    *,
    progress: Progress = lambda *_: None,
) -> int:
    """Write the page of a report, whole or not at all; returns how many findings it shows.

    The same findings make the same bytes. Where a photo is not to be had, its mask is shown on grey.

    Args:
        path: The file.
        report: What was found.
        find: Gives the object of an object_id.
        sources: Where photos lie; None where there is no telling.
        progress: Called after every finding with ("page", done, total).
    """
    chosen = shown_findings(report)
    by_rule: dict[str, list[Finding]] = defaultdict(list)
    for finding in chosen:
        by_rule[finding.rule].append(finding)
    totals = {name: sum(finding.rule == name for finding in report.findings) for name in by_rule}
    done = 0
    head, tail = _page(report, totals).split("{{sections}}")
    with replace_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.write(head)
        for name, own in by_rule.items():
            file.write(f'<section><h2 id="{name}">{name} ({totals[name]})</h2>\n<p>{escape(RULES[name].summary)}')
            beyond = totals[name] - len(own)
            file.write(
                f' {beyond} more are in the report.</p>\n<div class="tiles">\n'
                if beyond
                else '</p>\n<div class="tiles">\n'
            )
            for finding in own:
                file.write(_tile(finding, find(finding.object_id), sources))
                done += 1
                progress("page", done, len(chosen))
            file.write("</div></section>\n")
        file.write(tail)
    return done


def shown_findings(report: LintReport) -> list[Finding]:
    """The findings that a page shows: by rule, the gravest first; of a rule those furthest from its threshold."""
    by_rule: dict[str, list[Finding]] = defaultdict(list)
    for finding in report.findings:
        by_rule[finding.rule].append(finding)
    order = sorted(by_rule, key=lambda name: (SEVERITIES.index(by_rule[name][0].severity), list(RULES).index(name)))
    return [finding for name in order for finding in sorted(by_rule[name], key=_distance)[:SHOWN_A_RULE]]


def _distance(finding: Finding) -> tuple[float, tuple[int, str, str, str, str]]:
    return -abs(abs(finding.value) - finding.threshold), finding.order


@cache
def _template() -> str:
    return files(__package__).joinpath("page.html").read_text(encoding="utf-8")


def _page(report: LintReport, totals: Mapping[str, int]) -> str:
    """The page without its sections."""
    summary = report.summary()
    values = {
        "title": "What lint found",
        "counts": f"{count_text(report.objects, 'object')} checked, {count_text(summary['findings'], 'finding')}, "
        f"{summary['waived']} waived",
        "links": " ".join(f'<a href="#{name}">{name} {count}</a>' for name, count in totals.items()),
        "outline": mask_filter("outline"),
    }
    text = _template()
    for name, value in values.items():
        text = text.replace("{{" + name + "}}", value)
    return text


def _tile(finding: Finding, subject: Subject | None, sources: Mapping[str, SourceRow] | None) -> str:
    """One finding as HTML."""
    pictures = _pictures(finding, Look(subject, DEFAULTS, sources)) if subject is not None else []
    classes = f"{finding.severity} waived" if finding.waived_by else finding.severity
    mask = "" if finding.mask == OBJECT else f", {finding.mask}"
    name = photo_name(finding.source, finding.uri)
    lines = [
        f'<figure class="{classes}" data-object="{escape(finding.object_id)}" data-rule="{finding.rule}">',
        f'<div class="picture">{"".join(pictures)}</div>',
        f"<figcaption><span><b>{escape(printable(label_title(finding.label) + mask))}</b></span>",
        f"<span>{escape(printable(finding.words))}</span>",
        f'<span class="id">{escape(printable(f"{finding.object_id}, {name}"))}</span>',
    ]
    if finding.waived_by:
        why = f"waived by {finding.waived_by}: {finding.waived_why}"
        lines.append(f'<span class="why">{escape(printable(why))}</span>')
    return "\n".join([*lines, "</figcaption></figure>\n"])


def _pictures(finding: Finding, look: Look) -> Sequence[str]:
    """Photo, the mask that the finding is about, and what is wrong with it, one over the other."""
    view = ServedView.of(look.subject.photo, most_pixels=SHOWN_PIXELS)
    pictures: list[tuple[str, str, str]] = []
    if look.photo_rgb is not None:
        pictures.append(("", "the photo", photo_url(view.picture(look.photo_rgb))))
    mask = look.decoded.get(finding.mask)
    if isinstance(mask, np.ndarray):
        pictures.append((' class="mask"', "its mask", mask_url(view.to_served(mask), OBJECT_COLOUR)))
    if finding.marked is not None:
        marked = decode_coco_rle(finding.marked, size_hw=look.size_hw, record=finding.object_id)
        shown = _spread(marked, view)
        pictures.append((' class="marked"', "what is wrong", mask_url(view.to_served(shown), GROUND_COLOUR)))
    return [f'<img{kind} alt="{words}" src="{url}">' for kind, words, url in pictures]


def _spread(marked_hw: Mask, view: ServedView) -> Mask:
    """Marked pixels, grown where the page shows the photo smaller, so that single ones do not vanish."""
    step = int(np.ceil((marked_hw.size / (view.served_hw[0] * view.served_hw[1])) ** 0.5))
    if step <= 1:
        return marked_hw
    grown = cv2.dilate(marked_hw.astype(np.uint8), np.ones((step, step), np.uint8))
    return np.asarray(grown.astype(np.bool_))
