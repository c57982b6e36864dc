"""Cells of the text tables, and headline figures."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from figureground.exports.evaluation.dataset import config_rank
from figureground.exports.evaluation.intervals import ALPHA, TOO_FEW, holm


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


def percent(share: float, *, signed: bool = False) -> str:
    """A share or a difference in percent, with one digit; what rounds to 0 has no minus."""
    rounded = round(100 * share, 1) + 0.0
    return f"{rounded:+.1f}" if signed else f"{rounded:.1f}"


class Cell(NamedTuple):
    """One cell of a text table, a share or a difference of shares."""

    value: float | None
    ci95: Sequence[float] | None = None
    p: float | None = None  # of the hypothesis that a difference is 0
    signed: bool = False  # whether it is a difference, which may have a star
    few: bool = False  # whether it is of fewer than MIN_DECIDABLE images
    bare: bool = False  # whether such figures have no interval anywhere
    note: str = ""

    @property
    def testable(self) -> bool:
        """Whether it is one of the comparisons that stars are shared among."""
        return self.signed and not self.few and self.value is not None and self.p is not None and self.ci95 is not None

    def text(self, star: bool = False) -> str:
        """In percent with its interval, or the words why it has none; a star where the test rejects."""
        if self.value is None:
            return "-"
        number = percent(self.value, signed=self.signed)
        interval = f" [{percent(self.ci95[0])}, {percent(self.ci95[1])}]" if self.ci95 else f" [{TOO_FEW}]"
        marks = [number + ("" if self.bare else interval), "undecidable" if self.few else "", "*" if star else ""]
        return " ".join(mark for mark in [*marks, self.note] if mark)


Key = TypeVar("Key", bound=Hashable)
RULE: Final = Cell(None)
IMAGES_ALIKE: Final = "over images"  # rows beside class means, where classes are not balanced and the two differ


def measured_cell(measured: Mapping[str, Any], *, signed: bool = False, few: bool = False) -> Cell:
    """A cell of a figure that is stored with ``value``, ``ci95`` and ``p``."""
    value, ci95, p = (measured.get(name) for name in ("value", "ci95", "p"))
    return Cell(value, ci95, p, signed=signed, few=few)


def find_stars(cells: Mapping[Key, Cell]) -> tuple[set[Key], int]:
    """Cells that differ from 0 after Holm's correction over all comparisons of one table, and how many those are."""
    tested = {key: cell.p for key, cell in cells.items() if cell.testable and cell.p is not None}
    corrected = holm(list(tested.values()))
    return {key for key, p in zip(tested, corrected, strict=True) if p < ALPHA}, len(tested)


def describe_stars(comparisons: int) -> str:
    """Foot of a table: what its stars mean."""
    if not comparisons:
        return ""
    several = "" if comparisons == 1 else "s"
    return f"* differs from 0 at {100 * ALPHA:.0f} % after Holm's correction over {comparisons} comparison{several}"


def shares_cells(summary: Mapping[str, Any], headline: str = "macro", ci95: str = "ci95") -> dict[str, Cell]:
    """Accuracy of every config by what it measures, differences over the images that both configs have, and ratios."""
    cells, configs = dict[str, Cell](), sorted(summary["configs"].items(), key=lambda pair: config_rank(pair[0]))
    for kind in dict.fromkeys(measured.get("measures") for _, measured in configs):
        cells[f"-{kind}"] = RULE
        for config, measured in configs:
            if measured.get("measures") == kind:
                value = Cell(measured[f"accuracy_{headline}"], measured[ci95], few=measured["undecidable"])
                cells[f"{config} (n {measured['n']})"] = value
    if headline == "macro" and not summary["balanced"]:
        cells["-images"] = RULE
        for config, measured in configs:
            value = Cell(measured["accuracy_micro"], measured["ci95_micro"], few=measured["undecidable"])
            cells[f"{config}, {IMAGES_ALIKE}"] = value
    cells["-differences"] = RULE
    differences = summary["differences"].values()
    for compared in differences:
        minuend, subtrahend, gap = compared["minuend"], compared["subtrahend"], compared[headline]
        name, n = f"{minuend} - {subtrahend}", compared["n"]
        cells[f"{name} (n {n})"] = measured_cell(gap, signed=True, few=compared["undecidable"])
        if n < summary["configs"][subtrahend]["n"]:
            cells[f"{name}: the latter on these {n}"] = Cell(gap["subtrahend"], bare=True)
    for compared in differences if headline == "macro" else ():
        ratio = Cell(compared["macro"]["ratio"], compared["macro"]["ratio_ci95"], few=compared["undecidable"])
        cells[f"{compared['minuend']} / {compared['subtrahend']}"] = ratio
    return cells
