"""Answers as Label Studio gives them back: what was painted, ticked and by whom; damage is a fault, never a guess."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import masks
from studio_samples import (
    Json,
    alpha_rle,
    block_mask,
    make_answer,
    make_draft,
    make_photo,
    make_proposal,
    make_schema,
    noted,
    painted,
    said_of,
    ticked,
    untouched,
)

from figureground.annotate.studio.answers import AnswerContext, read_answer
from figureground.annotate.studio.home import StudioHome
from figureground.annotate.studio.pseudonyms import Pseudonyms
from figureground.annotate.studio.served import ServedView
from figureground.annotate.studio.tasks import TaskSource, make_task
from figureground.errors import DataError
from figureground.schemas.attributes import AttributeSchema
from figureground.schemas.rasters.masks import Mask, decode_coco_rle, encode_brush_rle, encode_coco_rle
from figureground.schemas.records import Annotation, ImageRecord, ProposalRecord

SIZE = (30, 40)
IMAGE = make_photo(size_hw=SIZE)
PROPOSAL = make_proposal(IMAGE)
SENT = block_mask(SIZE)
SCHEMA = make_schema(local=["horns", "tail"], ticked=["wet", "hairy"])


class Reader:
    """Reads answers for one photo, with pseudonyms that last for the test."""

    def __init__(self, root: Path) -> None:
        self.home = StudioHome.of(root)
        self.pseudonyms = Pseudonyms(self.home, "server", {"ann@example.org": 3})

    def __call__(
        self,
        answer: Json,
        *,
        image: ImageRecord = IMAGE,
        proposal: ProposalRecord | None = PROPOSAL,
        schema: AttributeSchema = SCHEMA,
        draft: bool = False,
    ) -> Annotation:
        context = AnswerContext(
            image=image, proposal=proposal, schema=schema, purpose="first_look", pseudonyms=self.pseudonyms
        )
        return read_answer(answer, context, draft=draft)


@pytest.fixture
def read(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


def spot(row: int, column: int, size: int = 3) -> Mask:
    mask = np.zeros(SIZE, dtype=np.bool_)
    mask[row : row + size, column : column + size] = True
    return mask


def objects(answer: Annotation, name: str = "object") -> Mask:
    return decode_coco_rle(answer.masks[name], size_hw=SIZE)


# The object


def test_an_untouched_answer_is_the_proposal(read: Reader) -> None:
    answer = read(make_answer([untouched(IMAGE, PROPOSAL, SENT)]))
    assert answer.masks == {"object": PROPOSAL.rle}
    assert (answer.edit_iou, answer.changed_px, answer.tool) == (1.0, 0, "prediction")
    assert (answer.state, answer.proposal_id, answer.image_id) == ("submitted", PROPOSAL.proposal_id, IMAGE.image_id)
    assert (answer.seconds, answer.updated_at) == (12.5, "2026-05-01T10:05:00.000001Z")
    assert (answer.attribute_schema, answer.purpose) == ("animals@1", "first_look")


def test_an_untouched_answer_keeps_the_instances_of_the_proposal(read: Reader) -> None:
    first, second = spot(2, 3), spot(20, 30, 5)
    proposal = replace(
        make_proposal(IMAGE, first | second), instances=(encode_coco_rle(first), encode_coco_rle(second))
    )
    task = make_task(TaskSource(record=IMAGE, proposal=proposal, copy=Path(), address="", schema=""))
    regions = task["predictions"][0]["result"]
    answer = read(make_answer(regions), proposal=proposal)
    assert (answer.masks, answer.instances) == ({"object": proposal.rle}, proposal.instances)
    assert (answer.edit_iou, answer.changed_px) == (1.0, 0)
    without = read(make_answer(regions[:1]), proposal=proposal)
    assert np.array_equal(objects(without), first)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mask=masks(), orientation=st.integers(1, 8))
def test_an_untouched_answer_is_the_proposal_for_any_photo(read: Reader, mask: Mask, orientation: int) -> None:
    image = make_photo(size_hw=(mask.shape[0], mask.shape[1]), orientation=orientation)
    proposal = make_proposal(image, mask)
    answer = read(make_answer([untouched(image, proposal, mask)]), image=image, proposal=proposal)
    assert answer.masks == ({"object": proposal.rle} if mask.any() else {})
    assert answer.changed_px == (0 if mask.any() else None)


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_what_was_painted_changes_and_nothing_else(read: Reader, orientation: int) -> None:
    image = make_photo(size_hw=SIZE, orientation=orientation)
    proposal = make_proposal(image)
    view = ServedView.of(image)
    expected = (SENT | spot(25, 2)) & ~spot(7, 15, 2)
    region = painted(view.to_served(expected), region_id=proposal.proposal_id, origin="prediction-changed")
    answer = read(make_answer([region]), image=image, proposal=proposal)
    np.testing.assert_array_equal(objects(answer), expected)
    assert answer.tool == "prediction-changed"
    assert answer.changed_px == 9 + 4
    assert answer.edit_iou == pytest.approx((SENT & expected).sum() / (SENT | expected).sum())


def test_alpha_counts_from_one_half_on(read: Reader) -> None:
    alpha = SENT.astype(np.uint8) * 255
    alpha[25, 2:7] = (1, 60, 127, 128, 200)
    region = painted(SENT, region_id=PROPOSAL.proposal_id, origin="prediction-changed", rle=alpha_rle(alpha))
    answer = read(make_answer([region]))
    expected = SENT.copy()
    expected[25, 5:7] = True
    np.testing.assert_array_equal(objects(answer), expected)
    assert answer.changed_px == 2


def test_regions_of_one_name_are_united(read: Reader) -> None:
    regions = [
        untouched(IMAGE, PROPOSAL, SENT),
        painted(spot(20, 30), region_id="r2"),
        painted(spot(1, 1), "tail", region_id="r3"),
        painted(spot(1, 5), "tail", region_id="r4"),
    ]
    answer = read(make_answer(regions))
    np.testing.assert_array_equal(objects(answer), SENT | spot(20, 30))
    np.testing.assert_array_equal(objects(answer, "tail"), spot(1, 1) | spot(1, 5))
    assert answer.tool == "manual+prediction"
    assert answer.attributes["tail"] is True
    assert list(answer.masks) == ["object", "tail"]


def test_a_mask_that_was_deleted_and_painted_again_is_what_was_painted(read: Reader) -> None:
    answer = read(make_answer([painted(spot(20, 20, 8), region_id="other")]))
    np.testing.assert_array_equal(objects(answer), spot(20, 20, 8))
    assert (answer.tool, answer.proposal_id) == ("manual", PROPOSAL.proposal_id)
    assert answer.edit_iou == 0.0
    assert answer.changed_px == SENT.sum() + 64


def test_an_answer_without_an_object_has_no_mask(read: Reader) -> None:
    empty = painted(np.zeros(SIZE, dtype=np.bool_), region_id="r9")
    for results in ([], [empty], [painted(spot(1, 1), "tail")]):
        answer = read(make_answer(results))
        assert "object" not in answer.masks
        assert (answer.edit_iou, answer.changed_px) == (None, None)
        assert answer.state == "submitted"


def test_an_answer_that_began_from_nothing_is_what_was_painted(read: Reader) -> None:
    answer = read(make_answer([painted(spot(3, 3))]), proposal=None)
    np.testing.assert_array_equal(objects(answer), spot(3, 3))
    assert (answer.edit_iou, answer.changed_px, answer.proposal_id) == (None, None, "")


# What was said


def test_attributes_are_what_was_painted_and_ticked(read: Reader) -> None:
    results = [painted(spot(1, 1), "tail"), ticked("attributes", "hairy")]
    assert read(make_answer(results)).attributes == {"horns": None, "tail": True, "wet": False, "hairy": True}
    assert read(make_answer([])).attributes == {"horns": None, "tail": None, "wet": False, "hairy": False}


def test_a_part_that_is_not_painted_is_absent_once_somebody_says_that_there_is_no_other(read: Reader) -> None:
    no_others = ticked("parts", "no_other_parts")
    horns = painted(spot(9, 9), "horns", region_id="h")
    tail = painted(spot(1, 1), "tail", region_id="t")
    assert read(make_answer([no_others])).attributes == dict.fromkeys(SCHEMA.names(), False)
    assert read(make_answer([horns, no_others])).attributes == {
        "horns": True,
        "tail": False,
        "wet": False,
        "hairy": False,
    }
    unsure = read(make_answer([tail, said_of(tail, "unsure"), no_others]))
    assert (unsure.attributes["tail"], unsure.attributes["horns"]) == (None, False)
    empty = painted(np.zeros(SIZE, dtype=np.bool_), "tail", region_id="e")
    assert read(make_answer([empty])).attributes["tail"] is None
    with pytest.raises(DataError, match="parts"):
        read(make_answer([ticked("parts", "all_of_them")]))


def test_a_part_that_somebody_is_unsure_of_is_neither_there_nor_not(read: Reader) -> None:
    tail, horns = painted(spot(1, 1), "tail", region_id="t"), painted(spot(9, 9), "horns", region_id="h")
    other_tail = painted(spot(5, 5), "tail", region_id="t2")
    results = [
        said_of(tail, "unsure"),
        tail,
        horns,
        other_tail,
        said_of(other_tail, "visible"),
        said_of(horns, "occluded"),
    ]
    answer = read(make_answer(results))
    assert answer.attributes == {"horns": True, "tail": None, "wet": False, "hairy": False}
    assert answer.visibility == {"horns": "occluded", "tail": "unsure"}
    np.testing.assert_array_equal(objects(answer, "tail"), spot(1, 1) | spot(5, 5))


def test_a_copy_of_a_region_in_what_is_said_of_it_is_not_a_second_region(read: Reader) -> None:
    region = untouched(IMAGE, PROPOSAL, SENT)
    choice = said_of(region, "visible")
    choice["value"]["rle"] = choice["value"]["rle"][:-4]  # nobody reads it
    answer = read(make_answer([region, choice]))
    assert answer.masks == {"object": PROPOSAL.rle}
    assert answer.visibility == {"object": "visible"}


def test_the_order_of_ticks_does_not_count(read: Reader) -> None:
    one = [ticked("flags", "wrong_label", "needs_second"), ticked("attributes", "wet", "hairy")]
    other = [ticked("attributes", "hairy", "wet"), ticked("flags", "needs_second", "wrong_label")]
    assert read(make_answer(one)) == read(make_answer(other))
    assert read(make_answer(one)).flags == ("needs_second", "wrong_label")


def test_a_prompt_that_was_left_behind_and_the_tick_for_no_other_parts_are_no_faults(read: Reader) -> None:
    """SAM's suggestion is lost if it is not taken, and its click stays in the answer."""
    click = {"x": 44.9, "y": 40.0, "width": 0.47, "labels": []}
    prompt = {**painted(SENT), "id": "qnQl1JdMs5", "from_name": "sam_point", "type": "keypoint", "value": click}
    answer = read(make_answer([painted(SENT), prompt, ticked("parts", "no_other_parts")]))
    assert answer.masks == {"object": PROPOSAL.rle}
    assert answer.instances == ()
    assert answer.flags == ()


