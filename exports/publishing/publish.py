"""Publishing a dataset repository on the Hub: planned, staged in a pull request, loaded back, then one commit to main.

Main never shows a part of a release, however many files it has: large files are sent first, a hundred at a time, and no
commit names them yet; the commit to the pull request and the one to main then hold nothing but their hashes and the few
small text files, and each of them happens or does not. The Hub takes 25,000 files in such a commit.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants, get_token
from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError

from figureground.errors import DataError, Fault, UsageError
from figureground.exports.dataset.files import MANIFEST
from figureground.exports.dataset.verify import verify_repository
from figureground.exports.publishing.checks import check_files, check_loading
from figureground.exports.publishing.hub_attempts import Notice, ask
from figureground.exports.publishing.plan import (
    HubState,
    LocalRelease,
    PublishPlan,
    PublishRequest,
    compare_files,
    make_publish_plan,
    read_local,
    require_tag,
)
from figureground.runtime.hub import DATASET, HubFile, hub_errors, read_tree, require_repo_id
from figureground.runtime.progress import Progress

_FILES_SENT: Final = 100
"""Large files that are sent together."""
_STAGE: Final = "figureground: stage"

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishReport:
    """What was published."""

    repo_id: str
    tag: str
    commit: str
    """That main and the tag stand at."""
    url: str
    files: int
    sent: tuple[str, ...]
    """Files that were not on the Hub, or changed there."""
    deleted: tuple[str, ...]
    pull_request: int | None
    """That the release was staged in; None where main held it already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stage:
    number: int
    """Of the pull request."""
    commit: str


