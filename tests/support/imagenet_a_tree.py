"""A drawn miniature of ImageNet-A: 28 photos of 8 of its classes, with every oddity of the released files.

``python tests/imagenet_a_tree.py OUT [--tar] [--masks]`` writes it; same seed, same bytes.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from figureground.schemas.classes import imagenet_names
from figureground.schemas.rasters.masks import encode_png1

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Place = tuple[float, float, float, float]

SHAPES: Mapping[str, tuple[Callable[[Floats, Floats], Mask], tuple[int, int, int]]] = {
    "n01498041": (lambda u, v: abs(u) + abs(v) < 1, (40, 90, 235)),  # stingray, a diamond
    "n01531178": (lambda u, v: u**2 + v**2 < 1, (250, 205, 10)),  # goldfinch, a disc
    "n02099601": (lambda u, v: u**4 + v**4 < 1, (235, 120, 20)),  # golden retriever, a cushion
    "n02123394": (lambda u, v: (abs(u) < (v + 1) / 2) & (v < 1), (245, 240, 250)),  # Persian cat, a triangle
    "n02281787": (lambda u, v: _petals(u, v, 4), (150, 40, 220)),  # lycaenid, four wings
    "n02690373": (lambda u, v: (np.minimum(abs(u), abs(v)) < 0.35) & (abs(u) < 1) & (abs(v) < 1), (20, 210, 220)),
    "n03590841": (lambda u, v: (u**2 + v**2 < 1) & (u**2 + v**2 > 0.15), (255, 110, 0)),  # jack-o'-lantern, a ring
    "n12057211": (lambda u, v: _petals(u, v, 6), (255, 235, 0)),  # yellow lady's slipper, a flower
}
"""Wnid to what its object is in a box from -1 to 1, and its colour."""

MIDDLE: Place = (0.3, 0.25, 0.7, 0.75)


@dataclass(frozen=True, slots=True)
class Sketch:
    """What to draw."""

    wnid: str
    oddity: str
    size_hw: tuple[int, int] = (240, 320)
    places: tuple[Place, ...] = (MIDDLE,)
    """Boxes of the instances, x0 y0 x1 y1 as shares of width and height; what lies outside the frame is cut off."""
    ending: str = "jpg"
    orientation: int = 1
    mode: str = "RGB"


SKETCHES = (
    Sketch("n01498041", "plain"),
    Sketch("n01498041", "touches the left border", places=((-0.1, 0.3, 0.35, 0.8),)),
    Sketch("n01498041", "tiny", (112, 84)),
    Sketch("n01498041", "rotated by EXIF", (240, 360), ((0.15, 0.1, 0.5, 0.7),), orientation=6),
    Sketch("n01531178", "plain", (300, 300)),
    Sketch("n01531178", "large", (2000, 3000), ((0.4, 0.3, 0.65, 0.7),)),
    Sketch("n01531178", "two far instances", (240, 480), ((0.03, 0.1, 0.23, 0.5), (0.8, 0.6, 0.95, 0.9))),
    Sketch("n01531178", "small object", places=((0.6, 0.2, 0.72, 0.36),)),
    Sketch("n02099601", "touches the top border", places=((0.3, -0.15, 0.7, 0.45),), ending="JPEG"),
    Sketch("n02099601", "grey", mode="L"),
    Sketch("n02099601", "fills the frame", places=((-2, -2, 3, 3),)),
    Sketch("n02123394", "touches the right border", places=((0.65, 0.3, 1.2, 0.8),)),
    Sketch("n02123394", "cut off by the centre crop", (200, 640), ((0.01, 0.2, 0.2, 0.85),)),
    Sketch("n02123394", "tall", (480, 200), ((0.2, 0.35, 0.8, 0.6),)),
    Sketch("n02281787", "touches the bottom border", places=((0.25, 0.5, 0.75, 1.15),)),
    Sketch("n02281787", "cmyk", mode="CMYK"),
    Sketch("n02281787", "plain", (375, 500), ((0.2, 0.2, 0.55, 0.7),), ending="jpeg"),
    Sketch("n02690373", "cut off by the centre crop", (640, 220), ((0.15, 0.02, 0.8, 0.2),)),
    Sketch("n02690373", "plain", (333, 500), ((0.35, 0.35, 0.8, 0.85),)),
    Sketch("n02690373", "two instances side by side", (240, 400), ((0.1, 0.3, 0.45, 0.8), (0.5, 0.3, 0.9, 0.85))),
    Sketch("n02690373", "turned over by EXIF", (200, 300), orientation=3),
    Sketch("n03590841", "plain", (320, 240), ((0.2, 0.3, 0.8, 0.75),), ending="JPEG"),
    Sketch("n03590841", "touches two borders", places=((-0.2, 0.4, 0.4, 1.2),)),
    Sketch("n03590841", "nearly fills the frame", places=((0.01, 0.01, 0.99, 0.99),)),
    Sketch("n12057211", "plain", (256, 384)),
    Sketch("n12057211", "tall", (500, 375), ((0.3, 0.1, 0.75, 0.5),), ending="jpeg"),
    Sketch("n12057211", "grey", (220, 300), mode="L"),
    Sketch("n12057211", "object in a corner", (300, 400), ((0.7, 0.65, 0.98, 0.97),)),
)


@dataclass(frozen=True, slots=True, eq=False)
class DrawnPhoto:
    """One file of the tree, and what only its maker knows."""

    uri: str
    """``<wnid>/<file>``."""
    oddity: str
    data: bytes
    mask_hw: Mask
    """``(H, W)`` bool in stored pixels."""
    boxes_xyxy_px: tuple[tuple[int, int, int, int], ...]
    """Tight half-open box of each instance."""

    @property
    def image_id(self) -> str:
        return hashlib.sha256(self.data).hexdigest()[:32]


@cache
def draw_photos(seed: int = 0) -> tuple[DrawnPhoto, ...]:
    """Every photo, in the order of ``SKETCHES``."""
    return tuple(_draw(sketch, np.random.default_rng([seed, number])) for number, sketch in enumerate(SKETCHES))


def draw_tree(root: Path, seed: int = 0) -> dict[str, Mask]:
    """Write ``ROOT/imagenet-a``; returns every photo's true mask by its uri."""
    tree = root / "imagenet-a"
    for name, data in _files(seed).items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(data)
    return {photo.uri: photo.mask_hw for photo in draw_photos(seed)}


