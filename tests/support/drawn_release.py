"""A workspace of drawn photos whose true masks are accepted and frozen: what builds are tested on; and plain locks."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from figureground.annotate.catalogue import index_source
from figureground.annotate.freeze import FreezeOptions, freeze
from figureground.exports.dataset.lock import RecipeLock
from figureground.schemas.rasters.masks import encode_coco_rle
from figureground.schemas.records import Annotation, Decision
from figureground.schemas.sources.opening import open_source
from figureground.schemas.store.workspace import Workspace

CLASS_MAP = json.dumps(
    {
        "name": "toy",
        "classes": [
            {"index": index, "name": name, "wnids": [name], "imagenet_indices": [index]}
            for index, name in enumerate(("disc", "ring", "bar"))
        ],
    }
)


_LOCK: dict[str, Any] = {
    "figureground": "0.0.0",
    "png": {"library": "libdeflate", "level": 1},
    "packages": {"pillow": "1.0"},
    "libraries": {"jpg": "3.0"},
    "recipe": "toy@1",
    "rules": "exact",
    "seed": 0,
    "draws": 1,
    "release": {"version": "v1", "sha256": "0"},
    "quotas": {"disc": 4, "ring": 5, "bar": 3},
    "balanced": False,
    "objects": 12,
    "objects_in_release": 14,
    "refused": {"mask_empty": 1, "no_strip": 1},
    "refused_total": 2,
    "states": {"accepted": 9, "unreviewed": 3},
    "unreviewed": 3,
    "segmenters": ["mobile-sam"],
    "sources": {"shapes": {"photos": 12, "licence": "CC0-1.0", "restricted": ""}},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnRelease:
    """Where a drawn release lies."""

    photos: Path
    workspace: Path
    release: Path


def draw_photo(kind: str, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A noise ground with one plain figure; returns ``(H, W, 3)`` uint8 and its ``(H, W)`` bool mask."""
    generator = np.random.default_rng(seed)
    height, width = (int(generator.integers(200, 320)) for _ in range(2))
    rows, columns = np.mgrid[:height, :width]
    y, x = (float(side * generator.uniform(0.4, 0.6)) for side in (height, width))
    distance = np.hypot(rows - y, columns - x)
    mask = {
        "disc": distance < 40,
        "ring": (distance < 45) & (distance > 25),
        "bar": (abs(rows - y) < 15) & (abs(columns - x) < 50),
    }[kind]
    photo = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
    photo[mask] = {"disc": (250, 20, 20), "ring": (20, 250, 20), "bar": (20, 20, 250)}[kind]
    return photo, mask


def draw_release(root: Path, per_class: int = 4, *, part: str = "") -> DrawnRelease:
    """Draw photos, index them, accept their true masks and freeze ``v1``.

    With a name in ``part`` every figure has a local attribute of that name: its left half.
    """
    photos, workspace = root / "photos", root / "workspace"
    masks = {}
    for number, kind in enumerate(("disc", "ring", "bar")):
        for index in range(per_class):
            photo, mask = draw_photo(kind, 100 * number + index)
            path = photos / kind / f"{kind}{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            buffer = io.BytesIO()
            Image.fromarray(photo).save(buffer, format="PNG")
            path.write_bytes(buffer.getvalue())
            masks[f"{kind}/{kind}{index}.png"] = mask
    with Workspace.create(workspace) as store:
        index_source(store, open_source(str(photos), name="drawn", options={"licence": "CC0-1.0"}))
        for image in store.images():
            mask = masks[image.uri]
            left = mask & (np.arange(mask.shape[1]) < np.median(np.nonzero(mask)[1]))
            painted = {"object": mask, **({part: left} if part else {})}
            answer = Annotation(
                annotation_id=f"answer-{image.image_id}",
                updated_at="2026-01-01T00:00:00Z",
                image_id=image.image_id,
                masks={name: encode_coco_rle(raster) for name, raster in painted.items()},
                attributes={"round": image.label != "bar", **({part: True} if part else {})},
                flags=(),
                annotator="p1",
                seconds=1.0,
                tool="drawn",
                proposal_id="",
                edit_iou=None,
            )
            store.add_answer(answer, None)
            decision = Decision(
                image_id=image.image_id, state="accepted", reason="", annotation_id=answer.annotation_id
            )
            store.decide(decision)
        report = freeze(store, "v1", FreezeOptions())
    return DrawnRelease(photos=photos, workspace=workspace, release=report.path)


def lock_of(**changes: Any) -> RecipeLock:
    """A lock of a dataset that nobody built: these keys, and plain values elsewhere."""
    return RecipeLock.model_validate({**_LOCK, **changes})
