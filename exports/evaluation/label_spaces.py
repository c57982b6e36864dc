"""What a model's outputs mean: the class map and the label spaces."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from figureground.exports.evaluation.values import EvaluationError, Ints, Logits, list_names, plain_line, require

IMAGENET_CLASSES: Final = 1000
EXACT: Final = "exact1000"  # the label space in which only the photo's own ImageNet class is right
ASSUMED_ORDER: Final = "its outputs are assumed to be in the order of the dataset's classes (no class_names)"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassMap:
    """The dataset's classes, and which ImageNet-1k outputs count as which (``class_map.json``)."""

    name: str
    names: tuple[str, ...]  # in the order of the stored labels
    class_of_output: Ints  # (1000,) class index of every ImageNet-1k output; negative, so always wrong, outside
    output_of_source: Mapping[str, int]  # source label (wnid) to its own output; empty where the map does not pair them


def parse_class_map(text: str) -> ClassMap:
    """Read a class map; ``EvaluationError`` if it has another shape, or gives one output to two classes."""
    try:
        parsed: Any = json.loads(text)
        name, unmapped = str(parsed.get("name") or "unnamed"), int(parsed.get("unmapped_value", -1))
        listed = [(int(c["index"]), str(c["name"]), [int(i) for i in c["imagenet_indices"]]) for c in parsed["classes"]]
        members = [
            ([str(wnid) for wnid in given.get("wnids", [])], outputs)
            for given, (_, _, outputs) in zip(parsed["classes"], listed, strict=True)
        ]
    except (ValueError, OverflowError, KeyError, TypeError, AttributeError, RecursionError) as error:
        got = plain_line(repr(error))
        raise EvaluationError(f"class_map.json: expected index, name, imagenet_indices a class: {got}") from error
    require([i for i, _, _ in listed] == list(range(len(listed) or 1)), "class_map.json: indices must count 0, 1, 2 …")
    require(-(1 << 31) <= unmapped < 0, "class_map.json: expected a negative unmapped_value of 32 bits, got another")
    table = np.full(IMAGENET_CLASSES, unmapped, dtype=np.int64)
    for index, owner, outputs in listed:
        for output in outputs:
            fits = 0 <= output < IMAGENET_CLASSES and table[output] < 0
            require(fits, f"class_map.json: {owner}: output {output} is outside 0 to 999, or listed twice")
            table[output] = index
    paired = all(len(wnids) == len(outputs) for wnids, outputs in members)
    own_outputs = {wnid: output for pair in members for wnid, output in zip(*pair, strict=True)} if paired else {}
    return ClassMap(
        name=name, names=tuple(owner for _, owner, _ in listed), class_of_output=table, output_of_source=own_outputs
    )


def find_label_space(outputs: int, classes: ClassMap, named: str | None = None) -> str:
    """What K outputs mean: ``map`` (ImageNet-1k, 1000 or 1001 of them) or ``head`` (the dataset's own classes).

    ``named`` is what the adapter says. ``EvaluationError`` if neither fits, or both do and nothing is named.
    """
    imagenet = outputs in (IMAGENET_CLASSES, IMAGENET_CLASSES + 1) and bool((classes.class_of_output >= 0).any())
    fits = {"map": imagenet, "head": outputs == len(classes.names)}
    fitting = [space for space in fits if fits[space] and named in (None, space)]
    if len(fitting) == 2 and np.array_equal(classes.class_of_output, np.arange(IMAGENET_CLASSES)):
        return "map"  # class i is output i in both readings
    wanted = f"1000 or 1001 ImageNet outputs that are mapped, or a head of {len(classes.names)} for {classes.name}"
    got = f"{outputs} outputs" + (f", label space {named}" if named else "")
    if outputs in (IMAGENET_CLASSES, IMAGENET_CLASSES + 1) and not imagenet and named != "head":
        got += ", and no class of the dataset has an imagenet_index: build it with a class map that has them"
    ask = "; both fit: say label_space, map or head, in the settings beside the model's file or in its adapter"
    require(len(fitting) == 1, f"expected {wanted}; got {got}{ask if len(fitting) == 2 else ''}")
    return fitting[0]


def class_order(space: str, class_names: Sequence[str] | None) -> str | None:
    """How the order of a head's classes is known: ``stated`` by the model, or ``assumed`` to be the dataset's.

    None for models that answer in ImageNet's classes. ``space`` is a label space, also with its number of classes.
    """
    if not space.startswith("head"):
        return None
    return "stated" if class_names else "assumed"


def map_predictions(logits: Logits, classes: ClassMap, space: str) -> tuple[Ints, Ints]:
    """Raw argmax ``(N,)`` of ``(N, K)`` logits, and the class index of each.

    Under ``map`` the argmax is over all 1000 outputs, mapped or not, as in in9_eval.py: an answer outside is wrong.
    """
    raw = drop_background(logits, space).argmax(axis=1)
    return raw, classes.class_of_output[raw] if space == "map" else raw.copy()


def restrict_predictions(logits: Logits, classes: ClassMap, space: str) -> Ints:
    """Class index ``(N,)`` of the largest output that belongs to a class, so that no answer is outside the map."""
    if space == "head":
        return np.asarray(logits.argmax(axis=1))
    inside = np.flatnonzero(classes.class_of_output >= 0)
    return np.asarray(classes.class_of_output[inside[drop_background(logits, space)[:, inside].argmax(axis=1)]])


def exact_answers(predicted: Ints, source_labels: NDArray[np.str_], classes: ClassMap, space: str) -> Ints:
    """1 where the raw argmax ``(N,)`` is the photo's own ImageNet class, 0 where not, -1 where that is not known."""
    own = find_outputs(source_labels, classes)
    known = (own >= 0) & (space == "map")
    return np.where(known, predicted == own, -1)


def find_outputs(source_labels: NDArray[np.str_], classes: ClassMap) -> Ints:
    """The photos' own ImageNet outputs, ``(N,)``; -1 where one is not known."""
    return np.array([classes.output_of_source.get(name, -1) for name in source_labels], dtype=np.int64)


class Truth(NamedTuple):
    """What the right answers to rows are."""

    label: Ints  # (R,)
    output: Ints | None  # (R,) the photos' own ImageNet outputs; None where they are not known of all rows of a table

    def of(self, rows: slice | Ints) -> Truth:
        """Of some rows; whether outputs are known is what it is for the table."""
        return Truth(self.label[rows], None if self.output is None else self.output[rows])


def find_truth(labels: Ints, source_labels: NDArray[np.str_], classes: ClassMap) -> Truth:
    """The right answers to all rows of a table, ``(R,)`` each."""
    outputs = find_outputs(source_labels, classes)
    return Truth(labels, outputs if (outputs >= 0).all() else None)


def masked_outputs(classes: ClassMap) -> Ints:
    """The one ImageNet-1k output of every class, ``(C,)``; ``EvaluationError`` if a class has none or several."""
    outputs = [np.flatnonzero(classes.class_of_output == index) for index in range(len(classes.names))]
    uneven = [owner for owner, own in zip(classes.names, outputs, strict=True) if len(own) != 1]
    require(
        not uneven, f"imagenet_a needs one output a class in class_map.json; other numbers for {list_names(uneven)}"
    )
    return np.concatenate(outputs)


def drop_background(logits: Logits, space: str) -> Logits:
    """Without column 0 of 1001 ImageNet outputs, TensorFlow's background class."""
    return logits[:, 1:] if space == "map" and logits.shape[1] == IMAGENET_CLASSES + 1 else logits
