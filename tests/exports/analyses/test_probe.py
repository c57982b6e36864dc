from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from plain_dataset import update_manifest
from safetensors.torch import save_file

from figureground.errors import DataError, UsageError
from figureground.exports.analyses import probe, probe_training
from figureground.exports.analyses.attribution import Explainer, SaliencySettings
from figureground.exports.analyses.networks import Penultimate, find_classifier, load_network
from figureground.exports.analyses.probe_training import PRESETS, ProbeRequest, TrainingSettings, fit_head, train_probe
from figureground.exports.analyses.saliency_report import AnalysisInput
from figureground.exports.evaluation.dataset import Repository, open_repository
from figureground.exports.evaluation.scoring import evaluate

FAST = TrainingSettings(learning_rate=0.5, epochs=12)
HALF_LAZY, RESNET = "figure_models:half_lazy", "figure_models:small_resnet"
HEAD = "figureground.exports.analyses.probe:head"


@pytest.fixture
def request_(repository: Repository) -> ProbeRequest:
    return ProbeRequest(repository=repository)


@pytest.fixture
def trained(request_: ProbeRequest, tmp_path: Path) -> Path:
    train_probe(request_, HALF_LAZY, FAST, tmp_path / "head.safetensors")
    return tmp_path / "head.safetensors"


def test_training_learns_and_never_opens_test(figures: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(figures, tmp_path / "without"))
    (shard,) = (folder / "data" / "original").glob("test-*")
    shard.unlink()
    request = ProbeRequest(repository=open_repository(str(folder)))
    record = train_probe(request, HALF_LAZY, FAST, tmp_path / "head.safetensors")
    assert record.validation_accuracy[record.chosen_epoch - 1] == 1.0
    assert record.trained_on.n_train == record.trained_on.n_validation == 12
    assert record.train_loss[-1] < record.train_loss[0]


@pytest.mark.parametrize("splits", [("train", "test"), ("test", "validation"), ("train", "train")])
def test_test_is_refused_and_so_is_choosing_on_what_was_fitted(
    repository: Repository, tmp_path: Path, splits: tuple[str, str]
) -> None:
    request = ProbeRequest(repository=repository, train_split=splits[0], validation_split=splits[1])
    with pytest.raises(UsageError, match="never sees test"):
        train_probe(request, HALF_LAZY, FAST, tmp_path / "head.safetensors")


def test_the_same_call_writes_the_same_bytes(request_: ProbeRequest, trained: Path, tmp_path: Path) -> None:
    torch.manual_seed(5)  # what the global generator does is of no matter
    train_probe(request_, HALF_LAZY, FAST, tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == trained.read_bytes()
    other = TrainingSettings(learning_rate=0.5, epochs=12, seed=1)
    train_probe(request_, HALF_LAZY, other, tmp_path / "other.safetensors")
    assert (tmp_path / "other.safetensors").read_bytes() != trained.read_bytes()


def test_the_backbone_stays_as_it_was(request_: ProbeRequest) -> None:
    """The released code lets the statistics of BatchNorm drift."""
    model = load_network(RESNET)
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    penultimate = Penultimate(model.network).train()
    rows = AnalysisInput(repository=request_.repository, split="train").rows()
    features = probe_training.extract_features(penultimate, model, rows, request_)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.network.state_dict().items())
    alone = ProbeRequest(repository=request_.repository, batch_size=1)
    assert features == pytest.approx(probe_training.extract_features(penultimate, model, rows, alone), abs=1e-4)


@pytest.mark.parametrize("spec", [RESNET, "figure_models:small_vit", HALF_LAZY])
def test_features_are_what_the_classifier_gets(given: AnalysisInput, spec: str) -> None:
    model = load_network(spec)
    images = model.feed([given.rows()[0].canvas_rgb])
    _, classifier = find_classifier(model.network)
    with torch.no_grad():
        wanted = model.network(images)
        features = Penultimate(model.network)(images)
    assert classifier(features).detach().numpy() == pytest.approx(wanted.numpy(), abs=1e-5)


