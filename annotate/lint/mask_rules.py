"""Rules about the masks alone: their size, what they cover, of what pieces they are."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from figureground.annotate.lint.findings import Observation
from figureground.annotate.lint.looks import Look, canvas_part
from figureground.annotate.lint.specks import Specks, hole_px, islands_of, pinholes_of
from figureground.console import count_text
from figureground.schemas.attributes import OBJECT
from figureground.schemas.rasters.masks import Mask
from figureground.schemas.rasters.resizing import CROP_PX, SHORT_SIDE_PX
from figureground.schemas.rasters.sizes import ORDER, TURNED, spell_size


def no_mask(look: Look) -> Iterator[Observation]:
    """An accepted answer without a mask of its object: there is a label, and nothing that it is the label of."""
    if look.subject.mask is None:
        words = "the accepted answer has no object mask"
        yield Observation(words=words, value=0, unit="masks", threshold=1)


def size_mismatch(look: Look) -> Iterator[Observation]:
    """A mask of another size than its photo, one that cannot be decoded, or a photo that is not of its noted size."""
    height, width = look.size_hw
    for name, rle in look.rles.items():
        if tuple(rle.size_hw) != (height, width):
            turned = tuple(rle.size_hw) == (width, height) and look.subject.photo.exif_orientation in TURNED
            difference = max(abs(rle.size_hw[0] - height), abs(rle.size_hw[1] - width))
            words = f"a mask of {spell_size(rle.size_hw)} on a photo of {spell_size(look.size_hw)} {ORDER}"
            if turned:
                words += ": it shows the photo turned by its EXIF orientation; masks are in stored pixels"
            yield Observation(words=words, value=difference, unit="px", threshold=0, mask=name)
        elif isinstance(damage := look.decoded[name], str):
            words = f"the mask cannot be decoded: {damage}"
            yield Observation(words=words, value=1, unit="damaged masks", threshold=0, mask=name)
    photo = look.photo
    if isinstance(photo, np.ndarray) and photo.shape[:2] != (height, width):
        difference = max(abs(photo.shape[0] - height), abs(photo.shape[1] - width))
        words = f"the photo is {spell_size(photo.shape[:2])} {ORDER} and noted as {spell_size(look.size_hw)}"
        yield Observation(words=words, value=difference, unit="px", threshold=0)


def empty(look: Look) -> Iterator[Observation]:
    """A mask without a pixel."""
    for name, mask in look.decoded.items():
        if isinstance(mask, np.ndarray) and not mask.any():
            yield Observation(words="the mask is empty", value=0, unit="px", threshold=1, mask=name)


def full_frame(look: Look) -> Iterator[Observation]:
    """A mask of nearly the whole photo, which leaves no ground to lend or to replace."""
    if look.mask is None:
        return
    share, most = look.area_px / look.mask.size, look.settings.most_frame_share
    if share > most:
        words = f"the mask covers {share:.1%} of the photo"
        yield Observation(words=words, value=share, unit="share of the photo", threshold=most)


def inverted(look: Look) -> Iterator[Observation]:
    """A mask of the surround: it lies on nearly all of the photo's border, and the figure is its hole."""
    mask, settings = look.mask, look.settings
    if mask is None:
        return
    border = float(np.concatenate([mask[0], mask[-1], mask[1:-1, 0], mask[1:-1, -1]]).mean())
    if border < settings.inverted_border_share:
        return
    hole = hole_px(mask) / mask.size
    if hole >= settings.inverted_hole_share:
        words = (
            f"the mask is the surround: it covers {border:.0%} of the border around holes of {hole:.1%} of the photo"
        )
        least = settings.inverted_border_share
        yield Observation(words=words, value=border, unit="share of the border", threshold=least)


def islands(look: Look) -> Iterator[Observation]:
    """Specks of mask away from the figure, as machines leave and brushes drop."""
    if look.mask is not None and (specks := islands_of(look.mask, look.settings)) is not None:
        yield _specks(specks, "island")


def pinholes(look: Look) -> Iterator[Observation]:
    """Specks of ground inside the figure."""
    if look.mask is not None and (specks := pinholes_of(look.mask, look.settings)) is not None:
        yield _specks(specks, "pinhole")


def _specks(specks: Specks, noun: str) -> Observation:
    area = count_text(int(np.count_nonzero(specks.pixels_hw)), "pixel")
    words = f"{count_text(specks.number, noun)} of {area} together"
    return Observation(words=words, value=specks.number, unit=f"{noun}s", threshold=0, marked_hw=specks.pixels_hw)


