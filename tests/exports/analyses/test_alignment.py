from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from figureground.errors import UsageError
from figureground.exports.analyses.alignment import (
    ImageAlignment,
    align_model,
    centre_blob,
    compare_models,
    summarise_model,
)
from figureground.exports.analyses.attribution import Explainer, SaliencySettings
from figureground.exports.analyses.families import family_of, load_families
from figureground.exports.analyses.networks import load_network
from figureground.exports.analyses.saliency_metrics import METRIC_NAMES, measure_alignment
from figureground.exports.analyses.saliency_report import AnalysisInput, SaliencyRequest, analyse_saliency
from figureground.exports.evaluation.dataset import Repository

REQUEST = SaliencyRequest(settings=SaliencySettings(), bootstrap=200, shown=2)


UNSAID = {"ci95": None, "no_ci95": "too few to say"}


def image(serial: int, label: int, predicted: int, value: float | None, model: str = "a") -> ImageAlignment:
    """All metrics alike, or a skipped image."""
    return ImageAlignment(
        model=model,
        image_id=f"{serial:03}",
        label=label,
        predicted=predicted,
        output=0,
        confidence=0.5,
        skipped="flat_map" if value is None else "",
        **dict.fromkeys(METRIC_NAMES, value),
    )


def test_classes_count_alike_and_skipped_images_not_at_all(repository: Repository) -> None:
    images = [image(0, 0, 0, 0.0), image(1, 0, 0, 0.5), image(2, 0, 1, 1.0), image(3, 1, -1, 0.8), image(4, 1, 1, None)]
    summary = summarise_model(images, repository.classes, bootstrap=200)
    assert (summary["n"], summary["n_measured"], summary["n_skipped"]) == (5, 4, {"flat_map": 1})
    assert summary["accuracy_micro"] == pytest.approx(3 / 5)
    true, predicted = summary["by_true_class"], summary["by_predicted_class"]
    assert true["mean"]["iou"]["value"] == pytest.approx((0.5 + 0.8) / 2)
    assert true["classes"]["red"]["n"] == 3
    assert true["classes"]["green"]["metrics"]["precision"] == {"value": pytest.approx(0.8), **UNSAID}
    assert "blue" not in true["classes"]
    assert predicted["mean"]["iou"]["value"] == pytest.approx((0.25 + 1.0) / 2)
    assert predicted["n_outside_classes"] == 1
    assert true["n_outside_classes"] == 0
    assert {name: true["mean"]["iou"][name] for name in UNSAID} == UNSAID
    assert summarise_model(images, repository.classes, bootstrap=200) == summary


def test_intervals_are_of_class_means_and_come_with_enough_images(repository: Repository) -> None:
    """Thirty images of two classes, whose means are 0.29 and 0.79: over all images they would spread much more."""
    images = [image(serial, serial % 2, 0, 0.5 * (serial % 2) + 0.02 * serial) for serial in range(30)]
    summary = summarise_model(images, repository.classes, bootstrap=2000)["by_true_class"]
    cell = summary["mean"]["iou"]
    lower, upper = cell["ci95"]
    assert "no_ci95" not in cell
    spread = np.var([0.02 * serial for serial in range(0, 30, 2)], ddof=1)
    half = 1.96 * float((2 * spread / 15) ** 0.5) / 2
    assert [lower, upper] == pytest.approx([cell["value"] - half, cell["value"] + half], abs=0.01)
    assert summary["classes"]["red"]["metrics"]["iou"]["no_ci95"] == "too few to say"  # fifteen


def test_nothing_measured_is_said_and_nothing_at_all_is_an_error(repository: Repository) -> None:
    summary = summarise_model([image(0, 0, 0, None)], repository.classes)
    assert summary["n_measured"] == 0
    assert summary["by_true_class"] == {"n": 0, "n_outside_classes": 0, "classes": {}, "mean": {}}
    with pytest.raises(UsageError, match="at least one"):
        summarise_model([], repository.classes)


def test_differences_are_paired(repository: Repository) -> None:
    """The second model is better by about 0.1 on each image: so it is in all resamples, though images differ a lot."""
    values = np.linspace(0, 0.87, 30)
    first = [image(serial, serial % 2, 0, float(value)) for serial, value in enumerate(values)]
    better = np.where(np.arange(30) % 4 < 2, 0.11, 0.09)
    second = [image(serial, serial % 2, 0, float(value + better[serial]), "b") for serial, value in enumerate(values)]
    second.append(image(99, 0, 0, 1.0, "b"))  # the first never measured it
    comparison = compare_models({"a": first, "b": second}, load_families(None, "ab"), bootstrap=200)
    assert comparison["n_common"] == 30
    cell = comparison["beyond_first"]["b"]["metrics"]["iou"]
    assert [cell["value"], *cell["ci95"]] == pytest.approx([0.1] * 3, abs=0.005)
    spread = comparison["families"]["a"]["metrics"]["iou"]["ci95"]
    assert spread[1] - spread[0] > 0.15


