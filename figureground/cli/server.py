"""The server of a workspace from the command line: ``figureground studio up`` and ``studio down``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Annotated, Final

import typer

from figureground.cli.interactive import CLICKABLE_NAMES
from figureground.cli.options import DeviceOptions, JsonOption, WorkspaceOption, flattened, refuse_options
from figureground.console import emit, say

TOKEN_VARIABLE: Final = "LABEL_STUDIO_API_KEY"  # noqa: S105  a name; the SDK reads the same


@dataclass(frozen=True, kw_only=True)
class SamOptions:
    """The interactive SAM that is started too."""

    sam: Annotated[bool, typer.Option(help="Also start the interactive SAM.")] = True
    segmenter: Annotated[str, typer.Option(help=f"The interactive model: {CLICKABLE_NAMES}.")] = "mobile-sam"
    checkpoint: Annotated[str | None, typer.Option(help="File, folder or name of its weights.")] = None


@flattened
def up(
    context: typer.Context,
    *,
    workspace: WorkspaceOption,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port; default: that of last time, else any free one.")
    ] = None,
    url: Annotated[str | None, typer.Option(help="Use a server that runs already; its token is asked for.")] = None,
    options: SamOptions,
    network: DeviceOptions,
    as_json: JsonOption = False,
) -> None:
    """Start Label Studio for a workspace, on this machine alone; installed on first use. Running twice is fine."""
    from figureground.annotate.segmenters.loading import ModelChoice
    from figureground.annotate.studio.backend_daemon import connect_projects, start_backend
    from figureground.annotate.studio.client import StudioClient
    from figureground.annotate.studio.home import StudioHome
    from figureground.annotate.studio.server import connect_server, start_server
    from figureground.runtime.devices import AUTO, check_precision, resolve_device
    from figureground.schemas.store.workspace import Workspace

    model_options = ("segmenter", "checkpoint", "device", "precision")
    if url is not None:
        ours = ("port", "sam", *model_options) if options.sam else ("port", *model_options)
        refuse_options(context, ours, "with --url, whose server is not started here")
    elif not options.sam:
        refuse_options(context, model_options, "with --no-sam")
    Workspace.open(workspace).close()
    model = ModelChoice(
        segmenter=options.segmenter, checkpoint=options.checkpoint, device=network.device, precision=network.precision
    )
    if model.device != AUTO:  # said here, not in the log of a server that does not come up
        check_precision(resolve_device(model.device), model.precision)
    home = StudioHome.of(workspace)
    if url is not None:
        token = os.environ.get(TOKEN_VARIABLE) or typer.prompt("Token of your account there", hide_input=True, err=True)
        connection = connect_server(home, url, token)
    else:
        connection = start_server(home, port=port, say=say)
    backend = start_backend(home, model, say=say) if options.sam and url is None else None
    with Workspace.open(workspace) as store:
        connect_projects(store, StudioClient(connection), home, begin_queues=True)
    lines = [f"Label Studio runs at {connection.url}"]
    if connection.ours:
        lines.append(f"log in as {connection.username}; the password is in {home.root / 'connection.json'}")
    if backend:
        lines.append(f"interactive SAM runs at {backend}")
    started = {"url": connection.url, "username": connection.username, "backend": backend}
    emit(started, as_json=as_json, text="\n".join(lines))


def down(workspace: WorkspaceOption, as_json: JsonOption = False) -> None:
    """Stop Label Studio and the interactive SAM; nothing is lost. A server of your own is only disconnected."""
    from figureground.annotate.studio.backend_daemon import stop_backend
    from figureground.annotate.studio.home import StudioHome
    from figureground.annotate.studio.server import stop_server
    from figureground.schemas.store.workspace import Workspace

    home = StudioHome.of(workspace)
    if not home.root.exists():  # else a server may run, however damaged the workspace is
        Workspace.open(workspace).close()
    stop_backend(home)
    done = stop_server(home)
    emit({"server": done}, as_json=as_json, text=f"Label Studio: {done}")
