"""Plots of the protocol imagenet9: trends over models, examples of the five categories, vulnerable figures by class."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from figureground.errors import MissingExtraError
from figureground.exports.evaluation.label_spaces import ClassMap
from figureground.exports.evaluation.protocols.imagenet9 import CATEGORY_CONFIGS
from figureground.exports.report.imagenet9 import Trend
from figureground.exports.report.stored_answers import read_answers

try:
    from matplotlib.figure import Figure

    from figureground.exports.analyses.plots import (
        PALETTE,
        Bar,
        TileRow,
        draw_bars,
        draw_sheet,
        encode_figure,
        error_reach,
        series_style,
        shorten,
    )
    from figureground.exports.report.answer_tiles import ANSWERS_NOTE, answer_tile
except ImportError as error:
    raise MissingExtraError("matplotlib", "analyses") from error

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GREY: Final = "#777777"
_EXAMPLES: Final = 2  # of each category; each is shown on three configs


def draw_trends(
    trends: Sequence[Trend], title: str, families: Mapping[str, str] = MappingProxyType({}), picture_format: str = "png"
) -> bytes:
    """A panel for each measure, in percent: a point a model with its intervals, and the regression line.

    ``title`` names the dataset; ``families`` are models to families, each of which has a colour; a model without one
    has its own.
    """
    figure = Figure(figsize=(3.8 * len(trends), 4.6), dpi=120, layout="constrained")
    panels = figure.subplots(1, len(trends), squeeze=False)[0]
    for axes, trend in zip(panels, trends, strict=True):
        _draw_trend(axes, trend, families)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=max(1, len(trends)), fontsize=8, frameon=False)
    note = "bars: 95 % intervals over images; line: least squares over models"
    figure.suptitle(f"{title}\n{note}", fontsize=9, x=0.01, ha="left")
    return encode_figure(figure, picture_format)


def _draw_trend(axes: Axes, trend: Trend, families: Mapping[str, str]) -> None:
    owners = [families.get(point.model, point.model) for point in trend.points]
    colours = list(dict.fromkeys(owners))
    for number, (point, family) in enumerate(zip(trend.points, owners, strict=True)):
        axes.errorbar(
            100 * point.accuracy,
            100 * point.measured,
            xerr=error_reach(point.accuracy, point.accuracy_ci95, 100),
            yerr=error_reach(point.measured, point.measured_ci95, 100),
            color=PALETTE[colours.index(family) % len(PALETTE)],
            marker=series_style(number)["marker"],
            ecolor=_GREY,
            elinewidth=0.8,
            linestyle="",
            label=shorten(point.model if family == point.model else f"{family}: {point.model}"),
        )
    note = "slope: too few models"
    if trend.slope is not None and trend.intercept is not None:
        ends = np.array([min(point.accuracy for point in trend.points), max(point.accuracy for point in trend.points)])
        axes.plot(100 * ends, 100 * (trend.intercept + trend.slope * ends), color=_GREY, linewidth=1, zorder=0)
        interval = " [{:+.2f}, {:+.2f}]".format(*trend.slope_ci95) if trend.slope_ci95 else ""
        note = f"slope {trend.slope:+.2f}{interval}{', undecidable' if trend.undecidable else ''}"
    axes.set_title(f"{trend.measure} (models: {len(trend.points)})\n{note}", fontsize=9)
    axes.set_xlabel("class-mean accuracy on original, %", fontsize=9)
    axes.set_ylabel("difference, points" if trend.measure == "bg_gap" else "class-mean accuracy, %", fontsize=9)
    axes.axhline(0, color=_GREY, linewidth=0.6, linestyle=":", zorder=0)
    axes.tick_params(labelsize=8)


def draw_fooled(shares: Mapping[str, Mapping[str, Any]], picture_format: str = "png") -> bytes:
    """Share of vulnerable figures of each class by rule, as bars; ``shares`` are models to rules to classes."""
    panels: dict[str, dict[str, dict[str, Bar]]] = {}
    for model, rules in shares.items():
        for rule, classes in rules.items():
            for name, cell in classes.items():
                bar = Bar(value=cell["share"], ci95=(cell["ci95"][0], cell["ci95"][1]))
                panels.setdefault(rule, {}).setdefault(name, {})[model] = bar
    note = "share of a class's figures, 95 % intervals"
    return draw_bars(panels, title="Vulnerable figures by class", note=note, picture_format=picture_format)


def draw_categories(
    member: Mapping[str, Any],
    examples: Mapping[str, Sequence[str]],
    load: Callable[[str, Collection[str]], Mapping[str, bytes]],
    classes: ClassMap,
) -> bytes:
    """Examples of the five categories under one model: the image of every config with its answer and confidence.

    ``examples`` are category to image ids, as ``category_examples`` gives them; ``load`` gives encoded images by id,
    of a config and some ids.
    """
    shown = {category: ids[:_EXAMPLES] for category, ids in examples.items()}
    names = {name for ids in shown.values() for name in ids}
    answers = {config: read_answers(member, config) or {} for config in CATEGORY_CONFIGS}
    images = {config: load(config, names) for config in CATEGORY_CONFIGS}
    rows = []
    for category, ids in ((category, ids) for category, ids in shown.items() if ids):
        tiles = [
            answer_tile(images[config][name], answers[config][name], classes, config)
            for name in ids
            for config in CATEGORY_CONFIGS
        ]
        rows.append(TileRow(title=category, tiles=tuple(tiles)))
    title = f"{member['model']}: the five categories"
    empty = [category for category, ids in shown.items() if not ids]
    note = f"{ANSWERS_NOTE}; no photo is in {', '.join(empty)}" if empty else ANSWERS_NOTE
    return draw_sheet(rows, title=title, note=note)
