"""What clicks choose, with masks that are given; how torch refines masks, beside segment-anything's own way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from figureground.annotate.segmenters import interactive
from figureground.annotate.segmenters.interactive import Click, Clicks, DrawnBox, InteractiveSam
from figureground.annotate.segmenters.protocol import Photo
from figureground.annotate.segmenters.sam_decoding import PaddedFrames
from figureground.schemas.rasters.masks import mask_iou

CUP = (300.0, 200.0)
SAUCER = (420.0, 300.0)
TABLE = (100.0, 100.0)
AROUND_CUP = (150.0, 60.0, 480.0, 350.0)


def coffee() -> Photo:
    return np.asarray(data.coffee())  # type: ignore[no-untyped-call]  # scikit-image has no annotations


class DrawnMasks(PaddedFrames):
    """A network whose four masks are halves of the picture: the one is the left half, the three are given."""

    def __init__(self, **halves: float) -> None:
        self.three = halves

    def encode(self, photo_rgb: Photo) -> Any:
        return (np.zeros((1, 256, 64, 64), np.float32),)

    def decode(self, embedding: Any, coords: Any, labels: Any, *, hint: Any = None, answers: str = "four") -> Any:
        names = {"one": ["left"], "three": list(self.three), "four": ["left", *self.three]}[answers]
        scores = [[{"left": 0.5, **self.three}[name] for name in names]]
        return np.stack([self.half(name) for name in names])[None], np.array(scores, np.float32)

    @staticmethod
    def half(name: str) -> NDArray[np.float32]:
        logits = np.full((256, 256), -1.0, np.float32)
        rows, columns = {
            "left": (slice(None), slice(0, 128)),
            "right": (slice(None), slice(128, 256)),
            "upper": (slice(0, 128), slice(None)),
            "all": (slice(None), slice(None)),
        }[name]
        logits[rows, columns] = 1.0
        return logits


class TestClicksChooseAmongMasks:
    square = np.zeros((64, 64, 3), np.uint8)

    def mask(self, network: DrawnMasks, *made: Click) -> Any:
        return InteractiveSam(network).suggest("square", lambda: self.square, Clicks(made)).mask_hw

    def test_one_that_holds_all_clicks_wins(self) -> None:
        network = DrawnMasks(right=0.9, upper=0.6, all=0.1)
        assert self.mask(network, Click((10.0, 10.0)), Click((50.0, 50.0))).all()

    def test_a_click_beside_the_object_counts_as_much(self) -> None:
        network = DrawnMasks(right=0.1, upper=0.6, all=0.9)
        mask = self.mask(network, Click((50.0, 10.0)), Click((10.0, 50.0), on_figure=False))
        assert mask[10, 50]
        assert not mask[50, 10]

    def test_the_one_answer_stays_where_nothing_speaks_against_it(self) -> None:
        network = DrawnMasks(right=0.9, upper=0.9, all=0.9)
        mask = self.mask(network, Click((10.0, 10.0)), Click((10.0, 50.0)))
        assert mask[:, :30].all()
        assert not mask[:, 34:].any()

    def test_one_point_alone_takes_the_best_that_holds_it(self) -> None:
        network = DrawnMasks(right=0.9, upper=0.6, all=0.5)
        mask = self.mask(network, Click((10.0, 10.0)))
        assert mask[:30].all()
        assert not mask[34:].any()


def test_torch_refines_masks_as_sam_predictor_does(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("segment_anything")
    from segment_anything import SamPredictor  # type: ignore[import-untyped]  # ships no annotations

    from figureground.annotate.segmenters.sam import TorchSam

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = small_sam()
    # Random weights contradict most clicks; that they choose among masks is tested above.
    monkeypatch.setattr(interactive, "_contradictions", lambda *_: 0)
    sam = InteractiveSam(TorchSam(model, "cpu"))
    predictor = SamPredictor(model)
    predictor.set_image(coffee())
    figure, other, ground, box = Click(CUP), Click(SAUCER), Click(TABLE, on_figure=False), DrawnBox(AROUND_CUP)
    for made in ((figure, other), (figure, ground, other), (box, ground, other), (figure, box, ground)):
        # segment-anything's own way of refining a mask: its last logits are its next ``mask_input``.
        last: NDArray[np.float32] | None = None
        for count in range(1, len(made) + 1):
            clicks = Clicks(made[:count])
            points = [click.xy_px for click in clicks.points]
            ambiguous = len(points) == 1 and clicks.box_xyxy_px is None
            masks, scores, logits = predictor.predict(
                point_coords=np.array(points) if points else None,
                point_labels=np.array([int(click.on_figure) for click in clicks.points]) if points else None,
                box=None if clicks.box_xyxy_px is None else np.array(clicks.box_xyxy_px),
                mask_input=None if isinstance(made[count - 1], DrawnBox) else last,
                multimask_output=ambiguous,
            )
            chosen = int(np.argmax(scores))
            last = np.asarray(logits[chosen : chosen + 1])
            suggestion = sam.suggest("coffee", coffee, clicks)
            assert 0.01 < masks[chosen].mean() < 0.99
            assert mask_iou(suggestion.mask_hw, np.asarray(masks[chosen])) > 0.99
            assert suggestion.score == pytest.approx(float(np.clip(scores[chosen], 0, 1)), abs=1e-4)


def small_sam() -> Any:
    """A SAM of segment-anything's own modules with random weights and a one-layer encoder: wiring, not masks."""
    from functools import partial

    import torch
    from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer  # type: ignore[import-untyped]

    norm: Any = partial(torch.nn.LayerNorm, eps=1e-6)
    encoder = ImageEncoderViT(depth=1, embed_dim=48, num_heads=2, norm_layer=norm, out_chans=256, window_size=14)
    prompts = PromptEncoder(256, image_embedding_size=(64, 64), input_image_size=(1024, 1024), mask_in_chans=16)
    transformer = TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8)
    decoder = MaskDecoder(num_multimask_outputs=3, transformer=transformer, transformer_dim=256)
    return Sam(encoder, prompts, decoder, [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]).eval()
