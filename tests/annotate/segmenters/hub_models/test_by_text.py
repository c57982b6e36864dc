"""Things asked for by name: SAM 3's own answers, boxes by Grounding DINO and OWLv2, and what becomes of several."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from figureground.annotate.segmenters.hub_models import by_text, text_boxes
from figureground.annotate.segmenters.hub_models.by_text import Sam3TextSegmenter
from figureground.annotate.segmenters.hub_models.instances import Instance, gather_instances
from figureground.annotate.segmenters.hub_models.text_boxes import BoxedByText, TextBoxes
from figureground.annotate.segmenters.loading import ModelChoice, load_models, load_segmenter
from figureground.annotate.segmenters.protocol import Photo, SegmentationRejected
from figureground.errors import UsageError
from figureground.schemas.records import Prompt

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

TOLERANCE = 2e-5
SIZES = [(37, 91), (1, 70), (3, 40), (200, 2), (1, 400)]
Saved = Callable[[str], Path]


@cache
def photo_of(size_hw: tuple[int, int], seed: int = 0) -> Photo:
    return np.random.default_rng(seed).integers(0, 256, (*size_hw, 3), dtype=np.uint8)


def named(*texts: str) -> list[Prompt]:
    return [Prompt(kind="text", text=text, origin="class") for text in texts]


@pytest.fixture(scope="session")
def sam3(saved: Saved) -> Sam3TextSegmenter:
    return Sam3TextSegmenter(saved("sam3-text"), device="cpu")


@pytest.fixture(scope="session")
def finders(saved: Saved) -> Callable[[str], TextBoxes]:
    return cache(lambda name: TextBoxes(name, saved(name), device="cpu"))


class TestSam3:
    @pytest.mark.parametrize("size_hw", SIZES, ids=str)
    def test_it_answers_as_the_library_does(
        self, size_hw: tuple[int, int], sam3: Sam3TextSegmenter, saved: Saved
    ) -> None:
        model = transformers.Sam3Model.from_pretrained(saved("sam3-text")).eval()
        processor = transformers.Sam3Processor.from_pretrained(saved("sam3-text"))
        photo = photo_of(size_hw)
        inputs = processor(images=photo, text="dog", return_tensors="pt", input_data_format="channels_last")
        with torch.inference_mode():
            expected = model(**{name: value for name, value in inputs.items() if name != "original_sizes"})
        answer = sam3.answer(photo, "dog")
        scores = (expected.pred_logits.sigmoid() * expected.presence_logits.sigmoid())[0].numpy()
        assert np.abs(answer.scores - scores).max() < TOLERANCE
        assert np.abs(answer.logits - expected.pred_masks[0].numpy()).max() < TOLERANCE
        assert np.abs(answer.logits).max() > 0.05

    def test_instances_are_those_of_the_library_in_stored_pixels(
        self, sam3: Sam3TextSegmenter, saved: Saved, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        photo = photo_of((37, 91))
        threshold = float(np.sort(sam3.answer(photo, "dog").scores)[-4])
        monkeypatch.setattr(by_text, "LEAST_SCORE", threshold)
        monkeypatch.setattr("figureground.annotate.segmenters.hub_models.instances.SAME_IOU", 1.0)
        model = transformers.Sam3Model.from_pretrained(saved("sam3-text")).eval()
        processor = transformers.Sam3Processor.from_pretrained(saved("sam3-text"))
        inputs = processor(images=photo, text="dog", return_tensors="pt")
        with torch.inference_mode():
            answer = model(**{name: value for name, value in inputs.items() if name != "original_sizes"})
        (known,) = processor.image_processor.post_process_instance_segmentation(
            answer, threshold=threshold, mask_threshold=0.5, target_sizes=[(37, 91)]
        )
        order = np.argsort(-known["scores"].numpy(), kind="stable")
        masks = [known["masks"][index].numpy().astype(bool) for index in order]
        union, *alone = sam3.segment(photo, named("dog"))
        filled = [mask for mask in masks if mask.any()]
        assert len(filled) >= 2
        assert len(alone) <= len(filled)
        matched = [min((candidate.mask_hw != mask).mean() for mask in filled) for candidate in alone]
        assert max(matched) < 0.01  # logits are scaled here, the library scales their sigmoids
        assert np.array_equal(union.mask_hw, np.logical_or.reduce([candidate.mask_hw for candidate in alone]))
        assert len(union.instances) == len(alone)
        assert all(candidate.score == pytest.approx(candidate.prompt.score) for candidate in alone)
        assert {candidate.prompt.text for candidate in alone} == {"dog"}

    def test_padding_is_no_text(self, sam3: Sam3TextSegmenter) -> None:
        """Without the attention mask, which the library's own example leaves out, masks and scores are others."""
        photo, processor = photo_of((37, 91)), sam3._processor
        words = processor(text="dog", return_tensors="pt")
        with torch.inference_mode():
            without = sam3._model(vision_embeds=sam3._see(photo), input_ids=words["input_ids"])
        assert np.abs(without.pred_masks[0].numpy() - sam3.answer(photo, "dog").logits).max() > 100 * TOLERANCE

    def test_two_texts_are_as_one_after_the_other(
        self, sam3: Sam3TextSegmenter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        photo = photo_of((37, 91))
        scores = np.concatenate([sam3.answer(photo, text).scores for text in ("dog", "cat")])
        monkeypatch.setattr(by_text, "LEAST_SCORE", float(np.sort(scores)[-5]))
        seen = []
        see = sam3._see
        monkeypatch.setattr(sam3, "_see", lambda photo: seen.append(1) or see(photo))  # type: ignore[func-returns-value]
        together = sam3.segment(photo, named("dog", "cat"))
        assert len(seen) == 1
        masks = {candidate.mask_hw.tobytes() for candidate in together}
        for text in ("dog", "cat"):
            for instance in sam3._instances(see(photo), text, (37, 91)):
                overlap = [
                    (instance.mask_hw & one).sum() / (instance.mask_hw | one).sum()
                    for one in (candidate.mask_hw for candidate in together)
                ]
                assert instance.mask_hw.tobytes() in masks or max(overlap) > 0.8

    def test_nothing_likely_is_a_reason_and_no_error(
        self, sam3: Sam3TextSegmenter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(by_text, "LEAST_SCORE", 1.0)  # the library's masks have another shape then
        with pytest.raises(SegmentationRejected, match="no_detection"):
            sam3.segment(photo_of((37, 91)), named("dog"))

    def test_a_text_that_is_too_long_is_named(self, sam3: Sam3TextSegmenter) -> None:
        with pytest.raises(UsageError, match="SAM 3 takes 32"):
            sam3.segment(photo_of((37, 91)), named("a very long name of a thing " * 3))

    def test_it_takes_no_boxes(self, sam3: Sam3TextSegmenter) -> None:
        with pytest.raises(UsageError, match="texts alone"):
            sam3.segment(photo_of((37, 91)), [Prompt(kind="box", box_xyxy_px=(1, 1, 5, 5))])


@pytest.mark.parametrize("name", ["grounding-dino", "owlv2"])
class TestBoxes:
    @pytest.mark.parametrize("size_hw", [(37, 91), (3, 40), (64, 33)], ids=str)
    def test_they_are_the_librarys_within_the_photo(
        self, name: str, size_hw: tuple[int, int], finders: Any, saved: Saved, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(text_boxes.LEAST_SCORES, name, 0.0)
        monkeypatch.setattr("figureground.annotate.segmenters.detector.MOST_IOU", 1.0)
        monkeypatch.setattr("figureground.annotate.segmenters.detector.MOST_DETECTIONS", 100)
        model = transformers.AutoModelForZeroShotObjectDetection.from_pretrained(saved(name)).eval()
        processor = transformers.AutoProcessor.from_pretrained(saved(name))
        photo, (height, width) = photo_of(size_hw), size_hw
        text: Any = "dog." if name == "grounding-dino" else [["dog"]]
        inputs = processor(images=photo, text=text, return_tensors="pt", input_data_format="channels_last")
        with torch.inference_mode():
            answer = model(**inputs)
        further = {"input_ids": inputs["input_ids"], "text_threshold": 0.0} if name == "grounding-dino" else {}
        (known,) = processor.post_process_grounded_object_detection(
            answer, threshold=0.0, target_sizes=[size_hw], **further
        )
        expected = np.clip(known["boxes"].numpy(), 0, [width, height, width, height])
        if name == "owlv2" and width > height:  # it pads photos to squares, and finds things in the padding
            assert (known["boxes"].numpy()[:, 3] > height + 1).any()
        detections = finders(name).find(photo, "dog")
        assert detections or (name, height) == ("owlv2", 3)  # all that it finds lies in the padding
        for box, score in detections:
            distances = np.abs(expected - np.array(box)).max(axis=1)
            assert distances.min() <= 0.5 + 1e-3  # whole pixels
            near = known["scores"].numpy()[distances <= 0.5 + 1e-3]
            assert np.abs(near - score).min() < 1e-4
            assert 0 <= box[0] < box[2] <= width
            assert 0 <= box[1] < box[3] <= height

    @pytest.mark.parametrize("size_hw", SIZES, ids=str)
    def test_photos_of_any_shape_are_taken(
        self, name: str, size_hw: tuple[int, int], finders: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(text_boxes.LEAST_SCORES, name, 0.0)
        for box, _ in finders(name).find(photo_of(size_hw), "dog"):
            assert 0 <= box[0] < box[2] <= size_hw[1]
            assert 0 <= box[1] < box[3] <= size_hw[0]

    def test_a_text_that_would_be_cut_is_refused(self, name: str, finders: Any) -> None:
        with pytest.raises(UsageError, match="shorten it"):
            finders(name).find(photo_of((37, 91)), "a long name " * 40)

    def test_the_segmenter_is_asked_about_each_box(
        self, name: str, finders: Any, saved: Saved, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(text_boxes.LEAST_SCORES, name, 0.0)
        sam = load_segmenter("sam2", checkpoint=saved("sam2"), device="cpu")
        both = BoxedByText(finders(name), sam)
        photo = photo_of((37, 91))
        together = both.segment(photo, named("dog"))
        assert both.name == f"{name}+sam2"
        for candidate in together[1:] if together[0].instances else together:
            prompt = candidate.prompt
            assert (prompt.kind, prompt.text, prompt.origin) == ("box", "dog", name)
            assert prompt.score is not None
            alone = sam.segment(photo, [Prompt(kind="box", box_xyxy_px=prompt.box_xyxy_px)])[0]
            assert (alone.mask_hw != candidate.mask_hw).mean() < 0.002
        box = [Prompt(kind="box", box_xyxy_px=(5, 3, 60, 33), origin="annotated")]
        for one, other in zip(both.segment(photo, box), sam.segment(photo, box), strict=True):
            assert np.array_equal(one.mask_hw, other.mask_hw)

    def test_nothing_found_is_a_reason(
        self, name: str, finders: Any, saved: Saved, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(text_boxes.LEAST_SCORES, name, 1.0)
        both = BoxedByText(finders(name), load_segmenter("grabcut"))
        with pytest.raises(SegmentationRejected, match="no_detection"):
            both.segment(photo_of((37, 91)), named("dog"))


def test_a_dot_in_a_name_makes_no_second_class(finders: Any) -> None:
    words = finders("grounding-dino")._words("St. Bernard")["input_ids"][0]
    dot = finders("grounding-dino")._processor.tokenizer.convert_tokens_to_ids(".")
    assert (words == dot).sum() == 1


class TestGathering:
    def thing(self, columns: slice, score: float, text: str = "dog") -> Instance:
        mask = np.zeros((10, 20), np.bool_)
        mask[2:8, columns] = True
        prompt = Prompt(kind="text", text=text, box_xyxy_px=(0, 0, 1, 1), score=score, origin="sam3")
        return Instance(mask_hw=mask, score=score / 2, stability=score, prompt=prompt)

    def test_several_come_together_first_and_stay_apart(self) -> None:
        left, right = self.thing(slice(0, 5), 0.6), self.thing(slice(10, 16), 0.9)
        together, *alone = gather_instances([left, right], origin="sam3")
        assert [candidate.score for candidate in alone] == [0.45, 0.3]
        assert np.array_equal(together.mask_hw, left.mask_hw | right.mask_hw)
        assert [mask.tobytes() for mask in together.instances] == [right.mask_hw.tobytes(), left.mask_hw.tobytes()]
        assert (together.score, together.stability, together.prompt.score) == (0.3, 0.6, 0.6)
        assert together.prompt.box_xyxy_px == (0, 2, 16, 8)

    def test_one_found_by_two_names_is_one(self) -> None:
        (alone,) = gather_instances(
            [self.thing(slice(0, 10), 0.6, "dog"), self.thing(slice(0, 9), 0.9, "puppy")], origin="sam3"
        )
        assert alone.prompt.text == "puppy"
        assert alone.instances == ()

    def test_none_gives_none(self) -> None:
        assert gather_instances([self.thing(slice(3, 3), 0.9)], origin="sam3") == []


class TestWhoTakesTexts:
    def test_a_sam_needs_something_that_finds_boxes(self) -> None:
        with pytest.raises(UsageError, match="--boxes-by grounding-dino or owlv2"):
            load_models(ModelChoice(segmenter="sam2", by_text="alone"))

    def test_what_sees_the_whole_photo_takes_no_box(self) -> None:
        with pytest.raises(UsageError, match="takes no box"):
            load_models(ModelChoice(segmenter="saliency", by_text="alone", boxes_by="owlv2"))

    def test_sam3_answers_texts_and_boxes_by_its_two_networks(self, saved: Saved) -> None:
        """One folder with both, as the Hub's has them."""
        choice = ModelChoice(segmenter="sam3", checkpoint=str(saved("sam3-whole")), by_text="too", device="cpu")
        segmenter, _ = load_models(choice)
        box = [Prompt(kind="box", box_xyxy_px=(5, 3, 60, 33), origin="annotated")]
        assert len(segmenter.segment(photo_of((37, 91)), box)) == 4
        together, *_ = segmenter.segment(photo_of((37, 91)), named("dog"))
        assert together.prompt.text == "dog"
