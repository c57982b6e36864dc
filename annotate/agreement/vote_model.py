"""What is true behind people's votes, and how far each person is to be trusted: one model for pixels and attributes.

Each of many items is true or false. Independently of each other, people say yes of a true one with a probability of
their own, their sensitivity, and no of a false one with another, their specificity. Expectation maximisation finds both
together with the probability that each item is true. With the share of true items estimated too, that is the model of
Dawid and Skene ("Maximum likelihood estimation of observer error-rates using the EM algorithm", Applied Statistics
28(1), 1979) for answers of yes and no; with that share given it is STAPLE (Warfield, Zou and Wells, "Simultaneous truth
and performance level estimation", IEEE Transactions on Medical Imaging 23(7), 2004), whose items are pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit  # type: ignore[import-untyped]  # ships no annotations

from figureground.annotate.agreement.intervals import Floats

NO_VOTE: Final = -1

_LEAST: Final = 1e-9
"""Least probability of anything: a person who never erred may err all the same, and logarithms stay finite."""
_MOST_ROUNDS: Final = 2000
_CLOSE: Final = 1e-10
"""Change of every probability in one round under which nothing moves any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteModel:
    """The model as fitted to votes of R people on K kinds of items."""

    truth: Floats
    """``(K,)``, probability in [0, 1] that an item is true, given its votes."""
    sensitivity: Floats
    """``(R,)``, probability that a person says yes of what is true; 0.5 for who never voted."""
    specificity: Floats
    """``(R,)``, probability that a person says no of what is false; 0.5 for who never voted."""
    prior: float
    """Share of all items that are true."""


def fit_votes(
    votes: NDArray[np.int8], counts: Floats, *, prior: float | None = None, right: float = 0.0, wrong: float = 0.0
) -> VoteModel:
    """Fit the model, beginning with the share of yes in each item's votes; nothing is drawn.

    Of few items the likelihood is greatest where somebody is never wrong, whoever that is. Imagined votes hold
    everybody near what people are like until their own say otherwise; without any, likelihood alone decides.

    Args:
        votes: ``(K, R)``, 1 for yes, 0 for no, ``NO_VOTE`` for none; each kind of item has a vote.
        counts: ``(K,)``, how many items there are of each kind: equal votes are counted together.
        prior: Share of all items that are true, in (0, 1); None to estimate it.
        right: Imagined right votes of each person on true items, and as many on false ones.
        wrong: Imagined wrong votes likewise, and imagined items of each kind beside those that tell the prior.

    Raises:
        ValueError: without items, or for a kind that nobody voted on.
    """
    yes, no = (votes == 1).astype(np.float64), (votes == 0).astype(np.float64)
    given = yes + no
    if not len(votes) or not given.any(axis=1).all():
        raise ValueError("a model is fitted to items that somebody voted on")
    truth = yes.sum(axis=1) / given.sum(axis=1)
    for _ in range(_MOST_ROUNDS):
        true, false = counts * truth, counts * (1 - truth)
        sensitivity, specificity = (
            _share(right_votes + right, right_votes + wrong_votes + right + wrong)
            for right_votes, wrong_votes in ((true @ yes, true @ no), (false @ no, false @ yes))
        )
        share = float(_clipped((true.sum() + wrong) / (counts.sum() + 2 * wrong))) if prior is None else prior
        favour = yes @ np.log(sensitivity / (1 - specificity)) + no @ np.log((1 - sensitivity) / specificity)
        before, truth = truth, np.asarray(expit(favour + np.log(share / (1 - share))))
        if np.abs(truth - before).max() < _CLOSE:
            break
    return VoteModel(truth=truth, sensitivity=sensitivity, specificity=specificity, prior=share)


def _share(part: Floats, whole: Floats) -> Floats:
    """``part / whole``; one half where there is nothing to tell it by."""
    return _clipped(np.divide(part, whole, out=np.full(len(whole), 0.5), where=whole > _LEAST))


def _clipped(share: Floats) -> Floats:
    return np.clip(share, _LEAST, 1 - _LEAST)
