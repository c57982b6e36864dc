"""The page of a large build: how large it is, how long it takes to make, and how long a browser takes to be ready.

The dataset is drawn as that of the filters is, but its images are clouds of 1/f noise in three colours, which WebP
compresses worse than photos. The browser is ready when every row can be looked up; then a row is opened. Needs Chromium
at /usr/bin/chromium.

    python benchmarks/viewing/build_page.py --rows 30000
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

import numpy as np
import psutil
from filters import SIDE_PX, make_dataset, tell

import figureground
from figureground.schemas.rasters.png import encode_png

sys.path.insert(0, str(Path(__file__).parents[2] / "tests/support/servers"))
sys.path.insert(0, str(Path(__file__).parents[2] / "tests/support"))

REACH_MB: Final = 30
REACH_SECONDS: Final = 3
VISITS: Final = 5


def clouds(pictures: int) -> list[bytes]:
    """So many canvases of 1/f noise as PNG, of some 100 kB."""
    generator = np.random.default_rng(0)
    across, down = np.fft.rfftfreq(SIDE_PX), np.fft.fftfreq(SIDE_PX)
    frequency = np.hypot(down[:, None], across[None, :])
    frequency[0, 0] = np.inf  # no mean
    canvases = []
    for _ in range(pictures):
        spectrum = np.fft.rfft2(generator.standard_normal((3, SIDE_PX, SIDE_PX))) / frequency
        cloud = np.fft.irfft2(spectrum, s=(SIDE_PX, SIDE_PX)).transpose(1, 2, 0)
        levels = 128 + 56 * cloud / cloud.std()
        canvases.append(encode_png(np.ascontiguousarray(levels.clip(0, 255).astype(np.uint8))))
    return canvases


class Visit(NamedTuple):
    """What one look at a page takes, in seconds."""

    ready: float
    """Until the rows can be looked up."""
    processor: float
    """Processor time of the whole browser until then: what a machine with nothing else to do is not faster than."""
    opened: float
    """From a click until a row is open."""


def visit(browser: Any, page: Path) -> Visit:  # noqa: ANN401  playwright's
    """Open a page, and then a row of it."""
    tab = browser.new_page(viewport={"width": 1280, "height": 800})
    start, before = time.perf_counter(), browser_seconds()
    tab.goto(page.as_uri(), wait_until="commit")
    tab.wait_for_selector("body[data-ready=yes]")
    ready, processor = time.perf_counter() - start, browser_seconds() - before
    start = time.perf_counter()
    tab.click("#pictures .tile")
    tab.wait_for_selector("#detail[open]")
    opened = time.perf_counter() - start
    tab.close()
    return Visit(ready, processor, opened)


def browser_seconds() -> float:
    """Processor time that the browser's processes have taken."""
    times = [process.cpu_times() for process in psutil.Process().children(recursive=True) if "chrom" in process.name()]
    return sum(one.user + one.system for one in times)


def measure(rows: int, pictures: int, folder: Path) -> list[dict[str, Any]]:
    """Figures of one dataset."""
    from chromium import open_chromium

    dataset = make_dataset(folder / "drawn", rows, clouds(pictures))
    start, processor = time.perf_counter(), time.process_time()
    page = figureground.report_build(dataset, folder / "page")
    seconds, processor = time.perf_counter() - start, time.process_time() - processor
    size = page.stat().st_size / 1e6
    with open_chromium() as browser:
        visits = [visit(browser, page) for _ in range(VISITS)]
    ready = median(visit.ready for visit in visits)
    return [
        {"figure": f"page of {rows} rows, MB", "value": size, "reach": REACH_MB, "reached": size < REACH_MB},
        {"figure": "made in s", "value": seconds},
        {"figure": "processor time s", "value": processor},
        {
            "figure": f"ready in Chromium, median of {VISITS}, s",
            "value": ready,
            "reach": REACH_SECONDS,
            "reached": ready < REACH_SECONDS,
        },
        {"figure": "slowest s", "value": max(visit.ready for visit in visits)},
        {
            "figure": "processor time of the browser until then, median s",
            "value": median(one.processor for one in visits),
        },
        {"figure": "opening a row, the first of a visit, median s", "value": median(visit.opened for visit in visits)},
    ]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=30_000)
    parser.add_argument("--pictures", type=int, default=64, help="different images")
    parser.add_argument("--folder", type=Path, help="where the dataset is drawn; default: a temporary folder")
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        rows = measure(options.rows, options.pictures, Path(scratch))
    tell(rows, options.json)


if __name__ == "__main__":
    main()
