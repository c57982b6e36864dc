"""What a new version of a dataset costs when a few masks were corrected: rows rendered again, bytes uploaded as new.

Photos are windows of butterflies with masks by people (``../shared``), each a photo of its own; without those, drawn
ones. Two releases are frozen that differ in some masks, and ImageNet-9's eight variants are built of both, the second
with ``--earlier``. Bytes are counted by hf_xet, the Hub's own client, against a store in a folder.

    python benchmarks/new_version.py
    python benchmarks/new_version.py --objects 2000 --changed 10
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

import cv2
import hf_xet
import numpy as np
import pyarrow.parquet as pq
import yaml
from numpy.typing import NDArray

from figureground.annotate.catalogue import index_source
from figureground.annotate.freeze import FreezeOptions, freeze
from figureground.build.planning.plan_files import read_plan
from figureground.build.recipes.loading import load_recipe
from figureground.exports.dataset.building import BuildReport, build_dataset
from figureground.exports.dataset.request import prepare_request
from figureground.runtime.processes import default_workers
from figureground.schemas.rasters.masks import Mask, decode_coco_rle, encode_coco_rle
from figureground.schemas.records import Annotation, Decision, ImageRecord
from figureground.schemas.sources.opening import open_source
from figureground.schemas.store.releases import read_release
from figureground.schemas.store.workspace import Workspace

BUTTERFLIES: Final = Path(__file__).parents[2] / "shared" / "data" / "masked" / "leeds_butterfly"
MARGIN_PX: Final = (30, 110)
"""What a window leaves around the butterfly on each side, as far as the photo goes."""
JPEG_QUALITY: Final = 92
MOST_NEW: Final = 0.05
"""Share of the new version's bytes."""

Photo = NDArray[np.uint8]


