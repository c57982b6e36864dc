"""Masks of a butterfly's wings, body and pattern, made by a rule from photos and object masks.

    python docs/examples/butterfly_attributes.py PHOTOS MASKS -o OUT [--sheet SHEET.png]

PHOTOS holds ``<name>.jpg``, MASKS ``<name>.png`` (black and white, the whole butterfly). OUT becomes a folder that
``figureground import masks`` reads with ``butterfly.yaml``, which lies beside this file. Nobody drew these masks: they
are project-made, and an import should say so. The rule, in pixels of a photo and with the wingspan as its unit:

1. Axis. Of all lines through the middle of the mask, that about which mask and colours are most nearly their own
   mirror image. The score is the mean likeness exp(-dE / 20) over the union of the mask and its mirror image (dE: CIE76
   difference of smoothed Lab, likeness 0 where only one of the two is butterfly).
2. Body. GrabCut within a band about the axis: the band's core begins as body, its rim as wing, both from there on told
   apart by their colours. What is left is one piece, at most ``BODY_HALF_WIDTH`` from the axis.
3. Wings. The butterfly without its body.
4. Pattern. The wings' Lab pixels in ``CLUSTERS`` clusters (k-means, a fixed seed); the wings' own colour is that with
   the most pixels within ``PATTERN_DISTANCE``, and clusters further off are pattern, without specks, without the
   wings' bases, where hairs and the body's shadow lie, and without the rim, where a loose mask shows ground.
5. Said of the whole: ``spread`` (much wider across the axis than along it), ``spotted`` (several small round patches of
   pattern), ``orange`` and ``pale`` (of the wings' colours).

A photo is dropped, with the reason, where there is no clear axis, or the body is no slender piece along it.
"""

from __future__ import annotations

import argparse
import csv
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Image = NDArray[np.uint8]
Lab = NDArray[np.float32]

