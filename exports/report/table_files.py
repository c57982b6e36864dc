"""Tables of results as files that other programs read: CSV, Markdown and LaTeX."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from figureground.exports.evaluation.results import ResultTable
from figureground.runtime.files import csv_text

_SPECIAL: Final = re.compile(r"[&%$#_{}~^\\]")
_SPELLED: Final = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TableCell:
    """One figure of one model."""

    table: str
    """Title of the table: dataset, split, label space and feed; only figures of one table compare."""
    figure: str
    model: str
    value: float | None
    """A share, or a difference or ratio of shares; None where there is none."""
    low: float | None
    """Of the 95 % interval."""
    high: float | None
    p: float | None
    """Of the hypothesis that a difference is 0, before correction."""
    star: bool
    """Whether it differs from 0 after correction over the table."""


def table_files(tables: Sequence[ResultTable]) -> dict[str, str]:
    """The text of each file by its name; the same tables make the same bytes."""
    return {
        "tables.csv": csv_text(TableCell, list(_cells(tables))),
        "tables.md": "\n\n".join(map(_markdown, tables)) + "\n",
        "tables.tex": "% Needs \\usepackage{booktabs}\n" + "\n\n".join(map(_latex, tables)) + "\n",
    }


def _cells(tables: Sequence[ResultTable]) -> Iterator[TableCell]:
    for table in tables:
        for name, cells in table.rows.items():
            if name.startswith("-"):
                continue
            for number, (model, cell) in enumerate(zip(table.models, cells, strict=True)):
                low, high = cell.ci95 or (None, None)
                yield TableCell(
                    table=table.title,
                    figure=name,
                    model=model,
                    value=cell.value,
                    low=low,
                    high=high,
                    p=cell.p,
                    star=(name, number) in table.stars,
                )


def _texts(table: ResultTable) -> Iterator[list[str]]:
    """Name and cells of each row, as people read them; an empty list parts groups of rows."""
    for name, cells in table.rows.items():
        texts = [cell.text((name, number) in table.stars) for number, cell in enumerate(cells)]
        yield [] if name.startswith("-") else [name, *texts]


def _markdown(table: ResultTable) -> str:
    rows = [["", *table.models], ["---", *["---"] * len(table.models)], *filter(None, _texts(table))]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([f"**{table.title}**", "", *lines, "", table.foot])


def _latex(table: ResultTable) -> str:
    lines = [rf"\begin{{table}}\caption{{{_tex(table.title)}. {_tex(table.foot)}.}}"]
    lines += [rf"\begin{{tabular}}{{l{'r' * len(table.models)}}}", r"\toprule"]
    lines += [" & ".join(["", *map(_tex, table.models)]) + r" \\", r"\midrule"]
    first = True
    for row in _texts(table):
        if row:
            lines.append(" & ".join(map(_tex, row)) + r" \\")
        elif not first:
            lines.append(r"\midrule")
        first = False
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}"])


def _tex(text: str) -> str:
    return _SPECIAL.sub(lambda match: _SPELLED.get(match[0], "\\" + match[0]), text)
