"""Protocol imagenet_a: calibration and response rate by hand, label spaces, and how a photo is cropped for a model."""

from __future__ import annotations

import io
import json
import sys
from itertools import permutations
from pathlib import Path
from typing import Any

import crop_dataset
import numpy as np
import pytest
from crop_dataset import CLASS_MAP, crop_configs, photos, write_repository
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from figureground.exports import evaluate as script
from figureground.exports.evaluate import EvaluationError, MaskedAnswers, Sampling, Transform

pytestmark = pytest.mark.usefixtures("offline_datasets", "fresh_modules")

SCRIPT = Path(script.__file__)
CLASSES = script.parse_class_map(json.dumps(CLASS_MAP))


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_repository(tmp_path_factory.mktemp("crops") / "crops", crop_configs(photos(2)))


def score(repo: Path, model: str = "looks_at_figure", **more: Any) -> dict[str, Any]:
    options: Any = {"bootstrap": 200, **more}
    return script.evaluate(str(repo), f"crop_dataset:{model}", **options)


# Calibration and response rate


def test_the_released_calibration_leaves_out_the_most_confident_bin() -> None:
    """Three bins of 100, the last with 30 more: calibrated, calibrated, and sure of what is wrong."""
    confidence = np.repeat([0.2, 0.5, 0.9], [100, 100, 130])
    right = np.concatenate([np.arange(100) < 20, np.arange(100) < 50, np.arange(130) < 0])
    assert script.rms_calibration_error(confidence, right, 100) == pytest.approx((130 / 330 * 0.9**2) ** 0.5)
    assert script.rms_calibration_error(confidence, right, 100, released=True) == pytest.approx(0)


def test_calibration_by_hand_in_two_bins() -> None:
    confidence = np.array([0.9, 0.1, 0.7, 0.3, 0.8])  # in order: .1 .3 | .7 .8 .9, the last bin takes what is left
    right = np.array([True, True, False, False, True])
    low, high = (0.1 + 0.3) / 2 - 1 / 2, (0.7 + 0.8 + 0.9) / 3 - 2 / 3
    assert script.rms_calibration_error(confidence, right, 2) == pytest.approx((0.4 * low**2 + 0.6 * high**2) ** 0.5)
    assert script.rms_calibration_error(confidence, right, 2, released=True) == pytest.approx((0.4 * low**2) ** 0.5)
    with pytest.raises(EvaluationError, match="at least 6 answers"):
        script.rms_calibration_error(confidence, right, 6)


def test_response_rate_accuracy_by_hand() -> None:
    """In order of confidence right, wrong, right: 1, 1/2, 2/3."""
    confidence, right = np.array([0.2, 0.9, 0.5]), np.array([True, True, False])
    assert script.response_rate_accuracy(confidence, right) == pytest.approx((1 + 1 / 2 + 2 / 3) / 3)
    assert script.response_rate_accuracy(confidence, right, released=True) == pytest.approx((1 + 1 / 2 + 2 / 3) / 3)


def test_ties_of_confidence_count_as_their_mean() -> None:
    right = np.arange(10) < 5
    same = np.full(10, 0.4)
    for order in (right, right[::-1]):
        assert script.response_rate_accuracy(same, order) == pytest.approx(0.5)
    harmonic = sum(1 / k for k in range(6, 11))
    assert script.response_rate_accuracy(same, right[::-1], released=True) == pytest.approx((5 + 5 * harmonic) / 10)
    assert script.response_rate_accuracy(same, right, released=True) == pytest.approx((5 - 5 * harmonic) / 10)
    # one sure answer that is right, then two that tie: 1, (1 + 1/2) / 2, (1 + 2/2) / 3
    tied = script.response_rate_accuracy(np.array([0.5, 0.9, 0.5]), np.array([True, True, False]))
    assert tied == pytest.approx((1 + 0.75 + 2 / 3) / 3)


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=6))
def test_ties_are_averaged_over_all_their_orders(rows: list[tuple[int, bool]]) -> None:
    confidence, right = np.array([row[0] / 4 for row in rows]), np.array([row[1] for row in rows])
    curves = []
    for order in permutations(range(len(rows))):
        if (np.diff(confidence[list(order)]) <= 0).all():
            curves.append(np.mean(np.cumsum(right[list(order)]) / np.arange(1, len(rows) + 1)))
    assert script.response_rate_accuracy(confidence, right) == pytest.approx(np.mean(curves))


