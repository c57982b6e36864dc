"""Opening a dataset repository wherever it is: a folder of this machine, or a revision on the Hub.

Files on the Hub are fetched one by one when they are read, and compared with the manifest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from huggingface_hub import HfApi
from rich import filesize

from figureground.errors import DataError, Faults, UsageError
from figureground.exports.dataset.files import MANIFEST
from figureground.exports.dataset.folder import DatasetFolder
from figureground.exports.dataset.manifest import parse_manifest
from figureground.runtime.files import file_sha256
from figureground.runtime.hub import (
    DATASET,
    HubFile,
    hub_errors,
    is_repo_id,
    read_tree,
    require_repo_id,
    resolve_commit,
)

MOST_TEXT_BYTES: Final = 64 * 1000**2
"""Most bytes of a file that is read as one text; a manifest of as many files as the Hub takes at once has 5 MB."""


def open_dataset(folder_or_repo_id: str | Path, revision: str | None = None) -> DatasetFolder:
    """Open a dataset repository: a folder, or one on the Hub, of which each file is fetched when it is read.

    Args:
        folder_or_repo_id: A folder, or OWNER/NAME on the Hub.
        revision: Tag, branch or commit on the Hub; needed there, so that nobody guesses which version they have.

    Raises:
        UsageError: if there is no such folder or dataset, access to it is restricted, or no revision is given.
        ServiceError: if the Hub cannot be reached.
        DataError: if its manifest is damaged or names what is no path of a repository.
    """
    repo_id = find_repo_id(str(folder_or_repo_id), revision)
    if repo_id is None or revision is None:
        return DatasetFolder.open(Path(folder_or_repo_id))
    files = open_hub_files(repo_id, revision)
    return DatasetFolder(name=files.name, manifest=files.manifest, files=files)


def find_repo_id(folder_or_repo_id: str, revision: str | None) -> str | None:
    """Tell a folder from a dataset on the Hub: the id OWNER/NAME of the latter, None for a folder.

    Raises:
        UsageError: if it is neither, a folder has a revision, or a dataset on the Hub has none.
    """
    if Path(folder_or_repo_id).is_dir():
        if revision is not None:
            raise UsageError(f"{folder_or_repo_id} is a folder: it has no revision")
        return None
    if not is_repo_id(folder_or_repo_id):
        raise UsageError(
            f"{folder_or_repo_id}: neither a folder nor a dataset on the Hub, OWNER/NAME; make one with: "
            "figureground build RECIPE -w WORKSPACE -o FOLDER"
        )
    if revision is None:
        raise UsageError(f"{folder_or_repo_id}: a dataset on the Hub needs --revision, a tag or commit")
    return folder_or_repo_id


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFiles:
    """The files of one commit of a dataset on the Hub; they are kept in the Hub client's cache."""

    name: str
    """``OWNER/NAME@REVISION``, as the user named it."""
    repo_id: str
    """``OWNER/NAME``."""
    commit: str
    tree: Mapping[str, HubFile]
    """Every file of the commit, by path."""
    manifest: Mapping[str, str]
    """Path to SHA-256, as the dataset's manifest says."""

    def path(self, name: str) -> Path:
        """Local copy of a file, fetched if need be.

        Raises:
            DataError: if the file is not there, not listed, too large to be what it should be, or has other bytes
                than the manifest says.
            ServiceError: if the Hub failed.
        """
        expected = self.manifest.get(name)
        if expected is None or name not in self.tree:
            raise DataError.single(self.name, name, expected=f"a file that {MANIFEST} lists", got="no such file")
        require_text_sizes(self.name, self.tree, [name])
        path = fetch_file(self.name, self.repo_id, self.commit, name)
        got = file_sha256(path)
        if got != expected:
            raise DataError.single(self.name, name, expected=f"a file with SHA-256 {expected}", got=got)
        return path


def open_hub_files(repo_id: str, revision: str) -> HubFiles:
    """Look at a dataset on the Hub: its files at a revision, and its manifest.

    Args:
        repo_id: OWNER/NAME.
        revision: Tag, branch or commit.

    Raises:
        UsageError: if there is no such dataset or revision, or access to it is restricted.
        ServiceError: if the Hub cannot be reached; an older copy is never served for a tag or branch.
        DataError: if it has no manifest, or one that no dataset has.
    """
    name, api = f"{require_repo_id(repo_id)}@{revision}", HfApi()
    with hub_errors(name):
        commit = resolve_commit(api, repo_id, revision)
        tree = read_tree(api, repo_id, commit)
    if MANIFEST not in tree:
        raise DataError.single(name, MANIFEST, expected="the manifest of a dataset repository", got="none")
    require_text_sizes(name, tree, [MANIFEST])
    data = fetch_file(name, repo_id, commit, MANIFEST).read_bytes()
    manifest = parse_manifest(data, where=f"{name}/{MANIFEST}")
    return HubFiles(name=name, repo_id=repo_id, commit=commit, tree=tree, manifest=manifest)


def fetch_file(where: str, repo_id: str, commit: str, path: str) -> Path:
    """Local copy of a file of a commit, in the Hub client's cache; ``where`` names the dataset in errors."""
    with hub_errors(where):
        return Path(HfApi().hf_hub_download(repo_id, path, revision=commit, repo_type=DATASET))


def require_text_sizes(where: str, tree: Mapping[str, HubFile], paths: Iterable[str]) -> None:
    """Refuse texts that are larger than any dataset's.

    Raises:
        DataError: with each of them.
    """
    faults = Faults()
    for path in paths:
        if not path.endswith((".parquet", ".png")) and tree[path].size > MOST_TEXT_BYTES:
            expected = f"at most {filesize.decimal(MOST_TEXT_BYTES)}"
            faults.add(where, path, expected=expected, got=filesize.decimal(tree[path].size))
    faults.raise_if_any()
