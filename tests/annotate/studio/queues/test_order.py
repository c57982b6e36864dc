"""The order of a project's photos, as push and ``up`` leave it for the interactive SAM."""

from __future__ import annotations

from pathlib import Path

import pytest

from figureground.annotate.studio.queues.order import note_queue, read_queues

A, B, C = "a" * 32, "b" * 32, "c" * 32


def test_photos_stand_in_the_order_of_their_tasks_however_they_came(tmp_path: Path) -> None:
    note_queue(tmp_path / "queues", 7, {A: 12, B: 3})
    note_queue(tmp_path / "queues", 7, {C: 10})
    note_queue(tmp_path / "queues", 11, {A: 1})
    queues = read_queues(tmp_path / "queues")
    assert set(queues) == {7, 11}
    assert (queues[7].tasks, queues[7].image_ids, queues[7].begin) == ((3, 10, 12), (B, C, A), 0)


def test_a_queue_begins_with_the_first_task_without_an_answer(tmp_path: Path) -> None:
    note_queue(tmp_path, 1, {A: 3, B: 5}, begin=5)
    assert read_queues(tmp_path)[1].begin == 1
    note_queue(tmp_path, 1, {C: 9})
    assert read_queues(tmp_path)[1].begin == 1
    note_queue(tmp_path, 1, {}, begin=10)
    assert read_queues(tmp_path)[1].begin == 3


@pytest.mark.parametrize("text", ["", "{", "[]", '{"photos": {"a": "x"}}', '{"next": -1}', "\xff"])
def test_a_damaged_queue_is_empty_and_is_written_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / "1.json").write_bytes(text.encode("latin-1"))
    (tmp_path / "notes.txt").write_text("not a queue")
    (tmp_path / "x.json").write_text("{}")
    assert read_queues(tmp_path)[1].image_ids == ()
    note_queue(tmp_path, 1, {A: 1})
    assert read_queues(tmp_path)[1].image_ids == (A,)
    assert set(read_queues(tmp_path)) == {1}


def test_nothing_pushed_is_no_queue(tmp_path: Path) -> None:
    assert read_queues(tmp_path / "none") == {}
