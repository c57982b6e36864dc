"""Decisions about photos, made from people's answers. Drafts, skips and machine masks decide nothing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Final

from figureground.schemas.attributes import OBJECT
from figureground.schemas.rasters.masks import decode_coco_rle, mask_iou
from figureground.schemas.records import SECOND_LOOKS, Annotation, Decision, DecisionState

AGREEING_IOU: Final = 0.9
"""Two object masks of one photo agree from this IoU on. Ours, by choice: corrections of one machine mask mostly differ
at the rim, and a missed part of a tenth of the object does not pass."""

DOUBTS: Final[tuple[DecisionState, ...]] = ("needs_second", "wrong_label", "confirmed_empty", "not_localisable")
"""Flags that put a photo in doubt; once a second person sets the same flag, it becomes the state of the decision."""


LOOKING: Final = "view"
"""Tool of the answers of people who look at a dataset, and what their pseudonyms are filed under; their flags count
also after a second look."""

MACHINE_EDITOR: Final = "figureground-lint"
"""Who changed an answer last, where ``lint fix`` did: nobody of the people."""


def answer_makers(answers: Sequence[Annotation]) -> list[str]:
    """Who gave each of some answers, in their order: a pseudonym, or a name of its own for an answer without author.

    Label Studio forgets who gave an answer when the account is deleted. Nobody knows whether two such answers are of
    one person, so each is taken for another person's. An answer that had an author when an earlier state of it was
    pulled still has that one.
    """
    authors = {answer.annotation_id: answer.annotator for answer in answers if answer.annotator}
    return [
        answer.annotator or authors.get(answer.annotation_id) or f"nobody {answer.annotation_id}" for answer in answers
    ]


def newest_answers(answers: Sequence[Annotation]) -> list[Annotation]:
    """The newest submitted answer of each annotator, the oldest first; a skip after it takes it back.

    Answers to honeypots are none: they are about the annotator, not about the photo. An answer without author replaces
    earlier states of itself alone.
    """
    newest: dict[tuple[str, str], Annotation] = {}
    dated = sorted(answers, key=lambda answer: (answer.updated_at, answer.annotation_id))
    for answer, maker in zip(dated, answer_makers(dated), strict=True):
        if answer.state != "draft" and answer.purpose != "honeypot":
            newest.pop((maker, answer.purpose), None)  # a replaced value would keep its old place
            newest[maker, answer.purpose] = answer
    return [answer for answer in newest.values() if answer.state == "submitted"]


def deciding_answers(answers: Sequence[Annotation]) -> list[Annotation]:
    """The newest answers that count: those of people; imported masks of machines only where no person answered."""
    given = newest_answers(answers)
    return [answer for answer in given if not answer.machine] or given


def newest_state(answers: Sequence[Annotation], annotation_id: str) -> Annotation | None:
    """The newest submitted state of one answer; None where there is none."""
    states = [answer for answer in answers if answer.annotation_id == annotation_id and answer.state == "submitted"]
    return max(states, key=lambda answer: answer.updated_at, default=None)


def accepted_state(answers: Sequence[Annotation], decision: Decision | None) -> Annotation | None:
    """The newest state of the answer that was accepted for a photo; None where none is, or it has no object mask."""
    if decision is None or decision.state != "accepted":
        return None
    newest = newest_state(answers, decision.annotation_id)
    return newest if newest is not None and OBJECT in newest.masks else None


def decide(image_id: str, answers: Sequence[Annotation], *, awaited: int = 0) -> Decision | None:
    """The decision that a photo's answers make.

    One unflagged answer with a mask is accepted, and so are several that agree (the one nearest to the others).
    Disagreement, and a doubt of one person, need a second look. A second look of somebody else settles: its mask is
    accepted, or its flag becomes the decision; so does a flag that two people set. Somebody who looks at the dataset
    and flags what was settled puts it in doubt until a later second look. Masks of machines that were imported count
    where no person answered. An accepted answer gives way to a later one to questions that were added since, which
    holds the accepted mask and both answers' attributes.

    Args:
        image_id: The photo.
        answers: All answers to it, in any order.
        awaited: Number of people who are still to take their first look at it.

    Returns:
        The decision; None where nobody ever submitted an answer, and while first looks are awaited.
    """
    given = deciding_answers(answers)
    settled = [answer for answer in given if answer.purpose in SECOND_LOOKS and settles(answer, given)]
    first = [answer for answer in given if answer.purpose == "first_look"]
    added = [answer for answer in given if answer.purpose == "new_attributes"]
    if settled:
        decision = _settle(image_id, settled[-1])
    elif awaited > 0:
        return None
    elif first:
        decision = _first_looks(image_id, first)
    else:
        taken_back = any(answer.state == "submitted" and answer.purpose == "first_look" for answer in answers)
        return _decision(image_id, "needs_second", "answered, then skipped") if taken_back else None
    decision = _extend(decision, given, added)
    return _doubt_settled(decision, settled[-1], first) if settled else decision


def news_of(
    before: Decision | None, answer: Annotation, stored: Sequence[Annotation], *, awaited: int = 0
) -> Decision | None:
    """The decision that a photo's answers make now that another one came; None where that changes nothing.

    A doubt that no answer raised, such as one about the rim of an accepted mask, stands until a later second look.

    Args:
        before: The photo's newest decision.
        answer: What came.
        stored: All answers to the photo before it.
        awaited: As for ``decide``.
    """
    if answer.state == "draft" or answer.purpose == "honeypot":
        return None
    answers = [*stored, answer]
    decision = decide(answer.image_id, answers, awaited=awaited)
    if decision is None or decision == before:
        return None
    standing = before is not None and before.state == "needs_second" and before.annotation_id
    if standing and decision.state in ("accepted", "needs_second"):
        given = deciding_answers(answers)
        looks = [look for look in given if look.purpose in SECOND_LOOKS and settles(look, given)]
        return decision if looks and looks[-1] == answer else None
    return decision


def _doubt_settled(decision: Decision, look: Annotation, first: Sequence[Annotation]) -> Decision:
    """What a second look settled, in doubt again where somebody flagged it since."""
    later = [answer for answer in first if answer.tool == LOOKING and answer.updated_at > look.updated_at]
    flagged = sorted(set(DOUBTS) & {flag for answer in later for flag in answer.flags})
    if decision.state != "accepted" or not flagged:
        return decision
    return _decision(decision.image_id, "needs_second", f"flagged {', '.join(flagged)} when it was settled")


def _first_looks(image_id: str, given: Sequence[Annotation]) -> Decision:
    """What first looks decide that were all taken."""
    doubts = [set(DOUBTS) & set(answer.flags) for answer in given]
    shared = [state for state in DOUBTS if state != "needs_second" and all(state in flags for flags in doubts)]
    if len(given) > 1 and shared:
        return _decision(image_id, shared[0], f"flagged by {len(given)}")
    if any(doubts):
        return _decision(image_id, "needs_second", "flagged " + ", ".join(sorted(set().union(*doubts))))
    if any(OBJECT not in answer.masks for answer in given):
        return _decision(image_id, "needs_second", "submitted without an object mask")
    if len(given) == 1:
        return _decision(image_id, "accepted", "one answer", given[0])
    return _compare(image_id, given)


def settles(look: Annotation, given: Sequence[Annotation]) -> bool:
    """Whether a second look counts: that of a third person does, and one that its author was explicitly allowed.

    One without author may be that of a first look's author, and does not count.

    Args:
        look: A second look.
        given: The newest answers to its photo; those of first looks are what is in doubt.
    """
    authors = {answer.annotator for answer in given if answer.purpose == "first_look"}
    return look.purpose == "authors_look" or (bool(look.annotator) and look.annotator not in authors)


def _extend(decision: Decision, given: Sequence[Annotation], added: Sequence[Annotation]) -> Decision:
    """A decision with the newest answer to added questions, if that is newer than the answer that was accepted."""
    accepted = next((answer for answer in given if answer.annotation_id == decision.annotation_id), None)
    if accepted is None or not added or added[-1].updated_at <= accepted.updated_at:
        return decision
    answer = added[-1]
    if flagged := sorted(set(DOUBTS) & set(answer.flags)):
        return _decision(answer.image_id, "needs_second", "flagged " + ", ".join(flagged))
    if OBJECT not in answer.masks:
        return _decision(answer.image_id, "needs_second", "submitted without an object mask")
    return _decision(answer.image_id, "accepted", "new attributes answered", answer)


def _settle(image_id: str, answer: Annotation) -> Decision:
    flagged = [state for state in DOUBTS if state in answer.flags]
    if flagged:
        return _decision(image_id, flagged[0], "flagged in the second look")
    if OBJECT not in answer.masks:
        return _decision(image_id, "needs_second", "second look without an object mask")
    return _decision(image_id, "accepted", "second look", answer)


def _compare(image_id: str, given: Sequence[Annotation]) -> Decision:
    masks = [decode_coco_rle(answer.masks[OBJECT], record=image_id) for answer in given]
    ious = {pair: mask_iou(masks[pair[0]], masks[pair[1]]) for pair in combinations(range(len(given)), 2)}
    worst = min(ious.values())
    if worst < AGREEING_IOU:
        return _decision(image_id, "needs_second", f"object masks differ: IoU {worst:.3f}")
    differing = sorted(
        name
        for name in {name for answer in given for name in answer.attributes}
        # None is unsure, or not answered: it contradicts nothing.
        if {True, False} <= {answer.attributes.get(name) for answer in given}
    )
    if differing:
        return _decision(image_id, "needs_second", f"attributes differ: {', '.join(differing)}")
    closeness = [
        # Of two, both are as near: the one that says more of the attributes.
        (sum(iou for pair, iou in ious.items() if index in pair), _answered_attributes(answer))
        for index, answer in enumerate(given)
    ]
    return _decision(image_id, "accepted", f"{len(given)} answers agree", given[closeness.index(max(closeness))])


def _answered_attributes(answer: Annotation) -> int:
    """Number of attributes that an answer does not leave open."""
    return sum(value is not None for value in answer.attributes.values())


def _decision(image_id: str, state: DecisionState, reason: str, answer: Annotation | None = None) -> Decision:
    return Decision(image_id=image_id, state=state, reason=reason, annotation_id=answer.annotation_id if answer else "")
