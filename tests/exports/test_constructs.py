"""What the figures of ImageNet-9's recipe say of models that read the figure alone, or the ground alone.

From photos to scores by the real commands' functions: index, import of masks, freeze, build, evaluate.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from crop_dataset import CLASS_MAP, FIGURES, GROUNDS, NAMES
from PIL import Image

import figureground
from figureground.annotate.catalogue import index_source
from figureground.annotate.freeze import FreezeOptions, freeze
from figureground.annotate.imports.answers import ImportOrigin
from figureground.annotate.imports.mask_folder import import_mask_folder
from figureground.build.recipes.loading import load_recipe
from figureground.exports.dataset.building import build_dataset
from figureground.exports.dataset.inputs import Machines
from figureground.exports.dataset.request import prepare_request
from figureground.schemas.sources.opening import open_source
from figureground.schemas.store.workspace import Workspace

PER_CLASS = 12
READERS = ("crop_dataset:looks_at_figure", "crop_dataset:looks_at_ground")


def draw_photos(folder: Path) -> None:
    """Grained grounds in the tint of their class, each with an ellipse in the colour of its class; and the masks."""
    for label, name in enumerate(NAMES):
        for serial in range(PER_CLASS):
            generator = np.random.default_rng(1000 * label + serial)
            rows, columns = np.mgrid[:256, :256]
            y, x = generator.uniform(100, 156, 2)
            height, width = generator.uniform(30, 60, 2)
            mask = ((rows - y) / height) ** 2 + ((columns - x) / width) ** 2 < 1
            coarse = generator.integers(-15, 16, (16, 16, 1)).repeat(16, axis=0).repeat(16, axis=1)
            pixels = np.where(mask[..., None], FIGURES[name], np.array(GROUNDS[name]) + coarse).astype(np.uint8)
            photo = folder / "photos" / f"n{label}" / f"{name}{serial}.png"
            photo.parent.mkdir(parents=True, exist_ok=True)
            (folder / "masks").mkdir(exist_ok=True)
            Image.fromarray(pixels).save(photo)
            Image.fromarray(mask).save(folder / "masks" / photo.name)


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Results of the protocol imagenet9 by model."""
    folder = tmp_path_factory.mktemp("constructs")
    draw_photos(folder)
    with Workspace.create(folder / "work") as store:
        index_source(store, open_source(str(folder / "photos"), name="drawn"))
        import_mask_folder(store, folder / "masks", ImportOrigin(text="drawn", annotator="p1", tool="import:masks"))
        freeze(store, "v1", FreezeOptions())
    recipe = load_recipe("imagenet9").model_dump(mode="json")
    (folder / "classes.json").write_text(json.dumps(CLASS_MAP))
    (folder / "recipe.yaml").write_text(yaml.safe_dump({**recipe, "name": "drawn", "class_map": "classes.json"}))
    request = prepare_request(str(folder / "recipe.yaml"), folder / "work", machines=Machines(workers=1))
    build_dataset(request, folder / "built")
    return {reader.partition(":")[2]: figureground.evaluate(folder / "built", reader) for reader in READERS}


def accuracies(result: dict[str, Any]) -> dict[str, float]:
    return {config: measured["accuracy_macro"] for config, measured in result["configs"].items()}


def test_who_reads_the_figure_is_right_wherever_it_is(scores: dict[str, dict[str, Any]]) -> None:
    measured = accuracies(scores["looks_at_figure"])
    for config in ("original", "only_fg", "mixed_self", "mixed_same", "mixed_rand", "mixed_next", "mixed_rand_p4"):
        assert measured[config] == 1, config
    for config in ("no_fg_d8", "only_bg_t", "only_bg_b", "silhouette"):
        assert measured[config] == pytest.approx(1 / 3), config  # its answer to nothing is the first class


def test_who_reads_the_figure_has_no_gap_and_no_star(scores: dict[str, dict[str, Any]]) -> None:
    result = scores["looks_at_figure"]
    for gap in ("bg_gap", "bg_gap_p4", "bg_gap_m4", "original_minus_mixed_same"):
        measured = result["differences"][gap]
        assert measured["value"] == 0
        assert measured["ci95"][0] < 0 < measured["ci95"][1]
        assert measured["p"] == 1
    assert result["categories"]["bg_irrelevant"]["value"] == 1


def test_who_reads_the_ground_is_right_where_its_class_is(scores: dict[str, dict[str, Any]]) -> None:
    measured = accuracies(scores["looks_at_ground"])
    for config in ("original", "only_bg_t", "only_bg_b", "no_fg", "no_fg_d8", "mixed_same", "mixed_self"):
        assert measured[config] == 1, config
    assert measured["mixed_next"] == 0
    assert measured["only_fg"] == pytest.approx(1 / 3)


def test_the_gap_of_who_reads_the_ground_is_all_but_the_share_of_own_class_donors(
    scores: dict[str, dict[str, Any]],
) -> None:
    result = scores["looks_at_ground"]
    gap = result["differences"]["bg_gap"]
    assert gap["value"] == pytest.approx(1 - accuracies(result)["mixed_rand"])
    assert gap["ci95"][0] > 0.3
    assert gap["p"] < 0.001


def test_other_masks_on_the_same_grounds_change_nothing_for_either(scores: dict[str, dict[str, Any]]) -> None:
    for result in scores.values():
        assert {effect["value"] for effect in result["mask_effects"].values()} == {0.0}
        assert set(result["mask_effects"]) == {"bg_gap_m4_minus_bg_gap", "bg_gap_p4_minus_bg_gap"}
