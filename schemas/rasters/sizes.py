"""Sizes of pictures as people are told them: width before height, everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

ORDER: Final = "(width x height)"
"""Said beside the first size of a message."""


def spell_size(size_hw: Sequence[int]) -> str:
    """``640x480`` for a height of 480 and a width of 640 pixels."""
    height, width = size_hw
    return f"{width}x{height}"
