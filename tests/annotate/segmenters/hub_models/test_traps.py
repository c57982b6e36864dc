"""What transformers does without a word, or says late: each of these cost somebody a wrong mask before."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from figureground.annotate.segmenters.hub_models import text_boxes
from figureground.annotate.segmenters.hub_models.by_text import Sam3TextSegmenter
from figureground.annotate.segmenters.hub_models.pretrained import _settings, tensors_identity
from figureground.annotate.segmenters.hub_models.text_boxes import BOX_FAMILIES, TextBoxes
from figureground.annotate.segmenters.loading import (
    BOX_FINDERS,
    HUB_SAMS,
    ModelChoice,
    load_interactive,
    load_models,
    load_segmenter,
)
from figureground.annotate.segmenters.protocol import Photo
from figureground.annotate.segmenters.sam_decoding import BOX_CORNERS, FIGURE_POINT, Frame
from figureground.errors import DataError, UsageError
from figureground.schemas.rasters.masks import mask_iou
from figureground.schemas.rasters.photos import decode_photo
from figureground.schemas.records import Prompt

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
safetensors_torch = pytest.importorskip("safetensors.torch")

FAMILIES = sorted(HUB_SAMS)
BY_TEXT = ["sam3-text", *BOX_FINDERS]
"""What takes texts, by the name of its tiny model."""
BOX = Prompt(kind="box", box_xyxy_px=(5, 3, 60, 33), origin="annotated")
DOG = [Prompt(kind="text", text="dog", origin="class")]
Saved = Callable[[str], Path]
Ask = Callable[[str, Photo], Any]


def photo_of(size_hw: tuple[int, int], seed: int = 0) -> Photo:
    return np.random.default_rng(seed).integers(0, 256, (*size_hw, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def sams(saved: Saved) -> Callable[[str], Any]:
    return cache(lambda family: load_segmenter(family, checkpoint=saved(family), device="cpu"))


@pytest.fixture(scope="session")
def by_text(saved: Saved) -> Callable[[str], Any]:
    @cache
    def load(name: str) -> Any:
        return (
            Sam3TextSegmenter(saved(name), device="cpu")
            if name == "sam3-text"
            else TextBoxes(name, saved(name), device="cpu")
        )

    return load


@pytest.fixture
def ask(sams: Any, by_text: Any, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """What a model makes of a photo, as numbers: a SAM of a box, the others of a text."""
    for name in BOX_FINDERS:
        monkeypatch.setitem(text_boxes.LEAST_SCORES, name, 0.0)

    def answer(name: str, photo: Photo) -> Any:
        if name in FAMILIES:
            return [(one.mask_hw.tolist(), one.score) for one in sams(name).segment(photo, [BOX])]
        if name == "sam3-text":
            given = by_text(name).answer(photo, "dog")
            return [given.logits.tolist(), given.scores.tolist()]
        return by_text(name).find(photo, "dog")

    return answer


class TestPhotos:
    @pytest.mark.parametrize("name", BY_TEXT)
    def test_the_exif_tag_does_not_turn_what_is_asked_about(self, name: str, ask: Ask, tmp_path: Path) -> None:
        """The library turns a photo that it is given as a path."""
        photo, exif = photo_of((37, 91)), Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(photo).save(tmp_path / "turned.png", exif=exif)
        assert ask(name, decode_photo((tmp_path / "turned.png").read_bytes())) == ask(name, photo)
        assert ask(name, np.rot90(photo, k=-1)) != ask(name, photo)

    @pytest.mark.parametrize("name", BY_TEXT)
    def test_mirrored_and_read_only_arrays_are_taken(self, name: str, ask: Ask) -> None:
        """The library fails on negative strides, and warns of what cannot be written."""
        mirrored = photo_of((37, 91))[:, ::-1]
        frozen = np.ascontiguousarray(mirrored)
        frozen.setflags(write=False)
        assert ask(name, mirrored) == ask(name, frozen)

    @pytest.mark.parametrize("name", [*FAMILIES, *BY_TEXT])
    def test_shares_of_one_and_grey_photos_are_refused(self, name: str, ask: Ask) -> None:
        """The library divides floats by 255 once more."""
        photo: Any = photo_of((37, 91))
        for strange in (photo / np.float32(255), photo[..., 0], photo[..., :1]):
            with pytest.raises(UsageError, match=r"a photo is a \(H, W, 3\) uint8 array"):
                ask(name, strange)

    def test_which_library_scales_photos_is_part_of_the_identity(self, saved: Saved) -> None:
        """Pillow's and torchvision's processors of one checkpoint differ by a grey level."""
        pillow, torchvision = (
            transformers.AutoImageProcessor.from_pretrained(saved("sam-hq"), backend=backend)
            for backend in ("pil", "torchvision")
        )
        photo = photo_of((37, 91))
        first, second = (
            processor(images=photo, return_tensors="pt")["pixel_values"] for processor in (pillow, torchvision)
        )
        assert 0 < (first - second).abs().max() < 0.05
        own = transformers.SamHQProcessor
        identities = {tensors_identity({}, _settings(own(processor))) for processor in (pillow, torchvision)}
        assert len(identities) == 2


@pytest.mark.parametrize("family", FAMILIES)
class TestCoordinates:
    def test_they_reach_the_network_in_float32(self, family: str, sams: Any) -> None:
        """SAM-HQ's processor gives float64, which MPS lacks."""
        network, seen = sams(family).network, []
        hook = network._model.prompt_encoder.register_forward_pre_hook(
            lambda _, given, named: seen.extend([*given, *named.values()]), with_kwargs=True
        )
        try:
            frame, embedding = network.frame((37, 91)), network.encode(photo_of((37, 91)))
            coords = frame.place(np.array([[[30.3, 12.7], [5.0, 3.0], [60.0, 33.0]]]))
            network.decode(embedding, coords, (FIGURE_POINT, *BOX_CORNERS))
        finally:
            hook.remove()
        floats = {one.dtype for one in seen if one is not None and one.is_floating_point()}
        assert floats == {torch.float32}

    def test_any_kind_of_number_is_one(self, family: str, sams: Any) -> None:
        """The library's processor rejects tuples, and scalars of NumPy inside lists."""
        plain = Prompt(kind="point", point_xy_px=(30.0, 12.0), origin="centre")
        strange = Prompt(kind="point", point_xy_px=tuple(np.array([30.0, 12.0])), origin="centre")
        photo = photo_of((37, 91))
        for one, other in zip(*(sams(family).segment(photo, [prompt]) for prompt in (plain, strange)), strict=True):
            assert np.array_equal(one.mask_hw, other.mask_hw)

    def test_boxes_and_points_of_one_photo_need_no_padding(self, family: str, sams: Any) -> None:
        """SAM-HQ fails on objects with unequal numbers of points, the others pad them."""
        points = [Prompt(kind="point", point_xy_px=(x, 12.0), origin="centre") for x in (30.0, 50.0)]
        photo = photo_of((37, 91))
        together = sams(family).segment(photo, [points[0], BOX, points[1]])
        for prompt in (*points, BOX):
            alone = sams(family).segment(photo, [prompt])
            own = [one for one in together if one.prompt == prompt]
            for one, other in zip(own, alone, strict=True):
                assert (one.mask_hw != other.mask_hw).mean() < 0.002
                assert one.score == pytest.approx(other.score, abs=1e-4)


