"""Where a workspace keeps its Label Studio: the server's data, the served copies, the secrets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock, Timeout
from pydantic import TypeAdapter

from figureground.errors import DataError, UsageError, keep_secret, shell_word
from figureground.runtime.files import replace_file


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How to reach a server. Holds secrets: it is never printed, only its ``url``."""

    url: str
    """Without a slash at the end."""
    token: str
    """A legacy token (40 hex digits) or a personal access token (a JWT)."""
    server: str
    """What the workspace calls the server: a random id for one of ours, else its address."""
    key: str
    """What marks our projects there: two workspaces may share a server, and a folder's name."""
    username: str = ""
    password: str = ""
    """Of the administrator, where the server is ours."""

    def __post_init__(self) -> None:
        """Let no message show the secrets, whatever a server answers."""
        keep_secret(self.token, self.password)

    @property
    def port(self) -> int | None:
        """The port of the address; None where it names none."""
        try:
            return urlsplit(self.url).port
        except ValueError:
            return None

    @property
    def ours(self) -> bool:
        """Whether ``studio up`` started it, so that its files, accounts and settings are ours to set."""
        return bool(self.password)

    def __repr__(self) -> str:
        """The address alone: a traceback must not show a secret."""
        return f"Connection({self.url})"


@dataclass(frozen=True, slots=True)
class StudioHome:
    """The folder ``studio`` of a workspace."""

    root: Path

    @classmethod
    def of(cls, workspace: Path) -> StudioHome:
        """The home of a workspace's Label Studio; made with the first thing in it."""
        return cls(workspace.resolve() / "studio")

    @property
    def option(self) -> str:
        """The option that names the workspace in a command to type: ``-w work``."""
        return f"-w {shell_word(self.root.parent)}"

    @property
    def data(self) -> Path:
        """The server's own folder: its database, uploads and settings."""
        return self.root / "data"

    @property
    def documents(self) -> Path:
        """All that the server may serve from this disk; nothing but served copies lies below."""
        return self.root / "documents"

    @property
    def served(self) -> Path:
        """The copies of photos that annotators see, ``<image_id>.jpg`` or ``.png``."""
        return self.documents / "photos"

    @property
    def queues(self) -> Path:
        """The order in which each project shows its photos, one file a project."""
        return self.root / "queues"

    @property
    def embeddings(self) -> Path:
        """What the interactive SAM computed of photos, kept for their next clicks."""
        return self.root / "embeddings"

    @property
    def click_times(self) -> Path:
        """How long annotators waited for masks, in seconds."""
        return self.root / "click_times.jsonl"

    @property
    def server_log(self) -> Path:
        """What a server of ours printed since it was started."""
        return self.root / "server.log"

    @property
    def _connection_file(self) -> Path:
        return self.root / "connection.json"

    def save_connection(self, connection: Connection) -> None:
        """Keep a connection, readable by its owner alone."""
        write_secret(self._connection_file, json.dumps(asdict(connection), indent=1))

    def connection(self) -> Connection | None:
        """The stored connection, or None.

        Raises:
            DataError: if the file is damaged.
        """
        try:
            return TypeAdapter(Connection).validate_json(self._connection_file.read_bytes(), strict=True)
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise DataError.single(
                str(self._connection_file),
                "",
                expected="a connection that studio up wrote",
                got=type(error).__name__,
                remedy="restore it from a copy; a server that runs was left alone. Without its secrets nobody can use "
                f"{self.data}: to begin anew, stop the server and move {self.root} away",
            ) from error

    def require_connection(self) -> Connection:
        """The stored connection.

        Raises:
            UsageError: if there is none.
        """
        connection = self.connection()
        if connection is None:
            raise UsageError(
                f"no Label Studio belongs to {self.root.parent}; start one with: figureground studio up {self.option}"
            )
        return connection

    def forget_connection(self) -> None:
        """Delete the stored connection."""
        self._connection_file.unlink(missing_ok=True)


@contextmanager
def changing_secret(path: Path) -> Iterator[None]:
    """Hold off other commands while a file is read, changed and written, so that none loses what another wrote."""
    private_folder(path.parent)
    with FileLock(path.with_name(f"{path.name}.lock"), mode=0o600):
        yield


@contextmanager
def sending(home: StudioHome) -> Iterator[None]:
    """Keep other commands from sending tasks meanwhile.

    What the server has decides what is sent: two that ask at once would send the same.

    Raises:
        UsageError: if another command sends some.
    """
    private_folder(home.root)
    lock = FileLock(home.root / "sending.lock", timeout=0, mode=0o600)
    try:
        held = lock.acquire()
    except Timeout:
        raise UsageError(f"another command sends tasks from {home.root.parent}; run again when it is done") from None
    with held:
        yield


def write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    private_folder(path.parent)
    with replace_file(path, mode=0o600) as temporary:  # made with its mode: at no moment may others read it
        temporary.write_text(text, encoding="utf-8")


def private_folder(folder: Path) -> None:
    """Make a folder that only its owner may enter; one that is there becomes so.

    A server's database, its uploads and its log lie there, made by programs that take the caller's mask.

    Raises:
        OSError: if it cannot be made, or is somebody else's.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_mode & 0o077:
        folder.chmod(0o700)


def private_files(folder: Path, ending: str) -> None:
    """Take the rights of others from files of a folder, by their ending: databases that an earlier version made."""
    for path in folder.glob(f"*{ending}*"):
        if path.is_file() and not path.is_symlink() and path.stat().st_mode & 0o077:
            path.chmod(0o600)
