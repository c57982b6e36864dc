"""Shares of right answers by image, with intervals, and their differences."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from figureground.exports.evaluation.intervals import (
    MIN_DECIDABLE,
    Estimate,
    Sampling,
    bootstrap_interval,
    cluster_estimate,
    group_effect,
    paired_difference,
    share_interval,
)
from figureground.exports.evaluation.label_spaces import EXACT, IMAGENET_CLASSES, ClassMap
from figureground.exports.evaluation.values import EMPTY, Bools, Floats, Ints, arrays_of, list_names, require

CHANCE_NOTE: Final = "a constant answer scores this on class means; an answer outside the map is always wrong"
EXACT_CHANCE_NOTE: Final = "a guess among all outputs scores this; only the photo's own ImageNet class is right"


def accuracy_micro(correct: Bools) -> float:
    """Share of right answers over all images and draws; ``correct`` is ``(I, D)``."""
    require(correct.size, EMPTY)
    return float(correct.mean())


def accuracy_per_class(correct: Bools, labels: Ints) -> dict[int, float]:
    """Share of right answers in each class that has images; ``correct`` is ``(I, D)``."""
    return {int(label): accuracy_micro(correct[labels == label]) for label in np.unique(labels)}


def accuracy_macro(correct: Bools, labels: Ints) -> float:
    """Mean of the class accuracies: every class counts the same, however many images it has."""
    require(correct.size, EMPTY)
    return float(np.mean(list(accuracy_per_class(correct, labels).values())))


def mean_of_class_means(values: NDArray[Any], labels: Ints) -> NDArray[Any]:
    """Mean over classes of the class means of ``(I, …)`` values: ``(…)``."""
    return np.asarray(np.mean([values[labels == label].mean(axis=0) for label in np.unique(labels)], axis=0))


def sd_between_draws(values: NDArray[Any], labels: Ints) -> float | None:
    """Standard deviation (of a sample) between the class means of ``(I, D)`` values in each draw; None for one draw."""
    if values.shape[1] < 2:
        return None
    return float(np.std(mean_of_class_means(values, labels), ddof=1))


def class_sizes(labels: Ints, classes: ClassMap) -> dict[str, Any]:
    """How many of the labelled images each class has, and whether all have as many."""
    counts = np.bincount(labels, minlength=len(classes.names)).tolist()
    by_name = dict(zip(classes.names, counts, strict=True))
    return {"n": len(labels), "n_per_class": by_name, "balanced": len(set(counts)) == 1}


def describe_chance(space: str, classes: ClassMap) -> dict[str, Any]:
    """What a model that sees nothing scores in a label space, in [0, 1], and what it does, in words."""
    if space == EXACT:
        return {"chance": 1 / IMAGENET_CLASSES, "chance_note": EXACT_CHANCE_NOTE}
    return {"chance": 1 / len(classes.names), "chance_note": CHANCE_NOTE}


def guess_floor(space: str, chance: float) -> float | None:
    """Chance, where a model that sees nothing scores it; None where an answer may be outside the map, and so wrong."""
    return None if space.startswith("map") else chance


def number_groups(image_ids: Iterable[str], groups: Mapping[str, str] | None) -> Ints | None:
    """Number of each image's group, ``(I,)``; an image in none is a group of its own. None without any groups."""
    if not groups:
        return None
    names = [groups.get(image_id, f"image {image_id}") for image_id in image_ids]
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


def count_groups(values: NDArray[Any], strata: Ints, groups: Ints | None) -> dict[str, Any]:
    """How many groups images are in, and of how many independent ones their mean is worth; empty without groups."""
    if groups is None:
        return {}
    effect = group_effect(values.astype(np.float64), strata, groups)
    return {"n_groups": effect.groups, "n_effective": len(values) / effect.design_effect}


@dataclass(frozen=True, slots=True, kw_only=True)
class RowAnswers:
    """Answers of a model on one config in one label space: R rows, of which an image may have several."""

    image_id: NDArray[np.str_]  # (R,)
    label: Ints  # (R,)
    right: Bools  # (R,)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageShares:
    """One config by image: what each image's rows average to."""

    image_id: NDArray[np.str_]  # (I,), sorted
    label: Ints  # (I,)
    rows: Ints  # (I,) rows of each image
    value: Floats  # (I,) in [0, 1]

    def chosen(self, own: Bools) -> ImageShares:
        """The images of ``own``, ``(I,)``."""
        return ImageShares(**{name: values[own] for name, values in arrays_of(self).items()})

    def strata(self, over: str) -> Ints:
        """Stratum of each image, ``(I,)``: its class, or where ``images`` count alike the same for all."""
        return self.label if over == "classes" else np.zeros_like(self.label)

    def mean(self, over: str) -> float:
        """Mean over ``images``, or over ``classes`` of class means."""
        strata = self.strata(over)
        return float(np.mean([self.value[strata == label].mean() for label in np.unique(strata)]))


