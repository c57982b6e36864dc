"""The train x test table, as text and as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from figureground.exports.analyses.plots import draw_heat_table
from figureground.exports.evaluation.results import align_columns
from figureground.exports.evaluation.tables import Cell, describe_stars, find_stars, measured_cell


def format_crossing(result: Mapping[str, Any]) -> str:
    """Plain text: a row for each head, a column for each config that it was tested on; below, the differences.

    A cell has two lines: the class mean of right answers in percent, and its 95 % interval.
    """
    tests, heads = result["test"], {train: result["heads"][train] for train in result["train"]}
    gaps = [head["bg_gap"] for head in heads.values()]
    first = heads[result["train"][0]]["cells"]
    sizes = [f"n {first[config]['n']}{' (undecidable)' * first[config]['undecidable']}" for config in tests]
    table = {(train, config): _accuracy_cell(heads[train]["cells"][config]) for train in heads for config in tests}
    table |= {(train, "BG-gap"): _difference_cell(gap) for train, gap in zip(heads, gaps, strict=True) if gap}
    differences = {f"{train} - original": result["differences"].get(train) for train in heads}
    compared = {name: by_config for name, by_config in differences.items() if by_config}
    table |= {
        (name, config): _difference_cell(by_config[config]) for name, by_config in compared.items() for config in tests
    }
    stars, comparisons = find_stars(table)
    columns = [*tests, *(["BG-gap"] if all(gaps) else [])]

    def show(name: str, size: str) -> list[list[str]]:
        texts = [table[name, column].text((name, column) in stars) for column in columns if (name, column) in table]
        return _two_lines(name, size, texts)

    rows: list[list[str]] = [["trained on", *columns], ["", *sizes]]
    for train, head in heads.items():
        rows += show(train, f"n {head['train']['n']}")
    for name in compared:
        rows += [[], *show(name, "")]
    foot = [
        "BG-gap = mixed_same - mixed_rand" if all(gaps) else "",
        "percent of right answers, mean over classes [95 % interval]; differences are paired by image",
        describe_stars(comparisons),
    ]
    return "\n".join([_title(result), *align_columns(rows), *filter(None, foot)])


def _accuracy_cell(measured: Mapping[str, Any]) -> Cell:
    """Class mean with its interval; the head of its column says whether images are few."""
    return Cell(measured["accuracy_macro"], measured["ci95"])


def _difference_cell(compared: Mapping[str, Any]) -> Cell:
    """A difference of class means with its interval and p."""
    return measured_cell(compared["macro"], signed=True, few=compared["undecidable"])


def draw_crossing(result: Mapping[str, Any]) -> bytes:
    """The table as a heat map, PNG: rows are heads, columns what they were tested on."""
    trains, tests, sizes = result["train"], result["test"], sorted({size["n"] for size in result["tested"].values()})
    name, numbers = result["dataset"]["name"], " to ".join(map(str, dict.fromkeys([sizes[0], sizes[-1]])))
    cells = [[result["heads"][train]["cells"][config] for config in tests] for train in trains]
    return draw_heat_table(
        np.array([[cell["accuracy_macro"] for cell in row] for row in cells]),
        row_names=[f"trained on {train}" for train in trains],
        column_names=tests,
        title=f"Linear heads on {result['backbone']['model']}",
        note=f"{name}, {numbers} images a cell",
        scale="accuracy (class mean)",
    )


def _title(result: Mapping[str, Any]) -> str:
    data, backbone = result["dataset"], result["backbone"]
    name = data["name"] if data["revision"] is None else f"{data['name']}@{data['revision']}"
    splits = f"fitted on {data['train_split']}, chosen on {data['validation_split']}, tested on {data['test_split']}"
    return f"{name}: linear heads on {backbone['model']} ({backbone['device']}, {backbone['precision']}), {splits}"


def _two_lines(name: str, size: str, cells: Sequence[str]) -> list[list[str]]:
    """A row of the table: values on its first line, their intervals on its second."""
    parts = [cell.partition(" ") for cell in cells]
    return [[name, *(value for value, _, _ in parts)], [size, *(interval for _, _, interval in parts)]]
