"""Shares of right answers by image, with intervals, and their differences."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from figureground.exports.evaluation.label_spaces import ClassMap
from figureground.exports.evaluation.statistics import bootstrap_means, mcnemar_exact, varying_interval
from figureground.exports.evaluation.values import Bools, Floats, Ints, arrays_of, list_names, require

MIN_DECIDABLE: Final = 25  # images below which a share is marked undecidable: Wilson's interval is over 35 points wide
CHANCE_NOTE: Final = "a constant answer scores this on class means; an answer outside the map is always wrong"


def class_sizes(labels: Ints, classes: ClassMap) -> dict[str, Any]:
    """How many of the labelled images each class has, and whether all have as many."""
    counts = np.bincount(labels, minlength=len(classes.names)).tolist()
    by_name = dict(zip(classes.names, counts, strict=True))
    return {"n": len(labels), "n_per_class": by_name, "balanced": len(set(counts)) == 1}


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

    def mean(self, over: str) -> float:
        """Mean over ``images``, or over ``classes`` of class means."""
        strata = self.label if over == "classes" else np.zeros_like(self.label)
        return float(np.mean([self.value[strata == label].mean() for label in np.unique(strata)]))


def average_rows(config: str, answers: RowAnswers, values: Bools) -> ImageShares:
    """Mean of ``(R,)`` values over the rows of each image; ``EvaluationError`` if an image has two labels."""
    ids, first, image_of_row, rows = np.unique(
        answers.image_id, return_index=True, return_inverse=True, return_counts=True
    )
    labels = answers.label[first]
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


def measure_accuracy(right: ImageShares, **sampling: Any) -> dict[str, Any]:  # noqa: ANN401  of bootstrap_means
    """Accuracy over images and over class means, with intervals; ``ci95`` is that of the class means."""
    micro, macro = (
        varying_interval(bootstrap_means(right.value[:, None], right.label, over=over, **sampling)[:, 0], right.value)
        for over in ("images", "classes")
    )
    return {
        "n": len(right.label),
        "n_rows": int(right.rows.sum()),
        "undecidable": len(right.label) < MIN_DECIDABLE,
        "accuracy_micro": right.mean("images"),
        "ci95_micro": micro,
        "accuracy_macro": right.mean("classes"),
        "ci95": macro,
    }


def compare_pairs(
    right: Mapping[str, ImageShares],
    pairs: Collection[tuple[str, str]],
    **sampling: Any,  # noqa: ANN401
) -> dict[str, dict[str, Any]]:
    """Difference and ratio over the images that both configs have, over images (micro) and class means (macro).

    Intervals are paired. McNemar's p is there where every image has one row in both; ratios leave out resamples whose
    subtrahend is 0.
    """
    return {
        f"{one}_minus_{two}": {
            "minuend": one,
            "subtrahend": two,
            **_compare(*pair_images(right[one], right[two]), **sampling),
        }
        for one, two in pairs
    }


def _compare(first: ImageShares, second: ImageShares, **sampling: Any) -> dict[str, Any]:  # noqa: ANN401
    """Difference and ratio of two configs of the same images, in one order."""
    both = np.stack([first.value, second.value], axis=1)
    single = max(first.rows.max(), second.rows.max()) == 1
    compared: dict[str, Any] = {
        "n": len(first.label),
        "undecidable": len(first.label) < MIN_DECIDABLE,
        "mcnemar_p": mcnemar_exact(first.value == 1, second.value == 1) if single else None,
    }
    for name, over in (("micro", "images"), ("macro", "classes")):
        top, base = first.mean(over), second.mean(over)
        drawn = bootstrap_means(both, first.label, over=over, **sampling)
        ci95, defined = varying_interval(drawn[:, 0] - drawn[:, 1]), drawn[drawn[:, 1] > 0]
        compared[name] = {
            "minuend": top,
            "subtrahend": base,
            "value": top - base,
            "ci95": ci95,
            "ratio": top / base if base else None,
            "ratio_ci95": varying_interval(defined[:, 0] / defined[:, 1]) if base else None,
        }
    return compared
