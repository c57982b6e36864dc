"""Results that a leaderboard is made of: read, held against the dataset, and merged with those that are there."""

from __future__ import annotations

import glob
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from figureground.errors import Fault, Faults, UsageError
from figureground.exports.comparison.compare import group_contributions
from figureground.exports.dataset.files import is_repository_path
from figureground.exports.dataset.locked.leaderboard import RESULTS
from figureground.exports.evaluation.jobs import PREDICTIONS
from figureground.exports.evaluation.protocols.registry import named_protocol
from figureground.exports.evaluation.results import settings_key
from figureground.exports.report.groups import group_results
from figureground.exports.report.stored_results import read_results, result_files
from figureground.schemas.documents import read_text

Identity = tuple[str, ...]
_IDENTITY = ("protocol", "split", "feed", "model", "weights_sha256", "input_size_hw", "model_settings")
_USUAL: Final = "the usual ones"
_ALIKE: Final = 2
"""Of these, how many say whose settings must be alike: those of a protocol on a split."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One result with the answers beside it."""

    path: Path
    """The result's file, as ``evaluate --out`` wrote it."""
    identity: Identity
    """What tells it from those of other models: protocol, split, feed, model, weights, input size, settings."""
    answers: str
    """What the names of its answers' files begin with."""
    settings: str
    """What its protocol's options came to, such as noise and masks, as it is compared."""
    spelled: str
    """The same in words, as far as it is not the usual."""

    def files(self) -> dict[str, Path]:
        """Its files by path below the dataset: the result and its answers to rows, not those to challenges."""
        answers = sorted(self.path.parent.glob(f"{PREDICTIONS}/{glob.escape(self.answers)}.*.npz"))
        own = {f"{RESULTS}{self.path.name}": self.path}
        return own | {f"{RESULTS}{PREDICTIONS}/{path.name}": path for path in answers if ".challenge-" not in path.name}


def read_entries(paths: Sequence[Path], fingerprint: str, dataset: str) -> list[Entry]:
    """Read results, and hold them against a dataset.

    Args:
        paths: Result files of ``evaluate --out``, or folders of them.
        fingerprint: Of the data that they must be of.
        dataset: Its name in errors.

    Raises:
        UsageError: if there are none.
        DataError: with every file that is no result, that is of other data, of a part of it, or lacks its answers, and
            every model that is there twice.
    """
    files = result_files(paths)
    read_results(files)  # what is no result is told here, all of it together
    faults, entries = Faults(), dict[Identity, Entry]()
    for file in files:
        result = json.loads(read_text(file))
        wrong = list(_faults(file, result, fingerprint, dataset))
        faults.extend(wrong)
        entry = _entry(file, result)
        if wrong:
            continue
        other = entries.setdefault(entry.identity, entry)
        if other.path.read_bytes() != file.read_bytes():
            got = f"another one in {other.path}"
            faults.add(str(file), str(result["model"]), expected="one result of a model", got=got, remedy="give one")
    faults.raise_if_any()
    return list(entries.values())


def _faults(file: Path, result: Mapping[str, Any], fingerprint: str, dataset: str) -> list[Fault]:
    """What keeps a result from a dataset's leaderboard."""
    if "results" in result:
        remedy = "give what evaluate wrote with --out"
        return [Fault(where=str(file), record="", expected="one result", got="several in one file", remedy=remedy)]
    faults, own = Faults(), result["dataset"]
    record = f"{result['model']} ({result['protocol']})"
    if own["fingerprint"] != fingerprint:
        faults.add(
            str(file),
            record,
            expected=f"a result of {dataset}, fingerprint {fingerprint}",
            got=f"one of {own['name']}, fingerprint {own['fingerprint']}",
            remedy="score this dataset, or leave the file out",
        )
    if result.get("limit") is not None:
        got = f"the first {result['limit']} (--limit)"
        faults.add(str(file), record, expected="all images", got=got, remedy="score it without --limit")
    for name in _entry(file, result).files():
        if not is_repository_path(name):
            faults.add(str(file), record, expected="files named as evaluate names them", got=name, remedy="score again")
    faults.extend(_answer_faults(file, record) if not faults else [])
    return list(faults)


def _answer_faults(file: Path, record: str) -> list[Fault]:
    """A fault where the answers that ranks are made from are not beside a result."""
    try:
        for group in group_results(read_results([file])):
            group_contributions(group)
    except UsageError as error:
        remedy = "score it with evaluate --out, and keep the folder predictions beside it"
        return [Fault(where=str(file), record=record, expected="stored answers", got=str(error), remedy=remedy)]
    return []


def _entry(file: Path, result: Mapping[str, Any]) -> Entry:
    identity = tuple(json.dumps(result.get(name), sort_keys=True, default=str) for name in _IDENTITY)
    spelled = ", ".join(named_protocol(result["protocol"]).describe(result))
    answers = result.get("answers", file.stem)
    return Entry(path=file, identity=identity, answers=answers, settings=settings_key(result), spelled=spelled)


def merge_entries(earlier: Sequence[Entry], given: Sequence[Entry]) -> list[Entry]:
    """All of them, of each model the one that was given last; sorted by the names of their files.

    Raises:
        DataError: with every result that was scored under other noise or with other masks than the others of its
            protocol and split, for they would not rank side by side.
    """
    merged, faults = {entry.identity: entry for entry in [*earlier, *given]}, Faults()
    firsts: dict[Identity, Entry] = {}
    for entry in merged.values():
        first = firsts.setdefault(entry.identity[:_ALIKE], entry)
        if entry.settings != first.settings:
            faults.add(
                str(entry.path),
                first.path.name,
                expected=f"noise and masks as in {first.path.name}: {first.spelled or _USUAL}",
                got=entry.spelled or _USUAL,
                remedy="score all models with the same options, or leave this file out",
            )
    faults.raise_if_any()
    return sorted(merged.values(), key=lambda entry: entry.path.name)
