"""Saliency maps: which pixels a network's answer hangs on.

Three methods, all of captum: GradCAM of one layer (Selvaraju et al., ICCV 2017), the gradient at the input (Simonyan et
al., 2014) and integrated gradients (Sundararajan et al., ICML 2017). Whatever the resolution of the layer or of the
network's input, a map is resized bilinearly to the **canvas**, where masks are: the canvas is fed whole, so the two
frames differ in scale only, and masks are compared as they are stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import torch
from captum.attr import IntegratedGradients, LayerAttribution, LayerGradCam, Saliency  # type: ignore[import-untyped]  # ships no annotations
from numpy.typing import NDArray

from figureground.errors import DataError
from figureground.exports.analyses.layers import SpatialLayer, find_explained_layer, tap_layer
from figureground.exports.analyses.networks import AnalysedModel, OutputClasses
from figureground.exports.analyses.rows import AnalysedRow, AnalysedRows
from figureground.exports.evaluation.label_spaces import ClassMap
from figureground.exports.evaluation.values import Ints
from figureground.runtime.progress import Progress

Method = Literal["gradcam", "gradient", "integrated_gradients"]
TargetChoice = Literal["predicted", "true"]

DEFINITIONS: Final = {
    "gradcam": "ReLU of the sum over channels of activation x mean gradient of the target logit, at the layer named",
    "gradient": "largest absolute value over R, G, B of the target logit's gradient at the normalised input",
    "integrated_gradients": "absolute value of the sum over R, G, B of integrated gradients (32 Gauss-Legendre steps) "
    "from the network's mean colour to the input",
}
_STEPS: Final = 32  # captum's 50 changes alignment in the third digit and costs half as much again
_STEP_IMAGES: Final = 64  # inputs of one pass of integrated gradients, whatever the batch


@dataclass(frozen=True, slots=True, kw_only=True)
class SaliencySettings:
    """What is explained, and how."""

    method: Method = "gradcam"
    layer: str | None = None
    """Name of the module for GradCAM; None to find it."""
    target: TargetChoice = "predicted"
    """The output explained: the largest, or the largest of those that stand for the true class."""
    batch_size: int = 16
    """Images a pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """A row, a network's answer to it, and the saliency of one output."""

    index: int
    """Position among the rows."""
    row: AnalysedRow
    saliency_hw: NDArray[np.float32] | None
    """``(H, W)`` of the canvas, ≥ 0, unscaled; None where there is no output to explain."""
    output: int | None
    """The output explained, a column of the network's answer; None if the true class has no output."""
    predicted: int
    """Class index of the largest output; negative if that is none of the dataset's classes."""
    confidence: float
    """Softmax probability of the largest output, in [0, 1]."""


