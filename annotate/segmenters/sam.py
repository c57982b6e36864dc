"""Meta's SAM on torch: ViT-H, ViT-L, ViT-B, or any checkpoint of that format."""

from __future__ import annotations

import pickle  # only to name the error that torch raises when it refuses one
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from figureground.annotate.segmenters.checkpoints import find_checkpoint
from figureground.annotate.segmenters.protocol import Candidate, Photo
from figureground.annotate.segmenters.sam_decoding import (
    BOX_CORNERS,
    Answers,
    Embedding,
    Floats,
    GridRule,
    PaddedFrames,
    as_floats,
    choose_answers,
    photo_frame,
    segment_with_sam,
)
from figureground.errors import DataError, MissingExtraError, UsageError
from figureground.runtime.devices import AUTO, Precision, autocast, check_precision, resolve_device
from figureground.schemas.records import Prompt

ARCHITECTURES: Final = ("vit_b", "vit_h", "vit_l", "vit_t")
"""``vit_t`` is MobileSAM's TinyViT; it needs the package mobile_sam."""
WIDTHS: Final = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}
"""Channels of the encoder's position embedding, by which a checkpoint shows its architecture."""


class SamSegmenter:
    """Takes boxes and points; the score is SAM's predicted IoU.

    Args:
        checkpoint: A ``.pth`` file or a name in ``checkpoints.yaml``; None for ViT-H.
        architecture: One of ``ARCHITECTURES``; None to infer it from the checkpoint's shapes.
        threads: Threads that torch may use, in this whole process; None leaves them.
        device: A torch device, or ``auto`` for the best that there is (``resolve_device``).
        precision: What the image encoder, which does nearly all of the work, computes in; weights are kept and masks
            are decoded in float32.
        grid: Which masks of a grid survive.
    """

    name: str = "sam"

    def __init__(
        self,
        checkpoint: Path | str | None = None,
        *,
        architecture: str | None = None,
        threads: int | None = None,
        device: str = AUTO,
        precision: str = "float32",
        grid: GridRule | None = None,
    ) -> None:
        torch = _import_torch()
        target = resolve_device(device)
        self.precision: Precision = check_precision(target, precision)
        if threads is not None:
            torch.set_num_threads(threads)
        files = find_checkpoint(checkpoint, segmenter=self.name, default="sam_vit_h")
        self.checkpoint_sha256: str = files.sha256
        (path,) = files.paths
        weights = load_state_dict(path)
        model = build_sam(weights, architecture or guess_architecture(weights, where=str(path)), where=str(path))
        self.network = TorchSam(model, target, self.precision)
        self._grid = grid or GridRule()

    def segment(self, photo_rgb: Photo, prompts: Sequence[Prompt]) -> list[Candidate]:
        """See ``segment_with_sam``."""
        return segment_with_sam(self.network, photo_rgb, prompts, grid=self._grid)


class TorchSam(PaddedFrames):
    """A ``SamNetwork`` around segment-anything's ``Sam`` module, on a torch device.

    Args:
        model: The module, in evaluation mode; it is moved to the device.
        device: The torch device.
        precision: What the encoder computes in.
    """

    def __init__(self, model: Any, device: str, precision: Precision = "float32") -> None:  # noqa: ANN401  untyped
        self._torch = _import_torch()
        self._model = model.to(device)
        self._device = device
        self._precision = precision

    def encode(self, photo_rgb: Photo) -> Embedding:
        """Embed a photo (``SamNetwork.encode``)."""
        with self._torch.inference_mode(), autocast(self._device, self._precision):
            return (as_floats(self._model.image_encoder(self._tensor(photo_frame(photo_rgb)))),)

    def decode(
        self,
        embedding: Embedding,
        coords: Floats,
        labels: Sequence[int],
        *,
        hint: Floats | None = None,
        answers: Answers = "four",
    ) -> tuple[Floats, Floats]:
        """Masks of each prompt (``SamNetwork.decode``); ``SamPredictor`` would need two passes for all four."""
        placed = self._tensor(coords)
        clicks = labels.index(BOX_CORNERS[0]) if BOX_CORNERS[0] in labels else len(labels)
        with self._torch.inference_mode():
            kinds = self._torch.tensor(labels[:clicks], dtype=self._torch.int, device=self._device)
            sparse, dense = self._model.prompt_encoder(
                points=(placed[:, :clicks], kinds.expand(len(coords), -1)) if clicks else None,
                boxes=placed[:, clicks:] if clicks < len(labels) else None,
                masks=None if hint is None else self._tensor(hint[None, None]).expand(len(coords), -1, -1, -1),
            )
            logits, scores = self._model.mask_decoder.predict_masks(
                image_embeddings=self._tensor(embedding[0]),
                image_pe=self._model.prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
            )
        return choose_answers(as_floats(logits), as_floats(scores), answers)

    def _tensor(self, values: Floats) -> Any:  # noqa: ANN401
        return self._torch.from_numpy(values).to(self._device)


