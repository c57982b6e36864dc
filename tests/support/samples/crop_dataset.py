"""Small dataset repositories of crops and of replaced grounds, and models that look at the figure or the ground alone.

A photo is a plain ground in the tint of its class with a rectangle in the colour of its class; everything that a model
here answers can be worked out from which of the two is in the picture. Each callable is a model specification,
``crop_dataset:looks_at_figure``.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from figureground.schemas.classes import ClassMap
from figureground.schemas.features import dataset_features
from figureground.schemas.rasters.masks import encode_png1

NAMES = ("red", "green", "blue")
FIGURES = {"red": (230, 20, 20), "green": (20, 230, 20), "blue": (20, 20, 230)}
GROUNDS = {"red": (20, 120, 120), "green": (120, 20, 120), "blue": (120, 120, 20)}
GREY = (128, 128, 128)
OUTPUTS = {"red": 10, "green": 20, "blue": 30}
"""The ImageNet-1k output of each class."""
INTRUDER = 500
"""An output of no class."""
CLASS_MAP: dict[str, Any] = {
    "name": "figures",
    "unmapped_value": -1,
    "classes": [
        {"index": index, "name": name, "wnids": [f"n{index}"], "imagenet_indices": [OUTPUTS[name]]}
        for index, name in enumerate(NAMES)
    ],
}

Pixels = NDArray[np.uint8]
Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """A photo to draw."""

    image_id: str
    label: int
    size_hw: tuple[int, int]
    box: Box
    """Half-open box of the figure, in pixels."""
    instances: int = 1
    flags: tuple[str, ...] = ()

    def draw(self, *, figure: tuple[int, int, int] | None = None, ground: tuple[int, int, int] | None = None) -> Pixels:
        """``(H, W, 3)``; each part in the colour of the class unless another is given."""
        name = NAMES[self.label]
        pixels = np.full((*self.size_hw, 3), ground or GROUNDS[name], dtype=np.uint8)
        x0, y0, x1, y1 = self.box
        pixels[y0:y1, x0:x1] = figure or FIGURES[name]
        return pixels

    def window(self, margin: float, *, centred: bool = False) -> Box:
        """A square around the box, or as large in the middle of the photo; shifted, then clipped, into it."""
        x0, y0, x1, y1 = self.box
        height, width = self.size_hw
        side = min(round((1 + 2 * margin) * max(x1 - x0, y1 - y0)), height, width)
        middle = (width / 2, height / 2) if centred else ((x0 + x1) / 2, (y0 + y1) / 2)
        left, top = (
            int(min(max(0, centre - side / 2), most - side))
            for centre, most in zip(middle, (width, height), strict=True)
        )
        return left, top, left + side, top + side

    @property
    def box_share(self) -> float:
        """Area of the box ÷ area of the photo."""
        x0, y0, x1, y1 = self.box
        return (x1 - x0) * (y1 - y0) / (self.size_hw[0] * self.size_hw[1])


def photos(per_class: int = 3) -> list[Photo]:
    """Wide photos; every third figure lies at the far end, outside a centre crop, and is one of two instances."""
    drawn = []
    for label in range(len(NAMES)):
        for serial in range(per_class):
            aside, side = serial % 3 == 2, 10 + serial % 4
            left = 100 if aside else 50
            drawn.append(
                Photo(
                    image_id=f"{NAMES[label]}-{serial:03}",
                    label=label,
                    size_hw=(40, 120),
                    box=(left, 14, left + side, 14 + side),
                    instances=2 if aside else 1,
                    flags=("truncated_by_center_crop", "several_instances") if aside else (),
                )
            )
    return drawn


def cut(pixels: Pixels, window: Box) -> Pixels:
    """The part of ``(H, W, 3)`` pixels in a window."""
    x0, y0, x1, y1 = window
    return pixels[y0:y1, x0:x1]


def crop_configs(drawn: Sequence[Photo], *, draws: Mapping[str, int] | None = None) -> dict[str, list[dict[str, Any]]]:
    """Rows of every config of crops; ``random_box`` has two windows, at the left and the right end, or ``draws``."""
    configs: dict[str, list[dict[str, Any]]] = {}
    for photo in drawn:
        plus, centre = photo.window(0.1), photo.window(0.1, centred=True)
        whole: Box = (0, 0, photo.size_hw[1], photo.size_hw[0])
        views = [
            ("original", photo.draw(), whole),
            ("plus", photo.draw(), plus),
            *((f"plus_m{round(100 * margin):02}", photo.draw(), photo.window(margin)) for margin in (0.0, 0.25, 0.5)),
            ("plus_masked", photo.draw(ground=GREY), plus),
            ("bg_only", photo.draw(figure=GREY), plus),
            ("center_zoom", photo.draw(), centre),
        ]
        side = plus[2] - plus[0]
        ends: list[Box] = [(0, 0, side, side), (whole[2] - side, 14, whole[2], 14 + side)]
        views += [("random_box", photo.draw(), end) for end in ends[: (draws or {}).get(photo.image_id, 2)]]
        for config, pixels, window in views:
            rows = configs.setdefault(config, [])
            draw = sum(row["image_id"] == photo.image_id for row in rows)
            rows.append(make_row(photo, config, cut(pixels, window), draw=draw, params=_params(photo, window)))
    return configs


def ground_configs(drawn: Sequence[Photo]) -> dict[str, list[dict[str, Any]]]:
    """Rows of a background check on whole photos; ``bg_invariance_texture`` has two draws, grounds of other classes."""
    configs: dict[str, list[dict[str, Any]]] = {}
    white, black = (255, 255, 255), (0, 0, 0)
    for photo in drawn:
        others = [GROUNDS[name] for name in NAMES if name != NAMES[photo.label]]
        views = [
            ("original", [photo.draw()]),
            ("bg_influence_white", [photo.draw(figure=white)]),
            ("bg_invariance_black", [photo.draw(ground=black)]),
            ("bg_invariance_texture", [photo.draw(ground=other) for other in others]),
            ("silhouette", [photo.draw(figure=black, ground=white)]),
        ]
        for config, pictures in views:
            rows = [make_row(photo, config, pixels, draw=draw, params={}) for draw, pixels in enumerate(pictures)]
            configs.setdefault(config, []).extend(rows)
    return configs


def _params(photo: Photo, window: Box) -> dict[str, Any]:
    figure: dict[str, Any] = {
        "box": photo.box,
        "size": photo.size_hw,
        "crop": {"window": window, "pad_share": 0.0, "instances": photo.instances, "box_share": photo.box_share},
    }
    return {"figure": {**figure, "flags": list(photo.flags)} if photo.flags else figure}


def make_row(photo: Photo, config: str, pixels: Pixels, *, draw: int = 0, params: Mapping[str, Any]) -> dict[str, Any]:
    """One row with every column of a published dataset."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return {
        "image": {"bytes": buffer.getvalue(), "path": None},
        "label": photo.label,
        "image_id": photo.image_id,
        "source_label": f"n{photo.label}",
        "variant": config,
        "draw": draw,
        "attribute": None,
        "object_mask": {"bytes": encode_png1(np.ones(pixels.shape[:2], np.bool_)), "path": None},
        "box": [0.0, 0.0, 1.0, 1.0],
        "ground_id": None,
        "ground_label": None,
        "attributes": {"occluded": True if photo.instances == 2 else None},
        "attribute_masks": [],
        "provenance": {"params": json.dumps(params)},
    }


