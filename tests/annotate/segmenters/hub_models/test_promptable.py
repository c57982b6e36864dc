"""SAMs of transformers: prompts land where the library's own pipeline puts them, kept embeddings change nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from figureground.annotate.segmenters.embeddings import EmbeddingFolder, keep_embeddings, stored_embeddings
from figureground.annotate.segmenters.interactive import Clicks, InteractiveSam
from figureground.annotate.segmenters.loading import HUB_SAMS, load_segmenter
from figureground.annotate.segmenters.protocol import Candidate, Photo
from figureground.annotate.segmenters.sam_decoding import BOX_CORNERS, FIGURE_POINT, GROUND_POINT
from figureground.errors import UsageError
from figureground.schemas.rasters.photos import decode_photo
from figureground.schemas.records import Prompt

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

FAMILIES = sorted(HUB_SAMS)
CLASSES = {
    "sam2": ("Sam2Model", "Sam2Processor"),
    "edgetam": ("EdgeTamModel", "Sam2Processor"),
    "sam-hq": ("SamHQModel", "SamHQProcessor"),
    "sam3": ("Sam3TrackerModel", "Sam3TrackerProcessor"),
}
SIZES = [(37, 91), (64, 64), (1, 70), (3, 40), (200, 2), (1, 400)]
"""Heights and widths: odd, the frame's own, those that look like channels, a slit whose short side would vanish."""
TOLERANCE = 1e-4
"""Of logits: a batch is not summed in the order of a single prompt."""
Saved = Callable[[str], Path]


