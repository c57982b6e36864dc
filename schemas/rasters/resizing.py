"""The sizes of what most classifiers do to a photo: its short side to 256 pixels, then the middle 224 by 224.

The rules are those of torchvision's ``Resize`` and ``CenterCrop``. Views of recipes and pictures for human raters take
them from here; the evaluation, which imports nothing of the house, spells them again, and a test compares them.
"""

from __future__ import annotations

from typing import Final

SHORT_SIDE_PX: Final = 256
"""Short side of a photo after resizing."""
CROP_PX: Final = 224
"""Side of the square that is then cut from its middle."""


def short_side_hw(size_hw: tuple[int, int], short_px: int) -> tuple[int, int]:
    """Height and width of a photo once its short side has ``short_px`` pixels; the long side is truncated."""
    short, long = sorted(size_hw)
    scaled = int(short_px * long / short)
    return (short_px, scaled) if size_hw[0] <= size_hw[1] else (scaled, short_px)


def crop_offset(length_px: int, crop_px: int) -> int:
    """Offset of a centre crop along one side, rounded half to even; negative where it is longer than the side."""
    return round((length_px - crop_px) / 2)
