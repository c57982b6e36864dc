"""One geometry of "short side 256, crop 224": in recipes' views, in pictures for raters, and in the evaluation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from figureground.annotate.human.pictures import model_view
from figureground.build.geometry.views import view_photo
from figureground.exports.evaluation.pictures import Transform
from figureground.schemas.rasters.resizing import CROP_PX, SHORT_SIDE_PX, crop_offset, short_side_hw
from figureground.schemas.recipe_views import View

STANDARD = Transform(
    size_hw=(CROP_PX, CROP_PX), crop_pct=CROP_PX / SHORT_SIDE_PX, crop_mode="center", interpolation="bilinear"
)
sizes_hw = st.tuples(st.integers(1, 700), st.integers(1, 700)).filter(lambda size_hw: max(size_hw) <= 5 * min(size_hw))


@settings(max_examples=40, deadline=None)
@given(sizes_hw.filter(lambda size_hw: size_hw != (CROP_PX, CROP_PX)), st.integers(0, 9))
def test_views_raters_and_the_evaluation_see_the_same_pixels(size_hw: tuple[int, int], seed: int) -> None:
    photo = np.random.default_rng(seed).integers(0, 256, (*size_hw, 3), dtype=np.uint8)
    by_view = view_photo(photo, View())
    np.testing.assert_array_equal(model_view(photo), by_view)
    np.testing.assert_array_equal(STANDARD.crop(Image.fromarray(photo), "photo")[0], by_view)


@settings(max_examples=300)
@given(st.tuples(st.integers(1, 5000), st.integers(1, 5000)))
def test_sizes_are_those_of_the_evaluation(size_hw: tuple[int, int]) -> None:
    assert short_side_hw(size_hw, SHORT_SIDE_PX) == STANDARD.resized_hw(size_hw)


@pytest.mark.parametrize(
    ("length", "crop", "offset"), [(256, 224, 16), (257, 224, 16), (259, 224, 18), (224, 224, 0), (10, 13, -2)]
)
def test_offsets_are_rounded_half_to_even(length: int, crop: int, offset: int) -> None:
    assert crop_offset(length, crop) == offset
