"""The pictures of single rows, read from the shards when they are asked for, a row group at a time; few are kept."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, Final

import pyarrow as pa
from PIL import Image

from figureground.errors import DataError
from figureground.exports.dataset.folder import DatasetFolder
from figureground.exports.dataset.rows import has_column, open_table
from figureground.exports.viewing.columns import GroupPlace, RowColumns
from figureground.schemas.attributes import OBJECT
from figureground.schemas.pages.inline_pictures import mask_png, photo_jpeg
from figureground.schemas.pages.page_style import OBJECT_COLOUR, PART_COLOURS
from figureground.schemas.rasters.masks import CocoRle, decode_coco_rle, decode_png1
from figureground.schemas.rasters.photos import PhotoRejected, decode_photo

THUMBNAIL_PX: Final = 224
"""Longest side of a thumbnail; a canvas of ImageNet-9 is as large."""
_IMAGES: Final = ("image",)
_OTHERS: Final = ("object_mask", "attribute_masks", "box", "provenance", "source_label")
_GROUPS_IN_MEMORY: Final = {_IMAGES: 8, _OTHERS: 256}
"""Columns to the row groups of them in memory: images of 200 canvases of 224 pixels have 16 MB, all else 0.2. Masks and
provenance are read without the images beside them."""
_MOST_GROUP_BYTES: Final = 1 << 30
"""Of a row group, expanded."""
_THUMBNAILS_IN_MEMORY: Final = 4000
"""Of some 10 kB."""
_PNG: Final = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An encoded picture."""

    data: bytes
    kind: str
    """Media type."""


@dataclass(kw_only=True)
class Pictures:
    """Pictures of a dataset's rows; may be asked by several threads."""

    dataset: DatasetFolder
    columns: RowColumns
    _paths: dict[str, Path] = field(default_factory=dict)
    """Of shards that were read: one on the Hub is compared with the manifest once, not with every picture."""
    _groups: Mapping[tuple[str, ...], OrderedDict[tuple[str, int], pa.Table]] = field(
        default_factory=lambda: {columns: OrderedDict() for columns in _GROUPS_IN_MEMORY}
    )
    _thumbnails: OrderedDict[int, Picture] = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    def etag(self, row: int, kind: str) -> str:
        """What a row's picture of a kind is known by: it changes with the shard, and is told without reading it."""
        place = self.columns.place(row)
        sha256 = self.dataset.manifest.get(place.shard.path, "")
        text = f"{place.shard.path}\0{sha256}\0{place.group}\0{place.row}\0{kind}"
        return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'

    def stored(self, row: int) -> dict[str, Any]:
        """Masks, box and provenance of a row, as its shard holds them.

        Raises:
            DataError: if the shard is damaged there.
        """
        place = self.columns.place(row)
        cells: dict[str, Any] = self._group(place, _OTHERS).slice(place.row, 1).to_pylist()[0]
        return cells

    def image(self, row: int) -> Picture | None:
        """The image as it is stored; None in a release without images. Raises ``DataError`` if it is damaged."""
        data = self._image_bytes(row)
        if data is None:
            return None
        if data.startswith(_PNG):
            return Picture(data=data, kind="image/png")
        return Picture(data=photo_jpeg(self._decoded(data, row)), kind="image/jpeg")

    def thumbnail(self, row: int) -> Picture | None:
        """The image, small, as JPEG; None in a release without images. Raises as ``image``."""
        with self._lock:
            if row in self._thumbnails:
                self._thumbnails.move_to_end(row)
                return self._thumbnails[row]
        data = self._image_bytes(row)
        if data is None:
            return None
        small = self._decoded(data, row)
        small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.BOX)
        picture = Picture(data=photo_jpeg(small), kind="image/jpeg")
        with self._lock:
            self._thumbnails[row] = picture
            while len(self._thumbnails) > _THUMBNAILS_IN_MEMORY:
                self._thumbnails.popitem(last=False)
        return picture

    def mask(self, row: int, name: str = OBJECT) -> Picture | None:
        """A mask as PNG of one colour, with nothing beside it; None where the row has none of this name.

        Raises:
            DataError: if it is damaged.
        """
        cells, record = self.stored(row), self._record(row)
        parts = [part["attribute"] for part in cells.get("attribute_masks") or []]
        if name == OBJECT:
            data = (cells.get("object_mask") or {}).get("bytes")
            return None if data is None else _coloured(decode_png1(data, record=record), OBJECT_COLOUR)
        if name not in parts:
            return None
        number = parts.index(name)
        mask = decode_coco_rle(_rle(cells["attribute_masks"][number], record), record=f"{record}: {name}")
        return _coloured(mask, PART_COLOURS[number % len(PART_COLOURS)])

    def _image_bytes(self, row: int) -> bytes | None:
        place = self.columns.place(row)
        group = self._group(place, _IMAGES)
        if "image" not in group.column_names:
            return None
        data: bytes | None = (group.column("image")[place.row].as_py() or {}).get("bytes")
        if data is None:
            raise DataError.single(place.shard.path, self._record(row), expected="an image", got="none")
        return data

    def _decoded(self, data: bytes, row: int) -> Image.Image:
        try:
            return Image.fromarray(decode_photo(data))
        except PhotoRejected as error:
            where = self.columns.place(row).shard.path
            raise DataError.single(where, self._record(row), expected="an image", got=str(error)) from error

    def _record(self, row: int) -> str:
        return self.columns.image.name(row)

    def _group(self, place: GroupPlace, columns: tuple[str, ...]) -> pa.Table:
        """Columns of a row group. Raises ``DataError`` if it is damaged, or larger than any of ours."""
        key, groups = (place.shard.path, place.group), self._groups[columns]
        with self._lock:  # one reader at a time: pictures of one page mostly want the same group
            if key in groups:
                groups.move_to_end(key)
                return groups[key]
            path = self._paths.get(place.shard.path) or self.dataset.shard_path(place.shard)
            self._paths[place.shard.path] = path
            with open_table(path) as file:
                size = file.metadata.row_group(place.group).total_byte_size
                if size > _MOST_GROUP_BYTES:
                    expected = f"row groups of at most {_MOST_GROUP_BYTES} bytes"
                    raise DataError.single(str(path), f"row group {place.group}", expected=expected, got=str(size))
                wanted = [name for name in columns if has_column(file, name)]
                group = file.read_row_group(place.group, columns=wanted)
            groups[key] = group
            while len(groups) > _GROUPS_IN_MEMORY[columns]:
                groups.popitem(last=False)
            return group


def _coloured(mask: Any, colour: str) -> Picture:  # noqa: ANN401  a mask
    return Picture(data=mask_png(mask, colour), kind="image/png")


def _rle(stored: Mapping[str, Any], record: str) -> CocoRle:
    size = stored["size"]
    if len(size or ()) != 2:
        raise DataError.single("attribute_masks", record, expected="height and width", got=str(size)[:80])
    return CocoRle(size_hw=(size[0], size[1]), counts=stored["counts"])
