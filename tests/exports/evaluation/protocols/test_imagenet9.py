from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from figureground.exports import evaluate as script
from figureground.exports.evaluate import Bools, EvaluationError, Predictions

RGB = script.parse_class_map(
    '{"name": "rgb", "classes": [{"index": 0, "name": "red", "imagenet_indices": [0, 1]}, '
    '{"index": 1, "name": "green", "imagenet_indices": [2]}, {"index": 2, "name": "blue", "imagenet_indices": [3]}]}'
)


def column(*outcomes: int) -> Bools:
    return np.array(outcomes, dtype=np.bool_)[:, None]


def answers(
    labels: list[int],
    correct: list[int],
    *,
    ids: list[str] | None = None,
    draws: list[int] | None = None,
    restricted: list[int] | None = None,
    exact: list[int] | None = None,
) -> Predictions:
    """Predictions that are right where ``correct`` is 1 and outside the map elsewhere.

    ``restricted`` says where the largest mapped output is right, by default where ``correct`` does; ``exact`` where the
    photo's own class is answered, by default it is not known.
    """
    mapped = np.where(np.array(correct, dtype=np.bool_), labels, -1)
    inside = np.where(np.array(restricted or correct, dtype=np.bool_), labels, (np.array(labels) + 1) % 3)
    return Predictions(
        image_id=np.array(ids or [f"{row:03d}" for row in range(len(labels))]),
        draw=np.array(draws or [0] * len(labels)),
        label=np.array(labels),
        predicted=mapped,
        mapped=mapped,
        restricted=inside,
        exact=np.array(exact or [-1] * len(labels)),
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
    categories = script.image_categories(column(original), column(mixed_rand), column(only_bg_t))
    assert [name for name, inside in categories.items() if inside.all()] == [expected]


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=50))
def test_every_image_is_in_one_category(rows: list[tuple[bool, bool, bool]]) -> None:
    original, mixed_rand, only_bg_t = (np.array(outcomes)[:, None] for outcomes in zip(*rows, strict=True))
    categories = script.image_categories(original, mixed_rand, only_bg_t)
    assert tuple(categories) == script.CATEGORIES
    assert (np.sum(list(categories.values()), axis=0) == 1).all()


def test_empty_input_is_refused() -> None:
    none = np.zeros((0, 1), dtype=np.bool_)
    labels = np.zeros(0, dtype=np.int64)
    for call in (
        lambda: script.accuracy_micro(none),
        lambda: script.accuracy_macro(none, labels),
        lambda: script.image_categories(none, none, none),
        lambda: script.summarise({}, RGB),
    ):
        with pytest.raises(EvaluationError, match="nothing to score"):
            call()


def test_summary_by_hand() -> None:
    labels = [0, 0, 1, 1, 2, 2]
    summary = script.summarise(
        {
            "original": answers(labels, [1, 1, 1, 1, 1, 0]),
            "mixed_same": answers(labels, [1, 1, 1, 0, 1, 0]),
            "mixed_rand": answers(labels, [1, 0, 0, 0, 1, 1]),
            "only_bg_t": answers(labels, [1, 1, 0, 0, 0, 0]),
        },
        RGB,
    )
    assert summary["balanced"] is True
    assert summary["configs"]["original"]["accuracy_macro"] == pytest.approx(5 / 6)
    assert summary["configs"]["original"]["per_class_accuracy"] == {"red": 1, "green": 1, "blue": 0.5}
    assert summary["configs"]["original"]["unmapped_share"] == pytest.approx(1 / 6)
    gap = summary["differences"]["bg_gap"]
    assert gap["value"] == pytest.approx(4 / 6 - 3 / 6)
    assert gap["ci95"][0] <= gap["value"] <= gap["ci95"][1]
    labels_of = np.array(labels)
    paired = script.paired_difference(np.array([1, 1, 1, 0, 1, 0.0]), np.array([1, 0, 0, 0, 1, 1.0]), labels_of)
    assert (gap["ci95"], gap["p"], gap["undecidable"]) == (paired.ci95, paired.p, True)
    assert gap["p"] > 0.3
    shares = {name: share["value"] for name, share in summary["categories"].items()}
    assert shares == {
        "bg_required": pytest.approx(1 / 6),
        "bg_fools": pytest.approx(1 / 6),
        "bg_fg_required": pytest.approx(2 / 6),
        "bg_fg_fools": 0,
        "bg_irrelevant": pytest.approx(2 / 6),
    }
    assert summary["differences"]["original_minus_mixed_self"] == {"value": None, "reason": "not scored: mixed_self"}