def draw_tar(path: Path, seed: int = 0, *, every: int = 1) -> dict[str, Mask]:
    """Write the same tree as an archive, or one in ``every`` of its photos; returns what ``draw_tree`` does of them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    photos = draw_photos(seed)[::every]
    left_out = {photo.uri for photo in draw_photos(seed)} - {photo.uri for photo in photos}
    with tarfile.open(path, "w") as archive:
        for name, data in _files(seed).items():
            if name in left_out:
                continue
            member = tarfile.TarInfo(f"imagenet-a/{name}")  # time 0, nobody's
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return {photo.uri: photo.mask_hw for photo in photos}


def write_masks(folder: Path, seed: int = 0) -> None:
    """Write ``FOLDER/<image_id>.png``, which ``figureground import masks`` reads."""
    folder.mkdir(parents=True, exist_ok=True)
    for photo in draw_photos(seed):
        (folder / f"{photo.image_id}.png").write_bytes(encode_png1(photo.mask_hw))


def _files(seed: int) -> dict[str, bytes]:
    readme = (
        b"A drawn miniature in the layout of ImageNet-A, made by tests/imagenet_a_tree.py. No pixel is ImageNet-A's.\n"
    )
    return {"README.txt": readme} | {photo.uri: photo.data for photo in sorted(draw_photos(seed), key=lambda p: p.uri)}


def _draw(sketch: Sketch, random: np.random.Generator) -> DrawnPhoto:
    height, width = sketch.size_hw
    pixels = _clutter(height, width, random)
    mask = np.zeros((height, width), np.bool_)
    boxes = []
    for place in sketch.places:
        instance = _paint(pixels, sketch.wnid, place)
        rows, columns = (np.flatnonzero(instance.any(axis=axis)) for axis in (1, 0))
        boxes.append((int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1))
        mask |= instance
    image = Image.fromarray(pixels).convert(sketch.mode)
    options: dict[str, Any] = {}
    if sketch.orientation != 1:
        options["exif"] = Image.Exif()
        options["exif"][0x0112] = sketch.orientation
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90, **options)
    uri = f"{sketch.wnid}/{_file_name(sketch, random)}"
    return DrawnPhoto(uri, sketch.oddity, buffer.getvalue(), mask, tuple(boxes))


def _file_name(sketch: Sketch, random: np.random.Generator) -> str:
    """``<p>_<first answer> _ <second answer>_<confidence>.<ending>``, the answers being any classes' names."""
    names = list(imagenet_names().values())
    first, second = (names[int(index)] for index in random.integers(0, len(names), 2))
    first = imagenet_names()[sketch.wnid] if sketch.oddity == "plain" else first  # some have apostrophes
    answers = " _ ".join(name.replace("_", " ") for name in (first, second if random.random() < 0.2 else first))
    return f"{random.random() * 0.14:.6f}_{answers}_{0.2 + random.random() * 0.79:.8f}.{sketch.ending}"


def _clutter(height: int, width: int, random: np.random.Generator) -> NDArray[np.uint8]:
    """Dull blotches of all sizes."""
    total = np.zeros((height, width, 3), np.float32)
    for cells, weight in ((3, 0.5), (9, 0.3), (40, 0.2)):
        coarse = random.uniform(0, 1, (cells, cells, 3)).astype(np.float32)
        total += weight * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    dull = total.mean(axis=2, keepdims=True) * 0.7 + total * 0.3
    return np.asarray(20 + 110 * dull, np.uint8)


def _paint(pixels: NDArray[np.uint8], wnid: str, place: Place) -> Mask:
    """Paint one instance; returns its pixels. Striped, and darker to the rim, so that it does not look flat."""
    shape, colour = SHAPES[wnid]
    height, width = pixels.shape[:2]
    x0, y0, x1, y1 = place
    u = ((np.arange(width) + 0.5) / width - (x0 + x1) / 2) / ((x1 - x0) / 2)
    v = ((np.arange(height) + 0.5) / height - (y0 + y1) / 2) / ((y1 - y0) / 2)
    u, v = np.broadcast_arrays(u[None, :], v[:, None])
    mask = shape(u, v)
    light = (0.8 + 0.2 * np.sign(np.sin(9 * u))) * (1 - 0.25 * np.minimum(u**2 + v**2, 1))
    pixels[mask] = (np.array(colour) * light[mask, None]).astype(np.uint8)
    return mask


def _petals(u: Floats, v: Floats, count: int) -> Mask:
    return np.asarray(np.hypot(u, v) < 0.75 + 0.25 * np.cos(count * np.arctan2(v, u)))


def main(out: Path, *, tar: bool = False, masks: bool = False, seed: int = 0) -> None:
    """Write the miniature as a folder, or as a tar archive; with --masks the true masks beside it."""
    if tar:
        draw_tar(out / "imagenet-a.tar", seed)
    else:
        draw_tree(out, seed)
    if masks:
        write_masks(out / "masks", seed)


if __name__ == "__main__":
    import typer

    typer.run(main)
