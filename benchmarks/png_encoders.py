"""Bytes and time of PNG encoders on rendered rows: what docs/adr/0009-png-encoder.md chose by.

The rows are ImageNet-9's nine variants of photos as large as ImageNet's. Encoders take turns on each row, so that a
busy machine hits all alike, and every picture is decoded again and compared. OpenCV, Pillow and libdeflate come with
figureground; the deflate libraries ``isal`` and ``zlib-ng`` take part where they are installed, behind the filter of
builds and without a PNG's frame, which adds nothing to speak of.

    python benchmarks/png_encoders.py --objects 60
"""

from __future__ import annotations

import argparse
import importlib
import io
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import mean
from typing import Any, Final

import cv2
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

sys.path.append(str(Path(__file__).parent))  # python -P leaves it out

from photo_sets import make_release, request_of
from render import make_shards

from figureground.build.planning.plan import make_plan
from figureground.schemas.rasters.png import PNG_ENCODER, encode_png, filtered_rows

Picture = NDArray[np.uint8]
Encoder = Callable[[Picture], bytes]

STRATEGIES: Final = {
    "default": cv2.IMWRITE_PNG_STRATEGY_DEFAULT,
    "huffman": cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY,
    "rle": cv2.IMWRITE_PNG_STRATEGY_RLE,
}
FILTERS: Final = {
    "by row": cv2.IMWRITE_PNG_ALL_FILTERS,
    "none": cv2.IMWRITE_PNG_FILTER_NONE,
    "sub": cv2.IMWRITE_PNG_FILTER_SUB,
    "up": cv2.IMWRITE_PNG_FILTER_UP,
    "average": cv2.IMWRITE_PNG_FILTER_AVG,
    "paeth": cv2.IMWRITE_PNG_FILTER_PAETH,
}


def opencv(level: int, strategy: str, filtered: str) -> Encoder:
    """OpenCV with these settings."""
    settings = (
        cv2.IMWRITE_PNG_COMPRESSION,
        level,
        cv2.IMWRITE_PNG_STRATEGY,
        STRATEGIES[strategy],
        cv2.IMWRITE_PNG_FILTER,
        FILTERS[filtered],
    )
    return lambda rgb: cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), settings)[1].tobytes()


def pillow(level: int) -> Encoder:
    """Pillow at a level of zlib."""

    def encode(rgb: Picture) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(rgb).save(buffer, "PNG", compress_level=level)
        return buffer.getvalue()

    return encode


def deflaters() -> Iterator[tuple[str, Encoder]]:
    """Deflate libraries that are installed."""
    for name, module, function, levels in (
        ("libdeflate", "deflate", "zlib_compress", (2, 3, 6)),
        ("zlib-ng", "zlib_ng.zlib_ng", "compress", (1, 2)),
        ("isal", "isal.isal_zlib", "compress", (1,)),
    ):
        try:
            compress = getattr(importlib.import_module(module), function)
        except ImportError:
            continue
        for level in levels:
            yield (
                f"{name} level {level}, average",
                lambda rgb, compress=compress, level=level: bytes(  # type: ignore[misc]
                    compress(filtered_rows(rgb), level)
                ),
            )


def encoders() -> dict[str, Encoder]:
    """Encoders by name, the one of builds first."""
    named: dict[str, Encoder] = {f"of builds: {', '.join(map(str, PNG_ENCODER.values()))}": encode_png}
    named |= {
        f"opencv, {level}, {strategy}, {filtered}": opencv(level, strategy, filtered)
        for level, strategy in ((1, "rle"), (1, "huffman"), (1, "default"), (3, "default"))
        for filtered in FILTERS
        if strategy != "default" or filtered in ("by row", "paeth")
    }
    return named | {f"pillow, {level}": pillow(level) for level in (1, 6)} | dict(deflaters())


def pictures(objects: int) -> list[Picture]:
    """Rendered rows of all variants."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        make_release(root, objects)
        request = request_of(root, workers=1)
        plan = make_plan(request.release.records, request.design.recipe, request.design.classes)
        shards = make_shards(request, plan, plan.rows, root / "out", 1)
        stored = [
            row["image"]["bytes"] for path in shards for row in pq.read_table(path, columns=["image"]).to_pylist()
        ]
    return [np.asarray(Image.open(io.BytesIO(png)).convert("RGB")) for png in stored]


def measure(rows: list[Picture]) -> list[dict[str, Any]]:
    """Milliseconds and kilobytes a row of each encoder."""
    named = encoders()
    spent: dict[str, list[float]] = defaultdict(list)
    sizes: dict[str, list[int]] = defaultdict(list)
    for rgb in rows:
        for name, encode in named.items():
            start = time.process_time()
            data = encode(rgb)
            spent[name].append(1000 * (time.process_time() - start))
            sizes[name].append(len(data))
            if data.startswith(b"\x89PNG") and not np.array_equal(np.asarray(Image.open(io.BytesIO(data))), rgb):
                raise SystemExit(f"{name}: other pixels")
    return [
        {
            "figure": f"PNG {name}: ms a row",
            "value": mean(spent[name]),
            "target": "",
            "reached": None,
            "detail": f"{mean(sizes[name]) / 1000:.1f} kB a row",
        }
        for name in named
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=100, help="photos; some are refused by the recipe's filters")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    rows = measure(pictures(given.objects))
    print("| encoder | ms a row, processor time | kB a row |\n|---|---|---|")
    for row in rows:
        print(f"| {row['figure'][4:-10]} | {row['value']:.2f} | {row['detail'].split()[0]} |")
    if given.json:
        given.json.write_text(json.dumps({"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
