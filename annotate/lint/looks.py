"""A look at one object: its masks and its photo decoded, and what several rules measure of them, each once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from figureground.annotate.lint.rims import RimColours, measure_rim
from figureground.annotate.lint.settings import LintSettings
from figureground.annotate.lint.subjects import Subject
from figureground.errors import DataError, FigureGroundError
from figureground.schemas.attributes import OBJECT
from figureground.schemas.rasters.masks import Box, CocoRle, Mask, decode_coco_rle
from figureground.schemas.rasters.photos import decode_photo
from figureground.schemas.rasters.resizing import CROP_PX, SHORT_SIDE_PX, crop_offset, short_side_hw
from figureground.schemas.records import SourceRow
from figureground.schemas.sources.opening import read_catalogued


class Look:
    """One object, as rules see it.

    Args:
        subject: The object.
        settings: Thresholds.
        sources: Where photos lie; None where there is no telling, so that no photo is looked at.
    """

    def __init__(self, subject: Subject, settings: LintSettings, sources: Mapping[str, SourceRow] | None) -> None:
        self.subject = subject
        self.settings = settings
        self._sources = sources

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of the photo, stored pixels."""
        return self.subject.photo.size_hw

    @cached_property
    def rles(self) -> dict[str, CocoRle]:
        """Every mask of the object by what it is called: ``object``, ``instance 0`` and so on, attributes."""
        numbered = {f"instance {number}": rle for number, rle in enumerate(self.subject.instances)}
        own = {} if self.subject.mask is None else {OBJECT: self.subject.mask}
        return {**own, **numbered, **dict(sorted(self.subject.parts.items()))}

    @cached_property
    def decoded(self) -> dict[str, Mask | str]:
        """Every mask of the photo's size, and of every other what is wrong with it."""
        masks: dict[str, Mask | str] = {}
        for name, rle in self.rles.items():
            try:
                masks[name] = decode_coco_rle(rle, size_hw=self.size_hw, record=name)
            except (DataError, ValueError, OverflowError, MemoryError) as error:
                masks[name] = error.faults[0].got if isinstance(error, DataError) else str(error)
        return masks

    @property
    def mask(self) -> Mask | None:
        """The object's mask, ``(H, W)`` bool; None for none, an empty one, and one that does not fit the photo."""
        mask = self.decoded.get(OBJECT)
        return mask if isinstance(mask, np.ndarray) and mask.any() else None

    @property
    def parts(self) -> dict[str, Mask]:
        """Masks of attributes that fit the photo."""
        decoded = {name: self.decoded[name] for name in self.subject.parts}
        return {name: mask for name, mask in decoded.items() if isinstance(mask, np.ndarray)}

    @cached_property
    def area_px(self) -> int:
        """Pixels of the object's mask; 0 without one."""
        return 0 if self.mask is None else int(np.count_nonzero(self.mask))

    @cached_property
    def photo(self) -> NDArray[np.uint8] | str:
        """Pixels of the photo, ``(H, W, 3)`` uint8 RGB, stored orientation; or why it cannot be read."""
        if self._sources is None:
            return ""
        try:
            return decode_photo(read_catalogued(self.subject.photo, self._sources))
        except (FigureGroundError, OSError) as error:
            return "; ".join(fault.got for fault in error.faults) if isinstance(error, DataError) else str(error)

    @property
    def photo_rgb(self) -> NDArray[np.uint8] | None:
        """Pixels of the photo where they are to be had and of the size of its masks."""
        photo = self.photo
        return photo if isinstance(photo, np.ndarray) and photo.shape[:2] == tuple(self.size_hw) else None

    @cached_property
    def rim(self) -> RimColours | None:
        """Colours along the outline; None without photo or mask, or where they cannot be told apart."""
        if self.photo_rgb is None or self.mask is None:
            return None
        return measure_rim(self.photo_rgb, self.mask, contrast=self.settings.rim_contrast)


def canvas_part(size_hw: tuple[int, int]) -> tuple[Box, float]:
    """The part of a photo that the view ``imagenet`` shows, and how many canvas pixels a stored pixel is along a side.

    The part is half-open and in whole stored pixels: those whose centre the crop holds. Sizes are those of
    ``schemas.rasters.resizing``.
    """
    resized = short_side_hw(size_hw, SHORT_SIDE_PX)
    spans = []
    for stored, length in zip(size_hw, resized, strict=True):
        offset, scale = crop_offset(length, CROP_PX), stored / length
        spans.append((int(np.ceil(offset * scale - 0.5)), int(np.ceil((offset + CROP_PX) * scale - 0.5))))
    (y0, y1), (x0, x1) = ((max(start, 0), min(stop, side)) for (start, stop), side in zip(spans, size_hw, strict=True))
    return (x0, y0, x1, y1), min(resized) / min(size_hw)
