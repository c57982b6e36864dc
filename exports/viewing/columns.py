"""The columns of a dataset that rows are chosen by, of all rows at once: small ones, held in memory as numbers.

Pictures stay on the disk. A hundred thousand rows take some 10 MB.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from figureground.errors import DataError, Faults
from figureground.exports.dataset.files import ShardName
from figureground.exports.dataset.folder import DatasetFolder
from figureground.exports.dataset.rows import has_column, is_part_of, open_table, require_columns, require_types
from figureground.exports.evaluation.dataset import config_rank
from figureground.runtime.progress import Progress
from figureground.schemas.rasters.masks import decode_png1

Codes = NDArray[np.int32]
"""``(R,)``: numbers of names, -1 where a row has none."""

_NEEDED: Final = ("image_id", "label", "draw", "attribute", "ground_id", "ground_label", "provenance.object_id")
_MASK: Final = "object_mask.bytes"
_STATE: Final = "provenance.mask_state"
"""Rows of earlier releases do not say who made their mask."""
_MOST_SMALL_BYTES: Final = 1 << 30
"""Of the columns that are held, expanded, of one shard; a shard of 1000 rows has 0.5 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coded:
    """A column of names, each of which many rows share."""

    names: tuple[str, ...]
    codes: Codes

    def name(self, row: int) -> str:
        """The name of a row; empty where it has none."""
        code = int(self.codes[row])
        return self.names[code] if code >= 0 else ""

    def wanted(self, names: Sequence[str]) -> NDArray[np.bool_]:
        """``(R,)``: rows that have one of some names; an empty name stands for none at all."""
        chosen = np.array([*(name in names for name in self.names), "" in names])
        return chosen[self.codes]  # -1 takes the last

    def counts(self, rows: NDArray[np.bool_]) -> dict[str, int]:
        """Number of rows of a ``(R,)`` choice by name, names that no row has left out."""
        counts = np.bincount(self.codes[rows] + 1, minlength=len(self.names) + 1)
        return {name: int(count) for name, count in zip(("", *self.names), counts, strict=True) if count}


class GroupPlace(NamedTuple):
    """Where a row lies."""

    shard: ShardName
    group: int
    """Row group of the shard."""
    row: int
    """Place in the row group, from 0."""


