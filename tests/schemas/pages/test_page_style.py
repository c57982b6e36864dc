"""Colours of the annotator's page, as people with other kinds of colour vision see them."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from figureground.schemas.attributes import load_attribute_schema, shipped_attribute_schemas
from figureground.schemas.pages.page_style import GROUND_COLOUR, OBJECT_COLOUR, PART_COLOURS

VISION = {
    "normal": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}
"""Linear RGB as it is seen: Machado, Oliveira and Fernandes, IEEE TVCG 2009, severity 1.0."""
_XYZ = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
_WHITE = [0.95047, 1.0, 1.08883]
LEAST_DISTANCE = 16.0
"""CIE 1976 colour difference; 2.3 is just noticeable. Okabe and Ito's own two nearest have 17.0."""


def lab(colour: str, vision: str) -> NDArray[np.float64]:
    """CIELAB (D65) of a colour under a kind of vision."""
    encoded = np.array([int(colour[start : start + 2], 16) for start in (1, 3, 5)]) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(VISION[vision]) @ linear, 0, 1)
    ratio = np.array(_XYZ) @ seen / _WHITE
    root = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    return np.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])


@pytest.mark.parametrize("vision", VISION)
def test_masks_can_be_distinguished(vision: str) -> None:
    seen = {colour: lab(colour, vision) for colour in (OBJECT_COLOUR, *PART_COLOURS)}
    for one, other in combinations(seen, 2):
        assert np.linalg.norm(seen[one] - seen[other]) >= LEAST_DISTANCE, (one, other)


@pytest.mark.parametrize("vision", VISION)
def test_clicks_on_the_object_and_beside_it_can_be_distinguished(vision: str) -> None:
    assert np.linalg.norm(lab(OBJECT_COLOUR, vision) - lab(GROUND_COLOUR, vision)) > 40


def test_the_measure_finds_a_bad_pair() -> None:
    assert np.linalg.norm(lab("#bfef45", "deuteranopia") - lab("#ffe119", "deuteranopia")) < LEAST_DISTANCE


def test_no_shipped_schema_repeats_a_colour() -> None:
    most = max(len(load_attribute_schema(name).names("local")) for name in shipped_attribute_schemas())
    assert most <= len(PART_COLOURS)
