"""How fast brush RLE is read and written beside label-studio-sdk, in one run.

The SDK decodes to the flat RGBA values and encodes from a mask of 255 and 0; ours decodes to the mask and encodes from
it. Both are given the SDK's stream, and what they return is compared before the clock starts.

* blob: an ellipse.
* painted: an ellipse with a ragged, half-transparent rim, as a brush leaves it.
* coloured: the same in colour, so that the stream holds single values instead of runs.
* noise: every pixel at random, the most that a mask can hold; at 12 megapixels the SDK would take minutes.

    python benchmarks/brush_rle.py
    python benchmarks/brush_rle.py --small
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from label_studio_sdk.converter import brush
from numpy.typing import NDArray

from figureground.schemas.rasters.masks import BRUSH_ALPHA, decode_brush_rle, encode_brush_rle

SMALL, LARGE = (375, 500), (3000, 4000)
RIM_PX = 4.0
"""Standard deviation of the ragged rim's noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One line of the table."""

    name: str
    size_hw: tuple[int, int]
    work: str
    theirs: Callable[[], object]
    ours: Callable[[], object]
    target: int
    """Ratio to reach."""
    repetitions: int


def inside_px(size_hw: tuple[int, int]) -> NDArray[np.float64]:
    """Distance in pixels, about, that each pixel of ``size_hw`` lies inside an ellipse."""
    height, width = size_hw
    rows, columns = np.indices(size_hw)
    radius = np.hypot((rows - height / 2) / (0.4 * height), (columns - width / 2) / (0.37 * width))
    return (1 - radius) * 0.38 * height


def blob_alpha(size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """Alpha 255 inside the ellipse and 0 outside."""
    return (inside_px(size_hw) > 0) * np.uint8(255)


def painted_alpha(size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """Alpha of any value at the ellipse's rim, 255 inside and 0 outside."""
    inside = inside_px(size_hw)
    noise = np.random.default_rng(0).normal(0, RIM_PX, size_hw) * (np.abs(inside) < 3 * RIM_PX)
    return np.clip(127.5 + 32 * (inside + noise), 0, 255).astype(np.uint8)


def noise_alpha(size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """Alpha 255 or 0 at random."""
    return (np.random.default_rng(0).random(size_hw) < 0.5) * np.uint8(255)


def coloured(alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGBA, ``(H, W, 4)``, of one colour where alpha is not 0."""
    return np.dstack([(alpha > 0) * np.uint8(200), (alpha > 0) * np.uint8(90), (alpha > 0) * np.uint8(30), alpha])


def cases_of(name: str, rgba: NDArray[np.uint8], decode: int, encode: int, repetitions: int) -> list[Case]:
    """Decoding and encoding of one picture, with the ratios to reach; no encoding where that is 0."""
    height, width = size_hw = (rgba.shape[0], rgba.shape[1])
    rle = brush.encode_rle(rgba.ravel())
    mask = rgba[:, :, 3] >= BRUSH_ALPHA
    if not np.array_equal(decode_brush_rle(rle, size_hw=size_hw), mask):
        raise SystemExit(f"{name}, {width}x{height}: decoded to another mask")
    rows = [
        Case(
            name=name,
            size_hw=size_hw,
            work="decode",
            target=decode,
            repetitions=repetitions,
            theirs=lambda: brush.decode_rle(rle),
            ours=lambda: decode_brush_rle(rle, size_hw=size_hw),
        )
    ]
    if encode:
        values = mask * np.uint8(255)
        ours = encode_brush_rle(mask)
        if brush.mask2rle(values)[: len(ours)] != ours:
            raise SystemExit(f"{name}, {width}x{height}: encoded to other numbers")
        rows.append(
            Case(
                name=name,
                size_hw=size_hw,
                work="encode",
                target=encode,
                repetitions=repetitions,
                theirs=lambda: brush.mask2rle(values),
                ours=lambda: encode_brush_rle(mask),
            )
        )
    return rows


def grey(alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGBA, ``(H, W, 4)``, of four equal bytes, as the SDK writes masks."""
    return np.repeat(alpha[:, :, None], 4, axis=2)


def seconds(work: Callable[[], object]) -> float:
    """Wall clock of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(case: Case) -> dict[str, Any]:
    """A figure; the two take turns, so that a busy moment hits both."""
    pairs = [(seconds(case.theirs), seconds(case.ours)) for _ in range(case.repetitions)]
    theirs, ours = ([1000 * pair[side] for pair in pairs] for side in (0, 1))
    height, width = case.size_hw
    ratio, best = median(theirs) / median(ours), min(theirs) / min(ours)
    print(
        f"| {case.name} | {width}x{height} | {case.work} | {median(theirs):.1f} | {median(ours):.2f} "
        f"| {ratio:.0f} | {best:.0f} | ≥ {case.target} |",
        flush=True,
    )
    return {
        "figure": f"brush RLE {case.work}, {case.name} {width}x{height}: label-studio-sdk's time / ours",
        "value": ratio,
        "target": f">= {case.target}",
        "reached": ratio >= case.target,
        "detail": f"{median(theirs):.1f} ms, {median(ours):.2f} ms",
    }


def large_noise() -> str:
    """The line of the largest mask, without the SDK."""
    mask = noise_alpha(LARGE) > 0
    rle = encode_brush_rle(mask)
    encode = 1000 * seconds(lambda: encode_brush_rle(mask))
    decode = 1000 * seconds(lambda: decode_brush_rle(rle, size_hw=LARGE))
    size = f"{LARGE[1]}x{LARGE[0]}"
    return f"| noise | {size} | decode | - | {decode:.0f} | | | |\n| noise | {size} | encode | - | {encode:.0f} | | | |"


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="without the pictures of 12 megapixels")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    given = parser.parse_args()
    print("| mask | size | work | SDK ms | ours ms | ratio | ratio of best | target |", flush=True)
    print("|---|---|---|---|---|---|---|---|", flush=True)
    cases = [
        *cases_of("blob", grey(blob_alpha(SMALL)), 10, 3, 15),
        *cases_of("painted", grey(painted_alpha(SMALL)), 10, 3, 5),
        *cases_of("noise", grey(noise_alpha(SMALL)), 10, 3, 2),
        *cases_of("coloured", coloured(painted_alpha(SMALL)), 10, 0, 2),
    ]
    rows = [measure(case) for case in cases]
    if not given.small:
        rows += map(measure, cases_of("blob", grey(blob_alpha(LARGE)), 4, 3, 5))
        rows += map(measure, cases_of("painted", grey(painted_alpha(LARGE)), 10, 3, 2))
        print(large_noise())
    if given.json:
        given.json.write_text(json.dumps({"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
