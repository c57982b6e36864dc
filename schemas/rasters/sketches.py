"""Sketches of images: 64 numbers that tell an image decoded a little differently from a wrong one."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

_SIDE: Final = 8


def sketch(image_rgb: NDArray[np.uint8]) -> str:
    """Mean grey levels of 8x8 equal blocks of a ``(H, W, 3)`` uint8 RGB image, in reading order, as 128 hex digits.

    Grey is Y of ITU-R BT.601. Decoders that round differently move a mean by a level or two; another crop, rotation or
    resize moves some by many.
    """
    grey = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2GRAY)
    return cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).tobytes().hex()


def sketch_distance(first: str, second: str) -> int:
    """Largest difference of two sketches in one block, in grey levels, [0, 255].

    Raises:
        ValueError: for a text that is no sketch.
    """
    return int(np.abs(_levels(first) - _levels(second)).max())


def _levels(text: str) -> NDArray[np.int16]:
    levels = np.frombuffer(bytes.fromhex(text), dtype=np.uint8)
    if levels.size != _SIDE * _SIDE:
        raise ValueError(f"a sketch has {_SIDE * _SIDE} levels, this has {levels.size}")
    return levels.astype(np.int16)
