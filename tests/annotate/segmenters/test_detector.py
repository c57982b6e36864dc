"""Detectors: any model of the two conventions gives boxes as masks, ranked, kept apart, and frozen like any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from needs import SHARED, need, need_shared
from numpy.typing import NDArray
from photo_samples import encode
from PIL import Image
from skimage import data

from figureground.annotate.catalogue import index_source
from figureground.annotate.freeze import FreezeOptions, freeze
from figureground.annotate.proposals.proposing import ProposalSettings, propose
from figureground.annotate.segmenters.detector import (
    LEAST_SCORE,
    MOST_DETECTIONS,
    MOST_IOU,
    DetectorSegmenter,
    distinct_boxes,
)
from figureground.annotate.segmenters.loading import load_segmenter
from figureground.annotate.segmenters.protocol import Photo, SegmentationRejected
from figureground.errors import DataError, ServiceError, UsageError
from figureground.schemas.rasters.masks import Box, decode_coco_rle, decode_png1, tight_box
from figureground.schemas.records import Prompt
from figureground.schemas.sources.opening import open_source
from figureground.schemas.store.releases import read_release
from figureground.schemas.store.workspace import Workspace

pytest.importorskip("onnxruntime")
onnx: Any = pytest.importorskip("onnx")

BUTTERFLIES = SHARED / "masked" / "leeds_butterfly"
ASKED = [Prompt(kind="none")]
FLOAT, BYTE = onnx.TensorProto.FLOAT, onnx.TensorProto.UINT8


def write_model(
    path: Path, outputs: dict[str, Any], *, shape: tuple[Any, ...] = (1, "h", "w", 3), kind: int = BYTE, tied: str = ""
) -> Path:
    """An ONNX model with constant outputs; the output called ``tied`` is multiplied by the photo's mean, 0 to 1."""
    helper = onnx.helper
    nodes = [
        helper.make_node("Cast", ["image"], ["cast"], to=FLOAT),
        helper.make_node("ReduceMean", ["cast"], ["mean"], keepdims=0),
        helper.make_node("Div", ["mean", "most"], ["bright"]),
        helper.make_node("Mul", ["bright", "nothing"], ["zero"]),
    ]
    constants: dict[str, Any] = {"most": np.float32(255 if kind == BYTE else 1), "nothing": np.float32(0)}
    for name, value in outputs.items():
        constants[f"{name}_"] = np.asarray(value, np.float32)
        nodes.append(
            helper.make_node(
                *(("Mul", [f"{name}_", "bright"]) if name == tied else ("Add", [f"{name}_", "zero"])), [name]
            )
        )
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("image", kind, list(shape))],
        [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()
    )
    return path


def boxes_of(segmenter: DetectorSegmenter, photo: Photo) -> list[tuple[Box | None, float]]:
    return [(tight_box(candidate.mask_hw), round(candidate.score, 4)) for candidate in segmenter.segment(photo, ASKED)]


WHITE: Photo = np.full((40, 80, 3), 255, np.uint8)
TENSORFLOW = {"detection_boxes": [[[0.25, 0.5, 0.75, 1.0], [0, 0, 0.5, 0.25]]], "detection_scores": [[0.6, 0.9]]}
TORCHVISION = {"boxes": [[40, 10, 80, 30], [0, 0, 20, 20]], "scores": [0.6, 0.9]}
EXPECTED = [((0, 0, 20, 20), 0.9), ((40, 10, 80, 30), 0.6)]


@pytest.mark.parametrize("outputs", [TENSORFLOW, TORCHVISION], ids=["tensorflow", "torchvision"])
@pytest.mark.parametrize("kind", [BYTE, FLOAT], ids=["uint8", "float32"])
@pytest.mark.parametrize("shape", [(1, "h", "w", 3), (1, 3, "h", "w"), (1, 40, 80, 3)])
def test_both_conventions_and_every_input(tmp_path: Path, outputs: dict[str, Any], kind: int, shape: Any) -> None:
    """Scores are those of a white photo: fed in another range they would be others."""
    tied = next(name for name in outputs if "scores" in name)
    segmenter = DetectorSegmenter(write_model(tmp_path / "own.onnx", outputs, shape=shape, kind=kind, tied=tied))
    assert boxes_of(segmenter, WHITE) == EXPECTED


def test_pixels_of_a_squashed_photo_come_back_in_stored_pixels(tmp_path: Path) -> None:
    halved = {"boxes": [[20, 40, 40, 120], [0, 0, 10, 80]], "scores": [0.6, 0.9]}
    segmenter = DetectorSegmenter(write_model(tmp_path / "own.onnx", halved, shape=(1, 160, 40, 3)))
    assert boxes_of(segmenter, WHITE) == EXPECTED


def test_scores_by_class_are_those_of_the_best(tmp_path: Path) -> None:
    outputs = {**TENSORFLOW, "detection_scores": [[[0.1, 0.6], [0.9, 0.3]]]}
    assert boxes_of(DetectorSegmenter(write_model(tmp_path / "own.onnx", outputs)), WHITE) == EXPECTED


