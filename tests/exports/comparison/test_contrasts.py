"""Differences between models: signs flipped over images, the largest statistic of a table, and ranks."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import pytest

from figureground.errors import DataError
from figureground.exports.comparison.contrasts import FigureTable, contrast_models, figure_tables, flip_signs
from figureground.exports.comparison.contributions import Contributions, linearised_rfs
from figureground.exports.comparison.ranks import rank_models
from figureground.exports.evaluation.intervals import paired_difference
from figureground.exports.evaluation.protocols.sensitivity import relative_foreground_sensitivity
from figureground.exports.evaluation.values import Floats, Ints


def shares(values: Floats, labels: Ints | None = None, ids: list[str] | None = None) -> Contributions:
    """Accuracy of a model with these right answers."""
    count = len(values)
    return Contributions(
        image_id=np.array(ids or [f"{number:05d}" for number in range(count)]),
        stratum=np.zeros(count, np.int64) if labels is None else labels,
        value=np.asarray(values, np.float64),
        bounds=(0.0, 1.0),
        share=True,
    )


def table(answers: Mapping[str, Floats], labels: Ints | None = None) -> FigureTable:
    (only,) = figure_tables({model: {"accuracy": shares(values, labels)} for model, values in answers.items()})
    return only


def test_few_images_give_the_exact_permutation_test() -> None:
    generator = np.random.default_rng(3)
    labels = np.array([0, 0, 0, 1, 1, 1, 1, 2, 2, 2])
    first, second = generator.integers(0, 2, (2, 10)).astype(np.float64)
    own = table({"a": first, "b": second}, labels)
    weights = 1 / (3 * np.bincount(labels)[labels])
    lost = weights * (first - second)
    every = np.array([abs(np.dot(signs, lost)) for signs in itertools.product((-1, 1), repeat=10)])
    exact = (every >= abs(lost.sum()) - 1e-12).mean()
    (contrast,) = contrast_models([own], flip_signs([own], count=40_000, seed=0))
    assert contrast.difference == pytest.approx(lost.sum())
    assert contrast.p == pytest.approx(exact, abs=0.01)
    assert contrast.p == contrast.p_adjusted
    assert contrast.undecidable


def test_the_interval_is_that_of_paired_shares() -> None:
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 30)
    first, second = (generator.random((2, 120)) < [[0.9], [0.7]]).astype(np.float64)
    (contrast,) = contrast_models(
        [table({"a": first, "b": second}, labels)], _flipped(table({"a": first, "b": second}))
    )
    assert list(contrast.ci95 or ()) == paired_difference(first, second, labels).ci95
    assert contrast.p < 0.01
    assert [contrast.first_value, contrast.second_value] == pytest.approx([first.mean(), second.mean()])


def _flipped(own: FigureTable):  # type: ignore[no-untyped-def]  # noqa: ANN202
    return flip_signs([own], count=499, seed=0)


def test_where_no_models_differ_a_table_has_a_star_in_one_of_twenty() -> None:
    """Five alike models, two figures that hang together: 20 comparisons, of which uncorrected 40 % would show one."""
    generator = np.random.default_rng(20)
    corrected = uncorrected = 0
    rounds = 200
    for number in range(rounds):
        hard = generator.random(80)[:, None]  # some images are hard for all models
        answers = [(generator.random((80, 5)) < hard).astype(np.float64) for _ in range(2)]
        answers[1] = np.where(generator.random((80, 5)) < 0.5, answers[0], answers[1])
        figures = {
            f"m{model}": {name: shares(values[:, model]) for name, values in zip("ab", answers, strict=True)}
            for model in range(5)
        }
        tables = figure_tables(figures)
        contrasts = contrast_models(tables, flip_signs(tables, count=199, seed=number))
        corrected += any(contrast.p_adjusted < 0.05 for contrast in contrasts)
        uncorrected += any(contrast.p < 0.05 for contrast in contrasts)
    assert corrected / rounds <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / rounds)
    assert corrected > 0
    assert uncorrected / rounds > 0.2


def test_rank_sets_hold_all_true_ranks_together() -> None:
    generator = np.random.default_rng(5)
    chances = np.array([0.9, 0.8, 0.8, 0.6, 0.3])
    true = [1 + int((chances > chance).sum()) for chance in chances]
    missed, sizes = 0, []
    rounds = 200
    for number in range(rounds):
        own = table({f"m{model}": values.astype(float) for model, values in enumerate(
            (generator.random((150, 5)) < chances).T
        )})  # fmt: skip
        ranks = {rank.model: rank for rank in rank_models(own, flip_signs([own], count=199, seed=number).critical[0])}
        held = [ranks[f"m{model}"].lowest <= rank <= ranks[f"m{model}"].highest for model, rank in enumerate(true)]
        missed += not all(held)
        sizes += [rank.highest - rank.lowest + 1 for rank in ranks.values()]
    assert missed / rounds <= 0.07
    assert np.mean(sizes) < 2.2  # of five


@pytest.mark.parametrize("right_alone", [1, 2])
@pytest.mark.parametrize("count", [20, 100])
def test_few_images_that_tell_two_models_apart_rank_neither(count: int, right_alone: int) -> None:
    """Every flip of one or two images gives the statistic itself or nothing, in whatever order it is added up."""
    generator = np.random.default_rng(count)
    for number in range(20):
        labels = generator.integers(0, 3, count)
        second = (generator.random(count) < 0.9).astype(np.float64)
        first = second.copy()
        first[np.flatnonzero((second == 1) & (labels == labels[0]))[:right_alone]] = 0
        own = table({"a": first, "b": second}, labels)
        ranks = rank_models(own, flip_signs([own], count=199, seed=number).critical[0])
        assert {(rank.lowest, rank.highest) for rank in ranks} == {(1, 2)}


def test_below_25_images_every_set_has_all_ranks() -> None:
    for count, sets in ((24, {(1, 2)}), (25, {(1, 1), (2, 2)})):
        own = table({"a": np.ones(count), "b": np.zeros(count)})
        ranks = rank_models(own, flip_signs([own], count=199, seed=0).critical[0])
        assert {(rank.lowest, rank.highest) for rank in ranks} == sets


def test_models_that_answer_alike_do_not_differ() -> None:
    same = np.array([1.0, 0, 1, 1] * 10)
    own = table({"a": same, "b": same.copy(), "c": 1 - same})
    contrasts = contrast_models([own], flip_signs([own], count=1999, seed=0))
    assert [contrast.p_adjusted for contrast in contrasts if {contrast.first, contrast.second} == {"a", "b"}] == [1.0]
    assert min(contrast.p_adjusted for contrast in contrasts) < 0.01


def test_signs_are_one_image_s_in_all_figures() -> None:
    """Two figures that are the same are one comparison: corrected for both, p is what it is by itself."""
    generator = np.random.default_rng(1)
    first, second = (generator.random((2, 60)) < [[0.8], [0.6]]).astype(np.float64)
    figures = {model: {name: shares(values) for name in ("a", "b")} for model, values in (("x", first), ("y", second))}
    tables = figure_tables(figures)
    for contrast in contrast_models(tables, flip_signs(tables, count=999, seed=0)):
        assert contrast.p == contrast.p_adjusted


def test_the_order_of_models_and_the_size_of_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(2)
    answers = {name: (generator.random(50) < 0.7).astype(np.float64) for name in "abc"}

    def by_pair(own: FigureTable) -> dict[frozenset[str], float]:
        contrasts = contrast_models([own], flip_signs([own], count=299, seed=7))
        return {frozenset((contrast.first, contrast.second)): contrast.p_adjusted for contrast in contrasts}

    whole = by_pair(table(answers))
    assert by_pair(table(dict(reversed(answers.items())))) == whole
    monkeypatch.setattr("figureground.exports.comparison.contrasts._CELLS", 500)
    assert by_pair(table(answers)) == whole


def test_models_that_saw_other_images_are_refused() -> None:
    one, two = np.ones(3), np.zeros(3)
    with pytest.raises(DataError, match="no image in common"):
        figure_tables({"a": {"x": shares(one, ids=["1", "2", "3"])}, "b": {"x": shares(two, ids=["4", "5", "6"])}})
    labels = {"a": np.array([0, 0, 1]), "b": np.array([0, 1, 1])}
    with pytest.raises(DataError, match="images under other labels"):
        figure_tables({model: {"x": shares(one, own)} for model, own in labels.items()})


@pytest.mark.parametrize("level", [0.35, 0.8])
def test_rfs_is_linearised(level: float) -> None:
    generator = np.random.default_rng(9)
    labels = np.repeat(np.arange(5), 200)
    hurt = (generator.random((2, 1000)) < [[level - 0.2], [level]]).astype(np.float64)
    figure, ground = (shares(values, labels) for values in hurt)
    linear = linearised_rfs(figure, ground)
    assert linear is not None
    rfs = float(relative_foreground_sensitivity(figure.figure, ground.figure))
    assert linear.figure == pytest.approx(rfs)
    resampled = []
    for _ in range(400):
        rows = np.concatenate([np.flatnonzero(labels == label)[generator.integers(0, 200, 200)] for label in range(5)])
        resampled.append(float(relative_foreground_sensitivity(*(values[rows].mean() for values in hurt))))
    error = np.sqrt(np.mean([linear.value[labels == label].var() / 200 for label in range(5)]) / 5)
    assert error == pytest.approx(np.std(resampled), rel=0.12)


def test_rfs_without_an_answer_right_or_wrong_is_none() -> None:
    assert linearised_rfs(shares(np.zeros(4)), shares(np.zeros(4))) is None
    assert linearised_rfs(shares(np.ones(4)), shares(np.ones(4))) is None
