"""Each annotator's figures: counted by hand on few answers."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from answered_photos import accept, add_answer, add_photo, band

from figureground.annotate.agreement.annotators import AnnotatorReport, annotator_reports, honeypot_ious, known_masks
from figureground.annotate.agreement.overlaps import photo_agreements
from figureground.annotate.agreement.report import report_agreement
from figureground.annotate.agreement.report_files import write_agreement
from figureground.annotate.agreement.time_saved import Quartiles
from figureground.schemas.rasters.masks import encode_coco_rle
from figureground.schemas.store.workspace import Workspace


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create(tmp_path) as workspace:
        yield workspace


def reports(store: Workspace) -> dict[str, AnnotatorReport]:
    return {report.annotator: report for report in annotator_reports(store, list(photo_agreements(store)))}


def test_seconds_are_of_the_answers_whose_time_is_known(store: Workspace, tmp_path: Path) -> None:
    for name, seconds in (("a", 10.0), ("b", 30.0), ("c", 0.0)):
        add_answer(store, add_photo(store, name), "p1", {"object": band(2)}, seconds=seconds)
    write_agreement(report_agreement(store), tmp_path / "out")
    (row,) = (
        row
        for row in csv.DictReader((tmp_path / "out" / "annotators.csv").read_text().splitlines())
        if row["figure"] == "seconds"
    )
    assert (row["photos"], row["value"]) == ("2", "20.0")


def test_answers_are_counted_once_for_each_photo(store: Workspace) -> None:
    first, second, third, fourth = (add_photo(store, name) for name in "abcd")
    began: dict[str, Any] = {"proposal_id": "m", "edit_iou": 1.0, "changed_px": 0}
    add_answer(store, first, "p1", {"object": band(2)}, day=1, seconds=90.0, flags=("wrong_label",))
    add_answer(store, first, "p1", {"object": band(2)}, day=2, seconds=10.0, flags=("class_visible_outside",), **began)
    edited: dict[str, Any] = {"proposal_id": "m", "edit_iou": 0.8, "changed_px": 4}
    add_answer(store, second, "p1", {"object": band(2)}, seconds=30.0, **edited)
    add_answer(store, third, "p1", {}, state="skipped")
    add_answer(store, fourth, "p1", {}, state="draft")
    add_answer(store, third, "p1", {"object": band(2)}, day=5, purpose="second_look", seconds=500.0)
    add_answer(store, fourth, "p2", {}, day=1, state="skipped")
    add_answer(store, fourth, "p2", {"object": band(2)}, day=2)
    both = reports(store)
    one, other = both["p1"], both["p2"]
    assert (one.answers, one.skips, one.second_looks) == (2, 1, 1)
    assert one.seconds == Quartiles(lower=15.0, median=20.0, upper=25.0)
    assert (one.edited.value, one.edited.photos, one.untouched, one.edit_iou_median) == (0.5, 2, 0.5, 0.8)
    assert one.flags == {"class_visible_outside": 1}
    assert (other.answers, other.skips, other.seconds, other.edited.value) == (1, 0, None, None)
    assert (other.untouched, other.object_iou.value, other.honeypots.value) == (None, None, None)


def test_agreement_is_with_all_others_of_a_photo(store: Workspace) -> None:
    first, second = add_photo(store, "a"), add_photo(store, "b")
    for who, columns, wet in (("p1", 5, True), ("p2", 10, True), ("p3", 10, False)):
        add_answer(store, first, who, {"object": band(columns)}, attributes={"wet": wet})
    add_answer(store, second, "p1", {"object": band(4)})
    add_answer(store, second, "p2", {"object": band(3)})
    own = reports(store)
    assert own["p1"].object_iou.value == pytest.approx((0.5 + 0.75) / 2)
    assert own["p2"].object_iou.value == pytest.approx(((0.5 + 1) / 2 + 0.75) / 2)
    assert (own["p3"].object_iou.value, own["p3"].object_iou.photos) == (0.75, 1)
    assert [own[who].equal_attributes.value for who in ("p1", "p2", "p3")] == [0.5, 0.5, 0.0]


def test_honeypots_are_held_against_what_was_accepted(store: Workspace) -> None:
    good, bad, open_still = (add_photo(store, name) for name in ("good", "bad", "open"))
    accept(store, add_answer(store, good, "lead", {"object": band(10)}))
    accept(store, add_answer(store, bad, "lead", {"object": band(10)}))
    add_answer(store, open_still, "p1", {"object": band(1)}, purpose="honeypot")
    add_answer(store, good, "p1", {"object": band(1)}, day=2, purpose="honeypot")
    add_answer(store, good, "p1", {"object": band(9)}, day=3, purpose="honeypot")
    add_answer(store, bad, "p1", {"object": band(5)}, day=2, purpose="honeypot")
    add_answer(store, bad, "p2", {}, day=2, purpose="honeypot")
    assert sorted(known_masks(store)) == sorted([good, bad])
    own = reports(store)
    assert own["p1"].honeypots.value == pytest.approx((0.9 + 0.5) / 2)
    assert (own["p1"].honeypots.photos, own["p1"].honeypots_passed) == (2, 1)
    assert (own["p2"].honeypots.value, own["p2"].honeypots_passed) == (0.0, 0)
    assert (own["p1"].answers, own["lead"].answers) == (0, 2)
    assert honeypot_ious(store, {good: encode_coco_rle(band(9))}) == {"p1": [1.0]}


def test_json_has_pseudonyms_and_reasons(store: Workspace) -> None:
    add_answer(store, add_photo(store, "a"), "p1", {"object": band(2)}, proposal_id="m", edit_iou=0.75, changed_px=3)
    report = reports(store)["p1"].to_json()
    assert report["annotator"] == "p1"
    assert report["edited"] == {"value": 1.0, "ci95": [pytest.approx(0.2065, abs=1e-4), 1.0], "photos": 1}
    assert (report["untouched"], report["edit_iou_median"], report["flags"]) == (0.0, 0.75, {})
    assert report["honeypots"] == {"value": None, "ci95": None, "photos": 0}
