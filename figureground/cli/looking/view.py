"""``figureground view``: a dataset in a browser of this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from figureground.cli.options import JsonOption, RevisionOption, verb
from figureground.console import emit, progress_bar, say


@verb(
    "Examples: figureground view in9\n\n"
    "figureground view in9 --results scores\n\n"
    "figureground view in9 -w work\n\n"
    "figureground view me/in9 --revision v1 --json"
)
def view(
    repository: Annotated[str, typer.Argument(help="Folder of a dataset repository, or its id on the Hub.")],
    revision: RevisionOption = None,
    results: Annotated[
        list[Path] | None, typer.Option(help="Result files of evaluate --out, or folders of them; may be repeated.")
    ] = None,
    workspace: Annotated[
        Path | None, typer.Option("--workspace", "-w", help="Folder of the workspace that flags go to.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Browse a dataset in a browser of this machine: filter its rows, set variants side by side, flag photos."""
    from figureground.gallery import start_view

    with progress_bar() as show:
        started = start_view(
            repository, revision=revision, results=results or (), workspace=workspace, port=port, progress=show
        )
    about = started.about()
    text = f"{about['dataset']}: {about['rows']} rows of {about['photos']} photos; open {about['url']}"
    emit(about, as_json=as_json, text=text)
    sys.stdout.flush()  # whoever waits for the address reads it from a pipe
    say("stop with Ctrl-C")
    started.serve()
    sys.exit(0)
