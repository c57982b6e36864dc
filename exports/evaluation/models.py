"""Models: torch networks, timm's, ONNX files and callables, each behind an adapter."""

from __future__ import annotations

import hashlib
import importlib
import json
import re
import sys
import typing
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.exports.evaluation.adapters import ADAPTER_DEFAULTS, IMAGENET_MEAN, IMAGENET_STD, Adapter, normalise
from figureground.exports.evaluation.devices import check_precision, resolve_device
from figureground.exports.evaluation.values import (
    REFERENCE_SIZE_HW,
    EvaluationError,
    Images,
    Logits,
    file_sha256,
    require,
)


@typing.runtime_checkable
class Movable(typing.Protocol):
    """An adapter that can be told where to run."""

    def run_on(self, device: str, precision: str, /) -> None:
        """Move the model to a device of ``resolve_device``, and compute in ``precision``."""


class TorchAdapter:
    """A torch network behind an adapter; subclasses set ``network``, ``mean``, ``std`` and what else they know."""

    libraries: tuple[str, ...] = ("torch",)
    refeedable = True
    takes_float = True
    network: Any  # torch.nn.Module in evaluation mode, normalised (N, 3, H, W) to (N, K)
    mean: tuple[float, ...]
    std: tuple[float, ...]
    device = "cpu"
    precision = "float32"
    on_cpu = True

    def run_on(self, device: str, precision: str) -> None:
        """Move the network to a device of ``resolve_device``; below float32 it runs under torch's autocast."""
        self.network = self.network.to(device)
        self.device, self.precision, self.on_cpu = device, precision, device == "cpu"

    def logits(self, images: NDArray[Any]) -> Logits:
        """``(N, H, W, 3)`` RGB, uint8 or float32 in [0, 1], to ``(N, K)`` float32."""
        import torch

        mixed = torch.autocast(
            self.device.partition(":")[0], getattr(torch, self.precision), enabled=self.precision != "float32"
        )
        with torch.inference_mode(), mixed:
            fed = torch.from_numpy(normalise(images, self.mean, self.std)).permute(0, 3, 1, 2)
            scores: Logits = self.network(fed.to(self.device)).float().cpu().numpy()
        return scores


class TimmAdapter(TorchAdapter):
    """A timm model with its own size, filter and normalisation; pretrained, or with the weights of a local file."""

    libraries = ("timm", "torch")

    def __init__(self, name: str, checkpoint: Path | None = None) -> None:
        try:
            import timm
            import torch  # noqa: F401  timm needs it and says so in many lines
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
        self.network = model.eval()


def _load_timm(name: str, path: Path | None) -> tuple[Any, str]:
    """A model, and the SHA-256 of its file, or of its tensors by name: timm does not say where its own files lie."""
    import timm
    import torch

    require(path is None or path.is_file(), f"{path}: no such checkpoint", 2)
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
    require(tensors, f"{path}: expected tensors by name, or those under 'state_dict' or 'model'")
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

    def __init__(self, path: Path, *, device: str = "auto") -> None:
        import onnxruntime  # type: ignore[import-untyped]  # ships no annotations

        require(path.is_file(), f"{path}: no such model", 2)
        self.device, provider = _onnx_provider(device, onnxruntime.get_available_providers())
        self._session = onnxruntime.InferenceSession(str(path), providers=[provider])
        self._input, shape = self._session.get_inputs()[0], self._session.get_inputs()[0].shape
        require(len(shape) == 4, f"{path}: expected an input of four axes, got {shape}")
        settings = _onnx_settings(path, self._session.get_modelmeta().custom_metadata_map)
        fitting = [layout for layout, axis in (("NCHW", 1), ("NHWC", 3)) if shape[axis] == 3]
        self._layout = settings.get("layout") or (fitting[0] if len(fitting) == 1 else None)
        require(self._layout in ("NCHW", "NHWC"), f"{path}: layout of {shape}? Set it in {path.stem}.json")
        size_hw = tuple(shape[2:] if self._layout == "NCHW" else shape[1:3])
        self.any_size = not all(isinstance(axis, int) for axis in size_hw)
        given = settings.get("input_size", REFERENCE_SIZE_HW if self.any_size else size_hw)
        self.input_size_hw: tuple[int, int] = (given, given) if isinstance(given, int) else tuple(given)
        require(self.any_size or self.input_size_hw == size_hw, f"{path}: takes {size_hw}, settings say {given}")
        self.name, self.weights_sha256, self.on_cpu = f"onnx:{path.stem}", file_sha256(path), self.device == "cpu"
        for name in ("outputs", "interpolation", "crop_pct", "parameters"):
            setattr(self, name, settings.get(name, ADAPTER_DEFAULTS[name]))
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


