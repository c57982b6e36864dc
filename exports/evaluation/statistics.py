"""Shares, class means, and their intervals."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest  # type: ignore[import-untyped]  # ships no annotations

from figureground.exports.evaluation.values import EMPTY, Bools, Floats, Ints, require

_BOOTSTRAP_CELLS: Final = 1 << 21  # resampled counts held at once: 16 MB of int64


def accuracy_micro(correct: Bools) -> float:
    """Share of right answers over all images and draws; ``correct`` is ``(I, D)``."""
    require(correct.size, EMPTY)
    return float(correct.mean())


def accuracy_per_class(correct: Bools, labels: Ints) -> dict[int, float]:
    """Share of right answers in each class that has images; ``correct`` is ``(I, D)``."""
    return {int(label): accuracy_micro(correct[labels == label]) for label in np.unique(labels)}


def accuracy_macro(correct: Bools, labels: Ints) -> float:
    """Mean of the class accuracies: every class counts the same, however many images it has."""
    require(correct.size, EMPTY)
    return float(np.mean(list(accuracy_per_class(correct, labels).values())))


def mcnemar_exact(first: Bools, second: Bools) -> float:
    """Two-sided p of McNemar's exact test: of images that only one of two ``(I,)`` gets right, is it half and half?"""
    require(first.size, EMPTY)
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    return float(binomtest(only_first, only_first + only_second).pvalue) if only_first + only_second else 1.0


def bootstrap_class_means(values: Floats, labels: Ints, *, count: int, seed: int) -> Floats:
    """Bootstrap the mean over classes of class means; columns share each resample, so their differences are paired.

    Images are resampled within their class. Draws are resampled as wholes, crossed with the images (the pigeonhole
    bootstrap of Owen, Annals of Applied Statistics 1(2), 2007): draw d of one image goes with draw d of all others.
    Equal rows of a class are interchangeable, so their counts in a resample are multinomial; drawing those is the
    same bootstrap as drawing indices, in the memory of the distinct rows. ``values`` is ``(I, M, D)``, images by
    quantities by draws; the result ``(B, M)``, with B = ``count``; ``seed`` is PCG64's.
    """
    require(values.size, EMPTY)
    _, columns, draws = values.shape
    generator = np.random.Generator(np.random.PCG64(seed))
    weights = generator.multinomial(draws, np.full(draws, 1 / draws), size=count) / draws
    classes = np.unique(labels)
    means = np.zeros((count, columns))
    for label in classes:
        rows = values[labels == label].reshape(-1, columns * draws)
        distinct, frequency = np.unique(rows, axis=0, return_counts=True)
        step = max(1, _BOOTSTRAP_CELLS // len(distinct))
        for start in range(0, count, step):
            stop = min(start + step, count)
            drawn = generator.multinomial(len(rows), frequency / len(rows), size=stop - start)
            sums = (drawn @ distinct).reshape(-1, columns, draws)
            means[start:stop] += np.einsum("bmd,bd->bm", sums, weights[start:stop]) / len(rows)
    return means / len(classes)


def bootstrap_means(
    values: Floats, labels: Ints, *, over: str, count: int, seed: int, cluster: str = "image"
) -> Floats:
    """Bootstrap the mean over ``images``, or over ``classes`` of class means, of ``(I, M)`` values: ``(B, M)``, paired.

    Under the cluster ``image`` images are resampled, for class means within their class; under ``class`` whole classes
    are, as if the dataset's were a sample of all classes.
    """
    sampling, alike = {"count": count, "seed": seed}, np.zeros_like(labels)
    if cluster == "image":
        return bootstrap_class_means(values[:, :, None], labels if over == "classes" else alike, **sampling)
    _, class_of_image, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    sums = np.stack([np.bincount(class_of_image, weights=column) for column in values.T], axis=1)
    cells = sums / sizes[:, None] if over == "classes" else np.concatenate([sums, sizes[:, None]], axis=1)
    drawn = bootstrap_class_means(cells[:, :, None], alike[: len(sizes)], **sampling)
    return drawn if over == "classes" else drawn[:, :-1] / drawn[:, -1:]


def bootstrap_interval(samples: Floats, outcomes: Bools | None = None) -> list[float]:
    """Central 95 % of bootstrap samples ``(B,)``; Wilson's interval where all ``outcomes`` ``(I, D)`` agree.

    Every resample is alike then: the bootstrap would be certain of what few images happen to show.
    """
    if outcomes is not None and bool((outcomes == outcomes[0, 0]).all()):
        return wilson_interval(int(outcomes[:, 0].sum()), len(outcomes))
    return [float(bound) for bound in np.quantile(samples, [0.025, 0.975])]


def wilson_interval(right: int, total: int) -> list[float]:
    """Wilson's 95 % score interval of a share; it has a width even where all or none are right."""
    return [float(bound) for bound in binomtest(right, total).proportion_ci(0.95, method="wilson")]


def varying_interval(samples: Floats, outcomes: Floats | None = None) -> list[float] | None:
    """Central 95 % of ``(B,)`` samples that differ; else Wilson's for ``(I,)`` outcomes all 0 or all 1; else None.

    Where resamples cannot vary, as where every answer of one side is right, few images would pass for certainty.
    """
    if len(samples) and float(np.ptp(samples)) > 1e-9:  # sums of floats differ in their last digits
        return bootstrap_interval(samples)
    alike = outcomes is not None and outcomes.mean() in (0, 1)
    return wilson_interval(int(outcomes.sum()), len(outcomes)) if alike and outcomes is not None else None


def sd_between_draws(values: NDArray[Any], labels: Ints) -> float | None:
    """Standard deviation (of a sample) between the class means of ``(I, D)`` values in each draw; None for one draw."""
    if values.shape[1] < 2:
        return None
    means = np.mean([values[labels == label].mean(axis=0) for label in np.unique(labels)], axis=0)
    return float(np.std(means, ddof=1))
