"""A drawn folder in RIVAL10's layout: four photos, with masks and labels as the released files have them."""

from __future__ import annotations

import base64
import io
import pickle
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from figureground.schemas.attributes import load_attribute_schema

SCHEMA = load_attribute_schema("rival10")
SIDE = 24
PHOTOS = {
    "train/n02690373_n02690373_18": ("wings", "metallic"),
    "train/n02123394_ILSVRC2012_val_00000018": ("ears",),
    "train/n02099601_n02099601_7": (),
    "test/n02690373_n02690373_99": ("wings", "wheels"),
}
"""Split and stem to the attributes that are present."""


def draw_mask(name: str, side: int = SIDE) -> NDArray[np.bool_]:
    """The object is the middle, every attribute a row of it."""
    mask = np.zeros((side, side), dtype=np.bool_)
    if name == "entire-object":
        mask[side // 4 : -side // 4, side // 4 : -side // 4] = True
    else:
        mask[side // 4 + len(name) % 8, side // 4 : -side // 4] = True
    return mask


def png(mask_hw: NDArray[np.bool_], mode: str = "RGB") -> bytes:
    """Black and white; as RGBA, clear and black as a browser's canvas gives it."""
    if mode == "RGBA":
        pixels = np.zeros((*mask_hw.shape, 4), dtype=np.uint8)
        pixels[mask_hw] = (0, 0, 0, 255)
        image = Image.fromarray(pixels)
    else:
        image = Image.fromarray(mask_hw.astype(np.uint8) * 255).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def base64_png(mask_hw: NDArray[np.bool_], mode: str = "RGB") -> str:
    return base64.b64encode(png(mask_hw, mode)).decode()


def draw_tree(root: Path) -> Path:
    """Write the tree below ``root / "RIVAL10"`` and return that."""
    tree = root / "RIVAL10"
    for number, (place, present) in enumerate(PHOTOS.items()):
        split, _, stem = place.partition("/")
        folder = tree / split / "ordinary"
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{stem}.JPEG", "PNG")
        (folder / f"{stem}_merged_mask.JPEG").write_bytes(png(draw_mask("entire-object")))
        labels = np.array([[name in present for name in SCHEMA.names()], np.zeros(18)], dtype=np.int64)
        np.save(folder / f"{stem}_attr_labels.npy", labels)
        masks = {name: base64_png(draw_mask(name)) for name in ("entire-object", *present)}
        (folder / f"{stem}_attr_dict.pkl").write_bytes(pickle.dumps(masks))
    return tree
