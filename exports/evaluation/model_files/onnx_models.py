"""ONNX classifiers behind an adapter."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from figureground.exports.evaluation.adapters import ADAPTER_DEFAULTS, IMAGENET_MEAN, IMAGENET_STD, normalise
from figureground.exports.evaluation.model_files.onnx_data import onnx_sha256
from figureground.exports.evaluation.model_files.settings import read_settings
from figureground.exports.evaluation.values import (
    REFERENCE_SIZE_HW,
    EvaluationError,
    Images,
    Logits,
    file_fault,
    plain_line,
    require,
    spell_size,
)

_KNOWN: Final = (
    "input_size",
    "mean",
    "std",
    "scale",
    "layout",
    "outputs",
    "interpolation",
    "crop_pct",
    "parameters",
    "label_space",
    "class_names",
)
_INPUTS: Final = {  # what ONNX Runtime calls a type: NumPy's
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
}
_ORIGIN: Final = r"^\[ONNXRuntimeError\].*? failed:(\S*onnxruntime_src\S* .*?\) (?=[A-Z]))?"  # before the reason itself
_WIDEST: Final = 10.0  # a mean or spread beyond this, in [0, 1] units, is one of pixels from 0 to 255


class OnnxAdapter:
    """An ONNX classifier with one image input, ``(N, 3, H, W)`` or ``(N, H, W, 3)``; its first output is scored.

    Settings come from ``FILE.json`` beside it, else from its ``metadata_props`` (JSON texts), else they are defaults:
    input_size (number or [height, width]), mean and std (ImageNet's), scale (1/255; ``(pixel * scale - mean) / std``),
    layout (``"NCHW"`` or ``"NHWC"``), outputs (``"logits"`` or ``"probabilities"``; else the outputs tell), class_names
    (in the order of the outputs), label_space, interpolation, crop_pct and parameters (see ``Adapter``). Other names in
    ``FILE.json`` are refused. Inputs of half and double precision get such numbers; a uint8 input gets raw pixels.
    """

    libraries = ("onnxruntime",)
    refeedable = True

    def __init__(self, path: Path, *, device: str = "auto") -> None:
        import onnxruntime  # type: ignore[import-untyped]  # ships no annotations

        require(path.is_file(), f"{path}: no such model", 2)
        fault = file_fault(path)
        require(not fault, f"{path}: {fault}")
        self.weights_sha256 = onnx_sha256(path)
        self.device, provider = _onnx_provider(device, onnxruntime.get_available_providers())
        self._session = _open_session(path, provider)
        self._input, shape = self._session.get_inputs()[0], self._session.get_inputs()[0].shape
        require(len(shape) == 4, f"{path}: expected an input of four axes, got {shape}")
        known = ", ".join(_INPUTS)
        require(self._input.type in _INPUTS, f"{path}: expected an input of {known}; got {self._input.type}")
        given, where = read_settings(path, _KNOWN, self._session.get_modelmeta().custom_metadata_map)
        self.settings_file = where
        self._layout = _find_layout(given.get("layout"), shape, path, where)
        self.settings = {"layout": self._layout}
        size_hw = tuple(shape[2:] if self._layout == "NCHW" else shape[1:3])
        self.any_size = not all(isinstance(axis, int) for axis in size_hw)
        size = given.get("input_size", REFERENCE_SIZE_HW if self.any_size else size_hw)
        self.input_size_hw: tuple[int, int] = (size, size) if isinstance(size, int) else tuple(size)
        fits = self.any_size or self.input_size_hw == size_hw
        got = f"takes {spell_size(size_hw)}, got {spell_size(self.input_size_hw)}" if not fits else ""
        require(fits, f"{where}: input_size: {path.name} {got}")
        self.name, self.on_cpu = f"onnx:{path.stem}", self.device == "cpu"
        for name in ("interpolation", "crop_pct", "parameters", "label_space", "class_names"):
            setattr(self, name, given.get(name, ADAPTER_DEFAULTS[name]))
        if "outputs" in given:
            self.outputs = given["outputs"]
        raw = self._input.type == "tensor(uint8)"
        self.takes_float = not raw
        unit = 255 * float(given.get("scale", 1 / 255))
        self.mean = None if raw else _in_units("mean", given.get("mean", IMAGENET_MEAN), unit, where)
        self.std = None if raw else _in_units("std", given.get("std", IMAGENET_STD), unit, where)

    def logits(self, images: Images) -> Logits:
        """``(N, H, W, 3)`` uint8 RGB to ``(N, K)`` float32."""
        fed: NDArray[Any] = normalise(images, self.mean, self.std) if self.mean and self.std else images
        fixed = self._input.shape[0]
        step = fixed if isinstance(fixed, int) else len(fed)
        fed = fed.repeat([1] * (len(fed) - 1) + [1 + -len(fed) % step], axis=0)  # the last one again, to fill a batch
        fed = np.ascontiguousarray(fed.transpose(0, 3, 1, 2)) if self._layout == "NCHW" else fed
        fed = fed.astype(_INPUTS[self._input.type], copy=False)
        parts = (fed[start : start + step] for start in range(0, len(fed), step))
        scores = np.concatenate([self._session.run(None, {self._input.name: part})[0] for part in parts])
        return np.asarray(scores[: len(images)], dtype=np.float32)


def _open_session(path: Path, provider: Any) -> Any:  # noqa: ANN401  an InferenceSession
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors come as exceptions; warnings would stand between the table's lines
    try:
        return onnxruntime.InferenceSession(str(path), sess_options=options, providers=[provider])
    except Exception as error:  # a class of its own for every kind of fault
        text = re.sub(_ORIGIN, "", plain_line(error, 2000))
        newer = any(word in text.lower() for word in ("opset", "ir version", "ir_version"))
        remedy = "export it with a lower opset and IR version, or install a newer onnxruntime"
        raise EvaluationError(
            f"{path}: onnxruntime {onnxruntime.__version__} cannot load it ({plain_line(text, 200)}); "
            f"{remedy if newer else 'export or download it again'}"
        ) from error


def _find_layout(given: str | None, shape: list[Any], path: Path, where: str) -> str:
    """Where the channels are: as the settings say, else the axis of three."""
    axes = {"NCHW": 1, "NHWC": 3}
    fitting = [layout for layout, axis in axes.items() if shape[axis] == 3]
    layout = given or (fitting[0] if len(fitting) == 1 else None)
    if layout is None:
        raise EvaluationError(f"{path}: layout of {shape}? Set it in {path.stem}.json")
    channels = shape[axes[layout]]
    possible = channels == 3 or not isinstance(channels, int)
    got = f"{path.name} takes {shape}, so {' or '.join(fitting) or 'neither'} fits"
    require(possible and (not fitting or layout in fitting), f"{where}: layout: {got}; got {layout}")
    return layout


def _in_units(name: str, values: Any, unit: float, where: str) -> tuple[float, ...]:  # noqa: ANN401  three numbers
    """A mean or spread in [0, 1] units; refused where it is of pixels from 0 to 255."""
    scaled = tuple(value / unit for value in values)
    wanted = "numbers in [0, 1], or with them a scale of 1, for pixels from 0 to 255"
    require(max(map(abs, scaled)) <= _WIDEST, f"{where}: {name}: expected {wanted}; got {list(values)}")
    return scaled


def _onnx_provider(device: str, providers: Collection[str]) -> tuple[str, Any]:
    """The device by name, and ONNX Runtime's provider for it; ``auto`` takes CUDA where it is built in."""
    named = {"cpu": "CPUExecutionProvider", "mps": "CoreMLExecutionProvider", "cuda": "CUDAExecutionProvider"}
    if device == "auto":
        device = "cuda" if named["cuda"] in providers else "cpu"
    kind, _, number = device.partition(":")
    require(named.get(kind) in providers, f"device {device}: this onnxruntime has only {', '.join(providers)}", 2)
    return device, (named[kind], {"device_id": number}) if number else named[kind]