def test_the_best_epoch_is_validations_and_the_earlier_of_equals() -> None:
    generator = np.random.default_rng(0)
    labels = np.arange(30) % 3
    features = (np.eye(3)[labels] * 4 + generator.normal(size=(30, 3))).astype(np.float32)
    before = torch.get_rng_state()
    fitted = fit_head(features, labels, features, labels, TrainingSettings(learning_rate=0.1, epochs=12), n_classes=3)
    assert torch.equal(before, torch.get_rng_state())  # training draws from a generator of its own
    assert fitted.chosen_epoch == fitted.validation_accuracy.index(max(fitted.validation_accuracy)) + 1
    wrong = (labels + 1) % 3  # a validation split on which learning does harm: the first epoch is the best
    opposed = fit_head(features, labels, features, wrong, TrainingSettings(learning_rate=0.1, epochs=12), n_classes=3)
    best = opposed.validation_accuracy.index(max(opposed.validation_accuracy))
    assert opposed.chosen_epoch == best + 1 < 12
    shorter = TrainingSettings(learning_rate=0.1, epochs=best + 1)
    stopped = fit_head(features, labels, features, wrong, shorter, n_classes=3)
    assert torch.equal(opposed.weight, stopped.weight)  # the weights returned are those of that epoch


def test_accuracy_is_of_classes() -> None:
    """Nine images of one class and one of another: the answer that is right nine times scores a half."""
    labels = np.array([0] * 9 + [1])
    features = np.zeros((10, 2), dtype=np.float32)
    fitted = fit_head(features, labels, features, labels, TrainingSettings(epochs=1), n_classes=2)
    assert fitted.validation_accuracy == (0.5,)


def test_presets() -> None:
    paper = probe_training.choose_settings("paper")
    assert (paper.learning_rate, paper.epochs, paper.batch_size, paper.weight_decay) == (1e-5, 10, 32, 1e-4)
    longer = probe_training.choose_settings("paper", epochs=20, learning_rate=0.5, seed=3)
    assert (longer.epochs, longer.learning_rate, longer.seed, longer.preset) == (20, 0.5, 3, "paper")
    assert PRESETS["paper"].epochs == 10


def test_evaluate_and_saliency_take_a_head(figures: Path, given: AnalysisInput, trained: Path) -> None:
    spec = f"{HEAD}={trained}::{HALF_LAZY}"
    result = evaluate(str(figures), spec, configs=["original"], bootstrap=10, protocol="imagenet9")
    assert result["label_space"] == "head"
    assert result["configs"]["original"]["accuracy_macro"] == 1.0
    model = load_network(spec)
    explainer = Explainer(model, given.repository.classes, SaliencySettings())
    assert explainer.layer is not None
    assert explainer.layer.name.endswith("rise")
    explained = next(explainer.explain(given.rows(), [0]))
    assert explained.saliency_hw is not None
    assert explained.saliency_hw.max() > 0


def test_a_head_moves_with_its_backbone(trained: Path) -> None:
    classifier = probe.head(f"{trained}::{HALF_LAZY}")
    assert (classifier.record.device, classifier.record.precision) == ("cpu", "float32")
    classifier.run_on("meta", "float32")
    assert {parameter.device.type for parameter in classifier.network.parameters()} == {"meta"}


def test_a_head_on_a_vision_transformer(request_: ProbeRequest, given: AnalysisInput, tmp_path: Path) -> None:
    spec = "figure_models:small_vit"
    train_probe(request_, spec, TrainingSettings(epochs=1), tmp_path / "vit.safetensors")
    model = load_network(f"{HEAD}={tmp_path / 'vit.safetensors'}::{spec}")
    explainer = Explainer(model, given.repository.classes, SaliencySettings())
    assert explainer.layer is not None
    assert (explainer.layer.prefix_tokens, explainer.layer.grid_hw) == (1, (8, 8))
    assert next(explainer.explain(given.rows(), [0])).saliency_hw is not None


def test_a_file_may_not_choose_code(trained: Path) -> None:
    with pytest.raises(UsageError, match="which no file may choose"):
        probe.head(str(trained))
    for trusted in ("timm:resnet50.a1_in1k", "figureground.exports.evaluation.classifiers:efficientnet_lite0"):
        assert probe._TRUSTED.fullmatch(trusted)
    for strange in ("os:system=true", "timm:hf-hub:a/b", "timm:resnet50=/etc/passwd", "figure_models:half_lazy"):
        assert not probe._TRUSTED.fullmatch(strange)


