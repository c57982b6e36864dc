"""Flags from whoever looks at a dataset: they are answers of named people, and decide as others do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError
from sheet_samples import make_workspace

from figureground.annotate.decisions import decide, news_of
from figureground.annotate.flagging import Flag, flag_photo
from figureground.errors import UsageError
from figureground.schemas.records import Annotation
from figureground.schemas.store.workspace import Workspace


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Workspace]:
    with make_workspace(tmp_path, 2) as workspace:
        yield workspace


@pytest.fixture
def photo(store: Workspace) -> str:
    return next(store.images()).image_id


def flag(photo: str, state: str, person: str = "Ada", note: str = "") -> Flag:
    return Flag.model_validate({"image_id": photo, "state": state, "person": person, "note": note})


def accept(store: Workspace, photo: str, purpose: str = "first_look", year: int = 2025) -> None:
    proposal = next(store.proposals(photo))
    answer = Annotation(
        annotation_id=f"{purpose} of {photo}",
        updated_at=f"{year}-05-01T10:00:00.000001Z",
        image_id=photo,
        masks={"object": proposal.rle},
        attributes={},
        flags=(),
        annotator=f"of a {purpose}",
        seconds=1.0,
        tool="drawn",
        proposal_id="",
        edit_iou=None,
        purpose=purpose,  # type: ignore[arg-type]
    )
    store.add_answer(answer, news_of(store.decision(photo), answer, list(store.annotations(photo))))


def state(store: Workspace, photo: str) -> tuple[str, str] | None:
    decision = store.decision(photo)
    return None if decision is None else (decision.state, decision.reason)


def test_one_person_s_doubt_asks_for_a_second_look_and_two_of_them_decide(store: Workspace, photo: str) -> None:
    accept(store, photo)
    flagged = flag_photo(store, flag(photo, "wrong_label", note="a cat"))
    assert flagged.changed
    assert state(store, photo) == ("needs_second", "flagged wrong_label")
    flag_photo(store, flag(photo, "wrong_label", person="Ben"))
    (first, second) = [answer for answer in store.annotations(photo) if answer.tool == "view"]
    assert first.note == "a cat" or second.note == "a cat"
    assert first.annotator != second.annotator
    assert {first.annotator, second.annotator}.isdisjoint({"Ada", "Ben"})
    assert len(store.decisions()) == 1


def test_without_another_answer_two_people_s_doubt_is_the_state(store: Workspace, photo: str) -> None:
    flag_photo(store, flag(photo, "not_localisable"))
    assert state(store, photo) == ("needs_second", "flagged not_localisable")
    flag_photo(store, flag(photo, "not_localisable", person="Ben"))
    assert state(store, photo) == ("not_localisable", "flagged by 2")


def test_a_later_flag_supersedes_and_one_that_is_taken_back_counts_no_more(store: Workspace, photo: str) -> None:
    accept(store, photo)
    for word in ("wrong_label", "needs_second", "needs_second", "taken_back"):
        flag_photo(store, flag(photo, word))
    own = [answer for answer in store.annotations(photo) if answer.tool == "view"]
    assert [(answer.state, answer.flags) for answer in own] == [
        ("submitted", ("wrong_label",)),
        ("submitted", ("needs_second",)),
        ("submitted", ("needs_second",)),
        ("skipped", ()),
    ]
    assert sorted({answer.updated_at for answer in own}) == [answer.updated_at for answer in own]
    assert state(store, photo) == ("accepted", "one answer")
    assert not flag_photo(store, flag(photo, "taken_back")).changed


def test_what_a_second_look_settled_is_in_doubt_again(store: Workspace, photo: str) -> None:
    flag_photo(store, flag(photo, "wrong_label"))
    accept(store, photo, "second_look", year=3000)
    assert state(store, photo) == ("accepted", "second look")
    assert flag_photo(store, flag(photo, "needs_second", person="Ben")).changed
    assert state(store, photo) == ("needs_second", "flagged needs_second when it was settled")
    flag_photo(store, flag(photo, "wrong_label", person="Cid"))
    assert state(store, photo) == ("needs_second", "flagged needs_second, wrong_label when it was settled")
    flag_photo(store, flag(photo, "taken_back", person="Cid"))
    assert state(store, photo) == ("needs_second", "flagged needs_second when it was settled")


def test_what_was_settled_and_flagged_stays_in_doubt_until_a_later_second_look_or_it_is_taken_back(
    store: Workspace, photo: str
) -> None:
    accept(store, photo, "second_look")
    flag_photo(store, flag(photo, "wrong_label"))
    accept(store, photo, "honeypot", year=2999)
    accept(store, photo, "first_look", year=2999)
    answers = list(store.annotations(photo))
    assert state(store, photo) == ("needs_second", "flagged wrong_label when it was settled")
    assert decide(photo, answers) == store.decision(photo)
    flag_photo(store, flag(photo, "taken_back"))
    assert state(store, photo) == ("accepted", "second look")
    flag_photo(store, flag(photo, "wrong_label"))
    accept(store, photo, "second_look", year=3000)
    assert state(store, photo) == ("accepted", "second look")


def test_the_same_name_in_another_spelling_is_the_same_person(store: Workspace, photo: str) -> None:
    flag_photo(store, flag(photo, "wrong_label", person="Zoe\u0308"))
    flag_photo(store, flag(photo, "wrong_label", person=" Zo\u00eb "))
    assert state(store, photo) == ("needs_second", "flagged wrong_label")


def test_a_photo_of_another_workspace_is_named(store: Workspace, photo: str) -> None:
    with pytest.raises(UsageError, match=r"0{32}: not a photo of the workspace work"):
        flag_photo(store, flag("0" * 32, "wrong_label"))
    with pytest.raises(UsageError, match="nobody of this name"):
        flag_photo(store, flag(photo, "taken_back"))
    assert list(store.annotations()) == []


@pytest.mark.parametrize(
    "change",
    [
        {"state": "accepted"},
        {"person": "  "},
        {"person": "a\nb"},
        {"note": "x" * 501},
        {"note": "\x1b[0m"},
        {"more": 1},
    ],
)
def test_what_is_no_flag_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Flag.model_validate({"image_id": "0" * 32, "state": "wrong_label", "person": "Ada", **change})