def average_rows(config: str, answers: RowAnswers, values: Bools | Floats | None = None) -> ImageShares:
    """Mean of ``(R,)`` values over the rows of each image, by default of whether they are right.

    ``EvaluationError`` if an image has two labels.
    """
    ids, first, image_of_row, rows = np.unique(
        answers.image_id, return_index=True, return_inverse=True, return_counts=True
    )
    values, labels = answers.right if values is None else values, answers.label[first]
    mixed = np.unique(answers.image_id[answers.label != labels[image_of_row]])
    require(not len(mixed), f"{config}: expected one label an image; got others for {list_names(mixed)}")
    return ImageShares(image_id=ids, label=labels, rows=rows, value=np.bincount(image_of_row, weights=values) / rows)


def pair_images(first: ImageShares, second: ImageShares) -> tuple[ImageShares, ImageShares]:
    """Both cut to the images that both have, in one order; ``EvaluationError`` if there is none, or labels differ."""
    _, *shared_rows = np.intersect1d(first.image_id, second.image_id, assume_unique=True, return_indices=True)
    first, second = (
        ImageShares(**{name: values[rows] for name, values in arrays_of(side).items()})
        for side, rows in zip((first, second), shared_rows, strict=True)
    )
    mixed = first.image_id[first.label != second.label]
    require(not len(mixed), f"expected one label an image in every config; got others for {list_names(mixed)}")
    require(len(first.label), "expected configs that share images with original; got one that shares none")
    return first, second


def measure_accuracy(right: ImageShares, sampling: Sampling) -> dict[str, Any]:
    """Accuracy over images and over class means, with intervals; ``ci95`` is that of the class means."""
    micro, macro = (_share_interval(right, over, sampling) for over in ("images", "classes"))
    groups = number_groups(right.image_id, sampling.groups)
    return {
        "n": len(right.label),
        **count_groups(right.value, right.strata("classes"), groups),
        "n_rows": int(right.rows.sum()),
        "undecidable": len(right.label) < MIN_DECIDABLE,
        "accuracy_micro": right.mean("images"),
        "ci95_micro": micro,
        "accuracy_macro": right.mean("classes"),
        "ci95": macro,
    }


def _share_interval(right: ImageShares, over: str, sampling: Sampling) -> list[float] | None:
    if sampling.cluster == "class":
        return cluster_estimate(right.value, right.label, over, (0.0, 1.0)).ci95
    return share_interval(right.value, right.strata(over), number_groups(right.image_id, sampling.groups))


def compare_pairs(
    right: Mapping[str, ImageShares], pairs: Collection[tuple[str, str]], sampling: Sampling
) -> dict[str, dict[str, Any]]:
    """Difference and ratio over the images that both configs have, over images (micro) and class means (macro).

    Each has the p of the hypothesis that it is 0. Ratios are bootstrapped; resamples whose subtrahend is 0 have none.
    """
    return {
        f"{one}_minus_{two}": {
            "minuend": one,
            "subtrahend": two,
            **_compare(*pair_images(right[one], right[two]), sampling),
        }
        for one, two in pairs
    }


def _compare(first: ImageShares, second: ImageShares, sampling: Sampling) -> dict[str, Any]:
    """Difference and ratio of two configs of the same images, in one order."""
    compared: dict[str, Any] = {"n": len(first.label), "undecidable": len(first.label) < MIN_DECIDABLE}
    both = np.stack([first.value, second.value], axis=1)
    for name, over in (("micro", "images"), ("macro", "classes")):
        top, base = first.mean(over), second.mean(over)
        drawn = sampling.bootstrap(both, first.strata(over))
        ratios = np.divide(drawn[:, 0], drawn[:, 1], out=np.full(len(drawn), np.nan), where=drawn[:, 1] > 0)
        compared[name] = {
            "minuend": top,
            "subtrahend": base,
            **estimate_difference(first, second, over, sampling).json(),
            "ratio": top / base if base else None,
            "ratio_ci95": bootstrap_interval(ratios, len(both)) if base and sampling.cluster == "image" else None,
        }
    return compared


def estimate_difference(first: ImageShares, second: ImageShares, over: str, sampling: Sampling) -> Estimate:
    """Difference of two configs of the same images, in one order, over ``images`` or ``classes``."""
    if sampling.cluster == "class":
        return cluster_estimate(first.value - second.value, first.label, over, (-1.0, 1.0))
    groups = number_groups(first.image_id, sampling.groups)
    return paired_difference(first.value, second.value, first.strata(over), groups)
