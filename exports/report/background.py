"""Results of the protocol background_check together: do better models lean on the background more, or less?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from figureground.exports.evaluation.intervals import TOO_FEW, Z
from figureground.exports.evaluation.protocols.background_check import MEASURES
from figureground.exports.evaluation.shares import guess_floor
from figureground.exports.report.groups import ResultGroup

MIN_MODELS: Final = 10
"""Fewest models whose rank correlation is decidable: of 9, only one above 0.7 differs from none at the 5 % level."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackgroundPoint:
    """One model on one config; class-mean accuracies in [0, 1]."""

    model: str
    parameters: int | None
    accuracy: float
    """On ``original``."""
    accuracy_ci95: tuple[float, float] | None
    measured: float
    """On the config: background influence or invariance."""
    measured_ci95: tuple[float, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BackgroundRelation:
    """Accuracy against what one config measures, over models."""

    config: str
    measures: str
    """``influence`` or ``invariance``."""
    chance: float | None
    """None where it is no floor: answers outside the map are wrong."""
    points: tuple[BackgroundPoint, ...]
    spearman: float | None
    """Rank correlation; None below three models, or where one side is alike in all."""
    spearman_ci95: tuple[float, float] | None
    """None for fewer models than it takes."""
    undecidable: bool
    """Whether the models are too few for its sign to be known."""


def relate(group: ResultGroup) -> list[BackgroundRelation]:
    """Accuracy against every config of influence, then of invariance; configs keep their order."""
    relations = []
    for config in group.configs():
        members = [member for member in group.members if config in member.summary["configs"]]
        measures = members[0].summary["configs"][config]["measures"]
        if measures is None:
            continue
        points = tuple(
            BackgroundPoint(
                model=member.model,
                parameters=member.parameters,
                accuracy=member.summary["configs"]["original"]["accuracy_macro"],
                accuracy_ci95=member.interval("original"),
                measured=member.summary["configs"][config]["accuracy_macro"],
                measured_ci95=member.interval(config),
            )
            for member in members
        )
        rho = rank_correlation([point.accuracy for point in points], [point.measured for point in points])
        relations.append(
            BackgroundRelation(
                config=config,
                measures=measures,
                chance=guess_floor(group.space, members[0].summary["chance"]),
                points=points,
                spearman=rho,
                spearman_ci95=rank_interval(rho, len(points)),
                undecidable=len(points) < MIN_MODELS,
            )
        )
    return sorted(relations, key=lambda relation: MEASURES.index(relation.measures))


def rank_correlation(first: list[float], second: list[float]) -> float | None:
    """Spearman's rank correlation in [-1, 1], ties averaged; None below three pairs, or where one side is constant."""
    from scipy.stats import spearmanr  # type: ignore[import-untyped]  # takes half a second to load

    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(spearmanr(first, second).statistic)


def rank_interval(rho: float | None, models: int) -> tuple[float, float] | None:
    """95 % interval of Spearman's correlation over ``models`` models, by Fisher's z with variance (1 + ρ²/2) / (n - 3).

    Bonett and Wright (Psychometrika 65, 2000). None below ``MIN_MODELS``, and for a correlation of 1 or -1.
    """
    if rho is None or models < MIN_MODELS or abs(rho) >= 1:
        return None
    half = Z * float(np.sqrt((1 + rho**2 / 2) / (models - 3)))
    return float(np.tanh(np.arctanh(rho) - half)), float(np.tanh(np.arctanh(rho) + half))


def background_section(group: ResultGroup) -> dict[str, Any]:
    """Every relation of a group, JSON-ready."""
    return {
        **group.key(),
        "undecidable_below_models": MIN_MODELS,
        "relations": [asdict(relation) for relation in relate(group)],
    }


def describe_background(group: ResultGroup) -> str:
    """Rank correlations as plain text."""
    lines = [f"{group.dataset} ({group.split}), label space {group.space}: rank correlation with accuracy"]
    for relation in relate(group):
        rho = "-" if relation.spearman is None else f"{relation.spearman:+.2f}"
        mark = f"; undecidable below {MIN_MODELS}" if relation.undecidable else ""
        if relation.spearman is not None:
            interval = relation.spearman_ci95
            rho += f" [{interval[0]:+.2f}, {interval[1]:+.2f}]" if interval else f" [{TOO_FEW}]"
        lines.append(f"{relation.config}: {rho} (models: {len(relation.points)}{mark})")
    return "\n".join(lines)
