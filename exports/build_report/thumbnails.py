"""Small pictures of rows and their masks, read from the shards one row group after the other."""

from __future__ import annotations

import base64
import io
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

import numpy as np
from PIL import Image

from figureground.errors import DataError
from figureground.exports.dataset.folder import DatasetFolder
from figureground.exports.dataset.rows import has_column, open_table
from figureground.exports.viewing.columns import GroupPlace, RowColumns
from figureground.runtime.progress import Progress
from figureground.schemas.pages.inline_pictures import mask_url
from figureground.schemas.pages.page_style import OBJECT_COLOUR
from figureground.schemas.rasters.masks import Mask, decode_png1
from figureground.schemas.rasters.photos import PhotoRejected, decode_photo

LARGE_PX: Final = 224
SMALL_PX: Final = 128
"""Longest side of a thumbnail: a whole canvas of ImageNet-9 where a page has few, else what a sheet of many needs."""
MOST_LARGE: Final = 400
"""Rows up to which pictures are large: 10 kB each."""
_QUALITY: Final = 72
_MOST_GROUP_BYTES: Final = 1 << 30
"""Of a row group, expanded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thumbnail:
    """A row, small, as data URLs; empty where it has none."""

    picture: str
    mask: str
    width: int
    height: int

    @property
    def size(self) -> int:
        """Characters on the page."""
        return len(self.picture) + len(self.mask)


def read_thumbnails(
    dataset: DatasetFolder, columns: RowColumns, rows: Collection[int], progress: Progress = lambda *_: None
) -> dict[int, Thumbnail]:
    """Pictures of some rows.

    Args:
        dataset: The dataset; shards on the Hub are fetched.
        columns: Its rows.
        rows: Numbers of the rows.
        progress: Called after every row group with ("pictures", done, total).

    Raises:
        DataError: for a picture or a mask that is damaged.
    """
    side_px = LARGE_PX if len(rows) <= MOST_LARGE else SMALL_PX
    places = {row: columns.place(row) for row in sorted(rows)}
    thumbnails: dict[int, Thumbnail] = {}
    for _, group in groupby(places.items(), key=lambda item: item[1][:2]):
        members = dict(group)
        for row, cells in _read_group(dataset, members):
            record = f"{columns.config.name(row)}, {columns.image.name(row)}"
            thumbnails[row] = _thumbnail(cells, side_px, where=members[row].shard.path, record=record)
        progress("pictures", len(thumbnails), len(places))
    return thumbnails


def _read_group(dataset: DatasetFolder, places: Mapping[int, GroupPlace]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Image and mask of some rows of one row group."""
    first = next(iter(places.values()))
    path = dataset.shard_path(first.shard)
    with open_table(path) as file:
        size = file.metadata.row_group(first.group).total_byte_size
        if size > _MOST_GROUP_BYTES:
            expected = f"row groups of at most {_MOST_GROUP_BYTES} bytes"
            raise DataError.single(str(path), f"row group {first.group}", expected=expected, got=str(size))
        wanted = [name for name in ("image", "object_mask") if has_column(file, name)]
        table = file.read_row_group(first.group, columns=wanted)
    for row, place in places.items():
        yield row, table.slice(place.row, 1).to_pylist()[0]


def _thumbnail(cells: Mapping[str, Any], side_px: int, *, where: str, record: str) -> Thumbnail:
    picture = mask = ""
    size_wh = (side_px, side_px)
    if "image" in cells:
        data = (cells["image"] or {}).get("bytes")
        try:
            image = Image.fromarray(decode_photo(data or b""))
        except PhotoRejected as error:
            raise DataError.single(where, record, expected="an image", got=str(error), remedy="get it again") from error
        image.thumbnail(size_wh, Image.Resampling.LANCZOS)
        picture, size_wh = _webp_url(image), image.size
    if (data := (cells.get("object_mask") or {}).get("bytes")) is not None:
        small = _small_mask(decode_png1(data, record=record), side_px)
        mask = mask_url(small, OBJECT_COLOUR)
        size_wh = size_wh if picture else (small.shape[1], small.shape[0])
    return Thumbnail(picture=picture, mask=mask, width=size_wh[0], height=size_wh[1])


def _webp_url(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=_QUALITY, method=4)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _small_mask(mask_hw: Mask, side_px: int) -> Mask:
    """``(H, W)`` bool: what covers half of a small pixel or more is in it."""
    image = Image.fromarray(mask_hw.astype(np.uint8) * 255)
    image.thumbnail((side_px, side_px), Image.Resampling.BOX)
    return np.asarray(image) >= 128
