"""Protocol crossed: models that look at the figure or at the ground alone, whose components and attacks are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from crop_dataset import LOUD, crossed_rows, make_row, photos, write_crossed, write_repository

from figureground.exports import evaluate as script
from figureground.exports.evaluate import EvaluationError

pytestmark = pytest.mark.usefixtures("offline_datasets", "fresh_modules")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_crossed(tmp_path_factory.mktemp("crossed") / "grounds")


def score(repo: Path, model: str, **more: Any) -> dict[str, Any]:
    options: Any = {"bootstrap": 300, **more}
    result: dict[str, Any] = script.evaluate(str(repo), f"crop_dataset:{model}", **options)
    assert result["protocol"] == "crossed"
    return result


def shares(components: dict[str, Any]) -> dict[str, float]:
    return {name: part["share"]["value"] for name, part in components.items()}


def test_what_looks_at_the_ground_is_captured_by_every_ground(dataset: Path) -> None:
    """It says the ground's class, right on grounds of the own class alone; the loud one shows no colour of it."""
    summary = score(dataset, "looks_at_ground")["label_spaces"]["head3"]
    accuracy = {name: measured["accuracy_macro"] for name, measured in summary["configs"].items()}
    assert (accuracy["original"], accuracy["mixed_self"]) == (1, 1)
    assert accuracy["crossed"] == pytest.approx(1 / 3, abs=0.03)
    own = summary["crossed"]["crossed"]
    assert (own["figures"], own["grounds"], own["rows"], own["tried_on"]) == (30, 9, 30 * 9 - 9, 30)
    for attack in ("fooled", "captured"):
        assert {rate[attack]["value"] for rate in own["each_ground"]} == {1.0}
        assert {point["value"] for point in own["attacks"][attack]["any_of"]} == {1.0}
    match = summary["differences"]["crossed, own class - other classes"]
    assert match["value"] == pytest.approx(1)
    assert (match["ci95"], match["no_ci95"]) == (None, "too few to say")  # nothing differs between figures or grounds
    assert shares(own["components"]["right"])["interaction"] > 1  # a figure and a ground alone say less than nothing


def test_what_looks_at_the_figure_falls_for_the_loud_ground_alone(dataset: Path) -> None:
    """All but red figures are called red on it, and nowhere else is anything wrong."""
    summary = score(dataset, "looks_at_figure")["label_spaces"]["head3"]
    own = summary["crossed"]["crossed"]
    rates = {ground["ground_id"]: ground["captured"]["value"] for ground in own["each_ground"]}
    assert rates.pop(LOUD) == 1
    assert set(rates.values()) == {0.0}
    pairs = own["attacks"]["fooled"]["pairs"]
    assert {name: pair["value"] for name, pair in pairs["green"].items()} == {"red": pytest.approx(1 / 3), "blue": 0}
    assert pairs["red"]["green"]["value"] == 0
    (one, *_), (*_, most) = own["attacks"]["fooled"]["any_of"], own["attacks"]["fooled"]["any_of"]
    assert one["value"] == pytest.approx(2 / 3 / 6, abs=0.01)  # two classes of three, one of their six grounds
    assert (most["m"], most["value"]) == (6, pytest.approx(2 / 3))
    worst = own["attacks"]["fooled"]["worst_of"][-1]
    assert (worst["m"], worst["value"], worst["naive"]) == (6, pytest.approx(2 / 3), pytest.approx(2 / 3))
    parts = shares(own["components"]["right"])
    assert parts["ground"] > parts["figure"]
    assert sum(parts.values()) == pytest.approx(1)
    cost = summary["differences"]["crossed - mixed_self"]
    assert cost["value"] == pytest.approx(-20 / 261, abs=0.01)
    assert summary["differences"]["mixed_self - original"]["value"] == 0


def test_answers_through_a_class_map_are_judged_in_both_label_spaces(dataset: Path) -> None:
    result = score(dataset, "imagenet_figure")
    assert set(result["label_spaces"]) == {"map3", "exact1000"}
    for summary in result["label_spaces"].values():
        assert summary["crossed"]["crossed"]["tried_on"] == 20  # green is never said, so no ground fools it


