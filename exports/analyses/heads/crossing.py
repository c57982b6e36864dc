"""Training on one variant, testing on all: a linear head for each config on the same frozen features.

After Xiao, Engstrom, Ilyas, Madry, "Noise or Signal: The Role of Image Backgrounds in Object Recognition", arXiv
2006.09994, who train whole networks on ``mixed_rand`` and on others and test each on all variants; here only the last
layer is trained, so that it runs on a CPU: what is learned is which of the features that are there anyway are used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from figureground.exports.analyses.heads.drawing import draw_crossing, format_crossing
from figureground.exports.analyses.heads.feature_store import FeatureStore, FeatureTable
from figureground.exports.analyses.heads.splits import ChosenConfigs, HeadsRequest, choose_configs
from figureground.exports.analyses.networks import AnalysedModel, load_network
from figureground.exports.analyses.probe import portable_spec, write_head
from figureground.exports.analyses.probe_training import (
    FittedHead,
    TrainingSettings,
    describe_head,
    describe_training,
    fit_head,
)
from figureground.exports.analyses.results import (
    LIBRARIES,
    SCHEMA_VERSION,
    describe_dataset,
    describe_model,
    library_versions,
    write_json,
    write_result,
)
from figureground.exports.evaluation.intervals import Sampling
from figureground.exports.evaluation.protocols.imagenet9 import DIFFERENCES
from figureground.exports.evaluation.shares import (
    ImageShares,
    RowAnswers,
    average_rows,
    class_sizes,
    compare_pairs,
    measure_accuracy,
)
from figureground.runtime.progress import Progress

REFERENCE: Final = "original"
"""The head that the others are compared with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedHead:
    """A head, and what is written of it."""

    fitted: FittedHead
    facts: dict[str, Any]
    """File, its SHA-256, epoch and numbers of images, JSON-ready."""


def train_heads(
    request: HeadsRequest, spec: str, settings: TrainingSettings, out: Path, *, progress: Progress | None = None
) -> dict[str, Any]:
    """Train a head on every config of ``request.train``, test each on every config of ``request.test``.

    Into the folder ``out`` go ``heads.json``, ``heads.txt``, ``heads.png``, each head as ``CONFIG.safetensors``, and
    the features. The same call writes the same bytes, with stored features or without.

    Args:
        request: The dataset, its configs and splits, and how features are computed.
        spec: Model specification of the backbone.
        settings: How each head is fitted; its seed also draws the resamples of the intervals.
        out: Folder of the results.
        progress: Called as the features are computed.

    Returns:
        What ``heads.json`` holds.

    Raises:
        UsageError: if a config or split is not there, a split has two uses, or the model shows no network.
        DataError: if a photo is on two sides, a class has no image to fit to, or an image cannot be read.
        EvaluationError: if there is no such model or device, or a config holds no images.
    """
    chosen = choose_configs(request)
    model = load_network(spec, device=request.device, precision=request.precision)
    store = FeatureStore(request, model, spec, out / "features", progress=progress)
    heads = {config: _train(request, store, model, spec, settings, out, config) for config in chosen.train}
    result = {
        **_describe(request, chosen, model, spec, settings),
        **_test_all(request, store, heads, chosen, Sampling(count=request.bootstrap, seed=settings.seed)),
    }
    text = format_crossing(result)
    write_result(out, "heads.txt", f"{text}\n")
    write_result(out, "heads.png", draw_crossing(result))
    return write_json(out, "heads.json", result)


def _describe(
    request: HeadsRequest, chosen: ChosenConfigs, model: AnalysedModel, spec: str, settings: TrainingSettings
) -> dict[str, Any]:
    """What ran, on what, JSON-ready."""
    return {
        "schema_version": SCHEMA_VERSION,
        "analysis": "heads",
        "dataset": {
            **describe_dataset(request.repository),
            "train_split": request.train_split,
            "validation_split": request.validation_split,
            "test_split": request.test_split,
            "limit": request.limit,
        },
        "backbone": {"spec": portable_spec(spec), **describe_model(model), "batch_size": request.batch_size},
        "training": asdict(settings),
        "bootstrap": request.bootstrap,
        "train": list(chosen.train),
        "test": list(chosen.test),
        "libraries": library_versions((*LIBRARIES, "safetensors", *model.libraries)),
    }


def _train(
    request: HeadsRequest,
    store: FeatureStore,
    model: AnalysedModel,
    spec: str,
    settings: TrainingSettings,
    out: Path,
    config: str,
) -> TrainedHead:
    """Fit a head to one config, choose its epoch on the validation split, and write its file."""
    train, validation = (store.read(config, split) for split in (request.train_split, request.validation_split))
    names = request.repository.classes.names
    fitted = fit_head(
        train.features, train.label, validation.features, validation.label, settings, n_classes=len(names)
    )
    trained_on = describe_training(request, config, n_train=len(train.label), n_validation=len(validation.label))
    record = describe_head(spec, model, names, settings, fitted, trained_on)
    file = f"{config}.safetensors"
    facts = {
        "file": file,
        "sha256": write_head(out / file, fitted.weight, fitted.bias, record),
        "chosen_epoch": fitted.chosen_epoch,
        "validation_accuracy": fitted.validation_accuracy[fitted.chosen_epoch - 1],
        "train": class_sizes(train.label, request.repository.classes),
        "validation": class_sizes(validation.label, request.repository.classes),
    }
    return TrainedHead(fitted=fitted, facts=facts)


def _test_all(
    request: HeadsRequest,
    store: FeatureStore,
    heads: Mapping[str, TrainedHead],
    chosen: ChosenConfigs,
    sampling: Sampling,
) -> dict[str, Any]:
    """Every head on every config; features of one config at a time are in memory."""
    shares: dict[str, dict[str, ImageShares]] = {train: {} for train in heads}
    sizes = {}
    for config in chosen.test:
        table = store.read(config, request.test_split)
        for train, head in heads.items():
            shares[train][config] = _judge(head.fitted, table, config)
        sizes[config] = class_sizes(next(iter(shares.values()))[config].label, request.repository.classes)
    gap = DIFFERENCES["bg_gap"]

    def compare(right: Mapping[str, ImageShares], pair: tuple[str, str]) -> dict[str, Any]:
        (compared,) = compare_pairs(right, [pair], sampling).values()
        return compared

    rows = {
        train: {
            **head.facts,
            "cells": {config: measure_accuracy(right, sampling) for config, right in shares[train].items()},
            "bg_gap": compare(shares[train], gap) if set(gap) <= set(chosen.test) else None,
        }
        for train, head in heads.items()
    }
    differences: dict[str, dict[str, Any]] = {}
    for train in heads if REFERENCE in heads else ():
        if train != REFERENCE:
            differences[train] = {}
            for config in chosen.test:
                both = {name: shares[name][config] for name in (train, REFERENCE)}
                differences[train][config] = compare(both, (train, REFERENCE))
    return {"heads": rows, "tested": sizes, "differences": differences}


def _judge(head: FittedHead, table: FeatureTable, config: str) -> ImageShares:
    """What a head gets right, by image."""
    with torch.inference_mode():
        logits = torch.nn.functional.linear(torch.from_numpy(table.features), head.weight, head.bias)
    right = np.asarray(logits.argmax(dim=1).numpy() == table.label)
    return average_rows(config, RowAnswers(image_id=table.image_id, label=table.label, right=right))
