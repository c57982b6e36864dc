"""Verifying a dataset repository: every file against the manifest, every row against its own hash and the plan."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from figureground.build.engine import run_jobs
from figureground.build.plan import read_plan
from figureground.errors import DataError, Fault
from figureground.exports.found_photos import Progress
from figureground.exports.repository_files import MANIFEST
from figureground.schemas.files import file_sha256
from figureground.schemas.masks import pixels_sha256
from figureground.schemas.photos import PhotoRejected, decode_photo

_BATCH: Final = 100
Key = tuple[str, str, str, str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """What a whole repository holds."""

    files: int
    rows: int
    images: int
    """Rows with an image, each decoded and hashed; 0 in a release without pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardCheck:
    """What was found in one shard."""

    keys: tuple[Key, ...]
    images: int
    faults: tuple[Fault, ...]


def verify_repository(folder: Path, *, workers: int = 1, progress: Progress = lambda *_: None) -> VerifyReport:
    """Check a repository whole.

    Raises:
        DataError: with every file that is missing, changed or not listed, and every row that is not what it says or
            that the plan does not know, or lacks.
    """
    manifest = read_manifest(folder)
    faults = [*_file_faults(folder, manifest, manifest), *_unlisted(folder, manifest)]
    shards = [folder / name for name in manifest if name.startswith("data/") and (folder / name).is_file()]
    keys: list[Key] = []
    images = 0
    for done, check in enumerate(run_jobs(check_shard, shards, workers=workers), start=1):
        keys += check.keys
        images += check.images
        faults += check.faults
        progress("shards", done, len(shards))
    if not faults:
        faults += _plan_faults(folder, keys)
    if faults:
        raise DataError(faults)
    return VerifyReport(files=len(manifest), rows=len(keys), images=images)


def read_manifest(folder: Path) -> dict[str, str]:
    """Path below the folder to SHA-256.

    Raises:
        DataError: if there is no manifest, or it names a path outside of the folder.
    """
    path = folder / MANIFEST
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))["sha256"]
        found = {str(name): str(sha256) for name, sha256 in listed.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        got = f"{type(error).__name__}: {error}"
        raise DataError.single(str(path), "", expected="the manifest of a dataset repository", got=got) from error
    strange = [name for name in found if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts]
    if strange:
        raise DataError(
            Fault(where=str(path), record=name, expected="a path inside the repository", got="one that leaves it")
            for name in strange
        )
    return found


def require_files(folder: Path, manifest: Mapping[str, str], names: Iterable[str]) -> None:
    """Check some files of a repository against its manifest.

    Raises:
        DataError: with every one that is missing, changed or not listed.
    """
    faults = _file_faults(folder, manifest, names)
    if faults:
        raise DataError(faults)


def _file_faults(folder: Path, manifest: Mapping[str, str], names: Iterable[str]) -> list[Fault]:
    faults = []
    for name in names:
        path, expected = folder / name, manifest.get(name)
        got = file_sha256(path) if path.is_file() else "no such file"
        if got != expected:
            wanted = f"a file with SHA-256 {expected}" if expected else f"a file that {MANIFEST} lists"
            faults.append(Fault(where=str(folder), record=name, expected=wanted, got=got, remedy="get it again"))
    return faults


def _unlisted(folder: Path, manifest: Mapping[str, str]) -> list[Fault]:
    found = (path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file())
    return [
        Fault(where=str(folder), record=name, expected=f"only files that {MANIFEST} lists", got="another one")
        for name in found
        if name not in manifest and name != MANIFEST and not name.startswith(".")
    ]


def check_shard(path: Path) -> ShardCheck:
    """Read a shard and hash the pixels of its images."""
    keys: list[Key] = []
    faults: list[Fault] = []
    images = 0
    try:
        file = pq.ParquetFile(path)
        columns = [name for name in _COLUMNS if name in file.schema_arrow.names]
        for batch in file.iter_batches(batch_size=_BATCH, columns=columns):
            for row in batch.to_pylist():
                told, split = row["provenance"], path.name.rpartition("-of-")[0].rpartition("-")[0]
                keys.append((row["variant"], split, told["object_id"], row["attribute"] or "", row["draw"]))
                if "image" in row:
                    images += 1
                    faults += _image_fault(path, row["image"]["bytes"], told["pixels_sha256"], keys[-1])
    except (pa.ArrowException, OSError, KeyError, TypeError) as error:
        faults.append(Fault(where=str(path), record="", expected="a shard of rows", got=str(error)))
    return ShardCheck(keys=tuple(keys), images=images, faults=tuple(faults))


_COLUMNS: Final = ("image", "variant", "draw", "attribute", "provenance")


def _image_fault(path: Path, stored: bytes, expected: str, key: Key) -> list[Fault]:
    try:
        got = pixels_sha256(decode_photo(stored))
    except PhotoRejected as error:
        got = str(error)
    name = " ".join(map(str, key))
    fault = Fault(
        where=path.name, record=name, expected=f"pixels with SHA-256 {expected}", got=got, remedy="get it again"
    )
    return [] if got == expected else [fault]


def _plan_faults(folder: Path, keys: Sequence[Key]) -> list[Fault]:
    planned, found = {row.key for row in read_plan(folder / "report" / "plan.parquet")}, set(keys)
    lacking = [(key, "a row that the plan has", "none") for key in sorted(planned - found)]
    more = [(key, "only rows that the plan has", "another one") for key in sorted(found - planned)]
    return [
        Fault(where=str(folder), record=" ".join(map(str, key)), expected=expected, got=got)
        for key, expected, got in [*lacking, *more]
    ]
