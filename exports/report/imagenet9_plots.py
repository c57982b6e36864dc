"""Plots of the protocol imagenet9: trends over models, examples of the five categories, vulnerable figures by class."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from figureground.errors import MissingExtraError
from figureground.exports.evaluation.label_spaces import ClassMap
from figureground.exports.evaluation.protocols.imagenet9 import CATEGORY_CONFIGS
from figureground.exports.report.imagenet9 import Trend
from figureground.exports.report.stored_answers import read_answers
from figureground.runtime.files import replace_file

try:
    from matplotlib.figure import Figure

    from figureground.exports.analyses.plots import (
        MARKERS,
        PALETTE,
        Bar,
        TileRow,
        draw_bars,
        draw_sheet,
        encode_figure,
        error_reach,
        shorten,
    )
    from figureground.exports.report.answer_tiles import ANSWERS_NOTE, answer_tile
except ImportError as error:
    raise MissingExtraError("matplotlib", "analyses") from error

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GREY: Final = "#777777"
_EXAMPLES: Final = 2  # of each category; each is shown on three configs


def draw_trends(trends: Sequence[Trend], path: Path, families: Mapping[str, str] = MappingProxyType({})) -> None:
    """A panel for each measure: a point a model with its intervals, and the regression line.

    ``families`` are models to families, each of which has a colour; a model without one has its own.
    """
    figure = Figure(figsize=(3.8 * len(trends), 4.6), dpi=120, layout="constrained")
    panels = figure.subplots(1, len(trends), squeeze=False)[0]
    for axes, trend in zip(panels, trends, strict=True):
        _draw_trend(axes, trend, families)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=2, fontsize=8, frameon=False)
    _write(path, encode_figure(figure))


def _draw_trend(axes: Axes, trend: Trend, families: Mapping[str, str]) -> None:
    owners = [families.get(point.model, point.model) for point in trend.points]
    colours = list(dict.fromkeys(owners))
    for number, (point, family) in enumerate(zip(trend.points, owners, strict=True)):
        axes.errorbar(
            point.accuracy,
            point.measured,
            xerr=error_reach(point.accuracy, point.accuracy_ci95),
            yerr=error_reach(point.measured, point.measured_ci95),
            marker=MARKERS[number % len(MARKERS)],
            color=PALETTE[colours.index(family) % len(PALETTE)],
            ecolor=_GREY,
            elinewidth=0.8,
            linestyle="",
            label=shorten(point.model if family == point.model else f"{family}: {point.model}"),
        )
    note = "slope: too few models"
    if trend.slope is not None and trend.intercept is not None:
        ends = np.array([min(point.accuracy for point in trend.points), max(point.accuracy for point in trend.points)])
        axes.plot(ends, trend.intercept + trend.slope * ends, color=_GREY, linewidth=1, zorder=0)
        interval = " [{:+.2f}, {:+.2f}]".format(*trend.slope_ci95) if trend.slope_ci95 else ""
        note = f"slope {trend.slope:+.2f}{interval}{', undecidable' if trend.undecidable else ''}"
    axes.set_title(f"{trend.measure}\n{note}", fontsize=9)
    axes.set_xlabel("accuracy on original", fontsize=9)
    axes.axhline(0, color=_GREY, linewidth=0.6, linestyle=":", zorder=0)
    axes.tick_params(labelsize=8)


def draw_fooled(shares: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Share of vulnerable figures of each class by rule, as bars; ``shares`` are models to rules to classes."""
    panels: dict[str, dict[str, dict[str, Bar]]] = {}
    for model, rules in shares.items():
        for rule, classes in rules.items():
            for name, cell in classes.items():
                bar = Bar(value=cell["share"], ci95=(cell["ci95"][0], cell["ci95"][1]))
                panels.setdefault(rule, {}).setdefault(name, {})[model] = bar
    _write(path, draw_bars(panels, title="Vulnerable figures by class", note="share, 95 % interval"))


def draw_categories(
    member: Mapping[str, Any],
    examples: Mapping[str, Sequence[str]],
    load: Callable[[str, Collection[str]], Mapping[str, bytes]],
    classes: ClassMap,
    path: Path,
) -> None:
    """Examples of the five categories under one model: the image of every config with its answer and confidence.

    ``examples`` are category to image ids, as ``category_examples`` gives them; ``load`` gives encoded images by id,
    of a config and some ids.
    """
    shown = {category: ids[:_EXAMPLES] for category, ids in examples.items()}
    names = {name for ids in shown.values() for name in ids}
    answers = {config: read_answers(member, config) or {} for config in CATEGORY_CONFIGS}
    images = {config: load(config, names) for config in CATEGORY_CONFIGS}
    rows = []
    for category, ids in shown.items():
        tiles = [
            answer_tile(images[config][name], answers[config][name], classes, config)
            for name in ids
            for config in CATEGORY_CONFIGS
        ]
        rows.append(TileRow(title=category if ids else f"{category}\nnone", tiles=tuple(tiles)))
    title = f"{member['model']}: the five categories"
    _write(path, draw_sheet(rows, title=title, note=ANSWERS_NOTE))


def _write(path: Path, content: bytes) -> None:
    with replace_file(path) as temporary:
        temporary.write_bytes(content)
