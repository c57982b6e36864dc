"""What a model answered to single pictures, as ``evaluate --out`` stored it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from figureground.errors import DataError
from figureground.exports.evaluation import jobs
from figureground.exports.evaluation.label_spaces import ClassMap
from figureground.exports.evaluation.shares import ImageShares, RowAnswers, average_rows
from figureground.exports.evaluation.values import EvaluationError, plain_line


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


def answers_path(result: Mapping[str, Any], config: str) -> Path:
    """Where the answers of a result to a config lie, whether they were stored or not.

    Args:
        result: As ``read_results`` gives it; one that does not say what its answers are called has them under the name
            of its own file.
        config: Name of the config, or of a view that ``evaluate`` stores beside them.
    """
    return jobs.answers_file(Path(result["folder"]), str(result.get("answers", result["stem"])), config)


def read_arrays(path: Path, names: Sequence[str] | None = None) -> dict[str, NDArray[Any]]:
    """Arrays of a file that evaluate stored answers in, by name.

    Args:
        path: The file.
        names: Arrays to read, of one length, in this order; None for all that there are, of whatever length.

    Raises:
        DataError: if the file is damaged, or lacks one of ``names`` or holds them in other lengths.
    """
    remedy = "remove it and run evaluate again with the same --out"
    try:
        stored = jobs.read_arrays(path, names)
        arrays = dict(stored) if names is None else {name: stored[name] for name in names}
    except Exception as error:  # zipfile, zlib and NumPy raise nearly anything on damaged bytes
        got = f"{type(error).__name__}: {plain_line(error, 120)}"
        raise DataError.single(str(path), "", expected="answers of evaluate", got=got, remedy=remedy) from error
    lengths = {len(array) for array in arrays.values() if array.ndim}
    if names is not None and len(lengths) > 1:
        got = f"arrays of {', '.join(map(str, sorted(lengths)))}"
        raise DataError.single(str(path), "", expected="arrays of one length", got=got, remedy=remedy)
    return arrays


def read_answers(result: Mapping[str, Any], config: str) -> dict[str, StoredAnswer] | None:
    """Answers on a config by image_id, of the first row of each image; None where evaluate was given no folder.

    Args:
        result: As ``read_results`` gives it, of the protocol imagenet9 or background_check.
        config: Name of the config.
    """
    path = answers_path(result, config)
    if not path.is_file():
        return None
    names = ("image_id", "mapped", "probability", "label")
    columns = [column.tolist() for column in read_arrays(path, names).values()]
    answers: dict[str, StoredAnswer] = {}
    for name, mapped, probability, label in zip(*columns, strict=True):
        answers.setdefault(name, StoredAnswer(mapped, probability, mapped == label))
    return answers


def read_shares(result: Mapping[str, Any], config: str) -> ImageShares | None:
    """Share of right answers of each image on a config, over its rows; None where evaluate was given no folder.

    Args:
        result: As ``read_results`` gives it, of the protocol imagenet9.
        config: Name of the config.

    Raises:
        DataError: if the stored answers are damaged.
    """
    path = answers_path(result, config)
    if not path.is_file():
        return None
    image_id, label, mapped = read_arrays(path, ("image_id", "label", "mapped")).values()
    if image_id.dtype.kind != "U" or {label.dtype.kind, mapped.dtype.kind} - set("iu"):
        got = ", ".join(f"{array.dtype}{array.shape}" for array in (image_id, label, mapped))
        raise DataError.single(str(path), "", expected="answers of evaluate", got=got, remedy="run evaluate again")
    try:
        return average_rows(config, RowAnswers(image_id=image_id, label=label.astype(np.int64), right=mapped == label))
    except EvaluationError as error:
        raise DataError.single(str(path), "label", expected="one label an image", got=str(error)) from error
