"""How many images, and draws of donors of each, show a difference of a given size: before anybody annotates."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy.special import chdtri, ndtri  # type: ignore[import-untyped]  # ships no annotations

from figureground.errors import UsageError
from figureground.exports.comparison.compare import group_contributions, group_title
from figureground.exports.comparison.contrasts import figure_tables
from figureground.exports.comparison.contributions import Contributions
from figureground.exports.evaluation.intervals import measure_strata
from figureground.exports.evaluation.results import align_columns
from figureground.exports.evaluation.tables import percent
from figureground.exports.evaluation.values import Floats
from figureground.exports.report.groups import group_results
from figureground.exports.report.stored_results import read_results

DRAWS: Final = (1, 2, 3, 5, 10)
"""Numbers of draws that are planned for."""
_CAUTION: Final = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTest:
    """What a plan asks of the test that will be made."""

    power: float = 0.8
    """Chance to find the difference where it is there, in (0, 1)."""
    alpha: float = 0.05
    """Chance to find one where there is none, two-sided, in (0, 1)."""

    def __post_init__(self) -> None:
        """Check both.

        Raises:
            UsageError: if one is outside (0, 1), or power is not above alpha.
        """
        if not 0 < self.alpha < self.power < 1:
            raise UsageError(f"expected 0 < alpha < power < 1, got alpha {self.alpha:g} and power {self.power:g}")

    @property
    def quantiles(self) -> tuple[float, float]:
        """Normal quantiles of 1 - alpha / 2 and of the power."""
        return float(ndtri(1 - self.alpha / 2)), float(ndtri(self.power))


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSize:
    """Images that a difference takes."""

    figure: str
    """What differs from 0: a difference of one model's accuracies, or of a figure of two models."""
    difference: float
    """In (0, 1)."""
    draws: int
    """Rows of each image, each with a donor of its own."""
    images: int
    images_cautious: int | None
    """Images if the variance is at the upper 80 % limit that the pilot leaves it (Browne, Statistics in Medicine 14,
    1995); None without a pilot."""

    @property
    def rows(self) -> int:
        """Rows to score."""
        return self.images * self.draws


@dataclass(frozen=True, slots=True, kw_only=True)
class Pilot:
    """What stored answers tell of a difference: I images."""

    figure: str
    images: int
    value: float
    variance: float
    """Of one image within its class, where each has one draw."""
    variance_within: float | None
    """The part of it that draws of donors make; None where no image has two."""
    degrees: float
    """Of freedom of the variance."""

    def detectable(self, test: PlannedTest, draws: int = 1) -> float:
        """The smallest difference that as many images as the pilot's show with the test's power."""
        return float(sum(test.quantiles) * np.sqrt(self.variance_of(draws) / self.images))

    def variance_of(self, draws: int) -> float:
        """Variance of an image's mean over ``draws``."""
        return self.variance - (self.variance_within or 0.0) * (1 - 1 / draws)


def measure_pilot(name: str, first: Contributions, second: Contributions | None = None) -> Pilot | None:
    """Variance of a figure of one model, or of its difference to another model's over the same images.

    Args:
        name: Of the figure.
        first: Of one model.
        second: Of the other, of the same images in the same order; None for one model.

    Returns:
        The pilot; None if the images of a class all answer alike, so that nothing can be planned from them.
    """
    value = first.value - second.value if second else first.value
    parts = measure_strata(value, first.stratum)
    if parts.variance is None or not np.isfinite(parts.degrees) or parts.degrees < 1:
        return None
    drawn = [_paired(first, second, index) for index in range(len(first.drawn))] if _same_draws(first, second) else []
    within = sum(float(part.var(axis=1, ddof=1).mean()) for part in drawn)
    averaged = sum(float(part.var(axis=1, ddof=1).mean()) / part.shape[1] for part in drawn)
    single = parts.variance * parts.images + (within - averaged)
    return Pilot(
        figure=name,
        images=len(value),
        value=parts.mean,
        variance=single,
        variance_within=min(within, single) if drawn else None,
        degrees=parts.degrees,
    )


def _same_draws(first: Contributions, second: Contributions | None) -> bool:
    return second is None or [part.shape for part in first.drawn] == [part.shape for part in second.drawn]


def _paired(first: Contributions, second: Contributions | None, index: int) -> Floats:
    return first.drawn[index] - second.drawn[index] if second else first.drawn[index]


def plan_from_pilot(pilot: Pilot, differences: Sequence[float], test: PlannedTest) -> list[PlannedSize]:
    """Images for every difference and number of draws: n = (z₁ + z₂)² v / δ², v the variance of an image's mean.

    More draws are planned for only where the pilot had several.
    """
    reach = sum(test.quantiles) ** 2
    inflation = pilot.degrees / float(chdtri(pilot.degrees, _CAUTION))
    return [
        PlannedSize(
            figure=pilot.figure,
            difference=_require_difference(difference),
            draws=draws,
            images=math.ceil(reach * pilot.variance_of(draws) / difference**2),
            images_cautious=math.ceil(reach * pilot.variance_of(draws) * inflation / difference**2),
        )
        for difference in differences
        for draws in (DRAWS if pilot.variance_within else DRAWS[:1])
    ]


