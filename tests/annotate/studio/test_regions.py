"""Several regions called object: told apart beside their union, from the answer into the workspace and back."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import masks, square_mask
from studio_samples import make_answer, make_photo, make_proposal, make_schema, painted, said_of, ticked, untouched

from figureground.annotate.studio.answers import AnswerContext, read_answer
from figureground.annotate.studio.home import StudioHome
from figureground.annotate.studio.pseudonyms import Pseudonyms
from figureground.annotate.studio.regions import share_out
from figureground.annotate.studio.served import ServedView
from figureground.errors import DataError
from figureground.schemas.rasters.masks import CocoRle, Mask, decode_coco_rle
from figureground.schemas.records import Annotation, ImageRecord, ProposalRecord
from figureground.schemas.store.workspace import Workspace

SIZE = (30, 40)
IMAGE = make_photo(size_hw=SIZE)
LEFT, RIGHT = (square_mask(SIZE, box) for box in ((4, 4, 14, 20), (14, 6, 30, 20)))  # they touch
LARGE = make_photo("large", size_hw=(1500, 2000))


def context(root: Path, image: ImageRecord = IMAGE, proposal: ProposalRecord | None = None) -> AnswerContext:
    return AnswerContext(
        image=image,
        proposal=proposal,
        schema=make_schema(local=["tail"]),
        purpose="first_look",
        pseudonyms=Pseudonyms(StudioHome.of(root), "server"),
    )


def decoded(rles: tuple[CocoRle, ...]) -> list[Mask]:
    return [decode_coco_rle(rle) for rle in rles]


def assert_told_apart(answer: Annotation, *expected: Mask) -> None:
    instances = decoded(answer.instances)
    assert len(instances) == len(expected)
    for instance, mask in zip(instances, expected, strict=True):
        np.testing.assert_array_equal(instance, mask)
    np.testing.assert_array_equal(decode_coco_rle(answer.masks["object"]), reduce(np.logical_or, expected))


def test_regions_called_object_are_instances_in_the_order_of_the_answer(tmp_path: Path) -> None:
    regions = [painted(RIGHT, region_id="r1"), painted(LEFT, region_id="r2"), painted(LEFT, "tail", region_id="r3")]
    assert_told_apart(read_answer(make_answer(regions), context(tmp_path)), RIGHT, LEFT)


def test_one_region_has_no_instances(tmp_path: Path) -> None:
    nothing, copied = np.zeros(SIZE, np.bool_), painted(LEFT, region_id="copied")
    for others in ([], [painted(nothing, region_id="r2")], [copied], [painted(RIGHT, "tail", region_id="r2")]):
        answer = read_answer(make_answer([painted(LEFT), *others]), context(tmp_path))
        assert answer.instances == ()
        np.testing.assert_array_equal(decode_coco_rle(answer.masks["object"]), LEFT)


def test_instances_may_overlap(tmp_path: Path) -> None:
    behind = square_mask(SIZE, (8, 8, 20, 16))
    answer = read_answer(make_answer([painted(LEFT), painted(behind, region_id="r2")]), context(tmp_path))
    assert_told_apart(answer, LEFT, behind)


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_a_region_beside_the_proposal_is_the_second_instance(tmp_path: Path, orientation: int) -> None:
    image = make_photo(size_hw=SIZE, orientation=orientation)
    proposal = make_proposal(image, LEFT)
    regions = [untouched(image, proposal, LEFT), painted(ServedView.of(image).to_served(RIGHT), region_id="r2")]
    answer = read_answer(make_answer(regions), context(tmp_path, image, proposal))
    assert_told_apart(answer, LEFT, RIGHT)
    assert answer.changed_px == RIGHT.sum()


def test_instances_of_a_scaled_copy_share_the_full_resolution_mask(tmp_path: Path) -> None:
    """The rim that scaling took from the proposal comes back with the mask, and with the nearest instance."""
    rows, columns = np.mgrid[: LARGE.height, : LARGE.width]
    disc = (rows - 700) ** 2 + (columns - 600) ** 2 < 400**2
    proposal, view = make_proposal(LARGE, disc), ServedView.of(LARGE)
    added = square_mask(view.served_hw, (1000, 300, 1400, 900))
    regions = [untouched(LARGE, proposal, disc), painted(added, region_id="r2")]
    answer = read_answer(make_answer(regions), context(tmp_path, LARGE, proposal))
    whole = decode_coco_rle(answer.masks["object"])
    first, second = decoded(answer.instances)
    np.testing.assert_array_equal(first | second, whole)
    assert (disc & ~whole).sum() == 0
    assert (first != disc).sum() < 0.01 * disc.sum()
    assert (second != view.to_stored(added)).sum() < 0.01 * second.sum()


@given(masks(), st.integers(1, 4), st.integers(0, 1000))
def test_shares_are_together_the_mask_that_is_shared_out(whole: Mask, count: int, seed: int) -> None:
    if not whole.any():
        return
    drawn = np.random.default_rng(seed).random((count, *whole.shape)) < 0.2
    shares = share_out(whole, list(drawn))
    np.testing.assert_array_equal(reduce(np.logical_or, shares), whole)
    assert all(share.any() for share in shares)
    inside = [part & whole for part in drawn if (part & whole).any()]
    assert len(shares) == max(len(inside), 1)
    assert all((share | part == share).all() for share, part in zip(shares, inside, strict=False))


def test_pixels_that_no_part_has_go_to_the_nearest() -> None:
    whole = np.ones((1, 9), np.bool_)
    near, far = np.arange(9)[None] < 2, np.arange(9)[None] > 7
    first, second = share_out(whole, [near, far])
    assert (first.sum(), second.sum()) == (5, 4)


def test_the_workspace_keeps_them(tmp_path: Path) -> None:
    answer = read_answer(make_answer([painted(LEFT), painted(RIGHT, region_id="r2")]), context(tmp_path))
    with Workspace.create(tmp_path) as store:
        store.add_images([IMAGE])
        assert store.add_answer(answer, None)
        assert list(store.annotations()) == [answer]
        assert_told_apart(next(store.annotations()), LEFT, RIGHT)


@pytest.mark.parametrize("image", [IMAGE, LARGE], ids=["stored", "scaled"])
def test_a_second_look_takes_an_answer_bit_for_bit_or_what_was_painted_or_nothing(
    tmp_path: Path, image: ImageRecord
) -> None:
    served = ServedView.of(image).served_hw
    halves = [
        square_mask(served, (served[1] // 10, 2, served[1] // 2, served[0] // 2)),
        square_mask(served, (served[1] // 2, 4, served[1] - 3, served[0] // 2 + 1)),
    ]
    first = painted(halves[0])
    results = [first, said_of(first, "occluded"), painted(halves[1], region_id="r2")]
    results.append(ticked("flags", "class_visible_outside", "needs_second"))
    answer = read_answer(make_answer(results), context(tmp_path, image))
    looking = replace(context(tmp_path, image), purpose="second_look", shown={"A": answer})

    def look(*words: str, number: int = 9) -> Annotation:
        mine = [painted(halves[1], region_id="mine"), ticked("settlement", *words)] if words else [painted(halves[1])]
        return read_answer(make_answer(mine, number=number, person=5), looking)

    taken = look("A")
    assert (taken.masks, taken.instances, taken.visibility) == (answer.masks, answer.instances, answer.visibility)
    assert (taken.attributes, taken.tool, taken.flags) == (answer.attributes, "taken", ("class_visible_outside",))
    assert taken.annotator != answer.annotator
    assert taken.annotation_id != answer.annotation_id
    assert (look("painted").masks, look("painted").instances) == (look().masks, ())
    assert look().masks != answer.masks
    assert (look("flagged").masks, look("flagged").instances) == ({}, ())
    with pytest.raises(DataError, match="settlement: expected one of A, painted, flagged, got 'B'"):
        look("B")
