"""What results of the protocol background_check say together: do better models lean on the background more, or less?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from scipy.stats import spearmanr  # type: ignore[import-untyped]  # ships no annotations

from figureground.exports.evaluation.protocols.background_check import MEASURES
from figureground.exports.report.groups import ResultGroup

MIN_MODELS: Final = 10
"""Models below which a rank correlation is said to be undecidable: of 9, only one above 0.7 is told from none (5 %)."""


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
    chance: float
    points: tuple[BackgroundPoint, ...]
    spearman: float | None
    """Rank correlation; None below three models, or where one side is alike in all."""
    undecidable: bool
    """Whether the models are too few to tell its sign."""


def relate(group: ResultGroup) -> list[BackgroundRelation]:
    """Accuracy against every config of influence, then of invariance; configs keep their order."""
    found = []
    for config in group.configs():
        members = [each for each in group.members if config in each.summary["configs"]]
        measures = members[0].summary["configs"][config]["measures"]
        if measures is None:
            continue
        points = tuple(
            BackgroundPoint(
                model=each.model,
                parameters=each.parameters,
                accuracy=each.summary["configs"]["original"]["accuracy_macro"],
                accuracy_ci95=each.interval("original"),
                measured=each.summary["configs"][config]["accuracy_macro"],
                measured_ci95=each.interval(config),
            )
            for each in members
        )
        found.append(
            BackgroundRelation(
                config=config,
                measures=measures,
                chance=members[0].summary["chance"],
                points=points,
                spearman=rank_correlation([each.accuracy for each in points], [each.measured for each in points]),
                undecidable=len(points) < MIN_MODELS,
            )
        )
    return sorted(found, key=lambda each: MEASURES.index(each.measures))


def rank_correlation(first: list[float], second: list[float]) -> float | None:
    """Spearman's rank correlation in [-1, 1], ties averaged; None below three pairs, or where one side is constant."""
    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(spearmanr(first, second).statistic)


def tell_background(group: ResultGroup) -> dict[str, Any]:
    """Every relation of a group, JSON-ready."""
    return {
        **group.key(),
        "undecidable_below_models": MIN_MODELS,
        "relations": [asdict(each) for each in relate(group)],
    }


def describe_background(group: ResultGroup) -> str:
    """Rank correlations as plain text."""
    lines = [f"{group.dataset} ({group.split}), label space {group.space}: rank correlation with accuracy"]
    for each in relate(group):
        rho = "-" if each.spearman is None else f"{each.spearman:+.2f}"
        mark = f"; undecidable below {MIN_MODELS}" if each.undecidable else ""
        lines.append(f"{each.config}: {rho} (models: {len(each.points)}{mark})")
    return "\n".join(lines)
