"""A Label Studio server of our own: started on loopback, found again, stopped cleanly."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from filelock import FileLock

from figureground.annotate.studio.client import StudioClient
from figureground.annotate.studio.daemons import LOOPBACK, Daemon, free_port, same_port
from figureground.annotate.studio.environment import SERVER_VERSION, executable, server_environment
from figureground.annotate.studio.home import Connection, StudioHome, private_files, private_folder
from figureground.errors import DataError, FigureGroundError, ServiceError, UsageError
from figureground.schemas.pages.labeling import EDITOR_KEYMAP

START_SECONDS: Final = 300.0
"""The first start migrates a database: a minute on two cores."""
_ADMINISTRATOR: Final = "maintainer@figureground.local"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatus:
    """The server's part of ``studio status``."""

    url: str
    ours: bool
    state: str
    """``running``, ``stopped``, ``not answering``, or ``refuses the token``."""
    version: str = ""
    pid: int | None = None


def start_server(home: StudioHome, *, port: int | None = None, say: Say = lambda _: None) -> Connection:
    """Start the workspace's own server, or find that it runs already.

    Loopback only, no telemetry, no sign-up without a link, secrets drawn once and kept in a file of mode 0600. A server
    that runs is never stopped here: people may be working on it.

    Args:
        home: The workspace's studio folder.
        port: The port to listen on; None for that of last time, or any free one.
        say: Called with a line for the user, when something takes long or is not as it was.

    Raises:
        UsageError: if the port is taken, the server runs at another port or refuses the token that is kept, or the
            workspace is connected to a server that is not ours.
        DataError: if the file of the connection is damaged.
        ServiceError: if the server cannot be installed or does not come up.
    """
    with _changing_server(home):
        return _start_server(home, port, say)


@contextmanager
def _changing_server(home: StudioHome) -> Iterator[None]:
    """Hold off other commands that start, stop, connect or disconnect the workspace's server."""
    private_folder(home.root)
    with FileLock(home.root / "up.lock"):
        yield


def _start_server(home: StudioHome, port: int | None, say: Say) -> Connection:
    known = home.connection()
    if known is not None and not known.ours:
        raise UsageError(
            f"this workspace is connected to {known.url}; disconnect with: figureground studio down {home.option}"
        )
    if known is not None and (process := _daemon(home).process()) is not None:
        _check_running(home, known, process.pid, port)
        return known
    if known is None and home.data.exists():
        raise UsageError(
            f"{home.data} holds a server whose secrets are lost: restore {home.root / 'connection.json'} from a copy, "
            f"or stop the server and move {home.root} away to start anew"
        )
    last = known.port if known else None
    asked = free_port(port) if port else same_port(last)
    if last is not None and port is None and asked != last:
        say(f"port {last} of last time is taken: Label Studio moves to {asked}, so bookmarks and tunnels must follow")
    environment = server_environment(say)
    connection = Connection(
        url=f"http://{LOOPBACK}:{asked}",
        token=known.token if known else secrets.token_hex(20),
        server=known.server if known else secrets.token_hex(8),
        key=known.key if known else secrets.token_hex(8),
        username=known.username if known else _ADMINISTRATOR,
        password=known.password if known else secrets.token_urlsafe(18),
    )
    home.save_connection(connection)
    home.served.mkdir(parents=True, exist_ok=True)
    private_folder(home.data)
    private_files(home.data, ".sqlite3")
    daemon = _daemon(home)
    program = str(executable(environment, "label-studio"))
    command = [program, "start", "--no-browser", "--internal-host", LOOPBACK, "--port", str(asked)]
    daemon.start(command, _settings(home, connection), port=asked)
    say(f"starting Label Studio {SERVER_VERSION} at {connection.url}")
    try:
        _await_ours(daemon, connection)
    except UsageError as error:
        daemon.stop()
        raise UsageError(
            f"the token in {home.root / 'connection.json'} is not the server's: restore the file from a copy"
        ) from error
    except BaseException:
        daemon.stop()
        raise
    return connection


def _check_running(home: StudioHome, known: Connection, pid: int, port: int | None) -> None:
    """Make sure that the server that runs can be used as it is.

    Raises:
        UsageError: if another port is asked for, or it refuses the token.
        ServiceError: if it does not answer, also after a while.
    """
    if port is not None and port != known.port:
        raise UsageError(
            f"Label Studio runs at {known.url}, and people may be working there; to move it to port {port}, type: "
            f"figureground studio down {home.option}, then figureground studio up {home.option} --port {port}"
        )
    try:
        _await_ours(_daemon(home), known)
    except UsageError as error:
        raise UsageError(
            f"Label Studio runs (process {pid}) and refuses the token in {home.root / 'connection.json'}: restore the "
            f"file from a copy; the server was left alone"
        ) from error
    except ServiceError as error:
        raise ServiceError(
            f"{error}; process {pid} was left alone, stop it with: figureground studio down {home.option}"
        ) from error


