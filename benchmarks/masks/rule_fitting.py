"""Fitting the rule that ranks masks, and what it is worth on photos that it was not fitted on.

Within each photo, IoU with the true mask is regressed on features, both less their means over the photo, by least
squares with a ridge, each weight held to the sign that makes sense (Lawson and Hanson, Solving Least Squares Problems,
1974, bounded). The sum so weighted ranks a photo's masks. Of the first masks, ranked by rules that had not seen their
groups, the probability of an IoU of t or more is a logistic function of how far segmenters agree, with a ridge and
without a falling weight. Ridge and features of the ranking are chosen inside, by mean IoU of the first masks over
groups left out one after another, and the whole is scored on groups that it has not seen: cross-validation within
cross-validation (Varma and Simon, BMC Bioinformatics 7:91, 2006).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear, minimize
from scipy.stats import binomtest, bootstrap

from figureground.annotate.proposals.mask_features import FEATURES
from figureground.annotate.proposals.ranking_rule import RankingRule

Floats = NDArray[np.float64]

FALLING: Final = ("border",)
"""Features of which more speaks against a mask; of ``area`` neither is known, of the others more speaks for it."""
FREE: Final = ("area",)
FEATURE_SETS: Final = (
    ("agreement",),
    ("agreement", "nearest", "saliency"),
    ("agreement", "nearest", "saliency", "score", "stability"),
    tuple(FEATURES),
)
RIDGES: Final = (0.001, 0.01, 0.1, 1.0)
"""Penalties on squared weights of standardised features, for each mask of the fit."""
AGREEMENTS: Final = ("agreement", "nearest", "saliency")
"""Features that the probability is read from."""
LEVELS: Final = (0.8, 0.9, 0.95)
"""IoUs from which a mask may be said to need no correction."""
SEED: Final = 20260101


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskedPhoto:
    """A photo's masks by several segmenters, with how good each is."""

    name: str
    group: str
    """Species or sequence: photos of one group are never on both sides of a fit."""
    segmenters: tuple[str, ...]
    """Whose each mask is."""
    ranks: tuple[int, ...]
    """Each mask's rank among those of its segmenter."""
    features: tuple[Mapping[str, float], ...]
    iou: tuple[float, ...]
    """Each mask's IoU with the true one."""

    def single(self, segmenter: str) -> float:
        """IoU of a segmenter's first choice; 0 where it has none."""
        pairs = zip(self.segmenters, self.ranks, self.iou, strict=True)
        return next((iou for name, rank, iou in pairs if name == segmenter and rank == 0), 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A photo's first mask by a rule that has not seen its group."""

    photo: MaskedPhoto
    iou: float
    probability: float
    """That its IoU is the level or more."""


def fit_weights(photos: Sequence[MaskedPhoto], names: Sequence[str], ridge: float) -> dict[str, float]:
    """Weight of each feature in the difference of IoU between masks of one photo; those of 0 are left out."""
    rows, target = [], []
    for photo in photos:
        if len(photo.iou) > 1:
            values = np.array([[features[name] for name in names] for features in photo.features])
            rows.append(values - values.mean(axis=0))
            target.append(np.array(photo.iou) - np.mean(photo.iou))
    stacked = np.vstack(rows)
    spread = np.maximum(stacked.std(axis=0), 1e-9)
    penalty = np.sqrt(ridge * len(stacked)) * np.eye(len(names))
    lower = [-np.inf if name in (*FALLING, *FREE) else 0.0 for name in names]
    upper = [0.0 if name in FALLING else np.inf for name in names]
    left, right = np.vstack([stacked / spread, penalty]), np.r_[np.concatenate(target), np.zeros(len(names))]
    fit = lsq_linear(left, right, (lower, upper), tol=1e-12)
    return {name: weight for name, weight in zip(names, fit.x / spread, strict=True) if abs(weight) > 1e-6}


def merits(photo: MaskedPhoto, weights: Mapping[str, float]) -> list[float]:
    """The weighted sum of each mask."""
    return [
        math.fsum(weight * features[name] for name, weight in sorted(weights.items())) for features in photo.features
    ]


def first_mask(photo: MaskedPhoto, weights: Mapping[str, float]) -> int:
    """Number of the mask that ranks first, of a photo that has some."""
    sums = merits(photo, weights)
    return min(range(len(sums)), key=lambda index: (-sums[index], photo.ranks[index], photo.segmenters[index]))


def first_iou(photo: MaskedPhoto, weights: Mapping[str, float]) -> float:
    """IoU of the mask that ranks first; 0 for a photo without any."""
    return photo.iou[first_mask(photo, weights)] if photo.iou else 0.0


def fit_reading(rows: Floats, right: NDArray[np.bool_]) -> tuple[Floats, float]:
    """Weights and offset of a logistic regression with a ridge of 1 on standardised features, no weight below 0.

    Args:
        rows: ``(N, F)``, features of N first masks.
        right: ``(N,)`` bool, which of them need no correction.
    """
    centre, spread = rows.mean(axis=0), np.maximum(rows.std(axis=0), 1e-9)
    standard, sign = (rows - centre) / spread, np.where(right, 1.0, -1.0)

    def loss(parameters: Floats) -> tuple[float, Floats]:
        margins = sign * (standard @ parameters[:-1] + parameters[-1])
        pull = -sign / (1 + np.exp(margins))
        gradient = np.r_[standard.T @ pull + parameters[:-1], pull.sum()]
        return float(np.logaddexp(0, -margins).sum() + parameters[:-1] @ parameters[:-1] / 2), gradient

    bounds = [(0.0, None)] * rows.shape[1] + [(None, None)]
    start = np.zeros(rows.shape[1] + 1)
    fit = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-15, "gtol": 1e-9})
    weights = fit.x[:-1] / spread
    return weights, float(fit.x[-1] - weights @ centre)


