"""Releases on the Hub as folders: all of one to verify it, or no more than rebuilding reads."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq
from huggingface_hub import HfApi, HfFileSystem, snapshot_download

from figureground.errors import DataError, UsageError
from figureground.exports.found_photos import Progress
from figureground.exports.repository_files import (
    ATTRIBUTES,
    CHANGELOG,
    CLASS_MAP,
    LOCK,
    MANIFEST,
    OBJECTS,
    PLAN,
    RECIPE,
    REFUSED,
)
from figureground.exports.verify import read_manifest
from figureground.schemas.hub import DATASET, hub_errors, is_repo_id, read_tree, require_repo_id, resolve_commit

_REBUILT_FROM: Final = (RECIPE, LOCK, CLASS_MAP, OBJECTS, PLAN, ATTRIBUTES, REFUSED, CHANGELOG)
_REPORTS: Final = ("report/coverage.csv", "report/gates.json", "report/attributes.csv")
_COMPARED: Final = ("provenance", "variant", "draw", "attribute")
"""Columns of the shards that a rebuild compares its rows with: the hashes of their pixels, not the pixels."""


@contextmanager
def open_release(
    place: str, revision: str | None, *, whole: bool, progress: Progress = lambda *_: None
) -> Iterator[Path]:
    """Give a release as a folder: the user's own, or one that is read from the Hub for as long as it is needed.

    Args:
        place: A folder, or OWNER/NAME on the Hub.
        revision: Tag, branch or commit on the Hub; needed there, so that nobody guesses which version they have.
        whole: Every file; else what ``rebuild_dataset`` reads, and of the shards only the columns that it compares.
        progress: Called with (stage, done, total).

    Raises:
        UsageError: if there is no such folder or dataset, it is restricted, or no revision is given.
        ServiceError: if the Hub cannot be reached; an older copy is never served for a tag or branch.
        DataError: if it has no manifest.
    """
    if Path(place).is_dir():
        if revision is not None:
            raise UsageError(f"{place} is a folder: it has no revision")
        yield Path(place)
        return
    if not is_repo_id(place):
        raise UsageError(f"{place}: neither a folder nor a dataset on the Hub, OWNER/NAME")
    if revision is None:
        raise UsageError(f"{place}: a dataset on the Hub needs --revision, a tag or commit")
    with tempfile.TemporaryDirectory(prefix="figureground-") as scratch:
        folder = Path(scratch, place.replace("/", "--"))
        with hub_errors(f"{place}@{revision}"):
            _fetch(require_repo_id(place), revision, folder, whole=whole, progress=progress)
        yield folder


def _fetch(repo_id: str, revision: str, folder: Path, *, whole: bool, progress: Progress) -> None:
    api = HfApi()
    commit = resolve_commit(api, repo_id, revision)
    there = set(read_tree(api, repo_id, commit))
    if MANIFEST not in there:
        where = f"{repo_id}@{revision}"
        raise DataError.single(where, MANIFEST, expected="the manifest of a dataset repository", got="none")
    _link_files(repo_id, commit, {MANIFEST}, folder)
    listed = set(read_manifest(folder))
    shards = {path for path in there if path.startswith("data/")}
    if whole:  # shards that the manifest does not list too, since datasets would read them
        _link_files(repo_id, commit, (there & listed) | shards, folder)
    else:
        _link_files(repo_id, commit, there & {*_REBUILT_FROM, *_REPORTS}, folder)
        _copy_columns(repo_id, commit, sorted(shards & listed), folder, progress)


def _link_files(repo_id: str, commit: str, paths: Iterable[str], folder: Path) -> None:
    """Put files of a commit, kept in the Hub's cache, in a folder that holds no others."""
    wanted = sorted(paths)
    literal = [path.replace("[", "[[]").replace("*", "[*]").replace("?", "[?]") for path in wanted]
    cached = Path(snapshot_download(repo_id, repo_type=DATASET, revision=commit, allow_patterns=literal))
    for path in wanted:
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if (cached / path).is_file():
            place.symlink_to((cached / path).resolve())


def _copy_columns(repo_id: str, commit: str, shards: list[str], folder: Path, progress: Progress) -> None:
    """Read some columns of shards over the network, by range, and write them as shards of the same names."""
    files: Any = HfFileSystem()
    for done, path in enumerate(shards, start=1):
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        with files.open(f"datasets/{repo_id}@{commit}/{path}", "rb", cache_type="none") as remote:
            pq.write_table(pq.ParquetFile(remote, pre_buffer=True).read(columns=list(_COMPARED)), place)
        progress("shards looked into", done, len(shards))
