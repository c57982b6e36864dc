"""What a file beside a model may say about it: names and values, checked before the model runs."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from PIL import Image

from figureground.exports.evaluation.values import EvaluationError, list_names, plain_line, require

FILTERS: Final = tuple(sorted(name.lower() for name in Image.Resampling.__members__))
OUTPUTS: Final = ("logits", "probabilities")
LABEL_SPACES: Final = ("map", "head")


def is_number(value: object) -> bool:
    """Whether a value is a finite number that float64 holds; a truth is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) if isinstance(value, float) else abs(value) < 1 << 1023


def is_size(value: object) -> bool:
    """Whether a value is a positive whole number of pixels."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 65536


def _three_numbers(value: object) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(map(is_number, value))


def _names(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(name, str) and name for name in value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_word(value: object) -> bool:
    return (isinstance(value, str) and bool(value.strip())) or _names(value)


def _are_words(value: object) -> bool:
    listed = list(value.values()) if isinstance(value, dict) else value
    return value == "openai" or (isinstance(listed, list) and all(map(_is_word, listed)))


_RULES: Final[Mapping[str, tuple[str, Callable[[Any], bool]]]] = {
    "input_size": (
        "pixels, or [height, width]",
        lambda value: is_size(value) or (isinstance(value, list) and len(value) == 2 and all(map(is_size, value))),
    ),
    "mean": ("three numbers", _three_numbers),
    "std": ("three numbers above 0", lambda value: _three_numbers(value) and min(value) > 0),
    "scale": ("a number above 0", lambda value: is_number(value) and value > 0),
    "layout": ("NCHW or NHWC", lambda value: value in ("NCHW", "NHWC")),
    "outputs": (" or ".join(OUTPUTS), lambda value: value in OUTPUTS),
    "interpolation": (", ".join(FILTERS), lambda value: isinstance(value, str) and value.lower() in FILTERS),
    "crop_pct": ("a number above 0 and up to 2", lambda value: is_number(value) and 0 < value <= 2),
    "parameters": ("a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool)),
    "label_space": (" or ".join(LABEL_SPACES), lambda value: value in LABEL_SPACES),
    "class_names": ("names of classes in the order of the outputs", _names),
    "checkpoint": ("the name of a part of the checkpoint", lambda value: isinstance(value, str) and bool(value)),
    "imagenet_outputs": (
        "the outputs that are ImageNet's classes, in their order",
        lambda value: isinstance(value, list) and bool(value) and all(map(_is_count, value)),
    ),
    "templates": (
        "texts with {} where a class's name goes, or openai or simple",
        lambda value: value in ("openai", "simple") or (_names(value) and all(text.count("{}") == 1 for text in value)),
    ),
    "words": ("names or lists of names by class, or openai", _are_words),
    "question": ("a text with {} where the choices go", lambda value: isinstance(value, str) and "{}" in value),
    "orders": ("a whole number from 1 to 26", lambda value: _is_count(value) and 1 <= value <= 26),
    "order_seed": ("a whole number", _is_count),
}


def read_settings(
    path: Path, known: Collection[str], stored: Mapping[str, str] | None = None
) -> tuple[dict[str, Any], str]:
    """Settings of a model, from ``NAME.json`` beside its file, else from texts in it; and the file that says them.

    Args:
        path: The model's file.
        known: Settings that such a model has.
        stored: JSON texts by name in the model itself; other names there are those of other programs, and passed over.

    Raises:
        EvaluationError: with every setting that has another name or value.
    """
    beside = path if path.suffix.lower() == ".json" else path.with_suffix(".json")
    where = str(beside) if beside.is_file() else str(path)
    try:
        if beside.is_file():
            text = beside.read_text(encoding="utf-8-sig")
            given: Any = json.loads(text, object_pairs_hook=_once)
        else:
            given = {name: json.loads(value) for name, value in (stored or {}).items() if name in known}
    except (OSError, ValueError, RecursionError) as error:
        raise EvaluationError(f"{where}: its settings are not JSON: {plain_line(error)}") from error
    require(isinstance(given, dict), f"{where}: expected settings by name, {{…}}; got {plain_line(repr(given), 60)}")
    faults = [fault for name, value in sorted(given.items()) for fault in _faults(name, value, known)]
    require(not faults, f"{where}: {'; '.join(faults)}")
    return given, where


def read_named_settings(path: Path, known: Collection[str]) -> tuple[dict[str, Any], str]:
    """Settings of a file that a specification names, ``NAME=FILE.json``; as ``read_settings``."""
    require(path.suffix.lower() == ".json", f"{path}: expected a settings file, NAME=FILE.json", 2)
    require(path.is_file(), f"{path}: no such settings file", 2)
    return read_settings(path, known)


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object in which no name stands twice."""
    names = [name for name, _ in pairs]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"{list_names(twice)} stands there twice")
    return dict(pairs)


def _faults(name: str, value: Any, known: Collection[str]) -> list[str]:  # noqa: ANN401  any JSON value
    """What is wrong with one setting, as words; nothing where it is right."""
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(sorted(known))}"
        return [f"unknown setting {name!r}{hint}"]
    wanted, fits = _RULES[name]
    return [] if fits(value) else [f"{name}: expected {wanted}, got {plain_line(json.dumps(value), 60)}"]
