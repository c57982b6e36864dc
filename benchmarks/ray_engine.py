"""The Ray engine on one machine beside the local pool: seconds of one large build, and whether its bytes are the same.

Ray's start is measured apart: it is paid once a command, whatever the size. The two take turns.

    python benchmarks/ray_engine.py
    python benchmarks/ray_engine.py --objects 2000 --turns 3
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Final

from photo_sets import make_release, request_of

from figureground.exports.dataset.building import build_dataset
from figureground.exports.dataset.inputs import BuildRequest
from figureground.runtime.engines import EngineChoice, ray_session
from figureground.runtime.files import file_sha256
from figureground.runtime.processes import default_workers

LEAST: Final = 0.9


def build(request: BuildRequest, folder: Path) -> tuple[float, dict[str, str]]:
    """Seconds, and the SHA-256 of every file."""
    start = time.perf_counter()
    build_dataset(request, folder)
    seconds = time.perf_counter() - start
    made = {path.relative_to(folder).as_posix(): file_sha256(path) for path in folder.rglob("*") if path.is_file()}
    shutil.rmtree(folder)
    return seconds, made


def compare(root: Path, objects: int, turns: int, workers: int) -> list[dict[str, object]]:
    """The row of the table."""
    make_release(root, objects)
    local = request_of(root, workers)
    choice = EngineChoice(kind="ray")
    ray = replace(local, machines=replace(local.machines, engine=choice))
    start = time.perf_counter()
    with ray_session(choice, workers=workers):
        begun = time.perf_counter() - start
        build(ray, root / "warm")
        pairs = [(build(local, root / "local"), build(ray, root / "ray")) for _ in range(turns)]
    same = all(ours == theirs for (_, ours), (_, theirs) in pairs)
    seconds = [median(pair[side][0] for pair in pairs) for side in (0, 1)]
    ratio = seconds[0] / seconds[1]
    detail = f"{seconds[1]:.1f} s, local {seconds[0]:.1f} s, {objects} objects, {workers} workers; start {begun:.1f} s"
    return [
        {
            "figure": "build: Ray engine on one machine ÷ local pool, rows per second",
            "value": ratio,
            "target": f">= {LEAST}, same bytes",
            "reached": same and ratio >= LEAST,
            "detail": f"{detail}; {'the same bytes' if same else 'OTHER BYTES'}",
        }
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=600)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--workers", type=int, default=default_workers())
    parser.add_argument("--json", type=Path, help="file for the rows")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = compare(Path(folder), given.objects, given.turns, given.workers)
    for row in rows:
        print(f"{row['figure']}: {row['value']:.3f} (target {row['target']}): {row['detail']}")
    if given.json:
        given.json.write_text(json.dumps({"rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
