"""The process in which one parser is fuzzed: bounded memory, a clock of processor time, and every input on record."""

from __future__ import annotations

import importlib
import json
import logging
import os
import random
import resource
import signal
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Any, Final

from byte_edits import MOST_BYTES
from format_edits import mutated

MOST_SECONDS: Final = 1.0
"""Of processor time for one input."""
PIXEL_SECONDS: Final = 1e-7
"""More for each pixel of a photo: ten seconds for the largest that is read, of a hundred megapixels."""
MOST_MEMORY: Final = 1 << 30
"""Bytes of address space for one input."""
PIXEL_MEMORY: Final = 17
"""Bytes for each pixel of a photo where that is more, from 63 megapixels on: Pillow's decoder of WebP takes so many,
and libjpeg nearly as many for a CMYK photo in steps."""
_MOST_FINDINGS: Final = 25
_MOST_TRIES: Final = 5
_EMPTY: Final[dict[str, Any]] = {
    "executions": 0,
    "findings": {},
    "inputs": 0,
    "seconds": 0.0,
    "slowest": 0.0,
    "memory": 0,
}
"""Report of no executions: seconds of processor time, bytes of address space beyond what was there before."""
_used: int | None = None
"""Bytes of address space before the first input."""


class TooLongError(BaseException):
    """An input takes too long; no parser of ours may catch it."""


class Guard:
    """Runs a parser on input after input and judges what comes out."""

    def __init__(
        self,
        read: Any,
        ours: tuple[type[BaseException], ...],
        folder: Path,
        pixels: Callable[[bytes], int] = lambda _: 0,
    ) -> None:
        self._read, self._ours, self._folder, self._pixels = read, ours, folder, pixels
        self._current = os.open(folder / "current", os.O_CREAT | os.O_RDWR)
        self._scratch = folder / "files"
        self._scratch.mkdir()
        self.executions = 0
        self.slowest = 0.0
        """Seconds of processor time of the input that took most."""
        self.findings: dict[str, dict[str, str]] = {}

    def __call__(self, data: bytes) -> None:
        """Run one input."""
        os.ftruncate(self._current, 0)
        os.pwrite(self._current, data, 0)
        self.executions += 1
        pixels = self._pixels(data)
        seconds = MOST_SECONDS + PIXEL_SECONDS * pixels
        allow_memory(PIXEL_MEMORY * pixels)
        began = time.process_time()
        try:
            with clock(seconds):
                self._read(data, self._scratch)
        except self._ours as error:
            if (memory := memory_error(error)) is not None:
                self._note("memory", memory, data)
        except TooLongError as error:
            self._note("over a second", error, data)
        except Exception as error:
            self._note(type(error).__name__, error, data)
        spent = time.process_time() - began
        if spent > seconds + 0.2:
            self._note_slow(spent, data)
        if _used is not None:
            self.slowest = max(self.slowest, spent)

    def _note(self, kind: str, error: BaseException, data: bytes) -> None:
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if "figureground" in frame.filename or "/schemas/" in frame.filename]
        where = (own or frames)[-1] if frames else None
        place = f"{'/'.join(Path(where.filename).parts[-3:])}:{where.lineno}" if where else "nowhere"
        self._keep(f"{kind} at {place}", data, "".join(traceback.format_exception(error))[-4000:])

    def _note_slow(self, spent: float, data: bytes) -> None:
        if not any(key.startswith("over a second") for key in self.findings):
            self._keep("over a second inside of a library", data, f"{spent:.1f} s")

    def _keep(self, key: str, data: bytes, trace: str) -> None:
        known = self.findings.get(key)
        if (known is None and len(self.findings) < _MOST_FINDINGS) or (known and 2 * len(data) < len(known["input"])):
            self.findings[key] = {"input": data.hex(), "trace": trace}

    def report(self, inputs: int, seconds: float) -> None:
        """Write what was done so far."""
        report = {"executions": self.executions, "findings": self.findings, "inputs": inputs, "seconds": seconds}
        report |= {"slowest": self.slowest, "memory": address_space("VmPeak") - (_used or 0)}
        (self._folder / "report.tmp").write_text(json.dumps(report))
        (self._folder / "report.tmp").replace(self._folder / "report.json")


def memory_error(error: BaseException | None) -> BaseException | None:
    """The lack of memory that an error of ours came from, if it did: nothing may ask for so much."""
    seen = 0
    while error is not None and seen < 20:
        if isinstance(error, MemoryError):
            return error
        error, seen = error.__cause__ or error.__context__, seen + 1
    return None


@contextmanager
def clock(seconds: float = MOST_SECONDS) -> Iterator[None]:
    """Raise ``TooLongError`` in the block after some processor time; C code is left to end by itself."""

    def stop(_: int, __: FrameType | None) -> None:
        raise TooLongError

    signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def limit_memory() -> None:
    """Let this process have a gigabyte more address space than it has."""
    global _used
    _used = address_space("VmSize")
    allow_memory(0)


