"""Pictures of cue conflict: bias, attraction and worst group by model, and what was answered by pair of classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from figureground.errors import MissingExtraError
from figureground.exports.report.conflict.readings import ConflictReading
from figureground.exports.report.pictures import PictureFolder, safe_name

try:
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    from figureground.exports.analyses.plots import encode_figure, error_reach, series_style, shorten
except ImportError as error:
    raise MissingExtraError("matplotlib", "analyses") from error

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_CLASSES: Final = 30
"""With more the cells of a table are too small to read; ``conflict.csv`` has them."""
ALL: Final = "other classes"
_GREY: Final = "#777777"
_PANELS: Final = {
    "bias": "conflict bias: figure's of figure's and ground's answers, %",
    "attraction": "conflict attraction: ground's class beyond chance, points",
    "worst_group": "accuracy of the worst group, %",
}


def draw_conflicts(readings: Sequence[ConflictReading], pictures: PictureFolder, stem: str = "") -> None:
    """Draw all readings; ``stem`` begins the files' names."""
    groups: dict[tuple[str, ...], list[ConflictReading]] = {}
    for reading in readings:
        groups.setdefault(reading.where, []).append(reading)
    for number, members in enumerate(groups.values()):
        twice = sum(key[4] == members[0].space for key in groups) > 1
        own = f"{stem}{members[0].space}" + (f".{number}" if twice else "")
        pictures.chart(f"{own}.bias", partial(draw_bias, members), kind="conflict_bias", of=members[0].title)
        for reading in members:
            for config in reading.summary["configs"] if len(reading.summary["classes"]) <= MOST_CLASSES else ():
                pictures.chart(
                    f"{own}.{config}.{safe_name(reading.model)}",
                    partial(draw_table, reading, config),
                    kind="conflict_table",
                    of=f"{reading.model}, {config}",
                )


def draw_bias(members: Sequence[ConflictReading], picture_format: str = "png") -> bytes:
    """Three panels: bias, attraction and worst-group accuracy of every model and variant, with 95 % intervals.

    A panel of the last two that would hold nothing is left out.
    """
    configs = list(dict.fromkeys(config for reading in members for config in reading.summary["configs"]))
    step = 0.8 / len(configs)
    height = max(0.22 * len(configs), 0.34) * len(members) + 1.9
    figure = Figure(figsize=(13, height), dpi=120, layout="constrained")
    shown = {name: words for name, words in _PANELS.items() if _has_values(members, name)}
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for axis, (name, words) in zip(panels, shown.items(), strict=True):
        for order, config in enumerate(configs):
            _draw_points(axis, members, config, name, order, order * step - 0.4 + step / 2)
        axis.axvline(
            {"bias": 50, "attraction": 0}.get(name, 100), color="#555555", linewidth=1, linestyle="--", zorder=1
        )
        axis.set_xlabel(words, fontsize=8.5)
        axis.grid(axis="x", color="#dddddd", linewidth=0.6)
        axis.set_axisbelow(True)
        axis.tick_params(labelsize=8, length=0)
        for side in ("top", "right", "left"):
            axis.spines[side].set_visible(False)
    panels[0].set_yticks(range(len(members)), [shorten(reading.model) for reading in members], fontsize=8)
    panels[0].set_ylim(len(members) - 0.4, -0.6)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=4, fontsize=8, frameon=False)
    small = "" if "worst_group" in shown else f"; no group of {members[0].summary['least']} images: no worst group"
    figure.suptitle(
        f"Cue conflict: {members[0].title}\nbars: 95 % intervals; hollow: too few images to decide by{small}",
        fontsize=10,
        x=0.01,
        ha="left",
    )
    return encode_figure(figure, picture_format)


def _has_values(members: Sequence[ConflictReading], name: str) -> bool:
    """Whether a panel is drawn: that of the bias always is."""
    cells = [own[name] for reading in members for own in reading.summary["configs"].values()]
    return name == "bias" or any(cell["value"] is not None for cell in cells)


