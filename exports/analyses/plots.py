"""Figures as PNG bytes, or SVG or PDF: the same input gives the same bytes, under one version of matplotlib.

Colours are Okabe and Ito's, which people without red or green vision can tell apart (Color Universal Design, 2008);
magnitudes are in viridis and cividis. Figures are made without pyplot, which keeps global state.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from figureground.exports.evaluation.values import Floats, Images

PALETTE: Final = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
MARKERS: Final = "osD^vP*X"
"""Matplotlib's markers, for what must be told apart without colour."""
HATCHES: Final = ("", "///", "...", "xxx", "\\\\\\", "ooo", "---", "+++")
"""Of bars, for the same."""
_GREY: Final = "#555555"
_INK: Final = "#111111"
_DPI: Final = 120
_LONGEST_NAME: Final = 34
_NARROWEST: Final = 6.4
"""Inches; titles fit."""
_LETTERS_PER_INCH: Final = 16
"""Of notes below a table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar."""

    value: float | None
    """Length; None draws nothing."""
    ci95: tuple[float, float] | None = None
    """Lower and upper end of the whisker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One picture of a sheet."""

    image: Images
    """``(H, W, 3)`` uint8."""
    caption: str
    """One or two short lines under the picture."""
    warned: bool = False
    """Whether the frame is orange: a wrong answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TileRow:
    """One row of a sheet."""

    title: str
    tiles: tuple[Tile, ...]


def draw_bars(
    panels: Mapping[str, Mapping[str, Mapping[str, Bar]]], *, title: str, note: str = "", picture_format: str = "png"
) -> bytes:
    """Horizontal bars: panels by title, in them groups by name, in them bars by series; the series share a legend."""
    series = list(dict.fromkeys(name for groups in panels.values() for bars in groups.values() for name in bars))
    groups = list(dict.fromkeys(name for groups in panels.values() for name in groups))
    height = max(0.3, 0.17 * len(series)) * len(groups)
    figure = Figure(figsize=(2.35 * len(panels) + 2.2, height + 1.7 + 0.2 * -(-len(series) // 4)), dpi=_DPI)
    figure.set_layout_engine("constrained")
    axes = np.atleast_1d(figure.subplots(1, len(panels), sharey=True))
    thickness = 0.8 / len(series)
    for axis, (name, bars_of) in zip(axes, panels.items(), strict=True):
        for order, label in enumerate(series):
            drawn = [bars_of.get(group, {}).get(label, Bar(value=None)) for group in groups]
            centres = np.arange(len(groups)) + (order - (len(series) - 1) / 2) * thickness
            values = [np.nan if bar.value is None else bar.value for bar in drawn]
            axis.barh(centres, values, thickness * 0.92, label=shorten(label), **bar_style(order))
            for centre, bar in zip(centres, drawn, strict=True):
                if bar.ci95 is not None:
                    axis.plot(bar.ci95, (centre, centre), color=_INK, linewidth=1.3, solid_capstyle="butt")
        axis.set_title(name, fontsize=10)
        axis.axvline(0, color=_GREY, linewidth=0.8)
        axis.tick_params(labelsize=8, length=0)
        axis.grid(axis="x", color="#dddddd", linewidth=0.6)
        axis.set_axisbelow(True)
        for side in ("top", "right", "left"):
            axis.spines[side].set_visible(False)
    axes[0].set_yticks(np.arange(len(groups)), [shorten(group) for group in groups])
    axes[0].set_ylim(len(groups) - 0.4, -0.6)
    figure.suptitle(f"{title}\n{note}" if note else title, fontsize=10, x=0.01, ha="left")
    if len(series) > 1:
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower left", ncols=4, fontsize=8, frameon=False)
    return encode_figure(figure, picture_format)


def draw_sheet(rows: Sequence[TileRow], *, title: str, note: str = "") -> bytes:
    """A contact sheet: one titled row of captioned pictures under the other."""
    columns = max([1, *(len(row.tiles) for row in rows)])
    width, height = 1.5 * columns + 1.5, 1.95 * len(rows) + 0.7
    figure = Figure(figsize=(max(width, 5.5), height), dpi=_DPI)
    figure.set_layout_engine("constrained", w_pad=0.03, h_pad=0.03, wspace=0.02, hspace=0.02)
    axes = figure.subplots(max(len(rows), 1), columns, squeeze=False)
    for line, row in zip(axes, rows, strict=False):
        for axis, tile in zip(line, row.tiles, strict=False):
            axis.imshow(tile.image, interpolation="nearest")
            axis.set_xlabel(tile.caption, fontsize=7, labelpad=2)
            for spine in axis.spines.values():
                spine.set(color=PALETTE[5] if tile.warned else "#bbbbbb", linewidth=2.2 if tile.warned else 0.6)
        for axis in line:
            axis.set(xticks=[], yticks=[])
        for axis in line[len(row.tiles) :]:
            axis.axis("off")
        line[0].axis("on")
        if not row.tiles:
            for spine in line[0].spines.values():
                spine.set_visible(False)
        line[0].set_ylabel(row.title, fontsize=8.5, rotation=0, ha="right", va="center", labelpad=6)
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    if note:
        figure.supxlabel(note, fontsize=7.5, color=_GREY, x=0.01, ha="left")
    return encode_figure(figure)


def draw_heat_table(
    values: Floats,
    *,
    row_names: Sequence[str],
    column_names: Sequence[str],
    title: str,
    note: str = "",
    scale: str,
    largest: float | None = None,
    picture_format: str = "png",
) -> bytes:
    """A table ``(R, C)`` of shares as coloured cells with their numbers; NaN cells are left white.

    The scale ends at ``largest``, or at the largest of these values.
    """
    width = max(0.5 * len(column_names) + 2.8, _NARROWEST)
    note = textwrap.fill(note, int(_LETTERS_PER_INCH * width))
    figure = Figure(figsize=(width, 0.33 * len(row_names) + 1.9 + 0.13 * note.count("\n")), dpi=_DPI)
    figure.set_layout_engine("constrained")
    axis = figure.subplots()
    if largest is None:
        largest = float(np.nanmax(values)) if np.isfinite(values).any() else 1.0
    shown = axis.imshow(values, cmap="cividis", vmin=0, vmax=largest or 1.0, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            colour = "white" if value < 0.6 * largest else "black"
            axis.text(
                column, row, f"{value:.2f}".removeprefix("0"), ha="center", va="center", fontsize=6.5, color=colour
            )
    axis.set_xticks(range(len(column_names)), column_names, rotation=90, fontsize=7.5)
    axis.set_yticks(range(len(row_names)), [shorten(name) for name in row_names], fontsize=8)
    axis.tick_params(length=0)
    bar = figure.colorbar(shown, ax=axis, fraction=0.03, pad=0.01)
    bar.set_label(scale, fontsize=8)
    bar.ax.tick_params(labelsize=7)
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    if note:
        figure.supxlabel(note, fontsize=7.5, color=_GREY, x=0.01, ha="left")
    return encode_figure(figure, picture_format)


def encode_figure(figure: Figure, picture_format: str = "png") -> bytes:
    """A figure as PNG, SVG or PDF, without the version and the time of what drew it."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    unsaid = {"png": ("Software",), "svg": ("Date", "Creator"), "pdf": ("CreationDate", "Creator", "Producer")}
    with rc_context({"svg.hashsalt": "figureground", "pdf.fonttype": 42}):
        figure.savefig(buffer, format=picture_format, metadata=dict.fromkeys(unsaid[picture_format]))
    return buffer.getvalue()


def series_style(number: int) -> dict[str, Any]:
    """Colour and marker of one of several series; the first 64 differ in one of them, the first eight in both."""
    turn = number // len(PALETTE)
    return {"color": PALETTE[number % len(PALETTE)], "marker": MARKERS[(number + turn) % len(MARKERS)]}


def bar_style(number: int) -> dict[str, Any]:
    """Colour and hatching of one of several series of bars, as ``series_style`` has it."""
    turn = number // len(PALETTE)
    hatch = HATCHES[(number + turn) % len(HATCHES)]
    return {"color": PALETTE[number % len(PALETTE)], "hatch": hatch, "edgecolor": "white"}


def error_reach(value: float, ci95: Sequence[float] | None, scale: float = 1.0) -> list[list[float]] | None:
    """What ``errorbar`` takes of an interval, times ``scale``; percentile intervals need not hold their value."""
    if ci95 is None:
        return None
    return [[scale * max(0.0, value - ci95[0])], [scale * max(0.0, ci95[1] - value)]]


def shorten(name: str) -> str:
    """A name that fits beside an axis; a long one loses its beginning, since models differ at the end."""
    return name if len(name) <= _LONGEST_NAME else f"…{name[1 - _LONGEST_NAME :]}"
