"""Protocol background_check: models that see the figure or the ground alone, on pictures where one or both are gone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from crop_dataset import CLASS_MAP, ground_configs, photos, write_repository
from scipy.stats import chi2  # type: ignore[import-untyped]  # ships no annotations

from figureground.exports import evaluate as script
from figureground.exports.evaluate import EvaluationError, RowAnswers, Sampling

pytestmark = pytest.mark.usefixtures("offline_datasets", "fresh_modules")

DRAWN = photos(9)
CLASSES = script.parse_class_map(json.dumps(CLASS_MAP))


@pytest.fixture(scope="module")
def grounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_repository(tmp_path_factory.mktemp("grounds") / "grounds", ground_configs(DRAWN))


def score(repo: Path, model: str = "looks_at_figure", **more: Any) -> dict[str, Any]:
    options: Any = {"bootstrap": 200, **more}
    return script.evaluate(str(repo), f"crop_dataset:{model}", **options)


def answers(right: list[int], ids: list[str] | None = None, labels: list[int] | None = None) -> RowAnswers:
    names = ids or [f"{row:03}" for row in range(len(right))]
    return RowAnswers(
        image_id=np.array(names), label=np.array(labels or [0] * len(right)), right=np.array(right, dtype=np.bool_)
    )


def summarise(**outcomes: RowAnswers) -> dict[str, Any]:
    return script.summarise_background_check(outcomes, CLASSES, "head3", Sampling(count=2000))


@pytest.mark.parametrize(
    ("model", "influence", "invariance", "textures", "silhouette"),
    [("looks_at_figure", 1 / 3, 1, 1, 1 / 3), ("looks_at_ground", 1, 1 / 3, 0, 1 / 3)],
)
def test_models_that_see_one_part_alone(
    grounds: Path, model: str, influence: float, invariance: float, textures: float, silhouette: float
) -> None:
    """What sees nothing says red, right on a third; the textures are grounds of the two other classes."""
    result = score(grounds, model)
    assert (result["protocol"], result["headline"]) == ("background_check", "accuracy_macro")
    assert list(result["label_spaces"]) == ["head3"]
    summary = result["label_spaces"]["head3"]
    assert {config: scores["accuracy_macro"] for config, scores in summary["configs"].items()} == pytest.approx(
        {
            "original": 1,
            "bg_influence_white": influence,
            "bg_invariance_black": invariance,
            "bg_invariance_texture": textures,
            "silhouette": silhouette,
        }
    )
    assert {config: scores["measures"] for config, scores in summary["configs"].items()} == {
        "original": None,
        "bg_influence_white": "influence",
        "bg_invariance_black": "invariance",
        "bg_invariance_texture": "invariance",
        "silhouette": None,
    }
    assert summary["configs"]["bg_invariance_texture"]["n_rows"] == 2 * summary["configs"]["original"]["n_rows"]
    assert (summary["chance"], summary["balanced"], summary["n"]) == (pytest.approx(1 / 3), True, 27)
    assert summary["differences"]["bg_influence_white_minus_original"]["macro"]["ratio"] == pytest.approx(influence)


def test_every_label_space_stands_apart(grounds: Path) -> None:
    result = score(grounds, "imagenet_figure")
    assert set(result["label_spaces"]) == {"map3", "exact1000"}
    for summary in result["label_spaces"].values():  # green is never said over all 1000 outputs
        assert summary["configs"]["original"]["accuracy_macro"] == pytest.approx(2 / 3)
        assert summary["differences"]["bg_invariance_black_minus_original"]["macro"]["ratio"] == 1


def test_what_a_guess_scores_is_said_of_each_label_space(grounds: Path) -> None:
    result = score(grounds, "imagenet_figure")
    spaces = result["label_spaces"]
    assert (spaces["map3"]["chance"], spaces["exact1000"]["chance"]) == (1 / 3, 1 / 1000)
    assert "class means" in spaces["map3"]["chance_note"]
    assert "own ImageNet class" in spaces["exact1000"]["chance_note"]
    assert {table.title.split("label space ")[1][:4]: table.chance for table in script.result_tables([result])} == {
        "map3": None,  # most empty grounds are answered outside the map, which is below a guess among its classes
        "exac": 1 / 1000,
    }
    text = script.format_table([result])
    assert "chance 33.3 of mapped outputs only (an answer outside the map is wrong)" in text
    assert "chance 0.1" in text
    assert "mapped outputs only" not in script.format_table([score(grounds)])  # a head has a floor


@pytest.mark.parametrize("row", [0, 20])
def test_a_photo_without_a_class_of_its_own_takes_that_label_space_away(tmp_path: Path, row: int) -> None:
    """In the first batch of eight, or in a later one."""
    configs = ground_configs(DRAWN)
    configs["original"][row]["source_label"] = None
    result = score(write_repository(tmp_path / "grounds", configs), "imagenet_figure", batch_size=8)
    assert set(result["label_spaces"]) == {"map3"}
    assert result["label_spaces"]["map3"]["configs"]["original"]["n"] == 27


def test_accuracy_difference_and_ratio_by_hand() -> None:
    """Original 6 of 8, white 3 of 8: half of it; five are lost and two are won."""
    original, white = [1, 1, 1, 1, 1, 1, 0, 0], [1, 0, 0, 0, 0, 0, 1, 1]
    summary = summarise(original=answers(original * 25), bg_influence_white=answers(white * 25))
    difference = summary["differences"]["bg_influence_white_minus_original"]
    assert difference["macro"]["value"] == pytest.approx(3 / 8 - 6 / 8)
    assert difference["macro"]["p"] == pytest.approx(chi2.sf((125 - 50) ** 2 / 175, 1))
    assert difference["micro"]["ci95"] == pytest.approx(script.tango_interval(50, 125, 200))
    assert difference["macro"]["ratio"] == pytest.approx(0.5)
    pairs = np.array([original * 25, white * 25], dtype=np.float64)
    spread = np.cov(pairs, ddof=0) / 200
    slope = np.array([-(3 / 8) / (6 / 8) ** 2, 1 / (6 / 8)])  # the delta method
    half = 1.96 * float(slope @ spread @ slope) ** 0.5
    assert difference["macro"]["ratio_ci95"] == pytest.approx([0.5 - half, 0.5 + half], abs=0.015)
    half = 1.96 * float(np.array([1, -1]) @ spread @ np.array([1, -1])) ** 0.5
    assert difference["macro"]["ci95"] == pytest.approx([-0.375 - half, -0.375 + half], abs=0.015)


def test_nothing_is_a_share_of_nothing() -> None:
    summary = summarise(original=answers([0] * 30), bg_influence_white=answers([1] * 30))
    difference = summary["differences"]["bg_influence_white_minus_original"]["macro"]
    assert (difference["ratio"], difference["ratio_ci95"], difference["value"]) == (None, None, 1)
    rare = summarise(original=answers([1] + [0] * 29), bg_influence_white=answers([1] * 15 + [0] * 15))
    macro = rare["differences"]["bg_influence_white_minus_original"]["macro"]
    assert macro["ratio"] == pytest.approx(15)
    assert macro["ratio_ci95"] is None  # a third of the resamples have nothing right on original, and no ratio
    some = summarise(original=answers([1] * 4 + [0] * 26), bg_influence_white=answers([1] * 15 + [0] * 15))
    low, high = some["differences"]["bg_influence_white_minus_original"]["macro"]["ratio_ci95"]
    assert 0 < low < 15 / 4 < high < 100


def test_textures_are_pooled_by_image() -> None:
    summary = summarise(
        original=answers([1, 1]),
        bg_invariance_texture_stripes=answers([1, 0]),
        bg_invariance_texture_noise=answers([1, 0, 1], ids=["000", "000", "001"]),
        bg_invariance_black=answers([1, 1]),
    )
    pooled = summary["configs"]["bg_invariance_texture*"]
    assert (pooled["n"], pooled["n_rows"], pooled["measures"]) == (2, 5, "invariance")
    assert pooled["accuracy_micro"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    one = summarise(original=answers([1, 1]), bg_invariance_texture=answers([1, 0]))
    assert set(one["configs"]) == {"original", "bg_invariance_texture"}


def test_the_table_has_accuracies_differences_and_shares(grounds: Path) -> None:
    text = script.format_table([score(grounds), score(grounds, "looks_at_ground")])
    assert text.splitlines()[0] == "grounds (test, 27 images), label space head3, feed canvas"
    rows = {line.split("  ")[0]: line for line in text.splitlines()}
    low, high = (100 * bound for bound in script.wilson_interval(1 / 3, 27))  # classes differ, images in them do not
    assert f"33.3 [{low:.1f}, {high:.1f}]" in rows["bg_influence_white (n 27)"]
    assert "-100.0 [-100.0, -" in rows["bg_invariance_texture - original (n 27)"]
    assert "100.0 [too few to say]" in rows["bg_influence_white / original"]  # all resamples agree
    assert "undecidable" not in text
    assert "* differs from 0 at 5 % after Holm's correction over 8 comparisons" in text.splitlines()[-1]
    assert rows["bg_invariance_texture - original (n 27)"].endswith("*")
    few = script.format_table([score(grounds, limit=6)])
    assert next(line for line in few.splitlines() if line.startswith("original")).endswith("undecidable")


def test_finished_configs_are_read_back_and_bootstraps_repeat(grounds: Path, tmp_path: Path) -> None:
    first = score(grounds, out=tmp_path / "scores")
    (stored,) = (tmp_path / "scores").glob("*.json")
    written = stored.read_bytes()
    seen: list[str] = []
    assert score(grounds, out=tmp_path / "scores", progress=lambda config, *_: seen.append(config)) == first
    assert sorted(seen) == sorted(first["label_spaces"]["head3"]["configs"])
    assert stored.read_bytes() == written
    whole = score(grounds, "looks_at_ground", cluster="class")
    assert whole["label_spaces"]["head3"]["configs"]["bg_invariance_black"]["ci95"] == [0, 1]


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ({"configs": ["bg_influence_white"]}, "background_check needs the config original"),
        ({"configs": ["original", "five_crop"]}, "has no config five_crop"),
        ({"noise": script.NoiseSettings()}, "rival10, not for background_check"),
    ],
)
def test_what_cannot_be_scored_is_said(grounds: Path, call: dict[str, Any], reason: str) -> None:
    with pytest.raises(EvaluationError, match=reason) as caught:
        score(grounds, **call)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("configs", "protocol"),
    [
        (["original", "bg_influence_white"], "background_check"),
        (["original", "bg_invariance_mine", "plus"], "background_check"),
        (["original", "plus"], "imagenet_a"),
        (["center_zoom", "original"], "imagenet_a"),
        (["bg_grey", "original"], "rival10"),
        (["original"], "imagenet9"),
        (["original", "bg_influence"], "imagenet9"),
    ],
)
def test_the_configs_of_a_dataset_tell_its_protocol(configs: list[str], protocol: str) -> None:
    assert script.find_protocol(configs).name == protocol
