from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from figureground.annotate.proposals.prompts import PromptMode, prompts_for
from figureground.annotate.segmenters.protocol import Candidate, Photo, SegmentationRejected
from figureground.errors import UsageError
from figureground.schemas.rasters.masks import Box
from figureground.schemas.records import ImageRecord, Prompt

PHOTO = np.zeros((30, 40, 3), np.uint8)


class SquareFinder:
    """A saliency model in memory: finds a given box, whatever the photo."""

    name = "saliency"
    checkpoint_sha256 = ""

    def __init__(self, box: Box) -> None:
        self.box = box

    def segment(self, photo_rgb: Photo, prompts: Sequence[Prompt]) -> list[Candidate]:
        x0, y0, x1, y1 = self.box
        mask = np.zeros(photo_rgb.shape[:2], np.bool_)
        mask[y0:y1, x0:x1] = True
        return [Candidate(mask_hw=mask, score=1.0, stability=1.0, prompt=prompt) for prompt in prompts]


def record(*boxes: Box) -> ImageRecord:
    return ImageRecord(
        image_id="a",
        source="s",
        uri="a.png",
        sha256="0" * 64,
        width=40,
        height=30,
        exif_orientation=1,
        label="n01440764",
        source_split="train",
        boxes_xyxy_px=boxes,
        phash="0" * 16,
    )


def annotated(box: Box) -> Prompt:
    return Prompt(kind="box", box_xyxy_px=box, origin="annotated")


@pytest.mark.parametrize("mode", ["box", "auto"])
def test_annotated_boxes_come_first(mode: PromptMode) -> None:
    boxes: list[Box] = [(1, 2, 3, 4), (5, 6, 9, 9)]
    assert prompts_for(mode, record(*boxes), PHOTO, SquareFinder((0, 0, 9, 9))) == [annotated(box) for box in boxes]


@pytest.mark.parametrize("mode", ["box", "auto"])
def test_without_a_box_the_salient_one(mode: PromptMode) -> None:
    (prompt,) = prompts_for(mode, record(), PHOTO, SquareFinder((3, 4, 20, 25)))
    assert prompt == Prompt(kind="box", box_xyxy_px=(3, 4, 20, 25), origin="saliency")


def test_nothing_salient() -> None:
    with pytest.raises(SegmentationRejected) as caught:
        prompts_for("auto", record(), PHOTO, SquareFinder((0, 0, 0, 0)))
    assert caught.value.reason == "no_salient_object"


def test_no_box_and_no_saliency_model() -> None:
    with pytest.raises(SegmentationRejected) as caught:
        prompts_for("box", record(), PHOTO, None)
    assert caught.value.reason == "no_box"
    with pytest.raises(UsageError, match="needs a saliency model"):
        prompts_for("auto", record(), PHOTO, None)


def test_center() -> None:
    (prompt,) = prompts_for("center", record(), PHOTO, None)
    assert prompt == Prompt(kind="point", point_xy_px=(20.0, 15.0), origin="centre")


def test_grid_lies_in_the_middle_of_equal_cells() -> None:
    prompts = prompts_for("grid", record(), PHOTO, None, grid_side=2)
    assert [prompt.point_xy_px for prompt in prompts] == [(10.0, 7.5), (30.0, 7.5), (10.0, 22.5), (30.0, 22.5)]
    assert {prompt.origin for prompt in prompts} == {"grid"}
    assert len(prompts_for("grid", record(), PHOTO, None)) == 256


def test_wrong_calls() -> None:
    with pytest.raises(UsageError, match="at least one point"):
        prompts_for("grid", record(), PHOTO, None, grid_side=0)
    with pytest.raises(UsageError, match="no prompt mode"):
        prompts_for("magic", record(), PHOTO, None)  # type: ignore[arg-type]
