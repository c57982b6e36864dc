"""The interactive SAM beside a server of ours: started with it, found again, known to its projects."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Final

from figureground.annotate.segmenters.loading import ModelChoice
from figureground.annotate.studio.client import StudioClient
from figureground.annotate.studio.daemons import LOOPBACK, Daemon, same_port
from figureground.annotate.studio.home import StudioHome
from figureground.annotate.studio.queues.order import note_queue
from figureground.errors import ServiceError
from figureground.runtime.devices import AUTO
from figureground.schemas.store.workspace import Workspace

START_SECONDS: Final = 180.0
"""ViT-H takes its time to load."""


def start_backend(home: StudioHome, choice: ModelChoice, *, say: Callable[[str], None] = lambda _: None) -> str | None:
    """Start the interactive SAM on loopback, or find that it runs; returns its address.

    None where the extra ``backend`` is not installed: annotators can do without.

    Args:
        home: The studio of the workspace.
        choice: The model, and the device and precision that it runs with.
        say: Called with a line for the user, when something takes long.

    Raises:
        ServiceError: if it does not come up.
    """
    if find_spec("fastapi") is None or find_spec("uvicorn") is None:
        say("no interactive SAM: pip install 'figureground[backend]' for it")
        return None
    running = backend_url(home)
    if running is not None:
        if (started := started_options(_daemon(home).process())) not in ([], model_options(choice)):
            say(
                f"the interactive SAM runs already, with {' '.join(started)}, and stays so; for another model, first: "
                f"figureground studio down {home.option}"
            )
        return running
    daemon = _daemon(home)
    port = same_port(daemon.last_port)
    command = [sys.executable, "-P", "-m", "figureground", "studio", "backend", "-w", str(home.root.parent)]
    try:
        daemon.start([*command, *model_options(choice), "--port", str(port)], {}, port=port)
        say(f"starting the interactive SAM ({choice.segmenter})")
        _await_health(daemon, port)
    except BaseException:
        daemon.stop()
        raise
    return f"http://{LOOPBACK}:{port}"


def model_options(choice: ModelChoice) -> list[str]:
    """Options of ``figureground studio backend`` that name a model; what has its default is left out."""
    options = {
        "--checkpoint": choice.checkpoint,
        "--device": None if choice.device == AUTO else choice.device,
        "--precision": None if choice.precision == "float32" else choice.precision,
    }
    named = [part for name, value in options.items() if value is not None for part in (name, value)]
    return ["--segmenter", choice.segmenter, *named]


def started_options(process: Any) -> list[str]:  # noqa: ANN401  psutil.Process
    """The options that name the model of an interactive SAM that runs, as ``model_options`` spells them.

    Empty for None, and where it ended meanwhile or the system does not show its command.
    """
    import psutil

    try:
        command: list[str] = process.cmdline() if process is not None else []
    except psutil.Error:
        return []
    return command[command.index("--segmenter") : command.index("--port")] if "--segmenter" in command else []


def stop_backend(home: StudioHome) -> bool:
    """Stop it; returns whether it ran."""
    return _daemon(home).stop()


def backend_url(home: StudioHome) -> str | None:
    """Its address, if it runs."""
    port = _daemon(home).port
    return None if port is None else f"http://{LOOPBACK}:{port}"


def connect_projects(
    workspace: Workspace, client: StudioClient, home: StudioHome, *, begin_queues: bool = False
) -> None:
    """Make the smart tools of every project of a server of ours call the interactive SAM, if it runs.

    Args:
        workspace: Notes which projects there are.
        client: The server.
        home: The studio of the workspace.
        begin_queues: Also note the order of each project's photos, from the first without an answer on.

    Raises:
        ServiceError: if the server does not reach the interactive SAM.
    """
    url, server = backend_url(home), client.connection.server
    if url is None or not client.connection.ours:
        return
    for project in workspace.studio_projects(server):
        if client.project(project) is None:
            continue
        client.connect_backend(project, url)
        if begin_queues:
            photos = workspace.studio_tasks(server, project)
            begin = min(client.untouched_tasks(project, photos.values()), default=None)
            note_queue(
                home.queues, project, photos, begin=max(photos.values(), default=0) + 1 if begin is None else begin
            )


def _daemon(home: StudioHome) -> Daemon:
    return Daemon(home.root, "backend")


def _await_health(daemon: Daemon, port: int) -> None:
    import httpx

    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if daemon.process() is None:
            raise ServiceError(f"the interactive SAM ended while starting; {daemon.log} says:\n{daemon.last_words()}")
        try:
            if httpx.get(f"http://{LOOPBACK}:{port}/health", timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.5)
    raise ServiceError(f"the interactive SAM did not come up in {START_SECONDS:.0f} s; see {daemon.log}")
