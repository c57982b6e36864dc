"""Commands that are killed, starved or run side by side, and what they leave behind."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

import psutil

from figureground.runtime.processes import THREAD_VARIABLES

_ZYGOTE: Final = Path(__file__).with_name("fault_zygote.py")
_SUPPORT: Final = Path(__file__).parents[1]
_PATIENCE: Final = 180.0
KINDS: Final = ("group", "group", "group", "worker", "SIGTERM", "SIGINT", "SIGHUP")
"""How commands are ended: all their processes by SIGKILL, one of their workers, or a signal that asks them to."""
_ASKED: Final = {"SIGTERM": 143, "SIGINT": 130, "SIGHUP": 129}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended."""

    code: int
    """Negative for a signal."""
    stderr: str
    """What it printed on stderr."""
    seconds: float
    killed: bool
    """Whether the kill came before its end."""
    orphans: int
    """Processes of its session that were there some seconds after it."""
    printed: str
    """What it printed on stdout: what it did, as its last act."""

    def strange(self, *, codes: Sequence[int]) -> list[str]:
        """What is not as it should be."""
        wrong = [f"exit code {self.code}: {self.stderr[-300:]!r}"] if self.code not in codes else []
        wrong += [f"traceback: {self.stderr[-500:]!r}"] if "Traceback" in self.stderr else []
        return wrong + ([f"{self.orphans} processes are left"] if self.orphans else [])


