"""Shares and class means."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.exports.evaluation.values import EMPTY, Bools, Ints, require


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


def sd_between_draws(values: NDArray[Any], labels: Ints) -> float | None:
    """Standard deviation (of a sample) between the class means of ``(I, D)`` values in each draw; None for one draw."""
    if values.shape[1] < 2:
        return None
    means = np.mean([values[labels == label].mean(axis=0) for label in np.unique(labels)], axis=0)
    return float(np.std(means, ddof=1))
