"""Textures that need no download: families of patterns, each a function of a seed alone.

Only whole numbers decide a pixel, so a seed gives the same texture on every machine. The abstract of the study of
background invariance (Sehwag et al., arXiv 2006.14077) does not say which textures it used; these are ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from figureground.build.geometry.views import Canvas

Whole = NDArray[np.int64]

_OCTAVES: Final = (64, 32, 16, 8)
"""Sides of the clouds' lattices, pixels."""
_SLOPES: Final = ((1, 0), (0, 1), (1, 1), (1, -1), (2, 1), (1, 2), (2, -1), (1, -2))
"""Directions across stripes, as whole steps (x, y)."""


class Dice:
    """Whole numbers drawn one after the other from Philox's raw bits, which NumPy promises not to change."""

    def __init__(self, seed: int) -> None:
        self._bits = np.random.Philox(key=seed)

    def roll(self, low: int, high: int) -> int:
        """One number from ``low`` up to, not including, ``high``."""
        return low + int(self._bits.random_raw() % (high - low))

    def rolls(self, shape: tuple[int, ...], high: int) -> Whole:
        """Numbers from 0 up to, not including, ``high``."""
        raw = self._bits.random_raw(int(np.prod(shape)))
        return np.asarray(raw % np.uint64(high), dtype=np.int64).reshape(shape)

    def two_colours(self) -> tuple[Whole, Whole]:
        """Two colours ``(3,)``, 0 to 255, that differ by at least 64 in every channel."""
        first = self.rolls((3,), 256)
        return first, (first + 64 + self.rolls((3,), 129)) % 256


def draw_texture(family: str, seed: int, size_hw: tuple[int, int]) -> Canvas:
    """A texture ``(H, W, 3)`` uint8 RGB of one of ``FAMILIES``, which are ``schemas.recipes.TEXTURE_FAMILIES``.

    ``bricks``: courses in a second colour's joints; ``checks``: squares of two colours; ``clouds``: four octaves of
    lattice noise between two colours; ``dots``: discs on a staggered grid; ``noise``: every channel of every pixel for
    itself; ``stripes``: bands that rise and fall between two colours.
    """
    return FAMILIES[family](Dice(seed), size_hw)


def texture_from_photo(photo_rgb: Canvas, seed: int, size_hw: tuple[int, int]) -> Canvas:
    """A part of a photo, at a position that the seed draws, as large as the canvas; a small photo is enlarged first."""
    height, width = size_hw
    scale = max(height / photo_rgb.shape[0], width / photo_rgb.shape[1], 1.0)
    if scale > 1:
        larger = [max(need, round(have * scale)) for need, have in zip(size_hw, photo_rgb.shape[:2], strict=True)]
        photo_rgb = np.asarray(Image.fromarray(photo_rgb).resize(larger[::-1], Image.Resampling.BILINEAR))
    dice = Dice(seed)
    top, left = (dice.roll(0, have - need + 1) for have, need in zip(photo_rgb.shape[:2], size_hw, strict=True))
    return np.ascontiguousarray(photo_rgb[top : top + height, left : left + width])


def _bricks(dice: Dice, size_hw: tuple[int, int]) -> Canvas:
    course, length, joint = dice.roll(8, 25), dice.roll(20, 61), dice.roll(1, 4)
    rows, columns = np.indices(size_hw)
    rows, columns = rows + dice.roll(0, course), columns + dice.roll(0, length)
    columns = columns + (rows // course % 2) * (length // 2)
    return _in_two(dice, (rows % course < joint) | (columns % length < joint))


def _checks(dice: Dice, size_hw: tuple[int, int]) -> Canvas:
    side = dice.roll(4, 33)
    rows, columns = np.indices(size_hw)
    return _in_two(dice, ((rows + dice.roll(0, side)) // side + (columns + dice.roll(0, side)) // side) % 2 == 1)


def _clouds(dice: Dice, size_hw: tuple[int, int]) -> Canvas:
    heights = np.zeros(size_hw, dtype=np.int64)
    total = 0
    for side in _OCTAVES:
        heights += _lattice_noise(dice, side, size_hw) * side
        total += side
    first, second = dice.two_colours()
    share = heights // total  # 0 to 255
    return np.asarray((first * (255 - share[..., None]) + second * share[..., None]) // 255, dtype=np.uint8)


def _lattice_noise(dice: Dice, side: int, size_hw: tuple[int, int]) -> Whole:
    """Bilinear between random corners, 0 to 255."""
    corners = dice.rolls((size_hw[0] // side + 2, size_hw[1] // side + 2), 256)
    rows, columns = np.indices(size_hw)
    (y, dy), (x, dx) = np.divmod(rows, side), np.divmod(columns, side)
    above = corners[y, x] * (side - dx) + corners[y, x + 1] * dx
    below = corners[y + 1, x] * (side - dx) + corners[y + 1, x + 1] * dx
    return np.asarray((above * (side - dy) + below * dy) // (side * side))


def _dots(dice: Dice, size_hw: tuple[int, int]) -> Canvas:
    side = dice.roll(10, 41)
    radius = dice.roll(side // 4, side // 2)
    rows, columns = np.indices(size_hw)
    rows, columns = rows + dice.roll(0, side), columns + dice.roll(0, side)
    columns = columns + (rows // side % 2) * (side // 2)
    y, x = 2 * (rows % side) + 1 - side, 2 * (columns % side) + 1 - side  # from the middle of a cell, in half pixels
    return _in_two(dice, y * y + x * x <= 4 * radius * radius)


def _noise(dice: Dice, size_hw: tuple[int, int]) -> Canvas:
    return dice.rolls((*size_hw, 3), 256).astype(np.uint8)


def _stripes(dice: Dice, size_hw: tuple[int, int]) -> Canvas:
    period, (across_x, across_y) = dice.roll(6, 49), _SLOPES[dice.roll(0, len(_SLOPES))]
    rows, columns = np.indices(size_hw)
    phase = (across_x * columns + across_y * rows + dice.roll(0, period)) % period
    share = np.minimum(phase, period - phase)[..., None] * 2
    first, second = dice.two_colours()
    return np.asarray((first * (period - share) + second * share) // period, dtype=np.uint8)


def _in_two(dice: Dice, where: NDArray[np.bool_]) -> Canvas:
    first, second = dice.two_colours()
    return np.where(where[..., None], first, second).astype(np.uint8)


FAMILIES: Final[Mapping[str, Callable[[Dice, tuple[int, int]], Canvas]]] = {
    "bricks": _bricks,
    "checks": _checks,
    "clouds": _clouds,
    "dots": _dots,
    "noise": _noise,
    "stripes": _stripes,
}
