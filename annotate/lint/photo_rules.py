"""Rules that look at the photo under the mask, at who made the mask, and at what else is in the photo."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from figureground.annotate.lint.findings import Observation
from figureground.annotate.lint.looks import Look
from figureground.annotate.lint.rims import edge_strength
from figureground.annotate.studio.answers import CLASS_VISIBLE_OUTSIDE
from figureground.annotate.studio.served import as_stored
from figureground.errors import DataError
from figureground.schemas.attributes import OBJECT
from figureground.schemas.rasters.masks import Mask, decode_coco_rle

_TURNABLE = (2, 3, 4)
"""EXIF orientations that keep width and height; of the others a square photo keeps them too."""


def photo_unreadable(look: Look) -> Iterator[Observation]:
    """A photo that is not where its source is, or no longer the bytes that were catalogued."""
    if isinstance(look.photo, str) and look.photo:
        words = f"the catalogued photo cannot be read: {look.photo}"
        yield Observation(words=words, value=0, unit="photos", threshold=1)


def exif_turned(look: Look) -> Iterator[Observation]:
    """A mask that was drawn on the upright photo and fits the stored one by its size alone.

    The photo is steeper along the outline of the mask that is turned back than along its own: ``edge_strength``.
    """
    orientation = look.subject.photo.exif_orientation
    square = look.size_hw[0] == look.size_hw[1]
    if look.mask is None or look.photo_rgb is None or orientation == 1 or not (square or orientation in _TURNABLE):
        return
    own = edge_strength(look.photo_rgb, look.mask)
    back = edge_strength(look.photo_rgb, np.ascontiguousarray(as_stored(look.mask, orientation)))
    ratio, most = back / max(own, 1e-6), look.settings.turned_ratio
    if ratio >= most:
        words = (
            f"the photo has EXIF orientation {orientation}, and along the outline of the mask turned back it is "
            f"{ratio:.2f} times as steep: the mask seems to show the upright photo"
        )
        yield Observation(words=words, value=ratio, unit="times as steep", threshold=most)


def rim_shows_ground(look: Look) -> Iterator[Observation]:
    """The mask is too wide: its rim is of the ground's colour, and goes along to every other ground as a halo."""
    most = look.settings.rim_leak
    if look.rim is not None and look.rim.rim_leak > most:
        words = f"{look.rim.rim_leak:.0%} of the mask's rim is of the ground's colour: the mask seems too wide"
        yield Observation(
            words=words, value=look.rim.rim_leak, unit="leak", threshold=most, marked_hw=_marked(look.rim.rim_hw)
        )


def ring_shows_figure(look: Look) -> Iterator[Observation]:
    """The mask is too tight: the ring around it is of the figure's colour, and stays where the figure is taken away."""
    most = look.settings.ring_leak
    if look.rim is not None and look.rim.ring_leak > most:
        words = f"{look.rim.ring_leak:.0%} of the ring around the mask is of the figure's colour: it seems too tight"
        yield Observation(
            words=words, value=look.rim.ring_leak, unit="leak", threshold=most, marked_hw=_marked(look.rim.ring_hw)
        )


def _marked(pixels_hw: Mask) -> Mask | None:
    return pixels_hw if pixels_hw.any() else None


def hurried(look: Look) -> Iterator[Observation]:
    """A machine mask that somebody accepted as it was, sooner than it can be looked at."""
    answer, least = look.subject.answer, look.settings.hurried_seconds
    if answer is None or not answer.proposal_id or look.subject.mask is None:
        return
    identical = answer.changed_px == 0 or look.subject.began_from == look.subject.mask
    if identical and 0 < answer.seconds < least:  # 0 where nobody measured
        words = f"the machine's mask was accepted unchanged after {answer.seconds:g} s"
        yield Observation(words=words, value=answer.seconds, unit="s", threshold=least)


def second_object(look: Look) -> Iterator[Observation]:
    """Another object of the label outside of the mask: by an annotator's flag, an annotated box or a machine mask."""
    if CLASS_VISIBLE_OUTSIDE in look.subject.flags:
        words = "an annotator says that another one of its kind lies outside of the mask"
        yield Observation(words=words, value=1, unit="flags", threshold=0)
    mask = look.mask
    if mask is None:
        return
    most, least_size = look.settings.second_overlap, look.settings.second_size
    height, width = look.size_hw
    for x0, y0, x1, y1 in look.subject.photo.boxes_xyxy_px:
        box = np.zeros((height, width), np.bool_)
        box[max(0, y0) : max(0, y1), max(0, x0) : max(0, x1)] = True
        share = _inside(box, mask)
        if share is not None and share <= most and np.count_nonzero(box) >= least_size * look.area_px:
            words = f"the mask holds {share:.0%} of an annotated box of its label"
            yield Observation(words=words, value=share, unit="share of the box", threshold=most, marked_hw=box & ~mask)
    for other in look.subject.others:
        if other.quality < look.settings.second_score:
            continue
        try:
            pixels = decode_coco_rle(other.rle, size_hw=look.size_hw, record=OBJECT)
        except DataError:  # a rule of its own speaks of masks that do not fit
            continue
        share = _inside(pixels, mask)
        if share is not None and share <= most and np.count_nonzero(pixels) >= least_size * look.area_px:
            words = f"{other.maker} saw another object (quality {other.quality:.2f}): the mask holds {share:.0%} of it"
            yield Observation(
                words=words, value=share, unit="share of the machine mask", threshold=most, marked_hw=pixels & ~mask
            )


def _inside(pixels_hw: Mask, mask_hw: Mask) -> float | None:
    """Share of some pixels that lie in a mask; None of none."""
    count = int(np.count_nonzero(pixels_hw))
    return np.count_nonzero(pixels_hw & mask_hw) / count if count else None
