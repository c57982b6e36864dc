"""Servers: Label Studio and the interactive SAM of a workspace, and the Hub with the user's token."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Final

from figureground.annotate.studio.home import StudioHome
from figureground.errors import FigureGroundError, UsageError, shell_word
from figureground.health.findings import Finding, State

AREA: Final = "servers"
_STUDIO: Final = "Label Studio"
_BACKEND: Final = "interactive SAM"
_HUB: Final = "the Hub"
_PACKAGES: Final = ("httpx", "label_studio_sdk", "psutil", "stamina")


def look_at_studio(home: StudioHome | None) -> Iterator[Finding]:
    """Whether the server is installed, runs and takes our token, and whether its port is free where it does not run.

    Args:
        home: The studio of the workspace that is looked at; None where there is none.

    Raises:
        DataError: if the file of its connection is damaged.
    """
    if not all(map(find_spec, _PACKAGES)):
        return  # the extra is named where extras are
    from figureground.annotate.studio.environment import SERVER_VERSION, installed_environment

    folder = installed_environment()
    detail = f"{SERVER_VERSION} in {folder}" if folder else "not installed, or not to the end"
    remedy = "" if folder else "once, 1 GB: figureground studio up -w WORKSPACE"
    state: State = "good" if folder else "absent"
    yield Finding(area=AREA, name=f"{_STUDIO}'s program", state=state, detail=detail, remedy=remedy)
    if home is None:
        return
    connection = home.connection()
    if connection is None:
        yield Finding(area=AREA, name=_STUDIO, state="absent", detail="this workspace has none")
        return
    yield from _server(home)
    yield from _backend(home)


def _server(home: StudioHome) -> Iterator[Finding]:
    from figureground.annotate.studio.daemons import free_port
    from figureground.annotate.studio.server import server_status

    up = f"figureground studio up {home.option}"
    status = server_status(home)
    states: dict[str, tuple[State, str]] = {
        "running": ("good", ""),
        "stopped": ("absent", f"to start it: {up}"),
        "refuses the token": (
            "broken",
            f"restore {home.root / 'connection.json'} from a copy"
            if status.ours
            else f"connect again, with a token of your account there: {up} --url {shell_word(status.url)}",
        ),
        "not answering": ("broken", f"figureground studio down {home.option}, then {up}"),
    }
    state, remedy = states[status.state]
    detail = f"{status.state} at {status.url}"
    yield Finding(area=AREA, name=_STUDIO, state=state, detail=detail, remedy=remedy)
    if status.state == "stopped":
        try:
            free_port(home.require_connection().port)
        except UsageError:
            yield Finding(
                area=AREA,
                name="its port",
                state="doubtful",
                detail=f"another program has {status.url}, so that the addresses which people kept will not work",
                remedy=f"stop that program, then: {up}; or another port: {up} --port PORT",
            )


def _backend(home: StudioHome) -> Iterator[Finding]:
    from figureground.annotate.studio.backend_daemon import backend_url

    url = backend_url(home)
    if find_spec("fastapi") is not None and find_spec("uvicorn") is not None:
        detail = f"running at {url}" if url else "not running"
        yield Finding(area=AREA, name=_BACKEND, state="good" if url else "absent", detail=detail)


def look_at_hub() -> Iterator[Finding]:
    """Whether the Hub can be reached, and knows the user's token; without a token nothing is asked."""
    from huggingface_hub import HfApi, constants, get_token

    from figureground.runtime.hub import hub_errors

    log_in = "hf auth login, or set HF_TOKEN to a token of your account"
    if constants.HF_HUB_OFFLINE:
        yield Finding(area=AREA, name=_HUB, state="absent", detail="HF_HUB_OFFLINE is set: nothing is asked of it")
        return
    if not get_token():
        detail = "no token: public datasets can be read, nothing can be published"
        yield Finding(area=AREA, name=_HUB, state="absent", detail=detail, remedy=f"to publish: {log_in}")
        return
    try:
        with hub_errors(constants.ENDPOINT):
            user = HfApi(library_name="figureground").whoami()
    except UsageError:
        detail = f"{constants.ENDPOINT} does not know the token"
        yield Finding(area=AREA, name=_HUB, state="broken", detail=detail, remedy=log_in)
    except FigureGroundError as error:
        remedy = "look at the connection, or set HF_HUB_OFFLINE=1 to work without it"
        yield Finding(area=AREA, name=_HUB, state="doubtful", detail=str(error), remedy=remedy)
    else:
        yield Finding(area=AREA, name=_HUB, state="good", detail=f"logged in to {constants.ENDPOINT} as {user['name']}")
