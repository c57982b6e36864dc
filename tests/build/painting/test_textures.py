"""Textures: a function of their seed, the same bytes for ever, and no two alike."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from figureground.build.geometry.views import Canvas
from figureground.build.painting.textures import FAMILIES, draw_texture, texture_from_photo
from figureground.build.planning.seeds import choose_family
from figureground.schemas.recipes import TEXTURE_FAMILIES

GOLDEN = {
    "bricks": "09dc8d5565b1501b",
    "checks": "53fcbae1b73fd951",
    "clouds": "5fb83603d9c36094",
    "dots": "4fe27a000495036a",
    "noise": "5aa9d9d91295074a",
    "stripes": "61fedbbbce1d2f3c",
}


def _digest(canvas: Canvas) -> str:
    return hashlib.sha256(canvas.tobytes()).hexdigest()[:16]


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_seed_gives_the_same_bytes_for_ever(family: str) -> None:
    drawn = draw_texture(family, 2**63 + 5, (48, 64))
    assert drawn.shape == (48, 64, 3)
    assert drawn.dtype == np.uint8
    assert _digest(drawn) == GOLDEN[family]


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_seeds_differ_and_no_texture_is_plain(family: str) -> None:
    drawn = [draw_texture(family, seed, (64, 64)) for seed in range(20)]
    assert len({_digest(texture) for texture in drawn}) == 20
    assert all(len(np.unique(texture.reshape(-1, 3), axis=0)) > 1 for texture in drawn)


@pytest.mark.parametrize("family", ["bricks", "checks", "dots", "stripes"])
def test_patterns_have_two_colours_that_the_eye_tells_apart(family: str) -> None:
    for seed in range(20):
        drawn = draw_texture(family, seed, (96, 96)).reshape(-1, 3).astype(int)
        assert (np.ptp(drawn, axis=0) >= 32).all()


def test_recipes_name_the_families_that_are_drawn() -> None:
    assert tuple(FAMILIES) == TEXTURE_FAMILIES


def test_any_family_is_drawn_about_as_often() -> None:
    drawn = [choose_family("any", seed) for seed in range(1200)]
    counts = [drawn.count(name) for name in FAMILIES]
    assert sum(counts) == 1200
    assert min(counts) > 140
    assert choose_family("dots", 7) == "dots"


@pytest.mark.parametrize("size_hw", [(300, 400), (20, 500), (500, 20), (7, 9)])
def test_a_photo_covers_the_canvas_at_a_place_of_the_seeds(size_hw: tuple[int, int]) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (*size_hw, 3), dtype=np.uint8)
    drawn = [texture_from_photo(photo, seed, (64, 48)) for seed in range(8)]
    assert {texture.shape for texture in drawn} == {(64, 48, 3)}
    np.testing.assert_array_equal(drawn[0], texture_from_photo(photo, 0, (64, 48)))
    assert len({_digest(texture) for texture in drawn}) > 1


def test_a_large_photo_is_cut_and_not_resized() -> None:
    rows, columns = np.mgrid[:100, :200]
    photo = np.stack([rows, columns, np.zeros_like(rows)], axis=2).astype(np.uint8)
    cut = texture_from_photo(photo, 3, (50, 60)).astype(int)
    np.testing.assert_array_equal(np.diff(cut[..., 0], axis=0), 1)
    np.testing.assert_array_equal(np.diff(cut[..., 1], axis=1), 1)