def load_state_dict(path: Path) -> Mapping[str, Any]:
    """Tensors by name, without running any code that the file may carry.

    Raises:
        DataError: if the file is not a checkpoint of plain tensors.
    """
    torch = _import_torch()
    expected = "a checkpoint of tensors by name"
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, OSError) as error:
        got = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError.single(
            str(path), "", expected=expected, got=got, remedy="fetch it again; pickled code is refused"
        ) from error
    if not isinstance(weights, Mapping) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise DataError.single(str(path), "", expected=expected, got=type(weights).__name__)
    return weights


def guess_architecture(weights: Mapping[str, Any], *, where: str) -> str:
    """Infer a SAM's architecture from the shapes of its weights.

    Raises:
        DataError: if no known architecture has such shapes.
    """
    if "image_encoder.patch_embed.seq.0.c.weight" in weights:
        return "vit_t"
    positions = weights.get("image_encoder.pos_embed")
    if positions is None:
        got = f"{len(weights)} tensors, the first of them {next(iter(weights), 'none')!r}"
        raise DataError.single(where, "image_encoder.pos_embed", expected="a SAM checkpoint", got=got)
    width = int(positions.shape[-1])
    if width not in WIDTHS:
        expected = " or ".join(f"{channels} channels ({name})" for channels, name in WIDTHS.items())
        raise DataError.single(where, "image_encoder.pos_embed", expected=expected, got=f"{width} channels")
    return WIDTHS[width]


def build_sam(weights: Mapping[str, Any], architecture: str, *, where: str) -> Any:  # noqa: ANN401
    """Segment-anything's ``Sam`` with these weights, in evaluation mode.

    Raises:
        UsageError: for an unknown architecture.
        MissingExtraError: without segment-anything, or without mobile_sam for ``vit_t``.
        DataError: if the weights do not fit the architecture.
    """
    if architecture not in ARCHITECTURES:
        raise UsageError(f"no SAM is called {architecture!r}; there are {', '.join(ARCHITECTURES)}")
    model = _registry(architecture)[architecture]()
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        got = "; ".join(line.strip() for line in str(error).splitlines()[1:4])
        raise DataError.single(where, "", expected=f"the weights of {architecture}", got=got) from error
    # Again after loading: TinyViT caches its attention biases when it enters evaluation mode.
    return model.eval()


def _registry(architecture: str) -> Any:  # noqa: ANN401
    if architecture == "vit_t":
        try:
            from mobile_sam import sam_model_registry  # type: ignore[import-untyped]  # ships no annotations
        except ImportError as error:
            raise UsageError("a vit_t checkpoint needs the package mobile_sam: pip install mobilesam-mirror") from error
        return sam_model_registry
    try:
        from segment_anything import sam_model_registry  # type: ignore[import-untyped]  # ships no annotations
    except ImportError as error:
        raise MissingExtraError("segment-anything", "sam") from error
    return sam_model_registry


def _import_torch() -> Any:  # noqa: ANN401
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("torch", "sam") from error
    return torch
