"""Protocol imagenet9: accuracy by variant, BG-gap and the five image categories."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from figureground.exports.evaluation.answers import Predictions, predict
from figureground.exports.evaluation.dataset import config_rank, list_configs
from figureground.exports.evaluation.jobs import Job
from figureground.exports.evaluation.label_spaces import ClassMap
from figureground.exports.evaluation.protocol import Protocol
from figureground.exports.evaluation.protocols.challenge import (
    CHALLENGE,
    CHALLENGE_CONFIGS,
    CHALLENGE_OPTION,
    run_challenge,
    summarise_challenge,
)
from figureground.exports.evaluation.shares import CHANCE_NOTE, class_sizes
from figureground.exports.evaluation.statistics import (
    accuracy_macro,
    accuracy_micro,
    accuracy_per_class,
    bootstrap_class_means,
    bootstrap_interval,
    mcnemar_exact,
    sd_between_draws,
)
from figureground.exports.evaluation.tables import Figure, accuracy_figures, format_cell, value_figures
from figureground.exports.evaluation.values import EMPTY, Bools, Floats, Ints, arrays_of, list_names, require

DIFFERENCES: Final = {
    "bg_gap": ("mixed_same", "mixed_rand"),
    "original_minus_mixed_same": ("original", "mixed_same"),
    "original_minus_mixed_self": ("original", "mixed_self"),
    "mixed_rand_minus_only_bg_t": ("mixed_rand", "only_bg_t"),
}
CATEGORY_CONFIGS: Final = ("original", "mixed_rand", "only_bg_t")
CATEGORIES: Final = ("bg_required", "bg_fools", "bg_fg_required", "bg_fg_fools", "bg_irrelevant")


def background_gap(mixed_same: Bools, mixed_rand: Bools, labels: Ints) -> float:
    """BG-gap = acc(mixed_same) - acc(mixed_rand), in [-1, 1] (Xiao et al., arXiv 2006.09994, section 3).

    Both ``(I, D)`` of the same images; class means, which are the paper's accuracy where classes are balanced.
    """
    return macro_difference(mixed_same, mixed_rand, labels)


def macro_difference(minuend: Bools, subtrahend: Bools, labels: Ints) -> float:
    """Difference of two class means, in [-1, 1]; both ``(I, D)`` of the same images."""
    return accuracy_macro(minuend, labels) - accuracy_macro(subtrahend, labels)


def image_categories(original: Bools, mixed_rand: Bools, only_bg_t: Bools) -> dict[str, Bools]:
    """The five image categories of Xiao et al. (arXiv 2006.09994), Table 3; each image is in exactly one.

    From right (1) or wrong (0) on (original, mixed_rand, only_bg_t): the background is required in (1, 0, 1), fools
    in (0, 1, 0), is required with the foreground in (1, 0, 0), fools with it in (0, 1, 1), and is irrelevant where
    original equals mixed_rand. Arguments are ``(I, D)`` or ``(I, 1)``, broadcast; so is each category.
    """
    right, mixed, ground = np.broadcast_arrays(original, mixed_rand, only_bg_t)
    require(right.size, EMPTY)
    return {
        "bg_required": right & ~mixed & ground,
        "bg_fools": ~right & mixed & ~ground,
        "bg_fg_required": right & ~mixed & ~ground,
        "bg_fg_fools": ~right & mixed & ground,
        "bg_irrelevant": right == mixed,
    }


def pair_outcomes(predictions: Mapping[str, Predictions]) -> tuple[Ints, dict[str, Bools]]:
    """Bring every config into one order of images, by id: labels ``(I,)`` and right or wrong ``(I, D)`` by config.

    ``EvaluationError`` if two configs hold other images or labels, or an image lacks draws or has one twice.
    """
    require(predictions, "nothing to score: expected at least one config, got none", 2)
    arranged = {config: _arrange(config, answers) for config, answers in predictions.items()}
    reference = "original" if "original" in arranged else next(iter(arranged))
    ids, labels, _ = arranged[reference]
    for config, (its_ids, its_labels, _) in arranged.items():
        missing, extra = np.setdiff1d(ids, its_ids), np.setdiff1d(its_ids, ids)
        got = f"{len(missing)} missing ({list_names(missing)}), {len(extra)} extra ({list_names(extra)})"
        paired = not len(missing) and not len(extra)
        require(paired, f"{config}: expected the image_ids of {reference}, so that images pair; got {got}")
        other = ids[labels != its_labels]
        require(not len(other), f"{config}: expected the labels of {reference}, got others for {list_names(other)}")
    return labels, {config: correct for config, (_, _, correct) in arranged.items()}


def _arrange(config: str, answers: Predictions) -> tuple[NDArray[np.str_], Ints, Bools]:
    """Image ids ``(I,)`` in order, labels ``(I,)``, right or wrong ``(I, D)``."""
    order = np.lexsort((answers.draw, answers.image_id))
    ids, counts = np.unique(answers.image_id, return_counts=True)
    draws = int(counts.max(initial=1))
    uneven = ids[counts != draws]
    require(not len(uneven), f"{config}: expected {draws} draws of every image, got fewer of {list_names(uneven)}")
    drawn, labels = answers.draw[order].reshape(-1, draws), answers.label[order].reshape(-1, draws)
    twice = (drawn != drawn[:1]).any(axis=1) | (np.diff(drawn, axis=1) == 0).any(axis=1)
    wrong = list_names(ids[twice | (labels != labels[:, :1]).any(axis=1)])
    require(not wrong, f"{config}: expected each draw once and one label an image; got others for {wrong}")
    return ids, labels[:, 0].copy(), (answers.mapped == answers.label)[order].reshape(-1, draws)


def run_imagenet9(job: Job) -> dict[str, Any]:
    """Score every config, and under the option ``challenge`` search grounds for every figure."""
    classes, rules = job.repository.classes, [rule for rule in CHALLENGE if rule in job.options["challenge"]]

    def run(config: str) -> dict[str, NDArray[Any]]:
        return arrays_of(predict(job.feeder, job.rows(config, ["draw"]), classes, config))

    needed = list_configs(job.repository, CHALLENGE_CONFIGS) if rules else []
    stored = job.remembered(list(dict.fromkeys([*job.configs, *needed])), run)
    answers = {config: Predictions(**arrays) for config, arrays in stored.items()}
    sampling = {name: job.sampling[name] for name in ("count", "seed")}
    summary = summarise({config: answers[config] for config in job.configs}, classes, **sampling)
    if rules:
        pair_outcomes({config: answers[config] for config in needed})
        challenged = run_challenge(job, rules, answers["only_bg_t"])
        summary["challenge"] = summarise_challenge(challenged, answers["original"], rules, classes, **job.sampling)
    return summary


def summarise(predictions: Mapping[str, Predictions], classes: ClassMap, *, count: int, seed: int) -> dict[str, Any]:
    """All metrics of one model's answers by config, JSON-ready, with intervals; configs must pair."""
    labels, columns = pair_outcomes(predictions)
    absent = _absent(CATEGORY_CONFIGS, columns)
    shares = {} if absent else image_categories(*(columns[config] for config in CATEGORY_CONFIGS))
    samples = _bootstrap_columns({**columns, **shares}, labels, count, seed)
    sizes = class_sizes(labels, classes)
    configs = {}
    for name, answers in predictions.items():
        correct, per_class = columns[name], accuracy_per_class(columns[name], labels)
        configs[name] = {
            "accuracy_micro": accuracy_micro(correct),
            "accuracy_macro": accuracy_macro(correct, labels),
            **_spread(correct, labels, samples[name]),
            "n": len(labels),
            "draws": correct.shape[1],
            "n_per_class": sizes["n_per_class"],
            "per_class_accuracy": {owner: per_class.get(index) for index, owner in enumerate(classes.names)},
            "unmapped_share": float((answers.mapped < 0).mean()),
        }
    return {
        "label_space": str(next(iter(predictions.values())).label_space),
        "headline": "accuracy_macro",
        "n": len(labels),
        "balanced": sizes["balanced"],
        "chance": 1 / len(classes.names),
        "configs": configs,
        "chance_note": CHANCE_NOTE,
        "differences": {
            name: _absent(pair, columns) or _difference(pair, columns, labels, samples[pair[0]] - samples[pair[1]])
            for name, pair in DIFFERENCES.items()
        },
        "categories": {
            key: absent or {"value": accuracy_macro(shares[key], labels), **_spread(shares[key], labels, samples[key])}
            for key in CATEGORIES
        },
    }


