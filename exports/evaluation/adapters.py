"""Adapters: what a classifier must offer, and how it is fed."""

from __future__ import annotations

import copy
import typing
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from figureground.exports.evaluation.values import REFERENCE_SIZE_HW, Images, Logits, require, spell_size

IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
IMAGENET_STD: Final = (0.229, 0.224, 0.225)
ADAPTER_DEFAULTS: Final = {  # optional attributes of adapters; see Adapter
    "mean": None,
    "std": None,
    "refeedable": False,
    "any_size": False,
    "takes_float": False,
    "interpolation": "bicubic",
    "crop_pct": 0.875,
    "crop_mode": "center",
    "outputs": None,
    "label_space": None,
    "class_names": None,
    "parameters": None,
    "libraries": (),
    "on_cpu": False,
    "device": "cpu",
    "precision": "float32",
    "settings": None,
    "settings_file": "",
    "notes": (),
}


class Adapter(typing.Protocol):
    """A classifier: write a class with these four members and name a callable that returns one.

    Optional attributes, with their defaults:
        mean, std (None): Three floats each, in [0, 1] units, to normalise with; None for a model of raw pixels.
        refeedable (False): ``logits`` obeys ``mean`` and ``std`` if they are set anew, as ``feed="reference"`` does.
        takes_float (False): ``logits`` takes float32 in [0, 1] too; other models get noise rounded to uint8.
        any_size (False): ``logits`` takes images of other sizes than ``input_size_hw`` too.
        interpolation ("bicubic"): Pillow's name of the filter that resizes to ``input_size_hw``.
        crop_pct (0.875): Share of the resized short side that the model's own transform keeps; see ``Transform``.
        crop_mode ("center"): or "squash", where that transform does not keep the aspect.
        outputs (None): "logits", or "probabilities", which then pass through no softmax; None where the outputs tell:
            rows of shares that sum to 1 are probabilities.
        label_space (None): "map" or "head", where the number of outputs does not tell.
        class_names (None): Classes of a head in the order of its outputs; a dataset of others is refused. Without them
            the dataset's own order is assumed, and the table says so.
        parameters (None): Number of the model's parameters, where it is known.
        libraries (()): Packages whose versions belong on record.
        on_cpu (False): ``logits`` keeps the processors busy, so no images are decoded meanwhile.
        device ("cpu"): Where the model runs, for the record.
        precision ("float32"): What it computes in, for the record.
        settings (None): Whatever else decides its answers, JSON-ready, by name; part of what stored answers are of.
        settings_file (""): File that its settings come from, for messages.
        notes (()): What a reader of a table should know of the model, short texts.

    An adapter with a method ``run_on(device, precision)`` is moved to the device that ``evaluate`` is asked for;
    ``TorchAdapter`` has it. Others choose their own.
    """

    name: str
    """What results call the model; no paths."""
    input_size_hw: tuple[int, int]
    """Height and width in pixels of the images that ``logits`` takes."""
    weights_sha256: str
    """SHA-256 of the file that decides the answers: the weights, or for a rule its source; 64 hex digits."""

    def logits(self, images: Images, /) -> Logits:
        """Score ``(N, H, W, 3)`` uint8 RGB images; ``(N, K)`` float32, finite."""


def normalise(images: NDArray[Any], mean: Sequence[float], std: Sequence[float]) -> NDArray[np.float32]:
    """``(N, H, W, 3)`` uint8, or float32 in [0, 1], to float32 ``(x - mean) / std``; mean and std in [0, 1] units."""
    unit, width = 255 if images.dtype == np.uint8 else 1, images.shape[-2]
    scaled: NDArray[np.float32] = np.divide(images, unit, dtype=np.float32, order="C")
    lines = scaled.reshape(*images.shape[:-2], 3 * width)  # loops over three channels take seven times as long
    lines -= np.tile(np.asarray(mean, np.float32), width)
    lines /= np.tile(np.asarray(std, np.float32), width)
    return scaled


def adapter_option(adapter: Adapter, name: str) -> Any:  # noqa: ANN401  whatever the option holds
    """An optional attribute of an adapter, or its default."""
    return getattr(adapter, name, ADAPTER_DEFAULTS[name])


def feed_adapter(adapter: Adapter, feed: str) -> Adapter:
    """The adapter as ``feed`` wants it; ``EvaluationError`` if the model cannot be fed so.

    ``canvas``: the stored canvas resized whole to the model's input, with the model's own normalisation. ``reference``:
    the canvas at 224 pixels with ImageNet's mean and std, whatever the model was trained with, as in9_eval.py does; a
    model that takes raw uint8 gets the uint8. Protocol imagenet_a takes the model's own transform under ``canvas``, and
    256, 224, bilinear under ``reference`` (hendrycks/natural-adv-examples).
    """
    if feed == "canvas":
        return adapter
    other = copy.copy(adapter)
    size_hw = tuple(adapter.input_size_hw)
    resizes = size_hw == REFERENCE_SIZE_HW or adapter_option(adapter, "any_size")
    words = f"takes {spell_size(size_hw)} only, and feed reference gives {spell_size(REFERENCE_SIZE_HW)}"
    require(resizes, f"{adapter.name}: {words}")
    other.input_size_hw = REFERENCE_SIZE_HW
    vars(other).update(interpolation="bilinear", crop_pct=0.875, crop_mode="center")
    if adapter_option(adapter, "mean") is not None:
        changes = adapter_option(adapter, "refeedable")
        require(changes, f"{adapter.name}: cannot change its normalisation (not refeedable); use feed canvas")
        vars(other).update(mean=IMAGENET_MEAN, std=IMAGENET_STD)
    return other
