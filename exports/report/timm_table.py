"""Our accuracies of timm models beside those that timm publishes: its file ``results/results-imagenet-a.csv``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from figureground.errors import Faults
from figureground.exports.evaluation.results import align_columns
from figureground.schemas.tables import read_table

SPACE: Final = "imagenet_a200"
"""The label space of timm's file: argmax over the 200 outputs."""
IMAGENET_A_IMAGES: Final = 7500
_COLUMNS: Final = ("model", "top1", "top5", "img_size", "crop_pct")
_SAME_CROP: Final = 5e-4  # timm's file rounds to three digits


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRow:
    """A row of timm's file."""

    model: str
    top1: float
    """Percent."""
    top5: float
    img_size: int
    """Pixels."""
    crop_pct: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedComparison:
    """One of our results beside timm's; accuracies are top-1 in percent, over images."""

    model: str
    ours: float | None
    ours_low: float | None
    """Lower end of the 95 % interval."""
    ours_high: float | None
    published: float | None
    difference: float | None
    """Ours minus the published."""
    published_in_interval: bool | None
    n: int
    """Images that ours was scored on; timm's are all 7,500."""
    feed: str
    img_size: int
    published_img_size: int | None
    crop_pct: float
    published_crop_pct: float | None
    fed_alike: bool | None
    """Whether size and crop agree."""
    missing: str
    """Why a row does not compare, or not in full; empty where it does."""


def read_published(path: Path) -> list[PublishedRow]:
    """Read timm's file, which has a row for each size and crop that a model was tried at.

    Raises:
        UsageError: if it cannot be read.
        DataError: with every fault: lacking columns, rows that are no numbers, the same model and feeding twice.
    """
    table = read_table(path, _COLUMNS, remedy="take results/results-imagenet-a.csv of huggingface/pytorch-image-models")
    faults, rows = Faults(), dict[tuple[str, int, float], PublishedRow]()
    for line in table.rows:
        row = _parse(line.cells)
        if row is None or line.too_long:
            got = ", ".join(f"{name} {line.cells[name]!r}" for name in _COLUMNS)
            faults.add(str(path), line.line, expected="numbers but for the model", got=got)
        elif (key := (row.model, row.img_size, row.crop_pct)) in rows:
            got = f"{row.model}, {row.img_size} px, {row.crop_pct:g} again"
            faults.add(str(path), line.line, expected="each model, size and crop once", got=got)
        else:
            rows[key] = row
    faults.raise_if_any()
    return list(rows.values())


def _parse(line: Mapping[str, str]) -> PublishedRow | None:
    try:
        top1, top5, crop_pct = (float(line[name]) for name in ("top1", "top5", "crop_pct"))
        row = PublishedRow(model=line["model"], top1=top1, top5=top5, img_size=int(line["img_size"]), crop_pct=crop_pct)
    except ValueError:
        return None
    sound = 0 <= row.top1 <= 100 and 0 <= row.top5 <= 100 and row.img_size > 0 and math.isfinite(row.crop_pct)
    return row if sound and row.model else None


def compare_published(
    results: Sequence[Mapping[str, Any]], published: Sequence[PublishedRow]
) -> list[PublishedComparison]:
    """Every result of the protocol imagenet_a of a timm model with its own weights, by model.

    Of a model's rows the one that is fed most alike counts: first by size, then by crop.
    """
    by_model: dict[str, list[PublishedRow]] = {}
    for row in published:
        by_model.setdefault(row.model, []).append(row)
    rows = []
    for result in results:
        kind, _, name = result["model"].partition(":")
        if result["protocol"] == "imagenet_a" and kind == "timm" and "=" not in name:
            fed = result["transform"]
            far = partial(_distance, size=int(fed["size_hw"][0]), crop_pct=float(fed["crop_pct"]))
            rows.append(_compare(name, result, min(by_model.get(name, []), key=far, default=None)))
    return sorted(rows, key=lambda row: (row.model, row.feed))


def _distance(row: PublishedRow, *, size: int, crop_pct: float) -> tuple[int, float, int]:
    return abs(row.img_size - size), abs(row.crop_pct - crop_pct), row.img_size


def _compare(name: str, result: Mapping[str, Any], row: PublishedRow | None) -> PublishedComparison:
    fed, space = result["transform"], result["label_spaces"].get(SPACE)
    size, crop_pct = int(fed["size_hw"][0]), float(fed["crop_pct"])
    scored = space["configs"]["original"] if space else None
    n = int(scored["n"]) if scored else 0
    ours, (low, high) = _percent(scored["accuracy_micro"]) if scored else None, _interval(scored)
    missing = [
        ("not in the published file", row is None),
        (f"not scored in the label space {SPACE}", scored is None),
        (f"{n} of {IMAGENET_A_IMAGES} images", scored is not None and n != IMAGENET_A_IMAGES),
    ]
    published = row.top1 if row else None
    return PublishedComparison(
        model=name,
        ours=ours,
        ours_low=low,
        ours_high=high,
        published=published,
        difference=None if ours is None or published is None else round(ours - published, 3),
        published_in_interval=None if low is None or high is None or published is None else low <= published <= high,
        n=n,
        feed=result["feed"],
        img_size=size,
        crop_pct=crop_pct,
        published_img_size=row.img_size if row else None,
        published_crop_pct=row.crop_pct if row else None,
        fed_alike=(size == row.img_size and abs(crop_pct - row.crop_pct) < _SAME_CROP) if row else None,
        missing="; ".join(reason for reason, holds in missing if holds),
    )


def _interval(scored: Mapping[str, Any] | None) -> tuple[float | None, float | None]:
    ci95 = scored["ci95_micro"] if scored else None
    return (_percent(ci95[0]), _percent(ci95[1])) if ci95 else (None, None)


def _percent(share: float) -> float:
    return round(100 * share, 3)


def describe_published(rows: Sequence[PublishedComparison]) -> str:
    """The comparison as plain text."""
    table = [["model", "ours", "published", "difference", "fed alike", "missing"]]
    for row in rows:
        interval = "" if row.ours_low is None else f" [{row.ours_low:.2f}, {row.ours_high:.2f}]"
        alike = {True: "yes", False: f"no: {row.img_size} px, {row.crop_pct:g}", None: "-"}[row.fed_alike]
        if row.fed_alike is False:
            alike += f" against {row.published_img_size} px, {row.published_crop_pct:g}"
        cells = [row.model, "-" if row.ours is None else f"{row.ours:.2f}{interval}"]
        cells += ["-" if row.published is None else f"{row.published:.2f}"]
        cells += ["-" if row.difference is None else f"{row.difference:+.2f}", alike, row.missing or "-"]
        table.append(cells)
    return "\n".join(
        ["ImageNet-A, 200-way top-1 in percent over images, beside timm's published results", *align_columns(table)]
    )
