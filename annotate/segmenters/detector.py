"""Boxes of an object detector as masks: automatic crops, on equal terms with SAM's proposals and people's masks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground.annotate.segmenters.checkpoints import find_checkpoint
from figureground.annotate.segmenters.detection_models import Floats, read_detection_model
from figureground.annotate.segmenters.protocol import Candidate, Photo, SegmentationRejected, require_photo
from figureground.runtime.devices import AUTO
from figureground.schemas.rasters.masks import Box
from figureground.schemas.records import Prompt

LEAST_SCORE: Final = 0.2
"""Detections below this are none."""
MOST_IOU: Final = 0.5
"""Of two boxes that overlap more than this, the one with the lower score is the same object again."""
MOST_DETECTIONS: Final = 20
"""Candidates of one photo; ``propose --keep`` takes the first of them."""


class DetectorSegmenter:
    """Any detector that ``DetectionModel`` reads; by default COCO-SSD, from an npm package.

    A candidate's mask is its whole box, its score the detection's, of whatever class: the classes of a detector are
    seldom those of the photos. The stability is 1.0, because a box has no threshold. The prompt of a candidate is the
    box itself, so that boxes are ranked by score alone.

    Args:
        checkpoint: An ``.onnx`` file, or a name in ``checkpoints.yaml``; None for the default.
        threads: Threads inside the model; None leaves the choice to ONNX Runtime.
        device: As for ``OnnxModel``.
    """

    name: str = "detector"

    def __init__(self, checkpoint: Path | str | None = None, *, threads: int | None = None, device: str = AUTO) -> None:
        weights = find_checkpoint(checkpoint, segmenter=self.name, default="coco_ssd")
        self.checkpoint_sha256: str = weights.sha256
        self._model = read_detection_model(weights.paths, threads=threads, device=device)

    def segment(self, photo_rgb: Photo, prompts: Sequence[Prompt]) -> list[Candidate]:
        """The detections of the whole photo, best first, once for all prompts: a detector takes no prompt.

        Raises:
            SegmentationRejected: ``no_detection`` if nothing reaches ``LEAST_SCORE``.
            DataError: if the model's answer is none.
        """
        size_hw = require_photo(photo_rgb)
        if not prompts:
            return []
        detections = distinct_boxes(*self._model.detect(photo_rgb), size_hw=size_hw)
        if not detections:
            raise SegmentationRejected("no_detection")
        return [_candidate(box, score, size_hw) for box, score in detections]


def distinct_boxes(
    boxes: Floats, scores: Floats, *, size_hw: tuple[int, int], least_score: float = LEAST_SCORE
) -> list[tuple[Box, float]]:
    """Detections worth keeping, best first, in whole pixels of the photo, none of them empty.

    Non-maximum suppression is OpenCV's, over all classes at once.

    Args:
        boxes: ``(N, 4)`` x0 y0 x1 y1 in stored pixels; they may stick out of the photo.
        scores: ``(N,)`` in [0, 1].
        size_hw: Height and width of the photo.
        least_score: What a detection must reach.
    """
    height, width = size_hw
    likely = np.flatnonzero((scores >= least_score) & np.isfinite(boxes).all(axis=1))
    pixels = np.rint(np.clip(boxes[likely], 0, np.array([width, height] * 2))).astype(np.int64)
    filled = (pixels[:, 2] > pixels[:, 0]) & (pixels[:, 3] > pixels[:, 1])
    pixels, scores = pixels[filled], scores[likely][filled]
    corners_and_sides = np.concatenate([pixels[:, :2], pixels[:, 2:] - pixels[:, :2]], axis=1)
    best_first = cv2.dnn.NMSBoxes(corners_and_sides.tolist(), scores.tolist(), least_score, MOST_IOU)
    return [_detection(pixels[index], scores[index]) for index in list(best_first)[:MOST_DETECTIONS]]


def _detection(pixels: NDArray[np.int64], score: np.float32) -> tuple[Box, float]:
    x0, y0, x1, y1 = (int(side) for side in pixels)
    return (x0, y0, x1, y1), float(score)


def _candidate(box: Box, score: float, size_hw: tuple[int, int]) -> Candidate:
    x0, y0, x1, y1 = box
    mask = np.zeros(size_hw, np.bool_)
    mask[y0:y1, x0:x1] = True
    asked = Prompt(kind="box", box_xyxy_px=box, origin="detector")
    return Candidate(mask_hw=mask, score=score, stability=1.0, prompt=asked)
