from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from needs import SHARED, need, need_shared
from PIL import Image
from skimage import data

from figureground.annotate.segmenters.checkpoints import fetch_checkpoint
from figureground.annotate.segmenters.loading import load_segmenter
from figureground.annotate.segmenters.protocol import Photo
from figureground.annotate.segmenters.saliency import SaliencySegmenter, box_of
from figureground.errors import DataError, ServiceError, UsageError
from figureground.schemas.rasters.masks import decode_png1, mask_iou, tight_box
from figureground.schemas.records import Prompt

pytest.importorskip("onnxruntime")

BUTTERFLIES = SHARED / "masked" / "leeds_butterfly"
WHOLE = Prompt(kind="none", origin="saliency")


def chelsea() -> Photo:
    return np.asarray(data.chelsea())  # type: ignore[no-untyped-call]  # scikit-image has no annotations


@pytest.fixture(scope="module")
def segmenter() -> SaliencySegmenter:
    try:
        return SaliencySegmenter(threads=2)
    except ServiceError as error:
        need(False, str(error))
        raise


def test_finds_the_cat(segmenter: SaliencySegmenter) -> None:
    photo = chelsea()
    (candidate,) = segmenter.segment(photo, [WHOLE])
    assert candidate.mask_hw.shape == photo.shape[:2]
    assert candidate.mask_hw.dtype == np.bool_
    assert candidate.mask_hw[140, 230]  # its face
    assert not candidate.mask_hw[10, 10]
    assert 0.5 < candidate.score <= 1.0
    assert 0.0 < candidate.stability < 1.0
    assert candidate.prompt == WHOLE


def test_agrees_with_real_masks(segmenter: SaliencySegmenter) -> None:
    need_shared(BUTTERFLIES)
    ious = []
    for mask_path in sorted((BUTTERFLIES / "masks").glob("*.png"))[::20]:
        photo = np.asarray(Image.open(BUTTERFLIES / "images" / f"{mask_path.stem}.jpg").convert("RGB"))
        (candidate,) = segmenter.segment(photo, [WHOLE])
        ious.append(mask_iou(candidate.mask_hw, decode_png1(mask_path.read_bytes())))
    assert np.mean(ious) > 0.85


def test_the_same_mask_twice(segmenter: SaliencySegmenter) -> None:
    first, second = (segmenter.segment(chelsea(), [WHOLE])[0] for _ in range(2))
    assert np.array_equal(first.mask_hw, second.mask_hw)
    assert first.score == second.score


def test_a_box_keeps_what_lies_inside_it(segmenter: SaliencySegmenter) -> None:
    box = Prompt(kind="box", box_xyxy_px=(100, 50, 250, 200), origin="annotated")
    whole, part = segmenter.segment(chelsea(), [WHOLE, box])
    inside = np.zeros_like(whole.mask_hw)
    inside[50:200, 100:250] = True
    assert np.array_equal(part.mask_hw, whole.mask_hw & inside)
    assert part.prompt == box


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_flat_photo_has_bounded_numbers(segmenter: SaliencySegmenter, value: int) -> None:
    (candidate,) = segmenter.segment(np.full((40, 60, 3), value, np.uint8), [WHOLE])
    assert candidate.mask_hw.shape == (40, 60)
    assert 0.0 <= candidate.score <= 1.0
    assert 0.0 <= candidate.stability <= 1.0


def test_one_pixel_photo(segmenter: SaliencySegmenter) -> None:
    assert segmenter.segment(np.zeros((1, 1, 3), np.uint8), [WHOLE])[0].mask_hw.shape == (1, 1)


def test_a_point_is_refused(segmenter: SaliencySegmenter) -> None:
    with pytest.raises(UsageError, match="got a point"):
        segmenter.segment(chelsea(), [Prompt(kind="point", point_xy_px=(1.0, 1.0))])


def test_no_prompts_no_candidates(segmenter: SaliencySegmenter) -> None:
    assert segmenter.segment(chelsea(), []) == []


def test_checkpoint_is_the_pinned_file(segmenter: SaliencySegmenter) -> None:
    assert segmenter.checkpoint_sha256 == fetch_checkpoint("u2netp").sha256


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "own.onnx"
    path.write_bytes(b"not a model")
    with pytest.raises(DataError, match="a model that ONNX Runtime runs"):
        load_segmenter("saliency", checkpoint=path)


class TestBoxOf:
    def test_empty(self) -> None:
        assert box_of(np.zeros((4, 5), np.bool_)) is None

    def test_a_speck_far_away_is_left_out(self) -> None:
        mask = np.zeros((50, 60), np.bool_)
        mask[10:30, 10:30] = True
        mask[45, 55] = True
        assert tight_box(mask) == (10, 10, 56, 46)
        assert box_of(mask) == (10, 10, 30, 30)

    def test_of_two_like_objects_both_are_in(self) -> None:
        mask = np.zeros((50, 60), np.bool_)
        mask[10:30, 5:20] = True
        mask[10:30, 40:55] = True
        assert box_of(mask) == (5, 10, 55, 30)

    def test_diagonal_neighbours_are_one_component(self) -> None:
        assert box_of(np.eye(6, dtype=np.bool_)) == (0, 0, 6, 6)
