# /// script
# requires-python = ">=3.11"
# dependencies = ["datasets>=4.0", "numpy>=2.0", "onnxruntime", "pillow", "pycocotools", "scipy"]
# ///
"""Score image classifiers on this dataset: how much do they look at the object, how much at the background?

    python evaluate.py --model onnx:my.onnx                                         (in the dataset's folder)
    uv run --with timm --with torch evaluate.py --repo ORG/NAME --revision v1.0 --model timm:resnet50.a1_in1k

Models: ``timm:NAME``, ``timm:NAME=CHECKPOINT``, ``onnx:FILE`` or ``MODULE:CALLABLE[=ARGUMENT]``, MODULE installed or in
the working directory; the callable returns an ``Adapter`` (below).
The file stands alone: it needs the packages named above, and timm and torch only for ``timm:``.
Exit codes: 0 done, 1 a fault in the data or the model, 2 wrong usage, 3 a download failed (run again).
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import functools
import hashlib
import importlib
import importlib.metadata
import io
import itertools
import json
import math
import os
import re
import sys
import zipfile
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import distance_transform_edt  # type: ignore[import-untyped]
from scipy.special import softmax  # type: ignore[import-untyped]  # ships no annotations
from scipy.stats import binomtest  # type: ignore[import-untyped]

SCHEMA_VERSION: Final = "1"
IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
IMAGENET_STD: Final = (0.229, 0.224, 0.225)
REFERENCE_SIZE_HW: Final = (224, 224)  # in9_eval.py resizes nothing: its images are 224 pixels wide and high
IMAGENET_CLASSES: Final = 1000
CONFIG_ORDER: Final = (
    "original",
    "mixed_self",
    "mixed_same",
    "mixed_rand",
    "mixed_next",
    "only_fg",
    "no_fg",
    "only_bg_b",
    "only_bg_t",
)
DIFFERENCES: Final = {
    "bg_gap": ("mixed_same", "mixed_rand"),
    "original_minus_mixed_same": ("original", "mixed_same"),
    "original_minus_mixed_self": ("original", "mixed_self"),
    "mixed_rand_minus_only_bg_t": ("mixed_rand", "only_bg_t"),
}
CATEGORY_CONFIGS: Final = ("original", "mixed_rand", "only_bg_t")
CATEGORIES: Final = ("bg_required", "bg_fools", "bg_fg_required", "bg_fg_fools", "bg_irrelevant")
ABLATIONS: Final = {  # config of protocol rival10: the config that it is compared with
    "bg_grey": "original",
    "object_grey": "original_crop",
    "bbox_grey": "original_crop",
    "bbox_tile": "original_crop",
    "object_mean": "original_crop",
    "bbox_mean": "original_crop",
}
ATTRIBUTE_CONFIGS: Final = ("attribute_grey", "attribute_control")
FIVE_CROP: Final = "five_crop"  # of protocol imagenet_a: no config of the dataset, but five crops of original
CROP_CONTROLS: Final = ("center_zoom", "random_box", FIVE_CROP)  # that plus is compared with, besides original
MEASURES: Final = ("influence", "invariance")  # of protocol background_check: configs begin with bg_ and one of them
TEXTURES: Final = "bg_invariance_texture"  # configs that begin so are pooled
NOISE_LEVELS: Final = {  # compute_noise_robustness.py of mmoayeri/RIVAL10, at 224 pixels
    "sigma": tuple(level / 255 for level in (30, 60, 90, 120, 150, 180, 210)),
    "l2": (25, 50, 75, 100, 125, 150, 175, 200),
}
RFS_UNDEFINED: Final = ("strict", "hardimagenet")
NOISE_WORDS: Final = {  # what the command line takes when nothing is said
    "noise": "sigma,l2",
    "levels": None,
    "trials": 1,
    "mask_grow": "0",
    "rfs_undefined": "strict",
}
CHALLENGE: Final = {  # rule: which grounds may fool, by whether they must be of another class and be the answer's
    "reference": (False, False),  # challenge_eval.py of MadryLab/backgrounds_challenge: any ground, any wrong answer
    "exact": (True, False),
    "targeted": (True, True),  # what Xiao et al. (arXiv 2006.09994) count
}
CHALLENGE_CONFIGS: Final = ("original", "only_bg_t")  # where figures and grounds are from
CHALLENGE_PART: Final = 128  # figures that are stored together
PROTOCOLS: Final = ("imagenet9", "imagenet_a", "rival10", "background_check")
CLUSTERS: Final = ("image", "class")
MAX_PIXELS: Final = 100_000_000  # of a resized photo
MIN_DECIDABLE: Final = 25  # images below which a share is marked undecidable: Wilson's interval is over 35 points wide
CALIBRATION_BIN: Final = 100  # images; calibration_tools.py of hendrycks/natural-adv-examples
MIN_CALIBRATION: Final = 200  # answers below which the released error is 0 or does not exist
CHANCE_NOTE: Final = "a constant answer scores this on class means; an answer outside the map is always wrong"
EMPTY: Final = "nothing to score: expected at least one image, got none"
OPTIONS: Final = {  # what adapters may say besides, with defaults; see Adapter
    "mean": None,
    "std": None,
    "refeedable": False,
    "any_size": False,
    "takes_float": False,
    "interpolation": "bicubic",
    "crop_pct": 0.875,
    "crop_mode": "center",
    "outputs": "logits",
    "label_space": None,
    "class_names": None,
    "parameters": None,
    "libraries": (),
    "on_cpu": False,
}
_BOOTSTRAP_CELLS: Final = 1 << 21  # resampled counts held at once: 16 MB of int64

Progress = Callable[[str, int, int], None]  # called with (config, rows done, rows in all)
Table = Any  # datasets.Dataset, which ships no annotations
Bools = NDArray[np.bool_]  # of I images and D donor draws of each, (I, D); D is 1 in most configs
Ints = NDArray[np.int64]  # labels (I,) are class indices
Floats = NDArray[np.float64]
Images = NDArray[np.uint8]  # (N, H, W, 3), RGB, 0 to 255
Logits = NDArray[np.float32]  # (N, K)
Answers = Mapping[str, NDArray[Any]]  # of a model on one config, by name, as they are stored


class EvaluationError(Exception):
    """The data (exit code 1), the call (2) or a download (3) is at fault."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code

    def show(self) -> None:
        """Print the message on stderr."""
        print(f"error: {self}", file=sys.stderr)


def _require(condition: object, message: str, exit_code: int = 1) -> None:
    if not condition:
        raise EvaluationError(message, exit_code)


def accuracy_micro(correct: Bools) -> float:
    """Share of right answers over all images and draws; ``correct`` is ``(I, D)``."""
    _require(correct.size, EMPTY)
    return float(correct.mean())


def accuracy_per_class(correct: Bools, labels: Ints) -> dict[int, float]:
    """Share of right answers in each class that has images; ``correct`` is ``(I, D)``."""
    return {int(label): accuracy_micro(correct[labels == label]) for label in np.unique(labels)}


def accuracy_macro(correct: Bools, labels: Ints) -> float:
    """Mean of the class accuracies: every class counts the same, however many images it has."""
    _require(correct.size, EMPTY)
    return float(np.mean(list(accuracy_per_class(correct, labels).values())))


def background_gap(mixed_same: Bools, mixed_rand: Bools, labels: Ints) -> float:
    """BG-gap = acc(mixed_same) - acc(mixed_rand), in [-1, 1] (Xiao et al., arXiv 2006.09994, section 3).

    Both ``(I, D)`` of the same images; class means, which are the paper's accuracy where classes are balanced.
    """
    return accuracy_macro(mixed_same, labels) - accuracy_macro(mixed_rand, labels)


def image_categories(original: Bools, mixed_rand: Bools, only_bg_t: Bools) -> dict[str, Bools]:
    """The five image categories of Xiao et al. (arXiv 2006.09994), Table 3; each image is in exactly one.

    From right (1) or wrong (0) on (original, mixed_rand, only_bg_t): the background is required in (1, 0, 1), fools
    in (0, 1, 0), is required with the foreground in (1, 0, 0), fools with it in (0, 1, 1), and is irrelevant where
    original equals mixed_rand. Arguments are ``(I, D)`` or ``(I, 1)``, broadcast; so is each category.
    """
    right, mixed, ground = np.broadcast_arrays(original, mixed_rand, only_bg_t)
    _require(right.size, EMPTY)
    return {
        "bg_required": right & ~mixed & ground,
        "bg_fools": ~right & mixed & ~ground,
        "bg_fg_required": right & ~mixed & ~ground,
        "bg_fg_fools": ~right & mixed & ground,
        "bg_irrelevant": right == mixed,
    }


def mcnemar_exact(first: Bools, second: Bools) -> float:
    """Two-sided p of McNemar's exact test: of images that only one of two ``(I,)`` gets right, is it half and half?"""
    _require(first.size, EMPTY)
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    return float(binomtest(only_first, only_first + only_second).pvalue) if only_first + only_second else 1.0


