"""Protocol background_check: influence and invariance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from figureground.exports.evaluation.answers import answer_rows, judge_answers
from figureground.exports.evaluation.dataset import row_names, row_texts
from figureground.exports.evaluation.intervals import MIN_DECIDABLE, Sampling
from figureground.exports.evaluation.jobs import Job, split_by_space
from figureground.exports.evaluation.label_spaces import EXACT, ClassMap, find_truth
from figureground.exports.evaluation.protocol import CLUSTER, Protocol
from figureground.exports.evaluation.protocols.conflict import (
    GROUND_COLUMNS,
    conflict_cells,
    conflict_spaces,
    read_grounds,
)
from figureground.exports.evaluation.shares import (
    RowAnswers,
    average_rows,
    class_sizes,
    compare_pairs,
    describe_chance,
    measure_accuracy,
)
from figureground.exports.evaluation.tables import Cell, Figure, accuracy_figures, shares_cells, value_figures
from figureground.exports.evaluation.values import Answers, Logits

MEASURES: Final = ("influence", "invariance")  # configs begin with bg_ and one of them
TEXTURES: Final = "bg_invariance_texture"  # configs that begin so are pooled


def measured_by(config: str) -> str | None:
    """What a config of protocol background_check measures: influence, invariance or neither."""
    return next((kind for kind in MEASURES if config.startswith(f"bg_{kind}_")), None)


def run_background_check(job: Job) -> dict[str, Any]:
    """Score every config in all label spaces that the outputs allow."""
    job, classes = job.limited(), job.repository.classes

    def run(config: str) -> Answers:
        table = job.rows(config, ["source_label"], optional=GROUND_COLUMNS)
        names = row_names(table)
        truth = find_truth(names["label"], row_texts(table, "source_label"), classes)

        def judge(logits: Logits, rows: slice) -> Answers:
            judged = judge_answers(job.adapter, logits, truth.of(rows), classes)
            rights = {f"{space}.right": answers.right for space, answers in judged.items()}
            shown = next(iter(judged.values()))  # answer and confidence are those of every label space
            return {**rights, "mapped": shown.answer, "probability": shown.confidence}

        return names | read_grounds(table, classes, job.sampling.groups) | answer_rows(job.feeder, table, config, judge)

    stored = job.remembered(job.configs, run)
    summaries = {
        space: summarise_background_check(answers, classes, space, job.sampling)
        for space, answers in split_by_space(stored, RowAnswers)
    }
    for space in (space for space in summaries if space != EXACT):  # answers are classes
        if own := conflict_spaces(stored, space, classes.names):
            summaries[space]["conflict"] = {space: own[space]}
    return {"headline": "accuracy_macro", "undecidable_below": MIN_DECIDABLE, "label_spaces": summaries}


def summarise_background_check(
    answers: Mapping[str, RowAnswers], classes: ClassMap, space: str, sampling: Sampling
) -> dict[str, Any]:
    """Accuracy by config and against ``original``, JSON-ready.

    Background influence is accuracy where the figure is painted over, background invariance accuracy where the ground
    is replaced (Sehwag et al., arXiv 2006.14077, abstract). As shares of the accuracy on ``original`` they compare
    models that differ in it. Several configs of textures are also pooled: each image averaged over them.
    """
    textures = [rows for config, rows in sorted(answers.items()) if config.startswith(TEXTURES)]
    if len(textures) > 1:
        pooled = {name: np.concatenate([getattr(rows, name) for rows in textures]) for name in RowAnswers.__slots__}
        answers = {**answers, f"{TEXTURES}*": RowAnswers(**pooled)}
    right = {config: average_rows(config, rows, rows.right) for config, rows in answers.items()}
    pairs = [(config, "original") for config in right if config != "original"]
    return {
        **class_sizes(right["original"].label, classes),
        **describe_chance(space, classes),
        "configs": {
            config: {"measures": measured_by(config), **measure_accuracy(shares, sampling)}
            for config, shares in right.items()
        },
        "differences": compare_pairs(right, pairs, sampling),
    }


def background_check_cells(summary: Mapping[str, Any]) -> dict[str, Cell]:
    """Accuracies, differences and ratios, then cue conflict where grounds are other photos'."""
    return shares_cells(summary) | conflict_cells(summary.get("conflict", {}))


def background_check_figures(summary: Mapping[str, Any]) -> Iterator[Figure]:
    """Headline figures of a summary."""
    yield from accuracy_figures(summary["configs"])
    yield from value_figures({name: compared["macro"] for name, compared in summary["differences"].items()})


BACKGROUND_CHECK: Final = Protocol(
    name="background_check",
    claims=lambda configs: any(measured_by(config) for config in configs),
    run=run_background_check,
    cells=background_check_cells,
    figures=background_check_figures,
    options=(CLUSTER,),
)
