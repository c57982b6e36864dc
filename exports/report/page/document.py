"""The report as one page: tables, charts and photos in a single HTML file, shown by any browser without a network."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import jinja2
from PIL import Image

from figureground.errors import printable
from figureground.exports.evaluation.results import ResultTable
from figureground.exports.report.page.captions import CAPTIONS
from figureground.exports.report.page.examples import Examples
from figureground.exports.report.pictures import Picture
from figureground.exports.report.table_files import table_files
from figureground.runtime.files import write_text

REPORT_PAGE: Final = "report.html"
MOST_OPEN: Final = 3
"""Pictures of one kind that are seen at once; the others lie in a part that opens."""
_LAYOUT: Final = "\n\t"
"""Control characters that lay out a table."""
MOST_LETTERS: Final = 3_000_000
"""Of all pictures of one kind; those beyond it are named, so that a page of thirty models can be opened."""
_QUALITY: Final = 88
_POLICY: Final = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_MEDIA: Final = {"csv": "text/csv", "md": "text/markdown", "tex": "application/x-tex"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a page holds."""

    tables: Sequence[ResultTable] = ()
    texts: Sequence[str] = ()
    """What else the report says, in the order in which it is read; the first line of each is its title."""
    pictures: Sequence[Picture] = ()
    examples: Sequence[Examples] = ()
    names: Sequence[str] = field(default=())
    """Files beside the page."""


@dataclass(frozen=True, slots=True)
class _Row:
    """One row of a table on the page; without a name it parts groups of rows."""

    name: str
    cells: tuple[str, ...]


def write_page(folder: Path, contents: Contents) -> None:
    """Write ``report.html`` beside the pictures that it shows; the same contents make the same bytes."""
    script = _part("page.js") if contents.examples else ""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = _template().render(
        policy=_POLICY + (f"; script-src 'sha256-{digest}'" if script else ""),
        script=script,
        tables=[_table(table) for table in contents.tables],
        table_files=[_file(name, text) for name, text in table_files(contents.tables).items()]
        if contents.tables
        else [],
        texts=[_text(text) for text in contents.texts],
        charts=list(_charts(folder, contents.pictures)),
        examples=contents.examples,
        files=[_shown(name) for name in contents.names],
        most_open=MOST_OPEN,
    )
    write_text(folder / REPORT_PAGE, page)


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["shown"] = _shown
    return environment.from_string(_part("page.html.jinja"))


def _part(name: str) -> str:
    return (files("figureground.exports.report.page") / name).read_text(encoding="utf-8")


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


def _file(name: str, text: str) -> dict[str, str]:
    media = _MEDIA[name.rpartition(".")[2]]
    encoded = base64.b64encode(text.encode()).decode()
    return {"name": name, "text": _shown(text), "uri": f"data:{media};charset=utf-8;base64,{encoded}"}


def _text(text: str) -> dict[str, str]:
    title, _, body = _shown(text).partition("\n")
    return {"title": title, "body": body}


def _charts(folder: Path, pictures: Sequence[Picture]) -> Iterator[Mapping[str, Any]]:
    """Pictures by kind, in the order in which the first of each was drawn."""
    for kind in dict.fromkeys(picture.kind for picture in pictures):
        caption, shown, left_out = CAPTIONS[kind], list[dict[str, str]](), list[str]()
        taken = 0
        for picture in (one for one in pictures if one.kind == kind):
            uri = _picture_uri(folder / picture.name, picture.photos)
            if shown and taken + len(uri) > MOST_LETTERS:
                left_out.append(picture.name)
                continue
            taken += len(uri)
            of = _shown(picture.of)
            alt = f"{caption.title}: {of}" if of else caption.title
            shown.append({"of": of, "alt": alt, "uri": uri, "name": picture.name})
        yield {"kind": kind, "caption": caption, "pictures": shown, "left_out": left_out}


def _picture_uri(path: Path, photos: bool) -> str:
    """A chart as it is; a sheet of photos as JPEG, an eighth of the size."""
    content, media = path.read_bytes(), "png"
    if photos:
        buffer, media = io.BytesIO(), "jpeg"
        with Image.open(path, formats=("PNG",)) as sheet:
            sheet.convert("RGB").save(buffer, media, quality=_QUALITY)
        content = buffer.getvalue()
    return f"data:image/{media};base64,{base64.b64encode(content).decode()}"


def _shown(text: str) -> str:
    return printable(text, keep=_LAYOUT)
