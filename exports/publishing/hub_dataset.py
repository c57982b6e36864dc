"""A dataset on the Hub as publishing sees it: its files, its tags, its pull requests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from huggingface_hub import HfApi
from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError

from figureground.errors import DataError
from figureground.exports.dataset.files import MANIFEST
from figureground.exports.dataset.manifest import parse_manifest
from figureground.exports.publishing.plan import HubState, LocalRelease, compare_files
from figureground.runtime.hub import DATASET, HubFile, read_tree

STAGE: Final = "figureground: stage"
"""What the titles of our pull requests begin with."""


class Stage(NamedTuple):
    """A pull request that holds a release until it was loaded back."""

    number: int
    """Number of the pull request."""
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HubDataset:
    """One dataset on the Hub; every method asks the Hub anew and may raise the client's errors."""

    repo_id: str
    """OWNER/NAME."""
    api: HfApi = field(default_factory=HfApi)

    def look(self, release: LocalRelease, tag: str) -> HubState:
        """What is there, as far as it matters to a release and its tag."""
        try:
            info = self.api.dataset_info(self.repo_id)
        except RepositoryNotFoundError:
            return HubState(exists=False)
        head = info.sha or ""
        files = read_tree(self.api, self.repo_id, head) if head else {}
        tagged = self.tagged_commit(tag)
        listed = self._read_manifest(head, files)
        return HubState(
            exists=True,
            private=bool(info.private),
            gated=info.gated or "no",
            head=head,
            files=files,
            tagged=read_tree(self.api, self.repo_id, tagged) if tagged else None,
            listed=listed,
            edited=self._edited(release, head, files, listed),
        )

    def head(self) -> str:
        """Commit of main; empty where it has none."""
        return self.api.dataset_info(self.repo_id).sha or ""

    def tagged_commit(self, tag: str) -> str | None:
        """Commit that a tag names; None where there is no such tag."""
        tags: Iterable[Any] = self.api.list_repo_refs(self.repo_id, repo_type=DATASET).tags
        return next((str(ref.target_commit) for ref in tags if ref.name == tag), None)

    def open_stages(self) -> list[Stage]:
        """Pull requests that an earlier run, or this one, left open."""
        discussions = self.api.get_repo_discussions(
            self.repo_id, repo_type=DATASET, discussion_type="pull_request", discussion_status="open"
        )
        return [Stage(item.num, item.title) for item in discussions if item.title.startswith(STAGE)]

    def stage_commit(self, number: int) -> str:
        """Newest commit of a pull request."""
        return str(self.api.dataset_info(self.repo_id, revision=f"refs/pr/{number}").sha)

    def close_stage(self, number: int, comment: str) -> None:
        """Close a pull request."""
        self.api.change_discussion_status(self.repo_id, number, "closed", comment=comment, repo_type=DATASET)

    def holds(self, release: LocalRelease, commit: str) -> bool:
        """Whether a commit has all files of a release, and none that would be read as a part of it."""
        try:
            files = read_tree(self.api, self.repo_id, commit)
        except EntryNotFoundError:
            return False
        return all(file.action in ("same", "kept") for file in compare_files(release, files, ()))

    def _read_manifest(self, head: str, files: Mapping[str, HubFile]) -> dict[str, str]:
        """The manifest on main; empty where there is none, or one that is no manifest."""
        if MANIFEST not in files:
            return {}
        try:
            return parse_manifest(self._download(MANIFEST, head), where=self.repo_id)
        except DataError:
            return {}

    def _edited(
        self, release: LocalRelease, head: str, files: Mapping[str, HubFile], listed: Mapping[str, str]
    ) -> tuple[str, ...]:
        """Files that the release replaces and that are not as the manifest on main says."""
        planned = compare_files(release, files, listed)
        changed = [file.path for file in planned if file.action == "changed" and file.path in listed]
        return tuple(path for path in changed if not self._is_as_listed(head, files[path], listed[path]))

    def _is_as_listed(self, head: str, file: HubFile, sha256: str) -> bool:
        if file.is_large:
            return file.digest == sha256
        return hashlib.sha256(self._download(file.path, head)).hexdigest() == sha256

    def _download(self, path: str, commit: str) -> bytes:
        return Path(self.api.hf_hub_download(self.repo_id, path, revision=commit, repo_type=DATASET)).read_bytes()
