"""A workspace of three small photos, and drawn masks for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from photo_samples import draw_pixels, encode
from PIL import Image

from figureground.annotate.catalogue import index_source
from figureground.schemas.rasters.masks import Mask
from figureground.schemas.sources.opening import open_source
from figureground.schemas.store.workspace import Workspace

HEIGHT, WIDTH = 40, 60
PHOTOS = ("cat/a.png", "dog/b.png", "dog/c.png")


def draw(first: int = 5, last: int = 20) -> Mask:
    """Some rows of a photo."""
    mask = np.zeros((HEIGHT, WIDTH), dtype=np.bool_)
    mask[first:last] = True
    return mask


def put_mask(path: Path, mask: Mask | None = None) -> None:
    """Write a mask as PNG, whatever the file is called."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(draw() if mask is None else mask).save(path, "PNG")


def index_photos(root: Path) -> Workspace:
    """Draw the photos below ``root`` and index them into ``root/work``."""
    for number, uri in enumerate(PHOTOS):
        path = root / "photos" / uri
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(draw_pixels(number), "PNG"))
    workspace = Workspace.create(root / "work")
    index_source(workspace, open_source(str(root / "photos")))
    return workspace
