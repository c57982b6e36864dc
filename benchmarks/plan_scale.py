"""How index, freeze, plan and verify grow with the photos: seconds and peak memory, each in a process of its own.

The catalogue is drawn: metadata and masks have the shape of ImageNet's (sizes, names, a box on two photos of five,
masks of about a thousand characters), while 8 pictures and 256 masks serve all photos, so that a million of them fit
on a disk. The recipe is ImageNet-9's with its eight variants, all objects of 100 classes. No picture is decoded in the
stages: what a photo costs to read is said beside.

    python benchmarks/plan_scale.py                                   # plans over 20,000 photos and twice as many
    python benchmarks/plan_scale.py --images 650000 --stages          # the four stages, too
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

sys.path.append(str(Path(__file__).parent))  # python -P leaves it out

from peak_memory import peak_mb

from figureground.annotate import catalogue
from figureground.annotate.freeze import FreezeOptions, freeze
from figureground.build.planning.plan import make_plan
from figureground.build.planning.plan_files import write_plan
from figureground.build.recipes.loading import load_recipe
from figureground.exports.dataset.verify import verify_repository
from figureground.runtime.files import file_sha256
from figureground.schemas.classes import ClassMap
from figureground.schemas.rasters.masks import CocoRle, encode_coco_rle
from figureground.schemas.rasters.photos import perceptual_hash, read_photo
from figureground.schemas.recipes import Balance, Recipe
from figureground.schemas.records import ImageRecord, ObjectRecord, ProposalRecord
from figureground.schemas.sources.items import SourceItem
from figureground.schemas.store.releases import read_release, write_release
from figureground.schemas.store.rows import proposal_row
from figureground.schemas.store.workspace import DATABASE_NAME, Workspace

CLASSES: Final = 100
MASKS: Final = 256
SIZES_HW: Final = ((375, 500), (333, 500), (500, 375), (500, 333), (500, 500), (400, 500), (281, 500), (768, 1024))
MOST_TIMES: Final = 2.2
"""How many times as long twice the photos may take."""
ROWS_PER_SHARD: Final = 5000
VARIANTS: Final = 8
LEAST_PER_CLASS: Final = 2
"""Photos: nobody lends a ground to themselves."""
MOST_MB: Final = {"index": 1500, "freeze": 1500, "plan": 6000, "verify": 1500}
"""Peak memory of a stage, over 1.3 million photos."""

_DECODED: Final = 40
_INSERTED: Final = 20_000


def size_of(number: int) -> tuple[int, int]:
    """Height and width of a photo."""
    return SIZES_HW[number % len(SIZES_HW)]


def label_of(number: int) -> str:
    """Its label, shaped like a wnid."""
    return f"n{10_000_000 + number % CLASSES:08d}"


def uri_of(number: int) -> str:
    """Its place."""
    return f"train/{label_of(number)}/{label_of(number)}_{number}.JPEG"


def boxes_of(number: int) -> tuple[tuple[int, int, int, int], ...]:
    """Annotated boxes: one on two photos of five."""
    height, width = size_of(number)
    return ((width // 4, height // 4, 3 * width // 4, 3 * height // 4),) if number % 5 < 2 else ()


def draw_masks() -> list[CocoRle]:
    """Blobs with a ragged rim, each of the size of the photos that it serves."""
    rng = np.random.default_rng(0)
    masks = []
    for number in range(MASKS):
        height, width = size_of(number)
        middle, radius = rng.uniform(0.35, 0.65, 2), rng.uniform(0.15, 0.33, 2)
        rows, columns = np.mgrid[:height, :width]
        y, x = (rows / height - middle[0]) / radius[0], (columns / width - middle[1]) / radius[1]
        angle = np.arctan2(y, x)
        rim = 1 + 0.15 * np.sin(3 * angle + rng.uniform(0, 6)) + 0.08 * np.sin(11 * angle) + 0.03 * np.sin(37 * angle)
        masks.append(encode_coco_rle(x * x + y * y <= rim * rim))
    return masks


def pictures() -> list[bytes]:
    """One picture of each size, as a file."""
    photos = []
    for height, width in SIZES_HW:
        ramp = np.add.outer(np.arange(height), np.arange(width)).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(np.dstack([ramp, ramp // 2, 255 - ramp])).save(buffer, format="JPEG", quality=90)
        photos.append(buffer.getvalue())
    return photos


class SharedPhotos:
    """A source of many photos that show few pictures; each has bytes of its own, after the picture's end."""

    name, kind, locator = "drawn", "folder", "drawn"
    options: Mapping[str, str] = {}

    def __init__(self, images: int) -> None:
        self._images = images
        self._pictures = pictures()

    def __iter__(self) -> Iterator[SourceItem]:
        """Every photo."""
        for number in range(self._images):
            boxes = boxes_of(number)
            yield SourceItem(
                uri=uri_of(number),
                label=label_of(number),
                source_split="train",
                boxes_xyxy_px=boxes,
                annotated_hw=size_of(number) if boxes else None,
            )

    def read(self, uri: str) -> bytes:
        """A picture, and the photo's number."""
        number = uri.rpartition("_")[2].removesuffix(".JPEG")
        return self._pictures[int(number) % len(self._pictures)] + f"#{number}".encode()


