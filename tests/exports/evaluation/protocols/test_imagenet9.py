from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binomtest  # type: ignore[import-untyped]  # ships no annotations

from figureground.exports import evaluate as script
from figureground.exports.evaluate import Bools, EvaluationError, Predictions

RGB = script.parse_class_map(
    '{"name": "rgb", "classes": [{"index": 0, "name": "red", "imagenet_indices": [0, 1]}, '
    '{"index": 1, "name": "green", "imagenet_indices": [2]}, {"index": 2, "name": "blue", "imagenet_indices": [3]}]}'
)


def column(*outcomes: int) -> Bools:
    return np.array(outcomes, dtype=np.bool_)[:, None]


def answers(
    labels: list[int], correct: list[int], *, ids: list[str] | None = None, draws: list[int] | None = None
) -> Predictions:
    """Predictions that are right where ``correct`` is 1 and outside the map elsewhere."""
    mapped = np.where(np.array(correct, dtype=np.bool_), labels, -1)
    return Predictions(
        image_id=np.array(ids or [f"{row:03d}" for row in range(len(labels))]),
        draw=np.array(draws or [0] * len(labels)),
        label=np.array(labels),
        predicted=mapped,
        mapped=mapped,
        probability=np.ones(len(labels)),
        label_space=np.array("map"),
    )


def test_bg_gap_compares_class_means() -> None:
    labels = np.array([0, 0, 0, 1])
    same, rand = column(1, 1, 0, 1), column(1, 0, 0, 0)
    assert script.accuracy_micro(same) == 0.75
    assert script.accuracy_macro(same, labels) == pytest.approx((2 / 3 + 1) / 2)
    assert script.accuracy_macro(rand, labels) == pytest.approx((1 / 3 + 0) / 2)
    assert script.background_gap(same, rand, labels) == pytest.approx(2 / 3)
    assert script.accuracy_per_class(same, labels) == {0: pytest.approx(2 / 3), 1: 1.0}


@pytest.mark.parametrize(
    ("original", "mixed_rand", "only_bg_t", "expected"),
    [
        (1, 0, 1, "bg_required"),
        (0, 1, 0, "bg_fools"),
        (1, 0, 0, "bg_fg_required"),
        (0, 1, 1, "bg_fg_fools"),
        (0, 0, 0, "bg_irrelevant"),
        (0, 0, 1, "bg_irrelevant"),
        (1, 1, 0, "bg_irrelevant"),
        (1, 1, 1, "bg_irrelevant"),
    ],
)
def test_categories_are_those_of_table_3(original: int, mixed_rand: int, only_bg_t: int, expected: str) -> None:
    found = script.image_categories(column(original), column(mixed_rand), column(only_bg_t))
    assert [name for name, inside in found.items() if inside.all()] == [expected]


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=50))
def test_every_image_is_in_one_category(rows: list[tuple[bool, bool, bool]]) -> None:
    original, mixed_rand, only_bg_t = (np.array(outcomes)[:, None] for outcomes in zip(*rows, strict=True))
    found = script.image_categories(original, mixed_rand, only_bg_t)
    assert tuple(found) == script.CATEGORIES
    assert (np.sum(list(found.values()), axis=0) == 1).all()


def test_mcnemar_is_the_binomial_test_of_discordant_pairs() -> None:
    first = np.array([1] * 8 + [0] * 1 + [1] * 5 + [0] * 3, dtype=np.bool_)
    second = np.array([0] * 8 + [1] * 1 + [1] * 5 + [0] * 3, dtype=np.bool_)
    assert script.mcnemar_exact(first, second) == pytest.approx(2 * (1 + 9) / 2**9)
    assert script.mcnemar_exact(first, second) == pytest.approx(binomtest(1, 9, 0.5).pvalue)
    assert script.mcnemar_exact(first, first) == 1.0


def test_empty_input_is_refused() -> None:
    none = np.zeros((0, 1), dtype=np.bool_)
    labels = np.zeros(0, dtype=np.int64)
    for call in (
        lambda: script.accuracy_micro(none),
        lambda: script.accuracy_macro(none, labels),
        lambda: script.image_categories(none, none, none),
        lambda: script.mcnemar_exact(none[:, 0], none[:, 0]),
        lambda: script.bootstrap_class_means(np.zeros((0, 1, 1)), labels, count=5, seed=0),
        lambda: script.summarise({}, RGB, count=5, seed=0),
    ):
        with pytest.raises(EvaluationError, match="nothing to score"):
            call()


