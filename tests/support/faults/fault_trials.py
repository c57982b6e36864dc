"""One trial: a verb is disturbed, run again, and what lies there then is compared with what an undisturbed run made."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from fault_runner import KINDS, Ended, Zygote, codes_after
from fault_states import State, differences, end_state
from fault_verbs import VERBS, Inputs, Verb, begin

FEW_FILES: Final = 40
"""That a process may have open, where few are."""

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


@dataclass(slots=True)
class Trials:
    """Trials of all verbs."""

    inputs: Inputs
    zygotes: tuple[Zygote, Zygote]
    """The second is for what runs beside something."""
    root: Path
    known: dict[str, Undisturbed] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(1_000_000)))

    def undisturbed(self, name: str) -> Undisturbed:
        """The end state and time of a verb."""
        if name not in self.known:
            folder = self._folder(name)
            ended = self.zygotes[0].run(VERBS[name].words(self.inputs), folder)
            assert not ended.strange(codes=[0]), (name, ended)
            sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
            self.known[name] = Undisturbed(state=end_state(folder), seconds=ended.seconds, largest=max(sizes))
            shutil.rmtree(folder)
        return self.known[name]

    def kill(self, name: str, seed: str) -> tuple[bool, list[str]]:
        """Kill a verb at a moment, and run it again; returns whether the kill came in time, and what is wrong."""
        chance = random.Random(seed)
        kind, share = chance.choice(KINDS), chance.uniform(0, 1.1)
        # Signals are heard from the command's first line on, which a loaded machine takes its time to reach.
        moment = max(share * self.undisturbed(name).seconds, 0.5 if kind.startswith("SIG") else 0)
        folder = self._folder(name)
        running = self.zygotes[0].begin(VERBS[name].words(self.inputs), folder)
        time.sleep(moment)
        ended = running.end(killed=running.kill(kind, chance))
        wrong = ended.strange(codes=codes_after(kind, reported=ended.reported))
        if ended.code in (129, 130, 143) and len(ended.said.splitlines()) != 1:
            wrong.append(f"more or less than a line: {ended.said[-300:]!r}")
        return ended.killed, [f"{kind} after {moment:.3f} s: {line}" for line in wrong + self._again(name, folder)]

    def starve(self, name: str, seed: str) -> list[str]:
        """Let no file grow beyond a size, as a full disk does, and run again without."""
        most = random.Random(seed).randrange(max(1, self.undisturbed(name).largest))
        folder = self._folder(name)
        ended = self.zygotes[0].run(VERBS[name].words(self.inputs), folder, limits={"RLIMIT_FSIZE": most})
        return [f"{most} bytes: {line}" for line in ended.strange(codes=[0, 3]) + self._again(name, folder)]

    def confine(self, name: str, condition: str) -> list[str]:
        """Run with few open files, or without a home; the end is as ever."""
        folder = self._folder(name)
        limits = {"RLIMIT_NOFILE": FEW_FILES} if condition == "few files" else {}
        changes = _CHANGES.get(condition, {})
        ended = self.zygotes[0].run(VERBS[name].words(self.inputs), folder, limits=limits, changes=changes)
        return [f"{condition}: {line}" for line in ended.strange(codes=[0]) + self._compare(name, folder)]

    def twice(self, name: str, seed: str) -> list[str]:
        """Run a verb twice at once in one folder; one at least ends well, and the end is as after one."""
        seconds = self.undisturbed(name).seconds  # of a run on the same zygote, if there was none before
        words, folder = VERBS[name].words(self.inputs), self._folder(name)
        first = self.zygotes[0].begin(words, folder)
        time.sleep(random.Random(seed).uniform(0, 0.7) * seconds)
        beside = folder.with_name(f"{folder.name}-beside")  # its own log and home, in the same folder
        second = self.zygotes[1].begin(words, folder, log=beside)
        ends: list[Ended] = [first.end(), second.end()]
        wrong = [line for ended in ends for line in ended.strange(codes=[0, 2, 3])]
        wrong += [] if any(ended.code == 0 for ended in ends) else [f"none ended well: {ends}"]
        wrong += [f"no reason: {ended.said!r}" for ended in ends if ended.code and not _says_why(ended.said)]
        return [f"two at once: {line}" for line in wrong + self._again(name, folder)]

    def _again(self, name: str, folder: Path) -> list[str]:
        """Run a verb again where it was disturbed."""
        ended = self.zygotes[0].run(VERBS[name].words(self.inputs), folder)
        return [f"again: {line}" for line in ended.strange(codes=[0])] + self._compare(name, folder)

    def _compare(self, name: str, folder: Path) -> list[str]:
        wrong = differences(self.undisturbed(name).state, end_state(folder))
        shutil.rmtree(folder)
        return wrong

    def _folder(self, name: str) -> Path:
        verb: Verb = VERBS[name]
        return begin(verb, self.inputs, self.root / f"{next(self.numbers)}")


def _says_why(said: str) -> bool:
    return any(words in said for words in ("another command", "exists", "run again when it is done"))
