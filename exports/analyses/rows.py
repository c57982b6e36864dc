"""The rows that analyses read: a canvas, its object mask and its attribute masks, decoded one at a time."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from figureground.errors import DataError, UsageError
from figureground.exports.dataset.opening import open_dataset
from figureground.exports.evaluation.dataset import Repository
from figureground.exports.evaluation.values import EvaluationError, Images, Ints, Table
from figureground.schemas.rasters.masks import CocoRle, Mask, decode_coco_rle, decode_png1

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
    """Attributes that were answered; those that nobody knows are absent."""
    attribute_masks_hw: Mapping[str, Mask]
    """``(H, W)`` bool by attribute; several masks of one attribute are united."""


class AnalysedRows(Sequence[AnalysedRow]):
    """Rows of one config and split in the order of the files; each is decoded when asked for, none is kept."""

    def __init__(self, table: Table, name: str) -> None:
        """Wrap rows that are loaded; ``name`` of dataset and config stands in errors."""
        self._table = table
        self._name = name
        self.image_ids: NDArray[np.str_] = np.array(table["image_id"][:])
        """``(N,)`` str."""
        self.labels: Ints = np.array(table["label"][:], dtype=np.int64)
        """``(N,)`` class indices."""

    def attributes(self) -> list[Mapping[str, bool]]:
        """Attributes that were answered, of every row, without decoding anything else."""
        return [_answered(row) for row in self._table["attributes"][:]]

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

        Canvases of one config all have the same size, save in configs of a native view: those come one at a time where
        sizes differ.
        """
        waiting: list[AnalysedRow] = []
        for index in indices:
            row = self[int(index)]
            if waiting and (len(waiting) == size or waiting[0].canvas_rgb.shape != row.canvas_rgb.shape):
                yield waiting
                waiting = []
            waiting.append(row)
        if waiting:
            yield waiting


def open_rows(
    repository: Repository, config: str, split: str, *, limit: int | None = None, unique: bool = True
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

    Raises:
        UsageError: if there is no such config or split, or with ``unique`` if an image has several rows.
        EvaluationError: if a column is not there, or the classes are not those of the class map.
    """
    name = f"{repository.name}/{config}"
    table = _load_split(repository, config, split)
    stored, wanted = tuple(getattr(table.features.get("label"), "names", ())), repository.classes.names
    lacking = [column for column in ("label", "image_id", *_COLUMNS) if column not in table.column_names]
    if "image" not in table.column_names:
        raise EvaluationError(f"{name}: holds no images (a recipe release); rebuild it first")
    if lacking:
        raise EvaluationError(f"{name}: has no column {', '.join(lacking)}")
    if stored != wanted:
        raise EvaluationError(f"{name}: expected the labels of class_map.json, {', '.join(wanted)}; got {stored}")
    ids = table["image_id"][:]
    chosen = set(sorted(set(ids))[:limit])
    table = _without_decoding(table).select([row for row, image_id in enumerate(ids) if image_id in chosen])
    unlabelled = sum(label is None or label < 0 for label in table["label"][:])
    if unlabelled or not len(table):
        raise EvaluationError(f"{name}: {unlabelled} of {len(table)} rows have no label; expected at least one row")
    rows = AnalysedRows(table, name)
    distinct = len(np.unique(rows.image_ids))
    if unique and distinct != len(rows):
        raise UsageError(f"{config}: expected one row an image, got {len(rows)} rows of {distinct} images")
    return rows


def _load_split(repository: Repository, config: str, split: str) -> Table:
    """The rows of one split as a ``datasets.Dataset``, whose rows can be read in any order."""
    import datasets
    import datasets.config

    dataset = open_dataset(repository.location, repository.revision)
    paths = [str(dataset.shard_path(shard).absolute()) for shard in dataset.find_shards(config, split)]
    # datasets does not notice that the files of a local folder have changed: it gets a cache for each fingerprint
    cache = str(Path(datasets.config.HF_DATASETS_CACHE, repository.fingerprint[-16:]))
    try:
        return datasets.load_dataset("parquet", data_files={split: paths}, split=split, cache_dir=cache)
    except (OSError, ValueError) as error:
        raise EvaluationError(f"{repository.name}/{config}: {error}", 1) from error


def _without_decoding(table: Table) -> Table:
    import datasets

    table = table.select_columns(["image", "label", "image_id", *_COLUMNS])
    for column in ("image", "object_mask"):
        table = table.cast_column(column, datasets.Image(decode=False))
    return table


def decode_row(stored: Mapping[str, Any], where: str) -> AnalysedRow:
    """Decode one stored row; ``DataError`` names what is at fault, and ``where``."""
    image_id = str(stored["image_id"])
    canvas = _decode_canvas((stored["image"] or {}).get("bytes"), where, image_id)
    size_hw = (canvas.shape[0], canvas.shape[1])
    object_png = (stored["object_mask"] or {}).get("bytes")
    object_mask = None if object_png is None else decode_png1(object_png, record=image_id)
    if object_mask is not None and object_mask.shape != size_hw:
        got = f"{object_mask.shape[0]}x{object_mask.shape[1]}"
        raise DataError.single(where, image_id, expected=f"an object mask of {size_hw[0]}x{size_hw[1]}", got=got)
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
        attributes=_answered(stored["attributes"]),
        attribute_masks_hw=masks,
    )


def _answered(stored: Mapping[str, bool | None] | None) -> Mapping[str, bool]:
    return {name: bool(value) for name, value in (stored or {}).items() if value is not None}


def _decode_canvas(stored: bytes | None, where: str, image_id: str) -> Images:
    if stored is None:
        raise DataError.single(where, image_id, expected="an image", got="none (a recipe release: rebuild it first)")
    try:
        with Image.open(io.BytesIO(stored)) as image:
            return np.array(image.convert("RGB"))
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError.single(where, image_id, expected="an image", got=str(error)) from error