def test_notes_are_kept(read: Reader) -> None:
    assert read(make_answer([noted("it is <b>cut</b>", "off")])).note == "it is <b>cut</b>\noff"
    assert read(make_answer([])).note == ""


@pytest.mark.parametrize("word", ["horns", "antlers"])
def test_what_was_said_under_the_old_name_counts_for_the_new(read: Reader, word: str) -> None:
    schema = make_schema(local=["antlers"], ticked=["furry"], was={"antlers": "horns", "furry": "hairy"}, version="2")
    old_name = {"horns": "hairy", "antlers": "furry"}[word]
    region = painted(spot(4, 4), word)
    answer = read(make_answer([region, said_of(region, "visible"), ticked("attributes", old_name)]), schema=schema)
    assert answer.attributes == {"antlers": True, "furry": True}
    assert set(answer.masks) == {"antlers"}
    assert answer.visibility == {"antlers": "visible"}
    assert answer.attribute_schema == "animals@2"


def test_what_draws_nothing_and_was_not_asked_is_passed_over(read: Reader) -> None:
    region = untouched(IMAGE, PROPOSAL, SENT)
    strangers: list[Json] = [
        {
            "id": "x",
            "type": "rectanglelabels",
            "from_name": "sam_box",
            "value": {"x": 1, "rectanglelabels": ["object"]},
        },
        {"id": "z", "type": "choices", "from_name": "mood", "value": {"choices": ["wet"]}},
        {"id": "q", "type": "relation"},
        {**ticked("visibility", "unsure"), "id": "nobody"},
    ]
    assert read(make_answer([region, *strangers])) == read(make_answer([region]))


