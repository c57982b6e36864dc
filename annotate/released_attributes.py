"""The attributes of an accepted photo: its accepted answer's, and what other answers say that it leaves open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from figureground.annotate.attribute_history import AttributeHistory
from figureground.annotate.decisions import DOUBTS, newest_answers
from figureground.schemas.attributes import OBJECT
from figureground.schemas.rasters.masks import CocoRle
from figureground.schemas.records import Annotation


class AttributeAnswers(NamedTuple):
    """Attributes of one photo, under their newest names."""

    values: dict[str, bool | None]
    """Present, absent, or (None) not answered or unsure; every attribute that the newest version asks for is there."""
    masks: dict[str, CocoRle]
    """Painted attributes, stored pixels."""


def gather_attributes(
    accepted: Annotation, answers: Sequence[Annotation], history: AttributeHistory
) -> AttributeAnswers:
    """Each attribute as the first of these answers has it that says yes or no.

    First come answers that are newer than the accepted one and were given under a newer version of the attributes, the
    newest first; then the accepted one; then all others, the newest first, so that what one person left open is filled
    in by the other. Answers that doubt the photo or its label fill in nothing, for they may be about something else;
    neither do those to honeypots.

    Args:
        accepted: The answer that the photo's mask comes from.
        answers: Every answer for the photo.
        history: Versions of the attributes that people were asked for.
    """
    values: dict[str, bool | None] = {}
    masks: dict[str, CocoRle] = {}
    if (newest := history.newest(accepted)) is not None:
        values |= dict.fromkeys(newest.names())
    for answer in _in_turn(accepted, answers, history):
        own = history.current(answer)
        for name in sorted({*own.attributes, *own.masks} - {OBJECT}):
            value = own.attributes.get(name)
            if values.get(name) is not None or (value is None and answer is not accepted):
                continue
            if name in own.attributes:
                values[name] = value
            masks.pop(name, None)
            if name in own.masks:
                masks[name] = own.masks[name]
    return AttributeAnswers(values, masks)


def _in_turn(accepted: Annotation, answers: Sequence[Annotation], history: AttributeHistory) -> list[Annotation]:
    ours = (accepted.annotation_id, accepted.updated_at)
    others = [
        answer
        for answer in reversed(newest_answers(answers))
        if answer.annotation_id != ours[0]
        and answer.purpose != "honeypot"
        and not (set(DOUBTS) - {"needs_second"}) & set(answer.flags)
    ]
    newer = [answer for answer in others if answer.updated_at > ours[1] and history.age(answer) > history.age(accepted)]
    return [*newer, accepted, *(answer for answer in others if answer not in newer)]