@dataclass(frozen=True, kw_only=True)
class RowColumns:
    """R rows of a dataset, in the order of its shards, configs in the order of the tables."""

    shards: tuple[ShardName, ...]
    group_starts: NDArray[np.int64]
    """``(G,)``: number of the first row of every row group."""
    group_places: tuple[tuple[int, int], ...]
    """Shard, as a place in ``shards``, and row group in it, of every row group."""
    rows: int
    config: Coded
    split: Coded
    label: Coded
    """Class of the figure."""
    ground: Coded
    """Class of the photo that lent the ground; none for a ground of its own, or a painted one."""
    ground_id: Coded
    """Photo that lent the ground."""
    image: Coded
    """image_id."""
    part: Coded
    """The attribute that a row is about."""
    state: Coded
    """Who made the mask, as ``provenance.mask_state`` says."""
    draw: NDArray[np.int32]
    area: NDArray[np.float32]
    """``(R,)``: share of the canvas that the object's mask covers, in [0, 1]; NaN where there is no mask."""
    attributes: Mapping[str, NDArray[np.int8]] = field(default_factory=dict)
    """Attribute to ``(R,)``: 1 where the figure has it, 0 where not, -1 where nobody said so."""
    has_pixels: bool
    """Whether rows hold images; a recipe release does not."""

    def place(self, row: int) -> GroupPlace:
        """Where a row, counted from 0, lies."""
        number = int(np.searchsorted(self.group_starts, row, side="right")) - 1
        shard, group = self.group_places[number]
        return GroupPlace(self.shards[shard], group, row - int(self.group_starts[number]))

    @cached_property
    def _by_image(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        order = np.argsort(self.image.codes, kind="stable")
        return order, np.searchsorted(self.image.codes[order], np.arange(len(self.image.names) + 1))

    def rows_of_image(self, code: int) -> list[int]:
        """Rows of a photo, by its number among the names of ``image``, in their order."""
        order, starts = self._by_image
        return [int(row) for row in order[starts[code] : starts[code + 1]]]


def read_columns(dataset: DatasetFolder, progress: Progress = lambda *_: None) -> RowColumns:
    """Read the small columns of every shard; those on the Hub are fetched first.

    Args:
        dataset: The dataset.
        progress: Called after every shard with ("shards", done, total).

    Raises:
        DataError: for a dataset without rows, and with every shard that is damaged or lacks a column.
    """
    shards = tuple(sorted(dataset.shards, key=lambda shard: (config_rank(shard.config), shard)))
    faults, tables, groups = Faults(), list[pa.Table](), list[tuple[int, int, int]]()
    areas, areas_by_mask = list[NDArray[np.float32]](), dict[bytes, float]()
    for number, shard in enumerate(shards):
        try:
            path = dataset.shard_path(shard)
            with open_table(path) as file:
                table = _small_columns(path, file)
                areas.append(_areas(path, table, areas_by_mask))
                counts = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
                groups += [(number, group, count) for group, count in enumerate(counts)]
            tables.append(_numbered(table, shard, dataset))
        except DataError as error:
            faults.extend(error.faults)
        progress("shards", number + 1, len(shards))
    faults.raise_if_any()
    if not groups:
        raise DataError.single(dataset.name, "", expected="a dataset with rows", got="no shard that holds any")
    return _joined(dataset, shards, tables, np.concatenate(areas), groups)


def _small_columns(path: Path, file: pq.ParquetFile) -> pa.Table:
    """The columns of a shard that rows are chosen by; raises as ``read_small``, and if one is missing."""
    require_columns(file, _NEEDED, where=str(path))
    more = [name for name in ("image", "object_mask") if has_column(file, name)]
    require_types(path, file.schema_arrow, more)
    return read_small(
        path, file, [*_NEEDED, *(name for name in (_MASK, _STATE, "attributes") if has_column(file, name))]
    )


def read_small(path: Path, file: pq.ParquetFile, wanted: Sequence[str]) -> pa.Table:
    """Some columns of a shard, structures flattened to names such as ``provenance.object_id``.

    Args:
        path: The shard, as errors name it.
        file: The same, open.
        wanted: Its columns, whole or a part of a structure; none of them holds images.

    Raises:
        DataError: if one is of another type, or of more bytes than any shard has.
    """
    require_types(path, file.schema_arrow, list(dict.fromkeys(name.partition(".")[0] for name in wanted)))
    metadata = file.metadata
    leaves, groups = range(metadata.num_columns), range(metadata.num_row_groups)
    chunks = [metadata.row_group(group).column(leaf) for group in groups for leaf in leaves]
    size = sum(
        chunk.total_uncompressed_size
        for chunk in chunks
        if any(is_part_of(chunk.path_in_schema, name) for name in wanted)
    )
    if size > _MOST_SMALL_BYTES:
        raise DataError.single(str(path), "", expected=f"at most {_MOST_SMALL_BYTES} bytes of names", got=str(size))
    table = file.read(columns=list(wanted))
    table.validate(full=True)  # texts that are none would be found when they are first shown
    while any(pa.types.is_struct(kind) for kind in table.schema.types):
        table = table.flatten()
    return table


def _areas(path: Path, table: pa.Table, known: dict[bytes, float]) -> NDArray[np.float32]:
    """``(R,)`` shares of the canvas; a mask that several variants share is decoded once, and stays in ``known``."""
    if _MASK not in table.column_names:
        return np.full(table.num_rows, np.nan, dtype=np.float32)
    areas = np.full(table.num_rows, np.nan, dtype=np.float32)
    for row, cell in enumerate(table.column(_MASK)):
        if (data := cell.as_py()) is None:
            continue
        if data not in known:
            known[data] = float(decode_png1(data, record=f"{path.name}, row {row}").mean())
        areas[row] = known[data]
    return areas


def _numbered(table: pa.Table, shard: ShardName, dataset: DatasetFolder) -> pa.Table:
    """The columns of a shard without its masks, and with its config and split."""
    if table.column("image_id").null_count:
        raise DataError.single(shard.path, "image_id", expected="a value in every row", got="none in some")
    names = dataset.class_map.names
    labels = {name: _class_codes(table, name, names, shard) for name in ("label", "ground_label")}
    columns: dict[str, Any] = {
        "config": pa.array([shard.config] * table.num_rows, pa.string()),
        "split": pa.array([shard.split] * table.num_rows, pa.string()),
        **{name: pa.array(codes) for name, codes in labels.items()},
        **{
            name: _texts(table, name) for name in ("image_id", "attribute", "ground_id", "provenance.object_id", _STATE)
        },
        "draw": pc.fill_null(table.column("draw").cast(pa.int32()), 0),
    }
    for name in table.column_names:
        if name.startswith("attributes."):
            columns[name] = pc.fill_null(table.column(name).cast(pa.int8()), -1)
    return pa.table(columns)


def _class_codes(table: pa.Table, column: str, names: Sequence[str], shard: ShardName) -> Codes:
    """Class numbers of a column, -1 where a row has none.

    Raises:
        DataError: if one is none of the class map's.
    """
    codes = pc.fill_null(table.column(column).cast(pa.int64()), -1).to_numpy()
    odd = codes[(codes < -1) | (codes >= len(names))]
    if len(odd):
        wanted = f"a class of the class map, 0 to {len(names) - 1}"
        raise DataError.single(shard.path, column, expected=wanted, got=str(odd[0]), remedy="get it again")
    return np.asarray(codes, dtype=np.int32)


def _texts(table: pa.Table, name: str) -> pa.Array:
    if name not in table.column_names:
        return pa.nulls(table.num_rows, pa.string())
    return pc.cast(table.column(name), pa.string())


def _joined(
    dataset: DatasetFolder,
    shards: tuple[ShardName, ...],
    tables: Sequence[pa.Table],
    area: NDArray[np.float32],
    groups: Sequence[tuple[int, int, int]],
) -> RowColumns:
    table = pa.concat_tables(tables, promote_options="default")
    counts = np.array([count for _, _, count in groups], dtype=np.int64)
    attributes = [name for name in table.column_names if name.startswith("attributes.")]
    classes = dataset.class_map.names
    coded: Callable[[str], Coded] = lambda name: _coded(table.column(name))  # noqa: E731  six columns alike
    return RowColumns(
        shards=shards,
        group_starts=np.concatenate([[0], np.cumsum(counts)[:-1]]),
        group_places=tuple((shard, group) for shard, group, _ in groups),
        rows=table.num_rows,
        config=coded("config"),
        split=coded("split"),
        label=Coded(names=tuple(classes), codes=table.column("label").to_numpy()),
        ground=Coded(names=tuple(classes), codes=table.column("ground_label").to_numpy()),
        ground_id=coded("ground_id"),
        image=coded("image_id"),
        part=coded("attribute"),
        state=coded(_STATE),
        draw=table.column("draw").to_numpy(),
        area=area,
        attributes={
            name.removeprefix("attributes."): pc.fill_null(table.column(name), -1).to_numpy() for name in attributes
        },
        has_pixels=all("image" in dataset.columns(shard) for shard in shards),
    )


def _coded(column: pa.ChunkedArray) -> Coded:
    """A column of texts as names, in the order in which they come, and numbers."""
    encoded = column.dictionary_encode().combine_chunks()
    encoded = encoded.chunk(0) if isinstance(encoded, pa.ChunkedArray) else encoded
    names = tuple(str(name) for name in encoded.dictionary.to_pylist())
    return Coded(names=names, codes=pc.fill_null(encoded.indices, -1).to_numpy().astype(np.int32))
