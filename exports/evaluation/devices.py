"""Where a model runs: devices by name."""

from __future__ import annotations

import importlib.util
import re

from figureground.exports.evaluation.values import require


def resolve_device(asked: str) -> str:
    """The torch device to run on; ``EvaluationError`` if this machine lacks it.

    ``asked`` is ``cpu``, ``cuda``, ``cuda:N``, ``mps``, or ``auto`` for the first of cuda, mps and cpu that is there.
    torch is imported only if the answer depends on it.
    """
    known = re.fullmatch(r"auto|cpu|mps|cuda(:\d{1,3})?", asked)
    require(known, f"device {asked!r}: expected auto, cpu, cuda, cuda:N or mps", 2)
    if asked == "cpu":
        return asked
    devices = available_devices()
    if asked == "auto":
        return "cuda" if "cuda:0" in devices else devices[-1]
    there = asked in devices or (asked == "cuda" and "cuda:0" in devices)
    require(there, f"device {asked}: this machine has none; it has {', '.join(devices)}", 2)
    return asked


def available_devices() -> tuple[str, ...]:
    """Devices that torch can run on here, ``cpu`` first; only ``cpu`` where torch is not installed."""
    if importlib.util.find_spec("torch") is None:
        return ("cpu",)
    import torch

    cuda = [f"cuda:{number}" for number in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return ("cpu", *cuda, *(["mps"] if torch.backends.mps.is_available() else []))


def check_precision(device: str, precision: str) -> None:
    """Refuse ``float16`` on a CPU, which has no arithmetic for it."""
    require(device != "cpu" or precision != "float16", "precision float16: the cpu has no arithmetic for it", 2)
