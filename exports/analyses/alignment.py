"""Saliency alignment: how far what networks look at lies on the figure, by model, by family of models and by class.

After the released code of Moayeri et al. (CVPR 2022, arXiv 2201.10766): metrics of every image, their mean in each
class, and the mean of the class means. That code groups images by predicted class; by true class, which no model moves,
is the headline here, and both are reported. Images that cannot be measured are left out and counted by reason, never
filled in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from figureground.errors import UsageError
from figureground.exports.analyses.attribution import Explained, Explainer
from figureground.exports.analyses.families import ListedModel
from figureground.exports.analyses.nulls.displaced import NullMeasure, NullSettings, measure_null
from figureground.exports.analyses.rows import AnalysedRow, AnalysedRows
from figureground.exports.analyses.saliency_metrics import METRIC_NAMES, Saliency, find_undefined, measure_alignment
from figureground.exports.evaluation.intervals import bootstrap_class_means, bootstrap_interval, interval_json
from figureground.exports.evaluation.label_spaces import ClassMap
from figureground.exports.evaluation.shares import mean_of_class_means
from figureground.exports.evaluation.values import Floats, Ints
from figureground.runtime.progress import Progress

Grouping = Literal["true", "predicted"]
CENTRE_BLOB: Final = "centre blob"
BLOB_DEFINITION: Final = (
    "the same map for all images: a Gaussian in the middle of the canvas, with a standard deviation of a quarter of "
    "each side; what looking at the middle gives"
)
BLOB_SHARE: Final = 0.25
"""Standard deviation of the blob along each side, of the side."""

DEFINITIONS: Final = {
    "iou": "intersection over union of the mask and the pixels with S >= 0.5 max S",
    "dice": "Dice coefficient of the same two",
    "delta_density": "mean of S inside the mask - mean of S outside",
    "precision": "share of all saliency that is inside the mask",
    "recall_25": "share of the mask in the pixels that hold all saliency but its lowest 25 %",
    "recall_50": "the same without the lowest 50 %",
    "recall_75": "the same without the lowest 75 %",
    "average_precision": "average precision of S as a score of every pixel for being in the mask",
    "scale": "S is shifted and stretched to [0, 1] in every image first",
    "mean": "mean over classes of the mean over each class's images",
    "ci95": "central 95 % of bootstrap resamples of images, stratified by class; null below 24 images and "
    "where none differ",
    "skipped": "no_mask, empty_mask, full_mask: nothing to hit or to miss; flat_map: no pixel matters more than "
    "another; no_output: the true class has no output",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageAlignment:
    """One image under one model: a line of ``images.csv``."""

    model: str
    image_id: str
    label: int
    """True class index."""
    predicted: int
    """Class index of the answer; negative outside the dataset's classes."""
    output: int | None
    """Output explained, a column of the network's answer."""
    confidence: float
    """Softmax probability of the answer, in [0, 1]."""
    skipped: str
    """Why it has no metrics; empty where it has."""
    iou: float | None
    dice: float | None
    delta_density: float | None
    precision: float | None
    recall_25: float | None
    recall_50: float | None
    recall_75: float | None
    average_precision: float | None

    def metrics(self) -> list[float]:
        """Values in the order of ``METRIC_NAMES``; for images that were not skipped."""
        return [float(getattr(self, name)) for name in METRIC_NAMES]


def align_model(
    explainer: Explainer, rows: AnalysedRows, *, progress: Progress | None = None
) -> tuple[ImageAlignment, ...]:
    """Explain and measure every row, one batch in memory at a time."""
    name = explainer.model.name
    return tuple(measure_image(name, explained) for explained in explainer.explain(rows, progress=progress))


def align_with_nulls(
    explainer: Explainer, rows: AnalysedRows, settings: NullSettings, *, progress: Progress | None = None
) -> tuple[tuple[ImageAlignment, ...], tuple[NullMeasure, ...]]:
    """The same, and every image that could be measured under displaced masks."""
    images, nulls, name = list[ImageAlignment](), list[NullMeasure | None](), explainer.model.name
    for explained in explainer.explain(rows, progress=progress):
        images.append(measure_image(name, explained))
        saliency, mask = explained.saliency_hw, explained.row.object_mask_hw
        if settings.displacements and not images[-1].skipped and saliency is not None and mask is not None:
            nulls.append(measure_null(saliency, mask, explained.row.image_id, explained.row.label, settings))
    return tuple(images), tuple(null for null in nulls if null is not None)


def measure_image(model: str, explained: Explained) -> ImageAlignment:
    """Metrics of one explained row, or why it has none."""
    return _measure_row(
        model,
        explained.row,
        explained.saliency_hw,
        predicted=explained.predicted,
        output=explained.output,
        confidence=explained.confidence,
    )


def _measure_row(
    model: str, row: AnalysedRow, saliency: Saliency | None, *, predicted: int, output: int | None, confidence: float
) -> ImageAlignment:
    """Metrics of a map on a row, or why there are none."""
    skipped = "no_output" if saliency is None else find_undefined(saliency, row.object_mask_hw)
    metrics: Mapping[str, float | None] = dict.fromkeys(METRIC_NAMES)
    if saliency is not None and row.object_mask_hw is not None and skipped is None:
        metrics = measure_alignment(saliency, row.object_mask_hw)
    return ImageAlignment(
        model=model,
        image_id=row.image_id,
        label=row.label,
        predicted=predicted,
        output=output,
        confidence=confidence,
        skipped=skipped or "",
        **metrics,
    )


