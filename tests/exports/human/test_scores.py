"""Scores of the human task against numbers worked out by hand, and intervals that know who answered."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from crop_dataset import looks_at_figure, looks_at_ground
from human_kits import CONFIGS, answers_of, draw_dataset, draw_many_classes, error, give_answers, make, truth
from PIL import Image
from scipy.stats import t  # type: ignore[import-untyped]  # ships no annotations

from figureground.errors import DataError, MissingExtraError, UsageError
from figureground.exports.evaluation.intervals import crossed_variance, paired_difference, wilson_interval
from figureground.exports.human.scores import (
    COLUMNS,
    agreement,
    check_attention,
    count_answers,
    linear_parts,
    measures_of,
    share,
    summarise,
    time_taken,
)
from figureground.exports.human.scoring import ScoreSettings, format_scores, score_humans, score_kit, write_scores
from figureground.schemas.pages.human_tasks import HumanAnswer, HumanKit, HumanTask, write_answers

RESAMPLES = {"count": 500, "seed": 0}
QUICK = ScoreSettings(bootstrap=500)


def measured(kit: HumanKit, answers: list[HumanAnswer], raters: list[str]) -> dict[str, Any]:
    return summarise(kit, answers, raters, measures_of(kit))


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> HumanKit:
    """Six images in two configs: twelve questions each, and one repeat."""
    folder = tmp_path_factory.mktemp("scores")
    return make(folder / "kit", draw_dataset(folder / "drawn", per_class=2))


@pytest.fixture(scope="module")
def choice(tmp_path_factory: pytest.TempPathFactory) -> HumanKit:
    """Ten images of ten classes, five on offer."""
    folder = tmp_path_factory.mktemp("choice")
    dataset = draw_many_classes(folder / "drawn", dict.fromkeys(range(10), 1))
    return make(folder / "kit", dataset, configs=("original",), design="choice", choices=5, repeat_share=0)


def yes_man(kit: HumanKit) -> Any:
    """Says yes to everything, but to the first true question of the first config that nobody could tell."""
    doubted = next(
        task for task in kit.tasks if task.config == CONFIGS[0] and task.asked == task.label and task.repeats is None
    )
    return lambda task: {"said": "absent" if task is doubted else "yes"}


def test_verification_by_hand(kit: HumanKit) -> None:
    summary = summarise(kit, answers_of(kit, {"r1": truth, "r2": yes_man(kit)}), ["r1", "r2"], measures_of(kit))
    values = {name: cell["value"] for name, cell in summary["configs"][CONFIGS[0]].items() if name != "n_answers"}
    assert summary["configs"][CONFIGS[0]]["n_answers"] == 24
    assert values == pytest.approx(
        {
            "accuracy": (12 + 5) / 24,
            "accuracy_of_decided": 17 / 23,
            "absent": 1 / 12,
            "hit_rate": 11 / 12,
            "false_alarm_rate": 6 / 12,
            "d_prime": NormalDist().inv_cdf(11.5 / 13),
        }
    )
    assert summary["configs"][CONFIGS[1]]["accuracy"]["value"] == 18 / 24
    (gap,) = summary["differences"]
    assert (gap["minuend"], gap["subtrahend"], gap["n_images"]) == (CONFIGS[1], CONFIGS[0], 6)
    assert gap["value"] == pytest.approx(18 / 24 - 17 / 24)


def test_absent_on_a_foil_is_neither_right_nor_a_false_alarm(kit: HumanKit) -> None:
    def unsure(task: HumanTask) -> dict[str, Any]:
        return truth(task) if task.asked == task.label else {"said": "absent"}

    scores = measured(kit, answers_of(kit, {"r1": unsure}), ["r1"])["configs"][CONFIGS[0]]
    assert (scores["accuracy"]["value"], scores["accuracy_of_decided"]["value"]) == (0.5, 1.0)
    assert (scores["absent"]["value"], scores["false_alarm_rate"]["value"]) == (0.0, 0.0)


def test_choice_by_hand(choice: HumanKit) -> None:
    wrong = {task.task_id for task in choice.tasks[:3]}
    unsure = choice.tasks[4].task_id

    def somebody(task: HumanTask) -> dict[str, Any]:
        return {"said": "absent"} if task.task_id == unsure else (error if task.task_id in wrong else truth)(task)

    scores = score_humans(choice, answers_of(choice, {"r1": somebody, "r2": truth}), QUICK)["configs"]["original"]
    assert scores["accuracy"]["value"] == 16 / 20
    assert scores["accuracy_of_decided"]["value"] == 16 / 19
    assert scores["absent"]["value"] == 1 / 20
    assert "hit_rate" not in scores
    assert (scores["median_seconds"], scores["over_limit"]) == (2.0, 0.0)


def test_repeats_do_not_count_as_answers(kit: HumanKit) -> None:
    def wrong_on_repeats(task: HumanTask) -> dict[str, Any]:
        return (truth if task.repeats is None else error)(task)

    answers = answers_of(kit, {"r1": wrong_on_repeats})
    assert measured(kit, answers, ["r1"])["configs"][CONFIGS[0]]["accuracy"]["value"] == 1.0
    (rater,) = check_attention(answers, kit, 0.8)
    assert (rater["n_repeats"], rater["repeats_alike"], rater["attentive"]) == (2, 0.0, False)


def test_raters_who_differ_widen_the_interval(kit: HumanKit) -> None:
    people = {"r1": truth, "r2": truth, "r3": error}
    accuracy = measured(kit, answers_of(kit, people), list(people))["configs"][CONFIGS[0]]["accuracy"]
    assert accuracy["value"] == 24 / 36
    naive_low, naive_high = wilson_interval(24 / 36, 36)
    low, high = accuracy["ci95"]
    assert low < 0.05, "three raters of whom one errs always: of others nobody knows"
    assert high > 0.95
    assert high - low > 2 * (naive_high - naive_low)


def test_images_that_differ_widen_it_too_and_more_raters_do_not_mend_that(kit: HumanKit) -> None:
    hard = sorted({task.image_id for task in kit.tasks})[:3]

    def stumped(task: HumanTask) -> dict[str, Any]:
        return (error if task.image_id in hard else truth)(task)

    def width(raters: int) -> float:
        people = {f"r{number}": stumped for number in range(1, raters + 1)}
        accuracy = measured(kit, answers_of(kit, people), list(people))["configs"][CONFIGS[0]]["accuracy"]
        return float(accuracy["ci95"][1] - accuracy["ci95"][0])

    assert width(12) == pytest.approx(width(1), abs=0.05)
    assert width(12) > 0.5


def test_where_all_are_right_the_interval_is_wilsons_over_images(kit: HumanKit) -> None:
    summary = measured(kit, answers_of(kit, {"r1": truth, "r2": truth}), ["r1", "r2"])
    assert summary["configs"][CONFIGS[0]]["accuracy"]["ci95"] == wilson_interval(1, 6)
    assert summary["configs"][CONFIGS[0]]["d_prime"]["ci95"] is None
    nothing = paired_difference(np.ones(6), np.ones(6), np.zeros(6, np.int64))
    (gap,) = summary["differences"]
    assert (gap["value"], gap["ci95"], gap["p"], gap["undecidable"]) == (0, nothing.ci95, 1, True)


def test_a_difference_is_paired(kit: HumanKit) -> None:
    """Half the images are wrong in both configs: each accuracy is uncertain, their difference is not."""
    hard = sorted({task.image_id for task in kit.tasks})[:3]

    def stumped(task: HumanTask) -> dict[str, Any]:
        return (error if task.image_id in hard else truth)(task)

    summary = measured(kit, answers_of(kit, {"r1": stumped, "r2": stumped}), ["r1", "r2"])
    low, high = summary["configs"][CONFIGS[0]]["accuracy"]["ci95"]
    assert high - low > 0.5
    (gap,) = summary["differences"]
    assert (gap["value"], gap["p"]) == (0.0, 1)
    assert gap["ci95"] == paired_difference(np.ones(6), np.ones(6), np.zeros(6, np.int64)).ci95


def test_of_one_rater_the_interval_is_that_of_images(tmp_path: Path) -> None:
    """Thirty images in two configs: the rater errs on nine of them in the first, and on two of those in the second."""
    dataset = draw_dataset(tmp_path / "drawn", per_class=10)
    kit = make(tmp_path / "kit", dataset, repeat_share=0)
    hard = sorted({task.image_id for task in kit.tasks})[:9]
    wrong = {CONFIGS[0]: set(hard), CONFIGS[1]: set(hard[:2])}

    def somebody(task: HumanTask) -> dict[str, Any]:
        return (error if task.image_id in wrong[task.config] else truth)(task)

    summary = measured(kit, answers_of(kit, {"r1": somebody}), ["r1"])
    accuracy = summary["configs"][CONFIGS[0]]["accuracy"]
    assert accuracy["value"] == pytest.approx(21 / 30)
    variance = 0.7 * 0.3 / 29  # both questions of an image are answered alike
    wanted = wilson_interval(0.7, 0.7 * 0.3 / variance, float(t.ppf(0.975, 29)))
    assert accuracy["ci95"] == pytest.approx(wanted, abs=1e-6)
    first = np.array([image_id not in wrong[CONFIGS[1]] for image_id in sorted({task.image_id for task in kit.tasks})])
    second = np.array([image_id not in wrong[CONFIGS[0]] for image_id in sorted({task.image_id for task in kit.tasks})])
    paired = paired_difference(first.astype(float), second.astype(float), np.zeros(30, np.int64))
    (gap,) = summary["differences"]
    assert (gap["value"], gap["ci95"], gap["p"]) == (pytest.approx(7 / 30), paired.ci95, paired.p)
    assert not gap["undecidable"]
    give_answers(kit, {"r1": somebody})
    text = format_scores(score_kit(kit, [], QUICK))
    row = next(line for line in text.splitlines() if line.startswith(f"{CONFIGS[1]} - "))
    assert row.endswith("] *")
    assert "[95 % interval: this rater alone, images are the sample]" in text
    assert "* differs from 0 at 5 % after Holm's correction over 1 comparison" in text
    assert "one rater" in next(line for line in text.splitlines() if line.startswith("  Krippendorff's alpha"))


def test_what_images_and_raters_add_sums_to_nothing_and_varies_as_the_measure_does() -> None:
    """Answers of four people to twenty pictures, three of them unasked: as the jackknife over pictures says."""
    generator = np.random.default_rng(0)
    counts = np.zeros((20, len(COLUMNS), 4))
    counts[:, COLUMNS.index("answered")] = generator.integers(1, 3, (20, 4))
    counts[:3, :, 1] = 0
    right = generator.random((20, 4)) < 0.6
    counts[:, COLUMNS.index("right")] = right * counts[:, COLUMNS.index("answered")]
    accuracy = share("right", "answered")
    parts = linear_parts(counts, accuracy)
    assert parts.sum() == pytest.approx(0, abs=1e-9)
    assert (parts[:3, 1] == 0).all()

    def value(sample: Any) -> float:
        total = sample.sum(axis=(0, 2))
        return float(total[COLUMNS.index("right")] / total[COLUMNS.index("answered")])

    left = np.array([value(np.delete(counts, image, axis=0)) for image in range(20)])
    over_images = crossed_variance(parts.sum(axis=1, keepdims=True)).variance
    assert over_images == pytest.approx(19 / 20 * ((left - left.mean()) ** 2).sum(), rel=0.1)


def test_people_who_differ_are_compared_by_student(tmp_path: Path) -> None:
    kit = make(tmp_path / "kit", draw_dataset(tmp_path / "drawn", per_class=9), repeat_share=0)
    images = sorted({task.image_id for task in kit.tasks})

    def person(number: int) -> Any:
        hard = set(images[number::3])
        return lambda task: (error if task.config == CONFIGS[0] and task.image_id in hard else truth)(task)

    people = {f"r{number}": person(number) for number in range(3)}
    (gap,) = measured(kit, answers_of(kit, people), list(people))["differences"]
    assert gap["value"] == pytest.approx(1 / 3)
    low, high = gap["ci95"]
    assert 0 < low < 1 / 3 < high < 1
    assert gap["p"] < 0.05
    assert not gap["undecidable"]


def test_krippendorffs_own_example(tmp_path: Path) -> None:
    """Ten binary units of two coders: alpha 0.095 (Krippendorff, Computing Krippendorff's Alpha-Reliability, 2011)."""
    meg, owen = "0100000010", "1110010000"
    dataset = draw_many_classes(tmp_path / "drawn", dict.fromkeys(range(5), 1))
    kit = make(tmp_path / "kit", dataset, configs=("original",), repeat_share=0)
    answers = [
        HumanAnswer(task_id=task.task_id, rater=rater, said="yes" if bit == "1" else "no")
        for rater, bits in (("r1", meg), ("r2", owen))
        for task, bit in zip(kit.tasks, bits, strict=True)
    ]
    alpha = agreement(kit, answers, "original", ["r1", "r2"], **RESAMPLES)
    assert alpha == {"value": pytest.approx(0.095, abs=0.0005), "ci95": None, "no_ci95": "too few to say"}


def test_agreement_about_enough_questions_has_an_interval(tmp_path: Path) -> None:
    """Thirty images, sixty questions: two people who differ on every tenth."""
    kit = make(tmp_path / "kit", draw_dataset(tmp_path / "drawn", per_class=10), repeat_share=0)
    first = [task.task_id for task in kit.tasks if task.config == CONFIGS[0]]
    odd = set(first[::10])

    def other(task: HumanTask) -> dict[str, Any]:
        return (error if task.task_id in odd else truth)(task)

    answers = answers_of(kit, {"r1": truth, "r2": other})
    alpha, again, reseeded = (
        agreement(kit, answers, CONFIGS[0], ["r1", "r2"], count=500, seed=seed) for seed in (0, 0, 1)
    )
    assert alpha["value"] == pytest.approx(
        1 - (119 * 12) / (2 * 60 * 60), abs=0.02
    )  # 12 of 120 answers are in pairs that differ
    low, high = alpha["ci95"]
    assert 0.55 < low < alpha["value"] < high < 1
    assert alpha == again
    assert alpha["ci95"] != reseeded["ci95"]
    alone = agreement(kit, answers, CONFIGS[0], ["r1"], **RESAMPLES)
    assert alone == {"value": None, "ci95": None, "no_ci95": "one rater"}


def test_agreement_is_one_where_all_agree_and_none_where_there_is_nothing_to_agree_about(choice: HumanKit) -> None:
    def nobody_knows(_: HumanTask) -> dict[str, Any]:
        return {"said": "absent"}

    raters = ["r1", "r2"]

    def alpha_of(people: dict[str, Any]) -> Any:
        return agreement(choice, answers_of(choice, people), "original", list(people), **RESAMPLES)["value"]

    assert alpha_of(dict.fromkeys(raters, truth)) == 1.0
    assert alpha_of(dict.fromkeys(raters, nobody_knows)) is None
    assert alpha_of({"r1": truth}) is None
    alpha = alpha_of({"r1": truth, "r2": error})
    assert alpha is not None
    assert alpha <= 0


def test_agreement_needs_its_extra(choice: HumanKit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "krippendorff", None)
    with pytest.raises(MissingExtraError, match=r"figureground\[agree\]"):
        agreement(choice, answers_of(choice, {"r1": truth}), "original", ["r1"], **RESAMPLES)


def test_inattentive_raters_are_named_and_left_out_only_if_that_is_asked_for(kit: HumanKit) -> None:
    def careless(task: HumanTask) -> dict[str, Any]:
        return (truth if task.repeats is not None else error)(task)

    give_answers(kit, {"r1": truth, "r2": careless, "r3": truth})
    result = score_kit(kit, [], QUICK)
    assert result["humans"]["inattentive"] == ["r2"]
    assert result["humans"]["excluded"] == []
    assert result["humans"]["configs"][CONFIGS[0]]["accuracy"]["value"] == 24 / 36
    assert "under 80 % of repeats alike: r2: kept; leave them out with --exclude-inattentive" in format_scores(result)
    strict = score_kit(kit, [], replace(QUICK, exclude_inattentive=True))
    assert (strict["humans"]["excluded"], strict["humans"]["n_raters"]) == (["r2"], 2)
    assert strict["humans"]["configs"][CONFIGS[0]]["accuracy"]["value"] == 1.0
    assert [rater["rater"] for rater in strict["humans"]["raters"]] == ["r1", "r2", "r3"]
    assert score_kit(kit, [], replace(QUICK, threshold=0.0))["humans"]["inattentive"] == []
    give_answers(kit, {"r1": careless})
    with pytest.raises(UsageError, match="no rater is left"):
        score_kit(kit, [], replace(QUICK, exclude_inattentive=True))


def test_seconds_over_the_limit_are_counted_and_unknown_ones_are_not(kit: HumanKit) -> None:
    times: list[float | None] = [1.0, 4.0, 11.0, None]
    first = [task for task in kit.tasks if task.config == CONFIGS[0] and task.repeats is None]
    answers = [
        HumanAnswer(task_id=task.task_id, rater="r1", said="yes", seconds=times[number % 4])
        for number, task in enumerate(first)
    ]
    assert time_taken(kit, answers, CONFIGS[0]) == {"median_seconds": 4.0, "over_limit": 1 / 3}
    assert time_taken(kit, answers, CONFIGS[1]) == {"median_seconds": None, "over_limit": None}


def test_missing_answers_are_an_error_until_they_are_allowed(kit: HumanKit) -> None:
    given = give_answers(kit, {"r1": truth, "r2": truth})
    lost = next(answer for answer in given if answer.rater == "r2" and kit.by_id[answer.task_id].repeats is None)
    write_answers(kit, [answer for answer in given if answer is not lost])
    with pytest.raises(DataError, match=r"r2: expected 26 answers, got 25; none to"):
        score_kit(kit, [], QUICK)
    people = score_kit(kit, [], replace(QUICK, allow_missing=True))["humans"]
    sizes = [scores["n_answers"] for scores in people["configs"].values()]
    assert sorted(sizes) == [23, 24]
    assert all(scores["accuracy"]["value"] == 1.0 for scores in people["configs"].values())
    assert people["differences"][0]["value"] == 0.0


def test_counts_by_image_and_rater(kit: HumanKit) -> None:
    counts = count_answers(kit, answers_of(kit, {"r1": truth, "r2": error}), CONFIGS[1], ["r1", "r2"])
    assert counts.shape == (6, len(COLUMNS), 2)
    by_column = dict(zip(COLUMNS, counts.transpose(1, 0, 2), strict=True))
    assert by_column["answered"].tolist() == [[2, 2]] * 6
    assert by_column["right"].tolist() == [[2, 0]] * 6
    assert by_column["false_alarms"].tolist() == [[0, 1]] * 6


def test_people_stand_beside_models_in_json_table_and_figure(kit: HumanKit, tmp_path: Path) -> None:
    give_answers(kit, {"r1": truth, "r2": yes_man(kit)})
    result = score_kit(kit, [looks_at_figure(), looks_at_ground()], QUICK)
    names = write_scores(result, tmp_path / "out")
    first = {name: (tmp_path / "out" / name).read_bytes() for name in names}
    assert write_scores(score_kit(kit, [looks_at_figure(), looks_at_ground()], QUICK), tmp_path / "out") == names
    assert {name: (tmp_path / "out" / name).read_bytes() for name in names} == first
    assert json.loads(first["human.json"]) == json.loads(json.dumps(result))
    with Image.open(tmp_path / "out" / "human.png") as figure:
        assert min(figure.size) > 200
    text = first["human.txt"].decode()
    assert "drawn (test), verification, arm model: 6 images, 2 of each of 3 classes; 2 raters" in text
    line = next(row for row in text.splitlines() if row.startswith("  accuracy "))
    assert "70.8 [" in line
    assert text.splitlines()[1].split() == ["people", "looks-at-figure", "looks-at-ground"]
    assert set(result["models"][0]["configs"][CONFIGS[0]]) == {
        "n_answers",
        "accuracy",
        "hit_rate",
        "false_alarm_rate",
        "d_prime",
    }
    assert f"{CONFIGS[1]} - {CONFIGS[0]}" in text
    assert "r2: 26 answers" in text
    assert str(tmp_path) not in text + first["human.json"].decode()


def test_two_models_of_one_name_are_refused(kit: HumanKit) -> None:
    give_answers(kit, {"r1": truth})
    with pytest.raises(UsageError, match="different names"):
        score_kit(kit, [looks_at_figure(), looks_at_figure()], QUICK)
    with pytest.raises(UsageError, match="a share between 0 and 1"):
        ScoreSettings(threshold=1.5)
