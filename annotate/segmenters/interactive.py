"""Interactive SAM: clicks on a picture to a mask, fast enough to click again."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np

from figureground.annotate.segmenters.protocol import Photo, require_photo
from figureground.annotate.segmenters.sam_decoding import (
    BOX_CORNERS,
    FIGURE_POINT,
    GROUND_POINT,
    Answers,
    Embedding,
    Floats,
    Frame,
    SamNetwork,
)
from figureground.errors import UsageError
from figureground.schemas.rasters.masks import Mask

PICTURES_KEPT: Final = 32
"""Most embeddings in memory."""
EMBEDDING_BYTES: Final = 2**30
"""Most bytes that embeddings take in memory: one of the first SAM has 4 MB, of SAM 2.1 17, of SAM-HQ up to 25."""
ANSWERS_KEPT: Final = 512
"""Answers in memory, 256 kB each (256 x 256 float32): as many clicks back can regions be continued or undone."""

FloatBox = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Click:
    """A point on the picture."""

    xy_px: tuple[float, float]
    """In pixels of the picture, fractions included; the centre of the first pixel is (0.5, 0.5)."""
    on_figure: bool = True
    """Whether it lies on what is wanted."""


@dataclass(frozen=True, slots=True)
class DrawnBox:
    """A box around what is wanted."""

    xyxy_px: FloatBox
    """In pixels of the picture, fractions included; x0 < x1, y0 < y1."""


@dataclass(frozen=True, slots=True)
class Clicks:
    """Clicks and boxes of the region that is being made."""

    made: tuple[Click | DrawnBox, ...] = ()
    """In the order in which they were made; the newest box counts."""

    @classmethod
    def together(
        cls,
        *,
        figure_xy_px: Sequence[tuple[float, float]] = (),
        ground_xy_px: Sequence[tuple[float, float]] = (),
        box_xyxy_px: FloatBox | None = None,
    ) -> Clicks:
        """A box first, then points on the figure, then points beside it."""
        boxes = [] if box_xyxy_px is None else [DrawnBox(box_xyxy_px)]
        ground = [Click(point, on_figure=False) for point in ground_xy_px]
        return cls((*boxes, *map(Click, figure_xy_px), *ground))

    @property
    def points(self) -> tuple[Click, ...]:
        """The clicks, without boxes."""
        return tuple(one for one in self.made if isinstance(one, Click))

    @property
    def box_xyxy_px(self) -> FloatBox | None:
        """The newest box."""
        return next((one.xyxy_px for one in reversed(self.made) if isinstance(one, DrawnBox)), None)

    @property
    def answerable(self) -> bool:
        """Whether they say where the figure is."""
        return self.box_xyxy_px is not None or any(click.on_figure for click in self.points)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Suggestion:
    """SAM's answer to clicks."""

    mask_hw: Mask
    score: float
    """Predicted IoU, in [0, 1]."""


@dataclass(frozen=True, slots=True)
class _Encoded:
    frame: Frame
    embedding: Embedding


@dataclass(frozen=True, slots=True)
class _Answer:
    """The mask that was chosen for some clicks, as the decoder gave it."""

    logits_hw: Floats
    score: float


