"""The example that paints butterflies' parts by a rule: on a drawn butterfly, whose parts are known."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from needs import SHARED, need_shared
from numpy.typing import NDArray

from figureground.build.recipes.loading import load_recipe
from figureground.schemas.attributes import load_attribute_schema
from figureground.schemas.classes import load_class_map

BUTTERFLIES = SHARED / "masked" / "leeds_butterfly"
EXAMPLES = Path(__file__).resolve().parents[1] / "docs" / "examples"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("butterfly_attributes", EXAMPLES / "butterfly_attributes.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["butterfly_attributes"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def draw(*, lopsided: bool = False) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_]]:
    """Orange wings with dark spots and a dark body, upright; photo, butterfly and body."""
    photo = np.full((240, 320, 3), (60, 140, 60), dtype=np.uint8)
    mask = np.zeros((240, 320), dtype=np.uint8)
    for side in (-1, 1):
        reach = 50 if lopsided and side == 1 else 110
        wing = np.array([[160, 80], [160 + side * reach, 50], [160 + side * reach, 150], [160, 160]])
        cv2.fillPoly(mask, [wing.astype(np.int32)], 1)
    photo[mask > 0] = (230, 120, 20)
    if lopsided:
        blocks = np.random.default_rng(5).integers(0, 256, (4, 6, 3), dtype=np.uint8)
        photo[mask > 0] = np.kron(blocks, np.ones((60, 54, 1), np.uint8))[:240, :320][mask > 0]
    spots = (
        ((70, 75), (70, 120), (110, 95))
        if lopsided
        else ((70, 75), (70, 120), (110, 95), (250, 75), (250, 120), (210, 95))
    )
    for x, y in spots:
        cv2.circle(photo, (x, y), 7, (30, 20, 20), -1)
    body = np.zeros((240, 320), dtype=np.uint8)
    cv2.ellipse(body, (160, 120), (7, 45), 0, 0, 360, 1, -1)
    photo[body > 0] = (70, 60, 60)
    noise = np.random.default_rng(0).integers(-6, 7, photo.shape)
    return np.clip(photo + noise, 0, 255).astype(np.uint8), (mask | body) > 0, body > 0


def test_the_parts_of_a_drawn_butterfly_are_found(script: ModuleType) -> None:
    photo, mask, body = draw()
    parts = script.dissect("drawn", photo, mask)
    assert parts.dropped == ""
    assert abs(np.cos(parts.axis.angle)) < 0.05
    overlap = np.count_nonzero(parts.body_hw & body) / np.count_nonzero(parts.body_hw | body)
    assert overlap > 0.8
    assert not (parts.wings_hw & parts.body_hw).any()
    np.testing.assert_array_equal(parts.wings_hw | parts.body_hw, mask)
    assert parts.pattern_hw[75, 70]
    assert not parts.pattern_hw[100, 85]
    assert parts.global_attributes == {"spread": True, "spotted": True, "orange": True, "pale": False}
    again = script.dissect("drawn", photo, mask)
    np.testing.assert_array_equal(parts.body_hw, again.body_hw)
    np.testing.assert_array_equal(parts.pattern_hw, again.pattern_hw)


def test_a_butterfly_without_a_mirror_axis_is_dropped(script: ModuleType) -> None:
    photo, mask, _ = draw(lopsided=True)
    assert script.dissect("drawn", photo, mask).dropped


@pytest.mark.parametrize(
    ("name", "dropped"), [("0010041", ""), ("0080036", ""), ("0090135", ""), ("0010027", "no clear axis")]
)
def test_real_butterflies(script: ModuleType, name: str, dropped: str) -> None:
    """Three that lie flat, and one that was photographed from the side."""
    need_shared(BUTTERFLIES)
    photo, mask = script.read_photo(BUTTERFLIES / "images" / f"{name}.jpg", BUTTERFLIES / "masks" / f"{name}.png")
    parts = script.dissect(name, photo, mask)
    assert parts.dropped.startswith(dropped)
    assert bool(parts.dropped) == bool(dropped)
    if not dropped:
        assert 0.015 < parts.body_hw.sum() / mask.sum() < 0.14
        assert parts.global_attributes["spread"]


def test_what_is_written_is_what_the_schema_asks_for(script: ModuleType, tmp_path: Path) -> None:
    photo, mask, _ = draw()
    rows = script.write_masks(tmp_path, script.dissect("drawn", photo, mask))
    schema = load_attribute_schema(str(EXAMPLES / "butterfly.yaml"))
    assert [name for _, name, _ in rows] == list(schema.names())
    assert {path.parent.name for path in tmp_path.glob("*/*.png")} == set(schema.names("local"))
    assert (tmp_path / "drawn.png").is_file()


def test_the_classes_are_imagenet_s() -> None:
    classes = load_class_map(str(EXAMPLES / "butterfly_classes.json"))
    imagenet = (EXAMPLES.parents[1] / "schemas" / "class_maps" / "imagenet1k.csv").read_text().splitlines()
    for entry in classes.classes:
        assert any(line.startswith(f"{entry.imagenet_indices[0]},{entry.wnids[0]},") for line in imagenet)


def test_the_recipe_is_rival10_s_with_its_own_classes_and_says_who_made_the_attributes() -> None:
    mine, theirs = load_recipe(str(EXAMPLES / "butterfly_recipe.yaml")), load_recipe("rival10")
    assert (mine.variants, mine.rules, mine.splits) == (theirs.variants, theirs.rules, theirs.splits)
    assert load_class_map(mine.class_map).names
    assert load_attribute_schema(mine.attributes).names("local") == ("wings", "body", "pattern")
    assert "project-made" in mine.description