def _absent(needed: Sequence[str], columns: Collection[str]) -> dict[str, Any]:
    """What stands for a figure whose configs were not scored; empty where all of them were."""
    absent = [config for config in needed if config not in columns]
    return {"value": None, "reason": f"not scored: {', '.join(absent)}"} if absent else {}


def _bootstrap_columns(columns: Mapping[str, Bools], labels: Ints, count: int, seed: int) -> dict[str, Floats]:
    """Resampled class means ``(B,)`` of every column, paired."""
    draws = {values.shape[1] for values in columns.values()} - {1}
    require(len(draws) < 2, f"expected one number of draws in all configs that have several, got {sorted(draws)}")
    shape = (len(labels), max(draws, default=1))
    stacked = np.stack([np.broadcast_to(values, shape) for values in columns.values()], axis=1).astype(np.float64)
    samples = bootstrap_class_means(stacked, labels, count=count, seed=seed)
    return {name: samples[:, index] for index, name in enumerate(columns)}


def _spread(outcomes: Bools, labels: Ints, samples: Floats) -> dict[str, Any]:
    """Interval of a class mean, and its spread between draws."""
    return {"ci95": bootstrap_interval(samples, outcomes), "sd_between_draws": sd_between_draws(outcomes, labels)}


def _difference(pair: Sequence[str], columns: Mapping[str, Bools], labels: Ints, gap: Floats) -> dict[str, Any]:
    """A difference of two configs; ``gap`` are its resamples ``(B,)``."""
    first, second = (columns[config] for config in pair)
    low, high = bootstrap_interval(gap)
    single = first.shape[1] == second.shape[1] == 1
    return {
        "value": macro_difference(first, second, labels),
        "minuend": pair[0],
        "subtrahend": pair[1],
        "ci95": [low, high],
        "excludes_zero": low > 0 or high < 0,
        "mcnemar_p": mcnemar_exact(first[:, 0], second[:, 0]) if single else None,
        "sd_between_draws": sd_between_draws(first.astype(np.float64) - second, labels),
    }


