"""In which order a project's photos are shown: small files that push and ``up`` write and the interactive SAM reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from pydantic import BaseModel, NonNegativeInt

from figureground.runtime.files import write_text

_SUFFIX: Final = ".json"


class _Stored(BaseModel):
    """What a file holds."""

    next: NonNegativeInt = 0
    """The first task that nobody had answered when the file was written; 0 for all of them."""
    photos: dict[str, int] = {}
    """image_id to task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """The photos of one project, in the order in which Label Studio shows them: that of their tasks."""

    tasks: tuple[int, ...]
    image_ids: tuple[str, ...]
    begin: int
    """Index of the first photo that nobody had answered when the file was written."""


def note_queue(folder: Path, project: int, photos: Mapping[str, int], *, begin: int | None = None) -> None:
    """Add photos to the queue of a project, which is made with its first.

    Args:
        folder: Where the queues lie, one file a project; it is made.
        project: The project's number.
        photos: image_id to task.
        begin: The first task without an answer; None leaves it where it was.
    """
    folder.mkdir(parents=True, exist_ok=True)
    before = _read(folder / f"{project}{_SUFFIX}")
    after = _Stored(next=before.next if begin is None else begin, photos={**before.photos, **photos})
    if after != before:
        # Beside the order nothing is kept here, so that the interactive SAM needs no secret and no database.
        write_text(folder / f"{project}{_SUFFIX}", json.dumps(after.model_dump(), sort_keys=True))


def read_queues(folder: Path) -> dict[int, Queue]:
    """Every queue by project; a damaged file is an empty queue, since nothing but speed depends on it."""
    queues: dict[int, Queue] = {}
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        if path.stem.isdecimal():
            state = path.stat()
            queues[int(path.stem)] = _queue(path, (state.st_mtime_ns, state.st_size, state.st_ino))
    return queues


@lru_cache(maxsize=256)
def _queue(path: Path, _: tuple[int, int, int]) -> Queue:
    """The queue in a file, read once as long as the file's stamp stays the same: they are asked for twice a second."""
    stored = _read(path)
    ordered = sorted((task, image_id) for image_id, task in stored.photos.items())
    return Queue(
        tasks=tuple(task for task, _ in ordered),
        image_ids=tuple(image_id for _, image_id in ordered),
        begin=sum(task < stored.next for task, _ in ordered),
    )


def _read(path: Path) -> _Stored:
    try:
        return _Stored.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        return _Stored()
