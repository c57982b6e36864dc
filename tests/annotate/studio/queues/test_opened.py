"""What annotators open, told by the log of Label Studio's server."""

from __future__ import annotations

from pathlib import Path

import pytest

from figureground.annotate.studio.queues import opened
from figureground.annotate.studio.queues.opened import Opened, ServerLog
from figureground.annotate.studio.queues.order import Queue

A, B, C = "a" * 32, "b" * 32, "c" * 32
NEXT = '"POST /api/dm/actions?id=next_task&tabID=1&project={} HTTP/1.1" 200 20454'
PHOTO = '"GET /data/local-files/?d=photos/{}.jpg HTTP/1.1" {} 0'
TABLE = '"GET /api/tasks?page=1&page_size=30&view=1&project=1 HTTP/1.1" 200 21217'


class Log:
    """A log as Label Studio 1.23.2 writes it: every line twice."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = 0

    def write(self, *requests: str) -> None:
        with self.path.open("a") as log:
            for request in requests:
                self.lines += 1
                line = f"[2026-11-29 11:01:15,{self.lines:03}] [django.server::log_message::213] [INFO] {request}\n"
                log.write(line * 2)


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "server.log")


def test_a_photo_of_a_stream_is_told_from_those_of_the_table(log: Log) -> None:
    reader = ServerLog(log.path)
    assert list(reader.opened()) == []
    log.write(TABLE, PHOTO.format(A, 200), PHOTO.format(B, 200))
    assert list(reader.opened()) == []
    log.write(NEXT.format(4), PHOTO.format(B, 304), PHOTO.format(A, 200))
    assert list(reader.opened()) == [Opened(project=4, image_id=B)]


def test_pictures_of_earlier_answers_are_not_the_photo_that_is_open(log: Log) -> None:
    log.write(NEXT.format(4), PHOTO.format(f"answer-{A}-0123456789ab", 200), PHOTO.format(A, 200))
    assert list(ServerLog(log.path).opened()) == [Opened(project=4, image_id=A)]


def test_two_streams_at_once(log: Log) -> None:
    log.write(NEXT.format(4), NEXT.format(5), PHOTO.format(A, 200), PHOTO.format(B, 200))
    assert list(ServerLog(log.path).opened()) == [Opened(project=4, image_id=A), Opened(project=5, image_id=B)]


def queue_of(*image_ids: str) -> Queue:
    return Queue(tasks=tuple(range(1, len(image_ids) + 1)), image_ids=image_ids, begin=0)


def test_of_two_who_ask_within_a_second_each_gets_a_photo_of_its_own_queue(log: Log) -> None:
    """The first to ask is the last whose photo is loaded."""
    queues = {4: queue_of(A), 5: queue_of(B, C)}
    reader = ServerLog(log.path)
    log.write(NEXT.format(4), NEXT.format(5), PHOTO.format(B, 200), PHOTO.format(A, 200))
    assert list(reader.opened(queues)) == [Opened(project=5, image_id=B), Opened(project=4, image_id=A)]
    log.write(NEXT.format(4), NEXT.format(5), PHOTO.format("d" * 32, 200))  # a table's, which nobody asked for
    assert list(reader.opened(queues)) == []
    log.write(PHOTO.format(C, 200), PHOTO.format(B, 200))
    assert list(reader.opened(queues)) == [Opened(project=5, image_id=C)]
    log.write(PHOTO.format(A, 200))
    assert list(reader.opened(queues)) == [Opened(project=4, image_id=A)]


def test_of_a_photo_in_both_queues_whoever_asked_first_is_taken_for_its_reader(log: Log) -> None:
    queues = {4: queue_of(B), 5: queue_of(A, B), 6: queue_of(A)}
    log.write(*(NEXT.format(project) for project in (4, 6, 5)), PHOTO.format(A, 200), PHOTO.format(A, 200))
    assert list(ServerLog(log.path).opened(queues)) == [Opened(project=6, image_id=A), Opened(project=5, image_id=A)]


def test_a_project_whose_queue_is_not_known_may_have_any_photo(log: Log) -> None:
    log.write(NEXT.format(7), NEXT.format(4), PHOTO.format(A, 200))
    assert list(ServerLog(log.path).opened({4: queue_of(A)})) == [Opened(project=7, image_id=A)]


def test_tasks_that_are_opened_from_the_table_and_answers(log: Log) -> None:
    log.write(
        '"GET /api/tasks/17?project=3 HTTP/1.1" 200 9', '"POST /api/tasks/17/annotations?project=3 HTTP/1.1" 201 9',
        '"POST /api/tasks/17/drafts?project=3 HTTP/1.1" 201 9', '"GET /api/tasks/17/annotations HTTP/1.1" 200 9',
        '"GET /api/tasks/18?project=3 HTTP/1.1" 404 9', '"DELETE /api/tasks/18?project=3 HTTP/1.1" 200 9',
        '"GET /[::1/api/tasks/18 HTTP/1.1" 200 9', '"GET /api/tasks/19 HTTP/1.1" 200 9',
    )  # fmt: skip
    assert list(ServerLog(log.path).opened()) == [
        Opened(project=3, task=17),
        Opened(project=3, task=17),
        Opened(task=19),
    ]


def test_a_line_counts_when_it_is_whole_and_a_new_log_is_read_from_its_beginning(log: Log) -> None:
    reader = ServerLog(log.path)
    log.write(TABLE * 3)
    with log.path.open("a") as half:
        half.write('[..] "GET /api/tasks/17?project=3 HT')
    assert list(reader.opened()) == []
    with log.path.open("a") as half:
        half.write('TP/1.1" 200 9\n')
    assert list(reader.opened()) == [Opened(project=3, task=17)]
    log.path.write_text("")
    log.write('"GET /api/tasks/5?project=3 HTTP/1.1" 200 9')
    assert list(reader.opened()) == [Opened(project=3, task=5)]


def test_what_was_written_while_the_log_was_read_is_read_once(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = ServerLog(log.path)
    log.write(TABLE)
    true_open = Path.open

    def open_and_write(path: Path, *words: object, **more: object) -> object:
        file = true_open(path, *words, **more)  # type: ignore[call-overload]
        if path == log.path and words == ("rb",):
            true_seek = file.seek

            def seek(*place: int) -> int:
                position = int(true_seek(*place))
                if place == (0, 2):
                    monkeypatch.setattr(Path, "open", true_open)
                    log.write(NEXT.format(4), PHOTO.format(A, 200), *(TABLE for _ in range(9)))
                return position

            return Seeking(file, seek)
        return file

    monkeypatch.setattr(Path, "open", open_and_write)
    assert list(reader.opened()) == [Opened(project=4, image_id=A)]
    assert list(reader.opened()) == []


class Seeking:
    """An open file with another ``seek``."""

    def __init__(self, file: object, seek: object) -> None:
        self._file, self.seek = file, seek

    def __enter__(self) -> Seeking:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


def test_half_a_line_does_not_join_one_that_is_far_behind(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = ServerLog(log.path)
    with log.path.open("a") as file:
        file.write('[INFO] "POST /api/dm/actions?id=next_task&tabID=1&project=')
    assert list(reader.opened()) == []
    end = '4 HTTP/1.1" 200 20454 \n'
    monkeypatch.setattr(opened, "_MOST_READ", len(end))
    with log.path.open("a") as file:
        file.write(" " * 100 + end)
    assert list(reader.opened()) == []
    assert reader._streams == []