@dataclass(slots=True, kw_only=True)
class Publication:
    """One release on its way to one dataset on the Hub."""

    release: LocalRelease
    request: PublishRequest
    progress: Progress = lambda *_: None
    notice: Notice = lambda _: None
    api: HfApi = field(default_factory=HfApi)
    plan: PublishPlan = field(init=False)
    """Against the Hub as it was when last looked at."""
    _there: Mapping[str, HubFile] = field(init=False, default_factory=dict)
    """Files of main at the plan's head."""
    _additions: list[CommitOperationAdd] | None = field(init=False, default=None)
    """Files of the plan, sent; each commit takes copies, since an operation serves once."""

    def __post_init__(self) -> None:
        """Look at the Hub and plan; changes nothing there. Raises as ``make_publish_plan``."""
        require_repo_id(self.request.repo_id)
        if constants.HF_HUB_OFFLINE:
            raise UsageError("HF_HUB_OFFLINE is set: nothing can be published offline")
        tag = require_tag(self.request.tag or self.release.tag)
        with hub_errors(self.repo_id):
            state = self._ask(lambda: self._look(tag))
        self.plan, self._there = make_publish_plan(self.release, self.request, tag, state), state.files

    @property
    def repo_id(self) -> str:
        """OWNER/NAME."""
        return self.request.repo_id

    def run(self) -> PublishReport:
        """Do what the plan says; killed and called again, it goes on where it was.

        Raises:
            UsageError: if nobody is logged in, or who is may not write.
            ServiceError: if the Hub failed more often than is worth trying.
            DataError: if somebody changed the release's files on main meanwhile, or what is on the Hub is not what is
                here; main is as it was, unless it says otherwise.
        """
        if get_token() is None:
            raise UsageError("nobody is logged in to the Hub: log in with hf auth login, or set HF_TOKEN")
        with hub_errors(self.repo_id):
            self._ask(self._prepare)
            self._ask(self._refresh)
            stage = self._ask(self._stage) if self.plan.commits else None
            if stage is not None:
                self._check(stage.commit)
            sent, deleted = self.plan.paths("new", "changed"), self.plan.paths("deleted")
            commit = self._ask(self._commit)
            self._ask(lambda: self._tag(commit))
            self._ask(lambda: check_files(self.api, self.repo_id, self.plan.tag, self.release))
            self._ask(lambda: self._close_stages(f"Published as {self.plan.tag}, commit {commit}."))
        return PublishReport(
            repo_id=self.repo_id,
            tag=self.plan.tag,
            commit=commit,
            url=f"{constants.ENDPOINT}/datasets/{self.repo_id}/tree/{self.plan.tag}",
            files=len(self.release.sha256),
            sent=tuple(sent),
            deleted=tuple(deleted),
            pull_request=stage.number if stage else None,
        )

    def _check(self, commit: str) -> None:
        """Load back what is staged; main has none of it yet."""
        self._ask(lambda: check_files(self.api, self.repo_id, commit, self.release))
        self._ask(lambda: check_loading(self.repo_id, commit, self.release, self.progress))

    def _ask(self, what: Callable[[], Result]) -> Result:
        return ask(what, self.repo_id, self.notice)

    def _look(self, tag: str) -> HubState:
        try:
            info = self.api.dataset_info(self.repo_id)
        except RepositoryNotFoundError:
            return HubState(exists=False)
        head = info.sha or ""
        there = read_tree(self.api, self.repo_id, head) if head else {}
        tagged = next((each for each in self._tags() if each.name == tag), None)
        listed = self._read_manifest(head, there)
        return HubState(
            exists=True,
            private=bool(info.private),
            gated=info.gated or "no",
            head=head,
            files=there,
            tagged=read_tree(self.api, self.repo_id, tagged.target_commit) if tagged else None,
            listed=listed,
            edited=self._edited(head, there, listed),
        )

    def _tags(self) -> Iterable[Any]:
        return self.api.list_repo_refs(self.repo_id, repo_type=DATASET).tags

    def _read_manifest(self, head: str, there: Mapping[str, HubFile]) -> dict[str, str]:
        """The manifest on main, as far as it is one."""
        if MANIFEST not in there:
            return {}
        try:
            listed = json.loads(self._download(MANIFEST, head))["sha256"]
            return {str(path): str(sha256) for path, sha256 in listed.items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            return {}

    def _edited(self, head: str, there: Mapping[str, HubFile], listed: Mapping[str, str]) -> tuple[str, ...]:
        files = compare_files(self.release, there, listed)
        changed = [file.path for file in files if file.action == "changed" and file.path in listed]
        return tuple(path for path in changed if not self._is_as_listed(head, there[path], listed[path]))

    def _is_as_listed(self, head: str, file: HubFile, sha256: str) -> bool:
        if file.is_large:
            return file.digest == sha256
        return hashlib.sha256(self._download(file.path, head)).hexdigest() == sha256

    def _download(self, path: str, commit: str) -> bytes:
        found = self.api.hf_hub_download(self.repo_id, path, revision=commit, repo_type=DATASET)
        return Path(found).read_bytes()

    def _prepare(self) -> None:
        """Make the dataset, and restrict access to it before it has a file."""
        request, state = self.request, self.plan
        if not state.exists:
            self.api.create_repo(self.repo_id, repo_type=DATASET, private=request.private, exist_ok=True)
        info = self.api.dataset_info(self.repo_id)
        private = request.private if request.private not in (None, info.private) else None
        gated = request.gated if request.gated != info.gated else None
        if private is not None or gated is not None:
            self.api.update_repo_settings(self.repo_id, private=private, gated=gated, repo_type=DATASET)

    def _refresh(self) -> None:
        """Plan anew where main moved.

        Raises:
            DataError: if it moved in a file of the release: nobody's work is overwritten unseen.
        """
        before = self.plan
        if (self.api.dataset_info(self.repo_id).sha or "") == before.head:
            return
        state = self._look(before.tag)
        moved = {path for path in {*state.files, *self._there} if state.files.get(path) != self._there.get(path)}
        plan = make_publish_plan(self.release, self.request, before.tag, state)
        touched = moved & {*before.paths("new", "changed", "same", "deleted"), *plan.paths("deleted")}
        if touched and plan.commits:
            expected = f"as at commit {before.head}" if before.head else "none"
            got = f"changed by somebody while this was published (main is at {state.head})"
            remedy = "look at it on the Hub; run publish again to replace it"
            raise DataError(
                Fault(where=f"{self.repo_id}@main", record=path, expected=expected, got=got, remedy=remedy)
                for path in touched
            )
        self.plan, self._there, self._additions = plan, state.files, None

    def _send(self) -> None:
        """Send large files; those that are there already are not sent again."""
        paths = self.plan.paths("new", "changed")
        additions = [CommitOperationAdd(path, str(self.release.folder / path)) for path in paths]
        for start in range(0, len(additions), _FILES_SENT):
            part = additions[start : start + _FILES_SENT]
            self.progress("files sent", start, len(additions))
            self._ask(
                lambda part=part: self.api.preupload_lfs_files(  # type: ignore[misc]  # a default binds the loop's value
                    self.repo_id, part, repo_type=DATASET, create_pr=True, free_memory=False
                )
            )
        self.progress("files sent", len(additions), len(additions))
        self._additions = additions

    def _operations(self) -> list[CommitOperationAdd | CommitOperationDelete]:
        if self._additions is None:
            self._send()
        deletions = [CommitOperationDelete(path) for path in self.plan.paths("deleted")]
        return [*(copy.copy(each) for each in self._additions or ()), *deletions]

    def _stage(self) -> _Stage:
        """Put the release in a pull request, or find it in one that an interrupted run left."""
        self._refresh()
        title = f"{_STAGE} {self.plan.tag} ({self.release.sha256[MANIFEST][:16]})"
        for number, found in self._open_stages():
            commit = str(self.api.dataset_info(self.repo_id, revision=f"refs/pr/{number}").sha)
            if found == title and self._holds_release(commit):
                return _Stage(number=number, commit=commit)
            self._close(number, "Replaced by a newer one.")
        made = self.api.create_commit(
            self.repo_id,
            self._operations(),
            commit_message=title,
            commit_description="Made to load the release back before it goes to main; closed once it is there.",
            repo_type=DATASET,
            create_pr=True,
            parent_commit=self.plan.head or None,
        )
        if made.pr_num is None:
            raise DataError.single(self.repo_id, "", expected="a pull request", got="a commit to main")
        return _Stage(number=made.pr_num, commit=made.oid)

    def _holds_release(self, commit: str) -> bool:
        try:
            there = read_tree(self.api, self.repo_id, commit)
        except EntryNotFoundError:
            return False
        return all(file.action in ("same", "kept") for file in compare_files(self.release, there, ()))

    def _open_stages(self) -> list[tuple[int, str]]:
        found = self.api.get_repo_discussions(
            self.repo_id, repo_type=DATASET, discussion_type="pull_request", discussion_status="open"
        )
        return [(each.num, each.title) for each in found if each.title.startswith(_STAGE)]

    def _close_stages(self, comment: str) -> None:
        for number, _ in self._open_stages():
            self._close(number, comment)

    def _close(self, number: int, comment: str) -> None:
        self.api.change_discussion_status(self.repo_id, number, "closed", comment=comment, repo_type=DATASET)

    def _commit(self) -> str:
        """Bring main to the release in one commit; none where an answer was lost and it is there."""
        self._refresh()
        if not self.plan.commits:
            return self.plan.head
        made = self.api.create_commit(
            self.repo_id,
            self._operations(),
            commit_message=f"Release {self.plan.tag}",
            repo_type=DATASET,
            parent_commit=self.plan.head or None,
        )
        return str(made.oid)

    def _tag(self, commit: str) -> None:
        there = next((each.target_commit for each in self._tags() if each.name == self.plan.tag), None)
        if there is None:
            self.api.create_tag(self.repo_id, tag=self.plan.tag, revision=commit, repo_type=DATASET)


def plan_publication(
    folder: Path,
    request: PublishRequest,
    *,
    workers: int = 1,
    progress: Progress = lambda *_: None,
    notice: Notice = lambda _: None,
) -> Publication:
    """Verify a repository, look at the Hub and plan; nothing is changed there.

    Args:
        folder: A dataset repository.
        request: Where it goes.
        workers: Processes that verify.
        progress: Called with (stage, done, total).
        notice: Told of failures of the Hub that are followed by another attempt.

    Raises:
        UsageError: for an id, a tag or rights that are wrong.
        DataError: if the repository is damaged.
        ServiceError: if the Hub failed.
    """
    verify_repository(folder, workers=workers, progress=progress)
    return Publication(release=read_local(folder), request=request, progress=progress, notice=notice)
