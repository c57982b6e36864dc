"""Simulated clicks by their definition: where the next one lies, and how many are counted."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from checkout import ROOT

from figureground.annotate.segmenters.interactive import Clicks


@pytest.fixture(scope="module")
def clicks() -> ModuleType:
    """The benchmark, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("clicks_benchmark", ROOT / "benchmarks" / "studio" / "clicks.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def block(rows: slice, columns: slice, size_hw: tuple[int, int] = (20, 30)) -> Any:
    mask = np.zeros(size_hw, np.bool_)
    mask[rows, columns] = True
    return mask


NOTHING = block(slice(0), slice(0))


def test_the_first_click_lies_deepest_in_the_figure_and_of_equals_first(clicks: ModuleType) -> None:
    assert clicks.next_click(block(slice(4, 9), slice(3, 8)), NOTHING, []) == (6, 5, True)
    assert clicks.next_click(block(slice(4, 8), slice(3, 13)), NOTHING, []) == (5, 4, True)


def test_the_pictures_rim_is_a_rim(clicks: ModuleType) -> None:
    """By a frame of zeros: a figure that touches the rim is not deepest there."""
    assert clicks.next_click(block(slice(0, 5), slice(0, 5)), NOTHING, []) == (2, 2, True)
    assert clicks.next_click(np.ones((5, 7), np.bool_), np.zeros((5, 7), np.bool_), []) == (2, 2, True)


def test_distances_are_exact_and_euclidean(clicks: ModuleType) -> None:
    """Of a cross the middle is 2.83 from what lies beside it and the arms 2; counted as kings move, both are 2."""
    cross = block(slice(8, 11), slice(2, 20)) | block(slice(2, 17), slice(9, 12))
    assert clicks.next_click(cross, NOTHING, []) == (9, 10, True)


def test_the_larger_fault_is_mended_and_the_other_kind_wins_a_tie(clicks: ModuleType) -> None:
    small, large = block(slice(2, 5), slice(2, 5)), block(slice(10, 17), slice(10, 17))
    assert clicks.next_click(small, large, []) == (13, 13, False)
    assert clicks.next_click(large, small, []) == (13, 13, True)
    assert clicks.next_click(small, block(slice(2, 5), slice(12, 15)), [])[2] is False  # positive only if larger


def test_a_pixel_that_was_clicked_is_not_clicked_again(clicks: ModuleType) -> None:
    figure = block(slice(4, 9), slice(3, 8))
    row, column, on_figure = clicks.next_click(figure, NOTHING, [(6, 5)])
    assert (row, column) != (6, 5)
    assert on_figure
    assert clicks.next_click(block(slice(4, 5), slice(3, 4)), NOTHING, [(4, 3)]) is None
    assert clicks.next_click(figure, figure, []) is None


def test_a_photo_that_never_gets_there_counts_with_the_most_clicks(clicks: ModuleType) -> None:
    reached, never = [0.5, 0.8, 0.95], [0.5, 0.6, 0.7, 0.7, 0.7]
    assert [clicks.clicks_to(reached, level) for level in clicks.LEVELS] == [2, 3, 3]
    assert clicks.clicks_to(never, 0.8) == clicks.MOST_CLICKS == 20
    rows = {row["figure"].rpartition(": ")[2]: row for row in clicks.figures([reached + [0.95] * 17, never], "x")}
    assert rows["NoC@80"]["value"] == (2 + 20) / 2
    assert rows["NoC@90"]["detail"] == "1 of 2 photos never reach it"
    assert rows["mIoU@1"]["value"] == pytest.approx(0.5)
    assert rows["mIoU@5"]["value"] == pytest.approx((0.95 + 0.7) / 2)


class Learner:
    """Answers with as much of the figure as clicks on it allow: a column further for each."""

    def __init__(self, truth: Any) -> None:
        self.truth = truth
        self.asked: list[Clicks] = []

    def suggest(self, _: str, load: Any, clicks: Clicks) -> Any:
        self.asked.append(clicks)

        class Answer:
            mask_hw = self.truth & (np.arange(self.truth.shape[1]) < 5 * len(clicks.made))

        return Answer


def test_every_click_goes_with_all_before_it_and_the_first_mask_is_empty(clicks: ModuleType) -> None:
    truth = block(slice(5, 15), slice(0, 25))
    learner = Learner(truth)
    sample = clicks.Sample(name="a", photo_rgb=np.zeros((20, 30, 3), np.uint8), truth_hw=truth)
    ious = clicks.ious_of(learner, sample)
    assert ious[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert [len(asked.made) for asked in learner.asked] == [1, 2, 3, 4, 5]
    for before, after in zip(learner.asked, learner.asked[1:], strict=False):
        assert after.made[: len(before.made)] == before.made
    assert learner.asked[0].points[0].xy_px == (4.5, 9.5)  # centres of pixels