# Who, and in which state


def test_a_skipped_answer_is_kept_as_such(read: Reader) -> None:
    answer = read(make_answer([], was_cancelled=True))
    assert (answer.state, answer.masks, answer.tool) == ("skipped", {}, "")


def test_a_draft_is_kept_as_such_and_never_taken_for_an_answer(read: Reader) -> None:
    region = untouched(IMAGE, PROPOSAL, SENT)
    draft = read(make_draft([region]), draft=True)
    assert (draft.state, draft.seconds, draft.edited_by) == ("draft", 2.0, "")
    answer = read(make_answer([region]))
    assert draft.annotation_id != answer.annotation_id
    assert draft.annotator == answer.annotator  # known by address in one, by number in the other


def test_a_changed_answer_keeps_its_id(read: Reader) -> None:
    first = read(make_answer([]))
    later = read(make_answer([], updated_at="2026-05-01T11:00:00.000001Z"))
    assert (first.annotation_id, first.updated_at) != (later.annotation_id, later.updated_at)
    assert first.annotation_id == later.annotation_id
    ids = {
        read(make_answer([], number=2)).annotation_id,
        read(make_answer([], created_at="2026-05-01T09:00:00Z")).annotation_id,
        read(make_answer([]), image=make_photo("b", size_hw=SIZE), proposal=None).annotation_id,
        first.annotation_id,
    }
    assert len(ids) == 4


