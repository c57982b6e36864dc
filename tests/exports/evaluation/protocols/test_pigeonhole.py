"""Figures crossed with grounds: components of drawn tables, statsmodels' MixedLM, and how often intervals cover."""

from __future__ import annotations

import warnings

import numpy as np
import pandas
import pytest
from numpy.typing import NDArray
from statsmodels.regression.mixed_linear_model import MixedLM  # type: ignore[import-untyped]  # ships no annotations

from figureground.exports import evaluate as script
from figureground.exports.evaluate import CrossedCells, Floats, TwoWaySampling


def drawn(
    figures: int, grounds: int, sds: tuple[float, float, float], seed: int, *, share: float = 1.0
) -> CrossedCells:
    """y = figure + ground + interaction, normal with these standard deviations; a share of the cells is there."""
    generator = np.random.default_rng(seed)
    one, two, both = sds
    values = (
        3
        + one * generator.standard_normal((figures, 1))
        + two * generator.standard_normal((1, grounds))
        + both * generator.standard_normal((figures, grounds))
    )
    return CrossedCells(values, generator.random((figures, grounds)) < share)


def ones(cells: CrossedCells) -> tuple[Floats, Floats]:
    figures, grounds = cells.present.shape
    return np.ones((1, figures)), np.ones((1, grounds))


def components(cells: CrossedCells) -> NDArray[np.float64]:
    return np.asarray(script.variance_components(cells)[0])


def by_pairs(cells: CrossedCells, figure_weights: Floats, ground_weights: Floats) -> NDArray[np.float64]:
    """The same from every two cells, one after the other."""
    sums, counts = np.zeros(3), np.zeros(3)
    cells_of = np.argwhere(cells.present)
    for first, ground in cells_of:
        for second, other in cells_of:
            if first == second and ground == other:
                continue
            kind = 0 if first == second else 1 if ground == other else 2
            figure = figure_weights[first] * (figure_weights[second] if first != second else 1)
            weight = figure * ground_weights[ground] * (ground_weights[other] if ground != other else 1)
            sums[kind] += weight * (cells.values[first, ground] - cells.values[second, other]) ** 2 / 2
            counts[kind] += weight
    same_figure, same_ground, apart = sums / counts
    return np.array([apart - same_figure, apart - same_ground, same_figure + same_ground - apart])


def test_without_gaps_they_are_those_of_the_analysis_of_variance() -> None:
    cells = drawn(12, 7, (1.0, 0.5, 0.8), 1)
    values = cells.values
    rows, columns = values.mean(axis=1, keepdims=True), values.mean(axis=0, keepdims=True)
    within = ((values - rows - columns + values.mean()) ** 2).sum() / (11 * 6)
    figure = (7 * float(rows.var(ddof=1)) - within) / 7
    ground = (12 * float(columns.var(ddof=1)) - within) / 12
    assert components(cells) == pytest.approx([figure, ground, within])


def test_with_gaps_and_drawn_copies_they_are_those_of_all_pairs() -> None:
    cells = drawn(9, 6, (1.0, 0.5, 0.8), 2, share=0.7)
    generator = np.random.default_rng(3)
    by_figure, by_ground = generator.integers(0, 3, 9).astype(float), generator.integers(0, 3, 6).astype(float)
    weighted = script.variance_components(cells, by_figure[None], by_ground[None])[0]
    assert weighted == pytest.approx(by_pairs(cells, by_figure, by_ground))
    assert components(cells) == pytest.approx(by_pairs(cells, np.ones(9), np.ones(6)))


@pytest.mark.parametrize("share", [1.0, 0.4])
def test_drawn_components_are_recovered_without_bias(share: float) -> None:
    estimates = np.array([components(drawn(40, 15, (1.0, 0.5, 0.7), seed, share=share)) for seed in range(200)])
    error = estimates.std(axis=0, ddof=1) / np.sqrt(len(estimates))
    assert (np.abs(estimates.mean(axis=0) - [1.0, 0.25, 0.49]) < 3.5 * error).all()
    assert (error < 0.02).all()


