"""Hard ImageNet's object ablations on the canvas: each connected component of the mask, and what lies beside it.

Moayeri, Singla, Feizi, "Hard ImageNet: Segmentations for Objects with Strong Spurious Cues", NeurIPS 2022 Datasets and
Benchmarks, and its released ``ablations.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from figureground.build.geometry.tiles import box_matte
from figureground.build.geometry.views import Canvas
from figureground.schemas.rasters.masks import Box, Mask, tight_box

Reading = Literal["exact", "released"]

GREY: Final = 128
_SMALLEST_MEAN_BOX_PX: Final = 100
"""Area of a component's box below which the released code leaves the component alone."""


def component_boxes(mask_hw: Mask) -> list[Box]:
    """Half-open tight boxes of the 4-connected components, in reading order of their first pixels."""
    from scipy import ndimage  # type: ignore[import-untyped]  # ships no annotations; takes half a second to load

    labels, count = ndimage.label(mask_hw)
    slices = ndimage.find_objects(labels, max_label=count)
    return [(columns.start, rows.start, columns.stop, rows.stop) for rows, columns in slices]


def component_box_matte(mask_hw: Mask) -> Mask:
    """``(H, W)`` matte of all component boxes."""
    matte = np.zeros(mask_hw.shape, dtype=np.bool_)
    for x0, y0, x1, y1 in component_boxes(mask_hw):
        matte[y0:y1, x0:x1] = True
    return matte


def tile_adjacent(canvas_rgb: Canvas, mask_hw: Mask, reading: Reading = "exact") -> Canvas:
    """The canvas with each component's box filled from the largest of the four tiles of its size beside it.

    A tile ends at the canvas's rim and where it meets the object again; it is repeated to fill the box, beginning at
    the side that it came from. A box without any tile becomes grey.

    Args:
        canvas_rgb: ``(H, W, 3)`` uint8 RGB.
        mask_hw: ``(H, W)`` bool object mask.
        reading: ``exact`` as described, all tiles taken from the untouched canvas; ``released`` as the released code
            does, see ``_released_tiles``: boxes lose their last two rows and columns, what was filled before lends
            tiles too, and a box without any becomes black.
    """
    tiled = canvas_rgb.copy()
    for x0, y0, x1, y1 in component_boxes(mask_hw):
        if reading == "exact":
            box = (x0, y0, x1, y1)
            tiled[y0:y1, x0:x1] = _repeated(_largest(_tiles(box, canvas_rgb, mask_hw)), box, empty=GREY)
        elif x1 - x0 > 2 and y1 - y0 > 2:  # its corners are inclusive and read twice as if they were not
            box = (x0, y0, x1 - 2, y1 - 2)
            largest = _largest(_released_tiles(box, tiled, mask_hw))
            tiled[y0 : y1 - 2, x0 : x1 - 2] = _repeated(largest, box, empty=0)
    return tiled


def fill_mean(canvas_rgb: Canvas, mask_hw: Mask) -> Canvas:
    """The canvas with each component's box filled with the mean colour of the box's pixels that are no object.

    Boxes under 100 pixels are left alone, as in the released code; a box that is all object becomes grey.
    """
    filled = canvas_rgb.copy()
    for x0, y0, x1, y1 in component_boxes(mask_hw):
        if (x1 - x0) * (y1 - y0) < _SMALLEST_MEAN_BOX_PX:
            continue
        ground = canvas_rgb[y0:y1, x0:x1][~mask_hw[y0:y1, x0:x1]]
        filled[y0:y1, x0:x1] = np.rint(ground.mean(axis=0)).astype(np.uint8) if len(ground) else GREY
    return filled


def fill_region_mean(canvas_rgb: Canvas, region_hw: Mask) -> Canvas:
    """A canvas of one colour: the mean of a region's pixels, rounded; grey where the region is empty."""
    colour = np.rint(canvas_rgb[region_hw].mean(axis=0)).astype(np.uint8) if region_hw.any() else GREY
    return np.full_like(canvas_rgb, colour)


def random_matte(object_hw: Mask, area_px: int, seed: int) -> Mask:
    """``area_px`` pixels of the object, the nearest to one of its pixels that ``seed`` picks; all of it if it has less.

    The control of attribute ablation: as large as the attribute, inside the object, anywhere.
    """
    ys, xs = np.nonzero(object_hw)
    matte = np.zeros(object_hw.shape, dtype=np.bool_)
    if not len(ys) or area_px < 1:
        return matte
    centre = seed % len(ys)
    squared = (ys - ys[centre]) ** 2 + (xs - xs[centre]) ** 2
    nearest = np.argsort(squared, kind="stable")[:area_px]  # stable: equal distances go in reading order
    matte[ys[nearest], xs[nearest]] = True
    return matte