WORKING_SIDE: Final = 128
"""Longer side, in pixels, of the copy on which the axis is looked for."""
LIKENESS_SCALE: Final = 20.0
LEAST_LIKENESS: Final = 0.45
"""Below this mean likeness there is no clear axis: wings half closed, or seen from the side."""
LEAST_LIKENESS_PALE: Final = 0.56
"""The same for pale wings, whose likeness is high about any line: there is little on them to disagree."""
BODY_CORE: Final = 0.014
BODY_HALF_WIDTH: Final = 0.042
BAND: Final = 0.09
"""Half widths in wingspans: surely body, at most body, and beyond which wings certainly are."""
BODY_SHARES: Final = (0.015, 0.14)
"""Least and most of the butterfly's area that a body takes."""
LEAST_ELONGATION: Final = 2.2
LEAST_REACH: Final = 0.45
"""Least length of the body, in lengths of the butterfly along the axis."""
CLUSTERS: Final = 5
PATTERN_DISTANCE: Final = 32.0
BASES: Final = 0.07
"""Half width of the wings' bases, in wingspans."""
RIM: Final = 0.008
"""Width of the butterfly's rim, in wingspans, where a loose mask shows ground."""
SPREAD: Final = 1.4
"""Least width of spread wings, in lengths of the butterfly along its axis."""
LEAST_PATTERN: Final = 0.01
LEAST_PATCH: Final = 0.0008
"""Least area of the pattern and of one patch of it, in areas of the wings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A line of mirror symmetry."""

    point_xy: tuple[float, float]
    """A point on it, in pixels."""
    angle: float
    """Its direction, radians from the x axis."""
    likeness: float
    """Mean likeness of the butterfly with its mirror image, 0 to 1."""

    def distances(self, size_hw: tuple[int, int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Signed distances of each pixel across and along the axis, two ``(H, W)`` arrays."""
        rows, columns = np.mgrid[: size_hw[0], : size_hw[1]]
        x, y = columns - self.point_xy[0], rows - self.point_xy[1]
        across = -np.sin(self.angle) * x + np.cos(self.angle) * y
        return across, np.cos(self.angle) * x + np.sin(self.angle) * y


@dataclass(frozen=True, slots=True, kw_only=True)
class Butterfly:
    """What the rule makes of one photo."""

    name: str
    photo_rgb: Image
    object_hw: Mask
    axis: Axis
    wings_hw: Mask
    body_hw: Mask
    pattern_hw: Mask
    global_attributes: dict[str, bool]
    """Global attributes."""
    dropped: str
    """Why the photo cannot be used; empty where it can."""


def find_axis(lab: Lab, mask_hw: Mask) -> Axis:
    """The mirror axis of a butterfly, ``lab`` being ``(H, W, 3)`` CIE Lab and ``mask_hw`` ``(H, W)`` bool."""
    scale = WORKING_SIDE / max(mask_hw.shape)
    size = round(mask_hw.shape[1] * scale), round(mask_hw.shape[0] * scale)
    small = cv2.resize(mask_hw.astype(np.uint8), size, interpolation=cv2.INTER_AREA) > 0
    colours = cv2.resize(cv2.GaussianBlur(lab, (0, 0), 1.5 / scale), size, interpolation=cv2.INTER_AREA)
    rows, columns = np.nonzero(small)
    centre = np.array([columns.mean(), rows.mean()])
    span = np.sqrt(small.sum())
    best = (-1.0, 0.0, 0.0)
    for angles, offsets in ((np.arange(0, 180, 4), np.arange(-0.2, 0.21, 0.04)), (None, None)):
        if angles is None or offsets is None:
            angles, offsets = best[1] + np.arange(-4, 4.1, 1), best[2] + np.arange(-0.04, 0.041, 0.01)
        for angle in angles:
            for offset in offsets:
                likeness = _likeness(colours, small, centre, np.deg2rad(angle), offset * span)
                best = max(best, (likeness, float(angle), float(offset)))
    likeness, angle, offset = best
    radians = np.deg2rad(angle)
    x, y = (centre + offset * span * np.array([-np.sin(radians), np.cos(radians)])) / scale
    return Axis(point_xy=(float(x), float(y)), angle=float(radians), likeness=likeness)


def _likeness(lab: Lab, mask_hw: Mask, centre: NDArray[np.float64], angle: float, offset: float) -> float:
    normal = np.array([-np.sin(angle), np.cos(angle)])
    mirror = np.eye(2) - 2 * np.outer(normal, normal)
    point = centre + offset * normal
    matrix = np.column_stack([mirror, point - mirror @ point])
    size = mask_hw.shape[1], mask_hw.shape[0]
    flipped = cv2.warpAffine(mask_hw.astype(np.uint8), matrix, size, flags=cv2.INTER_NEAREST) > 0
    colours = cv2.warpAffine(lab, matrix, size, flags=cv2.INTER_LINEAR)
    both = mask_hw & flipped
    # A mirror image that leaves the photo counts against the axis too, hence twice the mask less the overlap.
    union = 2 * np.count_nonzero(mask_hw) - np.count_nonzero(both)
    difference = np.linalg.norm(lab[both] - colours[both], axis=1)
    return float(np.exp(-difference / LIKENESS_SCALE).sum() / union)


def find_body(photo_rgb: Image, mask_hw: Mask, axis: Axis) -> Mask:
    """The slender piece along the axis whose colours are not the wings', ``(H, W)`` bool; empty where there is none."""
    across, along = axis.distances(mask_hw.shape)
    span = float(np.ptp(across[mask_hw]))
    seeds = np.full(mask_hw.shape, cv2.GC_BGD, dtype=np.uint8)
    seeds[mask_hw & (abs(across) < BAND * span)] = cv2.GC_PR_BGD
    seeds[mask_hw & (abs(across) < BODY_HALF_WIDTH * span)] = cv2.GC_PR_FGD
    first, last = np.quantile(along[mask_hw & (abs(across) < BODY_CORE * span)], [0.1, 0.75])
    seeds[mask_hw & (abs(across) < BODY_CORE * span) & (along > first) & (along < last)] = cv2.GC_FGD
    near = mask_hw & (abs(across) < 2 * BAND * span)
    rows, columns = np.nonzero(near)
    window = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
    # Ground is black here: outside the butterfly there is nothing to learn about its wings.
    patch = np.ascontiguousarray(photo_rgb[window][:, :, ::-1])
    cut = np.ascontiguousarray(seeds[window])
    cv2.setRNGSeed(0)
    cv2.grabCut(patch, cut, None, np.zeros((1, 65)), np.zeros((1, 65)), 4, cv2.GC_INIT_WITH_MASK)
    body = np.zeros(mask_hw.shape, dtype=np.bool_)
    body[window] = (cut == cv2.GC_FGD) | (cut == cv2.GC_PR_FGD)
    body &= mask_hw & (abs(across) < BODY_HALF_WIDTH * span)
    return _largest_piece(_smooth(body, max(1, round(0.01 * span))))


def find_pattern(lab: Lab, wings_hw: Mask, where_hw: Mask) -> tuple[Mask, NDArray[np.float32]]:
    """Patches of the wings that are not of the wings' own colour, ``(H, W)`` bool, and that colour in Lab.

    Colours are those of all of ``wings_hw``; pattern lies within ``where_hw`` only.
    """
    pixels = lab[wings_hw].astype(np.float32)
    cv2.setRNGSeed(0)
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 50, 0.1)
    _, labels, centres = cv2.kmeans(pixels, CLUSTERS, None, criteria, 3, cv2.KMEANS_PP_CENTERS)
    near = np.linalg.norm(centres[:, None] - centres[None], axis=2) <= PATTERN_DISTANCE
    counts = np.bincount(labels.ravel(), minlength=CLUSTERS)
    own = int((near @ counts).argmax())
    pattern = np.zeros(wings_hw.shape, dtype=np.bool_)
    pattern[wings_hw] = ~near[own][labels.ravel()]
    area = np.count_nonzero(wings_hw)
    pattern = _without_specks(pattern & where_hw, LEAST_PATCH * area)
    if np.count_nonzero(pattern) < LEAST_PATTERN * area:
        pattern[:] = False
    return pattern, pixels[near[own][labels.ravel()]].mean(axis=0)


def dissect(name: str, photo_rgb: Image, mask_hw: Mask) -> Butterfly:
    """Apply the rule to one photo, ``(H, W, 3)`` uint8 RGB with its ``(H, W)`` bool mask."""
    lab = cv2.cvtColor(photo_rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    axis = find_axis(lab, mask_hw)
    body = find_body(photo_rgb, mask_hw, axis)
    wings = mask_hw & ~body
    across, along = axis.distances(mask_hw.shape)
    length, width = float(np.ptp(along[mask_hw])), float(np.ptp(across[mask_hw]))
    rim = max(1, round(RIM * width))
    inner = cv2.erode(mask_hw.astype(np.uint8), np.ones((2 * rim + 1, 2 * rim + 1), np.uint8), borderValue=0) > 0
    pattern, own = find_pattern(lab, wings, inner & (abs(across) > BASES * width))
    pale = bool(own[0] > 55 and np.hypot(own[1], own[2]) < 30)
    return Butterfly(
        name=name,
        photo_rgb=photo_rgb,
        object_hw=mask_hw,
        axis=axis,
        wings_hw=wings,
        body_hw=body,
        pattern_hw=pattern,
        global_attributes={
            "spread": width > SPREAD * length,
            "spotted": _round_patches(pattern, np.count_nonzero(wings)) >= 4,
            "orange": _orange_share(lab, wings) > 0.15,
            "pale": pale,
        },
        dropped=_why_dropped(axis, mask_hw, body, (across, along), LEAST_LIKENESS_PALE if pale else LEAST_LIKENESS),
    )


def _why_dropped(
    axis: Axis, mask_hw: Mask, body_hw: Mask, distances: tuple[NDArray[np.float64], ...], least_likeness: float
) -> str:
    across, along = distances
    if axis.likeness < least_likeness:
        return f"no clear axis: likeness {axis.likeness:.2f}"
    share = np.count_nonzero(body_hw) / np.count_nonzero(mask_hw)
    if not BODY_SHARES[0] <= share <= BODY_SHARES[1]:
        return f"the body is {share:.1%} of the butterfly"
    length = float(np.ptp(along[body_hw]))
    width = np.count_nonzero(body_hw) / length
    if length < LEAST_ELONGATION * width:
        return f"the body is {length / width:.1f} times as long as wide"
    core = mask_hw & (abs(across) < 2)
    if length < LEAST_REACH * float(np.ptp(along[core])):
        return "the body is too short for the butterfly"
    return ""


def _smooth(mask_hw: Mask, radius: int) -> Mask:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    closed = cv2.morphologyEx(mask_hw.astype(np.uint8), cv2.MORPH_CLOSE, kernel)
    return cv2.morphologyEx(closed, cv2.MORPH_OPEN, kernel) > 0


def _largest_piece(mask_hw: Mask) -> Mask:
    count, labels, facts, _ = cv2.connectedComponentsWithStats(mask_hw.astype(np.uint8), connectivity=8)
    if count < 2:
        return mask_hw
    return labels == 1 + int(facts[1:, cv2.CC_STAT_AREA].argmax())


def _without_specks(mask_hw: Mask, least_area: float) -> Mask:
    _, labels, facts, _ = cv2.connectedComponentsWithStats(mask_hw.astype(np.uint8), connectivity=8)
    large = facts[:, cv2.CC_STAT_AREA] >= least_area
    large[0] = False
    return large[labels]


def _round_patches(pattern_hw: Mask, wing_area: int) -> int:
    """Patches of 0.1 % to 3 % of the wings that fill most of their circle."""
    contours, _ = cv2.findContours(pattern_hw.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    patches = 0
    for contour in contours:
        area = cv2.contourArea(contour)
        radius = cv2.minEnclosingCircle(contour)[1]
        patches += bool(0.001 <= area / wing_area <= 0.03 and area > 0.5 * np.pi * radius**2)
    return patches


def _orange_share(lab: Lab, wings_hw: Mask) -> float:
    """Share of the wings' pixels with the hue of an orange, 30 to 80 degrees in Lab, and a chroma of 40 or more."""
    a, b = lab[wings_hw][:, 1], lab[wings_hw][:, 2]
    hue = np.rad2deg(np.arctan2(b, a))
    return float(np.mean((hue > 30) & (hue < 80) & (np.hypot(a, b) > 40)))


def draw(butterfly: Butterfly) -> Image:
    """The photo and, beside it, the same with the parts in colours, ``(H, 2 W, 3)`` uint8 RGB."""
    painted = butterfly.photo_rgb.astype(np.float32)
    painted[~butterfly.object_hw] *= 0.35
    for mask, colour in ((butterfly.pattern_hw, (40, 220, 60)), (butterfly.body_hw, (250, 30, 200))):
        painted[mask] = 0.45 * painted[mask] + 0.55 * np.array(colour)
    across, _ = butterfly.axis.distances(butterfly.object_hw.shape)
    painted[abs(across) < 0.7] = (255, 255, 255)
    return np.hstack([butterfly.photo_rgb, painted.astype(np.uint8)])


def write_masks(out: Path, butterfly: Butterfly) -> list[tuple[str, str, str]]:
    """Write one butterfly's masks and return its rows of ``attributes.csv``."""
    parts = {"wings": butterfly.wings_hw, "body": butterfly.body_hw, "pattern": butterfly.pattern_hw}
    for folder, mask in {"": butterfly.object_hw, **parts}.items():
        if mask.any():
            path = out / folder / f"{butterfly.name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), mask.astype(np.uint8) * 255)
    rows = {**{name: bool(mask.any()) for name, mask in parts.items()}, **butterfly.global_attributes}
    return [(f"{butterfly.name}.png", name, str(value).lower()) for name, value in rows.items()]


def read_photo(photo: Path, mask: Path) -> tuple[Image, Mask]:
    """A photo as stored and its mask; a rotation in EXIF is not applied, for masks are drawn on stored pixels."""
    bgr = cv2.imread(str(photo), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    grey = cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE)
    if bgr is None or grey is None or bgr.shape[:2] != grey.shape:
        sys.exit(f"{photo} and {mask}: expected a photo and a mask of its size")
    return np.ascontiguousarray(bgr[:, :, ::-1]).astype(np.uint8), grey > 0


def main() -> None:
    """Read the folders, write the masks, say what was dropped."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("masks", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--sheet", type=Path, help="write a picture of every butterfly with its parts")
    words = parser.parse_args()
    words.out.mkdir(parents=True)
    rows, tiles, dropped = [], [], 0
    for mask in sorted(words.masks.glob("*.png")):
        butterfly = dissect(mask.stem, *read_photo(words.photos / f"{mask.stem}.jpg", mask))
        if butterfly.dropped:
            dropped += 1
            print(f"{butterfly.name}: dropped, {butterfly.dropped}", file=sys.stderr)
        else:
            rows += write_masks(words.out, butterfly)
        if words.sheet:
            tiles.append(_tile(butterfly))
    with (words.out / "attributes.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([("file", "attribute", "value"), *rows])
    if words.sheet:
        tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % 4)
        sheet = np.vstack([np.hstack(tiles[start : start + 4]) for start in range(0, len(tiles), 4)])
        cv2.imwrite(str(words.sheet), sheet[:, :, ::-1])
    print(f"{len(rows) // 7} butterflies in {words.out}, {dropped} dropped", file=sys.stderr)


def _tile(butterfly: Butterfly) -> Image:
    drawn = draw(butterfly)
    scale = min(440 / drawn.shape[1], 170 / drawn.shape[0])
    small = cv2.resize(drawn, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    tile = np.zeros((186, 440, 3), dtype=np.uint8)
    tile[: small.shape[0], : small.shape[1]] = small
    ticked = " ".join(name for name, value in butterfly.global_attributes.items() if value)
    text = f"{butterfly.name} {butterfly.axis.likeness:.2f} {butterfly.dropped or ticked}"
    colour = (255, 120, 120) if butterfly.dropped else (255, 255, 255)
    cv2.putText(tile, text, (2, 182), cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour, 1, cv2.LINE_AA)
    return tile


if __name__ == "__main__":
    main()
