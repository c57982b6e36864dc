"""Rows of a dataset as its shards hold them: one after the other, or by their index; read a few at a time.

A shard may come from anybody: what is no table, or lacks a column, is a fault that names the file.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from figureground.errors import DataError, Faults
from figureground.schemas.records import RowKey
from figureground.schemas.store.tables import has_gap, open_parquet

KEY_COLUMNS: Final = ("variant", "draw", "attribute", "provenance.object_id")
"""What a row's key is made of, besides the split, which is in the shard's name."""
_ROWS_AT_A_TIME: Final = 64


def row_key(row: Mapping[str, Any], split: str, *, variant: str | None = None) -> RowKey:
    """Key of a row.

    Args:
        row: A row with ``KEY_COLUMNS``; ``variant`` may be absent if it is given.
        split: Split of the shard that the row is in.
        variant: Config of the shard; None for what the row itself says.

    Raises:
        DataError: if the row has no object.
    """
    variant = row["variant"] if variant is None else variant
    object_id = (row["provenance"] or {}).get("object_id")
    if object_id is None:
        raise DataError.single(f"{variant}, {split}", "provenance.object_id", expected="an id", got="none")
    return RowKey(variant, split, object_id, row["attribute"] or "", row["draw"])


def open_table(path: Path) -> AbstractContextManager[pq.ParquetFile]:
    """Give an open Parquet file.

    Raises:
        DataError: if it is none, or damaged where the block reads it.
    """
    return open_parquet(path, "a table")


def read_schema(path: Path) -> pa.Schema:
    """The columns of a shard. Raises as ``open_table``."""
    with open_table(path) as table:
        return table.schema_arrow


def count_rows(path: Path) -> int:
    """Rows of a shard, by its footer. Raises as ``open_table``."""
    with open_table(path) as table:
        return int(table.metadata.num_rows)


def read_rows(
    path: Path, columns: Sequence[str] | None = None, *, optional: Sequence[str] = ()
) -> Iterator[dict[str, Any]]:
    """Rows of one shard, few in memory at a time.

    Args:
        path: The shard.
        columns: Columns to read, those inside a structure as ``provenance.object_id``; None for all.
        optional: Columns to read where the shard has them.

    Raises:
        DataError: if it is no table, is damaged, or lacks one of ``columns`` or has it of another type or with gaps.
    """
    with open_table(path) as table:
        wanted = None
        if columns is not None:
            require_columns(table, columns, where=str(path))
            wanted = [*columns, *(name for name in optional if has_column(table, name))]
        names = (column.partition(".")[0] for column in [*(columns or table.schema_arrow.names), *optional])
        require_types(path, table.schema_arrow, [name for name in names if name in table.schema_arrow.names])
        batches = table.iter_batches(batch_size=_ROWS_AT_A_TIME, columns=wanted)
        while (batch := next(batches, None)) is not None:
            _require_whole(path, batch)
            yield from batch.to_pylist()


def has_column(table: pq.ParquetFile, column: str) -> bool:
    """Whether a table has a column, or a structure with columns in it."""
    return any(is_part_of(leaf, column) for leaf in leaf_columns(table))


def is_part_of(leaf: str, column: str) -> bool:
    """Whether a column that holds values is ``column`` itself or in that structure."""
    return leaf == column or leaf.startswith(f"{column}.")


def leaf_columns(table: pq.ParquetFile) -> list[str]:
    """Paths of the columns that hold values, such as ``provenance.object_id``, in their order."""
    metadata = table.metadata
    return [metadata.schema.column(number).path for number in range(metadata.num_columns)]


def require_columns(table: pq.ParquetFile, columns: Sequence[str], *, where: str, record: str = "") -> None:
    """Check that a table has some columns.

    Raises:
        DataError: with every one that it lacks.
    """
    faults = Faults()
    for column in columns:
        if not has_column(table, column):
            faults.add(where, record, expected=f"the column {column}", got="none")
    faults.raise_if_any()


def _text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind))


def _whole(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_null(kind))


def _bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_null(kind))


def _picture(kind: pa.DataType) -> bool:
    return (
        bool(pa.types.is_struct(kind))
        and {field.name for field in kind} == {"bytes", "path"}
        and _bytes(kind["bytes"].type)
    )


def _answers(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return all(pa.types.is_boolean(field.type) or pa.types.is_null(field.type) for field in kind)
    return bool(pa.types.is_null(kind))


def _masks(kind: pa.DataType) -> bool:
    if not (_list(kind) and pa.types.is_struct(kind.value_type)):
        return False
    if sorted(field.name for field in kind.value_type) != ["attribute", "counts", "size"]:
        return False
    attribute, counts, size = (kind.value_type[name].type for name in ("attribute", "counts", "size"))
    return _text(attribute) and _text(counts) and _list(size) and _whole(size.value_type)


def _list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


_TYPES: Final[Mapping[str, tuple[str, Callable[[pa.DataType], bool]]]] = {
    "image": ("pictures (bytes, path)", _picture),
    "label": ("whole numbers", _whole),
    "image_id": ("texts", _text),
    "source_label": ("texts", _text),
    "variant": ("texts", _text),
    "draw": ("whole numbers", _whole),
    "attribute": ("texts", _text),
    "object_mask": ("pictures (bytes, path)", _picture),
    "ground_id": ("texts", _text),
    "attributes": ("true or false by name", _answers),
    "attribute_masks": ("masks (attribute, size, counts)", _masks),
    "provenance": ("structures", pa.types.is_struct),
}
"""Column to what it holds, in words, and whether a type is that; a column of nulls alone may have any."""
_WITHOUT_GAPS: Final = ("image_id", "source_label", "variant", "draw", "attribute_masks", "provenance")


def require_types(path: Path, schema: pa.Schema, columns: Sequence[str]) -> None:
    """Check that the columns that are read hold what their names say."""
    faults = Faults()
    for name in dict.fromkeys(columns):
        expected, fits = _TYPES.get(name, ("", lambda _: True))
        if (count := len(schema.get_all_field_indices(name))) != 1:
            faults.add(str(path), name, expected="one column of this name", got=str(count or "none"))
        elif not fits(schema.field(name).type):
            got = str(schema.field(name).type)[:80]
            faults.add(str(path), name, expected=f"a column of {expected}", got=got, remedy="get it again")
    faults.raise_if_any()


def _require_whole(path: Path, batch: pa.RecordBatch) -> None:
    """Check that columns have no gap where every row has a value; what is inside of ``provenance`` may be null."""
    faults = Faults()
    for name in batch.schema.names:
        column = batch.column(name)
        gap = has_gap(column) if name == "attribute_masks" and column.null_count == 0 else column.null_count
        if gap and name in _WITHOUT_GAPS:
            faults.add(str(path), name, expected="a value in every row", got="none in some", remedy="get it again")
    faults.raise_if_any()


class IndexedRows:
    """Rows of several shards, one after the other, by their index; quick where indices ascend."""

    def __init__(self, shards: Sequence[Path], columns: Sequence[str]) -> None:
        self._columns = list(columns)
        self._groups: list[tuple[Path, int]] = []
        sizes: list[int] = []
        for path in shards:  # one open at a time: ImageNet's are more than a process may open
            with open_table(path) as table:
                require_types(path, table.schema_arrow, [name.partition(".")[0] for name in self._columns])
                self._groups += [(path, group) for group in range(table.num_row_groups)]
                sizes += [table.metadata.row_group(group).num_rows for group in range(table.num_row_groups)]
        self._starts = [0, *accumulate(sizes)]
        self._cached_group = -1
        self._cached_rows: list[dict[str, Any]] = []

    def __getitem__(self, index: int) -> dict[str, Any]:
        """The columns of a row, counted from 0 over all shards.

        Raises:
            DataError: if there are fewer rows than that, as in a dataset with the plan of another one.
        """
        if not 0 <= index < self._starts[-1]:
            where = str(self._groups[0][0]) if self._groups else "the earlier version"
            expected = f"at least {index + 1} rows, as its plan has"
            raise DataError.single(where, "", expected=expected, got=str(self._starts[-1]), remedy="get it again")
        number = bisect_right(self._starts, index) - 1
        if self._cached_group != number:
            path, group = self._groups[number]
            with open_table(path) as table:
                self._cached_rows = table.read_row_group(group, columns=self._columns).to_pylist()
            self._cached_group = number
        row: dict[str, Any] = self._cached_rows[index - self._starts[number]]
        return row
