"""Accuracies of people and of models on one human task, with intervals that allow for few raters.

Answers of one rater resemble each other, and so do answers to one picture: raters and images are both samples, crossed.
Of one rater, as of a model, only images are, and the interval is of this rater.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri  # type: ignore[import-untyped]

from figureground.errors import MissingExtraError, UsageError
from figureground.exports.evaluation.intervals import (
    MIN_DECIDABLE,
    MIN_RESAMPLED,
    bootstrap_interval,
    crossed_variance,
    interval_json,
    paired_difference,
    resampled_rows,
    student_estimate,
)
from figureground.exports.evaluation.values import Floats
from figureground.schemas.pages.human_tasks import HumanAnswer, HumanKit, HumanTask

COLUMNS: Final = ("answered", "right", "decided", "true_asked", "absent", "hits", "foil_asked", "false_alarms")
"""Counts of answers to questions. Under the design choice every question is one about the true class."""

ONE_RATER: Final = "one rater"
_NO_VARIANCE: Final = 1e-18

Measure = Callable[[Mapping[str, Floats]], Floats]
"""From counts ``(…,)`` by column to values of the same shape."""

_SHARES: Final = {
    "accuracy": ("right", "answered"),
    "accuracy_of_decided": ("right", "decided"),
    "absent": ("absent", "true_asked"),
}
_RATES: Final = {"hit_rate": ("hits", "true_asked"), "false_alarm_rate": ("false_alarms", "foil_asked")}


def share(part: str, whole: str) -> Measure:
    """One count by another; NaN where there is nothing."""

    def measure(counts: Mapping[str, Floats]) -> Floats:
        nothing = np.full(np.shape(counts[whole]), np.nan)
        return np.asarray(np.divide(counts[part], counts[whole], out=nothing, where=counts[whole] > 0))

    return measure


def d_prime(counts: Mapping[str, Floats]) -> Floats:
    """Sensitivity z(hit rate) - z(false alarm rate), of rates with half an answer added to both sides.

    The log-linear correction of Hautus, Behavior Research Methods 27(1), 1995: (hits + 0.5) / (questions + 1), so that
    rates of 0 and 1 have a z.
    """
    hits = (counts["hits"] + 0.5) / (counts["true_asked"] + 1)
    alarms = (counts["false_alarms"] + 0.5) / (counts["foil_asked"] + 1)
    return np.asarray(ndtri(hits) - ndtri(alarms))


def measures_of(kit: HumanKit) -> dict[str, Measure]:
    """What is measured under the kit's design, by name."""
    plain = {name: share(*pair) for name, pair in _SHARES.items()}
    if kit.facts.design == "choice":
        return plain
    return {**plain, **{name: share(*pair) for name, pair in _RATES.items()}, "d_prime": d_prime}


def count_answers(kit: HumanKit, answers: Sequence[HumanAnswer], config: str, raters: Sequence[str]) -> Floats:
    """Counts of first answers to a config's questions: ``(I, Q, R)``, images by ``COLUMNS`` by raters.

    Images are sorted by id. Repeats are attention checks and do not count.
    """
    tasks = {task.task_id: task for task in kit.tasks if task.config == config and task.repeats is None}
    images = {image_id: index for index, image_id in enumerate(sorted({task.image_id for task in tasks.values()}))}
    index_of = {rater: index for index, rater in enumerate(raters)}
    counts = np.zeros((len(images), len(COLUMNS), len(raters)))
    for answer in answers:
        task = tasks.get(answer.task_id)
        if task is not None and answer.rater in index_of:
            counts[images[task.image_id], :, index_of[answer.rater]] += _count(task, answer)
    return counts


def _count(task: HumanTask, answer: HumanAnswer) -> Floats:
    of_true = task.asked in (None, task.label)
    absent = answer.said == "absent"
    named = answer.said == "yes" or (task.asked is None and task.is_right(answer))
    counted = {
        "answered": True,
        "right": task.is_right(answer),
        "decided": not absent,
        "true_asked": of_true,
        "absent": absent and of_true,
        "hits": named and of_true,
        "foil_asked": not of_true,
        "false_alarms": named and not of_true,
    }
    return np.array([counted[name] for name in COLUMNS], dtype=np.float64)


