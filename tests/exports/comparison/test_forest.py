"""Pictures of comparisons leave room for names and for what is drawn beside them."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from figureground.exports.comparison.contrasts import ModelContrast
from figureground.exports.comparison.forest import draw_forest, draw_ranks
from figureground.exports.comparison.ranks import ModelRank


def contrast(first: str, second: str) -> ModelContrast:
    return ModelContrast(
        figure="bg_gap",
        first=first,
        second=second,
        n=100,
        first_value=0.5,
        second_value=0.3,
        difference=0.2,
        ci95_low=0.1,
        ci95_high=0.3,
        p=0.01,
        p_adjusted=0.02,
        undecidable=False,
    )


def drawn_columns(png: bytes) -> tuple[int, int]:
    """Width of the picture, and of the span in which the interval is drawn, which is blue."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    pixels = image.load()
    assert pixels is not None
    blue = [
        column for column in range(image.width) for row in range(image.height) if pixels[column, row] == (0, 114, 178)
    ]
    return image.width, max(blue) - min(blue)


@pytest.mark.parametrize("letters", [3, 30])
def test_long_names_take_nothing_from_the_intervals(letters: int) -> None:
    width, drawn = drawn_columns(draw_forest([contrast("a" * letters, "b" * letters)], "toy"))
    assert 100 < drawn < width


def test_long_names_widen_the_picture_of_ranks() -> None:
    ranks = [
        ModelRank(figure="bg_gap", model="m" * letters, value=0.5, rank=1, lowest=1, highest=2) for letters in (3, 60)
    ]
    short, long = (Image.open(io.BytesIO(draw_ranks([rank], "toy"))).width for rank in ranks)
    assert long > short
