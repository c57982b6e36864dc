"""Pictures of a comparison: differences with their intervals, and ranks with their confidence sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from figureground.errors import MissingExtraError
from figureground.exports.comparison.contrasts import ModelContrast
from figureground.exports.comparison.ranks import ModelRank

try:
    from matplotlib.figure import Figure

    from figureground.exports.analyses.plots import PALETTE, encode_figure, error_reach, shorten
    from figureground.exports.evaluation.intervals import MIN_RESAMPLED
except ImportError as error:
    raise MissingExtraError("matplotlib", "analyses") from error

_MOST_ROWS: Final = 24
"""Pairs of a figure that are drawn; the others are in the table."""
_COLUMNS: Final = 3
_DRAWN_INCHES: Final = 3.0
_LETTER_INCHES: Final = 0.062
"""Width of a letter of the names, mean."""
_GREY: Final = "#777777"


def draw_forest(contrasts: Sequence[ModelContrast], title: str, picture_format: str = "png") -> bytes:
    """A panel for each figure: differences between models in points, with 95 % intervals, largest first.

    Filled blue where the difference holds against all comparisons of the table, hollow grey where it does not.
    """
    panels: dict[str, list[ModelContrast]] = {}
    for contrast in contrasts:
        panels.setdefault(contrast.figure, []).append(contrast)
    rows = min(_MOST_ROWS, max(len(members) for members in panels.values()))
    longest = max(len(f"{shorten(contrast.first)} - {shorten(contrast.second)}") for contrast in contrasts)
    figure, axes = _panels(len(panels), rows, longest)
    for axis, (name, members) in zip(axes, panels.items(), strict=False):
        shown = sorted(members, key=lambda contrast: (-abs(contrast.difference), contrast.first, contrast.second))
        for row, contrast in enumerate(shown[:_MOST_ROWS]):
            axis.errorbar(
                100 * contrast.difference,
                row,
                xerr=error_reach(contrast.difference, contrast.ci95, 100),
                fmt="o",
                markersize=5,
                color=PALETTE[0] if contrast.holds else _GREY,
                markerfacecolor=PALETTE[0] if contrast.holds else "white",
                linewidth=1.3,
            )
        names = [f"{shorten(contrast.first)} - {shorten(contrast.second)}" for contrast in shown[:_MOST_ROWS]]
        hidden = len(shown) - len(names)
        axis.set_yticks(range(len(names)), names, fontsize=7.5)
        axis.set_ylim(len(names) - 0.4, -0.6)
        axis.axvline(0, color="#555555", linewidth=0.8)
        axis.set_title(f"{name} (n {members[0].n}{f'; {hidden} more in the table' if hidden else ''})", fontsize=9)
        axis.set_xlabel("difference, points", fontsize=8)
    note = "bars: 95 % intervals of each difference; blue: differs after correction for all comparisons (max-T)"
    if any(contrast.ci95 is None for contrast in contrasts):
        note += f"\nno bar: fewer than {MIN_RESAMPLED} images, or none differs from another of its class"
    return _finish(figure, title, note, picture_format)


def draw_ranks(ranks: Sequence[ModelRank], title: str, picture_format: str = "png") -> bytes:
    """A panel for each figure: models by rank, with the 95 % confidence set of each rank as a bar."""
    panels: dict[str, list[ModelRank]] = {}
    for rank in ranks:
        panels.setdefault(rank.figure, []).append(rank)
    longest = max(len(f"{shorten(rank.model)} ({100 * rank.value:.1f})") for rank in ranks)
    figure, axes = _panels(len(panels), max(len(members) for members in panels.values()), longest)
    for axis, (name, members) in zip(axes, panels.items(), strict=False):
        for row, rank in enumerate(members):
            axis.plot([rank.lowest, rank.highest], [row, row], color=PALETTE[0], linewidth=5, alpha=0.35)
            axis.plot(rank.rank, row, "o", color=PALETTE[0], markersize=5)
        names = [f"{shorten(rank.model)} ({100 * rank.value:.1f})" for rank in members]
        axis.set_yticks(range(len(names)), names, fontsize=7.5)
        axis.set_ylim(len(names) - 0.4, -0.6)
        axis.set_xlim(0.5, len(members) + 0.5)
        axis.set_xticks(range(1, len(members) + 1, max(1, len(members) // 10)))
        axis.set_title(name, fontsize=9)
        axis.set_xlabel("rank, 1 has the largest value", fontsize=8)
    note = "points: rank of the value in brackets, in percent; bars: 95 % confidence sets, which hold together"
    return _finish(figure, title, note, picture_format)


def _panels(count: int, rows: int, longest: int):  # type: ignore[no-untyped-def]  # noqa: ANN202  matplotlib's own
    """Panels for so many rows, whose names have ``longest`` letters at most and stand beside what is drawn."""
    columns = min(_COLUMNS, count)
    lines = -(-count // columns)
    size = ((_DRAWN_INCHES + _LETTER_INCHES * longest) * columns, (0.26 * rows + 1.2) * lines + 0.8)
    figure = Figure(figsize=size, dpi=120, layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    for axis in axes[count:]:
        axis.axis("off")
    for axis in axes[:count]:
        axis.grid(axis="x", color="#dddddd", linewidth=0.6)
        axis.set_axisbelow(True)
        axis.tick_params(labelsize=8, length=0)
        for side in ("top", "right", "left"):
            axis.spines[side].set_visible(False)
    return figure, axes


def _finish(figure: Figure, title: str, note: str, picture_format: str) -> bytes:
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    figure.supxlabel(note, fontsize=8, color=_GREY, x=0.01, ha="left")
    return encode_figure(figure, picture_format)