class InteractiveSam:
    """A SAM that remembers pictures it was asked about, and what it answered. Safe to call from several threads.

    Clicks go first: a picture is encoded ahead only while nobody clicks, and a click on a picture that is encoded does
    not wait for the encoding of another one.

    Each click on a region starts from the logits that answered the clicks before it, so that one more click does not
    lose what was right already. The answer depends on the picture and on the clicks in their order alone: what is
    remembered saves time, and whoever takes a click back gets the mask of before.

    Args:
        network: The model; it may be called from several threads at once.
        pictures: How many embeddings are kept; None for as many as ``PICTURES_KEPT`` and ``EMBEDDING_BYTES`` allow.
        feedback: Whether a click starts from the last answer, and a mask that contradicts clicks gives way to one that
            does so less; without, each starts from nothing, and its clicks choose nothing.
    """

    def __init__(self, network: SamNetwork, *, pictures: int | None = None, feedback: bool = True) -> None:
        self.network = network
        """The model."""
        size = sum(4 * math.prod(shape) for shape in network.embedding_shapes)
        self.pictures = pictures or max(1, min(PICTURES_KEPT, EMBEDDING_BYTES // size))
        """How many embeddings are kept."""
        self._feedback = feedback
        self._kept: OrderedDict[str, _Encoded] = OrderedDict()
        self._answers: OrderedDict[tuple[str, Clicks], _Answer] = OrderedDict()
        self._state = threading.Condition()
        """Guards what follows, ``_kept`` and ``_answers``."""
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
        has two points, for ambiguous still. Where mask 0 leaves out a click on the figure or holds one beside it, that
        of all four with the fewest such clicks is taken.

        Args:
            key: Names the picture; equal keys, equal pictures.
            load: Gives the picture, ``(H, W, 3)`` uint8 RGB, if it has to be encoded.
            clicks: Points on and beside the object, and boxes.

        Raises:
            UsageError: if there is neither a point on the figure nor a box.
        """
        if not clicks.answerable:
            raise UsageError("click on the object or draw a box first; points beside it alone say too little")
        with self._click():
            encoded = self._encoded(key, load)
            answer = self._answer(key, encoded, clicks)
        return Suggestion(mask_hw=encoded.frame.upscale(answer.logits_hw) > 0, score=answer.score)

    def _answer(self, key: str, encoded: _Encoded, clicks: Clicks) -> _Answer:
        """The answer to clicks: to the first of them, then from that to the first two, and so on."""
        lengths = range(1, len(clicks.made) + 1) if self._feedback else [len(clicks.made)]
        beginnings = [Clicks(clicks.made[:length]) for length in lengths]
        answer: _Answer | None = None
        with self._state:
            known = [self._answers.get((key, beginning)) for beginning in beginnings]
        first = 1 + max((index for index, one in enumerate(known) if one is not None), default=-1)
        answer = known[first - 1] if first else None
        for beginning in beginnings[first:]:
            if not beginning.answerable:
                continue
            # A new box is a new question; what was shown before would hold it back.
            hint = None if answer is None or isinstance(beginning.made[-1], DrawnBox) else answer.logits_hw
            with self._decoder:
                answer = _decode(self.network, encoded, beginning, hint, by_clicks=self._feedback)
            with self._state:
                self._answers[key, beginning] = answer
                while len(self._answers) > ANSWERS_KEPT:
                    self._answers.popitem(last=False)
        if answer is None:  # the clicks are answerable, so the last beginning was answered
            raise AssertionError
        return answer

    def warm_up(self) -> None:
        """Run the model once, so that the first annotator does not wait for its lazy parts."""
        blank = np.zeros((64, 64, 3), dtype=np.uint8)
        self.suggest("", lambda: blank, Clicks((Click((32.0, 32.0)),)))
        self._kept.clear()
        self._answers.clear()

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
            made = _Encoded(self.network.frame(require_photo(photo)), self.network.encode(photo))
            with self._state:
                self._kept[key] = made
                while len(self._kept) > self.pictures:
                    self._kept.popitem(last=False)
            return made
        finally:
            with self._state:
                self._encoding = False
                self._state.notify_all()


def _decode(network: SamNetwork, encoded: _Encoded, clicks: Clicks, hint: Floats | None, *, by_clicks: bool) -> _Answer:
    """One call of the decoder; a second one where its one answer contradicts a click, for the three others."""
    coords, labels = _prompt(clicks, encoded.frame)
    ambiguous = len(labels) == 1
    answers: Answers = "three" if ambiguous else "one"
    logits, scores = network.decode(encoded.embedding, coords, labels, hint=hint, answers=answers)
    masks, wrong = list(zip(logits[0], scores[0], strict=True)), [0] * len(scores[0])
    if by_clicks:
        wrong = [_contradictions(mask, clicks, encoded.frame) for mask, _ in masks]
        if not ambiguous and wrong[0]:
            logits, scores = network.decode(encoded.embedding, coords, labels, hint=hint, answers="three")
            masks += zip(logits[0], scores[0], strict=True)
            wrong += [_contradictions(mask, clicks, encoded.frame) for mask in logits[0]]
    # Of equal contradictions the one answer is taken before the three, and of these the best by its own score.
    chosen = min(range(len(masks)), key=lambda index: (wrong[index], not ambiguous and index > 0, -masks[index][1]))
    mask, score = masks[chosen]
    return _Answer(mask.copy(), float(np.clip(score, 0.0, 1.0)))


def _contradictions(logits_hw: Floats, clicks: Clicks, frame: Frame) -> int:
    """Clicks on the figure that a mask leaves out, and clicks beside it that it holds."""
    if not clicks.points:
        return 0
    held = frame.upscaled_at(logits_hw, np.array([click.xy_px for click in clicks.points], dtype=np.float64)) > 0
    on_figure = np.array([click.on_figure for click in clicks.points])
    return int(np.count_nonzero(held != on_figure))


def _prompt(clicks: Clicks, frame: Frame) -> tuple[Floats, list[int]]:
    """Points first, the box's corners last: coordinates ``(1, P, 2)`` in frame pixels and what each is."""
    points = [click.xy_px for click in clicks.points]
    labels = [FIGURE_POINT if click.on_figure else GROUND_POINT for click in clicks.points]
    box = clicks.box_xyxy_px
    if box is not None:
        points += [box[:2], box[2:]]
        labels += BOX_CORNERS
    return frame.place(np.array(points, dtype=np.float64)[None]), labels
