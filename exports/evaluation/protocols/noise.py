"""Noise on figure and ground."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt  # type: ignore[import-untyped]

from figureground.exports.evaluation.options import Option
from figureground.exports.evaluation.values import (
    REFERENCE_SIZE_HW,
    Bools,
    EvaluationError,
    Floats,
    Images,
    list_names,
    require,
)

NOISE_LEVELS: Final = {  # compute_noise_robustness.py of mmoayeri/RIVAL10, at 224 pixels; the headline first
    "l2": (25, 50, 75, 100, 125, 150, 175, 200),
    "sigma": tuple(level / 255 for level in (30, 60, 90, 120, 150, 180, 210)),
}
REGIONS: Final = ("figure", "ground")
DISPLACED: Final = "displaced_"  # before a region: the same noise, moved to another place on the canvas
RFS_UNDEFINED: Final = ("strict", "hardimagenet")
NOISE_OPTIONS: Final = (
    Option(name="noise", help="Noise: sigma, l2, both with a comma, or none.", default="l2,sigma"),
    Option(name="levels", help="Levels of one kind of noise in place of the released code's, with commas."),
    Option(name="trials", help="Noises of each image.", default=1, kind=int, least=1),
    Option(name="mask_grow", help="Pixels to dilate masks by, or to erode where negative: 0,4,-4.", default="0"),
    Option(
        name="null",
        help="Noise that is also shown in displaced masks, the null of RFS: l2, sigma, both with a comma, or none. "
        "It doubles the pictures of that noise: with l2, 47 an image in place of 31.",
        default="l2",
    ),
    Option(name="rfs_undefined", help="RFS where it has none: null or 0.", default="strict", choices=RFS_UNDEFINED),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseSettings:
    """What the protocol rival10 adds to images; levels are in [0, 1] pixel units."""

    levels: Mapping[str, Sequence[float]] = dataclasses.field(default_factory=lambda: dict(NOISE_LEVELS))
    """Kind (``sigma``, ``l2``) to levels: the standard deviation of every pixel, or the norm of the whole noise."""
    trials: int = 1
    """Noises of each image; the released code takes 1, Hard ImageNet's 3."""
    grow_px: Sequence[int] = (0,)
    """Mask perturbations, each scored apart: canvas pixels to dilate by, or to erode by where negative."""
    undefined: str = "strict"
    """RFS where both accuracies are 0 or 1: ``strict`` gives none, ``hardimagenet`` 0."""
    null: Sequence[str] = ("l2",)
    """Kinds that are also shown in displaced masks; those without levels have no effect."""

    def regions(self, kind: str) -> tuple[str, ...]:
        """Where noise of a kind is added: figure and ground, and where it has a null both displaced."""
        return (*REGIONS, *(DISPLACED + region for region in REGIONS)) if kind in self.null else REGIONS

    def conditions(self) -> list[Condition]:
        """The clean image, and each noise on each region."""
        noises = [
            Condition(kind=kind, level=float(level), region=region, grow_px=grow_px)
            for grow_px in self.grow_px
            for kind, levels in self.levels.items()
            for level in levels
            for region in self.regions(kind)
        ]
        return [CLEAN, *noises]


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What is done to an image before it is shown to a model."""

    kind: str = "clean"
    level: float = 0.0
    region: str = ""  # figure or ground, or either displaced
    grow_px: int = 0


CLEAN: Final = Condition()


def standard_normal(shape: tuple[int, ...], *parts: str | int) -> NDArray[np.float32]:
    """Standard normal noise that is a function of ``parts`` alone: Philox's raw bits through Box and Muller."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    count = int(np.prod(shape))
    raw = np.random.Philox(key=int.from_bytes(digest[:16], "big")).random_raw((count + 1) // 2)
    halves = raw.view(np.uint32).reshape(-1, 2).astype(np.float32)
    radius = np.sqrt(-2 * np.log((halves[:, 0] + np.float32(1)) * np.float32(2**-32)))
    angle = halves[:, 1] * np.float32(2 * np.pi * 2**-32)
    pairs = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])
    return np.asarray(pairs[:count].reshape(shape), dtype=np.float32)


def noise_scale(cut: NDArray[np.float32], kind: str, level: float) -> np.float32:
    """What noise ``(H, W, 3)``, cut to its region, is multiplied by.

    ``sigma``: ``level`` itself; ``l2``: what gives it the norm ``level`` · √(HW / 224²), so that other input sizes get
    the same noise a pixel (compute_noise_robustness.py of the released code, at 224); 0 where the region is empty.
    """
    if kind == "sigma":
        return np.float32(level)
    norm = float(np.linalg.norm(cut))
    target = level * (cut.shape[0] * cut.shape[1] / (REFERENCE_SIZE_HW[0] * REFERENCE_SIZE_HW[1])) ** 0.5
    return np.float32(target / norm if norm else 0.0)


def grow_mask(mask: Bools, radius_px: int) -> Bools:
    """Dilate a mask ``(H, W)`` by a disc, or erode it where ``radius_px`` is negative; the rim does not erode."""
    if radius_px == 0 or mask.all() or not mask.any():
        return mask
    if radius_px > 0:
        return np.asarray(distance_transform_edt(~mask) <= radius_px)
    return np.asarray(distance_transform_edt(mask) > -radius_px)


