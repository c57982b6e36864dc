"""Consensus on attributes: who errs more counts less, few photos do not turn it upside down, and two are too few."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_people import answer_yes

from figureground.annotate.agreement.attribute_consensus import (
    AttributeConsensus,
    attribute_consensus,
    consensus_of_all,
    equal_to_consensus,
)
from figureground.exports.evaluation.intervals import paired_difference

WRONG = (0.05, 0.05, 0.1, 0.4, 0.4)


def agreed(photos: list[list[bool]]) -> AttributeConsensus:
    votes = {f"{number:04}": dict(zip("abcdefg", own, strict=False)) for number, own in enumerate(photos)}
    consensus = attribute_consensus(votes)
    assert consensus is not None
    return consensus


def test_it_beats_the_mean_annotator_and_the_majority() -> None:
    generator = np.random.Generator(np.random.Philox(2))
    true = generator.random(300) < 0.3
    answers = answer_yes(list(true), WRONG, generator)
    consensus = agreed(answers)
    right = np.array([consensus.value(f"{number:04}") == value for number, value in enumerate(true)], np.float64)
    people = np.mean(np.array(answers) == true[:, None], axis=1)
    majority = (np.mean(answers, axis=1) > 0.5) == true
    gain = paired_difference(right, people, np.zeros(300, np.int64))
    assert gain.ci95 is not None
    low, high = gain.ci95
    accuracies = f"mean annotator {people.mean():.3f}, majority {majority.mean():.3f}, consensus {right.mean():.3f}"
    print(f"attributes: {accuracies}, +{gain.value:.3f} [{low:.3f}, {high:.3f}]")
    assert low > 0
    assert right.mean() > majority.mean()
    assert consensus.overruled > 0
    for name, wrong in zip("abcde", WRONG, strict=True):
        assert consensus.specificity[name] == pytest.approx(1 - wrong, abs=0.08)
        assert consensus.sensitivity[name] == pytest.approx(1 - wrong, abs=0.12)


@pytest.mark.parametrize("photos", [8, 30])
def test_few_photos_do_not_turn_it_upside_down(photos: int) -> None:
    shares = []
    for seed in range(40):
        generator = np.random.Generator(np.random.Philox(seed))
        true = generator.random(photos) < 0.1
        consensus = agreed(answer_yes(list(true), WRONG, generator))
        shares.append(np.mean([consensus.value(f"{number:04}") == value for number, value in enumerate(true)]))
    assert min(shares) >= 0.7
    assert np.mean(shares) >= 0.96


def test_two_answers_have_no_consensus_and_tell_of_people_all_the_same() -> None:
    assert attribute_consensus({"p": {"a": True, "b": False}}) is None
    three = {"p": {"a": True, "b": True, "c": False}}
    alone = attribute_consensus(three)
    assert alone is not None
    assert (alone.value("p"), alone.value("elsewhere"), alone.overruled) == (True, None, 0)
    # a and b contradict each other on 40 other photos where c and a agree: now c is believed.
    more = {f"q{n}": {"a": n % 2 == 0, "c": n % 2 == 0} for n in range(40)}
    more |= {f"r{n}": {"b": n % 2 == 1, "c": n % 2 == 0} for n in range(40)}
    consensus = attribute_consensus({**three, **more})
    assert consensus is not None
    assert list(consensus.probabilities) == ["p"]
    assert consensus.specificity["c"] > 0.9 > consensus.specificity["b"]
    assert consensus.to_json()["annotators"]["b"]["specificity"] == round(consensus.specificity["b"], 4)


def test_people_are_compared_with_it_photo_by_photo() -> None:
    votes = {
        "p": {"wet": {"a": True, "b": True, "c": False}, "old": {"a": True, "b": True, "c": True}},
        "q": {"wet": {"a": False, "b": False, "c": False}, "old": {"a": False, "b": True}},
    }
    shares = equal_to_consensus(votes, consensus_of_all(votes))
    assert shares == {"a": [1.0, 1.0], "b": [1.0, 1.0], "c": [0.5, 1.0]}