def plan_from_rates(discordant: float, differences: Sequence[float], test: PlannedTest) -> list[PlannedSize]:
    """Images for differences of two accuracies on the same images, from the share of images that differ.

    n = (z₁ √ψ + z₂ √(ψ - δ²))² / δ², for McNemar's test (Connor, Biometrics 43(1), 1987).

    Args:
        discordant: ψ, share of images of which just one of the two answers is right, in (0, 1].
        differences: δ, each at most ψ.
        test: Power and level.

    Raises:
        UsageError: if a share is outside of its range, or a difference is larger than ψ.
    """
    if not 0 < discordant <= 1:
        raise UsageError(f"--discordant: expected a share of images in (0, 1], got {discordant:g}")
    level, power = test.quantiles
    planned = []
    for difference in map(_require_difference, differences):
        if difference > discordant:
            raise UsageError(
                f"--difference {difference:g}: expected at most the share of images that differ, {discordant:g}: "
                "accuracies cannot differ on more images than answers do"
            )
        reach = level * math.sqrt(discordant) + power * math.sqrt(discordant - difference**2)
        images = math.ceil(reach**2 / difference**2)
        planned.append(
            PlannedSize(figure="accuracy", difference=difference, draws=1, images=images, images_cautious=None)
        )
    return planned


def _require_difference(difference: float) -> float:
    if not 0 < difference < 1:
        raise UsageError(f"--difference: expected shares in (0, 1), such as 0.02 for 2 points, got {difference:g}")
    return difference


def plan_from_results(
    paths: Sequence[Path], differences: Sequence[float], test: PlannedTest, *, figures: Collection[str] = ()
) -> tuple[list[PlannedSize], list[Pilot]]:
    """Plan from results of a pilot: differences of one model's figures, or of every pair of models.

    Args:
        paths: Result files of ``evaluate``, or folders of them, with the answers beside them.
        differences: In (0, 1).
        test: Power and level.
        figures: Names of the only figures to plan for; empty for all.

    Raises:
        UsageError: if answers were not stored, or no figure of these names is there.
        DataError: for files that are no results, and for models that saw other images.
    """
    named = [(title, pilot) for name, title, pilot in _pilots(paths) if not figures or name in figures]
    if not named:
        raise UsageError(f"no figure {', '.join(sorted(figures)) or 'that differs'} in these results")
    pilots = [pilot for _, pilot in named if pilot is not None]
    if not pilots:
        titles = "; ".join(title for title, _ in named)
        raise UsageError(f"{titles}: all images of a class answer alike; nothing can be planned from this pilot")
    return [size for pilot in pilots for size in plan_from_pilot(pilot, differences, test)], pilots


def _pilots(paths: Sequence[Path]) -> Iterator[tuple[str, str, Pilot | None]]:
    """Every figure: its name, of whom it is, and what the pilot tells of it."""
    groups = group_results(read_results(paths))
    for group in groups:
        figures, where = group_contributions(group), f" ({group_title(group)})" if len(groups) > 1 else ""
        if len(figures) == 1:
            ((model, own),) = figures.items()
            for name, part in own.items():
                if not part.share:
                    title = f"{name} of {model}{where}"
                    yield name, title, measure_pilot(title, part)
        for table in figure_tables(figures):
            for one, two in combinations(table.models, 2):
                title = f"{table.figure}, {one} - {two}{where}"
                yield table.figure, title, measure_pilot(title, table.cut(one), table.cut(two))


def plan_json(sizes: Sequence[PlannedSize], pilots: Sequence[Pilot], test: PlannedTest) -> tuple[dict[str, Any], str]:
    """A plan JSON-ready and as text."""
    plain = {
        **asdict(test),
        "pilots": [{**asdict(pilot), "detectable": pilot.detectable(test)} for pilot in pilots],
        "sizes": [{**asdict(size), "rows": size.rows} for size in sizes],
    }
    head = ["", "difference", "draws", "images", "rows", "cautious"]
    lines = [f"images for power {test.power:g} at level {test.alpha:g}, two-sided"]
    for figure in dict.fromkeys(size.figure for size in sizes):
        lines += ["", figure]
        for pilot in (pilot for pilot in pilots if pilot.figure == figure):
            lines.append(
                f"  the pilot's difference is {percent(pilot.value, signed=True)} points; {pilot.images} images "
                f"would show one of {percent(pilot.detectable(test))} points or more, at power {100 * test.power:g} %"
            )
        rows = [
            [
                "",
                percent(size.difference),
                str(size.draws),
                str(size.images),
                str(size.rows),
                "-" if size.images_cautious is None else str(size.images_cautious),
            ]
            for size in sizes
            if size.figure == figure
        ]
        lines += align_columns([head, *rows])
    if pilots:
        lines += ["", f"cautious: at the upper {100 * _CAUTION:.0f} % limit that the pilot leaves the variance"]
    return plain, "\n".join(lines)