def bernoulli_interval(right: int, total: int) -> list[float]:
    values = (np.arange(total) < right).astype(np.float64)[:, None, None]
    samples = script.bootstrap_class_means(values, np.zeros(total, np.int64), count=10_000, seed=1)
    return script.bootstrap_interval(samples[:, 0])


def test_bootstrap_of_one_share_is_near_the_normal_approximation() -> None:
    half = 1.96 * (0.3 * 0.7 / 400) ** 0.5
    assert bernoulli_interval(120, 400) == pytest.approx([0.3 - half, 0.3 + half], abs=0.004)


def test_bootstrap_intervals_cover_as_often_as_they_say() -> None:
    generator = np.random.default_rng(3)
    covered = 0
    for right in generator.binomial(100, 0.7, size=200):
        values = (np.arange(100) < right).astype(np.float64)[:, None, None]
        samples = script.bootstrap_class_means(values, np.zeros(100, np.int64), count=1000, seed=int(right))
        low, high = script.bootstrap_interval(samples[:, 0])
        covered += low <= 0.7 <= high
    assert 0.90 <= covered / 200 <= 0.98


def naive_bootstrap(values: NDArray[np.float64], labels: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """The same bootstrap by drawing indices, one resample at a time."""
    generator = np.random.default_rng(5)
    images, columns, draws = values.shape
    means = np.zeros((count, columns))
    for row in range(count):
        chosen = generator.integers(0, draws, draws)
        for label in np.unique(labels):
            members = np.flatnonzero(labels == label)
            picked = members[generator.integers(0, len(members), len(members))]
            means[row] += values[picked][:, :, chosen].mean(axis=(0, 2)) / len(np.unique(labels))
    assert images == len(labels)
    return means


def test_counting_patterns_is_the_same_bootstrap_as_drawing_indices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "_BOOTSTRAP_CELLS", 1000)  # so that it also goes in many steps
    generator = np.random.default_rng(4)
    values = (generator.random((60, 2, 3)) < [[[0.8], [0.4]]]).astype(np.float64)
    labels = np.repeat([0, 1, 2], [10, 20, 30])
    fast = script.bootstrap_class_means(values, labels, count=4000, seed=2)
    slow = naive_bootstrap(values, labels, 4000)
    assert fast.mean(axis=0) == pytest.approx(slow.mean(axis=0), abs=0.005)
    assert fast.std(axis=0) == pytest.approx(slow.std(axis=0), rel=0.06)
    assert np.cov(fast.T)[0, 1] == pytest.approx(np.cov(slow.T)[0, 1], abs=3e-4)


def test_bootstrap_is_stratified_paired_and_seeded() -> None:
    labels = np.repeat([0, 1], [5, 15])
    values = np.stack([labels == 0, labels == 0], axis=1)[:, :, None].astype(np.float64)
    samples = script.bootstrap_class_means(values, labels, count=200, seed=0)
    assert (samples == 0.5).all()  # resampled across classes, the share of class 0 would vary
    mixed = (np.random.default_rng(0).random((20, 1, 1)) < 0.5).astype(np.float64)
    twice = script.bootstrap_class_means(np.concatenate([mixed, mixed], axis=1), labels, count=200, seed=7)
    assert (twice[:, 0] == twice[:, 1]).all()
    assert twice[:, 0].std() > 0
    again = script.bootstrap_class_means(np.concatenate([mixed, mixed], axis=1), labels, count=200, seed=7)
    other = script.bootstrap_class_means(np.concatenate([mixed, mixed], axis=1), labels, count=200, seed=8)
    assert (again == twice).all()
    assert (other != twice).any()