def test_a_backbone_of_other_weights_is_refused(trained: Path) -> None:
    with pytest.raises(DataError, match="expected weights"):
        probe.head(f"{trained}::figure_models:looks_at_figure")


def test_a_head_is_of_its_own_classes(trained: Path, tmp_path: Path, given: AnalysisInput) -> None:
    weight, bias, record = probe.read_head(trained)
    other = record.model_copy(update={"class_names": ("green", "red", "blue")})
    probe.write_head(tmp_path / "other.safetensors", weight, bias, other)
    model = load_network(f"{HEAD}={tmp_path / 'other.safetensors'}::{HALF_LAZY}")
    with pytest.raises(UsageError, match="answers in green, red, blue"):
        Explainer(model, given.repository.classes, SaliencySettings())


def test_no_folder_of_this_machine_is_written(trained: Path) -> None:
    assert str(trained.parent).encode() not in trained.read_bytes()
    assert probe.portable_spec("timm:resnet50=/home/me/my.safetensors") == "timm:resnet50=my.safetensors"


def _write(path: Path, record: Any, **tensors: torch.Tensor) -> Path:
    metadata = (
        {} if record is None else {"figureground_head": record if isinstance(record, str) else json.dumps(record)}
    )
    save_file(tensors, path, metadata=metadata)
    return path


HOSTILE = [
    pytest.param({}, {"extra": torch.zeros(1)}, "tensors bias and weight", id="another tensor"),
    pytest.param({}, {"weight": torch.zeros((4, 5))}, "tensors bias and weight", id="rows"),
    pytest.param({}, {"weight": torch.zeros((3, 5), dtype=torch.float64)}, "tensors bias and weight", id="dtype"),
    pytest.param({}, {"weight": torch.zeros(3)}, "tensors bias and weight", id="axes"),
    pytest.param({}, {"weight": torch.full((3, 5), torch.nan)}, "finite weights", id="nan"),
    pytest.param({}, {"weight": torch.zeros((3, 7))}, "5 columns", id="width"),
    pytest.param({"class_names": ["red", "red", "blue"]}, {}, "different names", id="names twice"),
    pytest.param({"schema_version": "2"}, {}, "schema_version", id="version"),
    pytest.param({"code": "import os"}, {}, "no such key", id="strange key"),
    pytest.param({"backbone_weights_sha256": "x"}, {}, "backbone_weights_sha256", id="digest"),
]


@pytest.mark.parametrize(("changes", "tensors", "message"), HOSTILE)
def test_a_damaged_head_is_refused(trained: Path, tmp_path: Path, changes: Any, tensors: Any, message: str) -> None:
    weight, bias, record = probe.read_head(trained)
    stored = {**record.model_dump(mode="json"), **changes}
    path = _write(tmp_path / "bad.safetensors", stored, **{"weight": weight, "bias": bias, **tensors})
    with pytest.raises(DataError, match=message):
        probe.head(f"{path}::{HALF_LAZY}")


def test_other_files_are_no_heads(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a head")
    with pytest.raises(DataError, match="a safetensors file"):
        probe.read_head(tmp_path / "text")
    with pytest.raises(DataError, match="a head, with"):
        probe.read_head(_write(tmp_path / "plain", None, weight=torch.zeros(1)))
    with pytest.raises(DataError, match="JSON"):
        probe.read_head(_write(tmp_path / "torn", "{", weight=torch.zeros(1)))
    with pytest.raises(UsageError, match="no such head"):
        probe.read_head(tmp_path / "none")


def test_an_image_in_two_splits_is_refused(figures: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(figures, tmp_path / "leaking"))
    (train,), (validation,) = ((folder / "data" / "original").glob(f"{split}-*") for split in ("train", "validation"))
    shutil.copy(train, validation)
    update_manifest(folder, validation.relative_to(folder).as_posix())
    with pytest.raises(DataError, match="an image in one split"):
        train_probe(ProbeRequest(repository=open_repository(str(folder))), HALF_LAZY, FAST, tmp_path / "head")
