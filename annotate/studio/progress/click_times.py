"""How long annotators wait for the interactive SAM: for the first mask of a photo, and for the next ones."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final, Literal, Protocol, TypeVar

from pydantic import BaseModel, NonNegativeFloat

from figureground.runtime.files import write_text

Json = dict[str, Any]

MOST_WAITS: Final = 200
"""Newest waits of each kind that count."""
MOST_LINES: Final = 20 * MOST_WAITS
"""Of the file, 40 bytes each."""


class _AboutPhoto(Protocol):
    data: Json


Task = TypeVar("Task", bound=_AboutPhoto)


class _Wait(BaseModel):
    """A line of the file."""

    kind: Literal["first", "next"]
    seconds: NonNegativeFloat


@dataclass(frozen=True, slots=True, kw_only=True)
class ClickTimes:
    """Medians of the newest waits since the interactive SAM was first started."""

    first_seconds: float | None
    """For the first mask of a photo; None where nobody waited yet."""
    first_count: int
    next_seconds: float | None
    """For a further mask of the same photo."""
    next_count: int

    def __str__(self) -> str:
        """``first mask of a photo 0.42 s (median of 12), next ones 0.21 s (of 40)``; empty without any."""
        if self.first_seconds is None:
            return ""
        text = f"first mask of a photo {self.first_seconds:.2f} s (median of {self.first_count})"
        return (
            text if self.next_seconds is None else f"{text}, next ones {self.next_seconds:.2f} s (of {self.next_count})"
        )


@dataclass(slots=True)
class ClickClock:
    """Notes waits into a file, a line each; safe to call from several threads. Nothing but seconds is kept.

    The file is read once, with the first wait, and then only appended to. It is written anew where it has grown to
    ``MOST_LINES``, so that it stays small.
    """

    path: Path
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _photos: set[str] = field(default_factory=set)
    _lines: int | None = None
    """Lines in the file; None before it was read."""

    def timing(self, answer: Callable[[Task], Json]) -> Callable[[Task], Json]:
        """The same answers, whose seconds are noted where they hold a mask."""

        def timed(task: Task) -> Json:
            start = time.perf_counter()
            given = answer(task)
            if given["result"]:
                self.note(str(task.data.get("image_id", "")), time.perf_counter() - start)
            return given

        return timed

    def note(self, image_id: str, seconds: float) -> None:
        """Note that a mask of a photo took so long; it is the first of this photo, or a next one.

        Where it cannot be written, on a full disk, nothing is raised: the mask is what somebody waits for.
        """
        with self._lock, contextlib.suppress(OSError):
            wait = _Wait(kind="next" if image_id in self._photos else "first", seconds=round(seconds, 4))
            self._photos.add(image_id)
            if self._lines is None or self._lines >= MOST_LINES:
                self._begin_anew()
            with self.path.open("a", encoding="utf-8") as file:
                file.write(f"{wait.model_dump_json()}\n")
            self._lines = (self._lines or 0) + 1

    def _begin_anew(self) -> None:
        """Keep what counts, and no half line of a backend that was killed."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        newest = [wait for waits in _read(self.path).values() for wait in waits]
        write_text(self.path, "".join(f"{wait.model_dump_json()}\n" for wait in newest))
        self._lines = len(newest)


def read_click_times(path: Path) -> ClickTimes:
    """The waits in a file; damaged lines are left out, since nothing depends on them."""
    waits = _read(path)
    first, further = ([wait.seconds for wait in waits[kind]] for kind in ("first", "next"))
    return ClickTimes(
        first_seconds=median(first) if first else None,
        first_count=len(first),
        next_seconds=median(further) if further else None,
        next_count=len(further),
    )


def _read(path: Path) -> dict[str, deque[_Wait]]:
    """The newest waits of each kind; lines that are no waits are left out."""
    waits: dict[str, deque[_Wait]] = {"first": deque(maxlen=MOST_WAITS), "next": deque(maxlen=MOST_WAITS)}
    with contextlib.suppress(OSError):
        for line in path.read_bytes().splitlines():
            with contextlib.suppress(ValueError):
                wait = _Wait.model_validate_json(line)
                waits[wait.kind].append(wait)
    return waits
