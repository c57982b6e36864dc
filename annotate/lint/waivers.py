"""Waivers: findings that somebody looked at and lets stand, each with who, why, which rule and which object."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from figureground.annotate.lint.findings import Finding
from figureground.annotate.lint.registry import RULES
from figureground.errors import Faults, printable
from figureground.schemas.documents import Document, Name, read_document

WAIVERS_FILE: Final = "lint_waivers.yaml"
"""File of a workspace that waives findings, read where it is there."""
_MOST_CHARACTERS: Final = 500


def _check_line(text: str) -> str:
    if not text.strip() or printable(text) != text:
        raise ValueError("one line of text")
    return text


_Line = Annotated[str, Field(max_length=_MOST_CHARACTERS), AfterValidator(_check_line)]


class Waiver(Document):
    """One finding, or all of one rule on one object, that somebody lets stand."""

    rule: Name
    object: Name
    """object_id, or the image_id of its photo."""
    who: _Line
    """Who looked at it."""
    why: _Line
    mask: str = Field(default="", max_length=128)
    """The mask that it is about, as the finding names it; empty for each."""
    origin: str = Field(default="", max_length=128)
    """The answer or proposal that was looked at: another one's findings are not waived. Empty for any."""

    def fits(self, finding: Finding) -> bool:
        """Whether it waives a finding."""
        return (
            self.rule == finding.rule
            and self.object in (finding.object_id, finding.image_id)
            and self.mask in ("", finding.mask)
            and self.origin in ("", finding.origin)
        )


class WaiverFile(Document):
    """What a file of waivers holds."""

    waivers: tuple[Waiver, ...] = ()


def read_waivers(path: Path | None, workspace: Path | None) -> tuple[Waiver, ...]:
    """Waivers of a file, or of the workspace's own where none is named.

    Raises:
        UsageError: if the file that is named is not there.
        DataError: with everything in it that is none, such as a rule of a name that no rule has.
    """
    own = workspace / WAIVERS_FILE if workspace is not None else None
    chosen = path or (own if own is not None and own.is_file() else None)
    if chosen is None:
        return ()
    waivers = read_document(chosen, WaiverFile).waivers
    faults = Faults()
    for number, waiver in enumerate(waivers, start=1):
        if waiver.rule not in RULES:
            faults.add(str(chosen), f"waiver {number}", expected=f"one of {', '.join(RULES)}", got=waiver.rule)
    faults.raise_if_any()
    return waivers


def waive(findings: Iterable[Finding], waivers: Sequence[Waiver]) -> list[Finding]:
    """Findings, those that are waived with who and why; the first waiver that fits counts."""
    by_rule: dict[str, list[Waiver]] = defaultdict(list)
    for waiver in waivers:
        by_rule[waiver.rule].append(waiver)
    waived = []
    for finding in findings:
        fitting = next((waiver for waiver in by_rule[finding.rule] if waiver.fits(finding)), None)
        waived.append(finding if fitting is None else replace(finding, waived_by=fitting.who, waived_why=fitting.why))
    return waived


def judge_waivers(
    waivers: Sequence[Waiver],
    findings: Sequence[Finding],
    *,
    rules: Collection[str],
    checked: Collection[str],
    known: Collection[str],
) -> Faults:
    """Waivers that fit nothing, as faults: the mask was mended, or somebody mistyped.

    A waiver for a rule that did not run, or an object that is known and was not checked, is not judged.

    Args:
        waivers: All of them.
        findings: What was found.
        rules: Rules that ran.
        checked: object_id and image_id of what was checked.
        known: image_id of every photo that there is.
    """
    by_rule: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        by_rule[finding.rule].append(finding)
    faults = Faults()
    for waiver in waivers:
        strange = waiver.object not in checked and waiver.object.partition(".")[0] not in known
        idle = waiver.object in checked and waiver.rule in rules and not any(map(waiver.fits, by_rule[waiver.rule]))
        if strange or idle:
            faults.add(
                "waivers",
                f"{waiver.rule} of {waiver.object} ({waiver.who}: {waiver.why})",
                expected="a finding that it waives",
                got="no such object" if strange else "none",
                remedy="delete the waiver, or write it as the finding is now",
            )
    return faults