def test_unanimous_outcomes_get_wilsons_interval() -> None:
    labels = [0, 1, 2] * 10
    alike = answers(labels, [1] * 30)
    summary = script.summarise(dict.fromkeys(script.CATEGORY_CONFIGS, alike), RGB)
    limit = 30 / (30 + 1.959964**2)
    assert summary["configs"]["original"]["ci95"] == pytest.approx([limit, 1.0], abs=1e-6)
    assert summary["categories"]["bg_irrelevant"]["ci95"] == pytest.approx([limit, 1.0], abs=1e-6)
    assert summary["categories"]["bg_fools"]["ci95"] == pytest.approx([0.0, 1 - limit], abs=1e-6)


def test_a_gap_has_the_p_of_what_is_printed() -> None:
    """A class of 200 photos that gains nothing, eight of four that lose all: over images a gap is hardly there.

    McNemar's test over images would say so beside a gap of class means of 78 points.
    """
    labels = [0] * 200 + [1] * 4 + [2] * 4
    same, rand = [0] * 6 + [1] * 194 + [1] * 8, [1] * 6 + [0] * 2 + [1] * 192 + [0] * 8
    summary = script.summarise({"mixed_same": answers(labels, same), "mixed_rand": answers(labels, rand)}, RGB)
    gap = summary["differences"]["bg_gap"]
    assert gap["value"] == pytest.approx((-4 / 200 + 1 + 1) / 3)
    assert gap["value"] == pytest.approx(script.background_gap(column(*same), column(*rand), np.array(labels)))
    low, high = gap["ci95"]
    assert 0 < low < gap["value"] < high
    assert gap["p"] < 0.001
    over_images = np.repeat([-1.0, 1.0, 0.0, 1.0], [6, 2, 192, 8])
    by_image = script.paired_difference(over_images.clip(0), (-over_images).clip(0), np.zeros(208, np.int64))
    assert by_image.json()["p"] > 0.3
    assert {gap["minuend"], gap["subtrahend"]} == {"mixed_same", "mixed_rand"}
    small = script.summarise(
        {"mixed_same": answers([0, 1, 2] * 3, [1] * 9), "mixed_rand": answers([0, 1, 2] * 3, [1] * 8 + [0])}, RGB
    )["differences"]["bg_gap"]
    assert small["undecidable"]
    assert small["ci95"][0] < 0 < small["value"] < small["ci95"][1]
    assert small["p"] > 0.05


def test_a_config_with_one_photo_a_class_is_no_certainty() -> None:
    original = script.summarise({"original": answers([0, 1, 2], [1, 1, 0])}, RGB)["configs"]["original"]
    low, high = original["ci95"]
    assert low < 0.3
    assert high > 0.9
    assert original["undecidable"]


