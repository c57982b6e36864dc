"""How good the proposals are, and what they cost: every segmenter and prompt on photos with ground-truth masks.

Writes one line a photo into a work folder as it goes, so that a stopped run goes on, and with ``--write`` the table of
docs/proposals.md. The photos are a folder with ``labels.csv`` (column id), ``images/`` and ``masks/``.

    python benchmarks/proposals.py PHOTOS [--work FOLDER] [--sam-checkpoint FILE] [--write docs/proposals.md]
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

import cv2
import numpy as np
from PIL import Image

from figureground.annotate.proposals.candidates import rank_candidates
from figureground.annotate.proposals.prompts import PromptMode, prompts_for
from figureground.annotate.segmenters.loading import load_segmenter
from figureground.annotate.segmenters.protocol import SegmentationRejected, Segmenter
from figureground.schemas.rasters.masks import Mask, mask_iou, tight_box
from figureground.schemas.rasters.photos import decode_photo
from figureground.schemas.records import ImageRecord, Prompt

BOUNDARY_SHARE = 0.02
"""Width of the boundary band as a share of the image diagonal (Cheng et al., Boundary IoU, CVPR 2021, section 4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One line of the table."""

    segmenter: str
    prompt: str
    load: Callable[[], Segmenter]

    @property
    def name(self) -> str:
        """Name of its results file."""
        return f"{self.segmenter}-{self.prompt}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A photo with its ground truth."""

    photo_id: str
    data: bytes
    truth_hw: Mask


def boundary_iou(first_hw: Mask, second_hw: Mask) -> float:
    """IoU of the two masks' inner boundary bands (Cheng et al., Boundary IoU, CVPR 2021, equation 2)."""
    height, width = first_hw.shape
    distance = max(1, round(BOUNDARY_SHARE * float(np.hypot(height, width))))
    return mask_iou(_band(first_hw, distance), _band(second_hw, distance))


def _band(mask_hw: Mask, distance: int) -> Mask:
    # A border of zeros lets the band run along the photo's edge too, as the authors' code does.
    padded = cv2.copyMakeBorder(mask_hw.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    inner = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=distance)[1:-1, 1:-1]
    return mask_hw & (inner == 0)


def read_samples(folder: Path) -> Iterator[Sample]:
    """Photos and true masks, in the order of labels.csv."""
    with (folder / "labels.csv").open(encoding="utf-8") as file:
        ids = [row["id"] for row in csv.DictReader(file)]
    for photo_id in ids:
        photo = next((folder / "images").glob(f"{photo_id}.*"))
        mask = next((folder / "masks").glob(f"{photo_id}*"))
        with Image.open(mask) as image:
            truth = np.asarray(image.convert("L")) > 127
        yield Sample(photo_id=photo_id, data=photo.read_bytes(), truth_hw=truth)


def measure(contender: Contender, samples: list[Sample], work: Path, grid_side: int) -> None:
    """Run a contender over the samples that its results file does not hold yet."""
    path = work / f"{contender.name}.jsonl"
    done = {json.loads(line)["id"] for line in path.read_text().splitlines()} if path.exists() else set()
    left = [sample for sample in samples if sample.photo_id not in done]
    if not left:
        return
    model, saliency = contender.load(), load_segmenter("saliency", threads=2)
    with path.open("a", encoding="utf-8") as file:
        for sample in left:
            mask, reason = _first_choice(model, saliency, contender.prompt, sample, grid_side)
            record = {
                "id": sample.photo_id,
                "reason": reason,
                "iou": mask_iou(mask, sample.truth_hw),
                "boundary_iou": boundary_iou(mask, sample.truth_hw),
            }
            file.write(json.dumps(record) + "\n")
            file.flush()


def clock(contender: Contender, samples: list[Sample], work: Path, grid_side: int) -> None:
    """Time a contender on a few photos, after one to warm up; apart from ``measure``, which may be stopped."""
    model, saliency = contender.load(), load_segmenter("saliency", threads=2)
    seconds = []
    for sample in samples:
        start = time.perf_counter()
        _first_choice(model, saliency, contender.prompt, sample, grid_side)
        seconds.append(time.perf_counter() - start)
    (work / f"{contender.name}.seconds.json").write_text(json.dumps(seconds[1:]))


def _first_choice(
    model: Segmenter, saliency: Segmenter, prompt: str, sample: Sample, grid_side: int
) -> tuple[Mask, str]:
    """The best-ranked mask, as ``figureground propose`` ranks it; an empty one and the reason where there is none."""
    photo = decode_photo(sample.data)
    height, width = photo.shape[:2]
    box = tight_box(sample.truth_hw)
    record = ImageRecord(
        image_id="0" * 32,
        source="",
        uri=sample.photo_id,
        sha256="",
        width=width,
        height=height,
        exif_orientation=1,
        label="",
        source_split="",
        boxes_xyxy_px=(box,) if prompt == "box" and box else (),
        phash="0" * 16,
    )
    try:
        if prompt == "none":
            prompts, guide = [Prompt(kind="none", origin="saliency")], None
        else:
            mode: PromptMode = prompt  # type: ignore[assignment]
            prompts = prompts_for(mode, record, photo, saliency, grid_side)
            ask = [Prompt(kind="none", origin="saliency")]
            guide = saliency.segment(photo, ask)[0].mask_hw if prompt == "grid" else None
        ranked = rank_candidates(model.segment(photo, prompts), 1, guide_hw=guide)
    except SegmentationRejected as rejected:
        return np.zeros((height, width), dtype=np.bool_), rejected.reason
    return (ranked[0].mask_hw, "") if ranked else (np.zeros((height, width), dtype=np.bool_), "nothing_found")


def table(contenders: list[Contender], work: Path) -> str:
    """Markdown table of all results so far."""
    lines = [
        "| segmenter | prompt | n | rejected | mean IoU (median) | mean boundary IoU | seconds a photo |",
        "|---|---|---|---|---|---|---|",
    ]
    for contender in contenders:
        path = work / f"{contender.name}.jsonl"
        rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        if rows:
            iou = [row["iou"] for row in rows]
            timed = work / f"{contender.name}.seconds.json"
            seconds = f"{median(json.loads(timed.read_text())):.2f}" if timed.exists() else "-"
            rejected = sum(bool(row["reason"]) for row in rows)
            lines.append(
                f"| {contender.segmenter} | {contender.prompt} | {len(rows)} | {rejected} "
                f"| {mean(iou):.3f} ({median(iou):.3f}) | {mean(row['boundary_iou'] for row in rows):.3f} "
                f"| {seconds} |"
            )
    return "\n".join(lines)


def figures(contenders: list[Contender], work: Path) -> list[dict[str, Any]]:
    """Mean IoU of each contender so far, as benchmarks/bench.py collects it."""
    rows = []
    for contender in contenders:
        path = work / f"{contender.name}.jsonl"
        iou = [json.loads(line)["iou"] for line in path.read_text().splitlines()] if path.exists() else []
        if iou:
            figure = {"figure": f"proposals of {contender.segmenter}, prompt {contender.prompt}: mean IoU"}
            rows.append({**figure, "value": mean(iou), "target": "", "reached": None, "detail": f"{len(iou)} photos"})
    return rows


def contenders(sam_checkpoint: Path | None) -> list[Contender]:
    """Every segmenter with every prompt that it takes."""

    def load(name: str, checkpoint: Path | None = None) -> Callable[[], Segmenter]:
        return lambda: load_segmenter(name, checkpoint=checkpoint, threads=2)

    contenders = [Contender(segmenter="saliency", prompt="none", load=load("saliency"))]
    contenders += [Contender(segmenter="grabcut", prompt=prompt, load=load("grabcut")) for prompt in ("box", "auto")]
    modes = ("box", "auto", "center", "grid")
    contenders += [Contender(segmenter="mobile-sam", prompt=mode, load=load("mobile-sam")) for mode in modes]
    if sam_checkpoint is not None:
        contenders += [Contender(segmenter="sam", prompt=mode, load=load("sam", sam_checkpoint)) for mode in modes]
    return contenders


def main() -> None:
    """Measure, print the table, and write it into a page between its markers if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="?")
    parser.add_argument("--work", type=Path, default=Path(".scratch/proposals"))
    parser.add_argument("--sam-checkpoint", type=Path)
    parser.add_argument("--grid", type=int, default=4)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--clock", type=int, default=0, metavar="N", help="time N photos of each contender anew")
    parser.add_argument("--write", type=Path)
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    given = parser.parse_args()
    if given.photos is None:
        parser.exit(message="needs a folder of photos with ground-truth masks; see --help\n")
    given.work.mkdir(parents=True, exist_ok=True)
    samples = list(read_samples(given.photos))[: given.limit]
    listed = contenders(given.sam_checkpoint)
    for contender in listed:
        measure(contender, samples, given.work, given.grid)
        if given.clock:
            clock(contender, samples[: given.clock + 1], given.work, given.grid)
    text = table(listed, given.work)
    print(text)
    if given.json:
        given.json.write_text(json.dumps({"rows": figures(listed, given.work)}, indent=1) + "\n", encoding="utf-8")
    if given.write is not None:
        before, _, rest = given.write.read_text(encoding="utf-8").partition("<!-- table -->\n")
        after = rest.partition("<!-- end of table -->\n")[2]
        given.write.write_text(f"{before}<!-- table -->\n{text}\n<!-- end of table -->\n{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
