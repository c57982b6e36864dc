"""Penultimate units of a network: how strongly each is active on an image, and where.

A unit's neural activation map (Singla and Feizi, "Salient ImageNet", ICLR 2022, arXiv 2110.04301) is its channel of the
last spatial layer, whose mean over its cells is the unit's activation in a network that ends in global average pooling.
In a ViT it is the unit's coordinate of the patch tokens after the last norm, whose class token (or mean) is the
penultimate vector: a map of the same unit, but not what the activation is computed from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from figureground.errors import DataError, UsageError
from figureground.exports.analyses.layers import SpatialLayer, find_feature_layer, tap_layer
from figureground.exports.analyses.networks import AnalysedModel, OutputClasses, find_classifier
from figureground.exports.analyses.rows import AnalysedRow, AnalysedRows
from figureground.exports.evaluation.label_spaces import ClassMap
from figureground.exports.evaluation.values import Floats, Ints
from figureground.runtime.progress import Progress
from figureground.schemas.rasters.masks import Mask

_UNITS_AT_ONCE: Final = 64  # maps of 224 pixels: 13 MB
_MEAN_TOLERANCE: Final = 1e-3  # of the largest activation: float32 sums in another order stay far below


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitActivations:
    """Activations of all units on all rows."""

    activation: Floats
    """``(N, D)``."""
    target: Ints
    """``(N,)`` the true class's largest output, a row of the head; -1 if the class has no output."""
    is_mean_of_map: bool
    """Whether activations are the means of the units' maps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocatedUnits:
    """Maps of some units on one row."""

    index: int
    """Position among the rows."""
    row: AnalysedRow
    units: tuple[int, ...]
    maps_hw: NDArray[np.float32]
    """``(U, H, W)`` of the canvas, ≥ 0, bilinear."""


class UnitReader:
    """One network whose units are read on the rows of one dataset."""

    def __init__(
        self, model: AnalysedModel, classes: ClassMap, *, layer: str | None = None, batch_size: int = 32
    ) -> None:
        """Find the head and the layer before it.

        Raises:
            UsageError: if the network ends in no linear layer, or its last spatial layer has other channels than the
                head has inputs.
        """
        self.model = model
        self.batch_size = batch_size
        self.classifier_name, self.classifier = find_classifier(model.network)
        self.layer: SpatialLayer = find_feature_layer(model.network, model.input_size_hw, layer)
        if self.layer.channels != self.classifier.in_features:
            raise UsageError(
                f"{model.name}: {self.layer.name} has {self.layer.channels} channels, and the head "
                f"{self.classifier.in_features} inputs: units have no maps there; choose another --layer"
            )
        self.classes: OutputClasses = model.label_space(self.classifier.out_features, classes)

    @property
    def head_weight(self) -> Floats:
        """``(K, D)``, one row an output."""
        weight: Floats = self.classifier.weight.detach().double().cpu().numpy()
        return weight

    def read(self, rows: AnalysedRows, *, progress: Progress | None = None) -> UnitActivations:
        """Activations on every row, one batch of images in memory at a time."""
        activation = np.zeros((len(rows), self.classifier.in_features))
        target, done, is_mean = np.full(len(rows), -1, dtype=np.int64), 0, True
        for batch in rows.batches(np.arange(len(rows)), self.batch_size):
            penultimate, maps, logits = self._run(batch)
            if not np.isfinite(penultimate).all():
                name = batch[0].image_id
                raise DataError.single(self.model.name, name, expected="finite features", got="NaN or infinity")
            activation[done : done + len(batch)] = penultimate
            for offset, row in enumerate(batch):
                own = self.classes.outputs_of(row.label)
                target[done + offset] = own[logits[offset, own].argmax()] if len(own) else -1
            gap = np.abs(maps.mean(axis=(2, 3)) - penultimate).max()
            is_mean = is_mean and bool(gap <= _MEAN_TOLERANCE * max(1e-6, float(np.abs(penultimate).max())))
            done += len(batch)
            if progress is not None:
                progress(f"{self.model.name}: units", done, len(rows))
        return UnitActivations(activation=activation, target=target, is_mean_of_map=is_mean)

    def locate(
        self, rows: AnalysedRows, units_of_row: Mapping[int, Sequence[int]], *, progress: Progress | None = None
    ) -> Iterator[LocatedUnits]:
        """Maps of the units asked for, on the rows asked for, in the order of the rows; negative values are cut off.

        A row with many units comes in several parts, one after the other.
        """
        order, done = sorted(units_of_row), 0
        for batch in rows.batches(order, self.batch_size):
            _, maps, _ = self._run(batch)
            for number, row in enumerate(batch):
                index = order[done + number]
                size_hw = (row.canvas_rgb.shape[0], row.canvas_rgb.shape[1])
                for start in range(0, len(units_of_row[index]), _UNITS_AT_ONCE):
                    units = tuple(units_of_row[index][start : start + _UNITS_AT_ONCE])
                    chosen = torch.from_numpy(maps[number, list(units)][None])
                    raised = torch.nn.functional.interpolate(chosen.relu(), size_hw, mode="bilinear")
                    yield LocatedUnits(index=index, row=row, units=units, maps_hw=raised[0].numpy())
            done += len(batch)
            if progress is not None:
                progress(f"{self.model.name}: maps", done, len(order))

    def _run(
        self, batch: Sequence[AnalysedRow]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Penultimate vectors ``(N, D)``, maps ``(N, D, h, w)`` and logits ``(N, K)``."""
        seen: dict[str, torch.Tensor] = {}
        with tap_layer(self.model.network, self.layer) as grid, torch.inference_mode(), self.model.autocast():
            hooks = [
                grid.register_forward_hook(lambda _, __, output: seen.update(maps=output.clone())),
                self.classifier.register_forward_pre_hook(lambda _, inputs: seen.update(penultimate=inputs[0])),
            ]
            try:
                logits = self.model.network(self.model.feed([row.canvas_rgb for row in batch]))
            finally:
                for hook in hooks:
                    hook.remove()
        penultimate, maps, answers = (
            tensor.float().cpu().numpy() for tensor in (seen["penultimate"], seen["maps"], logits)
        )
        return penultimate, maps, answers

    def describe(self, activations: UnitActivations) -> dict[str, Any]:
        """Where units and maps come from, for results; JSON-ready."""
        return {
            "head": self.classifier_name,
            "layer": self.layer.name,
            "layer_grid_hw": list(self.layer.grid_hw),
            "n_units": self.classifier.in_features,
            "activation_is_mean_of_map": activations.is_mean_of_map,
            "frame": "canvas pixels: maps resized bilinearly to the canvas, masks as stored",
        }


def grid_map(mask_hw: Mask, grid_hw: tuple[int, int]) -> NDArray[np.float32]:
    """The map ``(H, W)`` of a perfect unit: a mask averaged over the cells of a grid, and resized back as maps are."""
    mask = torch.from_numpy(np.ascontiguousarray(mask_hw, dtype=np.float32))[None, None]
    cells = torch.nn.functional.adaptive_avg_pool2d(mask, grid_hw)
    resized: NDArray[np.float32] = torch.nn.functional.interpolate(cells, mask_hw.shape, mode="bilinear")[0, 0].numpy()
    return resized


def rank_top(activation: Floats, k: int) -> Ints:
    """Rows with the largest activation of each unit: ``(N, D)`` to ``(min(k, N), D)``, largest first, ties in order."""
    return np.argsort(-activation, axis=0, kind="stable")[:k]