def show_conditions(
    image: Images, mask: Bools, conditions: Sequence[Condition], trials: int, name: str
) -> Iterator[NDArray[np.float32]]:
    """One decoded image ``(H, W, 3)`` under every condition and trial, float32 in [0, 1], conditions first.

    Figure and ground share one noise, as in the released code; so do all kinds and levels. Displaced regions have that
    very noise too, rolled over the canvas, so that its area and its norm are the same.
    """
    plain = image.astype(np.float32) / np.float32(255)

    @functools.cache
    def matte(grow_px: int) -> Bools:
        return fit_mask(grow_mask(mask, grow_px), plain.shape[:2])

    @functools.cache
    def noise(trial: int) -> NDArray[np.float32]:
        return standard_normal(plain.shape, "noise", name, trial)

    @functools.cache
    def cut(trial: int, grow_px: int, region: str) -> NDArray[np.float32]:
        own = region.removeprefix(DISPLACED)
        regional = noise(trial) * (matte(grow_px) ^ (own == "ground"))[..., None]
        return regional if own == region else np.roll(regional, displacement(plain.shape[:2], name, trial), axis=(0, 1))

    for condition in conditions:
        for trial in range(trials):
            if condition is CLEAN:
                yield plain
                continue
            yield add_noise(plain, cut(trial, condition.grow_px, condition.region), condition.kind, condition.level)


def add_noise(
    plain: NDArray[np.float32], regional: NDArray[np.float32], kind: str, level: float
) -> NDArray[np.float32]:
    """An image in [0, 1] with noise that is cut to its region added, clamped; ``(H, W, 3)`` each."""
    noisy = regional * noise_scale(regional, kind, level)
    noisy += plain
    return np.clip(noisy, 0, 1, out=noisy)


def displacement(size_hw: tuple[int, ...], name: str, trial: int) -> tuple[int, int]:
    """Rows and columns to roll a canvas by, uniform over its pixels: a function of ``image_id`` and trial alone."""
    digest = hashlib.sha256(f"displacement\0{name}\0{trial}".encode()).digest()
    words = (int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:16], "big"))
    rows, columns = (word * side >> 64 for word, side in zip(words, size_hw, strict=True))
    return rows, columns


def fit_mask(mask: Bools, size_hw: tuple[int, ...]) -> Bools:
    """A mask at another size: True where at least half of the pixel lies in it."""
    if mask.shape == size_hw:
        return mask
    down, across = (_overlaps(length, side) for length, side in zip(mask.shape, size_hw, strict=True))
    return np.asarray(2 * (down @ mask @ across.T) >= mask.size)


@functools.lru_cache(maxsize=8)
def _overlaps(length: int, side: int) -> Floats:
    """How much of each of ``side`` pixels lies in each of ``length``, ``(side, length)``; a pixel is ``length`` wide.

    On one scale of whole numbers, which float64 holds exactly; so it does their products for masks below 2^53 pixels.
    """
    own, other = np.arange(side)[:, None] * length, np.arange(length)[None] * side
    shared = np.minimum(own + length, other + side) - np.maximum(own, other)
    return np.asarray(np.clip(shared, 0, None), dtype=np.float64)


def stack_batches(images: Iterator[NDArray[np.float32]], size: int) -> Iterator[NDArray[np.float32]]:
    """Batches in two buffers by turns, so that one is filled while the other is scored: fresh memory costs more."""
    first = next(images, None)
    if first is None:
        return
    buffers, images = np.empty((2, size, *first.shape), np.float32), itertools.chain([first], images)
    for buffer in itertools.cycle(buffers):
        filled = 0
        for filled, image in enumerate(itertools.islice(images, size), 1):
            buffer[filled - 1] = image
        if filled:
            yield buffer[:filled]
        if filled < size:
            return


def make_ahead(batches: Iterator[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    """The same batches; a thread makes the next while the model works."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(next, batches, None)
        while (batch := waiting.result()) is not None:
            waiting = pool.submit(next, batches, None)
            yield batch


def parse_noise(
    *, noise: str | NoiseSettings, levels: str | None, trials: int, mask_grow: str, rfs_undefined: str, null: str
) -> NoiseSettings:
    """Noise settings from the words of the options; in Python ``noise`` may be the settings themselves."""
    if isinstance(noise, NoiseSettings):
        return noise
    kinds, displaced = (_parse_kinds(name, text) for name, text in (("noise", noise), ("null", null)))
    require(levels is None or len(kinds) == 1, "levels: they mean another thing for each kind; give one --noise", 2)
    unused = set(displaced) - {*kinds, "l2"}
    require(not unused, f"null: no noise of the kind {list_names(unused)} is asked for; add it to --noise", 2)
    try:
        given = tuple(map(float, levels.split(","))) if levels else ()
        grow_px = tuple(map(int, mask_grow.split(",")))
    except ValueError as error:
        raise EvaluationError(f"levels and mask growth: expected numbers with commas: {error}", 2) from error
    require(min(given, default=1) > 0, "levels: expected numbers above 0", 2)
    chosen = {kind: given or NOISE_LEVELS[kind] for kind in kinds}
    return NoiseSettings(levels=chosen, trials=trials, grow_px=grow_px, undefined=rfs_undefined, null=displaced)


def _parse_kinds(option: str, text: str) -> tuple[str, ...]:
    """Kinds of noise that a text names, the headline first; ``EvaluationError`` for others."""
    named = {kind for kind in text.split(",") if kind and kind != "none"}
    strange = named - set(NOISE_LEVELS)
    require(not strange, f"{option}: expected {' or '.join(NOISE_LEVELS)}, got {list_names(strange)}", 2)
    return tuple(kind for kind in NOISE_LEVELS if kind in named)
