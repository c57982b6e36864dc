"""What the pages of docs/howto begin with: the folder of the first tutorial, and an ImageNet tree that is drawn."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

import numpy as np
from guide_pages import sections_of
from needs import need
from PIL import Image
from typist import TYPED, Typist

from figureground.annotate.segmenters.checkpoints import fetch_checkpoint
from figureground.errors import ServiceError
from figureground.schemas.classes import load_class_map

FIRST = "docs/tutorials/first_dataset.md"
_NEEDED = {"Photos", "Masks", "A release", "The dataset"}
_SIZE_WH = (160, 120)
_VOC = (
    "<annotation><size><width>{w}</width><height>{h}</height><depth>3</depth></size><object><name>{wnid}</name><bndbox>"
    "<xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object></annotation>"
)


def begun_dataset() -> Path:
    """What the first tutorial leaves in its folder up to its dataset; made once a run, and not to be changed.

    Its own blocks make it. Machine masks stand for those that people accept in a browser; its scores are left out.
    """
    try:
        fetch_checkpoint("u2netp")
    except ServiceError as error:
        need(False, str(error))
    root = Path(os.environ["FIGUREGROUND_TEST_RUN"]) / "guides"
    root.mkdir(exist_ok=True)
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = root / "first"
        if not (root / "made").exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a test that failed half-way
            folder.mkdir()
            _begin(Typist(folder, "howto_folder"))
            (root / "made").touch()
        return folder


def _begin(typist: Typist) -> None:
    for section in sections_of(FIRST):
        for block in section.blocks if section.title in _NEEDED else []:
            if block.language == TYPED and "sheet" not in block.text:
                text = block.text.replace("freeze -w work --version v1", "freeze -w work --version v1 --unreviewed")
                if remaining := "".join(line for line in text.splitlines(keepends=True) if "load_dataset" not in line):
                    typist.type(remaining)


def draw_imagenet(folder: Path, *, per_class: int = 2) -> Path:
    """A tree as ImageNet is unpacked, with boxes: discs of one wnid of each class of ImageNet-9."""
    width, height = _SIZE_WH
    for entry in load_class_map("imagenet9").classes:
        wnid = entry.wnids[0]
        for number in range(per_class):
            noise = np.random.Generator(np.random.Philox((entry.index, number)))
            cells = Image.fromarray(noise.integers(0, 256, (6, 8, 3), np.uint8)).resize(
                _SIZE_WH, Image.Resampling.BICUBIC
            )
            pixels = np.asarray(cells) // 3 + 40
            rows, columns = np.mgrid[:height, :width]
            x, y, radius = 50 + 60 * number, 60, 30
            pixels[(columns - x) ** 2 + (rows - y) ** 2 <= radius**2] = (235, 200 - 15 * entry.index, 60)
            name = f"{wnid}_{number + 1}"
            photo = folder / "Data" / "CLS-LOC" / "train" / wnid / f"{name}.JPEG"
            boxes = folder / "Annotations" / "CLS-LOC" / "train" / wnid / f"{name}.xml"
            for path in (photo, boxes):
                path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.astype(np.uint8)).save(photo, quality=95)
            corners = {"x0": x - radius, "y0": y - radius, "x1": x + radius, "y1": y + radius}
            boxes.write_text(_VOC.format(w=width, h=height, wnid=wnid, **corners), encoding="utf-8")
    return folder
