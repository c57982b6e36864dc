"""Rows of an earlier version of a dataset, found by their place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq

RENDER: Final = -1
"""Place of a row that the earlier version has not, or not so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierRows:
    """Where rows of one config and split lie in the earlier version."""

    shards: tuple[Path, ...]
    """Its shards of that config and split, in order."""
    places: tuple[int, ...]
    """Place of each row among the rows of those shards, or ``RENDER``."""

    def part(self, start: int, stop: int) -> EarlierRows:
        """The same for a range of the rows."""
        return EarlierRows(shards=self.shards, places=self.places[start:stop])


class EarlierReader:
    """Reads rows of an earlier version by their place; quick where places ascend."""

    def __init__(self, rows: EarlierRows, columns: Sequence[str]) -> None:
        self._columns = list(columns)
        self._files = [pq.ParquetFile(path) for path in rows.shards]
        self._bounds = list(self._row_groups())
        self._held: tuple[int, list[dict[str, Any]]] = -1, []

    def get(self, place: int) -> dict[str, Any]:
        """The columns of the row at ``place``."""
        number = next(index for index, (_, _, start, stop) in enumerate(self._bounds) if start <= place < stop)
        file, group, start, _ = self._bounds[number]
        if self._held[0] != number:
            self._held = number, self._files[file].read_row_group(group, columns=self._columns).to_pylist()
        return self._held[1][place - start]

    def _row_groups(self) -> Iterator[tuple[int, int, int, int]]:
        """(file, row group, first place, place after the last) of every row group."""
        start = 0
        for number, file in enumerate(self._files):
            for group in range(file.num_row_groups):
                stop = start + file.metadata.row_group(group).num_rows
                yield number, group, start, stop
                start = stop
