"""Decisions about photos, made from people's answers. Drafts, skips and machine masks decide nothing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Final

from figureground.schemas.attributes import OBJECT
from figureground.schemas.rasters.masks import decode_coco_rle, mask_iou
from figureground.schemas.records import Annotation, Decision, DecisionState

AGREEING_IOU: Final = 0.9
"""Two object masks of one photo agree from this IoU on. Ours, by choice: corrections of one machine mask mostly differ
at the rim, and a missed part of a tenth of the object does not pass."""

DOUBTS: Final[tuple[DecisionState, ...]] = ("needs_second", "wrong_label", "confirmed_empty", "not_localisable")
"""Flags that put a photo in doubt; once a second person sets the same flag, it becomes the state of the decision."""


def newest_answers(answers: Sequence[Annotation]) -> list[Annotation]:
    """The newest submitted answer of each annotator, the oldest first; a skip after it takes it back."""
    newest: dict[tuple[str, str], Annotation] = {}
    for answer in sorted(answers, key=lambda answer: (answer.updated_at, answer.annotation_id)):
        if answer.state != "draft":
            newest.pop((answer.annotator, answer.purpose), None)  # a replaced value would keep its old place
            newest[answer.annotator, answer.purpose] = answer
    return [answer for answer in newest.values() if answer.state == "submitted"]


def decide(image_id: str, answers: Sequence[Annotation]) -> Decision | None:
    """The decision that a photo's answers make; None where nobody ever submitted one.

    One unflagged answer with a mask is accepted, and so are several that agree (the one nearest to the others).
    Disagreement, and a doubt of one person, need a second look. A second look of somebody else settles: its mask is
    accepted, or its flag becomes the decision; so does a flag that two people set.
    """
    newest = newest_answers(answers)
    given = [answer for answer in newest if answer.purpose == "first_look"]
    settled = [answer for answer in newest if answer.purpose != "first_look" and settles(answer, given)]
    if settled:
        return _settle(image_id, settled[-1])
    if not given:
        taken_back = any(answer.state == "submitted" for answer in answers)
        return _decision(image_id, "needs_second", "answered, then skipped") if taken_back else None
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

    Args:
        look: A second look.
        given: The newest answers to its photo; those of first looks are what is in doubt.
    """
    authors = {answer.annotator for answer in given if answer.purpose == "first_look"}
    return look.purpose == "authors_look" or look.annotator not in authors


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
        if len({answer.attributes.get(name) for answer in given}) > 1
    )
    if differing:
        return _decision(image_id, "needs_second", f"attributes differ: {', '.join(differing)}")
    closeness = [sum(iou for pair, iou in ious.items() if index in pair) for index in range(len(given))]
    return _decision(image_id, "accepted", f"{len(given)} answers agree", given[closeness.index(max(closeness))])


def _decision(image_id: str, state: DecisionState, reason: str, answer: Annotation | None = None) -> Decision:
    return Decision(image_id=image_id, state=state, reason=reason, annotation_id=answer.annotation_id if answer else "")