@pytest.mark.parametrize("person", [3, {"id": 3, "email": "ann@example.org", "first_name": ""}])
def test_who_changed_an_answer_of_another_is_told(read: Reader, person: Any) -> None:
    own = read(make_answer([], completed_by=person, updated_by=3))
    edited = read(make_answer([], completed_by=person, updated_by=8))
    assert own.edited_by == ""
    assert edited.annotator == own.annotator
    assert edited.edited_by == read(make_answer([], person=8)).annotator != own.annotator
    assert read(make_answer([], completed_by=person, updated_by=None)).edited_by == ""


def test_people_are_random_names_that_stay(read: Reader, tmp_path: Path) -> None:
    names = [read(make_answer([], person=person)).annotator for person in (3, 4, 3)]
    assert names[0] == names[2] != names[1]
    again = Reader(tmp_path)
    assert [again(make_answer([], person=person)).annotator for person in (4, 3)] == [names[1], names[0]]
    assert Reader(tmp_path / "other")(make_answer([], person=3)).annotator not in names
    drafted = read(make_draft([], person="bob@example.org"), draft=True)
    assert drafted.annotator not in names
    assert not any(secret in repr(drafted) for secret in ("bob", "example", "@example"))


def test_an_answer_of_nobody_has_no_name(read: Reader) -> None:
    answer = read(make_answer([], completed_by=None, updated_by=None, lead_time=None))
    assert (answer.annotator, answer.edited_by, answer.seconds) == ("", "", 0.0)


# Damage

GOOD = encode_brush_rle(SENT)
OTHER_SIZE = r"the served copy's 40x30 \(width x height\), got "
DAMAGE: dict[str, tuple[dict[str, Any], str]] = {
    "another width": ({"original_width": 41}, f"{OTHER_SIZE}41x30; delete the region"),
    "swapped sides": ({"original_width": 30, "original_height": 40}, f"{OTHER_SIZE}30x40"),
    "no size": ({"original_width": None, "original_height": None}, rf"{OTHER_SIZE}\?x\?"),
    "cut off": ({"rle": GOOD[:-2]}, "values, then the end"),
    "another photo's": ({"rle": encode_brush_rle(block_mask((31, 40)))}, "expected 4800 values.* got 4960"),
    "the same number of pixels, more bytes": ({"rle": [*GOOD, 9]}, "the end of the RLE"),
    "0/1": ({"rle": alpha_rle(SENT.astype(np.uint8))}, "255 was meant"),
    "none": ({"rle": None}, "header of 53 bits"),
    "text": ({"rle": "0000"}, "numbers from 0 to 255"),
}


def damaged(kind: str, region_id: str) -> Json:
    changes = dict(DAMAGE[kind][0])
    region = painted(SENT, region_id=region_id)
    if "rle" in changes:
        region["value"]["rle"] = changes.pop("rle")
    return {**region, **changes}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_names_photo_answer_and_region(read: Reader, kind: str) -> None:
    with pytest.raises(DataError, match=DAMAGE[kind][1]) as caught:
        read(make_answer([damaged(kind, "r5")], number=71))
    (fault,) = caught.value.faults
    assert fault.record == f"{IMAGE.image_id} answer 71 region r5"


def test_all_faults_of_an_answer_are_told_together(read: Reader) -> None:
    results = [damaged("another width", "r1"), untouched(IMAGE, PROPOSAL, SENT), damaged("cut off", "r2")]
    results += [damaged("swapped sides", "r3")]
    with pytest.raises(DataError) as caught:
        read(make_answer(results))
    assert sorted(fault.record[-2:] for fault in caught.value.faults) == ["r1", "r2", "r3"]


def test_a_mask_of_the_stored_raster_is_refused_for_a_turned_photo(read: Reader) -> None:
    image = make_photo(size_hw=SIZE, orientation=6)
    with pytest.raises(DataError, match=r"served copy's 30x40 \(width x height\), got 40x30"):
        read(make_answer([painted(SENT)]), image=image, proposal=make_proposal(image))


def test_a_proposal_of_another_size_is_refused(read: Reader) -> None:
    other = make_proposal(make_photo(size_hw=(10, 10)))
    assert encode_coco_rle(SENT).size_hw != other.rle.size_hw
    with pytest.raises(DataError, match=r"expected size 40x30 \(width x height\), got 10x10"):
        read(make_answer([painted(SENT)]), proposal=other)
