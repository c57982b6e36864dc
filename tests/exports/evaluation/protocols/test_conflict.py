"""Cue conflict: scripted models that answer figure, ground or coin, their intervals, and the worst group."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pasted_dataset import make_rows, write_repository

from figureground.exports import evaluate as script
from figureground.exports.evaluate import ConflictRows

NAMES = [f"c{number}" for number in range(4)]
Ints = NDArray[np.int64]


def rows_of(
    answer: str, n: int = 120, draws: int = 1, *, seed: int = 0, own_class: bool = False, classes: int = 4
) -> ConflictRows:
    """Rows on drawn grounds; ``answer`` is figure, ground, coin, anything (every class alike) or a share of figures."""
    generator = np.random.default_rng(seed)
    label = np.repeat(np.arange(n) % classes, draws)
    ground = (
        generator.integers(0, classes, len(label))
        if own_class
        else (label + generator.integers(1, classes, len(label))) % classes
    )
    coin = generator.random(len(label)) < (0.5 if answer == "coin" else float(answer) if answer[0].isdigit() else 0)
    anything = generator.integers(0, classes, len(label))
    answers = {"figure": label, "ground": ground, "anything": anything}.get(answer, np.where(coin, label, ground))
    ids = np.repeat([f"id{number:04}" for number in range(n)], draws)
    return ConflictRows(
        image_id=ids,
        cluster=ids,
        label=label,
        ground_label=ground,
        figure_key=label,
        ground_key=ground,
        answer_key=answers,
        outside=np.zeros(len(label), dtype=np.bool_),
    )


def measured(rows: ConflictRows, least: int = 10) -> dict[str, Any]:
    own: dict[str, Any] = script.summarise_conflict({"mixed_rand": rows}, NAMES, least)["configs"]["mixed_rand"]
    return own


@pytest.mark.parametrize("draws", [1, 3])
@pytest.mark.parametrize(
    ("answer", "bias", "attraction"), [("figure", 1.0, 0.0), ("ground", 0.0, 1.0), ("coin", 0.5, 0.5)]
)
def test_models_that_answer_figure_ground_or_coin(answer: str, bias: float, attraction: float, draws: int) -> None:
    own = measured(rows_of(answer, draws=draws, seed=2))
    for name, truth in (("bias", bias), ("attraction", attraction)):
        low, high = own[name]["ci95"]
        assert low <= truth <= high
        assert 0 < high - low < 0.25
        assert own[name]["value"] == pytest.approx(truth, abs=0.1)
    assert own["n"] == 120
    assert own["n_rows"] == 120 * draws
    assert own["figure"] + own["ground"] + own["other"] + own["outside"] == own["n_rows"]
    assert own["attraction"]["p"] == 1 if answer == "figure" else own["attraction"]["p"] < 1e-6


def test_a_ground_that_is_answered_no_more_often_than_elsewhere_attracts_nothing() -> None:
    own = measured(rows_of("anything", n=600))
    assert own["ground_share"]["value"] == pytest.approx(0.25, abs=0.05)  # as often as any class
    assert own["attraction"]["value"] == pytest.approx(0, abs=0.06)
    assert own["attraction"]["ci95"][0] < 0 < own["attraction"]["ci95"][1]
    assert own["attraction"]["p"] > 0.05


def test_grounds_of_the_own_class_are_no_conflict_but_a_group() -> None:
    rows = rows_of("ground", own_class=True, n=200)
    own, agreeing = measured(rows), int((rows.label == rows.ground_label).sum())
    assert agreeing > 30
    assert own["n"] == 200 - agreeing
    assert own["figure"] == 0
    assert own["bias"]["value"] == 0
    diagonal = [cell for cell in own["table"] if cell["figure"] == cell["ground"]]
    assert sum(cell["n"] for cell in diagonal) == agreeing
    assert sum(cell["n"] for cell in own["table"]) == 200


def test_chance_is_told_by_other_variants_where_a_variant_has_one_ground_a_class() -> None:
    following = rows_of("anything", n=240)
    following = ConflictRows(
        **{
            **{name: getattr(following, name) for name in ConflictRows.__slots__},
            "ground_label": (following.label + 1) % 4,
            "ground_key": (following.label + 1) % 4,
        }
    )
    alone = measured(following)
    assert alone["attraction"] == {"value": None, "reason": alone["attraction"]["reason"]}
    both = script.summarise_conflict({"mixed_next": following, "mixed_rand": rows_of("anything", n=240, seed=5)}, NAMES)
    assert both["configs"]["mixed_next"]["attraction"]["value"] == pytest.approx(0, abs=0.1)


def covered(answer: str, truth: float, name: str, *, n: int, draws: int = 1) -> float:
    """How often an interval of drawn answers holds the truth."""
    hits = 0
    for seed in range(120):
        rows = rows_of(answer, n=n, draws=draws, seed=seed)
        low, high = script.share_ratio(rows.figure, rows.figure + rows.ground, rows.cluster).limits(script.Z)
        if name == "difference":
            other = rows_of(answer, n=n, draws=draws, seed=seed + 1000)
            second = script.share_ratio(other.figure, other.figure + other.ground, other.cluster)
            first = script.share_ratio(rows.figure, rows.figure + rows.ground, rows.cluster)
            low, high = script.difference_of(first, second).limits(script.Z)
        hits += low <= truth <= high
    return hits / 120


@pytest.mark.parametrize(("n", "draws", "answer"), [(24, 1, "0.9"), (60, 3, "0.5"), (120, 1, "0.75")])
def test_intervals_hold_the_truth_as_often_as_they_say(n: int, draws: int, answer: str) -> None:
    assert covered(answer, float(answer), "bias", n=n, draws=draws) >= 0.9
    assert covered(answer, 0, "difference", n=n, draws=draws) >= 0.9


def test_paired_variants_are_compared_by_image() -> None:
    first = rows_of("0.7", n=200, seed=1)
    summary = script.summarise_conflict({"one": first, "two": first, "three": rows_of("0.2", n=200, seed=3)}, NAMES)
    same, other = (summary["differences"][name] for name in ("one_minus_two", "one_minus_three"))
    assert same["bias"]["value"] == 0
    assert same["bias"]["p"] == 1
    assert same["bias"]["ci95"][1] < 0.01  # the same answers to the same images
    assert other["bias"]["value"] == pytest.approx(0.5, abs=0.1)
    assert other["bias"]["ci95"][0] > 0.35
    assert other["bias"]["p"] < 1e-6


def test_groups_of_photos_count_as_one() -> None:
    rows = rows_of("0.7", n=120)
    bursts = np.array([f"burst{number // 12}" for number in range(120)])
    alike = np.where(np.arange(120) // 12 % 3 > 0, rows.label, rows.ground_label)  # a burst is answered as a whole
    parts = {name: getattr(rows, name) for name in ConflictRows.__slots__}
    widths = []
    for cluster in (rows.image_id, bursts):
        low, high = measured(ConflictRows(**{**parts, "answer_key": alike, "cluster": cluster}))["bias"]["ci95"]
        widths.append(high - low)
    assert widths[1] > 2 * widths[0]


def test_the_worst_group_is_told_with_an_interval_for_the_worst_of_all() -> None:
    rows = rows_of("figure", n=400)
    bad = (rows.label == 1) & (rows.ground_label == 3)
    parts = {name: getattr(rows, name) for name in ConflictRows.__slots__}
    worst = measured(ConflictRows(**{**parts, "answer_key": np.where(bad, rows.ground_label, rows.label)}))[
        "worst_group"
    ]
    assert worst["group"] == "c1 on c3"
    assert (worst["value"], worst["n"], worst["n_groups"]) == (0.0, int(bad.sum()), 12)
    low, high = worst["ci95"]
    alone = script.wilson_interval(0.0, int(bad.sum()))
    assert low == 0
    assert alone[1] < high < 0.3  # wider than that of a group which nobody picked


def test_the_lowest_of_groups_that_are_all_alike_lies_in_its_interval() -> None:
    hits, values = 0, []
    for seed in range(60):
        worst = measured(rows_of("0.8", n=200, seed=seed))["worst_group"]
        hits += worst["ci95"][0] <= 0.8 <= worst["ci95"][1]
        values.append(worst["value"])
    assert hits >= 56
    assert np.mean(values) < 0.65  # picked for being low, although no group is
    assert np.mean(values) == pytest.approx(worst["if_alike"], abs=0.06)


def test_small_groups_are_pooled_or_marked() -> None:
    own = measured(rows_of("figure", n=40), least=8)["worst_group"]
    assert {group["group"] for group in own["groups"]} >= {"c0 on other grounds"}
    pooled = [group for group in own["groups"] if not group["too_small"]]
    assert all(group["n"] >= 8 for group in pooled)
    none = measured(rows_of("figure", n=40), least=11)["worst_group"]
    assert none["value"] is None
    assert none["reason"] == "no group has 11 images"
    assert all(group["too_small"] and "value" not in group for group in none["groups"])


def test_evaluate_tells_which_of_figure_and_ground_wins(tmp_path: Path) -> None:
    data = write_repository(tmp_path / "pasted", make_rows())
    summaries = {}
    for name in ("looks_at_figure", "looks_at_ground"):
        result = script.evaluate(data, f"crop_dataset:{name}", bootstrap=50, out=tmp_path / "scores")
        (summaries[name],) = result["conflict"].values()
        rows = script.format_table([result])
        assert "\nmixed_rand, conflict bias  " in rows
        assert "\nmixed_rand, conflict attraction  " in rows
        own = summaries[name]["configs"]["mixed_rand"]
        beside = f"{own['figure']}:{own['ground']}"
        assert f" {beside}\n" in rows  # the counts, and what they are
        assert "the share of the figure's, with how many are the figure's:the ground's; conflict attraction: " in rows
        assert "conflict: worst group" not in rows  # no group has ten images
        assert "mixed_rand_bias" in {figure.name for figure in script.imagenet9_figures(result)}
    conflicts = sum(row["label"] != row["ground_label"] for row in make_rows()["mixed_rand"] if row["ground_id"])
    for summary in summaries.values():
        assert summary["classes"] == ["red", "green", "blue"]
        assert set(summary["configs"]) == {"mixed_rand"}  # mixed_same has grounds of the own class alone
        assert summary["configs"]["mixed_rand"]["n"] == conflicts
    assert summaries["looks_at_figure"]["configs"]["mixed_rand"]["bias"]["value"] == 1
    # a photo's ground has the colour of its class in one of three
    assert summaries["looks_at_ground"]["configs"]["mixed_rand"]["bias"]["value"] < 0.9
    assert summaries["looks_at_ground"]["configs"]["mixed_rand"]["ground"] > 0


def test_in_imagenets_own_classes_only_the_photos_own_output_counts() -> None:
    arrays = {
        "image_id": np.array(["a", "b", "c"]),
        "cluster": np.array(["a", "b", "c"]),
        "label": np.array([0, 0, 1]),
        "mapped": np.array([0, 1, 0]),
        "predicted": np.array([1, 2, 0]),
        "ground_label": np.array([1, 1, 0]),
        "own_output": np.array([0, 0, 2]),
        "ground_output": np.array([2, 2, 1]),
    }
    spaces = script.conflict_spaces({"mixed_rand": arrays}, "map", ["red", "green"])
    counts = {
        space: tuple(own["configs"]["mixed_rand"][name] for name in ("figure", "ground"))
        for space, own in spaces.items()
    }
    assert counts == {"map": (1, 2), "exact1000": (0, 1)}
    unknown = {**arrays, "ground_output": np.array([2, -1, 1])}
    assert set(script.conflict_spaces({"mixed_rand": unknown}, "map", ["red", "green"])) == {"map"}