def choose(photos: Sequence[MaskedPhoto]) -> tuple[tuple[str, ...], float]:
    """Features and ridge with the greatest mean IoU of the first masks, each group left out of its own fit."""
    groups = sorted({photo.group for photo in photos})
    means = {}
    for names, ridge in product(FEATURE_SETS, RIDGES):
        ious = []
        for group in groups:
            weights = fit_weights([photo for photo in photos if photo.group != group], names, ridge)
            ious += [first_iou(photo, weights) for photo in photos if photo.group == group]
        means[names, ridge] = round(float(np.mean(ious)), 6)
    return max(means, key=lambda key: (means[key], -len(key[0]), key[1]))


def fit_rule(photos: Sequence[MaskedPhoto], levels: Sequence[float] = LEVELS) -> RankingRule:
    """The rule of some photos: features and ridge chosen, weights fitted, first masks of left-out groups read."""
    names, ridge = choose(photos)
    rows, ious = [], []
    for group in sorted({photo.group for photo in photos}):
        weights = fit_weights([photo for photo in photos if photo.group != group], names, ridge)
        for photo in photos:
            if photo.group == group and photo.iou:
                first = first_mask(photo, weights)
                rows.append([photo.features[first][name] for name in AGREEMENTS])
                ious.append(photo.iou[first])
    readings: dict[float, dict[str, Any]] = {}
    for level in levels:
        slopes, offset = fit_reading(np.array(rows), np.array(ious) >= level)
        named = {name: round(float(slope), 6) for name, slope in zip(AGREEMENTS, slopes, strict=True)}
        readings[level] = {"offset": round(offset, 6), "weights": named}
    fitted = {name: round(float(weight), 6) for name, weight in fit_weights(photos, names, ridge).items()}
    return RankingRule.model_validate(
        {
            "name": "first_masks",
            "version": 2,
            "fitted": f"ridge {ridge:g}",
            "weights": fitted,
            "needs_no_correction": readings,
        }
    )


def nested(photos: Sequence[MaskedPhoto], scored: Sequence[MaskedPhoto], level: float) -> list[Scored]:
    """First masks of some of the photos, each by the rule of all groups but its own."""
    results = []
    for group in sorted({photo.group for photo in scored}):
        rule = fit_rule([photo for photo in photos if photo.group != group], (level,))
        results += scored_by(rule, [photo for photo in scored if photo.group == group], level)
    return results


def scored_by(rule: RankingRule, photos: Sequence[MaskedPhoto], level: float) -> list[Scored]:
    """First masks of photos by one rule, which must not have seen them."""
    results = []
    for photo in photos:
        first = first_mask(photo, rule.weights) if photo.iou else None
        probability = 0.0 if first is None else rule.probability(photo.features[first], level)
        results.append(Scored(photo=photo, iou=first_iou(photo, rule.weights), probability=probability))
    return results


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and its 95 % interval: bias-corrected and accelerated bootstrap over photos, 10,000 resamples."""
    data = np.asarray(values, dtype=np.float64)
    if np.ptp(data) == 0:
        return float(data.mean()), float(data.mean()), float(data.mean())
    result = bootstrap((data,), np.mean, n_resamples=10_000, method="BCa", rng=np.random.default_rng(SEED))
    return float(data.mean()), float(result.confidence_interval.low), float(result.confidence_interval.high)


def calibration_error(probability: Floats, right: Floats, bins: int) -> float:
    """Expected calibration error over bins of equal numbers (Naeini, Cooper, Hauskrecht, AAAI 2015)."""
    order = np.argsort(probability, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return float(sum(len(part) * abs(probability[part].mean() - right[part].mean()) for part in parts) / len(order))


def reliability(results: Sequence[Scored], level: float, bins: int) -> dict[str, Any]:
    """Bins of equal numbers with what was expected and observed, and errors with percentile intervals over photos."""
    probability = np.array([result.probability for result in results])
    right = np.array([float(result.iou >= level) for result in results])
    rows = []
    for part in np.array_split(np.argsort(probability, kind="stable"), bins):
        hits = int(right[part].sum())
        low, high = binomtest(hits, len(part)).proportion_ci(method="wilson")
        expected = float(probability[part].mean())
        rows.append(
            {"n": len(part), "expected": expected, "observed": hits / len(part), "ci95": [float(low), float(high)]}
        )
    generator = np.random.default_rng(SEED)
    draws = [generator.integers(0, len(right), len(right)) for _ in range(2000)]
    figures: dict[str, Any] = {"bins": rows, "n": len(right), "share": float(right.mean())}
    measures = {
        "brier": lambda one: float(np.mean((probability[one] - right[one]) ** 2)),
        "brier_of_the_share": lambda one: float(right[one].mean() * (1 - right[one].mean())),
        "ece": lambda one: calibration_error(probability[one], right[one], bins),
    }
    for name, measure in measures.items():
        bounds = np.percentile([measure(draw) for draw in draws], [2.5, 97.5])
        figures[name] = {"value": measure(np.arange(len(right))), "ci95": [float(bound) for bound in bounds]}
    return figures
