"""Which of a model's outputs is which class, by the labels that the model names them with."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from figureground.exports.evaluation.label_spaces import IMAGENET_CLASSES, ClassMap
from figureground.exports.evaluation.model_files.torch_models import library
from figureground.exports.evaluation.values import list_names, plain_line, require

_WNID: Final = re.compile(r"n\d{8}")
_UNNAMED: Final = re.compile(r"(LABEL_|label_|class_?)?\d+")
_BACKGROUND: Final = ("background", "__background__", "dummy", "none", "class_0", "0")
_MOST_STRANGE: Final = 50  # of 1,000 names may be spelled in a way that no list of ImageNet's has
_ASK: Final = (
    'say in a settings file, as NAME=FILE.json, {"label_space": "map"} where they are in the order of ImageNet'
)


class Outputs(NamedTuple):
    """What a model's outputs are."""

    columns: tuple[int, ...] | None  # outputs to take, in the order to take them in; None for all as they are
    label_space: str | None  # ``map`` or ``head``; None where the number of outputs has to tell
    class_names: tuple[str, ...] | None  # of a head, in the order of ``columns``


def read_labels(labels: Sequence[str], classes: ClassMap | None, given: Mapping[str, Any], where: str) -> Outputs:
    """What the outputs of a model are that names them itself.

    Wnids and the names of the dataset's classes say so for each output alone, in whatever order they come. ImageNet's
    names are ambiguous (two are cranes), so they only confirm ImageNet's order.

    Args:
        labels: Of the outputs, in their order.
        classes: The dataset's; None where there is none.
        given: Settings of the model, which come first.
        where: The model, for messages.

    Raises:
        EvaluationError: if 1,000 or more outputs have labels that do not say which they are.
    """
    if "imagenet_outputs" in given:
        chosen = tuple(given["imagenet_outputs"])
        fits = len(set(chosen)) == len(chosen) == IMAGENET_CLASSES and max(chosen) < len(labels)
        wanted = f"{IMAGENET_CLASSES} different outputs from 0 to {len(labels) - 1}, in the order of ImageNet's classes"
        require(
            fits,
            f"{where}: imagenet_outputs: expected {wanted}; got {len(chosen)}, {len(set(chosen))} of them different",
        )
        return Outputs(chosen, "map", None)
    if given.keys() & {"label_space", "class_names"}:
        names = given.get("class_names")
        return Outputs(None, given.get("label_space"), tuple(names) if names else None)
    if classes is not None and sorted(labels) == sorted(classes.names):
        return Outputs(tuple(labels.index(name) for name in classes.names), "head", classes.names)
    if len(labels) < IMAGENET_CLASSES:
        named = not all(map(_UNNAMED.fullmatch, labels))
        return Outputs(None, None, tuple(labels) if named else None)
    if all(map(_WNID.fullmatch, labels)):
        return Outputs(_by_wnid(labels, where), "map", None)
    shift = len(labels) - IMAGENET_CLASSES
    ask = f'{_ASK}, or which they are, as "imagenet_outputs", {IMAGENET_CLASSES} numbers'
    require(shift in (0, 1), f"{where}: {len(labels)} outputs, whose labels are no wnids: which are ImageNet's? {ask}")
    unnamed = all(map(_UNNAMED.fullmatch, labels))
    require(not unnamed, f"{where}: its {len(labels)} outputs are labelled {labels[0]} to {labels[-1]}: {ask}")
    background = not shift or labels[0].strip().lower() in _BACKGROUND
    require(
        background,
        f"{where}: of {len(labels)} outputs the first is {plain_line(labels[0], 40)!r}, no background: {ask}",
    )
    fault = _strange_order(labels[shift:])
    require(not fault, f"{where}: {fault}: {ask}")
    return Outputs(None, "map", None)


def imagenet_wnids() -> list[str]:
    """The wnids of ImageNet-1k in the order of its outputs, as timm lists them."""
    names: list[str] = library("timm.data", "transformers").ImageNetInfo("imagenet-1k").label_names()
    return names


def _by_wnid(labels: Sequence[str], where: str) -> tuple[int, ...]:
    """The output of each of ImageNet's classes."""
    wanted, twice = imagenet_wnids(), [name for name, count in Counter(labels).items() if count > 1]
    require(not twice, f"{where}: two outputs have the label {list_names(twice)}")
    places = {name: place for place, name in enumerate(labels)}
    missing = [wnid for wnid in wanted if wnid not in places]
    require(not missing, f"{where}: no output for {len(missing)} of ImageNet's 1,000 classes: {list_names(missing)}")
    return tuple(places[wnid] for wnid in wanted)


def _strange_order(labels: Sequence[str]) -> str:
    """Why labels are not ImageNet's names in ImageNet's order, in words; empty where they are.

    A name that several classes have says nothing of an output of another class.
    """
    info = library("timm.data", "transformers").ImageNetInfo("imagenet-1k")
    names = [_label_words(info.index_to_description(index, detailed=False)) for index in range(IMAGENET_CLASSES)]
    owners: dict[str, list[int]] = {}
    for index, own in enumerate(names):
        for name in own:
            owners.setdefault(name, []).append(index)
    strange = 0
    for index, label in enumerate(labels):
        own = _label_words(label)
        if own & names[index]:
            continue
        others = {owner for name in own for owner in owners.get(name, ()) if len(owners[name]) == 1}
        if others:
            return f"output {index} is labelled {plain_line(label, 40)!r}, ImageNet's class {min(others)}"
        strange += 1
    return f"{strange} of its labels are no names of ImageNet's classes" if strange > _MOST_STRANGE else ""


def _label_words(label: str) -> set[str]:
    """The names that a label gives one class, as they compare."""
    parts = re.split(r"[,;/]", label.casefold().replace("_", " "))
    return {re.sub(r"[^\w ]", "", part).strip() for part in parts} - {""}
