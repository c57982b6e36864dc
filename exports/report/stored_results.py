"""Results of ``evaluate`` as files: read, looked at as far as tables and plots look, and named apart."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from figureground.errors import DataError, Faults, UsageError, listed
from figureground.exports.evaluation.results import format_table, settings_key, tell_apart
from figureground.exports.evaluation.values import plain_line
from figureground.exports.report.noise import noise_result
from figureground.runtime.files import files_in
from figureground.schemas.documents import read_text

_PLAIN: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
_MAKE: Final = "figureground evaluate DATASET --model MODEL --out FOLDER"


class Scoring(NamedTuple):
    """How a model was scored: results compare only where it is equal.

    What a dataset is called does not count: a folder and its copy on the Hub hold the same data.
    """

    protocol: str
    fingerprint: str
    split: str
    feed: str
    settings: str
    """As ``settings_key`` gives it."""


def scoring_of(result: Mapping[str, Any]) -> Scoring:
    """How the model of a result was scored."""
    return Scoring(
        protocol=result["protocol"],
        fingerprint=result["dataset"]["fingerprint"],
        split=result["split"],
        feed=result["feed"],
        settings=settings_key(result),
    )


def result_files(paths: Sequence[Path]) -> list[Path]:
    """Files of results: those given, and those in folders given.

    Raises:
        UsageError: if there are none.
    """
    files = [file for path in paths for file in (files_in(path, ".json") if path.is_dir() else [path])]
    if not files:
        raise UsageError(f"no results in {', '.join(map(str, paths))}: give what was written by: {_MAKE}")
    return files


def read_results(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Read results of ``evaluate`` from JSON files, or from folders of them.

    Raises:
        UsageError: if there are none.
        DataError: for files that are no results.
    """
    results, faults = list[dict[str, Any]](), Faults()
    for file in result_files(paths):
        try:
            read = json.loads(read_text(file))
            origin = {"folder": str(file.parent), "stem": file.stem}
            listed = [{**result, **origin} for result in read.get("results", [read])]
            for result in listed:
                _require_readable(result)
        except UsageError as error:  # there is no such file, or it may not be read
            raise UsageError(f"{error}; results are written by: {_MAKE}") from error
        except DataError as error:
            faults.extend(error.faults)
        except Exception as error:  # a value of any kind may stand where another belongs, to any depth
            got = f"{type(error).__name__}: {plain_line(error, 120)}"
            faults.add(str(file), "", expected="a result of evaluate", got=got, remedy="run evaluate again")
        else:
            results += listed
    faults.raise_if_any()
    return _named_apart(results)


@contextmanager
def reading_results(paths: Sequence[Path]) -> Iterator[None]:
    """Name the files where a part of a result that the block reads is of another kind than ``evaluate`` writes.

    Raises:
        DataError: in place of what reading such a part raises.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        got = f"{type(error).__name__}: {plain_line(error, 120)}"
        where = listed(list(map(str, paths)), 3)
        raise DataError.single(
            where, "", expected="results of evaluate", got=got, remedy="run evaluate again"
        ) from error


def _require_readable(result: Mapping[str, Any]) -> None:
    """Read what tables and plots read of a result; raises whatever its first missing or foreign part raises."""
    if not (isinstance(result["model"], str) and result["model"]):
        raise TypeError("model: expected a name")
    for name in ("name", "fingerprint", "split"):
        if not isinstance(result["dataset"][name], str):
            raise TypeError(f"dataset.{name}: expected a text")
    if not isinstance(result["split"], str) or not isinstance(result["feed"], str):
        raise TypeError("split and feed: expected texts")
    if not _PLAIN.fullmatch(result.get("answers", "plain")):
        raise ValueError(f"answers: expected letters, digits, dots, dashes and underscores, got {result['answers']!r}")
    format_table([result])
    for space in result["label_spaces"] if result["protocol"] == "rival10" else ():
        noise_result(result, space, with_answers=False)


def _named_apart(results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Results in which other models of one name, scored alike, have names of their own."""
    groups: dict[Scoring, list[int]] = {}
    for index, result in enumerate(results):
        groups.setdefault(scoring_of(result), []).append(index)
    names = dict[int, str]()
    for members in groups.values():
        names |= dict(zip(members, tell_apart([results[index] for index in members]), strict=True))
    return [{**result, "model": names[index]} for index, result in enumerate(results)]
