"""Consensus masks: counted by hand, and better than those whose masks they are made of, drawn and real."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from answered_photos import band
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from needs import SHARED, need_shared
from PIL import Image
from simulated_people import drawn_masks, paint

from figureground.annotate.agreement.consensus_masks import (
    METHODS,
    ConsensusMethod,
    consensus_mask,
    majority_mask,
    nearest_mask,
    staple_mask,
)
from figureground.exports.evaluation.intervals import mean_estimate
from figureground.schemas.rasters.masks import Mask, mask_iou

votes = st.integers(3, 6).flatmap(
    lambda people: hnp.arrays(np.bool_, st.tuples(st.just(people), st.integers(1, 9), st.integers(1, 9)))
)


def test_a_majority_is_more_than_half() -> None:
    np.testing.assert_array_equal(majority_mask([band(2), band(4), band(9)]), band(4))
    # Columns 5 to 8 are held by two of four: the second and third are nearest to all, and the second comes first.
    four = [band(2), band(4), band(8), band(9)]
    assert nearest_mask(four) == 2
    np.testing.assert_array_equal(majority_mask(four), band(8))


def test_staple_weighs_people_by_what_the_others_say() -> None:
    """Two who are alike where a third is not, again and again, outvote two who err each in their own way."""
    true = drawn_masks(1, seed=3)[0]
    generator = np.random.Generator(np.random.Philox(4))
    good = [paint(true, 0.01, generator) for _ in range(2)]
    bad = [paint(true, 0.25, generator) for _ in range(3)]
    assert mask_iou(staple_mask([*good, *bad]), true) > mask_iou(majority_mask([*good, *bad]), true) > 0.8


@pytest.mark.slow
@given(masks=votes, method=st.sampled_from(METHODS))
def test_laws_of_a_consensus(masks: list[Mask], method: ConsensusMethod) -> None:
    stack = list(np.asarray(masks))
    agreed = consensus_mask(stack, method)
    assert not (agreed & ~np.logical_or.reduce(stack)).any()  # nobody painted it
    assert not (np.logical_and.reduce(stack) & ~agreed).any()  # everybody did
    np.testing.assert_array_equal(agreed, consensus_mask(stack, method))
    if len(stack) % 2:
        np.testing.assert_array_equal(majority_mask(stack), majority_mask(stack[::-1]))


@pytest.mark.parametrize("method", METHODS)
def test_alike_masks_are_their_own_consensus(method: ConsensusMethod) -> None:
    for mask in (band(4), band(10), band(0)):
        np.testing.assert_array_equal(consensus_mask([mask] * 3, method), mask)


def test_too_few_and_unlike_masks_are_refused() -> None:
    with pytest.raises(ValueError, match="of 3 to 16 masks; got 2"):
        consensus_mask([band(1), band(2)], "staple")
    with pytest.raises(ValueError, match="one size"):
        consensus_mask([band(1), band(2), np.zeros((2, 2), np.bool_)], "majority")
    with pytest.raises(ValueError, match="majority or staple; got 'mean'"):
        consensus_mask([band(1)] * 3, "mean")  # type: ignore[arg-type]


def check_that_it_beats_people(truths: Sequence[Mask], errors: Sequence[float], name: str) -> None:
    """IoU with the truth: the consensus less the mean annotator, with its interval over photos."""
    generator = np.random.Generator(np.random.Philox(1))
    gains: dict[ConsensusMethod, list[float]] = {method: [] for method in METHODS}
    means = []
    for true in truths:
        painted = [paint(true, error, generator) for error in errors]
        means.append(float(np.mean([mask_iou(mask, true) for mask in painted])))
        for method in METHODS:
            gains[method].append(mask_iou(consensus_mask(painted, method), true) - means[-1])
    for method in METHODS:
        gain = mean_estimate(np.array(gains[method]), np.zeros(len(truths), np.int64), (-1.0, 1.0))
        assert gain.ci95 is not None
        low, high = gain.ci95
        gained = f"+{gain.value:.3f} [{low:.3f}, {high:.3f}]"
        print(f"{name} {list(errors)} {method}: mean annotator {np.mean(means):.3f}, {gained}")
        assert low > 0


@pytest.mark.parametrize("errors", [(0.05, 0.05, 0.05), (0.03, 0.03, 0.05, 0.15, 0.15)])
def test_the_consensus_of_drawn_masks_beats_the_mean_annotator(errors: tuple[float, ...]) -> None:
    check_that_it_beats_people(drawn_masks(40), errors, "drawn masks")


@pytest.mark.parametrize("errors", [(0.05, 0.05, 0.05), (0.03, 0.03, 0.05, 0.15, 0.15)])
def test_the_consensus_of_real_masks_beats_the_mean_annotator(errors: tuple[float, ...]) -> None:
    folder = SHARED / "masked" / "leeds_butterfly"
    need_shared(folder)
    truths = []
    for path in sorted(folder.rglob("*.png"))[::4][:40]:
        with Image.open(path) as image:
            mask = np.asarray(image.convert("L").resize((200, 150), Image.Resampling.NEAREST)) > 127
        if 0 < mask.mean() < 0.95:
            truths.append(np.asarray(mask))
    assert len(truths) >= 30
    check_that_it_beats_people(truths, errors, "real masks")
