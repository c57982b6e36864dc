"""Interactive SAM: clicks on a picture to a mask, fast enough to click again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from figureground.annotate.segmenters.protocol import Photo, Segmenter, require_photo
from figureground.annotate.segmenters.sam_decoding import (
    BOX_CORNERS,
    FIGURE_POINT,
    GROUND_POINT,
    Floats,
    Frame,
    SamNetwork,
)
from figureground.errors import UsageError
from figureground.schemas.rasters.masks import Mask

PICTURES_KEPT: Final = 32
"""Embeddings in memory, 4 MB each (256 x 64 x 64 float32)."""

FloatBox = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clicks:
    """Clicks and box of the region that is being made, in pixels of the picture, fractions included."""

    figure_xy_px: tuple[tuple[float, float], ...] = ()
    """Points on it."""
    ground_xy_px: tuple[tuple[float, float], ...] = ()
    """Points that are not on it."""
    box_xyxy_px: FloatBox | None = None
    """A box around it; x0 < x1, y0 < y1."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Suggestion:
    """SAM's answer to clicks."""

    mask_hw: Mask
    score: float
    """Predicted IoU, in [0, 1]."""


@dataclass(frozen=True, slots=True)
class _Encoded:
    frame: Frame
    embedding: Floats


class InteractiveSam:
    """A SAM that remembers the pictures it was asked about last. Safe to call from several threads.

    Clicks go first: a picture is encoded ahead only while nobody clicks, and a click on a picture that is encoded does
    not wait for the encoding of another one.

    Args:
        network: The model; it may be called from several threads at once.
        pictures: How many embeddings are kept.
    """

    def __init__(self, network: SamNetwork, *, pictures: int = PICTURES_KEPT) -> None:
        self._network = network
        self.pictures = pictures
        """How many embeddings are kept."""
        self._kept: OrderedDict[str, _Encoded] = OrderedDict()
        self._state = threading.Condition()
        """Guards what follows, and ``_kept``."""
        self._encoding = False
        self._clicks = 0
        """Clicks that are being answered."""
        # The decoder takes all processors for one call, so calls in turn are as fast as calls at once.
        self._decoder = threading.Lock()

    def suggest(self, key: str, load: Callable[[], Photo], clicks: Clicks) -> Suggestion:
        """The mask that the clicks mean.

        One point alone is ambiguous: the best of the masks 1 to 3 (whole, part, part of part) by predicted IoU is
        taken. A box or several points are not: mask 0. So segment-anything advises (``SamPredictor.predict`` on
        ``multimask_output``), and so its ``SamOnnxModel.select_masks`` does for points; that takes a box alone, which
        has two points, for ambiguous still.

        Args:
            key: Names the picture; equal keys, equal pictures.
            load: Gives the picture, ``(H, W, 3)`` uint8 RGB, if it has to be encoded.
            clicks: Points on and beside the object, and a box.

        Raises:
            UsageError: if there is neither a point on the figure nor a box.
        """
        if not clicks.figure_xy_px and clicks.box_xyxy_px is None:
            raise UsageError("click on the object or draw a box first; points beside it alone say too little")
        with self._click():
            encoded = self._encoded(key, load)
            coords, labels = _prompt(clicks, encoded.frame)
            with self._decoder:
                logits, scores = self._network.decode(encoded.embedding, coords, labels)
        ambiguous = len(labels) == 1
        chosen = 1 + int(np.argmax(scores[0, 1:])) if ambiguous else 0
        mask = encoded.frame.upscale(logits[0, chosen]) > 0
        return Suggestion(mask_hw=mask, score=float(np.clip(scores[0, chosen], 0.0, 1.0)))

    def warm_up(self) -> None:
        """Run the model once, so that the first annotator does not wait for its lazy parts."""
        blank = np.zeros((64, 64, 3), dtype=np.uint8)
        self.suggest("", lambda: blank, Clicks(figure_xy_px=((32.0, 32.0),)))
        self._kept.clear()

    def prepare(self, key: str, load: Callable[[], Photo]) -> None:
        """Encode a picture ahead, once nobody clicks; the arguments are those of ``suggest``.

        Raises:
            FigureGroundError: if it is no photo.
        """
        with self._state:
            self._state.wait_for(lambda: not self._clicks)
        self._encoded(key, load)

    def remembers(self, key: str) -> bool:
        """Whether a picture is encoded."""
        with self._state:
            return key in self._kept

    def touch(self, key: str) -> None:
        """Keep a picture that is encoded as if it had just been asked about."""
        with self._state:
            if key in self._kept:
                self._kept.move_to_end(key)

    @contextmanager
    def _click(self) -> Iterator[None]:
        with self._state:
            self._clicks += 1
        try:
            yield
        finally:
            with self._state:
                self._clicks -= 1
                self._state.notify_all()

    def _encoded(self, key: str, load: Callable[[], Photo]) -> _Encoded:
        """The embedding of a picture; one is made at a time, and whoever waits for the same one gets it."""
        with self._state:
            self._state.wait_for(lambda: key in self._kept or not self._encoding)
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            self._encoding = True
        try:
            photo = load()
            frame = Frame.of(require_photo(photo))
            made = _Encoded(frame, self._network.encode(frame.scale(photo)))
            with self._state:
                self._kept[key] = made
                while len(self._kept) > self.pictures:
                    self._kept.popitem(last=False)
            return made
        finally:
            with self._state:
                self._encoding = False
                self._state.notify_all()


def interactive_sam(segmenter: Segmenter) -> InteractiveSam:
    """The model of a segmenter that takes clicks.

    Raises:
        UsageError: if it takes none.
    """
    network = getattr(segmenter, "network", None)
    if network is None:
        raise UsageError(f"{segmenter.name} takes no clicks; mobile-sam and sam do")
    return InteractiveSam(network)


def _prompt(clicks: Clicks, frame: Frame) -> tuple[Any, list[int]]:
    """Points first, the box's corners last: coordinates ``(1, P, 2)`` in frame pixels and what each is."""
    points = [*clicks.figure_xy_px, *clicks.ground_xy_px]
    labels = [FIGURE_POINT] * len(clicks.figure_xy_px) + [GROUND_POINT] * len(clicks.ground_xy_px)
    if clicks.box_xyxy_px is not None:
        points += [clicks.box_xyxy_px[:2], clicks.box_xyxy_px[2:]]
        labels += BOX_CORNERS
    ratio = np.array(frame.scaled_hw[::-1]) / np.array(frame.photo_hw[::-1])
    return (np.array(points, dtype=np.float64)[None] * ratio).astype(np.float32), labels
