"""What the pixels at a rim are of, where it is known; and that nothing of the kind can end a run."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lint_samples import SIZE_HW, Photos, disc
from numpy.typing import NDArray
from strategies import masks

from figureground.annotate.lint.looks import Look, canvas_part
from figureground.annotate.lint.registry import RULES
from figureground.annotate.lint.rims import edge_strength, measure_rim
from figureground.annotate.lint.settings import DEFAULTS
from figureground.build.geometry.views import view_geometry, whole_frame
from figureground.schemas.rasters.masks import Mask
from figureground.schemas.recipe_views import View

FIGURE, GROUND = np.array([200.0, 40, 40]), np.array([60.0, 90, 120])


def mixed(share: float, *, ring_share: float) -> NDArray[np.uint8]:
    """A figure on a ground, two flat colours, whose rim and ring of two pixels are mixtures of both."""
    distance = np.hypot(*np.indices(SIZE_HW) - np.array([150, 200]).reshape(2, 1, 1))
    figure = np.clip(60 - distance, 0, 1) > 0
    shares = np.where(figure, 1.0, 0.0)
    shares[figure & (distance >= 58)] = share
    shares[~figure & (distance < 62)] = ring_share
    return np.asarray(np.rint(shares[..., None] * FIGURE + (1 - shares[..., None]) * GROUND), dtype=np.uint8)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_the_leak_is_the_share_that_the_pixels_are_mixed_of(share: float) -> None:
    mask = disc(centre_yx=(150, 200), radius=60)
    colours = measure_rim(mixed(share, ring_share=1 - share), mask, contrast=30)
    assert colours is not None
    assert colours.rim_leak == pytest.approx(1 - share, abs=0.02)
    assert colours.ring_leak == pytest.approx(1 - share, abs=0.02)


def test_nothing_is_said_where_figure_and_ground_are_alike() -> None:
    assert measure_rim(np.full((*SIZE_HW, 3), 90, np.uint8), disc(), contrast=30) is None


def test_large_photos_are_measured_as_small_ones() -> None:
    photo, mask = mixed(0.4, ring_share=0.2), disc(centre_yx=(150, 200), radius=60)
    large = measure_rim(
        np.kron(photo, np.ones((4, 4, 1), np.uint8)), np.kron(mask, np.ones((4, 4), np.bool_)), contrast=30
    )
    small = measure_rim(photo, mask, contrast=30)
    assert large is not None
    assert small is not None
    assert large.rim_leak == pytest.approx(small.rim_leak, abs=0.1)
    assert large.rim_hw.shape == (1200, 1600)


def test_a_photo_is_steeper_along_its_figure_than_beside_it() -> None:
    photo = mixed(1.0, ring_share=0.0)
    right, beside = disc(centre_yx=(150, 200), radius=60), disc(centre_yx=(90, 120), radius=60)
    assert edge_strength(photo, right) > 5 * edge_strength(photo, beside)


@given(masks(), st.integers(0, 3))
def test_no_mask_ends_a_run(lint_photos: Photos, mask: Mask, seed: int) -> None:
    height, width = mask.shape
    subject = lint_photos.subject("plain", mask)
    photo = replace(subject.photo, height=height, width=width, exif_orientation=2)
    look = Look(replace(subject, photo=photo), DEFAULTS, None)
    look.photo = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    for rule in RULES.values():
        for seen in rule.check(look) if rule.check is not None else ():
            assert math.isfinite(seen.value)
            assert seen.marked_hw is None or (seen.marked_hw.shape == mask.shape and seen.marked_hw.any())


@pytest.mark.parametrize("size_hw", [(256, 256), (300, 400), (600, 200), (375, 500), (1024, 1536), (31, 57), (1, 9)])
def test_the_canvas_is_that_of_the_view(size_hw: tuple[int, int]) -> None:
    (x0, y0, x1, y1), scale = canvas_part(size_hw)
    geometry = view_geometry(View(), whole_frame(size_hw))
    left, top, right, bottom = geometry.crop_xyxy_px
    (height, width), (resized_h, resized_w) = size_hw, geometry.resized_hw
    assert abs(x0 - left * width / resized_w) <= 0.5 or left < 0
    assert abs(x1 - right * width / resized_w) <= 0.5 or left < 0
    assert abs(y0 - top * height / resized_h) <= 0.5 or top < 0
    assert abs(y1 - bottom * height / resized_h) <= 0.5 or top < 0
    assert scale == min(geometry.resized_hw) / min(size_hw)
