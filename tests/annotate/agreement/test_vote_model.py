"""The model behind consensus: known error rates come out of expected votes, and an independent EM says the same."""

from __future__ import annotations

from itertools import product
from math import prod

import numpy as np
import pytest
from numpy.typing import NDArray

from figureground.annotate.agreement.vote_model import NO_VOTE, fit_votes

PRIOR = 0.3
SENSITIVITY = (0.95, 0.8, 0.7)
SPECIFICITY = (0.9, 0.99, 0.75)


def expected_votes() -> tuple[NDArray[np.int8], NDArray[np.float64], list[float]]:
    """Everything that three people can say, how often they do by their error rates, and how likely it is then true."""
    kinds = list(product((0, 1), repeat=3))
    true = [PRIOR * prod(p if vote else 1 - p for vote, p in zip(kind, SENSITIVITY, strict=True)) for kind in kinds]
    false = [
        (1 - PRIOR) * prod(1 - q if vote else q for vote, q in zip(kind, SPECIFICITY, strict=True)) for kind in kinds
    ]
    counts = np.array([a + b for a, b in zip(true, false, strict=True)])
    return np.array(kinds, np.int8), counts, [a / (a + b) for a, b in zip(true, false, strict=True)]


@pytest.mark.parametrize("prior", [None, PRIOR])
def test_expected_votes_give_back_the_error_rates(prior: float | None) -> None:
    """A closed form: of three people who are better than chance, their rates are the one maximum of the likelihood."""
    votes, counts, truth = expected_votes()
    model = fit_votes(votes, counts, prior=prior)
    np.testing.assert_allclose(model.sensitivity, SENSITIVITY, atol=1e-6)
    np.testing.assert_allclose(model.specificity, SPECIFICITY, atol=1e-6)
    np.testing.assert_allclose(model.truth, truth, atol=1e-6)
    assert model.prior == pytest.approx(PRIOR, abs=1e-6)


def plain_em(answers: list[list[int]], prior: float | None, rounds: int) -> tuple[list[float], list[float]]:
    """Dawid and Skene's equations 2.3 to 2.5 (with a prior: Warfield's 14, 18 and 19), item by item, as they stand."""
    people = range(len(answers[0]))
    truth = [sum(v for v in votes if v >= 0) / sum(v >= 0 for v in votes) for votes in answers]
    sensitivity = [0.0 for _ in people]
    for _ in range(rounds):
        specificity = [0.0 for _ in people]
        for person in people:
            weighted_votes = [(votes[person], p) for votes, p in zip(answers, truth, strict=True) if votes[person] >= 0]
            sensitivity[person] = sum(p for vote, p in weighted_votes if vote) / sum(p for _, p in weighted_votes)
            specificity[person] = sum(1 - p for vote, p in weighted_votes if not vote) / sum(
                1 - p for _, p in weighted_votes
            )
        share = sum(truth) / len(truth) if prior is None else prior
        for item, votes in enumerate(answers):
            a, b = share, 1 - share
            for person in people:
                if votes[person] >= 0:
                    a *= sensitivity[person] if votes[person] else 1 - sensitivity[person]
                    b *= 1 - specificity[person] if votes[person] else specificity[person]
            truth[item] = a / (a + b)
    return truth, sensitivity


@pytest.mark.parametrize("prior", [None, 0.4])
def test_it_is_the_em_of_the_papers_item_by_item(prior: float | None) -> None:
    generator = np.random.Generator(np.random.Philox(7))
    true = generator.random(60) < 0.4
    answers = [
        [
            int(t ^ (generator.random() < error)) if generator.random() < 0.9 else NO_VOTE
            for error in (0.1, 0.2, 0.3, 0.2)
        ]
        for t in true
    ]
    answers = [votes for votes in answers if max(votes) >= 0]
    kinds, items, counts = np.unique(np.array(answers, np.int8), axis=0, return_inverse=True, return_counts=True)
    model = fit_votes(kinds, counts.astype(np.float64), prior=prior)
    truth, sensitivity = plain_em(answers, prior, 1500)
    np.testing.assert_allclose(model.truth[items.ravel()], truth, atol=1e-6)
    np.testing.assert_allclose(model.sensitivity, sensitivity, atol=1e-6)


def test_imagined_votes_hold_people_near_what_they_are_like() -> None:
    """Two items, each as one of three has it: likelihood alone would take one person for infallible."""
    votes = np.array([[1, 0, 0], [0, 1, 1]], np.int8)
    model = fit_votes(votes, np.ones(2), right=4, wrong=1)
    assert model.truth[0] < 0.5 < model.truth[1]
    assert ((model.sensitivity > 0.5) & (model.sensitivity < 0.9)).all()


def test_who_never_voted_tells_nothing() -> None:
    votes = np.array([[1, 1, NO_VOTE], [0, 0, NO_VOTE], [1, 0, NO_VOTE]], np.int8)
    model = fit_votes(votes, np.array([5.0, 5.0, 1.0]))
    assert (model.sensitivity[2], model.specificity[2]) == (0.5, 0.5)


def test_items_without_a_vote_are_refused() -> None:
    with pytest.raises(ValueError, match="somebody voted on"):
        fit_votes(np.full((1, 3), NO_VOTE, np.int8), np.ones(1))
