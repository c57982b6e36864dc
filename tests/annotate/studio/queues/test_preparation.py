"""Photos whose turn is next are encoded before it, in their order, and clicks go first."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from figureground.annotate.segmenters.interactive import Clicks, InteractiveSam
from figureground.annotate.segmenters.protocol import Photo
from figureground.annotate.segmenters.sam_decoding import PaddedFrames
from figureground.annotate.studio.queues.order import note_queue
from figureground.annotate.studio.queues.preparation import AHEAD, SPARE, Preparation, start_preparation

CENTRE = Clicks.together(figure_xy_px=((4.0, 4.0),))


class SteppedSam(PaddedFrames):
    """A network that says what it encoded, by the grey of the picture, and waits where a test wants it to."""

    def __init__(self) -> None:
        self.encoded: list[int] = []
        self.go_on = threading.Event()
        self.go_on.set()
        self.began = threading.Event()

    def encode(self, photo_rgb: Photo) -> Any:
        self.began.set()
        assert self.go_on.wait(timeout=20)
        self.encoded.append(int(photo_rgb[0, 0, 0]))
        return (np.zeros((1, 256, 64, 64), np.float32),)

    def decode(self, embedding: Any, coords: Any, labels: Any, **_: Any) -> tuple[Any, Any]:
        return np.ones((1, 4, 256, 256), np.float32), np.ones((1, 4), np.float32)


class Studio:
    """Queues, served copies and a log; the photos of project p are grey 100 p, 100 p + 1 and so on."""

    def __init__(self, root: Path, *, pictures: int = 32) -> None:
        self.served, self.queues, self.log = root / "served", root / "queues", root / "server.log"
        self.served.mkdir()
        self.network = SteppedSam()
        self.sam = InteractiveSam(self.network, pictures=pictures)
        self.preparation = Preparation(self.sam, served=self.served, queues=self.queues, log=self.log)

    def push(self, project: int, count: int, *, begin: int | None = None) -> None:
        photos = {self.image_id(100 * project + index): 100 * project + index for index in range(count)}
        for image_id, grey in photos.items():
            Image.new("RGB", (8, 8), (grey % 256,) * 3).save(self.served / f"{image_id}.png")
        note_queue(self.queues, project, photos, begin=begin)

    @staticmethod
    def image_id(grey: int) -> str:
        return f"{grey:032x}"

    def open(self, task: int) -> None:
        with self.log.open("a") as log:
            log.write(f'[{task}] "GET /api/tasks/{task}?project={task // 100} HTTP/1.1" 200 1\n')

    def prepare(self) -> list[int]:
        """What is encoded until all is ready."""
        before = len(self.network.encoded)
        while self.preparation.prepare_one():
            pass
        return self.network.encoded[before:]

    def click(self, grey: int) -> None:
        self.sam.suggest(self.image_id(grey), lambda: np.full((8, 8, 3), grey, np.uint8), CENTRE)


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(tmp_path)


def test_the_first_of_every_queue_come_first_then_the_second(studio: Studio) -> None:
    studio.push(1, 20)
    studio.push(2, 20, begin=203)
    expected = [grey for index in range(AHEAD + 1) for grey in (100 + index, 203 + index)]
    assert studio.prepare() == expected
    assert studio.prepare() == []


def test_whoever_goes_on_finds_the_next_ones_ready(studio: Studio) -> None:
    studio.push(1, 20)
    studio.prepare()
    studio.open(103)
    assert studio.prepare() == [100 + AHEAD + index for index in (1, 2, 3)]
    studio.preparation.clicked(studio.image_id(105), 1)
    assert studio.prepare() == [100 + AHEAD + index for index in (4, 5)]
    studio.click(107)
    assert studio.network.encoded.count(107) == 1


def test_two_who_go_on_at_once_are_told_apart_by_their_queues(studio: Studio) -> None:
    for project in (1, 2):
        studio.push(project, 20)
    studio.prepare()
    with studio.log.open("a") as log:
        log.writelines(
            f'[{project}] "POST /api/dm/actions?id=next_task&project={project} HTTP/1.1" 200 1\n' for project in (1, 2)
        )
        log.writelines(
            f'[{grey}] "GET /data/local-files/?d=photos/{studio.image_id(grey)}.png HTTP/1.1" 200 1\n'
            for grey in (202, 101)
        )
    assert sorted(studio.prepare()) == [100 + AHEAD + 1, 200 + AHEAD + 1, 200 + AHEAD + 2]


def test_the_end_of_a_queue_and_photos_of_no_queue(studio: Studio) -> None:
    studio.push(1, 3, begin=104)
    assert studio.prepare() == []
    studio.open(102)
    studio.open(999)
    studio.preparation.clicked("f" * 32, None)
    assert studio.prepare() == [102]


def test_what_is_needed_first_is_kept_and_the_others_leave_room(tmp_path: Path) -> None:
    studio = Studio(tmp_path, pictures=SPARE + 4)
    for project in (1, 2):
        studio.push(project, 20)
    assert studio.prepare() == [100, 200, 101, 201]
    for grey in range(50, 50 + SPARE + 2):  # clicked out of turn, more than there is room for
        studio.click(grey)
        studio.prepare()
    before = len(studio.network.encoded)
    for grey in (100, 200, 101, 201):
        studio.click(grey)
    assert studio.network.encoded[before:] == []


def test_a_copy_that_cannot_be_read_does_not_hold_up_the_others(studio: Studio) -> None:
    studio.push(1, 3)
    (studio.served / f"{studio.image_id(100)}.png").unlink()
    (studio.served / f"{studio.image_id(101)}.png").write_bytes(b"no picture")
    assert studio.prepare() == [102]


@contextmanager
def running(studio: Studio) -> Iterator[None]:
    end = start_preparation(studio.preparation)
    try:
        yield
    finally:
        studio.network.go_on.set()
        end()


def test_a_click_on_a_photo_that_is_ready_does_not_wait_for_an_encoding(studio: Studio) -> None:
    studio.click(7)
    studio.network.began.clear()
    studio.network.go_on.clear()
    studio.push(1, 5)
    with running(studio):
        assert studio.network.began.wait(timeout=20)
        studio.click(7)  # returns while 100 is being encoded
        assert studio.network.encoded == [7]


def test_a_click_on_another_photo_goes_before_the_next_encoding_ahead(studio: Studio) -> None:
    studio.network.go_on.clear()
    studio.push(1, 5)
    with running(studio):
        assert studio.network.began.wait(timeout=20)
        click = threading.Thread(target=studio.click, args=(9,))
        click.start()
        while not studio.sam._clicks:
            pass
        studio.network.go_on.set()
        click.join(timeout=20)
        assert not click.is_alive()
        assert studio.network.encoded[:2] == [100, 9]
