"""How the commands talk: data on stdout, talk on stderr, progress only on a terminal."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

stderr = Console(stderr=True, highlight=False)


def emit(value: Mapping[str, Any], *, as_json: bool, text: str) -> None:
    """Print a command's result: one JSON object, or text for people."""
    typer.echo(json.dumps(value, sort_keys=True, default=str) if as_json else text)


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """Give a function that shows (stage, done, total); it draws nothing where stderr is no terminal."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=stderr, disable=not stderr.is_terminal) as bar:
        tasks = dict[str, Any]()

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total)
            bar.update(tasks[stage], completed=done, total=total)

        yield show


def counts_text(counts: Mapping[str, int]) -> str:
    """``name 3, other 2``, or ``none``."""
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"
