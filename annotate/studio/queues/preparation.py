"""Photos whose turn is next are encoded ahead, so that the first click on each is answered as fast as the second."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from figureground.annotate.segmenters.interactive import InteractiveSam
from figureground.annotate.segmenters.protocol import Photo
from figureground.annotate.studio.queues.opened import Opened, ServerLog
from figureground.annotate.studio.queues.order import Queue, read_queues
from figureground.annotate.studio.served import BROWSER_FORMATS, served_path
from figureground.errors import FigureGroundError

_STOP_SECONDS: Final = 5.0
AHEAD: Final = 6
"""Photos of each queue that are encoded before their turn: a person takes 2 s to accept a mask, an encoding about 1."""
SPARE: Final = 8
"""Embeddings that are left to photos that were clicked on out of turn."""
PAUSE_SECONDS: Final = 0.5


class Preparation:
    """Encodes photos ahead, in a thread of its own that lets clicks go first.

    Args:
        sam: The model that answers clicks; it remembers the embeddings.
        served: Folder of the served copies.
        queues: Folder of the queues.
        log: The log of the server, which says what annotators open.
    """

    def __init__(self, sam: InteractiveSam, *, served: Path, queues: Path, log: Path) -> None:
        self._sam = sam
        self._served = served
        self._queues = queues
        self._log = ServerLog(log)
        self._positions: dict[int, int] = {}
        self._unreadable: set[str] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def clicked(self, image_id: str, project: int | None) -> None:
        """Note that somebody clicked on a photo."""
        self._note(Opened(project=project, image_id=image_id), read_queues(self._queues))

    def run(self) -> None:
        """Encode ahead until ``stop`` is called."""
        while not self._stop.is_set():
            if not self.prepare_one():
                self._stop.wait(PAUSE_SECONDS)

    def stop(self) -> None:
        """End ``run`` after the photo that is being encoded."""
        self._stop.set()

    def prepare_one(self) -> bool:
        """Encode the photo that is needed first; False if all are ready."""
        queues = read_queues(self._queues)
        for opened in self._log.opened(queues):
            self._note(opened, queues)
        wanted = [image_id for image_id in self.wanted(queues) if image_id not in self._unreadable]
        for image_id in reversed(wanted):  # what is needed first is forgotten last
            self._sam.touch(image_id)
        missing = next((image_id for image_id in wanted if not self._sam.remembers(image_id)), None)
        if missing is None:
            return False
        path = served_path(self._served, missing)
        try:
            if path is None:
                raise FileNotFoundError(missing)
            self._sam.prepare(missing, lambda: read_copy(path))
        except (OSError, FigureGroundError):  # whoever clicks on it is told
            self._unreadable.add(missing)
        return True

    def wanted(self, queues: dict[int, Queue]) -> list[str]:
        """Photos that should be ready, the most urgent first: the next of every queue, then the second next."""
        with self._lock:
            positions = dict(self._positions)
        coming = []
        for project, queue in queues.items():
            position = positions.get(project, queue.begin)
            coming.append(queue.image_ids[position : position + AHEAD + 1])
        turns = [image_id for turn in zip_longest(*coming) for image_id in turn if image_id is not None]
        return list(dict.fromkeys(turns))[: max(1, self._sam.pictures - SPARE)]

    def _note(self, opened: Opened, queues: dict[int, Queue]) -> None:
        """Remember where an annotator is."""
        for project, position in _positions_of(opened, queues):
            with self._lock:
                self._positions[project] = position


def start_preparation(preparation: Preparation) -> Callable[[], None]:
    """Run it in a thread; returns what ends the thread."""
    thread = threading.Thread(target=preparation.run, name="encodes ahead", daemon=True)
    thread.start()

    def end() -> None:
        preparation.stop()
        thread.join(timeout=_STOP_SECONDS)  # it may be in the middle of a large model's work, and ends with us

    return end


def _positions_of(opened: Opened, queues: dict[int, Queue]) -> Iterator[tuple[int, int]]:
    for project, queue in queues.items():
        if opened.project is not None and opened.project != project:
            continue
        entries: tuple[int, ...] | tuple[str, ...] = queue.tasks if opened.task is not None else queue.image_ids
        entry: int | str = opened.task if opened.task is not None else opened.image_id
        if entry in entries:
            yield project, entries.index(entry)


def read_copy(path: Path) -> Photo:
    """A served copy, ``(H, W, 3)`` uint8 RGB."""
    with Image.open(path, formats=BROWSER_FORMATS) as picture:
        return np.asarray(picture.convert("RGB"))