def measure_config(counts: Floats, measures: Mapping[str, Measure]) -> dict[str, Any]:
    """Value and 95 % interval of every measure over ``(I, Q, R)`` counts."""
    total, asked = _by_column(counts.sum(axis=(0, 2))), int(counts.any(axis=(1, 2)).sum())
    measured: dict[str, Any] = {}
    for name, measure in measures.items():
        value = _known(measure(total))
        ci95 = None
        if value is not None and asked:
            crossed = crossed_variance(linear_parts(counts, measure))
            if name != "d_prime":
                ci95 = crossed.share_interval(value, asked)
            elif asked >= MIN_RESAMPLED and crossed.variance > _NO_VARIANCE:
                ci95 = student_estimate(value, crossed.variance, max(1.0, crossed.degrees), (-np.inf, np.inf)).ci95
        measured[name] = interval_json(value, ci95)
    return measured


def linear_parts(counts: Floats, measure: Measure) -> Floats:
    """What every image and rater adds to a measure of the summed ``(I, Q, R)`` counts, to first order: ``(I, R)``."""
    total = counts.sum(axis=(0, 2))
    slopes = np.zeros(len(total))
    for column in range(len(total)):
        step = max(1e-4, 1e-4 * total[column]) * np.eye(len(total))[column]
        sides = [float(measure(_by_column(total + sign * step))) for sign in (1, -1)]
        slopes[column] = (sides[0] - sides[1]) / (2 * step.sum()) if np.isfinite(sides).all() else 0.0
    parts = np.einsum("iqr,q->ir", counts, slopes)
    return np.asarray(parts - np.where(counts.any(axis=1), parts.sum() / max(1, counts.any(axis=1).sum()), 0))


def measure_difference(first: Floats, second: Floats) -> dict[str, Any]:
    """Accuracy under the first counts minus that under the second, over images that a rater answered wholly in both."""
    whole = max(first[:, :1].max(), second[:, :1].max())
    both = (first[:, :1] == whole) & (second[:, :1] == whole)
    accuracy = share(*_SHARES["accuracy"])
    totals = [_by_column((side * both).sum(axis=(0, 2))) for side in (first, second)]
    value, used = _known(accuracy(totals[0]) - accuracy(totals[1])), both.any(axis=(1, 2))
    compared = {"value": value, "n_images": int(used.sum()), "undecidable": bool(used.sum() < MIN_DECIDABLE)}
    if value is None:
        return {**compared, "ci95": None, "p": None}
    parts = [linear_parts(side * both, accuracy) for side in (first, second)]
    crossed = crossed_variance(parts[0] - parts[1])
    if first.shape[2] > 1 and crossed.variance > _NO_VARIANCE:
        estimate = student_estimate(value, crossed.variance, max(1.0, crossed.degrees), (-1.0, 1.0))
    else:  # of one rater, or where no rater differs
        before, after = (accuracy(_by_column((side * both)[used].sum(axis=2))) for side in (first, second))
        estimate = paired_difference(before, after, np.zeros(int(used.sum()), np.int64))
    return {**compared, "ci95": estimate.ci95, "p": estimate.p}


def summarise(
    kit: HumanKit, answers: Sequence[HumanAnswer], raters: Sequence[str], measures: Mapping[str, Measure]
) -> dict[str, Any]:
    """Measures of every config, and accuracy of each later config minus that of the first, JSON-ready.

    Args:
        kit: What was asked.
        answers: Of people, or of one model.
        raters: Whose answers count.
        measures: What is measured, by name.
    """
    if not raters:
        raise UsageError("no rater is left to score")
    counts = {config: count_answers(kit, answers, config, raters) for config in kit.facts.configs}
    base, *others = kit.facts.configs
    return {
        "configs": {
            config: {"n_answers": int(of_config[:, 0].sum()), **measure_config(of_config, measures)}
            for config, of_config in counts.items()
        },
        "differences": [
            {"minuend": config, "subtrahend": base, **measure_difference(counts[config], counts[base])}
            for config in others
        ],
    }


def _by_column(counts: Floats) -> dict[str, Floats]:
    """Counts ``(…, Q)`` by column, ``(…,)`` each."""
    return {name: counts[..., index] for index, name in enumerate(COLUMNS)}


def _known(value: Floats) -> float | None:
    """A number for JSON, which has no NaN."""
    return None if np.isnan(value) else float(value)