def butterflies() -> list[tuple[str, Photo, Mask]]:
    """Class, BGR pixels and mask of every butterfly."""
    photos = []
    with (BUTTERFLIES / "labels.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            photo = cv2.imread(str(BUTTERFLIES / "images" / f"{row['id']}.jpg"))
            mask = cv2.imread(str(BUTTERFLIES / "masks" / f"{row['id']}.png"), cv2.IMREAD_GRAYSCALE)
            if photo is not None and mask is not None and photo.shape[:2] == mask.shape:
                photos.append((row["wnid"], photo.astype(np.uint8), mask > 0))
    return photos


def drawn() -> list[tuple[str, Photo, Mask]]:
    """Some noisy pictures of an ellipse each."""
    rng = np.random.default_rng(0)
    photos = []
    for number in range(24):
        coarse = rng.integers(0, 256, (9, 12, 3), np.uint8)
        photo = cv2.resize(coarse, (480, 360), interpolation=cv2.INTER_CUBIC)
        mask = np.zeros((360, 480), np.uint8)
        cv2.ellipse(mask, (240, 180), (90 + number, 60), 7.0 * number, 0, 360, 1, -1)
        photos.append((f"kind{number % 4}", np.where(mask[..., None] > 0, 255 - photo, photo), mask > 0))
    return photos


def windows(objects: int) -> Iterator[tuple[str, Photo, Mask]]:
    """Windows around the objects, each around another one than the window before."""
    seen = butterflies() if BUTTERFLIES.is_dir() else drawn()
    rng = np.random.default_rng(0)
    for number in range(objects):
        label, photo, mask = seen[number % len(seen)]
        rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
        top, left = (max(0, int(axis[0] - rng.integers(*MARGIN_PX))) for axis in (rows, columns))
        bottom, right = (int(axis[-1] + rng.integers(*MARGIN_PX)) for axis in (rows, columns))
        yield label, photo[top:bottom, left:right], mask[top:bottom, left:right]


def accept(store: Workspace, image: ImageRecord, mask: Mask, name: str) -> None:
    """Answer for a photo, and accept that."""
    answer = Annotation(
        annotation_id=f"{name}-{image.image_id}",
        updated_at=f"2026-01-0{name[1:]}T00:00:00Z",
        image_id=image.image_id,
        masks={"object": encode_coco_rle(mask)},
        attributes={},
        flags=(),
        annotator="p1",
        seconds=1.0,
        tool="drawn",
        proposal_id="",
        edit_iou=None,
    )
    store.add_answer(answer, None)
    store.decide(Decision(image_id=image.image_id, state="accepted", reason="", annotation_id=answer.annotation_id))


def make_first(root: Path, objects: int) -> None:
    """Photos with their masks, frozen as ``v1``."""
    masks = {}
    for number, (label, photo, mask) in enumerate(windows(objects)):
        path = root / "photos" / label / f"{number:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), photo, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        masks[f"{label}/{number:05d}.jpg"] = mask
    with Workspace.create(root / "work") as store:
        index_source(store, open_source(str(root / "photos")), workers=default_workers())
        for image in store.images():
            accept(store, image, masks[image.uri], "v1")
        freeze(store, "v1", FreezeOptions())


def correct(root: Path, changed: int) -> set[str]:
    """Freeze ``v2``, with some masks of the dataset ``v1`` grown by two pixels; returns those objects."""
    _, records = read_release(root / "v1" / "objects.parquet")
    used = {row.object_id for row in read_plan(root / "v1" / "report" / "plan.parquet")}
    there = [record for record in records if record.object_id in used]
    corrected = {record.image_id: record for record in there[:: max(1, len(there) // changed)][:changed]}
    with Workspace.open(root / "work") as store:
        for image in store.images():
            if image.image_id in corrected:
                mask = decode_coco_rle(corrected[image.image_id].mask)
                grown = cv2.dilate(mask.view(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
                accept(store, image, grown, "v2")
        freeze(store, "v2", FreezeOptions())
    return {record.object_id for record in corrected.values()}


def write_recipe(root: Path) -> Path:
    """ImageNet-9's nine variants for the classes of these photos, all of them."""
    names = sorted(path.name for path in (root / "photos").iterdir())
    classes = [{"index": index, "name": name, "wnids": [name]} for index, name in enumerate(names)]
    (root / "kinds.json").write_text(json.dumps({"name": "kinds", "classes": classes}))
    words = load_recipe("imagenet9").model_dump(mode="json")
    words["variants"] = dict(islice(words["variants"].items(), 9))
    words |= {"name": "kinds", "class_map": "kinds.json", "balance": {"per_class": "all"}}
    (root / "kinds.yaml").write_text(yaml.safe_dump(words))
    return root / "kinds.yaml"


def build(recipe: Path, root: Path, release: str, earlier: Path | None) -> tuple[BuildReport, float]:
    """The report, and seconds."""
    start = time.perf_counter()
    request = prepare_request(str(recipe), root / "work", release=release, earlier=earlier)
    return build_dataset(request, root / release), time.perf_counter() - start


def rows_using(folder: Path, objects: set[str]) -> int:
    """Rows whose figure or donor is one of these objects."""
    return sum(bool(objects & {row.object_id, row.ground_id}) for row in read_plan(folder / "report" / "plan.parquet"))


def changed_rows(before: Path, after: Path) -> int:
    """Rows with other pixels or another mask, photos by comparing all of them."""
    return sum(
        one != other
        for path in sorted((after / "data").rglob("*.parquet"))
        for one, other in zip(stored_rows(path), stored_rows(before / path.relative_to(after)), strict=True)
    )


def stored_rows(path: Path) -> Iterable[tuple[Any, ...]]:
    """Image and mask of each row of a shard."""
    for batch in pq.ParquetFile(path).iter_batches(500, columns=["image", "object_mask"]):
        for row in batch.to_pylist():
            yield row["image"]["bytes"], row["object_mask"]["bytes"]


def upload(folder: Path, store: Path) -> tuple[int, int]:
    """Put every file into a store of Xet; returns bytes in all, and bytes of chunks that it did not have."""
    commit = hf_xet.XetSession().new_upload_commit(endpoint=f"local://{store}")
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            commit.start_upload_file(str(path))
    metrics = commit.wait_to_finish().dedup_metrics
    return metrics.total_bytes, metrics.new_bytes


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=200)
    parser.add_argument("--changed", type=int, default=2, help="masks that are corrected")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        make_first(root, given.objects)
        recipe = write_recipe(root)
        first, first_seconds = build(recipe, root, "v1", None)
        corrected = correct(root, given.changed)
        second, second_seconds = build(recipe, root, "v2", root / "v1")
        rendered = second.rows - second.copied
        using = rows_using(root / "v2", corrected)
        differing = changed_rows(root / "v1", root / "v2")
        (root / "xet").mkdir()
        whole, _ = upload(root / "v1", root / "xet")
        total, new = upload(root / "v2", root / "xet")
    rows = [
        {
            "figure": "rows rendered again, beside rows that use a corrected mask",
            "value": rendered / using,
            "target": "= 1",
            "reached": rendered == using,
            "detail": f"{rendered} of {second.rows} rows, {using} use one of {len(corrected)} corrected masks of "
            f"{first.objects}; {differing} have other pixels or another mask",
        },
        {
            "figure": "bytes of a new version uploaded as new chunks",
            "value": new / total,
            "target": f"< {MOST_NEW}",
            "reached": new / total < MOST_NEW,
            "detail": f"{new / 1e6:.2f} of {total / 1e6:.1f} MB; first version {whole / 1e6:.1f} MB",
        },
        {
            "figure": "seconds of a new version's build / of the first build",
            "value": second_seconds / first_seconds,
            "target": "",
            "reached": None,
            "detail": f"{second_seconds:.1f} s, {first_seconds:.1f} s",
        },
    ]
    for row in rows:
        print(f"{row['figure']}: {row['value']:.4f} (target {row['target'] or 'none'}): {row['detail']}")
    if given.json:
        given.json.write_text(json.dumps({"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
