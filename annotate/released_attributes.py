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
    newest first; then the accepted one. What they leave open is filled in by the others, unless those contradict each
    other. Answers that doubt the photo or its label fill in nothing, for they may be about something else; neither do
    those to honeypots.

    Args:
        accepted: The answer that the photo's mask comes from.
        answers: Every answer for the photo.
        history: Versions of the attributes that people were asked for.
    """
    newer, others = _trusted(accepted, answers, history)
    own = history.current(accepted)
    newest = history.newest(accepted)
    values: dict[str, bool | None] = {**dict.fromkeys(newest.names() if newest else ()), **own.attributes}
    masks = {name: mask for name, mask in own.masks.items() if name != OBJECT}

    def take(answer: Annotation, name: str) -> None:
        values[name] = answer.attributes[name]
        masks.pop(name, None)
        if name in answer.masks:
            masks[name] = answer.masks[name]

    votes = [(name, value) for answer in others for name, value in answer.attributes.items() if value is not None]
    contradicted = {name for name, value in votes if (name, not value) in votes}
    for answer in reversed(others):
        for name, value in answer.attributes.items():
            if value is not None and own.attributes.get(name) is None and name not in contradicted:
                take(answer, name)
    for answer in reversed(newer):
        for name, value in answer.attributes.items():
            if value is not None:
                take(answer, name)
    return AttributeAnswers(values, masks)


def _trusted(
    accepted: Annotation, answers: Sequence[Annotation], history: AttributeHistory
) -> tuple[list[Annotation], list[Annotation]]:
    """Answers that overrule the accepted one, and those that may fill it in; the newest first, under newest names."""
    newer: list[Annotation] = []
    others: list[Annotation] = []
    for answer in reversed(newest_answers(answers)):
        doubted = bool((set(DOUBTS) - {"needs_second"}) & set(answer.flags))
        if answer.annotation_id == accepted.annotation_id or answer.purpose == "honeypot" or doubted:
            continue
        overrules = answer.updated_at > accepted.updated_at and history.age(answer) > history.age(accepted)
        (newer if overrules else others).append(history.current(answer))
    return newer, others
