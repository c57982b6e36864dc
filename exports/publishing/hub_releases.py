"""Releases on the Hub as folders: all of one to verify it, or no more than rebuilding or comparing reads.

What is on the Hub is anybody's: paths are checked before a file is made, sizes before one is fetched or expanded.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from huggingface_hub import HfApi, HfFileSystem, constants, snapshot_download
from huggingface_hub.utils.tqdm import disable_progress_bars
from rich import filesize

from figureground.errors import DataError, Faults, UsageError
from figureground.exports.dataset.files import (
    ATTRIBUTES,
    CHANGELOG,
    CLASS_MAP,
    LOCK,
    MANIFEST,
    OBJECTS,
    PLAN,
    RECIPE,
    REFUSED,
    is_repository_path,
)
from figureground.exports.dataset.verify import read_manifest, require_files
from figureground.runtime.hub import (
    DATASET,
    HubFile,
    hub_error,
    hub_errors,
    is_repo_id,
    read_tree,
    require_repo_id,
    resolve_commit,
)
from figureground.runtime.progress import Progress

_MOST_TEXT_BYTES: Final = 64 * 1000**2
"""Of a file that is read as one text; a manifest of as many files as the Hub takes at once has 5 MB."""
_MOST_TABLE_BYTES: Final = 4 * 1000**3
"""Of a table's columns that are read at once, expanded; a million objects have 1 GB."""
_MOST_ROWS: Final = 20_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasePart:
    """What of a release is read."""

    files: tuple[str, ...]
    """That must be there."""
    more: tuple[str, ...] = ()
    """That are taken where they are there."""
    columns: tuple[str, ...]
    """Of every shard, as paths of leaves: the hashes of pixels, never the pixels."""


REBUILT_FROM: Final = ReleasePart(
    files=(RECIPE, LOCK, CLASS_MAP, OBJECTS, PLAN),
    more=(ATTRIBUTES, REFUSED, CHANGELOG, "report/coverage.csv", "report/gates.json", "report/attributes.csv"),
    columns=("variant", "draw", "attribute", "provenance.object_id", "provenance.pixels_sha256", "provenance.sketch"),
)
COMPARED: Final = ReleasePart(
    files=(RECIPE, LOCK, CLASS_MAP, OBJECTS, REFUSED),
    columns=("draw", "attribute", "ground_id", "provenance.object_id", "provenance.pixels_sha256"),
)


@contextmanager
def open_release(
    place: str, revision: str | None, part: ReleasePart | None = None, *, progress: Progress = lambda *_: None
) -> Iterator[Path]:
    """Give a release as a folder: the user's own, or one that is read from the Hub for as long as it is needed.

    Args:
        place: A folder, or OWNER/NAME on the Hub.
        revision: Tag, branch or commit on the Hub; needed there, so that nobody guesses which version they have.
        part: What is read of one on the Hub; None for every file.
        progress: Called with (stage, done, total).

    Raises:
        UsageError: if there is no such folder or dataset, it is restricted, no revision is given, or the disk has no
            room for it.
        ServiceError: if the Hub cannot be reached; an older copy is never served for a tag or branch.
        DataError: if it has no manifest, lacks files of the part, or has paths or sizes that no release has.
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
    where = f"{place}@{revision}"
    with tempfile.TemporaryDirectory(prefix="figureground-") as scratch:
        folder = Path(scratch, place.replace("/", "--"))
        try:
            with hub_errors(where):
                _fetch(require_repo_id(place), revision, folder, part, progress)
            yield folder
        except DataError as error:  # the folder is gone when anybody reads this
            raise DataError(
                replace(fault, where=fault.where.replace(str(folder), where)) for fault in error.faults
            ) from error


def _fetch(repo_id: str, revision: str, folder: Path, part: ReleasePart | None, progress: Progress) -> None:
    disable_progress_bars()  # ours say more
    where, api = f"{repo_id}@{revision}", HfApi()
    commit = resolve_commit(api, repo_id, revision)
    there = read_tree(api, repo_id, commit)
    if MANIFEST not in there:
        raise DataError.single(where, MANIFEST, expected="the manifest of a dataset repository", got="none")
    _require_texts(where, there, {MANIFEST})
    _link_files(repo_id, commit, {MANIFEST}, folder)
    manifest = read_manifest(folder)
    shards = {path for path in there if path.startswith("data/")}
    if part is None:  # shards that the manifest does not list too, since datasets would read them
        wanted = (there.keys() & manifest.keys()) | shards
        _require_paths(where, wanted)
    else:
        wanted = {*part.files, *part.more} & there.keys() & manifest.keys()
    _require_texts(where, there, wanted)
    _require_room(where, sum(there[path].size for path in wanted))
    _link_files(repo_id, commit, wanted, folder)
    if part is not None:
        require_files(folder, manifest, sorted({*part.files, *wanted}))
        for name in sorted({OBJECTS, PLAN} & wanted):
            with _table(where, name, folder / name) as table:
                _require_expandable(where, name, table, [""])
        places = {path: f"datasets/{repo_id}@{commit}/{path}" for path in sorted(shards & manifest.keys())}
        _copy_columns(where, places, part.columns, folder, progress)


def _require_paths(where: str, paths: Iterable[str]) -> None:
    faults = Faults()
    for path in paths:
        if not is_repository_path(path):
            faults.add(where, repr(path), expected="a path as releases have them", got="one that could lead elsewhere")
    faults.raise_if_any()


def _require_texts(where: str, there: Mapping[str, HubFile], paths: Iterable[str]) -> None:
    """Refuse texts that are larger than any release's."""
    faults = Faults()
    for path in paths:
        if not path.endswith((".parquet", ".png")) and there[path].size > _MOST_TEXT_BYTES:
            expected = f"at most {filesize.decimal(_MOST_TEXT_BYTES)}"
            faults.add(where, path, expected=expected, got=filesize.decimal(there[path].size))
    faults.raise_if_any()


