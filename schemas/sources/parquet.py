"""Photos in Parquet files, on disk or in a dataset on the Hub: ``image`` as bytes, ``label`` as text or class."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from figureground.errors import DataError, ServiceError
from figureground.schemas.sources.items import SourceItem

_HUB_WNID: Final = re.compile(r"_(n\d{8})\.[A-Za-z]+$")
"""ImageNet on the Hub names its photos FILE_WNID.JPEG."""
_SPLIT_OF_SHARD: Final = re.compile(r"(?:^|/)(train|validation|val|valid|test)(?:[-._][^/]*|/[^/]*)$")
"""``data/train-00000-of-00002.parquet``, and ``default/train/0000.parquet`` as the Hub converts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParquetSource:
    """Parquet files with the columns ``image`` (struct of bytes and path, or binary) and ``label``."""

    name: str
    locator: str
    options: Mapping[str, str] = field(default_factory=dict)
    kind: str = "parquet"

    def __iter__(self) -> Iterator[SourceItem]:
        """Rows in the order of files and rows."""
        for path in self._files():
            yield from self._items(path)

    def read(self, uri: str) -> bytes:
        """Bytes of one row; reads only its row group."""
        file_name, _, row = uri.rpartition("#")
        if not row.isdecimal() or file_name not in self._files():
            raise DataError.single(self.name, uri, expected="FILE.parquet#ROW of this source", got="another uri")
        try:
            data = _photo_bytes(self._group_of(file_name, int(row)))
        except (pa.ArrowException, OSError, KeyError) as error:
            if self.locator.startswith("hf://"):
                raise ServiceError(f"{self.locator}: {uri} cannot be read ({error}); run again to go on") from error
            raise DataError.single(self.name, uri, expected="a readable row", got=str(error)) from error
        if data is None:
            raise DataError.single(
                self.name,
                uri,
                expected="a row with image bytes",
                got="none",
                remedy="embed the photos: datasets' push_to_hub does, its to_parquet does not",
            )
        return data

    def _group_of(self, file_name: str, row: int) -> Any:  # noqa: ANN401  one Arrow value
        offset = 0
        file = _open_file(self.locator, file_name)
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if row < offset + rows:
                return _image_column(self.locator, file_name, group)[row - offset]
            offset += rows
        raise DataError.single(self.name, f"{file_name}#{row}", expected=f"a row below {offset}", got=str(row))

    def _files(self) -> tuple[str, ...]:
        return _list_files(self.locator)

    def _items(self, file_name: str) -> Iterator[SourceItem]:
        file = _open_file(self.locator, file_name)
        names = _class_names(file.schema_arrow, f"{self.name}/{file_name}")
        if "image" not in file.schema_arrow.names:
            got = ", ".join(file.schema_arrow.names)
            raise DataError.single(f"{self.name}/{file_name}", "", expected="a column image", got=got)
        split = _SPLIT_OF_SHARD.search(file_name)
        columns = [name for name in ("image.path", "label") if name.partition(".")[0] in file.schema_arrow.names]
        row = 0
        for batch in file.iter_batches(columns=columns, batch_size=4096):
            for record in batch.to_pylist():
                label = _wnid(record) or _label(record, names)
                yield SourceItem(
                    uri=f"{file_name}#{row}",
                    label=label,
                    source_split=split.group(1) if split else "",
                    fault="" if label else "expected a label, got none",
                )
                row += 1


def _photo_bytes(value: Any) -> bytes | None:  # noqa: ANN401  one Arrow value
    plain = value.as_py()
    return plain.get("bytes") if isinstance(plain, dict) else plain


def _wnid(record: Mapping[str, Any]) -> str:
    """The wnid in the photo's name: the Hub's ImageNet names its classes in words, class maps by wnid."""
    image = record.get("image")
    named = _HUB_WNID.search(image.get("path") or "") if isinstance(image, dict) else None
    return named.group(1) if named else ""


def _label(record: Mapping[str, Any], names: list[str]) -> str:
    """The label as text: a class's name, or the text itself."""
    label = record.get("label")
    if isinstance(label, int):
        return names[label] if 0 <= label < len(names) else str(label) if not names and label >= 0 else ""
    return str(label) if label else ""


def _class_names(schema: pa.Schema, where: str) -> list[str]:
    """Names of the ``label`` column from the metadata that ``datasets`` writes."""
    text = (schema.metadata or {}).get(b"huggingface", b"{}")
    try:
        names = json.loads(text).get("info", {}).get("features", {}).get("label", {}).get("names") or []
    except (ValueError, AttributeError) as error:
        names, text = None, str(error)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError.single(where, "metadata huggingface", expected="the features of datasets", got=str(text)[:200])
    return names


def _filesystem(locator: str) -> tuple[Any, str]:
    if locator.startswith("hf://"):
        from huggingface_hub import HfFileSystem  # half of what importing a worker process takes

        return HfFileSystem(), locator.removeprefix("hf://")
    import fsspec

    return fsspec.filesystem("file"), locator


@lru_cache(maxsize=16)
def _list_files(locator: str) -> tuple[str, ...]:
    """Parquet files below a locator, ``/``-separated, sorted; a file by itself is its own list."""
    filesystem, root = _filesystem(locator)
    if root.endswith(".parquet"):
        return (PurePosixPath(root).name,)
    if not locator.startswith("hf://"):  # a local folder may have brackets in its name, which glob would read
        return tuple(sorted(path.relative_to(root).as_posix() for path in Path(root).rglob("*.parquet")))
    try:
        paths = filesystem.glob(f"{root}/**/*.parquet") + filesystem.glob(f"{root}/*.parquet")
    except Exception as error:
        raise ServiceError(
            f"{locator}: cannot be listed ({error}); check the name and the token, then run again"
        ) from error
    return tuple(sorted({str(PurePosixPath(path).relative_to(root)) for path in paths}))


@lru_cache(maxsize=64)
def _open_file(locator: str, file_name: str) -> pq.ParquetFile:
    filesystem, root = _filesystem(locator)
    path = root if root.endswith(".parquet") else f"{root}/{file_name}"
    try:
        return pq.ParquetFile(filesystem.open(path, "rb"))
    except pa.ArrowInvalid as error:
        raise DataError.single(path, "", expected="a Parquet file", got=str(error)) from error


@lru_cache(maxsize=2)
def _image_column(locator: str, file_name: str, group: int) -> pa.ChunkedArray:
    """Images of one row group; neighbours are read one after the other, so the last groups are remembered."""
    return _open_file(locator, file_name).read_row_group(group, columns=["image"]).column("image")
