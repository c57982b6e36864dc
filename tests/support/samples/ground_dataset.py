"""A small dataset repository in which the colour of the ground tells the class as well as the figure does.

Each class has a figure of its own colour (red, green, blue) on a ground of its own (yellow, magenta, cyan), which
covers over eight tenths of the canvas: what a classifier is drawn to. ``mixed_rand`` has the ground of any class.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from figure_dataset import CLASS_MAP, NAMES, SIDE_PX, encode_canvas, make_row, write_shard
from numpy.typing import NDArray

from figureground.exports.dataset.manifest import write_manifest
from figureground.schemas.rasters.masks import encode_png1

FIGURES = ((230, 20, 20), (20, 230, 20), (20, 20, 230))
GROUNDS = ((230, 230, 20), (230, 20, 230), (20, 230, 230))
PER_CLASS: Mapping[str, int] = {"train": 12, "validation": 6, "test": 9}
CONFIGS = ("original", "mixed_same", "mixed_rand", "only_bg_t")


def draw_photo(label: int, serial: int, config: str) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A canvas ``(64, 64, 3)`` and the mask of its figure, which lies elsewhere on each photo."""
    generator = np.random.default_rng([label, serial])
    brightness, other_brightness = generator.uniform(0.8, 1, 2)
    y, x = generator.integers(16, 48, 2)
    ground = int(generator.integers(len(NAMES))) if config == "mixed_rand" else label
    rows, columns = np.mgrid[:SIDE_PX, :SIDE_PX]
    mask = (abs(rows - y) < 11) & (abs(columns - x) < 14)
    light = brightness if config == "original" else other_brightness
    canvas = np.broadcast_to(np.array(GROUNDS[ground]) * light, (SIDE_PX, SIDE_PX, 3)).astype(np.uint8)
    if config != "only_bg_t":
        canvas[mask] = FIGURES[label]
    return canvas, mask


def make_photo(label: int, serial: int, split: str, config: str) -> dict[str, Any]:
    """One row with every column of a published dataset; a photo has the same id in every config."""
    canvas, mask = draw_photo(label, serial, config)
    return make_row(label, serial, split) | {
        "image": {"bytes": encode_canvas(canvas), "path": None},
        "object_mask": {"bytes": encode_png1(mask), "path": None},
        "variant": config,
        "image_id": f"{split}-{serial:02}-{NAMES[label]}",
        "attribute_masks": [],
    }


def write_grounds(
    folder: Path, splits: Sequence[str] = ("train", "validation", "test"), configs: Sequence[str] = CONFIGS
) -> Path:
    """A real dataset repository of some configs and splits."""
    card, serial = ["---", "configs:"], 0
    starts = {}
    for split, count in PER_CLASS.items():
        starts[split], serial = serial, serial + count
    for config in configs:
        card += [f"- config_name: {config}", "  data_files:"]
        for split in splits:
            serials = range(starts[split], starts[split] + PER_CLASS[split])
            rows = [make_photo(label, number, split, config) for number in serials for label in range(len(NAMES))]
            write_shard(folder, split, rows, config)
            card += [f"  - split: {split}", f"    path: data/{config}/{split}-*"]
    (folder / "README.md").write_text("\n".join([*card, "---", "# Grounds", ""]))
    (folder / "class_map.json").write_text(json.dumps(CLASS_MAP))
    write_manifest(folder)
    return folder
