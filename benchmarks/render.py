"""How near rendering comes to the codecs it cannot do without, and what a second worker brings, in one run.

ImageNet-9's nine variants of photos as large as ImageNet's. The floor decodes each distinct source once and encodes
each row's image and mask once, with the decoder and the encoders of a build and nothing else. One worker and the floor
run in this process, on one thread; two workers are processes of their own, whose start is counted in. Turns alternate
and medians are compared, so that a busy machine hits all alike. Beside the ratio of wall clocks stands that of
processor time, which other processes disturb less.

    python benchmarks/render.py --objects 2000
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any, Final, TypeVar

import cv2
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

sys.path.append(str(Path(__file__).parent))  # python -P leaves it out

from photo_sets import make_release, request_of

from figureground.build.painting.scene_files import SceneJob, write_scenes
from figureground.build.planning.plan import Plan, make_plan
from figureground.errors import DataError
from figureground.exports.dataset.inputs import BuildRequest
from figureground.exports.dataset.metadata import plan_features
from figureground.exports.dataset.shards import ROWS_PER_SHARD, ShardJob, write_shard
from figureground.runtime.engines import EngineChoice
from figureground.runtime.pools import Engine, LazyJobs, open_engine
from figureground.schemas.rasters.masks import decode_png1, encode_png1
from figureground.schemas.rasters.photos import decode_photo
from figureground.schemas.rasters.png import encode_png
from figureground.schemas.records import PlanRow
from figureground.schemas.sources.opening import read_catalogued

Result = TypeVar("Result")

NEAR_FLOOR: Final = 0.85
TWO_WORKERS: Final = 1.85
PHOTOS_PER_JOB: Final = 16


@dataclass(frozen=True, slots=True)
class Clock:
    """What a piece of work took, in seconds."""

    wall: float
    processor: float
    """Of this process alone."""


def clocked(work: Callable[..., Result], *given: object) -> tuple[Clock, Result]:
    """Do a piece of work."""
    wall, processor = time.perf_counter(), time.process_time()
    result = work(*given)
    return Clock(time.perf_counter() - wall, time.process_time() - processor), result


def make_shards(request: BuildRequest, plan: Plan, rows: Sequence[PlanRow], folder: Path, workers: int) -> list[Path]:
    """Render some rows with so many workers; returns the shards."""
    with open_engine(EngineChoice(), workers=workers) as engine:
        return render_rows(engine, request, plan, rows, folder)


def render_rows(engine: Engine, request: BuildRequest, plan: Plan, rows: Sequence[PlanRow], folder: Path) -> list[Path]:
    """Both passes of a build over some rows, as ``build`` makes them; returns the shards."""
    rules = request.design.rule_set
    used = {name for row in rows for name in (row.object_id, row.ground_id)}
    shown = [record for name, record in plan.objects.items() if name in used]
    (folder / "scenes").mkdir(parents=True)
    scenes = SceneJob(
        objects=(),
        textures=(),
        sources=request.photos.sources,
        recipe=request.design.recipe,
        rules=rules,
        folder=folder / "scenes",
    )
    batches = [tuple(shown[start : start + PHOTOS_PER_JOB]) for start in range(0, len(shown), PHOTOS_PER_JOB)]
    for _, faults in engine.run(write_scenes, [replace(scenes, objects=part) for part in batches]):
        if faults:
            raise DataError(faults)
    schema = plan_features(request, plan).arrow_schema
    parts = sorted(_parts(rows), key=lambda part: part.start - part.stop)

    def make(shard: int) -> ShardJob:
        part = rows[parts[shard]]
        named = {name for row in part for name in (row.object_id, row.ground_id) if name}
        return ShardJob(
            path=folder / part[0].variant / f"{shard:05d}.parquet",
            rows=tuple(part),
            recipe=request.design.recipe,
            rules=rules,
            objects={name: plan.objects[name] for name in named},
            mask_version=request.release.version,
            scenes=folder / "scenes",
            schema=schema,
        )

    if sum(engine.run(write_shard, LazyJobs(make, len(parts)))) != len(rows):
        raise SystemExit("rows are missing")
    return sorted(folder.glob("*/*.parquet"))


def _parts(rows: Sequence[PlanRow]) -> Iterator[slice]:
    first = 0
    for _, grouped in groupby(rows, key=lambda row: row.variant):
        last = first + sum(1 for _ in grouped)
        for start in range(first, last, ROWS_PER_SHARD):
            yield slice(start, min(start + ROWS_PER_SHARD, last))
        first = last


def floor(request: BuildRequest, plan: Plan, shards: Sequence[Path]) -> tuple[Clock, float]:
    """Time of the codecs alone, and seconds of it that go to masks which are the same as another row's."""
    spent: list[Clock] = []
    seen: set[bytes] = set()
    again = 0.0
    for candidate in plan.objects.values():
        spent.append(clocked(decode_photo, read_catalogued(candidate.record, request.photos.sources))[0])
    for path in shards:
        for batch in pq.ParquetFile(path).iter_batches(100, columns=["image", "object_mask"]):
            for row in batch.to_pylist():
                mask = decode_png1(row["object_mask"]["bytes"])
                spent.append(clocked(encode_png, _pixels(row["image"]["bytes"]))[0])
                spent.append(clocked(encode_png1, mask)[0])
                again += spent[-1].wall if mask.tobytes() in seen else 0.0
                seen.add(mask.tobytes())
    return Clock(sum(clock.wall for clock in spent), sum(clock.processor for clock in spent)), again


