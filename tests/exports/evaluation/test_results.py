"""Tables as text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from figureground.exports import evaluate as script
from figureground.exports.evaluate import ImageShares, RowAnswers, Sampling

CLASSES = script.parse_class_map(
    '{"name": "two", "classes": [{"index": 0, "name": "a", "imagenet_indices": [0]},'
    ' {"index": 1, "name": "b", "imagenet_indices": [1]}]}'
)


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    rows = [["", "a", "model"], ["original", "90.0 [1]", "7"], [], ["mixed"], ["", "x"]]
    assert script.align_columns(rows) == [
        "          a         model",
        "original  90.0 [1]  7",
        "-------------------------",
        "mixed",
        "          x",
    ]


def result(model: str, lost: int, images: int = 60, **more: Any) -> dict[str, Any]:
    """Of a model that is right on all of ``original``, and wrong on the first ``lost`` without the ground."""
    ids, labels = np.array([f"{row:03}" for row in range(images)]), np.arange(images) % 2
    answers = {
        "original": RowAnswers(image_id=ids, label=labels, right=np.ones(images, np.bool_)),
        "bg_influence_white": RowAnswers(image_id=ids, label=labels, right=np.arange(images) >= lost),
    }
    summary = script.summarise_background_check(answers, CLASSES, "map2", Sampling(count=50))
    dataset = {"name": "d", "revision": None, "split": "test", "fingerprint": "f"}
    given = {"protocol": "background_check", "model": model, "feed": "canvas", "dataset": dataset}
    return {**given, "label_spaces": {"map2": summary}, **more}


def gap_row(text: str) -> str:
    return next(line for line in text.splitlines() if line.startswith("bg_influence_white - original"))


def test_stars_are_shared_among_all_models_of_a_table() -> None:
    """One model that loses five of sixty, p = 0.025: a star alone, and none beside nine that lose next to nothing."""
    evaluation = result("m", 5)
    p = evaluation["label_spaces"]["map2"]["differences"]["bg_influence_white_minus_original"]["macro"]["p"]
    assert 0.02 < p < 0.05
    alone = script.format_table([evaluation])
    assert gap_row(alone).endswith("] *")
    assert alone.splitlines()[-1].endswith("* differs from 0 at 5 % after Holm's correction over 1 comparison")
    among = script.format_table([evaluation, *(result(f"m{number}", 1) for number in range(9))])
    assert "*" not in gap_row(among)
    assert among.splitlines()[-1].endswith("after Holm's correction over 10 comparisons")
    strong = script.format_table([result("s", 30), *(result(f"m{number}", 1) for number in range(9))])
    assert gap_row(strong).count("*") == 1


def test_stars_of_another_table_do_not_count() -> None:
    reference = [result(f"m{number}", 1, feed="reference") for number in range(9)]
    text = script.format_table([result("m", 5), *reference])
    first, second = text.split("\n\n")
    assert gap_row(first).endswith("*")
    assert "over 1 comparison" in first
    assert "over 9 comparisons" in second


def test_few_images_are_undecidable_and_no_comparison() -> None:
    text = script.format_table([result("m", 12, images=24)])
    assert gap_row(text).endswith("] undecidable")
    assert "comparisons" not in text
    assert text.count("undecidable") == 4  # both accuracies, their difference, their ratio
    assert gap_row(script.format_table([result("m", 12, images=25)])).endswith("] *")


def test_figures_without_an_interval_say_why() -> None:
    text = script.format_table([result("m", 0)])
    ratio = next(line for line in text.splitlines() if line.startswith("bg_influence_white / original"))
    assert ratio.endswith("100.0 [too few to say]")  # every resample agrees


@pytest.mark.parametrize("cluster", ["image", "class"])
def test_differences_of_pairs_are_estimated_as_they_are_printed(cluster: str) -> None:
    generator = np.random.default_rng(0)
    ids, labels = np.array([f"{row:03}" for row in range(60)]), np.arange(60) % 4
    first, second = (
        ImageShares(
            image_id=ids,
            label=labels,
            rows=np.ones(60, np.int64),
            value=(generator.random(60) < share).astype(np.float64),
        )
        for share in (0.9, 0.5)
    )
    sampling = Sampling(count=50, cluster=cluster)
    (compared,) = script.compare_pairs({"a": first, "b": second}, [("a", "b")], sampling).values()
    for name, over in (("micro", "images"), ("macro", "classes")):
        wanted = script.estimate_difference(first, second, over, sampling)
        assert (compared[name]["value"], compared[name]["ci95"], compared[name]["p"]) == tuple(wanted)
        assert compared[name]["value"] == pytest.approx(compared[name]["minuend"] - compared[name]["subtrahend"])
    plain = script.paired_difference(first.value, second.value, first.strata("classes"))
    assert (compared["macro"]["p"] == plain.p) == (cluster == "image")
