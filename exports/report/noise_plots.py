"""Plots of the protocol rival10, after those of Moayeri et al. (CVPR 2022), numbered as in their code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from figureground.errors import MissingExtraError
from figureground.exports.evaluation.pictures import open_image
from figureground.exports.evaluation.protocols.rival10 import ABLATIONS
from figureground.exports.evaluation.shares import guess_floor
from figureground.exports.report.noise import FamilyNoise, NoiseGap, NoiseResult

try:
    from matplotlib.figure import Figure

    from figureground.exports.analyses.plots import (
        PALETTE,
        bar_style,
        encode_figure,
        error_reach,
        series_style,
        shorten,
    )
except ImportError as error:
    raise MissingExtraError("matplotlib", "analyses") from error

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_UNIT: Final = {"sigma": "standard deviation of the noise", "l2": "norm of the noise"}
_DENSITY_POINTS: Final = 201
_DENSITY_WIDTH: Final = 0.08
_MARK_EVERY: Final = 20
"""Points of a density from one marker to the next."""
_CELL_PX: Final = 128
_DARK: Final = 0.6
"""Share of the colour scale from which text must be white."""


def draw_scatter(
    results: Sequence[NoiseResult], families: Mapping[str, Sequence[Any]], kind: str, picture_format: str = "png"
) -> bytes:
    """Accuracy under noise on the figure against that under noise on the ground, one point a model (Figure 2)."""
    figure = Figure(figsize=(6.4, 5.9 + 0.1 * len(results)), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    by_model = {result.model: result for result in results}
    for number, (family, models) in enumerate(families.items()):
        for turn, listed in enumerate(entry for entry in models if entry.model in by_model):
            pooled = by_model[listed.model].summary["noise"]["0"][kind]["pooled"]
            axes.plot(
                pooled["accuracy_figure"],
                pooled["accuracy_ground"],
                linestyle="",
                markersize=9,
                color=PALETTE[number % len(PALETTE)],
                marker=series_style(number + turn)["marker"],
                label=shorten(listed.model if family == listed.model else f"{family}: {listed.model}"),
            )
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1, linestyle="--")
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set(xlabel="accuracy, noise on the figure", ylabel="accuracy, noise on the ground")
    axes.set_title(
        f"Mean over {kind} levels, {results[0].summary['n']} images, class means; no intervals drawn\n"
        "above the line a model needs the figure more",
        fontsize=9,
    )
    _legend(figure, axes, 2)
    return encode_figure(figure, picture_format)


def draw_levels(pooled: Sequence[FamilyNoise], images: int, picture_format: str = "png") -> bytes:
    """Accuracies and RFS against the level, one line a family, with RFS's 95 % intervals (Figure 4)."""
    figure = Figure(figsize=(12.5, 4.2 + 0.07 * len(pooled)), dpi=120, layout="constrained")
    panels = figure.subplots(1, 3)
    titles = ("accuracy, noise on the figure", "accuracy, noise on the ground", "RFS; areas: 95 % intervals")
    for number, family in enumerate(pooled):
        style: dict[str, Any] = {
            **series_style(number),
            "markersize": 4,
            "label": shorten(f"{family.family} ({len(family.models)})" if len(family.models) > 1 else family.family),
        }
        rfs = [np.nan if value is None else value for value in family.rfs]
        for axes, values in zip(panels, (family.accuracy_figure, family.accuracy_ground, rfs), strict=True):
            axes.plot(family.levels, values, **style)
        bounds = [(np.nan, np.nan) if pair is None else pair for pair in family.rfs_ci95]
        low, high = zip(*bounds, strict=True)
        panels[2].fill_between(family.levels, low, high, color=style["color"], alpha=0.15, linewidth=0)
    for axes, title in zip(panels, titles, strict=True):
        axes.set(xlabel=_UNIT[pooled[0].kind], title=title)
        axes.set_ylim((-1.02, 1.02) if axes is panels[2] else (0, 1.02))
    panels[0].set_ylabel(f"class-mean accuracy, {images} images")
    panels[2].axhline(0, color="grey", linewidth=1, linestyle="--")
    _legend(figure, panels[0], 4)
    return encode_figure(figure, picture_format)


