"""Verifying a dataset repository: every file against the manifest, every row against its own hash and the plan."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from figureground.errors import DataError, Fault
from figureground.exports.dataset.files import MANIFEST, is_repository_path
from figureground.runtime.engines import EngineChoice
from figureground.runtime.files import file_sha256
from figureground.runtime.pools import open_engine
from figureground.runtime.progress import Progress
from figureground.schemas.rasters.masks import pixels_sha256
from figureground.schemas.rasters.photos import PhotoRejected, decode_photo

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

    path: Path
    rows: int
    keys_sha256: str
    """Of the keys of its rows, in their order: millions of them are not worth keeping where all is well."""
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
    checks: list[ShardCheck] = []
    with open_engine(EngineChoice(), workers=workers) as engine:
        for done, check in enumerate(engine.run(check_shard, shards), start=1):
            checks.append(check)
            faults += check.faults
            progress("shards", done, len(shards))
    if not faults and not _as_planned(folder, checks):
        faults += _plan_faults(folder, checks)
    if faults:
        raise DataError(faults)
    return VerifyReport(
        files=len(manifest), rows=sum(each.rows for each in checks), images=sum(each.images for each in checks)
    )


def read_manifest(folder: Path) -> dict[str, str]:
    """Path below the folder to SHA-256.

    Raises:
        DataError: if there is no manifest, or it names what is no path of a repository.
    """
    path = folder / MANIFEST
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))["sha256"]
        found = {str(name): str(sha256) for name, sha256 in listed.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        got = f"{type(error).__name__}: {error}"
        raise DataError.single(str(path), "", expected="the manifest of a dataset repository", got=got) from error
    strange = [name for name in found if not is_repository_path(name)]
    if strange:
        got = "one that is hidden, leads elsewhere or has strange characters"
        raise DataError(
            Fault(where=str(path), record=repr(name), expected="a path inside the repository", got=got)
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
    digest = hashlib.sha256()
    faults: list[Fault] = []
    rows = images = 0
    try:
        for key, row in _stored_rows(path, _COLUMNS):
            rows += 1
            digest.update(repr(key).encode())
            if "image" in row:
                images += 1
                faults += _image_fault(path, row["image"]["bytes"], row["provenance"]["pixels_sha256"], key)
    except (pa.ArrowException, OSError, KeyError, TypeError) as error:
        faults.append(Fault(where=str(path), record="", expected="a shard of rows", got=str(error)))
    return ShardCheck(path=path, rows=rows, keys_sha256=digest.hexdigest(), images=images, faults=tuple(faults))


_KEY_COLUMNS: Final = ("variant", "draw", "attribute", "provenance.object_id")
_COLUMNS: Final = (*_KEY_COLUMNS, "provenance.pixels_sha256", "image.bytes")


def _stored_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[Key, dict[str, Any]]]:
    """Rows of a shard with their keys."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=_BATCH, columns=list(columns)):
            for row in batch.to_pylist():
                name = row["provenance"]["object_id"]
                yield (row["variant"], _split_of(path), name, row["attribute"] or "", row["draw"]), row


def _split_of(path: Path) -> str:
    """Split that a shard is of, from its name."""
    return path.name.rpartition("-of-")[0].rpartition("-")[0]


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


def _as_planned(folder: Path, checks: Sequence[ShardCheck]) -> bool:
    """Whether the shards, one after the other, hold the rows of the plan in its order."""
    planned = _planned_keys(folder)
    for check in sorted(checks, key=lambda each: (each.path.parent.name, _split_of(each.path), each.path.name)):
        digest = hashlib.sha256()
        for key in islice(planned, check.rows):
            digest.update(repr(key).encode())
        if digest.hexdigest() != check.keys_sha256:
            return False
    return next(planned, None) is None


def _planned_keys(folder: Path) -> Iterator[Key]:
    path = folder / "report" / "plan.parquet"
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(columns=list(_PLANNED)):
                yield from zip(*(batch.column(name).to_pylist() for name in _PLANNED), strict=True)
    except (pa.ArrowException, OSError, KeyError) as error:
        raise DataError.single(str(path), "", expected="a plan (Parquet)", got=str(error)) from error


_PLANNED: Final = ("variant", "split", "object_id", "attribute", "draw")


def _plan_faults(folder: Path, checks: Sequence[ShardCheck]) -> list[Fault]:
    """Rows that the plan has and the shards lack, or the other way round."""
    planned = set(_planned_keys(folder))
    found = {key for check in checks for key, _ in _stored_rows(check.path, _KEY_COLUMNS)}
    lacking = [(key, "a row that the plan has", "none") for key in sorted(planned - found)]
    more = [(key, "only rows that the plan has", "another one") for key in sorted(found - planned)]
    return [
        Fault(where=str(folder), record=" ".join(map(str, key)), expected=expected, got=got)
        for key, expected, got in [*lacking, *more]
    ]
