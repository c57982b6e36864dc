"""Where networks run and in what: on devices that are faked, and in fewer bits on this machine's processor."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from figureground.exports.analyses.attribution import Explainer, Method, SaliencySettings
from figureground.exports.analyses.networks import Penultimate, load_network
from figureground.exports.analyses.results import describe_model
from figureground.exports.analyses.saliency_report import AnalysisInput
from figureground.exports.analyses.units import UnitReader
from figureground.exports.evaluation import models
from figureground.exports.evaluation.dataset import Repository
from figureground.exports.evaluation.values import EvaluationError

RESNET = "figure_models:small_resnet"


def test_what_a_network_is_fed_lies_on_its_device(monkeypatch: pytest.MonkeyPatch, repository: Repository) -> None:
    """torch's device ``meta`` computes shapes alone and refuses tensors from elsewhere."""
    monkeypatch.setattr(models, "resolve_device", lambda asked: asked)
    model = load_network("figure_models:looks_at_figure", device="meta")
    images = model.feed([np.zeros((32, 32, 3), dtype=np.uint8)])
    assert (model.device.type, images.device.type, images.shape) == ("meta", "meta", (1, 3, 64, 64))
    explainer = Explainer(model, repository.classes, SaliencySettings())
    assert explainer.layer is not None
    assert explainer.layer.grid_hw == UnitReader(model, repository.classes).layer.grid_hw == (64, 64)
    assert Penultimate(model.network)(images).shape == (1, 5)
    assert describe_model(model)["device"] == "meta"


@pytest.mark.parametrize("method", ["gradcam", "gradient", "integrated_gradients"])
def test_saliency_in_fewer_bits(given: AnalysisInput, method: Method) -> None:
    exact, rounded = (load_network(RESNET, device="cpu", precision=name) for name in ("float32", "bfloat16"))
    settings = SaliencySettings(method=method)
    first, second = (
        next(Explainer(model, given.repository.classes, settings).explain(given.rows(), [0])).saliency_hw
        for model in (exact, rounded)
    )
    assert first is not None
    assert second is not None
    assert second.dtype == np.float32
    assert 0 < np.abs(first - second).max() < 0.3 * first.max()
    assert (describe_model(rounded)["device"], describe_model(rounded)["precision"]) == ("cpu", "bfloat16")


def test_units_in_fewer_bits(given: AnalysisInput) -> None:
    exact, rounded = (load_network(RESNET, precision=name) for name in ("float32", "bfloat16"))
    first, second = (
        UnitReader(model, given.repository.classes).read(given.rows()).activation for model in (exact, rounded)
    )
    assert 0 < np.abs(first - second).max() < 0.1 * first.max()


@pytest.mark.skipif(torch.cuda.device_count() > 7, reason="this machine has eight CUDA devices")
def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EvaluationError, match="device cuda:7: this machine has none") as caught:
        load_network(RESNET, device="cuda:7")
    assert caught.value.exit_code == 2
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(EvaluationError, match=r"it has cpu, cuda:0$"):
        load_network(RESNET, device="cuda:7")