def test_families_are_means_over_models() -> None:
    models = {"timm:resnet50": 0.2, "timm:resnet18": 0.6, "timm:vit_tiny": 0.9}
    alignments = {name: [image(0, 0, 0, value, name)] for name, value in models.items()}
    comparison = compare_models(alignments, load_families(None, models, unlisted=family_of), bootstrap=10)
    families = comparison["families"]
    assert families["ResNets"]["metrics"]["iou"] == {"value": pytest.approx(0.4), **UNSAID}
    assert families["ViTs"]["models"] == ["timm:vit_tiny"]


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("timm:deit_small_patch16_224", "DeiTs"),
        ("timm:vit_base_patch16_clip_224.openai", "CLIP ViTs"),
        ("timm:resnet50_clip", "CLIP ResNets"),
        ("open_clip:ViT-B-16/laion2b_s34b_b88k", "CLIP ViTs"),
        ("hf:google/siglip2-base-patch16-224", "SigLIPs"),
        ("hf:facebook/deit-tiny-patch16-224", "DeiTs"),
        ("timm:resnet50.a1_in1k", "ResNets"),
        ("efficientnet-lite0", "EfficientNet-Lites"),
        ("timm:resnet18=vit-killer", "ResNets"),
        ("timm:resnet18+head:vit", "ResNets with heads"),
        ("my-own", "my-own"),
    ],
)
def test_families_by_name(model: str, family: str) -> None:
    assert family_of(model) == family


def test_models_come_out_in_the_order_that_they_are_built_for(given: AnalysisInput, tmp_path: Path) -> None:
    names = ("looks_at_figure", "half_lazy", "looks_at_ground")
    models = [load_network(f"figure_models:{name}") for name in names]
    result = analyse_saliency(given, models, replace(REQUEST, shown=0), tmp_path / "out")
    by_name = {entry["model"]: entry for entry in result["models"]}
    iou = [by_name[name.replace("_", "-")]["by_true_class"]["mean"]["iou"]["value"] for name in names]
    assert iou[0] > 0.9 > 0.05 > iou[2]
    assert iou[0] > iou[1] > iou[2]
    assert by_name["looks-at-ground"]["n_skipped"] == {"flat_map": 7}  # no patch, nothing to look at
    beyond = result["comparison"]["beyond_first"]["half-lazy"]["metrics"]["precision"]
    assert beyond["value"] < 0


def test_the_folder_says_how_it_came_about(given: AnalysisInput, tmp_path: Path) -> None:
    models = [load_network("figure_models:looks_at_figure")]
    result = analyse_saliency(given, models, REQUEST, tmp_path / "out")
    stored = json.loads((tmp_path / "out" / "saliency.json").read_text(encoding="utf-8"))
    assert stored == result
    assert stored["dataset"]["fingerprint"] == given.repository.fingerprint
    assert {"torch", "captum", "numpy", "scikit-learn"} <= set(stored["libraries"])
    entry = stored["models"][0]
    assert entry["weights_sha256"] == models[0].weights_sha256
    assert entry["saliency"]["layer"] == "rise"
    assert "canvas" in entry["saliency"]["frame"]
    lines = list(csv.DictReader((tmp_path / "out" / "images.csv").open(encoding="utf-8")))
    assert [line["image_id"] for line in lines] == given.rows().image_ids.tolist()
    assert float(lines[0]["iou"]) > 0.9
    for name in ("models.png", "classes.png", "montage-looks-at-figure.png"):
        assert name in stored["files"]
        picture: Any = Image.open(tmp_path / "out" / name)
        picture.verify()
        assert "Software" not in picture.info
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    analyse_saliency(given, models, REQUEST, tmp_path / "out")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_a_centre_blob_stands_beside_every_metric(given: AnalysisInput, tmp_path: Path) -> None:
    result = analyse_saliency(given, [load_network("figure_models:half_lazy")], replace(REQUEST, shown=0), tmp_path)
    blob = result["centre_blob"]
    assert (blob["n"], blob["n_measured"]) == (12, 12)
    rows = given.rows()
    values = [measure_alignment(centre_blob((64, 64)), row.object_mask_hw) for row in rows]  # type: ignore[arg-type]
    for name in METRIC_NAMES:
        means = [
            np.mean([value[name] for value, own in zip(values, rows.labels == label, strict=True) if own])
            for label in range(3)
        ]
        assert blob["by_true_class"]["mean"][name]["value"] == pytest.approx(np.mean(means))
    # Figures are 24 x 28 pixels near the middle of 64 x 64: 16 % of the canvas, and more of the blob
    assert 0.25 < blob["by_true_class"]["mean"]["precision"]["value"] < 0.5
    other = analyse_saliency(given, [load_network("figure_models:looks_at_ground")], REQUEST, tmp_path)
    assert blob == other["centre_blob"]


def test_the_centre_blob_is_a_gaussian_in_the_middle() -> None:
    blob = centre_blob((40, 81))
    assert blob == pytest.approx(blob[::-1, ::-1])
    assert blob.argmax() % 81 == 40
    assert blob[19, 40 + 20] / blob[19, 40] == pytest.approx(np.exp(-0.5 * (20 / (81 / 4)) ** 2))


def test_a_blind_network_is_skipped_not_scored(given: AnalysisInput, tmp_path: Path) -> None:
    result = analyse_saliency(given, [load_network("figure_models:sees_nothing")], REQUEST, tmp_path / "out")
    assert result["models"][0]["n_skipped"] == {"flat_map": 12}
    assert result["models"][0]["by_true_class"]["mean"] == {}


def test_two_models_of_one_name_are_refused(given: AnalysisInput, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="different names"):
        analyse_saliency(given, [load_network("figure_models:half_lazy")] * 2, REQUEST, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_limit_takes_the_smallest_ids(repository: Repository) -> None:
    given = AnalysisInput(repository=repository, limit=2)
    explainer = Explainer(load_network("figure_models:looks_at_figure"), repository.classes, SaliencySettings())
    assert [entry.image_id for entry in align_model(explainer, given.rows())] == ["test-blue-08", "test-blue-09"]
