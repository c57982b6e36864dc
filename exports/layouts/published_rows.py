"""Rows of a dataset on disk, as every layout reads them: a dataset that somebody passed on is hostile input."""

from __future__ import annotations

import io
import shutil
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from PIL import Image

from figureground.errors import DataError, UsageError
from figureground.schemas.attributes import OBJECT
from figureground.schemas.rasters.masks import CocoRle, Mask, decode_coco_rle, decode_png1
from figureground.schemas.rasters.photos import MOST_PIXELS


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder to write into, which becomes ``out`` at the end, or nothing where something failed.

    Raises:
        UsageError: if ``out`` exists.
    """
    if out.exists():
        raise UsageError(f"{out} exists; give another folder with -o, or delete it")
    partial = out.with_name(f"{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        yield partial
        partial.replace(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def config_shards(repository: Path, config: str) -> list[Path]:
    """Parquet files of a config, with images, all splits.

    Raises:
        UsageError: if there is no such config, or its rows hold no images.
    """
    data = repository / "data"
    configs = sorted(path.name for path in data.iterdir() if path.is_dir()) if data.is_dir() else []
    if config not in configs:
        there = ", ".join(configs) or "none"
        raise UsageError(f"{repository}: no dataset with a config {config!r}; configs: {there}")
    shards = sorted((data / config).glob("*.parquet"))
    if any("image" not in pq.read_schema(path).names for path in shards):
        raise UsageError(
            f"{repository}: its rows hold no images; build it with --pixels, or rebuild it from the photos"
        )
    return shards


def count_rows(shards: Iterable[Path]) -> int:
    """Rows of some Parquet files, by their footers."""
    return sum(pq.read_metadata(path).num_rows for path in shards)


def read_rows(path: Path, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Rows of one Parquet file, a few in memory at a time."""
    for batch in pq.ParquetFile(path).iter_batches(batch_size=64, columns=list(columns)):
        yield from batch.to_pylist()


def row_name(row: Mapping[str, Any]) -> str:
    """A file's name without its ending: the photo's id, and of several rows of one photo what tells them apart."""
    return "_".join(filter(None, [row["image_id"], row["attribute"], row["ground_id"], str(row["draw"] or "")]))


def read_row_masks(row: Mapping[str, Any], name: str) -> dict[str, Mask]:
    """The masks of a row's object (``object``) and of its attributes, ``(H, W)`` bool in canvas pixels.

    Args:
        row: With the columns ``image``, ``object_mask`` and ``attribute_masks``.
        name: What to call it in an error.

    Raises:
        DataError: unless image and masks are whole and of one size, and no two masks are of one name.
    """
    size_hw = _png_size_hw(row["image"], "RGB", "image", name)
    mask_hw = _png_size_hw(row["object_mask"], "1", "object_mask", name)
    if mask_hw != size_hw:
        wanted, got = (f"{height}x{width}" for height, width in (size_hw, mask_hw))
        raise DataError.single("object_mask", name, expected=f"{wanted} as its image", got=got)
    masks = {OBJECT: decode_png1(row["object_mask"]["bytes"], record=name)}
    for each in row["attribute_masks"] or []:
        record = f"{name}: {each['attribute']}"
        if each["attribute"] in masks:
            raise DataError.single("attribute_masks", record, expected="one mask of this name", got="two")
        rle = CocoRle(size_hw=(each["size"][0], each["size"][1]), counts=each["counts"])
        masks[each["attribute"]] = decode_coco_rle(rle, size_hw=size_hw, record=record)
    return masks


def _png_size_hw(cell: Mapping[str, Any] | None, mode: str, where: str, name: str) -> tuple[int, int]:
    """Height and width of a PNG by its header alone: a bomb is refused before it is unpacked."""
    expected = f"a PNG of mode {mode} and at most {MOST_PIXELS} pixels"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the size is judged here
            with Image.open(io.BytesIO((cell or {}).get("bytes") or b""), formats=["PNG"]) as picture:
                size_hw, found = (picture.height, picture.width), picture.mode
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError.single(where, name, expected=expected, got=str(error)) from error
    if found != mode or size_hw[0] * size_hw[1] > MOST_PIXELS:
        raise DataError.single(where, name, expected=expected, got=f"{size_hw[0]}x{size_hw[1]} of mode {found}")
    return size_hw
