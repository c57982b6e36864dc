"""Drawn photos in a workspace, and COCO files that speak of them: what imports are tested on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from figureground.annotate.catalogue import index_source
from figureground.schemas.attributes import AttributeSchema
from figureground.schemas.rasters.masks import Mask, encode_coco_rle
from figureground.schemas.records import Annotation, ImageRecord
from figureground.schemas.sources.opening import open_source
from figureground.schemas.store.workspace import Workspace

SIZE_HW = (12, 16)
PHOTOS = ("bird/a.png", "bird/b.png", "fish/a.png", "fish/c.png")
"""Two of them are called alike."""
SCHEMA = AttributeSchema.model_validate(
    {
        "name": "toy",
        "version": "1",
        "attributes": [
            {"name": "wing", "scope": "local"},
            {"name": "tail", "scope": "local"},
            {"name": "wet", "scope": "global"},
        ],
    }
)


def draw_store(folder: Path) -> Workspace:
    """A workspace with the photos, which lie in ``photos``."""
    for number, name in enumerate(PHOTOS):
        pixels = np.random.default_rng(number).integers(0, 256, (*SIZE_HW, 3), dtype=np.uint8)
        path = folder / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    store = Workspace.create(folder / "work")
    index_source(store, open_source(str(folder / "photos")))
    return store


def photo_of(store: Workspace, uri: str) -> ImageRecord:
    """A photo by its path."""
    return next(image for image in store.images() if image.uri == uri)


def answers_of(store: Workspace, uri: str) -> list[Annotation]:
    """What is stored of a photo."""
    return list(store.annotations(photo_of(store, uri).image_id))


def ring() -> Mask:
    """A mask with a hole, and an island beside it."""
    mask = np.zeros(SIZE_HW, dtype=np.bool_)
    mask[2:8, 2:9] = True
    mask[4:6, 4:6] = False
    mask[10, 14] = True
    return mask


def rows_mask(first: int, last: int) -> Mask:
    """Some whole rows, the last one not included."""
    mask = np.zeros(SIZE_HW, dtype=np.bool_)
    mask[first:last] = True
    return mask


def rle_of(mask: Mask) -> dict[str, Any]:
    """A mask as a file holds it."""
    rle = encode_coco_rle(mask)
    return {"size": list(rle.size_hw), "counts": rle.counts}


def annotation(number: int, image: int, category: int, drawn: Any, **keys: Any) -> dict[str, Any]:
    """An annotation of a mask, or of whatever is given as its segmentation."""
    segmentation = rle_of(drawn) if isinstance(drawn, np.ndarray) else drawn
    return {"id": number, "image_id": image, "category_id": category, "segmentation": segmentation, **keys}


def content(*annotations: dict[str, Any], **lists: Any) -> dict[str, Any]:
    """A file's content: all photos, and the categories bird (1), fish (2) and wing (3)."""
    height, width = SIZE_HW
    return {
        "info": {"description": "drawn"},
        "images": [
            {"id": number, "file_name": name, "height": height, "width": width}
            for number, name in enumerate(PHOTOS, start=1)
        ],
        "categories": [{"id": number, "name": name} for number, name in enumerate(("bird", "fish", "wing"), start=1)],
        "annotations": list(annotations),
        **lists,
    }


def write_coco(path: Path, *annotations: dict[str, Any], **lists: Any) -> Path:
    """Write a file of that content."""
    path.write_text(json.dumps(content(*annotations, **lists)), encoding="utf-8")
    return path
