"""Plans as Parquet files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from figureground.errors import DataError
from figureground.runtime.files import replace_file
from figureground.schemas.records import PlanRow

_ROWS_PER_GROUP: Final = 1 << 20
_ROWS_AT_A_TIME: Final = 1 << 15  # spelled out together; divides a row group, so that pages end where they would
_SCHEMA: Final = pa.schema(
    [
        ("variant", pa.string()),
        ("split", pa.string()),
        ("object_id", pa.string()),
        ("attribute", pa.string()),
        ("draw", pa.int32()),
        ("label", pa.int32()),
        ("seed", pa.uint64()),
        ("ground_id", pa.string()),
        ("ground_label", pa.int32()),
        ("texture_id", pa.string()),
        ("params", pa.string()),
    ]
)


def write_plan(rows: Sequence[PlanRow], path: Path) -> None:
    """Write a plan's rows as Parquet, in the order given; equal rows, equal bytes."""
    with replace_file(path) as temporary, pq.ParquetWriter(temporary, _SCHEMA, compression="zstd") as writer:
        for start in range(0, max(len(rows), 1), _ROWS_PER_GROUP):
            parts = [
                _table(rows[first : min(first + _ROWS_AT_A_TIME, start + _ROWS_PER_GROUP)])
                for first in range(start, min(start + _ROWS_PER_GROUP, max(len(rows), 1)), _ROWS_AT_A_TIME)
            ]
            writer.write_table(pa.concat_tables(parts), row_group_size=_ROWS_PER_GROUP)


def _table(rows: Sequence[PlanRow]) -> pa.Table:
    return pa.table({name: [getattr(row, name) for row in rows] for name in _SCHEMA.names}, schema=_SCHEMA)


def read_donors(path: Path) -> Iterator[tuple[str, str, str]]:
    """Variant, object id and the donor's object id of every row that ``write_plan`` wrote, few in memory at a time."""
    columns = ("variant", "object_id", "ground_id")
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_ROWS_AT_A_TIME, columns=list(columns)):
            yield from zip(*(batch.column(name).to_pylist() for name in columns), strict=True)


def read_plan(path: Path) -> tuple[PlanRow, ...]:
    """Read the rows that ``write_plan`` wrote.

    Raises:
        DataError: if the file is no plan.
    """
    try:
        with pq.ParquetFile(path) as file:
            return tuple(PlanRow(**row) for batch in file.iter_batches(_ROWS_AT_A_TIME) for row in batch.to_pylist())
    except (pa.ArrowException, OSError, TypeError) as error:
        raise DataError.single(str(path), "", expected="a plan (Parquet)", got=str(error)) from error