def test_few_answers_are_not_calibrated_and_bins_fit_the_answers() -> None:
    generator = np.random.default_rng(0)
    for count, bin_size in ((199, None), (200, 20), (777, 77), (1000, 100), (2345, 100)):
        confidence, right = generator.random(count), generator.random(count) < 0.5
        zeros = np.zeros(count, np.int64)
        answers = MaskedAnswers(
            image_id=np.arange(count).astype(str), label=zeros, right=right, top5=right, confidence=confidence
        )
        summary = script.summarise_imagenet_a({"original": answers}, {}, CLASSES, "masked3", Sampling(count=5))
        original = summary["configs"]["original"]
        calibration = original["rms_calibration"]
        assert calibration.get("bin_size") == bin_size
        assert (calibration["value"] is None) == (calibration["released"] is None) == (count < 200)
        assert calibration.get("reason") == ("199 answers, fewer than 200" if count < 200 else None)
        assert 0 < original["aurra"] < 1


# Label spaces


def test_outputs_of_other_classes_are_masked_or_compete() -> None:
    adapter = crop_dataset.imagenet_figure()
    logits = np.full((3, 1000), -5, dtype=np.float32)
    logits[0, [10, 500]] = 3, 4  # red, but another output is louder
    logits[1, [10, 20]] = 3, 4  # green is louder than red
    logits[2, [10, 20]] = 3, 3  # alike: the first
    outcomes = script.judge_masked(adapter, logits, np.array([0, 0, 1]), CLASSES)
    names = ("right", "top5", "confidence")
    assert set(outcomes) == {f"{space}.{name}" for space in ("masked3", "1000") for name in names}
    assert outcomes["masked3.right"].tolist() == [True, False, False]
    assert outcomes["1000.right"].tolist() == [False, False, False]
    assert outcomes["1000.top5"].all()
    alone = np.exp([3, -5, -5])
    assert outcomes["masked3.confidence"][0] == pytest.approx(alone.max() / alone.sum())
    assert outcomes["1000.confidence"][0] == pytest.approx(np.exp(4) / (np.exp(3) + np.exp(4) + 998 * np.exp(-5)))


def test_a_model_of_1001_outputs_answers_as_one_of_1000(crops: Path) -> None:
    first, second = (
        score(crops, f"imagenet_figure={outputs}", configs=["original", "plus"]) for outputs in (1000, 1001)
    )
    assert set(first["label_spaces"]) == {"masked3", "1000"}
    assert first["label_spaces"] == second["label_spaces"]


def test_the_space_of_imagenet_a_has_its_name() -> None:
    named = script.parse_class_map(json.dumps({**CLASS_MAP, "name": "imagenet_a"}))
    adapter = crop_dataset.looks_at_figure()
    outcomes = script.judge_masked(adapter, np.zeros((1, 3), np.float32), np.array([0]), named)
    assert set(outcomes) == {"imagenet_a3.right", "imagenet_a3.top5", "imagenet_a3.confidence"}


def test_views_of_a_row_are_averaged_as_probabilities() -> None:
    adapter = crop_dataset.looks_at_figure()
    logits = np.array([[4, 0, 0], [0, 0.5, 0], [0, 0.5, 0], [0, 0, 1], [0, 0, 1], [0, 0, 0]], dtype=np.float32)
    outcomes = script.judge_masked(adapter, logits, np.array([0, 2]), CLASSES)  # two rows of three views
    shares = np.exp(logits.astype(np.float64)) / np.exp(logits.astype(np.float64)).sum(axis=1, keepdims=True)
    means = shares.reshape(2, 3, 3).mean(axis=1)
    assert outcomes["masked3.right"].tolist() == [True, True]
    assert outcomes["masked3.confidence"] == pytest.approx(means.max(axis=1))


def test_probabilities_that_are_all_rounded_to_zero_are_no_confidence() -> None:
    adapter: Any = crop_dataset.imagenet_figure()
    adapter.outputs = "probabilities"
    shares = np.zeros((2, 1000), dtype=np.float32)
    shares[0, [10, 20, 700]] = 0.1, 0.3, 0.6
    shares[1, 700] = 1
    outcomes = script.judge_masked(adapter, shares, np.array([1, 1]), CLASSES)
    assert outcomes["masked3.confidence"] == pytest.approx([0.75, 0])
    assert outcomes["1000.confidence"] == pytest.approx([0.6, 1])
    assert outcomes["masked3.right"].tolist() == [True, False]


def test_several_outputs_a_class_are_refused(tmp_path: Path) -> None:
    classes = [
        {**entry, "imagenet_indices": [index, index + 50], "wnids": [f"a{index}", f"b{index}"]}
        for index, entry in enumerate(CLASS_MAP["classes"])
    ]
    shared = {**CLASS_MAP, "classes": classes}
    repo = write_repository(tmp_path / "shared", crop_configs(photos(1)), class_map=shared)
    reason = r"one output a class in class_map\.json; other numbers for blue, green, red"
    with pytest.raises(EvaluationError, match=reason):
        score(repo, "imagenet_figure")
    assert score(repo)["label_spaces"]["masked3"]["n"] == 3  # a head needs no map


