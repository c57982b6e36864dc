"""Verifying a dataset repository: every file against the manifest, every row against its own hash and the plan.

Not checked: whether masks and attributes are those of the photos, which only a rebuild tells.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

from figureground.errors import DataError, Fault, UsageError
from figureground.exports.dataset.files import (
    ATTRIBUTES,
    BOARD,
    CHANGELOG,
    CLASS_MAP,
    LOCK,
    OBJECTS,
    PLAN,
    RECIPE,
    ShardName,
)
from figureground.exports.dataset.folder import DatasetFolder, LocalFiles, name_faults
from figureground.exports.dataset.manifest import board_faults, file_faults, read_manifest, unlisted_faults
from figureground.exports.dataset.rows import KEY_COLUMNS, open_table, read_rows, require_columns, row_key
from figureground.runtime.engines import EngineChoice
from figureground.runtime.pools import open_engine
from figureground.runtime.progress import Progress
from figureground.schemas.rasters.damage import png_damage
from figureground.schemas.rasters.masks import decode_png1, pixels_sha256
from figureground.schemas.rasters.photos import PhotoRejected, decode_photo
from figureground.schemas.records import RowKey
from figureground.schemas.store.releases import read_annotation

_HASH: Final = "provenance.pixels_sha256"
_IMAGE: Final = "image.bytes"
_MASK: Final = "object_mask.bytes"
_PLANNED: Final = ("variant", "split", "object_id", "attribute", "draw")
"""Columns of the plan, in the order of ``RowKey``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """What a whole repository holds."""

    files: int
    """Number of files that the manifest lists."""
    rows: int
    """Number of rows of all shards."""
    images: int
    """Rows with an image, each decoded and hashed; 0 in a release without pixels."""


class StoredShard(NamedTuple):
    """A shard to be checked."""

    name: ShardName
    path: Path
    """Where it lies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardCheck:
    """What one shard holds, and what is wrong with it."""

    shard: StoredShard
    rows: int
    keys_sha256: str
    """SHA-256 over the keys of its rows, in their order; the keys themselves would be millions."""
    images: int
    faults: tuple[Fault, ...]


def verify_repository(folder: Path, *, workers: int = 1, progress: Progress = lambda *_: None) -> VerifyReport:
    """Check a repository whole.

    Args:
        folder: The repository.
        workers: Processes.
        progress: Called with ("shards", done, total).

    Raises:
        DataError: with every file that is missing, changed or not listed, and every row that is not what it says or
            that the plan does not know, or lacks.
    """
    manifest = read_manifest(folder)
    dataset = DatasetFolder(name=str(folder), manifest=manifest, files=LocalFiles(folder))
    faults = [*file_faults(folder, manifest, manifest), *unlisted_faults(folder, manifest), *board_faults(folder)]
    shards: list[StoredShard] = []
    try:
        shards = [StoredShard(shard, dataset.shard_path(shard)) for shard in dataset.shards]
        faults += _part_faults(dataset) if not faults else []
    except DataError as error:
        faults += error.faults
    shards = [shard for shard in shards if shard.path.is_file()]
    checks: list[ShardCheck] = []
    with open_engine(EngineChoice(), workers=workers) as engine:
        for done, check in enumerate(engine.run(check_shard, shards), start=1):
            checks.append(check)
            faults += check.faults
            progress("shards", done, len(shards))
    if not faults and not _as_planned(folder, checks):
        faults += _plan_faults(folder, shards)
    if faults:
        raise DataError(faults)
    return VerifyReport(
        files=len(manifest), rows=sum(check.rows for check in checks), images=sum(check.images for check in checks)
    )


def check_shard(shard: StoredShard) -> ShardCheck:
    """Read a shard, hash the pixels of its images, and look for damage in their files."""
    digest = hashlib.sha256()
    faults: list[Fault] = []
    rows = images = 0
    try:
        for row in read_rows(shard.path, [*KEY_COLUMNS, _HASH], optional=[_IMAGE, "label", _MASK]):
            key = row_key(row, shard.name.split)
            faults += _row_faults(shard, row, key)
            rows += 1
            digest.update(repr(key).encode())
            if "image" in row:
                images += 1
                stored = (row["image"] or {}).get("bytes") or b""
                faults += _image_fault(shard.path, stored, row["provenance"]["pixels_sha256"], key)
    except DataError as error:
        faults += error.faults
    return ShardCheck(shard=shard, rows=rows, keys_sha256=digest.hexdigest(), images=images, faults=tuple(faults))


def _row_faults(shard: StoredShard, row: Mapping[str, Any], key: RowKey) -> Iterator[Fault]:
    """What is wrong with a row besides its pixels: another config's, without a label, or a mask that is none."""
    if key.variant != shard.name.config:
        yield Fault(where=shard.path.name, record=str(key), expected=f"rows of {shard.name.config}", got=key.variant)
    if "label" in row and row["label"] is None:
        yield Fault(where=shard.path.name, record=str(key), expected="a label", got="none", remedy="get it again")
    if "object_mask" in row:
        try:
            decode_png1((row["object_mask"] or {}).get("bytes") or b"", record=str(key))
        except DataError as error:
            yield from (replace(fault, where=f"{shard.path.name} {fault.where}") for fault in error.faults)


