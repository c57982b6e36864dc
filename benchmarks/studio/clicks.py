"""How many clicks a mask takes: every installed segmenter that answers clicks, on photos with ground-truth masks.

NoC@t is the number of clicks until the mask's IoU with the true one reaches t, and mIoU@k the mean IoU after k clicks,
by simulated clicks: each lies as deep as it can in the larger of what is missing and what is too much. The deepest
pixel is the maximum of an exact Euclidean distance transform over a frame of zeros, clicked pixels being zero too; of
equal ones the first in row order; a photo that does not reach t counts with the most clicks. People click worse.

    python benchmarks/studio/clicks.py PHOTOS [--photos 40] [--segmenter mobile-sam] [--checkpoint FILE] [--forget]
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from figureground.annotate.segmenters.interactive import Click, Clicks, InteractiveSam
from figureground.annotate.segmenters.loading import ModelChoice, load_interactive
from figureground.annotate.segmenters.protocol import Photo
from figureground.schemas.rasters.masks import Mask, mask_iou
from figureground.schemas.rasters.photos import decode_photo

MOST_CLICKS: Final = 20
LEVELS: Final = (0.80, 0.85, 0.90)
AFTER: Final = (1, 2, 3, 5)
"""Clicks after which the mean IoU is tabled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A photo with its true mask."""

    name: str
    photo_rgb: Photo
    truth_hw: Mask


def read_samples(folder: Path, count: int | None) -> Iterator[Sample]:
    """Photos of ``images/`` with their masks of ``masks/`` (white is figure), spread evenly over all of them."""
    with (folder / "labels.csv").open(encoding="utf-8") as file:
        names = [row["id"] for row in csv.DictReader(file)]
    step = 1 if count is None else max(1, len(names) // count)
    for name in names[::step][:count]:
        photo = decode_photo(next((folder / "images").glob(f"{name}.*")).read_bytes())
        with Image.open(next((folder / "masks").glob(f"{name}*"))) as image:
            truth = np.asarray(image.convert("L")) > 127
        yield Sample(name=name, photo_rgb=photo, truth_hw=truth)


def next_click(truth_hw: Mask, mask_hw: Mask, clicked: Sequence[tuple[int, int]]) -> tuple[int, int, bool] | None:
    """Row and column of the next click, and whether it lies on the figure; None where nothing is wrong.

    Args:
        truth_hw: The true mask.
        mask_hw: The mask so far.
        clicked: Rows and columns of the clicks so far.
    """
    missing, excess = (_depths(wrong, clicked) for wrong in (truth_hw & ~mask_hw, mask_hw & ~truth_hw))
    on_figure = missing.max() > excess.max()
    depths = missing if on_figure else excess
    if not depths.max():
        return None
    row, column = np.unravel_index(int(np.argmax(depths)), depths.shape)
    return int(row), int(column), bool(on_figure)


def ious_of(sam: InteractiveSam, sample: Sample) -> list[float]:
    """IoU after each click, until all that is tabled is known; once nothing is wrong, it stays."""
    mask = np.zeros(sample.truth_hw.shape, np.bool_)
    made: list[Click] = []
    clicked: list[tuple[int, int]] = []
    ious: list[float] = []
    while len(ious) < MOST_CLICKS and (len(ious) < AFTER[-1] or max(ious) < LEVELS[-1]):
        click = next_click(sample.truth_hw, mask, clicked)
        if click is None:
            ious += [ious[-1]] * (MOST_CLICKS - len(ious))
            break
        row, column, on_figure = click
        clicked.append((row, column))
        made.append(Click((column + 0.5, row + 0.5), on_figure=on_figure))
        mask = sam.suggest(sample.name, lambda: sample.photo_rgb, Clicks(tuple(made))).mask_hw
        ious.append(mask_iou(mask, sample.truth_hw))
    return ious


def clicks_to(ious: Sequence[float], level: float) -> int:
    """The first click, from 1, whose IoU is at least ``level``; ``MOST_CLICKS`` where none is."""
    return next((number for number, iou in enumerate(ious, start=1) if iou >= level), MOST_CLICKS)


def figures(ious: Sequence[Sequence[float]], title: str) -> list[dict[str, Any]]:
    """The rows of one segmenter, as benchmarks/bench.py collects them."""
    rows = []
    for level in LEVELS:
        failed = sum(max(one) < level for one in ious)
        value = float(np.mean([clicks_to(one, level) for one in ious]))
        rows.append((f"NoC@{level * 100:.0f}", value, f"{failed} of {len(ious)} photos never reach it"))
    rows += [
        (f"mIoU@{number}", float(np.mean([one[number - 1] for one in ious])), f"{len(ious)} photos") for number in AFTER
    ]
    return [
        {"figure": f"clicks, {title}: {name}", "value": value, "target": "", "reached": None, "detail": detail}
        for name, value, detail in rows
    ]


def _depths(wrong_hw: NDArray[np.bool_], clicked: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
    depths = np.asarray(ndimage.distance_transform_edt(np.pad(wrong_hw, 1))[1:-1, 1:-1], dtype=np.float64)
    for row, column in clicked:
        depths[row, column] = 0.0
    return depths


def measure(sam: InteractiveSam, samples: Sequence[Sample], say: Callable[[str], None]) -> list[list[float]]:
    """IoUs of every photo."""
    ious = []
    for sample in samples:
        ious.append(ious_of(sam, sample))
        say(f"{sample.name}: {clicks_to(ious[-1], LEVELS[-1])} clicks to {LEVELS[-1]}")
    return ious


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="labels.csv (column id), images/ and masks/")
    parser.add_argument("--photos", type=int, help="so many, spread evenly; all by default")
    parser.add_argument("--segmenter", default="mobile-sam")
    parser.add_argument("--checkpoint")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--forget", action="store_true", help="start every click from nothing")
    parser.add_argument("--embeddings", type=Path, help="folder that keeps embeddings, for a second run")
    parser.add_argument("--json", type=Path, help="file for the rows")
    given = parser.parse_args()
    if given.folder is None:
        parser.exit(message="needs a folder of photos with ground-truth masks; see --help\n")
    choice = ModelChoice(
        segmenter=given.segmenter, checkpoint=given.checkpoint, threads=given.threads, embeddings=given.embeddings
    )
    sam = InteractiveSam(load_interactive(choice)[1].network, pictures=1, feedback=not given.forget)
    ious = measure(sam, list(read_samples(given.folder, given.photos)), print)
    rows = figures(ious, f"{given.segmenter}, {'each from nothing' if given.forget else 'from the last answer'}")
    for row in rows:
        print(f"{row['figure']}: {row['value']:.3f} ({row['detail']})")
    if given.json:
        given.json.write_text(json.dumps({"rows": rows, "ious": ious}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
