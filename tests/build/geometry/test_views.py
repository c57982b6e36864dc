"""Views: torchvision's geometry, photo and matte in step."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from needs import need
from numpy.typing import NDArray
from PIL import Image

from figureground.build.geometry.tiles import clip_box
from figureground.build.geometry.views import view_geometry, view_matte, view_photo, whole_frame
from figureground.schemas.rasters.masks import Box
from figureground.schemas.recipe_views import View

IMAGENET = View()
NEAREST = View(image="nearest", matte="nearest")


@pytest.mark.slow
@given(st.integers(1, 700), st.integers(1, 700))
def test_geometry_is_torchvisions(height: int, width: int) -> None:
    transforms = pytest.importorskip("torchvision.transforms.functional")
    geometry = view_geometry(IMAGENET, whole_frame((height, width)))
    resized = transforms.resize(Image.new("L", (width, height)), 256, Image.Resampling.NEAREST)
    assert geometry.resized_hw == (resized.height, resized.width)
    numbered = Image.fromarray(np.arange(resized.height * resized.width, dtype=np.int32).reshape(resized.height, -1))
    x0, y0, x1, y1 = geometry.crop_xyxy_px
    expected = np.asarray(transforms.center_crop(numbered, 224))
    np.testing.assert_array_equal(np.asarray(numbered)[y0:y1, x0:x1], expected)


@pytest.mark.slow
def test_bilinear_photo_equals_torchvisions() -> None:
    transforms = pytest.importorskip("torchvision.transforms.functional")
    photo = np.random.default_rng(0).integers(0, 256, (301, 450, 3), dtype=np.uint8)
    expected = transforms.center_crop(transforms.resize(Image.fromarray(photo), 256), 224)
    np.testing.assert_array_equal(view_photo(photo, IMAGENET), np.asarray(expected))


@pytest.mark.slow
@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 99))
def test_nearest_keeps_photo_and_matte_in_step(height: int, width: int, seed: int) -> None:
    matte = np.random.default_rng(seed).random((height, width)) > 0.5
    photo = np.repeat(matte[:, :, None], 3, axis=2).astype(np.uint8) * np.uint8(255)
    np.testing.assert_array_equal(view_photo(photo, NEAREST)[:, :, 0] > 0, view_matte(matte, NEAREST))


def test_area_matte_is_on_where_half_or_more_is_covered() -> None:
    squash = View(resize="squash", size=2, crop=None)
    matte = np.zeros((4, 4), dtype=np.bool_)
    matte[0, :2] = True  # half of the first cell
    matte[0, 2] = True  # a quarter of the second
    np.testing.assert_array_equal(view_matte(matte, squash), [[True, False], [False, False]])


def test_bilinear_matte_is_on_where_it_is_touched_at_all() -> None:
    matte = np.zeros((8, 8), dtype=np.bool_)
    matte[0, 0] = True
    assert view_matte(matte, View(resize="squash", size=4, crop=None, matte="bilinear"))[0, 0]
    assert not view_matte(matte, View(resize="squash", size=4, crop=None, matte="area"))[0, 0]


def test_full_and_empty_mattes_stay_so() -> None:
    for view in (IMAGENET, NEAREST):
        assert view_matte(np.ones((333, 500), dtype=np.bool_), view).all()
        assert not view_matte(np.zeros((333, 500), dtype=np.bool_), view).any()


def test_native_view_changes_nothing() -> None:
    photo = np.random.default_rng(1).integers(0, 256, (7, 5, 3), dtype=np.uint8)
    np.testing.assert_array_equal(view_photo(photo, View(resize="none", crop=None)), photo)


def test_box_on_canvas_follows_the_affine_and_is_clipped() -> None:
    geometry = view_geometry(IMAGENET, whole_frame((512, 1024)))  # halved, then cut by 144 columns and 16 rows
    assert geometry.affine() == (0.5, -144.0, 0.5, -16.0)
    assert geometry.box_on_canvas((400, 100, 600, 300)) == (56.0, 34.0, 156.0, 134.0)
    assert geometry.box_on_canvas((0, 0, 1024, 512)) == (0.0, 0.0, 224.0, 224.0)


VIEWS = st.builds(
    View,
    resize=st.sampled_from(["short_side", "squash"]),
    size=st.integers(24, 60),
    crop=st.sampled_from([None, 8, 23, 24]),
    image=st.sampled_from(["nearest", "bilinear", "bicubic", "lanczos"]),
    matte=st.sampled_from(["nearest", "area", "bilinear"]),
)
SIDES = st.integers(1, 130)


def in_one_step(pixels: NDArray[np.uint8], view: View, resampling: Image.Resampling) -> NDArray[np.uint8]:
    """What Pillow makes of a whole picture, resized at once and cropped afterwards."""
    geometry = view_geometry(view, whole_frame((pixels.shape[0], pixels.shape[1])))
    height, width = geometry.resized_hw
    resized = Image.fromarray(pixels).resize((width, height), resampling)
    x0, y0, x1, y1 = geometry.crop_xyxy_px
    return np.asarray(resized)[y0:y1, x0:x1]


@given(VIEWS, SIDES, SIDES, st.integers(0, 99))
def test_a_photo_is_what_pillow_makes_of_it_at_once(view: View, height: int, width: int, seed: int) -> None:
    photo = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    expected = in_one_step(photo, view, Image.Resampling[view.image.upper()])
    np.testing.assert_array_equal(view_photo(photo, view), expected)


@given(VIEWS, SIDES, SIDES, st.tuples(SIDES, SIDES, SIDES, SIDES), st.integers(0, 99))
def test_a_matte_is_what_pillow_makes_of_it_at_once(
    view: View, height: int, width: int, corners: Box, seed: int
) -> None:
    matte = np.zeros((height, width), dtype=np.bool_)
    x0, y0, x1, y1 = clip_box(
        (min(corners[::2]), min(corners[1::2]), max(corners[::2]), max(corners[1::2])), matte.shape
    )
    matte[y0:y1, x0:x1] = np.random.default_rng(seed).random((y1 - y0, x1 - x0)) > 0.3
    resampling = {"nearest": "NEAREST", "area": "BOX", "bilinear": "BILINEAR"}[view.matte]
    covered = in_one_step(matte * np.uint8(255), view, Image.Resampling[resampling])
    np.testing.assert_array_equal(view_matte(matte, view), covered >= (1 if view.matte == "bilinear" else 128))


@pytest.mark.slow
def test_torchvision_is_there_to_compare_with() -> None:
    try:
        import torchvision  # noqa: F401
    except ImportError:
        need(False, "torchvision is not installed")
