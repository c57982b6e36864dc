"""The result folder of a saliency analysis: numbers as JSON and CSV, bars, and overlays to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from figureground.errors import UsageError
from figureground.exports.analyses.alignment import (
    CENTRE_BLOB,
    DEFINITIONS,
    ImageAlignment,
    align_with_nulls,
    compare_models,
    summarise_blob,
    summarise_model,
)
from figureground.exports.analyses.attribution import Explained, Explainer, SaliencySettings
from figureground.exports.analyses.families import family_of, load_families
from figureground.exports.analyses.networks import AnalysedModel
from figureground.exports.analyses.nulls.displaced import NullSettings, summarise_nulls
from figureground.exports.analyses.nulls.drawing import draw_nulls
from figureground.exports.analyses.overlays import overlay_saliency
from figureground.exports.analyses.plots import Bar, Tile, TileRow, draw_bars, draw_sheet
from figureground.exports.analyses.results import describe_model, describe_run, file_stem, write_json, write_result
from figureground.exports.analyses.rows import AnalysedRows, open_rows
from figureground.exports.analyses.saliency_metrics import METRIC_NAMES
from figureground.exports.evaluation.dataset import Repository
from figureground.exports.evaluation.label_spaces import ClassMap
from figureground.runtime.files import csv_text
from figureground.runtime.progress import Progress

PLOTTED: Final = {  # the five metrics of the paper
    "iou": "IoU",
    "delta_density": "Δ density",
    "precision": "precision",
    "recall_25": "recall 25 %",
    "average_precision": "average precision",
}
_MOST_CLASSES: Final = 20  # rows of a sheet
NOTE: Final = "heat: saliency · light blue: outline of the figure · orange frame: wrong answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisInput:
    """The rows of a dataset that are analysed."""

    repository: Repository
    config: str = "original"
    split: str = "test"
    limit: int | None = None
    """Most images, those of the smallest ids; None for all."""
    workers: int | None = None
    """Threads that decode images; None for one a processor, up to 8."""

    def rows(self) -> AnalysedRows:
        """Open the rows."""
        return open_rows(self.repository, self.config, self.split, limit=self.limit, workers=self.workers)

    def describe(self, analysis: str, models: Sequence[AnalysedModel]) -> dict[str, Any]:
        """The head of a result file."""
        return describe_run(analysis, self.repository, models, config=self.config, split=self.split, limit=self.limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class SaliencyRequest:
    """How a saliency analysis is run and reported."""

    settings: SaliencySettings
    bootstrap: int = 10_000
    """Resamples behind the intervals."""
    seed: int = 0
    """Of the bootstrap."""
    shown: int = 4
    """Images of each class on the montage; 0 for none."""
    families: Path | None = None
    """Models file; models that it does not list are in the paper's groups, by name."""
    nulls: NullSettings = field(default_factory=NullSettings)
    """How alignment under displaced masks is measured."""
    null_format: str = "png"
    """Of the pictures of it: ``png``, ``svg`` or ``pdf``."""


