"""``figureground status``, ``doctor`` and ``demo``: where one stands, what is wrong, and what the program does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from figureground.cli.options import JsonOption, WorkspaceOption, verb
from figureground.console import emit, progress_bar, say


@verb("Example: figureground status -w work")
def status(workspace: WorkspaceOption, as_json: JsonOption = False) -> None:
    """Say what a workspace holds, how far its photos are, and what to type next."""
    from figureground.health.status import workspace_state
    from figureground.schemas.store.workspace import Workspace

    with Workspace.open(workspace) as store:
        state = workspace_state(store)
    emit(state, as_json=as_json, text=str(state))


@verb("Examples: figureground doctor\n\nfigureground doctor -w work\n\nHF_HUB_OFFLINE=1 figureground doctor --json")
def doctor(
    workspace: Annotated[
        Path | None, typer.Option("--workspace", "-w", help="Also look at this workspace and its Label Studio.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check this installation, this machine, weights, servers and a workspace; each defect comes with its remedy.

    Nothing is changed or downloaded. The Hub is asked who you are, if you have a token. Exit code 1 if something is
    broken.
    """
    from figureground.health.examination import examine

    with progress_bar() as show:
        diagnosis = examine(workspace, progress=show)
    emit(diagnosis, as_json=as_json, text=str(diagnosis))
    raise typer.Exit(1 if diagnosis.of_state("broken") else 0)


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
