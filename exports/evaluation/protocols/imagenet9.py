"""Protocol imagenet9: accuracy by variant, BG-gap and the five image categories."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from figureground.exports.evaluation.answers import Predictions, predict
from figureground.exports.evaluation.dataset import config_rank, list_configs
from figureground.exports.evaluation.intervals import MIN_DECIDABLE, mean_estimate, paired_difference, share_interval
from figureground.exports.evaluation.jobs import Job
from figureground.exports.evaluation.label_spaces import ClassMap
from figureground.exports.evaluation.protocol import Protocol
from figureground.exports.evaluation.protocols.challenge import (
    CHALLENGE,
    CHALLENGE_CONFIGS,
    CHALLENGE_OPTION,
    run_challenge,
    stored_parts,
    summarise_challenge,
)
from figureground.exports.evaluation.protocols.conflict import (
    GROUND_COLUMNS,
    conflict_cells,
    conflict_figures,
    conflict_spaces,
    read_grounds,
)
from figureground.exports.evaluation.repository.provenance import read_mask_agreement
from figureground.exports.evaluation.shares import (
    CHANCE_NOTE,
    RowAnswers,
    accuracy_macro,
    accuracy_micro,
    accuracy_per_class,
    average_rows,
    class_sizes,
    count_groups,
    number_groups,
    sd_between_draws,
)
from figureground.exports.evaluation.tables import (
    IMAGES_ALIKE,
    RULE,
    Cell,
    Figure,
    accuracy_figures,
    measured_cell,
    value_figures,
)
from figureground.exports.evaluation.values import EMPTY, Bools, Ints, arrays_of, list_names, require

DIFFERENCES: Final = {
    "bg_gap": ("mixed_same", "mixed_rand"),
    "original_minus_mixed_same": ("original", "mixed_same"),
    "original_minus_mixed_self": ("original", "mixed_self"),
    "mixed_rand_minus_only_bg_t": ("mixed_rand", "only_bg_t"),
}
CATEGORY_CONFIGS: Final = ("original", "mixed_rand", "only_bg_t")
_NOT_SCORED: Final = "not scored: "  # how the reason of a figure begins whose configs are not there
CATEGORIES: Final = ("bg_required", "bg_fools", "bg_fg_required", "bg_fg_fools", "bg_irrelevant")


def background_gap(mixed_same: Bools, mixed_rand: Bools, labels: Ints) -> float:
    """BG-gap = acc(mixed_same) - acc(mixed_rand), in [-1, 1] (Xiao et al., arXiv 2006.09994, section 3).

    Both ``(I, D)`` of the same images; class means, which are the paper's accuracy where classes are balanced. It is
    the number by itself: tables take it from ``paired_difference``, which gives its interval too.
    """
    return accuracy_macro(mixed_same, labels) - accuracy_macro(mixed_rand, labels)


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
        rows = job.rows(config, ["draw"], optional=["source_label", *GROUND_COLUMNS])
        return {
            **arrays_of(predict(job.feeder, rows, classes, config)),
            **read_grounds(rows, classes, job.sampling.groups),
        }

    needed = list_configs(job.repository, CHALLENGE_CONFIGS) if rules else []
    stored = job.remembered(list(dict.fromkeys([*job.configs, *needed])), run)
    answers = {
        config: Predictions(**{name: arrays[name] for name in Predictions.__slots__})
        for config, arrays in stored.items()
    }
    summary = summarise({config: answers[config] for config in job.configs}, classes, job.sampling.groups)
    if gap := _gap_by_agreement(job, {config: answers[config] for config in job.configs}):
        summary["by_agreement"] = gap
    conflicts = {config: stored[config] for config in job.configs}
    if own := conflict_spaces(conflicts, summary["label_space"], classes.names):
        summary["conflict"] = own
    if rules:
        pair_outcomes({config: answers[config] for config in needed})
        challenged = run_challenge(job, rules, answers["only_bg_t"])
        summary["challenge"] = summarise_challenge(challenged, answers["original"], rules, classes, job.sampling)
        summary["challenge"]["predictions"] = stored_parts(job, rules)
    return summary


def summarise(
    predictions: Mapping[str, Predictions], classes: ClassMap, groups: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """All metrics of one model's answers by config, JSON-ready, with intervals; configs must pair.

    ``groups`` are the groups of photos that show one scene, by image_id: whole groups then are the sample.
    """
    labels, columns = pair_outcomes(predictions)
    own = number_groups(np.unique(next(iter(predictions.values())).image_id), groups)
    few, sizes = len(labels) < MIN_DECIDABLE, class_sizes(labels, classes)
    absent = _absent(CATEGORY_CONFIGS, columns)
    shares = {} if absent else image_categories(*(columns[config] for config in CATEGORY_CONFIGS))
    summary = {
        "label_space": str(next(iter(predictions.values())).label_space),
        "headline": "accuracy_macro",
        "n": len(labels),
        "undecidable": few,
        "balanced": sizes["balanced"],
        "chance": 1 / len(classes.names),
        "configs": {
            name: _measure_config(answers, columns[name], labels, classes, own) for name, answers in predictions.items()
        },
        "chance_note": CHANCE_NOTE,
        "differences": {
            name: _absent(pair, columns) or _difference(pair, columns, labels, own)
            for name, pair in list_differences(columns).items()
        },
        "mask_effects": _mask_effects(columns, labels, own),
        "categories": {key: absent or _class_mean(shares[key], labels, own) for key in CATEGORIES},
    }
    exact = exact_accuracy(predictions["original"], groups) if "original" in predictions else None
    return {**summary, **({"exact1000": exact} if exact else {})}


def _gap_by_agreement(job: Job, predictions: Mapping[str, Predictions]) -> dict[str, Any]:
    """BG-gap over photos whose machine mask agrees with another segmenter's; empty where none were compared."""
    rule = (job.repository.masks or {}).get("agreement")
    if rule is None or not set(DIFFERENCES["bg_gap"]) <= set(predictions):
        return {}
    shards = job.repository.shards(DIFFERENCES["bg_gap"][0], job.split)
    ious = read_mask_agreement(shards.values())
    return gap_by_agreement(predictions, ious, rule["min_iou"], job.sampling.groups)


