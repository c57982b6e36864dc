"""How the commands talk: data on stdout, talk on stderr, progress as a bar on a terminal and as lines in a log."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from figureground.errors import DataError, masked, printable

if TYPE_CHECKING:
    from rich.console import Console


_LAYOUT: Final = "\n\t"
"""Control characters that lay out a text for people."""


@cache
def stderr() -> Console:
    """The console that talks to people; made when it is first needed, since ``rich`` takes its time."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """Print a message for people on stderr; see ``printable`` for what names may hold."""
    stderr().print(_shown(text), markup=False, soft_wrap=True)


def emit(value: Any, *, as_json: bool, text: str) -> None:  # noqa: ANN401  a mapping or a report
    """Print a command's result, a mapping or a dataclass: as one JSON object, or as text for people."""
    if as_json:
        print(masked(json.dumps(_plain(value), sort_keys=True, default=_plain)))
        return
    line = _shown(text)
    print(line.encode(encoding, "backslashreplace").decode(encoding) if (encoding := sys.stdout.encoding) else line)


def summarise_files(folder: object, files: Sequence[str], first: Sequence[str]) -> str:
    """Where files were written, how many there are, and which to look at first; names of all are in ``--json``."""
    return f"{folder}: {len(files)} files; look first at {' and '.join(first)}"


def _shown(text: str) -> str:
    """A text as people may see it: nothing commands the terminal, and no secret is in it."""
    return masked(printable(text, keep=_LAYOUT))


@contextmanager
def reported_faults(*, as_json: bool) -> Iterator[None]:
    """Print what was done before faults are raised: what an import stored beside them is told all the same."""
    try:
        yield
    except DataError as error:
        if error.report is not None:
            emit(error.report, as_json=as_json, text=str(error.report))
        raise


def _plain(value: Any) -> Any:  # noqa: ANN401  whatever a report holds
    """What JSON can say of a value. Not ``dataclasses.asdict``, which counts the pairs of a Counter."""
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return value if isinstance(value, Mapping) else str(value)


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """Give a function that shows (stage, done, total): a bar on a terminal, elsewhere a line every half minute."""
    if not stderr().is_terminal:
        yield ProgressLog(say)
        return
    with _bar() as show:
        yield show


@contextmanager
def _bar() -> Iterator[Callable[[str, int, int], None]]:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class RateColumn(ProgressColumn):
        """``8.3 a second``, in the words of ``ProgressLog``."""

        def render(self, task: Task) -> Text:
            return Text(_rate(task.finished_speed or task.speed or 0.0))

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=stderr(), redirect_stdout=False) as bar:  # stdout may be a file
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


SECONDS_A_LINE: Final = 30.0
"""Time between two lines of a log: an hour's work is 120 of them."""


@dataclasses.dataclass(slots=True)
class _Stage:
    """One thing that is counted."""

    began: float
    """Seconds of the clock at the first call."""
    begun_with: int
    """What was done by then: of a run that goes on where another ended, much."""
    last_line: float
    """Seconds of the clock at the last line, or at the beginning."""
    lines: int = 0


@dataclasses.dataclass(slots=True)
class ProgressLog:
    """Progress that prints a line every so often, for logs and pipes, where a bar would be noise."""

    write: Callable[[str], None]
    """Prints a line."""
    clock: Callable[[], float] = time.monotonic
    """Seconds."""
    _stages: dict[str, _Stage] = dataclasses.field(default_factory=dict)

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Note how far a stage has come, and print it every ``SECONDS_A_LINE``; of what had a line, its end too."""
        now = self.clock()
        state = self._stages.setdefault(stage, _Stage(began=now, begun_with=done, last_line=now))
        ended = done >= total and state.lines > 0
        if now - state.last_line < SECONDS_A_LINE and not ended:
            return
        if ended:
            del self._stages[stage]
        state.last_line = now
        state.lines += 1
        self.write(_line(stage, done, total, rate=(done - state.begun_with) / max(now - state.began, 1e-9)))


def _line(stage: str, done: int, total: int, *, rate: float) -> str:
    """``rows: 1200 of 4000, 8.3 a second, 5 min left``."""
    parts = [f"{stage}: {done} of {total}"]
    if rate > 0:
        parts.append(_rate(rate))
        if done < total:
            parts.append(f"{_duration((total - done) / rate)} left")
    return ", ".join(parts)


def _rate(a_second: float) -> str:
    """``8.3 a second``, ``one in 2.5 seconds``; empty for 0."""
    if a_second <= 0:
        return ""
    return f"{a_second:.3g} a second" if a_second >= 1 else f"one in {1 / a_second:.3g} seconds"


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def counts_text(counts: Mapping[str, int]) -> str:
    """``name 3, other 2``, or ``none``."""
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"