def bootstrap_class_means(values: Floats, labels: Ints, *, count: int, seed: int) -> Floats:
    """Bootstrap the mean over classes of class means; columns share each resample, so their differences are paired.

    Images are resampled within their class. Draws are resampled as wholes, crossed with the images (the pigeonhole
    bootstrap of Owen, Annals of Applied Statistics 1(2), 2007): draw d of one image goes with draw d of all others.
    Equal rows of a class are interchangeable, so their counts in a resample are multinomial; drawing those is the
    same bootstrap as drawing indices, in the memory of the distinct rows. ``values`` is ``(I, M, D)``, images by
    quantities by draws; the result ``(B, M)``, with B = ``count``; ``seed`` is PCG64's.
    """
    _require(values.size, EMPTY)
    _, columns, draws = values.shape
    generator = np.random.Generator(np.random.PCG64(seed))
    weights = generator.multinomial(draws, np.full(draws, 1 / draws), size=count) / draws
    classes = np.unique(labels)
    means = np.zeros((count, columns))
    for label in classes:
        rows = values[labels == label].reshape(-1, columns * draws)
        distinct, frequency = np.unique(rows, axis=0, return_counts=True)
        step = max(1, _BOOTSTRAP_CELLS // len(distinct))
        for start in range(0, count, step):
            stop = min(start + step, count)
            drawn = generator.multinomial(len(rows), frequency / len(rows), size=stop - start)
            sums = (drawn @ distinct).reshape(-1, columns, draws)
            means[start:stop] += np.einsum("bmd,bd->bm", sums, weights[start:stop]) / len(rows)
    return means / len(classes)


def bootstrap_means(
    values: Floats, labels: Ints, *, over: str, count: int, seed: int, cluster: str = "image"
) -> Floats:
    """Bootstrap the mean over ``images``, or over ``classes`` of class means, of ``(I, M)`` values: ``(B, M)``, paired.

    Under the cluster ``image`` images are resampled, for class means within their class; under ``class`` whole classes
    are, as if the dataset's were a sample of all classes.
    """
    sampling, alike = {"count": count, "seed": seed}, np.zeros_like(labels)
    if cluster == "image":
        return bootstrap_class_means(values[:, :, None], labels if over == "classes" else alike, **sampling)
    _, place, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    sums = np.stack([np.bincount(place, weights=column) for column in values.T], axis=1)
    cells = sums / sizes[:, None] if over == "classes" else np.concatenate([sums, sizes[:, None]], axis=1)
    drawn = bootstrap_class_means(cells[:, :, None], alike[: len(sizes)], **sampling)
    return drawn if over == "classes" else drawn[:, :-1] / drawn[:, -1:]


def bootstrap_interval(samples: Floats, outcomes: Bools | None = None) -> list[float]:
    """Central 95 % of bootstrap samples ``(B,)``; Wilson's interval where all ``outcomes`` ``(I, D)`` agree.

    Every resample is alike then: the bootstrap would be certain of what few images happen to show.
    """
    if outcomes is not None and bool((outcomes == outcomes[0, 0]).all()):
        return wilson_interval(int(outcomes[:, 0].sum()), len(outcomes))
    return [float(bound) for bound in np.quantile(samples, [0.025, 0.975])]


def wilson_interval(right: int, total: int) -> list[float]:
    """Wilson's 95 % score interval of a share; it has a width even where all or none are right."""
    return [float(bound) for bound in binomtest(right, total).proportion_ci(0.95, method="wilson")]


def varying_interval(samples: Floats, outcomes: Floats | None = None) -> list[float] | None:
    """Central 95 % of ``(B,)`` samples that differ; else Wilson's for ``(I,)`` outcomes all 0 or all 1; else None.

    Where resamples cannot vary, as where every answer of one side is right, few images would pass for certainty.
    """
    if len(samples) and float(np.ptp(samples)) > 1e-9:  # sums of floats differ in their last digits
        return bootstrap_interval(samples)
    alike = outcomes is not None and outcomes.mean() in (0, 1)
    return wilson_interval(int(outcomes.sum()), len(outcomes)) if alike and outcomes is not None else None


def rms_calibration_error(confidence: Floats, right: NDArray[Any], bin_size: int, *, released: bool = False) -> float:
    """Square root of the sum over bins of n_b / N (mean confidence - share right)², in [0, 1]; ``(N,)`` each.

    Bins hold ``bin_size`` answers in the order of confidence, the last one also what is left over. ``released`` skips
    the last, most confident bin, as calib_err of calibration_tools.py does (hendrycks/natural-adv-examples).
    """
    bins = len(confidence) // bin_size
    _require(bins, f"expected at least {bin_size} answers to calibrate, got {len(confidence)}")
    order = np.argsort(confidence, kind="stable")
    starts = np.arange(bins) * bin_size
    sizes = np.diff([*starts, len(confidence)])
    gaps = np.add.reduceat(confidence[order] - right[order], starts) / sizes
    counted = slice(0, bins - 1 if released else bins)
    return float(np.sqrt((sizes[counted] / len(confidence) * gaps[counted] ** 2).sum()))


def response_rate_accuracy(confidence: Floats, right: NDArray[Any], *, released: bool = False) -> float:
    """AURRA: mean over k = 1 … N of the share right among the k most confident of ``(N,)`` answers, in [0, 1].

    Answers of equal confidence each count as their mean, which is the expectation over their orders. ``released`` takes
    them in reverse order of rows, as aurra of calibration_tools.py does (hendrycks/natural-adv-examples), where its
    unstable sort happens to keep that order.
    """
    _require(len(confidence), EMPTY)
    _, place = np.unique(confidence, return_inverse=True)
    shares = right if released else (np.bincount(place, weights=right) / np.bincount(place))[place]
    ranked = np.argsort(confidence, kind="stable")[::-1]
    return float((np.cumsum(shares[ranked]) / np.arange(1, len(ranked) + 1)).mean())


def sd_between_draws(values: NDArray[Any], labels: Ints) -> float | None:
    """Standard deviation (of a sample) between the class means of ``(I, D)`` values in each draw; None for one draw."""
    if values.shape[1] < 2:
        return None
    means = np.mean([values[labels == label].mean(axis=0) for label in np.unique(labels)], axis=0)
    return float(np.std(means, ddof=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassMap:
    """The dataset's classes, and which ImageNet-1k outputs count as which (``class_map.json``)."""

    name: str
    names: tuple[str, ...]  # in the order of the stored labels
    class_of_output: Ints  # (1000,) class index of every ImageNet-1k output; negative, so always wrong, outside
    output_of_source: Mapping[str, int]  # source label (wnid) to its own output; empty where the map does not pair them


def parse_class_map(text: str) -> ClassMap:
    """Read a class map; ``EvaluationError`` if it has another shape, or gives one output to two classes."""
    try:
        parsed = json.loads(text)
        name, unmapped = str(parsed.get("name") or "unnamed"), int(parsed.get("unmapped_value", -1))
        listed = [(int(c["index"]), str(c["name"]), [int(i) for i in c["imagenet_indices"]]) for c in parsed["classes"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EvaluationError(f"class_map.json: expected index, name, imagenet_indices a class: {error!r}") from error
    _require([i for i, _, _ in listed] == list(range(len(listed) or 1)), "class_map.json: indices must count 0, 1, 2 …")
    _require(unmapped < 0, f"class_map.json: expected a negative unmapped_value, got {unmapped}")
    table = np.full(IMAGENET_CLASSES, unmapped, dtype=np.int64)
    for index, owner, outputs in listed:
        for output in outputs:
            fits = 0 <= output < IMAGENET_CLASSES and table[output] < 0
            _require(fits, f"class_map.json: {owner}: output {output} is outside 0 to 999, or listed twice")
            table[output] = index
    members = [
        ([str(wnid) for wnid in given.get("wnids", [])], outputs)
        for given, (_, _, outputs) in zip(parsed["classes"], listed, strict=True)
    ]
    paired = all(len(wnids) == len(outputs) for wnids, outputs in members)
    own_outputs = {wnid: output for pair in members for wnid, output in zip(*pair, strict=True)} if paired else {}
    return ClassMap(
        name=name, names=tuple(owner for _, owner, _ in listed), class_of_output=table, output_of_source=own_outputs
    )


def find_label_space(outputs: int, classes: ClassMap, named: str | None = None) -> str:
    """What K outputs mean: ``map`` (ImageNet-1k, 1000 or 1001 of them) or ``head`` (the dataset's own classes).

    ``named`` is what the adapter says. ``EvaluationError`` if neither fits, or both do and nothing is named.
    """
    imagenet = outputs in (IMAGENET_CLASSES, IMAGENET_CLASSES + 1) and bool((classes.class_of_output >= 0).any())
    fits = {"map": imagenet, "head": outputs == len(classes.names)}
    fitting = [space for space in fits if fits[space] and named in (None, space)]
    wanted = f"1000 or 1001 ImageNet outputs that are mapped, or a head of {len(classes.names)} for {classes.name}"
    got = f"{outputs} outputs, label space {named}: set the adapter's label_space where both fit"
    _require(len(fitting) == 1, f"expected {wanted}; got {got}")
    return fitting[0]


def map_predictions(logits: Logits, classes: ClassMap, space: str) -> tuple[Ints, Ints]:
    """Raw argmax ``(N,)`` of ``(N, K)`` logits, and the class index of each.

    Under ``map`` the argmax is over all 1000 outputs, mapped or not, as in in9_eval.py: an answer outside is wrong.
    """
    raw = drop_background(logits, space).argmax(axis=1)
    return raw, classes.class_of_output[raw] if space == "map" else raw.copy()


def masked_outputs(classes: ClassMap) -> Ints:
    """The one ImageNet-1k output of every class, ``(C,)``; ``EvaluationError`` if a class has none or several."""
    outputs = [np.flatnonzero(classes.class_of_output == index) for index in range(len(classes.names))]
    uneven = [owner for owner, own in zip(classes.names, outputs, strict=True) if len(own) != 1]
    _require(not uneven, f"imagenet_a needs one output a class in class_map.json; other numbers for {_listed(uneven)}")
    return np.concatenate(outputs)


def drop_background(logits: Logits, space: str) -> Logits:
    """Without column 0 of 1001 ImageNet outputs, TensorFlow's background class."""
    return logits[:, 1:] if space == "map" and logits.shape[1] == IMAGENET_CLASSES + 1 else logits


class Adapter(Protocol):
    """A classifier: write a class with these four members and name a callable that returns one.

    Optional attributes, with their defaults:
        mean, std (None): Three floats each, in [0, 1] units, to normalise with; None for a model of raw pixels.
        refeedable (False): ``logits`` obeys ``mean`` and ``std`` if they are set anew, as ``feed="reference"`` does.
        takes_float (False): ``logits`` takes float32 in [0, 1] too; other models get noise rounded to uint8.
        any_size (False): ``logits`` takes images of other sizes than ``input_size_hw`` too.
        interpolation ("bicubic"): Pillow's name of the filter that resizes to ``input_size_hw``.
        crop_pct (0.875): Share of the resized short side that the model's own transform keeps; see ``Transform``.
        crop_mode ("center"): or "squash", where that transform does not keep the aspect.
        outputs ("logits"): or "probabilities", which then pass through no softmax.
        label_space (None): "map" or "head", where the number of outputs does not tell.
        class_names (None): Classes of a head in the order of its outputs; a dataset of others is refused.
        parameters (None): Number of the model's parameters, where it is known.
        libraries (()): Packages whose versions belong on record.
        on_cpu (False): ``logits`` keeps the processors busy, so no images are decoded meanwhile.
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


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class TimmAdapter:
    """A timm model with its own size, filter and normalisation; pretrained, or with the weights of a local file."""

    libraries = ("timm", "torch")
    refeedable = True
    takes_float = True

    def __init__(self, name: str, checkpoint: Path | None = None, *, device: str = "cpu") -> None:
        try:
            import timm
            import torch
        except ImportError as error:
            raise EvaluationError(f"no {error.name}; run: uv run --with timm --with torch evaluate.py …", 2) from error
        model, self.weights_sha256 = _load_timm(name, checkpoint)
        settings = timm.data.resolve_data_config({}, model=model)  # type: ignore[no-untyped-call, attr-defined]
        self.name = f"timm:{name}={checkpoint.stem}" if checkpoint else f"timm:{name}"
        self.input_size_hw: tuple[int, int] = tuple(settings["input_size"][1:])
        self.mean, self.std = tuple(settings["mean"]), tuple(settings["std"])
        self.interpolation = settings["interpolation"]
        self.crop_pct, self.crop_mode = settings["crop_pct"], settings["crop_mode"]
        self.parameters = sum(tensor.numel() for tensor in model.parameters())
        self.any_size = not model.pretrained_cfg.get("fixed_input_size")
        self._device, self.on_cpu = torch.device(device), device == "cpu"
        self.network = model.eval().to(self._device)

    def logits(self, images: Images) -> Logits:
        """``(N, H, W, 3)`` uint8 RGB to ``(N, K)`` float32."""
        import torch

        with torch.inference_mode():
            fed = torch.from_numpy(normalise(images, self.mean, self.std)).permute(0, 3, 1, 2)
            scores: Logits = self.network(fed.to(self._device)).float().cpu().numpy()
        return scores


def _load_timm(name: str, path: Path | None) -> tuple[Any, str]:
    """A model, and the SHA-256 of its file, or of its tensors by name: timm does not say where its own files lie."""
    import timm
    import torch

    _require(path is None or path.is_file(), f"{path}: no such checkpoint", 2)
    try:
        model: Any = timm.create_model(name, pretrained=path is None)
    except OSError as error:
        raise EvaluationError(f"timm:{name}: the weights could not be fetched: {error}", 3) from error
    except (RuntimeError, ValueError) as error:  # no such model, or it has no weights
        raise EvaluationError(f"timm:{name}: {error}", 2) from error
    if path is not None:
        try:
            state, heads = _read_tensors(path), model.pretrained_cfg.get("classifier") or ""
            weight = state.get(f"{heads if isinstance(heads, str) else heads[0]}.weight")
            if weight is not None and weight.ndim and len(weight) != model.num_classes:  # a head of the user's own
                model = timm.create_model(name, num_classes=len(weight))
            model.load_state_dict(state, strict=True)
        except Exception as error:  # lists keys and shapes that differ; or the file holds more than tensors, or is cut
            raise EvaluationError(f"{path}: these are not the weights of {name}: {error}") from error
        return model, file_sha256(path)
    digest = hashlib.sha256()
    for key, tensor in sorted(model.state_dict().items()):
        digest.update(f"{key}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return model, digest.hexdigest()


def _read_tensors(path: Path) -> dict[str, Any]:
    """Tensors by name; ``model`` or ``state_dict`` inside a training checkpoint, without DataParallel's prefix."""
    import torch
    from safetensors.torch import load_file  # timm requires it

    safe = path.suffix == ".safetensors"
    loaded: Any = load_file(path) if safe else torch.load(path, map_location="cpu", weights_only=True)
    state = next((loaded[key] for key in ("state_dict", "model") if isinstance(loaded.get(key), Mapping)), loaded)
    tensors = all(isinstance(value, torch.Tensor) for value in state.values())
    _require(tensors, f"{path}: expected tensors by name, or those under 'state_dict' or 'model'")
    prefix = "module." if all(key.startswith("module.") for key in state) else ""
    return {key.removeprefix(prefix): value for key, value in state.items()}


class OnnxAdapter:
    """An ONNX classifier with one image input, ``(N, 3, H, W)`` or ``(N, H, W, 3)``; its first output is scored.

    Settings come from ``FILE.json`` beside it, else from its ``metadata_props`` (JSON texts), else they are defaults:
    input_size (number or [height, width]), mean and std (ImageNet's), scale (1/255; ``(pixel * scale - mean) / std``),
    layout (``"NCHW"`` or ``"NHWC"``), outputs (``"logits"`` or ``"probabilities"``), interpolation, crop_pct and
    parameters (see ``Adapter``). A uint8 input gets raw pixels.
    """

    libraries = ("onnxruntime",)
    refeedable = True

    def __init__(self, path: Path, *, device: str = "cpu") -> None:
        import onnxruntime  # type: ignore[import-untyped]  # ships no annotations

        _require(path.is_file(), f"{path}: no such model", 2)
        provider = f"{device.upper()}ExecutionProvider"
        _require(provider in onnxruntime.get_available_providers(), f"this onnxruntime has no {provider}", 2)
        self._session = onnxruntime.InferenceSession(str(path), providers=[provider])
        self._input, shape = self._session.get_inputs()[0], self._session.get_inputs()[0].shape
        _require(len(shape) == 4, f"{path}: expected an input of four axes, got {shape}")
        settings = _onnx_settings(path, self._session.get_modelmeta().custom_metadata_map)
        fitting = [layout for layout, axis in (("NCHW", 1), ("NHWC", 3)) if shape[axis] == 3]
        self._layout = settings.get("layout") or (fitting[0] if len(fitting) == 1 else None)
        _require(self._layout in ("NCHW", "NHWC"), f"{path}: layout of {shape}? Set it in {path.stem}.json")
        size_hw = tuple(shape[2:] if self._layout == "NCHW" else shape[1:3])
        self.any_size = not all(isinstance(axis, int) for axis in size_hw)
        given = settings.get("input_size", REFERENCE_SIZE_HW if self.any_size else size_hw)
        self.input_size_hw: tuple[int, int] = (given, given) if isinstance(given, int) else tuple(given)
        _require(self.any_size or self.input_size_hw == size_hw, f"{path}: takes {size_hw}, settings say {given}")
        self.name, self.weights_sha256, self.on_cpu = f"onnx:{path.stem}", file_sha256(path), device == "cpu"
        for name in ("outputs", "interpolation", "crop_pct", "parameters"):
            setattr(self, name, settings.get(name, OPTIONS[name]))
        unit = 255 * float(settings.get("scale", 1 / 255))
        raw = self._input.type == "tensor(uint8)"
        self.takes_float = not raw
        self.mean = None if raw else tuple(value / unit for value in settings.get("mean", IMAGENET_MEAN))
        self.std = None if raw else tuple(value / unit for value in settings.get("std", IMAGENET_STD))

    def logits(self, images: Images) -> Logits:
        """``(N, H, W, 3)`` uint8 RGB to ``(N, K)`` float32."""
        fed: NDArray[Any] = normalise(images, self.mean, self.std) if self.mean and self.std else images
        fixed = self._input.shape[0]
        step = fixed if isinstance(fixed, int) else len(fed)
        fed = fed.repeat([1] * (len(fed) - 1) + [1 + -len(fed) % step], axis=0)  # the last one again, to fill a batch
        fed = np.ascontiguousarray(fed.transpose(0, 3, 1, 2)) if self._layout == "NCHW" else fed
        parts = (fed[start : start + step] for start in range(0, len(fed), step))
        scores = np.concatenate([self._session.run(None, {self._input.name: part})[0] for part in parts])
        return np.asarray(scores[: len(images)], dtype=np.float32)


def _onnx_settings(path: Path, stored: Mapping[str, str]) -> dict[str, Any]:
    known = ("input_size", "mean", "std", "scale", "layout", "outputs", "interpolation", "crop_pct", "parameters")
    try:
        if path.with_suffix(".json").is_file():
            return dict(json.loads(path.with_suffix(".json").read_text(encoding="utf-8")))
        return {key: json.loads(stored[key]) for key in known if key in stored}
    except (ValueError, TypeError) as error:
        raise EvaluationError(f"{path}: its settings are not JSON: {error}") from error


def load_model(spec: str, *, device: str = "cpu") -> Adapter:
    """Make the adapter that a specification names (see the top of this file); a callable chooses its own device."""
    kind, _, rest = spec.partition(":")
    _require(rest, f"model {spec!r}: expected timm:NAME[=FILE], onnx:FILE or MODULE:CALLABLE[=ARGUMENT]", 2)
    if kind == "timm":
        name, _, checkpoint = rest.partition("=")
        return TimmAdapter(name, Path(checkpoint) if checkpoint else None, device=device)
    if kind == "onnx":
        return OnnxAdapter(Path(rest), device=device)
    _require(device == "cpu", f"model {spec!r}: a device is for timm: and onnx:, a callable chooses its own", 2)
    target, equals, argument = spec.partition("=")
    place, _, attribute = target.rpartition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # last, so that nothing here hides an installed package
    try:
        factory = getattr(importlib.import_module(place), attribute)
    except (ModuleNotFoundError, AttributeError) as error:
        raise EvaluationError(f"model {spec!r}: {error}", 2) from error
    adapter: Adapter = factory(argument) if equals else factory()
    lacking = [name for name in ("name", "input_size_hw", "weights_sha256", "logits") if not hasattr(adapter, name)]
    _require(not lacking, f"model {spec!r} returned no adapter: it lacks {', '.join(lacking)}")
    _require(
        re.fullmatch("[0-9a-f]{64}", adapter.weights_sha256), f"{adapter.name}: weights_sha256 is not 64 hex digits"
    )
    return adapter


def feed_adapter(adapter: Adapter, feed: str) -> Adapter:
    """The adapter as ``feed`` wants it; ``EvaluationError`` if the model cannot be fed so.

    ``canvas``: the stored canvas resized whole to the model's input, with the model's own normalisation. ``reference``:
    the canvas at 224 pixels with ImageNet's mean and std, whatever the model was trained with, as in9_eval.py does; a
    model that takes raw uint8 gets the uint8. Protocol imagenet_a takes the model's own transform under ``canvas``, and
    256, 224, bilinear under ``reference`` (hendrycks/natural-adv-examples).
    """
    _require(feed in ("canvas", "reference"), f"feed: expected canvas or reference, got {feed!r}", 2)
    if feed == "canvas":
        return adapter
    other = copy.copy(adapter)
    size_hw = tuple(adapter.input_size_hw)
    resizes = size_hw == REFERENCE_SIZE_HW or _option(adapter, "any_size")
    _require(resizes, f"{adapter.name}: takes {size_hw} only, and feed reference gives {REFERENCE_SIZE_HW}")
    other.input_size_hw = REFERENCE_SIZE_HW
    vars(other).update(interpolation="bilinear", crop_pct=0.875, crop_mode="center")
    if _option(adapter, "mean") is not None:
        changes = _option(adapter, "refeedable")
        _require(changes, f"{adapter.name}: cannot change its normalisation (not refeedable); use feed canvas")
        vars(other).update(mean=IMAGENET_MEAN, std=IMAGENET_STD)
    return other


def _option(adapter: Adapter, name: str) -> Any:  # noqa: ANN401  whatever the option holds
    return getattr(adapter, name, OPTIONS[name])


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A dataset repository, in a folder or on the Hub."""

    location: str  # what load_dataset is given
    name: str  # folder name or Hub id: results name no machine's paths
    revision: str | None  # commit on the Hub; None for a folder
    manifest_sha256: str | None
    fingerprint: str  # changes whenever the data does
    classes: ClassMap


def open_repository(repo: str, revision: str | None = None) -> Repository:
    """Find a dataset and read its class map; ``EvaluationError`` if there is none.

    ``repo`` is a folder, or an id ``OWNER/NAME`` on the Hub, where ``revision`` (tag, branch or commit) is required, so
    that a score names the data it is of; it is resolved to a commit once, so that no run mixes two.
    """
    local = Path(repo).is_dir()
    _require(local or re.fullmatch(r"[\w.-]+/[\w.-]+", repo), f"{repo}: neither a folder nor a Hub id OWNER/NAME", 2)
    _require(not (local and revision), f"{repo} is a folder: it has no revision", 2)
    _require(local or revision, f"{repo}: a dataset on the Hub needs --revision, a tag or commit", 2)
    folder = Path(repo).resolve() if local else _fetch_papers(repo, revision)  # the cache names it by commit
    commit = None if local else folder.name
    class_map, manifest = folder / "class_map.json", folder / "manifest.json"
    _require(class_map.is_file(), f"{repo}: expected class_map.json in the dataset, found none")
    manifest_sha256 = file_sha256(manifest) if manifest.is_file() else None
    return Repository(
        location=repo,
        name=folder.name if local else repo,
        revision=commit,
        manifest_sha256=manifest_sha256,
        fingerprint=manifest_sha256 or (f"revision:{commit}" if commit else _folder_fingerprint(folder)),
        classes=parse_class_map(class_map.read_text(encoding="utf-8")),
    )


def _fetch_papers(repo: str, revision: str | None) -> Path:
    """The Hub's class map and manifest, in a cache folder that is named after the commit."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repo, repo_type="dataset", revision=revision, allow_patterns=["*.json"]))
    except (OSError, ValueError) as error:
        raise EvaluationError(f"{repo}@{revision}: the Hub did not give it: {error}", 3) from error


def _folder_fingerprint(folder: Path) -> str:
    shards = [*sorted(folder.rglob("*.parquet")), folder / "class_map.json"]
    text = "\0".join(f"{path.relative_to(folder).as_posix()}\0{file_sha256(path)}" for path in shards)
    return f"files:{hashlib.sha256(text.encode()).hexdigest()}"


def list_configs(repository: Repository, asked: Sequence[str] | None = None) -> list[str]:
    """The configs asked for, else all of the dataset, known ones in the order of the tables."""
    from datasets import get_dataset_config_names

    present = set(get_dataset_config_names(repository.location, revision=repository.revision))
    absent = set(asked or ()) - present
    _require(not absent, f"{repository.name} has no config {_listed(absent)}; it has {_listed(present)}", 2)
    return sorted(present if asked is None else set(asked), key=_config_rank)


def _config_rank(name: str) -> tuple[int, str]:
    return (CONFIG_ORDER.index(name) if name in CONFIG_ORDER else len(CONFIG_ORDER), name)


def load_rows(
    repository: Repository,
    config: str,
    split: str,
    limit: int | None,
    columns: Sequence[str] = ("draw",),
    ids: Collection[str] | None = None,
) -> Table:
    """Rows of one config with image (stored bytes), label, image_id and ``columns``, as a ``datasets.Dataset``.

    With ``limit`` only the images of the config's smallest ids; with ``ids`` only those images, none if it has none.
    ``EvaluationError`` if the config lacks the split, pixels or labels, or its classes are not the map's.
    """
    import datasets

    place, commit = f"{repository.name}/{config}", repository.revision
    # datasets does not notice that the files of a local folder have changed: it gets a cache for each fingerprint
    cache = None if commit else str(Path(datasets.config.HF_DATASETS_CACHE, repository.fingerprint[-16:]))
    try:
        table = datasets.load_dataset(repository.location, config, split=split, revision=commit, cache_dir=cache)
    except (OSError, ValueError) as error:
        raise EvaluationError(f"{place}: {error}", 3 if isinstance(error, OSError) else 2) from error
    _require("image" in table.column_names, f"{place}: holds no images (a recipe release); rebuild it first")
    names, wanted = tuple(getattr(table.features["label"], "names", ())), repository.classes.names
    _require(names == wanted, f"{place}: expected the labels of class_map.json, {', '.join(wanted)}; got {names}")
    lacking = set(columns) - set(table.column_names)
    _require(not lacking, f"{place}: has no column {_listed(lacking)}, which this protocol needs")
    table = table.select_columns(["image", "label", "image_id", *columns])
    for column in {"image", "object_mask"} & set(table.column_names):
        table = table.cast_column(column, datasets.Image(decode=False))
    if limit is not None or ids is not None:
        found = table["image_id"][:]
        kept = set(sorted(set(found))[:limit]) if ids is None else set(ids)
        table = table.select([row for row, image_id in enumerate(found) if image_id in kept])
    unlabelled = sum(label is None or label < 0 for label in table["label"][:])
    _require(len(table) or ids is not None, f"{place}: {EMPTY}")
    _require(not unlabelled, f"{place}: {unlabelled} rows have no label")
    return table


def open_image(stored: bytes | None, record: str) -> Image.Image:
    """Decode an image to RGB; ``EvaluationError`` if that cannot be done."""
    if stored is None:
        raise EvaluationError(f"{record}: the dataset holds a path instead of the image")
    try:
        return Image.open(io.BytesIO(stored)).convert("RGB")
    except (OSError, Image.DecompressionBombError) as error:
        raise EvaluationError(f"{record}: the image cannot be decoded: {error}") from error


def decode_image(stored: bytes | None, size_hw: tuple[int, int], interpolation: str, record: str) -> Images:
    """Decode an image and resize it whole, antialiased, to ``(H, W, 3)`` uint8 RGB; nothing is cropped."""
    whole = Transform(size_hw=size_hw, crop_pct=1, crop_mode="squash", interpolation=interpolation)
    return np.asarray(whole.crops(stored, record)[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Transform:
    """How a photo of any size becomes a model's input: resized, then cropped; the geometry is torchvision's and timm's.

    The short side is resized to the input ÷ ``crop_pct``, rounded down, and the long side truncated (``squash``: both
    sides, whatever the aspect); the crop's offset is rounded half to even. A ``crop_pct`` above 1 leaves a black rim.
    """

    size_hw: tuple[int, int]  # of the input, pixels; a square but for squash
    crop_pct: float
    crop_mode: str
    interpolation: str  # Pillow's name; always antialiased

    def resized_hw(self, stored_hw: tuple[int, int]) -> tuple[int, int]:
        """Size after resizing, pixels."""
        height, width = (math.floor(side / self.crop_pct) for side in self.size_hw)
        if self.crop_mode == "squash":
            return height, width
        short, long = sorted(stored_hw)
        scaled = int(height * long / short)
        return (height, scaled) if stored_hw[0] <= stored_hw[1] else (scaled, height)

    def crops(self, stored: bytes | None, record: str, *, five: bool = False) -> Images:
        """The centre crop ``(1, H, W, 3)`` of an encoded photo, or with ``five`` the corners and the centre."""
        return self.crop(open_image(stored, record), record, five=five)

    def crop(self, image: Image.Image, record: str, *, five: bool = False) -> Images:
        """The same of a decoded photo."""
        resized = self.resized_hw((image.height, image.width))
        _require(math.prod(resized) <= MAX_PIXELS, f"{record}: too narrow: {image.size} would be resized to {resized}")
        if image.size != resized[::-1]:
            image = image.resize(resized[::-1], Image.Resampling[self.interpolation.upper()])
        rows, columns = _offsets(image.height, self.size_hw[0]), _offsets(image.width, self.size_hw[1])
        places = [(rows[1], columns[1])]
        if five:
            places = [*itertools.product((rows[0], rows[2]), (columns[0], columns[2])), *places]
        height, width = self.size_hw
        return np.stack([np.asarray(image.crop((x, y, x + width, y + height))) for y, x in places])


def _offsets(have: int, want: int) -> tuple[int, int, int]:
    """Where a crop begins at the near end, in the middle, at the far end; all in the middle where it is the larger."""
    if have < want:
        return (-((want - have) // 2),) * 3
    return 0, round((have - want) / 2), have - want


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """A model's answers on one config: ``(R,)`` arrays, one entry a row."""

    image_id: NDArray[np.str_]
    draw: Ints
    label: Ints
    predicted: Ints  # raw argmax over all outputs, without a background column
    mapped: Ints  # class index, negative outside the map
    probability: Floats  # the largest, in [0, 1]
    label_space: NDArray[np.str_]  # "map" or "head", of shape (): an array so that it is stored like the rest


def predict(
    adapter: Adapter, table: Table, classes: ClassMap, config: str, size: int = 32, progress: Progress | None = None
) -> Predictions:
    """Run a model over rows of ``load_rows``; ``EvaluationError`` if an image or an answer is unusable."""

    def judge(logits: Logits, rows: slice) -> dict[str, NDArray[Any]]:
        space = find_label_space(logits.shape[1], classes, _option(adapter, "label_space"))
        raw, mapped = map_predictions(logits, classes, space)
        largest = _probabilities(adapter, drop_background(logits, space)).max(axis=1)
        spaces = np.full(len(raw), space)
        return {"predicted": raw, "mapped": mapped, "probability": largest, "label_space": spaces}

    found = answer_rows(adapter, table, config, judge, size=size, progress=progress)
    space = found.pop("label_space")[0]
    draw = np.array(table["draw"][:], dtype=np.int64)
    return Predictions(**_row_names(table), draw=draw, label_space=np.array(space), **found)


def _row_names(table: Table) -> dict[str, NDArray[Any]]:
    return {"image_id": np.array(table["image_id"][:]), "label": np.array(table["label"][:], dtype=np.int64)}


def _probabilities(adapter: Adapter, answers: Logits) -> Floats:
    """Answers ``(…, K)`` as shares, in float64."""
    kept = answers.astype(np.float64)
    return kept if _option(adapter, "outputs") == "probabilities" else np.asarray(softmax(kept, axis=-1))


def answer_rows(
    adapter: Adapter,
    table: Table,
    config: str,
    judge: Callable[[Logits, slice], Mapping[str, NDArray[Any]]],
    *,
    show: Callable[[bytes | None, str], Images] | None = None,
    size: int = 32,
    progress: Progress | None = None,
) -> dict[str, NDArray[Any]]:
    """Run a model over rows and join what ``judge`` says of each batch's logits ``(N, K)`` and rows, by name.

    ``show`` makes the views of an encoded image, ``(V, H, W, 3)`` of the model's input size, by default the whole
    canvas; with several views the logits are those of each row's views in turn, ``(N · V, K)``.
    """
    ids, parts, stop = table["image_id"][:], [], 0
    filter_ = _option(adapter, "interpolation")
    _require(filter_.upper() in Image.Resampling.__members__, f"{adapter.name}: no filter {filter_!r} in Pillow")
    whole = Transform(size_hw=adapter.input_size_hw, crop_pct=1, crop_mode="squash", interpolation=filter_)
    for views in _batches(table, config, size, show or whole.crops, ahead=not _option(adapter, "on_cpu")):
        start, stop = stop, stop + len(views)
        records = [f"{config}/{name}" for name in ids[start:stop] for _ in range(views.shape[1])]
        parts.append(judge(_checked_logits(adapter, views.reshape(-1, *views.shape[2:]), records), slice(start, stop)))
        if progress is not None:
            progress(config, stop, len(ids))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _batches(
    table: Table, config: str, size: int, show: Callable[[bytes | None, str], Images], ahead: bool
) -> Iterator[Images]:
    """Views ``(N, V, H, W, 3)``, decoded by threads (Pillow releases the GIL), the next ones ``ahead`` of the model."""
    waiting: deque[list[Future[Images]]] = deque()
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for start in range(0, len(table), size):
            rows = table[start : start + size]
            pairs = zip(rows["image"], rows["image_id"], strict=True)
            waiting.append([pool.submit(show, image["bytes"], f"{config}/{name}") for image, name in pairs])
            while len(waiting) > (ahead and start + size < len(table)):
                yield np.stack([job.result() for job in waiting.popleft()])


def write_predictions(path: Path, arrays: Mapping[str, NDArray[Any]], key: str) -> None:
    """Write arrays whole or not at all, without pickle, with the key of what they are of."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, key=np.array(key), **arrays)
    _write_whole(path, buffer.getvalue())


def read_predictions(path: Path, key: str) -> dict[str, NDArray[Any]] | None:
    """Read stored arrays; None where there are none, or they are damaged, or of something else than ``key``."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files if name != "key"}
            return arrays if str(stored["key"]) == key else None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _write_whole(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def pair_outcomes(predictions: Mapping[str, Predictions]) -> tuple[Ints, dict[str, Bools]]:
    """Bring every config into one order of images, by id: labels ``(I,)`` and right or wrong ``(I, D)`` by config.

    ``EvaluationError`` if two configs hold other images or labels, or an image lacks draws or has one twice.
    """
    _require(predictions, "nothing to score: expected at least one config, got none", 2)
    arranged = {config: _arrange(config, found) for config, found in predictions.items()}
    reference = "original" if "original" in arranged else next(iter(arranged))
    ids, labels, _ = arranged[reference]
    for config, (found, its_labels, _) in arranged.items():
        missing, extra = np.setdiff1d(ids, found), np.setdiff1d(found, ids)
        got = f"{len(missing)} missing ({_listed(missing)}), {len(extra)} extra ({_listed(extra)})"
        paired = not len(missing) and not len(extra)
        _require(paired, f"{config}: expected the image_ids of {reference}, so that images pair; got {got}")
        other = ids[labels != its_labels]
        _require(not len(other), f"{config}: expected the labels of {reference}, got others for {_listed(other)}")
    return labels, {config: correct for config, (_, _, correct) in arranged.items()}


def _arrange(config: str, found: Predictions) -> tuple[NDArray[np.str_], Ints, Bools]:
    order = np.lexsort((found.draw, found.image_id))
    ids, counts = np.unique(found.image_id, return_counts=True)
    draws = int(counts.max(initial=1))
    uneven = ids[counts != draws]
    _require(not len(uneven), f"{config}: expected {draws} draws of every image, got fewer of {_listed(uneven)}")
    drawn, labels = found.draw[order].reshape(-1, draws), found.label[order].reshape(-1, draws)
    twice = (drawn != drawn[:1]).any(axis=1) | (np.diff(drawn, axis=1) == 0).any(axis=1)
    wrong = _listed(ids[twice | (labels != labels[:, :1]).any(axis=1)])
    _require(not wrong, f"{config}: expected each draw once and one label an image; got others for {wrong}")
    return ids, labels[:, 0].copy(), (found.mapped == found.label)[order].reshape(-1, draws)


def evaluate(
    repo: str,
    model_spec: str,
    *,
    revision: str | None = None,
    configs: Sequence[str] | None = None,
    split: str = "test",
    protocol: str | None = None,
    feed: str = "canvas",
    batch_size: int = 32,
    limit: int | None = None,
    out: str | os.PathLike[str] | None = None,
    bootstrap: int = 10_000,
    seed: int = 0,
    cluster: str = "image",
    device: str = "cpu",
    noise: NoiseSettings | None = None,
    masks_from: str | None = None,
    challenge: Sequence[str] = (),
    eval_results_yaml: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Score one model on a dataset; JSON-ready results, shares in [0, 1]. ``EvaluationError`` names what is at fault.

    ``repo`` and ``revision`` are as ``open_repository`` takes them, ``model_spec`` and ``device`` as ``load_model``,
    ``feed`` as ``feed_adapter``. ``protocol`` is one of ``PROTOCOLS``, by default whichever the dataset's configs are
    made for. Only ``configs`` are scored, all of the protocol by default, and of them only the images of the ``limit``
    smallest ids. ``batch_size`` is images a forward pass, ``bootstrap`` resamples from ``seed`` behind the intervals;
    ``cluster`` is what is resampled, ``image`` or, for ``imagenet_a`` and ``background_check``, ``class``. ``noise``
    and ``masks_from``, another dataset of the same photos to take object masks from, are for ``rival10``; rules of
    ``CHALLENGE`` are for ``imagenet9``. ``out`` is a folder for predictions and results, from which a killed run goes
    on, ``eval_results_yaml`` a file for what ``format_eval_results`` makes of them.
    """
    least = min(batch_size, bootstrap, 1 if limit is None else limit)
    _require(least > 0, f"batch size, bootstrap and limit: expected at least 1, got {least}", 2)
    repository = open_repository(str(repo), revision)
    named_on_hub = eval_results_yaml is None or repository.revision
    _require(named_on_hub, "eval results name a dataset on the Hub: give its id and a revision, not a folder", 2)
    adapter = feed_adapter(load_model(model_spec, device=device), feed)
    named = _option(adapter, "class_names")
    own = named is None or tuple(named) == repository.classes.names
    _require(own, f"{adapter.name}: answers in {named}, not in the dataset's {_listed(repository.classes.names)}")
    protocol = protocol or find_protocol(list_configs(repository))
    _require(protocol in PROTOCOLS, f"protocol: expected {' or '.join(PROTOCOLS)}, got {protocol!r}", 2)
    _require(cluster in CLUSTERS, f"cluster: expected {' or '.join(CLUSTERS)}, got {cluster!r}", 2)
    five = protocol == "imagenet_a" and (configs is None or FIVE_CROP in configs)
    asked = [config for config in configs if not (five and config == FIVE_CROP)] if configs else None
    cropping = ("crop_pct", "crop_mode") if protocol == "imagenet_a" else ()
    key = {  # everything that decides a prediction: stored predictions of any other key are stale
        "schema": SCHEMA_VERSION,
        "fingerprint": repository.fingerprint,
        "protocol": protocol,
        "model": adapter.name,
        "weights_sha256": adapter.weights_sha256,
        "input_size_hw": tuple(adapter.input_size_hw),
        "feeding": {name: _option(adapter, name) for name in ("interpolation", "mean", "std", "outputs", *cropping)},
        "split": split,
        "feed": feed,
        "limit": limit,
        "device": device,
    }
    job = Job(
        repository=repository,
        adapter=adapter,
        configs=list_configs(repository, asked) + [FIVE_CROP] * five,
        split=split,
        limit=limit,
        batch_size=batch_size,
        out=Path(out) if out else None,
        bootstrap=bootstrap,
        seed=seed,
        sampling={"count": bootstrap, "seed": seed, "cluster": cluster},
        key=key,
        progress=progress,
    )
    noisy = masks_from is not None or noise is not None
    _require(protocol == "rival10" or not noisy, f"noise and masks are for rival10, not for {protocol}", 2)
    strange = set(challenge) - set(CHALLENGE)
    _require(not strange, f"challenge: expected {', '.join(CHALLENGE)} with commas, got {_listed(strange)}", 2)
    _require(protocol == "imagenet9" or not challenge, f"the challenge is for imagenet9, not for {protocol}", 2)
    clustered = protocol in ("imagenet_a", "background_check")
    _require(clustered or cluster == "image", f"cluster {cluster} is not for {protocol}", 2)
    run: dict[str, Callable[[Job], dict[str, Any]]] = {
        "imagenet9": functools.partial(_run_imagenet9, rules=[rule for rule in CHALLENGE if rule in challenge]),
        "rival10": functools.partial(_run_rival10, settings=noise or NoiseSettings(), masks_from=masks_from),
        "imagenet_a": _run_imagenet_a,
        "background_check": _run_background_check,
    }
    summary = run[protocol](job)
    libraries = {"datasets", "numpy", "pillow", "scipy", *_option(adapter, "libraries")}
    dataset = {name: getattr(repository, name) for name in ("name", "revision", "manifest_sha256", "fingerprint")}
    result = {
        **key,
        "dataset": {**dataset, "class_map": repository.classes.name, "split": split},
        "libraries": {name: importlib.metadata.version(name) for name in sorted(libraries)},
        "parameters": _option(adapter, "parameters"),
        "bootstrap": bootstrap,
        "seed": seed,
        "cluster": cluster,
        **summary,
    }
    if out is not None:
        _write_whole(Path(out, f"{_file_stem(job.key)}.json"), (_json_text(result) + "\n").encode())
    if eval_results_yaml is not None:
        _write_whole(Path(eval_results_yaml), format_eval_results(result).encode())
    return result


def measured_by(config: str) -> str | None:
    """What a config of protocol background_check measures: influence, invariance or neither."""
    return next((kind for kind in MEASURES if config.startswith(f"bg_{kind}_")), None)


def find_protocol(configs: Collection[str]) -> str:
    """The protocol that a dataset's configs are made for."""
    if any(measured_by(config) for config in configs):
        return "background_check"
    if {"plus", "center_zoom"} & set(configs):
        return "imagenet_a"
    return "rival10" if {*ABLATIONS, *ATTRIBUTE_CONFIGS} & set(configs) else "imagenet9"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One model on one dataset."""

    repository: Repository
    adapter: Adapter
    configs: Sequence[str]
    split: str
    limit: int | None
    batch_size: int
    out: Path | None
    bootstrap: int
    seed: int
    sampling: Mapping[str, Any]  # of bootstrap_means
    key: dict[str, Any]
    progress: Progress | None
    kept: Collection[str] | None = None  # the only images to score; None for all

    def rows(self, config: str, columns: Sequence[str]) -> Table:
        """Rows of a config."""
        return load_rows(self.repository, config, self.split, self.limit, columns, self.kept)

    def limited(self) -> Job:
        """The same with the limit taken of ``original``; configs that hold none of its images then are left out."""
        name = self.key["protocol"]
        _require("original" in self.configs, f"{name} needs the config original; got {_listed(self.configs)}", 2)
        if self.limit is None:
            return self
        job = dataclasses.replace(self, kept=frozenset(self.rows("original", [])["image_id"]))
        left = [config for config in self.configs if config == FIVE_CROP or len(job.rows(config, []))]
        return dataclasses.replace(job, configs=left)

    def remembered(self, configs: Sequence[str], run: Callable[[str], Answers]) -> dict[str, Answers]:
        """Arrays of every config's answers: stored ones of the very same job, else made by ``run``, and stored."""
        found = {}
        for config in configs:
            text = json.dumps({**self.key, "config": config}, sort_keys=True)
            path = self.predictions_path(config)
            stored = read_predictions(path, text) if path else None
            found[config] = run(config) if stored is None else stored
            if path and stored is None:
                write_predictions(path, found[config], text)
            elif stored is not None and self.progress is not None:
                rows = len(next(iter(stored.values())))
                self.progress(config, rows, rows)
        return found

    def predictions_path(self, config: str) -> Path | None:
        """Where a config's answers are stored; None without a folder."""
        return self.out / "predictions" / f"{_file_stem(self.key)}.{config}.npz" if self.out else None


def _run_imagenet9(job: Job, rules: Sequence[str]) -> dict[str, Any]:
    def run(config: str) -> dict[str, NDArray[Any]]:
        table = job.rows(config, ["draw"])
        return _arrays(predict(job.adapter, table, job.repository.classes, config, job.batch_size, job.progress))

    needed = list_configs(job.repository, CHALLENGE_CONFIGS) if rules else []
    stored = job.remembered(list(dict.fromkeys([*job.configs, *needed])), run)
    found = {config: Predictions(**arrays) for config, arrays in stored.items()}
    scored = {config: found[config] for config in job.configs}
    summary = summarise(scored, job.repository.classes, bootstrap=job.bootstrap, seed=job.seed)
    if rules:
        pair_outcomes({config: found[config] for config in needed})
        pair = _run_challenge(job, rules, found["only_bg_t"]), found["original"]
        summary["challenge"] = summarise_challenge(*pair, rules, job.repository.classes, **job.sampling)
    return summary


def _run_challenge(job: Job, rules: Sequence[str], alone: Predictions) -> Challenged:
    """Search grounds for all figures, in parts that are stored; ``alone`` are the answers on the grounds themselves."""
    figures, grounds = job.rows("original", ["object_mask"]), job.rows("only_bg_t", [])
    names, under = _row_names(figures), _row_names(grounds)
    tells = dict(zip(alone.image_id, np.where(alone.mapped == alone.label, alone.probability, 0), strict=True))
    search = GroundSearch(under["label"], np.array([tells[name] for name in under["image_id"]]), rules)
    answer = answer_pasted(job.adapter, figures, grounds, job.repository.classes)
    order = np.lexsort((names["image_id"], names["label"]))
    job, parts = dataclasses.replace(job, key={**job.key, "challenge": list(rules)}), list[dict[str, Any]]()

    def run(part: str) -> Answers:
        start = int(part.partition("-")[2])
        rows = order[start : start + CHALLENGE_PART]

        def show(done: int) -> None:
            if job.progress is not None:
                job.progress("challenge", start + done, len(order))

        def ask(own: Ints, ground: Ints) -> Ints:
            return answer(rows[own], ground)

        found, shown = search.run(names["label"][rows], ask, job.batch_size, show)
        ids = np.append(under["image_id"], "")[found]
        kept = {name: values[rows] for name, values in names.items()}
        return {**kept, "ground_id": ids, "shown": shown, "tries": search.tries, "hits": search.hits}

    for start in range(0, len(order), CHALLENGE_PART):
        part = f"challenge-{start}"
        parts.append(dict(job.remembered([part], run)[part]))
        search.tries, search.hits = parts[-1].pop("tries"), parts[-1].pop("hits")
    return Challenged(**{name: np.concatenate([part[name] for part in parts]) for name in Challenged.__slots__})


def _run_imagenet_a(job: Job) -> dict[str, Any]:
    job, classes, adapter = job.limited(), job.repository.classes, job.adapter
    feeding = {name: _option(adapter, name) for name in ("crop_pct", "crop_mode", "interpolation")}
    transform = Transform(size_hw=(adapter.input_size_hw[0], adapter.input_size_hw[1]), **feeding)
    keeps = transform.crop_mode == "center" and transform.size_hw[0] == transform.size_hw[1]
    wanted = f"{adapter.name}: expected crop_mode squash, or center for a square input, and crop_pct above 0"
    _require(transform.crop_pct > 0 and (keeps or transform.crop_mode == "squash"), f"{wanted}; got {transform}")

    def run(config: str) -> Answers:
        five = config == FIVE_CROP
        table = job.rows("original" if five else config, [])
        names = _row_names(table)

        def judge(logits: Logits, rows: slice) -> Answers:
            return judge_masked(adapter, logits, names["label"][rows], classes)

        show = functools.partial(transform.crops, five=five)
        size = max(1, job.batch_size // 5) if five else job.batch_size
        return names | answer_rows(adapter, table, config, judge, show=show, size=size, progress=job.progress)

    stored = job.remembered(job.configs, run)
    figures = read_figures(job.rows("plus", ["provenance", "attributes"])) if "plus" in stored else {}
    summaries = {
        space: summarise_imagenet_a(found, figures, classes, space, **job.sampling)
        for space, found in _by_space(stored, MaskedAnswers)
    }
    feeding = {**dataclasses.asdict(transform), "antialias": True, FIVE_CROP: "mean of the crops' softmax"}
    told = {"headline": "accuracy_micro", "undecidable_below": MIN_DECIDABLE}
    return {**told, "transform": feeding, "label_spaces": summaries}


def _run_rival10(job: Job, settings: NoiseSettings, masks_from: str | None) -> dict[str, Any]:
    job = job.limited()
    scored = {"original", *ABLATIONS, *ABLATIONS.values(), *ATTRIBUTE_CONFIGS}
    configs = [config for config in job.configs if config in scored]
    masks, mask_source = None, None
    if masks_from is not None:
        other = open_repository(masks_from)
        table = load_rows(other, "original", job.split, None, ["object_mask"])
        masks = {name: mask["bytes"] for name, mask in zip(table["image_id"], table["object_mask"], strict=True)}
        mask_source = {"name": other.name, "fingerprint": other.fingerprint}
    described = {"noise": {**dataclasses.asdict(settings), "undefined": None}, "masks_from": mask_source}
    job = dataclasses.replace(job, key={**job.key, **described})

    def run(config: str) -> dict[str, NDArray[Any]]:
        noisy = config == "original"
        measured = measure(
            job.adapter,
            job.rows(config, ["object_mask", "source_label", "attribute"]),
            job.repository.classes,
            config,
            conditions=settings.conditions() if noisy else (CLEAN,),
            trials=settings.trials if noisy else 1,
            masks=masks if noisy else None,
            size=job.batch_size,
            progress=job.progress,
        )
        return {f"{space}.{name}": value for space, each in measured.items() for name, value in _arrays(each).items()}

    stored = job.remembered(configs, run)
    summaries = {
        space: summarise_rival10(found, job.repository.classes, settings, bootstrap=job.bootstrap, seed=job.seed)
        for space, found in _by_space(stored, Outcomes)
    }
    path = job.predictions_path("original")
    return {
        **described,
        "rfs_undefined": settings.undefined,
        "headline": "accuracy_macro",
        "label_spaces": summaries,
        "conditions": [dataclasses.asdict(condition) for condition in settings.conditions()],
        "noise_rounded_to_uint8": not _option(job.adapter, "takes_float"),
        "predictions": path.relative_to(job.out).as_posix() if path and job.out else None,
    }


def _run_background_check(job: Job) -> dict[str, Any]:
    job, classes = job.limited(), job.repository.classes

    def run(config: str) -> Answers:
        table = job.rows(config, ["source_label"])
        names, wnids = _row_names(table), np.array([str(wnid or "") for wnid in table["source_label"][:]])

        def judge(logits: Logits, rows: slice) -> Answers:
            judged = judge_answers(job.adapter, logits, names["label"][rows], wnids[rows], classes)
            return {f"{space}.right": right for space, (right, _) in judged.items()}

        return names | answer_rows(job.adapter, table, config, judge, size=job.batch_size, progress=job.progress)

    stored = job.remembered(job.configs, run)
    summaries = {
        space: summarise_background_check(found, classes, **job.sampling)
        for space, found in _by_space(stored, RowAnswers)
    }
    return {"headline": "accuracy_macro", "undecidable_below": MIN_DECIDABLE, "label_spaces": summaries}


def _by_space(stored: Mapping[str, Answers], record: type[Any]) -> Iterator[tuple[str, Any]]:
    """Every label space with its answers by config; arrays are stored as ``SPACE.NAME`` or, where shared, ``NAME``."""
    for space in sorted({name.split(".")[0] for name in stored["original"] if "." in name}):
        fields = {field.name: (f"{space}.{field.name}", field.name) for field in dataclasses.fields(record)}
        yield (
            space,
            {
                config: record(**{name: arrays[key] for name, keys in fields.items() for key in keys if key in arrays})
                for config, arrays in stored.items()
            },
        )


def _arrays(record: Any) -> dict[str, NDArray[Any]]:  # noqa: ANN401  a dataclass of arrays
    return {name: getattr(record, name) for name in record.__slots__}


def _file_stem(key: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', key['model'])[:80]}.{digest[:16]}"


def _json_text(value: Any) -> str:  # noqa: ANN401  any JSON value
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)


def summarise(found: Mapping[str, Predictions], classes: ClassMap, *, bootstrap: int, seed: int) -> dict[str, Any]:
    """All metrics of one model's answers by config, JSON-ready, with intervals; configs must pair."""
    labels, columns = pair_outcomes(found)
    absent = _absent(CATEGORY_CONFIGS, columns)
    shares = {} if absent else image_categories(*(columns[config] for config in CATEGORY_CONFIGS))
    samples = _bootstrap_columns({**columns, **shares}, labels, bootstrap, seed)
    sizes = _sizes(labels, classes)
    configs = {}
    for name, answers in found.items():
        correct, per_class = columns[name], accuracy_per_class(columns[name], labels)
        configs[name] = {
            "accuracy_micro": accuracy_micro(correct),
            "accuracy_macro": accuracy_macro(correct, labels),
            **_spread(correct, labels, samples[name]),
            "n": len(labels),
            "draws": correct.shape[1],
            "n_per_class": sizes["n_per_class"],
            "per_class_accuracy": {owner: per_class.get(index) for index, owner in enumerate(classes.names)},
            "unmapped_share": float((answers.mapped < 0).mean()),
        }
    return {
        "label_space": str(next(iter(found.values())).label_space),
        "headline": "accuracy_macro",
        "n": len(labels),
        "balanced": sizes["balanced"],
        "chance": 1 / len(classes.names),
        "configs": configs,
        "chance_note": CHANCE_NOTE,
        "differences": {
            name: _absent(pair, columns) or _difference(pair, columns, labels, samples[pair[0]] - samples[pair[1]])
            for name, pair in DIFFERENCES.items()
        },
        "categories": {
            key: absent or {"value": accuracy_macro(shares[key], labels), **_spread(shares[key], labels, samples[key])}
            for key in CATEGORIES
        },
    }


def _sizes(labels: Ints, classes: ClassMap) -> dict[str, Any]:
    counts = np.bincount(labels, minlength=len(classes.names)).tolist()
    by_name = dict(zip(classes.names, counts, strict=True))
    return {"n": len(labels), "n_per_class": by_name, "balanced": len(set(counts)) == 1}


def _absent(needed: Sequence[str], columns: Collection[str]) -> dict[str, Any]:
    """What stands for a figure whose configs were not scored; empty where all of them were."""
    absent = [config for config in needed if config not in columns]
    return {"value": None, "reason": f"not scored: {', '.join(absent)}"} if absent else {}


def _bootstrap_columns(columns: Mapping[str, Bools], labels: Ints, count: int, seed: int) -> dict[str, Floats]:
    draws = {values.shape[1] for values in columns.values()} - {1}
    _require(len(draws) < 2, f"expected one number of draws in all configs that have several, got {sorted(draws)}")
    shape = (len(labels), max(draws, default=1))
    stacked = np.stack([np.broadcast_to(values, shape) for values in columns.values()], axis=1).astype(np.float64)
    samples = bootstrap_class_means(stacked, labels, count=count, seed=seed)
    return {name: samples[:, index] for index, name in enumerate(columns)}


def _spread(outcomes: Bools, labels: Ints, samples: Floats) -> dict[str, Any]:
    return {"ci95": bootstrap_interval(samples, outcomes), "sd_between_draws": sd_between_draws(outcomes, labels)}


def _difference(pair: Sequence[str], columns: Mapping[str, Bools], labels: Ints, gap: Floats) -> dict[str, Any]:
    first, second = (columns[config] for config in pair)
    low, high = bootstrap_interval(gap)
    single = first.shape[1] == second.shape[1] == 1
    return {
        "value": accuracy_macro(first, labels) - accuracy_macro(second, labels),
        "minuend": pair[0],
        "subtrahend": pair[1],
        "ci95": [low, high],
        "excludes_zero": low > 0 or high < 0,
        "mcnemar_p": mcnemar_exact(first[:, 0], second[:, 0]) if single else None,
        "sd_between_draws": sd_between_draws(first.astype(np.float64) - second, labels),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class RowAnswers:
    """Answers of a model on one config in one label space: R rows, of which an image may have several."""

    image_id: NDArray[np.str_]  # (R,)
    label: Ints  # (R,)
    right: Bools  # (R,)


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskedAnswers(RowAnswers):
    """The same in a label space of the protocol imagenet_a."""

    top5: Bools  # (R,) whether the true class is among the first five outputs
    confidence: Floats  # (R,) the largest probability in the label space, in [0, 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageShares:
    """One config by image: what each image's rows average to."""

    image_id: NDArray[np.str_]  # (I,), sorted
    label: Ints  # (I,)
    rows: Ints  # (I,) rows of each image
    value: Floats  # (I,) in [0, 1]

    def mean(self, over: str) -> float:
        """Mean over ``images``, or over ``classes`` of class means."""
        strata = self.label if over == "classes" else np.zeros_like(self.label)
        return float(np.mean([self.value[strata == label].mean() for label in np.unique(strata)]))


def average_rows(config: str, answers: RowAnswers, values: Bools) -> ImageShares:
    """Mean of ``(R,)`` values over the rows of each image; ``EvaluationError`` if an image has two labels."""
    ids, first, place, rows = np.unique(answers.image_id, return_index=True, return_inverse=True, return_counts=True)
    labels = answers.label[first]
    mixed = np.unique(answers.image_id[answers.label != labels[place]])
    _require(not len(mixed), f"{config}: expected one label an image; got others for {_listed(mixed)}")
    return ImageShares(image_id=ids, label=labels, rows=rows, value=np.bincount(place, weights=values) / rows)


def pair_images(first: ImageShares, second: ImageShares) -> tuple[ImageShares, ImageShares]:
    """Both cut to the images that both have, in one order; ``EvaluationError`` if there is none, or labels differ."""
    _, *places = np.intersect1d(first.image_id, second.image_id, assume_unique=True, return_indices=True)
    first, second = (
        ImageShares(**{name: values[place] for name, values in _arrays(side).items()})
        for side, place in zip((first, second), places, strict=True)
    )
    mixed = first.image_id[first.label != second.label]
    _require(not len(mixed), f"expected one label an image in every config; got others for {_listed(mixed)}")
    _require(len(first.label), "expected configs that share images with original; got one that shares none")
    return first, second


def measure_accuracy(right: ImageShares, **sampling: Any) -> dict[str, Any]:  # noqa: ANN401  of bootstrap_means
    """Accuracy over images and over class means, with intervals; ``ci95`` is that of the class means."""
    micro, macro = (
        varying_interval(bootstrap_means(right.value[:, None], right.label, over=over, **sampling)[:, 0], right.value)
        for over in ("images", "classes")
    )
    return {
        "n": len(right.label),
        "n_rows": int(right.rows.sum()),
        "undecidable": len(right.label) < MIN_DECIDABLE,
        "accuracy_micro": right.mean("images"),
        "ci95_micro": micro,
        "accuracy_macro": right.mean("classes"),
        "ci95": macro,
    }


def compare_pairs(
    right: Mapping[str, ImageShares],
    pairs: Collection[tuple[str, str]],
    **sampling: Any,  # noqa: ANN401
) -> dict[str, dict[str, Any]]:
    """Difference and ratio over the images that both configs have, over images (micro) and class means (macro).

    Intervals are paired. McNemar's p is there where every image has one row in both; ratios leave out resamples whose
    subtrahend is 0.
    """
    return {
        f"{one}_minus_{two}": {
            "minuend": one,
            "subtrahend": two,
            **_compare(*pair_images(right[one], right[two]), **sampling),
        }
        for one, two in pairs
    }


def _compare(first: ImageShares, second: ImageShares, **sampling: Any) -> dict[str, Any]:  # noqa: ANN401
    both = np.stack([first.value, second.value], axis=1)
    single = max(first.rows.max(), second.rows.max()) == 1
    found: dict[str, Any] = {
        "n": len(first.label),
        "undecidable": len(first.label) < MIN_DECIDABLE,
        "mcnemar_p": mcnemar_exact(first.value == 1, second.value == 1) if single else None,
    }
    for name, over in (("micro", "images"), ("macro", "classes")):
        top, base = first.mean(over), second.mean(over)
        drawn = bootstrap_means(both, first.label, over=over, **sampling)
        ci95, defined = varying_interval(drawn[:, 0] - drawn[:, 1]), drawn[drawn[:, 1] > 0]
        found[name] = {
            "minuend": top,
            "subtrahend": base,
            "value": top - base,
            "ci95": ci95,
            "ratio": top / base if base else None,
            "ratio_ci95": varying_interval(defined[:, 0] / defined[:, 1]) if base else None,
        }
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class CroppedFigure:
    """What is known of the figure that a row of ``plus`` was cropped around."""

    box_share: float  # area of the object's box ÷ area of the photo, in [0, 1]
    instances: int
    traits: Mapping[str, bool]  # ``flag NAME`` where raised, ``attribute NAME`` where answered


def read_figures(table: Table) -> dict[str, CroppedFigure]:
    """Figures of ``plus`` by image_id, from its rows' parameters; ``EvaluationError`` names all that have others."""
    figures, faulty = {}, []
    for name, provenance, said in zip(table["image_id"], table["provenance"], table["attributes"], strict=True):
        try:
            figure = json.loads(provenance["params"])["figure"]
            flags = {f"flag {flag}": True for flag in figure.get("flags", [])}
            answered = {f"attribute {key}": value for key, value in (said or {}).items() if value is not None}
            share, instances = float(figure["crop"]["box_share"]), int(figure["crop"]["instances"])
            figures[name] = CroppedFigure(box_share=share, instances=instances, traits=flags | answered)
        except (ValueError, KeyError, TypeError, AttributeError):
            faulty.append(name)
    wanted = "figure.crop.box_share, figure.crop.instances and figure.flags in provenance.params"
    _require(not faulty, f"plus: expected {wanted}, got others for {_listed(faulty)}")
    return figures


def judge_masked(adapter: Adapter, logits: Logits, labels: Ints, classes: ClassMap) -> dict[str, NDArray[Any]]:
    """Of N rows whether they are right, and within the first five, and the largest probability, by ``SPACE.NAME``.

    The spaces are ``masked<C>``, argmax and softmax over the outputs of the dataset's C classes alone, which for
    ImageNet-A is called ``imagenet_a200`` (eval.py of hendrycks/natural-adv-examples), and ``1000``, over all outputs.
    A head of C outputs has the first only. Where a row has several views, ``(N · V, K)``, their probabilities in the
    space are averaged. Among equals the first output goes first.
    """
    space = find_label_space(logits.shape[1], classes, _option(adapter, "label_space"))
    masked = f"{'imagenet_a' if classes.name == 'imagenet_a' else 'masked'}{len(classes.names)}"
    flat = drop_background(logits, space)
    kept: Logits = flat.reshape(len(labels), -1, flat.shape[1])
    judged = {masked: (kept, labels)}
    if space == "map":
        outputs = masked_outputs(classes)
        judged = {masked: (kept[:, :, outputs], labels), "1000": (kept, outputs[labels])}
    found: dict[str, NDArray[Any]] = {}
    for name, (answers, true) in judged.items():
        shares = _probabilities(adapter, answers)
        total = shares.sum(axis=2, keepdims=True)  # 0 where a rounded softmax gave none of the classes anything
        mean = np.divide(shares, total, out=shares, where=total > 0).mean(axis=1)
        ordered = answers[:, 0] if answers.shape[1] == 1 else mean  # logits tell more apart than their softmax
        own = np.take_along_axis(ordered, true[:, None], axis=1)
        before = (ordered > own) | ((ordered == own) & (np.arange(ordered.shape[1]) < true[:, None]))
        rank = before.sum(axis=1)
        found |= {f"{name}.right": rank == 0, f"{name}.top5": rank < 5, f"{name}.confidence": mean.max(axis=1)}
    return found


def summarise_imagenet_a(
    found: Mapping[str, MaskedAnswers],
    figures: Mapping[str, CroppedFigure],
    classes: ClassMap,
    space: str,
    **sampling: Any,  # noqa: ANN401  of bootstrap_means
) -> dict[str, Any]:
    """All metrics of one model's answers by config in one label space, JSON-ready."""
    outputs = IMAGENET_CLASSES if space == "1000" else len(classes.names)
    right = {config: average_rows(config, answers, answers.right) for config, answers in found.items()}
    top5 = {config: average_rows(config, answers, answers.top5) for config, answers in found.items()}
    original = np.bincount(right["original"].label, minlength=len(classes.names))
    pairs = [(config, "original") for config in found if config != "original"]
    if "plus" in found:
        ids = {config: set(right[config].image_id) for config in CROP_CONTROLS if config in found}
        pairs += [("plus", config) for config, known in ids.items() if known & set(right["plus"].image_id)]
    return {
        **_sizes(right["original"].label, classes),
        "chance": 1 / outputs,
        "configs": {
            config: {
                **measure_accuracy(each, **sampling),
                "coverage": len(each.label) / int(original.sum()),
                "per_class": _measure_classes(each, original, classes),
                **_measure_confidence(found[config]),
                "top5": measure_accuracy(top5[config], **sampling) if outputs > 5 else None,
            }
            for config, each in right.items()
        },
        "differences": compare_pairs(right, pairs, **sampling),
        "slices": {
            f"{first}_minus_{second}": slice_difference(right[first], right[second], figures, classes, **sampling)
            for first, second in pairs
            if first == "plus" and second in ("original", "center_zoom")
        },
    }


def _measure_confidence(answers: MaskedAnswers) -> dict[str, Any]:
    """Calibration and AURRA over rows, as released and mended; bins of a tenth of the answers where they are few."""
    confidence, right = answers.confidence, answers.right
    aurra, aurra_released = (response_rate_accuracy(confidence, right, released=way) for way in (False, True))
    calibration: dict[str, Any] = {"value": None, "released": None}
    if len(right) < MIN_CALIBRATION:
        calibration["reason"] = f"{len(right)} answers, fewer than {MIN_CALIBRATION}"
    else:
        calibration["bin_size"] = min(CALIBRATION_BIN, len(right) // 10)
        calibration["value"] = rms_calibration_error(confidence, right, calibration["bin_size"])
        calibration["released"] = rms_calibration_error(confidence, right, CALIBRATION_BIN, released=True)
    return {"rms_calibration": calibration, "aurra": aurra, "aurra_released": aurra_released}


def _measure_classes(right: ImageShares, original: Ints, classes: ClassMap) -> dict[str, dict[str, Any]]:
    """Accuracy of every class with Wilson's interval, and which share of its photos in ``original`` the config has."""
    found = {}
    for index, owner in enumerate(classes.names):
        own, size = right.value[right.label == index], int(original[index])
        found[owner] = {
            "n": len(own),
            "undecidable": len(own) < MIN_DECIDABLE,
            "coverage": len(own) / size if size else None,
            "accuracy": float(own.mean()) if len(own) else None,
            "ci95": wilson_interval(round(own.sum()), len(own)) if len(own) else None,
        }
    return found


def slice_difference(
    minuend: ImageShares,
    subtrahend: ImageShares,
    figures: Mapping[str, CroppedFigure],
    classes: ClassMap,
    **sampling: Any,  # noqa: ANN401  of bootstrap_means
) -> dict[str, list[dict[str, Any]]]:
    """A difference within groups of images: by share of the box, instances, flags, attributes and class.

    Groups of the box's share are quantiles, ten or as many as leave ``MIN_DECIDABLE`` images in each; equal shares stay
    together.
    """
    first, second = pair_images(minuend, subtrahend)
    lost, labels, listed = first.value - second.value, first.label, [figures[name] for name in first.image_id]
    shares, instances = np.array([each.box_share for each in listed]), np.array([each.instances for each in listed])
    groups = max(1, min(10, len(shares) // MIN_DECIDABLE))
    place = np.searchsorted(np.sort(shares), shares, side="left") * groups // len(shares)
    quantiles = place == np.unique(place)[:, None]
    members = [("box_share", f"{shares[own].min():.3g} to {shares[own].max():.3g}", own) for own in quantiles]
    members += [("instances", "1", instances == 1), ("instances", "several", instances > 1)]
    for trait in sorted(set().union(*(each.traits for each in listed))):
        absent = 0 if trait.startswith("flag ") else -1  # an attribute that nobody answered is neither
        said = np.array([each.traits.get(trait, absent) for each in listed], dtype=np.int64)
        members += [(trait, "true", said == 1), (trait, "false", said == 0)]
    members += [("class", owner, labels == index) for index, owner in enumerate(classes.names)]
    found: dict[str, list[dict[str, Any]]] = {}
    for by, group, own in (each for each in members if each[2].any()):
        ci95 = varying_interval(bootstrap_means(lost[own, None], labels[own], over="images", **sampling)[:, 0])
        size = {"n": int(own.sum()), "undecidable": bool(own.sum() < MIN_DECIDABLE)}
        found.setdefault(by, []).append({"group": group, **size, "value": float(lost[own].mean()), "ci95": ci95})
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseSettings:
    """What the protocol rival10 adds to images; levels are in [0, 1] pixel units."""

    levels: Mapping[str, Sequence[float]] = dataclasses.field(default_factory=lambda: dict(NOISE_LEVELS))
    """Kind (``sigma``, ``l2``) to levels: the standard deviation of every pixel, or the norm of the whole noise."""
    trials: int = 1
    """Noises of each image; the paper took 1, Hard ImageNet 3."""
    grow_px: Sequence[int] = (0,)
    """Mask perturbations, each scored apart: canvas pixels to dilate by, or to erode by where negative."""
    undefined: str = "strict"
    """RFS where both accuracies are 0 or 1: ``strict`` gives none, ``hardimagenet`` 0."""

    def conditions(self) -> list[Condition]:
        """The clean image, and each noise on figure and ground."""
        noises = [
            Condition(kind=kind, level=float(level), region=region, grow_px=grow_px)
            for grow_px in self.grow_px
            for kind, levels in self.levels.items()
            for level in levels
            for region in ("figure", "ground")
        ]
        return [CLEAN, *noises]


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What is done to an image before it is shown to a model."""

    kind: str = "clean"
    level: float = 0.0
    region: str = ""  # figure or ground
    grow_px: int = 0


CLEAN: Final = Condition()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """Answers of a model in one label space: R rows, C conditions, T trials."""

    image_id: NDArray[np.str_]  # (R,)
    attribute: NDArray[np.str_]  # (R,), empty where a row is about a whole photo
    label: Ints  # (R,)
    source_label: NDArray[np.str_]  # (R,)
    right: Bools  # (R, C, T)
    probability: Floats  # (R, C, T) of the true class, in [0, 1]
    area: Floats  # (R,) share of the canvas that the object mask covers


def relative_foreground_sensitivity(a_fg: Floats | float, a_bg: Floats | float, undefined: str = "strict") -> Floats:
    """RFS = (a_bg - a_fg) / (2 min(ā, 1 - ā)) with ā the mean of both, in [-1, 1] (Moayeri et al., CVPR 2022, §4.1).

    ``a_fg`` and ``a_bg`` are accuracies under noise on the foreground and on the background, of one shape. The
    denominator is the largest gap that ā allows. Where ā is 0 or 1 there is none: NaN, or 0 under ``hardimagenet``.
    """
    figure, ground = np.asarray(a_fg, np.float64), np.asarray(a_bg, np.float64)
    mean = (figure + ground) / 2
    largest = 2 * np.minimum(mean, 1 - mean)
    empty = 0.0 if undefined == "hardimagenet" else np.nan
    return np.asarray(np.divide(ground - figure, largest, out=np.full(mean.shape, empty), where=largest > 0))


def instance_rfs(p_fg: Floats, p_bg: Floats) -> Floats:
    """iRFS: RFS of one image's true-class probabilities; 0 where it is undefined, as in the released code."""
    return relative_foreground_sensitivity(p_fg, p_bg, "hardimagenet")


def standard_normal(shape: tuple[int, ...], *parts: str | int) -> NDArray[np.float32]:
    """Standard normal noise that is a function of ``parts`` alone: Philox's raw bits through Box and Muller."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    count = int(np.prod(shape))
    raw = np.random.Philox(key=int.from_bytes(digest[:16], "big")).random_raw((count + 1) // 2)
    halves = raw.view(np.uint32).reshape(-1, 2).astype(np.float32)
    radius = np.sqrt(-2 * np.log((halves[:, 0] + np.float32(1)) * np.float32(2**-32)))
    angle = halves[:, 1] * np.float32(2 * np.pi * 2**-32)
    pairs = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])
    return np.asarray(pairs[:count].reshape(shape), dtype=np.float32)


def noise_scale(cut: NDArray[np.float32], kind: str, level: float) -> np.float32:
    """What noise ``(H, W, 3)``, cut to its region, is multiplied by.

    ``sigma``: ``level`` itself; ``l2``: what gives it the norm ``level`` · √(HW / 224²), so that other input sizes get
    the same noise a pixel (compute_noise_robustness.py of the released code, at 224); 0 where the region is empty.
    """
    if kind == "sigma":
        return np.float32(level)
    norm = float(np.linalg.norm(cut))
    target = level * (cut.shape[0] * cut.shape[1] / (REFERENCE_SIZE_HW[0] * REFERENCE_SIZE_HW[1])) ** 0.5
    return np.float32(target / norm if norm else 0.0)


def grow_mask(mask: Bools, radius_px: int) -> Bools:
    """Dilate a mask ``(H, W)`` by a disc, or erode it where ``radius_px`` is negative; the rim does not erode."""
    if radius_px == 0 or mask.all() or not mask.any():
        return mask
    if radius_px > 0:
        return np.asarray(distance_transform_edt(~mask) <= radius_px)
    return np.asarray(distance_transform_edt(mask) > -radius_px)


def show_conditions(
    image: Images, mask: Bools, conditions: Sequence[Condition], trials: int, name: str
) -> Iterator[NDArray[np.float32]]:
    """One decoded image ``(H, W, 3)`` under every condition and trial, float32 in [0, 1], conditions first.

    Figure and ground share one noise, as in the released code; so do all kinds and levels.
    """
    plain = image.astype(np.float32) / np.float32(255)

    @functools.cache
    def matte(grow_px: int) -> Bools:
        return _fit_mask(grow_mask(mask, grow_px), plain.shape[:2])

    @functools.cache
    def noise(trial: int) -> NDArray[np.float32]:
        return standard_normal(plain.shape, "noise", name, trial)

    @functools.cache
    def cut(trial: int, grow_px: int, region: str) -> NDArray[np.float32]:
        return np.asarray(noise(trial) * (matte(grow_px) ^ (region == "ground"))[..., None])

    for condition in conditions:
        for trial in range(trials):
            if condition is CLEAN:
                yield plain
                continue
            regional = cut(trial, condition.grow_px, condition.region)
            noisy = regional * noise_scale(regional, condition.kind, condition.level)
            noisy += plain
            yield np.clip(noisy, 0, 1, out=noisy)


def _fit_mask(mask: Bools, size_hw: tuple[int, ...]) -> Bools:
    if mask.shape == size_hw:
        return mask
    scaled = Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).resize((size_hw[1], size_hw[0]))
    return np.asarray(scaled) >= 128


def measure(
    adapter: Adapter,
    table: Table,
    classes: ClassMap,
    config: str,
    *,
    conditions: Sequence[Condition] = (CLEAN,),
    trials: int = 1,
    masks: Mapping[str, bytes] | None = None,
    size: int = 32,
    progress: Progress | None = None,
) -> dict[str, Outcomes]:
    """Run a model over rows under every condition, one decode each; its answers by label space.

    ``masks`` are other object masks by image_id (1-bit PNG); ``EvaluationError`` if an image has none.
    """
    ids, cells = table["image_id"][:], len(conditions) * trials
    names = {
        column: np.array([str(text or "") for text in table[column][:]]) for column in ("source_label", "attribute")
    }
    labels = _row_names(table)["label"]
    areas, scored, done = np.zeros(len(ids)), dict[str, list[tuple[Bools, Floats]]](), 0
    feeding = adapter.input_size_hw, _option(adapter, "interpolation")

    def shown() -> Iterator[NDArray[np.float32]]:
        for row, name in enumerate(ids):
            stored = table[row]
            image = decode_image(stored["image"]["bytes"], *feeding, f"{config}/{name}")
            mask = _decode_mask(stored["object_mask"]["bytes"] if masks is None else masks.get(name), name)
            areas[row] = mask.mean()
            yield from show_conditions(image, mask, conditions, trials, name)

    for batch in _ahead(_stacked(shown(), size)):
        fed = batch if _option(adapter, "takes_float") else np.rint(batch * 255).astype(np.uint8)
        rows = np.arange(done, done + len(batch)) // cells
        logits = _checked_logits(adapter, fed, [f"{config}/{ids[row]}" for row in rows])
        judged = judge_answers(adapter, logits, labels[rows], names["source_label"][rows], classes)
        for space, answers in judged.items():
            scored.setdefault(space, []).append(answers)
        done += len(batch)
        if progress is not None:
            progress(config, done, len(ids) * cells)
    shape = (len(ids), len(conditions), trials)
    return {
        space: Outcomes(
            image_id=np.array(ids),
            label=labels,
            area=areas,
            **names,
            right=np.concatenate([right for right, _ in parts]).reshape(shape),
            probability=np.concatenate([probability for _, probability in parts]).reshape(shape),
        )
        for space, parts in scored.items()
    }


def judge_answers(
    adapter: Adapter, logits: Logits, labels: Ints, source_labels: NDArray[np.str_], classes: ClassMap
) -> dict[str, tuple[Bools, Floats]]:
    """Right or wrong, and the true class's probability, ``(N,)`` each, in every label space that the outputs allow.

    ``map<C>``: 1000 outputs through the class map, a class's probability is the sum of its outputs'; ``exact1000``:
    only the photo's own wnid is right; ``head<C>``: outputs are the dataset's classes.
    """
    space = find_label_space(logits.shape[1], classes, _option(adapter, "label_space"))
    kept = drop_background(logits, space)
    shares = _probabilities(adapter, kept)
    rows, raw = np.arange(len(kept)), kept.argmax(axis=1)
    if space == "head":
        return {f"head{len(classes.names)}": (raw == labels, shares[rows, labels])}
    mapped = classes.class_of_output[raw]
    found = {
        f"map{len(classes.names)}": (mapped == labels, (shares * (classes.class_of_output == labels[:, None])).sum(1))
    }
    own = np.array([classes.output_of_source.get(name, -1) for name in source_labels])
    if (own >= 0).all():
        found["exact1000"] = (raw == own, shares[rows, own])
    return found


def _decode_mask(stored: bytes | None, name: str) -> Bools:
    if stored is None:
        raise EvaluationError(f"{name}: has no object mask")
    try:
        return np.asarray(Image.open(io.BytesIO(stored)).convert("L")) > 0
    except OSError as error:
        raise EvaluationError(f"{name}: the object mask cannot be decoded: {error}") from error


def _stacked(images: Iterator[NDArray[np.float32]], size: int) -> Iterator[NDArray[np.float32]]:
    """Batches in two buffers by turns, so that one is filled while the other is scored: fresh memory costs more."""
    first = next(images, None)
    if first is None:
        return
    buffers, images = np.empty((2, size, *first.shape), np.float32), itertools.chain([first], images)
    for buffer in itertools.cycle(buffers):
        filled = 0
        for filled, image in enumerate(itertools.islice(images, size), 1):
            buffer[filled - 1] = image
        if filled:
            yield buffer[:filled]
        if filled < size:
            return


def _ahead(batches: Iterator[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    """The same batches; a thread makes the next while the model works."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(next, batches, None)
        while (batch := waiting.result()) is not None:
            waiting = pool.submit(next, batches, None)
            yield batch


def _checked_logits(adapter: Adapter, fed: NDArray[Any], rows: Sequence[str]) -> Logits:
    logits = np.asarray(adapter.logits(fed), dtype=np.float32)
    shaped = logits.ndim == 2 and len(logits) == len(fed)
    _require(shaped, f"{adapter.name}: expected logits ({len(fed)}, K), got {logits.shape}")
    broken = ~np.isfinite(logits).all(axis=1)
    first = rows[int(broken.argmax())]
    _require(not broken.any(), f"{adapter.name}: {first}: expected finite logits, got NaN or infinity")
    return logits


def summarise_rival10(
    found: Mapping[str, Outcomes], classes: ClassMap, settings: NoiseSettings, *, bootstrap: int, seed: int
) -> dict[str, Any]:
    """All metrics of one model's answers in one label space, by config, JSON-ready, with intervals."""
    original = found["original"]
    _require(len(np.unique(original.image_id)) == len(original.label), "original: expected each image_id once")
    sampling = {"count": bootstrap, "seed": seed}
    per_source = {
        str(name): accuracy_micro(original.right[original.source_label == name, 0])
        for name in np.unique(original.source_label)
    }
    return {
        **_sizes(original.label, classes),
        "class_names": list(classes.names),
        "chance": 1 / len(classes.names),
        "object_area_share": float(original.area.mean()),
        "clean": {**_accuracy(original, 0, **sampling), "per_source_label": per_source},
        "noise": {
            str(grow_px): {
                kind: _noise_summary(original, classes, settings, kind, grow_px, **sampling) for kind in settings.levels
            }
            for grow_px in settings.grow_px
        },
        "ablations": {
            config: _drop(found[base], found[config], **sampling)
            for config, base in ABLATIONS.items()
            if config in found and base in found
        },
        "attributes": _attribute_drops(original, found, classes, **sampling),
    }


def _accuracy(outcomes: Outcomes, condition: int, *, count: int, seed: int) -> dict[str, Any]:
    right = outcomes.right[:, condition]
    samples = bootstrap_class_means(right[:, None].astype(np.float64), outcomes.label, count=count, seed=seed)
    return {
        "accuracy_macro": accuracy_macro(right, outcomes.label),
        "accuracy_micro": accuracy_micro(right),
        "ci95": bootstrap_interval(samples[:, 0], right),
        "p_true": accuracy_macro(outcomes.probability[:, condition], outcomes.label),  # type: ignore[arg-type]
    }


def _noise_summary(
    found: Outcomes, classes: ClassMap, settings: NoiseSettings, kind: str, grow_px: int, *, count: int, seed: int
) -> dict[str, Any]:
    """Accuracies and RFS at every level of one kind of noise, over class means, and all levels pooled.

    Pooled, as the paper's Figure 6: accuracies are averaged over levels first, then RFS is taken once.
    """
    levels = list(settings.levels[kind])
    columns = {
        region: [
            index
            for index, each in enumerate(settings.conditions())
            if (each.kind, each.region, each.grow_px) == (kind, region, grow_px)
        ]
        for region in ("figure", "ground")
    }
    right = found.right[:, columns["figure"] + columns["ground"]]
    drawn = bootstrap_class_means(right.astype(np.float64), found.label, count=count, seed=seed)
    samples = {"figure": drawn[:, : len(levels)], "ground": drawn[:, len(levels) :]}
    means = {
        region: np.array([accuracy_macro(found.right[:, index], found.label) for index in indices])
        for region, indices in columns.items()
    }
    sensitivity = functools.partial(relative_foreground_sensitivity, undefined=settings.undefined)
    rfs, rfs_samples = sensitivity(means["figure"], means["ground"]), sensitivity(samples["figure"], samples["ground"])
    pooled = {region: values.mean() for region, values in means.items()}
    pooled_samples = sensitivity(samples["figure"].mean(axis=1), samples["ground"].mean(axis=1))
    irfs = instance_rfs(
        found.probability[:, columns["figure"]].mean(axis=2), found.probability[:, columns["ground"]].mean(axis=2)
    )
    return {
        "levels": levels,
        **{
            f"accuracy_{region}": [
                {"value": float(value), "ci95": bootstrap_interval(samples[region][:, place], found.right[:, index])}
                for place, (value, index) in enumerate(zip(means[region], indices, strict=True))
            ]
            for region, indices in columns.items()
        },
        "rfs": [_rfs_json(value, rfs_samples[:, index]) for index, value in enumerate(rfs)],
        "pooled": {
            **{f"accuracy_{region}": float(value) for region, value in pooled.items()},
            "rfs": _rfs_json(sensitivity(pooled["figure"], pooled["ground"]), pooled_samples),
        },
        "rfs_slope": _slope(levels, rfs),
        "irfs_per_class": {
            owner: float(irfs[found.label == index].mean())
            for index, owner in enumerate(classes.names)
            if (found.label == index).any()
        },
        "irfs": float(np.mean([irfs[found.label == label].mean() for label in np.unique(found.label)])),
    }


def _rfs_json(value: Any, samples: Floats) -> dict[str, Any]:  # noqa: ANN401  a number of NumPy's
    """RFS with its interval over the resamples in which it is defined, and the share in which it is not."""
    defined = samples[np.isfinite(samples)]
    return {
        "value": float(value) if np.isfinite(value) else None,
        "ci95": varying_interval(defined) if np.isfinite(value) else None,
        "undefined_share": 1 - len(defined) / len(samples),
    }


def _slope(levels: Sequence[float], rfs: Floats) -> float | None:
    """Least-squares slope of RFS against the level, where the level runs from 0 to 1: the paper's adaptivity."""
    kept = np.isfinite(rfs)
    if kept.sum() < 2:
        return None
    return float(np.polyfit(np.asarray(levels)[kept] / max(levels), rfs[kept], 1)[0])


def _drop(base: Outcomes, ablated: Outcomes, *, count: int, seed: int) -> dict[str, Any]:
    """What an ablation costs, over class means of the same images."""
    order = _rows_of(base, ablated)
    before = np.stack([base.right[order, 0].mean(1), base.probability[order, 0].mean(1)], axis=1)
    after = np.stack([ablated.right[:, 0].mean(1), ablated.probability[:, 0].mean(1)], axis=1)
    return {**_accuracy(ablated, 0, count=count, seed=seed), **_drops(before, after, ablated.label, count, seed)}


def _rows_of(base: Outcomes, other: Outcomes) -> Ints:
    """Rows of ``base`` that hold the images of ``other``."""
    place = {name: row for row, name in enumerate(base.image_id)}
    missing = sorted(set(other.image_id) - set(place))
    _require(not missing, f"expected the images of original in every config; it lacks {_listed(missing)}")
    return np.array([place[name] for name in other.image_id], dtype=np.int64)


def _drops(before: Floats, after: Floats, labels: Ints, count: int, seed: int) -> dict[str, Any]:
    """Loss of accuracy and of the true class's probability; ``before`` and ``after`` are (R, 2)."""
    lost = before - after
    samples = bootstrap_class_means(lost[:, :, None], labels, count=count, seed=seed)
    means = np.mean([lost[labels == label].mean(axis=0) for label in np.unique(labels)], axis=0)
    return {
        name: {"value": float(means[index]), "ci95": bootstrap_interval(samples[:, index])}
        for index, name in enumerate(("accuracy_drop", "p_true_drop"))
    }


def _attribute_drops(
    original: Outcomes, found: Mapping[str, Outcomes], classes: ClassMap, *, count: int, seed: int
) -> dict[str, Any]:
    """What greying an attribute costs, beside a random part of the object of the same area; all photos count alike."""
    if not {"attribute_grey", "attribute_control"} <= set(found):
        return {}
    greyed, control = found["attribute_grey"], found["attribute_control"]
    keys = [list(zip(each.image_id, each.attribute, strict=True)) for each in (greyed, control)]
    _require(keys[0] == keys[1], "attribute_control: expected the rows of attribute_grey")
    values = [
        np.stack([each.right[rows, 0].mean(1), each.probability[rows, 0].mean(1)], axis=1)
        for each, rows in ((original, _rows_of(original, greyed)), (greyed, slice(None)), (control, slice(None)))
    ]
    summaries = {}
    for name in np.unique(greyed.attribute):
        chosen = greyed.attribute == name
        clean, grey, random = (value[chosen] for value in values)
        labels, alike = greyed.label[chosen], np.zeros(int(chosen.sum()), np.int64)
        summaries[str(name)] = {
            "n": int(chosen.sum()),
            "accuracy_original": float(clean[:, 0].mean()),
            "accuracy_grey": float(grey[:, 0].mean()),
            "accuracy_control": float(random[:, 0].mean()),
            "grey": _drops(clean, grey, alike, count, seed),
            "control": _drops(clean, random, alike, count, seed),
            "grey_beyond_control": _drops(random, grey, alike, count, seed),
            "per_class": {
                owner: {"n": int(own.sum()), "accuracy_drop": float((clean - grey)[own, 0].mean())}
                for owner, own in ((owner, labels == index) for index, owner in enumerate(classes.names))
                if own.any()
            },
        }
    return summaries


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenged:
    """What the search for grounds found of F figures under S rules."""

    image_id: NDArray[np.str_]  # (F,)
    label: Ints  # (F,)
    ground_id: NDArray[np.str_]  # (F, S) of a ground that fools; empty where none does
    shown: Ints  # (F,) grounds that the figure was shown on


class GroundSearch:
    """Finds for every figure a ground that fools a model, if there is one; remembers which grounds fooled before.

    A figure is done when each rule has its ground, or no ground is left that could be one. So the order decides how
    many pictures are shown, and never which figures are fooled.
    """

    def __init__(self, ground_labels: Ints, likely: Floats, rules: Sequence[str]) -> None:
        """Of G grounds the class and how likely each is to fool, ``(G,)``, in [0, 1], while it has not been tried."""
        self._labels, self._likely = ground_labels, likely
        self._apart, self._aimed = np.array([CHALLENGE[rule] for rule in rules]).T
        classes = int(ground_labels.max()) + 1  # those of the figures: both are the same images
        self.tries, self.hits = np.zeros((2, classes, len(likely)), np.int64)  # of each ground, by class of the figure

    def run(
        self, labels: Ints, answer: Callable[[Ints, Ints], Ints], size: int, show: Callable[[int], None]
    ) -> tuple[Ints, Ints]:
        """Grounds that fool F figures of ``labels`` ``(F,)``: ``(F, S)``, -1 for none; and grounds shown, ``(F,)``.

        ``answer`` takes places of figures and of grounds, up to ``size`` each, and gives class indices. Every round
        shows ``size`` figures on the best ground that each has left; fewer figures get several.
        """
        found, shown = np.full((len(labels), len(self._apart)), -1), np.zeros(len(labels), np.int64)
        waiting, active = deque(range(len(labels))), dict[int, Bools]()
        while True:
            while waiting and len(active) < size:
                active[waiting.popleft()] = np.ones(len(self._labels), np.bool_)
            for figure, left in list(active.items()):
                left &= (self._labels != labels[figure]) | ((found[figure] < 0) & ~self._apart).any()
                if (found[figure] >= 0).all() or not left.any():
                    del active[figure]
            show(len(labels) - len(waiting) - len(active))
            if not active and not waiting:
                return found, shown
            each, extra = divmod(size, max(1, len(active)))
            chosen = [
                self._choose(left, labels[figure], each + (place < extra))
                for place, (figure, left) in enumerate(active.items())
            ]
            figures = np.repeat(np.array(list(active), np.int64), list(map(len, chosen)))
            grounds = np.concatenate([*chosen, np.zeros(0, np.int64)])
            fools = self._judge(labels[figures], grounds, answer(figures, grounds)) if len(figures) else ()
            for figure, ground, now in zip(figures, grounds, fools, strict=True):
                new = now & (found[figure] < 0)
                found[figure, new] = ground
                shown[figure] += 1
                active[figure][ground] = False
                self.tries[labels[figure], ground] += 1
                self.hits[labels[figure], ground] += new.any()

    def _choose(self, left: Bools, label: int, count: int) -> Ints:
        """The best of the grounds that are left: by the share of figures fooled, those of the same class first."""
        pooled = (self.hits.sum(axis=0) + self._likely) / (self.tries.sum(axis=0) + 1)
        score = (self.hits[label] + pooled) / (self.tries[label] + 1)
        score[self._labels == label] -= 1  # these fool least
        places = np.flatnonzero(left)
        return places[np.argsort(-score[places], kind="stable")[:count]]

    def _judge(self, labels: Ints, grounds: Ints, answers: Ints) -> Bools:
        """Whether N pictures fool, ``(N, S)``."""
        under = self._labels[grounds]
        wrong, other, aimed = (each[:, None] for each in (answers != labels, under != labels, answers == under))
        return np.asarray(wrong & (other | ~self._apart) & (aimed | ~self._aimed))


def answer_pasted(adapter: Adapter, figures: Table, grounds: Table, classes: ClassMap) -> Callable[[Ints, Ints], Ints]:
    """What a model answers, class indices ``(N,)``, for rows ``(N,)`` of figures pasted by their masks on grounds.

    They are pasted on the stored canvas, which is then shown like any other.
    """
    filter_ = _option(adapter, "interpolation")
    whole = Transform(size_hw=adapter.input_size_hw, crop_pct=1, crop_mode="squash", interpolation=filter_)
    ids = figures["image_id"][:], grounds["image_id"][:]

    @functools.lru_cache(1024)
    def figure(row: int) -> tuple[Images, Bools]:
        stored, name = figures[row], f"original/{ids[0][row]}"
        mask = _decode_mask(stored["object_mask"]["bytes"], name)
        return np.asarray(open_image(stored["image"]["bytes"], name)), mask

    @functools.lru_cache(1024)
    def ground(row: int) -> Images:
        return np.asarray(open_image(grounds[row]["image"]["bytes"], f"only_bg_t/{ids[1][row]}"))

    def paste(name: str, first: int, second: int) -> Images:
        (image, mask), under = figure(first), ground(second)
        fits = image.shape == under.shape and image.shape[:2] == mask.shape
        _require(fits, f"{name}: expected one size, got {image.shape}, mask {mask.shape}, ground {under.shape}")
        return np.asarray(whole.crop(Image.fromarray(np.where(mask[..., None], image, under)), name)[0])

    def answer(first: Ints, second: Ints) -> Ints:
        places = list(zip(first.tolist(), second.tolist(), strict=True))
        names = [f"challenge/{ids[0][own]} on {ids[1][other]}" for own, other in places]
        shown = np.stack([paste(name, *place) for name, place in zip(names, places, strict=True)])
        logits = _checked_logits(adapter, shown, names)
        space = find_label_space(logits.shape[1], classes, _option(adapter, "label_space"))
        return map_predictions(logits, classes, space)[1]

    return answer


def summarise_challenge(
    found: Challenged,
    original: Predictions,
    rules: Sequence[str],
    classes: ClassMap,
    **sampling: Any,  # noqa: ANN401
) -> dict[str, Any]:
    """How many figures some ground fools, by rule, JSON-ready; ``value`` is their share of all figures."""
    right = np.isin(found.image_id, original.image_id[original.mapped == original.label])
    told: dict[str, Any] = {}
    for rule, grounds in zip(rules, found.ground_id.T, strict=True):
        fooled = grounds != ""
        rows = RowAnswers(image_id=found.image_id, label=found.label, right=fooled)
        shares = measure_accuracy(average_rows(rule, rows, fooled), **sampling)
        told[rule] = {
            **_vulnerable(fooled, np.ones_like(fooled)),
            "value": shares["accuracy_micro"],
            "ci95": shares["ci95_micro"],
            "value_macro": shares["accuracy_macro"],
            "ci95_macro": shares["ci95"],
            "right_on_original": _vulnerable(fooled, right),
            "per_class": {
                owner: _vulnerable(fooled, found.label == index) for index, owner in enumerate(classes.names)
            },
        }
    return {"rules": told, "pictures_shown": int(found.shown.sum())}


def _vulnerable(fooled: Bools, own: Bools) -> dict[str, int]:
    return {"n": int(own.sum()), "vulnerable": int((fooled & own).sum())}


def summarise_background_check(
    found: Mapping[str, RowAnswers],
    classes: ClassMap,
    **sampling: Any,  # noqa: ANN401  of bootstrap_means
) -> dict[str, Any]:
    """Accuracy by config and against ``original``, JSON-ready.

    Background influence is accuracy where the figure is painted over, background invariance accuracy where the ground
    is replaced (Sehwag et al., arXiv 2006.14077, abstract). As shares of the accuracy on ``original`` they compare
    models that differ in it. Several configs of textures are also pooled: each image averaged over them.
    """
    textures = [arrays for config, arrays in sorted(found.items()) if config.startswith(TEXTURES)]
    if len(textures) > 1:
        joined = {name: np.concatenate([getattr(each, name) for each in textures]) for name in RowAnswers.__slots__}
        found = {**found, f"{TEXTURES}*": RowAnswers(**joined)}
    right = {config: average_rows(config, answers, answers.right) for config, answers in found.items()}
    return {
        **_sizes(right["original"].label, classes),
        "chance": 1 / len(classes.names),
        "chance_note": CHANCE_NOTE,
        "configs": {
            config: {"measures": measured_by(config), **measure_accuracy(each, **sampling)}
            for config, each in right.items()
        },
        "differences": compare_pairs(
            right, [(config, "original") for config in right if config != "original"], **sampling
        ),
    }


def _listed(items: Collection[str] | NDArray[np.str_], most: int = 8) -> str:
    return ", ".join(sorted(items)[:most]) + (f" … and {len(items) - most} more" if len(items) > most else "")


def format_table(results: Sequence[Mapping[str, Any]]) -> str:
    """Plain text: variants down, models across, percent with 95 % intervals.

    Results of another dataset, protocol, label space or feed stand in a table of their own: they do not compare.
    """
    groups: dict[tuple[str, str], list[tuple[str, dict[str, str], str]]] = {}
    for result, data in ((result, result["dataset"]) for result in results):
        place = data["name"] if data["revision"] is None else f"{data['name']}@{data['revision']}"
        spaces = result.get("label_spaces", {result.get("label_space"): result})
        for space, found in sorted(spaces.items(), reverse=True):
            title = f"{place} ({data['split']}, {found['n']} images), label space {space}, feed {result['feed']}"
            mean = "balanced classes" if found["balanced"] else "classes NOT balanced: class means"
            mean = "images count alike, but in class means" if result["protocol"] == "imagenet_a" else mean
            cells = _CELLS[result["protocol"]](found)
            note = f"{mean}; chance {100 * found['chance']:.1f}"
            groups.setdefault((title, data["fingerprint"]), []).append((result["model"], cells, note))
    return "\n\n".join(_format_group(title, group) for (title, _), group in groups.items())


def _format_group(title: str, columns: Sequence[tuple[str, dict[str, str], str]]) -> str:
    names = list(dict.fromkeys(name for _, cells, _ in columns for name in cells))
    rows = [["", *(model for model, _, _ in columns)]]
    rows += [
        [] if name.startswith("-") else [name, *(cells.get(name, "-") for _, cells, _ in columns)] for name in names
    ]
    widths = [max(len(row[column]) for row in rows if row) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip() for row in rows]
    foot = f"percent [95 % interval]; {'; '.join(sorted({note for _, _, note in columns}))}; * interval excludes 0"
    return "\n".join([title, *(line or "-" * (sum(widths) + 2 * len(columns)) for line in lines), foot])


def _imagenet9_cells(result: Mapping[str, Any]) -> dict[str, str]:
    cells = {}
    for part in ("configs", "differences", "categories"):
        cells[f"-{part}"] = ""
        names = sorted(result[part], key=_config_rank) if part == "configs" else result[part]
        for name in names:
            found, signed = result[part][name], part == "differences"
            value, marked = found.get("accuracy_macro", found.get("value")), found.get("excludes_zero")
            cells[name] = _cell(value, found.get("ci95"), signed=signed, marked=marked)
    for rule, found in result.get("challenge", {}).get("rules", {}).items():
        cells["-challenge"] = ""
        share = _cell(found["value"], found["ci95"])
        cells[f"vulnerable figures, {rule}"] = f"{share} {found['vulnerable']}/{found['n']}"
    return cells


def format_eval_results(result: Mapping[str, Any]) -> str:
    """Main figures as YAML for ``.eval_results/`` in a model's repository (eval_results.yaml of huggingface/hub-docs).

    A task is a config or the name of another figure, after the label space where a protocol has several. Values are
    percent; their interval, and all else that they are of, stand in the notes.
    """
    data, lines = result["dataset"], list[str]()
    for space, found in sorted(result.get("label_spaces", {"": result}).items()):
        told = [
            f"{found['n']} images of {data['split']}",
            f"protocol {result['protocol']}",
            f"feed {result['feed']}",
            f"label space {space or found['label_space']}",
            f"weights {result['weights_sha256']}",
        ]
        for name, value, ci95 in (each for each in _main_figures(result["protocol"], found) if each[1] is not None):
            interval = f"[{100 * ci95[0]:.2f}, {100 * ci95[1]:.2f}]" if ci95 else "unknown"
            notes = "; ".join([f"percent, 95 % interval {interval}", *told])
            task = {"id": data["name"], "task_id": f"{space}.{name}".strip("."), "revision": data["revision"]}
            lines += ["- dataset:", *(f"    {key}: {json.dumps(text)}" for key, text in task.items())]
            lines += [f"  value: {100 * value:.4f}", f"  notes: {json.dumps(notes)}"]
    return "\n".join([*lines, ""])


def _main_figures(protocol: str, found: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Name, value and interval."""
    mean, ci95 = ("micro", "ci95_micro") if protocol == "imagenet_a" else ("macro", "ci95")
    accuracies = {"original": found["clean"], **found["ablations"]} if protocol == "rival10" else found["configs"]
    for name, each in accuracies.items():
        yield name, each[f"accuracy_{mean}"], each[ci95]
    values = {name: each.get(mean, each) for name, each in found.get("differences", {}).items()}
    values |= {f"vulnerable_{rule}": each for rule, each in found.get("challenge", {}).get("rules", {}).items()}
    values |= {f"rfs_{kind}": each["pooled"]["rfs"] for kind, each in found.get("noise", {}).get("0", {}).items()}
    for name, each in values.items():
        yield name, each["value"], each.get("ci95")


def _imagenet_a_cells(found: Mapping[str, Any]) -> dict[str, str]:
    """Accuracies, differences, calibration, and the slices but those by class."""
    cells = _shares_cells(found, "micro", "ci95_micro")
    more = {}
    for config, each in sorted(found["configs"].items(), key=lambda pair: _config_rank(pair[0])):
        more["class means", config] = _cell(each["accuracy_macro"], each["ci95"], few=each["undecidable"])
        if each["top5"]:
            more["top 5", config] = _cell(each["top5"]["accuracy_micro"], each["top5"]["ci95_micro"])
        more["RMS calibration error", config] = _cell(each["rms_calibration"]["value"], ())
        more["AURRA", config] = _cell(each["aurra"], ())
    ordered = sorted(more.items(), key=lambda item: item[0][0])
    cells |= {"-more": "", **{f"{config}: {title}": text for (title, config), text in ordered}}
    for name, slices in found["slices"].items():
        cells[f"-{name}"] = ""
        for by, group in ((by, group) for by, groups in slices.items() if by != "class" for group in groups):
            place = f"{name.replace('_minus_', ' - ')}, {by.replace('_', ' ')} {group['group']} (n {group['n']})"
            cells[place] = _cell(group["value"], group["ci95"], signed=True, few=group["undecidable"])
    return cells


def _shares_cells(found: Mapping[str, Any], headline: str = "macro", ci95: str = "ci95") -> dict[str, str]:
    """Accuracy of every config by what it measures, differences over the images that both configs have, and ratios."""
    cells, configs = {}, sorted(found["configs"].items(), key=lambda pair: _config_rank(pair[0]))
    for kind in dict.fromkeys(each.get("measures") for _, each in configs):
        cells[f"-{kind}"] = ""
        for config, each in ((config, each) for config, each in configs if each.get("measures") == kind):
            value = _cell(each[f"accuracy_{headline}"], each[ci95], few=each["undecidable"])
            cells[f"{config} (n {each['n']})"] = value
    cells["-differences"] = ""
    for each in found["differences"].values():
        name, gap = f"{each['minuend']} - {each['subtrahend']}", each[headline]
        cells[f"{name} (n {each['n']})"] = _cell(gap["value"], gap["ci95"], signed=True, few=each["undecidable"])
        if each["n"] < found["configs"][each["subtrahend"]]["n"]:
            cells[f"{name}: the latter on these {each['n']}"] = _cell(gap["subtrahend"], ())
    for each in found["differences"].values() if headline == "macro" else ():
        cells[f"{each['minuend']} / {each['subtrahend']}"] = _cell(each["macro"]["ratio"], each["macro"]["ratio_ci95"])
    return cells


def _rival10_cells(found: Mapping[str, Any]) -> dict[str, str]:
    """Clean accuracy, then for every noise accuracy on figure and ground and RFS, then what ablations cost."""
    cells = {"-clean": "", "clean accuracy": _cell(found["clean"]["accuracy_macro"], found["clean"]["ci95"])}
    for grow_px, kinds in found["noise"].items():
        for kind, noise in kinds.items():
            grown = "" if grow_px == "0" else f", mask {int(grow_px):+d} px"
            cells[f"-{kind}{grown}"] = ""
            for index, level in enumerate(noise["levels"]):
                place = f"{kind} {level:.3g}{grown}"
                for region in ("figure", "ground"):
                    each = noise[f"accuracy_{region}"][index]
                    cells[f"{place}: noise on {region}"] = _cell(each["value"], each["ci95"])
                cells[f"{place}: RFS"] = _cell(noise["rfs"][index]["value"], noise["rfs"][index]["ci95"], signed=True)
            pooled = noise["pooled"]["rfs"]
            cells[f"{kind}{grown}, all levels: RFS"] = _cell(pooled["value"], pooled["ci95"], signed=True)
    cells["-ablations"] = ""
    for config, each in found["ablations"].items():
        cells[f"{config}: accuracy"] = _cell(each["accuracy_macro"], each["ci95"])
        cells[f"{config}: drop"] = _cell(each["accuracy_drop"]["value"], each["accuracy_drop"]["ci95"], signed=True)
    cells["-attributes"] = ""
    for name, each in found["attributes"].items():
        for what in ("grey", "control", "grey_beyond_control"):
            drop = each[what]["p_true_drop"]
            place = f"{name} (n {each['n']}): p drop, {what.replace('_', ' ')}"
            cells[place] = _cell(drop["value"], drop["ci95"], signed=True)
    return cells


_CELLS: Final = {
    "imagenet9": _imagenet9_cells,
    "imagenet_a": _imagenet_a_cells,
    "rival10": _rival10_cells,
    "background_check": _shares_cells,
}


def _cell(
    value: float | None,
    ci95: Sequence[float] | None,
    *,
    signed: bool = False,
    marked: bool | None = None,
    few: bool = False,
) -> str:
    """``ci95`` is empty for figures that have none, None where this one has none."""
    if value is None:
        return "-"
    text = f"{100 * value:+.1f}" if signed else f"{100 * value:.1f}"
    mark = " undecidable" if few else ""
    if not ci95:
        return f"{text}{mark}" if ci95 is not None else f"{text} [no interval]{mark}"
    excludes = signed and (ci95[0] > 0 or ci95[1] < 0) if marked is None else marked
    return f"{text} [{100 * ci95[0]:.1f}, {100 * ci95[1]:.1f}]{mark or (' *' if excludes else '')}"


def parse_noise(noise: str, levels: str | None, trials: int, mask_grow: str, rfs_undefined: str) -> NoiseSettings:
    """Noise settings from the words of the command line."""
    kinds = [kind for kind in noise.split(",") if kind and kind != "none"]
    strange = set(kinds) - set(NOISE_LEVELS)
    _require(not strange, f"noise: expected {' or '.join(NOISE_LEVELS)}, got {_listed(strange)}", 2)
    _require(levels is None or len(kinds) == 1, "levels: they mean another thing for each kind; give one --noise", 2)
    try:
        given = tuple(map(float, levels.split(","))) if levels else ()
        grow_px = tuple(map(int, mask_grow.split(",")))
    except ValueError as error:
        raise EvaluationError(f"levels and mask growth: expected numbers with commas: {error}", 2) from error
    _require(trials > 0 and min(given, default=1) > 0, "trials and levels: expected numbers above 0", 2)
    _require(rfs_undefined in RFS_UNDEFINED, "undefined RFS: expected strict or hardimagenet", 2)
    chosen = {kind: given or NOISE_LEVELS[kind] for kind in kinds}
    return NoiseSettings(levels=chosen, trials=trials, grow_px=grow_px, undefined=rfs_undefined)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", required=True, metavar="SPEC", help="see above; may be repeated")
    parser.add_argument("--repo", help="folder or OWNER/NAME on the Hub; default: the folder of this file")
    parser.add_argument("--revision", help="tag or commit on the Hub; required there")
    parser.add_argument("--configs", type=lambda text: text.split(","), help="only these, comma-separated")
    parser.add_argument("--split", default="test")
    parser.add_argument("--protocol", choices=PROTOCOLS, help="default: the one that the configs are made for")
    parser.add_argument("--noise", default="sigma,l2", help="rival10: sigma, l2, both with a comma, or none")
    parser.add_argument("--levels", help="rival10: levels in place of the paper's, comma-separated; for one kind")
    parser.add_argument("--trials", type=int, default=1, help="rival10: noises of each image")
    parser.add_argument("--mask-grow", default="0", help="rival10: pixels to dilate (or erode) masks by: 0,4,-4")
    parser.add_argument("--masks-from", help="rival10: dataset of the same photos whose object masks to use")
    parser.add_argument("--rfs-undefined", choices=RFS_UNDEFINED, default="strict", help="rival10: null or 0")
    parser.add_argument(
        "--challenge",
        type=lambda text: text.split(","),
        default=(),
        help="imagenet9: figures that some ground fools; rules with commas: reference, exact, targeted",
    )
    parser.add_argument("--eval-results-yaml", metavar="FILE", help="write the Hub's eval results of the one model")
    parser.add_argument("--feed", choices=["canvas", "reference"], default="canvas")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--limit", type=int, help="only so many images")
    parser.add_argument("--cluster", choices=CLUSTERS, default="image", help="what the bootstrap resamples")
    parser.add_argument("--device", default="cpu", help="cpu or cuda, for timm: and onnx: models")
    parser.add_argument("--bootstrap", type=int, default=10_000, help="resamples behind the intervals")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    parser.add_argument("--out", help="folder for results; a killed run goes on from there")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit code."""
    given = vars(_parser().parse_args(arguments))
    specs, as_json = given.pop("model"), given.pop("json")

    def show(config: str, done: int, total: int) -> None:
        print(f"\r{config} {done}/{total}", end="\n" if done == total else "", file=sys.stderr, flush=True)

    try:
        single = len(specs) == 1 or given["eval_results_yaml"] is None
        _require(single, "eval results are of one model: give one --model", 2)
        here = Path(__file__).resolve().parent
        inside = (here / "README.md").is_file() and (here / "data").is_dir()
        repo = given.pop("repo") or (str(here) if inside else "")
        _require(repo, "this file does not lie in a dataset: give --repo (and on the Hub --revision)", 2)
        words = {name: given.pop(name) for name in ("noise", "levels", "trials", "mask_grow", "rfs_undefined")}
        given["noise"] = parse_noise(**words) if words != NOISE_WORDS else None
        results = [evaluate(repo, spec, progress=show if sys.stderr.isatty() else None, **given) for spec in specs]
    except Exception as error:  # an adapter's own errors, figureground's for one, may carry an exit code too
        if not isinstance(getattr(error, "exit_code", None), int):
            raise
        EvaluationError.show(error)  # type: ignore[arg-type]
        return int(error.exit_code)  # type: ignore[attr-defined]
    print(_json_text({"results": results}) if as_json else format_table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
