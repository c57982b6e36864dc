"""Releases on the Hub as folders: all of one to verify it, or no more than rebuilding or comparing reads.

What is on the Hub is anybody's: paths are checked before a file is made, sizes before one is fetched or expanded.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from huggingface_hub import HfFileSystem, constants, snapshot_download
from huggingface_hub.utils.tqdm import disable_progress_bars
from rich import filesize

from figureground.errors import DataError, Faults, UsageError
from figureground.exports.dataset.files import (
    ATTRIBUTE_COUNTS,
    ATTRIBUTES,
    CHANGELOG,
    CLASS_MAP,
    COVERAGE,
    CROSSED,
    DATA,
    GATES,
    LOCK,
    MANIFEST,
    OBJECTS,
    PLAN,
    RECIPE,
    REFUSED,
    is_repository_path,
)
from figureground.exports.dataset.manifest import require_files
from figureground.exports.dataset.opening import HubFiles, find_repo_id, open_hub_files, require_text_sizes
from figureground.exports.dataset.rows import is_part_of, leaf_columns
from figureground.runtime.hub import DATASET, hub_error, hub_errors
from figureground.runtime.progress import Progress

_MOST_TABLE_BYTES: Final = 4 * 1000**3
"""Most bytes that the columns of a table may take when they are expanded; a million objects have 1 GB."""
_MOST_ROWS: Final = 20_000_000
"""Most rows of a table that is read at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasePart:
    """What of a release is read."""

    files: tuple[str, ...]
    """Files that must be there."""
    more: tuple[str, ...] = ()
    """Files that are taken where they are there."""
    columns: tuple[str, ...]
    """Columns of every shard, as paths of leaves: the hashes of pixels, never the pixels."""


REBUILT_FROM: Final = ReleasePart(
    files=(RECIPE, LOCK, CLASS_MAP, OBJECTS, PLAN),
    more=(ATTRIBUTES, REFUSED, CHANGELOG, COVERAGE, CROSSED, GATES, ATTRIBUTE_COUNTS),
    columns=("variant", "draw", "attribute", "provenance.object_id", "provenance.pixels_sha256", "provenance.sketch"),
)
COMPARED: Final = ReleasePart(
    files=(RECIPE, LOCK, CLASS_MAP, OBJECTS, REFUSED),
    columns=("draw", "attribute", "ground_id", "provenance.object_id", "provenance.pixels_sha256"),
)


@contextmanager
def open_release(
    dataset: str, revision: str | None, part: ReleasePart | None = None, *, progress: Progress = lambda *_: None
) -> Iterator[Path]:
    """Give a release as a folder: the user's own, or one that is read from the Hub for as long as it is needed.

    Args:
        dataset: A folder, or OWNER/NAME on the Hub.
        revision: Tag, branch or commit on the Hub; needed there, so that nobody guesses which version they have.
        part: What is read of one on the Hub; None for every file.
        progress: Called with (stage, done, total).

    Raises:
        UsageError: if there is no such folder or dataset, it is restricted, no revision is given, or the disk has no
            room for it.
        ServiceError: if the Hub cannot be reached; an older copy is never served for a tag or branch.
        DataError: if it has no manifest, lacks files of the part, or has paths or sizes that no release has.
    """
    repo_id = find_repo_id(dataset, revision)
    if repo_id is None or revision is None:
        yield Path(dataset)
        return
    disable_progress_bars()  # ours say more
    files = open_hub_files(repo_id, revision)
    with tempfile.TemporaryDirectory(prefix="figureground-") as scratch:
        folder = Path(scratch, repo_id.replace("/", "--"))
        try:
            with hub_errors(files.name):
                if part is None:
                    _link_all(files, folder)
                else:
                    _fetch_part(files, part, folder, progress)
            yield folder
        except DataError as error:  # the folder is gone when anybody reads this
            raise DataError(
                replace(fault, where=fault.where.replace(str(folder), files.name)) for fault in error.faults
            ) from error


def _link_all(files: HubFiles, folder: Path) -> None:
    """Fetch every file that the manifest lists, and shards that it does not list, since datasets would read them."""
    wanted = (files.tree.keys() & files.manifest.keys()) | {path for path in files.tree if path.startswith(DATA)}
    _require_paths(files.name, wanted)
    _link_files(files, wanted, folder)


