"""What a model answered to single pictures, as ``evaluate --out`` stored it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from figureground.exports.evaluation.label_spaces import ClassMap


class StoredAnswer(NamedTuple):
    """The answer to one row."""

    mapped: int
    """Class index; negative outside the map."""
    probability: float
    """The largest, in [0, 1]."""
    right: bool

    def words(self, classes: ClassMap) -> str:
        """The class that was answered and its probability."""
        name = classes.names[self.mapped] if self.mapped >= 0 else "outside the map"
        return f"{name} {self.probability:.2f}"


def read_answers(result: Mapping[str, Any], config: str) -> dict[str, StoredAnswer] | None:
    """Answers on a config by image_id, of the first row of each image; None where evaluate was given no folder.

    Args:
        result: As ``read_results`` gives it, of the protocol imagenet9 or background_check.
        config: Name of the config.
    """
    path = Path(result["folder"], "predictions", f"{result['stem']}.{config}.npz")
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as stored:
        columns = [stored[name].tolist() for name in ("image_id", "mapped", "probability", "label")]
    answers: dict[str, StoredAnswer] = {}
    for name, mapped, probability, label in zip(*columns, strict=True):
        answers.setdefault(name, StoredAnswer(mapped, probability, mapped == label))
    return answers
