"""The contact sheet: photo, mask and every variant side by side, for whoever would rather look than read."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

from PIL import Image, ImageDraw, ImageFont, ImageOps

from figureground.exports.dataset.folder import DatasetFolder
from figureground.exports.dataset.rows import IndexedRows
from figureground.runtime.files import replace_file
from figureground.schemas.rasters.photos import decode_photo

_CELL_PX: Final = 160
_MARGIN_PX: Final = 6
_HEAD_PX: Final = 22
_COLUMNS: Final = ("image", "image_id", "label", "object_mask", "source_label")
_PHOTOS: Final = 200  # that are chosen among; names of photos say nothing of classes, so that the first ones do


def write_contact_sheet(
    path: Path,
    dataset: DatasetFolder,
    config_splits: Mapping[str, str],
    *,
    sizes: Mapping[str, int],
    most_rows: int = 12,
) -> None:
    """Draw up to ``most_rows`` objects, as many classes as possible first, one line each; the last line counts them.

    Args:
        path: PNG file to write.
        dataset: The rows.
        config_splits: Config to the split that is shown, in the order of the columns; ``original`` leads if it is
            there.
        sizes: Split to the number of its objects.
        most_rows: How many objects to draw at most.
    """
    class_names = dataset.class_map.names
    order = sorted(config_splits, key=lambda config: config != "original")
    lead, *others = order
    chosen = _spread_over_classes(_first_labels(dataset, lead, config_splits[lead]), most_rows)
    rows = {config: _rows_of(dataset, config, config_splits[config], chosen) for config in order}
    step = _CELL_PX + _MARGIN_PX
    width = _MARGIN_PX + step * (len(order) + 1)
    sheet = Image.new("RGB", (width, 2 * _HEAD_PX + (step + _HEAD_PX) * len(chosen)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for column, name in enumerate([lead, "object_mask", *others]):
        draw.text((_MARGIN_PX + step * column, 4), name, fill="black", font=_fitting(name))
    for line, image_id in enumerate(chosen):
        top = _HEAD_PX + (step + _HEAD_PX) * line
        row = rows[lead][image_id]
        caption = f"{class_names[row['label']]} · {row['source_label']} · {image_id}"
        draw.text((_MARGIN_PX, top + _CELL_PX + 4), caption, fill="dimgrey", font=font)
        cells = [row["image"], row["object_mask"], *(rows[name].get(image_id, {}).get("image") for name in others)]
        for column, cell in enumerate(cells):
            if cell is not None:
                sheet.paste(_thumbnail(cell["bytes"]), (_MARGIN_PX + step * column, top))
    split = config_splits[lead]
    draw.text((_MARGIN_PX, sheet.height - _HEAD_PX + 4), count_line(len(chosen), sizes[split], split), "black", font)
    with replace_file(path) as temporary:
        sheet.save(temporary, format="PNG", compress_level=6)


def count_line(shown: int, objects: int, split: str) -> str:
    """How many of the objects of a split a sheet shows, in words."""
    if shown == objects:
        return f"all {objects} objects of {split}"
    return f"{shown} of {objects} objects of {split}, spread over the classes"


def _first_labels(dataset: DatasetFolder, config: str, split: str) -> dict[str, int]:
    """Class of the first photos of a config by their ids."""
    labels: dict[str, int] = {}
    for row in dataset.rows(config, split, ("image_id", "label")):
        if len(labels) == _PHOTOS:
            break
        labels.setdefault(row["image_id"], row["label"])
    return labels


def _rows_of(dataset: DatasetFolder, config: str, split: str, image_ids: Collection[str]) -> dict[str, dict[str, Any]]:
    """The first row of each of some photos by its id, of those that a config has; a photo may have many draws."""
    wanted, indices = set(image_ids), dict[str, int]()
    for index, row in enumerate(dataset.rows(config, split, ("image_id",))):
        if len(indices) == len(wanted):
            break
        if row["image_id"] in wanted:
            indices.setdefault(row["image_id"], index)
    stored = IndexedRows([dataset.shard_path(shard) for shard in dataset.find_shards(config, split)], _COLUMNS)
    return {image_id: stored[index] for image_id, index in indices.items()}


def _spread_over_classes(labels: Mapping[str, int], most: int) -> list[str]:
    """Image ids, round robin over the classes."""
    counts: dict[int, int] = {}
    ranked: list[tuple[int, int, str]] = []
    for image_id, label in labels.items():
        number = counts.get(label, 0)
        counts[label] = number + 1
        ranked.append((number, label, image_id))
    return [image_id for _, _, image_id in sorted(sorted(ranked)[:most], key=lambda entry: (entry[1], entry[0]))]


def _fitting(text: str) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The largest font in which a config's name stays in its column."""
    fonts = [ImageFont.load_default(size) for size in range(13, 7, -1)]
    return next((font for font in fonts if font.getlength(text) <= _CELL_PX), fonts[-1])


def _thumbnail(data: bytes) -> Image.Image:
    return ImageOps.pad(
        Image.fromarray(decode_photo(data)), (_CELL_PX, _CELL_PX), Image.Resampling.LANCZOS, color="white"
    )
