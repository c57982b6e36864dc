"""Drawn photos with a folder of their masks, imported, frozen and built by the command line in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from drawn_release import CLASS_MAP, draw_photo
from PIL import Image
from shared_cases import run_here

from figureground.build.recipes.loading import load_recipe
from figureground.schemas.records import Annotation, content_id

ORIGIN = "U2-Net masks | of <b>ours</b>"
MACHINE = ("--machine", "--origin", ORIGIN)
PEOPLE = ("--origin", "drawn by our lab")


def draw_photos(root: Path, per_class: int = 2) -> dict[str, np.ndarray[Any, np.dtype[np.bool_]]]:
    """Photos and a folder of their masks; returns the masks by the photo's path."""
    masks = {}
    for number, kind in enumerate(("disc", "ring", "bar")):
        for index in range(per_class):
            photo, mask = draw_photo(kind, 100 * number + index)
            for folder, pixels in (("photos", photo), ("masks", mask)):
                path = root / folder / kind / f"{kind}{index}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)
            masks[f"{kind}/{kind}{index}.png"] = mask
    return masks


def index_photos(root: Path, capsys: pytest.CaptureFixture[str], *terms: str) -> Path:
    work = root / "work"
    words = ("index", root / "photos", "-w", work, "--name", "drawn", *terms, "--workers", "1")
    assert run_here(capsys, *words)[0] == 0
    return work


def import_as_masks(root: Path, work: Path) -> tuple[object, ...]:
    return ("import", "masks", root / "masks", "-w", work)


def write_recipe(root: Path, classes: str = CLASS_MAP) -> Path:
    (root / "toy.json").write_text(classes)
    recipe = load_recipe("imagenet9").model_copy(update={"class_map": "toy.json", "name": "toy"})
    (root / "toy.yaml").write_text(yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False))
    return root / "toy.yaml"


def build_toy(
    root: Path, work: Path, capsys: pytest.CaptureFixture[str], *freeze: object, classes: str = CLASS_MAP
) -> Path:
    assert run_here(capsys, "freeze", "-w", work, "--version", "v1", *freeze)[0] == 0
    words = ("--pixels", "--per-class", "all", "--variants", "original,mixed_same,mixed_rand", "--workers", "1")
    assert run_here(capsys, "build", write_recipe(root, classes), "-w", work, "-o", root / "out", *words)[0] == 0
    return root / "out"


def person_answer(image_id: str, masks: Any) -> Annotation:
    return Annotation(
        annotation_id=content_id("by hand", image_id),
        updated_at="2020-01-01T00:00:00Z",
        image_id=image_id,
        masks=masks,
        attributes={},
        flags=(),
        annotator="anna",
        seconds=1.0,
        tool="brush",
        proposal_id="",
        edit_iou=None,
    )