def thin_lines(look: Look) -> Iterator[Observation]:
    """A line one pixel wide, of mask or of ground: the rim that a resize, a polygon or a frame of the photo left.

    Such pixels lie in no square of 2x2 that is all mask, or all ground: an opening by that square takes them away. A
    line at the photo's border is one too: beyond the raster is neither mask nor ground.
    """
    mask, least = look.mask, look.settings.thin_line_px
    if mask is None or min(mask.shape) < 2:
        return
    for what, side in (("mask", mask), ("ground", ~mask)):
        thin = side & ~_opened(side)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(thin.astype(np.uint8), connectivity=8)
        lengths = np.max(stats[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]], axis=1)
        lengths[0] = 0
        long = np.flatnonzero(lengths >= least)
        if count > 1 and len(long):
            words = f"{count_text(len(long), 'line')} of {what} one pixel wide, the longest of {lengths.max()} px"
            value = float(lengths.max())
            pixels = np.isin(labels, long)
            yield Observation(words=words, value=value, unit="px", threshold=least, marked_hw=pixels)


def _opened(mask_hw: Mask) -> Mask:
    """Pixels of all 2x2 squares that lie in a mask."""
    squares = mask_hw[:-1, :-1] & mask_hw[1:, :-1] & mask_hw[:-1, 1:] & mask_hw[1:, 1:]
    opened = np.zeros_like(mask_hw)
    for rows in (slice(None, -1), slice(1, None)):
        for columns in (slice(None, -1), slice(1, None)):
            opened[rows, columns] |= squares
    return opened


def touches_borders(look: Look) -> Iterator[Observation]:
    """A figure that the photo cuts off on several sides: little of its surround is left to be tiled or to lend."""
    mask, least = look.mask, look.settings.border_sides
    if mask is None:
        return
    touched = {"top": mask[0], "bottom": mask[-1], "left": mask[:, 0], "right": mask[:, -1]}
    sides = [name for name, line in touched.items() if line.any()]
    if len(sides) >= least:
        words = f"the mask touches the photo's {', '.join(sides)}"
        yield Observation(words=words, value=len(sides), unit="sides", threshold=least)


def gone_in_crop(look: Look) -> Iterator[Observation]:
    """Nothing of the figure is left on the canvas of the view ``imagenet``: it lies outside, or is under a pixel."""
    if (part := _crop_share(look)) is not None and part[1] < 1:
        words = f"on the canvas ({_CANVAS}) {part[1]:.2g} pixels of the mask are left"
        yield Observation(words=words, value=round(part[1], 4), unit="canvas px", threshold=1)


def cut_by_crop(look: Look) -> Iterator[Observation]:
    """Most of the figure lies outside of the middle of the photo, which is all that a classifier is shown."""
    part = _crop_share(look)
    least = look.settings.crop_share
    if look.mask is not None and part is not None and part[1] >= 1 and part[0] < least:
        words = f"the canvas ({_CANVAS}) shows {part[0]:.0%} of the mask"
        (x0, y0, x1, y1), _ = canvas_part(look.size_hw)
        beside = look.mask.copy()
        beside[y0:y1, x0:x1] = False
        yield Observation(words=words, value=part[0], unit="share of the mask", threshold=least, marked_hw=beside)


_CANVAS = f"short side {SHORT_SIDE_PX}, the middle {CROP_PX}"


def _crop_share(look: Look) -> tuple[float, float] | None:
    """The share of the mask that the view ``imagenet`` shows, and how many canvas pixels that is; None without one."""
    if look.mask is None:
        return None
    (x0, y0, x1, y1), scale = canvas_part(look.size_hw)
    inside = int(np.count_nonzero(look.mask[y0:y1, x0:x1]))
    return inside / look.area_px, inside * scale**2


def attribute_outside(look: Look) -> Iterator[Observation]:
    """A part that is painted beside its object."""
    if look.mask is None:
        return
    for name, part in look.parts.items():
        beside = part & ~look.mask
        share = np.count_nonzero(beside) / max(1, np.count_nonzero(part))
        if share > look.settings.outside_share:
            words = f"{share:.1%} of the part's mask lies outside of the {OBJECT}'s"
            most = look.settings.outside_share
            yield Observation(
                words=words, value=share, unit="share of the part", threshold=most, mask=name, marked_hw=beside
            )
