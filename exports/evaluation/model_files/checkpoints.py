"""Checkpoints as training programs write them: which of their tensors are the model's."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from figureground.exports.evaluation.values import EvaluationError, file_fault, list_names, plain_line, require

PARTS: Final = (  # in the order in which they are taken; timm takes averaged weights first, too
    "state_dict_ema",
    "model_ema",
    "ema_state_dict",
    "ema",
    "state_dict",
    "model",
    "model_state_dict",
    "network",
    "net",
)


class StoredTensors(NamedTuple):
    """The tensors of one model in a checkpoint."""

    tensors: dict[str, Any]
    part: str  # name of the part of the checkpoint; empty where it is the whole
    prefix: str  # what stood before every name
    others: tuple[str, ...]  # parts that were not taken

    @property
    def choice(self) -> str:
        """What was taken of a checkpoint that holds more than one model, in words; empty where there was no choice."""
        return f"{self.part} taken, not {', '.join(self.others)}" if self.others else ""


def read_checkpoint(path: Path, wanted: Collection[str], part: str | None = None) -> StoredTensors:
    """The tensors of a checkpoint whose names are the model's, without what wrappers put before them.

    Read are plain state dicts, safetensors, and what timm, Lightning, torchvision and torch's own wrappers
    (DataParallel, ``torch.compile``, ``AveragedModel``) write. Nothing but tensors and ``argparse.Namespace`` is
    unpickled.

    Args:
        path: ``.safetensors``, or a file of ``torch.save``.
        wanted: Names of the model's tensors.
        part: Name of the part to take; None for the first of ``PARTS``.

    Raises:
        EvaluationError: if it cannot be read, holds no tensors by name, or several models and none is named.
    """
    loaded = _load(path)
    parts = {name: loaded[name] for name in loaded if _holds_tensors(loaded[name])}
    if part is not None and part in parts:
        taken = part
    elif _holds_tensors(loaded):
        parts, taken = {"": loaded}, ""
    else:
        taken = next((name for name in PARTS if name in parts), "")
        if not taken and len(parts) == 1:
            (taken,) = parts
        require(taken, f"{path}: expected tensors by name, or those under {', '.join(PARTS)}; {_inventory(loaded)}")
    plain = {_uncompiled(name): tensor for name, tensor in parts[taken].items() if name != "n_averaged"}
    prefix = _find_prefix(path, plain, wanted, None if part == taken else part)
    tensors = {name.removeprefix(prefix): tensor for name, tensor in plain.items() if name.startswith(prefix)}
    return StoredTensors(tensors, taken, prefix, tuple(sorted(set(parts) - {taken})))


def _load(path: Path) -> Mapping[str, Any]:
    import torch
    from safetensors.torch import load_file  # timm requires it

    fault = file_fault(path)
    require(not fault, f"{path}: {fault}")
    try:
        if path.suffix.lower() == ".safetensors":
            return dict(load_file(path))
        with torch.serialization.safe_globals([argparse.Namespace]):  # timm's CheckpointSaver writes its arguments so
            loaded: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zipfile, torch and safetensors raise nearly anything on foreign bytes
        remedy = "save model.state_dict() alone" if "WeightsUnpickler" in str(error) else "copy or download it again"
        raise EvaluationError(
            f"{path}: cannot be read as tensors, so these are not the weights of a model "
            f"({plain_line(_reason(error), 200)}); {remedy}"
        ) from error
    require(isinstance(loaded, Mapping), f"{path}: expected tensors by name, got {type(loaded).__name__}")
    return dict(loaded)


def _reason(error: Exception) -> str:
    """What torch says of a file, without its advice of several lines on unsafe loading."""
    text = str(error)
    _, mark, detail = text.partition("WeightsUnpickler error: ")
    return (detail if mark else text).splitlines()[0] if text else type(error).__name__


def _holds_tensors(value: object) -> bool:
    import torch

    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(name, str) and isinstance(item, torch.Tensor) for name, item in value.items())
    )


def _inventory(loaded: Mapping[str, Any]) -> str:
    return f"it holds {list_names([plain_line(name, 40) for name in loaded])}" if loaded else "it holds nothing"


def _uncompiled(name: str) -> str:
    """A tensor's name without what ``torch.compile`` adds to each module that it wraps."""
    return name.replace("_orig_mod.", "")


def _find_prefix(path: Path, tensors: Mapping[str, Any], wanted: Collection[str], named: str | None) -> str:
    """What stands before the names of the model's tensors; ``EvaluationError`` if several models are there."""
    counts: Counter[str] = Counter()
    ends: dict[str, list[str]] = {}
    for name in wanted:
        ends.setdefault(name.rpartition(".")[2], []).append(name)
    for name in tensors:
        for end in ends.get(name.rpartition(".")[2], ()):
            if name == end or name.endswith(f".{end}"):
                counts[name[: len(name) - len(end)]] += 1
    whole = sorted(prefix for prefix, count in counts.items() if count == len(set(wanted)))
    if named is not None:
        prefix = named if named.endswith(".") else f"{named}."
        require(counts[prefix], f"{path}: has no part {named!r}; it has {list_names([*whole, *PARTS][:8])}")
        return prefix
    require(
        len(whole) < 2 or "" in whole,
        f"{path}: holds several models, {list_names(whole)}: say which in {path.stem}.json, as "
        f'{{"checkpoint": "{whole[0] if whole else ""}"}}',
    )
    if "" in whole:
        return ""
    return whole[0] if whole else max(sorted(counts), key=lambda prefix: counts[prefix], default="")


def compare_tensors(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """How stored tensors differ from those of a model in names and shapes, in words; nothing where they fit."""
    shapes = [
        f"{name} {tuple(stored[name].shape)} for {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in stored and stored[name].shape != tensor.shape
    ]
    differing = {
        "missing": sorted(set(wanted) - set(stored)),
        "unexpected": sorted(set(stored) - set(wanted)),
        "other shapes": shapes,
    }
    return [f"{words}: {list_names(names)}" for words, names in differing.items() if names]
