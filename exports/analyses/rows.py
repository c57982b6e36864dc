"""The rows that analyses read: a canvas, its object mask and its attribute masks, decoded when they are needed."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from figureground.errors import DataError, UsageError
from figureground.exports.dataset.opening import open_dataset
from figureground.exports.evaluation.dataset import Repository
from figureground.exports.evaluation.pictures import open_image
from figureground.exports.evaluation.repository.columns import check_columns
from figureground.exports.evaluation.repository.shards import check_shards, read_table
from figureground.exports.evaluation.values import EvaluationError, Images, Ints, Table
from figureground.schemas.rasters.masks import CocoRle, Mask, decode_coco_rle, decode_png1
from figureground.schemas.rasters.sizes import ORDER, spell_size

_COLUMNS = ("object_mask", "attributes", "attribute_masks")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysedRow:
    """One row of a built dataset, decoded; everything is in canvas pixels."""

    image_id: str
    label: int
    """Class index, from 0."""
    canvas_rgb: Images
    """``(H, W, 3)`` uint8 RGB."""
    object_mask_hw: Mask | None
    """``(H, W)`` bool; None where the row has none."""
    attributes: Mapping[str, bool]
    """Whether the object has an attribute, by name; attributes about which nothing is known are absent."""
    attribute_masks_hw: Mapping[str, Mask]
    """``(H, W)`` bool by attribute; several masks of one attribute are united."""


class AnalysedRows(Sequence[AnalysedRow]):
    """Rows of one config and split in the order of the files; a row is decoded when it is asked for and not kept."""

    def __init__(self, table: Table, name: str, *, workers: int | None = None) -> None:
        """Wrap the rows of a loaded table.

        Args:
            table: A ``datasets.Dataset`` with the columns of ``open_rows``.
            name: Of dataset and config, for errors.
            workers: Threads that decode batches; None for one a processor, up to 8.
        """
        self._table = table
        self._name = name
        self._workers = workers or min(8, os.cpu_count() or 1)
        self.image_ids: NDArray[np.str_] = np.array(table["image_id"][:])
        """``(N,)`` str."""
        self.labels: Ints = np.array(table["label"][:], dtype=np.int64)
        """``(N,)`` class indices."""

    def attributes(self) -> list[Mapping[str, bool]]:
        """``AnalysedRow.attributes`` of every row, without decoding anything else."""
        return [_known(row) for row in self._table["attributes"][:]]

    def __len__(self) -> int:
        return len(self.labels)

    @overload
    def __getitem__(self, index: int) -> AnalysedRow: ...
    @overload
    def __getitem__(self, index: slice) -> list[AnalysedRow]: ...
    def __getitem__(self, index: int | slice) -> AnalysedRow | list[AnalysedRow]:
        """One decoded row; ``DataError`` if its image or a mask cannot be read or differs in size."""
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        return decode_row(self._table[int(index)], self._name)

    def batches(self, indices: Sequence[int] | NDArray[np.int64], size: int) -> Iterator[list[AnalysedRow]]:
        """The rows of ``indices`` in lists of ``size``, the last one shorter.

        Canvases of one config all have the same size, save in configs of a native view: there a batch ends where the
        size changes. The next batch is decoded while the last one is worked on.
        """
        batch: list[AnalysedRow] = []
        for row in self._decode(indices, size):
            if batch and (len(batch) == size or batch[0].canvas_rgb.shape != row.canvas_rgb.shape):
                yield batch
                batch = []
            batch.append(row)
        if batch:
            yield batch

    def _decode(self, indices: Sequence[int] | NDArray[np.int64], ahead: int) -> Iterator[AnalysedRow]:
        """The rows of ``indices`` in their order; threads decode up to ``ahead`` of them beforehand."""
        pending: deque[Future[AnalysedRow]] = deque()
        with ThreadPoolExecutor(self._workers) as pool:
            for index in indices:
                pending.append(pool.submit(decode_row, self._table[int(index)], self._name))
                if len(pending) > ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()


def open_rows(
    repository: Repository,
    config: str,
    split: str,
    *,
    limit: int | None = None,
    unique: bool = True,
    workers: int | None = None,
) -> AnalysedRows:
    """Open rows of one config and split; files of other splits are not even looked for.

    ``evaluate.load_rows`` is not used, because ``datasets`` prepares all splits of a config to give one, and whoever
    fits something on two of them must be able to show that the third was never read.

    Args:
        repository: An opened dataset.
        config: Name of the config.
        split: Name of the split.
        limit: Only the images of the smallest ids, as in ``evaluate``.
        unique: Refuse a config in which an image has several rows (draws, attributes): statistics here are of images.
        workers: Threads that decode batches; None for one a processor, up to 8.

    Raises:
        UsageError: if there is no such config or split, or with ``unique`` if an image has several rows.
        EvaluationError: if a column is not there, or the classes are not those of the class map.
    """
    name = f"{repository.name}/{config}"
    table = _load_split(repository, config, split)
    lacking = [column for column in ("label", "image_id", *_COLUMNS) if column not in table.column_names]
    if "image" not in table.column_names:
        raise EvaluationError(f"{name}: holds no images (a recipe release); rebuild it first")
    if lacking:
        raise EvaluationError(f"{name}: has no column {', '.join(lacking)}")
    check_columns(table, name, ["object_mask"], repository.classes.names)
    ids = table["image_id"][:]
    chosen = set(sorted(set(ids))[:limit])
    table = _without_decoding(table).select([row for row, image_id in enumerate(ids) if image_id in chosen])
    unlabelled = sum(label is None or label < 0 for label in table["label"][:])
    if unlabelled or not len(table):
        raise EvaluationError(f"{name}: {unlabelled} of {len(table)} rows have no label; expected at least one row")
    rows = AnalysedRows(table, name, workers=workers)
    distinct = len(np.unique(rows.image_ids))
    if unique and distinct != len(rows):
        raise UsageError(f"{config}: expected one row an image, got {len(rows)} rows of {distinct} images")
    return rows


def _load_split(repository: Repository, config: str, split: str) -> Table:
    """The rows of one split as a ``datasets.Dataset``, whose rows can be read in any order."""
    dataset = open_dataset(repository.location, repository.revision)
    shards = [(dataset.shard_path(shard).absolute(), shard) for shard in dataset.find_shards(config, split)]
    paths, listed = {shard.path: path for path, shard in shards}, repository.listed
    return read_table(f"{repository.name}/{config}", paths, split, check_shards(repository.name, paths, listed))


def _without_decoding(table: Table) -> Table:
    import datasets

    table = table.select_columns(["image", "label", "image_id", *_COLUMNS])
    for column in ("image", "object_mask"):
        table = table.cast_column(column, datasets.Image(decode=False))
    return table


def decode_row(stored: Mapping[str, Any], where: str) -> AnalysedRow:
    """Decode one stored row; ``DataError`` names ``where``, the image and what is at fault."""
    image_id = str(stored["image_id"])
    canvas = _decode_canvas((stored["image"] or {}).get("bytes"), where, image_id)
    size_hw = (canvas.shape[0], canvas.shape[1])
    object_png = (stored["object_mask"] or {}).get("bytes")
    object_mask = None if object_png is None else decode_png1(object_png, record=image_id)
    if object_mask is not None and object_mask.shape != size_hw:
        expected = f"an object mask of {spell_size(size_hw)} {ORDER}"
        raise DataError.single(where, image_id, expected=expected, got=spell_size(object_mask.shape))
    masks: dict[str, Mask] = {}
    for painted in stored["attribute_masks"] or ():
        rle = CocoRle(size_hw=(int(painted["size"][0]), int(painted["size"][1])), counts=str(painted["counts"]))
        mask, name = decode_coco_rle(rle, size_hw=size_hw, record=image_id), str(painted["attribute"])
        masks[name] = masks[name] | mask if name in masks else mask
    return AnalysedRow(
        image_id=image_id,
        label=int(stored["label"]),
        canvas_rgb=canvas,
        object_mask_hw=object_mask,
        attributes=_known(stored["attributes"]),
        attribute_masks_hw=masks,
    )


def _known(stored: Mapping[str, bool | None] | None) -> Mapping[str, bool]:
    return {name: bool(value) for name, value in (stored or {}).items() if value is not None}


def _decode_canvas(stored: bytes | None, where: str, image_id: str) -> Images:
    if stored is None:
        raise DataError.single(where, image_id, expected="an image", got="none (a recipe release: rebuild it first)")
    try:
        return np.array(open_image(stored, image_id))
    except EvaluationError as error:
        raise DataError.single(where, image_id, expected="an image", got=str(error)) from error
