"""What a change of the images costs: accuracy, and the probability of the true class."""

from __future__ import annotations

from typing import Any

import numpy as np

from figureground.exports.evaluation.intervals import MIN_DECIDABLE, mean_estimate, paired_difference, share_interval
from figureground.exports.evaluation.protocols.outcomes import Outcomes
from figureground.exports.evaluation.shares import accuracy_macro, accuracy_micro
from figureground.exports.evaluation.values import Floats, Ints, list_names, require


def describe_accuracy(outcomes: Outcomes, condition: int) -> dict[str, Any]:
    """Accuracy under a condition, with its interval, and the mean probability of the true class."""
    right = outcomes.right[:, condition]
    return {
        "accuracy_macro": accuracy_macro(right, outcomes.label),
        "accuracy_micro": accuracy_micro(right),
        "ci95": share_interval(right.mean(axis=1), outcomes.label),
        "p_true": accuracy_macro(outcomes.probability[:, condition], outcomes.label),  # type: ignore[arg-type]
    }


def row_means(outcomes: Outcomes, rows: Any, condition: int = 0) -> Floats:  # noqa: ANN401  an index of NumPy's
    """Share of trials that are right, and mean probability of the true class, ``(R, 2)``; first without noise."""
    columns = (outcomes.right[rows, condition], outcomes.probability[rows, condition])
    return np.stack([column.mean(axis=1) for column in columns], axis=1)


def rows_of(base: Outcomes, other: Outcomes) -> Ints:
    """Rows of ``base`` that hold the images of ``other``; ``EvaluationError`` if it lacks some."""
    row_of = {name: row for row, name in enumerate(base.image_id)}
    missing = sorted(set(other.image_id) - set(row_of))
    require(not missing, f"expected the images of original in every config; it lacks {list_names(missing)}")
    return np.array([row_of[name] for name in other.image_id], dtype=np.int64)


def measure_drops(before: Floats, after: Floats, labels: Ints) -> dict[str, Any]:
    """Loss of accuracy and of the true class's probability over strata; ``before`` and ``after`` are (R, 2)."""
    lost = before - after
    return {
        "accuracy_drop": paired_difference(before[:, 0], after[:, 0], labels).json(),
        "p_true_drop": mean_estimate(lost[:, 1], labels, (-1.0, 1.0)).json(),
        "undecidable": len(labels) < MIN_DECIDABLE,
    }


def describe_ablation(base: Outcomes, ablated: Outcomes) -> dict[str, Any]:
    """What an ablation costs, over class means of the same images."""
    before, after = row_means(base, rows_of(base, ablated)), row_means(ablated, slice(None))
    return {**describe_accuracy(ablated, 0), **measure_drops(before, after, ablated.label)}
