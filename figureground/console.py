"""How the commands talk: data on stdout, talk on stderr, progress only on a terminal."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


@cache
def stderr() -> Console:
    """The console that talks to people; made when it is first needed, since ``rich`` takes its time."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """Print a message for people, as it is, on stderr."""
    stderr().print(text, markup=False, soft_wrap=True)


def emit(value: Any, *, as_json: bool, text: str) -> None:  # noqa: ANN401  a mapping or a report
    """Print a command's result, a mapping or a dataclass: as one JSON object, or as text for people."""
    print(json.dumps(_plain(value), sort_keys=True, default=_plain) if as_json else text)


def _plain(value: Any) -> Any:  # noqa: ANN401  whatever a report holds
    """What JSON can say of a value. Not ``dataclasses.asdict``, which counts the pairs of a Counter."""
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return value if isinstance(value, Mapping) else str(value)


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """Give a function that shows (stage, done, total); it draws nothing where stderr is no terminal."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=stderr(), disable=not stderr().is_terminal) as bar:
        tasks = dict[str, Any]()

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total)
            bar.update(tasks[stage], completed=done, total=total)

        yield show


def table_text(rows: Sequence[Sequence[str]]) -> str:
    """A heading and rows of cells as lines whose columns stand below each other; columns of whole numbers to the right.

    Args:
        rows: The heading, then the rows; all have as many cells.
    """
    columns = list(zip(*rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    counts = [all(cell.isdigit() for cell in column[1:]) for column in columns]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if count else cell.ljust(width)
            for cell, width, count in zip(row, widths, counts, strict=True)
        ).rstrip()
        for row in rows
    )


def count_text(count: int, noun: str) -> str:
    """``1 photo``, ``2 photos``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def counts_text(counts: Mapping[str, int]) -> str:
    """``name 3, other 2``, or ``none``."""
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"
