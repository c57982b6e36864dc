"""Decisions that were made on a sheet: an accepted mask is the machine's, bit for bit, in a named person's answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field

from figureground.annotate.decisions import news_of
from figureground.annotate.studio.home import StudioHome
from figureground.annotate.studio.pseudonyms import Pseudonyms
from figureground.annotate.times import spell_utc, utc_text
from figureground.errors import DataError, Faults, UsageError, listed, printable, shell_word
from figureground.schemas.attributes import OBJECT
from figureground.schemas.documents import Document, parse_text, read_text, same_form, validate_document
from figureground.schemas.records import SHEET_TOOL, Annotation, ProposalRecord, content_id
from figureground.schemas.sources.names import name_key
from figureground.schemas.store.workspace import Workspace

TOOL: Final = SHEET_TOOL
"""Also what pseudonyms of people who use sheets are filed under."""
_MOST_BYTES: Final = 100_000_000
_MOST_NAME: Final = 100
_CLOCKS_DIFFER: Final = timedelta(days=1)
"""A decision may lie so far in the future: beyond that it would stay the newest for ever."""


def _check_person(name: str) -> str:
    if not name.strip() or len(name) > _MOST_NAME or printable(name) != name:
        raise ValueError(f"the name of who decided, one line of 1 to {_MOST_NAME} characters")
    return name


PersonName = Annotated[str, AfterValidator(_check_person)]
"""Who decided, as they call themselves; only a pseudonym of it is stored with the answer."""


class SheetFile(Document):
    """What a page downloads."""

    format: Literal["figureground sheet decisions"]
    version: Literal["1"]
    sheet: str = Field(pattern="^[0-9a-f]{32}$")
    page: int = Field(ge=1)
    annotator: PersonName
    decisions: list[Any]
    """Each is checked by itself, so that a fault in one keeps out no other."""


class SheetDecision(Document):
    """What somebody decided about one photo."""

    image_id: str = Field(pattern="^[0-9a-f]{32}$")
    proposal_id: str = Field(pattern="^[0-9a-f]{32}$")
    decision: Literal["accept", "reject", "skip"]
    decided_at: Annotated[str, AfterValidator(utc_text)]
    seconds: float = Field(ge=0, le=1e7, allow_inf_nan=False)
    """Time that the photo was the chosen one."""


@dataclass(slots=True, kw_only=True)
class SheetDecisionsReport:
    """Counts of one call of ``read_decisions``."""

    accepted: int = 0
    """New answers that take the machine mask as it is."""
    rejected: int = 0
    """New answers that refuse it; their photos need a second look."""
    skipped: int = 0
    """Photos that somebody looked at and left to others; a skip takes an earlier answer of theirs back."""
    already_there: int = 0
    decisions: Counter[str] = field(default_factory=Counter)
    """New decisions by state."""
    faults: Faults = field(default_factory=Faults)
    """What is wrong; the photos that it is about are not stored."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready fields."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**values, "faults": list(map(str, self.faults))}

    def __str__(self) -> str:
        """One line."""
        made = ", ".join(f"{state} {count}" for state, count in sorted(self.decisions.items())) or "none"
        return (
            f"{self.accepted} masks accepted, {self.rejected} rejected, {self.skipped} skipped, "
            f"{self.already_there} there before; new decisions: {made}"
        )


def read_decisions(workspace: Workspace, paths: Sequence[Path]) -> SheetDecisionsReport:
    """Store what pages of a sheet downloaded; the same file again changes nothing.

    The newest decision of a person about a photo counts, whatever the order of the files.

    Args:
        workspace: The workspace that the sheet was made of.
        paths: Files of pages.

    Raises:
        UsageError: if there is no such file.
        DataError: at the end, with every fault by file and photo, and the report; what is right was stored.
    """
    report = SheetDecisionsReport()
    if missing := [str(path) for path in paths if not path.is_file()]:
        make = f"figureground sheet make -w {shell_word(workspace.root)} -o SHEET"
        raise UsageError(f"{listed(missing)}: no such file; pages that write some: {make}")
    read = [(path, _read_file(path, report.faults)) for path in paths]
    pseudonyms = Pseudonyms(StudioHome.of(workspace.root), TOOL)
    barred: set[str] = set()
    answers: list[Annotation] = []
    for path, file in read:
        if file is None:
            continue
        annotator = pseudonyms.of(name_key(same_form(file.annotator).strip()))
        for given in _readable(path, file, barred, report.faults):
            proposal = _proposal(workspace, path, given, report.faults)
            if proposal is None:
                barred.add(given.image_id)
            else:
                answers.append(_answer(given, proposal, annotator))
    for answer in answers:
        if answer.image_id not in barred:
            _store(workspace, answer, report)
    report.faults.raise_if_any(report)
    return report


