"""Sizes of pictures: the most that is read, and how people are told them, width before height, everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

MOST_PIXELS: Final = 100_000_000
"""Photos of more pixels are refused before they are decoded."""
TURNED: Final = (5, 6, 7, 8)
"""EXIF orientations that swap width and height."""
ORDER: Final = "(width x height)"
"""Said beside the first size of a message."""


def spell_size(size_hw: Sequence[int | None]) -> str:
    """``640x480`` for a height of 480 and a width of 640 pixels; ``?`` for a side that is not said."""
    height, width = ("?" if side is None else side for side in size_hw)
    return f"{width}x{height}"
