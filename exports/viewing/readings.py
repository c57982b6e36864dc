"""What models answered to the rows of a dataset, as ``evaluate --out`` stored it, row by row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from figureground.errors import DataError, UsageError
from figureground.exports.evaluation.jobs import PREDICTIONS
from figureground.exports.evaluation.values import plain_line
from figureground.exports.report.stored_answers import answers_path, read_arrays
from figureground.exports.report.stored_results import read_results
from figureground.exports.viewing.columns import Coded, RowColumns

OUTSIDE: Final = "outside the map"
"""What a model answered that named none of the classes."""
_REMEDY: Final = "remove it and run evaluate again with the same --out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The answers of one model in one label space: ``(R,)`` arrays over all rows of the dataset."""

    name: str
    """The model's name; of one with several label spaces with the space behind it."""
    protocol: str
    answered: NDArray[np.bool_]
    right: NDArray[np.bool_]
    answers: Coded
    """Class that was answered; none where the file does not say which, or nothing was asked."""
    confidence: NDArray[np.float32]
    """The largest probability, in [0, 1]; NaN where it is not known."""


def read_readings(
    paths: Sequence[Path], columns: RowColumns, classes: Sequence[str], fingerprint: str
) -> list[Reading]:
    """Answers of every model of some results.

    Args:
        paths: Result files of ``evaluate --out``, or folders of them.
        columns: The dataset's rows.
        classes: Names of its classes.
        fingerprint: What results call the state of the dataset: SHA-256 of its manifest.

    Raises:
        UsageError: if there are no results, results of another dataset, or none with stored answers.
        DataError: for files that are no results or no answers, and answers to rows that the dataset has not.
    """
    readings, answers = list[Reading](), set[tuple[str, str]]()
    for result in read_results(paths):
        data = result["dataset"]
        if data["fingerprint"] != fingerprint:
            raise UsageError(
                f"{result['folder']}/{result['stem']}.json: its answers are to another dataset, or another state of it "
                f"({data['name']}); score this one with: figureground evaluate DIR --model MODEL -o scores"
            )
        own = (result["folder"], result.get("answers", result["stem"]))
        if own not in answers:  # results that ask other things of the same answers share them
            readings += _readings_of(result, columns, classes)
            answers.add(own)
    return readings


def _readings_of(result: Mapping[str, Any], columns: RowColumns, classes: Sequence[str]) -> list[Reading]:
    """The answers of one result, a reading for each label space."""
    paths = {config: answers_path(result, config) for config in columns.config.names}
    stored = {config: read_arrays(path) for config, path in paths.items() if path.is_file()}
    if not stored:
        where = f"{result['folder']}/{PREDICTIONS}"
        raise UsageError(f"{where}: no stored answers of {result['model']}; evaluate stores them with --out")
    spaces = sorted({name.partition(".")[0] for arrays in stored.values() for name in arrays if "." in name}) or [""]
    readings = []
    for space in spaces:
        reading = _Rows(columns, result["split"], classes)
        for config, arrays in stored.items():
            own = _in_space(arrays, space)
            if "image_id" in own:  # of configs without answers only a note is stored
                reading.add(config, own, str(paths[config]))
        name = result["model"] if len(spaces) == 1 else f"{result['model']} ({space})"
        readings.append(reading.finished(name, result["protocol"]))
    return readings


def _in_space(arrays: Mapping[str, NDArray[Any]], space: str) -> dict[str, NDArray[Any]]:
    """Arrays of a label space by name: its own, stored as ``SPACE.NAME``, and those that all spaces share."""
    own = {name.removeprefix(f"{space}."): array for name, array in arrays.items() if name.startswith(f"{space}.")}
    return {name: array for name, array in arrays.items() if "." not in name} | own


class _Rows:
    """Answers that are laid on the rows of a dataset, config by config.

    Answers name the photo alone. Those to one photo are stored in the order of its rows, which draws, attributes and
    donors tell apart: the k-th answer is to the k-th row.
    """

    def __init__(self, columns: RowColumns, split: str, classes: Sequence[str]) -> None:
        self._columns = columns
        self._split = split
        self._classes = tuple(classes)
        self._answered = np.zeros(columns.rows, dtype=np.bool_)
        self._right = np.zeros(columns.rows, dtype=np.bool_)
        self._codes = np.full(columns.rows, -1, dtype=np.int32)
        self._confidence = np.full(columns.rows, np.nan, dtype=np.float32)

    def add(self, config: str, arrays: Mapping[str, NDArray[Any]], where: str) -> None:
        """Lay the answers of a config on its rows.

        Raises:
            DataError: if they are of another form than evaluate stores, or to other rows.
        """
        rows = self._places(config, arrays["image_id"], where)
        try:
            right = _first(arrays["right"]) if "right" in arrays else arrays["mapped"] == arrays["label"]
            self._right[rows] = right.astype(np.bool_)
            answer, outside = arrays.get("mapped", arrays.get("answer")), len(self._classes)
            if answer is not None:
                codes = _first(answer).astype(np.int64)
                self._codes[rows] = np.where((codes < 0) | (codes >= outside), outside, codes)
            # What rival10 stores as probability is that of the true class.
            largest = arrays.get("confidence", arrays["probability"] if "mapped" in arrays else None)
            if largest is not None:
                self._confidence[rows] = _first(largest)
        except (KeyError, ValueError, TypeError) as error:
            got = f"{type(error).__name__}: {plain_line(error, 120)}"
            expected = "answers of evaluate"
            raise DataError.single(where, config, expected=expected, got=got, remedy=_REMEDY) from error
        self._answered[rows] = True

    def _places(self, config: str, image_ids: NDArray[Any], where: str) -> NDArray[np.int64]:
        """The row of every answer."""
        columns = self._columns
        own = np.flatnonzero(columns.config.wanted([config]) & columns.split.wanted([self._split]))
        waiting = dict[str, list[int]]()
        for row in own.tolist():
            waiting.setdefault(columns.image.names[columns.image.codes[row]], []).append(row)
        counts = Counter(map(str, image_ids.tolist())) if image_ids.ndim == 1 else Counter()
        odd = [name for name, count in counts.items() if len(waiting.get(name, ())) != count]
        if odd or image_ids.ndim != 1:
            got = f"{counts[odd[0]]} for {odd[0]}" if odd else f"an array of {image_ids.ndim} axes"
            expected = f"an answer for every row of {config} that a photo has"
            raise DataError.single(where, config, expected=expected, got=got, remedy=_REMEDY)
        taken = Counter[str]()
        places = np.empty(len(image_ids), dtype=np.int64)
        for number, name in enumerate(map(str, image_ids.tolist())):
            places[number] = waiting[name][taken[name]]
            taken[name] += 1
        return places

    def finished(self, name: str, protocol: str) -> Reading:
        """All of them."""
        return Reading(
            name=name,
            protocol=protocol,
            answered=self._answered,
            right=self._right,
            answers=Coded(names=(*self._classes, OUTSIDE), codes=self._codes),
            confidence=self._confidence,
        )


def _first(array: NDArray[Any]) -> NDArray[Any]:
    """``(R,)``: of answers under several conditions and trials, ``(R, C, T)``, those without noise, the first."""
    return array.reshape(len(array), -1)[:, 0]
