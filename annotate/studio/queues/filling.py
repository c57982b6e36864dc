"""Embeddings made beforehand: photos that wait for annotators are encoded onto the disk, as far as there is room."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from figureground.annotate.segmenters.embeddings import (
    EmbeddingFolder,
    RememberingSam,
    forget_embedding,
    stored_embeddings,
)
from figureground.annotate.studio.home import StudioHome
from figureground.annotate.studio.queues.order import read_queues
from figureground.annotate.studio.queues.preparation import read_copy
from figureground.annotate.studio.served import served_path
from figureground.errors import DataError, Fault, FigureGroundError
from figureground.runtime.progress import Progress


@dataclass(slots=True, kw_only=True)
class FillReport:
    """What ``fill_embeddings`` did."""

    made: int = 0
    there: int = 0
    """Photos whose embedding was there already."""
    no_room: int = 0
    """Photos that are left: the folder may hold no more."""
    faults: list[Fault] = field(default_factory=list)
    """Served copies that cannot be read."""

    def raise_if_any(self) -> None:
        """Raise a DataError with every copy that cannot be read."""
        if self.faults:
            raise DataError(self.faults)


def stored_by_model(folder: Path) -> dict[str, tuple[int, int]]:
    """Folder of a model to the number of its embeddings and their bytes, sorted by name."""
    totals: dict[str, tuple[int, int]] = {}
    for path, size in stored_embeddings(folder).items():
        count, total = totals.get(path.parent.name, (0, 0))
        totals[path.parent.name] = (count + 1, total + size)
    return dict(sorted(totals.items()))


def waiting_photos(queues: Path) -> list[str]:
    """Photos that nobody had answered when the queues were written: the next of every queue, then the second next."""
    coming = [queue.image_ids[queue.begin :] for queue in read_queues(queues).values()]
    turns = [image_id for turn in zip_longest(*coming) for image_id in turn if image_id is not None]
    return list(dict.fromkeys(turns))


def forget_embeddings(home: StudioHome, image_id: str) -> None:
    """Delete what is kept of a photo, while its served copy is still there: files have the hash of its pixels."""
    path = served_path(home.served, image_id)
    if path is not None and home.embeddings.is_dir():
        with contextlib.suppress(OSError, FigureGroundError):  # of a copy that cannot be read nothing was kept
            forget_embedding(home.embeddings, read_copy(path))


def fill_embeddings(
    network: RememberingSam,
    embeddings: EmbeddingFolder,
    photos: Sequence[str],
    home: StudioHome,
    *,
    progress: Progress = lambda *_: None,
) -> FillReport:
    """Encode the served copies of photos that have no embedding yet, the first of them first.

    It stops where the folder is full, and not by forgetting what it just made.

    Args:
        network: The model, which keeps its embeddings in ``embeddings``.
        embeddings: The folder with its bound.
        photos: Their ids.
        home: The studio with their served copies.
        progress: Called after every photo.
    """
    report = FillReport()
    size = sum(4 * math.prod(shape) for shape in network.embedding_shapes)
    room = embeddings.most_bytes - sum(stored_embeddings(embeddings.path).values())
    for number, image_id in enumerate(photos, start=1):
        path = served_path(home.served, image_id)
        try:
            if path is None:
                raise FileNotFoundError(f"no served copy of {image_id}")
            photo = read_copy(path)
        except (OSError, FigureGroundError) as error:
            report.faults.append(
                Fault(
                    where="served copies",
                    record=image_id,
                    expected="a picture",
                    got=str(error),
                    remedy=f"make it again with: figureground studio push {home.option}",
                )
            )
            continue
        if network.has(photo):
            report.there += 1
        elif room < size:
            report.no_room += 1
        else:
            network.encode(photo)
            report.made += 1
            room -= size
        progress("encode", number, len(photos))
    return report
