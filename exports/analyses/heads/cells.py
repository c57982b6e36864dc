"""Figures of the train x test table, with intervals: one head on one config, and two of those against each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from figureground.exports.evaluation.intervals import Sampling
from figureground.exports.evaluation.shares import ImageShares, compare_pairs, measure_accuracy
from figureground.exports.evaluation.tables import Cell, measured_cell


def measure_cell(right: ImageShares, sampling: Sampling) -> dict[str, Any]:
    """Accuracy of a head on a config, over images and over class means, with intervals."""
    return measure_accuracy(right, sampling)


def compare_cells(right: Mapping[str, ImageShares], pair: tuple[str, str], sampling: Sampling) -> dict[str, Any]:
    """The first of ``pair`` minus the second, paired by image, over images (micro) and class means (macro)."""
    (compared,) = compare_pairs(right, [pair], sampling).values()
    return compared


def accuracy_cell(measured: Mapping[str, Any]) -> Cell:
    """Class mean with its interval, as a text table shows it; the head of its column says whether images are few."""
    return Cell(measured["accuracy_macro"], measured["ci95"])


def difference_cell(compared: Mapping[str, Any]) -> Cell:
    """A difference of class means with its interval and p, likewise."""
    return measured_cell(compared["macro"], signed=True, few=compared["undecidable"])