def _fetch_part(files: HubFiles, part: ReleasePart, folder: Path, progress: Progress) -> None:
    """Fetch the files of a part whole, and of the shards some columns."""
    wanted = {*part.files, *part.more} & files.tree.keys() & files.manifest.keys()
    _link_files(files, wanted, folder)
    require_files(folder, files.manifest, sorted({*part.files, *wanted}))
    for name in sorted({OBJECTS, PLAN} & wanted):
        with _table(files.name, name, folder / name) as table:
            _require_expandable(files.name, name, table)
    shards = sorted(path for path in files.tree.keys() & files.manifest.keys() if path.startswith(DATA))
    _copy_columns(files, shards, part.columns, folder, progress)


def _require_paths(where: str, paths: Iterable[str]) -> None:
    faults = Faults()
    for path in paths:
        if not is_repository_path(path):
            faults.add(where, repr(path), expected="a path as releases have them", got="one that could lead elsewhere")
    faults.raise_if_any()


def _require_room(where: str, size: int) -> None:
    """Refuse ``size`` bytes for which the disk of the Hub client's cache has no room."""
    cache = Path(constants.HF_HUB_CACHE)
    while not cache.exists():
        cache = cache.parent
    free = shutil.disk_usage(cache).free
    if size > free:
        needed, got = filesize.decimal(size), filesize.decimal(free)
        raise UsageError(f"{where} has {needed}, and {cache} has room for {got}; name a larger disk with HF_HOME")


def _link_files(files: HubFiles, paths: Iterable[str], folder: Path) -> None:
    """Put files of a commit and its manifest, kept in the Hub's cache, in a folder that holds no others."""
    wanted = sorted({MANIFEST, *paths})
    require_text_sizes(files.name, files.tree, wanted)
    _require_room(files.name, sum(files.tree[path].size for path in wanted))
    cached = Path(snapshot_download(files.repo_id, repo_type=DATASET, revision=files.commit, allow_patterns=wanted))
    for name in wanted:
        link = folder / name
        link.parent.mkdir(parents=True, exist_ok=True)
        if (cached / name).is_file():
            link.symlink_to((cached / name).resolve())


def _copy_columns(
    files: HubFiles, shards: Iterable[str], columns: tuple[str, ...], folder: Path, progress: Progress
) -> None:
    """Read some columns of shards over the network, by range, and write them as shards of the same names."""
    remote_files: Any = HfFileSystem()
    names = list(shards)
    for done, name in enumerate(names, start=1):
        copy = folder / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        address = f"datasets/{files.repo_id}@{files.commit}/{name}"
        with remote_files.open(address, "rb", cache_type="none") as remote, _table(files.name, name, remote) as table:
            _require_expandable(files.name, name, table, columns)
            pq.write_table(table.read(columns=list(columns)), copy)
        progress("shards looked into", done, len(names))


@contextmanager
def _table(where: str, name: str, source: Any) -> Iterator[pq.ParquetFile]:  # noqa: ANN401  a path or an open file
    try:
        yield pq.ParquetFile(source, pre_buffer=True)
    except (pa.ArrowException, OSError) as error:
        if hub_error(error, where) is not None:  # of the way there, not of the file
            raise
        raise DataError.single(where, name, expected="a table (Parquet)", got=str(error)) from error


def _require_expandable(where: str, name: str, table: pq.ParquetFile, columns: tuple[str, ...] | None = None) -> None:
    """Refuse a table that lacks columns, or whose columns, all where none are named, would not fit into memory."""
    faults, metadata = Faults(), table.metadata
    leaves = leaf_columns(table)
    for column in columns or ():
        if not any(is_part_of(leaf, column) for leaf in leaves):
            faults.add(where, name, expected=f"the column {column}", got="none")
    read = [
        number
        for number, leaf in enumerate(leaves)
        if columns is None or any(is_part_of(leaf, column) for column in columns)
    ]
    groups = (metadata.row_group(number) for number in range(metadata.num_row_groups))
    size = sum(group.column(number).total_uncompressed_size for group in groups for number in read)
    if size > _MOST_TABLE_BYTES or metadata.num_rows > _MOST_ROWS:
        expected = f"at most {_MOST_ROWS} rows and {filesize.decimal(_MOST_TABLE_BYTES)}"
        faults.add(where, name, expected=expected, got=f"{metadata.num_rows} rows and {filesize.decimal(size)}")
    faults.raise_if_any()
