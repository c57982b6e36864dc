"""The command line: one verb a stage, each a thin call of one public function.

Exit codes: 0 done; 1 a fault in the data, said in full, nothing half-written; 2 wrong usage; 3 an outside service
failed, run again to resume.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Annotated, Any

import typer

from figureground.cli.verbs import VerbGroup
from figureground.errors import FigureGroundError

app = typer.Typer(
    name="figureground",
    cls=VerbGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Build, publish and score datasets that tell how much a classifier looks at the object and how much at the "
    "background.",
    epilog="Exit codes: 0 done, 1 fault in the data, 2 wrong usage, 3 an outside service failed (run again).",
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
    """Run the command line and exit with its code; errors of ours are one message, never a traceback."""
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")  # ours says more
    logging.getLogger("stamina").addHandler(logging.NullHandler())  # else each new attempt is a line on the screen
    try:
        result: Any = app(args=arguments, standalone_mode=False)
    except FigureGroundError as error:
        from figureground.console import say, stderr

        kind = next(base.__name__ for base in type(error).__mro__ if not base.__name__.startswith("_"))
        stderr().print(f"[red]error:[/red] {kind}:", end=" ")
        say(str(error))
        sys.exit(error.exit_code)
    except typer.Exit as stop:
        sys.exit(stop.exit_code)
    except typer.Abort:
        sys.exit(130)
    except Exception as error:
        show = getattr(error, "show", None)  # click's own usage errors
        if show is None:
            raise
        show()
        sys.exit(getattr(error, "exit_code", 2))
    sys.exit(result if isinstance(result, int) else 0)


if __name__ == "__main__":
    main()
