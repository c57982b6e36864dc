"""Arithmetic of the benchmark that fits the ranking rule, beside scikit-learn's."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from checkout import ROOT

from figureground.annotate.proposals.mask_features import FEATURES


@pytest.fixture(scope="module")
def fitting() -> ModuleType:
    spec = importlib.util.spec_from_file_location("rule_fitting", ROOT / "benchmarks" / "masks" / "rule_fitting.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["rule_fitting"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def drawn(fitting: ModuleType) -> list[object]:
    """Photos of four groups whose masks' IoU is a sum of agreement and border, and some noise."""
    generator = np.random.default_rng(7)
    photos = []
    for number in range(60):
        rows, ious = [], []
        for _ in range(3):
            values = dict(zip(FEATURES, generator.random(len(FEATURES)), strict=True))
            rows.append(values)
            noise = 0.02 * generator.standard_normal()
            ious.append(float(np.clip(0.5 + 0.5 * values["agreement"] - 0.3 * values["border"] + noise, 0, 1)))
        photo = fitting.MaskedPhoto(
            name=f"{number:03}",
            group="abcd"[number % 4],
            segmenters=("grabcut", "mobile-sam", "saliency"),
            ranks=(0, 0, 0),
            features=tuple(rows),
            iou=tuple(ious),
        )
        photos.append(photo)
    return photos


def test_weights_are_found_again_with_their_signs(fitting: ModuleType, drawn: list[object]) -> None:
    weights = fitting.fit_weights(drawn, tuple(FEATURES), 0.0001)
    assert weights["agreement"] == pytest.approx(0.5, abs=0.04)
    assert weights["border"] == pytest.approx(-0.3, abs=0.04)
    assert all(abs(weights.get(name, 0.0)) < 0.04 for name in FEATURES if name not in ("agreement", "border"))
    assert all(weight >= 0 for name, weight in weights.items() if name not in ("border", "area"))


def test_the_reading_is_scikit_learns_logistic_regression(fitting: ModuleType) -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    generator = np.random.default_rng(3)
    rows = generator.normal(0.4, [0.2, 0.1], (150, 2))
    right = generator.random(150) < 1 / (1 + np.exp(-(9 * rows[:, 0] + 6 * rows[:, 1] - 6)))
    weights, offset = fitting.fit_reading(rows, right)
    standard = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    other = linear.LogisticRegression(C=1.0, tol=1e-10).fit(standard, right)
    expected = other.coef_[0] / rows.std(axis=0)
    assert weights == pytest.approx(expected, rel=1e-4)
    assert offset == pytest.approx(other.intercept_[0] - expected @ rows.mean(axis=0), rel=1e-4)
    held, _ = fitting.fit_reading(rows, ~right)
    assert held.tolist() == [0.0, 0.0]


def test_errors_are_scikit_learns(fitting: ModuleType, drawn: list[object]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    calibration = pytest.importorskip("sklearn.calibration")
    results = fitting.nested(drawn, drawn, 0.7)
    figures = fitting.reliability(results, 0.7, 5)
    probability = np.array([result.probability for result in results])
    right = np.array([result.iou >= 0.7 for result in results])
    assert figures["brier"]["value"] == pytest.approx(metrics.brier_score_loss(right, probability))
    observed, expected = calibration.calibration_curve(right, probability, n_bins=5, strategy="quantile")
    assert [row["observed"] for row in figures["bins"]] == pytest.approx(observed.tolist())
    assert [row["expected"] for row in figures["bins"]] == pytest.approx(expected.tolist())
    ece = sum(row["n"] * abs(row["expected"] - row["observed"]) for row in figures["bins"]) / len(results)
    assert figures["ece"]["value"] == pytest.approx(ece)
    low, high = figures["brier"]["ci95"]
    assert low < figures["brier"]["value"] < high


def test_no_photo_is_scored_by_a_rule_that_saw_its_group(
    fitting: ModuleType, drawn: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[str]] = []
    fit: Callable[..., object] = fitting.fit_rule

    def noted(photos: Sequence[Any], levels: Sequence[float]) -> object:
        seen.append({photo.group for photo in photos})
        return fit(photos, levels)

    monkeypatch.setattr(fitting, "fit_rule", noted)
    results = fitting.nested(drawn, drawn, 0.7)
    assert seen == [{"b", "c", "d"}, {"a", "c", "d"}, {"a", "b", "d"}, {"a", "b", "c"}]
    assert len(results) == len(drawn)
    mean, low, high = fitting.mean_interval([result.iou for result in results])
    assert low < mean < high
    assert mean > np.mean([iou for photo in drawn for iou in photo.iou])  # type: ignore[attr-defined]  # a MaskedPhoto