def write_repository(
    folder: Path, configs: Mapping[str, Sequence[Mapping[str, Any]]], *, class_map: Mapping[str, Any] = CLASS_MAP
) -> Path:
    """A real dataset repository with one split, test."""
    features = dataset_features(ClassMap.model_validate_json(json.dumps(class_map)), ("occluded",))
    card = ["---", "configs:"]
    for config, rows in configs.items():
        path = folder / "data" / config / "test-00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist([dict(row) for row in rows], schema=features.arrow_schema), path)
        card += [f"- config_name: {config}", "  data_files:", "  - split: test", f"    path: data/{config}/test-*"]
    (folder / "README.md").write_text("\n".join([*card, "---", "# Crops", ""]))
    (folder / "class_map.json").write_text(json.dumps(class_map))
    (folder / "manifest.json").write_text("{}")
    return folder


class ColourCounter:
    """Answers the class whose colour covers most of the picture, and the first class where none is there."""

    input_size_hw: tuple[int, int] = (16, 16)
    interpolation = "nearest"
    parameters = 3

    def __init__(self, name: str, colours: Mapping[str, tuple[int, int, int]], outputs: int = 3) -> None:
        self.name = name
        self.weights_sha256 = hashlib.sha256(f"{name} {outputs}".encode()).hexdigest()
        self._colours, self._outputs = colours, outputs
        self.label_space = "head" if outputs == len(NAMES) else "map"

    def logits(self, images: Pixels, /) -> NDArray[np.float32]:
        """Shares of the pixels in each colour, times 20."""
        shares = [(abs(images.astype(np.int64) - self._colours[name]).max(axis=3) < 40).mean((1, 2)) for name in NAMES]
        scores = 20 * np.stack(shares, axis=1)
        scores[:, 0] += 1e-3
        if self._outputs == len(NAMES):
            return scores.astype(np.float32)
        spread = np.full((len(images), self._outputs), -5, dtype=np.float32)
        shift = self._outputs - 1000
        spread[:, [OUTPUTS[name] + shift for name in NAMES]] = scores
        spread[:, INTRUDER + shift] = scores[:, 1] + 1 * (scores[:, 1] > 0)  # louder than green wherever green is seen
        spread[:, :shift] = 99
        return spread