def address_space(name: str) -> int:
    """Bytes of address space of this process: VmSize, what it has; VmPeak, the most it ever had."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) << 10


def allow_memory(asked: int) -> None:
    """Let the next input have a gigabyte, or what it asks for where that is more; no bound before ``limit_memory``."""
    if _used is not None:
        most = _used + max(MOST_MEMORY, asked)
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))


def load(guided: bool) -> tuple[Any, Any]:
    """The targets, and atheris, which marks our code as it is imported; None without."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    atheris: Any = importlib.import_module("atheris") if guided else None
    marking = (
        atheris.instrument_imports(include=["figureground"], enable_loader_override=False) if guided else nullcontext()
    )
    with marking:
        return importlib.import_module("parser_targets"), atheris


def run(plan: Sequence[tuple[str, int]], seed: int, samples: Path, *, guided: bool) -> int:
    """Fuzz parsers, each in a fork of this process, and print a line of JSON about each.

    Args:
        plan: Names of parsers and how many executions each gets.
        seed: Decides all inputs.
        samples: Where good inputs lie.
        guided: Whether atheris chooses the inputs to go on from.
    """
    targets, atheris = load(guided)
    for name, executions in plan:
        total = {"name": name, **_EMPTY}
        for attempt in range(_MOST_TRIES):
            left = executions - total["executions"]
            part = _forked(targets, atheris, name, left, seed + 1000 * attempt, samples)
            for key in ("executions", "inputs", "seconds"):
                total[key] += part[key]
            for key in ("slowest", "memory"):
                total[key] = max(total[key], part[key])
            total["findings"] = {**part["findings"], **total["findings"]}
            if total["executions"] >= executions or not part["executions"]:
                break
        print(json.dumps(total), flush=True)
    return 0


def _forked(targets: Any, atheris: Any, name: str, executions: int, seed: int, samples: Path) -> dict[str, Any]:
    """What one parser came to in a process of its own; the end of that process is a finding."""
    with tempfile.TemporaryDirectory() as folder:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                fuzz(targets, atheris, name, executions, seed, Path(folder), samples)
                code = 0
            except BaseException:
                Path(folder, "error").write_text(traceback.format_exc())
            os._exit(code)
        _, status = os.waitpid(pid, 0)
        report, error, current = (Path(folder, part) for part in ("report.json", "error", "current"))
        part: dict[str, Any] = json.loads(report.read_text()) if report.is_file() else {**_EMPTY, "findings": {}}
        if status:
            ended = f"exit {os.waitstatus_to_exitcode(status)}"
            data = current.read_bytes() if current.is_file() else b""
            trace = error.read_text() if error.is_file() else ended
            part["findings"][f"the process ended ({ended})"] = {"input": data.hex(), "trace": trace[-4000:]}
        return part


def fuzz(targets: Any, atheris: Any, name: str, executions: int, seed: int, folder: Path, samples: Path) -> None:
    """Fuzz one parser in this process, and write a report."""
    from parser_samples import Samples

    target = targets.TARGETS[name]
    seeds = list(target.seeds(Samples(samples)))
    guard = Guard(target.read, targets.OURS, folder, target.pixels)
    for data in seeds:
        guard(data)  # imports what it needs before memory is bounded
    limit_memory()
    if atheris is None:
        blind(guard, seeds, executions, seed, target.ending)
        guard.report(0, time.process_time())
        return
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, data in enumerate(seeds):
        (corpus / f"{number:03}").write_bytes(data)

    def one(data: bytes) -> None:
        guard(data)
        if guard.executions >= executions:
            guard.report(len(list(corpus.iterdir())) - len(seeds), time.process_time())
            os._exit(0)
        if guard.executions % 500 == 0:
            guard.report(0, time.process_time())

    def change(data: bytes, most: int, number: int) -> bytes:
        rng = random.Random(number)
        changed = mutated(data or b"0", seeds, rng, target.ending) if rng.random() < 0.7 else atheris.Mutate(data, most)
        return changed[:most]

    longest = max(MOST_BYTES, *map(len, seeds))
    flags = [f"-seed={seed or 1}", f"-max_len={longest}", "-timeout=60", "-rss_limit_mb=0", "-verbosity=0"]
    flags += [f"-artifact_prefix={folder}/"]  # libFuzzer's own notes of slow inputs; the guard judges by processor time
    atheris.Setup(["fuzz", str(corpus), *flags], one, custom_mutator=change)
    atheris.Fuzz()


def blind(guard: Guard, seeds: Sequence[bytes], executions: int, seed: int, ending: str) -> None:
    """Run inputs that are made from good ones, and from the last that were."""
    rng = random.Random(seed)
    while guard.executions < executions:
        data = rng.choice(seeds)
        guard(mutated(data, seeds, rng, ending))


def replay(name: str, path: Path) -> int:
    """Run one parser on one file; what comes out of it is raised."""
    targets, _ = load(guided=False)
    with tempfile.TemporaryDirectory() as folder:
        limit_memory()
        target, data = targets.TARGETS[name], path.read_bytes()
        allow_memory(PIXEL_MEMORY * target.pixels(data))
        with clock(MOST_SECONDS + PIXEL_SECONDS * target.pixels(data)):
            target.read(data, Path(folder))
    print("nothing wrong")
    return 0
