"""What publishing would do: the release here, the dataset on the Hub, and the difference file by file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, get_args

from rich import filesize

from figureground.errors import DataError, Faults, UsageError
from figureground.exports.dataset.files import CARD, LOCK, MANIFEST, OBJECTS
from figureground.exports.dataset.folder import DatasetFolder, name_faults
from figureground.exports.publishing.redistribution import describe_terms, restrictions
from figureground.runtime.files import file_sha256
from figureground.runtime.hub import HubFile
from figureground.schemas.documents import parse_text, read_text
from figureground.schemas.terms import UNSTATED

Action = Literal["new", "changed", "same", "deleted", "kept"]
Gate = Literal["auto", "manual"]
MOST_FILES: Final = 25_000
"""Files that one commit takes (huggingface_hub, HfApi.create_commit)."""
PERMISSION: Final = "--i-may-redistribute"
_TAG: Final = re.compile(r"(?!.*\.\.)[A-Za-z0-9][\w.-]{0,99}(?<!\.lock)(?<!\.)", re.ASCII)
_UNSTATED_VISIBILITY: Final = "public or private as your settings on the Hub say"
_OWN_FOLDERS: Final = ("data/", "report/")
"""A file in one of these that the release does not list would be read as a part of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishRequest:
    """Where a release goes, and how it is shown."""

    repo_id: str
    """OWNER/NAME on the Hub."""
    tag: str | None = None
    """None for ``v`` and the recipe's version."""
    private: bool | None = None
    """None leaves a dataset as it is, and a new one as its owner's settings say."""
    gated: Gate | None = None
    """Who asks for access gets it at once or from a person; None leaves it as it is."""
    may_redistribute: bool = False
    """The user holds the right to pass on photos and masks that are restricted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalRelease:
    """A dataset repository in a folder, as it will be published."""

    folder: Path
    dataset: DatasetFolder
    """The same, opened."""
    sha256: Mapping[str, str]
    """Path to SHA-256 of every file, the manifest included; nothing else is ever uploaded."""
    rows: Mapping[str, Mapping[str, int]]
    """Config to split to rows."""
    tag: str
    """Tag that the recipe's version asks for."""
    gate_prompt: str
    """What the card says to whoever asks for access; empty for nothing."""
    restrictions: tuple[str, ...]
    """Why it may not be passed on; empty where nothing says so."""
    terms: tuple[str, ...]
    """Licence and restriction of every source of photos, and the licence of the masks, a line each."""
    pixels: bool

    def size(self, path: str) -> int:
        """Bytes of a file."""
        return (self.folder / path).stat().st_size


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFile:
    """One file and what becomes of it on the Hub."""

    path: str
    size: int
    """Bytes."""
    action: Action
    """``kept`` is a file on the Hub that is no part of the release and is left alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishPlan:
    """All that publishing will do."""

    repo_id: str
    exists: bool
    """Whether the dataset is on the Hub, and seen by this login."""
    private: bool | None
    """None: as the owner's settings say for new datasets."""
    gated: str
    """``auto``, ``manual`` or ``no``."""
    head: str
    """Commit of main that the plan was made against; empty where main has none."""
    tag: str
    tag_exists: bool
    """It holds this very release already."""
    files: tuple[PlannedFile, ...]
    upload_bytes: int
    """At most: large files that an interrupted run brought there are not sent again."""
    commits: int
    """Commits to main: one, or none where main holds the release."""
    terms: tuple[str, ...]
    """Terms of the photos and of the masks, a line each."""
    warnings: tuple[str, ...]

    def paths(self, *actions: Action) -> list[str]:
        """Paths of the files with one of these actions."""
        return [file.path for file in self.files if file.action in actions]


