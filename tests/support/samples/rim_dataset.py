"""A dataset whose masks miss a rim of the figure, and a model that sees the least of it.

A photo is a grained ground with a disc in the colour of its class. Of some photos the mask is the disc less a rim, so
that ``no_fg`` shows a ring in that colour until the hole has grown as far.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml
from crop_dataset import CLASS_MAP, FIGURES, GROUNDS, NAMES, ColourCounter
from PIL import Image

from figureground.annotate.catalogue import index_source
from figureground.annotate.freeze import FreezeOptions, freeze
from figureground.annotate.imports.answers import ImportOrigin
from figureground.annotate.imports.mask_folder import import_mask_folder
from figureground.build.recipes.loading import recipe_text
from figureground.exports.dataset.building import build_dataset
from figureground.exports.dataset.inputs import Machines
from figureground.exports.dataset.request import prepare_request
from figureground.schemas.sources.opening import open_source
from figureground.schemas.store.workspace import Workspace

RADII = (0, 2, 4, 8, 16)
"""Canvas pixels by which holes are dilated; photos come onto the canvas at their own size."""


def build_rims(folder: Path, rims_px: Sequence[int], *, per_class: int = 9) -> Path:
    """Draw, index, import masks, freeze and build; returns the folder of the dataset.

    Args:
        folder: Where all of it goes: photos, masks, ``work`` and ``built``.
        rims_px: Canvas pixels that masks are too tight by, for the photos of a class in turn.
        per_class: Photos of each of three classes; ``red1`` is the second of red.
    """
    (folder / "masks").mkdir(parents=True)
    for label, name in enumerate(NAMES):
        for serial in range(per_class):
            generator = np.random.default_rng(1000 * label + serial)
            rows, columns = np.mgrid[:256, :256]
            y, x = generator.uniform(110, 146, 2)
            radius = generator.uniform(36, 52)
            distance = np.hypot(rows - y, columns - x)
            coarse = generator.integers(-15, 16, (16, 16, 1)).repeat(16, axis=0).repeat(16, axis=1)
            pixels = np.where((distance < radius)[..., None], FIGURES[name], np.array(GROUNDS[name]) + coarse)
            photo = folder / "photos" / f"n{label}" / f"{name}{serial}.png"
            photo.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.astype(np.uint8)).save(photo)
            rim = rims_px[serial % len(rims_px)]
            Image.fromarray(distance < radius - rim).save(folder / "masks" / photo.name)
    with Workspace.create(folder / "work") as store:
        index_source(store, open_source(str(folder / "photos"), name="drawn"))
        import_mask_folder(store, folder / "masks", ImportOrigin(text="drawn", annotator="p1", tool="import:masks"))
        freeze(store, "v1", FreezeOptions())
    recipe = yaml.safe_load(recipe_text("imagenet9_leak"))
    for name in ("no_fg", "silhouette"):
        recipe["variants"][name]["figure"]["grow_px"] = list(RADII)
    own = {"name": "rims", "class_map": "classes.json", "balance": {"per_class": "all"}}
    (folder / "classes.json").write_text(json.dumps(CLASS_MAP))
    (folder / "recipe.yaml").write_text(yaml.safe_dump({**recipe, **own}))
    request = prepare_request(str(folder / "recipe.yaml"), folder / "work", machines=Machines(workers=1))
    build_dataset(request, folder / "built")
    return folder / "built"


class CloseLooker(ColourCounter):
    """The class of the colour that covers most of the picture, whose every pixel it sees; the first where none is."""

    input_size_hw = (224, 224)


def looks_closely() -> CloseLooker:
    """A model that is right as long as a pixel of the figure is left."""
    return CloseLooker("looks-closely", {name: FIGURES[name] for name in FIGURES})
