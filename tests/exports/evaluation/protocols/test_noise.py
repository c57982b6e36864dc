"""Protocol rival10's noise: its definition, RFS, and models of which it is known what they look at."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import datasets
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import kstest, norm  # type: ignore[import-untyped]
from strategies import masks, square_mask

from figureground.exports import evaluate as script
from figureground.exports.evaluate import (
    NoiseSettings,
    Sampling,
    instance_rfs,
    noise_scale,
    relative_foreground_sensitivity,
    standard_normal,
)
from figureground.schemas.rasters.masks import Mask, encode_png1

torch = pytest.importorskip("torch")

SIDE = 32
FIGURE = square_mask((SIDE, SIDE), (8, 8, 24, 24))
TWO = script.parse_class_map(
    '{"name": "two", "classes": [{"index": 0, "name": "dark", "wnids": ["n0"], "imagenet_indices": [0]},'
    ' {"index": 1, "name": "bright", "wnids": ["n1"], "imagenet_indices": [1]}]}'
)


# RFS


@pytest.mark.parametrize(
    ("a_fg", "a_bg", "rfs"),
    [(0.9, 0.95, 1 / 3), (0.5, 0.9, 2 / 3), (0.2, 0.3, 0.2), (0.0, 0.4, 1.0), (0.95, 0.9, -1 / 3)],
)
def test_rfs_has_the_published_check_values(a_fg: float, a_bg: float, rfs: float) -> None:
    assert relative_foreground_sensitivity(a_fg, a_bg) == pytest.approx(rfs)


@pytest.mark.parametrize("accuracy", [0.0, 1.0])
def test_rfs_without_or_with_nothing_but_errors_is_undefined_or_0_as_asked(accuracy: float) -> None:
    assert np.isnan(relative_foreground_sensitivity(accuracy, accuracy))
    assert relative_foreground_sensitivity(accuracy, accuracy, "hardimagenet") == 0
    assert instance_rfs(np.array([accuracy]), np.array([accuracy])).tolist() == [0]


@given(st.floats(0, 1), st.floats(0, 1))
def test_rfs_is_a_share_of_the_largest_gap_and_odd(a_fg: float, a_bg: float) -> None:
    there, back = (relative_foreground_sensitivity(*pair, "hardimagenet") for pair in ((a_fg, a_bg), (a_bg, a_fg)))
    assert -1 - 1e-9 <= there <= 1 + 1e-9
    assert there == pytest.approx(-back)


# Noise


def test_noise_is_standard_normal_and_a_function_of_its_name() -> None:
    noise = standard_normal((200, 200, 3), "noise", "photo", 0)
    assert noise.dtype == np.float32
    assert kstest(noise.ravel(), "norm").pvalue > 0.01
    assert abs(np.corrcoef(noise[:, :-1].ravel(), noise[:, 1:].ravel())[0, 1]) < 0.01
    assert np.array_equal(noise, standard_normal((200, 200, 3), "noise", "photo", 0))
    for other in (("noise", "photo", 1), ("noise", "photos", 0)):
        assert abs(np.corrcoef(noise.ravel(), standard_normal((200, 200, 3), *other).ravel())[0, 1]) < 0.01


def test_noise_is_the_same_on_every_machine() -> None:
    assert standard_normal((5,), "noise", "0e7abe93", 0) == pytest.approx(FIRST_OF_NOISE, abs=1e-5)


FIRST_OF_NOISE = [1.086075, 2.946609, -1.363372, -2.014131, 0.505585]


@given(masks(), st.floats(1, 200))
def test_l2_noise_has_its_norm_whatever_the_area(mask: Mask, level: float) -> None:
    cut = standard_normal((*mask.shape, 3), "x") * mask[..., None]
    wanted = level * (mask.size / 224**2) ** 0.5 if mask.any() else 0
    assert np.linalg.norm(cut * noise_scale(cut, "l2", level)) == pytest.approx(wanted, rel=1e-4)
    assert noise_scale(cut, "sigma", level) == pytest.approx(level)


def test_l2_noise_of_the_paper_has_its_standard_deviation_a_pixel() -> None:
    # sigma = epsilon / (388 sqrt(area share)): 224 * 224 * 3 values, half of them on the figure
    half = square_mask((224, 224), (0, 0, 112, 224))
    cut = standard_normal((224, 224, 3), "x") * half[..., None]
    assert (cut * noise_scale(cut, "l2", 100.0))[half].std() == pytest.approx(100 / (388 * 0.5**0.5), rel=0.01)


def test_sigma_noise_is_on_its_region_alone_and_one_noise_for_both() -> None:
    grey = np.full((SIDE, SIDE, 3), 128, dtype=np.uint8)
    settings = NoiseSettings(levels={"sigma": (0.05,)})
    clean, on_figure, on_ground = script.show_conditions(grey, FIGURE, settings.conditions(), 1, "a")
    noise = 0.05 * standard_normal((SIDE, SIDE, 3), "noise", "a", 0)
    assert on_figure - clean == pytest.approx(np.where(FIGURE[..., None], noise, 0), abs=1e-6)
    assert on_ground - clean == pytest.approx(np.where(FIGURE[..., None], 0, noise), abs=1e-6)


@pytest.mark.parametrize(("grow_px", "side"), [(0, 16), (3, 22), (-3, 10)])
def test_masks_grow_and_shrink_by_pixels(grow_px: int, side: int) -> None:
    grown = script.grow_mask(FIGURE, grow_px)
    assert np.ptp(np.nonzero(grown)[0]) + 1 == side
    assert np.ptp(np.nonzero(grown[16])) + 1 == side


def test_images_are_clamped_and_conditions_come_in_order() -> None:
    image = np.full((SIDE, SIDE, 3), 250, dtype=np.uint8)
    settings = NoiseSettings(levels={"sigma": (0.5,), "l2": (20.0,)}, trials=2, null=())
    shown = list(script.show_conditions(image, FIGURE, settings.conditions(), 2, "a"))
    assert len(shown) == 2 * (1 + 2 * 2)
    assert all(picture.min() >= 0 and picture.max() <= 1 for picture in shown)
    clean, on_figure, on_ground = shown[0], shown[2], shown[4]
    assert (clean == np.float32(250 / 255)).all()
    assert (on_figure[~FIGURE] == clean[~FIGURE]).all()
    assert (on_ground[FIGURE] == clean[FIGURE]).all()
    assert not np.array_equal(shown[2], shown[3])  # two trials


# Models of which it is known what they look at, as real forward passes of torch modules


class Reader(torch.nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
    """Compares weighted means of red over figure and ground with grey; ``agree`` asks whether both are on one side."""

    def __init__(self, figure: float, ground: float, *, pixels: int = 256, agree: bool = False) -> None:
        super().__init__()
        self.agree = agree
        places = torch.zeros(2, SIDE, SIDE)
        for layer, mask in enumerate((FIGURE, ~FIGURE)):
            chosen = np.flatnonzero(mask)[:: max(1, int(mask.sum()) // pixels)][:pixels]
            places[layer].view(-1)[torch.from_numpy(chosen)] = 1 / len(chosen)
        self.register_buffer("places", places)
        self.register_buffer("weights", torch.tensor([figure, ground]))

    def forward(self, images: Any) -> Any:
        means = torch.einsum("nhw,rhw->nr", images[:, 0] - 0.5, self.places)
        score = 1000 * means[:, 0] * means[:, 1] if self.agree else means @ self.weights
        return torch.stack([-score, score], dim=1) * 10


class ReaderAdapter:
    name = "reader"
    input_size_hw: tuple[int, int] = (SIDE, SIDE)
    weights_sha256 = "0" * 64
    takes_float = True
    label_space = "head"
    outputs = "logits"

    def __init__(self, *weights: float, **more: Any) -> None:
        self.network = Reader(*weights, **more).eval()

    def logits(self, images: NDArray[Any]) -> NDArray[np.float32]:
        unit = images / np.float32(255 if images.dtype == np.uint8 else 1)
        with torch.inference_mode():
            answers: NDArray[np.float32] = self.network(torch.from_numpy(unit).permute(0, 3, 1, 2)).numpy()
        return answers


def shades(figures: Sequence[int], grounds: Sequence[int], labels: Sequence[int]) -> Any:
    """Plain figures on plain grounds, as rows of a dataset."""
    rows = []
    for number, (figure, ground, label) in enumerate(zip(figures, grounds, labels, strict=True)):
        picture = np.where(FIGURE, figure, ground)[..., None].repeat(3, axis=2).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "PNG")
        rows.append(
            {
                "image": {"bytes": buffer.getvalue(), "path": None},
                "label": label,
                "image_id": f"id{number}",
                "object_mask": {"bytes": encode_png1(FIGURE), "path": None},
                "source_label": f"n{label}",
                "attribute": None,
            }
        )
    return datasets.Dataset.from_list(rows)


def summary(adapter: ReaderAdapter, table: Any, settings: NoiseSettings) -> dict[str, Any]:
    feeder = script.Feeder(adapter=adapter, batch_size=64)
    measured = script.measure(feeder, table, TWO, "original", conditions=settings.conditions(), trials=settings.trials)
    return script.summarise_rival10({"original": measured["head2"]}, TWO, "head2", settings, Sampling(count=50))


BOTH_TELL = shades([60, 195] * 10, [60, 195] * 10, [0, 1] * 10)
SATURATING = NoiseSettings(levels={"sigma": (80.0,)}, trials=30)


@pytest.mark.parametrize(
    ("weights", "rfs"),
    [pytest.param((1.0, 0.0), 1.0, id="reads the figure alone"), pytest.param((0.0, 1.0), -1.0, id="the ground alone")],
)
def test_what_a_model_reads_decides_rfs_at_saturating_noise(weights: tuple[float, float], rfs: float) -> None:
    result = summary(ReaderAdapter(*weights), BOTH_TELL, SATURATING)
    assert result["clean"]["accuracy_macro"] == 1
    noise = result["noise"]["0"]["sigma"]
    assert noise["rfs"][0]["value"] == pytest.approx(rfs)
    assert noise["pooled"]["rfs"]["value"] == pytest.approx(rfs)
    assert noise["rfs"][0]["ci95"] is None  # each resample gives the same, which is no certainty
    low, high = noise["accuracy_ground" if rfs > 0 else "accuracy_figure"][0]["ci95"]
    assert low < high == 1
    chance = noise["accuracy_figure" if rfs > 0 else "accuracy_ground"][0]["value"]
    assert chance == pytest.approx(0.5, abs=0.1)
    assert rfs * noise["irfs"] > 0.3


def test_a_model_that_needs_both_has_rfs_0() -> None:
    table = shades([60, 195, 60, 195] * 5, [60, 195, 195, 60] * 5, [1, 1, 0, 0] * 5)
    result = summary(ReaderAdapter(0.0, 0.0, agree=True), table, SATURATING)
    assert result["clean"]["accuracy_macro"] == 1
    noise = result["noise"]["0"]["sigma"]
    assert noise["accuracy_figure"][0]["value"] == pytest.approx(0.5, abs=0.1)
    assert noise["rfs"][0]["value"] == pytest.approx(0, abs=0.12)


def test_elsewhere_rfs_is_the_closed_form() -> None:
    # A photo of one shade, d from grey, scores (w_f + w_g) d; noise on k pixels of one region moves that by
    # w sigma / sqrt(k), and 0.08 is too little to be clamped.
    sigma, pixels, weights = 0.08, 4, (0.8, 0.5)
    table = shades([123, 133] * 20, [123, 133] * 20, [0, 1] * 20)
    settings = NoiseSettings(levels={"sigma": (sigma,)}, trials=60)
    noise = summary(ReaderAdapter(*weights, pixels=pixels), table, settings)["noise"]["0"]["sigma"]
    expected = []
    for weight in weights:
        spread = weight * sigma / pixels**0.5
        expected.append(float(np.mean([norm.cdf(sum(weights) * d / spread) for d in (4.5 / 255, 5.5 / 255)])))
    assert noise["accuracy_figure"][0]["value"] == pytest.approx(expected[0], abs=0.03)
    assert noise["accuracy_ground"][0]["value"] == pytest.approx(expected[1], abs=0.03)
    wanted = float(relative_foreground_sensitivity(expected[0], expected[1]))
    assert noise["rfs"][0]["value"] == pytest.approx(wanted, abs=0.06)


def test_undefined_rfs_is_null_or_0_and_said() -> None:
    faint = NoiseSettings(levels={"sigma": (1e-6,)})
    strict = summary(ReaderAdapter(1.0, 1.0), BOTH_TELL, faint)["noise"]["0"]["sigma"]
    assert strict["rfs"][0] == {"value": None, "ci95": None, "p": None, "undefined_share": 1.0}
    assert strict["rfs_slope"] == {"value": None, "ci95": None}
    zero = summary(
        ReaderAdapter(1.0, 1.0), BOTH_TELL, NoiseSettings(levels={"sigma": (1e-6,)}, undefined="hardimagenet")
    )
    assert zero["noise"]["0"]["sigma"]["rfs"][0]["value"] == 0


@pytest.mark.parametrize("trials", [6, 7, 9])
@pytest.mark.parametrize("wrong", [False, True])
def test_rfs_stays_undefined_whatever_the_trials_add_up_to(trials: int, wrong: bool) -> None:
    """Shares of trials that add up to a digit under 1, or over 0, leave no gap that RFS could be a share of."""
    faint = NoiseSettings(levels={"sigma": (1e-6, 2e-6)}, trials=trials)
    table = shades([195, 60] * 15, [195, 60] * 15, [0, 1] * 15) if wrong else BOTH_TELL
    noise = summary(ReaderAdapter(1.0, 1.0), table, faint)["noise"]["0"]["sigma"]
    undefined = {"value": None, "ci95": None, "p": None, "undefined_share": 1.0}
    assert [*noise["rfs"], noise["pooled"]["rfs"]] == [undefined] * 3
    share = 1 - sum([1 / trials] * trials) if wrong else sum([1 / trials] * trials)
    assert np.isnan(relative_foreground_sensitivity(share, share))


def test_irfs_counts_an_image_once_as_its_mean_over_levels() -> None:
    settings = NoiseSettings(levels={"sigma": (0.1, 0.8, 80.0)}, trials=2)
    table = shades([60, 195] * 15, [60, 195] * 15, [0, 1] * 15)
    feeder = script.Feeder(adapter=ReaderAdapter(0.9, 0.1), batch_size=64)
    measured = script.measure(feeder, table, TWO, "original", conditions=settings.conditions(), trials=2)["head2"]
    noise = script.summarise_rival10({"original": measured}, TWO, "head2", settings, Sampling(count=50))["noise"]["0"][
        "sigma"
    ]
    chances = measured.probability.mean(axis=2)
    conditions = [condition.region for condition in settings.conditions()]
    figure, ground = (chances[:, [row for row, name in enumerate(conditions) if name == part]] for part in PARTS)
    by_image = instance_rfs(figure, ground).mean(axis=1)
    wanted = script.mean_estimate(by_image, measured.label, (-1, 1))
    assert noise["irfs"] == pytest.approx(by_image.mean())
    assert noise["irfs_ci95"] == pytest.approx(wanted.ci95)
    assert noise["irfs_ci95"][0] < noise["irfs"] < noise["irfs_ci95"][1]
    assert noise["irfs_per_class"]["dark"] == pytest.approx(by_image[::2].mean())


PARTS = ("figure", "ground")


def test_the_slope_over_levels_has_an_interval() -> None:
    """Least squares over the levels as shares of the highest."""
    settings = NoiseSettings(levels={"sigma": (0.1, 0.4, 0.8)}, trials=3)
    generator = np.random.default_rng(0)
    bright = generator.integers(110, 146, 60)
    table = shades(bright.tolist(), [(40 + 3 * int(b)) // 4 + 20 for b in bright], (bright > 127).astype(int).tolist())
    noise = summary(ReaderAdapter(0.8, 0.3, pixels=9), table, settings)["noise"]["0"]["sigma"]
    values = [level["value"] for level in noise["rfs"]]
    wanted = np.polyfit(np.array([0.1, 0.4, 0.8]) / 0.8, values, 1)[0]
    assert noise["rfs_slope"]["value"] == pytest.approx(wanted)
    low, high = noise["rfs_slope"]["ci95"]
    assert low < high


def test_pooled_rfs_averages_accuracies_first() -> None:
    settings = NoiseSettings(levels={"sigma": (0.1, 0.8, 80.0)}, trials=4)
    table = shades([110, 140] * 10, [60, 195] * 10, [0, 1] * 10)
    noise = summary(ReaderAdapter(0.9, 0.1, pixels=9), table, settings)["noise"]["0"]["sigma"]
    means = [
        float(np.mean([level["value"] for level in noise[f"accuracy_{region}"]])) for region in ("figure", "ground")
    ]
    assert noise["pooled"]["rfs"]["value"] == pytest.approx(float(relative_foreground_sensitivity(means[0], means[1])))


def test_models_of_raw_pixels_are_shown_rounded_noise() -> None:
    seen: list[Any] = []

    class Raw(ReaderAdapter):
        takes_float = False

        def logits(self, images: NDArray[Any]) -> NDArray[np.float32]:
            seen.append(images)
            return super().logits(images)

    settings = NoiseSettings(levels={"sigma": (0.2,)})
    feeder = script.Feeder(adapter=Raw(1.0, 1.0), batch_size=7)
    script.measure(feeder, BOTH_TELL, TWO, "original", conditions=settings.conditions())
    assert {batch.dtype for batch in seen} == {np.dtype(np.uint8)}
    assert sum(map(len, seen)) == 20 * 3
    assert (seen[0][0] == np.where(FIGURE, 60, 60)[..., None]).all()


@pytest.mark.parametrize(("side", "times", "pooled"), [(128, 4, 7), (160, 5, 7), (448, 2, 1)])
@pytest.mark.parametrize("width", [1, 2])
def test_a_mask_at_another_size_is_what_covers_half_of_a_pixel(side: int, times: int, pooled: int, width: int) -> None:
    """A thin handle on a canvas of 224, and a slit; counted on a raster that both sizes divide."""
    mask = square_mask((224, 224), (20, 20, 80, 100))
    mask[100:200, 60 : 60 + width] = True
    mask[:100, 30 : 30 + width] = False
    fine = np.kron(mask, np.ones((times, times), np.int64))
    counts = fine.reshape(side, pooled, side, pooled).sum(axis=(1, 3))
    assert (script.fit_mask(mask, (side, side)) == (2 * counts >= pooled**2)).all()


def test_label_spaces_of_a_1000_way_model_are_kept_apart() -> None:
    classes = script.parse_class_map(
        '{"name": "one", "classes": [{"index": 0, "name": "dog", "wnids": ["n1", "n2"], "imagenet_indices": [3, 4]}]}'
    )
    logits = np.zeros((2, 1000), np.float32)
    logits[0, 3], logits[1, 3] = 9, 9  # the second photo is of n2, output 4
    adapter = ReaderAdapter(1.0, 1.0)
    adapter.label_space = "map"
    truth = script.find_truth(np.array([0, 0]), np.array(["n1", "n2"]), classes)
    outcomes = script.judge_answers(adapter, logits, truth, classes)
    assert outcomes["map1"][0].tolist() == [True, True]
    assert outcomes["exact1000"][0].tolist() == [True, False]
    shares = np.exp(logits[0].astype(float)) / np.exp(logits[0].astype(float)).sum()
    assert outcomes["map1"][1][0] == pytest.approx(shares[3] + shares[4])
    assert outcomes["exact1000"][1] == pytest.approx([shares[3], shares[4]])