class TestMasks:
    @pytest.mark.parametrize("family", [name for name in FAMILIES if name != "sam-hq"])
    def test_an_unstable_answer_gives_way_as_in_the_library(self, family: str, sams: Any, saved: Saved) -> None:
        """Asked for one mask, these give the best of three in its place where it is unstable."""
        network, photo = sams(family).network, photo_of((37, 91))
        embedding, frame = network.encode(photo), network.frame((37, 91))
        swapped = 0
        for x in range(5, 90, 17):
            coords = frame.place(np.array([[[float(x), 20.0]]]))
            (one,), three = (
                network.decode(embedding, coords, (FIGURE_POINT,), answers=kind)[0][0] for kind in ("one", "three")
            )
            swapped += any(np.array_equal(one, other) for other in three)
        assert swapped

    def test_holes_and_specks_stay(self, sams: Any, saved: Saved) -> None:
        """The library's ``max_hole_area`` and ``max_sprinkle_area`` do nothing; masks are the decoder's as they are."""
        photo = photo_of((37, 91))
        model = transformers.Sam2Model.from_pretrained(saved("sam2")).eval()
        processor = transformers.Sam2Processor.from_pretrained(saved("sam2"))
        inputs = processor(images=photo, input_boxes=[[[5.0, 3.0, 60.0, 33.0]]], return_tensors="pt")
        sizes = inputs.pop("original_sizes")
        with torch.inference_mode():
            logits = model(**inputs).pred_masks
        plain, filled = (
            processor.post_process_masks(logits, sizes, **areas)[0][0].numpy()
            for areas in ({}, {"max_hole_area": 1e6, "max_sprinkle_area": 1e6})
        )
        assert np.array_equal(plain, filled)
        ours = [one.mask_hw for one in sams("sam2").segment(photo, [BOX])]
        for mask in plain:
            assert min((mask != own).mean() for own in ours) < 0.002

    def test_no_logits_hold_a_mask_of_the_photo_exactly(self) -> None:
        """So that a mask that is sent as a hint, or measured against, loses its finest parts; squashing loses less."""
        rows, columns = np.mgrid[:480, :854]
        mask = (((columns - 400) / 300) ** 2 + ((rows - 240) / 40) ** 2 < 1) & ((columns // 3) % 4 > 0)
        ious = []
        for frame in (Frame.squash(mask.shape, side=1024, logits_side=256), Frame.of(mask.shape)):
            grid = np.array(np.meshgrid(np.arange(256), np.arange(256))).reshape(2, -1).T + 0.5
            spots = grid * frame.side / 256 / (np.array(frame.scaled_hw[::-1]) / mask.shape[::-1])
            columns, rows = np.minimum(spots.astype(int), np.array(mask.shape[::-1]) - 1).T
            logits = np.where(mask[rows, columns], 1.0, -1.0).astype(np.float32).reshape(256, 256)
            ious.append(mask_iou(frame.upscale(logits) > 0, mask))
        assert 0.5 < min(ious) <= max(ious) < 0.99


@pytest.mark.parametrize("name", [*FAMILIES, *BY_TEXT])
class TestLoading:
    def test_a_missing_tensor_is_refused(self, name: str, saved: Saved, tmp_path: Path) -> None:
        """The library would go on with random numbers in its place."""
        folder = Path(shutil.copytree(saved(name), tmp_path / "part"))
        tensors = safetensors_torch.load_file(folder / "model.safetensors")
        missing = sorted(key for key in tensors if key.endswith(".weight"))[-1]
        del tensors[missing]
        safetensors_torch.save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        with pytest.raises(DataError, match="1 missing, 0 of another shape"):
            load(name, folder)

    def test_nothing_else_of_the_library_is_needed(
        self, name: str, saved: Saved, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without accelerate the library fails on ``device_map``."""
        monkeypatch.setitem(sys.modules, "accelerate", None)
        load(name, saved(name))


def load(name: str, folder: Path) -> Any:
    if name == "sam3-text":
        return Sam3TextSegmenter(folder, device="cpu")
    return (
        TextBoxes(name, folder, device="cpu")
        if name in BOX_FAMILIES
        else load_segmenter(name, checkpoint=folder, device="cpu")
    )


def test_edgetam_without_timm_is_one_line_that_says_what_to_install(saved: Saved) -> None:
    """In a process of its own: here transformers has it by now."""
    code = (
        "import sys; sys.modules['timm'] = None\n"
        "from figureground.annotate.segmenters.loading import load_segmenter\n"
        "from figureground.errors import MissingExtraError\n"
        f"try: load_segmenter('edgetam', checkpoint={str(saved('edgetam'))!r}, device='cpu')\n"
        "except MissingExtraError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, timeout=300)
    (line,) = done.stdout.splitlines()
    assert "timm" in line
    assert "figureground[transformers]" in line


class TestByText:
    def test_half_precision_gives_features_in_float32_and_nearly_the_same(self, saved: Saved, by_text: Any) -> None:
        """Encoders mix types under autocast, and bfloat16 has no ``numpy``."""
        rounded = Sam3TextSegmenter(saved("sam3-text"), device="cpu", precision="bfloat16")
        photo = photo_of((37, 91))
        kinds = {one.dtype for one in tensors_in(rounded._see(photo)) if one.is_floating_point()}
        assert kinds == {torch.float32}
        ours, exact = rounded.answer(photo, "dog"), by_text("sam3-text").answer(photo, "dog")
        assert 0 < np.abs(ours.scores - exact.scores).max() < 0.1

    @pytest.mark.parametrize("finder", BOX_FINDERS)
    def test_kept_embeddings_change_nothing_behind_boxes(
        self, finder: str, saved: Saved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(text_boxes.LEAST_SCORES, finder, 0.0)
        sam: dict[str, Any] = {"segmenter": "sam2", "checkpoint": str(saved("sam2")), "device": "cpu"}
        choice = {**sam, "by_text": "alone", "boxes_by": finder, "boxes_checkpoint": str(saved(finder))}
        plain, _ = load_models(ModelChoice(**choice))
        keeping, _ = load_models(ModelChoice(**choice, embeddings=tmp_path))
        photo = photo_of((37, 91))
        expected = [(one.mask_hw.tobytes(), one.score) for one in plain.segment(photo, DOG)]
        for _ in range(2):
            assert [(one.mask_hw.tobytes(), one.score) for one in keeping.segment(photo, DOG)] == expected
        assert len(list(tmp_path.rglob("*.npz"))) == 1

    def test_sam3_says_that_it_keeps_no_embeddings_for_texts(self, saved: Saved, tmp_path: Path) -> None:
        choice = ModelChoice(
            segmenter="sam3", checkpoint=str(saved("sam3-text")), by_text="alone", embeddings=tmp_path, device="cpu"
        )
        with pytest.raises(UsageError, match="keeps no embeddings where it is asked by text"):
            load_models(choice)

    def test_photos_of_two_sizes_in_one_batch_would_move_boxes(self, saved: Saved, by_text: Any) -> None:
        """So that photos go one at a time: the first is shown the same way after whatever others."""
        model = transformers.AutoModelForZeroShotObjectDetection.from_pretrained(saved("grounding-dino")).eval()
        processor = transformers.AutoProcessor.from_pretrained(saved("grounding-dino"))
        first, second = photo_of((37, 91)), photo_of((80, 40), 1)

        def boxes(*photos: Photo) -> Any:
            inputs = processor(images=list(photos), text=["dog."] * len(photos), return_tensors="pt")
            with torch.inference_mode():
                return model(**inputs).pred_boxes[0]

        assert (boxes(first, second) - boxes(first)).abs().max() > 0.01
        assert (boxes(first, first) - boxes(first)).abs().max() < 1e-5
        finder = by_text("grounding-dino")
        alone = finder.find(first, "dog")
        finder.find(second, "dog")
        assert finder.find(first, "dog") == alone

    def test_mm_grounding_dino_is_one_too(self, saved: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(text_boxes.LEAST_SCORES, "grounding-dino", 0.0)
        finder = TextBoxes("grounding-dino", saved("mm-grounding-dino"), device="cpu")
        assert all(0 <= box[0] < box[2] <= 91 and box[3] <= 37 for box, _ in finder.find(photo_of((37, 91)), "dog"))

    def test_the_librarys_empty_answer_has_masks_of_another_size(self, saved: Saved) -> None:
        """So that nothing of its post-processing is used."""
        processor = transformers.Sam3Processor.from_pretrained(saved("sam3-text"))
        model = transformers.Sam3Model.from_pretrained(saved("sam3-text")).eval()
        inputs = processor(images=photo_of((37, 91)), text="dog", return_tensors="pt")
        sizes = inputs.pop("original_sizes")
        with torch.inference_mode():
            answer = model(**inputs)
        (some,), (none,) = (
            processor.image_processor.post_process_instance_segmentation(
                answer, threshold=threshold, target_sizes=sizes.tolist()
            )
            for threshold in (0.0, 1.0)
        )
        assert some["masks"].shape[1:] == (37, 91)
        assert none["masks"].shape[0] == 0
        assert none["masks"].shape[1:] != (37, 91)


def tensors_in(value: Any) -> list[Any]:
    if isinstance(value, (tuple, list)):
        return [tensor for part in value for tensor in tensors_in(part)]
    if hasattr(value, "items"):
        return [tensor for part in value.values() for tensor in tensors_in(part)]
    return [value] if torch.is_tensor(value) else []


@pytest.mark.parametrize("name", ["sam2", "sam-hq"])
def test_the_interactive_model_is_that_of_the_segmenter(name: str, saved: Saved, sams: Any) -> None:
    segmenter, sam = load_interactive(ModelChoice(segmenter=name, checkpoint=str(saved(name)), device="cpu"))
    assert sam.network is segmenter.network  # type: ignore[attr-defined]  # a SAM has one
    assert segmenter.checkpoint_sha256 == sams(name).checkpoint_sha256
