"""Model weights: by name from the user's cache or their source, or from a path; always with their sha256."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final, Literal

from platformdirs import user_cache_dir
from pydantic import Field

from figureground.annotate.segmenters.checkpoint_sources import CheckpointSource, FileName, Sha256, verify_file
from figureground.errors import ServiceError, UsageError
from figureground.runtime.files import file_sha256
from figureground.schemas.documents import Document, parse_document

CACHE_VARIABLE: Final = "FIGUREGROUND_CACHE"
"""Environment variable that moves the cache folder."""

_LOG = logging.getLogger(__name__)


class CheckpointFile(Document):
    """One file of a checkpoint."""

    name: FileName
    bytes: int = Field(gt=0)
    sha256: Sha256


class NamedCheckpoint(Document):
    """Weights that ``checkpoints.yaml`` knows by name."""

    segmenter: str
    """Name of the segmenter that loads them."""
    title: str
    """What they are and where they come from."""
    licence: str
    """SPDX identifier."""
    files: tuple[CheckpointFile, ...] = Field(min_length=1)
    sources: tuple[CheckpointSource, ...] = Field(min_length=1)
    """Tried in order."""


class HubCheckpoint(Document):
    """A repository of the Hub that ``checkpoints.yaml`` knows by name; transformers fetches it into its own cache.

    Each proposal records the sha256 of the tensors that were loaded, however they are cut into files.
    """

    segmenter: str
    """Name of the segmenter, or of what finds boxes, that loads it."""
    title: str
    licence: str
    """SPDX identifier, or the licence's own name."""
    repository: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    revision: str = "main"
    """Branch, tag or commit; of a branch the commit that was loaded first stays (``first_use.py``)."""
    sha256: Mapping[FileName, Sha256] = {}
    """Sums of the files of weights, by name; empty where they are not known without a download, so that those of the
    first one count."""
    gated: bool = False
    """Whether its terms have to be accepted on the Hub first."""
    megabytes: int = Field(gt=0)
    """About what is downloaded."""


class CheckpointTable(Document):
    """The whole of ``checkpoints.yaml``."""

    schema_version: Literal[1]
    checkpoints: Mapping[FileName, NamedCheckpoint]
    repositories: Mapping[FileName, HubCheckpoint]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Weights on this machine, hashed."""

    name: str
    """Name in ``checkpoints.yaml``; empty for weights that it does not know."""
    paths: tuple[Path, ...]
    """The files, in the order of the table (or in that asked for)."""
    sha256: str
    """SHA-256 of the one file; of several, SHA-256 over their sorted hex digests joined by line feeds."""


def named_checkpoints() -> Mapping[str, NamedCheckpoint]:
    """The files of ``checkpoints.yaml``, by name."""
    return _table().checkpoints


def hub_checkpoints() -> Mapping[str, HubCheckpoint]:
    """The repositories of ``checkpoints.yaml``, by name."""
    return _table().repositories


@cache
def _table() -> CheckpointTable:
    text = files("figureground.annotate.segmenters").joinpath("checkpoints.yaml").read_text(encoding="utf-8")
    return parse_document(text, CheckpointTable, where="checkpoints.yaml")


def find_checkpoint(
    asked: Path | str | None, *, segmenter: str, default: str, file_names: Sequence[str] = ()
) -> Checkpoint:
    """The weights at a path, or those of a name.

    Args:
        asked: A path or a name in ``checkpoints.yaml``; a file of that name wins over the name. None for ``default``.
        segmenter: Name of the segmenter that will load them; the weights of others are refused by name.
        default: The name to take when nothing is asked for.
        file_names: Files that must lie in the folder ``asked``; empty where ``asked`` is one file.

    Raises:
        UsageError: if there is neither such a path nor such a name.
        DataError, ServiceError: as ``fetch_checkpoint``.
    """
    if asked is None:
        return fetch_checkpoint(default)
    path = Path(asked)
    names = [name for name, entry in named_checkpoints().items() if entry.segmenter == segmenter]
    if not path.exists() and str(asked) in names:
        return fetch_checkpoint(str(asked))
    paths = tuple(path / name for name in file_names) or (path,)
    missing = [str(one) for one in paths if not one.is_file()]
    if missing:
        raise UsageError(
            f"{', '.join(missing)}: no such file, and {segmenter} has no checkpoint called {str(asked)!r}; "
            f"there are {', '.join(names)}"
        )
    return _identify(paths)


def fetch_checkpoint(name: str, *, progress: bool = False) -> Checkpoint:
    """The weights of a name, from the cache or downloaded into it, every file checked against its sha256.

    Files appear in the cache whole or not at all, so that several processes may fetch at once.

    Raises:
        UsageError: if ``checkpoints.yaml`` has no such name.
        DataError: if a file is not the one that was pinned.
        ServiceError: if no source can be reached; the message says how to get the files by hand.
    """
    if name not in named_checkpoints():
        raise UsageError(f"no checkpoint is called {name!r}; there are {', '.join(named_checkpoints())}")
    entry = named_checkpoints()[name]
    folder = cache_folder() / "checkpoints" / name
    if not all((folder / file.name).is_file() for file in entry.files):
        _download(name, entry, folder, progress=progress)
    paths = tuple(folder / file.name for file in entry.files)
    for path, file in zip(paths, entry.files, strict=True):
        verify_file(path, file.sha256, remedy="delete it and run again")
    return Checkpoint(name=name, paths=paths, sha256=_digest([file.sha256 for file in entry.files]))


def cache_folder() -> Path:
    """Where downloads are kept: ``FIGUREGROUND_CACHE``, else the platform's cache folder for the user."""
    return Path(os.environ.get(CACHE_VARIABLE) or user_cache_dir("figureground"))


def _download(name: str, entry: NamedCheckpoint, folder: Path, *, progress: bool) -> None:
    megabytes = sum(file.bytes for file in entry.files) / 1e6
    _LOG.warning("fetching %s (%s, %.0f MB, licence %s) into %s", name, entry.title, megabytes, entry.licence, folder)
    folder.mkdir(parents=True, exist_ok=True)
    reasons = []
    for source in entry.sources:
        # Inside the target's folder, so that the move is one rename on one file system.
        with tempfile.TemporaryDirectory(prefix=".fetching-", dir=folder) as temporary:
            try:
                source.fetch(Path(temporary), progress=progress)
            except ServiceError as error:
                reasons.append(str(error))
                continue
            for file in entry.files:
                fetched = Path(temporary) / file.name
                verify_file(fetched, file.sha256, remedy="its source changed or the download broke; run again")
            for file in entry.files:
                (Path(temporary) / file.name).replace(folder / file.name)
            return
    by_hand = ", or ".join(source.by_hand() for source in entry.sources)
    raise ServiceError(f"{name} cannot be fetched ({'; '.join(reasons)}). By hand: {by_hand}; put it into {folder}")


def _identify(paths: tuple[Path, ...]) -> Checkpoint:
    """Hash a user's own files, and log it if they are, or only look like, weights that have a name."""
    digests = [file_sha256(path) for path in paths]
    for name, entry in named_checkpoints().items():
        if sorted(digests) == sorted(file.sha256 for file in entry.files):
            return Checkpoint(name=name, paths=paths, sha256=_digest(digests))
        if [path.name for path in paths] == [file.name for file in entry.files]:
            _LOG.warning("%s: named like %s, but its sha256 differs; it is taken as it is", paths[0], name)
    return Checkpoint(name="", paths=paths, sha256=_digest(digests))


def _digest(digests: Sequence[str]) -> str:
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("\n".join(sorted(digests)).encode("ascii")).hexdigest()
