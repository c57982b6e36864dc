from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from figureground.exports.analyses import saliency_metrics as metrics

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=6)
LEVELS = st.integers(0, 8).map(lambda eighths: eighths / 8)  # exact in binary, so that sums have no rounding


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Any, Any]:
    shape = draw(SHAPES)
    saliency = draw(hnp.arrays(np.float64, shape, elements=LEVELS))
    mask = draw(hnp.arrays(np.bool_, shape))
    assume(metrics.find_undefined(saliency, mask) is None)
    return saliency, mask


def slow_metrics(saliency: Any, mask: Any) -> dict[str, float]:
    """The definitions word for word, one pixel at a time."""
    pixels = [(float(s), bool(m)) for s, m in zip(saliency.ravel(), mask.ravel(), strict=True)]
    lowest, largest = min(s for s, _ in pixels), max(s for s, _ in pixels)
    pixels = [((s - lowest) / (largest - lowest), m) for s, m in pixels]
    hot = [s >= 0.5 * max(s for s, _ in pixels) for s, _ in pixels]
    both = sum(h and m for h, (_, m) in zip(hot, pixels, strict=True))
    either = sum(h or m for h, (_, m) in zip(hot, pixels, strict=True))
    inside, outside = [s for s, m in pixels if m], [s for s, m in pixels if not m]
    total = sum(s for s, _ in pixels)
    values = {
        "iou": both / either,
        "dice": 2 * both / (sum(hot) + len(inside)),
        "delta_density": sum(inside) / len(inside) - sum(outside) / len(outside),
        "precision": sum(inside) / total,
    }
    for percent in (25, 50, 75):
        fitting = [t for t, _ in pixels if sum(s for s, _ in pixels if s < t) < percent / 100 * total - 1e-12]
        values[f"recall_{percent}"] = sum(s >= max(fitting) for s in inside) / len(inside)
    average, recalled = 0.0, 0.0
    for threshold in sorted({s for s, _ in pixels}, reverse=True):
        taken = [m for s, m in pixels if s >= threshold]
        recall = sum(taken) / len(inside)
        average += (recall - recalled) * sum(taken) / len(taken)
        recalled = recall
    return {**values, "average_precision": average}


@pytest.mark.slow
@given(pairs())
def test_metrics_are_their_definitions(pair: tuple[Any, Any]) -> None:
    saliency, mask = pair
    shifted = saliency - saliency.min()
    held = np.cumsum(np.sort((shifted / shifted.max()).ravel()))
    shares = np.array(metrics.RECALL_LEVELS) * held[-1]
    assume(not np.isclose(held[:, None], shares[None], rtol=0, atol=1e-9).any())  # a tie is a matter of rounding
    measured = metrics.measure_alignment(saliency, mask)
    assert dict(measured) == pytest.approx(slow_metrics(saliency, mask))
    assert tuple(measured) == metrics.METRIC_NAMES


@pytest.mark.slow
@given(pairs(), st.integers(1, 5), st.integers(0, 3))
def test_scale_and_shift_do_not_matter(pair: tuple[Any, Any], factor: int, shift: int) -> None:
    saliency, mask = pair
    moved = metrics.measure_alignment(saliency * factor + shift, mask)
    assert moved["delta_density"] == pytest.approx(metrics.measure_alignment(saliency, mask)["delta_density"])
    assert moved["precision"] == pytest.approx(metrics.measure_alignment(saliency, mask)["precision"])


@pytest.mark.slow
@given(pairs())
def test_ranges_and_the_perfect_map(pair: tuple[Any, Any]) -> None:
    saliency, mask = pair
    for name, value in metrics.measure_alignment(saliency, mask).items():
        assert (-1 if name == "delta_density" else 0) <= value <= 1
    assert metrics.measure_alignment(mask.astype(np.float64), mask) == dict.fromkeys(metrics.METRIC_NAMES, 1.0)


