"""Object detectors on ONNX Runtime: a photo in, boxes and scores out, whatever classes the boxes belong to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from figureground.annotate.segmenters.onnx_models import OnnxModel
from figureground.annotate.segmenters.protocol import Photo
from figureground.annotate.segmenters.tfjs_graph import convert_tfjs
from figureground.errors import DataError, MissingExtraError
from figureground.runtime.devices import AUTO

Floats = NDArray[np.float32]

CONVENTIONS: Final = {"detection_boxes": "detection_scores", "boxes": "scores"}
"""Output of boxes to output of scores. The former are those of TensorFlow's Object Detection API, y0 x0 y1 x1 as shares
of height and width; the latter torchvision's, x0 y0 x1 y1 in pixels of the photo as it was fed."""
_COCO_SSD_SHAPE: Final = (1, 300, 300, 3)
_COCO_SSD_FEED: Final = "Preprocessor/map/TensorArrayStack/TensorArrayGatherV3"  # pixels after the model's own resizing
_COCO_SSD_OUTPUTS: Final = {"detection_boxes": "Postprocessor/ExpandDims_1", "detection_scores": "Postprocessor/Slice"}


class DetectionModel:
    """An ONNX model with one input and the outputs of one of ``CONVENTIONS``.

    The input is RGB, ``(1, H, W, 3)`` or ``(1, 3, H, W)``, uint8, or float32 in [0, 1]. Where it has a fixed size, the
    photo is squashed to it; where not, it is fed as it is. Boxes are ``(1, N, 4)``, scores ``(1, N)``, or ``(1, N, K)``
    of K classes, with or without the leading 1.

    Raises:
        MissingExtraError: without onnx or onnxruntime.
        DataError: if the bytes are no such model.
    """

    def __init__(self, model: bytes, *, where: str, threads: int | None, device: str = AUTO) -> None:
        self._where = where
        self._model = OnnxModel(model, where=where, threads=threads, device=device)
        shape, self._takes_float, outputs = _signature(model, where)
        self._channels_last = shape[3] == 3
        self._fixed_hw = shape[1:3] if self._channels_last else shape[2:4]
        self._boxes = next((name for name in CONVENTIONS if {name, CONVENTIONS[name]} <= set(outputs)), "")
        if not self._boxes:
            wanted = " or ".join(f"{boxes} and {scores}" for boxes, scores in CONVENTIONS.items())
            raise DataError.single(where, "outputs", expected=wanted, got=", ".join(outputs))

    def detect(self, photo_rgb: Photo) -> tuple[Floats, Floats]:
        """Every box and its score, in the model's order.

        Args:
            photo_rgb: ``(H, W, 3)`` uint8 RGB.

        Returns:
            ``(N, 4)`` x0 y0 x1 y1 in stored pixels, and ``(N,)`` in [0, 1], of the best class.

        Raises:
            DataError: if the model's answer has another shape, or scores outside [0, 1].
        """
        height, width = photo_rgb.shape[:2]
        fed_height, fed_width = self._fixed_hw[0] or height, self._fixed_hw[1] or width
        fed = photo_rgb
        if (fed_height, fed_width) != (height, width):
            small = Image.fromarray(photo_rgb).resize((fed_width, fed_height), Image.Resampling.BILINEAR)
            fed = np.asarray(small)
        fed = fed[None] if self._channels_last else fed.transpose(2, 0, 1)[None]
        values = fed.astype(np.float32) / np.float32(255) if self._takes_float else fed
        answer = self._model.run({self._model.inputs[0]: values}, (self._boxes, CONVENTIONS[self._boxes]))
        boxes, scores = self._checked(*answer)
        if self._boxes == "detection_boxes":
            return boxes[:, (1, 0, 3, 2)] * np.array([width, height] * 2, np.float32), scores
        return boxes * np.array([width / fed_width, height / fed_height] * 2, np.float32), scores

    def _checked(self, boxes: Floats, scores: Floats) -> tuple[Floats, Floats]:
        count = boxes.size // 4
        if boxes.shape[-1:] != (4,) or scores.size % max(count, 1) or (scores.size and not count):
            raise DataError.single(
                self._where,
                "outputs",
                expected="boxes (1, N, 4) and scores (1, N) or (1, N, K)",
                got=f"boxes {boxes.shape} and scores {scores.shape}",
            )
        best = scores.reshape(count, scores.size // max(count, 1)).max(axis=1, initial=0.0)
        if not ((best >= 0) & (best <= 1)).all():
            got = f"{best.min()} to {best.max()}"
            raise DataError.single(self._where, CONVENTIONS[self._boxes], expected="scores in [0, 1]", got=got)
        return boxes.reshape(count, 4), best


def read_detection_model(paths: Sequence[Path], *, threads: int | None, device: str = AUTO) -> DetectionModel:
    """A model from one ONNX file, or from the files of the TensorFlow.js model COCO-SSD: its JSON, then its weights.

    Raises:
        MissingExtraError, DataError: as ``DetectionModel`` and ``convert_tfjs``.
    """
    first, *shards = paths
    model = first.read_bytes()
    if first.suffix == ".json":
        model = convert_tfjs(
            model,
            b"".join(path.read_bytes() for path in shards),
            feed=_COCO_SSD_FEED,
            shape=_COCO_SSD_SHAPE,
            outputs=_COCO_SSD_OUTPUTS,
            where=str(first),
        )
    return DetectionModel(model, where=str(first), threads=threads, device=device)


def _signature(model: bytes, where: str) -> tuple[tuple[int, ...], bool, list[str]]:
    """Shape of the one input, 0 for a side of any length; whether it is float32; names of the outputs."""
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError("onnx", "onnx") from error
    graph = onnx.load_model_from_string(model).graph
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [tensor for tensor in graph.input if tensor.name not in weights]
    kinds = {onnx.TensorProto.UINT8: False, onnx.TensorProto.FLOAT: True}
    tensor = inputs[0].type.tensor_type
    shape = tuple(side.dim_value for side in tensor.shape.dim)
    if len(inputs) != 1 or tensor.elem_type not in kinds or len(shape) != 4 or 3 not in (shape[1], shape[3]):
        expected = "one photo, (1, H, W, 3) or (1, 3, H, W), uint8 or float32"
        got = f"{', '.join(entry.name for entry in inputs)} of shape {shape} and type {tensor.elem_type}"
        raise DataError.single(where, "inputs", expected=expected, got=got)
    return shape, kinds[tensor.elem_type], [output.name for output in graph.output]
