"""Drawn photos with Pascal-VOC boxes: what segmenters are asked about."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from drawn_release import draw_photo
from PIL import Image

from figureground.annotate.catalogue import index_source
from figureground.schemas.rasters.masks import Mask
from figureground.schemas.sources.opening import open_source
from figureground.schemas.store.workspace import Workspace

VOC = (
    "<annotation><size><width>{w}</width><height>{h}</height></size><object><name>{name}</name><bndbox>"
    "<xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object></annotation>"
)


def draw_tree(root: Path, count: int) -> dict[str, Mask]:
    """An ImageFolder with Pascal-VOC boxes a little larger than the figures; returns the true masks by uri."""
    truth = {}
    for number in range(count):
        photo, mask = draw_photo("disc", number)
        ys, xs = np.nonzero(mask)
        uri = f"disc/{number}.png"
        for folder in ("photos", "boxes"):
            (root / folder / "disc").mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo).save(root / "photos" / uri)
        box = {"x0": xs.min() - 8, "y0": ys.min() - 8, "x1": xs.max() + 8, "y1": ys.max() + 8}
        text = VOC.format(w=photo.shape[1], h=photo.shape[0], name="disc", **box)
        (root / "boxes" / f"disc/{number}.xml").write_text(text)
        truth[uri] = mask
    return truth


def index(root: Path, workspace: Path) -> None:
    """Catalogue such photos in a new workspace."""
    with Workspace.create(workspace) as store:
        index_source(store, open_source(str(root / "photos"), name="drawn", boxes=root / "boxes"), workers=1)