def analyse_saliency(
    given: AnalysisInput,
    models: Sequence[AnalysedModel],
    request: SaliencyRequest,
    out: Path,
    *,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure the alignment of models and write ``saliency.json``, ``images.csv`` and plots into ``out``.

    Returns what ``saliency.json`` holds.

    Raises:
        UsageError: if two models have one name, or there is no such models file.
        DataError: with every fault of the models file.
    """
    require_distinct(models)
    families = load_families(request.families, [model.name for model in models], unlisted=family_of)
    family_by_model = {listed.model: family for family, members in families.items() for listed in members}
    rows, classes = given.rows(), given.repository.classes
    explainers = [Explainer(model, classes, request.settings) for model in models]
    measured = {
        explainer.model.name: align_with_nulls(explainer, rows, request.nulls, progress=progress)
        for explainer in explainers
    }
    sampling = {"bootstrap": request.bootstrap, "seed": request.seed}
    alignments = {name: images for name, (images, _) in measured.items()}
    nulls = {name: summarise_nulls(own, METRIC_NAMES, **sampling) for name, (_, own) in measured.items()}
    entries = [
        {
            **_describe_explainer(explainer),
            "family": family_by_model[explainer.model.name],
            **summarise_model(alignments[explainer.model.name], classes, **sampling),
            "beyond_null": nulls[explainer.model.name],
        }
        for explainer in explainers
    ]
    result = {
        **given.describe("saliency", models),
        **sampling,
        "displacements": request.nulls.displacements,
        "masks_px": list(request.nulls.grow_px),
        "definitions": DEFINITIONS,
        "centre_blob": summarise_blob(rows, classes, batch_size=request.settings.batch_size, **sampling),
        "models": entries,
        "comparison": compare_models(alignments, families, **sampling),
    }
    pictures = draw_alignment(result)
    if drawn := {name: null for name, null in nulls.items() if null["n"]}:
        data = f"{given.repository.name}, {given.config}, {given.split}"
        pictures |= draw_nulls(drawn, PLOTTED, data, request.null_format)
    for explainer in explainers if request.shown else ():
        png = draw_montage(explainer, rows, classes, per_class=request.shown)
        pictures[f"montage-{file_stem(explainer.model.name)}.png"] = png
    result["files"] = sorted(["images.csv", *pictures])
    images = [image for own in alignments.values() for image in own]
    write_result(out, "images.csv", csv_text(ImageAlignment, images))
    for name, png in pictures.items():
        write_result(out, name, png)
    return write_json(out, "saliency.json", result)


def _describe_explainer(explainer: Explainer) -> dict[str, Any]:
    """Of which model it is, how its maps are made, and whose outputs are explained."""
    return {
        **describe_model(explainer.model),
        "saliency": explainer.describe(),
        "label_space": explainer.classes.space,
        "class_order": explainer.classes.class_order,
    }


def require_distinct(models: Sequence[AnalysedModel]) -> None:
    """``UsageError`` if two models have one name, in results or in the names of files, which would mix them."""
    names = [model.name for model in models]
    if len({file_stem(name) for name in names}) < len(names):
        raise UsageError(f"models: expected different names, got {', '.join(names)}")


def draw_alignment(result: Mapping[str, Any]) -> dict[str, bytes]:
    """Bars by model, by family where one has several models, and by class, as PNG by file name."""
    models: Sequence[Mapping[str, Any]] = result["models"]
    lines = [*models, {"model": CENTRE_BLOB, **result["centre_blob"]}]
    data = result["dataset"]
    where = f"{data['name']}, {data['config']}, {data['split']}"
    counts = sorted({model["n_measured"] for model in models})
    measured = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else counts[0]
    spaces = " and ".join(sorted({model["label_space"] for model in models}))
    spaces += " (class order assumed)" if any(model.get("class_order") == "assumed" for model in models) else ""
    method = models[0]["saliency"]["method"]
    note = f"{method} · label space {spaces} · {measured} images · mean over true classes · line: 95 % interval"
    metrics = {title: name for name, title in PLOTTED.items()}
    overall = {
        title: {line["model"]: {"": _bar(line["by_true_class"]["mean"], name)} for line in lines}
        for title, name in metrics.items()
    }
    names = list(dict.fromkeys(name for model in models for name in model["by_true_class"]["classes"]))
    by_class = {
        title: {group: {line["model"]: _bar(_class_metrics(line, group), name) for line in lines} for group in names}
        for title, name in metrics.items()
    }
    pictures = {"models.png": draw_bars(overall, title=f"Saliency on the figure: {where}", note=note)}
    if names:
        title = f"Saliency on the figure, by true class: {where}"
        pictures["classes.png"] = draw_bars(by_class, title=title, note=note)
    families = result["comparison"]["families"]
    if any(len(family["models"]) > 1 for family in families.values()):
        panels = {
            title: {family: {"": _bar(pooled["metrics"], name)} for family, pooled in families.items()}
            for title, name in metrics.items()
        }
        common = (
            f"mean over a family's models · {result['comparison']['n_common']} images that all could be measured on"
        )
        pictures["families.png"] = draw_bars(panels, title=f"Saliency on the figure, by family: {where}", note=common)
    return pictures


def _class_metrics(model: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    metrics: Mapping[str, Any] = model["by_true_class"]["classes"].get(name, {}).get("metrics", {})
    return metrics


def _bar(metrics: Mapping[str, Any], name: str) -> Bar:
    cell = metrics.get(name)
    if cell is None:
        return Bar(value=None)
    return Bar(value=cell["value"], ci95=tuple(cell["ci95"]) if cell["ci95"] else None)


def draw_montage(explainer: Explainer, rows: AnalysedRows, classes: ClassMap, *, per_class: int) -> bytes:
    """Overlays of the images of the smallest ids of each class, as PNG; of the first 20 classes."""
    order = np.argsort(rows.image_ids, kind="stable")
    present = [int(label) for label in np.unique(rows.labels)][:_MOST_CLASSES]
    chosen = [int(index) for label in present for index in order[rows.labels[order] == label][:per_class]]
    tiles: dict[int, list[Tile]] = {label: [] for label in present}
    for explained in explainer.explain(rows, chosen):
        tiles[explained.row.label].append(draw_tile(explained, classes))
    sheet = [TileRow(title=classes.names[label], tiles=tuple(tiles[label])) for label in present]
    return draw_sheet(sheet, title=f"What {explainer.model.name} looks at", note=NOTE)


def draw_tile(explained: Explained, classes: ClassMap, extra: str = "") -> Tile:
    """An overlay with the answer and its confidence under it."""
    row = explained.row
    answer = classes.names[explained.predicted] if explained.predicted >= 0 else "no class here"
    caption = f"{answer} {explained.confidence:.2f}"
    return Tile(
        image=overlay_saliency(row.canvas_rgb, explained.saliency_hw, row.object_mask_hw),
        caption=f"{caption}\n{extra}" if extra else caption,
        warned=explained.predicted != row.label,
    )