def test_a_candidate_says_what_it_is(tmp_path: Path) -> None:
    segmenter = load_segmenter("detector", checkpoint=write_model(tmp_path / "own.onnx", TORCHVISION))
    first, second = segmenter.segment(WHITE, ASKED)
    assert first.mask_hw.shape == (40, 80)
    assert first.mask_hw.sum() == 400
    assert (first.stability, second.stability) == (1.0, 1.0)
    assert first.prompt == Prompt(kind="box", box_xyxy_px=(0, 0, 20, 20), origin="detector")


def test_a_detector_is_asked_once_and_not_told_where_to_look(tmp_path: Path) -> None:
    segmenter = DetectorSegmenter(write_model(tmp_path / "own.onnx", TORCHVISION))
    asked = [Prompt(kind="point", point_xy_px=(1.0, 1.0)), Prompt(kind="box", box_xyxy_px=(0, 0, 5, 5))]
    assert len(segmenter.segment(WHITE, asked)) == 2
    assert segmenter.segment(WHITE, []) == []


def test_a_photo_without_a_detection_is_rejected(tmp_path: Path) -> None:
    for scores in ([LEAST_SCORE - 0.01] * 2, [0, 0]):
        model = write_model(tmp_path / "own.onnx", {**TORCHVISION, "scores": scores})
        with pytest.raises(SegmentationRejected, match="no_detection"):
            DetectorSegmenter(model).segment(WHITE, ASKED)
    nothing = {"boxes": np.zeros((1, 0, 4)), "scores": np.zeros((1, 0))}
    with pytest.raises(SegmentationRejected, match="no_detection"):
        DetectorSegmenter(write_model(tmp_path / "own.onnx", nothing)).segment(WHITE, ASKED)


@pytest.mark.parametrize(
    ("outputs", "changes", "message"),
    [
        ({"boxes": [[0, 0, 1, 1]], "labels": [1]}, {}, "expected detection_boxes and detection_scores or boxes and"),
        (TORCHVISION, {"shape": (1, "h", "w", 1)}, r"expected one photo, \(1, H, W, 3\) or"),
        (TORCHVISION, {"shape": ("h", "w", 3)}, r"expected one photo, \(1, H, W, 3\) or"),
        (TORCHVISION, {"kind": onnx.TensorProto.INT32}, "expected one photo"),
        ({**TORCHVISION, "scores": [0.5, 2.0]}, {}, r"expected scores in \[0, 1\], got 0.5 to 2.0"),
        ({**TORCHVISION, "scores": [0.5, np.nan]}, {}, r"expected scores in \[0, 1\], got nan to nan"),
        ({**TORCHVISION, "scores": [0.5, 0.5, 0.5]}, {}, r"got boxes \(2, 4\) and scores \(3,\)"),
        ({**TORCHVISION, "boxes": np.zeros((2, 5))}, {}, r"got boxes \(2, 5\) and scores \(2,\)"),
        ({"boxes": np.zeros((0, 4)), "scores": [0.5]}, {}, r"got boxes \(0, 4\) and scores \(1,\)"),
    ],
)
def test_models_of_another_kind_are_refused(
    tmp_path: Path, outputs: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        DetectorSegmenter(write_model(tmp_path / "own.onnx", outputs, **changes)).segment(WHITE, ASKED)


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "own.onnx").write_bytes(b"not a model")
    with pytest.raises(DataError, match="a model that ONNX Runtime runs"):
        load_segmenter("detector", checkpoint=tmp_path / "own.onnx")
    with pytest.raises(UsageError, match="detector has no checkpoint called 'u2netp'; there are coco_ssd"):
        load_segmenter("detector", checkpoint="u2netp")


# Which boxes are kept


def distinct(boxes: Any, scores: Any, size_hw: tuple[int, int] = (100, 200)) -> list[tuple[Box, float]]:
    return distinct_boxes(np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32), size_hw=size_hw)


def test_boxes_are_whole_pixels_inside_the_photo() -> None:
    boxes = [[-5.0, -7.0, 30.4, 20.6], [150, 50, 900, 900], [250, 0, 260, 50], [10, 80, 10.3, 90], [60, 9, 50, 5]]
    detections = distinct([*boxes, [np.nan, 0, 9, 9], [0, 0, np.inf, 9]], [0.9, 0.8, 0.9, 0.9, 0.9, 0.9, 0.9])
    assert [box for box, _ in detections] == [(0, 0, 30, 21), (150, 50, 200, 100)]


def test_the_same_object_again_is_left_out() -> None:
    boxes = [[0, 0, 100, 100], [0, 0, 100, 60], [0, 0, 100, 40], [150, 0, 200, 50]]
    # of the first, the second is 0.6 and the third 0.4; the third is 0.67 of the second
    assert [box for box, _ in distinct(boxes, [0.7, 0.9, 0.8, 0.5])] == [(0, 0, 100, 60), (150, 0, 200, 50)]
    assert [box for box, _ in distinct(boxes, [0.9, 0.7, 0.8, 0.5])] == [
        (0, 0, 100, 100),
        (0, 0, 100, 40),
        (150, 0, 200, 50),
    ]


