"""``figureground demo``: the whole path on photos that packages ship."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from figureground.cli.options import JsonOption, verb
from figureground.console import emit, progress_bar, say


@verb("Example: figureground demo -o demo-run")
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for everything the demo makes.")] = Path("demo-run"),
    as_json: JsonOption = False,
) -> None:
    """Walk the whole path on photos that installed packages ship: propose, build, load back, score."""
    from figureground.demo.walk import run_demo

    with progress_bar() as show:
        report = run_demo(out, progress=show, notice=say)
    emit(report.to_dict(), as_json=as_json, text=str(report))