def index(folder: Path, images: int) -> str:
    """Catalogue all photos; their pictures are measured once each."""
    facts = [read_photo(picture)[0] for picture in pictures()]
    catalogue.read_photo = lambda data: (facts[int(data.rpartition(b"#")[2]) % len(facts)], data)  # type: ignore[assignment,misc,return-value]
    catalogue.perceptual_hash = lambda data: hashlib.sha256(data[-16:]).hexdigest()[:16]  # type: ignore[assignment,misc,call-overload]
    with Workspace.create(folder / "work") as store:
        report = catalogue.index_source(store, SharedPhotos(images))
    return f"{report.added} photos, each beside reading it, {1000 * seconds_a_photo():.1f} ms"


def seconds_a_photo() -> float:
    """What reading and measuring a photo costs, which the stage leaves out."""
    shown = pictures()
    start = time.perf_counter()
    for number in range(_DECODED):
        perceptual_hash(read_photo(shown[number % len(shown)])[1])
    return (time.perf_counter() - start) / _DECODED


def propose(folder: Path, _: int) -> str:
    """A machine mask of every photo, as ``propose`` leaves them; not measured."""
    masks = draw_masks()
    with Workspace.open(folder / "work") as store, sqlite3.connect(folder / "work" / DATABASE_NAME) as database:
        photos = store.images()
        while part := list(islice(photos, _INSERTED)):
            runs = [(f"{image.image_id}r", image.image_id, "sam", "box", "", 0.1) for image in part]
            database.executemany("INSERT INTO proposal_runs VALUES (?, ?, ?, ?, ?, ?)", runs)
            rows = [proposal_row(_proposal(image, masks)) for image in part]
            names = ", ".join(rows[0])
            marks = ", ".join(f":{name}" for name in rows[0])
            database.executemany(f"INSERT INTO proposals ({names}) VALUES ({marks})", rows)
    return ""


def _proposal(image: ImageRecord, masks: list[CocoRle]) -> ProposalRecord:
    number = int(image.uri.rpartition("_")[2].removesuffix(".JPEG"))
    return ProposalRecord(
        proposal_id=f"{image.image_id}p", run_id=f"{image.image_id}r", image_id=image.image_id,
        rle=masks[number % len(masks)], score=0.9, stability=0.9, rank=0, prompt="{}", segmenter="sam",
        checkpoint_sha256="0" * 64,
    )  # fmt: skip


def freeze_release(folder: Path, _: int) -> str:
    """Freeze the machine masks."""
    with Workspace.open(folder / "work") as store:
        report = freeze(store, "v1", FreezeOptions(unreviewed=True))
    return f"{sum(report.states.values())} objects, {report.path.stat().st_size / 1e6:.0f} MB"


def write_objects(folder: Path, images: int) -> str:
    """A release as ``freeze`` writes it, straight away; not measured."""
    masks = draw_masks()
    order = sorted(range(images), key=lambda number: hashlib.sha256(str(number).encode()).digest())
    path = folder / "work" / "objects" / "v1.parquet"
    write_release(path, (_object(number, masks) for number in order), version="v1")
    return ""


