"""SAM 2.1, EdgeTAM, SAM-HQ and SAM 3's tracker through transformers: boxes and points."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from figureground.annotate.segmenters.hub_models.pretrained import Family, import_torch, load_pretrained
from figureground.annotate.segmenters.protocol import Candidate, Photo
from figureground.annotate.segmenters.sam_decoding import (
    BOX_CORNERS,
    Answers,
    Embedding,
    Floats,
    Frame,
    GridRule,
    as_floats,
    segment_with_sam,
)
from figureground.errors import DataError
from figureground.runtime.devices import AUTO, Precision, autocast, check_precision, resolve_device
from figureground.schemas.records import Prompt

SAM_FAMILIES: Final = {
    family.name: family
    for family in (
        Family(
            name="sam2",
            model="Sam2Model",
            processor="Sam2Processor",
            model_types=("sam2", "sam2_video"),
            default="sam2.1_small",
        ),
        Family(
            name="edgetam",
            model="EdgeTamModel",
            processor="Sam2Processor",
            model_types=("edgetam", "edgetam_video"),
            default="edgetam",
        ),
        Family(
            name="sam-hq",
            model="SamHQModel",
            processor="SamHQProcessor",
            model_types=("sam_hq",),
            default="sam_hq_base",
        ),
        Family(
            name="sam3",
            model="Sam3TrackerModel",
            processor="Sam3TrackerProcessor",
            model_types=("sam3_tracker", "sam3_tracker_video", "sam3_video"),
            default="sam3",
        ),
    )
}
"""By the segmenter's name."""


class HubSamSegmenter:
    """Takes boxes and points; the score is SAM's predicted IoU.

    Args:
        name: One of ``SAM_FAMILIES``.
        checkpoint: As for ``load_pretrained``.
        threads: Threads that torch may use, in this whole process; None leaves them.
        device: A torch device, or ``auto`` for the best that there is.
        precision: What the image encoder computes in; weights are kept and masks are decoded in float32.
        grid: Which masks of a grid survive.
    """

    def __init__(
        self,
        name: str,
        checkpoint: Path | str | None = None,
        *,
        threads: int | None = None,
        device: str = AUTO,
        precision: str = "float32",
        grid: GridRule | None = None,
    ) -> None:
        torch = import_torch()
        target = resolve_device(device)
        self.name: str = name
        self.precision: Precision = check_precision(target, precision)
        if threads is not None:
            torch.set_num_threads(threads)
        loaded = load_pretrained(SAM_FAMILIES[name], checkpoint, device=target)
        self.checkpoint_sha256: str = loaded.identity
        network = PaddedHubSam if name == "sam-hq" else SquashedHubSam
        self.network = network(loaded.model, loaded.processor, target, self.precision)
        self._grid = grid or GridRule()

    def segment(self, photo_rgb: Photo, prompts: Sequence[Prompt]) -> list[Candidate]:
        """See ``segment_with_sam``."""
        return segment_with_sam(self.network, photo_rgb, prompts, grid=self._grid)