def gap_by_agreement(
    predictions: Mapping[str, Predictions],
    ious: Mapping[str, float],
    min_iou: float,
    groups: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """BG-gap over the images whose mask agrees with another segmenter's, JSON-ready.

    The masks are a part of every BG-gap: what they miss of a figure stays in the ground. Where two segmenters agree
    they are right more often, and the gap there is more of the model's than of the masks'.

    Args:
        predictions: Answers by config; those of ``mixed_same`` and ``mixed_rand`` are needed.
        ious: IoU of two segmenters' masks by image_id, of images where there are two.
        min_iou: IoU from which two masks agree.
        groups: Groups of photos that show one scene, by image_id.
    """
    labels, columns = pair_outcomes({config: predictions[config] for config in DIFFERENCES["bg_gap"]})
    images = np.unique(predictions["mixed_same"].image_id)
    own = np.array([ious.get(image, np.nan) for image in images])
    agree = own >= min_iou  # False where there is no IoU
    counts = {"min_iou": min_iou, "compared": int(np.isfinite(own).sum()), "agreeing": int(agree.sum())}
    if not agree.any():
        return {**counts, "bg_gap": {"value": None, "reason": "no masks agree"}}
    agreeing = {config: correct[agree] for config, correct in columns.items()}
    members = number_groups(images[agree], groups)
    return {**counts, "bg_gap": _difference(DIFFERENCES["bg_gap"], agreeing, labels[agree], members)}


def list_differences(configs: Collection[str]) -> dict[str, tuple[str, str]]:
    """Differences by name: those of every dataset, and BG-gap under other masks where configs of both sides have them.

    ``mixed_same_p4`` and ``mixed_rand_p4`` are the two configs with other masks: theirs is ``bg_gap_p4``.
    """
    sides = DIFFERENCES["bg_gap"]
    suffixes = [config.removeprefix(sides[0]) for config in configs if config.startswith(f"{sides[0]}_")]
    masks = [suffix for suffix in sorted(suffixes) if f"{sides[1]}{suffix}" in configs]
    return {**DIFFERENCES, **{f"bg_gap{suffix}": (f"{sides[0]}{suffix}", f"{sides[1]}{suffix}") for suffix in masks}}


def _mask_effects(columns: Mapping[str, Bools], labels: Ints, groups: Ints | None) -> dict[str, dict[str, Any]]:
    """What other masks of the same figures on the same grounds change of BG-gap: paired, within images."""
    gaps = {
        name: columns[pair[0]].mean(axis=1) - columns[pair[1]].mean(axis=1)
        for name, pair in list_differences(columns).items()
        if name.startswith("bg_gap") and not _absent(pair, columns)
    }
    return {
        f"{name}_minus_bg_gap": mean_estimate(gap - gaps["bg_gap"], labels, (-2.0, 2.0), groups).json()
        for name, gap in gaps.items()
        if name != "bg_gap" and "bg_gap" in gaps
    }


def exact_accuracy(original: Predictions, groups: Mapping[str, str] | None = None) -> dict[str, Any] | None:
    """Accuracy on ``original`` where only the photo's own ImageNet class is right; None where that is not known.

    The row "ImageNet" beside ImageNet-9's (arXiv 2006.09994, Table 2), on these photos.
    """
    if (original.exact < 0).any():
        return None
    right, alike = original.exact.astype(np.float64), np.zeros_like(original.label)
    ci95 = share_interval(right, alike, number_groups(original.image_id, groups))
    return {"n": len(right), "accuracy_micro": float(right.mean()), "ci95_micro": ci95}


def _measure_config(
    answers: Predictions, correct: Bools, labels: Ints, classes: ClassMap, groups: Ints | None
) -> dict[str, Any]:
    """Accuracies of one config; ``restricted`` is that of the largest output that belongs to a class."""
    per_class, alike = accuracy_per_class(correct, labels), np.zeros_like(labels)
    rows = RowAnswers(image_id=answers.image_id, label=answers.label, right=answers.mapped == answers.label)
    restricted = average_rows("mapped outputs", rows, answers.restricted == answers.label)
    outside = average_rows("outside the map", rows, answers.mapped < 0)
    mean = _class_mean(correct, labels, groups)
    return {
        "accuracy_micro": accuracy_micro(correct),
        "ci95_micro": share_interval(correct.mean(axis=1), alike, groups),
        "accuracy_macro": mean.pop("value"),
        **mean,
        "n": len(labels),
        **count_groups(correct.mean(axis=1), labels, groups),
        "undecidable": len(labels) < MIN_DECIDABLE,
        "draws": correct.shape[1],
        "n_per_class": class_sizes(labels, classes)["n_per_class"],
        "per_class_accuracy": {owner: per_class.get(index) for index, owner in enumerate(classes.names)},
        "unmapped_share": outside.mean("images"),
        "unmapped_ci95": share_interval(outside.value, alike, groups),
        "accuracy_restricted": restricted.mean("classes"),
        "ci95_restricted": share_interval(restricted.value, restricted.label, groups),
    }


def _absent(needed: Sequence[str], columns: Collection[str]) -> dict[str, Any]:
    """What stands for a figure whose configs were not scored; empty where all of them were."""
    absent = [config for config in needed if config not in columns]
    return {"value": None, "reason": f"{_NOT_SCORED}{', '.join(absent)}"} if absent else {}


def _class_mean(outcomes: Bools, labels: Ints, groups: Ints | None = None) -> dict[str, Any]:
    """A mean of class means ``(I, D)`` with its interval, and its spread between draws."""
    return {
        "value": accuracy_macro(outcomes, labels),
        "ci95": share_interval(outcomes.mean(axis=1), labels, groups),
        "sd_between_draws": sd_between_draws(outcomes, labels),
    }


def _difference(pair: Sequence[str], columns: Mapping[str, Bools], labels: Ints, groups: Ints | None) -> dict[str, Any]:
    """A difference of class means of two configs."""
    first, second = (columns[config] for config in pair)
    return {
        **paired_difference(first.mean(axis=1), second.mean(axis=1), labels, groups).json(),
        "minuend": pair[0],
        "subtrahend": pair[1],
        "n": len(labels),
        **count_groups(first.mean(axis=1) - second.mean(axis=1), labels, groups),
        "undecidable": len(labels) < MIN_DECIDABLE,
        "sd_between_draws": sd_between_draws(first.astype(np.float64) - second, labels),
    }


def imagenet9_cells(summary: Mapping[str, Any]) -> dict[str, Cell]:
    """Accuracies, what lies outside the map, differences, categories, BG-gap where masks agree, vulnerable figures."""
    few, cells = summary["undecidable"], dict[str, Cell]()
    configs = dict(sorted(summary["configs"].items(), key=lambda pair: config_rank(pair[0])))
    rows = [
        ("configs", "", "accuracy_macro", "ci95"),
        ("restricted", ", mapped outputs only", "accuracy_restricted", "ci95_restricted"),
        ("outside", ", outside the map", "unmapped_share", "unmapped_ci95"),
    ]
    alike = [] if summary["balanced"] else [("images", f", {IMAGES_ALIKE}", "accuracy_micro", "ci95_micro")]
    for part, words, value, ci95 in [rows[0], *alike, *(rows[1:] if summary["label_space"] == "map" else [])]:
        cells[f"-{part}"] = RULE
        for name, measured in configs.items():
            cells[f"{name}{words}"] = Cell(measured[value], measured[ci95], few=few)
    if exact := summary.get("exact1000"):
        cells["original, own ImageNet class"] = Cell(exact["accuracy_micro"], exact["ci95_micro"], few=few)
    parts = {part: _scored(summary[part]) for part in ("differences", "mask_effects", "categories")}
    for part, figures in ((part, figures) for part, figures in parts.items() if figures):
        cells[f"-{part}"] = RULE
        for name, measured in figures.items():
            signed = part != "categories"
            cells[name.replace("_minus_", " - ") if part == "mask_effects" else name] = measured_cell(
                measured, signed=signed, few=few
            )
    if own := summary.get("by_agreement"):
        cells["-agreement"] = RULE
        gap, name = own["bg_gap"], f"bg_gap, masks agree (IoU >= {own['min_iou']:g}, n {own['agreeing']})"
        cells[name] = measured_cell(gap, signed=True, few=gap.get("undecidable", True))
    cells |= conflict_cells(summary.get("conflict", {}))
    for rule, fooled in summary.get("challenge", {}).get("rules", {}).items():
        cells["-challenge"] = RULE
        note = f"{fooled['vulnerable']}/{fooled['n']}"
        cells[f"vulnerable figures, {rule}"] = Cell(fooled["value"], fooled["ci95"], few=few, note=note)
    return cells


def _scored(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Those whose configs were scored: the others are no rows of a table."""
    return {name: own for name, own in figures.items() if not own.get("reason", "").startswith(_NOT_SCORED)}


def imagenet9_figures(summary: Mapping[str, Any]) -> Iterator[Figure]:
    """Headline figures of a summary."""
    yield from accuracy_figures(summary["configs"])
    yield from value_figures(summary["differences"])
    if own := summary.get("by_agreement"):
        yield from value_figures({"bg_gap_masks_agree": own["bg_gap"]})
    yield from conflict_figures(summary.get("conflict", {}))
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
