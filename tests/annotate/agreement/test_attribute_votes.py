"""Kappa and alpha: counted by hand, equal to scikit-learn's and krippendorff's, and what leaves them undefined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from needs import need

from figureground.annotate.agreement.attribute_votes import Votes, alpha, kappa
from figureground.annotate.agreement.intervals import Estimate

Coefficient = Callable[[Sequence[Votes]], Estimate]
PEOPLE = "abcd"

two_people = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=30)
many_people = st.lists(
    st.dictionaries(st.sampled_from(PEOPLE), st.booleans(), max_size=len(PEOPLE)), min_size=1, max_size=20
)


def of_two(pairs: list[tuple[bool, bool]]) -> list[Votes]:
    return [{"a": one, "b": other} for one, other in pairs]


def library(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError:
        need(False, f"{name} is not installed")
        raise


def test_kappa_is_counted_by_hand() -> None:
    # Cohen's own kind of table: yes/yes 20, yes/no 5, no/yes 10, no/no 15.
    pairs = [(True, True)] * 20 + [(True, False)] * 5 + [(False, True)] * 10 + [(False, False)] * 15
    assert kappa(of_two(pairs)).value == pytest.approx((0.7 - 0.5) / (1 - 0.5))


def test_kappa_pools_the_pairs_of_people() -> None:
    # a and b share four photos: 3 alike, 2 expected; a and c share two: both alike, 1 expected.
    photos: list[Votes] = [
        {"a": True, "b": True},
        {"a": True, "b": True},
        {"a": False, "b": False},
        {"a": False, "b": True},
        {"a": True, "c": True},
        {"a": False, "c": False},
        {"c": True},
    ]
    estimate = kappa(photos)
    assert estimate.value == pytest.approx((5 / 6 - 3 / 6) / (1 - 3 / 6))
    assert estimate.photos == 6


def test_alpha_is_counted_by_hand() -> None:
    # Krippendorff's example of two observers of ten units (Computing Krippendorff's Alpha-Reliability, 2011, B).
    first = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0]
    second = [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    photos = of_two([(bool(one), bool(other)) for one, other in zip(first, second, strict=True)])
    assert alpha(photos).value == pytest.approx(1 - 19 * 8 / (2 * 6 * 14))
    assert alpha(photos).value == pytest.approx(0.095, abs=5e-4)


@pytest.mark.slow  # the import alone
@settings(max_examples=40)
@given(pairs=two_people)
def test_kappa_of_two_is_scikit_learn_s(pairs: list[tuple[bool, bool]]) -> None:
    metrics = library("sklearn.metrics")
    mine = kappa(of_two(pairs)).value
    if len({value for pair in pairs for value in pair}) == 1:
        assert mine is None
        return
    theirs = metrics.cohen_kappa_score(*zip(*pairs, strict=True))
    assert mine == pytest.approx(theirs)


@given(photos=many_people)
def test_alpha_is_krippendorff_s(photos: list[Votes]) -> None:
    krippendorff = library("krippendorff")
    shared = [votes for votes in photos if len(votes) > 1]
    counts = np.array([[sum(votes.values()), len(votes) - sum(votes.values())] for votes in shared])
    mine = alpha(photos).value
    if not shared or (counts.sum(axis=0) == 0).any():
        assert mine is None
        return
    assert mine == pytest.approx(krippendorff.alpha(value_counts=counts, level_of_measurement="nominal"))


@given(photos=many_people)
def test_neither_depends_on_names_order_or_which_answer_is_yes(photos: list[Votes]) -> None:
    renamed: list[Votes] = [{name[::-1] + "x": not value for name, value in votes.items()} for votes in photos[::-1]]
    for coefficient in (kappa, alpha):
        mine, theirs = coefficient(photos), coefficient(renamed)
        assert mine.photos == theirs.photos
        assert mine.value == pytest.approx(theirs.value)
        assert (mine.ci95 is None) == (theirs.ci95 is None)


@pytest.mark.parametrize("coefficient", [kappa, alpha])
def test_they_are_undefined_where_there_is_nothing_to_agree_about(coefficient: Coefficient) -> None:
    for photos in ([], [{"a": True}], of_two([(True, True)] * 30)):
        assert (coefficient(photos).value, coefficient(photos).ci95) == (None, None)
    perfect = coefficient(of_two([(True, True), (False, False)] * 15))
    assert perfect.value == pytest.approx(1.0)
    assert perfect.ci95 is None


@pytest.mark.parametrize("coefficient", [kappa, alpha])
def test_their_intervals_hold_the_truth(coefficient: Coefficient) -> None:
    """Of 200 drawn samples of 40 photos; one in which nobody or one pair differs has none."""
    generator = np.random.Generator(np.random.Philox(3))

    def drawn(photos: int) -> list[Votes]:
        truth = generator.random(photos) < 0.3
        wrong = generator.random((photos, 2)) < 0.1
        return of_two([(bool(one), bool(other)) for one, other in truth[:, None] ^ wrong])

    covered = known = 0
    # Agreement 0.82; of each answer, 0.34 are yes.
    expected = 0.34**2 + 0.66**2
    truth = (0.82 - expected) / (1 - expected)
    for _ in range(200):
        if (ci95 := coefficient(drawn(40)).ci95) is not None:
            known += 1
            covered += ci95[0] <= truth <= ci95[1]
            assert ci95[0] < ci95[1]
    assert known >= 195
    assert covered >= 0.92 * known


def test_few_photos_have_no_interval() -> None:
    pairs = [(True, True), (False, False), (True, False)] * 7
    for coefficient in (kappa, alpha):
        assert coefficient(of_two(pairs)).ci95 is None
        assert coefficient(of_two(pairs * 2)).ci95 is not None