def draw_nulls(results: Sequence[NoiseResult], kind: str, picture_format: str = "png") -> bytes:
    """RFS, its null and what it has beyond it, by model; and the same of what can be had, by area of the object.

    Bars are 95 % intervals; slices of too few images to decide by are hollow.
    """
    figure = Figure(figsize=(12.5, 2.2 + 0.42 * len(results)), dpi=120, layout="constrained")
    left, right = figure.subplots(1, 2)
    words = {"rfs": "RFS", "rfs_null": "RFS of displaced masks", "rfs_beyond_null": "difference"}
    for row, result in enumerate(results):
        pooled = result.summary["noise"]["0"][kind]["pooled"]
        for order, (name, label) in enumerate(words.items()):
            _draw_estimate(left, pooled[name], row + 0.24 * (order - 1), order, label if row == 0 else None)
        slices = result.summary["noise"]["0"][kind]["by_area"]
        for order, part in enumerate([{**pooled, "area": None}, *slices]):
            offset = 0.7 * (row / max(1, len(results) - 1) - 0.5) if len(results) > 1 else 0.0
            hollow = bool(part.get("undecidable"))
            _draw_estimate(
                right, part["rfs_skill"], order + offset, row, shorten(result.model) if order == 0 else None, hollow
            )
    left.set_yticks(range(len(results)), [shorten(result.model) for result in results], fontsize=8)
    areas = results[0].summary["noise"]["0"][kind]["by_area"]
    names = [f"{100 * part['area'][0]:.0f} to {100 * part['area'][1]:.0f} % (n {part['n']})" for part in areas]
    right.set_yticks(range(len(names) + 1), [f"all (n {results[0].summary['n']})", *names], fontsize=8)
    left.set(xlabel=f"RFS, all levels of {kind} noise", xlim=(-2.05, 2.05), title="RFS and its null")
    title = "share of what lies between the null and 1"
    right.set(xlabel="skill: 0 blind to place, 1 looks at the figure alone", title=title)
    right.set_ylabel("object's share of the canvas", fontsize=9)
    for axes, rows in ((left, len(results)), (right, len(names) + 1)):
        axes.axvline(0, color="grey", linewidth=1, linestyle="--")
        axes.set_ylim(rows - 0.45, -0.55)
    figure.suptitle("whiskers: 95 % intervals; hollow: too few images to decide by", fontsize=9, x=0.01, ha="left")
    legend = partial(figure.legend, ncols=3, fontsize=7, frameon=False)
    legend(*left.get_legend_handles_labels(), loc="outside lower left")
    legend(*right.get_legend_handles_labels(), loc="outside lower right")
    return encode_figure(figure, picture_format)


def _draw_estimate(
    axes: Axes, cell: Mapping[str, Any], row: float, order: int, label: str | None, hollow: bool = False
) -> None:
    """A point with its interval; nothing where it has no value."""
    if cell["value"] is None:
        return
    style = series_style(order)
    axes.errorbar(
        cell["value"],
        row,
        xerr=error_reach(cell["value"], cell["ci95"]),
        linestyle="",
        markersize=5,
        markerfacecolor="white" if hollow else style["color"],
        elinewidth=1.2,
        label=label,
        **style,
    )