def connect_server(home: StudioHome, url: str, token: str) -> Connection:
    """Use a server that runs already; its token is kept in a file of mode 0600.

    Raises:
        UsageError: if it refuses the token, or the workspace has a server of its own.
        ServiceError: if it does not answer as a Label Studio.
    """
    with _changing_server(home):
        return _connect_server(home, url, token)


def _connect_server(home: StudioHome, url: str, token: str) -> Connection:
    known = home.connection()
    if known is not None and known.ours:
        raise UsageError(f"this workspace has a server of its own, at {known.url}; stop and move {home.root} first")
    address = url.rstrip("/")
    key = known.key if known is not None and known.url == address else secrets.token_hex(8)
    connection = Connection(url=address, token=token.strip(), server=address, key=key)
    StudioClient(connection).whoami()
    home.save_connection(connection)
    return connection


def stop_server(home: StudioHome) -> str:
    """Stop our server, or forget the connection to another's; returns what was done, in a sentence.

    A server of ours is stopped even if the file of its connection is damaged: its process is known.
    """
    if _is_foreign(home):
        with _changing_server(home):
            known = home.connection()
            if known is not None and not known.ours:
                home.forget_connection()
                return f"disconnected from {known.url}, which goes on: it is not ours to stop"
    return "stopped" if _daemon(home).stop() else "it was not running"


def _is_foreign(home: StudioHome) -> bool:
    """Whether the workspace is connected to a server that is not ours; a damaged file says nothing of one."""
    try:
        known = home.connection()
    except DataError:
        return False
    return known is not None and not known.ours


def server_status(home: StudioHome) -> ServerStatus:
    """How the server does. Raises UsageError if the workspace has none."""
    connection = home.require_connection()
    process = _daemon(home).process() if connection.ours else None
    pid = process.pid if process else None
    if connection.ours and process is None:
        return ServerStatus(url=connection.url, ours=True, state="stopped")
    try:
        client = StudioClient(connection)
        version = client.version()
        client.whoami()
    except FigureGroundError as error:
        state = "refuses the token" if isinstance(error, UsageError) else "not answering"
        return ServerStatus(url=connection.url, ours=connection.ours, state=state, pid=pid)
    return ServerStatus(url=connection.url, ours=connection.ours, state="running", version=version, pid=pid)


def require_running(home: StudioHome) -> Connection:
    """The connection, if its server answers.

    Raises:
        UsageError: if there is none, it is stopped, or it refuses the token.
        ServiceError: if it does not answer.
    """
    connection = home.require_connection()
    if connection.ours and _daemon(home).process() is None:
        raise UsageError(
            f"the workspace's Label Studio is not running; start it with: figureground studio up {home.option}"
        )
    StudioClient(connection).whoami()
    return connection


def _daemon(home: StudioHome) -> Daemon:
    return Daemon(home.root, "server")


def _settings(home: StudioHome, connection: Connection) -> dict[str, str]:
    """The server's settings, which it reads from its environment."""
    settings = {
        "BASE_DATA_DIR": str(home.data),
        "USERNAME": connection.username,
        "PASSWORD": connection.password,
        "USER_TOKEN": connection.token,
        "ENABLE_LEGACY_API_TOKEN": "true",  # else the token above is refused
        "LOCAL_FILES_SERVING_ENABLED": "true",
        "LOCAL_FILES_DOCUMENT_ROOT": str(home.documents),
        "LATEST_VERSION_CHECK": "false",
        "COLLECT_ANALYTICS": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "DISABLE_SIGNUP_WITHOUT_LINK": "true",
        "ML_BLOCK_LOCAL_IP": "false",  # our backend listens on loopback; protection against SSRF stays on
        "EDITOR_KEYMAP": json.dumps(EDITOR_KEYMAP),
    }
    named = {f"LABEL_STUDIO_{name}": value for name, value in settings.items()}
    # Predictions are checked on import, and the stream shows how far one is in the queue, not in one's own history.
    flags = ("fflag_feat_utc_210_prediction_validation_15082025", "fflag_fix_all_optic_79_task_count_is_wrong_short")
    return {**named, **dict.fromkeys(flags, "true")}


def _answers_as_ours(connection: Connection) -> bool:
    """Whether who answers at the address knows our token: on a taken port another server might.

    Raises:
        UsageError: if it refuses the token.
    """
    try:
        return StudioClient(connection, patient=False).whoami().email == connection.username
    except ServiceError:
        return False


def _await_ours(daemon: Daemon, connection: Connection) -> None:
    """Wait until the server answers.

    Raises:
        UsageError: if it refuses the token.
        ServiceError: if it ends, or does not come up in time.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if daemon.process() is None:
            raise ServiceError(f"Label Studio ended while starting; {daemon.log} says:\n{daemon.last_words()}")
        if _answers_as_ours(connection):
            return
        time.sleep(0.5)
    raise ServiceError(f"Label Studio did not answer in {START_SECONDS:.0f} s; see {daemon.log}")
