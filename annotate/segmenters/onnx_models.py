"""ONNX Runtime behind one typed door."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from figureground.errors import DataError, MissingExtraError, UsageError
from figureground.runtime.devices import AUTO, device_kind, device_number, require_device_name

_PROVIDERS: Final = {"cuda": "CUDAExecutionProvider", "mps": "CoreMLExecutionProvider", "cpu": "CPUExecutionProvider"}
"""Kind of device to what ONNX Runtime calls the code that runs on it."""


class OnnxModel:
    """A model that ONNX Runtime runs.

    Args:
        model: The serialised model.
        where: What to call it in an error.
        threads: Threads inside one operator; None leaves the choice to ONNX Runtime.
        device: ``cpu``, ``cuda``, ``cuda:N`` or ``mps``; ``auto`` for CUDA where ONNX Runtime has it, else the CPU.

    Raises:
        MissingExtraError: without onnxruntime.
        UsageError: if the ONNX Runtime that is installed cannot use the device.
        DataError: if the bytes are no model that ONNX Runtime can run.
    """

    def __init__(self, model: bytes, *, where: str, threads: int | None, device: str = AUTO) -> None:
        onnxruntime = _import_onnxruntime()
        provider, options_of_provider = onnx_provider(device)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # its warnings are about unused initialisers
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            self._session: Any = onnxruntime.InferenceSession(
                model, options, providers=[provider], provider_options=[options_of_provider]
            )
        except Exception as error:  # onnxruntime's errors share no public base class
            if provider != _PROVIDERS["cpu"]:
                raise UsageError(f"device {device}: ONNX Runtime cannot run {where} there ({error})") from error
            raise DataError.single(where, "", expected="a model that ONNX Runtime runs", got=str(error)) from error
        if provider not in self._session.get_providers():  # where a driver is missing it falls back without a word
            raise UsageError(f"device {device}: ONNX Runtime could not start {provider}; take cpu")

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs, in order."""
        return tuple(entry.name for entry in self._session.get_inputs())

    def run(self, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str] | None = None) -> list[NDArray[np.float32]]:
        """Run the model; ``outputs`` None gives all of them, in order."""
        return [np.asarray(value, dtype=np.float32) for value in self._session.run(outputs, dict(feeds))]


def onnx_provider(device: str) -> tuple[str, dict[str, str]]:
    """What ONNX Runtime calls a device: the name of its provider, and the provider's options.

    Raises:
        MissingExtraError: without onnxruntime.
        UsageError: if no device is called so, or the ONNX Runtime that is installed cannot use it.
    """
    available = _import_onnxruntime().get_available_providers()
    kinds = [kind for kind, provider in _PROVIDERS.items() if provider in available]
    kind = device_kind(require_device_name(device))
    if kind == AUTO:
        kind = "cuda" if "cuda" in kinds else "cpu"
    if kind not in kinds:
        raise UsageError(f"device {device}: this ONNX Runtime has none; it has {', '.join(sorted(kinds))}")
    return _PROVIDERS[kind], {"device_id": str(device_number(device))} if kind == "cuda" else {}


def _import_onnxruntime() -> Any:  # noqa: ANN401
    try:
        import onnxruntime  # type: ignore[import-untyped]  # ships no annotations
    except ImportError as error:
        raise MissingExtraError("onnxruntime", "onnx") from error
    return onnxruntime
