"""CPU time that starting takes, beside that of the libraries that nobody can do without.

Each command runs in a process of its own, user and system seconds counted, in turns, so that what else the machine does
falls on all of them; medians are compared.

    python benchmarks/start_up.py --turns 21
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Final

COMMANDS: Final = {
    "import figureground": ("-c", "import figureground"),
    "import numpy": ("-c", "import numpy"),
    "figureground --help": ("-m", "figureground", "--help"),
    "import typer, rich": ("-c", "import typer, rich"),
}
RATIOS: Final = (("import figureground", "import numpy", 1.3), ("figureground --help", "import typer, rich", 2.5))
"""(command, what it is compared with, most that the ratio may be)."""


def cpu_seconds(arguments: tuple[str, ...]) -> float:
    """User and system seconds of one fresh interpreter."""
    process = subprocess.Popen([sys.executable, "-P", *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)}: exit code {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Measure and print, or write with ``--json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=9, help="runs of each command")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    given = parser.parse_args()
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for turn in range(given.turns + 1):
        for name, arguments in COMMANDS.items():
            taken = cpu_seconds(arguments)
            if turn:  # the first turn fills the caches of files and of bytecode
                seconds[name].append(taken)
    medians = {name: statistics.median(taken) for name, taken in seconds.items()}
    rows = [
        {
            "figure": f"start-up: CPU of {command} / {beside}",
            "value": medians[command] / medians[beside],
            "target": f"<= {most}",
            "reached": medians[command] / medians[beside] <= most,
            "detail": f"{medians[command]:.3f} s / {medians[beside]:.3f} s, medians of {given.turns}",
        }
        for command, beside, most in RATIOS
    ]
    for row in rows:
        print(f"{row['figure']}: {row['value']:.2f} ({row['detail']}; {row['target']})")
    if given.json:
        given.json.write_text(json.dumps({"rows": rows}, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
