"""Rows of a dataset as its shards hold them: one after the other, or by their index; read a few at a time.

A shard may come from anybody: what is no table, or lacks a column, is a fault that names the file.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from figureground.errors import DataError, Faults
from figureground.schemas.records import RowKey

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


@contextmanager
def open_table(path: Path) -> Iterator[pq.ParquetFile]:
    """Give an open Parquet file.

    Raises:
        DataError: if it is none, or damaged where the block reads it.
    """
    try:
        with pq.ParquetFile(path) as table:
            yield table
    except (pa.ArrowException, OSError) as error:
        raise DataError.single(str(path), "", expected="a table (Parquet)", got=str(error)) from error


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
        DataError: if it is no table, is damaged or lacks one of ``columns``.
    """
    with open_table(path) as table:
        wanted = None
        if columns is not None:
            require_columns(table, columns, where=str(path))
            wanted = [*columns, *(name for name in optional if has_column(table, name))]
        batches = table.iter_batches(batch_size=_ROWS_AT_A_TIME, columns=wanted)
        while (batch := next(batches, None)) is not None:
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


class IndexedRows:
    """Rows of several shards, one after the other, by their index; quick where indices ascend."""

    def __init__(self, shards: Sequence[Path], columns: Sequence[str]) -> None:
        self._columns = list(columns)
        tables = [pq.ParquetFile(path) for path in shards]
        self._groups = [(table, group) for table in tables for group in range(table.num_row_groups)]
        sizes = [table.metadata.row_group(group).num_rows for table, group in self._groups]
        self._starts = [0, *accumulate(sizes)]
        self._cached_group = -1
        self._cached_rows: list[dict[str, Any]] = []

    def __getitem__(self, index: int) -> dict[str, Any]:
        """The columns of a row, counted from 0 over all shards."""
        number = bisect_right(self._starts, index) - 1
        if self._cached_group != number:
            table, group = self._groups[number]
            self._cached_group = number
            self._cached_rows = table.read_row_group(group, columns=self._columns).to_pylist()
        row: dict[str, Any] = self._cached_rows[index - self._starts[number]]
        return row