def mask_box_matte(mask_hw: Mask) -> Mask:
    """``(H, W)`` matte of a mask's tight box; empty where the mask is."""
    box = tight_box(mask_hw)
    return mask_hw.copy() if box is None else box_matte(box, (mask_hw.shape[0], mask_hw.shape[1]))


@dataclass(frozen=True, slots=True)
class _Tile:
    """Pixels beside a box that may fill it."""

    pixels: Canvas
    """``(h, w, 3)`` uint8 RGB; empty where there is no room beside the box."""
    from_end: bool
    """True for a tile from the left or from above: it is repeated from the box's right or lower edge."""
    size_px: int
    """Its area in pixels, by which the largest tile is chosen."""


def _largest(tiles: Iterator[_Tile]) -> _Tile:
    return max(tiles, key=lambda tile: tile.size_px)  # ties go to the first


def _repeated(tile: _Tile, box: Box, *, empty: int) -> Canvas:
    """A box filled with copies of a tile, or with the grey level ``empty`` where the tile has no pixels."""
    height, width = box[3] - box[1], box[2] - box[0]
    if not tile.pixels.size:
        return np.full((height, width, 3), empty, dtype=np.uint8)
    rows, columns = np.arange(height), np.arange(width)
    if tile.from_end:
        rows, columns = rows - height, columns - width
    filled: Canvas = tile.pixels[(rows % tile.pixels.shape[0])[:, None], columns % tile.pixels.shape[1]]
    return filled


def _tiles(box: Box, canvas: Canvas, mask: Mask) -> Iterator[_Tile]:
    """The tiles on the right, on the left, below and above: what is free between box, canvas's rim and object."""
    x0, y0, x1, y1 = box
    height, width = y1 - y0, x1 - x0
    right = _free(mask[y0:y1, x1 : x1 + width].T)
    left = _free(mask[y0:y1, max(x0 - width, 0) : x0].T[::-1])
    below = _free(mask[y1 : y1 + height, x0:x1])
    above = _free(mask[max(y0 - height, 0) : y0, x0:x1][::-1])
    yield _Tile(canvas[y0:y1, x1 : x1 + right], False, right * height)
    yield _Tile(canvas[y0:y1, x0 - left : x0], True, left * height)
    yield _Tile(canvas[y1 : y1 + below, x0:x1], False, below * width)
    yield _Tile(canvas[y0 - above : y0, x0:x1], True, above * width)


def _free(beside: Mask) -> int:
    """Number of lines before the first that holds a pixel of the object."""
    met = np.asarray(beside.any(axis=1))
    return int(met.argmax()) if met.any() else len(met)


def _released_tiles(box: Box, canvas: Canvas, mask: Mask) -> Iterator[_Tile]:
    """The tiles that the released ``ablations.py`` finds; equal to its output on drawn masks (docs/adr/0006).

    Between its functions rows become columns, so it looks at the transposed position. Its last tile reaches across the
    box itself. Where a tile meets the object, two of the four are measured along the wrong axis, and three are as
    large as what should have been cut off.
    """
    rows, columns = (box[1], box[3]), (box[0], box[2])
    height, width = canvas.shape[:2]
    windows = {  # x is what was y, and the reverse
        "right": ((rows[1], 2 * rows[1] - rows[0]), columns),
        "left": ((2 * rows[0] - rows[1], rows[0]), columns),
        "below": (rows, (columns[1], 2 * columns[1] - columns[0])),
        "above": (rows, (2 * columns[0] - columns[1], columns[1])),
    }
    for side, (xs, ys) in windows.items():
        x0, x1, y0, y1 = max(xs[0], 0), min(xs[1], height), max(ys[0], 0), min(ys[1], width)
        met, sideways, from_end = mask[y0:y1, x0:x1], side in ("right", "left"), side in ("left", "above")
        tile, length = canvas[y0:y1, x0:x1], x1 - x0 if sideways else y1 - y0
        size = tile.shape[0] * tile.shape[1]
        if met.any():
            lines = np.asarray(met.any(axis=1 if from_end else 0))
            clear = [not (lines[i:] if from_end else lines[: length - i]).any() for i in range(length)]
            clear_px = clear.index(True) if any(clear) else 0
            cut = slice(clear_px, None) if from_end else slice(0, clear_px)
            tile = tile[:, cut] if sideways else tile[cut]
            size = clear_px * (y1 - y0 if sideways else x1 - x0)
        yield _Tile(tile.transpose(1, 0, 2), from_end, size)
