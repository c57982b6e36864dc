"""The result folder of neural-feature attribution: numbers as JSON and CSV, a heat map, and units to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from figureground.exports.analyses.feature_pictures import draw_features, draw_units
from figureground.exports.analyses.networks import AnalysedModel
from figureground.exports.analyses.neural_features import (
    DEFINITION,
    best_units,
    describe_pair,
    features_csv,
    tabulate_units,
)
from figureground.exports.analyses.results import describe_model, write_json, write_result
from figureground.exports.analyses.saliency_report import AnalysisInput
from figureground.exports.analyses.units import UnitReader, rank_top
from figureground.runtime.progress import Progress


def attribute_features(
    given: AnalysisInput,
    model: AnalysedModel,
    out: Path,
    *,
    k: int = 10,
    layer: str | None = None,
    batch_size: int = 32,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Compare every unit with every attribute; ``features.json``, ``features.csv`` and plots into ``out``.

    Returns what ``features.json`` holds: the best units of each attribute, by ``mean_iou``.

    Raises:
        UsageError: if the network's units have no maps.
    """
    rows = given.rows()
    reader = UnitReader(model, given.repository.classes, layer=layer, batch_size=batch_size)
    activations = reader.read(rows, progress=progress)
    table = tabulate_units(reader, rows, activations.activation, k=k, progress=progress)
    best = {name: best_units(table, region, 10) for region, name in enumerate(table.regions)}
    result: dict[str, Any] = {
        **given.describe("features", [model]),
        **describe_model(model),
        **reader.describe(activations),
        "definition": DEFINITION,
        "k": k,
        "n": len(rows),
        "n_units_compared": len(table.units),
        "n_units_skipped": reader.classifier.in_features - len(table.units),
        "regions": {
            name: {
                "rate_all": float(table.rate_all[region]),
                "best_units": [describe_pair(table, index, region) for index in best[name]],
            }
            for region, name in enumerate(table.regions)
        },
        "files": ["features.csv", "features.png", "units.png"],
    }
    write_result(out, "features.csv", features_csv(table))
    write_result(out, "features.png", draw_features(table, best, model.name, k))
    top = {
        name: rank_top(activations.activation[:, [table.units[indices[0]]]], k)[:, 0]
        for name, indices in best.items()
        if indices
    }
    write_result(out, "units.png", draw_units(reader, rows, table, best, top))
    return write_json(out, "features.json", result)
