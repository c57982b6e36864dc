"""Photos with masks, of the size of ImageNet's, as many as a benchmark needs, and releases of them."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from itertools import count, islice
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground.annotate.catalogue import index_source
from figureground.annotate.freeze import FreezeOptions, freeze
from figureground.exports.dataset.inputs import BuildRequest, Machines
from figureground.exports.dataset.request import BuildOptions, prepare_request
from figureground.runtime.processes import default_workers
from figureground.schemas.classes import load_class_map
from figureground.schemas.rasters.masks import Mask, encode_coco_rle
from figureground.schemas.recipes import Balance
from figureground.schemas.records import Annotation, Decision
from figureground.schemas.sources.opening import open_source
from figureground.schemas.store.workspace import Workspace

SHARED: Final = Path(__file__).parents[2] / "shared" / "data"
JPEG_QUALITY: Final = 92
MOST_PIXELS: Final = 500 * 500
"""Photos of more are left out: those of ImageNet mostly have 500x375."""

NINE: Final = (
    "original",
    "only_bg_b",
    "only_bg_t",
    "no_fg",
    "only_fg",
    "mixed_same",
    "mixed_rand",
    "mixed_next",
    "mixed_self",
)
"""Variants that figures of rendering are of: the paper's eight, and their own photo's ground."""

Photo = NDArray[np.uint8]


def photos() -> Iterator[tuple[str, Photo, Mask]]:
    """Class, BGR pixels and mask of photos without end; each round cuts another pixel off, so that no two are equal."""
    seen = list(_real() if (SHARED / "photos_in9_masks").is_dir() else _drawn())
    order = np.random.default_rng(0).permutation(len(seen))  # not class after class: a few photos are to be of all
    for cut in count():
        for label, photo, mask in (seen[index] for index in order):
            yield label, photo[cut:, cut:], mask[cut:, cut:]


def make_release(root: Path, objects: int) -> None:
    """Write photos below ``root``, index them into ``root/work``, accept their masks and freeze ``v1``."""
    masks = {}
    for number, (label, photo, mask) in enumerate(islice(photos(), objects)):
        path = root / "photos" / label / f"{number:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), photo, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        masks[f"{label}/{path.name}"] = mask
    with Workspace.create(root / "work") as store:
        index_source(store, open_source(str(root / "photos")), workers=default_workers())
        for image in store.images():
            answer = Annotation(
                annotation_id=f"a-{image.image_id}",
                updated_at="2026-01-01T00:00:00Z",
                image_id=image.image_id,
                masks={"object": encode_coco_rle(masks[image.uri])},
                attributes={},
                flags=(),
                annotator="p1",
                seconds=1.0,
                tool="drawn",
                proposal_id="",
                edit_iou=None,
            )
            store.add_answer(answer, None)
            store.decide(
                Decision(image_id=image.image_id, state="accepted", reason="", annotation_id=answer.annotation_id)
            )
        freeze(store, "v1", FreezeOptions())


def request_of(root: Path, workers: int) -> BuildRequest:
    """ImageNet-9's nine variants over all objects of ``make_release``."""
    options = BuildOptions(variants=NINE)
    request = prepare_request("imagenet9", root / "work", options=options, machines=Machines(workers=workers))
    recipe = request.design.recipe.model_copy(update={"balance": Balance(per_class="all")})
    return replace(request, design=replace(request.design, recipe=recipe))


def _real() -> Iterator[tuple[str, Photo, Mask]]:
    with (SHARED / "photos_in9_masks" / "labels.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        photo = cv2.imread(str(SHARED / "photos_in9" / row["wnid"] / row["file"]), cv2.IMREAD_COLOR)
        mask = cv2.imread(str(SHARED / "photos_in9_masks" / f"{row['wnid']}.png"), cv2.IMREAD_GRAYSCALE)
        if photo is None or mask is None or photo.shape[:2] != mask.shape or mask.size > MOST_PIXELS:
            continue
        yield row["wnid"], photo.astype(np.uint8), mask > 0


def _drawn() -> Iterator[tuple[str, Photo, Mask]]:
    """Soft colours with some noise, and an ellipse of the opposite colours."""
    rng = np.random.default_rng(0)
    wnids = [entry.wnids[0] for entry in load_class_map("imagenet9").classes]
    for number in range(90):
        coarse = rng.integers(0, 256, (9, 12, 3), np.uint8)
        photo = cv2.resize(coarse, (463, 384), interpolation=cv2.INTER_CUBIC).astype(np.int16)
        photo = np.clip(photo + rng.normal(0, 6, photo.shape), 0, 255).astype(np.uint8)
        ellipse = np.zeros(photo.shape[:2], np.uint8)
        cv2.ellipse(ellipse, (232, 192), (90 + number % 30, 70), 4.0 * number, 0, 360, 1, -1)
        mask = ellipse > 0
        yield wnids[number % len(wnids)], np.where(mask[..., None], 255 - photo, photo).astype(np.uint8), mask
