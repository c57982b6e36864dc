"""Relative foreground sensitivity (RFS) under noise, and its null.

Noise of one standard deviation a pixel carries more energy on the larger region, so that a model that looks at no place
in particular has an RFS that follows the object's area. The null is the RFS of the same noise rolled to another place
of the canvas; RFS beyond its null is 0 for such a model, whatever the area.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from figureground.exports.evaluation.intervals import (
    MIN_DECIDABLE,
    Sampling,
    bootstrap_interval,
    bootstrap_p,
    interval_json,
    mean_estimate,
    paired_difference,
    share_interval,
)
from figureground.exports.evaluation.label_spaces import ClassMap
from figureground.exports.evaluation.protocols.noise import DISPLACED, NOISE_LEVELS, REGIONS, NoiseSettings
from figureground.exports.evaluation.protocols.outcomes import Outcomes
from figureground.exports.evaluation.shares import mean_of_class_means
from figureground.exports.evaluation.tables import Cell, Figure, measured_cell, value_figures
from figureground.exports.evaluation.values import Bools, Floats, Ints

AREA_EDGES: Final = (0.0, 0.05, 0.1, 0.2, 0.4, 1.0)  # shares of the canvas that slice objects
RFS_NAMES: Final = ("rfs", "rfs_null", "rfs_beyond_null", "rfs_skill")


def relative_foreground_sensitivity(a_fg: Floats | float, a_bg: Floats | float, undefined: str = "strict") -> Floats:
    """RFS = (a_bg - a_fg) / (2 min(ā, 1 - ā)) with ā the mean of both, in [-1, 1].

    ``a_fg`` and ``a_bg`` are accuracies under noise on the foreground and on the background, of one shape. The
    denominator is the largest gap that ā allows. Where ā is 0 or 1 there is none: NaN, or 0 under ``hardimagenet``.
    The formula is that of the code of Moayeri et al. (CVPR 2022), mmoayeri/RIVAL10. Weighted means of accuracies differ
    from 0 and 1 in their last digits, and count as these.
    """
    figure, ground = np.asarray(a_fg, np.float64), np.asarray(a_bg, np.float64)
    mean = (figure + ground) / 2
    largest = 2 * np.minimum(mean, 1 - mean)
    empty = 0.0 if undefined == "hardimagenet" else np.nan
    return np.asarray(np.divide(ground - figure, largest, out=np.full(mean.shape, empty), where=largest > 1e-9))


def skill_beyond(value: Floats | float, null: Floats | float, best: Floats | float = 1.0) -> Floats:
    """(value - null) / (best - null): 0 for what the null has, 1 for the best there is; NaN where these are the same.

    The skill score of forecasts (Murphy, Monthly Weather Review 116, 1988), as Cohen's kappa is one.
    """
    top, room = np.asarray(value, np.float64) - null, np.asarray(best, np.float64) - null
    top, room = np.broadcast_arrays(top, room)
    return np.asarray(np.divide(top, room, out=np.full(room.shape, np.nan), where=room > 1e-9))


def instance_rfs(p_fg: Floats, p_bg: Floats) -> Floats:
    """iRFS: RFS of one image's true-class probabilities; 0 where it is undefined, as in the released code."""
    return relative_foreground_sensitivity(p_fg, p_bg, "hardimagenet")


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionalShares:
    """Right answers under one kind of noise at L levels, by region: of I images, and B resamples of class means."""

    labels: Ints  # (I,)
    images: Mapping[str, Floats]  # (I, L) share of trials that are right
    means: Mapping[str, Floats]  # (L,) class means
    samples: Mapping[str, Floats]  # (B, L), of one bootstrap over images for all regions
    jitter: Mapping[str, Floats]  # (B,) of figure and ground, what images that nobody saw would move samples by
    undefined: str  # what RFS is where it has none

    def pooled(self) -> RegionalShares:
        """Averaged over levels, so that RFS is taken once, as in the released code."""
        images, means, samples = (
            {region: values.mean(axis=-1, keepdims=True) for region, values in shares.items()}
            for shares in (self.images, self.means, self.samples)
        )
        return dataclasses.replace(self, images=images, means=means, samples=samples)

    def rfs(self, place: str = "") -> tuple[Floats, Floats]:
        """RFS ``(L,)`` and of resamples ``(B, L)``; ``place`` is empty, or ``DISPLACED`` for the null."""
        value, samples = (
            relative_foreground_sensitivity(shares[f"{place}figure"], shares[f"{place}ground"], self.undefined)
            for shares in (self.means, self.samples)
        )
        return value, samples

    def jittered_rfs(self, level: int) -> tuple[Floats, Floats]:
        """RFS and its null, of resamples ``(B,)`` to which the jitter is added in place and taken away displaced."""
        own, null = (
            relative_foreground_sensitivity(*self._jittered(level, place, sign), self.undefined)
            for place, sign in (("", 1), (DISPLACED, -1))
        )
        return own, null

    def _jittered(self, level: int, place: str, sign: int) -> tuple[Floats, Floats]:
        figure, ground = (
            np.clip(self.samples[f"{place}{region}"][:, level] + sign * self.jitter[region], 0, 1) for region in REGIONS
        )
        return figure, ground

    def describe(self, level: int) -> dict[str, dict[str, Any]]:
        """RFS at one level, and where noise was displaced its null and what it has beyond that, JSON-ready.

        RFS beyond its null is in [-2, 2]; its skill is the share of what lies between the null and 1, at most 1. Their
        intervals are of resamples that both are of, each with a few images more that noise hurts in one place and not
        in the other. Without those, images that nearly all agree would pass for certainty, as they do in a percentile
        bootstrap of any paired difference. An image's draws of noise and displacement stay with it.
        """
        value, samples = (array[..., level] for array in self.rfs())
        described = {"rfs": self._cell(value, samples, level)}
        if f"{DISPLACED}figure" not in self.means:
            return described
        null, null_samples = (array[..., level] for array in self.rfs(DISPLACED))
        drawn, n = self.jittered_rfs(level), len(self.labels)
        return {
            **described,
            "rfs_null": self._cell(null, null_samples, level, DISPLACED),
            "rfs_beyond_null": _bootstrap_cell(value - null, drawn[0] - drawn[1], n),
            "rfs_skill": _bootstrap_cell(skill_beyond(value, null), skill_beyond(*drawn), n),
        }

    def _cell(self, value: Floats, samples: Floats, level: int, place: str = "") -> dict[str, Any]:
        """RFS with its interval; p is that of the difference of the accuracies on ground and figure."""
        ground, figure = (self.images[f"{place}{region}"][:, level] for region in ("ground", "figure"))
        p = paired_difference(ground, figure, self.labels).p if np.isfinite(value) else None
        return {**_bootstrap_cell(value, samples, len(self.labels)), "p": p}