def _require_room(where: str, size: int) -> None:
    cache = Path(constants.HF_HUB_CACHE)
    while not cache.exists():
        cache = cache.parent
    free = shutil.disk_usage(cache).free
    if size > free:
        needed, got = filesize.decimal(size), filesize.decimal(free)
        raise UsageError(f"{where} has {needed}, and {cache} has room for {got}; name a larger disk with HF_HOME")


def _link_files(repo_id: str, commit: str, paths: Iterable[str], folder: Path) -> None:
    """Put files of a commit, kept in the Hub's cache, in a folder that holds no others."""
    wanted = sorted(paths)
    cached = Path(snapshot_download(repo_id, repo_type=DATASET, revision=commit, allow_patterns=wanted))
    for path in wanted:
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if (cached / path).is_file():
            place.symlink_to((cached / path).resolve())


def _copy_columns(
    where: str, places: Mapping[str, str], columns: tuple[str, ...], folder: Path, progress: Progress
) -> None:
    """Read some columns of shards over the network, by range, and write them as shards of the same names."""
    files: Any = HfFileSystem()
    for done, (path, address) in enumerate(places.items(), start=1):
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        with files.open(address, "rb", cache_type="none") as remote, _table(where, path, remote) as table:
            _require_expandable(where, path, table, columns)
            pq.write_table(table.read(columns=list(columns)), place)
        progress("shards looked into", done, len(places))


@contextmanager
def _table(where: str, name: str, source: Any) -> Iterator[pq.ParquetFile]:  # noqa: ANN401  a path or an open file
    try:
        yield pq.ParquetFile(source, pre_buffer=True)
    except (pa.ArrowException, OSError) as error:
        if hub_error(error, where) is not None:  # of the way there, not of the file
            raise
        raise DataError.single(where, name, expected="a table (Parquet)", got=str(error)) from error


def _require_expandable(where: str, name: str, table: pq.ParquetFile, columns: Iterable[str]) -> None:
    """Refuse a table that lacks columns, or whose columns would not fit into memory."""
    faults, told = Faults(), table.metadata
    leaves = [told.schema.column(number).path for number in range(told.num_columns)]
    taken = [number for number, leaf in enumerate(leaves) if leaf.startswith(tuple(columns))]
    for column in columns:
        if not any(leaf.startswith(column) for leaf in leaves):
            faults.add(where, name, expected=f"the column {column}", got="none")
    groups = (told.row_group(number) for number in range(told.num_row_groups))
    size = sum(group.column(number).total_uncompressed_size for group in groups for number in taken)
    if size > _MOST_TABLE_BYTES or told.num_rows > _MOST_ROWS:
        expected = f"at most {_MOST_ROWS} rows and {filesize.decimal(_MOST_TABLE_BYTES)}"
        faults.add(where, name, expected=expected, got=f"{told.num_rows} rows and {filesize.decimal(size)}")
    faults.raise_if_any()
