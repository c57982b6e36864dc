"""How long annotators wait for the interactive SAM: for the first mask of a photo, and for the next ones."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final, Protocol, TypeVar

from pydantic import BaseModel, NonNegativeFloat

from figureground.runtime.files import write_text

Json = dict[str, Any]

KEPT: Final = 200
"""Newest waits of each kind that count."""


class _AboutPhoto(Protocol):
    data: Json


Task = TypeVar("Task", bound=_AboutPhoto)


class _Stored(BaseModel):
    """What the file holds."""

    first: list[NonNegativeFloat] = []
    next: list[NonNegativeFloat] = []


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
    """Notes waits into a file; safe to call from several threads. Nothing but seconds is kept."""

    path: Path
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _photos: set[str] = field(default_factory=set)

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
        """Note that a mask of a photo took so long; it is the first of this photo, or a next one."""
        with self._lock:
            stored = _read(self.path)
            waits = deque(stored.next if image_id in self._photos else stored.first, maxlen=KEPT)
            waits.append(round(seconds, 4))
            changed = {"next" if image_id in self._photos else "first": list(waits)}
            self._photos.add(image_id)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_text(self.path, json.dumps({**stored.model_dump(), **changed}))


def read_click_times(path: Path) -> ClickTimes:
    """The waits in a file; a damaged one is an empty one, since nothing depends on it."""
    stored = _read(path)
    return ClickTimes(
        first_seconds=median(stored.first) if stored.first else None,
        first_count=len(stored.first),
        next_seconds=median(stored.next) if stored.next else None,
        next_count=len(stored.next),
    )


def _read(path: Path) -> _Stored:
    try:
        return _Stored.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        return _Stored()
