"""Protocol imagenet_a: crops, calibration and AURRA."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from figureground.exports.evaluation.adapters import Adapter, adapter_option
from figureground.exports.evaluation.answers import answer_rows, to_probabilities
from figureground.exports.evaluation.dataset import config_rank, row_names
from figureground.exports.evaluation.intervals import (
    MIN_DECIDABLE,
    Sampling,
    bootstrap_interval,
    resampled_rows,
    root_interval,
    share_interval,
)
from figureground.exports.evaluation.jobs import Job, split_by_space
from figureground.exports.evaluation.label_spaces import (
    IMAGENET_CLASSES,
    ClassMap,
    drop_background,
    find_label_space,
    masked_outputs,
)
from figureground.exports.evaluation.pictures import Transform
from figureground.exports.evaluation.protocol import CLUSTER, Protocol
from figureground.exports.evaluation.shares import (
    ImageShares,
    RowAnswers,
    average_rows,
    class_sizes,
    compare_pairs,
    estimate_difference,
    measure_accuracy,
    pair_images,
)
from figureground.exports.evaluation.tables import (
    RULE,
    Cell,
    Figure,
    accuracy_figures,
    measured_cell,
    shares_cells,
    value_figures,
)
from figureground.exports.evaluation.values import (
    EMPTY,
    Answers,
    Bools,
    Floats,
    Ints,
    Logits,
    Table,
    list_names,
    require,
)

FIVE_CROP: Final = "five_crop"  # no config of the dataset, but five crops of original
CROP_CONTROLS: Final = ("center_zoom", "random_box", FIVE_CROP)  # that plus is compared with, besides original
CALIBRATION_BIN: Final = 100  # images; calibration_tools.py of hendrycks/natural-adv-examples
CONFIDENCE_RESAMPLES: Final = 1000  # behind intervals of calibration and AURRA, which sort every resample
MIN_CALIBRATION: Final = 200  # answers below which the released error is 0 or does not exist


def rms_calibration_error(confidence: Floats, right: NDArray[Any], bin_size: int, *, released: bool = False) -> float:
    """Square root of the sum over bins of n_b / N (mean confidence - share right)², in [0, 1]; ``(N,)`` each.

    Bins hold ``bin_size`` answers in the order of confidence, the last one also what is left over. ``released`` skips
    the last, most confident bin, as calib_err of calibration_tools.py does (hendrycks/natural-adv-examples).
    """
    bins = len(confidence) // bin_size
    require(bins, f"expected at least {bin_size} answers to calibrate, got {len(confidence)}")
    order = np.argsort(confidence, kind="stable")
    starts = np.arange(bins) * bin_size
    sizes = np.diff([*starts, len(confidence)])
    gaps = np.add.reduceat(confidence[order] - right[order], starts) / sizes
    counted = slice(0, bins - 1 if released else bins)
    return float(np.sqrt((sizes[counted] / len(confidence) * gaps[counted] ** 2).sum()))


def response_rate_accuracy(confidence: Floats, right: NDArray[Any], *, released: bool = False) -> float:
    """AURRA: mean over k = 1 … N of the share right among the k most confident of ``(N,)`` answers, in [0, 1].

    Answers of equal confidence each count as their mean, which is the expectation over their orders. ``released`` takes
    them in reverse order of rows, as aurra of calibration_tools.py does (hendrycks/natural-adv-examples), where its
    unstable sort happens to keep that order.
    """
    require(len(confidence), EMPTY)
    _, level = np.unique(confidence, return_inverse=True)
    shares = right if released else (np.bincount(level, weights=right) / np.bincount(level))[level]
    ranked = np.argsort(confidence, kind="stable")[::-1]
    return float((np.cumsum(shares[ranked]) / np.arange(1, len(ranked) + 1)).mean())


def run_imagenet_a(job: Job) -> dict[str, Any]:
    """Score every config under the model's own transform, in all label spaces that the outputs allow."""
    job, classes, adapter = job.limited(), job.repository.classes, job.adapter
    feeding = {name: adapter_option(adapter, name) for name in ("crop_pct", "crop_mode", "interpolation")}
    transform = Transform(size_hw=(adapter.input_size_hw[0], adapter.input_size_hw[1]), **feeding)
    keeps = transform.crop_mode == "center" and transform.size_hw[0] == transform.size_hw[1]
    wanted = f"{adapter.name}: expected crop_mode squash, or center for a square input, and crop_pct above 0"
    require(transform.crop_pct > 0 and (keeps or transform.crop_mode == "squash"), f"{wanted}; got {transform}")

    def run(config: str) -> Answers:
        five = config == FIVE_CROP
        table = job.rows("original" if five else config, [])
        names = row_names(table)

        def judge(logits: Logits, rows: slice) -> Answers:
            return judge_masked(adapter, logits, names["label"][rows], classes)

        size = max(1, job.batch_size // 5) if five else job.batch_size
        feeder = dataclasses.replace(job.feeder, batch_size=size)
        return names | answer_rows(feeder, table, config, judge, show=functools.partial(transform.crops, five=five))

    stored = job.remembered(job.configs, run)
    figures = read_figures(job.rows("plus", ["provenance", "attributes"])) if "plus" in stored else {}
    summaries = {
        space: summarise_imagenet_a(answers, figures, classes, space, job.sampling)
        for space, answers in split_by_space(stored, MaskedAnswers)
    }
    feeding = {**dataclasses.asdict(transform), "antialias": True, FIVE_CROP: "mean of the crops' softmax"}
    reading = {"headline": "accuracy_micro", "undecidable_below": MIN_DECIDABLE}
    return {**reading, "transform": feeding, "label_spaces": summaries}


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskedAnswers(RowAnswers):
    """The same in a label space of the protocol imagenet_a."""

    top5: Bools  # (R,) whether the true class is among the first five outputs
    confidence: Floats  # (R,) the largest probability in the label space, in [0, 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class CroppedFigure:
    """What is known of the figure that a row of ``plus`` was cropped around."""

    box_share: float  # area of the object's box ÷ area of the photo, in [0, 1]
    instances: int
    traits: Mapping[str, bool]  # ``flag NAME`` where raised, ``attribute NAME`` where answered


def read_figures(table: Table) -> dict[str, CroppedFigure]:
    """Figures of ``plus`` by image_id, from its rows' parameters; ``EvaluationError`` names all that have others."""
    figures, faulty = {}, []
    for name, provenance, attributes in zip(table["image_id"], table["provenance"], table["attributes"], strict=True):
        try:
            figure = json.loads(provenance["params"])["figure"]
            flags = {f"flag {flag}": True for flag in figure.get("flags", [])}
            answered = {f"attribute {key}": value for key, value in (attributes or {}).items() if value is not None}
            share, instances = float(figure["crop"]["box_share"]), int(figure["crop"]["instances"])
            figures[name] = CroppedFigure(box_share=share, instances=instances, traits=flags | answered)
        except (ValueError, KeyError, TypeError, AttributeError):
            faulty.append(name)
    wanted = "figure.crop.box_share, figure.crop.instances and figure.flags in provenance.params"
    require(not faulty, f"plus: expected {wanted}, got others for {list_names(faulty)}")
    return figures


def judge_masked(adapter: Adapter, logits: Logits, labels: Ints, classes: ClassMap) -> dict[str, NDArray[Any]]:
    """Of N rows whether they are right, and within the first five, and the largest probability, by ``SPACE.NAME``.

    The spaces are ``masked<C>``, argmax and softmax over the outputs of the dataset's C classes alone, which for
    ImageNet-A is called ``imagenet_a200`` (eval.py of hendrycks/natural-adv-examples), and ``1000``, over all outputs.
    A head of C outputs has the first only. Where a row has several views, ``(N · V, K)``, their probabilities in the
    space are averaged. Among equals the first output goes first.
    """
    space = find_label_space(logits.shape[1], classes, adapter_option(adapter, "label_space"))
    masked = f"{'imagenet_a' if classes.name == 'imagenet_a' else 'masked'}{len(classes.names)}"
    flat = drop_background(logits, space)
    by_view: Logits = flat.reshape(len(labels), -1, flat.shape[1])
    judged = {masked: (by_view, labels)}
    if space == "map":
        outputs = masked_outputs(classes)
        judged = {masked: (by_view[:, :, outputs], labels), "1000": (by_view, outputs[labels])}
    results: dict[str, NDArray[Any]] = {}
    for name, (answers, true) in judged.items():
        shares = to_probabilities(adapter, answers)
        total = shares.sum(axis=2, keepdims=True)  # 0 where a rounded softmax gave none of the classes anything
        mean = np.divide(shares, total, out=shares, where=total > 0).mean(axis=1)
        ordered = answers[:, 0] if answers.shape[1] == 1 else mean  # logits tell more apart than their softmax
        own = np.take_along_axis(ordered, true[:, None], axis=1)
        before = (ordered > own) | ((ordered == own) & (np.arange(ordered.shape[1]) < true[:, None]))
        rank = before.sum(axis=1)
        results |= {f"{name}.right": rank == 0, f"{name}.top5": rank < 5, f"{name}.confidence": mean.max(axis=1)}
    return results


def summarise_imagenet_a(
    answers: Mapping[str, MaskedAnswers],
    figures: Mapping[str, CroppedFigure],
    classes: ClassMap,
    space: str,
    sampling: Sampling,
) -> dict[str, Any]:
    """All metrics of one model's answers by config in one label space, JSON-ready."""
    outputs = IMAGENET_CLASSES if space == "1000" else len(classes.names)
    right = {config: average_rows(config, rows, rows.right) for config, rows in answers.items()}
    top5 = {config: average_rows(config, rows, rows.top5) for config, rows in answers.items()}
    original = np.bincount(right["original"].label, minlength=len(classes.names))
    pairs = [(config, "original") for config in answers if config != "original"]
    if "plus" in answers:
        ids = {config: set(right[config].image_id) for config in CROP_CONTROLS if config in answers}
        pairs += [("plus", config) for config, known in ids.items() if known & set(right["plus"].image_id)]
    return {
        **class_sizes(right["original"].label, classes),
        "chance": 1 / outputs,
        "configs": {
            config: {
                **measure_accuracy(shares, sampling),
                "coverage": len(shares.label) / int(original.sum()),
                "per_class": _measure_classes(shares, original, classes),
                **_measure_confidence(answers[config], sampling),
                "top5": measure_accuracy(top5[config], sampling) if outputs > 5 else None,
            }
            for config, shares in right.items()
        },
        "differences": compare_pairs(right, pairs, sampling),
        "slices": {
            f"{first}_minus_{second}": slice_difference(right[first], right[second], figures, classes, sampling)
            for first, second in pairs
            if first == "plus" and second in ("original", "center_zoom")
        },
    }


def _measure_confidence(answers: MaskedAnswers, sampling: Sampling) -> dict[str, Any]:
    """Calibration and AURRA over rows, as released and mended; bins of a tenth of the answers where they are few.

    Neither has an interval where an image has several rows.
    """
    confidence, right, n = answers.confidence, answers.right, len(answers.right)
    single = len(np.unique(answers.image_id)) == n
    aurra, aurra_released = (response_rate_accuracy(confidence, right, released=way) for way in (False, True))
    bin_size = min(CALIBRATION_BIN, n // 10)
    calibration: dict[str, Any] = {"value": None, "released": None, "ci95": None}
    drawn = (
        list(resampled_rows(n, count=min(sampling.count, CONFIDENCE_RESAMPLES), seed=sampling.seed)) if single else []
    )
    if n < MIN_CALIBRATION:
        calibration["reason"] = f"{n} answers, fewer than {MIN_CALIBRATION}"
    else:
        errors = np.array([rms_calibration_error(confidence[rows], right[rows], bin_size) for rows in drawn])
        calibration["bin_size"] = bin_size
        calibration["value"] = rms_calibration_error(confidence, right, bin_size)
        calibration["ci95"] = root_interval(calibration["value"], errors, n) if single else None
        calibration["released"] = rms_calibration_error(confidence, right, CALIBRATION_BIN, released=True)
    samples = np.array([response_rate_accuracy(confidence[rows], right[rows]) for rows in drawn])
    return {
        "rms_calibration": calibration,
        "aurra": aurra,
        "aurra_ci95": bootstrap_interval(samples, n) if single else None,
        "aurra_released": aurra_released,
    }


def _measure_classes(right: ImageShares, original: Ints, classes: ClassMap) -> dict[str, dict[str, Any]]:
    """Accuracy of every class with Wilson's interval, and which share of its photos in ``original`` the config has."""
    measured = {}
    for index, owner in enumerate(classes.names):
        own, size = right.value[right.label == index], int(original[index])
        measured[owner] = {
            "n": len(own),
            "undecidable": len(own) < MIN_DECIDABLE,
            "coverage": len(own) / size if size else None,
            "accuracy": float(own.mean()) if len(own) else None,
            "ci95": share_interval(own, np.zeros(len(own), np.int64)) if len(own) else None,
        }
    return measured


def slice_difference(
    minuend: ImageShares,
    subtrahend: ImageShares,
    figures: Mapping[str, CroppedFigure],
    classes: ClassMap,
    sampling: Sampling,
) -> dict[str, list[dict[str, Any]]]:
    """A difference within groups of images: by share of the box, instances, flags, attributes and class.

    Groups of the box's share are quantiles, ten or as many as leave ``MIN_DECIDABLE`` images in each; equal shares stay
    together.
    """
    first, second = pair_images(minuend, subtrahend)
    labels, own_figures = first.label, [figures[name] for name in first.image_id]
    measured: dict[str, list[dict[str, Any]]] = {}
    for by, group, own in _slices(own_figures, labels, classes):
        if own.any():
            lost = estimate_difference(first.chosen(own), second.chosen(own), "images", sampling)
            size = {"n": int(own.sum()), "undecidable": bool(own.sum() < MIN_DECIDABLE)}
            measured.setdefault(by, []).append({"group": group, **size, **lost.json()})
    return measured


def _slices(figures: Sequence[CroppedFigure], labels: Ints, classes: ClassMap) -> Iterator[tuple[str, str, Bools]]:
    """Groups of I images: what they are grouped by, the group's name, and which images it has, ``(I,)``."""
    shares, instances = (np.array([getattr(figure, name) for figure in figures]) for name in ("box_share", "instances"))
    groups = max(1, min(10, len(shares) // MIN_DECIDABLE))
    quantile = np.searchsorted(np.sort(shares), shares, side="left") * groups // len(shares)
    for own in quantile == np.unique(quantile)[:, None]:
        yield "box_share", f"{shares[own].min():.3g} to {shares[own].max():.3g}", own
    yield "instances", "1", instances == 1
    yield "instances", "several", instances > 1
    for trait in sorted(set().union(*(figure.traits for figure in figures))):
        absent = 0 if trait.startswith("flag ") else -1  # an attribute that nobody answered is neither
        answers = np.array([figure.traits.get(trait, absent) for figure in figures], dtype=np.int64)
        yield trait, "true", answers == 1
        yield trait, "false", answers == 0
    for index, owner in enumerate(classes.names):
        yield "class", owner, labels == index


def imagenet_a_cells(summary: Mapping[str, Any]) -> dict[str, Cell]:
    """Accuracies, differences and calibration; the slices of the differences stand in the JSON alone."""
    cells, more = shares_cells(summary, "micro", "ci95_micro"), dict[tuple[str, str], Cell]()
    for config, measured in sorted(summary["configs"].items(), key=lambda pair: config_rank(pair[0])):
        few = measured["undecidable"]
        more["class means", config] = Cell(measured["accuracy_macro"], measured["ci95"], few=few)
        if measured["top5"]:
            more["top 5", config] = Cell(measured["top5"]["accuracy_micro"], measured["top5"]["ci95_micro"], few=few)
        more["RMS calibration error", config] = measured_cell(measured["rms_calibration"], few=few)
        more["AURRA", config] = Cell(measured["aurra"], measured["aurra_ci95"], few=few)
    ordered = sorted(more.items(), key=lambda item: item[0][0])
    cells |= {"-more": RULE, **{f"{config}: {title}": cell for (title, config), cell in ordered}}
    return cells


def imagenet_a_figures(summary: Mapping[str, Any]) -> Iterator[Figure]:
    """Headline figures of a summary."""
    yield from accuracy_figures(summary["configs"], "micro")
    yield from value_figures({name: compared["micro"] for name, compared in summary["differences"].items()})


IMAGENET_A: Final = Protocol(
    name="imagenet_a",
    claims=lambda configs: bool({"plus", "center_zoom"} & set(configs)),
    run=run_imagenet_a,
    cells=imagenet_a_cells,
    figures=imagenet_a_figures,
    options=(CLUSTER,),
    views=(FIVE_CROP,),
    feeding=("crop_pct", "crop_mode"),
)
