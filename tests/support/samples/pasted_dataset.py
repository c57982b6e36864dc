"""A dataset of plain figures on plain grounds, for a model that answers the mean colour: who fools it can be computed.

Every photo has a rectangle of its class's colour, of a size of its own, on a ground of a colour and strength of its
own. Figures that are small answer what is under them.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from functools import cache
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
from figureground.schemas.rasters.masks import encode_png1

SIDE_PX = 224
CLASS_MAP: dict[str, Any] = {
    "name": "pasted",
    "unmapped_value": -1,
    "classes": [
        {"index": 0, "name": "red", "wnids": ["n00000010", "n00000011"], "imagenet_indices": [0, 1]},
        {"index": 1, "name": "green", "wnids": ["n00000020"], "imagenet_indices": [2]},
        {"index": 2, "name": "blue", "wnids": ["bluish"], "imagenet_indices": [3]},
    ],
}
NAMES = ("red", "green", "blue")
SOURCES = (("n00000010", "n00000011"), ("n00000020",), ("bluish",))
PER_CLASS = 5
STRENGTHS = (70, 105, 225, 140, 175)
"""Of the strong channel of a ground."""
SIDES_PX = (100, 130, 145, 157, 175)
"""Of the figures."""


def photo_id(label: int, serial: int) -> str:
    """Id of a photo; ids of the classes interleave, as those of hashes do."""
    return f"{serial}{'cab'[label]}" * 8


def draw_ground(label: int, serial: int) -> NDArray[np.uint8]:
    """A ground: its strong channel is that of some class, its own in one photo of three."""
    ground = np.full((SIDE_PX, SIDE_PX, 3), 40, np.uint8)
    ground[..., (label + serial) % 3] = STRENGTHS[(serial + 3 * label) % PER_CLASS]
    return ground


def draw_mask(serial: int) -> NDArray[np.bool_]:
    """A square in the middle."""
    edge = (SIDE_PX - SIDES_PX[serial]) // 2
    mask = np.zeros((SIDE_PX, SIDE_PX), np.bool_)
    mask[edge : SIDE_PX - edge, edge : SIDE_PX - edge] = True
    return mask


def paste(label: int, serial: int, ground: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The figure of a photo on any ground."""
    canvas = ground.copy()
    canvas[draw_mask(serial)] = [210 if channel == label else 45 for channel in range(3)]
    return canvas


def png(canvas: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(canvas).save(buffer, "PNG")
    return buffer.getvalue()


def make_row(label: int, serial: int, variant: str, ground: tuple[int, int] | None = None) -> dict[str, Any]:
    """One row with every column of a published dataset; ``ground`` is the photo whose ground is shown."""
    under = draw_ground(*(ground or (label, serial)))
    canvas = under if variant == "only_bg_t" else paste(label, serial, under)
    other = ground is not None and ground != (label, serial)
    return {
        "image": {"bytes": png(canvas), "path": None},
        "label": label,
        "image_id": photo_id(label, serial),
        "source_label": SOURCES[label][serial % len(SOURCES[label])],
        "variant": variant,
        "draw": 0,
        "attribute": None,
        "object_mask": {"bytes": encode_png1(draw_mask(serial)), "path": None},
        "box": [0.0, 0.0, 1.0, 1.0],
        "ground_id": photo_id(*ground) if ground and other else None,
        "ground_label": ground[0] if ground and other else None,
        "attributes": None,
        "attribute_masks": [],
        "provenance": None,
    }


def make_rows() -> dict[str, list[dict[str, Any]]]:
    """Rows by config, in the order of ids."""
    photos = sorted(
        [(label, serial) for label in range(3) for serial in range(PER_CLASS)], key=lambda photo: photo_id(*photo)
    )
    return {
        "original": [make_row(*photo, "original") for photo in photos],
        "only_bg_t": [make_row(*photo, "only_bg_t") for photo in photos],
        "mixed_self": [make_row(*photo, "mixed_self", photo) for photo in photos],
        "mixed_same": [make_row(*photo, "mixed_same", (photo[0], (photo[1] + 2) % PER_CLASS)) for photo in photos],
        "mixed_rand": [make_row(*photo, "mixed_rand", ((photo[0] + photo[1]) % 3, photo[1] // 2)) for photo in photos],
    }


def write_repository(folder: Path, rows: Mapping[str, Sequence[Mapping[str, Any]]] | None = None) -> Path:
    """A real dataset repository."""
    features = dataset_features(ClassMap.model_validate_json(json.dumps(CLASS_MAP)), ())
    card = ["---", "configs:"]
    for config, own in (rows or make_rows()).items():
        path = folder / "data" / config / "test-00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(list(own), schema=features.arrow_schema), path)
        card += [f"- config_name: {config}", "  data_files:", "  - split: test", f"    path: data/{config}/test-*"]
    (folder / "README.md").write_text("\n".join([*card, "---", "# Pasted", ""]))
    (folder / "class_map.json").write_text(json.dumps(CLASS_MAP))
    write_manifest(folder)
    return folder


@cache
def mean_answers() -> NDArray[np.int64]:
    """What the mean colour says of every figure on every ground, ``(F, G)`` in the order of ``make_rows``."""
    photos = [(row["label"], int(row["image_id"][0])) for row in make_rows()["original"]]
    answers = np.array(
        [[paste(*figure, draw_ground(*ground)).mean(axis=(0, 1)).argmax() for ground in photos] for figure in photos]
    )
    answers.setflags(write=False)
    return answers