def regional_shares(
    outcomes: Outcomes,
    settings: NoiseSettings,
    kind: str,
    grow_px: int,
    sampling: Sampling,
    chosen: Bools | None = None,
) -> RegionalShares:
    """Right answers under one kind of noise, of all images or of those ``chosen``, ``(I,)``."""
    columns = region_columns(settings, kind, grow_px)
    rows = np.arange(len(outcomes.label)) if chosen is None else np.flatnonzero(chosen)
    labels = outcomes.label[rows]
    images = {region: outcomes.right[rows][:, indices].mean(axis=2) for region, indices in columns.items()}
    drawn = np.split(sampling.bootstrap(np.concatenate(list(images.values()), axis=1), labels), len(images), axis=1)
    means = {region: mean_of_class_means(values, labels) for region, values in images.items()}
    return RegionalShares(
        labels=labels,
        images=images,
        means=means,
        samples=dict(zip(images, drawn, strict=True)),
        jitter=draw_jitter(labels, sampling),
        undefined=settings.undefined,
    )


def draw_jitter(labels: Ints, sampling: Sampling) -> dict[str, Floats]:
    """What one more image of every kind of disagreement between a place and the other would move samples by.

    As Bonett and Price add one pair of each discordant kind to the interval of a paired difference (Journal of
    Educational and Behavioral Statistics 37(4), 2012). An image comes into a resample a Poisson number of times, of
    mean 1; it moves class means by what an image weighs, half of it in either place.
    """
    _, sizes = np.unique(labels, return_counts=True)
    images = len(sizes) ** 2 / float((1 / sizes).sum())
    drawn = np.random.Generator(np.random.PCG64([sampling.seed, 1])).poisson(1.0, (sampling.count, 2, 2))
    moved = (drawn[..., 0] - drawn[..., 1]) / (2 * images)
    return dict(zip(REGIONS, moved.T, strict=True))


