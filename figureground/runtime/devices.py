"""Where a model runs and in which numbers: names of devices and precisions, checked before any weights are read."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from typing import Any, Final, Literal, get_args

from figureground.errors import UsageError

AUTO: Final = "auto"
"""Stands for the best device that there is."""

Precision = Literal["float32", "bfloat16", "float16"]
"""Floating-point type that a model computes in."""
PRECISIONS: Final[tuple[Precision, ...]] = get_args(Precision)

_DEVICE: Final = re.compile(r"cpu|mps|cuda(?::\d{1,3})?")


def device_kind(device: str) -> str:
    """``cpu``, ``cuda`` or ``mps``: the device's name without its number."""
    return device.partition(":")[0]


def device_number(device: str) -> int:
    """Number of a CUDA device, counted from 0; 0 where the name has none."""
    return int(device.partition(":")[2] or 0)


def require_device_name(asked: str) -> str:
    """A device's name, checked for its spelling alone.

    Raises:
        UsageError: if it is none of ``auto``, ``cpu``, ``cuda``, ``cuda:N`` and ``mps``.
    """
    if asked != AUTO and not _DEVICE.fullmatch(asked):
        raise UsageError(f"device {asked!r}: expected {AUTO}, cpu, cuda, cuda:N or mps")
    return asked


def available_devices() -> tuple[str, ...]:
    """Devices that torch can run on here, ``cpu`` first; only ``cpu`` where torch is not installed."""
    if find_spec("torch") is None:
        return ("cpu",)
    import torch

    cuda = [f"cuda:{number}" for number in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return ("cpu", *cuda, *mps)


def resolve_device(asked: str = AUTO) -> str:
    """The torch device to run on.

    torch is imported only where it is installed and the answer depends on it.

    Args:
        asked: ``cpu``, ``cuda``, ``cuda:N``, ``mps``, or ``auto`` for the first of ``cuda``, ``mps`` and ``cpu`` that
            is there.

    Returns:
        The device as it was named; never ``auto``.

    Raises:
        UsageError: if there is no such device on this machine, or no device is called so.
    """
    if require_device_name(asked) == "cpu":
        return asked
    devices = available_devices()
    if asked == AUTO:
        kinds = {device_kind(device) for device in devices}
        return next(kind for kind in ("cuda", "mps", "cpu") if kind in kinds)
    if asked not in devices and (asked != "cuda" or "cuda:0" not in devices):
        raise UsageError(f"device {asked}: this machine has none; it has {', '.join(devices)}")
    return asked


def check_precision(device: str, precision: str) -> Precision:
    """A precision that the device can compute in.

    Args:
        device: What ``resolve_device`` gave.
        precision: One of ``PRECISIONS``.

    Raises:
        UsageError: for an unknown precision, or ``float16`` on a CPU, which has no arithmetic for it.
    """
    if precision not in PRECISIONS:
        raise UsageError(f"precision {precision!r}: expected {', '.join(PRECISIONS)}")
    if precision == "float16" and device_kind(device) == "cpu":
        raise UsageError("precision float16: the cpu has no arithmetic for it; take bfloat16 or float32")
    return precision


def torch_dtype(precision: Precision) -> Any:  # noqa: ANN401  torch is typed, but may not be there
    """The ``torch.dtype`` of a precision."""
    import torch

    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[precision]


def autocast(device: str, precision: Precision) -> AbstractContextManager[object]:
    """Let networks compute in a precision inside the block; unlike a cast, it rounds no inputs, such as coordinates."""
    if precision == "float32":
        return nullcontext()
    import torch

    return torch.autocast(device_kind(device), dtype=torch_dtype(precision))