def test_neighbours_far_from_the_corner_stay_apart() -> None:
    assert len(distinct([[100, 50, 140, 90], [120, 50, 160, 90]], [0.9, 0.8])) == 2  # their IoU is a third


def test_there_is_an_end_to_detections() -> None:
    boxes = [[x, y, x + 5, y + 5] for x in range(0, 100, 5) for y in range(0, 100, 5)]
    assert len(distinct(boxes, [0.5] * len(boxes))) == MOST_DETECTIONS


BOXES = st.tuples(*[st.floats(-50, 250, width=32)] * 4)


@given(st.lists(st.tuples(BOXES, st.floats(0, 1, width=32)), max_size=30))
def test_what_is_kept_is_sorted_apart_and_inside(detections: list[tuple[Any, float]]) -> None:
    result = distinct([box for box, _ in detections], [score for _, score in detections])
    scores = [score for _, score in result]
    assert scores == sorted(scores, reverse=True)
    assert all(score >= np.float32(LEAST_SCORE) for score in scores)
    for number, (box, _) in enumerate(result):
        assert 0 <= box[0] < box[2] <= 200
        assert 0 <= box[1] < box[3] <= 100
        assert all(box_iou(box, other) <= MOST_IOU + 1e-6 for other, _ in result[:number])


def box_iou(one: Box, other: Box) -> float:
    sides = (min(one[axis + 2], other[axis + 2]) - max(one[axis], other[axis]) for axis in (0, 1))
    common = np.prod([max(side, 0) for side in sides])
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return float(common / (sum(areas) - common))


# On the way to a release


def test_boxes_are_proposed_and_frozen_like_any_other_mask(tmp_path: Path) -> None:
    """The scores are the photo's brightness: of three photos the dark one has no detection."""
    photos = {"light": 255, "grey": 160, "dark": 20}
    for name, value in photos.items():
        (tmp_path / "photos" / name).mkdir(parents=True)
        (tmp_path / "photos" / name / "a.png").write_bytes(encode(np.full((40, 80, 3), value, np.uint8), "PNG"))
    model = write_model(tmp_path / "own.onnx", TORCHVISION, tied="scores")
    with Workspace.create(tmp_path / "work") as store:
        index_source(store, open_source(str(tmp_path / "photos")))
        segmenter = load_segmenter("detector", checkpoint=model)
        report = propose(store, segmenter, ProposalSettings(prompt_mode="center"))
        assert (report.images, report.masks, report.rejected) == (3, 4, {"no_detection": 1})
        assert propose(store, segmenter, ProposalSettings(prompt_mode="center")).already_done == 3
        labels = {image.image_id: image.label for image in store.images()}
        ranked = {(labels[proposal.image_id], proposal.rank): proposal for proposal in store.proposals()}
        assert {key: round(proposal.score, 3) for key, proposal in ranked.items()} == {
            ("light", 0): 0.9,
            ("light", 1): 0.6,
            ("grey", 0): 0.565,
            ("grey", 1): 0.376,
        }
        assert '"origin":"detector"' in ranked["light", 0].prompt
        assert ranked["light", 0].checkpoint_sha256 == segmenter.checkpoint_sha256 != ""
        frozen = freeze(store, "boxes", FreezeOptions(unreviewed=True, segmenter="detector"))
        assert (frozen.states, frozen.left_out) == ({"unreviewed": 2}, {"no_mask": 1})
    _, records = read_release(frozen.path)
    for record in records:
        assert tight_box(decode_coco_rle(record.mask)) == (0, 0, 20, 20)
        assert (record.segmenter, record.state) == ("detector", "unreviewed")


# The real one


@pytest.fixture(scope="module")
def coco() -> DetectorSegmenter:
    try:
        return DetectorSegmenter(threads=2)
    except ServiceError as error:
        need(False, str(error))
        raise


def test_coco_ssd_finds_the_cat(coco: DetectorSegmenter) -> None:
    cat: NDArray[np.uint8] = np.asarray(data.chelsea())  # type: ignore[no-untyped-call]  # no annotations
    first = coco.segment(cat, ASKED)[0]
    assert first.score > 0.9
    box = tight_box(first.mask_hw)
    assert box is not None
    assert box_iou(box, (0, 0, 400, 300)) > 0.9  # it fills the photo up to its right edge


def test_coco_ssd_finds_butterflies_that_it_has_no_name_for(coco: DetectorSegmenter) -> None:
    need_shared(BUTTERFLIES)
    ious = []
    for mask_path in sorted((BUTTERFLIES / "masks").glob("*.png"))[::8]:
        photo = np.asarray(Image.open(BUTTERFLIES / "images" / f"{mask_path.stem}.jpg").convert("RGB"))
        true = tight_box(decode_png1(mask_path.read_bytes()))
        try:
            detected = tight_box(coco.segment(photo, ASKED)[0].mask_hw)
        except SegmentationRejected:
            detected = None
        ious.append(box_iou(detected, true) if detected and true else 0.0)
    assert np.median(ious) > 0.5
