"""A dataset with its leaderboard, as it will be published: the user's folder itself is never changed."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from huggingface_hub import constants
from huggingface_hub.errors import RepositoryNotFoundError

from figureground.errors import DataError, Faults, UsageError
from figureground.exports.dataset.files import BOARD, CARD, LEADERBOARD, MANIFEST
from figureground.exports.dataset.folder import DatasetFolder
from figureground.exports.dataset.locked.leaderboard import RESULTS, read_leaderboard
from figureground.exports.dataset.manifest import plain_card, require_files, write_manifest
from figureground.exports.dataset.opening import HubFiles, fetch_file, open_hub_files
from figureground.exports.evaluation.repository.shards import data_fingerprint
from figureground.exports.leaderboard.board import make_board, with_board
from figureground.exports.leaderboard.entries import Entry, merge_entries, read_entries
from figureground.exports.leaderboard.eval_results import benchmark_description, model_entries
from figureground.exports.publishing.hub_attempts import Notice, ask
from figureground.exports.publishing.hub_dataset import HubDataset
from figureground.runtime.files import file_sha256, write_text
from figureground.runtime.hub import hub_errors, require_repo_id

EVAL_RESULTS: Final = f"{LEADERBOARD}eval_results/"
EVAL_YAML: Final = f"{LEADERBOARD}eval.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedRelease:
    """What is to be published."""

    folder: Path
    """The dataset's own where it carries no models, else one with links to its files."""
    tag: str | None
    """Tag of its edition; None for that of the recipe's version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Earlier:
    """The leaderboard that the dataset has on the Hub, of the same data."""

    entries: tuple[Entry, ...] = ()
    edition: int = 0


@contextmanager
def staged_release(
    folder: Path, results: Sequence[Path], repo_id: str, *, notice: Notice = lambda _: None
) -> Iterator[StagedRelease]:
    """Give a dataset with the models that it carries: those that are on the Hub, and results that are given.

    Of each model the result that was given last counts. Models of other data are left behind: those on the Hub with
    the version that they are of, and what is given is refused.

    Args:
        folder: A dataset repository.
        results: Result files of ``evaluate --out``, or folders of them; none to keep what is on the Hub.
        repo_id: OWNER/NAME on the Hub.
        notice: Called after every failure of the Hub that is followed by another attempt.

    Raises:
        UsageError: for an id that is none, or no dataset.
        ServiceError: if the Hub failed.
        DataError: with every result that is not of these data.
    """
    dataset, hub = DatasetFolder.open(folder), HubDataset(repo_id=require_repo_id(repo_id))
    fingerprint = data_fingerprint(folder / MANIFEST)
    given = read_entries(results, fingerprint, str(folder)) if results else []
    if constants.HF_HUB_OFFLINE:
        raise UsageError("HF_HUB_OFFLINE is set: nothing can be published offline")
    with tempfile.TemporaryDirectory(prefix="figureground-") as scratch:
        with hub_errors(repo_id):
            main = ask(lambda: _main_files(hub), repo_id, notice)
            earlier = ask(lambda: _read_earlier(main, fingerprint, Path(scratch, "earlier")), repo_id, notice)
        entries = merge_entries(earlier.entries, given)
        if not entries:
            yield StagedRelease(folder=folder, tag=None)
            return
        changed = _hashes(entries) != _hashes(earlier.entries)
        staged = Path(scratch, folder.resolve().name)
        _link_data(dataset, folder, staged)
        _write_board(staged, entries, fingerprint, edition=earlier.edition + changed, repo_id=repo_id)
        tag = f"v{dataset.lock.recipe_version}"
        with hub_errors(repo_id):
            taken = ask(lambda: _other_release(hub, tag, staged), repo_id, notice)
        try:
            yield StagedRelease(folder=staged, tag=f"{tag}-board{earlier.edition + changed}" if taken else None)
        except UsageError as error:
            raise UsageError(str(error).replace(str(staged), str(folder))) from error
        except DataError as error:  # the folder is gone when anybody reads this
            raise DataError(
                replace(fault, where=fault.where.replace(str(staged), str(folder))) for fault in error.faults
            ) from error


def _main_files(hub: HubDataset) -> HubFiles | None:
    """Files of main; None where there is no dataset, or nothing of ours in it."""
    try:
        head = hub.head()
    except RepositoryNotFoundError:
        return None
    try:
        return open_hub_files(hub.repo_id, head) if head else None
    except DataError:  # no manifest, or none of ours
        return None


def _read_earlier(main: HubFiles | None, fingerprint: str, folder: Path) -> _Earlier:
    """The leaderboard on main; none where there is none, or main has other data."""
    if main is None or BOARD not in main.manifest:
        return _Earlier()
    if data_fingerprint(fetch_file(main.name, main.repo_id, main.commit, MANIFEST)) != fingerprint:
        return _Earlier()
    board = read_leaderboard(main.path(BOARD), main.manifest)
    for name in main.manifest:
        if name.startswith(RESULTS):
            link = folder / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)  # of an attempt that failed
            link.symlink_to(main.path(name).resolve())
    entries = read_entries([folder / RESULTS], fingerprint, main.name)
    return _Earlier(entries=tuple(entries), edition=board.edition)


def _other_release(hub: HubDataset, tag: str, staged: Path) -> bool:
    """Whether a tag is there and holds something else than what is staged."""
    try:
        commit = hub.tagged_commit(tag)
    except RepositoryNotFoundError:
        return False
    if commit is None:
        return False
    manifest = fetch_file(f"{hub.repo_id}@{tag}", hub.repo_id, commit, MANIFEST)
    return file_sha256(manifest) != file_sha256(staged / MANIFEST)


def _hashes(entries: Sequence[Entry]) -> Mapping[str, str]:
    return {name: file_sha256(path) for entry in entries for name, path in entry.files().items()}


def _link_data(dataset: DatasetFolder, folder: Path, staged: Path) -> None:
    """Put links to all files of a dataset but its manifest and leaderboard in a folder, and its card without one."""
    require_files(folder, dataset.manifest, [CARD])
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not name.startswith((".", LEADERBOARD)) and name not in (MANIFEST, CARD):
            link = staged / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path.resolve())
    write_text(staged / CARD, plain_card((folder / CARD).read_text(encoding="utf-8")))


def _write_board(staged: Path, entries: Sequence[Entry], fingerprint: str, *, edition: int, repo_id: str) -> None:
    """Write everything of a leaderboard: results, table, card, the Hub's files, and last the manifest."""
    for entry in entries:
        for name, path in entry.files().items():
            target = staged / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(path.resolve())
    board = make_board(staged / RESULTS, fingerprint=fingerprint, edition=edition)
    write_text(staged / BOARD, json.dumps(board.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n")
    card = staged / CARD
    write_text(card, with_board(card.read_text(encoding="utf-8"), board))
    written, faults = [], Faults()
    (staged / EVAL_RESULTS).mkdir()
    for entry in entries:
        result = json.loads(entry.path.read_text(encoding="utf-8"))
        try:
            written.append(model_entries(result, repo_id, result["dataset"]["revision"]))
        except ValueError as error:
            faults.add(str(entry.path), "", expected="figures that the Hub takes", got=str(error))
        else:
            write_text(staged / EVAL_RESULTS / f"{entry.path.stem}.yaml", written[-1])
    faults.raise_if_any()
    write_text(staged / EVAL_YAML, benchmark_description(DatasetFolder.unfinished(staged), written))
    write_manifest(staged)