def _draw_points(
    axis: Axes, members: Sequence[ConflictReading], config: str, name: str, order: int, offset: float
) -> None:
    """One variant's points in one panel; those that are undecidable are hollow."""
    style, labelled = series_style(order), False
    for row, reading in enumerate(members):
        own = reading.summary["configs"].get(config)
        cell: Mapping[str, Any] = {} if own is None else own[name]
        if own is None or cell["value"] is None:
            continue
        few = cell.get("undecidable", own["undecidable"])
        axis.errorbar(
            100 * cell["value"],
            row + offset,
            xerr=error_reach(cell["value"], cell["ci95"], 100),
            linestyle="",
            markersize=5,
            markerfacecolor="white" if few else style["color"],
            elinewidth=1.3,
            label=None if labelled else f"{config} (n {own['n']})",
            **style,
        )
        labelled = True


def draw_table(reading: ConflictReading, config: str, picture_format: str = "png") -> bytes:
    """Two heat maps, class of the figure x class of the ground: how often either is answered.

    A cell has its share in percent and its number of images; cells with fewer than ``least`` are hatched, and only
    pooled in the last row and column, which leave out grounds of the figure's own class.
    """
    names: Sequence[str] = reading.summary["classes"]
    least: int = reading.summary["least"]
    own = reading.summary["configs"][config]
    counts = _count_pairs(own["table"], names)
    side = 0.52 * (len(names) + 1) + 1.6
    figure = Figure(figsize=(2 * side + 1.2, side + 1.5), dpi=120, layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    labels = [*map(shorten, names), ALL]
    for axis, part, words in zip(panels, (1, 2), ("figure's", "ground's"), strict=True):
        shares = np.divide(counts[part], counts[3], out=np.full(counts[3].shape, np.nan), where=counts[3] > 0)
        shown = axis.imshow(shares, cmap="cividis", norm=Normalize(0, 1), aspect="equal")
        for (row, column), n in np.ndenumerate(counts[0]):
            if n:
                _write_cell(axis, row, column, float(shares[row, column]), int(n), least)
        axis.axhline(len(names) - 0.5, color="white", linewidth=3)
        axis.axvline(len(names) - 0.5, color="white", linewidth=3)
        axis.set_xticks(range(len(labels)), labels, rotation=90, fontsize=8)
        axis.set_yticks(range(len(labels)), labels, fontsize=8)
        axis.tick_params(length=0)
        axis.set_xlabel("class of the ground", fontsize=9)
        axis.set_title(f"share of answers that are the {words} class", fontsize=9)
    panels[0].set_ylabel("class of the figure", fontsize=9)
    figure.colorbar(shown, ax=list(panels), label="share of answers", fraction=0.03, pad=0.01)
    figure.suptitle(
        f"{shorten(reading.model)}, {config}, label space {reading.space} ({own['n']} images on grounds of other "
        f"classes)\nin a cell: percent, below it images; hatched: fewer than {least} images, to be read pooled only",
        fontsize=9.5,
        x=0.01,
        ha="left",
    )
    return encode_figure(figure, picture_format)


def _count_pairs(table: Sequence[Mapping[str, Any]], names: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Images, figure's answers, ground's answers and rows of every pair, ``(4, K + 1, K + 1)``.

    The last row and column pool pairs of two classes; images of several pairs count in each.
    """
    counts = np.zeros((4, len(names) + 1, len(names) + 1))
    for cell in table:
        row, column = names.index(cell["figure"]), names.index(cell["ground"])
        own = [cell[name] for name in ("n", "figure_answers", "ground_answers", "n_rows")]
        counts[:, row, column] = own
        if row != column:
            for place in ((row, -1), (-1, column), (-1, -1)):
                counts[:, place[0], place[1]] += own
    return counts


def _write_cell(axis: Axes, row: int, column: int, share: float, n: int, least: int) -> None:
    few = n < least
    if few:
        frame = Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor="#eeeeee", edgecolor="#bbbbbb", hatch="////", lw=0)
        axis.add_patch(frame)
        axis.text(column, row, f"n {n}", ha="center", va="center", fontsize=6, color=_GREY)
        return
    colour = "white" if share < 0.6 else "black"
    axis.text(column, row, f"{100 * share:.0f}\n({n})", ha="center", va="center", fontsize=6.5, color=colour)
