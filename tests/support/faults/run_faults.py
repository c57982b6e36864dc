"""The long run of ``make faults``: verbs are killed, starved and run side by side for as long as is asked.

    python tests/support/faults/run_faults.py KILLS SEED

Prints a line a verb, then every difference and leftover; exit code 1 where there is one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "tests" / "support" / name) for name in ("", "faults", "samples", "servers")]

from fault_runner import Zygote  # noqa: E402
from fault_trials import Trials  # noqa: E402
from fault_verbs import VERBS, make_inputs  # noqa: E402

CONDITIONS = ("few files", "no HOME", "HOME that is none")
STARVED = 3


def main(kills: int, seed: str) -> int:
    """Run all trials; returns the exit code."""
    began = time.monotonic()
    wrong: list[str] = []
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="figureground-faults-", ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        inputs = make_inputs(root / "inputs")
        with Zygote() as first, Zygote() as second:
            trials = Trials(inputs, (first, second), root / "trials")
            names = list(VERBS)
            for number in range(kills):
                name = names[number % len(names)]
                in_time, lines = trials.kill(name, f"{seed} {name} {number}")
                counts[name] += 1
                counts["in time"] += in_time
                told = [f"{name}, seed {seed!r}, kill {number}: {line}" for line in lines]
                print(*told, sep="\n", end="\n" * bool(told), flush=True)
                wrong += told
            for name in names:
                checks = [trials.starve(name, f"{seed} {name} disk {number}") for number in range(STARVED)]
                checks += [trials.confine(name, condition) for condition in CONDITIONS]
                checks.append(trials.twice(name, f"{seed} {name} twice"))
                wrong += [f"{name}, seed {seed!r}: {line}" for lines in checks for line in lines]
                took = trials.undisturbed(name).seconds
                print(f"{name:20} {counts[name]:4} kills, {took:.2f} s undisturbed", flush=True)
    total = sum(counts[name] for name in VERBS)
    rest = len(VERBS) * (STARVED + len(CONDITIONS) + 1)
    print(
        f"{total} kills of {len(VERBS)} verbs, {counts['in time']} before the end, seed {seed!r}; {rest} other trials"
    )
    print(f"{time.monotonic() - began:.0f} s; {len(wrong)} differences and leftovers")
    for line in wrong:
        print(f"  {line}")
    return int(bool(wrong))


def clock_library(folder: Path) -> Path:
    """The clock of ``fault_clock.c`` as a library."""
    library = folder / "fault_clock.so"
    source = Path(__file__).with_name("fault_clock.c")
    subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2]))
