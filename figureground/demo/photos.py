"""The demo's photos: some of known licence that installed packages ship, and drawings that the project makes."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from figureground.errors import MissingExtraError
from figureground.runtime.files import replace_file

_SIZE_WH: Final = (480, 384)
_SCALE: Final = 3  # drawn larger and reduced, so that edges are soft as a camera's are

_PACKAGED: Final = (
    # class, package, file, credit
    ("living", "skimage.data", "chelsea.png", "Stéfan van der Walt, CC0, in scikit-image"),
    ("living", "sklearn.datasets.images", "flower.jpg", "vultilion on Flickr, CC BY 2.0, in scikit-learn"),
    ("made", "skimage.data", "coffee.png", "Rachel Michetti, CC0, in scikit-image"),
    ("made", "skimage.data", "rocket.jpg", "SpaceX, CC0, in scikit-image"),
    ("made", "sklearn.datasets.images", "china.jpg", "danielbuechele on Flickr, CC BY 2.0, in scikit-learn"),
)

Canvas = ImageDraw.ImageDraw
Colour = tuple[int, int, int]


def write_demo_photos(folder: Path) -> None:
    """Write an ImageFolder of ten photos in the classes ``living`` and ``made``, its class map and its credits.

    Raises:
        MissingExtraError: if a package whose photos are used is not installed.
    """
    credit_rows = []
    for label, package, name, credit in _PACKAGED:
        try:
            data = (files(package) / name).read_bytes()
        except (ModuleNotFoundError, FileNotFoundError) as error:
            raise MissingExtraError(package.partition(".")[0], "demo") from error
        _write(folder / "photos" / label / name, data)
        credit_rows.append((f"{label}/{name}", credit))
    for number, (label, name, draw, ground) in enumerate(_DRAWINGS):
        buffer = io.BytesIO()
        _drawing(draw, ground, seed=number).save(buffer, format="PNG")
        _write(folder / "photos" / label / f"{name}.png", buffer.getvalue())
        credit_rows.append((f"{label}/{name}.png", "drawn by figureground, Apache-2.0"))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("file", "credit"), *sorted(credit_rows)])
    _write(folder / "CREDITS.csv", text.getvalue().encode())


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(path) as temporary:
        temporary.write_bytes(data)


def _drawing(draw: Callable[[Canvas], None], ground: Colour, *, seed: int) -> Image.Image:
    """One drawing: a figure in soft light on a mottled ground."""
    width, height = _SIZE_WH
    texture = Image.fromarray(_mottled((height, width), ground, seed))
    layer = Image.new("RGBA", (width * _SCALE, height * _SCALE))
    draw(ImageDraw.Draw(layer))
    layer = layer.resize(_SIZE_WH, Image.Resampling.LANCZOS)
    shadow = Image.new("RGBA", _SIZE_WH)
    shadow.paste((0, 0, 0, 130), (8, 10), layer.getchannel("A"))
    photo = texture.convert("RGBA")
    photo.alpha_composite(shadow.filter(ImageFilter.GaussianBlur(7)))
    photo.alpha_composite(layer)
    return photo.convert("RGB")


def _mottled(size_hw: tuple[int, int], colour: Colour, seed: int) -> NDArray[np.uint8]:
    """``(H, W, 3)`` ground: octaves of smooth noise around one colour, from raw Philox bits."""
    bits = np.random.Philox(seed)
    total = np.zeros(size_hw, dtype=np.float64)
    for cells in (4, 12, 40, 120):
        raw = (bits.random_raw(cells * cells) >> np.uint64(56)).astype(np.uint8).reshape(cells, cells)
        smooth = Image.fromarray(raw).resize((size_hw[1], size_hw[0]), Image.Resampling.BICUBIC)
        total += (np.asarray(smooth, dtype=np.float64) / 255 - 0.5) * 90 / math.log2(cells)
    pixels = np.asarray(colour, dtype=np.float64) + total[:, :, None]
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def _disc(draw: Canvas, x: float, y: float, radius: float, fill: Colour, outline: Colour | None = None) -> None:
    box = [_SCALE * value for value in (x - radius, y - radius, x + radius, y + radius)]
    draw.ellipse(box, fill=fill, outline=outline, width=3 * _SCALE if outline else 0)


def _polygon(draw: Canvas, points: list[tuple[float, float]], fill: Colour) -> None:
    draw.polygon([(x * _SCALE, y * _SCALE) for x, y in points], fill=fill)


def _around(x: float, y: float, radius: float, angle: float) -> tuple[float, float]:
    return x + radius * math.cos(angle), y + radius * math.sin(angle)


def _line(draw: Canvas, start: tuple[float, float], end: tuple[float, float], width: float, fill: Colour) -> None:
    points = [(start[0] * _SCALE, start[1] * _SCALE), (end[0] * _SCALE, end[1] * _SCALE)]
    draw.line(points, fill=fill, width=round(width * _SCALE))


def _ladybird(draw: Canvas) -> None:
    for side in (-1, 1):
        for y in (150, 195, 240):
            _line(draw, (240, y), (240 + side * 120, y + (y - 195) * 0.6), 7, (25, 20, 20))
        _line(draw, (240, 110), (240 + side * 45, 60), 5, (25, 20, 20))
    _disc(draw, 240, 118, 48, (20, 18, 18))
    _disc(draw, 222, 100, 9, (240, 240, 235))
    _disc(draw, 258, 100, 9, (240, 240, 235))
    _disc(draw, 240, 205, 98, (205, 32, 22))
    _disc(draw, 215, 165, 40, (222, 60, 42))
    _line(draw, (240, 108), (240, 303), 5, (25, 15, 15))
    for x, y, radius in (
        (195, 165, 18),
        (285, 165, 18),
        (182, 220, 20),
        (298, 220, 20),
        (212, 268, 16),
        (268, 268, 16),
    ):
        _disc(draw, x, y, radius, (22, 16, 16))


def _daisy(draw: Canvas) -> None:
    for ring, shade in ((0.0, 225), (0.5, 250)):
        for petal in range(14):
            angle = 2 * math.pi * (petal + ring) / 14
            tip, left, right = (
                _around(240, 190, 140, angle),
                _around(240, 190, 95, angle - 0.2),
                _around(240, 190, 95, angle + 0.2),
            )
            _polygon(
                draw,
                [
                    (240, 190),
                    left,
                    _around(240, 190, 132, angle - 0.1),
                    tip,
                    _around(240, 190, 132, angle + 0.1),
                    right,
                ],
                (shade, shade, shade - 5),
            )
    _disc(draw, 240, 190, 44, (236, 184, 20))
    for dot in range(90):
        x, y = _around(240, 190, 4.4 * math.sqrt(dot), dot * 2.39996)
        _disc(draw, x, y, 2.2, (190, 125, 10))


def _starfish(draw: Canvas) -> None:
    points = []
    for corner in range(10):
        radius = 155 if corner % 2 == 0 else 48
        angle = -math.pi / 2 + corner * math.pi / 5
        points += [_around(240, 200, radius, angle - 0.09), _around(240, 200, radius, angle + 0.09)]
    _polygon(draw, points, (214, 106, 44))
    for arm in range(5):
        angle = -math.pi / 2 + arm * 2 * math.pi / 5
        for step in range(1, 13):
            x, y = _around(240, 200, step * 11, angle)
            _disc(draw, x, y, 4.5 - step * 0.22, (246, 190, 130))


def _clock(draw: Canvas) -> None:
    _disc(draw, 240, 192, 150, (45, 42, 40))
    _disc(draw, 240, 192, 136, (248, 246, 238))
    for tick in range(60):
        angle = tick * math.pi / 30
        inner = 112 if tick % 5 == 0 else 124
        _line(
            draw,
            _around(240, 192, inner, angle),
            _around(240, 192, 130, angle),
            6 if tick % 5 == 0 else 2,
            (30, 30, 30),
        )
    _line(draw, (240, 192), _around(240, 192, 72, -2.6), 11, (20, 20, 20))
    _line(draw, (240, 192), _around(240, 192, 108, -0.95), 7, (20, 20, 20))
    _line(draw, _around(240, 192, -25, 1.1), _around(240, 192, 112, 1.1), 3, (190, 25, 25))
    _disc(draw, 240, 192, 9, (20, 20, 20))


def _traffic_light(draw: Canvas) -> None:
    _line(draw, (240, 300), (240, 384), 18, (70, 72, 74))
    draw.rounded_rectangle([_SCALE * v for v in (180, 40, 300, 312)], radius=22 * _SCALE, fill=(38, 40, 38))
    for y, lit, dark in ((90, (250, 40, 30), True), (176, (110, 80, 10), False), (262, (20, 80, 40), False)):
        _disc(draw, 240, y, 40, (18, 18, 18))
        _disc(draw, 240, y, 34, lit)
        if dark:
            _disc(draw, 232, y - 8, 14, (255, 150, 130))


_DRAWINGS: Final = (
    ("living", "ladybird", _ladybird, (96, 140, 62)),
    ("living", "daisy", _daisy, (58, 104, 48)),
    ("living", "starfish", _starfish, (206, 188, 150)),
    ("made", "clock", _clock, (150, 128, 108)),
    ("made", "traffic_light", _traffic_light, (140, 178, 214)),
)
