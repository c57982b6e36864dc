"""Faults of a push or a pull that did all the rest: what was done is told beside what was wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from figureground.errors import DataError, Fault
from figureground.schemas.records import ImageRecord


class StudioFaults(DataError):
    """A ``DataError`` of a command that went on; ``report`` holds what it did."""

    def __init__(self, faults: Iterable[Fault], report: Any = None) -> None:  # noqa: ANN401  a PushReport or PullReport
        super().__init__(faults)
        self.report = report

    def __reduce__(self) -> tuple[Any, ...]:
        """Faults and report survive the way out of a worker process."""
        return StudioFaults, (self.faults, self.report)


def photo_name(image: ImageRecord) -> str:
    """``source: uri``, by which people find a photo."""
    return f"{image.source}: {image.uri}"


def named_faults(faults: Iterable[Fault], image: ImageRecord, link: str = "") -> list[Fault]:
    """Faults that name the photo by its file instead of its id.

    Args:
        faults: Faults of one photo.
        image: The photo.
        link: Where a browser shows its task, or the task's number where there is no server; empty for neither.
    """

    def name(text: str) -> str:
        return text.replace(image.image_id, photo_name(image))

    end = f" ({link})" if link else ""
    return [replace(fault, where=name(fault.where), record=name(fault.record) + end) for fault in faults]
