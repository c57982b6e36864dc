"""Tables of a page: a caption, a head, and rows of texts and numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from figureground.errors import printable

Cell = str | int
_NUMBER: Final = re.compile(r"-?[\d,]+(\.\d+)?( %)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class FactTable:
    """One table; texts may be of strangers, and hold nothing that commands a terminal."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    """The first cell of each is its name."""
    numeric: tuple[bool, ...]
    """Whether a column holds numbers alone."""
    note: str
    """What else is to be said; empty for nothing."""

    @classmethod
    def of(cls, caption: str, head: Sequence[str], rows: Iterable[Sequence[Cell]], *, note: str = "") -> FactTable:
        """A table whose numbers are written with their thousands apart."""
        texts = tuple(tuple(map(_text, row)) for row in rows)
        columns = zip(*texts, strict=True) if texts else [() for _ in head]
        numeric = tuple(
            any(column) and all(not cell or _NUMBER.fullmatch(cell) for cell in column) for column in columns
        )
        shown = tuple(map(printable, head))
        return cls(caption=printable(caption), head=shown, rows=texts, numeric=numeric, note=printable(note))


def _text(cell: Cell) -> str:
    return f"{cell:,}" if isinstance(cell, int) else printable(cell)