def test_a_share_that_rounds_above_one_is_one() -> None:
    """All saliency lies inside, but the sums with and without the pixel of 0 are rounded in different orders."""
    saliency = np.array([[0.0, 1.0, 0.2], [0.6, 0.2, 0.7], [1.0, 0.2, 0.1]])
    assert saliency[saliency > 0].sum() / saliency.sum() > 1
    assert metrics.saliency_precision(saliency, saliency > 0) == 1


def test_values_by_hand() -> None:
    saliency = np.array([[1.0, 0.5], [0.25, 0.0]])
    mask = np.array([[True, False], [True, False]])
    assert metrics.binarise_at_half_maximum(saliency).tolist() == [[True, True], [False, False]]  # 0.5 itself counts
    assert metrics.saliency_iou(saliency, mask) == pytest.approx(1 / 3)
    assert metrics.saliency_dice(saliency, mask) == pytest.approx(1 / 2)
    assert metrics.delta_density(saliency, mask) == pytest.approx(0.625 - 0.25)
    assert metrics.saliency_precision(saliency, mask) == pytest.approx(1.25 / 1.75)
    assert metrics.saliency_recall(saliency, mask, 0.25) == pytest.approx(0.5)  # t = 0.5: below it are 0.25 of 1.75
    assert metrics.saliency_recall(saliency, mask, 0.1) == pytest.approx(1.0)
    assert metrics.saliency_average_precision(saliency, mask) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


NOTHING, FULL, EMPTY = np.zeros((2, 2)), np.ones((2, 2), dtype=np.bool_), np.zeros((2, 2), dtype=np.bool_)
HALF, RISE = np.array([[True, False], [False, False]]), np.array([[0.0, 1.0], [2.0, 3.0]])


@pytest.mark.parametrize(
    ("saliency", "mask", "reason"),
    [
        (RISE, None, "no_mask"),
        (RISE, EMPTY, "empty_mask"),
        (RISE, FULL, "full_mask"),
        (NOTHING, HALF, "flat_map"),
        (np.ones((2, 2)), HALF, "flat_map"),
        (RISE, HALF, None),
    ],
)
def test_what_cannot_be_measured_has_a_reason(saliency: Any, mask: Any, reason: str | None) -> None:
    assert metrics.find_undefined(saliency, mask) == reason
    if reason not in (None, "no_mask"):
        with pytest.raises(ValueError, match=str(reason)):
            metrics.measure_alignment(saliency, mask)


def test_undefined_values_are_nan() -> None:
    assert np.isnan(metrics.saliency_iou(NOTHING, HALF))
    assert np.isnan(metrics.saliency_iou(RISE, EMPTY))
    assert np.isnan(metrics.saliency_dice(RISE, EMPTY))
    assert np.isnan([metrics.delta_density(RISE, mask) for mask in (EMPTY, FULL)]).all()
    assert np.isnan(metrics.saliency_precision(NOTHING, HALF))
    assert np.isnan([metrics.saliency_recall(*pair) for pair in ((NOTHING, HALF), (RISE, EMPTY))]).all()
    assert np.isnan(metrics.saliency_average_precision(RISE, EMPTY))


@pytest.mark.parametrize(
    ("saliency", "mask"),
    [
        (RISE, np.ones((3, 2), dtype=np.bool_)),
        (RISE, np.ones((2, 2))),
        (np.full((2, 2), np.nan), HALF),
        (-RISE, HALF),
        (np.zeros((0, 2)), np.zeros((0, 2), dtype=np.bool_)),
    ],
)
def test_wrong_input_is_refused(saliency: Any, mask: Any) -> None:
    with pytest.raises(ValueError, match="expected"):
        metrics.saliency_iou(saliency, mask)


def test_a_recall_level_is_a_share() -> None:
    with pytest.raises(ValueError, match="level"):
        metrics.saliency_recall(RISE, HALF, 0)
