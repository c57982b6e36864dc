"""Peak memory of rendering ten times the rows, beside once the rows.

Each build is a process of its own that plans and then renders with two workers, which are processes too. Peaks of
resident memory are read when all is done: that of the larger worker, which is rendering alone, and that of the process
that holds the plan. The rows are ImageNet-9's nine variants. Fewer than 1000 objects do not fill a shard, and a worker
holds less then.

    python benchmarks/render_memory.py --objects 700
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import cv2

sys.path.append(str(Path(__file__).parent))  # python -P leaves it out

from peak_memory import peak_mb
from photo_sets import make_release, request_of
from render import render_rows

from figureground.build.planning.plan import make_plan
from figureground.runtime.engines import EngineChoice
from figureground.runtime.pools import open_engine

MOST: Final = 1.1
TIMES: Final = 10
ASKED: Final = 20
"""How often two processes are asked, so that each answers."""


def worker_peak_mb(_: int) -> float:
    """``peak_mb`` of the worker that is asked."""
    return peak_mb()


def render_here(root: Path) -> None:
    """Plan and render what lies in ``root``, and print rows and peaks as JSON."""
    cv2.setNumThreads(1)
    request = request_of(root, workers=1)
    plan = make_plan(request.release.records, request.design.recipe, request.design.classes)
    with open_engine(EngineChoice(), workers=2) as engine:
        render_rows(engine, request, plan, plan.rows, root / "out")
        workers = list(engine.run(worker_peak_mb, range(ASKED)))
    print(json.dumps({"rows": len(plan.rows), "worker": max(workers), "planner": peak_mb()}))


def measure(root: Path, objects: int) -> dict[str, Any]:
    """Peaks of a process that renders so many photos."""
    make_release(root, objects)
    command = [sys.executable, __file__, "--render", str(root)]
    figures: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=700, help="photos of the smaller build")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    parser.add_argument("--render", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.render:
        render_here(given.render)
        return
    with tempfile.TemporaryDirectory() as scratch:
        once, more = (measure(Path(scratch, str(times)), given.objects * times) for times in (1, TIMES))
    rows = []
    for process in ("worker", "planner"):
        ratio = more[process] / once[process]
        rows.append(
            {
                "figure": f"render: peak memory of the {process}, {TIMES} times the rows / once",
                "value": ratio,
                "target": f"<= {MOST}",
                "reached": ratio <= MOST,
                "detail": f"{once[process]:.0f} MB for {once['rows']} rows, {more[process]:.0f} for {more['rows']}",
            }
        )
        print(f"{rows[-1]['figure']}: {ratio:.3f} (target <= {MOST}): {rows[-1]['detail']}")
    if given.json:
        given.json.write_text(json.dumps({"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
