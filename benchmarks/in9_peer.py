"""Seconds an image of ImageNet-9's eight variants, beside horokkk/in9-dataset-generator given the same masks.

The peer is a script, ``generate_in9.py``, that is not shipped here: give a checkout of it. It runs as it is but for its
segmenter, which hands out the masks that we read, so that neither side segments; its filters run, ours too, as part of
the plan. It writes JPEG of quality 75, in the photo's size where nothing is mixed and 256x256 where something is. Ours
are 224x224 and lossless, with mask, hashes and parameters, in Parquet. Boxes are those of the masks on both sides.
Turns alternate and medians are compared.

    python benchmarks/in9_peer.py in9-dataset-generator --photos 300
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.append(str(Path(__file__).parent))  # python -P leaves it out

from photo_sets import make_release, request_of
from render import clocked, make_shards

from figureground.build.planning.plan import Plan, make_plan
from figureground.exports.dataset.inputs import BuildRequest
from figureground.schemas.rasters.masks import decode_coco_rle, tight_box
from figureground.schemas.sources.opening import read_catalogued

TARGETS: Final = {1: 0.5, 2: 0.25}
"""Our workers to the share of the peer's time to be reached; the peer has one."""
VARIANTS: Final = frozenset(
    {"original", "only_bg_b", "only_bg_t", "no_fg", "only_fg", "mixed_same", "mixed_rand", "mixed_next"}
)
XML: Final = (
    "<annotation><size><width>{size[1]}</width><height>{size[0]}</height></size><object><bndbox><xmin>{box[0]}</xmin>"
    "<ymin>{box[1]}</ymin><xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object></annotation>"
)


class Peer:
    """The peer's script over a tree of the planned photos."""

    def __init__(self, script: Path, request: BuildRequest, plan: Plan, root: Path) -> None:
        self._module = _load(script)
        self._tree = root / "tree"
        self._masks: dict[tuple[int, ...], NDArray[np.uint8]] = {}
        self._synsets: dict[int, set[str]] = defaultdict(set)
        (self._tree / "boxes" / "val").mkdir(parents=True)
        for candidate in plan.objects.values():
            record = candidate.record
            mask = decode_coco_rle(record.mask)
            box = tight_box(mask) or (0, 0, 0, 0)
            self._masks[(*record.size_hw, *box)] = mask.astype(np.uint8)
            self._synsets[candidate.label].add(record.label)
            photo = self._tree / "val" / record.label / f"{record.image_id}.jpg"
            photo.parent.mkdir(parents=True, exist_ok=True)
            photo.write_bytes(read_catalogued(record, request.photos.sources))
            note = self._tree / "boxes" / "val" / f"{record.image_id}.xml"
            note.write_text(XML.format(size=record.size_hw, box=box))

    def segment(self, photo: NDArray[np.uint8], *box: int) -> tuple[NDArray[np.uint8], bool]:
        """Stands for the peer's segmenter: the mask of a photo of that size with that box."""
        return self._masks[(*photo.shape[:2], *box)], True

    def run(self, out: Path) -> int:
        """Both phases of the peer over all classes; returns how many photos took part."""
        boxes = str(self._tree / "boxes")
        good = {
            label: self._module.phase1_process_superclass(
                label, sorted(synsets), str(self._tree), str(out), boxes, "val", self
            )[0]
            for label, synsets in sorted(self._synsets.items())
        }
        for label, taken in good.items():
            self._module.phase2_generate_mixed(label, taken, good, str(out), "val")
        return sum(map(len, good.values()))


def _load(script: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_in9", script)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{script}: no Python script")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    logging.disable(logging.CRITICAL)
    return module


def ours(out: Path, request: BuildRequest, workers: int) -> int:
    """Plan and render the eight variants; returns how many photos took part."""
    plan = make_plan(request.release.records, request.design.recipe, request.design.classes)
    make_shards(request, plan, [row for row in plan.rows if row.variant in VARIANTS], out, workers)
    return len(plan.objects)


def measure(script: Path, request: BuildRequest, root: Path, turns: int) -> list[dict[str, Any]]:
    """Rows of the table."""
    plan = make_plan(request.release.records, request.design.recipe, request.design.classes)
    peer = Peer(script, request, plan, root)
    make_shards(request, plan, plan.rows[:1], root / "warm", 1)  # what is imported late and opened once
    spent: dict[str, list[float]] = defaultdict(list)
    processor: dict[str, list[float]] = defaultdict(list)
    for turn in range(turns):
        for name, work, given in (("peer", peer.run, ()), ("1", ours, (request, 1)), ("2", ours, (request, 2))):
            clock, photos = clocked(work, root / f"{name}-{turn}", *given)
            spent[name].append(1000 * clock.wall / photos)
            processor[name].append(1000 * clock.processor / photos)
    rows = []
    for workers, most in TARGETS.items():
        name = str(workers)
        share = median(mine / theirs for mine, theirs in zip(spent[name], spent["peer"], strict=True))
        detail = f"{median(spent[name]):.1f} ms, peer {median(spent['peer']):.1f} ms"
        if workers == 1:
            by_processor = median(mine / theirs for mine, theirs in zip(processor["1"], processor["peer"], strict=True))
            detail += f"; by processor time {by_processor:.3f}"
        rows.append(
            {
                "figure": f"eight variants of a photo, {workers} worker{'s'[: workers > 1]} / peer",
                "value": share,
                "target": f"<= {most}",
                "reached": share <= most,
                "detail": detail,
            }
        )
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", type=Path, nargs="?", help="checkout of horokkk/in9-dataset-generator")
    parser.add_argument("--photos", type=int, default=1000, help="photos; some are refused by the recipe's filters")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    given = parser.parse_args()
    if given.peer is None:
        parser.exit(message="needs a checkout of the peer; see --help\n")
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        make_release(root, given.photos)
        rows = measure(given.peer / "generate_in9.py", request_of(root, workers=1), root, given.turns)
    for row in rows:
        print(f"{row['figure']}: {row['value']:.3f} (target {row['target']}): {row['detail']}")
    if given.json:
        given.json.write_text(json.dumps({"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
