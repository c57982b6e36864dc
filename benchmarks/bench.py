"""Every benchmark, small, and one table of the figures that the design asks for.

Runs the other scripts of this folder one after the other, each with sizes that take a minute or two, and collects what
they write with ``--json``. A script that fails or lacks what it needs (photos, a model, the peer) is told by its last
line. The small sizes say whether something broke, not how fast it is: for that, run a script by itself, on a machine
that does nothing else.

    python benchmarks/bench.py
    python benchmarks/bench.py render render_memory --json figures.json
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
MOST_SECONDS: Final = 1800
SMALL: Final[dict[str, tuple[str, ...]]] = {
    "brush_rle": (),
    "challenge": ("--images", "40"),
    "coverage": ("--draws", "500"),
    "evaluate": (),
    "in9_peer": ("--photos", "600", "--turns", "1"),
    "load_dataset": (),
    "new_version": ("--objects", "600", "--changed", "2"),
    "plan_scale": ("--images", "2000"),
    "png_encoders": ("--objects", "60"),
    "proposal_speed": ("--photos", "4"),
    "proposals": (),
    "ray_engine": (),
    "render": ("--turns", "1"),
    "render_memory": (),
    "start_up": (),
}
"""Options of each script. noise_protocol and studio_round_trip want a dataset and a server, and run by themselves."""


def run(name: str, options: Sequence[str], folder: Path) -> tuple[list[dict[str, Any]], str]:
    """Figures of one script, and its last line where it gave none."""
    file = folder / f"{name}.json"
    command = [sys.executable, str(HERE / f"{name}.py"), *options, "--json", str(file)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=MOST_SECONDS)
    except subprocess.TimeoutExpired:
        return [], f"took more than {MOST_SECONDS} s"
    if not file.exists():
        return [], (f"{done.stdout}\n{done.stderr}".strip().splitlines() or ["said nothing"])[-1]
    written = json.loads(file.read_text(encoding="utf-8"))
    return (written["rows"], "") if isinstance(written, dict) else ([], "wrote no figures")


def line(row: dict[str, Any]) -> str:
    """A figure as a line of the table."""
    reached = {True: "reached", False: "**not reached**", None: ""}[row["reached"]]
    value = row["value"]
    shown = f"{value:.3g}" if isinstance(value, float) else str(value)
    return f"| {row['figure']} | {shown} | {row['target']} | {reached} | {row.get('detail', '')} |"


def main() -> None:
    """Run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scripts", nargs="*", metavar="SCRIPT", help="names without .py; default: all")
    parser.add_argument("--peer", help="checkout of horokkk/in9-dataset-generator, for in9_peer")
    parser.add_argument("--photos", help="folder of photos with ground-truth masks, for proposals")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    given = parser.parse_args()
    wanted = {"in9_peer": given.peer, "proposals": given.photos}
    if unknown := set(given.scripts) - set(SMALL):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(SMALL)}")
    rows: list[dict[str, Any]] = []
    without = []
    with tempfile.TemporaryDirectory() as scratch:
        for name in given.scripts or [name for name in SMALL if (HERE / f"{name}.py").exists()]:
            print(f"{name} ...", file=sys.stderr, flush=True)
            first = [wanted[name]] if wanted.get(name) else []
            written, reason = run(name, [*first, *SMALL[name]], Path(scratch))
            rows += written
            without += [f"{name}: {reason}"] if reason else []
    print("| figure | value | target | | |\n|---|---|---|---|---|")
    print("\n".join(map(line, rows)))
    print("\n".join(["", "Without figures:", *without] if without else []))
    if given.json:
        given.json.write_text(json.dumps({"rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
