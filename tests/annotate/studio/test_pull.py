"""Pull from an export: every answer once, what it decides with it, and every damaged one named while good ones stay."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from studio_samples import (
    PROJECT,
    Json,
    block_mask,
    make_answer,
    make_draft,
    make_export,
    make_photo,
    make_proposal,
    make_schema,
    note_project,
    noted,
    painted,
    said_of,
    store_proposal,
    ticked,
    untouched,
    write_export,
)

from figureground.annotate.studio.pull import PullReport, pull_export
from figureground.errors import DataError, UsageError
from figureground.schemas.attributes import AttributeSchema
from figureground.schemas.rasters.masks import encode_brush_rle
from figureground.schemas.records import Decision
from figureground.schemas.store.workspace import Workspace

A, B, C = make_photo("a"), make_photo("b"), make_photo("c")
SENT = block_mask(A.size_hw)
SCHEMA = make_schema(local=["horns"], ticked=["wet"])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create(tmp_path) as workspace:
        workspace.add_images([A, B])
        for image in (A, B):
            store_proposal(workspace, make_proposal(image))
        yield workspace


def same(image: Any = A) -> Json:
    return untouched(image, make_proposal(image), SENT)


def smaller() -> Json:
    """Another object than the one that was sent."""
    mask = SENT.copy()
    mask[:8] = False
    return painted(mask, region_id=make_proposal(A).proposal_id, origin="prediction-changed")


def export(*answers: Json, image: Any = A, drafts: list[Json] | None = None, **changes: Any) -> Json:
    return {**make_export(image, answers, proposal=make_proposal(image), drafts=drafts or []), **changes}


def pull(store: Workspace, *tasks: Any, schema: AttributeSchema | None = SCHEMA) -> PullReport:
    return pull_export(store, write_export(store.root / "export.json", list(tasks)), schema=schema)


def state_of(store: Workspace, image: Any = A) -> tuple[str, str] | None:
    decision = store.decision(image.image_id)
    return None if decision is None else (decision.state, decision.reason)


def decision_count(store: Workspace) -> int:
    return int(store._db.execute("SELECT count(*) FROM decisions").fetchone()[0])


# Answers


def test_an_answer_is_stored_and_accepted(store: Workspace) -> None:
    report = pull(store, export(make_answer([same()])), export(image=B))
    assert (report.tasks, dict(report.answers), dict(report.decisions)) == (2, {"submitted": 1}, {"accepted": 1})
    (answer,) = store.annotations()
    assert answer.masks == {"object": make_proposal(A).rle}
    assert answer.attributes == {"horns": None, "wet": False}
    assert (answer.changed_px, answer.attribute_schema) == (0, "animals@1")
    assert state_of(store) == ("accepted", "one answer")
    decision = store.decision(A.image_id)
    assert decision is not None
    assert decision.annotation_id == answer.annotation_id
    assert state_of(store, B) is None


def test_the_same_answers_again_change_nothing(store: Workspace) -> None:
    tasks = [
        export(make_answer([same()]), make_answer([], number=2, person=4, was_cancelled=True)),
        export(make_answer([smaller()], number=3), image=B, drafts=[make_draft([same(B)])]),
    ]
    first = pull(store, *tasks)
    assert dict(first.answers) == {"submitted": 2, "skipped": 1, "draft": 1}
    before = (list(store.annotations()), decision_count(store))
    again = pull(store, *tasks)
    assert (again.tasks, dict(again.answers), dict(again.decisions)) == (2, {}, {})
    assert (list(store.annotations()), decision_count(store)) == before


def test_a_changed_answer_is_a_new_row(store: Workspace) -> None:
    pull(store, export(make_answer([same()])))
    edited = make_answer([smaller()], updated_by=9, updated_at="2026-05-01T11:00:00.000001Z")
    report = pull(store, export(edited))
    assert (dict(report.answers), report.edited_by_others) == ({"submitted": 1}, 1)
    assert dict(report.decisions) == {}  # still the one answer of the one person
    first, second = store.annotations()
    assert first.annotation_id == second.annotation_id
    assert (first.changed_px, second.changed_px) == (0, 60)
    assert (first.edited_by, second.annotator) == ("", first.annotator)
    assert second.edited_by not in ("", first.annotator)


def test_a_changed_answer_changes_the_decision(store: Workspace) -> None:
    pull(store, export(make_answer([same()])))
    doubt = make_answer([same(), ticked("flags", "wrong_label")], updated_at="2026-05-01T11:00:00.000001Z")
    assert dict(pull(store, export(doubt)).decisions) == {"needs_second": 1}
    assert state_of(store) == ("needs_second", "flagged wrong_label")
    again = make_answer([same()], updated_at="2026-05-01T12:00:00.000001Z")
    assert dict(pull(store, export(again)).decisions) == {"accepted": 1}
    assert decision_count(store) == 3


def test_an_old_export_does_not_undo_a_newer_answer(store: Workspace) -> None:
    doubt = make_answer([same(), ticked("flags", "wrong_label")], updated_at="2026-05-01T11:00:00.000001Z")
    pull(store, export(doubt))
    report = pull(store, export(make_answer([same()])))
    assert (dict(report.answers), dict(report.decisions)) == ({"submitted": 1}, {})
    assert state_of(store) == ("needs_second", "flagged wrong_label")


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ([same()], ("accepted", "2 answers agree")),
        ([smaller()], ("needs_second", "object masks differ: IoU 0.700")),
        ([same(), ticked("attributes", "wet")], ("needs_second", "attributes differ: wet")),
        ([], ("needs_second", "submitted without an object mask")),
        ([same(), ticked("flags", "not_localisable")], ("needs_second", "flagged not_localisable")),
    ],
)
def test_two_annotators_agree_or_need_a_second_look(
    store: Workspace, other: list[Json], expected: tuple[str, str]
) -> None:
    one, two = make_answer([same()]), make_answer(other, number=2, person=4, at="06")
    report = pull(store, export(one, two))
    assert dict(report.answers) == {"submitted": 2}
    assert dict(report.decisions) == {expected[0]: 1}  # not what the first alone decided
    assert state_of(store) == expected
    assert len({answer.annotator for answer in store.annotations()}) == 2


def test_answers_of_two_projects_meet(store: Workspace) -> None:
    pull(store, export(make_answer([same()]), id=1, project=7))
    report = pull(store, export(make_answer([smaller()], number=2, person=4, at="06"), id=2, project=8))
    assert dict(report.decisions) == {"needs_second": 1}


def test_drafts_are_kept_and_never_decide(store: Workspace) -> None:
    report = pull(store, export(drafts=[make_draft([same()])]))
    assert (dict(report.answers), dict(report.decisions)) == ({"draft": 1}, {})
    assert state_of(store) is None
    (draft,) = store.annotations()
    assert draft.state == "draft"
    pull(store, export(make_answer([same()]), drafts=[make_draft([smaller()], number=2, at="59")]))
    assert state_of(store) == ("accepted", "one answer")


def test_a_draft_leaves_a_decision_that_was_made_otherwise(store: Workspace) -> None:
    pull(store, export(make_answer([same()])))
    store.decide(Decision(image_id=A.image_id, state="rejected", reason="by hand"))
    pull(store, export(drafts=[make_draft([smaller()], number=2, at="59")]))
    assert state_of(store) == ("rejected", "by hand")


def test_a_skip_decides_nothing(store: Workspace) -> None:
    report = pull(store, export(make_answer([], was_cancelled=True)))
    assert (dict(report.answers), dict(report.decisions)) == ({"skipped": 1}, {})
    assert state_of(store) is None


# Pages


def test_the_page_that_an_answer_was_given_on_says_what_was_asked(store: Workspace) -> None:
    """An attribute that was added later was not denied by those who were never asked."""
    more = make_schema(local=["horns"], ticked=["wet", "hairy"], version="2")
    note_project(store, SCHEMA, since="2026-05-01T10:00:00+00:00")
    note_project(store, more, since="2026-05-01T12:30:00+02:00")
    early = make_answer([same()], at="29")
    late = make_answer([same(B)], updated_at="2026-05-01T10:30:00Z")
    pull(store, export(early), export(late, image=B), schema=None)
    answers = {answer.image_id: answer for answer in store.annotations()}
    assert dict(answers[A.image_id].attributes) == {"horns": None, "wet": False}
    assert dict(answers[B.image_id].attributes) == {"horns": None, "wet": False, "hairy": False}
    assert answers[A.image_id].attribute_schema == "animals@1"
    assert answers[B.image_id].attribute_schema == "animals@2"


def test_an_answer_from_before_the_first_note_is_read_by_it(store: Workspace) -> None:
    note_project(store, SCHEMA, since="2026-06-01T00:00:00+00:00")
    pull(store, export(make_answer([same()])), schema=None)
    assert state_of(store) == ("accepted", "one answer")


@pytest.mark.parametrize("schema", [None, SCHEMA])
def test_a_second_look_settles(store: Workspace, schema: AttributeSchema | None) -> None:
    note_project(store, SCHEMA, since="2026-05-01T10:00:00+00:00")
    note_project(store, SCHEMA, since="2026-05-01T10:00:00+00:00", project=8, purpose="second_look")
    doubt = make_answer([same(), ticked("flags", "needs_second")])
    pull(store, export(doubt), schema=None)
    settled = make_answer([smaller()], number=2, person=4, at="06")
    pull(store, export(settled, project=8), schema=schema)
    assert state_of(store) == ("accepted", "second look")


def test_attributes_that_are_given_win(store: Workspace) -> None:
    note_project(store, SCHEMA, since="2026-05-01T10:00:00+00:00")
    pull(store, export(make_answer([same()])), schema=make_schema(ticked=["tall"], version="9"))
    (answer,) = store.annotations()
    assert (dict(answer.attributes), answer.attribute_schema) == ({"tall": False}, "animals@9")


def test_tasks_of_a_stranger_need_their_attributes_named(store: Workspace) -> None:
    note_project(store, SCHEMA, since="2026-05-01T10:00:00+00:00")
    with pytest.raises(UsageError, match="say with --attributes what was asked"):
        pull(store, export(make_answer([same()]), project=PROJECT + 1), schema=None)
    assert list(store.annotations()) == []


# Faults


def test_damaged_answers_are_named_together_and_bar_their_photos(store: Workspace) -> None:
    store.add_images([C])
    wide, cut = same(), same(B)
    wide["original_width"] = 41
    cut["value"]["rle"] = cut["value"]["rle"][:-3]
    tasks = [
        export(make_answer([wide], number=11), make_answer([same()], number=12, person=4)),
        export(make_answer([cut, said_of(cut, "visible")], number=13), image=B),
        make_export(C, [make_answer([painted(SENT)], number=14)]),
    ]
    for new in (1, 0):  # a second time the good one is there already
        with pytest.raises(DataError) as caught:
            pull(store, *tasks)
        records = [fault.record.split(" region")[0] for fault in caught.value.faults]
        assert sorted(records) == ["photos: a.jpg answer 11", "photos: b.jpg answer 13"]
        assert all(fault.record.endswith(" (task 1)") for fault in caught.value.faults)
        assert [answer.image_id for answer in store.annotations()] == [C.image_id]
        assert state_of(store, C) == ("accepted", "one answer")
        assert (state_of(store), state_of(store, B)) == (None, None)
        assert (caught.value.report.barred, caught.value.report.answers["submitted"]) == (2, new)


def test_answers_for_a_forgotten_photo_are_faults(store: Workspace) -> None:
    store.forget(A.image_id)
    with pytest.raises(DataError, match="it was forgotten here") as caught:
        pull(store, export(make_answer([same()]), id=5), export(make_answer([same(B)], number=2), image=B))
    assert [fault.record for fault in caught.value.faults] == ["task 5"]
    assert [answer.image_id for answer in store.annotations()] == [B.image_id]
    assert dict(pull(store, export()).answers) == {}  # a task that nobody answered is none


def test_a_proposal_that_is_gone_is_none_to_begin_from(store: Workspace) -> None:
    task = export(make_answer([same()]))
    task["data"]["proposal_id"] = "0" * 32
    pull(store, task)
    (answer,) = store.annotations()
    assert (answer.proposal_id, answer.changed_px) == ("", None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "expected Label Studio's JSON export"),
        ("[{", "expected Label Studio's JSON export"),
        ("{}", "a list of tasks with data and annotations, got dict; export as JSON"),
        ("7", "a list of tasks with data and annotations, got int"),
        ("null", "a list of tasks with data and annotations, got NoneType"),
        ('["task"]', "task at place 0: expected Input should be a valid dictionary"),
        ('[{"annotations": []}]', "data: expected a value, got none"),
        ("[[]]", "task at place 0: expected Input should be a valid dictionary"),
        ("\xff\xfe[]", "expected Label Studio's JSON export"),
    ],
)
def test_a_file_that_is_no_export_is_refused(store: Workspace, text: str, expected: str) -> None:
    path = store.root / "export.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=expected) as caught:
        pull_export(store, path, schema=SCHEMA)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_is_refused(store: Workspace) -> None:
    with pytest.raises(UsageError, match=r"absent\.json: cannot be read"):
        pull_export(store, store.root / "absent.json", schema=SCHEMA)


def test_an_empty_export_is_nothing_new(store: Workspace) -> None:
    assert pull(store) == PullReport()


HOSTILE: dict[str, Json] = {
    "another photo's id": {"data": {"image_id": "../../etc/passwd"}},
    "no photo's id": {"data": {}},
    "no data": {"data": None},
    "a list for an id": {"data": {"image_id": [A.image_id]}},
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_task_that_names_no_photo_of_ours_is_a_fault(store: Workspace, kind: str) -> None:
    with pytest.raises(DataError, match=r"task .*expected (a photo of this workspace|Input should be)") as caught:
        pull(store, export(make_answer([same()]), **HOSTILE[kind]), export(make_answer([same(B)], number=2), image=B))
    assert len(caught.value.faults) == 1
    assert [answer.image_id for answer in store.annotations()] == [B.image_id]


@pytest.mark.parametrize("value", [None, [], [None, "text", 7]])
def test_what_is_no_answer_is_passed_over(store: Workspace, value: Any) -> None:
    report = pull(store, export(annotations=value, drafts=value))
    assert (report.tasks, dict(report.answers)) == (1, {})


def test_a_huge_mask_that_is_claimed_is_a_fault_and_no_memory(store: Workspace) -> None:
    bomb = same()
    bomb["value"]["rle"] = [255, 255, 255, 252, *encode_brush_rle(np.zeros((2, 2), dtype=np.bool_))[4:]]
    with pytest.raises(DataError, match=r"expected 4800 values.* got 4294967292"):
        pull(store, export(make_answer([bomb])))


def test_text_of_an_answer_is_stored_as_text(store: Workspace) -> None:
    hostile = "'); DROP TABLE annotations; --"
    note = {"id": "n", "type": "textarea", "from_name": "note", "value": {"text": [hostile]}}
    pull(store, export(make_answer([same(), note])))
    (answer,) = store.annotations()
    assert answer.note == hostile


def with_value(**changes: Any) -> Json:
    region = same()
    region["value"].update(changes)
    return region


def without(field: str) -> Json:
    return {key: value for key, value in make_answer([same()]).items() if key != field}


STRANGE_ANSWERS: dict[str, Json] = {
    "no time": without("updated_at"),
    "a word for a time": make_answer([same()], updated_at="yesterday"),
    "a time without a zone": make_answer([same()], updated_at="2026-05-01T10:05:00"),
    "no id": without("id"),
    "seconds in words": make_answer([same()], lead_time="x"),
    "no number of seconds": make_answer([same()], lead_time=float("nan")),
    "results in words": {**make_answer([]), "result": "abc"},
    "a result that is none": {**make_answer([]), "result": [None]},
    "a list for a value": make_answer([{**same(), "value": [1]}]),
    "a number for labels": make_answer([with_value(brushlabels=5)]),
    "a word for labels": make_answer([with_value(brushlabels="object")]),
    "labels in labels": make_answer([with_value(brushlabels=[["object"]])]),
    "a label that was not asked for": make_answer([with_value(brushlabels=["../../x"])]),
    "half a character": make_answer([same(), noted("\ud800")]),
    "a number for a flag": make_answer([same(), ticked("flags", 5)]),  # type: ignore[arg-type]
    "a flag that was not offered": make_answer([same(), ticked("flags", "whatever")]),
    "a visibility that was not offered": make_answer([same(), said_of(same(), "perhaps")]),
}


@pytest.mark.parametrize("kind", STRANGE_ANSWERS)
def test_a_strange_answer_is_a_fault_and_the_others_are_stored(store: Workspace, kind: str) -> None:
    with pytest.raises(DataError):
        pull(store, export(STRANGE_ANSWERS[kind]), export(make_answer([same(B)], number=2), image=B))
    assert [answer.image_id for answer in store.annotations()] == [B.image_id]


def test_times_count_whether_or_not_their_fractions_are_written(store: Workspace) -> None:
    pull(store, export(make_answer([same(), ticked("flags", "wrong_label")], updated_at="2026-05-01T10:05:00Z")))
    pull(store, export(make_answer([same()], updated_at="2026-05-01T10:05:00.500000Z")))
    assert state_of(store) == ("accepted", "one answer")


def test_an_answer_that_was_taken_back_is_no_longer_accepted(store: Workspace) -> None:
    pull(store, export(make_answer([same()])))
    pull(store, export(make_answer([], was_cancelled=True, updated_at="2026-05-01T11:00:00Z")))
    assert state_of(store) == ("needs_second", "answered, then skipped")
