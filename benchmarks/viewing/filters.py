"""How long a filter of the gallery takes: random filters over many rows, each asked of the running server.

The dataset is drawn: photos of noise with boxes for masks, under eight configs, in shards and row groups as ``build``
writes them, with the answers of two models. Pictures are few and repeated; no filter reads them. The thumbnails of a
page are timed beside it, of rows that lie in as many row groups as a filter leaves.

    python benchmarks/viewing/filters.py --rows 100000 --filters 200
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from figureground.exports.dataset.files import ShardName
from figureground.exports.dataset.manifest import write_manifest
from figureground.exports.dataset.shards import ROWS_PER_GROUP
from figureground.exports.viewing.columns import Coded
from figureground.exports.viewing.gallery import Gallery
from figureground.exports.viewing.readings import Reading
from figureground.gallery import View, start_view
from figureground.schemas.classes import ClassMap
from figureground.schemas.features import dataset_features
from figureground.schemas.rasters.masks import encode_png1
from figureground.schemas.rasters.png import encode_png

REACH_SECONDS: Final = 0.5
CONFIGS: Final = ("original", "mixed_same", "mixed_rand", "mixed_next", "only_fg", "no_fg", "only_bg_b", "only_bg_t")
CLASSES: Final = tuple(f"class_{number:03}" for number in range(100))
ATTRIBUTES: Final = ("wet", "hairy", "wings")
SIDE_PX: Final = 224
ROWS_A_SHARD: Final = 1000
PAGE_ROWS: Final = 60


def coarse_noise(pictures: int) -> list[bytes]:
    """So many canvases as PNG, of 11 kB; a photo of this size has 80."""
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 256, (pictures, SIDE_PX // 8, SIDE_PX // 8, 3), dtype=np.uint8)
    return [encode_png(np.ascontiguousarray(one.repeat(8, axis=0).repeat(8, axis=1))) for one in coarse]


def make_dataset(folder: Path, rows: int, canvases: Sequence[bytes]) -> Path:
    """A dataset repository of so many rows, whose images are some canvases, one after the other."""
    generator = np.random.default_rng(0)
    folder.mkdir(parents=True)
    classes = [
        {"index": index, "name": name, "wnids": [f"n{index:08}"], "imagenet_indices": [index]}
        for index, name in enumerate(CLASSES)
    ]
    (folder / "class_map.json").write_text(json.dumps({"name": "drawn", "classes": classes}))
    class_map = ClassMap.model_validate({"name": "drawn", "classes": classes})
    features = dataset_features(class_map, ATTRIBUTES, pixels=True)
    photos = rows // len(CONFIGS)
    ids = [hashlib.sha256(str(number).encode()).hexdigest()[:32] for number in range(photos)]
    masks = [draw_mask(generator) for _ in range(photos)]
    for config in CONFIGS:
        total = -(-photos // ROWS_A_SHARD)
        for number in range(total):
            part = range(number * ROWS_A_SHARD, min(photos, (number + 1) * ROWS_A_SHARD))
            cells = [draw_row(config, index, ids, masks, canvases) for index in part]
            path = folder / ShardName(config, "test", number, total).path
            path.parent.mkdir(parents=True, exist_ok=True)
            table = pa.Table.from_pylist(cells, schema=features.arrow_schema)
            plain = [name for name in table.schema.names if name not in ("image", "object_mask")]
            pq.write_table(table, path, row_group_size=ROWS_PER_GROUP, compression="none", use_dictionary=plain)
    write_manifest(folder)
    return folder


def draw_mask(generator: np.random.Generator) -> bytes:
    """A box as a mask of one bit a pixel."""
    mask = np.zeros((SIDE_PX, SIDE_PX), dtype=np.bool_)
    height, width = generator.integers(10, SIDE_PX - 10, 2)
    top, left = generator.integers(0, SIDE_PX - height), generator.integers(0, SIDE_PX - width)
    mask[top : top + height, left : left + width] = True
    return encode_png1(mask)


def draw_view(index: int) -> dict[str, list[float]]:
    """How a photo comes onto the canvas: no two of some hundred photos are of one size."""
    scale = SIDE_PX / (250 + index * 7919 % 501)
    return {"affine": [scale, -scale * (index % 97), scale, -scale * (index % 89)]}


def draw_row(
    config: str, index: int, ids: Sequence[str], masks: Sequence[bytes], canvases: Sequence[bytes]
) -> dict[str, Any]:
    """A row of a photo under a config."""
    donor = (index * 7919 + 13) % len(ids) if config.startswith("mixed") else None
    params = json.dumps({"figure": draw_view(index), "ground": draw_view(index if donor is None else donor)})
    sha256 = hashlib.sha256(f"{config}{index}".encode()).hexdigest()
    return {
        "image": {"bytes": canvases[index % len(canvases)], "path": None},
        "label": index % len(CLASSES),
        "image_id": ids[index],
        "source_label": f"n{index % len(CLASSES):08}",
        "variant": config,
        "draw": 0,
        "attribute": None,
        "object_mask": {"bytes": masks[index], "path": None},
        "box": [0.0, 0.0, 1.0, 1.0],
        "ground_id": None if donor is None else ids[donor],
        "ground_label": None if donor is None else donor % len(CLASSES),
        "attributes": {name: bool((index >> bit) & 1) for bit, name in enumerate(ATTRIBUTES)},
        "attribute_masks": [],
        "provenance": {
            "object_id": f"{ids[index]}.0",
            "source_sha256": sha256,
            "ground_sha256": None,
            "seed": index,
            "mask_version": "v1",
            "mask_state": ("accepted", "unreviewed")[index % 3 == 0],
            "mask_agreement": None,
            "recipe": "drawn@1",
            "params": params,
            "pixels_sha256": sha256,
            "sketch": "80" * 64,
        },
    }


def with_answers(gallery: Gallery) -> None:
    """Two models that are right two times of three."""
    generator, rows = np.random.default_rng(1), gallery.columns.rows
    readings = []
    for number in range(2):
        answers = np.where(
            generator.random(rows) < 2 / 3, gallery.columns.label.codes, generator.integers(0, len(CLASSES) + 1, rows)
        ).astype(np.int32)
        readings.append(
            Reading(
                name=f"model {number}",
                protocol="imagenet9",
                answered=np.ones(rows, dtype=np.bool_),
                right=answers == gallery.columns.label.codes,
                answers=Coded(names=(*CLASSES, "outside the map"), codes=answers),
                confidence=generator.random(rows).astype(np.float32),
            )
        )
    gallery.readings = readings
    gallery.__post_init__()


def draw_filter(generator: np.random.Generator) -> list[tuple[str, str]]:
    """Some of all criteria, as a person may combine them."""
    least, most = sorted(generator.uniform(0, 80, 2))
    criteria: dict[str, list[tuple[str, str]]] = {
        "config": [("config", str(name)) for name in generator.choice(CONFIGS, size=2, replace=False)],
        "label": [("label", str(generator.choice(CLASSES)))],
        "ground": [("ground", str(generator.choice(["=", "!", "-", *CLASSES])))],
        "state": [("state", str(generator.choice(["accepted", "unreviewed"])))],
        "attribute": [("attribute", str(generator.choice(ATTRIBUTES))), ("has", str(generator.choice(["yes", "no"])))],
        "area": [("least_area", f"{least:.1f}"), ("most_area", f"{most:.1f}")],
        "text": [("text", str(generator.choice(list("0123456789abcdef"))))],
        "model": [("model", str(generator.integers(2))), ("outcome", str(generator.choice(["right", "wrong"])))],
        "order": [("order", str(generator.choice(["area", "-area"])))],
        "arrange": [("arrange", "photos"), ("limit", "12")],
        "offset": [("offset", str(60 * generator.integers(0, 50)))],
    }
    chosen = generator.choice(list(criteria), size=generator.integers(1, 6), replace=False)
    return [pair for name in chosen for pair in criteria[str(name)]]


def time_filters(url: str, count: int) -> tuple[list[float], list[float]]:
    """Seconds of so many filters, and of the thumbnails of a page of every tenth, as a browser asks for them."""
    generator, seconds, pages = np.random.default_rng(2), list[float](), list[float]()
    with httpx.Client(base_url=url, timeout=120) as http:
        for number in range(count):
            start = time.perf_counter()
            answer = http.get("rows", params=draw_filter(generator))
            seconds.append(time.perf_counter() - start)
            answer.raise_for_status()
            shown = answer.json()["rows"][:PAGE_ROWS]
            if number % 10 == 0 and shown:
                start = time.perf_counter()
                for row in shown:
                    http.get(f"thumbnails/{row['row']}").raise_for_status()
                pages.append(time.perf_counter() - start)
    return seconds, pages


def measure(rows: int, filters: int, pictures: int, folder: Path) -> list[dict[str, Any]]:
    """Figures of one dataset."""
    dataset = make_dataset(folder / "drawn", rows, coarse_noise(pictures))
    before, processor = resident_mb(), time.process_time()
    start = time.perf_counter()
    view: View = start_view(dataset, revision=None, results=(), workspace=None, port=0, progress=lambda *_: None)
    opening, processor = time.perf_counter() - start, time.process_time() - processor
    held = resident_mb() - before
    with_answers(view.gallery)
    view.start()
    try:
        seconds, pages = time_filters(view.url, filters)
    finally:
        view.close()
    p95 = float(np.percentile(seconds, 95))
    reached = {"reach": REACH_SECONDS, "reached": p95 <= REACH_SECONDS}
    page = f"thumbnails of {PAGE_ROWS} rows that a filter leaves, one after the other, median s"
    return [
        {"figure": f"filters over {rows} rows, p95 s", "value": p95, **reached},
        {"figure": "median s", "value": float(np.median(seconds))},
        {"figure": "slowest s", "value": max(seconds)},
        {"figure": page, "value": float(np.median(pages))},
        {"figure": "opening s", "value": opening},
        {"figure": "opening, processor time s", "value": processor},
        {"figure": "memory that opening takes, MB", "value": held},
    ]


def resident_mb() -> float:
    """Memory that this process holds now, MB; of Linux."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def tell(rows: Sequence[Mapping[str, Any]], file: Path | None) -> None:
    """Print the figures of a benchmark, and write them as JSON where a file is named."""
    for row in rows:
        print(f"{row['figure']}: {row['value']:.4g}" + (f" (reach {row['reach']})" if "reach" in row else ""))
    if file:
        file.write_text(json.dumps({"rows": rows}))


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--filters", type=int, default=200)
    parser.add_argument("--pictures", type=int, default=8, help="different images")
    parser.add_argument("--folder", type=Path, help="where the dataset is drawn; default: a temporary folder")
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        rows = measure(options.rows, options.filters, options.pictures, Path(scratch))
    tell(rows, options.json)


if __name__ == "__main__":
    main()
