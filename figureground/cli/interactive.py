"""The interactive SAM from the command line: ``figureground studio backend`` and ``studio embeddings``."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Annotated, Final

import typer

from figureground.cli.options import DeviceOptions, JsonOption, WorkspaceOption, flattened, refuse_options
from figureground.console import emit, progress_bar, say
from figureground.errors import UsageError

PASSWORD_VARIABLE: Final = "FIGUREGROUND_BACKEND_PASSWORD"  # noqa: S105  a name
CLICKABLE_NAMES: Final = "mobile-sam, sam, edgetam, sam-hq, sam2 or sam3"
"""``CLICKABLE`` for people, without importing what knows it."""


@dataclass(frozen=True, kw_only=True)
class ClickOptions:
    """The model that answers clicks, and what is kept for it."""

    segmenter: Annotated[str, typer.Option(help=f"The model: {CLICKABLE_NAMES}.")] = "mobile-sam"
    checkpoint: Annotated[str | None, typer.Option(help="File, folder or name of the weights.")] = None
    embeddings_gb: Annotated[
        float, typer.Option(min=0.001, help="Most gigabytes of embeddings on disk; those used longest ago go first.")
    ] = 20.0


@flattened
def backend(
    *,
    workspace: WorkspaceOption,
    options: ClickOptions,
    host: Annotated[str, typer.Option(help="Address; beyond this machine only with a login.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 9090,
    login: Annotated[
        str | None, typer.Option(help=f"User of HTTP Basic; the password is in {PASSWORD_VARIABLE}.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads inside the model.")] = None,
    network: DeviceOptions,
) -> None:
    """Serve the interactive SAM in the foreground (studio up starts one by itself); stop with Ctrl-C."""
    from figureground.annotate.segmenters.loading import ModelChoice
    from figureground.annotate.studio.backend import serve_backend
    from figureground.annotate.studio.home import StudioHome

    password = os.environ.get(PASSWORD_VARIABLE, "")
    if login and not password:
        raise UsageError(f"a login needs a password, in {PASSWORD_VARIABLE}")
    say(f"loading {options.segmenter}")
    model = ModelChoice(
        segmenter=options.segmenter,
        checkpoint=options.checkpoint,
        threads=threads,
        device=network.device,
        precision=network.precision,
        most_embeddings_gb=options.embeddings_gb,
    )
    serve_backend(
        StudioHome.of(workspace), model, host=host, port=port, basic_auth=(login, password) if login else None
    )
    sys.exit(0)


@flattened
def embeddings(
    context: typer.Context,
    *,
    workspace: WorkspaceOption,
    fill: Annotated[bool, typer.Option("--fill", help="Encode the photos that wait for annotators.")] = False,
    options: ClickOptions,
    network: DeviceOptions,
    as_json: JsonOption = False,
) -> None:
    """Say how many photos the interactive SAM has encoded, or encode those that wait, so that no first click does."""
    from figureground.annotate.segmenters.embeddings import EmbeddingFolder, keep_embeddings
    from figureground.annotate.segmenters.loading import load_segmenter
    from figureground.annotate.studio.home import StudioHome
    from figureground.annotate.studio.queues.filling import fill_embeddings, stored_by_model, waiting_photos
    from figureground.schemas.store.workspace import Workspace

    if not fill:
        filling = ("segmenter", "checkpoint", "embeddings_gb", "device", "precision")
        refuse_options(context, filling, "without --fill")
    Workspace.open(workspace).close()
    home = StudioHome.of(workspace)
    folder = EmbeddingFolder(path=home.embeddings, most_bytes=int(options.embeddings_gb * 1e9))
    lines, report = [], None
    if fill:
        model = load_segmenter(
            options.segmenter, checkpoint=options.checkpoint, device=network.device, precision=network.precision
        )
        remembering = keep_embeddings(model, folder)
        with progress_bar() as show:
            report = fill_embeddings(remembering, folder, waiting_photos(home.queues), home, progress=show)
        room = f", {report.no_room} left for want of room (--embeddings-gb)" if report.no_room else ""
        lines.append(f"{report.made} photos encoded, {report.there} were there{room}")
    stored = stored_by_model(home.embeddings)
    lines += [f"{name}: {count} photos, {size / 1e9:.2f} GB" for name, (count, size) in stored.items()]
    models = {name: {"photos": count, "bytes": size} for name, (count, size) in stored.items()}
    filled = {"made": report.made, "there": report.there, "no_room": report.no_room} if report else None
    emit({"models": models, "filled": filled}, as_json=as_json, text="\n".join(lines) or "no embeddings are kept yet")
    if report is not None:
        report.raise_if_any()
