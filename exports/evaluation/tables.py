"""Cells of the text tables, and headline figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from figureground.exports.evaluation.dataset import config_rank


class Figure(NamedTuple):
    """A headline figure, a share or a difference of shares."""

    name: str
    value: float | None
    ci95: Sequence[float] | None  # its 95 % interval


def accuracy_figures(configs: Mapping[str, Mapping[str, Any]], mean: str = "macro") -> Iterator[Figure]:
    """Accuracy of every config, over images (``micro``) or class means (``macro``)."""
    for config, measured in configs.items():
        yield Figure(config, measured[f"accuracy_{mean}"], measured["ci95" if mean == "macro" else f"ci95_{mean}"])


def value_figures(values: Mapping[str, Mapping[str, Any]]) -> Iterator[Figure]:
    """Figures that are stored with ``value`` and ``ci95``."""
    for name, measured in values.items():
        yield Figure(name, measured["value"], measured.get("ci95"))


def shares_cells(summary: Mapping[str, Any], headline: str = "macro", ci95: str = "ci95") -> dict[str, str]:
    """Accuracy of every config by what it measures, differences over the images that both configs have, and ratios."""
    cells, configs = {}, sorted(summary["configs"].items(), key=lambda pair: config_rank(pair[0]))
    for kind in dict.fromkeys(measured.get("measures") for _, measured in configs):
        cells[f"-{kind}"] = ""
        for config, measured in configs:
            if measured.get("measures") == kind:
                value = format_cell(measured[f"accuracy_{headline}"], measured[ci95], few=measured["undecidable"])
                cells[f"{config} (n {measured['n']})"] = value
    cells["-differences"] = ""
    differences = summary["differences"].values()
    for compared in differences:
        minuend, subtrahend, gap = compared["minuend"], compared["subtrahend"], compared[headline]
        name, n = f"{minuend} - {subtrahend}", compared["n"]
        cells[f"{name} (n {n})"] = format_cell(gap["value"], gap["ci95"], signed=True, few=compared["undecidable"])
        if n < summary["configs"][subtrahend]["n"]:
            cells[f"{name}: the latter on these {n}"] = format_cell(gap["subtrahend"], ())
    for compared in differences if headline == "macro" else ():
        ratio = format_cell(compared["macro"]["ratio"], compared["macro"]["ratio_ci95"])
        cells[f"{compared['minuend']} / {compared['subtrahend']}"] = ratio
    return cells


def format_cell(
    value: float | None,
    ci95: Sequence[float] | None,
    *,
    signed: bool = False,
    marked: bool | None = None,
    few: bool = False,
) -> str:
    """A share in percent with its interval, and a star where the interval excludes 0.

    ``ci95`` is empty for figures that have no interval, and None where this one has none. ``marked`` decides the star
    where it is known; ``few`` marks a figure of few images as undecidable.
    """
    if value is None:
        return "-"
    text = f"{100 * value:+.1f}" if signed else f"{100 * value:.1f}"
    mark = " undecidable" if few else ""
    if not ci95:
        return f"{text}{mark}" if ci95 is not None else f"{text} [no interval]{mark}"
    excludes = signed and (ci95[0] > 0 or ci95[1] < 0) if marked is None else marked
    return f"{text} [{100 * ci95[0]:.1f}, {100 * ci95[1]:.1f}]{mark or (' *' if excludes else '')}"