def _image_fault(path: Path, stored: bytes, expected: str, key: RowKey) -> list[Fault]:
    try:
        got = pixels_sha256(decode_photo(stored))
        if got == expected and (damage := png_damage(stored)):
            got = f"these, out of a damaged file: {damage}"
    except PhotoRejected as error:
        got = str(error)
    fault = Fault(
        where=path.name, record=str(key), expected=f"pixels with SHA-256 {expected}", got=got, remedy="get it again"
    )
    return [] if got == expected else [fault]


def _as_planned(folder: Path, checks: Sequence[ShardCheck]) -> bool:
    """Whether the shards, one after the other, hold the rows of the plan in its order."""
    planned = _planned_keys(folder)
    for check in sorted(checks, key=lambda check: check.shard.name):
        digest = hashlib.sha256()
        for key in islice(planned, check.rows):
            digest.update(repr(key).encode())
        if digest.hexdigest() != check.keys_sha256:
            return False
    return next(planned, None) is None


def _planned_keys(folder: Path) -> Iterator[RowKey]:
    with open_table(folder / PLAN) as table:
        require_columns(table, _PLANNED, where=str(folder / PLAN))
        for batch in table.iter_batches(columns=list(_PLANNED)):
            yield from map(RowKey, *(batch.column(name).to_pylist() for name in _PLANNED))


def _plan_faults(folder: Path, shards: Sequence[StoredShard]) -> list[Fault]:
    """Rows that the plan has and the shards lack, the other way round, that are there twice, or not in their place."""
    planned, stored = Counter(_planned_keys(folder)), Counter[RowKey]()
    misplaced: RowKey | None = None
    expected_keys = _planned_keys(folder)
    for shard in sorted(shards):
        for row in read_rows(shard.path, KEY_COLUMNS):
            key = row_key(row, shard.name.split)
            stored[key] += 1
            if next(expected_keys, None) != key and misplaced is None:
                misplaced = key
    differences = [(key, "a row that the plan has", "none") for key in sorted(planned.keys() - stored.keys())]
    differences += [
        (key, "only rows that the plan has", "another one") for key in sorted(stored.keys() - planned.keys())
    ]
    for key in sorted(planned.keys() & stored.keys()):
        if stored[key] != planned[key]:
            differences.append((key, f"{planned[key]} of this row, as the plan has", str(stored[key])))
    if not differences and misplaced is not None:
        differences.append((misplaced, "the rows in the order of the plan", "this one in another's place"))
    return [
        Fault(where=str(folder), record=str(key), expected=expected, got=got, remedy="get it again")
        for key, expected, got in differences
    ]


def _part_faults(dataset: DatasetFolder) -> list[Fault]:
    """What is wrong with the parts that are read as a whole: lock, recipe, classes, attributes, changelog, names."""
    faults: list[Fault] = []
    checks: list[tuple[str, Callable[[], object]]] = [
        (LOCK, lambda: dataset.lock),
        (CLASS_MAP, lambda: dataset.class_map),
        (RECIPE, lambda: dataset.recipe),
        (ATTRIBUTES, lambda: dataset.attributes),
        (CHANGELOG, dataset.changelog),
        (BOARD, dataset.leaderboard),
        (OBJECTS, lambda: read_annotation(dataset.files.path(OBJECTS))),  # not its rows, which may be millions
    ]
    for name, read in checks:
        if dataset.has(name):
            try:
                read()
            except (DataError, UsageError) as error:
                one = Fault(where=dataset.name, record=name, expected="a file that can be read", got=str(error))
                faults += error.faults if isinstance(error, DataError) else [one]
    return faults + name_faults(dataset)