def imagenet9_cells(summary: Mapping[str, Any]) -> dict[str, str]:
    """Accuracies, differences and categories, and the share of vulnerable figures by rule."""
    cells = {}
    for part in ("configs", "differences", "categories"):
        cells[f"-{part}"] = ""
        names = sorted(summary[part], key=config_rank) if part == "configs" else summary[part]
        for name in names:
            measured, signed = summary[part][name], part == "differences"
            value, marked = measured.get("accuracy_macro", measured.get("value")), measured.get("excludes_zero")
            cells[name] = format_cell(value, measured.get("ci95"), signed=signed, marked=marked)
    for rule, fooled in summary.get("challenge", {}).get("rules", {}).items():
        cells["-challenge"] = ""
        share = format_cell(fooled["value"], fooled["ci95"])
        cells[f"vulnerable figures, {rule}"] = f"{share} {fooled['vulnerable']}/{fooled['n']}"
    return cells


def imagenet9_figures(summary: Mapping[str, Any]) -> Iterator[Figure]:
    """Headline figures of a summary."""
    yield from accuracy_figures(summary["configs"])
    yield from value_figures(summary["differences"])
    rules = summary.get("challenge", {}).get("rules", {})
    yield from value_figures({f"vulnerable_{rule}": fooled for rule, fooled in rules.items()})


IMAGENET9: Final = Protocol(
    name="imagenet9",
    claims=lambda _: True,  # whatever no other protocol claims
    run=run_imagenet9,
    cells=imagenet9_cells,
    figures=imagenet9_figures,
    options=(CHALLENGE_OPTION,),
    compares_with_original=False,
)
