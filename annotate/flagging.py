"""Flags that somebody raises while looking at a dataset: a named person's answer, which decides as any other does."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from figureground.annotate.decisions import LOOKING, news_of
from figureground.annotate.sheet.reading import PersonName
from figureground.annotate.studio.home import StudioHome
from figureground.annotate.studio.pseudonyms import Pseudonyms
from figureground.annotate.times import later_utc, spell_utc
from figureground.errors import UsageError, printable
from figureground.schemas.documents import Document, same_form
from figureground.schemas.records import Annotation, Decision, content_id
from figureground.schemas.sources.names import name_key
from figureground.schemas.store.workspace import Workspace

_MOST_NOTE: Final = 500


def _check_note(text: str) -> str:
    if len(text) > _MOST_NOTE or printable(text) != text:
        raise ValueError(f"a note of one line and at most {_MOST_NOTE} characters")
    return text


class Flag(Document):
    """What somebody says of a photo."""

    image_id: str = Field(pattern="^[0-9a-f]{32}$")
    state: Literal["needs_second", "wrong_label", "confirmed_empty", "not_localisable", "taken_back"]
    """A doubt as annotators have them, or that an earlier flag of the same person counts no more."""
    person: PersonName
    note: Annotated[str, AfterValidator(_check_note)] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flagged:
    """What became of a flag."""

    decision: Decision | None
    """The photo's newest decision; None where nobody decided anything."""
    changed: bool
    """Whether the flag made it."""


def flag_photo(workspace: Workspace, flag: Flag) -> Flagged:
    """Store a flag as its person's answer, and what the photo's answers decide now; earlier ones are superseded.

    One person's doubt asks for a second look; the same doubt of two people becomes the photo's state. A doubt about a
    photo that a second look settled asks for another one.

    Raises:
        UsageError: if the photo is not in the workspace, or there is no flag of this person to take back.
    """
    if workspace.image(flag.image_id) is None:
        raise UsageError(
            f"{flag.image_id}: not a photo of the workspace {workspace.root.name}; give -w the one it is from"
        )
    annotator = Pseudonyms(StudioHome.of(workspace.root), LOOKING).of(name_key(same_form(flag.person).strip()))
    own = content_id(LOOKING, flag.image_id, annotator)
    with workspace.writing():
        stored = list(workspace.annotations(flag.image_id))
        earlier = [answer for answer in stored if answer.annotation_id == own]
        if flag.state == "taken_back" and not earlier:
            raise UsageError(f"{flag.image_id}: nobody of this name flagged it here")
        answer = Annotation(
            annotation_id=own,
            updated_at=later_utc(spell_utc(datetime.now(UTC)), stored),  # whatever other clocks said
            image_id=flag.image_id,
            masks={},
            attributes={},
            flags=() if flag.state == "taken_back" else (flag.state,),
            annotator=annotator,
            seconds=0.0,
            tool=LOOKING,
            proposal_id="",
            edit_iou=None,
            state="skipped" if flag.state == "taken_back" else "submitted",
            note=flag.note,
        )
        before = workspace.decision(flag.image_id)
        decision = news_of(before, answer, stored)
        workspace.add_answer(answer, decision)
    return Flagged(decision=decision or before, changed=decision is not None)
