"""Requests to the Hugging Face Hub: ids, trees, hashes; and its errors as ours, with nothing secret in them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx2
from huggingface_hub import HfApi, constants
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils.sha import git_hash

from figureground.errors import FigureGroundError, ServiceError, UsageError

DATASET: Final = "dataset"
_REPO_ID: Final = re.compile(r"[\w.-]+/[\w.-]+")
_NAME: Final = re.compile(r"(?!.*(\.\.|--))[A-Za-z0-9_]([\w.-]{0,94}[A-Za-z0-9_])?(?<!\.git)", re.ASCII)
"""Owner or name, as huggingface_hub.utils.validate_repo_id has it."""
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_PATHS_ASKED: Final = 500
_LOG_IN: Final = "log in with: hf auth login, or set HF_TOKEN"
_FLEETING: Final = (408, 409, 412, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFile:
    """A file of a dataset on the Hub at one commit."""

    path: str
    size: int
    """Bytes."""
    digest: str
    """SHA-256 of its bytes where it is a large file, else the git hash (SHA-1) of its blob."""
    is_large: bool
    """Kept as a large file (LFS or Xet)."""

    def equals(self, path: Path, sha256: str) -> bool:
        """Whether a local file, whose SHA-256 is known, has the same bytes."""
        if self.is_large:
            return self.digest == sha256
        return path.stat().st_size == self.size and git_hash(path.read_bytes()) == self.digest


def is_repo_id(text: str) -> bool:
    """Whether a text is an id ``OWNER/NAME`` of the Hub, and no folder of this machine."""
    return _REPO_ID.fullmatch(text) is not None and not Path(text).exists()


def require_repo_id(text: str) -> str:
    """An id ``OWNER/NAME``, checked.

    Raises:
        UsageError: if it is none.
    """
    if not _REPO_ID.fullmatch(text) or not all(map(_NAME.fullmatch, text.split("/"))):
        raise UsageError(f"{text!r} is no id of a dataset on the Hub: expected OWNER/NAME")
    return text


def resolve_commit(api: HfApi, repo_id: str, revision: str) -> str:
    """The commit that a branch or tag names now; the Hub is always asked, so that no old copy is served for it."""
    if _COMMIT.fullmatch(revision):
        return revision
    with hub_errors(f"{repo_id}@{revision}"):
        return str(api.dataset_info(repo_id, revision=revision).sha)


def read_tree(api: HfApi, repo_id: str, revision: str) -> dict[str, HubFile]:
    """Every file at a revision, by path."""
    listed = api.list_repo_tree(repo_id, recursive=True, revision=revision, repo_type=DATASET)
    return {item.path: _hub_file(item) for item in listed if isinstance(item, RepoFile)}


def read_files(api: HfApi, repo_id: str, revision: str, paths: Sequence[str]) -> dict[str, HubFile]:
    """Files of a revision by path: those of ``paths`` that it has."""
    files: dict[str, HubFile] = {}
    for start in range(0, len(paths), _PATHS_ASKED):
        asked = list(paths[start : start + _PATHS_ASKED])
        infos = api.get_paths_info(repo_id, asked, revision=revision, repo_type=DATASET)
        files |= {item.path: _hub_file(item) for item in infos if isinstance(item, RepoFile)}
    return files


def _hub_file(item: RepoFile) -> HubFile:
    digest = item.lfs.sha256 if item.lfs else item.blob_id
    return HubFile(path=item.path, size=item.size, digest=digest, is_large=item.lfs is not None)


@contextmanager
def hub_errors(where: str) -> Iterator[None]:
    """Turn errors of the Hub's client into ours.

    Raises:
        UsageError: where the id, the revision or the rights are wrong.
        ServiceError: where the Hub or the way to it failed.
    """
    try:
        yield
    except FigureGroundError:
        raise
    except Exception as error:
        ours = hub_error(error, where)
        if ours is None:
            raise
        raise ours from None  # the client's own text may hold addresses that are signed


def hub_error(error: BaseException, where: str) -> FigureGroundError | None:
    """Our error for an error of the Hub's client; None for any other error."""
    cause = http_cause(error)
    if isinstance(cause, GatedRepoError):
        page = f"{constants.ENDPOINT}/datasets/{where.partition('@')[0]}"
        return UsageError(f"{where}: access is restricted; ask for it at {page}, then {_LOG_IN}")
    if isinstance(cause, RepositoryNotFoundError):
        return UsageError(f"{where}: the Hub has no such dataset, or none that this login may see; {_LOG_IN}")
    if isinstance(cause, RevisionNotFoundError | RemoteEntryNotFoundError):
        return UsageError(f"{where}: the Hub has no such revision or file")
    if isinstance(cause, HfHubHTTPError):
        status, message = cause.response.status_code, " ".join((cause.server_message or "").split())
        answer = f"{where}: the Hub answered {status}{': ' + message if message else ''}"
        if status in (401, 403):
            return UsageError(f"{answer}; this login may not do that: {_LOG_IN} with a token that may write")
        remedy = "run again to go on" if status in _FLEETING else "mend that, then run again"
        return ServiceError(f"{answer}; {remedy}")
    if isinstance(cause, httpx2.HTTPError | ConnectionError | LocalEntryNotFoundError | json.JSONDecodeError):
        kind = type(cause).__name__
        return ServiceError(f"{where}: {constants.ENDPOINT} cannot be reached ({kind}); run again to go on")
    return None


def http_cause(error: BaseException) -> BaseException:
    """The error itself, or what the client wrapped in a RuntimeError when an upload failed."""
    while isinstance(error, RuntimeError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def is_fleeting(error: BaseException) -> bool:
    """Whether the same request may succeed if it is sent again."""
    cause = http_cause(error)
    if isinstance(cause, HfHubHTTPError):
        return cause.response.status_code in _FLEETING
    return isinstance(cause, httpx2.TransportError | ConnectionError | LocalEntryNotFoundError | json.JSONDecodeError)
