"""A small dataset repository of coloured figures on grey grounds, with three splits, parts and a spurious patch.

The colour of the figure is its class. Every other image has a white part, ``knob``; most red figures, and few others,
have a yellow patch in a corner of the ground: what a lazy model would learn.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from figureground.exports.dataset.manifest import write_manifest
from figureground.schemas.classes import ClassMap
from figureground.schemas.features import dataset_features
from figureground.schemas.rasters.masks import encode_coco_rle, encode_png1

SIDE_PX = 64
COLOURS = {"red": (230, 20, 20), "green": (20, 230, 20), "blue": (20, 20, 230)}
YELLOW, WHITE = (230, 230, 20), (250, 250, 250)
CLASS_MAP = {
    "name": "figures",
    "unmapped_value": -1,
    "classes": [
        {"index": 0, "name": "red", "wnids": ["n0"], "imagenet_indices": [0, 1]},
        {"index": 1, "name": "green", "wnids": ["n1"], "imagenet_indices": [2]},
        {"index": 2, "name": "blue", "wnids": ["n2"], "imagenet_indices": [3]},
    ],
}
NAMES = tuple(COLOURS)
ATTRIBUTES = ("knob", "tall")


def draw_figure(label: int, serial: int) -> tuple[NDArray[np.uint8], dict[str, NDArray[np.bool_]]]:
    """A canvas ``(64, 64, 3)`` and its masks: ``object``, ``knob`` where there is one, ``patch`` likewise."""
    generator = np.random.default_rng([label, serial])
    canvas = np.repeat(generator.integers(60, 120, (SIDE_PX, SIDE_PX, 1), dtype=np.uint8), 3, axis=2)
    rows, columns = np.mgrid[:SIDE_PX, :SIDE_PX]
    y, x = generator.integers(26, 38, 2)
    masks = {"object": (abs(rows - y) < 12) & (abs(columns - x) < 14)}
    canvas[masks["object"]] = COLOURS[NAMES[label]]
    if serial % 2:
        masks["knob"] = (abs(rows - y) < 4) & (abs(columns - x) < 4)
        canvas[masks["knob"]] = WHITE
    if (serial % 4 != 3) if label == 0 else (serial % 4 == 3):
        masks["patch"] = (rows < 9) & (columns < 9)
        canvas[masks["patch"]] = YELLOW
    return canvas, masks


def encode_canvas(canvas: NDArray[np.uint8]) -> bytes:
    """A canvas as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(canvas).save(buffer, "PNG")
    return buffer.getvalue()


def make_row(label: int, serial: int, split: str) -> dict[str, Any]:
    """One row with every column of a published dataset."""
    canvas, masks = draw_figure(label, serial)
    knob = masks.get("knob")
    rle = encode_coco_rle(knob) if knob is not None else None
    return {
        "image": {"bytes": encode_canvas(canvas), "path": None},
        "label": label,
        "image_id": f"{split}-{NAMES[label]}-{serial:02}",
        "source_label": f"n{label}",
        "variant": "original",
        "draw": 0,
        "attribute": None,
        "object_mask": {"bytes": encode_png1(masks["object"]), "path": None},
        "box": [0.0, 0.0, 1.0, 1.0],
        "ground_id": None,
        "ground_label": None,
        "attributes": {"knob": knob is not None, "tall": None if serial == 0 else bool(serial % 3 == 0)},
        "attribute_masks": [
            {"attribute": "knob", "size": list(rle.size_hw), "counts": rle.counts} for rle in [rle] if rle is not None
        ],
        "provenance": None,
    }


def write_shard(folder: Path, split: str, rows: Sequence[dict[str, Any]], config: str = "original") -> Path:
    """One Parquet file of one split, with the features of a published dataset; the manifest lists it."""
    features = dataset_features(ClassMap.model_validate_json(json.dumps(CLASS_MAP)), ATTRIBUTES)
    path = folder / "data" / config / f"{split}-00000-of-00001.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows), schema=features.arrow_schema), path)
    write_manifest(folder)
    return path


def write_figures(folder: Path, per_class: int = 4) -> Path:
    """A real dataset repository, splits train, validation and test of ``per_class`` images a class each."""
    card = ["---", "configs:", "- config_name: original", "  data_files:"]
    for start, split in enumerate(("train", "validation", "test")):
        serials = range(start * per_class, (start + 1) * per_class)
        rows = [make_row(label, serial, split) for serial in serials for label in range(len(NAMES))]
        write_shard(folder, split, rows)
        card += [f"  - split: {split}", f"    path: data/original/{split}-*"]
    (folder / "README.md").write_text("\n".join([*card, "---", "# Figures", ""]))
    (folder / "class_map.json").write_text(json.dumps(CLASS_MAP))
    write_manifest(folder)
    return folder