def test_summary_by_hand() -> None:
    labels = [0, 0, 1, 1, 2, 2]
    found = script.summarise(
        {
            "original": answers(labels, [1, 1, 1, 1, 1, 0]),
            "mixed_same": answers(labels, [1, 1, 1, 0, 1, 0]),
            "mixed_rand": answers(labels, [1, 0, 0, 0, 1, 1]),
            "only_bg_t": answers(labels, [1, 1, 0, 0, 0, 0]),
        },
        RGB,
        count=500,
        seed=0,
    )
    assert found["balanced"] is True
    assert found["configs"]["original"]["accuracy_macro"] == pytest.approx(5 / 6)
    assert found["configs"]["original"]["per_class_accuracy"] == {"red": 1, "green": 1, "blue": 0.5}
    assert found["configs"]["original"]["unmapped_share"] == pytest.approx(1 / 6)
    gap = found["differences"]["bg_gap"]
    assert gap["value"] == pytest.approx(4 / 6 - 3 / 6)
    assert gap["ci95"][0] <= gap["value"] <= gap["ci95"][1]
    assert gap["excludes_zero"] is False
    assert gap["mcnemar_p"] == pytest.approx(binomtest(2, 3, 0.5).pvalue)
    shares = {name: share["value"] for name, share in found["categories"].items()}
    assert shares == {
        "bg_required": pytest.approx(1 / 6),
        "bg_fools": pytest.approx(1 / 6),
        "bg_fg_required": pytest.approx(2 / 6),
        "bg_fg_fools": 0,
        "bg_irrelevant": pytest.approx(2 / 6),
    }
    assert found["differences"]["original_minus_mixed_self"] == {"value": None, "reason": "not scored: mixed_self"}


def test_unanimous_outcomes_get_wilsons_interval() -> None:
    labels = [0, 1, 2] * 10
    alike = answers(labels, [1] * 30)
    found = script.summarise(dict.fromkeys(script.CATEGORY_CONFIGS, alike), RGB, count=50, seed=0)
    limit = 30 / (30 + 1.959964**2)
    assert found["configs"]["original"]["ci95"] == pytest.approx([limit, 1.0], abs=1e-6)
    assert found["categories"]["bg_irrelevant"]["ci95"] == pytest.approx([limit, 1.0], abs=1e-6)
    assert found["categories"]["bg_fools"]["ci95"] == pytest.approx([0.0, 1 - limit], abs=1e-6)


def test_draws_are_averaged_and_spread() -> None:
    labels = [0, 0, 1, 1, 2, 2]
    ids = ["a", "a", "b", "b", "c", "c"]
    draws = [0, 1] * 3
    found = script.summarise(
        {
            "original": answers([0, 1, 2], [1, 1, 1], ids=["a", "b", "c"]),
            "mixed_same": answers(labels, [1, 1, 1, 0, 1, 0], ids=ids, draws=draws),
            "mixed_rand": answers(labels, [1, 0, 0, 0, 0, 0], ids=ids, draws=draws),
        },
        RGB,
        count=500,
        seed=0,
    )
    same = found["configs"]["mixed_same"]
    assert (same["n"], same["draws"]) == (3, 2)
    assert same["accuracy_macro"] == pytest.approx(4 / 6)
    assert same["sd_between_draws"] == pytest.approx(np.std([1, 1 / 3], ddof=1))
    gap = found["differences"]["bg_gap"]
    assert gap["value"] == pytest.approx(4 / 6 - 1 / 6)
    assert gap["sd_between_draws"] == pytest.approx(np.std([1 - 1 / 3, 1 / 3], ddof=1))
    assert gap["mcnemar_p"] is None
    assert found["configs"]["original"]["sd_between_draws"] is None


@pytest.mark.slow
@given(st.permutations(list(range(12))), st.lists(st.integers(0, 1), min_size=36, max_size=36))
def test_order_of_rows_changes_nothing(order: list[int], outcomes: list[int]) -> None:
    labels = [0, 1, 2] * 4
    configs = ("original", "mixed_rand", "only_bg_t")
    plain = {name: answers(labels, outcomes[12 * i : 12 * i + 12]) for i, name in enumerate(configs)}
    shuffled = {
        name: answers(
            [labels[row] for row in order],
            [outcomes[12 * i + row] for row in order],
            ids=[f"{row:03d}" for row in order],
        )
        for i, name in enumerate(configs)
    }
    first = script.summarise(plain, RGB, count=40, seed=1)
    assert script.summarise(shuffled, RGB, count=40, seed=1) == first
    assert sum(share["value"] for share in first["categories"].values()) == pytest.approx(1)


