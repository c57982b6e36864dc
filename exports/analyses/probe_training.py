"""Training linear heads on frozen backbones, as RIVAL10's models got their ten classes.

Unlike the released code, which leaves the network in training mode, so that the BatchNorm statistics of a "frozen"
CNN drift with every batch, the backbone is in eval mode throughout; its features are computed once. And the
best epoch is chosen on the validation split, where the released code takes the best on test: here the test split is
not opened at all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from figureground.errors import DataError, UsageError
from figureground.exports.analyses.networks import AnalysedModel, Penultimate, load_network
from figureground.exports.analyses.probe import (
    HeadRecord,
    TrainedOn,
    blank_linear,
    describe_feeding,
    portable_spec,
    write_head,
)
from figureground.exports.analyses.results import library_versions
from figureground.exports.analyses.rows import AnalysedRows, open_rows
from figureground.exports.evaluation.dataset import Repository
from figureground.exports.evaluation.shares import accuracy_macro
from figureground.exports.evaluation.values import Ints
from figureground.runtime.progress import Progress

Preset = Literal["figureground", "paper"]
Features = NDArray[np.float32]
"""``(N, D)`` penultimate features."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSettings:
    """How a head is fitted: Adam with betas (0.9, 0.999), cross-entropy."""

    preset: str = "figureground"
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    batch_size: int = 32
    """Features a step."""
    epochs: int = 40
    seed: int = 0
    """Of the generator that draws the first weights and the order of the images."""


PRESETS: Final = {
    "paper": TrainingSettings(preset="paper", learning_rate=1e-5, epochs=10),  # finetuner.py of mmoayeri/RIVAL10
    "figureground": TrainingSettings(),  # on stored features an epoch costs nothing, and 1e-5 stops far from the end
}


def choose_settings(
    preset: Preset, *, epochs: int | None = None, learning_rate: float | None = None, seed: int = 0
) -> TrainingSettings:
    """A preset, with other epochs or another learning rate than its own unless they are None."""
    settings = replace(PRESETS[preset], seed=seed)
    if epochs is not None:
        settings = replace(settings, epochs=epochs)
    return settings if learning_rate is None else replace(settings, learning_rate=learning_rate)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureRequest:
    """Which dataset features are computed of, on which splits heads are fitted and chosen, and how it is computed."""

    repository: Repository
    train_split: str = "train"
    validation_split: str = "validation"
    limit: int | None = None
    """Most images of each split, those of the smallest ids; None for all."""
    batch_size: int = 32
    """Images a pass of the backbone."""
    device: str = "auto"
    """Where the backbone runs, as ``evaluate`` takes it; the head is fitted on the CPU."""
    precision: str = "float32"
    """What the backbone computes in."""
    workers: int | None = None
    """Threads that decode images; None for one a processor, up to 8."""

    def rows(self, config: str, split: str) -> AnalysedRows:
        """Open the rows of a config's split."""
        return open_rows(self.repository, config, split, limit=self.limit, unique=False, workers=self.workers)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRequest(FeatureRequest):
    """What one head is trained on, and how its features are computed."""

    config: str = "original"


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedHead:
    """A linear head at its best epoch."""

    weight: torch.Tensor
    """``(K, D)`` float32."""
    bias: torch.Tensor
    """``(K,)`` float32."""
    chosen_epoch: int
    """From 1."""
    train_loss: tuple[float, ...]
    validation_accuracy: tuple[float, ...]


def train_probe(
    request: ProbeRequest, spec: str, settings: TrainingSettings, out: Path, *, progress: Progress | None = None
) -> HeadRecord:
    """Train a head on a frozen backbone and write it as a safetensors file; the same call writes the same bytes.

    Raises:
        UsageError: if a split is ``test``, or the two are one, or the model shows no network.
        DataError: if an image is in both splits, or a class has no training image.
    """
    splits = (request.train_split, request.validation_split)
    if "test" in splits or len(set(splits)) < 2:
        raise UsageError(f"a head is trained on one split, chosen on another, and never sees test; got {splits}")
    train, validation = (request.rows(request.config, split) for split in splits)
    _require_apart(train, validation, request)
    model = load_network(spec, device=request.device, precision=request.precision)
    penultimate = Penultimate(model.network).eval()
    features, validation_features = (
        extract_features(penultimate, model, rows, request, progress=progress, stage=stage)
        for rows, stage in ((train, "train"), (validation, "validation"))
    )
    n_classes = len(request.repository.classes.names)
    head = fit_head(features, train.labels, validation_features, validation.labels, settings, n_classes=n_classes)
    trained_on = describe_training(
        request, request.config, n_train=len(train.labels), n_validation=len(validation.labels)
    )
    record = describe_head(spec, model, request.repository.classes.names, settings, head, trained_on)
    write_head(out, head.weight, head.bias, record)
    return record