@cache
def photo_of(size_hw: tuple[int, int], seed: int = 0) -> Photo:
    return np.random.default_rng(seed).integers(0, 256, (*size_hw, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def loaded(saved: Saved) -> Callable[[str], Any]:
    return cache(lambda family: load_segmenter(family, checkpoint=saved(family), device="cpu"))


@pytest.fixture(scope="session")
def library(saved: Saved) -> Callable[[str], Any]:
    """The library's own model and processor."""

    @cache
    def load(family: str) -> tuple[Any, Any]:
        model, processor = (getattr(transformers, name).from_pretrained(saved(family)) for name in CLASSES[family])
        return model.eval(), processor

    return load


def ask_library(library: Any, photo: Photo, *, multimask: bool, **prompts: Any) -> tuple[Any, Any]:
    """Logits and the masks at the photo's size, by transformers' documented calls."""
    model, processor = library
    inputs = processor(
        images=Image.fromarray(photo), input_data_format="channels_last", return_tensors="pt", **prompts
    ).to(torch.float32)
    with torch.inference_mode():
        answer = model(
            **{name: value for name, value in inputs.items() if name not in ("original_sizes", "reshaped_input_sizes")},
            multimask_output=multimask,
        )
    sizes = [inputs["original_sizes"]] + ([inputs["reshaped_input_sizes"]] if "reshaped_input_sizes" in inputs else [])
    masks = processor.post_process_masks(answer.pred_masks, *sizes)[0]
    return answer.pred_masks[0].numpy(), masks.numpy().astype(bool)


def as_asked(coords: list[list[list[float]]]) -> Any:
    return np.array(coords, dtype=np.float64)


@pytest.mark.parametrize("size_hw", SIZES, ids=str)
@pytest.mark.parametrize("family", FAMILIES)
def test_prompts_land_where_the_library_puts_them(
    family: str, size_hw: tuple[int, int], loaded: Any, library: Any
) -> None:
    network, photo = loaded(family).network, photo_of(size_hw)
    frame, embedding = network.frame(size_hw), network.encode(photo)
    (height, width), point = size_hw, [size_hw[1] * 0.3, size_hw[0] * 0.7]
    box = [width * 0.1, height * 0.2, width * 0.9, height * 0.8]
    if family == "sam-hq" and min(size_hw) * 64 / max(size_hw) < 0.5:
        # The library fails on it; what counts is that we do not, and that masks have the photo's size.
        logits, _ = network.decode(embedding, frame.place(as_asked([[point]])), (FIGURE_POINT,), answers="one")
        assert frame.upscale(logits[0, 0]).shape == size_hw
        return
    points = {"input_points": [[[point]]], "input_labels": [[[1]]]}
    expected, masks = ask_library(library(family), photo, multimask=True, **points)
    logits, _ = network.decode(embedding, frame.place(as_asked([[point]])), (FIGURE_POINT,), answers="three")
    assert np.abs(expected).max() > 0.05  # masks of rounding noise would compare nothing
    assert np.abs(logits - expected).max() < TOLERANCE
    for mask, expected_mask in zip(logits[0], masks[0], strict=True):
        assert ((frame.upscale(mask) > 0) != expected_mask).mean() < 0.002
    expected, _ = ask_library(library(family), photo, multimask=False, input_boxes=[[box]])
    corners = frame.place(as_asked([[box[:2], box[2:]]]))
    logits, _ = network.decode(embedding, corners, BOX_CORNERS, answers="one")
    assert np.abs(logits - expected).max() < TOLERANCE


@pytest.mark.parametrize("family", FAMILIES)
class TestEachFamily:
    def test_a_box_and_points_of_both_kinds_go_together(self, family: str, loaded: Any, library: Any) -> None:
        photo, network = photo_of((37, 91)), loaded(family).network
        figure, ground, box = [30.0, 12.5], [70.0, 30.0], [5.0, 3.0, 60.0, 33.0]
        expected, _ = ask_library(
            library(family),
            photo,
            multimask=True,
            input_points=[[[figure, ground]]],
            input_labels=[[[1, 0]]],
            input_boxes=[[box]],
        )
        frame = network.frame((37, 91))
        coords = frame.place(as_asked([[figure, ground, box[:2], box[2:]]]))
        labels = (FIGURE_POINT, GROUND_POINT, *BOX_CORNERS)
        logits, _ = network.decode(network.encode(photo), coords, labels, answers="three")
        assert np.abs(logits - expected).max() < TOLERANCE

    def test_an_earlier_answer_is_started_from(self, family: str, loaded: Any, library: Any) -> None:
        photo, network, (model, processor) = photo_of((37, 91)), loaded(family).network, library(family)
        embedding, coords = network.encode(photo), network.frame((37, 91)).place(as_asked([[[30.0, 12.5]]]))
        first, _ = network.decode(embedding, coords, (FIGURE_POINT,), answers="three")
        hinted, _ = network.decode(embedding, coords, (FIGURE_POINT,), hint=first[0, 1], answers="three")
        inputs = processor(images=photo, input_points=[[[[30.0, 12.5]]]], input_labels=[[[1]]], return_tensors="pt")
        inputs = inputs.to(torch.float32)
        with torch.inference_mode():
            known = model(
                pixel_values=inputs["pixel_values"],
                input_points=inputs["input_points"],
                input_labels=inputs["input_labels"],
                input_masks=torch.from_numpy(first[:, 1:2]),
            )
        assert np.abs(hinted - known.pred_masks[0].numpy()).max() < TOLERANCE
        assert np.abs(hinted - first).max() > 10 * TOLERANCE

    def test_a_batch_of_prompts_is_as_single_ones(self, family: str, loaded: Any) -> None:
        network, photo = loaded(family).network, photo_of((37, 91))
        embedding, frame = network.encode(photo), network.frame((37, 91))
        coords = frame.place(np.random.default_rng(1).uniform(0, 37, (5, 1, 2)))
        together, scores = network.decode(embedding, coords, (FIGURE_POINT,))
        assert together.shape[:2] == scores.shape == (5, 4)
        for row in range(5):
            alone, score = network.decode(embedding, coords[row : row + 1], (FIGURE_POINT,))
            assert np.abs(alone[0] - together[row]).max() < TOLERANCE
            assert np.abs(score[0] - scores[row]).max() < TOLERANCE

    def test_kept_embeddings_give_equal_masks(self, family: str, saved: Saved, loaded: Any, tmp_path: Path) -> None:
        photo = photo_of((37, 91))
        prompts = [
            Prompt(kind="box", box_xyxy_px=(5, 3, 60, 33), origin="annotated"),
            Prompt(kind="point", point_xy_px=(30.0, 12.5), origin="centre"),
        ]
        expected = answers(loaded(family).segment(photo, prompts))
        keeping = load_segmenter(family, checkpoint=saved(family), device="cpu")
        plain = keeping.network  # type: ignore[attr-defined]  # a SAM has one
        shapes = tuple(part.shape for part in plain.encode(photo))
        assert shapes == plain.embedding_shapes
        keep_embeddings(keeping, tmp_path)
        assert answers(keeping.segment(photo, prompts)) == expected
        plain.encode = None  # whoever encodes again fails
        assert answers(keeping.segment(photo, prompts)) == expected
        assert len(expected) == 4 + 3

    def test_stored_pixels_count_and_not_the_exif_tag(self, family: str, loaded: Any, tmp_path: Path) -> None:
        photo = photo_of((37, 91))
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(photo).save(tmp_path / "turned.png", exif=exif)
        prompt = Prompt(kind="box", box_xyxy_px=(5, 3, 60, 33), origin="annotated")
        stored = decode_photo((tmp_path / "turned.png").read_bytes())
        (first, *_) = loaded(family).segment(stored, [prompt])
        assert first.mask_hw.shape == (37, 91)
        assert answers(loaded(family).segment(photo, [prompt])) == answers(loaded(family).segment(stored, [prompt]))

    def test_read_only_and_mirrored_arrays_are_taken(self, family: str, loaded: Any) -> None:
        network, photo = loaded(family).network, photo_of((37, 91))
        mirrored = photo[:, ::-1]
        frozen = np.ascontiguousarray(mirrored)
        frozen.setflags(write=False)
        for one, other in zip(network.encode(mirrored), network.encode(frozen), strict=True):
            assert np.array_equal(one, other)

    def test_half_precision_encodes_and_rounds_no_coordinate(self, family: str, saved: Saved, loaded: Any) -> None:
        rounded = load_segmenter(family, checkpoint=saved(family), device="cpu", precision="bfloat16")
        photo = photo_of((37, 91))
        parts = rounded.network.encode(photo)  # type: ignore[attr-defined]
        assert all(part.dtype == np.float32 for part in parts)
        exact = loaded(family).network
        # Equal embeddings, equal logits: the decoder computes in float32 and sees the same coordinates.
        coords = exact.frame((37, 91)).place(as_asked([[[30.3, 12.7]]]))
        kinds = (FIGURE_POINT,)
        assert np.array_equal(
            exact.decode(parts, coords, kinds)[0],
            rounded.network.decode(parts, coords, kinds)[0],  # type: ignore[attr-defined]
        )
        differences = [np.abs(one - other).max() for one, other in zip(parts, exact.encode(photo), strict=True)]
        assert 0 < max(differences) < 0.2

    def test_it_answers_clicks(self, family: str, loaded: Any) -> None:
        sam = InteractiveSam(loaded(family).network)
        clicks = Clicks.together(figure_xy_px=[(30.0, 12.5), (40.0, 20.0)])
        assert sam.suggest("photo", lambda: photo_of((37, 91)), clicks).mask_hw.shape == (37, 91)


def answers(candidates: list[Candidate]) -> list[tuple[bytes, float, float]]:
    return [(candidate.mask_hw.tobytes(), candidate.score, candidate.stability) for candidate in candidates]


def test_sam_hq_without_its_intermediate_embedding_gives_other_masks(loaded: Any, library: Any) -> None:
    """The library raises nothing, so that forgetting it would go unseen."""
    network, (model, _) = loaded("sam-hq").network, library("sam-hq")
    last, middle = network.encode(photo_of((37, 91)))
    point = {"input_points": torch.tensor([[[[30.0, 12.0]]]]), "input_labels": torch.tensor([[[1]]])}
    with torch.inference_mode():
        without = model(image_embeddings=torch.from_numpy(last), **point).pred_masks
        known = model(
            image_embeddings=torch.from_numpy(last), intermediate_embeddings=[torch.from_numpy(middle)], **point
        ).pred_masks
    assert (without - known).abs().max() > 0.01
    logits, _ = network.decode((last, middle), np.array([[[30.0, 12.0]]], np.float32), (FIGURE_POINT,), answers="three")
    assert np.abs(logits - known[0].numpy()).max() < TOLERANCE


def test_a_grid_is_filtered_as_for_any_sam(loaded: Any) -> None:
    prompts = [
        Prompt(kind="point", point_xy_px=(x + 0.5, y + 0.5), origin="grid")
        for x in range(10, 90, 20)
        for y in range(5, 35, 10)
    ]
    candidates = loaded("sam2").segment(photo_of((37, 91)), prompts)
    assert all(candidate.score > 0.7 and candidate.stability >= 0 for candidate in candidates)


def test_a_prompt_without_coordinates_is_refused(loaded: Any) -> None:
    with pytest.raises(UsageError, match="needs a box or a point"):
        loaded("sam2").segment(photo_of((37, 91)), [Prompt(kind="none")])


def test_embeddings_of_several_levels_are_checked_and_bounded(saved: Saved, tmp_path: Path) -> None:
    segmenter = load_segmenter("sam2", checkpoint=saved("sam2"), device="cpu")
    network: Any = segmenter.network  # type: ignore[attr-defined]
    one = sum(4 * int(np.prod(shape)) for shape in network.embedding_shapes)
    keeping = keep_embeddings(segmenter, EmbeddingFolder(path=tmp_path, most_bytes=int(2.6 * one)))
    photos = [photo_of((20, 30), seed) for seed in range(4)]
    for photo in photos[:2]:
        keeping.encode(photo)
    import os

    oldest, newest = sorted(stored_embeddings(tmp_path))
    os.utime(oldest, ns=(1, 1))
    os.utime(newest, ns=(2, 2))
    keeping.encode(photos[2])
    assert set(stored_embeddings(tmp_path)) >= {newest}
    assert oldest not in stored_embeddings(tmp_path)
    assert sum(stored_embeddings(tmp_path).values()) <= 2.6 * one
    (path,) = [path for path in stored_embeddings(tmp_path) if path != newest]
    whole = path.read_bytes()
    with path.open("wb") as file:
        np.savez(file, np.zeros((1, 2, 16, 16), np.float32))  # one level in place of three
    keeping.encode(photos[2])
    assert path.read_bytes() == whole


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "mps"])
def test_a_device_that_is_not_there_is_one_line(device: str, saved: Saved) -> None:
    from figureground.runtime.devices import available_devices

    if device in available_devices() or (device == "cuda" and "cuda:0" in available_devices()):
        pytest.skip("this machine has it")
    with pytest.raises(UsageError, match=f"device {device}: this machine has none"):
        load_segmenter("sam2", checkpoint=saved("sam2"), device=device)