def test_other_masks_of_the_same_figures_show_what_they_change() -> None:
    """The grown masks let six of thirty more pass on mixed_same: 20 points of BG-gap are the mask's."""
    labels = [0, 1, 2] * 10
    plain = {"mixed_same": [1] * 24 + [0] * 6, "mixed_rand": [1] * 18 + [0] * 12}
    grown = {"mixed_same_p4": [1] * 30, "mixed_rand_p4": [1] * 18 + [0] * 12}
    predictions = {config: answers(labels, right) for config, right in (plain | grown).items()}
    summary = script.summarise(predictions, RGB)
    assert set(summary["differences"]) == {*script.DIFFERENCES, "bg_gap_p4"}
    assert summary["differences"]["bg_gap_p4"]["value"] == pytest.approx(12 / 30)
    assert summary["differences"]["bg_gap_p4"]["minuend"] == "mixed_same_p4"
    effect = summary["mask_effects"]["bg_gap_p4_minus_bg_gap"]
    assert effect["value"] == pytest.approx(6 / 30)
    changed = np.array([0.0] * 24 + [1.0] * 6)
    assert effect["ci95"] == pytest.approx(script.mean_estimate(changed, np.array(labels), (-2, 2)).ci95)
    assert effect["p"] < 0.05
    rows = {name: cell.text() for name, cell in script.imagenet9_cells(summary).items()}
    assert rows["bg_gap_p4 - bg_gap"].startswith("+20.0 [")
    one_sided = {config: predictions[config] for config in ("mixed_same", "mixed_rand", "mixed_same_p4")}
    assert script.summarise(one_sided, RGB)["mask_effects"] == {}
    assert "bg_gap_p4" not in script.summarise(one_sided, RGB)["differences"]
    alone = {config: predictions[config] for config in grown}
    assert script.summarise(alone, RGB)["mask_effects"] == {}


def test_the_table_shows_what_lies_outside_the_map_and_the_reading_without_it() -> None:
    labels = [0, 1, 2] * 10
    right, inside = [1] * 18 + [0] * 12, [1] * 24 + [0] * 6
    summary = script.summarise({"original": answers(labels, right, restricted=inside)}, RGB)
    config = summary["configs"]["original"]
    assert config["accuracy_restricted"] == pytest.approx(24 / 30)
    assert config["ci95_restricted"] == script.share_interval(np.array(inside, float), np.array(labels))
    assert config["unmapped_share"] == pytest.approx(12 / 30)
    assert config["unmapped_ci95"] == script.wilson_interval(12 / 30, 30)
    cells = {name: cell.text() for name, cell in script.imagenet9_cells(summary).items()}
    assert cells["original"].startswith("60.0 [")
    assert cells["original, mapped outputs only"].startswith("80.0 [")
    assert cells["original, outside the map"].startswith("40.0 [")
    assert "undecidable" not in "".join(cells.values())
    head = script.imagenet9_cells({**summary, "label_space": "head"})
    assert [name for name in head if "," in name] == []  # a head has no outputs outside


def test_the_photos_own_class_is_a_row_where_it_is_known() -> None:
    labels = [0, 1, 2] * 10
    own = [1] * 15 + [0] * 15
    summary = script.summarise({"original": answers(labels, [1] * 30, exact=own)}, RGB)
    assert summary["exact1000"] == {"n": 30, "accuracy_micro": 0.5, "ci95_micro": script.wilson_interval(0.5, 30)}
    assert script.imagenet9_cells(summary)["original, own ImageNet class"].text().startswith("50.0 [")
    doubted = script.summarise({"original": answers(labels, [1] * 30, exact=[*own[:-1], -1])}, RGB)
    assert "exact1000" not in doubted
    assert "original, own ImageNet class" not in script.imagenet9_cells(doubted)


def test_restricted_and_exact_answers_by_hand() -> None:
    classes = script.parse_class_map(
        '{"name": "two", "classes": [{"index": 0, "name": "a", "wnids": ["n1", "n2"], "imagenet_indices": [3, 4]},'
        ' {"index": 1, "name": "b", "wnids": ["n3"], "imagenet_indices": [7]}]}'
    )
    logits = np.zeros((3, 1000), dtype=np.float32)
    logits[0, [3, 500]] = 3, 4  # outside the map is loudest, then a
    logits[1, [4, 7]] = 3, 2
    logits[2, [7, 4]] = 3, 2
    assert script.restrict_predictions(logits, classes, "map").tolist() == [0, 0, 1]
    raw, mapped = script.map_predictions(logits, classes, "map")
    assert mapped.tolist() == [-1, 0, 1]
    wnids = np.array(["n1", "n1", "n3"])
    assert script.exact_answers(raw, wnids, classes, "map").tolist() == [0, 0, 1]  # n1 is output 3, not 4
    assert script.exact_answers(raw, np.array(["", "n9", "n3"]), classes, "map").tolist() == [-1, -1, 1]
    background = np.concatenate([np.full((3, 1), 9, np.float32), logits], axis=1)
    assert script.restrict_predictions(background, classes, "map").tolist() == [0, 0, 1]
    head = np.array([[0, 1], [1, 0]], dtype=np.float32)
    assert script.restrict_predictions(head, classes, "head").tolist() == [1, 0]
    assert script.exact_answers(np.array([1, 0]), np.array(["n1", "n3"]), classes, "head").tolist() == [-1, -1]


