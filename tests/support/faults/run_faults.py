"""The long run of ``make faults``: verbs are killed, starved and run side by side for as long as is asked.

    python tests/support/faults/run_faults.py KILLS SEED [PART]

PART is ``kills`` or ``conditions`` (full disks, few handles, no home, two at once) for that alone. Differences and
leftovers are printed as they are found, then a line a verb and the sums; exit code 1 where there is a difference.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "tests" / "support" / name) for name in ("", "faults", "samples", "servers")]

from fault_runner import Zygote  # noqa: E402
from fault_trials import Trials  # noqa: E402
from fault_verbs import VERBS, make_inputs  # noqa: E402

CONDITIONS = ("few files", "no HOME", "HOME that is none")
STARVED = 3


def main(kills: int, seed: str, part: str = "all") -> int:
    """Run all trials; returns the exit code."""
    began = time.monotonic()
    counts: Counter[str] = Counter()
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="figureground-faults-", ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        inputs = make_inputs(root / "inputs")
        with Zygote() as first, Zygote() as second:
            trials = Trials(inputs, (first, second), root / "trials")
            for name, what, lines in _trials(trials, kills if part != "conditions" else 0, seed, counts):
                for line in lines:
                    print(f"{name}, seed {seed!r}, {what}: {line}", flush=True)
                wrong += len(lines)
                if time.monotonic() - began > 60 * (counts["minutes"] + 1):
                    counts["minutes"] = int((time.monotonic() - began) / 60)
                    print(f"  {counts['kills']} kills in {counts['minutes']} min", flush=True)
            for name in VERBS if part != "kills" else ():
                for what, lines in _conditions(trials, name, seed):
                    for line in lines:
                        print(f"{name}, {what}: {line}", flush=True)
                    wrong += len(lines)
                    counts["conditions"] += 1
    for name in VERBS:
        print(
            f"{name:20} {counts[name]:4} kills, {trials.known[name].seconds if name in trials.known else 0:.2f} s alone"
        )
    in_time = f"{counts['in time']} of them before the end"
    print(
        f"{counts['kills']} kills of {len(VERBS)} verbs, {in_time}, seed {seed!r}; {counts['conditions']} other trials"
    )
    print(f"{time.monotonic() - began:.0f} s; {wrong} differences and leftovers")
    return int(bool(wrong))


def _trials(trials: Trials, kills: int, seed: str, counts: Counter[str]) -> Iterator[tuple[str, str, list[str]]]:
    """Name of the verb, which kill, and what was wrong after it."""
    names = list(VERBS)
    for number in range(kills):
        name = names[number % len(names)]
        in_time, lines = trials.kill(name, f"{seed} {name} {number}")
        counts.update([name, "kills", *(["in time"] if in_time else [])])
        yield name, f"kill {number}", lines


def _conditions(trials: Trials, name: str, seed: str) -> Iterator[tuple[str, list[str]]]:
    """What was tried with a verb, and what was wrong."""
    for number in range(STARVED):
        yield "full disk", trials.starve(name, f"{seed} {name} disk {number}")
    for condition in CONDITIONS:
        yield condition, trials.confine(name, condition)
    yield "twice", trials.twice(name, f"{seed} {name} twice")


def clock_library(folder: Path) -> Path:
    """The clock of ``fault_clock.c`` as a library."""
    library = folder / "fault_clock.so"
    source = Path(__file__).with_name("fault_clock.c")
    subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), *sys.argv[2:4]))
