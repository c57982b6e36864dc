"""Files of a dataset on the Hub or in its cache, and the Hub's errors with nothing secret in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from figureground.exports.evaluation.values import EvaluationError, list_names

METADATA: Final = ("README.md", "class_map.json", "manifest.json", "recipe.lock.json")
_NOT_CACHED: Final = frozenset({"LocalEntryNotFoundError", "OfflineModeIsEnabled", "IncompleteSnapshotError"})
_LOG_IN: Final = "log in with: hf auth login, or set HF_TOKEN"


def fetch_metadata(repo: str, revision: str) -> Path:
    """The card, class map, manifest and lock of a dataset, in a cache folder that is named after the commit.

    Raises:
        EvaluationError: where there is no such dataset or revision, or this login may not see it (exit code 2), or it
            cannot be had now and is not in the cache (3).
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repo, repo_type="dataset", revision=revision, allow_patterns=list(METADATA)))
    except Exception as error:
        raise _fault_of_dataset(error, repo, revision) from None  # the client's own text may hold the token


def list_files(repo: str, commit: str, folder: Path) -> tuple[str, ...]:
    """Paths of all files of a commit; without the Hub those that the cache ``folder`` holds."""
    from huggingface_hub import HfApi

    try:
        return tuple(sorted(HfApi().list_repo_files(repo, revision=commit, repo_type="dataset")))
    except Exception:
        return tuple(sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()))


def fetch_files(repo: str, commit: str, names: Sequence[str]) -> list[Path]:
    """Files of a commit in the Hub client's cache; those that lie there are not asked for again.

    Raises:
        EvaluationError: as ``fetch_metadata``.
    """
    from huggingface_hub import hf_hub_download

    def fetch(name: str) -> Path:
        try:
            return Path(hf_hub_download(repo, name, repo_type="dataset", revision=commit))
        except Exception as error:
            raise _fault_of_dataset(error, repo, commit, name) from None

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(fetch, names))


def _fault_of_dataset(error: Exception, repo: str, revision: str, name: str = "") -> EvaluationError:
    record = f"{repo}@{revision}" + (f"/{name}" if name else "")
    kinds = {type(cause).__name__ for cause in _causes(error)}
    answered = any(getattr(cause, "response", None) is not None for cause in _causes(error))
    if not answered and kinds & _NOT_CACHED:
        return EvaluationError(f"{record}: {_offline_words(repo, name)}", 3)
    fault = hub_fault(error, record)
    return fault or EvaluationError(f"{record}: the Hub did not give it ({type(error).__name__}); run again", 3)


def _offline_words(repo: str, name: str) -> str:
    """What the cache holds of a dataset that the Hub could not be asked for."""
    from huggingface_hub import constants

    asked = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else f"the Hub, {constants.ENDPOINT}, cannot be reached"
    cached = Path(constants.HF_HUB_CACHE, f"datasets--{repo.replace('/', '--')}")
    refs = [path.relative_to(cached / "refs").as_posix() for path in (cached / "refs").rglob("*") if path.is_file()]
    if name:
        holds = "this machine's cache does not hold this file"
    elif refs:
        holds = f"this machine's cache holds the dataset at {list_names(refs)} alone"
    else:
        holds = "this machine's cache holds nothing of the dataset"
    return f"{asked}, and {holds}; run once with the Hub in reach"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what it was raised from."""
    cause: BaseException | None = error
    for _ in range(8):
        if cause is None:
            return
        yield cause
        cause = cause.__cause__ or cause.__context__


def hub_fault(error: BaseException, record: str) -> EvaluationError | None:
    """An error of the Hub's client as ours, in our own words, for its own may hold a token; None for any other.

    Exit code 2 where the id, the revision or the rights are wrong, 3 where the Hub or the way to it failed.
    """
    for cause in _causes(error):
        kind, response = type(cause).__name__, getattr(cause, "response", None)
        status = getattr(response, "status_code", None)
        if kind == "GatedRepoError":
            return EvaluationError(f"{record}: access is restricted; ask for it on its page, then {_LOG_IN}", 2)
        if kind in ("RepositoryNotFoundError", "DisabledRepoError"):
            absent = "the Hub has no such repository, or none that this login may see"
            private = "the Hub wants a login for it, so it is private or absent"
            return EvaluationError(f"{record}: {private if status == 401 else absent}; {_LOG_IN}", 2)
        if kind in ("RevisionNotFoundError", "RevisionResolutionError"):
            return EvaluationError(f"{record}: the Hub has the repository, but no such revision", 2)
        if kind in ("RemoteEntryNotFoundError", "EntryNotFoundError"):
            return EvaluationError(f"{record}: the Hub has no such file at that revision", 2)
        if kind in ("HFValidationError", "HfUriError"):
            return EvaluationError(f"{record}: no id of the Hub; expected OWNER/NAME", 2)
        if status in (401, 403):
            return EvaluationError(f"{record}: the Hub answered {status}; this login may not read it: {_LOG_IN}", 2)
        if status is not None:
            return EvaluationError(f"{record}: the Hub answered {status}; run again to go on", 3)
    if any(type(cause).__name__ in _NOT_CACHED for cause in _causes(error)):
        words = "the Hub cannot be asked, and this machine's cache does not hold it; run once with the Hub in reach"
        return EvaluationError(f"{record}: {words}", 3)
    clients = ("huggingface_hub", "httpx", "httpcore", "requests", "urllib3")
    for cause in _causes(error):
        if type(cause).__module__.split(".")[0].rstrip("2") in clients or isinstance(cause, ConnectionError):
            return EvaluationError(f"{record}: the Hub cannot be reached ({type(cause).__name__}); run again", 3)
    return None
