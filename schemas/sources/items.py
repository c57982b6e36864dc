"""Photos as every source gives them, and the protocol of a source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any, Final, Protocol

from figureground.runtime.files import file_ending
from figureground.schemas.rasters.masks import Box

AMBIGUOUS: Final = "ambiguous_name"
"""Reason of items whose label or annotation may be that of another one: a person must say which is meant."""
FILE_FAULT: Final = "file_fault"
"""Reason of an item that stands for a file of many photos, none of which can be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceItem:
    """One photo of a source, before its bytes are looked at."""

    uri: str
    """Its location in the source: a path below the root, or ``file.parquet#row``."""
    label: str
    """Source label."""
    source_split: str
    """Split of the source; empty where it has none."""
    boxes_xyxy_px: tuple[Box, ...] = ()
    """Annotated boxes, half-open, in the annotation's pixels."""
    annotated_hw: tuple[int, int] | None = None
    """Height and width that the boxes were drawn on; None without boxes."""
    fault: str = ""
    """Why the item cannot be used; empty where it can."""
    reason: str = "source_fault"
    """Stable code of the fault: ``source_fault``, ``AMBIGUOUS`` or ``FILE_FAULT``."""

    def changed(self, **fields: Any) -> SourceItem:  # noqa: ANN401  the dataclass checks the names
        """A copy with other fields."""
        return replace(self, **fields)


def told_ending(uri: str) -> str:
    """Ending in lower case by which files that are no photos are counted; the whole name where there is none."""
    return file_ending(uri) or PurePosixPath(uri).name


class PhotoSource(Protocol):
    """A named place that photos are catalogued from and read from again."""

    @property
    def name(self) -> str:
        """Name of the source; part of releases."""
        ...

    @property
    def kind(self) -> str:
        """``folder``, ``ilsvrc``, ``imagenet-a``, ``parquet``, ``rival10`` or ``textures``."""
        ...

    @property
    def locator(self) -> str:
        """A path or a Hub id; never part of a release."""
        ...

    @property
    def options(self) -> Mapping[str, str]:
        """Other settings that open it again."""
        ...

    def __iter__(self) -> Iterator[SourceItem]:
        """Every photo, in an order that does not change."""
        ...

    def read(self, uri: str) -> bytes:
        """The stored bytes of one photo."""
        ...

    def passed_over(self) -> Counter[str]:
        """Number of files, or parts of files, that are no photos of the source, by what they are."""
        ...
