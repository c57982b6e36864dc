"""Figures of the train x test table, with intervals: one head on one config, and two of those against each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from figureground.exports.evaluation.shares import ImageShares, compare_pairs, measure_accuracy
from figureground.exports.evaluation.tables import format_cell


def measure_cell(right: ImageShares, *, count: int, seed: int) -> dict[str, Any]:
    """Accuracy of a head on a config, over images and over class means, with intervals of ``count`` resamples."""
    return measure_accuracy(right, count=count, seed=seed)


def compare_cells(right: Mapping[str, ImageShares], pair: tuple[str, str], *, count: int, seed: int) -> dict[str, Any]:
    """The first of ``pair`` minus the second, paired by image, over images (micro) and class means (macro)."""
    (compared,) = compare_pairs(right, [pair], count=count, seed=seed).values()
    return compared


def accuracy_text(cell: Mapping[str, Any]) -> str:
    """Class mean in percent with its interval."""
    return format_cell(cell["accuracy_macro"], cell["ci95"])


def difference_text(compared: Mapping[str, Any]) -> str:
    """A difference of class means in points; without a star: nothing corrects for the number of comparisons."""
    return format_cell(compared["macro"]["value"], compared["macro"]["ci95"], signed=True, marked=False)
