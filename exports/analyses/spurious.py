"""Spurious-feature discovery: the images of every class on which a network looks least, and most, at the figure.

Moayeri et al. (CVPR 2022, arXiv 2201.10766): per model and predicted class the five worst images by a metric of
alignment, to look at with their saliency. What the authors saw so: water for ships, twigs and feeders for birds, many
of them confident mistakes. The lists say where to look; that a feature is spurious is for people to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from figureground.exports.analyses.alignment import DEFINITIONS, Grouping, ImageAlignment, align_model
from figureground.exports.analyses.attribution import Explainer, SaliencySettings
from figureground.exports.analyses.networks import AnalysedModel
from figureground.exports.analyses.plots import Tile, TileRow, draw_sheet
from figureground.exports.analyses.results import describe_model, file_stem, write_json, write_result
from figureground.exports.analyses.rows import AnalysedRows
from figureground.exports.analyses.saliency_report import NOTE, PLOTTED, AnalysisInput, draw_tile, require_distinct
from figureground.exports.evaluation.label_spaces import ClassMap
from figureground.runtime.progress import Progress

End = Literal["worst", "best"]

RANKED_BY: Final = ("delta_density", "recall_25", "precision")
_ENDS: Final[tuple[End, End]] = ("worst", "best")
_MOST_CLASSES: Final = 20  # rows of a sheet


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedImage:
    """One entry of one list."""

    group: str
    """Name of the class whose list it is."""
    metric: str
    """What the list is ordered by."""
    end: End
    rank: int
    """From 1, the most extreme."""
    image_id: str
    label: str
    """Name of the true class."""
    predicted: str
    """Name of the predicted class; empty outside the dataset's classes."""
    confidence: float
    """Softmax probability of the answer, in [0, 1]."""
    value: float
    """The metric."""


def rank_images(
    images: Sequence[ImageAlignment], classes: ClassMap, *, k: int = 5, grouping: Grouping = "predicted"
) -> list[RankedImage]:
    """The ``k`` worst and ``k`` best images of each class by each metric of ``RANKED_BY``; equals by image_id.

    Skipped images, and under ``predicted`` those that are answered outside the dataset's classes, are in no list. A
    class with fewer than 2 k images has some in both.
    """
    listed = []
    for label, name in enumerate(classes.names):
        own = [
            image
            for image in images
            if not image.skipped and label == (image.predicted if grouping == "predicted" else image.label)
        ]
        for metric in RANKED_BY:
            for end in _ENDS:
                sign = 1 if end == "worst" else -1
                ordered = sorted(own, key=lambda image: (sign * getattr(image, metric), image.image_id))
                listed += [
                    RankedImage(
                        group=name,
                        metric=metric,
                        end=end,
                        rank=rank,
                        image_id=image.image_id,
                        label=classes.names[image.label],
                        predicted=classes.names[image.predicted] if image.predicted >= 0 else "",
                        confidence=image.confidence,
                        value=float(getattr(image, metric)),
                    )
                    for rank, image in enumerate(ordered[:k], start=1)
                ]
    return listed


def find_spurious(
    given: AnalysisInput,
    models: Sequence[AnalysedModel],
    settings: SaliencySettings,
    out: Path,
    *,
    k: int = 5,
    grouping: Grouping = "predicted",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Rank the images of every model and write ``worst.json`` and contact sheets into ``out``.

    Returns what ``worst.json`` holds.

    Raises:
        UsageError: if two models have one name.
    """
    require_distinct(models)
    rows, classes, entries, files = given.rows(), given.repository.classes, list[dict[str, Any]](), list[str]()
    for model in models:
        explainer = Explainer(model, classes, settings)
        images = align_model(explainer, rows, progress=progress)
        ranked = rank_images(images, classes, k=k, grouping=grouping)
        for metric in RANKED_BY:
            for end in _ENDS:
                listed = [entry for entry in ranked if entry.metric == metric and entry.end == end]
                name = f"{end}-{metric}-{file_stem(model.name)}.png"
                files.append(write_result(out, name, draw_ranked(explainer, rows, listed, classes, grouping)))
        entries.append(
            {
                **describe_model(model),
                "saliency": explainer.describe(),
                "label_space": explainer.classes.space,
                "class_order": explainer.classes.class_order,
                "n": len(images),
                "n_skipped": sum(bool(image.skipped) for image in images),
                "images": [asdict(entry) for entry in ranked],
            }
        )
    result = {
        **given.describe("worst", models),
        "k": k,
        "grouping": grouping,
        "definitions": DEFINITIONS,
        "models": entries,
        "files": sorted(files),
    }
    return write_json(out, "worst.json", result)


def draw_ranked(
    explainer: Explainer, rows: AnalysedRows, listed: Sequence[RankedImage], classes: ClassMap, grouping: Grouping
) -> bytes:
    """One list of every class as a contact sheet, PNG; of the first 20 classes with images.

    Images are explained again, so that heat maps of all of them need not be stored.
    """
    groups = list(dict.fromkeys(entry.group for entry in listed))[:_MOST_CLASSES]
    index_of = {str(image_id): index for index, image_id in enumerate(rows.image_ids)}
    shown = [entry for entry in listed if entry.group in groups]
    tiles: dict[str, list[Tile]] = {group: [] for group in groups}
    explained = explainer.explain(rows, [index_of[entry.image_id] for entry in shown])
    for entry, explanation in zip(shown, explained, strict=True):
        title = PLOTTED[entry.metric]
        aside = f"{title} {entry.value:.2f}"
        tiles[entry.group].append(
            draw_tile(explanation, classes, aside if entry.label == entry.group else f"{entry.label}, {aside}")
        )
    if not listed:
        return draw_sheet([TileRow(title="no image", tiles=())], title=f"{explainer.model.name}: nothing to show")
    first = listed[0]
    of = "predicted class" if grouping == "predicted" else "true class"
    sheet = [TileRow(title=group, tiles=tuple(tiles[group])) for group in groups]
    title = f"{explainer.model.name}: {first.end} {PLOTTED[first.metric]} by {of}"
    return draw_sheet(sheet, title=title, note=NOTE)
