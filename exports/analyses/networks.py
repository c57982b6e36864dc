"""Classifiers as networks that can be looked into: their feeding, their outputs, their layers.

``evaluate`` scores anything that answers; the analyses need the ``torch.nn.Module`` behind the answers, which an
adapter offers as its attribute ``network``.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from figureground.errors import UsageError
from figureground.exports.evaluation.adapters import Adapter, adapter_option, normalise
from figureground.exports.evaluation.label_spaces import IMAGENET_CLASSES, ClassMap, class_order, find_label_space
from figureground.exports.evaluation.models import load_model
from figureground.exports.evaluation.values import Images, Ints

_CLASSIFIER_NAMES = ("get_classifier", "forward_features", "forward_head")  # what every timm classifier has


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysedModel:
    """A classifier, its network in eval mode, and how canvases are fed to it."""

    adapter: Adapter
    network: torch.nn.Module
    """Normalised ``(N, 3, H, W)`` float32 to ``(N, K)``."""
    name: str
    """What results call it; no paths."""
    weights_sha256: str
    """64 hex digits."""
    input_size_hw: tuple[int, int]
    """Pixels."""
    mean: tuple[float, ...]
    """Three, in [0, 1] units."""
    std: tuple[float, ...]
    """Three, in [0, 1] units."""
    interpolation: str
    """Pillow's name of the filter from canvas to input."""
    precision: str = "float32"
    """What the network computes in: ``float32``, or by torch's autocast ``bfloat16`` or ``float16``."""

    @property
    def libraries(self) -> tuple[str, ...]:
        """Packages whose versions belong on record."""
        return tuple(adapter_option(self.adapter, "libraries"))

    def feed(self, canvases: Sequence[Images]) -> torch.Tensor:
        """Canvases ``(H, W, 3)`` uint8 to the normalised input ``(N, 3, h, w)``, each resized whole as in evaluate."""
        size = (self.input_size_hw[1], self.input_size_hw[0])
        filter_ = Image.Resampling[self.interpolation.upper()]
        fitted = [
            canvas
            if canvas.shape[:2] == self.input_size_hw
            else np.asarray(Image.fromarray(canvas).resize(size, filter_))
            for canvas in canvases
        ]
        batch: NDArray[np.float32] = normalise(np.stack(fitted), self.mean, self.std)
        return torch.from_numpy(batch).permute(0, 3, 1, 2).contiguous().to(self.device)

    @property
    def device(self) -> torch.device:
        """Where the network lies, and what it is fed must lie."""
        return device_of(self.network)

    def autocast(self) -> AbstractContextManager[None]:
        """While open, the network computes in ``precision``; every pass through it belongs inside."""
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, getattr(torch, self.precision))

    def label_space(self, outputs: int, classes: ClassMap) -> OutputClasses:
        """What the K outputs mean for a dataset; ``EvaluationError`` if nothing fits.

        Raises:
            UsageError: if the adapter names its classes, as a trained head does, and they are not the dataset's.
        """
        named = getattr(self.adapter, "class_names", None)
        if named is not None and tuple(named) != classes.names:
            raise UsageError(f"{self.name} answers in {', '.join(named)}; the dataset's are {', '.join(classes.names)}")
        space = find_label_space(outputs, classes, adapter_option(self.adapter, "label_space"))
        if space == "head":
            order = class_order(space, named)
            return OutputClasses(space=space, offset=0, class_of_output=np.arange(outputs), class_order=order)
        return OutputClasses(
            space=space, offset=int(outputs == IMAGENET_CLASSES + 1), class_of_output=classes.class_of_output
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputClasses:
    """Which class of the dataset each output of a network stands for."""

    space: str
    """``map``: ImageNet-1k through class_map.json; ``head``: the dataset's own classes."""
    offset: int
    """Outputs before the first class: 1 for TensorFlow's background, else 0."""
    class_of_output: Ints
    """``(K - offset,)`` class index; negative where an output is none of the dataset's classes."""
    class_order: str | None = None
    """``stated`` or ``assumed`` order of a head's classes; None for outputs that are ImageNet's."""

    def outputs_of(self, label: int) -> Ints:
        """Columns of the network's answer that stand for a class, offset included; may be none."""
        return np.flatnonzero(self.class_of_output == label) + self.offset


def load_network(spec: str, *, device: str = "auto", precision: str = "float32") -> AnalysedModel:
    """Load a model by its specification, onto a device and in a precision, as ``evaluate`` takes all three.

    Raises:
        UsageError: if its adapter has no ``network``, or does not say how it is normalised.
        EvaluationError: if there is no such model or no such device here.
    """
    return look_into(load_model(spec, device=device, precision=precision))


def look_into(adapter: Adapter) -> AnalysedModel:
    """The network behind an adapter; ``UsageError`` if there is none that gradients pass through."""
    network, mean, std = (getattr(adapter, name, None) for name in ("network", "mean", "std"))
    if not isinstance(network, torch.nn.Module) or mean is None or std is None:
        raise UsageError(
            f"{adapter.name}: an analysis looks inside the network: the adapter needs the attributes network "
            "(a torch.nn.Module), mean and std, as those of timm: and of figureground.exports.evaluation.classifiers"
        )
    return AnalysedModel(
        adapter=adapter,
        network=network.eval(),
        name=adapter.name,
        weights_sha256=adapter.weights_sha256,
        input_size_hw=(int(adapter.input_size_hw[0]), int(adapter.input_size_hw[1])),
        mean=tuple(map(float, mean)),
        std=tuple(map(float, std)),
        interpolation=str(adapter_option(adapter, "interpolation")),
        precision=str(adapter_option(adapter, "precision")),
    )


def device_of(network: torch.nn.Module) -> torch.device:
    """Where the parameters of a network lie; the CPU if it has none."""
    return next(network.parameters(), torch.empty(0)).device


def find_classifier(network: torch.nn.Module) -> tuple[str, torch.nn.Linear]:
    """Name and module of the layer that turns penultimate features into outputs.

    timm says which it is; elsewhere it is the last ``nn.Linear`` of the network, in the order of its modules.

    Raises:
        UsageError: if there is none.
    """
    linears = [(name, module) for name, module in network.named_modules() if isinstance(module, torch.nn.Linear)]
    classifier: Any = network.get_classifier() if is_timm(network) else None  # type: ignore[operator]
    for name, linear in reversed(linears):
        if classifier is None or linear is classifier:
            return name, linear
    raise UsageError(f"{type(network).__name__}: expected a network that ends in a linear layer, found none")


def is_timm(network: torch.nn.Module) -> bool:
    """Whether a network offers timm's methods of classifiers."""
    return all(callable(getattr(network, name, None)) for name in _CLASSIFIER_NAMES)


class Penultimate(torch.nn.Module):
    """A network without its classifier: ``(N, 3, H, W)`` to features ``(N, D)``.

    timm's networks are asked with ``forward_features`` and ``forward_head(pre_logits=True)``; in others the classifier
    is replaced by ``nn.Identity``, in the network itself.
    """

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        name, classifier = find_classifier(network)
        self.width: int = classifier.in_features
        self.backbone = network
        if not is_timm(network):
            owner = network.get_submodule(name.rpartition(".")[0])
            setattr(owner, name.rpartition(".")[2], torch.nn.Identity())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Features ``(N, D)`` of normalised images ``(N, 3, H, W)``."""
        if is_timm(self.backbone):
            spatial = self.backbone.forward_features(images)  # type: ignore[operator]
            features = self.backbone.forward_head(spatial, pre_logits=True)  # type: ignore[operator]
        else:
            features = self.backbone(images)
        if not isinstance(features, torch.Tensor) or features.ndim != 2 or features.shape[1] != self.width:
            raise UsageError(f"{type(self.backbone).__name__}: expected features (N, {self.width}) before the head")
        return features
