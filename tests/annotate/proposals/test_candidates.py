from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from figureground.annotate.proposals.candidates import candidate_qualities, objectness, rank_candidates
from figureground.annotate.segmenters.mask_measures import distinct_masks, pack_masks, stability_score
from figureground.annotate.segmenters.protocol import Candidate
from figureground.schemas.rasters.masks import Mask, encode_coco_rle, mask_iou
from figureground.schemas.records import Prompt

BOX = Prompt(kind="box", box_xyxy_px=(5, 5, 15, 15), origin="annotated")
POINT = Prompt(kind="point", point_xy_px=(5.0, 5.0), origin="centre")


def block(x0: int, y0: int, x1: int, y1: int, size_hw: tuple[int, int] = (20, 30)) -> Mask:
    mask = np.zeros(size_hw, dtype=np.bool_)
    mask[y0:y1, x0:x1] = True
    return mask


def candidate(mask: Mask, score: float, *, stability: float = 1.0, prompt: Prompt = POINT) -> Candidate:
    return Candidate(mask_hw=mask, score=score, stability=stability, prompt=prompt)


masks = st.integers(1, 6).flatmap(lambda count: arrays(np.bool_, (count, 7, 11)))


@given(masks)
def test_packed_masks_give_the_same_choice_as_a_plain_loop(stack: NDArray[np.bool_]) -> None:
    quality = np.linspace(1.0, 0.5, len(stack))
    chosen: list[int] = []
    for index, mask in enumerate(stack):
        unions = [int((mask | stack[other]).sum()) for other in chosen]
        commons = [int((mask & stack[other]).sum()) for other in chosen]
        if all(common <= 0.5 * union for common, union in zip(commons, unions, strict=True)):
            chosen.append(index)
    assert distinct_masks(pack_masks(stack), quality, same_iou=0.5) == chosen


@given(arrays(np.bool_, (3, 5)), arrays(np.bool_, (3, 5)))
def test_mask_iou_is_symmetric_and_bounded(first: Mask, second: Mask) -> None:
    assert 0.0 <= mask_iou(first, second) == mask_iou(second, first) <= 1.0
    assert mask_iou(first, first) == 1.0


def test_best_first_and_near_copies_dropped() -> None:
    best = candidate(block(0, 0, 10, 10), 0.9)
    near_copy = candidate(block(0, 0, 10, 9) | block(0, 9, 9, 10), 0.8)
    other = candidate(block(12, 2, 20, 12), 0.7)
    assert rank_candidates([other, near_copy, best], keep=3) == [best, other]
    assert rank_candidates([other, near_copy, best], keep=3, same_iou=1.0) == [best, near_copy, other]
    assert rank_candidates([other, near_copy, best], keep=1) == [best]


def test_empty_masks_are_dropped() -> None:
    empty = candidate(block(0, 0, 0, 0), 1.0)
    assert rank_candidates([empty], keep=3) == []
    assert rank_candidates([], keep=3) == []


def test_equal_quality_keeps_the_given_order() -> None:
    first, second = candidate(block(5, 5, 10, 10), 0.5), candidate(block(15, 10, 20, 15), 0.5)
    assert rank_candidates([first, second], keep=2) == [first, second]
    assert rank_candidates([second, first], keep=2) == [second, first]


def test_an_unstable_mask_comes_later() -> None:
    shaky = candidate(block(0, 0, 5, 5), 0.9, stability=0.5)
    firm = candidate(block(10, 10, 15, 15), 0.8, stability=0.9)
    assert rank_candidates([shaky, firm], keep=2) == [firm, shaky]


def test_of_one_prompts_answers_the_one_that_the_others_resemble_comes_first() -> None:
    odd_one_out = candidate(block(15, 15, 20, 20), 0.8, prompt=BOX)
    alike = [candidate(block(5, 5, 15, bottom), 0.8, prompt=BOX) for bottom in (12, 13, 14)]
    ranked = rank_candidates([odd_one_out, *alike], keep=4, same_iou=1.0)
    assert ranked[0] is alike[1]
    assert ranked[-1] is odd_one_out


def test_a_grids_points_owe_each_other_nothing() -> None:
    grid = Prompt(kind="point", point_xy_px=(5.0, 5.0), origin="grid")
    answers = [candidate(block(0, 0, 5, 5), 0.8, prompt=grid), candidate(block(9, 9, 15, 15), 0.7, prompt=grid)]
    whole = np.ones((20, 30), dtype=np.bool_)
    iou = [candidate.mask_hw.mean() for candidate in answers]
    assert candidate_qualities(answers, guide_hw=whole).tolist() == pytest.approx([0.8 * iou[0], 0.7 * iou[1]])


def test_of_points_the_ground_and_specks_come_last() -> None:
    figure = candidate(block(10, 5, 20, 15), 0.7)
    ground, speck = candidate(~block(8, 4, 22, 16), 0.99), candidate(block(3, 3, 4, 4), 0.95)
    prompts = [Prompt(kind="point", point_xy_px=(float(x), 5.0), origin="grid") for x in range(3)]
    drawn = ((one.mask_hw, one.score) for one in (ground, speck, figure))
    answers = [candidate(mask, score, prompt=prompt) for (mask, score), prompt in zip(drawn, prompts, strict=True)]
    assert rank_candidates(answers, keep=1) == [answers[2]]


@given(arrays(np.bool_, (4, 5)))
def test_objectness_is_bounded(mask: Mask) -> None:
    assert 0.0 <= objectness(mask) <= 1.0


def test_a_guide_decides_where_the_prompt_does_not() -> None:
    ground, figure = candidate(~block(5, 5, 15, 15), 0.99), candidate(block(5, 5, 14, 15), 0.9)
    assert rank_candidates([ground, figure], keep=2, guide_hw=block(5, 5, 15, 15)) == [figure, ground]


def test_stability_is_the_share_of_the_lower_mask_that_remains() -> None:
    logits = np.array([[-2.0, -0.5, 0.5, 2.0]], dtype=np.float32)
    assert stability_score(logits, low=-1.0, high=1.0) == pytest.approx(1 / 3)
    assert stability_score(logits, low=5.0, high=6.0) == 0.0


@given(masks, st.booleans())
def test_large_masks_are_kept_encoded_and_ranked_alike(drawn: NDArray[np.bool_], with_guide: bool) -> None:
    guide = drawn[-1] if with_guide else None

    def ranked() -> list[tuple[bytes, float]]:
        answers = [candidate(mask, 0.5 + number / 10) for number, mask in enumerate(drawn)]
        return [(one.mask_hw.tobytes(), one.score) for one in rank_candidates(answers, 3, guide_hw=guide)]

    whole = ranked()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("figureground.annotate.segmenters.protocol.LARGE_PIXELS", 10)
        one = candidate(drawn[0], 1.0)
        assert one.is_large
        assert one.rle == encode_coco_rle(drawn[0])
        assert ranked() == whole