def looks_at_figure() -> ColourCounter:
    """Never looks at the ground."""
    return ColourCounter("looks-at-figure", FIGURES)


def looks_at_ground() -> ColourCounter:
    """Never looks at the figure."""
    return ColourCounter("looks-at-ground", GROUNDS)


def imagenet_figure(outputs: str = "1000") -> ColourCounter:
    """Looks at the figure, in 1000 or 1001 outputs, and says something else to green in all of them."""
    return ColourCounter(f"imagenet-{outputs}", FIGURES, int(outputs))


LOUD = "red-000"
"""Photo whose ground has the colour of a red figure: what looks at figures takes it for one."""


def lenders(drawn: Sequence[Photo]) -> list[Photo]:
    """The first three photos of each class, whose grounds all figures stand on."""
    return [photo for label in range(len(NAMES)) for photo in [own for own in drawn if own.label == label][:3]]


def crossed_rows(drawn: Sequence[Photo], config: str = "crossed") -> list[dict[str, Any]]:
    """A row for each figure on each ground but its own; ``draw`` numbers the grounds."""
    rows = []
    for figure in drawn:
        for number, lender in enumerate(lenders(drawn)):
            if lender.image_id == figure.image_id:
                continue
            colour = FIGURES["red"] if lender.image_id == LOUD else GROUNDS[NAMES[lender.label]]
            row = make_row(figure, config, figure.draw(ground=colour), draw=number, params={})
            rows.append({**row, "ground_id": lender.image_id, "ground_label": lender.label})
    return rows


def write_crossed(folder: Path, per_class: int = 10) -> Path:
    """A repository with original, mixed_self, only_bg_t and crossed."""
    drawn = photos(per_class)
    configs = {
        name: [make_row(photo, name, photo.draw(), params={}) for photo in drawn] for name in ("original", "mixed_self")
    }
    configs["only_bg_t"] = [
        make_row(photo, "only_bg_t", photo.draw(figure=GROUNDS[NAMES[photo.label]]), params={}) for photo in drawn
    ]
    return write_repository(folder, {**configs, "crossed": crossed_rows(drawn)})
