from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from figureground.annotate.segmenters.grabcut import GrabCutSegmenter, grabcut_rect
from figureground.annotate.segmenters.loading import load_segmenter
from figureground.annotate.segmenters.protocol import Photo, SegmentationRejected
from figureground.errors import UsageError
from figureground.schemas.rasters.masks import Box, mask_iou
from figureground.schemas.records import Prompt

CAT: Box = (10, 5, 215, 145)


def chelsea() -> Photo:
    """A cat, every second pixel of it: 150 x 226."""
    photo = np.asarray(data.chelsea())  # type: ignore[no-untyped-call]  # scikit-image has no annotations
    return np.ascontiguousarray(photo[::2, ::2])


def boxed(*boxes: Box) -> list[Prompt]:
    return [Prompt(kind="box", box_xyxy_px=box, origin="annotated") for box in boxes]


def photo_of_a_disc() -> Photo:
    """A red disc of radius 30 in the middle of a noisy green 120 x 160 ground."""
    bits = np.random.Generator(np.random.PCG64(0))
    photo = bits.integers(0, 40, (120, 160, 3), dtype=np.uint8)
    photo[..., 1] += 120
    rows, columns = np.mgrid[:120, :160]
    photo[(rows - 60) ** 2 + (columns - 80) ** 2 < 900] = (200, 30, 30)
    return photo


def original_mask(photo: Photo, voc: tuple[int, int, int, int]) -> NDArray[Any]:
    """ImageNet-9's own lines, with Pascal VOC's inclusive corners."""
    x0, y0, x1, y1 = voc
    mask = np.zeros(photo.shape[:2], np.uint8)
    cv2.setRNGSeed(0)
    models = np.zeros((1, 65), np.float64), np.zeros((1, 65), np.float64)
    cv2.grabCut(photo, mask, (x0, y0, x1 - x0, y1 - y0), *models, 5, cv2.GC_INIT_WITH_RECT)
    return np.where((mask == 2) | (mask == 0), 0, 1).astype("uint8")


def test_the_rectangle_is_that_of_the_inclusive_corners() -> None:
    voc = (45, 25, 114, 94)
    x0, y0, x1, y1 = voc
    assert grabcut_rect((x0, y0, x1 + 1, y1 + 1)) == (x0, y0, x1 - x0, y1 - y0)


@pytest.mark.parametrize("photo", [photo_of_a_disc(), chelsea()], ids=["disc", "chelsea"])
def test_equal_to_the_original_code(photo: Photo) -> None:
    height, width = photo.shape[:2]
    voc = (width // 8, height // 8, width - width // 8, height - height // 8)
    (candidate,) = GrabCutSegmenter().segment(photo, boxed((voc[0], voc[1], voc[2] + 1, voc[3] + 1)))
    assert np.array_equal(candidate.mask_hw, original_mask(photo, voc).astype(bool))


def test_finds_the_disc() -> None:
    (candidate,) = GrabCutSegmenter().segment(photo_of_a_disc(), boxed((45, 25, 116, 96)))
    rows, columns = np.mgrid[:120, :160]
    disc = (rows - 60) ** 2 + (columns - 80) ** 2 < 900
    assert (candidate.mask_hw & disc).sum() / (candidate.mask_hw | disc).sum() > 0.99
    assert (candidate.score, candidate.stability) == (1.0, 1.0)


def test_nothing_outside_the_box() -> None:
    (candidate,) = GrabCutSegmenter().segment(chelsea(), boxed(CAT))
    x0, y0, x1, y1 = CAT
    outside = candidate.mask_hw.copy()
    outside[y0 : y1 - 1, x0 : x1 - 1] = False
    assert candidate.mask_hw.any()
    assert not outside.any()


def test_the_same_mask_each_time_whatever_the_generator_did_before() -> None:
    segmenter = GrabCutSegmenter()
    first = segmenter.segment(chelsea(), boxed(CAT))[0].mask_hw
    for seed in (1, 7, 12345):
        cv2.setRNGSeed(seed)
        assert np.array_equal(segmenter.segment(chelsea(), boxed(CAT))[0].mask_hw, first)


def test_the_photo_is_left_alone() -> None:
    photo = chelsea()
    before = photo.copy()
    GrabCutSegmenter().segment(photo, boxed(CAT))
    assert np.array_equal(photo, before)


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ((0, 0, 161, 121), "grabcut_failed"),  # no certain ground is left
        ((10, 10, 10, 30), "grabcut_failed"),
        ((10, 10, 11, 30), "grabcut_failed"),  # inclusive corners of equal x: no width
        ((10, 10, 12, 12), "mask_under_box_share"),
        ((0, 0, 30, 30), "mask_under_box_share"),  # ground only
    ],
    ids=["whole-photo", "no-width", "one-column", "one-pixel", "ground"],
)
def test_rejections(box: Box, reason: str) -> None:
    photo = photo_of_a_disc() if reason == "grabcut_failed" else np.full((120, 160, 3), 90, np.uint8)
    with pytest.raises(SegmentationRejected) as caught:
        GrabCutSegmenter().segment(photo, boxed(box))
    assert caught.value.reason == reason


def test_one_bad_box_rejects_the_photo() -> None:
    with pytest.raises(SegmentationRejected):
        GrabCutSegmenter().segment(photo_of_a_disc(), boxed((45, 25, 116, 96), (10, 10, 10, 30)))


def test_only_boxes() -> None:
    with pytest.raises(UsageError, match="needs a box"):
        GrabCutSegmenter().segment(chelsea(), [Prompt(kind="point", point_xy_px=(9.0, 9.0))])


@pytest.mark.parametrize(
    "photo", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)]
)
def test_only_photos(photo: Photo) -> None:
    with pytest.raises(UsageError, match="a photo is"):
        GrabCutSegmenter().segment(photo, boxed((0, 0, 2, 2)))


def test_loaded_by_name_without_weights() -> None:
    assert load_segmenter("grabcut").checkpoint_sha256 == ""
    with pytest.raises(UsageError, match="no weights"):
        load_segmenter("grabcut", checkpoint="sam_vit_h")
    with pytest.raises(UsageError, match="mobile-sam"):
        load_segmenter("magic")


def test_a_large_photo_is_cut_small_and_its_mask_enlarged(monkeypatch: pytest.MonkeyPatch) -> None:
    photo = np.ascontiguousarray(photo_of_a_disc().repeat(3, axis=0).repeat(3, axis=1))
    (whole,) = GrabCutSegmenter().segment(photo, boxed((120, 60, 360, 300)))
    sizes: list[int] = []
    really_cut = cv2.grabCut

    def watch(image: Any, *rest: Any) -> Any:
        sizes.append(image.shape[0] * image.shape[1])
        return really_cut(image, *rest)

    monkeypatch.setattr(cv2, "grabCut", watch)
    monkeypatch.setattr("figureground.annotate.segmenters.grabcut.MOST_PIXELS", 30_000)
    (small,) = GrabCutSegmenter().segment(photo, boxed((120, 60, 360, 300)))
    assert max(sizes) <= 30_000
    assert small.mask_hw.shape == photo.shape[:2]
    assert mask_iou(small.mask_hw, whole.mask_hw) > 0.95


def test_a_narrow_photo_keeps_a_pixel_of_its_short_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("figureground.annotate.segmenters.grabcut.MOST_PIXELS", 100)
    photo = np.zeros((1, 5000, 3), dtype=np.uint8)
    with pytest.raises(SegmentationRejected):
        GrabCutSegmenter().segment(photo, boxed((100, 0, 4000, 1)))