@dataclass(slots=True)
class Zygote:
    """A process that has imported the commands, and forks for each that is run."""

    kinds: Sequence[str] = ()
    """What it imports besides, in the words of ``fault_zygote.FURTHER``."""
    environment: Mapping[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Zygote:
        # A thread of the memory pool's, or of the numbers', would not be there after the fork.
        alone = {"ARROW_DEFAULT_MEMORY_POOL": "system", **dict.fromkeys(THREAD_VARIABLES, "1")}
        paths = os.pathsep.join(str(_SUPPORT / name) for name in ("", "samples"))
        environment = {**os.environ, **self.environment, **alone, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
        environment["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"  # as main sets it, before the library is imported
        environment = {name: text for name, text in environment.items() if not name.startswith("COVERAGE_")}
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(_ZYGOTE), *self.kinds],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        threads = self._read()["threads"]
        assert threads == 1, f"{threads} threads: a fork would have one of them"
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            _pipe(self._process.stdin).close()
            self._process.wait(timeout=_PATIENCE)
            _pipe(self._process.stdout).close()

    def begin(
        self,
        words: Sequence[str],
        cwd: Path,
        *,
        limits: Mapping[str, int] | None = None,
        changes: Mapping[str, str | None] | None = None,
        log: Path | None = None,
    ) -> Running:
        """Start a command in a folder whose ``home`` and ``tmp`` are the command's own.

        Args:
            words: Its arguments.
            cwd: The folder.
            limits: Names of ``resource`` to what is allowed.
            changes: Variables of the environment that differ; None for absent.
            log: Where it writes what it says, without the ending; None for beside the folder.
        """
        environment = {**os.environ, **_environment(cwd), **self.environment, **(changes or {})}
        _private(cwd)
        named = log or cwd
        log = named.with_name(f"{named.name}.log")
        for path in (log, log.with_suffix(".out")):
            path.write_bytes(b"")
        order = {
            "words": list(words),
            "cwd": str(cwd),
            "out": str(log.with_suffix(".out")),
            "err": str(log),
            "environment": {name: text for name, text in environment.items() if text is not None},
            "limits": dict(limits or {}),
        }
        process = self._process
        assert process is not None
        print(json.dumps(order), file=_pipe(process.stdin), flush=True)
        return Running(pid=int(self._read()["pid"]), zygote=self, log=log, began=time.monotonic())

    def run(self, words: Sequence[str], cwd: Path, **rest: Any) -> Ended:
        """Run a command to its end."""
        return self.begin(words, cwd, **rest).end()

    def _read(self) -> dict[str, Any]:
        assert self._process is not None
        line: dict[str, Any] = json.loads(_pipe(self._process.stdout).readline())
        return line


@dataclass(slots=True)
class Zygotes:
    """Two zygotes for each kind of verb, started when they are first needed; use as a context manager.

    Args:
        environments: Kind to variables of the environment, where it needs some.
    """

    environments: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    _started: dict[tuple[str, int], Zygote] = field(default_factory=dict)
    _stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Zygotes:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def of(self, kind: str, number: int = 0) -> Zygote:
        """The zygote of a kind; the one of number 1 is for what runs beside something."""
        if (kind, number) not in self._started:
            zygote = Zygote(kinds=[kind], environment=self.environments.get(kind, {}))
            self._started[kind, number] = self._stack.enter_context(zygote)
        return self._started[kind, number]


@dataclass(slots=True, kw_only=True)
class Running:
    """A command that runs."""

    pid: int
    zygote: Zygote
    log: Path
    began: float

    def kill(self, kind: str, chance: random.Random) -> bool:
        """End it in one of ``KINDS``; returns whether it was there to be ended."""
        try:
            process = psutil.Process(self.pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            if kind == "worker":
                children = process.children(recursive=True)  # one of them only tidies up after the others
                workers = [child for child in children if "spawn_main" in " ".join(child.cmdline())]
                (chance.choice(workers) if workers else process).kill()
            elif kind == "SIGTERM":
                process.send_signal(signal.SIGTERM)
            else:
                os.killpg(self.pid, signal.SIGKILL if kind == "group" else getattr(signal, kind))
        except (psutil.NoSuchProcess, ProcessLookupError):
            return False
        return True

    def end(self, *, killed: bool = False) -> Ended:
        """Wait for its end, and for that of all that it started."""
        code = int(self.zygote._read()["code"])
        seconds = time.monotonic() - self.began
        deadline = time.monotonic() + 10
        while (orphans := _session(self.pid)) and time.monotonic() < deadline:
            time.sleep(0.02)
        for process in orphans:
            process.kill()
        stderr = self.log.read_text(encoding="utf-8", errors="replace")
        printed = self.log.with_suffix(".out").read_text(encoding="utf-8", errors="replace")
        return Ended(code=code, stderr=stderr, seconds=seconds, killed=killed, orphans=len(orphans), printed=printed)


def codes_after(kind: str, *, reported: bool) -> tuple[int, ...]:
    """Exit codes of a command that was ended so; ``reported`` if it had done its work, and Python was ending."""
    if kind == "group":
        return (-signal.SIGKILL, 0)
    if kind == "worker":
        return (-signal.SIGKILL, 3, 0)
    return (_ASKED[kind], 0, -getattr(signal, kind)) if reported else (_ASKED[kind],)


def _session(leader: int) -> list[psutil.Process]:
    """Processes of a session that live."""
    alive = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                alive.append(process)
        except (psutil.Error, ProcessLookupError, PermissionError):
            continue
    return alive


def _environment(cwd: Path) -> dict[str, str]:
    """Folders of the command's own, and no Hub."""
    home = cwd / "home"
    return {
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "TMPDIR": str(cwd / "tmp"),
        "HF_HOME": str(home / "hf"),
        "HF_DATASETS_CACHE": str(home / "hf" / "datasets"),
        "HF_HUB_CACHE": str(home / "hf" / "hub"),
        "HF_HUB_OFFLINE": "1",
        "ARROW_DEFAULT_MEMORY_POOL": "system",
        **dict.fromkeys(THREAD_VARIABLES, "1"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _private(cwd: Path) -> None:
    for name in ("home", "tmp"):
        try:
            (cwd / name).mkdir(parents=True, exist_ok=True)
        except OSError:  # a disk that is read-only has them already
            assert (cwd / name).is_dir()


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe
