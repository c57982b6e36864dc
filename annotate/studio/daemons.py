"""Programs that go on after the command ends, and are found again by the next one."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, FiniteFloat, PositiveInt

from figureground.annotate.studio.home import private_folder
from figureground.errors import MissingExtraError, UsageError
from figureground.runtime.files import write_text

LOOPBACK: Final = "127.0.0.1"
STOP_SECONDS: Final = 10.0
PLACE: Final = "FIGUREGROUND_STUDIO"
"""Variable of the environment of every program of ours: the folder of its studio and its name there, which no other
program has. By it a program is found whose note was lost with the command that started it."""

_PASSED_ON: Final = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TMPDIR", "TEMP", "SYSTEMROOT", "XDG_CACHE_HOME")
"""All that a program of ours needs of the caller's environment. Label Studio would read anything else as a setting:
even a plain HOST, PORT or DEBUG."""


class _State(BaseModel):
    """What is remembered of a program that was started."""

    pid: PositiveInt
    created: FiniteFloat
    port: PositiveInt


@dataclass(frozen=True, slots=True)
class Daemon:
    """One program in a folder: ``NAME.json`` identifies the process, ``NAME.log`` holds its output."""

    folder: Path
    name: str

    @property
    def log(self) -> Path:
        """What the program printed, from its last start on."""
        return self.folder / f"{self.name}.log"

    @property
    def _state_file(self) -> Path:
        return self.folder / f"{self.name}.json"

    def start(self, command: Sequence[str], environment: Mapping[str, str], *, port: int) -> None:
        """Start the program in a session of its own, so that it outlives the command and its terminal.

        What it writes is its owner's alone, whatever the caller's mask: it may be a database with secrets.
        """
        psutil = _import_psutil()
        private_folder(self.folder)
        passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                command,
                env={**passed_on, **environment, PLACE: f"{self._place};{port}"},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                umask=0o077,
            )
        try:
            self._note(psutil.Process(process.pid), port)
        except BaseException:  # else nobody would know of it
            process.kill()
            raise

    @property
    def port(self) -> int | None:
        """The port that the running program was given; None if it does not run."""
        running = self.process()  # first: it may find a program whose note was lost, and note it again
        state = self._state()
        return None if state is None or running is None else state.port

    @property
    def last_port(self) -> int | None:
        """The port that the program was given last, whether it still runs or not; None if it never ran."""
        state = self._state()
        return None if state is None else state.port

    def process(self) -> Any | None:  # noqa: ANN401  psutil.Process
        """The running process; None if there is none.

        It is known by its note, unless that is of one that ended and whose id another one has now; where the note was
        lost with the command that started it, by its environment, and is noted again.
        """
        psutil, state = _import_psutil(), self._state()
        if state is not None:
            try:
                process = psutil.Process(state.pid)
                if abs(process.create_time() - state.created) < 1.0 and process.status() != psutil.STATUS_ZOMBIE:
                    return process
            except psutil.Error:
                pass
        return self._search()

    def _search(self) -> Any | None:  # noqa: ANN401  psutil.Process
        """The process whose environment says that it is this program: the oldest, whose children say the same."""
        psutil = _import_psutil()
        known: list[tuple[float, Any, int]] = []
        for process in psutil.process_iter():
            try:
                place, _, port = process.environ().get(PLACE, "").rpartition(";")
                if place == self._place and process.status() != psutil.STATUS_ZOMBIE:
                    known.append((process.create_time(), process, int(port)))
            except (psutil.Error, ValueError):  # it ended, or is somebody else's
                continue
        if not known:
            return None
        _, process, port = min(known, key=lambda entry: entry[0])
        self._note(process, port)
        return process

    @property
    def _place(self) -> str:
        return f"{self.folder}/{self.name}"

    def stop(self) -> bool:
        """Stop the program and all that it started; returns whether there was one. Its port stays noted."""
        psutil, process = _import_psutil(), self.process()
        if process is not None:
            family = [process, *process.children(recursive=True)]
            for member in family:
                _quietly(member.terminate)
            _, alive = psutil.wait_procs(family, timeout=STOP_SECONDS)
            for member in alive:
                _quietly(member.kill)
            psutil.wait_procs(alive, timeout=STOP_SECONDS)
        return process is not None

    def last_words(self, lines: int = 15) -> str:
        """The end of the log."""
        try:
            return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
        except OSError:
            return ""

    def _note(self, process: Any, port: int) -> None:  # noqa: ANN401  psutil.Process
        state = {"pid": process.pid, "created": process.create_time(), "port": port}
        write_text(self._state_file, json.dumps(state))

    def _state(self) -> _State | None:
        try:
            return _State.model_validate_json(self._state_file.read_bytes())
        except (OSError, ValueError):
            return None


def free_port(asked: int | None = None) -> int:
    """The port asked for, if nobody has it, or any free one.

    Raises:
        UsageError: if somebody has it.
    """
    with socket.socket() as probe:
        if os.name == "posix":  # a port whose last connections are just closing is free for a server
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, asked or 0))
        except OSError as error:
            raise UsageError(f"port {asked} is taken; choose another with --port, or leave it out") from error
        return int(probe.getsockname()[1])


def same_port(last: int | None) -> int:
    """The port of last time, so that addresses that people kept go on working; any free one where it is taken."""
    try:
        return free_port(last)
    except UsageError:
        return free_port()


def _quietly(act: Any) -> None:  # noqa: ANN401  a method of psutil.Process
    """Ask a process to end; that it ended meanwhile is no fault."""
    psutil = _import_psutil()
    try:
        act()
    except psutil.NoSuchProcess:
        return


def _import_psutil() -> Any:  # noqa: ANN401
    try:
        import psutil
    except ImportError as error:
        raise MissingExtraError("psutil", "label-studio") from error
    return psutil