# Geometry


def encode(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def noise(size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    return np.random.default_rng(size_hw[0]).integers(0, 256, (*size_hw, 3), dtype=np.uint8)


@pytest.mark.parametrize("size_hw", [(500, 375), (375, 500), (84, 1201), (333, 334), (64, 64), (255, 3)])
@pytest.mark.parametrize(
    ("side", "crop_pct", "mode"),
    [(224, 0.875, "center"), (64, 0.9, "center"), (65, 0.95, "center"), (64, 1.0, "squash"), (64, 1.15, "center")],
)
def test_a_photo_is_fed_as_timm_feeds_it(size_hw: tuple[int, int], side: int, crop_pct: float, mode: str) -> None:
    factory = pytest.importorskip("timm.data").create_transform
    theirs = factory((3, side, side), crop_pct=crop_pct, crop_mode=mode, interpolation="bicubic", mean=0, std=1)
    stored = encode(noise(size_hw))
    ours = Transform(size_hw=(side, side), crop_pct=crop_pct, crop_mode=mode, interpolation="bicubic")
    wanted = theirs(Image.open(io.BytesIO(stored))).permute(1, 2, 0).numpy() * 255
    assert (ours.crops(stored, "row")[0] == np.rint(wanted)).all()


@given(st.tuples(st.integers(20, 90), st.integers(20, 90)), st.integers(8, 20))
def test_five_crops_are_the_corners_and_the_middle(size_hw: tuple[int, int], side: int) -> None:
    torchvision = pytest.importorskip("torchvision.transforms")
    stored = encode(noise(size_hw))
    transform = Transform(size_hw=(side, side), crop_pct=0.875, crop_mode="center", interpolation="bilinear")
    ours = transform.crops(stored, "row", five=True)
    image = Image.open(io.BytesIO(stored))
    resized = torchvision.Resize(int(side / 0.875))(image)
    theirs = [np.asarray(crop) for crop in torchvision.FiveCrop(side)(resized)]
    assert (ours == np.stack(theirs)).all()
    assert (ours[4] == transform.crops(stored, "row")[0]).all()


def test_the_reference_feed_is_that_of_the_released_evaluator(tmp_path: Path) -> None:
    """256, 224, bilinear, ImageNet's mean and standard deviation: seen by a model of one mean colour."""
    torchvision = pytest.importorskip("torchvision.transforms")
    seen: list[NDArray[np.uint8]] = []

    class Watcher(crop_dataset.ColourCounter):
        any_size, refeedable, mean, std = True, True, (0.0,) * 3, (1.0,) * 3

        def logits(self, images: NDArray[np.uint8], /) -> NDArray[np.float32]:
            seen.append(images)
            assert self.mean == script.IMAGENET_MEAN
            return super().logits(images)

    (tmp_path / "watching.py").write_text("def make():\n    return ADAPTER\n")
    repo = write_repository(tmp_path / "one", crop_configs(photos(1)))
    sys.path.insert(0, str(tmp_path))
    import watching  # type: ignore[import-not-found]  # written just now

    watching.ADAPTER = Watcher("watcher", crop_dataset.FIGURES)
    result = script.evaluate(str(repo), "watching:make", configs=["original"], feed="reference", bootstrap=5)
    del sys.modules["watching"]
    photo = Image.fromarray(photos(1)[2].draw())  # the third row
    wanted = np.asarray(torchvision.CenterCrop(224)(torchvision.Resize(256)(photo)))
    assert (seen[1][2] == wanted).all()  # the first are the trial's
    assert result["transform"] == {
        "size_hw": (224, 224),
        "crop_pct": 0.875,
        "crop_mode": "center",
        "interpolation": "bilinear",
        "antialias": True,
        "five_crop": "mean of the crops' softmax",
    }


def test_timm_brings_its_own_crop_and_counts_its_parameters() -> None:
    pytest.importorskip("timm")
    from safetensors.torch import save_file

    model = pytest.importorskip("timm").create_model("test_vit")
    save_file({key: tensor.contiguous() for key, tensor in model.state_dict().items()}, "weights.safetensors")
    adapter: Any = script.load_model("timm:test_vit=weights.safetensors")
    assert (adapter.crop_pct, adapter.crop_mode) == (model.pretrained_cfg["crop_pct"], "center")
    assert adapter.parameters == sum(parameter.numel() for parameter in model.parameters())


def test_a_photo_too_narrow_to_be_resized_is_refused() -> None:
    transform = Transform(size_hw=(224, 224), crop_pct=0.875, crop_mode="center", interpolation="bilinear")
    with pytest.raises(EvaluationError, match=r"plus/a: too narrow: 1x9000 "):
        transform.crops(encode(np.zeros((9000, 1, 3), np.uint8)), "plus/a")
