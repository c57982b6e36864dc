"""One trial: a verb is disturbed, run again, and what lies there then is compared with what an undisturbed run made."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from fault_inputs import Inputs
from fault_runner import KINDS, Ended, Running, Zygotes, codes_after
from fault_states import State, differences, end_state
from fault_verbs import Verb, begin

FEW_FILES: Final = 40
"""That a process may have open, where few are."""

PATIENCE_S: Final = 20
"""A server may still be at work on what a killed command had sent when the command that goes on has ended."""

_CHANGES: Final[Mapping[str, Mapping[str, str | None]]] = MappingProxyType(
    {
        "no HOME": {"HOME": None, "XDG_CACHE_HOME": None},
        "HOME that is none": {"HOME": "/nowhere", "XDG_CACHE_HOME": None},
    }
)
"""Condition to variables of the environment; None for absent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Undisturbed:
    """A verb's run that nobody disturbed."""

    state: State
    seconds: float
    largest: int
    """Bytes of the largest file that it left."""
    printed: str


@dataclass(slots=True)
class Trials:
    """Trials of some verbs, by name."""

    verbs: Mapping[str, Verb]
    inputs: Inputs
    zygotes: Zygotes
    root: Path
    known: dict[str, Undisturbed] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(1_000_000)))

    def undisturbed(self, name: str) -> Undisturbed:
        """The end state and time of a verb, of the second of two runs: the first warms up a server."""
        if name not in self.known:
            for _ in range(1 if self.verbs[name].kind in ("plain", "networks") else 2):
                folder = self._folder(name)
                ended = self._run(name, folder)
                assert not ended.strange(codes=[0]), (name, ended)
                sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
                self.known[name] = Undisturbed(
                    state=self._state(name, folder),
                    seconds=ended.seconds,
                    largest=max(sizes, default=0),
                    printed=ended.printed,
                )
                self._end(name, folder)
        return self.known[name]

    def kill(self, name: str, seed: str) -> tuple[bool, list[str]]:
        """Kill a verb at a moment, and run it again; returns whether the kill came in time, and what is wrong."""
        chance = random.Random(seed)
        kind, share = chance.choice(KINDS), chance.uniform(0, 1.1)
        # Signals are heard from the command's first line on, which a loaded machine takes its time to reach.
        moment = max(share * self.undisturbed(name).seconds, 0.5 if kind.startswith("SIG") else 0)
        folder = self._folder(name)
        running = self._begin(name, folder)
        time.sleep(moment)
        ended = running.end(killed=running.kill(kind, chance))
        wrong = ended.strange(codes=codes_after(kind, reported=bool(ended.printed)))
        if ended.code in (129, 130, 143) and not _stopped_in_a_line(ended.stderr):
            wrong.append(f"more or less than a line: {ended.stderr[-300:]!r}")
        return ended.killed, [f"{kind} after {moment:.3f} s: {line}" for line in wrong + self._again(name, folder)]

    def starve(self, name: str, seed: str) -> list[str]:
        """Let no file grow beyond a size, as a full disk does, and run again without."""
        most = random.Random(seed).randrange(max(1, self.undisturbed(name).largest))
        folder = self._folder(name)
        ended = self._run(name, folder, limits={"RLIMIT_FSIZE": most})
        return [f"{most} bytes: {line}" for line in ended.strange(codes=[0, 3]) + self._again(name, folder)]

    def confine(self, name: str, condition: str) -> list[str]:
        """Run with few open files, or without a home; the end is as ever."""
        folder = self._folder(name)
        limits = {"RLIMIT_NOFILE": FEW_FILES} if condition == "few files" else {}
        ended = self._run(name, folder, limits=limits, changes=_CHANGES.get(condition, {}))
        return [f"{condition}: {line}" for line in ended.strange(codes=[0]) + self._compare(name, folder)]

    def twice(self, name: str, seed: str) -> list[str]:
        """Run a verb twice at once in one folder; one at least ends well, and the end is as after one."""
        seconds = self.undisturbed(name).seconds  # of a run on the same zygote, if there was none before
        folder, done = self._folder(name), self.verbs[name].done
        first = self._begin(name, folder)
        time.sleep(random.Random(seed).uniform(0, 0.7) * seconds)
        beside = folder.with_name(f"{folder.name}-beside")  # its own log and home, in the same folder
        second = self._begin(name, folder, 1, log=beside)
        ends: list[Ended] = [first.end(), second.end()]
        wrong = [line for ended in ends for line in ended.strange(codes=[0, 2, 3])]
        wrong += [] if any(ended.code == 0 for ended in ends) else [f"none ended well: {ends}"]
        wrong += [f"no reason: {ended.stderr!r}" for ended in ends if ended.code and not _says_why(ended.stderr, done)]
        return [f"two at once: {line}" for line in wrong + self._again(name, folder)]

    def _again(self, name: str, folder: Path) -> list[str]:
        """Run a verb again where it was disturbed."""
        ended, verb = self._run(name, folder), self.verbs[name]
        finished = bool(verb.done) and ended.code == 2 and verb.done in ended.stderr
        wrong = ended.strange(codes=[2 if finished else 0])
        if verb.printed and ended.printed != self.undisturbed(name).printed:
            wrong.append(f"prints something else: {ended.printed[-500:]!r}")
        return [f"again: {line}" for line in wrong] + self._compare(name, folder)

    def _compare(self, name: str, folder: Path) -> list[str]:
        expected, until = self.undisturbed(name).state, time.monotonic() + PATIENCE_S
        while wrong := differences(expected, self._state(name, folder)):
            if self.verbs[name].kind in ("plain", "networks") or time.monotonic() > until:
                break
            time.sleep(0.5)
        self._end(name, folder)
        return wrong

    def _state(self, name: str, folder: Path) -> State:
        return {**end_state(folder), **self.verbs[name].facts(self.inputs, folder)}

    def _end(self, name: str, folder: Path) -> None:
        self.verbs[name].finish(self.inputs, folder)
        shutil.rmtree(folder)

    def _run(self, name: str, folder: Path, **rest: Any) -> Ended:
        return self._begin(name, folder, **rest).end()

    def _begin(self, name: str, folder: Path, number: int = 0, **rest: Any) -> Running:
        verb, called = self.verbs[name], self.verbs[name].words(self.inputs)
        assert " ".join(called).startswith(name.partition(",")[0]), (name, called)
        changes = {**verb.changes(self.inputs, folder), **rest.pop("changes", {})}
        return self.zygotes.of(verb.kind, number).begin(called, folder, changes=changes, **rest)

    def _folder(self, name: str) -> Path:
        return begin(self.verbs[name], self.inputs, self.root / f"{next(self.numbers)}")


def _stopped_in_a_line(stderr: str) -> bool:
    """Whether the last line, and no other, says that the command was stopped; it may have told before what it does."""
    lines = stderr.splitlines()
    return [line for line in lines if line.startswith("stopped by ")] == lines[-1:]


def _says_why(stderr: str, done: str) -> bool:
    reasons = ("another command", "exists", "run again when it is done", *([done] if done else []))
    return any(words in stderr for words in reasons)
