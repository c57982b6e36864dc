"""A release of consensus masks: what three or more people's answers add up to, marked as nobody's alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from answered_photos import accept, add_answer, add_photo, add_proposal, band

from figureground.annotate.agreement.consensus_masks import ConsensusMethod
from figureground.annotate.decisions import decide
from figureground.annotate.freeze import FreezeOptions, freeze
from figureground.errors import UsageError
from figureground.schemas.rasters.masks import Mask, decode_coco_rle
from figureground.schemas.records import ObjectRecord
from figureground.schemas.store.releases import read_annotation, read_release
from figureground.schemas.store.workspace import Workspace


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create(tmp_path) as workspace:
        yield workspace


def answered(store: Workspace, name: str, *masks: Mapping[str, Mask], **more: Any) -> str:
    """A photo that people answered, one mask or several by name each, and what these answers decide."""
    image_id = add_photo(store, name)
    for number, own in enumerate(masks):
        fields = {key: values[number] for key, values in more.items()}
        add_answer(store, image_id, f"p{number}", own, **fields)
    decision = decide(image_id, list(store.annotations(image_id)))
    assert decision is not None
    store.decide(decision)
    return image_id


def widths(*columns: int) -> list[dict[str, Mask]]:
    return [{"object": band(own)} for own in columns]


def frozen(store: Workspace, method: ConsensusMethod | None = "majority") -> dict[str, ObjectRecord]:
    report = freeze(store, f"v-{method}", FreezeOptions(consensus=method))
    return {record.uri: record for record in read_release(report.path)[1]}


def columns_of(record: ObjectRecord) -> int:
    mask = decode_coco_rle(record.mask)
    np.testing.assert_array_equal(mask, band(int(mask[0].sum())))
    return int(mask[0].sum())


def test_those_who_differ_are_outvoted_and_the_answers_stay(store: Workspace) -> None:
    doubt = answered(store, "doubt", *widths(2, 8, 9))
    answered(store, "alike", *widths(10, 10, 10))
    answered(store, "two", *widths(10, 10))
    before = list(store.annotations())
    assert set(frozen(store, None)) == {"alike", "two"}
    records = frozen(store)
    assert {name: record.state for name, record in records.items()} == {
        "doubt": "consensus",
        "alike": "consensus",
        "two": "accepted",
    }
    assert columns_of(records["doubt"]) == 8
    head, _, ids = records["doubt"].mask_origin.partition(": ")
    assert head == "consensus of 3 people (majority)"
    assert set(ids.split()) == {answer.annotation_id for answer in store.annotations(doubt)}
    assert list(store.annotations()) == before
    assert frozen(store, "staple")["doubt"].mask_origin.startswith("consensus of 3 people (staple): ")
    summary = read_annotation(store.root / "objects" / "v-majority.parquet")["consensus"]
    assert summary == {"method": "majority", "objects": 2, "people": {"3": 2}, "without": {}}


def test_what_people_decided_otherwise_stands(store: Workspace) -> None:
    three = widths(10, 10, 10)
    settled = answered(store, "settled", *widths(2, 8, 9))
    look = add_answer(store, settled, "p9", {"object": band(5)}, day=3, purpose="second_look")
    accept(store, look)
    answered(store, "flagged", *three, flags=[("needs_second",), (), ()])
    answered(store, "wrong", *three, flags=[("wrong_label",)] * 3)
    answered(store, "unpainted", {}, *three)
    answered(store, "none", {"object": band(3)}, {"object": band(3, start=3)}, {"object": band(3, start=6)})
    rle = {"object": band(10)}
    parts = tuple(add_answer(store, add_photo(store, "x"), "p", own).masks["object"] for own in widths(4, 10))
    answered(store, "several", rle, rle, rle, instances=[parts, (), ()])
    mended = answered(store, "mended", *three)
    added = add_answer(store, mended, "p1", {"object": band(7)}, day=5, purpose="new_attributes")
    accept(store, added)
    records = frozen(store)
    assert {name: record.state for name, record in records.items()} == dict.fromkeys(
        ("settled", "several", "mended"), "accepted"
    )
    assert (columns_of(records["settled"]), columns_of(records["mended"])) == (5, 7)
    summary = read_annotation(store.root / "objects" / "v-majority.parquet")["consensus"]
    assert summary["without"] == {
        "answered without an object mask": 1,
        "decided: wrong_label": 1,
        "flagged": 1,
        "mended later": 1,
        "nothing in common": 1,
        "settled by a second look": 1,
        "several objects told apart": 1,
    }


def test_attributes_are_voted_on_and_parts_with_them(store: Workspace) -> None:
    masks = [
        {"object": band(10), "head": band(2), "tail": band(1)},
        {"object": band(10), "head": band(3)},
        {"object": band(10), "head": band(6), "wing": band(4)},
        {"object": band(10)},
    ]
    attributes: list[dict[str, bool | None]] = [
        {"head": True, "tail": True, "wing": None, "wet": True},
        {"head": True, "tail": False, "wing": None, "wet": True},
        {"head": True, "tail": False, "wing": True, "wet": False},
        {"head": False, "tail": False, "wing": None, "wet": None},
    ]
    flags = [("class_visible_outside",), (), (), ()]
    answered(store, "a", *masks, attributes=attributes, flags=flags)
    (record,) = frozen(store).values()
    # One of four painted a wing, the others left it open: nobody voted on it, and it is filled in as ever.
    assert record.attributes == {"head": True, "tail": False, "wet": True, "wing": True}
    assert set(record.attribute_masks) == {"head", "wing"}
    np.testing.assert_array_equal(decode_coco_rle(record.attribute_masks["head"]), band(3))
    assert record.flags == ("class_visible_outside",)


def test_the_same_answers_freeze_to_the_same_bytes(store: Workspace) -> None:
    answered(store, "a", *widths(2, 8, 9))
    answered(store, "b", *widths(3, 4, 9), attributes=[{"wet": True}, {"wet": False}, {"wet": True}])
    options = FreezeOptions(consensus="staple")
    first = freeze(store, "v", options).path.read_bytes()
    assert freeze(store, "v", options).path.read_bytes() == first


def test_lint_checks_the_consensus_and_it_is_counted_once(store: Workspace) -> None:
    answered(store, "a", *widths(2, 8, 9))
    answered(store, "b", *widths(10, 10))
    report = freeze(store, "v", FreezeOptions(consensus="majority", lint="never"))
    assert report.states == {"consensus": 1, "accepted": 1}
    assert report.lint["objects"] == 2
    assert read_annotation(report.path)["consensus"]["people"] == {"3": 1}


def test_checkpoints_are_those_that_the_answers_began_from(store: Workspace) -> None:
    proposal = add_proposal(store, add_photo(store, "a"))
    began = {"proposal_id": [proposal, "", ""], "edit_iou": [0.5, None, None]}
    answered(store, "a", *widths(10, 10, 10), **began)
    frozen(store)
    assert read_annotation(store.root / "objects" / "v-majority.parquet")["checkpoints"] == {"sam": "5a" * 32}


def test_an_unknown_consensus_is_refused(store: Workspace) -> None:
    with pytest.raises(UsageError, match="--consensus mean: expected majority or staple"):
        freeze(store, "v", FreezeOptions(consensus="mean"))  # type: ignore[arg-type]
