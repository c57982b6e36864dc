"""What answers decide: a table of everything that people can say of one photo."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from strategies import square_mask

from figureground.annotate.decisions import AGREEING_IOU, accepted_state, decide, newest_answers, news_of
from figureground.schemas.rasters.masks import Box, encode_coco_rle
from figureground.schemas.records import Annotation, Decision

SIZE = (100, 100)
WHOLE: Box = (10, 10, 60, 60)
NEAR: Box = (10, 10, 60, 58)  # IoU 0.96 with WHOLE
NEARER: Box = (10, 10, 60, 59)  # between the two
FAR: Box = (10, 10, 60, 50)  # IoU 0.8 with WHOLE


def first(
    who: str, *flags: str, at: int = 1, box: Box | None = WHOLE, number: str | None = None, **changes: Any
) -> Annotation:
    """An answer of somebody at some minute."""
    answer = Annotation(
        annotation_id=number or f"by-{who}",
        updated_at=f"2026-05-01T10:{at:02}:00.000001Z",
        image_id="photo",
        masks={} if box is None else {"object": encode_coco_rle(square_mask(SIZE, box))},
        attributes={"wet": True},
        flags=flags,
        annotator=who,
        seconds=1.0,
        tool="",
        proposal_id="",
        edit_iou=None,
    )
    return replace(answer, **changes)


def second(who: str, *flags: str, at: int = 9, box: Box | None = WHOLE, **changes: Any) -> Annotation:
    """An answer of somebody who was shown the earlier ones."""
    return first(who, *flags, at=at, box=box, **{"number": f"second-{who}", "purpose": "second_look", **changes})


def added(who: str, *flags: str, at: int = 10, box: Box | None = WHOLE, **changes: Any) -> Annotation:
    """An answer of somebody who was asked what was added after the photo was decided."""
    return first(who, *flags, at=at, box=box, **{"number": f"added-{who}", "purpose": "new_attributes", **changes})


CASES: dict[str, tuple[list[Annotation], tuple[str, str, str] | None]] = {
    "nobody": ([], None),
    "a draft": ([first("a", state="draft")], None),
    "a skip": ([first("a", state="skipped", box=None)], None),
    "one": ([first("a")], ("accepted", "one answer", "by-a")),
    "one, and a draft of another": (
        [first("a"), first("b", state="draft", at=2, box=FAR)],
        ("accepted", "one", "by-a"),
    ),
    "one, and a skip of another": ([first("a"), first("b", state="skipped", at=2)], ("accepted", "one answer", "by-a")),
    "a flag that only describes": ([first("a", "class_visible_outside")], ("accepted", "one answer", "by-a")),
    "one without a mask": ([first("a", box=None)], ("needs_second", "without an object mask", "")),
    "one without the object": (
        [first("a", masks={"tail": encode_coco_rle(np.ones(SIZE, dtype=np.bool_))})],
        ("needs_second", "without an object mask", ""),
    ),
    "a doubt": ([first("a", "wrong_label")], ("needs_second", "flagged wrong_label", "")),
    "a doubt, no mask": ([first("a", "confirmed_empty", box=None)], ("needs_second", "flagged confirmed_empty", "")),
    "several doubts": (
        [first("a", "wrong_label", "not_localisable")],
        ("needs_second", "flagged not_localisable, wrong_label", ""),
    ),
    "two agree": ([first("a"), first("b", box=NEAR)], ("accepted", "2 answers agree", "by-a")),
    "two differ": ([first("a"), first("b", box=FAR)], ("needs_second", "object masks differ: IoU 0.800", "")),
    "one of three differs": (
        [first("a"), first("b", box=NEAR), first("c", box=FAR)],
        ("needs_second", "masks differ: IoU 0.800", ""),
    ),
    "the middle one of three": (
        [first("a"), first("b", box=NEAR), first("c", box=NEARER)],
        ("accepted", "3 answers agree", "by-c"),
    ),
    "attributes differ": (
        [first("a"), first("b", attributes={"wet": False})],
        ("needs_second", "attributes differ: wet", ""),
    ),
    "one is unsure": ([first("a"), first("b", attributes={"wet": None})], ("accepted", "2 answers agree", "by-a")),
    "the other one is unsure": (
        [first("a", attributes={"wet": None}), first("b")],
        ("accepted", "2 answers agree", "by-b"),
    ),
    "one was not asked": ([first("a", attributes={}), first("b")], ("accepted", "2 answers agree", "by-b")),
    "two of three say the opposite": (
        [first("a"), first("b", attributes={"wet": None}), first("c", attributes={"wet": False})],
        ("needs_second", "attributes differ: wet", ""),
    ),
    "a honeypot": ([first("a", purpose="honeypot")], None),
    "a honeypot that was taken back": (
        [first("a", purpose="honeypot", number="1"), first("a", purpose="honeypot", number="1", at=2, state="skipped")],
        None,
    ),
    "a honeypot beside an answer": (
        [first("a"), first("b", "wrong_label", purpose="honeypot", box=FAR)],
        ("accepted", "one answer", "by-a"),
    ),
    "new attributes": (
        [first("a"), added("b", attributes={"wet": True, "tall": True})],
        ("accepted", "new attributes answered", "added-b"),
    ),
    "new attributes of a second look": (
        [first("a"), first("b", box=FAR), second("c"), added("a", at=12)],
        ("accepted", "new attributes answered", "added-a"),
    ),
    "new attributes, and an older mask that was mended since": (
        [first("a", at=30), added("b", at=20)],
        ("accepted", "one answer", "by-a"),
    ),
    "new attributes with a doubt": ([first("a"), added("b", "wrong_label")], ("needs_second", "flagged wrong", "")),
    "new attributes without a mask": ([first("a"), added("b", box=None)], ("needs_second", "without an object", "")),
    "new attributes that were skipped": ([first("a"), added("b", state="skipped")], ("accepted", "one answer", "by-a")),
    "new attributes of what is in doubt": (
        [first("a", "wrong_label"), added("b")],
        ("needs_second", "flagged wrong_label", ""),
    ),
    "new attributes of nothing": ([added("b")], None),
    "one has a mask": ([first("a"), first("b", box=None)], ("needs_second", "without an object mask", "")),
    "one of two doubts": ([first("a"), first("b", "wrong_label")], ("needs_second", "flagged wrong_label", "")),
    "two share a doubt": (
        [first("a", "wrong_label"), first("b", "needs_second", "wrong_label")],
        ("wrong_label", "flagged by 2", ""),
    ),
    "two ask for a second": (
        [first("a", "needs_second"), first("b", "needs_second")],
        ("needs_second", "flagged needs_second", ""),
    ),
    "two have different doubts": (
        [first("a", "wrong_label"), first("b", "confirmed_empty")],
        ("needs_second", "flagged confirmed_empty, wrong_label", ""),
    ),
    "two of three share a doubt": (
        [first("a", "wrong_label"), first("b", "wrong_label"), first("c")],
        ("needs_second", "flagged wrong_label", ""),
    ),
    "one person twice is one person": (
        [first("a", "wrong_label", number="1"), first("a", "wrong_label", at=2, number="2")],
        ("needs_second", "flagged wrong_label", ""),
    ),
    "a mind that changed": ([first("a", "wrong_label"), first("a", at=2)], ("accepted", "one answer", "by-a")),
    "an answer that was taken back": (
        [first("a"), first("a", at=2, state="skipped")],
        ("needs_second", "answered, then skipped", ""),
    ),
    "a second look that was mended after another": (
        [second("c", at=3), second("d", "wrong_label", at=4), second("c", at=5)],
        ("accepted", "second look", "second-c"),
    ),
    "a disagreement that was taken back": (
        [first("a"), first("b", box=FAR), first("b", at=2, state="skipped")],
        ("accepted", "one answer", "by-a"),
    ),
    "a draft does not take back": ([first("a"), first("a", at=2, state="draft")], ("accepted", "one answer", "by-a")),
    "a second look settles": (
        [first("a"), first("b", box=FAR), second("c", box=NEAR)],
        ("accepted", "second look", "second-c"),
    ),
    "a second look with a doubt": (
        [first("a"), first("b", box=FAR), second("c", "confirmed_empty", box=None)],
        ("confirmed_empty", "flagged in the second look", ""),
    ),
    "a second look that asks for another": (
        [first("a"), second("c", "needs_second")],
        ("needs_second", "flagged in the second look", ""),
    ),
    "a second look without a mask": (
        [first("a", "needs_second"), second("c", box=None)],
        ("needs_second", "second look without an object mask", ""),
    ),
    "a second look that was skipped": (
        [first("a"), first("b", box=FAR), second("c", state="skipped")],
        ("needs_second", "object masks differ", ""),
    ),
    "a second look in draft": ([first("a", "needs_second"), second("c", state="draft")], ("needs_second", "flag", "")),
    "a later first look does not unsettle": (
        [second("c", at=3), first("a", "wrong_label", at=5)],
        ("accepted", "second look", "second-c"),
    ),
    "the later of two second looks": (
        [second("c", at=3), second("d", "wrong_label", at=4)],
        ("wrong_label", "flagged in the second look", ""),
    ),
    "one's own second look settles nothing": (
        [first("a", "needs_second"), second("a")],
        ("needs_second", "flagged needs_second", ""),
    ),
    "one's own second look, beside somebody else's": (
        [first("a", "needs_second"), second("c", at=3), second("a", "wrong_label", at=4)],
        ("accepted", "second look", "second-c"),
    ),
    "one's own second look, on the maintainer's word": (
        [first("a", "needs_second"), second("a", purpose="authors_look")],
        ("accepted", "second look", "second-a"),
    ),
    "a second look does not count among the answers that are compared": (
        [first("a"), first("b"), second("a", "wrong_label")],
        ("accepted", "2 answers agree", "by-a"),
    ),
}


@pytest.mark.parametrize("kind", CASES)
def test_answers_decide(kind: str) -> None:
    answers, expected = CASES[kind]
    for ordered in permutations(answers):
        decision = decide("photo", ordered)
        if expected is None:
            assert decision is None
            continue
        assert decision is not None
        state, reason, accepted = expected
        assert (decision.image_id, decision.state, decision.annotation_id) == ("photo", state, accepted)
        assert reason in decision.reason


AWAITED: dict[str, tuple[list[Annotation], int, str | None]] = {
    "the second of two": ([first("a")], 1, None),
    "nobody any more": ([first("a")], 0, "accepted"),
    "a doubt waits too": ([first("a", "wrong_label")], 1, None),
    "both are there": ([first("a"), first("b", box=FAR)], 0, "needs_second"),
    "a second look does not wait": ([first("a"), second("c")], 1, "accepted"),
    "nothing was said": ([], 1, None),
}


@pytest.mark.parametrize("kind", AWAITED)
def test_first_looks_are_waited_for(kind: str) -> None:
    answers, awaited, state = AWAITED[kind]
    decision = decide("photo", answers, awaited=awaited)
    assert (decision.state if decision else None) == state


def test_masks_agree_from_the_threshold_on() -> None:
    for rows, state in ((45, "accepted"), (44, "needs_second")):  # of 50: IoU 0.90 and 0.88
        decision = decide("photo", [first("a"), first("b", box=(10, 10, 60, 10 + rows))])
        assert decision is not None
        assert decision.state == state
    assert AGREEING_IOU == 0.9


def test_newest_answers_are_one_for_each_person_and_purpose() -> None:
    answers = [
        first("b", at=4),
        first("a", at=2, number="old"),
        first("a", at=5, number="new"),
        first("a", at=6, state="draft"),
        second("a", at=3),
        first("c", at=1),
        first("c", at=7, state="skipped"),
        first("d", at=8, state="skipped"),
        first("d", at=9, number="again"),
    ]
    newest = {(answer.annotator, answer.purpose, answer.annotation_id) for answer in newest_answers(answers)}
    assert newest == {
        ("b", "first_look", "by-b"),
        ("a", "first_look", "new"),
        ("a", "second_look", "second-a"),
        ("d", "first_look", "again"),
    }
    assert newest_answers([]) == []


def flagger(who: str, *flags: str, at: int, **changes: Any) -> Annotation:
    """A flag of somebody who looked at the dataset."""
    return first(who, *flags, at=at, box=None, **{"number": f"flag-{who}", "tool": "view", **changes})


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([second("c", at=9), flagger("d", "wrong_label", at=10)], ("needs_second", "flagged wrong_label when it was")),
        ([second("c", at=9), flagger("d", "wrong_label", at=8)], ("accepted", "second look")),
        ([second("c", at=9), flagger("d", at=11, state="skipped")], ("accepted", "second look")),
        ([second("c", at=9), flagger("d", "wrong_label", at=10), second("e", at=11)], ("accepted", "second look")),
        (
            [second("c", at=9), flagger("d", "wrong_label", at=10), added("b", at=12)],
            ("needs_second", "flagged wrong_label when it was settled"),
        ),
        ([second("c", "confirmed_empty", at=9), flagger("d", "wrong_label", at=10)], ("confirmed_empty", "flagged in")),
    ],
)
def test_a_flag_of_what_was_settled_counts_until_a_later_second_look(
    answers: list[Annotation], expected: tuple[str, str]
) -> None:
    for order in permutations([first("a"), *answers]):
        decision = decide("photo", order)
        assert decision is not None
        assert decision.state == expected[0]
        assert decision.reason.startswith(expected[1])


LEAKS = Decision(image_id="photo", state="needs_second", reason="the mask may leave figure", annotation_id="by-a")


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (first("a", at=5), None),
        (first("b", box=NEAR), None),
        (first("b", box=FAR), None),
        (first("b", purpose="honeypot"), None),
        (first("b", state="draft"), None),
        (second("a"), None),  # it settles nothing
        (second("c", state="skipped"), None),
        (second("c"), "accepted"),
        (second("c", "wrong_label"), "wrong_label"),
        (second("c", box=None), "needs_second"),
        (added("a"), None),
    ],
)
def test_a_doubt_that_no_answer_raised_stands_until_a_second_look(answer: Annotation, state: str | None) -> None:
    news = news_of(LEAKS, answer, [first("a")])
    assert (news.state if news else None) == state


def test_the_accepted_answer_is_its_newest_submitted_state() -> None:
    accepted = Decision(image_id="photo", state="accepted", reason="", annotation_id="by-a")
    mended = first("a", at=3, box=NEAR)
    states = [mended, first("a", at=2), first("a", at=4, state="skipped"), first("b", at=9)]
    assert accepted_state(states, accepted) == mended
    assert accepted_state(states, LEAKS) is None
    assert accepted_state(states, None) is None
    assert accepted_state([*states, first("a", at=5, box=None)], accepted) is None
