"""The card: its whole text against a golden file, and what ``datasets`` must find in its YAML."""

from __future__ import annotations

import pytest
import yaml
from drawn_release import CLASS_MAP
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

from figureground.exports.card import render_card
from figureground.schemas.classes import ClassMap
from figureground.schemas.features import dataset_features
from figureground.schemas.recipes import load_recipe

LOCK = {
    "figureground": "0.0.0", "recipe": "imagenet9@1", "rules": "exact", "release": {"version": "v1", "sha256": "0"},
    "unreviewed": 3, "objects": 12, "segmenters": ["mobile-sam"], "balanced": False, "refused_total": 2,
    "quotas": {"disc": 4, "ring": 5, "bar": 3}, "refused": {"mask_empty": 1, "no_strip": 1},
}  # fmt: skip


class Markdown(SingleFileSnapshotExtension):
    """Golden cards are readable files of their own."""

    _write_mode = WriteMode.TEXT
    file_extension = "md"


def card(**changes: object) -> str:
    recipe = load_recipe("imagenet9")
    features = dataset_features(ClassMap.model_validate_json(CLASS_MAP), ["round"])
    sizes = {name: {"test": (1000, 12)} for name in recipe.variants}
    return render_card(recipe, {**LOCK, **changes}, features=features, shard_sizes=sizes)


def test_card_is_the_golden_one(snapshot: SnapshotAssertion) -> None:
    assert card() == snapshot(extension_class=Markdown)


def test_a_card_of_splits_and_attributes_is_the_golden_one(snapshot: SnapshotAssertion) -> None:
    recipe = load_recipe("rival10")
    features = dataset_features(ClassMap.model_validate_json(CLASS_MAP), ["round"])
    sizes = {name: dict.fromkeys(recipe.split_names, (1000, 4)) for name in recipe.variants}
    more = {"splits": {"train": 8, "validation": 2, "test": 2}, "imagenet_train": 7}
    lock = {**LOCK, **more, "attribute_schema": "rival10", "recipe": "rival10@1"}
    assert render_card(recipe, lock, features=features, shard_sizes=sizes) == snapshot(extension_class=Markdown)


@pytest.mark.parametrize("name", ["imagenet_a_plus", "background_check"])
def test_cards_of_crops_and_textures_are_the_golden_ones(name: str, snapshot: SnapshotAssertion) -> None:
    recipe = load_recipe(name)
    features = dataset_features(ClassMap.model_validate_json(CLASS_MAP), [], pixels=recipe.pixels)
    sizes = {config: {"test": (1000, 12)} for config in recipe.variants}
    lock = {**LOCK, "recipe": f"{name}@1", "textures": {"source": "wallpapers", "photos": 9, "sha256": "0"}}
    lock = lock if recipe.pixels else {**LOCK, "recipe": f"{name}@1"}
    text = render_card(recipe, lock, features=features, shard_sizes=sizes)
    assert text == snapshot(extension_class=Markdown)
    assert ("image (lossless PNG)" in text.replace("`", "")) == recipe.pixels


def test_reviewed_balanced_and_complete_cards_claim_nothing_else() -> None:
    text = card(unreviewed=0, balanced=True, refused_total=0, refused={})
    assert "Machine masks" not in text
    assert "not balanced" not in text
    assert "0 objects of the release were left out;" in text


def test_reference_cards_do_not_warn_of_exact_rules() -> None:
    assert "are not those of the published tables" in card()
    assert "are not those of the published tables" not in card(rules="reference")


def test_features_and_configs_come_from_one_source() -> None:
    front = yaml.safe_load(card().split("---\n")[1])
    names = [entry["config_name"] for entry in front["configs"]]
    assert sorted(names) == sorted(entry["config_name"] for entry in front["dataset_info"])
    assert [entry["config_name"] for entry in front["configs"] if entry.get("default")] == ["original"]
    label = next(each for each in front["dataset_info"][0]["features"] if each["name"] == "label")
    assert list(label["dtype"]["class_label"]["names"].values()) == ["disc", "ring", "bar"]