def centre_blob(size_hw: tuple[int, int]) -> NDArray[np.float64]:
    """A Gaussian in the middle of a canvas, ``(H, W)`` in (0, 1], a quarter of each side wide (standard deviation)."""
    rows, columns = (np.exp(-0.5 * ((np.arange(side) - (side - 1) / 2) / (BLOB_SHARE * side)) ** 2) for side in size_hw)
    return np.asarray(np.outer(rows, columns))


def summarise_blob(
    rows: AnalysedRows, classes: ClassMap, *, batch_size: int = 32, bootstrap: int = 10_000, seed: int = 0
) -> dict[str, Any]:
    """Metrics of ``centre_blob`` on all rows that have a usable mask, by true class; JSON-ready."""
    images = [
        _measure_row(
            CENTRE_BLOB,
            row,
            centre_blob((row.canvas_rgb.shape[0], row.canvas_rgb.shape[1])),
            predicted=-1,
            output=None,
            confidence=0.0,
        )
        for batch in rows.batches(np.arange(len(rows)), batch_size)
        for row in batch
    ]
    grouped = summarise_groups(images, classes, "true", bootstrap=bootstrap, seed=seed)
    return {"definition": BLOB_DEFINITION, "n": len(images), "n_measured": grouped["n"], "by_true_class": grouped}


def summarise_model(
    images: Sequence[ImageAlignment], classes: ClassMap, *, bootstrap: int = 10_000, seed: int = 0
) -> dict[str, Any]:
    """Counts and means of one model, by true and by predicted class, JSON-ready.

    Raises:
        UsageError: for no images.
    """
    if not images:
        raise UsageError("nothing to summarise: expected at least one image")
    skipped = Counter(image.skipped for image in images if image.skipped)
    correct = [image.predicted == image.label for image in images]
    return {
        "n": len(images),
        "n_skipped": dict(sorted(skipped.items())),
        "n_measured": len(images) - skipped.total(),
        "accuracy_micro": float(np.mean(correct)),
        "by_true_class": summarise_groups(images, classes, "true", bootstrap=bootstrap, seed=seed),
        "by_predicted_class": summarise_groups(images, classes, "predicted", bootstrap=bootstrap, seed=seed),
    }


def summarise_groups(
    images: Sequence[ImageAlignment], classes: ClassMap, grouping: Grouping, *, bootstrap: int, seed: int
) -> dict[str, Any]:
    """Means of each class and over classes, with intervals; classes without measured images are absent.

    Intervals by predicted class take the predictions as given.
    """
    groups = [image.label if grouping == "true" else image.predicted for image in images]
    measured = [index for index, image in enumerate(images) if not image.skipped and groups[index] >= 0]
    outside = sum(not image.skipped and groups[index] < 0 for index, image in enumerate(images))
    labels = np.array([groups[index] for index in measured], dtype=np.int64)
    summary: dict[str, Any] = {"n": len(measured), "n_outside_classes": outside, "classes": {}, "mean": {}}
    if not measured:
        return summary
    values = np.array([images[index].metrics() for index in measured])
    sampling = {"count": bootstrap, "seed": seed}
    for label in np.unique(labels):
        own = labels == label
        metrics = _cells(values[own], labels[own], **sampling)
        summary["classes"][classes.names[label]] = {"n": int(own.sum()), "metrics": metrics}
    summary["mean"] = _cells(values, labels, **sampling)
    return summary


def _cells(values: Floats, labels: Ints, **sampling: int) -> dict[str, Any]:
    """Means over classes of ``(I, 8)`` metrics, with bootstrap intervals."""
    means, samples = mean_of_class_means(values, labels), bootstrap_class_means(values, labels, **sampling)
    return {
        name: interval_json(float(means[column]), bootstrap_interval(samples[:, column], len(values)))
        for column, name in enumerate(METRIC_NAMES)
    }


def compare_models(
    alignments: Mapping[str, Sequence[ImageAlignment]],
    families: Mapping[str, Sequence[ListedModel]],
    *,
    bootstrap: int = 10_000,
    seed: int = 0,
) -> dict[str, Any]:
    """Families' means, and what each model has beyond the first, on the images that every model could be measured on.

    By true class. Differences are of the same images, and so paired. JSON-ready.
    """
    names = list(alignments)
    measured = [{image.image_id for image in images if not image.skipped} for images in alignments.values()]
    common = sorted(set.intersection(*measured)) if measured else []
    report: dict[str, Any] = {"n_common": len(common), "families": {}, "beyond_first": {}}
    if not common:
        return report
    values, labels = _stack(alignments, common)
    sampling = {"count": bootstrap, "seed": seed}
    for family, listed in families.items():
        members = [model.model for model in listed]
        pooled = values[:, [names.index(name) for name in members]].mean(axis=1)
        report["families"][family] = {"models": members, "metrics": _cells(pooled, labels, **sampling)}
    for index, name in enumerate(names[1:], start=1):
        cells = _cells(values[:, index] - values[:, 0], labels, **sampling)
        report["beyond_first"][name] = {"first": names[0], "metrics": cells}
    return report


def _stack(alignments: Mapping[str, Sequence[ImageAlignment]], ids: Sequence[str]) -> tuple[Floats, Ints]:
    """Metrics ``(I, M, 8)`` of the images of ``ids`` under M models, and their labels ``(I,)``."""
    by_id = [{image.image_id: image for image in images} for images in alignments.values()]
    values = np.array([[images[image_id].metrics() for images in by_id] for image_id in ids])
    return values, np.array([by_id[0][image_id].label for image_id in ids], dtype=np.int64)