def check_attention(answers: Sequence[HumanAnswer], kit: HumanKit, threshold: float) -> list[dict[str, Any]]:
    """Every rater: how often a repeated question got the same answer again, and scores of their own.

    The design is exact repeats: they look like the other questions, and need no picture from elsewhere. They
    do not catch who says the same to everything: hit and false alarm rates, or the accuracy, do.
    ``attentive`` is None where no repeat was answered.
    """
    by_rater: dict[str, dict[str, HumanAnswer]] = {}
    for answer in answers:
        by_rater.setdefault(answer.rater, {})[answer.task_id] = answer
    raters = []
    for rater, own in sorted(by_rater.items(), key=lambda item: int(item[0][1:])):
        pairs = [
            (own[task.task_id], own[task.repeats]) for task in kit.tasks if task.repeats in own and task.task_id in own
        ]
        alike = sum((again.said, again.chosen) == (first.said, first.chosen) for again, first in pairs)
        counts = sum(count_answers(kit, answers, config, [rater]).sum(axis=(0, 2)) for config in kit.facts.configs)
        raters.append(
            {
                "rater": rater,
                "n_answers": len(own),
                "n_repeats": len(pairs),
                "repeats_alike": alike / len(pairs) if pairs else None,
                "attentive": alike / len(pairs) >= threshold if pairs else None,
                "median_seconds": median_seconds(own.values()),
                **{name: _known(measure(_by_column(counts))) for name, measure in measures_of(kit).items()},
            }
        )
    return raters


def median_seconds(answers: Iterable[HumanAnswer]) -> float | None:
    """Median of what is known of the time that answers took, in seconds."""
    known = [answer.seconds for answer in answers if answer.seconds is not None]
    return float(median(known)) if known else None


def time_taken(kit: HumanKit, answers: Sequence[HumanAnswer], config: str) -> dict[str, float | None]:
    """Median seconds of a config's first answers, and the share over the time limit of the instructions."""
    first = [answer for answer in answers if _is_first_of(kit.by_id[answer.task_id], config)]
    known = [answer.seconds for answer in first if answer.seconds is not None]
    late = sum(seconds > kit.facts.seconds_limit for seconds in known)
    return {"median_seconds": median_seconds(first), "over_limit": late / len(known) if known else None}


def agreement(
    kit: HumanKit, answers: Sequence[HumanAnswer], config: str, raters: Sequence[str], *, count: int, seed: int
) -> dict[str, Any]:
    """Krippendorff's alpha, nominal, of first answers to a config's questions (Content Analysis, 2004, chapter 11).

    Answers are yes, no and absent, or the class chosen and absent. None with one rater, or where all answers are the
    same, which leaves nothing to agree about. The interval is a bootstrap over questions.

    Raises:
        MissingExtraError: without the extra ``agree``.
    """
    try:
        import krippendorff
    except ImportError as error:
        raise MissingExtraError("krippendorff", "agree") from error
    tasks = [task for task in kit.tasks if _is_first_of(task, config)]
    index_of = {task.task_id: index for index, task in enumerate(tasks)}
    codes: list[tuple[int, object]] = [
        (index_of[answer.task_id], answer.said if answer.chosen is None else answer.chosen)
        for answer in answers
        if answer.task_id in index_of and answer.rater in raters
    ]
    values = {value: column for column, value in enumerate(dict.fromkeys(value for _, value in codes))}
    table = np.zeros((len(tasks), len(values)), dtype=np.int64)
    for row, value in codes:
        table[row, values[value]] += 1
    shared = table[table.sum(axis=1) > 1]
    if len(raters) < 2 or (shared.sum(axis=0) > 0).sum() < 2:
        return {"value": None, "ci95": None, **({"no_ci95": ONE_RATER} if len(raters) < 2 else {})}

    def alpha(counts: NDArray[np.int64]) -> float:
        if (counts.sum(axis=0) > 0).sum() < 2:
            return float("nan")
        return float(krippendorff.alpha(value_counts=counts, level_of_measurement="nominal"))

    drawn = [alpha(shared[rows]) for rows in resampled_rows(len(shared), count=count, seed=seed)]
    ci95 = bootstrap_interval(np.array(drawn), len(shared))
    return interval_json(alpha(shared), ci95)


def _is_first_of(task: HumanTask, config: str) -> bool:
    return task.config == config and task.repeats is None


def images_per_class(kit: HumanKit) -> dict[str, int]:
    """Images of every class that was asked about."""
    labels = {task.image_id: task.label for task in kit.tasks}
    sizes = Counter(labels.values())
    return {name: sizes[index] for index, name in enumerate(kit.classes.names) if sizes[index]}