def _object(number: int, masks: list[CocoRle]) -> ObjectRecord:
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    (height, width), mask = size_of(number), masks[number % len(masks)]
    return ObjectRecord(
        object_id=f"{digest[:32]}.0", image_id=digest[:32], source="drawn", uri=uri_of(number), sha256=digest,
        width=width, height=height, exif_orientation=1, label=label_of(number), source_split="train",
        boxes_xyxy_px=boxes_of(number), phash=hashlib.sha256(digest.encode()).hexdigest()[:16], image_flags=(),
        mask=mask, state="unreviewed", mask_origin=digest[32:], segmenter="sam",
    )  # fmt: skip


def recipe() -> tuple[Recipe, ClassMap]:
    """ImageNet-9's eight variants, of all objects of 100 classes."""
    classes = [
        {"index": number, "name": f"c{number}", "wnids": [label_of(number)], "imagenet_indices": []}
        for number in range(CLASSES)
    ]
    shipped = load_recipe("imagenet9")
    variants = dict(islice(shipped.variants.items(), VARIANTS))
    changed = shipped.model_copy(update={"variants": variants, "balance": Balance(per_class="all")})
    return changed, ClassMap.model_validate({"name": "drawn", "classes": classes})


def plan(folder: Path, images: int) -> str:
    """Read the release, plan, and write the plan."""
    start = time.perf_counter()
    _, records = read_release(folder / "work" / "objects" / "v1.parquet")
    read = time.perf_counter()
    plan = make_plan(records, *recipe())
    made = time.perf_counter()
    (folder / "dataset" / "report").mkdir(parents=True, exist_ok=True)
    path = folder / "dataset" / "report" / "plan.parquet"
    write_plan(plan.rows, path)
    written = time.perf_counter()
    assert len(plan.rows) == VARIANTS * images, f"{len(plan.refusals)} refused"
    return (
        f"{len(plan.rows)} rows, {path.stat().st_size / 1e6:.0f} MB; reading the release {read - start:.0f} s, "
        f"planning {made - read:.0f} s, writing {written - made:.0f} s"
    )