def draw_densities(results: Sequence[NoiseResult], kind: str, picture_format: str = "png") -> bytes:
    """Density of iRFS over images and levels, a panel for each class and a line for each model (Figure 5)."""
    names = [name for index, name in enumerate(results[0].class_names) if _has_class(results[0], index)]
    width, height = max(6.4, 3.4 * min(len(names), 5)), 2.8 * -(-len(names) // 5) + 0.6 + 0.07 * len(results)
    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    panels = figure.subplots(-(-len(names) // 5), min(len(names), 5), squeeze=False).ravel()
    points = np.linspace(-1, 1, _DENSITY_POINTS)
    for axes, name in zip(panels, names, strict=False):
        for number, result in enumerate(results):
            if result.outcomes is not None:
                own = result.irfs(kind)[result.outcomes.label == result.class_names.index(name)].ravel()
                drawn = _density(own, points)
                style = {**series_style(number), "markevery": _MARK_EVERY, "markersize": 4}
                axes.plot(points, drawn, label=shorten(result.model), **style)
        axes.axvline(0, color="grey", linewidth=1, linestyle="--")
        images = results[0].summary["n_per_class"][name]
        axes.set(title=f"{name} (n {images})", xlabel="iRFS, of an image at a level", ylabel="density", yticks=[])
    for axes in panels[len(names) :]:
        axes.set_visible(False)
    _legend(figure, panels[0], 4)
    return encode_figure(figure, picture_format)


def draw_attributes(results: Sequence[NoiseResult], picture_format: str = "png") -> bytes:
    """What greying each attribute costs each model in true-class probability, beyond a random part of its size."""
    attributes = list(results[0].summary["attributes"])
    figure = Figure(figsize=(5.2 + 2.2 * len(attributes), 1.6 + 0.9 * len(results)), dpi=120, layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, what, title in (
        (left, "grey", "drop of p(true), attribute grey"),
        (right, "grey_beyond_control", "beyond a random part of its area"),
    ):
        table = [[result.summary["attributes"][name][what]["p_true_drop"] for name in attributes] for result in results]
        _draw_heat(axes, table, attributes, [shorten(result.model) for result in results], title)
    right.set_yticklabels([])
    figure.suptitle(
        f"{results[0].summary['n']} images; in brackets: 95 % intervals; red: greying costs, blue: it helps",
        fontsize=9,
        x=0.01,
        ha="left",
    )
    return encode_figure(figure, picture_format)


def draw_ablations(results: Sequence[NoiseResult], picture_format: str = "png") -> bytes:
    """Class-mean accuracy under each ablation with its 95 % interval, bars by model (Figure 8)."""
    configs = [name for name in ABLATIONS if name in results[0].summary["ablations"]]
    figure = Figure(figsize=(2.4 + 1.5 * (len(configs) + 1), 4.2), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    width = 0.8 / len(results)
    for number, result in enumerate(results):
        cells = [result.summary["clean"], *(result.summary["ablations"][name] for name in configs)]
        heights = np.array([cell["accuracy_macro"] for cell in cells])
        low, high = np.array([cell["ci95"] for cell in cells]).T
        axes.bar(
            np.arange(len(cells)) + number * width,
            heights,
            width,
            **bar_style(number),
            yerr=np.clip([heights - low, high - heights], 0, None),
            error_kw={"linewidth": 1},
            label=shorten(result.model),
        )
    axes.set_xticks(np.arange(len(configs) + 1) + 0.4 - width / 2, ["original", *configs], rotation=20)
    floor = guess_floor(results[0].space, results[0].summary["chance"])
    if floor is not None:
        axes.axhline(floor, color="grey", linewidth=1, linestyle="--")
    axes.set(ylim=(0, 1.02), ylabel="class-mean accuracy")
    axes.set_title(
        f"{results[0].summary['n']} images on original; whiskers: 95 % intervals"
        f"{'' if floor is None else '; dashed: chance'}",
        fontsize=9,
    )
    _legend(figure, axes, 2)
    return encode_figure(figure, picture_format)


def draw_gaps(gaps: Mapping[str, Sequence[NoiseGap]], images: Mapping[str, bytes], title: str) -> bytes:
    """The images of each class that noise on the ground hurts most, beside noise on the figure (Figure 1)."""
    columns = max(map(len, gaps.values()))
    figure = Figure(figsize=(1.6 * columns, 1.9 * len(gaps) + 0.4), dpi=120, layout="constrained")
    panels = figure.subplots(len(gaps), columns, squeeze=False)
    for row, (name, worst) in enumerate(gaps.items()):
        for axes in panels[row]:
            axes.axis("off")
        for axes, gap in zip(panels[row], worst, strict=False):
            picture = open_image(images[gap.image_id], gap.image_id)
            axes.imshow(np.asarray(picture.resize((_CELL_PX, _CELL_PX))))
            axes.set_title(f"{name}\nfigure {gap.p_figure:.2f} · ground {gap.p_ground:.2f}", fontsize=7)
    figure.suptitle(title, fontsize=9)
    return encode_figure(figure)


def _draw_heat(
    axes: Axes, table: Sequence[Sequence[Mapping[str, Any]]], columns: Sequence[str], rows: Sequence[str], title: str
) -> None:
    values = np.array([[cell["value"] for cell in row] for row in table])
    most = max(float(np.abs(values).max()), 0.01)
    axes.imshow(values, cmap="RdBu_r", vmin=-most, vmax=most, aspect="auto")
    for row, cells in enumerate(table):
        for column, cell in enumerate(cells):
            interval = "[{:.2f}, {:.2f}]".format(*cell["ci95"]) if cell["ci95"] else f"[{cell['no_ci95']}]"
            text = f"{cell['value']:+.2f}\n{interval}"
            colour = "white" if abs(cell["value"]) > _DARK * most else "black"
            axes.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
    axes.set_xticks(range(len(columns)), columns, rotation=20)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_title(title, fontsize=9)


def _legend(figure: Figure, axes: Axes, columns: int) -> None:
    """Names of the series below all panels, where they hide nothing."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=columns, fontsize=8, frameon=False)


def _density(values: Any, points: Any) -> Any:  # noqa: ANN401  arrays
    """Gaussian kernel density; one width for all, so that curves compare."""
    steps = (points[:, None] - values[None, :]) / _DENSITY_WIDTH
    return np.exp(-0.5 * steps**2).mean(axis=1) / (_DENSITY_WIDTH * np.sqrt(2 * np.pi))


def _has_class(result: NoiseResult, label: int) -> bool:
    return bool(result.summary["n_per_class"][result.class_names[label]])
