"""Seconds from ``load_dataset`` to the first row of a local dataset repository, after imports.

Every reading is a process of its own: with an empty cache, which is what somebody meets who loads a config for the
first time, then with the cache that this one left. Seconds are of the machine as it is: look at its load.

    python benchmarks/load_dataset.py [--repository FOLDER]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any, Final

sys.path.append(str(Path(__file__).parent))  # python -P leaves it out

from photo_sets import make_release, request_of

from figureground.exports.dataset.building import build_dataset

MOST_S: Final = 1.0
OBJECTS: Final = 200
CHILD: Final = """
import sys, time
import datasets, PIL.Image, numpy
datasets.disable_progress_bars()
folder, config = sys.argv[1:]
start, start_cpu = time.perf_counter(), time.process_time()
row = datasets.load_dataset(folder, config, split="test")[0]
seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
assert row["image"].size == (224, 224)
print(seconds, cpu)
"""
READINGS: Final = ("empty cache", "again")


def time_first_row(folder: Path, config: str, cache: Path) -> tuple[float, float]:
    """Seconds, and CPU seconds, that a new process takes to the first row, its image decoded."""
    environment = {**os.environ, "HF_HOME": str(cache), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-P", "-c", CHILD, str(folder), config]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    wall, cpu = map(float, done.stdout.split())
    return wall, cpu


def measure(folder: Path, config: str, turns: int) -> list[dict[str, Any]]:
    """A row of figures for each reading; the two take turns."""
    timed: dict[str, list[tuple[float, float]]] = {reading: [] for reading in READINGS}
    for _ in range(turns):
        with tempfile.TemporaryDirectory() as cache:
            for reading in READINGS:
                timed[reading].append(time_first_row(folder, config, Path(cache)))
    size = sum(path.stat().st_size for path in (folder / "data" / config).iterdir())
    return [
        {
            "figure": f"seconds from load_dataset to the first row, {reading}",
            "value": median(wall),
            "target": f"< {MOST_S}",
            "reached": median(wall) < MOST_S,
            "detail": f"config {config}, {size / 1e6:.1f} MB; {turns} turns, {min(wall):.2f} to {max(wall):.2f} s; "
            f"CPU seconds {median(cpu):.2f}; "
            f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores",
        }
        for reading, (wall, cpu) in ((reading, tuple(zip(*runs, strict=True))) for reading, runs in timed.items())
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repository", type=Path, help="folder of a dataset; one is built where none is given")
    parser.add_argument("--config", default="mixed_rand")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.repository
        if folder is None:
            folder = Path(scratch, "in9")
            make_release(Path(scratch), OBJECTS)
            build_dataset(request_of(Path(scratch), workers=1), folder)
        rows = measure(folder, given.config, given.turns)
    for row in rows:
        print(f"{row['figure']}: {row['value']:.3f} (target {row['target']}): {row['detail']}")
    if given.json:
        given.json.write_text(json.dumps({"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