def region_columns(settings: NoiseSettings, kind: str, grow_px: int) -> dict[str, list[int]]:
    """Conditions of one kind of noise by region, level after level."""
    columns: dict[str, list[int]] = {region: [] for region in settings.regions(kind)}
    for index, condition in enumerate(settings.conditions()):
        if (condition.kind, condition.grow_px) == (kind, grow_px):
            columns[condition.region].append(index)
    return columns


def summarise_noise(
    outcomes: Outcomes, classes: ClassMap, settings: NoiseSettings, kind: str, grow_px: int, sampling: Sampling
) -> dict[str, Any]:
    """Accuracies and RFS at every level of one kind of noise, over class means, all levels pooled, and by area."""
    levels, shares = list(settings.levels[kind]), regional_shares(outcomes, settings, kind, grow_px, sampling)
    pooled, columns = shares.pooled(), region_columns(settings, kind, grow_px)
    by_level = [shares.describe(index) for index in range(len(levels))]
    return {
        "levels": levels,
        **{
            f"accuracy_{region}": [
                {"value": float(mean), "ci95": share_interval(values, shares.labels)}
                for mean, values in zip(shares.means[region], shares.images[region].T, strict=True)
            ]
            for region in columns
        },
        **{name: [described[name] for described in by_level] for name in by_level[0]},
        "pooled": {
            **{f"accuracy_{region}": float(mean[0]) for region, mean in pooled.means.items()},
            **pooled.describe(0),
        },
        "by_area": list(_slice_areas(outcomes, settings, kind, grow_px, sampling)),
        "rfs_slope": _slope_json(levels, *shares.rfs(), len(shares.labels)),
        **_instance_summary(outcomes, columns, classes),
    }


def _slice_areas(
    outcomes: Outcomes, settings: NoiseSettings, kind: str, grow_px: int, sampling: Sampling
) -> Iterator[dict[str, Any]]:
    """RFS over all levels of the images whose objects cover from one share of the canvas to below the next."""
    for low, high in itertools.pairwise(AREA_EDGES):
        chosen = (outcomes.area >= low) & ((outcomes.area < high) | (high == AREA_EDGES[-1]))
        if not chosen.any():
            continue
        pooled = regional_shares(outcomes, settings, kind, grow_px, sampling, chosen).pooled()
        n = int(chosen.sum())
        yield {"area": [low, high], "n": n, "undecidable": n < MIN_DECIDABLE, **pooled.describe(0)}


def _instance_summary(outcomes: Outcomes, columns: Mapping[str, Sequence[int]], classes: ClassMap) -> dict[str, Any]:
    """IRFS over class means, and by class: of probabilities averaged over trials, and then averaged over levels."""
    irfs = instance_rfs(*(outcomes.probability[:, columns[region]].mean(axis=2) for region in REGIONS)).mean(axis=1)
    by_label = {int(label): irfs[outcomes.label == label].mean() for label in np.unique(outcomes.label)}
    mean = mean_estimate(irfs, outcomes.label, (-1.0, 1.0))
    return {
        "irfs_per_class": {
            owner: float(by_label[index]) for index, owner in enumerate(classes.names) if index in by_label
        },
        "irfs": mean.value,
        "irfs_ci95": mean.ci95,
    }