def _onnx_provider(device: str, providers: Collection[str]) -> tuple[str, Any]:
    """The device by name, and ONNX Runtime's provider for it; ``auto`` takes CUDA where it is built in."""
    named = {"cpu": "CPUExecutionProvider", "mps": "CoreMLExecutionProvider", "cuda": "CUDAExecutionProvider"}
    if device == "auto":
        device = "cuda" if named["cuda"] in providers else "cpu"
    kind, _, number = device.partition(":")
    require(named.get(kind) in providers, f"device {device}: this onnxruntime has only {', '.join(providers)}", 2)
    return device, (named[kind], {"device_id": number}) if number else named[kind]


def _onnx_settings(path: Path, stored: Mapping[str, str]) -> dict[str, Any]:
    known = ("input_size", "mean", "std", "scale", "layout", "outputs", "interpolation", "crop_pct", "parameters")
    try:
        if path.with_suffix(".json").is_file():
            return dict(json.loads(path.with_suffix(".json").read_text(encoding="utf-8")))
        return {key: json.loads(stored[key]) for key in known if key in stored}
    except (ValueError, TypeError) as error:
        raise EvaluationError(f"{path}: its settings are not JSON: {error}") from error


def load_model(spec: str, *, device: str = "auto", precision: str = "float32") -> Adapter:
    """Make the adapter that a specification names, on a device, in a precision.

    ``spec`` is ``timm:NAME``, ``timm:NAME=CHECKPOINT``, ``onnx:FILE`` or ``MODULE:CALLABLE[=ARGUMENT]``; ``device`` is
    as ``resolve_device`` takes it. An adapter without ``run_on`` chooses its own device, so it takes ``auto`` and
    ``cpu`` only. ``EvaluationError`` names what is at fault.
    """
    kind, _, rest = spec.partition(":")
    require(rest, f"model {spec!r}: expected timm:NAME[=FILE], onnx:FILE or MODULE:CALLABLE[=ARGUMENT]", 2)
    if kind == "onnx":
        require(precision == "float32", f"model {spec!r}: an ONNX file has a precision of its own", 2)
        return OnnxAdapter(Path(rest), device=device)
    if device != "auto":
        resolve_device(device)  # what is not there is said before any weights are read
    adapter: Adapter
    if kind == "timm":
        name, _, checkpoint = rest.partition("=")
        adapter = TimmAdapter(name, Path(checkpoint) if checkpoint else None)
    else:
        adapter = _call_factory(spec)
    if isinstance(adapter, Movable):
        resolved = resolve_device(device)
        check_precision(resolved, precision)
        adapter.run_on(resolved, precision)
    else:
        chosen = device in ("auto", "cpu") and precision == "float32"
        require(chosen, f"model {spec!r} has no run_on(device, precision): it chooses its own; leave them out", 2)
    return adapter


def _call_factory(spec: str) -> Adapter:
    target, equals, argument = spec.partition("=")
    module, _, attribute = target.rpartition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # last, so that nothing here hides an installed package
    try:
        factory = getattr(importlib.import_module(module), attribute)
    except (ModuleNotFoundError, AttributeError) as error:
        raise EvaluationError(f"model {spec!r}: {error}", 2) from error
    adapter: Adapter = factory(argument) if equals else factory()
    lacking = [name for name in ("name", "input_size_hw", "weights_sha256", "logits") if not hasattr(adapter, name)]
    require(not lacking, f"model {spec!r} returned no adapter: it lacks {', '.join(lacking)}")
    digest = re.fullmatch("[0-9a-f]{64}", adapter.weights_sha256)
    require(digest, f"{adapter.name}: weights_sha256 is not 64 hex digits")
    return adapter