def test_draws_are_averaged_and_spread() -> None:
    labels = [0, 0, 1, 1, 2, 2]
    ids = ["a", "a", "b", "b", "c", "c"]
    draws = [0, 1] * 3
    summary = script.summarise(
        {
            "original": answers([0, 1, 2], [1, 1, 1], ids=["a", "b", "c"]),
            "mixed_same": answers(labels, [1, 1, 1, 0, 1, 0], ids=ids, draws=draws),
            "mixed_rand": answers(labels, [1, 0, 0, 0, 0, 0], ids=ids, draws=draws),
        },
        RGB,
    )
    same = summary["configs"]["mixed_same"]
    assert (same["n"], same["draws"]) == (3, 2)
    assert same["accuracy_macro"] == pytest.approx(4 / 6)
    assert same["sd_between_draws"] == pytest.approx(np.std([1, 1 / 3], ddof=1))
    gap = summary["differences"]["bg_gap"]
    assert gap["value"] == pytest.approx(4 / 6 - 1 / 6)
    assert gap["sd_between_draws"] == pytest.approx(np.std([1 - 1 / 3, 1 / 3], ddof=1))
    halves = script.paired_difference(np.array([1, 0.5, 0.5]), np.array([0.5, 0, 0]), np.arange(3))
    assert (gap["ci95"], gap["p"]) == (halves.ci95, halves.p)
    assert summary["configs"]["original"]["sd_between_draws"] is None


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
    first = script.summarise(plain, RGB)
    assert script.summarise(shuffled, RGB) == first
    assert sum(share["value"] for share in first["categories"].values()) == pytest.approx(1)


def test_broken_pairs_are_named() -> None:
    original = answers([0, 1, 2], [1, 1, 1], ids=["a", "b", "c"])
    other = answers([0, 1, 2], [1, 1, 1], ids=["a", "b", "x"])
    with pytest.raises(EvaluationError, match=r"mixed_rand: .*1 missing \(c\), 1 extra \(x\)"):
        script.summarise({"mixed_rand": other, "original": original}, RGB)
    relabelled = answers([0, 1, 1], [1, 1, 1], ids=["a", "b", "c"])
    with pytest.raises(EvaluationError, match="labels of original, got others for c"):
        script.summarise({"original": original, "mixed_rand": relabelled}, RGB)
    doubled = answers([0, 0, 1, 1], [1, 1, 1, 1], ids=["a", "a", "b", "b"], draws=[0, 1, 0, 0])
    with pytest.raises(EvaluationError, match="each draw once and one label an image; got others for b"):
        script.summarise({"original": doubled}, RGB)
    uneven = answers([0, 0, 1], [1, 1, 1], ids=["a", "a", "b"], draws=[0, 1, 0])
    with pytest.raises(EvaluationError, match="2 draws of every image, got fewer of b"):
        script.summarise({"original": uneven}, RGB)


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
    bare = replace(RGB, class_of_output=np.full(1000, -1))
    with pytest.raises(EvaluationError, match="got 1000 outputs, and no class of the dataset has an imagenet_index"):
        script.find_label_space(1000, bare)


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
    assert [file.name for file in path.parent.iterdir()] == ["answers.npz"]
