"""Charts of every table: which rows are accuracies and which differences, and stars as they are printed."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from figureground.exports.evaluation.results import ResultTable
from figureground.exports.evaluation.tables import RULE, Cell

plots = pytest.importorskip("figureground.exports.report.variants.plots")

GAP = Cell(0.1, (0.02, 0.2), 0.01, signed=True)
ROWS = {
    "-configs": [RULE, RULE],
    "original": [Cell(0.9, (0.8, 0.95)), Cell(0.7, None)],
    "mixed_rand": [Cell(0.5, (0.4, 0.6)), Cell(None)],
    "nothing": [Cell(None), Cell(None)],
    "-outside": [RULE, RULE],
    "original, outside the map": [Cell(0.1, (0.0, 0.2)), Cell(0.1, (0.0, 0.2))],
    "-differences": [RULE, RULE],
    "bg_gap": [GAP, GAP],
    "-categories": [RULE, RULE],
    "bg_required": [Cell(0.1, (0.0, 0.2)), Cell(0.1, (0.0, 0.2))],
}


def table(stars: set[tuple[str, int]], chance: float | None = 1 / 9) -> ResultTable:
    return ResultTable("toy (test, 9 images)", ["a", "b"], ROWS, stars, "percent", chance)


def test_rows_are_told_apart() -> None:
    assert plots.accuracy_rows(table(set())) == ["original", "mixed_rand"]
    assert plots.difference_rows(table(set())) == ["bg_gap"]


def test_stars_are_those_of_the_table() -> None:
    none, first, second = (plots.draw_differences(table(stars)) for stars in (set(), {("bg_gap", 0)}, {("bg_gap", 1)}))
    assert len({none, first, second}) == 3
    assert plots.draw_differences(table({("bg_gap", 0)})) == first
    blue = [
        (np.abs(np.asarray(Image.open(io.BytesIO(drawn)).convert("RGB")).astype(int) - (0, 114, 178)).max(axis=2) < 9)
        for drawn in (none, first, second)
    ]
    halves = [[part.sum() for part in np.array_split(pixels, 2, axis=1)] for pixels in blue]
    assert halves[1][0] > halves[0][0]  # the dot is filled on the side of its model
    assert halves[1][1] == halves[0][1]
    assert halves[2][1] > halves[0][1]


def test_accuracies_are_drawn_alike_each_time_and_as_vectors() -> None:
    drawn = plots.draw_accuracies(table(set()), "svg")
    assert drawn == plots.draw_accuracies(table(set()), "svg")
    assert drawn != plots.draw_accuracies(table(set(), 1 / 1000), "svg")  # its own table's chance
    assert drawn.startswith(b"<?xml")


def notes_of(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the charts that follow say of their lines and markers."""
    notes: list[str] = []

    def finish(figure: object, own: ResultTable, note: str, picture_format: str) -> bytes:
        notes.append(note)
        return b""

    monkeypatch.setattr(plots, "_finish", finish)
    return notes


def test_no_line_of_chance_is_drawn_where_it_is_no_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    notes = notes_of(monkeypatch)
    lines: list[float] = []
    monkeypatch.setattr("matplotlib.axes.Axes.axvline", lambda axes, place, **style: lines.append(place))
    plots.draw_accuracies(table(set()))
    plots.draw_accuracies(table(set(), None))
    assert lines == [100 / 9] * 2  # one a model
    assert ["chance" in note for note in notes] == [True, False]


def test_what_is_undecidable_is_not_drawn_as_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    notes = notes_of(monkeypatch)
    drawn: list[str] = []
    monkeypatch.setattr("matplotlib.axes.Axes.errorbar", lambda axes, *places, fmt, **style: drawn.append(fmt))
    few = GAP._replace(value=0.85, few=True)
    for gaps in ([GAP, GAP], [GAP, few], [few, few], [GAP, GAP._replace(ci95=None)]):
        plots.draw_differences(table(set())._replace(rows={"bg_gap": gaps}))
    assert drawn == ["o", "o", "o", "x", "x", "x", "o", "x"]
    assert ["hollow: no difference shown" in note for note in notes] == [True, True, False, True]
    assert ["cross: undecidable" in note for note in notes] == [False, True, True, True]


def test_of_many_classes_those_with_the_lowest_accuracy_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"class{number:03}" for number in range(100)]
    shares = {name: number / 100 for number, name in enumerate(names)}
    sizes = dict.fromkeys(names, 7)
    member = {
        "model": "m",
        "configs": {
            config: {"n_per_class": sizes, "per_class_accuracy": shares} for config in ("only_bg_t", "original")
        },
    }
    seen: dict[str, Any] = {}
    monkeypatch.setattr(plots, "draw_heat_table", lambda values, **words: seen.update(words, values=values) or b"")
    plots.draw_classes(member)
    assert seen["row_names"] == [f"{name} (n 7)" for name in names[: plots.MOST_CLASSES]]
    assert seen["column_names"] == ["original", "only_bg_t"]
    assert seen["note"].startswith("60 classes")
    assert seen["values"][5, 0] == pytest.approx(0.05)
