"""SAM 3 asked by words: every instance of a named thing on a photo, with its mask."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from figureground.annotate.segmenters.hub_models.instances import Instance, gather_instances
from figureground.annotate.segmenters.hub_models.pretrained import Family, import_torch, load_pretrained
from figureground.annotate.segmenters.mask_measures import stability_score
from figureground.annotate.segmenters.protocol import Candidate, Photo, SegmentationRejected, Segmenter, require_photo
from figureground.annotate.segmenters.sam_decoding import STABILITY_OFFSET, Floats, Frame, as_floats
from figureground.errors import UsageError
from figureground.runtime.devices import AUTO, autocast, check_precision, resolve_device
from figureground.schemas.rasters.masks import Box, tight_box
from figureground.schemas.records import Prompt

SAM3_BY_TEXT: Final = Family(
    name="sam3", model="Sam3Model", processor="Sam3Processor", model_types=("sam3", "sam3_video"), default="sam3"
)
LEAST_SCORE: Final = 0.3
"""An instance counts above this score: the library's own threshold."""
MOST_TOKENS: Final = 32
"""SAM 3's longest text, its two end marks among them; the library fails on a longer one."""


class Sam3TextSegmenter:
    """Takes texts; the score is SAM 3's own, the instance's times that of the thing's being there at all.

    Args:
        checkpoint: As for ``load_pretrained``.
        threads: Threads that torch may use, in this whole process; None leaves them.
        device: A torch device, or ``auto`` for the best that there is.
        precision: What the image encoder computes in; weights are kept in float32.
    """

    name: str = "sam3"

    def __init__(
        self,
        checkpoint: Path | str | None = None,
        *,
        threads: int | None = None,
        device: str = AUTO,
        precision: str = "float32",
    ) -> None:
        self._torch = import_torch()
        self._device = resolve_device(device)
        self._precision = check_precision(self._device, precision)
        if threads is not None:
            self._torch.set_num_threads(threads)
        loaded = load_pretrained(SAM3_BY_TEXT, checkpoint, device=self._device)
        self.checkpoint_sha256: str = loaded.identity
        self._model, self._processor = loaded.model, loaded.processor

    def segment(self, photo_rgb: Photo, prompts: Sequence[Prompt]) -> list[Candidate]:
        """The union of all instances of all texts, then each of them, the likeliest first; the photo is encoded once.

        Raises:
            UsageError: for a prompt that is no text, or one that is too long.
            SegmentationRejected: ``no_detection`` if no instance of any text is likely enough.
        """
        size_hw = require_photo(photo_rgb)
        if not prompts:
            return []
        if any(prompt.kind != "text" for prompt in prompts):
            raise UsageError("this SAM 3 takes texts alone; for boxes and points propose without --prompt text")
        seen = self._see(photo_rgb)
        instances = [instance for prompt in prompts for instance in self._instances(seen, prompt.text, size_hw)]
        candidates = gather_instances(instances, origin=self.name)
        if not candidates:
            raise SegmentationRejected("no_detection")
        return candidates

    def answer(self, photo_rgb: Photo, text: str) -> TextAnswer:
        """What the model says of a text, before anything is left out."""
        require_photo(photo_rgb)
        return self._ask(self._see(photo_rgb), text)

    def _see(self, photo_rgb: Photo) -> Any:  # noqa: ANN401
        inputs = self._processor.image_processor(
            images=[np.array(photo_rgb, order="C")], return_tensors="pt", input_data_format="channels_last"
        )
        with self._torch.inference_mode(), autocast(self._device, self._precision):
            seen = self._model.get_vision_features(pixel_values=inputs["pixel_values"].to(self._device))
        for name, value in list(seen.items()):
            seen[name] = _exact(value)
        return seen

    def _ask(self, seen: Any, text: str) -> TextAnswer:  # noqa: ANN401
        written = self._processor.tokenizer(text)["input_ids"]
        if len(written) > MOST_TOKENS:
            raise UsageError(f"{text!r} has {len(written)} tokens, and SAM 3 takes {MOST_TOKENS}: shorten it")
        words = self._processor(text=text, return_tensors="pt").to(self._device)
        with self._torch.inference_mode():
            # Without the mask, padding counts as text: scores shift by tenths, and nothing is said.
            answer = self._model(
                vision_embeds=seen, input_ids=words["input_ids"], attention_mask=words["attention_mask"]
            )
            scores = answer.pred_logits.sigmoid() * answer.presence_logits.sigmoid()
        return TextAnswer(as_floats(answer.pred_masks[0]), as_floats(scores[0]))

    def _instances(self, seen: Any, text: str, size_hw: tuple[int, int]) -> list[Instance]:  # noqa: ANN401
        answer = self._ask(seen, text)
        side = answer.logits.shape[-1]
        frame = Frame.squash(size_hw, side=side, logits_side=side)
        instances = []
        for index in np.flatnonzero(answer.scores > LEAST_SCORE):
            logits, score = frame.upscale(answer.logits[index]), float(answer.scores[index])
            box: Box | None = tight_box(logits > 0)
            if box is None:  # likely, and yet it has no pixel
                continue
            stability = stability_score(logits, low=-STABILITY_OFFSET, high=STABILITY_OFFSET)
            asked = Prompt(kind="text", text=text, box_xyxy_px=box, score=score, origin=self.name)
            instances.append(Instance(mask_hw=logits > 0, score=score, stability=stability, prompt=asked))
        return instances


class Sam3WithTexts:
    """SAM 3 asked in every way: texts go to one of its networks, boxes and points to the other.

    Args:
        by_text: What takes texts.
        by_clicks: What takes boxes and points, of the same checkpoint.
    """

    name: str = "sam3"

    def __init__(self, by_text: Sam3TextSegmenter, by_clicks: Segmenter) -> None:
        self._by_text = by_text
        self._by_clicks = by_clicks
        parts = "\n".join([by_text.checkpoint_sha256, by_clicks.checkpoint_sha256])
        self.checkpoint_sha256: str = hashlib.sha256(parts.encode("ascii")).hexdigest()

    def segment(self, photo_rgb: Photo, prompts: Sequence[Prompt]) -> list[Candidate]:
        """As the one that is asked; texts do not go together with other prompts."""
        by_text = any(prompt.kind == "text" for prompt in prompts)
        return (self._by_text if by_text else self._by_clicks).segment(photo_rgb, prompts)


class TextAnswer(NamedTuple):
    """What SAM 3 says of one text on one photo."""

    logits: Floats
    """``(Q, s, s)`` mask logits of all queries, over the whole squashed photo."""
    scores: Floats
    """``(Q,)`` in [0, 1]."""


def _exact(value: Any) -> Any:  # noqa: ANN401
    """Features in float32, whatever the encoder computed in."""
    if isinstance(value, (tuple, list)):
        return type(value)(_exact(part) for part in value)
    return value.float() if hasattr(value, "is_floating_point") and value.is_floating_point() else value