@dataclass(frozen=True, slots=True, kw_only=True)
class HubState:
    """What is on the Hub."""

    exists: bool
    private: bool | None = None
    gated: str = "no"
    head: str = ""
    files: Mapping[str, HubFile] = field(default_factory=dict)
    """Files of main."""
    tagged: Mapping[str, HubFile] | None = None
    """Files at the tag; None where there is no such tag."""
    listed: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 by path, as the manifest on main says."""
    edited: tuple[str, ...] = ()
    """Files that this release replaces and that are not as that manifest says: somebody changed them on the Hub."""


def read_local(folder: Path) -> LocalRelease:
    """Read what is to be published from a verified repository.

    Raises:
        DataError: for files that may not be published.
    """
    dataset = DatasetFolder.open(folder)
    _require_publishable(dataset)
    pixels = any("image" in dataset.columns(shard) for shard in dataset.shards)
    _, records = dataset.objects()
    return LocalRelease(
        folder=folder,
        dataset=dataset,
        sha256={**dataset.manifest, MANIFEST: file_sha256(folder / MANIFEST)},
        rows={
            config: {split: dataset.count_rows(config, split) for split in dataset.splits(config)}
            for config in dataset.configs
        },
        tag=f"v{dataset.lock.recipe_version}",
        gate_prompt=_gate_prompt(folder / CARD),
        restrictions=tuple(restrictions(dataset.lock, records, pixels=pixels)),
        terms=tuple(describe_terms(dataset.lock, records, dataset.recipe.licence)),
        pixels=pixels,
    )


def _require_publishable(dataset: DatasetFolder) -> None:
    faults = Faults()
    for name in (CARD, LOCK, OBJECTS):
        if not dataset.has(name):
            faults.add(dataset.name, name, expected="a file of every dataset repository", got="none in the manifest")
    faults.extend(name_faults(dataset))
    faults.raise_if_any()


def _gate_prompt(card: Path) -> str:
    """What a card says to whoever asks for access; empty for nothing."""
    try:
        parts = read_text(card).split("---\n", 2)
        front = parse_text(parts[1], where=str(card)) if len(parts) == 3 else {}
    except DataError:
        front = {}  # the Hub refuses it with the line at fault
    return str((front or {}).get("extra_gated_prompt") or "") if isinstance(front, dict) else ""


def require_tag(tag: str) -> str:
    """A tag that git takes.

    Raises:
        UsageError: for one that it does not.
    """
    if not _TAG.fullmatch(tag) or tag == "main":
        raise UsageError(f"{tag!r} is no tag: use letters, digits, dot, dash and underscore, such as v1.0")
    return tag


def make_publish_plan(release: LocalRelease, request: PublishRequest, tag: str, hub: HubState) -> PublishPlan:
    """Compare a release with what is on the Hub.

    Raises:
        UsageError: if the tag holds something else, main has moved on from this release, it may not be passed on, or
            there are too many files.
    """
    if release.restrictions and not request.may_redistribute:
        raise UsageError(_refusal(release))
    if len(release.sha256) > MOST_FILES:
        raise UsageError(f"{len(release.sha256)} files: one commit takes {MOST_FILES}; build with larger shards")
    if f"{request.repo_id.partition('/')[2]}.py" in release.sha256:
        raise UsageError(
            f"{request.repo_id}: datasets would take its evaluate.py for a loading script; choose another name"
        )
    files = compare_files(release, hub.files, hub.listed)
    changes = [file for file in files if file.action in ("new", "changed", "deleted")]
    tag_exists = hub.tagged is not None
    if hub.tagged is not None:
        _require_same_tag(release, request.repo_id, tag, hub.tagged, moved=bool(changes))
    return PublishPlan(
        repo_id=request.repo_id,
        exists=hub.exists,
        private=hub.private if request.private is None else request.private,
        gated=request.gated or hub.gated,
        head=hub.head,
        tag=tag,
        tag_exists=tag_exists,
        files=tuple(files),
        upload_bytes=sum(file.size for file in files if file.action in ("new", "changed")),
        commits=1 if changes else 0,
        terms=release.terms,
        warnings=tuple(_warnings(release, request, hub, files)),
    )


def compare_files(release: LocalRelease, stored: Mapping[str, HubFile], listed: Iterable[str]) -> list[PlannedFile]:
    """What becomes of every file, by path.

    Args:
        release: What is to be on the Hub.
        stored: Files that are there.
        listed: Paths in the manifest that is there: files of an older version, which go where the new one lacks them.
    """
    files = []
    for path, sha256 in release.sha256.items():
        known = stored.get(path)
        same = known is not None and known.equals(release.folder / path, sha256)
        action: Action = "same" if same else "changed" if known else "new"
        files.append(PlannedFile(path=path, size=release.size(path), action=action))
    older = set(listed)
    for path in set(stored) - set(release.sha256):
        if path.startswith(_OWN_FOLDERS) or path in older:
            files.append(PlannedFile(path=path, size=stored[path].size, action="deleted"))
        elif not path.startswith("."):  # the Hub's own, such as .gitattributes
            files.append(PlannedFile(path=path, size=stored[path].size, action="kept"))
    return sorted(files, key=lambda file: file.path)


def _require_same_tag(
    release: LocalRelease, repo_id: str, tag: str, tagged: Mapping[str, HubFile], *, moved: bool
) -> None:
    changed = [file.path for file in compare_files(release, tagged, ()) if file.action not in ("same", "kept")]
    if changed:
        raise UsageError(
            f"{repo_id} has a tag {tag} already, and it holds something else ({_some(changed)}): a version that was "
            "published never changes; raise the recipe's version, or give another --tag"
        )
    if moved:
        raise UsageError(
            f"{repo_id} has this very release as {tag} already, and main has moved on since; to bring main back to it, "
            "give another --tag"
        )


def _refusal(release: LocalRelease) -> str:
    remedy = "build with --no-pixels and publish that; or, " if release.pixels else ""
    if any(reason.endswith(UNSTATED) for reason in release.restrictions):
        state = "figureground index SOURCE -w WORKSPACE --licence LICENCE"
        remedy = f"state it with: {state}, or with --unrestricted in its stead, and build again; or {remedy}"
    reasons = "".join(f"\n  {reason}" for reason in release.restrictions)
    return (
        f"{release.folder} holds what may not be passed on:{reasons}\n{remedy}if you hold the right to pass it on, "
        f"say so with {PERMISSION}"
    )


def _warnings(
    release: LocalRelease, request: PublishRequest, hub: HubState, files: Sequence[PlannedFile]
) -> Iterator[str]:
    for reason in release.restrictions:
        yield f"passed on because {PERMISSION} was given: {reason}"
    if request.gated and not release.gate_prompt:
        yield "README.md has no extra_gated_prompt: whoever asks for access is told no terms"
    if request.private is False and hub.private:
        yield "the dataset is private and becomes public"
    for path in hub.edited:
        yield f"{path} was changed on the Hub since it was published; this release replaces it"
    alone = [file.path for file in files if file.action == "kept"]
    if alone:
        yield f"on the Hub, no part of the release and left alone: {_some(alone)}"


def describe_plan(plan: PublishPlan, *, listed: bool = True) -> str:
    """The plan for people: a line a file, then the sums; those alone where files are not ``listed``."""
    new = "" if plan.exists else " (new)"
    visibility = {True: "private", False: "public", None: _UNSTATED_VISIBILITY}[plan.private]
    width = max((len(file.path) for file in plan.files), default=0)
    lines = [f"{plan.repo_id}{new}: {visibility}, gated: {plan.gated}"]
    lines += [f"  {file.action:8}{file.path:{width}}  {_bytes(file.size)}" for file in plan.files if listed]
    counts = Counter(file.action for file in plan.files)
    lines += [
        ", ".join(f"{counts[action]} {action}" for action in get_args(Action) if counts[action]),
        f"to upload: {_bytes(plan.upload_bytes)}; commits to main: {plan.commits}; tag {plan.tag}"
        f"{' is there' if plan.tag_exists else ''}",
        *(f"terms of {line}" for line in plan.terms),
        *(f"warning: {warning}" for warning in plan.warnings),
    ]
    return "\n".join(lines)


def _bytes(count: int) -> str:
    return str(filesize.decimal(count))


def _some(paths: Sequence[str], most: int = 5) -> str:
    return ", ".join(sorted(paths)[:most]) + (f" and {len(paths) - most} more" if len(paths) > most else "")