def _read_file(path: Path, faults: Faults) -> SheetFile | None:
    where = str(path)
    try:
        # Not read as YAML, whatever the file is called: browsers add (1), and people add endings.
        value = parse_text(read_text(path, most_bytes=_MOST_BYTES), where=where, as_json=True)
        return validate_document(value, SheetFile, where=where)
    except DataError as error:
        faults.extend(error.faults)
        return None


def _readable(path: Path, file: SheetFile, barred: set[str], faults: Faults) -> list[SheetDecision]:
    """Decisions of a file that nothing is wrong with; those of a photo that stands in it twice are a fault.

    ``barred`` gets the photos that a fault is about.
    """
    read: list[SheetDecision] = []
    for number, value in enumerate(file.decisions, start=1):
        try:
            read.append(validate_document(value, SheetDecision, where=f"{path}: decision {number}"))
        except DataError as error:
            faults.extend(error.faults)
            about = value.get("image_id") if isinstance(value, dict) else None
            barred |= {about} if isinstance(about, str) else set()
    latest = spell_utc(datetime.now(UTC) + _CLOCKS_DIFFER)
    counts = Counter(given.image_id for given in read)
    right = list[SheetDecision]()
    for image_id in sorted(image_id for image_id, count in counts.items() if count > 1):
        faults.add(str(path), image_id, expected="one decision about a photo", got=str(counts[image_id]))
        barred.add(image_id)
    for given in read:
        if given.decided_at > latest:
            remedy = "the clock of the browser's machine was wrong: decide again"
            faults.add(str(path), given.image_id, expected="a time in the past", got=given.decided_at, remedy=remedy)
            barred.add(given.image_id)
        elif counts[given.image_id] == 1:
            right.append(given)
    return right


def _proposal(workspace: Workspace, path: Path, given: SheetDecision, faults: Faults) -> ProposalRecord | None:
    """The machine mask that a decision is about."""
    proposals = {proposal.proposal_id: proposal for proposal in workspace.proposals(given.image_id)}
    if given.proposal_id not in proposals:
        known = workspace.image(given.image_id) is not None
        got = f"machine mask {given.proposal_id}, which is none of its" if known else "a photo that it does not know"
        remedy = "read the file into the workspace that the sheet was made of"
        faults.add(str(path), given.image_id, expected="a photo and a mask of this workspace", got=got, remedy=remedy)
    return proposals.get(given.proposal_id)


def _answer(given: SheetDecision, proposal: ProposalRecord, annotator: str) -> Annotation:
    """A decision as an answer: the machine's mask, or no mask and a doubt, or a skip."""
    accepts = given.decision == "accept"
    return Annotation(
        annotation_id=content_id(TOOL, given.image_id, annotator, given.proposal_id, given.decision),
        updated_at=given.decided_at,
        image_id=given.image_id,
        masks={OBJECT: proposal.rle} if accepts else {},
        attributes={},
        flags=("needs_second",) if given.decision == "reject" else (),
        annotator=annotator,
        seconds=given.seconds,
        tool=TOOL,
        proposal_id=given.proposal_id,
        edit_iou=1.0 if accepts else None,
        changed_px=0 if accepts else None,
        state="skipped" if given.decision == "skip" else "submitted",
        note="the machine mask was rejected on a sheet" if given.decision == "reject" else "",
    )


def _store(workspace: Workspace, answer: Annotation, report: SheetDecisionsReport) -> None:
    """Store an answer and what the photo's answers decide now, unless it is there."""
    with workspace.writing():
        stored = list(workspace.annotations(answer.image_id))
        decision = news_of(workspace.decision(answer.image_id), answer, stored)
        if not workspace.add_answer(answer, decision):
            report.already_there += 1
            return
    if answer.state == "skipped":
        report.skipped += 1
    elif answer.masks:
        report.accepted += 1
    else:
        report.rejected += 1
    if decision is not None:
        report.decisions[decision.state] += 1