def write_shards(folder: Path, _: int) -> str:
    """The rows of the plan as a release without pixels has them, and its manifest; not measured."""
    dataset = folder / "dataset"
    with pq.ParquetFile(dataset / "report" / "plan.parquet") as file:
        rows: dict[tuple[str, str], int] = {}
        for batch in file.iter_batches(1 << 16, columns=["variant", "split"]):
            for name, count in _counted(batch):
                rows[name] = rows.get(name, 0) + count
        batches = file.iter_batches(ROWS_PER_SHARD, columns=["variant", "split", "object_id", "attribute", "draw"])
        waiting = pa.table({})
        for (variant, split), count in rows.items():
            shards = -(-count // ROWS_PER_SHARD)
            for shard in range(shards):
                wanted = min(ROWS_PER_SHARD, count - shard * ROWS_PER_SHARD)
                while waiting.num_rows < wanted:
                    more = pa.Table.from_batches([next(batches)])
                    waiting = pa.concat_tables([waiting, more]) if waiting.num_rows else more
                path = dataset / "data" / variant / f"{split}-{shard:05d}-of-{shards:05d}.parquet"
                _write_shard(path, waiting.slice(0, wanted))
                waiting = waiting.slice(wanted)
    files = sorted(path for path in dataset.rglob("*") if path.is_file())
    manifest = {path.relative_to(dataset).as_posix(): file_sha256(path) for path in files}
    (dataset / "manifest.json").write_text(json.dumps({"sha256": manifest}))
    return ""


def _counted(batch: pa.RecordBatch) -> Iterator[tuple[tuple[str, str], int]]:
    grouped = pa.Table.from_batches([batch]).group_by(["variant", "split"], use_threads=False)
    for row in grouped.aggregate([([], "count_all")]).to_pylist():
        yield (row["variant"], row["split"]), row["count_all"]


def _write_shard(path: Path, rows: pa.Table) -> None:
    none = pa.nulls(rows.num_rows, pa.string())
    columns = {"object_id": rows["object_id"].combine_chunks(), "source_sha256": none, "pixels_sha256": none}
    provenance = pa.StructArray.from_arrays(list(columns.values()), names=list(columns))
    columns = {"variant": rows["variant"], "draw": rows["draw"], "attribute": none, "provenance": provenance}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def verify(folder: Path, _: int) -> str:
    """Check every file and row."""
    report = verify_repository(folder / "dataset", workers=1)
    return f"{report.files} files, {report.rows} rows"


STAGES: Final[Mapping[str, Callable[[Path, int], str]]] = {
    "index": index, "propose": propose, "freeze": freeze_release, "write_objects": write_objects, "plan": plan,
    "write_shards": write_shards, "verify": verify,
}  # fmt: skip
ORDER: Final = ("index", "propose", "freeze", "plan", "write_shards", "verify")


def run(stage: str, folder: Path, images: int) -> None:
    """Run one stage in this process and print what it took."""
    start, before = time.perf_counter(), time.process_time()
    detail = STAGES[stage](folder, images)
    seconds, busy = time.perf_counter() - start, time.process_time() - before
    print(json.dumps({"seconds": seconds, "cpu_seconds": busy, "peak_mb": peak_mb(), "detail": detail}))


def measure(stage: str, folder: Path, images: int) -> dict[str, Any]:
    """Run one stage in a process of its own."""
    command = [sys.executable, __file__, "--stage", stage, "--images", str(images), "--folder", str(folder)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    figures: dict[str, Any] = json.loads(printed.splitlines()[-1])
    print(
        f"{images} photos, {stage}: {figures['seconds']:.1f} s, {figures['cpu_seconds']:.1f} s of a core, "
        f"{figures['peak_mb']:.0f} MB at most; {figures['detail']}",
        flush=True,
    )
    return figures


def grow(images: int, stages: tuple[str, ...], root: Path) -> dict[int, dict[str, dict[str, Any]]]:
    """All stages over the photos, and over twice as many."""
    figures = {}
    for count in (images, 2 * images):
        folder = root / str(count)
        folder.mkdir(parents=True)
        figures[count] = {stage: measure(stage, folder, count) for stage in stages}
        shutil.rmtree(folder)
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000, help="photos; twice as many are measured, too")
    parser.add_argument("--stages", action="store_true", help="index, freeze and verify, too")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help="scratch folder; a temporary one where it is not given")
    given = parser.parse_args()
    if given.images < LEAST_PER_CLASS * CLASSES:
        parser.error(f"--images: at least {LEAST_PER_CLASS} photos of each of {CLASSES} classes")
    if given.stage:
        run(given.stage, given.folder, given.images)
        return
    if given.folder is not None:
        given.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=given.folder) as scratch:
        figures = grow(given.images, ORDER if given.stages else ("write_objects", "plan"), Path(scratch))
    one, twice = figures[given.images], figures[2 * given.images]
    rows = []
    for stage in [stage for stage in MOST_MB if stage in one]:
        times = twice[stage]["cpu_seconds"] / one[stage]["cpu_seconds"]
        rows.append(
            {
                "figure": f"{stage}: seconds of a core over twice the photos / over the photos",
                "value": times,
                "target": f"<= {MOST_TIMES}",
                "reached": times <= MOST_TIMES,
                "detail": "; ".join(
                    f"{count} photos {stages[stage]['seconds']:.1f} s, {stages[stage]['cpu_seconds']:.1f} s of a core, "
                    f"{stages[stage]['peak_mb']:.0f} MB"
                    for count, stages in figures.items()
                ),
            }
        )
        rows.append(
            {
                "figure": f"{stage}: peak memory over {2 * given.images} photos, MB",
                "value": twice[stage]["peak_mb"],
                "target": f"<= {MOST_MB[stage]}",
                "reached": twice[stage]["peak_mb"] <= MOST_MB[stage],
                "detail": twice[stage]["detail"],
            }
        )
    for row in rows:
        print(f"{row['figure']}: {row['value']:.2f} (target {row['target']}): {row['detail']}")
    if given.json:
        given.json.write_text(json.dumps({"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
