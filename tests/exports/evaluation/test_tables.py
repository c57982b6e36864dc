"""Cells of the tables, and which comparisons of a table get a star."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from figureground.exports import evaluate as script
from figureground.exports.evaluate import RULE, Cell


def gap(p: float | None, **more: Any) -> Cell:
    """A difference with an interval, and the p of its being 0."""
    return Cell(0.1, (0.05, 0.15), p, signed=True, **more)


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (Cell(0.5, (0.25, 0.75)), "50.0 [25.0, 75.0]"),
        (Cell(0.5), "50.0 [too few to say]"),
        (Cell(0.5, bare=True), "50.0"),
        (Cell(0.5, (0.25, 0.75), few=True), "50.0 [25.0, 75.0] undecidable"),
        (Cell(0.5, (0.25, 0.75), few=True, note="5/10"), "50.0 [25.0, 75.0] undecidable 5/10"),
        (Cell(0.5, signed=True), "+50.0 [too few to say]"),
        (Cell(-0.5, (-1, 0), 0.04, signed=True), "-50.0 [-100.0, 0.0]"),
        (Cell(None, (0, 1)), "-"),
        (RULE, "-"),
    ],
)
def test_a_cell_says_its_interval_or_why_it_has_none(cell: Cell, text: str) -> None:
    assert cell.text() == text


def test_a_star_stands_behind_the_interval() -> None:
    assert gap(0.01).text(star=True) == "+10.0 [5.0, 15.0] *"


def test_one_comparison_is_starred_and_among_ten_it_is_not() -> None:
    alone = {"bg_gap": gap(0.03), "original": Cell(0.9, (0.8, 0.95))}
    assert script.find_stars(alone) == ({"bg_gap"}, 1)
    among = alone | {number: gap(0.5) for number in range(9)}
    assert script.find_stars(among) == (set(), 10)
    strong = among | {"strong": gap(0.004)}
    assert script.find_stars(strong) == ({"strong"}, 11)


def test_what_cannot_be_decided_is_no_comparison() -> None:
    cells = {
        "few": gap(1e-9, few=True),
        "no test": gap(None),
        "no interval": Cell(0.1, None, 1e-9, signed=True),
        "not there": Cell(None, (0, 1), 1e-9, signed=True),
        "no difference": Cell(0.1, (0.05, 0.15), 1e-9),
        "a line": RULE,
    }
    assert script.find_stars(cells) == (set(), 0)
    assert script.find_stars({**cells, "gap": gap(0.04)}) == ({"gap"}, 1)


@given(st.lists(st.floats(0, 1), max_size=12))
def test_no_more_is_starred_than_each_alone_would_be(p_values: list[float]) -> None:
    cells = {number: gap(p) for number, p in enumerate(p_values)}
    stars, tested = script.find_stars(cells)
    assert tested == len(p_values)
    assert stars <= {number for number, p in enumerate(p_values) if p < 0.05}
    assert all(p_values[number] * len(p_values) >= 0.05 for number in cells.keys() - stars if number not in stars)
    assert {number for number, p in enumerate(p_values) if p * len(p_values) < 0.05} <= stars


def test_the_foot_says_what_stars_mean_and_of_how_many() -> None:
    assert script.describe_stars(0) == ""
    assert script.describe_stars(12) == "* differs from 0 at 5 % after Holm's correction over 12 comparisons"
    assert script.describe_stars(1).endswith("over 1 comparison")


def test_a_stored_figure_becomes_a_cell() -> None:
    stored = {"value": 0.2, "ci95": [0.1, 0.3], "p": 0.01}
    assert script.measured_cell(stored, signed=True, few=True) == Cell(0.2, [0.1, 0.3], 0.01, signed=True, few=True)
    assert script.measured_cell({"value": None, "reason": "not scored: plus"}).text() == "-"
