"""Publishing a dataset repository on the Hub: planned, staged in a pull request, loaded back, then one commit to main.

Main never shows a part of a release, however many files it has: large files are sent first, a hundred at a time, and no
commit names them yet; the commit to the pull request and the one to main then hold nothing but their hashes and the few
small text files, and each of them happens or does not. The Hub takes 25,000 files in such a commit.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants, get_token

from figureground.errors import DataError, Fault, UsageError
from figureground.exports.dataset.files import MANIFEST
from figureground.exports.publishing.checks import check_files, check_loading
from figureground.exports.publishing.hub_attempts import Notice, ask
from figureground.exports.publishing.hub_dataset import STAGE, HubDataset
from figureground.exports.publishing.plan import (
    LocalRelease,
    PublishPlan,
    PublishRequest,
    make_publish_plan,
    require_tag,
)
from figureground.runtime.hub import DATASET, HubFile, hub_errors, require_repo_id
from figureground.runtime.progress import Progress

_FILES_SENT: Final = 100
"""Large files that are sent together."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishReport:
    """What was published."""

    repo_id: str
    tag: str
    commit: str
    """Commit of main and the tag."""
    url: str
    """Page of the tag on the Hub."""
    files: int
    """Number of files of the release."""
    sent: tuple[str, ...]
    """Files that were not on the Hub, or changed there."""
    deleted: tuple[str, ...]
    """Files that the release replaces by none."""
    pull_request: int | None
    """Number of the staging pull request; None where main held the release already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _StagedRelease:
    """A release in a pull request."""

    number: int
    """Number of the pull request."""
    commit: str
    """Its newest commit."""


@dataclass(slots=True, kw_only=True)
class Publication:
    """One release on its way to one dataset on the Hub; ``open_publication`` makes one."""

    release: LocalRelease
    request: PublishRequest
    plan: PublishPlan
    """Against the Hub as it was when last looked at."""
    hub: HubDataset
    progress: Progress
    notice: Notice
    _main: Mapping[str, HubFile]
    """Files of main at the plan's head."""
    _additions: list[CommitOperationAdd] | None = field(init=False, default=None)
    """Files of the plan, sent; each commit takes copies, since an operation serves once."""

    @property
    def repo_id(self) -> str:
        """OWNER/NAME."""
        return self.request.repo_id

    @property
    def _api(self) -> HfApi:
        return self.hub.api

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
            self._ask(lambda: check_files(self._api, self.repo_id, self.plan.tag, self.release))
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
        self._ask(lambda: check_files(self._api, self.repo_id, commit, self.release))
        self._ask(lambda: check_loading(self.repo_id, commit, self.release, self.progress))

    def _ask(self, what: Callable[[], Result]) -> Result:
        return ask(what, self.repo_id, self.notice)

    def _prepare(self) -> None:
        """Make the dataset, and restrict access to it before it has a file."""
        request = self.request
        if not self.plan.exists:
            self._api.create_repo(self.repo_id, repo_type=DATASET, private=request.private, exist_ok=True)
        info = self._api.dataset_info(self.repo_id)
        private = request.private if request.private not in (None, info.private) else None
        gated = request.gated if request.gated != info.gated else None
        if private is not None or gated is not None:
            self._api.update_repo_settings(self.repo_id, private=private, gated=gated, repo_type=DATASET)

    def _refresh(self) -> None:
        """Plan anew where main moved.

        Raises:
            DataError: if it moved in a file of the release: nobody's work is overwritten unseen.
        """
        before = self.plan
        if self.hub.head() == before.head:
            return
        state = self.hub.look(self.release, before.tag)
        moved = {path for path in {*state.files, *self._main} if state.files.get(path) != self._main.get(path)}
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
        self.plan, self._main, self._additions = plan, state.files, None

    def _send(self) -> list[CommitOperationAdd]:
        """Send large files; those that are there already are not sent again."""
        paths = self.plan.paths("new", "changed")
        additions = [CommitOperationAdd(path, str(self.release.folder / path)) for path in paths]
        for start in range(0, len(additions), _FILES_SENT):
            part = additions[start : start + _FILES_SENT]
            self.progress("files sent", start, len(additions))
            self._ask(
                lambda part=part: self._api.preupload_lfs_files(  # type: ignore[misc]  # a default binds the loop's value
                    self.repo_id, part, repo_type=DATASET, create_pr=True, free_memory=False
                )
            )
        self.progress("files sent", len(additions), len(additions))
        return additions

    def _operations(self) -> list[CommitOperationAdd | CommitOperationDelete]:
        """What a commit does; files that were not sent yet are sent first."""
        if self._additions is None:
            self._additions = self._send()
        deletions = [CommitOperationDelete(path) for path in self.plan.paths("deleted")]
        return [*(copy.copy(addition) for addition in self._additions), *deletions]

    def _stage(self) -> _StagedRelease:
        """Put the release in a pull request, or find it in one that an interrupted run left."""
        self._refresh()
        title = f"{STAGE} {self.plan.tag} ({self.release.sha256[MANIFEST][:16]})"
        for stage in self.hub.open_stages():
            commit = self.hub.stage_commit(stage.number)
            if stage.title == title and self.hub.holds(self.release, commit):
                return _StagedRelease(number=stage.number, commit=commit)
            self.hub.close_stage(stage.number, "Replaced by a newer one.")
        made = self._api.create_commit(
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
        return _StagedRelease(number=made.pr_num, commit=made.oid)

    def _close_stages(self, comment: str) -> None:
        for stage in self.hub.open_stages():
            self.hub.close_stage(stage.number, comment)

    def _commit(self) -> str:
        """Bring main to the release in one commit; none where an answer was lost and it is there."""
        self._refresh()
        if not self.plan.commits:
            return self.plan.head
        made = self._api.create_commit(
            self.repo_id,
            self._operations(),
            commit_message=f"Release {self.plan.tag}",
            repo_type=DATASET,
            parent_commit=self.plan.head or None,
        )
        return str(made.oid)

    def _tag(self, commit: str) -> None:
        if self.hub.tagged_commit(self.plan.tag) is None:
            self._api.create_tag(self.repo_id, tag=self.plan.tag, revision=commit, repo_type=DATASET)


def open_publication(
    release: LocalRelease,
    request: PublishRequest,
    *,
    progress: Progress = lambda *_: None,
    notice: Notice = lambda _: None,
) -> Publication:
    """Look at the Hub and plan; nothing is changed there.

    Args:
        release: What is published.
        request: Where it goes.
        progress: Called with (stage, done, total) while it is published.
        notice: Called after every failure of the Hub that is followed by another attempt.

    Raises:
        UsageError: for an id or tag that is wrong, or whatever else ``make_publish_plan`` refuses.
        ServiceError: if the Hub failed.
    """
    hub = HubDataset(repo_id=require_repo_id(request.repo_id))
    if constants.HF_HUB_OFFLINE:
        raise UsageError("HF_HUB_OFFLINE is set: nothing can be published offline")
    tag = require_tag(request.tag or release.tag)
    with hub_errors(request.repo_id):
        state = ask(lambda: hub.look(release, tag), request.repo_id, notice)
    return Publication(
        release=release,
        request=request,
        plan=make_publish_plan(release, request, tag, state),
        hub=hub,
        progress=progress,
        notice=notice,
        _main=state.files,
    )
