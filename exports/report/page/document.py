"""The report as one page: its tables and plots in a single HTML file, which any browser shows without a network."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import jinja2

from figureground.errors import printable
from figureground.exports.evaluation.results import ResultTable
from figureground.runtime.files import write_text

REPORT_PAGE: Final = "report.html"
_LAYOUT: Final = "\n\t"
"""Control characters that lay out a table."""


@dataclass(frozen=True, slots=True)
class _Row:
    """One row of a table on the page; without a name it parts groups of rows."""

    name: str
    cells: tuple[str, ...]


def write_page(folder: Path, tables: Sequence[ResultTable], texts: Sequence[str], names: Sequence[str]) -> None:
    """Write ``report.html``; the same tables and plots make the same bytes.

    Args:
        folder: Where the report is.
        tables: Its tables of results.
        texts: What else it says, in the order in which it is read; the first line of each is its title.
        names: Files of the report there: PNGs are shown, others named.
    """
    pictures = [name for name in names if name.endswith(".png")]
    page = _template().render(
        tables=[_table(table) for table in tables],
        texts=[_text(text) for text in texts],
        plots=[_plot(folder, name) for name in pictures],
        files=[name for name in names if name not in pictures],
    )
    write_text(folder / REPORT_PAGE, page)


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(files(__package__).joinpath("page.html.jinja").read_text(encoding="utf-8"))


def _table(table: ResultTable) -> dict[str, Any]:
    return {
        "title": _shown(table.title),
        "models": [_shown(model) for model in table.models],
        "rows": list(_rows(table)),
        "foot": _shown(table.foot),
    }


def _rows(table: ResultTable) -> Iterator[_Row]:
    for name, cells in table.rows.items():
        texts = (cell.text((name, number) in table.stars) for number, cell in enumerate(cells))
        yield _Row("", ()) if name.startswith("-") else _Row(_shown(name), tuple(map(_shown, texts)))


def _text(text: str) -> dict[str, str]:
    title, _, body = _shown(text).partition("\n")
    return {"title": title, "body": body}


def _plot(folder: Path, name: str) -> dict[str, str]:
    return {"title": _shown(name.removesuffix(".png")), "data": base64.b64encode((folder / name).read_bytes()).decode()}


def _shown(text: str) -> str:
    return printable(text, keep=_LAYOUT)