class Explainer:
    """One network, ready to explain rows of one dataset."""

    def __init__(self, model: AnalysedModel, classes: ClassMap, settings: SaliencySettings) -> None:
        """Find the layer and what the outputs mean; ``UsageError`` or ``EvaluationError`` if that is unclear."""
        self.model = model
        self.settings = settings
        self.layer: SpatialLayer | None = None
        if settings.method == "gradcam":
            self.layer = find_explained_layer(model.network, model.input_size_hw, settings.layer)
        with torch.no_grad(), model.autocast():
            outputs = model.network(torch.zeros((1, 3, *model.input_size_hw), device=model.device)).shape[1]
        self.classes: OutputClasses = model.label_space(outputs, classes)

    def explain(
        self, rows: AnalysedRows, indices: Sequence[int] | Ints | None = None, *, progress: Progress | None = None
    ) -> Iterator[Explained]:
        """Explain rows (all of them if ``indices`` is None) one batch at a time, in the order given."""
        order = np.arange(len(rows)) if indices is None else np.asarray(indices, dtype=np.int64)
        done = 0
        for batch in rows.batches(order, self.settings.batch_size):
            yield from self._explain_batch(batch, order[done : done + len(batch)])
            done += len(batch)
            if progress is not None:
                progress(self.model.name, done, len(order))

    def _explain_batch(self, batch: Sequence[AnalysedRow], indices: Ints) -> list[Explained]:
        images = self.model.feed([row.canvas_rgb for row in batch])
        with torch.no_grad(), self.model.autocast():
            logits = self.model.network(images).float()
        self._require_finite(logits, batch)
        answers = logits[:, self.classes.offset :]
        confidence, raw = answers.softmax(dim=1).max(dim=1)
        predicted = self.classes.class_of_output[raw.cpu().numpy()]
        targets = [self._target(scores, row) for scores, row in zip(logits, batch, strict=True)]
        explained = [number for number, target in enumerate(targets) if target is not None]
        size_hw = (batch[0].canvas_rgb.shape[0], batch[0].canvas_rgb.shape[1])
        maps = dict[int, NDArray[np.float32]]()
        if explained:
            wanted = torch.tensor([targets[number] for number in explained], device=images.device)
            with self.model.autocast():
                saliency_nhw = self._attribute(images[explained], wanted, size_hw)
            maps = dict(zip(explained, saliency_nhw, strict=True))
        return [
            Explained(
                index=int(indices[number]),
                row=row,
                saliency_hw=maps.get(number),
                output=targets[number],
                predicted=int(predicted[number]),
                confidence=float(confidence[number]),
            )
            for number, row in enumerate(batch)
        ]

    def _target(self, logits: torch.Tensor, row: AnalysedRow) -> int | None:
        """The output to explain, a column of the network's answer ``(K,)``; None if the true class has none."""
        if self.settings.target == "predicted":
            return int(logits[self.classes.offset :].argmax()) + self.classes.offset
        own = self.classes.outputs_of(row.label)
        return int(own[int(logits[torch.from_numpy(own).to(logits.device)].argmax())]) if len(own) else None

    def _attribute(self, images: torch.Tensor, targets: torch.Tensor, size_hw: tuple[int, int]) -> NDArray[np.float32]:
        """Saliency ``(N, H, W)`` of the canvas for one output of each image."""
        network = self.model.network
        images = images.detach().requires_grad_()  # frozen networks have no other leaf for gradients
        if self.layer is not None:
            with tap_layer(network, self.layer) as grid:
                maps: Any = LayerGradCam(network, grid).attribute(images, target=targets, relu_attributions=True)
        elif self.settings.method == "gradient":
            maps = Saliency(network).attribute(images, target=targets).amax(dim=1, keepdim=True)
        else:
            sums: Any = IntegratedGradients(network).attribute(
                images,
                baselines=torch.zeros_like(images),
                target=targets,
                n_steps=_STEPS,
                internal_batch_size=max(_STEP_IMAGES, len(images)),
            )
            maps = sums.sum(dim=1, keepdim=True).abs()
        resized = LayerAttribution.interpolate(maps.detach().float(), size_hw, interpolate_mode="bilinear")
        saliency_nhw: NDArray[np.float32] = resized[:, 0].cpu().numpy().astype(np.float32)
        return saliency_nhw

    def _require_finite(self, logits: torch.Tensor, batch: Sequence[AnalysedRow]) -> None:
        broken = ~torch.isfinite(logits).all(dim=1)
        if bool(broken.any()):
            first = batch[int(broken.int().argmax())].image_id
            raise DataError.single(self.model.name, first, expected="finite logits", got="NaN or infinity")

    def describe(self) -> dict[str, Any]:
        """How maps were made, for results; JSON-ready."""
        settings = self.settings
        layer = self.layer
        return {
            "method": settings.method,
            "definition": DEFINITIONS[settings.method],
            "target": settings.target,
            "layer": None if layer is None else layer.name,
            "layer_grid_hw": None if layer is None else list(layer.grid_hw),
            "frame": "canvas pixels: maps resized bilinearly to the canvas, masks as stored",
        }
