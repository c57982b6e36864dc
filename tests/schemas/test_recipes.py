"""Recipes and class maps: shipped ones load, the user's own too, and every fault of a file is reported at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from needs import SHARED, need_shared
from pydantic import ValidationError

from figureground.build.recipes.loading import load_recipe, shipped_recipes
from figureground.errors import DataError, UsageError
from figureground.schemas.classes import load_class_map
from figureground.schemas.recipe_views import View
from figureground.schemas.recipes import Recipe, Variant

GOOD = {
    "name": "mine",
    "version": "1",
    "seed": 3,
    "class_map": "imagenet9",
    "rules": {"exact": {"views": {"imagenet": {}}}},
    "variants": {"original": {"ground": "source"}},
}


@pytest.mark.parametrize("name", shipped_recipes())
def test_shipped_recipes_load_with_their_class_maps(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert load_class_map(recipe.class_map).classes
    released = {"imagenet9", "imagenet9l", "rival10"}  # of the others no building code is public
    assert set(recipe.rules) == ({"exact", "reference"} if name in released else {"exact"})


def test_imagenet9_has_the_eight_variants_and_what_they_cost() -> None:
    assert list(load_recipe("imagenet9").variants) == [
        "original",
        "only_bg_b",
        "only_bg_t",
        "no_fg",
        "only_fg",
        "mixed_same",
        "mixed_rand",
        "mixed_next",
        "mixed_self",
        "no_fg_d8",
        "silhouette",
        "mixed_same_m4",
        "mixed_same_p4",
        "mixed_rand_m4",
        "mixed_rand_p4",
    ]


def test_the_leak_recipe_shares_its_variants_with_the_nine() -> None:
    leak, nine = load_recipe("imagenet9_leak"), load_recipe("imagenet9")
    shared = set(leak.variants) & set(nine.variants)
    assert shared == {"original", "only_bg_t", "only_bg_b", "no_fg", "no_fg_d8", "silhouette"}
    assert all(leak.variants[name] == nine.variants[name] for name in shared)
    assert (leak.seed, leak.rules["exact"]) == (nine.seed, nine.rules["exact"])


@pytest.mark.parametrize("name", ["crop@2x", "crop/2", "crop#1", "..", ""])
def test_a_view_has_a_name_like_all_others(name: str) -> None:
    """Names of views are parts of keys and of errors."""
    named = {"rules": {"exact": {"views": {name: {}}}}, "variants": {"original": {"ground": "source", "view": name}}}
    with pytest.raises(ValidationError) as caught:
        Recipe.model_validate({**GOOD, **named})
    key_paths = {".".join(map(str, fault["loc"])) for fault in caught.value.errors()}
    assert {f"rules.exact.views.{name}.[key]", "variants.original.layers.0.view"} <= key_paths


def test_shorthand_means_the_same_as_layers() -> None:
    spelled = {"layers": [{"paint": "tile", "of": "any_class"}, {"paint": "source", "matte": "mask"}]}
    both = {
        "short": {"ground": {"tile": "strip", "of": "any_class"}, "matte": "mask", "figure": "source"},
        "long": spelled,
    }
    recipe = Recipe.model_validate({**GOOD, "variants": both})
    assert recipe.variants["short"] == recipe.variants["long"]
    assert recipe.variants["short"].donor == "any_class"


_MIXED: dict[str, object] = {"ground": {"of": "any_class"}, "matte": "mask", "figure": "source"}


def _changed(path: str, value: object) -> str:
    document = json.loads(json.dumps(GOOD))
    *parents, last = path.split("/")
    node = document
    for part in parents:
        node = node.setdefault(part, {})
    if value is None:
        del node[last]
    else:
        node[last] = value
    return yaml.safe_dump(document)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(_changed("seed", None), "seed: expected a value", id="no seed"),
        pytest.param(_changed("seed", -1), "seed: expected Input should be greater", id="negative seed"),
        pytest.param(_changed("colour", "red"), "colour: expected no such key", id="strange key"),
        pytest.param(_changed("name", "a/b"), "name: expected 1 to 128 letters", id="slash in name"),
        pytest.param(_changed("name", ".."), "not dots alone", id="path as name"),
        pytest.param(
            _changed("variants/a b", {"ground": "source"}),
            "variants.a b.[key]: expected 1 to 128 letters",
            id="space in variant",
        ),
        pytest.param(_changed("variants/x", {"ground": "sauce"}), "{tile: strip|adjacent}", id="unknown painter"),
        pytest.param(_changed("variants/x", {"ground": {"fill": "red"}}), "'black', 'white' or 'grey'", id="fill"),
        pytest.param(_changed("variants/x", {"figure": "source"}), "the shorthand", id="figure without matte"),
        pytest.param(
            _changed("variants/x", {"layers": [{"paint": "source", "matte": "mask"}]}), "matte: all", id="bare canvas"
        ),
        pytest.param(
            _changed("variants/x", {"layers": [{"paint": "source", "view": "native"}]}), "with native", id="no view"
        ),
        pytest.param(
            _changed("rules/exact/views/imagenet", {"size": 200, "crop": 224}), "no larger than", id="crop too large"
        ),
        pytest.param(_changed("rules/sloppy", {"views": {}}), "'exact' or 'reference'", id="unknown rules"),
        pytest.param(
            _changed("variants/x", {"ground": "source", "labels": "donor"}), "a donor, where labels", id="no donor"
        ),
        pytest.param(
            _changed(
                "variants/x",
                {
                    "layers": [
                        {"paint": "source", "view": "imagenet"},
                        {"paint": "fill", "matte": "random", "view": "b"},
                    ]
                },
            ),
            "one view in a variant of attributes",
            id="two views",
        ),
        pytest.param(
            _changed("variants/x", {**_MIXED, "donors_from": "mixed"}), "variant of this recipe", id="no such lender"
        ),
        pytest.param(_changed("variants/x", {**_MIXED, "donors_from": "x"}), "draws its own donors", id="own lender"),
        pytest.param(
            _changed("variants", {"mixed": _MIXED, "x": {"ground": "source", "donors_from": "mixed"}}),
            "x has neither; variants.x.donors_from: the same donor policy as mixed, any_class, instead of None",
            id="nothing to lend",
        ),
        pytest.param(
            _changed("variants", {"mixed": _MIXED, "x": {**_MIXED, "labels": "donor", "donors_from": "mixed"}}),
            "the same labels as mixed, self, instead of donor",
            id="other labels",
        ),
        pytest.param(
            _changed("variants", {"mixed": _MIXED, "x": {**_MIXED, "matte": "attribute", "donors_from": "mixed"}}),
            "the same row for each attribute as mixed",
            id="rows of attributes",
        ),
        pytest.param(_changed("splits", {"shares": {"train": 0.5, "test": 0.4}}), "add up to 1", id="shares"),
        pytest.param(
            _changed("splits", {"shares": {"train": 1.5, "test": -0.5}}), "shares above 0", id="negative share"
        ),
        pytest.param(_changed("splits", {"by": "luck", "shares": {"a": 1}}), "'seed' or 'source'", id="strange splits"),
        pytest.param(
            _changed("rules/exact", {"views": {"imagenet": {"window": {}}}, "filters": {"mask": False}}),
            "variants.original without windows, masks and boxes where rules.exact has filters mask: false",
            id="windows around nothing",
        ),
        pytest.param(
            _changed(
                "rules/exact",
                {"views": {"imagenet": {"window": {}}, "b": {"window": {}}}, "filters": {"min_box_kept": 1}},
            ),
            "a view without a window, where filters max_box_share or min_box_kept",
            id="boxes without a canvas",
        ),
        pytest.param("[1, 2", "well-formed YAML", id="not YAML"),
    ],
)
def test_a_fault_is_named_with_its_place(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        load_recipe(str(path))
    assert str(path) in str(caught.value)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    "layer",
    [
        {"paint": "tile"},
        {"paint": "adjacent"},
        {"paint": "mean"},
        {"paint": "mean", "mean_of": "ground"},
        {"paint": "fill", "matte": "mask"},
        {"paint": "fill", "matte": "box"},
        {"paint": "fill", "matte": "random"},
        {"paint": "source", "blur": {"sigma": 2, "within": "figure"}},
        {"paint": "source", "matte": "mask", "move": {"scale": 0.5}},
    ],
)
def test_where_photos_may_have_no_mask_layers_need_none(layer: dict[str, object]) -> None:
    rules = {"exact": {"views": {"imagenet": {}}, "filters": {"mask": False}}}
    document = {**GOOD, "rules": rules, "variants": {"x": {"layers": [{"paint": "source"}, layer]}}}
    with pytest.raises(ValidationError, match=r"variants\.x without windows, masks and boxes where rules\.exact"):
        Recipe.model_validate(document)
    plain = {"paint": "mean", "mean_of": "photo", "blur": {"sigma": 2}}
    Recipe.model_validate({**document, "variants": {"x": {"layers": [plain]}}})


def test_every_fault_of_a_file_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({**GOOD, "seed": "x", "name": "", "nonsense": 1}))
    with pytest.raises(DataError) as caught:
        load_recipe(str(path))
    assert len(caught.value.faults) == 3


def test_unknown_names_say_what_there_is() -> None:
    with pytest.raises(UsageError, match="imagenet9"):
        load_recipe("imagenet10")
    with pytest.raises(UsageError, match="imagenet9"):
        load_class_map("imagenet10")


def test_native_view_has_no_crop() -> None:
    assert View(resize="none", crop=None).crop is None
    with pytest.raises(ValueError, match="no larger"):
        View(resize="none")


def test_a_recipe_finds_the_class_map_beside_it(tmp_path: Path) -> None:
    (tmp_path / "map.csv").write_text("label,class,imagenet_index\ncat,pet,281\ndog,pet,151\ncar,thing,817\n")
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({**GOOD, "class_map": "map.csv"}))
    loaded = load_class_map(load_recipe(str(path)).class_map)
    assert loaded.names == ("pet", "thing")
    assert loaded.index_of_label == {"cat": 0, "dog": 0, "car": 1}
    assert loaded.classes[0].imagenet_indices == (281, 151)


def test_imagenet9_is_the_shipped_map_not_the_wordnet_descendants() -> None:
    loaded = load_class_map("imagenet9")
    assert len(loaded.index_of_label) == 370
    assert [len(entry.wnids) for entry in loaded.classes] == [116, 52, 42, 36, 35, 27, 26, 20, 16]
    for dropped in ("n02091134", "n02123045", "n01806143"):  # whippet, tabby, peacock
        assert dropped not in loaded.index_of_label


def test_imagenet9_equals_the_released_mapping() -> None:
    need_shared(SHARED)
    released = json.loads((SHARED / "class_maps" / "imagenet9.json").read_text())
    assert [list(entry.wnids) for entry in load_class_map("imagenet9").classes] == [
        entry["wnids"] for entry in released["classes"]
    ]
    assert [list(entry.imagenet_indices) for entry in load_class_map("imagenet9").classes] == [
        entry["imagenet_indices"] for entry in released["classes"]
    ]


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        pytest.param([{"index": 1, "name": "a", "wnids": ["x"]}], "count 0, 1, 2", id="index"),
        pytest.param(
            [{"index": 0, "name": "a", "wnids": ["x"]}, {"index": 1, "name": "b", "wnids": ["x"]}],
            "x is in a and b",
            id="overlap",
        ),
        pytest.param([{"index": 0, "name": "a b", "wnids": ["x"]}], "1 to 128 letters", id="name"),
        pytest.param([{"index": 0, "name": "a", "wnids": []}], "at least 1", id="no labels"),
    ],
)
def test_faulty_class_maps_are_refused(tmp_path: Path, classes: list[dict[str, object]], expected: str) -> None:
    path = tmp_path / "map.json"
    path.write_text(json.dumps({"classes": classes}))
    with pytest.raises(DataError, match=expected):
        load_class_map(str(path))


def test_the_shorthand_takes_a_view_and_whose_labels() -> None:
    variant = load_recipe("rival10").variants["attribute_superimposed"]
    assert {layer.view for layer in variant.layers} == {"squash"}
    assert [(layer.paint, layer.of, layer.matte) for layer in variant.layers] == [
        ("source", "any_class", "all"),
        ("source", "self", "attribute"),
    ]
    assert (variant.labels, variant.donor, variant.per_attribute, variant.swaps_attribute) == (
        "donor",
        "any_class",
        True,
        True,
    )


@pytest.mark.parametrize(
    ("painter", "paint"),
    [
        ({"fill": "mean"}, "mean"),
        ({"tile": "adjacent"}, "adjacent"),
        ({"tile": "strip"}, "tile"),
        ({"fill": "white"}, "fill"),
    ],
)
def test_painters_in_short(painter: dict[str, str], paint: str) -> None:
    assert Variant.model_validate({"ground": painter}).layers[0].paint == paint