@pytest.mark.parametrize("share", [1.0, 0.8])
def test_they_agree_with_statsmodels_crossed_random_effects(share: float) -> None:
    """REML is another estimator, the same without gaps where none is negative; with gaps it differs by its noise."""
    cells = drawn(40, 12, (1.0, 0.6, 0.7), 5, share=share)
    figure, ground = np.nonzero(cells.present)
    frame = pandas.DataFrame({"y": cells.values[figure, ground], "figure": figure, "ground": ground, "all": 1})
    parts = {"figure": "0 + C(figure)", "ground": "0 + C(ground)"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = MixedLM.from_formula("y ~ 1", groups="all", vc_formula=parts, re_formula="0", data=frame).fit()
    reference = dict(zip(fitted.model.exog_vc.names, fitted.vcomp, strict=True))
    wanted = [reference["figure"], reference["ground"], fitted.scale]
    assert components(cells) == pytest.approx(wanted, rel=1e-3 if share == 1 else 0.08)


def test_components_of_answers_that_a_figure_or_a_ground_decides() -> None:
    by_figure, by_ground = np.zeros((40, 12)), np.zeros((40, 12))
    by_figure[::2], by_ground[:, ::3] = 1, 1
    whole = np.ones((40, 12), dtype=np.bool_)
    for values, wanted in ((by_figure, "figure"), (by_ground, "ground")):
        measured = script.estimate_components(CrossedCells(values, whole), TwoWaySampling(200, 0))
        shares = {name: part["share"]["value"] for name, part in measured.items()}
        assert shares == pytest.approx({**dict.fromkeys(shares, 0.0), wanted: 1.0}, abs=1e-9)


def test_nothing_that_varies_has_no_components() -> None:
    measured = script.estimate_components(CrossedCells(np.ones((30, 9)), np.ones((30, 9), dtype=np.bool_)), SAMPLING)
    for part in measured.values():
        assert (part["value"], part["share"]["value"], part["ci95"]) == (pytest.approx(0), None, None)


SAMPLING = TwoWaySampling(300, 0)


def test_too_few_of_either_have_no_interval_over_both() -> None:
    for figures, grounds in ((23, 20), (60, 7)):
        measured = script.estimate_components(drawn(figures, grounds, (1, 1, 1), 0), SAMPLING)
        assert measured["ground"]["ci95"] is None
        assert measured["ground"]["no_ci95"] == "too few to say"
    enough = script.estimate_components(drawn(24, 8, (1, 1, 1), 0), SAMPLING)
    low, high = enough["ground"]["ci95"]
    assert low < enough["ground"]["value"] < high


def test_rare_errors_have_no_intervals_of_components() -> None:
    values = np.ones((60, 10))
    values[:9, 0] = 0
    whole = np.ones_like(values, dtype=np.bool_)
    assert script.estimate_components(CrossedCells(values, whole), SAMPLING)["figure"]["ci95"] is None
    values[9, 0] = 0
    assert script.estimate_components(CrossedCells(values, whole), SAMPLING)["figure"]["ci95"] is not None


def test_whole_groups_are_drawn() -> None:
    groups = np.repeat(np.arange(10), 3)
    (figures, grounds), *_ = TwoWaySampling(50, 1, groups).draws(30, 9)
    assert (figures.reshape(50, 10, 3).max(axis=2) == figures.reshape(50, 10, 3).min(axis=2)).all()
    assert (grounds.sum(axis=1) == 9).all()
    again = next(TwoWaySampling(50, 1, groups).draws(30, 9))[0]
    assert np.array_equal(figures, again)


def answers(generator: np.random.Generator, figures: int, grounds: int, ground_sd: float) -> CrossedCells:
    """Right or wrong by a normal threshold: 87 % are right, figures differ, and grounds by ``ground_sd``."""
    latent = (
        1.5
        + generator.standard_normal((figures, 1))
        + ground_sd * generator.standard_normal((1, grounds))
        + 0.7 * generator.standard_normal((figures, grounds))
    )
    return CrossedCells((latent > 0).astype(np.float64), np.ones((figures, grounds), dtype=np.bool_))


def test_pigeonhole_intervals_cover_where_those_over_rows_do_not() -> None:
    """A larger drawing of the same is the truth; 95 % are meant, and 90 % is what the house prints from."""
    truth_of = answers(np.random.default_rng(0), 1500, 1500, 0.5)
    mean, wanted = float(truth_of.values.mean()), components(truth_of)
    held, naive, draws = np.zeros(4), 0, 80
    for seed in range(draws):
        cells = answers(np.random.default_rng(seed + 1), 60, 12, 0.5)
        low, high = script.estimate_share(cells, np.ones(60), TwoWaySampling(200, seed))["ci95"]
        measured = script.estimate_components(cells, TwoWaySampling(200, seed))
        inside = [
            part["ci95"][0] <= value <= part["ci95"][1] for part, value in zip(measured.values(), wanted, strict=True)
        ]
        held += [low <= mean <= high, *inside]
        low, high = script.wilson_interval(float(cells.values.mean()), cells.values.size)
        naive += low <= mean <= high
    assert (held / draws >= 0.9).all(), held / draws
    assert naive / draws < 0.75
