"""Attributes of figures and masks of their parts: filtered by, and shown."""

from __future__ import annotations

import io

import numpy as np
import pytest
from figure_dataset import write_figures
from PIL import Image

from figureground.exports.viewing.filters import MOST_ROWS, PageRequest, RowFilter
from figureground.exports.viewing.gallery import Gallery, open_gallery
from figureground.schemas.rasters.masks import CocoRle, decode_coco_rle

Rows = list[dict[str, object]]


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    return open_gallery(write_figures(tmp_path_factory.mktemp("figures") / "figures"))


@pytest.fixture(scope="module")
def stored(gallery: Gallery) -> Rows:
    return list(gallery.dataset.rows("original", columns=["attributes", "attribute_masks"]))


@pytest.mark.parametrize(("has", "value"), [("yes", True), ("no", False), ("open", None)])
def test_figures_that_have_an_attribute(gallery: Gallery, stored: Rows, has: str, value: bool | None) -> None:
    counts = set()
    for name in ("knob", "tall"):
        asked = RowFilter.model_validate({"attribute": name, "has": has})
        got = {row["row"] for row in gallery.answer(asked, PageRequest(limit=MOST_ROWS))["rows"]}
        answers = [dict(row["attributes"] or {}).get(name) for row in stored]  # type: ignore[call-overload]
        assert got == {number for number, answer in enumerate(answers) if answer is value}
        counts.add(len(got))
    assert counts != {0} or has == "open"


def test_splits_are_filtered(gallery: Gallery, stored: Rows) -> None:
    assert gallery.answer(RowFilter(split=("train",)), PageRequest())["total"] == len(stored) // 3
    assert set(gallery.about()["splits"]) == {"train", "validation", "test"}


def test_the_mask_of_a_part_is_shown_in_a_colour_of_its_own(gallery: Gallery, stored: Rows) -> None:
    row = next(number for number, row in enumerate(stored) if row["attribute_masks"])
    parts = gallery.describe(row)["parts"]
    colours = set()
    for name, cell in zip(parts, stored[row]["attribute_masks"], strict=True):  # type: ignore[call-overload]
        picture = gallery.pictures.mask(row, name)
        assert picture is not None
        pixels = np.asarray(Image.open(io.BytesIO(picture.data)).convert("RGBA"))
        mask = decode_coco_rle(CocoRle(size_hw=(cell["size"][0], cell["size"][1]), counts=cell["counts"]))
        assert ((pixels[..., 3] > 0) == mask).all()
        colours.add(tuple(pixels[mask][0]))
    whole = gallery.pictures.mask(row)
    assert whole is not None
    colours.add(tuple(np.asarray(Image.open(io.BytesIO(whole.data)).convert("RGBA")).max(axis=(0, 1))))
    assert len(colours) == len(parts) + 1
