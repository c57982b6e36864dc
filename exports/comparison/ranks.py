"""Ranks of models with confidence sets."""

from __future__ import annotations

from dataclasses import dataclass

from figureground.exports.comparison.contrasts import TIE, FigureTable
from figureground.exports.evaluation.intervals import MIN_DECIDABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRank:
    """Where one model stands among M by one figure; rank 1 has the largest value."""

    figure: str
    model: str
    value: float
    rank: int
    """Of the values as they are; equal ones share the smaller rank."""
    lowest: int
    """Smallest rank of the 95 % confidence set."""
    highest: int
    """Largest rank of it."""


def rank_models(table: FigureTable, critical: float) -> list[ModelRank]:
    """Ranks of all models, best first, each with the set that holds its true rank.

    The sets hold together with 95 % confidence: no model is surely better than another unless their statistic is
    above what the largest of all pairs stays under (Mogstad, Romano, Shaikh and Wilhelm, Review of Economic Studies
    91(1), 2024). A model's smallest rank is one more than the number of models that are surely above it. Where the
    images are too few to decide by, no model is surely above another: every set has all ranks.

    Args:
        table: The figure of all models.
        critical: 95 % quantile of the largest statistic of all pairs where no two models differ.
    """
    values = table.figures
    sure = (table.statistics > critical + TIE) & (len(table.image_id) >= MIN_DECIDABLE)
    above = sure & (values[None, :] > values[:, None])
    below = sure & (values[None, :] < values[:, None])
    ranks = [
        ModelRank(
            figure=table.figure,
            model=model,
            value=float(values[index]),
            rank=1 + int((values > values[index] + 1e-12).sum()),
            lowest=1 + int(above[index].sum()),
            highest=len(values) - int(below[index].sum()),
        )
        for index, model in enumerate(table.models)
    ]
    return sorted(ranks, key=lambda rank: (rank.rank, rank.model))
