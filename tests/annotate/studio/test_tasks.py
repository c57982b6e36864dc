"""Tasks: the machine mask as a region that the page shows, and all that Label Studio would swallow in silence."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import masks
from studio_samples import (
    Json,
    alpha_rle,
    block_mask,
    label_interface,
    make_photo,
    make_proposal,
    make_schema,
    png_bytes,
)

from figureground.annotate.studio import served
from figureground.annotate.studio.projects import MODEL_VERSION
from figureground.annotate.studio.served import ServedView
from figureground.annotate.studio.tasks import (
    TaskSource,
    check_regions,
    check_tasks,
    label_title,
    make_task,
    mask_region,
    segmenter_title,
    uncertainty,
)
from figureground.schemas.pages.labeling import labeling_configuration
from figureground.schemas.rasters.masks import Mask, decode_brush_rle, encode_brush_rle
from figureground.schemas.records import ImageRecord, ProposalRecord


@cache
def interface() -> Any:
    return label_interface(labeling_configuration(make_schema(local=["horns"], ticked=["wet"])))


def task_of(image: ImageRecord, proposal: ProposalRecord | None) -> Json:
    return make_task(
        TaskSource(record=image, proposal=proposal, copy=Path("a.jpg"), address="/data/a.jpg", schema="animals@1")
    )


def faults_of(task: Json, folder: Path, size_wh: tuple[int, int] | None = None) -> list[str]:
    """What ``check_tasks`` says of a task whose served copy has the size that the task says, or another."""
    width, height = size_wh or task["data"]["served_size"]
    copy = folder / "copy.png"
    copy.write_bytes(png_bytes((width, height)))
    return [str(fault) for fault in check_tasks([task], {task["data"]["image_id"]: copy}, interface())]


def test_a_task_says_all_that_reading_it_back_needs() -> None:
    image = make_photo(size_hw=(30, 40), orientation=6)
    proposal = make_proposal(image, score=0.9)
    task = task_of(image, proposal)
    assert task["data"] == {
        "image": "/data/a.jpg",
        "image_id": image.image_id,
        "label": "n02279972",
        "title": "monarch (n02279972)",
        "stored_size": [40, 30],
        "served_size": [30, 40],
        "exif_orientation": 6,
        "schema": "animals@1",
        "proposal_id": proposal.proposal_id,
        "segmenter": "sam-01234567",
        "uncertainty": 0.55,
    }
    (prediction,) = task["predictions"]
    assert prediction["model_version"] == MODEL_VERSION
    assert prediction["score"] == 0.9
    (region,) = prediction["result"]
    assert region["id"] == proposal.proposal_id
    assert (region["original_width"], region["original_height"], region["image_rotation"]) == (30, 40, 0)
    assert (region["type"], region["from_name"], region["to_name"]) == ("brushlabels", "mask", "image")
    assert region["value"]["brushlabels"] == ["object"]
    assert region["origin"] == "prediction"
    mask = decode_brush_rle(region["value"]["rle"], size_hw=(40, 30))
    np.testing.assert_array_equal(mask, np.rot90(block_mask((30, 40)), -1))


def test_a_photo_without_a_machine_mask_is_a_task_too(tmp_path: Path) -> None:
    task = task_of(make_photo(), None)
    assert "predictions" not in task
    assert (task["data"]["proposal_id"], task["data"]["uncertainty"]) == ("", 1.0)
    assert faults_of(task, tmp_path) == []


@given(mask=masks(), orientation=st.integers(1, 8), most=st.integers(1, 2000))
def test_the_region_shows_the_served_mask(mask: Mask, orientation: int, most: int) -> None:
    image = make_photo(size_hw=(mask.shape[0], mask.shape[1]), orientation=orientation)
    with mock.patch.object(served, "MOST_SERVED_PIXELS", most):
        task, view = json.loads(json.dumps(task_of(image, make_proposal(image, mask)))), ServedView.of(image)
    (region,) = task["predictions"][0]["result"]
    rle = region["value"]["rle"]
    shown = decode_brush_rle(rle, size_hw=(region["original_height"], region["original_width"]))
    np.testing.assert_array_equal(shown, view.to_served(mask))
    assert task["data"]["served_size"] == [region["original_width"], region["original_height"]]
    assert encode_brush_rle(shown) == rle


@settings(max_examples=40)
@given(mask=masks(), orientation=st.integers(1, 8), score=st.floats(0, 1))
def test_nothing_is_said_of_good_tasks(mask: Mask, orientation: int, score: float) -> None:
    image = make_photo(size_hw=(mask.shape[0], mask.shape[1]), orientation=orientation)
    with tempfile.TemporaryDirectory() as folder:
        assert faults_of(task_of(image, make_proposal(image, mask, score=score)), Path(folder)) == []


@pytest.mark.parametrize(
    ("score", "stability", "expected"), [(1.0, 1.0, 0.0), (0.8, 0.5, 0.6), (0.0, 1.0, 1.0), (1.5, 1.0, 0.0)]
)
def test_uncertainty_is_what_score_and_stability_leave(score: float, stability: float, expected: float) -> None:
    given_ = make_proposal(make_photo())
    fields = {name: getattr(given_, name) for name in given_.__slots__}
    proposal = ProposalRecord(**{**fields, "score": score, "stability": stability})
    assert uncertainty(proposal) == pytest.approx(expected)
    assert uncertainty(None) == 1.0


def test_a_segmenter_without_weights_has_no_version() -> None:
    given_ = make_proposal(make_photo())
    fields = {name: getattr(given_, name) for name in given_.__slots__}
    assert segmenter_title(ProposalRecord(**{**fields, "segmenter": "grabcut", "checkpoint_sha256": ""})) == "grabcut"


@pytest.mark.parametrize(
    ("label", "title"), [("n02279972", "monarch (n02279972)"), ("cat", "cat"), ("n99999999", "n99999999"), ("", "")]
)
def test_a_label_is_shown_by_name_where_it_has_one(label: str, title: str) -> None:
    assert label_title(label) == title


# What Label Studio would swallow

SIZE = (30, 40)
OTHER_WIDTH = encode_brush_rle(block_mask((30, 44)))


def change_region(**changes: Any) -> Callable[[Json], None]:
    return lambda region: region.update(changes)


def change_value(**changes: Any) -> Callable[[Json], None]:
    return lambda region: region["value"].update(changes)


def truncate(region: Json) -> None:
    region["value"]["rle"] = region["value"]["rle"][:-3]


KILLERS: dict[str, tuple[Callable[[Json], None], str]] = {
    "0/1 mask": (change_value(rle=alpha_rle(block_mask(SIZE).astype(np.uint8))), "255 was meant"),
    "integer id": (change_region(id=17), "expected a region id that is text, got int; the page waits for ever"),
    "no id": (change_region(id=None), "expected a region id that is text, got NoneType"),
    "another width": (
        change_region(original_width=44, value={"format": "rle", "rle": OTHER_WIDTH, "brushlabels": ["object"]}),
        r"expected a mask of 40x30 \(width x height\), the served copy's size, got 44x30; the page would shear it",
    ),
    "a mask of another width under the right one": (
        change_value(rle=OTHER_WIDTH),
        f"expected {4 * 30 * 40} values.* got {4 * 30 * 44}",
    ),
    "no width": (change_region(original_width=None), r"expected a mask of 40x30 .* got \?x30"),
    "sizes swapped": (change_region(original_width=30, original_height=40), "expected a mask of 40x30.*got 30x40"),
    "cut off": (truncate, "values, then the end"),
    "unknown label": (change_value(brushlabels=["hoofs"]), "expected a prediction that the page can show, got .*hoofs"),
    "unknown control": (change_region(from_name="brush"), "expected a prediction that the page can show, got .*brush"),
    "unknown picture": (change_region(to_name="photo"), "expected a prediction that the page can show, got .*photo"),
}


@pytest.mark.parametrize("kind", KILLERS)
def test_a_silent_killer_is_named(tmp_path: Path, kind: str) -> None:
    change, expected = KILLERS[kind]
    image = make_photo(size_hw=SIZE)
    task = task_of(image, make_proposal(image))
    assert faults_of(task, tmp_path) == []
    change(task["predictions"][0]["result"][0])
    faults = faults_of(task, tmp_path)
    assert any(re.search(expected, fault) for fault in faults), faults
    assert all(image.image_id in fault for fault in faults)


def test_a_copy_of_another_size_than_the_mask_is_named(tmp_path: Path) -> None:
    image = make_photo(size_hw=SIZE)
    (fault,) = faults_of(task_of(image, make_proposal(image)), tmp_path, size_wh=(30, 40))
    assert "expected a mask of 30x40 (width x height), the served copy's size, got 40x30" in fault


def test_all_faults_of_all_tasks_are_named(tmp_path: Path) -> None:
    images = [make_photo(name, size_hw=SIZE) for name in "abc"]
    tasks = [task_of(image, make_proposal(image)) for image in images]
    tasks[0]["predictions"][0]["result"][0]["id"] = 4
    truncate(tasks[0]["predictions"][0]["result"][0])
    truncate(tasks[2]["predictions"][0]["result"][0])
    copy = tmp_path / "copy.png"
    copy.write_bytes(png_bytes((40, 30)))
    faults = check_tasks(tasks, {image.image_id: copy for image in images}, interface())
    records = [fault.record[:32] for fault in faults]
    assert images[1].image_id not in records
    assert records.count(images[0].image_id) >= 2
    assert records.count(images[2].image_id) == 1


@given(masks())
def test_regions_of_any_mask_pass_and_other_results_are_not_looked_at(mask: Mask) -> None:
    region = mask_region(mask, region_id="r", label="object")
    choices = {"id": 5, "type": "choices", "from_name": "flags", "value": {"choices": ["wrong_label"]}}
    size_wh = mask.shape[1], mask.shape[0]
    assert check_regions([region, choices], size_wh=size_wh, record="a") == []
    assert "score" not in region
