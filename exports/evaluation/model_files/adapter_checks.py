"""Adapters looked at and tried, before anything is scored."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from figureground.exports.evaluation.adapters import Adapter, adapter_option
from figureground.exports.evaluation.model_files.settings import FILTERS, LABEL_SPACES, OUTPUTS, is_number, is_size
from figureground.exports.evaluation.values import EvaluationError, Images, Logits, plain_line, require

_TRIED: Final = 3  # images; so many rows that all sum to 1 by chance are none
_SUM_SLACK: Final = 2e-3  # a softmax in half precision is as far from 1


def check_adapter(adapter: Any, spec: str) -> None:  # noqa: ANN401  whatever a user's callable returned
    """Refuse what is no adapter; ``EvaluationError`` names every attribute that is lacking or of another kind."""
    lacking = [name for name in ("name", "input_size_hw", "weights_sha256", "logits") if not hasattr(adapter, name)]
    require(not lacking, f"model {spec!r} returned no adapter: it lacks {', '.join(lacking)}")
    size, outputs = adapter.input_size_hw, adapter_option(adapter, "outputs")
    names, space = adapter_option(adapter, "class_names"), adapter_option(adapter, "label_space")
    checks = {
        "name": (isinstance(adapter.name, str) and adapter.name.strip() and adapter.name.isprintable(), "a plain text"),
        "input_size_hw": (_is_pair(size), "height and width, two whole numbers of pixels"),
        "weights_sha256": (
            isinstance(adapter.weights_sha256, str) and re.fullmatch("[0-9a-f]{64}", adapter.weights_sha256),
            "64 hex digits, lower case",
        ),
        "logits": (callable(adapter.logits), "a method"),
        "outputs": (outputs is None or outputs in OUTPUTS, " or ".join(OUTPUTS)),
        "label_space": (space is None or space in LABEL_SPACES, " or ".join(LABEL_SPACES)),
        "class_names": (names is None or _are_texts(names), "names of classes in the order of the outputs"),
        "interpolation": (
            str(adapter_option(adapter, "interpolation")).lower() in FILTERS,
            f"one of Pillow's names {', '.join(FILTERS)}",
        ),
        **{name: (_is_triple(adapter_option(adapter, name)), "three numbers, or None") for name in ("mean", "std")},
    }
    faults = [
        f"{name}: expected {wanted}, got {plain_line(repr(getattr(adapter, name, None)), 60)}"
        for name, (fits, wanted) in checks.items()
        if not fits
    ]
    require(not faults, f"model {spec!r} returned no adapter: {'; '.join(faults)}")


def _is_pair(value: Any) -> bool:  # noqa: ANN401  anything
    return isinstance(value, (tuple, list)) and len(value) == 2 and all(map(is_size, value))


def _is_triple(value: Any) -> bool:  # noqa: ANN401  anything
    return value is None or (
        isinstance(value, (tuple, list, np.ndarray))
        and len(value) == 3
        and all(is_number(float(part)) for part in value)
    )


def _are_texts(value: Any) -> bool:  # noqa: ANN401  anything
    return isinstance(value, (tuple, list)) and all(isinstance(name, str) for name in value)


def checked_logits(adapter: Adapter, fed: NDArray[Any], rows: Sequence[str]) -> Logits:
    """A model's logits; ``EvaluationError`` names the first of ``rows`` whose answer is not finite, or what failed.

    Where images do not fit into the device's memory together, half as many are tried, and so on; how many do is said
    once on stderr, and kept for the batches that follow.
    """
    most = vars(adapter).get("fitting", len(fed)) if hasattr(adapter, "__dict__") else len(fed)
    parts, start, shrunk = list[Logits](), 0, False
    while start < len(fed):
        part = fed[start : start + most]
        answers = _answers(adapter, part, rows[start])
        if answers is None:
            most, shrunk = len(part) // 2, True
            _free_memory()
            continue
        if shrunk:
            shrunk = False
            print(f"{adapter.name}: no more than {most} images fit into its memory at a time", file=sys.stderr)
            if hasattr(adapter, "__dict__"):
                vars(adapter)["fitting"] = most
        parts.append(answers)
        start += len(part)
    logits = np.concatenate(parts)
    broken = ~np.isfinite(logits).all(axis=1)
    first = rows[int(broken.argmax())]
    require(not broken.any(), f"{adapter.name}: {first}: expected finite logits, got NaN or infinity")
    return logits


def _answers(adapter: Adapter, fed: NDArray[Any], row: str) -> Logits | None:
    """Logits of one batch; None where its several images do not fit into memory."""
    try:
        answers: Any = adapter.logits(fed)
        if hasattr(answers, "detach"):  # a tensor of torch
            answers = answers.detach().float().cpu().numpy()
        logits = np.asarray(answers, dtype=np.float32)
    except Exception as error:  # of onnxruntime, torch or a user's own code
        if isinstance(getattr(error, "exit_code", None), int):
            raise
        full = _is_memory_full(error)
        if full and len(fed) > 1:
            return None
        remedy = "; not even one image fits: take --precision bfloat16, another --device or a smaller model"
        words = f"{type(error).__name__}: {plain_line(error)}" if str(error) else type(error).__name__
        raise EvaluationError(
            f"{_where(adapter)}: {row}: it fails on images {fed.shape}: {words}{remedy if full else ''}"
        ) from error
    shaped = logits.ndim == 2 and len(logits) == len(fed)
    require(shaped, f"{adapter.name}: expected logits ({len(fed)}, K), got {logits.shape}")
    return logits


def _is_memory_full(error: Exception) -> bool:
    """Whether a device had no room: torch's own class, and what MPS, torch on the CPU and ONNX Runtime say of it."""
    message = str(error).lower()
    words = ("out of memory", "can't allocate memory", "not enough memory", "failed to allocate memory")
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or any(word in message for word in words)
    )


