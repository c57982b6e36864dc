"""The train x test table, as text and as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from figureground.exports.analyses.heads.cells import accuracy_text, difference_text
from figureground.exports.analyses.plots import draw_heat_table
from figureground.exports.evaluation.results import align_columns


def format_crossing(result: Mapping[str, Any]) -> str:
    """Plain text: a row for each head, a column for each config that it was tested on; below, the differences.

    A cell has two lines: the class mean of right answers in percent, and its 95 % interval.
    """
    tests, heads = result["test"], {train: result["heads"][train] for train in result["train"]}
    gaps = [head["bg_gap"] for head in heads.values()]
    first = heads[result["train"][0]]["cells"]
    sizes = [f"n {first[config]['n']}{' (undecidable)' * first[config]['undecidable']}" for config in tests]
    rows: list[list[str]] = [["trained on", *tests], ["", *sizes]]
    if all(gaps):
        rows[0] += ["BG-gap"]
    for (train, head), gap in zip(heads.items(), gaps, strict=True):
        cells = [accuracy_text(head["cells"][config]) for config in tests]
        cells += [difference_text(gap)] if gap else []
        rows += _two_lines(train, f"n {head['train']['n']}", cells)
    for train in heads:
        if train in result["differences"]:
            compared = result["differences"][train]
            rows += [
                [],
                *_two_lines(f"{train} - original", "", [difference_text(compared[config]) for config in tests]),
            ]
    foot = "percent of right answers, mean over classes [95 % interval]; differences are paired by image"
    rule = [f"BG-gap = mixed_same - mixed_rand; {foot}" if all(gaps) else foot]
    return "\n".join([_title(result), *align_columns(rows), *rule])


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