def test_the_table_names_figures_and_grounds(dataset: Path) -> None:
    text = script.format_table([score(dataset, "looks_at_figure"), score(dataset, "looks_at_ground")])
    assert "label space head3" in text
    lines = {line.split("  ")[0]: line for line in text.splitlines()}
    assert "66.7" in lines["crossed, fooled by one of 6"]
    assert lines["crossed, fooled by a ground"].count("n 30") == 2
    assert "(naively 66.7)" in lines["crossed, fooled by the worst of 6"]
    assert "crossed, variance of right or wrong: interaction (30 x 9)" in lines
    figures = {
        figure.name: figure
        for figure in script.crossed_figures(score(dataset, "looks_at_ground")["label_spaces"]["head3"])
    }
    assert figures["crossed_captured_by_one_of_6"].value == 1
    assert figures["crossed_variance_ground"].ci95 is not None


def test_a_limit_takes_figures_and_keeps_all_grounds(dataset: Path) -> None:
    summary = score(dataset, "looks_at_figure", limit=12)["label_spaces"]["head3"]
    own = summary["crossed"]["crossed"]
    assert (own["figures"], own["grounds"]) == (12, 9)
    assert own["components"]["right"]["figure"]["ci95"] is None


def test_log_odds_are_cut_where_probabilities_are_as_good_as_sure() -> None:
    odds = script.log_odds(np.array([0.0, 0.25, 0.5, 1.0]))
    assert odds[1:3] == pytest.approx([-np.log(3), 0])
    assert odds[0] == pytest.approx(-odds[3], rel=1e-4)
    assert 27 < odds[3] < 28


def test_rows_that_are_no_crossing_are_faults(tmp_path: Path) -> None:
    drawn = photos(3)
    plain = {"original": [make_row(photo, "original", photo.draw(), params={}) for photo in drawn]}
    rows = crossed_rows(drawn)
    twice = write_repository(tmp_path / "twice", {**plain, "crossed": [*rows, {**rows[0], "draw": 99}]})
    with pytest.raises(
        EvaluationError, match="crossed: expected each figure once on a ground; got it twice for red-000"
    ):
        score(twice, "looks_at_figure")
    bare = [{**rows[0], "ground_id": None, "ground_label": None}, *rows[1:]]
    without = write_repository(tmp_path / "without", {**plain, "crossed": bare})
    with pytest.raises(EvaluationError, match="expected another photo's ground in every row; got none for red-000"):
        score(without, "looks_at_figure")


def test_figures_that_the_control_lacks_are_not_counted_as_compared(tmp_path: Path) -> None:
    drawn = photos(3)
    plain = {
        "original": [make_row(photo, "original", photo.draw(), params={}) for photo in drawn],
        "mixed_self": [make_row(photo, "mixed_self", photo.draw(), params={}) for photo in drawn[:4]],
    }
    repo = write_repository(tmp_path / "part", {**plain, "crossed": crossed_rows(drawn)})
    summary = score(repo, "looks_at_figure")["label_spaces"]["head3"]
    counts = {name: measured["n"] for name, measured in summary["differences"].items()}
    assert counts == {"mixed_self - original": 4, "crossed - mixed_self": 4, "crossed, own class - other classes": 9}
    assert summary["configs"]["crossed"]["n"] == 9


def test_a_control_of_other_figures_leaves_its_differences_out(tmp_path: Path) -> None:
    drawn = photos(6)
    others = [make_row(photo, "mixed_self", photo.draw(), params={}) for photo in drawn[::2]]
    plain = {
        "original": [make_row(photo, "original", photo.draw(), params={}) for photo in drawn[1::2]],
        "mixed_self": others,
    }
    repo = write_repository(tmp_path / "apart", {**plain, "crossed": crossed_rows(drawn[1::2])})
    result = score(repo, "looks_at_figure")
    differences = result["label_spaces"]["head3"]["differences"]
    nothing = {"value": None, "reason": "no figure is in both", "n": 0}
    assert differences["mixed_self - original"] == differences["crossed - mixed_self"] == nothing
    assert differences["crossed, own class - other classes"]["n"] == 9
    assert "crossed - mixed_self (n 0)" in script.format_table([result])


def test_without_the_photo_on_its_own_ground_the_photo_is_the_control(tmp_path: Path) -> None:
    drawn = photos(3)
    plain = {"original": [make_row(photo, "original", photo.draw(), params={}) for photo in drawn]}
    repo = write_repository(tmp_path / "plain", {**plain, "crossed": crossed_rows(drawn)})
    summary = score(repo, "looks_at_figure")["label_spaces"]["head3"]
    assert summary["control"] == "original"
    assert "crossed - original" in summary["differences"]
