from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from figureground.exports.analyses.alignment import ImageAlignment
from figureground.exports.analyses.attribution import SaliencySettings
from figureground.exports.analyses.networks import load_network
from figureground.exports.analyses.saliency_metrics import METRIC_NAMES
from figureground.exports.analyses.saliency_report import AnalysisInput
from figureground.exports.analyses.spurious import RANKED_BY, find_spurious, rank_images
from figureground.exports.evaluation.dataset import Repository


def image(name: str, label: int, predicted: int, value: float | None) -> ImageAlignment:
    return ImageAlignment(
        model="a",
        image_id=name,
        label=label,
        predicted=predicted,
        output=0,
        confidence=0.5,
        skipped="flat_map" if value is None else "",
        **dict.fromkeys(METRIC_NAMES, value),
    )


def test_lists_are_of_the_predicted_class_and_in_order(repository: Repository) -> None:
    images = [
        image("b", 0, 0, 0.2),
        image("a", 0, 0, 0.2),
        image("c", 1, 0, 0.1),
        image("d", 0, 0, 0.9),
        image("e", 0, -1, 0.0),
        image("f", 0, 0, None),
    ]
    ranked = rank_images(images, repository.classes, k=2)
    worst = [entry for entry in ranked if (entry.metric, entry.end) == ("precision", "worst")]
    assert [(entry.rank, entry.image_id, entry.group, entry.label) for entry in worst] == [
        (1, "c", "red", "green"),
        (2, "a", "red", "red"),
    ]
    best = [entry.image_id for entry in ranked if (entry.metric, entry.end) == ("precision", "best")]
    assert best == ["d", "a"]
    by_true = rank_images(images, repository.classes, k=2, grouping="true")
    assert [
        entry.image_id for entry in by_true if (entry.metric, entry.end, entry.group) == ("precision", "worst", "red")
    ] == ["e", "a"]


def test_the_worst_reds_are_those_with_a_patch(given: AnalysisInput, tmp_path: Path) -> None:
    model = load_network("figure_models:half_lazy")
    result = find_spurious(given, [model], SaliencySettings(), tmp_path, k=3)
    (entry,) = result["models"]
    reds = [red for red in entry["images"] if red["group"] == "red" and red["metric"] == "precision"]
    assert {red["image_id"] for red in reds if red["end"] == "worst"} == {f"test-red-{n:02}" for n in (8, 9, 10)}
    assert next(red for red in reds if red["end"] == "best")["image_id"] == "test-red-11"
    assert set(reds[0]) >= {"image_id", "label", "predicted", "confidence", "value", "rank"}
    assert json.loads((tmp_path / "worst.json").read_text(encoding="utf-8")) == result
    assert len(result["files"]) == 2 * len(RANKED_BY)
    for name in result["files"]:
        Image.open(tmp_path / name).verify()


def test_a_network_without_maps_has_empty_lists(given: AnalysisInput, tmp_path: Path) -> None:
    result = find_spurious(given, [load_network("figure_models:sees_nothing")], SaliencySettings(), tmp_path)
    assert result["models"][0]["images"] == []
    assert result["models"][0]["n_skipped"] == 12
