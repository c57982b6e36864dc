"""What a model answered to single pictures, as ``evaluate --out`` stored it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from figureground.errors import DataError
from figureground.exports.evaluation import jobs
from figureground.exports.evaluation.label_spaces import ClassMap
from figureground.exports.evaluation.values import plain_line


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
    path = Path(result["folder"], "predictions", f"{result['stem']}.{config}.npz")
    if not path.is_file():
        return None
    names = ("image_id", "mapped", "probability", "label")
    columns = [column.tolist() for column in read_arrays(path, names).values()]
    answers: dict[str, StoredAnswer] = {}
    for name, mapped, probability, label in zip(*columns, strict=True):
        answers.setdefault(name, StoredAnswer(mapped, probability, mapped == label))
    return answers