def describe_head(
    spec: str,
    model: AnalysedModel,
    class_names: tuple[str, ...],
    settings: TrainingSettings,
    head: FittedHead,
    trained_on: TrainedOn,
) -> HeadRecord:
    """The record of a fitted head: the backbone that ``spec`` names, how it was fed, and how the head was fitted."""
    return HeadRecord(
        backbone=portable_spec(spec),
        backbone_name=model.name,
        backbone_weights_sha256=model.weights_sha256,
        device=str(model.device),
        precision=model.precision,
        class_names=class_names,
        feeding=describe_feeding(model),
        trained_on=trained_on,
        preset=settings.preset,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        batch_size=settings.batch_size,
        epochs=settings.epochs,
        seed=settings.seed,
        chosen_epoch=head.chosen_epoch,
        train_loss=head.train_loss,
        validation_accuracy=head.validation_accuracy,
        libraries=library_versions(("numpy", "pillow", "safetensors", *model.libraries)),
    )


def describe_training(request: FeatureRequest, config: str, *, n_train: int, n_validation: int) -> TrainedOn:
    """What a head was fitted to and chosen by: the config, its splits, and their rows."""
    repository = request.repository
    return TrainedOn(
        dataset=repository.name,
        revision=repository.revision,
        fingerprint=repository.fingerprint,
        config=config,
        train_split=request.train_split,
        validation_split=request.validation_split,
        n_train=n_train,
        n_validation=n_validation,
        limit=request.limit,
    )


def extract_features(
    penultimate: Penultimate,
    model: AnalysedModel,
    rows: AnalysedRows,
    request: FeatureRequest,
    *,
    progress: Progress | None = None,
    stage: str = "",
) -> Features:
    """Penultimate features ``(N, D)`` float32 of all rows, in their order; the network stays in eval mode."""
    features = np.zeros((len(rows), penultimate.width), dtype=np.float32)
    done = 0
    penultimate.eval()
    for batch in rows.batches(np.arange(len(rows)), request.batch_size):
        with torch.inference_mode(), model.autocast():
            vectors = penultimate(model.feed([row.canvas_rgb for row in batch])).float().cpu().numpy()
        if not np.isfinite(vectors).all():
            raise DataError.single(model.name, batch[0].image_id, expected="finite features", got="NaN or infinity")
        features[done : done + len(batch)] = vectors
        done += len(batch)
        if progress is not None:
            progress(f"{model.name}: {stage}", done, len(rows))
    return features


def fit_head(
    features: Features,
    labels: Ints,
    validation_features: Features,
    validation_labels: Ints,
    settings: TrainingSettings,
    *,
    n_classes: int,
) -> FittedHead:
    """Fit a linear layer, and return the epoch of the best class-mean accuracy on validation; the earlier of equals.

    Features are ``(N, D)``, labels ``(N,)`` class indices below ``n_classes``. It runs on the CPU. First weights are
    uniform in ±1/√D, as ``nn.Linear`` draws them, but from a generator of the seed: the global one is neither read nor
    moved.
    """
    generator = torch.Generator().manual_seed(settings.seed)
    inputs, targets = torch.from_numpy(features), torch.from_numpy(labels)
    validation_inputs = torch.from_numpy(validation_features)
    head = blank_linear(inputs.shape[1], n_classes)
    bound = 1 / math.sqrt(inputs.shape[1])
    with torch.no_grad():
        for parameter in (head.weight, head.bias):
            parameter.uniform_(-bound, bound, generator=generator)
    adam = torch.optim.Adam(
        head.parameters(), lr=settings.learning_rate, betas=(0.9, 0.999), weight_decay=settings.weight_decay
    )
    losses, accuracies = list[float](), list[float]()
    best = (-1.0, 0, head.weight.detach(), head.bias.detach())
    for epoch in range(1, settings.epochs + 1):
        total = 0.0
        order = torch.randperm(len(inputs), generator=generator)
        for chosen in torch.split(order, settings.batch_size):
            loss = torch.nn.functional.cross_entropy(head(inputs[chosen]), targets[chosen])
            adam.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()
            total += float(loss.detach()) * len(chosen)
        with torch.inference_mode():
            answers = head(validation_inputs).argmax(dim=1).numpy()
        losses.append(total / len(inputs))
        accuracies.append(accuracy_macro((answers == validation_labels)[:, None], validation_labels))
        if accuracies[-1] > best[0]:
            best = (accuracies[-1], epoch, head.weight.detach().clone(), head.bias.detach().clone())
    _, chosen_epoch, weight, bias = best
    return FittedHead(
        weight=weight,
        bias=bias,
        chosen_epoch=chosen_epoch,
        train_loss=tuple(losses),
        validation_accuracy=tuple(accuracies),
    )


def _require_apart(train: AnalysedRows, validation: AnalysedRows, request: ProbeRequest) -> None:
    where = f"{request.repository.name}/{request.config}"
    both = np.intersect1d(train.image_ids, validation.image_ids)
    if len(both):
        raise DataError.single(where, str(both[0]), expected="an image in one split", got=f"{len(both)} in two splits")
    names = request.repository.classes.names
    absent = [names[label] for label in range(len(names)) if label not in train.labels]
    if absent:
        raise DataError.single(where, request.train_split, expected="images of every class", got=f"none of {absent}")