class HubSam:
    """A ``SamNetwork`` around one of transformers' models; what the families differ in is in the classes below.

    Args:
        model: The model, in evaluation mode, on the device.
        processor: Its processor, which scales photos.
        device: The torch device.
        precision: What the encoder computes in.
    """

    embedding_shapes: tuple[tuple[int, ...], ...]

    def __init__(self, model: Any, processor: Any, device: str, precision: Precision = "float32") -> None:  # noqa: ANN401
        self._torch = import_torch()
        self._model = model
        self._images = processor.image_processor
        self._device = device
        self._precision = precision
        self.side = int(model.prompt_encoder.input_image_size)
        """Side of the encoder's frame, in pixels."""
        self.logits_side = 4 * self._cells
        """Side of the decoder's logits."""
        size = self._images.size
        sides = {size["longest_edge"]} if self._padded else {size["height"], size["width"]}
        if sides != {self.side}:
            raise DataError.single(
                "preprocessor_config.json",
                "size",
                expected=f"photos of {self.side} pixels, as the model takes them",
                got=str(dict(size)),
                remedy="the processor is another model's",
            )

    _padded = False
    """Whether photos keep their shape, and the frame's rest is padding."""

    @property
    def _cells(self) -> int:
        """Cells on each side of the embedding."""
        return int(self._model.prompt_encoder.image_embedding_size[0])

    def frame(self, photo_hw: tuple[int, int]) -> Frame:
        """How a photo lies in the encoder's frame (``SamNetwork.frame``)."""
        if self._padded:
            return Frame.of(photo_hw, side=self.side, logits_side=self.logits_side)
        return Frame.squash(photo_hw, side=self.side, logits_side=self.logits_side)

    def encode(self, photo_rgb: Photo) -> Embedding:
        """Embed a photo (``SamNetwork.encode``)."""
        # Height 1 or 3 would be taken for channels unless it is said where they are.
        inputs = self._images(
            images=[np.array(photo_rgb, order="C")], return_tensors="pt", input_data_format="channels_last"
        )
        with self._torch.inference_mode():
            with autocast(self._device, self._precision):
                embedding = self._embed(inputs["pixel_values"].to(self._device))
            return tuple(as_floats(part) for part in embedding)

    def decode(
        self,
        embedding: Embedding,
        coords: Floats,
        labels: Sequence[int],
        *,
        hint: Floats | None = None,
        answers: Answers = "four",
    ) -> tuple[Floats, Floats]:
        """Masks of each prompt (``SamNetwork.decode``); a model gives one or three, so that all four take two passes.

        Where SAM 2.1's one answer is unstable, it gives the best of the three in its place, by its own rule.
        """
        clicks = labels.index(BOX_CORNERS[0]) if BOX_CORNERS[0] in labels else len(labels)
        # float32 throughout: MPS has no float64, in which SAM-HQ's processor gives coordinates.
        placed = self._tensor(coords)[None]
        asked: dict[str, Any] = self._known(tuple(map(self._tensor, embedding)))
        if clicks:
            kinds = self._torch.tensor(labels[:clicks], dtype=self._torch.int, device=self._device)
            asked["input_points"] = placed[:, :, :clicks]
            asked["input_labels"] = kinds.expand(1, len(coords), -1)
        if clicks < len(labels):
            asked["input_boxes"] = placed[:, :, clicks:].reshape(1, len(coords), 4)
        if hint is not None:
            asked["input_masks"] = self._tensor(hint)[None, None]
        with self._torch.inference_mode():
            passes = [self._model(**asked, multimask_output=several) for several in _PASSES[answers]]
            logits = self._torch.cat([one.pred_masks[0] for one in passes], dim=1)
            scores = self._torch.cat([one.iou_scores[0] for one in passes], dim=1)
        return as_floats(logits), as_floats(scores)

    def _embed(self, pixel_values: Any) -> Sequence[Any]:  # noqa: ANN401
        raise NotImplementedError

    def _known(self, embedding: tuple[Any, ...]) -> dict[str, Any]:
        raise NotImplementedError

    def _tensor(self, values: Floats) -> Any:  # noqa: ANN401
        return self._torch.from_numpy(np.ascontiguousarray(values)).to(self._device)


class SquashedHubSam(HubSam):
    """SAM 2.1, EdgeTAM, SAM 3's tracker: photos are squashed to a square, and features of three levels embed them."""

    def __init__(self, model: Any, processor: Any, device: str, precision: Precision = "float32") -> None:  # noqa: ANN401
        super().__init__(model, processor, device, precision)
        width = int(model.hidden_dim)
        widths = (width // 8, width // 4, width)
        self.embedding_shapes = tuple(
            (1, channels, int(height), int(breadth))
            for channels, (height, breadth) in zip(widths, model.backbone_feature_sizes, strict=True)
        )

    def _embed(self, pixel_values: Any) -> Sequence[Any]:  # noqa: ANN401
        levels: Sequence[Any] = self._model.get_image_embeddings(pixel_values)
        return levels

    def _known(self, embedding: tuple[Any, ...]) -> dict[str, Any]:
        return {"image_embeddings": list(embedding)}


class PaddedHubSam(HubSam):
    """SAM-HQ: photos are padded, and the first of the encoder's intermediate embeddings goes with the last one.

    Without it the model gives other masks and no error; of the further ones its decoder takes none.
    """

    _padded = True

    def __init__(self, model: Any, processor: Any, device: str, precision: Precision = "float32") -> None:  # noqa: ANN401
        super().__init__(model, processor, device, precision)
        config = model.config.vision_config
        cells = self._cells
        self.embedding_shapes = ((1, int(config.output_channels), cells, cells), (1, cells, cells, config.hidden_size))

    def encode(self, photo_rgb: Photo) -> Embedding:
        """As ``HubSam.encode``; of a photo that is so narrow that its short side would vanish, lines are repeated."""
        for axis, length in enumerate(photo_rgb.shape[:2]):
            share = length * self.side / max(photo_rgb.shape[:2])
            if share < 0.5:  # rounds to 0 pixels
                photo_rgb = np.repeat(photo_rgb, int(np.ceil(0.5 / share)), axis=axis)
        return super().encode(photo_rgb)

    def _embed(self, pixel_values: Any) -> Sequence[Any]:  # noqa: ANN401
        last, intermediate = self._model.get_image_embeddings(pixel_values)
        return last, intermediate[0]

    def _known(self, embedding: tuple[Any, ...]) -> dict[str, Any]:
        return {"image_embeddings": embedding[0], "intermediate_embeddings": [embedding[1]]}


_PASSES: Final = {"one": (False,), "three": (True,), "four": (False, True)}
