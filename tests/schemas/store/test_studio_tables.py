"""What is remembered of Label Studio: the newest row counts, nothing is overwritten, a takedown takes all of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from studio_samples import SERVER, make_photo, make_schema, note_project

from figureground.schemas.records import Annotation, AnswerState, StudioTeam
from figureground.schemas.store.workspace import Workspace

A, B = make_photo("a"), make_photo("b")
TEAM = StudioTeam(annotators=("ada", "ben"), heirs={"cleo": "ada"}, overlap="0.1", honeypots=2, entry_test=1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create(tmp_path) as workspace:
        workspace.add_images([A, B])
        yield workspace


def rows(store: Workspace, table: str) -> int:
    return int(store._db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def given(state: AnswerState = "submitted", *, at: str = "2026-01-01T00:00:00.000000Z", name: str = "n") -> Annotation:
    return Annotation(
        annotation_id=name,
        updated_at=at,
        image_id=A.image_id,
        masks={},
        attributes={},
        flags=(),
        annotator="p",
        seconds=1.0,
        tool="",
        proposal_id="",
        edit_iou=None,
        state=state,
    )


def test_the_newest_team_counts_and_the_same_is_no_news(store: Workspace) -> None:
    assert store.studio_team(SERVER) is None
    for _ in range(2):
        store.set_studio_team(SERVER, TEAM)
        assert store.studio_team(SERVER) == TEAM
    more = replace(TEAM, annotators=("ada", "ben", "cleo"), heirs={})
    store.set_studio_team(SERVER, more)
    assert store.studio_team(SERVER) == more
    assert store.studio_team("another") is None
    assert rows(store, "studio_teams") == 2


def test_a_task_that_was_taken_back_is_there_no_more_and_may_come_again(store: Workspace) -> None:
    store.add_studio_tasks(SERVER, 7, {A.image_id: 1, B.image_id: 2})
    store.withdraw_studio_tasks(SERVER, 7, {A.image_id: 1})
    assert store.studio_tasks(SERVER, 7) == {B.image_id: 2}
    assert store.withdrawn_studio_tasks(SERVER, 7) == {A.image_id: 1}
    store.add_studio_tasks(SERVER, 7, {A.image_id: 3, B.image_id: 4})
    assert store.studio_tasks(SERVER, 7) == {A.image_id: 3, B.image_id: 4}
    assert store.studio_task_counts(SERVER, 7) == {A.image_id: 1, B.image_id: 2}
    assert store.studio_tasks(SERVER, 8) == store.studio_tasks("another", 7) == {}


def test_a_deleted_project_is_left_out_until_it_is_there_again(store: Workspace) -> None:
    note_project(store, make_schema(), since="2026-01-01T00:00:00Z")
    for present, known in ((True, {7}), (False, set()), (False, set()), (True, {7}), (False, set())):
        store.note_studio_presence(SERVER, 7, present=present)
        assert set(store.studio_projects(SERVER)) == known
        assert set(store.studio_projects(SERVER, deleted=True)) == {7}
    assert rows(store, "studio_presence") == 3


def test_answers_are_noted_by_project_as_they_change(store: Workspace) -> None:
    assert store.add_answer(given(), None, given_in=(SERVER, 7))
    assert not store.add_answer(given(), None, given_in=(SERVER, 7))
    assert store.add_answer(given("skipped", at="2026-01-02T00:00:00.000000Z"), None, given_in=(SERVER, 7))
    assert store.add_answer(given(name="m"), None)  # imported: in no project
    assert list(store.studio_answers(SERVER)) == [(7, A.image_id, "n", "submitted"), (7, A.image_id, "n", "skipped")]
    assert list(store.studio_answers("another")) == []


def test_a_takedown_takes_all_of_a_photo(store: Workspace) -> None:
    store.add_studio_pairs(SERVER, [A.image_id, B.image_id, A.image_id])
    store.add_studio_honeypots(SERVER, 7, [A.image_id, B.image_id])
    store.add_studio_tasks(SERVER, 7, {A.image_id: 1})
    store.withdraw_studio_tasks(SERVER, 7, {A.image_id: 1})
    store.add_answer(given(), None, given_in=(SERVER, 7))
    assert store.studio_pairs(SERVER) == {A.image_id, B.image_id}
    assert store.studio_honeypots(SERVER) == {(7, A.image_id), (7, B.image_id)}
    store.forget(A.image_id)
    assert store.studio_pairs(SERVER) == {B.image_id}
    assert store.studio_honeypots(SERVER) == {(7, B.image_id)}
    for table in ("studio_tasks", "studio_withdrawals", "studio_answers"):
        assert rows(store, table) == 0
