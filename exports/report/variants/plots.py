"""Charts of a table of results: accuracies and differences with their intervals, classes by variant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from figureground.errors import MissingExtraError
from figureground.exports.evaluation.dataset import config_rank
from figureground.exports.evaluation.results import ResultTable
from figureground.exports.evaluation.tables import Cell

try:
    from matplotlib.figure import Figure

    from figureground.exports.analyses.plots import PALETTE, draw_heat_table, encode_figure, error_reach, shorten
except ImportError as error:
    raise MissingExtraError("matplotlib", "analyses") from error

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_CLASSES: Final = 40
"""Rows of a heat map that can be read; of more classes those with the lowest accuracy are drawn."""
_BEFORE_ACCURACIES_END: Final = ("-images", "-restricted", "-outside")
"""Parts of a table after its accuracies that are no differences."""
_COLUMNS: Final = 4
_GREY: Final = "#555555"
_LETTER_INCHES: Final = 0.062


def accuracy_rows(table: ResultTable) -> list[str]:
    """Names of the rows that are accuracies of variants: those before the first difference or other reading."""
    names: list[str] = []
    for name, cells in table.rows.items():
        if name in _BEFORE_ACCURACIES_END or any(cell.signed for cell in cells):
            break
        if not name.startswith("-") and any(cell.value is not None for cell in cells):
            names.append(name)
    return names


def difference_rows(table: ResultTable) -> list[str]:
    """Names of the rows that are differences and may have a star."""
    return [name for name, cells in table.rows.items() if any(cell.signed and cell.value is not None for cell in cells)]


def draw_accuracies(table: ResultTable, picture_format: str = "png") -> bytes:
    """A panel for each model: accuracies by variant in percent, with 95 % intervals."""
    figure, panels = _panels(table, names := accuracy_rows(table))
    for number, axes in enumerate(panels):
        _draw_cells(axes, [table.rows[name][number] for name in names])
        if table.chance is not None:
            axes.axvline(100 * table.chance, color=_GREY, linewidth=1, linestyle=":")
        axes.set_xlim(-2, 102)
        axes.set_xlabel("accuracy, %", fontsize=8)
    note = "lines: 95 % intervals; hollow: too few images to decide by, or no interval"
    note += "" if table.chance is None else "; dotted: chance"
    return _finish(figure, table, note, picture_format)


def draw_differences(table: ResultTable, picture_format: str = "png") -> bytes:
    """A forest a model: differences in points with 95 % intervals, and the stars of the printed table."""
    figure, panels = _panels(table, names := difference_rows(table))
    for number, axes in enumerate(panels):
        starred = [(name, number) in table.stars for name in names]
        _draw_cells(axes, [table.rows[name][number] for name in names], starred)
        axes.axvline(0, color=_GREY, linewidth=1)
        axes.set_xlabel("difference, points", fontsize=8)
    return _finish(figure, table, _explain_differences(table, names), picture_format)


def _explain_differences(table: ResultTable, names: Sequence[str]) -> str:
    """What lines and markers of differences are; cells that nothing can be decided by were compared with nothing."""
    cells = [cell for name in names for cell in table.rows[name] if cell.value is not None]
    decided = any(cell.testable for cell in cells)
    parts = ["filled, *: differs from 0 after correction over the table", "hollow: no difference shown"] * decided
    undecided = ["cross: undecidable, too few images or no interval"] * any(not cell.testable for cell in cells)
    return "; ".join(["lines: 95 % intervals", *parts, *undecided])


def _panels(table: ResultTable, names: Sequence[str]) -> tuple[Figure, list[Axes]]:
    """A panel for each model with a line for each name, all on one scale."""
    columns = min(_COLUMNS, len(table.models))
    rows = -(-len(table.models) // columns)
    named = _LETTER_INCHES * max(map(len, names))
    figure = Figure(figsize=(max(6.4, named + 2.6 * columns + 0.3), (0.24 * len(names) + 0.9) * rows + 0.8), dpi=110)
    figure.set_layout_engine("constrained")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes in grid[len(table.models) :]:
        axes.set_visible(False)
    panels = list(grid[: len(table.models)])
    for model, axes in zip(table.models, panels, strict=True):
        axes.set_title(shorten(model), fontsize=8)
        axes.grid(axis="x", color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=8, length=0, labelbottom=True)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
    panels[0].set_yticks(range(len(names)), names, fontsize=8)
    panels[0].set_ylim(len(names) - 0.4, -0.6)
    return figure, panels


def _draw_cells(axes: Axes, cells: Sequence[Cell], starred: Sequence[bool] | None = None) -> None:
    """Cells from top to bottom in percent; ``starred`` are those that differ from 0, of differences.

    A difference that no test was made of is a cross.
    """
    for row, cell in enumerate(cells):
        if cell.value is None:
            continue
        filled = not cell.few and cell.ci95 is not None if starred is None else starred[row]
        axes.errorbar(
            100 * cell.value,
            row,
            xerr=error_reach(cell.value, cell.ci95, 100),
            fmt="o" if starred is None or cell.testable else "x",
            markersize=4.5,
            color=PALETTE[0],
            markerfacecolor=PALETTE[0] if filled else "white",
            linewidth=1.3,
        )
        if starred is not None and starred[row]:
            end = cell.value if cell.ci95 is None else max(cell.value, cell.ci95[1])
            axes.annotate("*", (100 * end, row), textcoords="offset points", xytext=(3, -4), fontsize=10)


def _finish(figure: Figure, table: ResultTable, note: str, picture_format: str) -> bytes:
    figure.suptitle(f"{table.title}\n{note}", fontsize=8.5, x=0.01, ha="left")
    return encode_figure(figure, picture_format)


def draw_classes(member: Mapping[str, Any], picture_format: str = "png") -> bytes:
    """Accuracy of one model by class and variant, as a heat map with its numbers.

    Args:
        member: A result of the protocol imagenet9.
        picture_format: png, svg or pdf.
    """
    configs = sorted(member["configs"], key=config_rank)
    sizes: Mapping[str, int] = member["configs"][configs[0]]["n_per_class"]
    shares = np.array(
        [[_share(member["configs"][config]["per_class_accuracy"].get(name)) for config in configs] for name in sizes]
    )
    lowest = np.sort(np.argsort(np.nanmean(shares, axis=1), kind="stable")[:MOST_CLASSES])
    names = [f"{name} (n {sizes[name]})" for name in sizes]
    left_out = len(names) - len(lowest)
    note = (
        f"{left_out} classes with higher accuracies are not drawn"
        if left_out
        else "no intervals: see the number of images"
    )
    return draw_heat_table(
        shares[lowest],
        row_names=[names[index] for index in lowest],
        column_names=configs,
        title=f"{shorten(member['model'])}: accuracy by class and variant",
        note=note,
        scale="accuracy",
        largest=1.0,
        picture_format=picture_format,
    )


def _share(value: float | None) -> float:
    return float("nan") if value is None else value