def _bootstrap_cell(value: Floats, samples: Floats, n: int) -> dict[str, Any]:
    """A figure of ``n`` images with interval and p of its resamples ``(B,)``, or why it has none; JSON-ready."""
    finite = bool(np.isfinite(value))
    ci95 = bootstrap_interval(samples, n) if finite else None
    return {
        **interval_json(float(value) if finite else None, ci95),
        "p": bootstrap_p(samples) if ci95 else None,
        "undefined_share": float(1 - np.isfinite(samples).mean()),
    }


def _slope_json(levels: Sequence[float], rfs: Floats, samples: Floats, n: int) -> dict[str, Any]:
    """Least-squares slope of RFS over the levels, which run from 0 to 1, with its bootstrap interval.

    A figure of ours, in no paper: how fast a model turns from ground to figure as noise grows. Levels without RFS are
    left out.
    """
    defined = np.isfinite(rfs)
    if defined.sum() < 2:
        return {"value": None, "ci95": None}
    at = np.asarray(levels)[defined] / max(levels)
    weights = (at - at.mean()) / ((at - at.mean()) ** 2).sum()
    ci95 = bootstrap_interval(samples[:, defined] @ weights, n)
    return {"value": float(rfs[defined] @ weights), "ci95": ci95}


def noise_cells(kind: str, grown: str, noise: Mapping[str, Any], few: bool) -> dict[str, Cell]:
    """Accuracies and RFS of one kind of noise, at every level, over all levels and by area.

    ``grown`` says how masks were changed.
    """
    cells = {}
    for index, level in enumerate(noise["levels"]):
        row = f"{kind} {level:.3g}{grown}"
        for region in REGIONS:
            cells[f"{row}: noise on {region}"] = measured_cell(noise[f"accuracy_{region}"][index], few=few)
        cells |= rfs_cells(row, {name: noise[name][index] for name in RFS_NAMES if name in noise}, few)
    cells |= rfs_cells(f"{kind}{grown}, all levels", noise["pooled"], few)
    for part in noise["by_area"]:
        low, high = (f"{100 * edge:.0f}" for edge in part["area"])
        row = f"{kind}{grown}, all levels, object {low} to {high} % of the canvas (n {part['n']})"
        cells |= rfs_cells(row, part, part["undecidable"])
    return cells


def rfs_cells(row: str, measured: Mapping[str, Any], few: bool) -> dict[str, Cell]:
    """RFS, and where there is one its null, which is not tested, and what RFS has beyond it."""
    cells = {f"{row}: RFS": measured_cell(measured["rfs"], signed=True, few=few)}
    if "rfs_null" in measured:
        null = measured["rfs_null"]
        cells[f"{row}: RFS of displaced masks"] = Cell(null["value"], null["ci95"], signed=True, few=few)
        cells[f"{row}: RFS beyond displaced masks"] = measured_cell(measured["rfs_beyond_null"], signed=True, few=few)
        skill = measured["rfs_skill"]  # whose test is that of the row above
        cells[f"{row}: RFS skill"] = Cell(skill["value"], skill["ci95"], signed=True, few=few)
    return cells


def rfs_figures(kinds: Mapping[str, Mapping[str, Any]]) -> Iterator[Figure]:
    """RFS over all levels of every kind of noise, the headline first, each with what it has beyond its null."""
    for kind in headline_first(kinds):
        pooled = kinds[kind]["pooled"]
        names = {"rfs_beyond_null": f"rfs_{kind}_beyond_null", "rfs": f"rfs_{kind}"}
        yield from value_figures({title: pooled[name] for name, title in names.items() if name in pooled})


def headline_first(kinds: Iterable[str]) -> list[str]:
    """Kinds of noise in the order of tables: l2 gives figure and ground the same energy, whatever their areas."""
    return sorted(kinds, key=list(NOISE_LEVELS).index)