def _free_memory() -> None:
    """Let torch give back what the batch that failed left in its cache."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def _where(adapter: Adapter) -> str:
    """A model by name, and by the file that its settings are in."""
    file = adapter_option(adapter, "settings_file")
    return f"{adapter.name} ({file})" if file else adapter.name


def try_model(adapter: Adapter, own_pictures: Callable[[], Images] | None = None) -> Logits:
    """Answers ``(3, K)`` to three drawn pictures, so that a model that cannot answer is known before the first hour.

    A model that fails on them may know no others than the dataset's: it must then answer those that ``own_pictures``
    gives, ``(N, H, W, 3)``. Where the adapter does not say whether its outputs are logits or probabilities, these
    answers tell, and it is noted in the adapter: rows of shares that sum to 1 are a softmax's.

    Raises:
        EvaluationError: if the model fails, answers in another shape, or not as it says of itself.
    """
    try:
        answers = checked_logits(adapter, drawn_pictures(adapter.input_size_hw), ["a drawn picture"] * _TRIED)
    except EvaluationError as error:
        if own_pictures is None or error.__cause__ is None:
            raise
        shown = own_pictures()
        answers = checked_logits(adapter, shown, ["one of the dataset's pictures"] * len(shown))
    shares = bool(((answers >= -_SUM_SLACK) & (answers <= 1 + _SUM_SLACK)).all())
    softmax = shares and bool((np.abs(answers.sum(axis=1, dtype=np.float64) - 1) <= _SUM_SLACK).all())
    stated = adapter_option(adapter, "outputs")
    if stated is None:
        words = "state outputs in the adapter: it takes no attributes"
        require(hasattr(adapter, "__dict__"), f"{adapter.name}: {words}")
        vars(adapter)["outputs"] = "probabilities" if softmax else "logits"
        return answers
    where = f"{_where(adapter)}: outputs"
    require(stated != "logits" or not softmax, f"{where}: says logits, but its rows are shares that sum to 1")
    got = f"{float(answers.min()):.3g} to {float(answers.max()):.3g}"
    require(stated != "probabilities" or shares, f"{where}: says probabilities, but they run from {got}")
    return answers


def drawn_pictures(size_hw: tuple[int, int]) -> Images:
    """Three pictures ``(3, H, W, 3)``: a ramp down, a ramp to the side, and a chequered one."""
    rows, columns = np.indices(tuple(size_hw))
    down, side = rows * 255 // max(1, size_hw[0] - 1), columns * 255 // max(1, size_hw[1] - 1)
    chequered = (rows // 8 + columns // 8) % 2 * 200
    stacks = [(down, 255 - down, side), (side, side // 2, 255 - side), (chequered, side, down)]
    return np.stack([np.stack(stack, axis=-1) for stack in stacks]).astype(np.uint8)
