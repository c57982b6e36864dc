"""The rows of a build as its page holds them: columns as JSON, compressed, in letters; browsers expand them."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import deflate
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from figureground.exports.dataset.folder import DatasetFolder
from figureground.exports.dataset.rows import open_table
from figureground.exports.viewing.columns import Coded, RowColumns, read_small
from figureground.runtime.progress import Progress

MOST_ROWS: Final = 100_000
"""Rows that a page looks up: 15 MB. Of more, it has those of the photos that it shows."""
_LEVEL: Final = 9
_MOST_EXACT: Final = 1 << 53
"""Whole numbers up to it are the same in a browser."""
_COLUMNS: Final = ("source_label", "box", "attributes", "provenance")
_HIDDEN_COLUMNS: Final = ("provenance.sketch",)
"""What no page tells of a row: 64 grey levels, which only a rebuild compares."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowPacks:
    """Rows of a page."""

    rows: NDArray[np.int64]
    """Their numbers in the dataset, ascending; a place in it is what the page calls them."""
    choices: str
    """What they are chosen by."""
    details: str
    """What else is known of each."""


def pack_rows(
    dataset: DatasetFolder, columns: RowColumns, rows: NDArray[np.int64], progress: Progress = lambda *_: None
) -> RowPacks:
    """Rows with their provenance.

    Args:
        dataset: The dataset.
        columns: Its small columns.
        rows: Numbers of the rows to pack, ascending.
        progress: Called after every shard with ("provenance", done, total).

    Raises:
        DataError: for a shard that is damaged.
    """
    coded: dict[str, Callable[[RowColumns], Coded]] = {
        "config": lambda all_rows: all_rows.config,
        "split": lambda all_rows: all_rows.split,
        "label": lambda all_rows: all_rows.label,
        "ground": lambda all_rows: all_rows.ground,
        "ground_id": lambda all_rows: all_rows.ground_id,
        "image_id": lambda all_rows: all_rows.image,
        "part": lambda all_rows: all_rows.part,
        "state": lambda all_rows: all_rows.state,
    }
    choices: dict[str, Any] = {name: _used(column(columns), rows) for name, column in coded.items()}
    choices["draw"] = {"values": columns.draw[rows].tolist()}
    choices["area"] = {
        "values": [None if math.isnan(area) else round(100 * area, 2) for area in columns.area[rows].tolist()]
    }
    return RowPacks(rows=rows, choices=_packed(choices), details=_packed(_details(dataset, columns, rows, progress)))


def _used(column: Coded, rows: NDArray[np.int64]) -> dict[str, Any]:
    """A column of names of some rows, names that none of them has left out."""
    codes = column.codes[rows]
    used = np.unique(codes[codes >= 0])
    numbers = np.full(len(column.names) + 1, -1)
    numbers[used] = np.arange(len(used))
    return {"names": [column.names[code] for code in used], "codes": numbers[codes].tolist()}  # -1 takes the last


def _details(
    dataset: DatasetFolder, columns: RowColumns, rows: NDArray[np.int64], progress: Progress
) -> dict[str, Any]:
    tables, start = list[pa.Table](), 0
    for number, shard in enumerate(columns.shards):
        path = dataset.shard_path(shard)
        with open_table(path) as file:
            count = file.metadata.num_rows
            inside = rows[(rows >= start) & (rows < start + count)] - start
            if len(inside):
                table = read_small(path, file, _COLUMNS).take(pa.array(inside))
                tables.append(table.append_column("shard", pa.array([shard.path] * table.num_rows)))
            start += count
        progress("provenance", number + 1, len(columns.shards))
    if not tables:
        return {}
    whole = pa.concat_tables(tables, promote_options="permissive")
    return {name: _column(whole.column(name).to_pylist()) for name in whole.column_names if name not in _HIDDEN_COLUMNS}


def _column(values: Sequence[Any]) -> dict[str, Any]:
    """A column; values that many rows share stand once."""
    plain = [_plain(value) for value in values]
    if any(isinstance(value, list) for value in plain):
        return {"values": plain}
    names = list(dict.fromkeys(plain))
    if 2 * len(names) > len(plain):
        return {"values": plain}
    numbers = {name: number for number, name in enumerate(names)}
    return {"names": names, "codes": [numbers[value] for value in plain]}


def _plain(value: Any) -> Any:  # noqa: ANN401  a cell
    """A cell as a browser reads it; numbers that it would round are texts."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _MOST_EXACT else str(value)
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    return str(value)


def _packed(columns: dict[str, Any]) -> str:
    """Base64 of zlib's format over JSON in UTF-8."""
    text = json.dumps(columns, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(deflate.zlib_compress(text.encode(), _LEVEL)).decode()
