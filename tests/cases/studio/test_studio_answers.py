"""Answers: what cannot be read bars its photo, nobody is not somebody, and one hostile answer aborts no other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pulled_exports import GOOD, MASK, NONE, OTHER, A, B, faults_of, pull, state_of
from shared_cases import copy_case, run_here
from studio_samples import (
    Json,
    block_mask,
    make_answer,
    make_draft,
    make_export,
    make_schema,
    note_project,
    painted,
    said_of,
    ticked,
)

from figureground.annotate.agreement.agreement import measure_agreement
from figureground.annotate.agreement.overlaps import photo_agreements
from figureground.annotate.annotation_summary import summarise_annotation
from figureground.annotate.decisions import answer_makers, newest_answers
from figureground.schemas.rasters.masks import encode_bitmask
from figureground.schemas.store.workspace import Workspace


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create(tmp_path / "work") as workspace:
        workspace.add_images([A, B])
        yield workspace


def of_nobody(*results: Json, number: int, at: str = "05", **changes: Any) -> Json:
    return make_answer(results, number=number, at=at, **{"completed_by": None, "updated_by": None, **changes})


# Nobody is not somebody

NOBODIES: dict[str, Any] = {
    "null": None,
    "an empty text": "",
    "spaces": "  ",
    "an object without an id": {"id": None, "email": None},
    "an empty object": {},
}


@pytest.mark.parametrize("who", NOBODIES)
def test_two_answers_without_author_are_of_two_people(store: Workspace, who: str) -> None:
    one, two = (
        of_nobody(painted(mask), number=number, at=at, completed_by=NOBODIES[who])
        for number, at, mask in ((1, "05", MASK), (2, "06", OTHER))
    )
    pull(store, make_export(A, [one, two]))
    assert state_of(store) == "needs_second"
    assert len(newest_answers(list(store.annotations()))) == 2


def test_two_that_agree_are_accepted_and_their_agreement_is_measured(store: Workspace) -> None:
    pull(
        store, make_export(A, [of_nobody(painted(MASK), number=1), of_nobody(painted(OTHER), number=2, at="06")]), GOOD
    )
    assert state_of(store) == "needs_second"
    (photo,) = photo_agreements(store)
    assert len(set(photo.pairs[0].annotators)) == 2
    assert measure_agreement([photo]).masks["object"].iou.value == 0
    summary = summarise_annotation(store, {A.image_id: "", B.image_id: ""})
    assert (summary["answers"], summary["annotators"], summary["answers_without_author"]) == (3, 1, 2)


def test_votes_of_two_nobodies_on_an_attribute_are_two(store: Workspace) -> None:
    schema = make_schema(ticked=["wet"])
    one, two = of_nobody(painted(MASK), ticked("attributes", "wet"), number=1), of_nobody(painted(MASK), number=2)
    pull(store, make_export(A, [one, two]), schema=schema)
    (photo,) = photo_agreements(store)
    assert sorted(photo.votes["wet"].values()) == [False, True]
    assert state_of(store) == "needs_second"


def test_a_later_state_of_an_answer_without_author_replaces_itself_alone(store: Workspace) -> None:
    pull(store, make_export(A, [of_nobody(painted(OTHER), number=1)]))
    later = of_nobody(painted(MASK), number=1, updated_at="2026-05-01T11:00:00Z")
    pull(store, make_export(A, [later]))
    assert state_of(store) == "accepted"
    (newest,) = newest_answers(list(store.annotations()))
    assert newest.updated_at.startswith("2026-05-01T11")


def test_an_answer_keeps_its_author_when_the_account_is_deleted(store: Workspace) -> None:
    pull(store, make_export(A, [make_answer([painted(OTHER)])]))
    pull(store, make_export(A, [of_nobody(painted(MASK), number=1, updated_at="2026-05-01T11:00:00Z")]))
    stored = list(store.annotations())
    assert len(set(answer_makers(stored))) == 1
    assert state_of(store) == "accepted"


@pytest.mark.parametrize("first", [None, 3])
def test_a_second_look_without_author_settles_nothing(store: Workspace, first: int | None) -> None:
    note_project(store, NONE, since="2026-05-01T10:00:00+00:00")
    note_project(store, NONE, since="2026-05-01T10:00:00+00:00", project=8, purpose="second_look")
    doubt = make_answer([painted(MASK), ticked("flags", "needs_second")], completed_by=first, updated_by=first)
    look = of_nobody(painted(OTHER), number=2, at="06")
    report = pull(store, make_export(A, [doubt]), {**make_export(A, [look]), "project": 8}, schema=None)
    assert state_of(store) == "needs_second"
    assert report.unsettled == 1
    named = make_answer([painted(OTHER)], number=3, person=5, at="07")
    pull(store, {**make_export(A, [named]), "project": 8}, schema=None)
    assert state_of(store) == "accepted"


# What cannot be read bars its photo


def foreign(kind: str, control: str = "mask", **value: Any) -> Json:
    return {**painted(MASK), "id": "r2", "type": kind, "from_name": control, "value": value}


RLE = painted(OTHER)["value"]["rle"]
UNREAD: dict[str, Json] = {
    "a polygon": foreign("polygonlabels", points=[[1, 1], [9, 1], [9, 9]], polygonlabels=["object"]),
    "a polygon without a label": foreign("polygon", points=[[1, 1], [9, 1], [9, 9]]),
    "a rectangle": foreign("rectanglelabels", x=1, y=1, width=9, height=9, rectanglelabels=["object"]),
    "an ellipse": foreign("ellipselabels", x=9, y=9, radiusX=3, radiusY=3, ellipselabels=["object"]),
    "a vector": foreign("vectorlabels", vertices=[[1, 1]], vectorlabels=["object"]),
    "a key point of another control": foreign("keypointlabels", "spot", x=1, y=1, keypointlabels=["object"]),
    "a brush of another control": foreign("brushlabels", "tag", rle=RLE, brushlabels=["object"]),
    "a bitmask of another control": foreign("bitmasklabels", "tag", imageDataURL="", bitmasklabels=["object"]),
    "a brush without a control": foreign("brushlabels", "", rle=RLE, brushlabels=["object"]),
    "a kind without a name": foreign("", rle=RLE),
    "a brush whose label was taken off": foreign("brush", rle=RLE),
    "a bitmask whose label was taken off": foreign("bitmask", imageDataURL=encode_bitmask(OTHER)),
    "a brush with no labels": foreign("brushlabels", rle=RLE, brushlabels=[]),
    "a brush that lacks labels": foreign("brushlabels", rle=RLE),
    "a bitmask with no labels": foreign("bitmasklabels", imageDataURL=encode_bitmask(OTHER), bitmasklabels=[]),
    "what was said of a region that is not there": said_of(painted(OTHER, region_id="r2"), "occluded"),
    "labels of another control alone": foreign("labels", "tag", rle=RLE, labels=["object"]),
    "a bitmask that is none": foreign(
        "bitmasklabels", imageDataURL="data:image/png;base64,AAAA", bitmasklabels=["object"]
    ),
    "a bitmask without a picture": foreign("bitmasklabels", bitmasklabels=["object"]),
    "a bitmask of another size": foreign(
        "bitmasklabels", imageDataURL=encode_bitmask(block_mask((9, 9))), bitmasklabels=["object"]
    ),
    "flags in another form": {**ticked("flags", "wrong_label"), "id": "r2", "type": "taxonomy"},
}


@pytest.mark.parametrize("kind", UNREAD)
def test_a_region_that_is_not_read_is_named_and_its_photo_barred(store: Workspace, kind: str) -> None:
    half = make_answer([painted(MASK), UNREAD[kind]], number=41)
    whole = make_answer([painted(MASK)], number=42, person=4)
    lines, report = faults_of(store, {**make_export(A, [half, whole]), "id": 17}, GOOD)
    (line,) = lines
    assert "photos: a.jpg answer 41" in line
    assert "(task 17)" in line
    assert ("region r2" in line) != (kind == "flags in another form")
    assert [answer.image_id for answer in store.annotations()] == [B.image_id]
    assert (state_of(store), state_of(store, B)) == ("", "accepted")
    assert (report.barred, report.answers["submitted"]) == (1, 1)


def test_an_answer_of_another_task_does_not_decide_beside_one_that_cannot_be_read(store: Workspace) -> None:
    whole = make_export(A, [make_answer([painted(MASK)], number=42, person=4)])
    half = make_export(A, [make_answer([painted(MASK), UNREAD["a polygon"]], number=41)])
    faults_of(store, whole, {**half, "id": 2}, GOOD)
    assert state_of(store) == ""
    mended = make_export(A, [make_answer([painted(OTHER)], number=41)])
    pull(store, whole, {**mended, "id": 2})
    assert state_of(store) == "needs_second"


def test_a_task_that_is_none_bars_its_photo(store: Workspace) -> None:
    whole = make_export(A, [make_answer([painted(MASK)])])
    lines, _ = faults_of(store, whole, {**whole, "id": 5, "annotations": {}}, GOOD)
    assert "task 5" in lines[0]
    assert (state_of(store), state_of(store, B)) == ("", "accepted")


def test_a_draft_that_cannot_be_read_bars_nothing(store: Workspace) -> None:
    task = make_export(A, [make_answer([painted(MASK)])], drafts=[make_draft([UNREAD["a polygon"]])])
    faults_of(store, task)
    assert state_of(store) == "accepted"


def test_a_bitmask_is_read_as_a_brush_is(store: Workspace) -> None:
    region = foreign("bitmasklabels", imageDataURL=encode_bitmask(MASK), bitmasklabels=["object"])
    pull(store, make_export(A, [make_answer([region, said_of({**painted(MASK), "id": "r2"}, "occluded")])]), GOOD)
    bitmask, brush = sorted(store.annotations(), key=lambda answer: answer.image_id != A.image_id)
    assert bitmask.masks == brush.masks
    assert bitmask.visibility == {"object": "occluded"}
    assert state_of(store) == "accepted"


def test_what_is_passed_over_is_counted_once_with_its_reason(store: Workspace) -> None:
    prompt = {**foreign("keypoint", "sam_point", x=1, y=1, width=1), "id": "p1"}
    rest = [
        prompt,
        {**said_of(painted(MASK), "visible"), "id": "p1"},
        ticked("mood", "glad"),
        {"id": "q", "type": "relation"},
        painted(np.zeros_like(MASK), region_id="r9"),
    ]
    task = make_export(A, [make_answer([painted(MASK), *rest])])
    assert dict(pull(store, task).passed_over) == {
        "prompts of the interactive SAM": 1,
        "visibilities of regions that are none": 1,
        "choices of mood, which the page does not have": 1,
        "relation of no control, which the page does not have": 1,
        "regions in which nothing is painted": 1,
    }
    assert dict(pull(store, task).passed_over) == {}
    assert pull(store, make_export(A, [None, 7])).passed_over == {"entries that are no answers": 2}  # type: ignore[list-item]


# The shared cases

Check = tuple[str, int, dict[str, int], list[str]]
SHARED_CASES: dict[str, Check] = {
    "01": ("01_ls_deleted_users/export.json", 0, {"needs_second": 2}, []),
    "02": (
        "02_ls_region_without_label/export.json",
        1,
        {},
        ["a.jpg answer 1 region r2", "b.jpg answer 2 region r3", "c.jpg answer 3 region r4"],
    ),
    "21 bom": ("21_ls_json_min_and_bom/bom.json", 0, {"accepted": 1}, []),
    "21 good": ("21_ls_json_min_and_bom/good.json", 0, {"accepted": 1}, []),
    "21 min": ("21_ls_json_min_and_bom/min.json", 1, {}, ["export as JSON, not JSON-MIN"]),
    "22": ("22_ls_fault_without_a_place/export.json", 1, {"accepted": 2}, ["a.jpg answer 1: updated_at (task 1)"]),
    "25": (
        "25_ls_regions_of_other_kinds/export.json",
        1,
        {"accepted": 2},
        ["a.jpg answer 1 region p1", "polygonlabels of mask", "c.jpg answer 3 region t1", "brushlabels of tag"],
    ),
}


@pytest.mark.parametrize("case", SHARED_CASES)
def test_the_shared_cases_come_out_right(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name, expected, decisions, words = SHARED_CASES[case]
    folder, file = name.split("/")
    path = copy_case(f"annotate/{folder}", tmp_path)
    work = tmp_path / "work"
    assert run_here(capsys, "index", path / "photos", "-w", work)[0] == 0
    pull_words = ("studio", "pull", "-w", work, "--from-export", path / file, "--attributes", "none", "--json")
    code, out, err = run_here(capsys, *pull_words)
    assert code == expected
    assert (json.loads(out)["decisions"] if out else {}) == decisions
    assert [word for word in words if word not in " ".join(err.split())] == []
