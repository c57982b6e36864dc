"""The command line: one verb a stage, each a thin call of one public function.

Exit codes: 0 done; 1 a fault in the data, said in full, nothing half-written, or one of the program itself; 2 wrong
usage, such as a path that cannot be used so; 3 an outside service, the disk or the memory failed, run again to resume;
130, 143 or 129 stopped by Ctrl-C (SIGINT), SIGTERM or SIGHUP.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any, Final

import typer

from figureground.cli.verbs import VerbGroup
from figureground.errors import FigureGroundError
from figureground.runtime.signals import Stopped, end_process, end_silently, stoppable

_INTERRUPTED: Final = 128 + signal.SIGINT

app = typer.Typer(
    name="figureground",
    cls=VerbGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Build, publish and score datasets that tell how much a classifier looks at the object and how much at the "
    "background.",
    epilog="Exit codes: 0 done, 1 fault in the data, 2 wrong usage, 3 an outside service, the disk or the "
    "memory failed (run again), 128 and more stopped by a signal (130: Ctrl-C).",
)


def _print_version(asked: bool) -> None:
    """Print the version and end the command, where it is asked for."""
    if asked:
        from figureground import __version__

        print(f"figureground {__version__}")
        raise typer.Exit


@app.callback()
def program(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Take the options of the program itself; its help is that of ``app``."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code; whatever goes wrong is one message, never a traceback."""
    for library in ("HF_DATASETS", "HF_HUB"):  # ours say more, and not to pipes
        os.environ.setdefault(f"{library}_DISABLE_PROGRESS_BARS", "1")
    logging.getLogger("stamina").addHandler(logging.NullHandler())  # else each new attempt is a line on the screen
    try:
        with stoppable() as stops:
            code = _run(arguments, stops)
    except Stopped as stop:
        end_silently()
        end_process(_tell_stop(stop))
    end_silently()
    sys.exit(code)


def _run(arguments: list[str] | None, stops: Sequence[Stopped]) -> int:
    """Run the command line; returns its exit code. Raises what stopped it, even where that came as another error."""
    try:
        result: Any = app(args=arguments, standalone_mode=False)
        sys.stdout.flush()  # where stdout is a full disk, that shows here and not when Python ends
    except typer.Exit as stop:
        return stop.exit_code
    except typer.Abort as stop:  # a question that was not answered, or an EOFError that typer takes for one
        cause = stop.__cause__
        return _tell(cause) if isinstance(cause, EOFError) else _tell_stop(Stopped(signal.SIGINT))
    except BrokenPipeError:  # the reader has seen enough, as in `| head`
        _silence_stdout()
        return 141
    except Exception as error:
        if stops:
            raise stops[0] from error
        show = getattr(error, "show", None)  # click's own usage errors
        if show is None:
            return _tell(error)
        show()
        return int(getattr(error, "exit_code", 2))
    if result == _INTERRUPTED:  # typer's word for a KeyboardInterrupt, which some libraries raise by themselves
        return _tell_stop(Stopped(signal.SIGINT))
    return result if isinstance(result, int) else 0


def _tell_stop(stop: Stopped) -> int:
    """Print that the command was stopped; returns the exit code."""
    from figureground.console import say

    with suppress(OSError):  # the terminal is gone
        say(str(stop))
    return stop.exit_code


def _tell(error: Exception) -> int:
    """Print what went wrong, as one message; returns the exit code. A fault of the program leaves a file behind."""
    from figureground.console import say, stderr
    from figureground.runtime.failures import failure_of, write_traceback

    failure = error if isinstance(error, FigureGroundError) else failure_of(error)
    if failure is None:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        failure = FigureGroundError(
            f"a fault of figureground itself ({reason}); please report it with the file {write_traceback(error)}"
        )
    try:
        # Stages have kinds of their own, which say nothing to people.
        kind = next(base.__name__ for base in type(failure).__mro__ if base.__module__ == FigureGroundError.__module__)
        stderr().print(f"[red]error:[/red] {kind}:", end=" ")
        say(str(failure))
    except OSError:  # nobody can be told
        pass
    try:
        sys.stdout.flush()
    except OSError:
        _silence_stdout()
    return failure.exit_code


def _silence_stdout() -> None:
    """Let what is left for stdout go nowhere: Python would try to write it again when it ends, and complain."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
