"""All checkpoints that have a name: whose they are, under which licence, behind which gate, and how they are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from figureground.annotate.segmenters.checkpoints import (
    HubCheckpoint,
    NamedCheckpoint,
    cache_folder,
    hub_checkpoints,
    named_checkpoints,
)
from figureground.annotate.segmenters.first_use import first_use, is_on_this_machine, trusted_revision

KnownBy = Literal["pinned", "first use", "nothing yet"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedCheckpoint:
    """One line of ``figureground checkpoints``."""

    name: str
    segmenter: str
    """What loads it."""
    title: str
    licence: str
    gated: bool
    """Whether its terms have to be accepted on the Hub before anybody may download it."""
    megabytes: int
    """About what is downloaded."""
    repository: str
    """On the Hub; empty for files from elsewhere."""
    revision: str
    """That is loaded: the commit of the first use, where there was one."""
    known_by: KnownBy
    """Which sums its files are held to: pinned ones, or those of the first download on this machine."""
    sha256: Mapping[str, str]
    """Those sums, by file; empty where there are none yet."""
    here: bool
    """Whether it lies on this machine."""

    def __str__(self) -> str:
        """One line for a terminal."""
        gate = ", gated" if self.gated else ""
        here = ", on this machine" if self.here else ""
        source = f" ({self.repository}@{self.revision})" if self.repository else ""
        known = {"pinned": "pinned", "first use": "of its first use", "nothing yet": "not known yet"}[self.known_by]
        begin = f"{self.name:19} {self.segmenter:14} {f'{self.megabytes} MB':>7}  {self.licence}{gate}"
        return f"{begin}; sha256 {known}{here}; {self.title}{source}"


def list_checkpoints() -> list[ListedCheckpoint]:
    """Every checkpoint of ``checkpoints.yaml``, by segmenter and in its order; nothing is downloaded.

    Raises:
        DataError: if the file that keeps first uses is damaged.
    """
    files = [_of_files(name, entry) for name, entry in named_checkpoints().items()]
    repositories = [_of_hub(name, entry) for name, entry in hub_checkpoints().items()]
    return sorted(files + repositories, key=lambda listed: listed.segmenter)


def _of_files(name: str, entry: NamedCheckpoint) -> ListedCheckpoint:
    folder = cache_folder() / "checkpoints" / name
    return ListedCheckpoint(
        name=name,
        segmenter=entry.segmenter,
        title=entry.title,
        licence=entry.licence,
        gated=False,
        megabytes=round(sum(file.bytes for file in entry.files) / 1e6),
        repository="",
        revision="",
        known_by="pinned",
        sha256={file.name: file.sha256 for file in entry.files},
        here=all((folder / file.name).is_file() for file in entry.files),
    )


def _of_hub(name: str, entry: HubCheckpoint) -> ListedCheckpoint:
    used = first_use(entry)
    known_by: KnownBy = "pinned" if entry.sha256 else "nothing yet" if used is None else "first use"
    return ListedCheckpoint(
        name=name,
        segmenter=entry.segmenter,
        title=entry.title,
        licence=entry.licence,
        gated=entry.gated,
        megabytes=entry.megabytes,
        repository=entry.repository,
        revision=trusted_revision(entry),
        known_by=known_by,
        sha256=dict(entry.sha256 or (used.sha256 if used else {})),
        here=is_on_this_machine(entry),
    )