def _pixels(png: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("RGB"))


def measure(request: BuildRequest, plan: Plan, root: Path, turns: int) -> list[dict[str, Any]]:
    """Rows of the table."""
    make_shards(request, plan, plan.rows[:1], root / "warm", 1)  # what is imported late and opened once
    one: list[Clock] = []
    two: list[Clock] = []
    least: list[Clock] = []
    again: list[float] = []
    for turn in range(turns):
        clock, shards = clocked(make_shards, request, plan, plan.rows, root / f"one-{turn}", 1)
        one.append(clock)
        bare, repeated = floor(request, plan, shards)
        least.append(bare)
        again.append(repeated)
        two.append(clocked(make_shards, request, plan, plan.rows, root / f"two-{turn}", 2)[0])
    near = median(bare.wall / mine.wall for bare, mine in zip(least, one, strict=True))
    processor = median(bare.processor / mine.processor for bare, mine in zip(least, one, strict=True))
    strict = median((bare.wall - seconds) / mine.wall for bare, seconds, mine in zip(least, again, one, strict=True))
    gain = median(mine.wall / ours.wall for mine, ours in zip(one, two, strict=True))
    rows, alone, floored = len(plan.rows), median(clock.wall for clock in one), median(clock.wall for clock in least)
    return [
        {
            "figure": "render: rows a second on one core / codec floor",
            "value": near,
            "target": f">= {NEAR_FLOOR}",
            "reached": near >= NEAR_FLOOR,
            "detail": f"{rows} rows of {len(plan.objects)} photos: {rows / alone:.0f} rows/s, floor "
            f"{rows / floored:.0f} rows/s; by processor time {processor:.3f}; {strict:.3f} where a mask that several "
            "rows share is encoded once in the floor, too",
        },
        {
            "figure": "render: two workers / one",
            "value": gain,
            "target": f">= {TWO_WORKERS}",
            "reached": gain >= TWO_WORKERS,
            "detail": f"{rows / median(clock.wall for clock in two):.0f} rows/s, processes' start counted in",
        },
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=2000, help="photos; some are refused by the recipe's filters")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        make_release(root, given.objects)
        request = request_of(root, workers=1)
        plan = make_plan(request.release.records, request.design.recipe, request.design.classes)
        rows = measure(request, plan, root, given.turns)
    for row in rows:
        print(f"{row['figure']}: {row['value']:.3f} (target {row['target']}): {row['detail']}")
    if given.json:
        given.json.write_text(json.dumps({"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
