"""Boxes of a named thing, by Grounding DINO or OWLv2, in front of any segmenter that takes boxes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from figureground.annotate.segmenters.detector import distinct_boxes
from figureground.annotate.segmenters.hub_models.instances import Instance, gather_instances
from figureground.annotate.segmenters.hub_models.pretrained import Family, import_torch, load_pretrained
from figureground.annotate.segmenters.protocol import Candidate, Photo, SegmentationRejected, Segmenter, require_photo
from figureground.annotate.segmenters.sam_decoding import as_floats
from figureground.errors import UsageError
from figureground.runtime.devices import AUTO, resolve_device
from figureground.schemas.rasters.masks import Box
from figureground.schemas.records import Prompt

DINO: Final = "grounding-dino"
OWL: Final = "owlv2"
BOX_FAMILIES: Final = {
    DINO: Family(
        name=DINO,
        model="AutoModelForZeroShotObjectDetection",
        processor="AutoProcessor",
        model_types=("grounding-dino", "mm-grounding-dino"),
        default="grounding_dino_tiny",
    ),
    OWL: Family(
        name=OWL,
        model="AutoModelForZeroShotObjectDetection",
        processor="AutoProcessor",
        model_types=("owlv2",),
        default="owlv2_base",
    ),
}
"""By the name of what finds boxes."""
LEAST_SCORES: Final = {DINO: 0.25, OWL: 0.1}
"""A box counts above this score: the library's own thresholds."""
MOST_TOKENS: Final = {DINO: 256, OWL: 16}
"""Longest text, its end marks among them."""
MOST_ASPECT: Final = 32
"""Photos that are longer than this many times their height are thickened: the short side would vanish when scaled."""


class TextBoxes:
    """Finds a named thing on a photo.

    One photo and one text at a time: Grounding DINO moves boxes where photos of different sizes share a batch, and of
    several texts it cannot tell for certain which one a box is of.

    Args:
        name: One of ``BOX_FAMILIES``.
        checkpoint: As for ``load_pretrained``.
        device: A torch device, or ``auto`` for the best that there is.
    """

    def __init__(self, name: str, checkpoint: Path | str | None = None, *, device: str = AUTO) -> None:
        if name not in BOX_FAMILIES:
            raise UsageError(f"nothing that finds boxes is called {name!r}; there are {', '.join(BOX_FAMILIES)}")
        self.name = name
        self._torch = import_torch()
        self._device = resolve_device(device)
        loaded = load_pretrained(BOX_FAMILIES[name], checkpoint, device=self._device)
        self.checkpoint_sha256: str = loaded.identity
        self._model, self._processor = loaded.model, loaded.processor

    def find(self, photo_rgb: Photo, text: str) -> list[tuple[Box, float]]:
        """Boxes in whole stored pixels, inside the photo and none nearly the same, with scores, best first.

        Raises:
            UsageError: for a text that is too long, which would be cut without a word.
        """
        size_hw = require_photo(photo_rgb)
        words = self._words(text)
        with self._torch.inference_mode():
            answer = self._model(**words, pixel_values=self._pixels(photo_rgb))
        threshold = LEAST_SCORES[self.name]
        if self.name == DINO:
            (detections,) = self._processor.post_process_grounded_object_detection(
                answer, words["input_ids"], threshold=threshold, text_threshold=threshold, target_sizes=[size_hw]
            )
        else:
            (detections,) = self._processor.post_process_grounded_object_detection(
                answer, threshold=threshold, target_sizes=[size_hw]
            )
        boxes, scores = (as_floats(detections[name]) for name in ("boxes", "scores"))
        # Clipped: OWLv2 pads photos to a square, and may find something in the padding.
        return distinct_boxes(boxes, scores, size_hw=size_hw, least_score=threshold)

    def _words(self, text: str) -> Any:  # noqa: ANN401
        # A dot ends a class for Grounding DINO, so that "st. bernard" would be two; OWLv2 wants texts by photo.
        written: Any = f"{text.lower().replace('.', ' ').strip()}." if self.name == DINO else [[text]]
        tokens = self._processor.tokenizer(written if self.name == DINO else text)["input_ids"]
        if len(tokens) > MOST_TOKENS[self.name]:
            raise UsageError(
                f"{text!r} has {len(tokens)} tokens, and {self.name} takes {MOST_TOKENS[self.name]}: shorten it"
            )
        return self._processor(text=written, return_tensors="pt").to(self._device)

    def _pixels(self, photo_rgb: Photo) -> Any:  # noqa: ANN401
        photo = np.array(photo_rgb, order="C")
        for axis in (0, 1):
            times = max(photo.shape[:2]) // (MOST_ASPECT * photo.shape[axis])
            photo = np.repeat(photo, times + 1, axis=axis) if times else photo
        inputs = self._processor.image_processor(images=[photo], return_tensors="pt", input_data_format="channels_last")
        return inputs["pixel_values"].to(self._device)


class BoxedByText:
    """A segmenter that is asked about the boxes that a text has on a photo; other prompts it gets as they are.

    Args:
        finder: What finds the boxes.
        segmenter: What makes masks of them. Its first answer to a box counts: SAM's to an unambiguous prompt.
    """

    def __init__(self, finder: TextBoxes, segmenter: Segmenter) -> None:
        self._finder = finder
        self._segmenter = segmenter
        self.name: str = f"{finder.name}+{segmenter.name}"
        parts = "\n".join([finder.checkpoint_sha256, segmenter.checkpoint_sha256])
        self.checkpoint_sha256: str = hashlib.sha256(parts.encode("ascii")).hexdigest()

    def segment(self, photo_rgb: Photo, prompts: Sequence[Prompt]) -> list[Candidate]:
        """As ``gather_instances`` gives them for texts.

        Raises:
            UsageError: for texts and other prompts together, or what the segmenter cannot take.
            SegmentationRejected: ``no_detection`` if no text has a box; and what the segmenter refuses.
        """
        texts = [prompt.text for prompt in prompts if prompt.kind == "text"]
        if not texts:
            return self._segmenter.segment(photo_rgb, prompts)
        if len(texts) < len(prompts):
            raise UsageError("a photo is asked about texts, or about boxes and points, not about both")
        boxes = [
            Prompt(kind="box", text=text, box_xyxy_px=box, score=score, origin=self._finder.name)
            for text in texts
            for box, score in self._finder.find(photo_rgb, text)
        ]
        if not boxes:
            raise SegmentationRejected("no_detection")
        first: dict[Prompt, Candidate] = {}
        for candidate in self._segmenter.segment(photo_rgb, list(dict.fromkeys(boxes))):
            first.setdefault(candidate.prompt, candidate)
        instances = [
            Instance(mask_hw=one.mask_hw, score=one.score, stability=one.stability, prompt=prompt)
            for prompt, one in first.items()
        ]
        return gather_instances(instances, origin=self._finder.name)
