"""ONNX Runtime behind one typed door."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.errors import DataError, MissingExtraError


class OnnxModel:
    """A model that ONNX Runtime runs on the CPU.

    Args:
        model: The serialised model.
        where: What to call it in an error.
        threads: Threads inside one operator; None leaves the choice to ONNX Runtime.

    Raises:
        MissingExtraError: without onnxruntime.
        DataError: if the bytes are no model that ONNX Runtime can run.
    """

    def __init__(self, model: bytes, *, where: str, threads: int | None) -> None:
        try:
            import onnxruntime  # type: ignore[import-untyped]  # ships no annotations
        except ImportError as error:
            raise MissingExtraError("onnxruntime", "onnx") from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # its warnings are about unused initialisers
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            self._session: Any = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors share no public base class
            raise DataError.single(where, "", expected="a model that ONNX Runtime runs", got=str(error)) from error

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs, in order."""
        return tuple(entry.name for entry in self._session.get_inputs())

    def run(self, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str] | None = None) -> list[NDArray[np.float32]]:
        """Run the model; ``outputs`` None gives all of them, in order."""
        return [np.asarray(value, dtype=np.float32) for value in self._session.run(outputs, dict(feeds))]
