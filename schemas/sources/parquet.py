"""Photos in Parquet files, on disk or in a dataset on the Hub: ``image`` as bytes, ``label`` as text or class."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from figureground.errors import DataError, ServiceError, listed
from figureground.runtime.files import file_ending, is_hidden
from figureground.schemas.documents import same_form
from figureground.schemas.sources.items import FILE_FAULT, SourceItem, told_ending
from figureground.schemas.sources.walking import others_below, photos_below

_COLUMNS: Final = ("image", "label")
_ENDING: Final = ".parquet"
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
        except (pa.ArrowException, OSError, KeyError, ValueError) as error:
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
        if not isinstance(data, bytes):
            got = f"a {type(data).__name__}"
            raise DataError.single(self.name, uri, expected="the bytes of an image file", got=got)
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

    def passed_over(self) -> Counter[str]:
        """Number of files with a column that is not read, by its name, and of other files by their ending."""
        remote = self.locator.startswith("hf://")
        counts: Counter[str] = Counter()
        for file_name in self._files()[:1] if remote else self._files():
            try:
                names = _open_file(self.locator, file_name).schema_arrow.names
            except DataError:
                continue  # told as an item
            counts.update(f"column {name}" for name in names if name not in _COLUMNS)
        root = Path(self.locator)
        if not remote and root.is_dir():
            counts += others_below(root) + Counter(told_ending(item.uri) for item in photos_below(root))
        return Counter({name: count for name, count in counts.items() if name != _ENDING})

    def _items(self, file_name: str) -> Iterator[SourceItem]:
        """Rows of a file; what cannot be read of it is an item with a fault, and the other rows and files go on."""
        split = _SPLIT_OF_SHARD.search(file_name)
        whole = SourceItem(uri=file_name, label="", source_split=split.group(1) if split else "", reason=FILE_FAULT)
        try:
            file = _open_file(self.locator, file_name)
            names = _class_names(file.schema_arrow, file_name)
        except DataError as error:
            yield whole.changed(
                fault="; ".join(f"expected {fault.expected}, got {fault.got}" for fault in error.faults)
            )
            return
        columns = file.schema_arrow.names
        if missing := [name for name in _COLUMNS if name not in columns]:
            yield whole.changed(fault=f"expected a column {' and a column '.join(missing)}, got {listed(columns)}")
            return
        first = 0
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            try:
                labels = list(self._labels(file, group, names))
            except (pa.ArrowException, OSError, ValueError) as error:
                if self.locator.startswith("hf://"):
                    raise ServiceError(f"{self.locator}: {file_name} cannot be read ({error}); run again") from error
                fault = f"expected readable rows {first} to {first + rows - 1}, got {error}"
                yield whole.changed(uri=f"{file_name}#{first}", fault=fault)
            else:
                for row, (label, fault) in enumerate(labels, start=first):
                    yield whole.changed(uri=f"{file_name}#{row}", label=label, fault=fault, reason="source_fault")
            first += rows

    def _labels(self, file: pq.ParquetFile, group: int, names: list[str]) -> Iterator[tuple[str, str]]:
        """Label and fault, one of them empty, of every row of a row group."""
        columns = [name for name in ("image.path", "label") if name.partition(".")[0] in file.schema_arrow.names]
        for batch in file.iter_batches(columns=columns, batch_size=4096, row_groups=[group]):
            try:
                records = batch.to_pylist()
            except UnicodeDecodeError:  # one row's text is none: then each by itself
                records = [_record(batch, row) for row in range(batch.num_rows)]
            for record in records:
                wnid = _wnid(record)
                yield (wnid, "") if wnid else _label(record.get("label"), names)


def parquet_files_below(root: Path) -> list[str]:
    """Paths of Parquet files below a folder, ``/``-separated, sorted, without hidden ones."""
    paths: list[str] = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not is_hidden(name)]
        below = PurePosixPath(os.path.relpath(folder, root))
        paths += [(below / name).as_posix() for name in names if file_ending(name) == _ENDING and not is_hidden(name)]
    return sorted(paths)


def _record(batch: pa.RecordBatch, row: int) -> dict[str, Any]:
    """One row, with bytes in place of text that is no UTF-8."""
    record: dict[str, Any] = {}
    for name in batch.schema.names:
        value = batch.column(name)[row]
        try:
            record[name] = value.as_py()
        except UnicodeDecodeError:
            record[name] = value.cast(pa.binary()).as_py() if name == "label" else None
    return record


def _photo_bytes(value: Any) -> Any:  # noqa: ANN401  one Arrow value; bytes where the column is one of photos
    plain = value.as_py()
    return plain.get("bytes") if isinstance(plain, dict) else plain


def _wnid(record: Mapping[str, Any]) -> str:
    """The wnid in the photo's name: the Hub's ImageNet names its classes in words, class maps by wnid."""
    image = record.get("image")
    named = _HUB_WNID.search(image.get("path") or "") if isinstance(image, dict) else None
    return named.group(1) if named else ""


def _label(label: Any, names: list[str]) -> tuple[str, str]:  # noqa: ANN401  one Arrow value
    """The label as text, a class's name or the text itself, and what is wrong with it; one of them is empty."""
    if isinstance(label, bytes):
        try:
            label = label.decode()
        except UnicodeDecodeError:
            return "", f"expected a label in UTF-8, got {label!r:.60}"
    if isinstance(label, float) and label.is_integer():
        label = int(label)
    if label is None or label == "" or label != label:
        return "", "expected a label, got none" if label in (None, "") else "expected a label, got no number (NaN)"
    if isinstance(label, int) and names:
        whole = 0 <= label < len(names)
        return (same_form(names[label]), "") if whole else ("", f"expected a class below {len(names)}, got {label}")
    if isinstance(label, int) and label < 0:
        return "", f"expected a label, got {label}, which stands for none"
    if isinstance(label, str | int | float):
        return same_form(str(label)), ""
    return "", f"expected a label of text or a number, got a {type(label).__name__}"


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
    if file_ending(root) == _ENDING:
        return (PurePosixPath(root).name,)
    if not locator.startswith("hf://"):  # a local folder may have brackets in its name, which glob would read
        return tuple(parquet_files_below(Path(root)))
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
    path = root if file_ending(root) == _ENDING else f"{root}/{file_name}"
    try:
        return pq.ParquetFile(filesystem.open(path, "rb"))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # the last of names of columns
        if locator.startswith("hf://") and isinstance(error, OSError):
            raise ServiceError(f"{locator}: {file_name} cannot be read ({error}); run again to go on") from error
        raise DataError.single(path, "", expected="a Parquet file", got=str(error)) from error


@lru_cache(maxsize=2)
def _image_column(locator: str, file_name: str, group: int) -> pa.ChunkedArray:
    """Images of one row group; neighbours are read one after the other, so the last groups are remembered."""
    return _open_file(locator, file_name).read_row_group(group, columns=["image"]).column("image")