def test_broken_pairs_are_named() -> None:
    original = answers([0, 1, 2], [1, 1, 1], ids=["a", "b", "c"])
    other = answers([0, 1, 2], [1, 1, 1], ids=["a", "b", "x"])
    with pytest.raises(EvaluationError, match=r"mixed_rand: .*1 missing \(c\), 1 extra \(x\)"):
        script.summarise({"mixed_rand": other, "original": original}, RGB, count=5, seed=0)
    relabelled = answers([0, 1, 1], [1, 1, 1], ids=["a", "b", "c"])
    with pytest.raises(EvaluationError, match="labels of original, got others for c"):
        script.summarise({"original": original, "mixed_rand": relabelled}, RGB, count=5, seed=0)
    doubled = answers([0, 0, 1, 1], [1, 1, 1, 1], ids=["a", "a", "b", "b"], draws=[0, 1, 0, 0])
    with pytest.raises(EvaluationError, match="each draw once and one label an image; got others for b"):
        script.summarise({"original": doubled}, RGB, count=5, seed=0)
    uneven = answers([0, 0, 1], [1, 1, 1], ids=["a", "a", "b"], draws=[0, 1, 0])
    with pytest.raises(EvaluationError, match="2 draws of every image, got fewer of b"):
        script.summarise({"original": uneven}, RGB, count=5, seed=0)


def test_1001_outputs_lose_their_background_column() -> None:
    logits = np.zeros((4, 1001), dtype=np.float32)
    logits[:, 0] = 9
    for row, output in enumerate((1, 2, 3, 999)):
        logits[row, output + 1] = 5
    raw, mapped = script.map_predictions(logits, RGB, "map")
    assert raw.tolist() == [1, 2, 3, 999]
    assert mapped.tolist() == [0, 1, 2, -1]
    again = script.map_predictions(logits[:, 1:], RGB, "map")
    assert (again[0] == raw).all()
    assert (again[1] == mapped).all()


def test_unmapped_outputs_compete() -> None:
    logits = np.zeros((1, 1000), dtype=np.float32)
    logits[0, 2], logits[0, 500] = 4, 5
    assert script.map_predictions(logits, RGB, "map")[1].tolist() == [-1]


def test_label_space_is_told_by_the_outputs() -> None:
    assert [script.find_label_space(outputs, RGB) for outputs in (3, 1000, 1001)] == ["head", "map", "map"]
    for outputs, named in product((2, 21_843), (None, "map", "head")):
        with pytest.raises(EvaluationError, match=f"got {outputs} outputs"):
            script.find_label_space(outputs, RGB, named)
    with pytest.raises(EvaluationError, match="got 3 outputs, label space map"):
        script.find_label_space(3, RGB, "map")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[]", "expected index, name"),
        ('{"classes": []}', "count 0, 1, 2"),
        ('{"classes": [{"index": 1, "name": "a", "imagenet_indices": []}]}', "count 0, 1, 2"),
        ('{"unmapped_value": 3, "classes": [{"index": 0, "name": "a", "imagenet_indices": []}]}', "negative"),
        ('{"classes": [{"index": 0, "name": "a", "imagenet_indices": [4, 4]}]}', "output 4 is outside"),
        ('{"classes": [{"index": 0, "name": "a", "imagenet_indices": [1000]}]}', "output 1000 is outside"),
    ],
)
def test_faulty_class_maps_are_refused(text: str, reason: str) -> None:
    with pytest.raises(EvaluationError, match=reason):
        script.parse_class_map(text)


def test_stored_predictions_are_read_under_their_key_only(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "answers.npz"
    script.write_predictions(path, {"image_id": np.array(["a", "b", "ü"]), "mapped": np.array([0, -1, 2])}, "this run")
    again = script.read_predictions(path, "this run")
    assert again is not None
    assert again["image_id"].tolist() == ["a", "b", "ü"]
    assert again["mapped"].tolist() == [0, -1, 2]
    assert script.read_predictions(path, "another run") is None
    assert script.read_predictions(tmp_path / "absent.npz", "this run") is None
    assert [each.name for each in path.parent.iterdir()] == ["answers.npz"]
