"""Tables of ours as Parquet files that somebody passed on: here columns are compared and gaps are found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from figureground.errors import DataError, Faults


@contextmanager
def open_parquet(path: Path, what: str) -> Iterator[pq.ParquetFile]:
    """Give an open Parquet file.

    Args:
        path: The file.
        what: What it should be, in errors.

    Raises:
        DataError: if it is none, or damaged where the block reads it.
    """
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and error.errno is not None and not isinstance(error, FileNotFoundError):
            raise
        got = " ".join(str(error).split())[:300] or type(error).__name__
        raise DataError.single(str(path), "", expected=f"{what} (Parquet)", got=got, remedy="get it again") from error


def read_metadata(path: Path, what: str) -> dict[str, str]:
    """The file's own keys and texts. Raises as ``open_parquet``, and ``DataError`` for what is no UTF-8."""
    with open_parquet(path, what) as file:
        stored = file.schema_arrow.metadata or {}
        return {key.decode(): value.decode() for key, value in stored.items() if key.startswith(b"figureground.")}


def read_batches(
    path: Path, schema: pa.Schema, rows_at_a_time: int, what: str, *, gaps: Sequence[str] = ()
) -> Iterator[list[dict[str, Any]]]:
    """Rows of a table of a known schema, few in memory at a time; no cell of them is null, but in the columns ``gaps``.

    Args:
        path: The file.
        schema: Columns that it must have, each of its type; it has no others.
        rows_at_a_time: Most rows of a batch.
        what: What it should be, in errors.
        gaps: Columns in which a row may have no value.

    Raises:
        DataError: with every column that is missing, strange or of another type, every column with a gap, or for a file
            that is damaged.
    """
    with open_parquet(path, what) as file:
        _require_schema(path, file.schema_arrow, schema)
        for batch in file.iter_batches(rows_at_a_time):
            faults = Faults()
            for name in schema.names:
                if name not in gaps and has_gap(batch.column(name)):
                    faults.add(
                        str(path), name, expected="a value in every row", got="none in some", remedy="get it again"
                    )
            faults.raise_if_any()
            yield batch.to_pylist()


def _require_schema(path: Path, got: pa.Schema, schema: pa.Schema) -> None:
    faults = Faults()
    for field in schema:
        count = len(got.get_all_field_indices(field.name))
        if count != 1:
            faults.add(
                str(path), field.name, expected="one column of this name", got="none" if not count else str(count)
            )
        elif got.field(field.name).type != field.type:
            faults.add(str(path), field.name, expected=f"a column of {field.type}", got=str(got.field(field.name).type))
    for name in sorted(set(got.names) - set(schema.names)):
        faults.add(str(path), name[:80], expected="no such column", got="one")
    faults.raise_if_any()


def has_gap(array: pa.Array) -> bool:
    """Whether a column, or a list or structure in it, holds a null."""
    if array.null_count:
        return True
    if pa.types.is_struct(array.type):
        return any(has_gap(part) for part in array.flatten())
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type) or pa.types.is_fixed_size_list(array.type):
        return has_gap(array.flatten())
    return False
