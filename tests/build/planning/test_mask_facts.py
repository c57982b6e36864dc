"""Facts of masks and boxes read off their runs are those of their pixels."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import masks, square_mask

from figureground.build.geometry.tiles import box_matte
from figureground.build.geometry.views import resize_matte, view_matte
from figureground.build.planning.mask_facts import MaskFacts, bound_box
from figureground.errors import DataError
from figureground.schemas.rasters.masks import CocoRle, Mask, decode_coco_rle, encode_coco_rle, tight_box
from figureground.schemas.recipe_views import View

views = st.builds(
    lambda resize, crop, matte: View(resize=resize, size=32, crop=crop, matte=matte),
    st.sampled_from(["short_side", "squash"]),
    st.sampled_from([None, 7, 28]),
    st.sampled_from(["nearest", "area", "bilinear"]),
)


def facts_of(mask: Mask) -> MaskFacts:
    return MaskFacts(encode_coco_rle(mask), size_hw=(mask.shape[0], mask.shape[1]), record="x")


@settings(max_examples=300, deadline=None)
@given(masks(), views)
def test_facts_are_those_of_the_pixels(mask: Mask, view: View) -> None:
    facts = facts_of(mask)
    assert facts.area_px == mask.sum()
    assert facts.full == mask.all()
    assert facts.tight_box == tight_box(mask)
    on_canvas = view_matte(mask, view)
    assert facts.is_on(view) == on_canvas.any()
    assert facts.fills(view) == on_canvas.all()


@settings(max_examples=300, deadline=None)
@given(st.tuples(st.integers(2, 60), st.integers(2, 60)), st.data(), views, st.booleans())
def test_a_box_has_as_many_pixels_as_its_bounds_say(
    size_hw: tuple[int, int], data: st.DataObject, view: View, cropped: bool
) -> None:
    x0, x1 = sorted(data.draw(st.tuples(st.integers(0, size_hw[1]), st.integers(0, size_hw[1]))))
    y0, y1 = sorted(data.draw(st.tuples(st.integers(0, size_hw[0]), st.integers(0, size_hw[0]))))
    matte = box_matte((x0, y0, x1, y1), size_hw)
    count = (view_matte if cropped else resize_matte)(matte, view).sum()
    bounds = bound_box((x0, y0, x1, y1), size_hw, view, cropped=cropped)
    assert bounds.least <= count <= bounds.most


def test_a_usual_mask_is_judged_without_its_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = facts_of(square_mask((375, 500), (150, 100, 350, 300)))
    monkeypatch.delattr(MaskFacts, "pixels")
    assert facts.is_on(View())
    assert not facts.fills(View())


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"size_hw": (9, 9)}, id="another size"),
        pytest.param({"counts": ""}, id="nothing"),
        pytest.param({"counts": "2"}, id="cut off"),
        pytest.param({"counts": "ö"}, id="no RLE text"),
        pytest.param({"counts": "oooooooooo1"}, id="an endless number"),
        pytest.param({"counts": "Z"}, id="a negative run"),
    ],
)
def test_damage_is_told_as_by_the_codec(changes: dict[str, object]) -> None:
    rle: CocoRle = replace(encode_coco_rle(square_mask((10, 12), (2, 2, 6, 6))), **changes)  # type: ignore[arg-type]
    with pytest.raises(DataError) as by_codec:
        decode_coco_rle(rle, size_hw=(10, 12), record="x")
    with pytest.raises(DataError) as by_facts:
        MaskFacts(rle, size_hw=(10, 12), record="x")
    assert str(by_facts.value) == str(by_codec.value)
