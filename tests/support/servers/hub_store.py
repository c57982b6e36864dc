"""Repositories of the Hub's double: commits, references, pull requests and objects, in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

LFS_ENDINGS = (".parquet", ".png")
"""What the .gitattributes of a new dataset sends to large file storage."""
LFS_ABOVE_BYTES = 1_000_000


@dataclass(frozen=True)
class Blob:
    """A file at a commit."""

    data: bytes
    is_lfs: bool
    claimed_size: int | None = None
    """What the Hub says of its size, where that is not true."""

    @property
    def size(self) -> int:
        return len(self.data) if self.claimed_size is None else self.claimed_size

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @cached_property
    def git_sha1(self) -> str:
        data = self.pointer() if self.is_lfs else self.data
        return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()

    def pointer(self) -> bytes:
        lines = (
            "version https://git-lfs.github.com/spec/v1",
            f"oid sha256:{self.sha256}",
            f"size {len(self.data)}",
            "",
        )
        return "\n".join(lines).encode()


Tree = Mapping[str, Blob]


@dataclass(frozen=True, slots=True)
class Commit:
    oid: str
    parent: str
    title: str
    tree: Tree

    def item(self, path: str) -> dict[str, Any]:
        """What the Hub tells of a file."""
        blob = self.tree[path]
        item: dict[str, Any] = {"type": "file", "path": path, "size": blob.size, "oid": blob.git_sha1}
        if blob.is_lfs:
            item["lfs"] = {"oid": blob.sha256, "size": blob.size, "pointerSize": len(blob.pointer())}
        return item

    def listing(self, folder: str, *, deep: bool) -> list[dict[str, Any]]:
        """Folders and files in a folder, or below it."""
        prefix = f"{folder}/" if folder else ""
        below = [path for path in self.tree if path.startswith(prefix)]
        if folder and not below:
            raise Refused(404, "EntryNotFound", f"{folder} does not exist")
        parts = [path.removeprefix(prefix).split("/") for path in below]
        folders = {prefix + "/".join(names[:depth]) for names in parts for depth in range(1, len(names))}
        shown = folders if deep else {path for path in folders if "/" not in path.removeprefix(prefix)}
        entries = [{"type": "directory", "path": path, "oid": "0" * 40, "size": 0} for path in sorted(shown)]
        files = [path for path in below if deep or "/" not in path.removeprefix(prefix)]
        return entries + [self.item(path) for path in sorted(files)]


class Refused(Exception):
    """An answer that is no success: status, the Hub's error code, message."""

    def __init__(self, status: int, code: str = "", message: str = "") -> None:
        super().__init__(message or code)
        self.status, self.code, self.message = status, code, message


@dataclass(slots=True)
class Repo:
    """One dataset."""

    name: str
    private: bool = False
    gated: str | bool = False
    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    pull_requests: dict[int, dict[str, Any]] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    """Large files by SHA-256, committed or not."""

    def __post_init__(self) -> None:
        attributes = "".join(f"*{ending} filter=lfs diff=lfs merge=lfs -text\n" for ending in LFS_ENDINGS)
        self.add_commit("refs/heads/main", "initial commit", {".gitattributes": Blob(attributes.encode(), False)})

    def add_commit(self, ref: str, title: str, tree: Tree, parent: str | None = None) -> Commit:
        parent = self.refs.get(ref, "") if parent is None else parent
        text = "\0".join(
            [parent, title, str(len(self.commits)), *(f"{path} {tree[path].sha256}" for path in sorted(tree))]
        )
        commit = Commit(hashlib.sha1(text.encode()).hexdigest(), parent, title, dict(tree))
        self.commits[commit.oid] = commit
        self.refs[ref] = commit.oid
        return commit

    def find(self, revision: str) -> Commit:
        for ref in (revision, f"refs/heads/{revision}", f"refs/tags/{revision}"):
            if ref in self.refs:
                return self.commits[self.refs[ref]]
        if revision in self.commits:
            return self.commits[revision]
        raise Refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")

    @property
    def main(self) -> Commit:
        return self.find("main")

    def put(self, files: Mapping[str, bytes], title: str = "by hand") -> Commit:
        """Commit to main as somebody else would."""
        added = {path: self._blob(path, data) for path, data in files.items()}
        return self.add_commit("refs/heads/main", title, {**self.main.tree, **added})

    def _blob(self, path: str, data: bytes) -> Blob:
        blob = Blob(data, is_lfs(path, len(data)))
        if blob.is_lfs:
            self.objects[blob.sha256] = data
        return blob

    def commit(
        self,
        revision: str,
        operations: Iterable[tuple[str, Mapping[str, Any], bytes]],
        title: str,
        parent: str | None,
        *,
        create_pr: bool,
    ) -> tuple[Commit, int]:
        """What the commit route does; 412 where ``parent`` is no longer the head."""
        base = self.find(revision)
        if parent is not None and parent != base.oid:
            if not create_pr or parent not in self.commits:
                raise Refused(412, "", "A commit has happened since. Please refresh and try again.")
            base = self.commits[parent]
        tree = dict(base.tree)
        for key, value, data in operations:
            path = str(value["path"])
            if key == "deletedFile":
                if path not in tree:
                    raise Refused(404, "EntryNotFound", f"A file with this name doesn't exist: {path}")
                del tree[path]
            elif key == "lfsFile":
                if value["oid"] not in self.objects:
                    raise Refused(400, "", f"LFS pointer to an object that was never uploaded: {path}")
                tree[path] = Blob(self.objects[value["oid"]], True)
            else:
                tree[path] = Blob(data, False)
        if not create_pr:
            return self.add_commit(f"refs/heads/{revision}", title, tree, base.oid), 0
        number = len(self.pull_requests) + 1
        self.pull_requests[number] = {"title": title, "status": "open", "comment": ""}
        return self.add_commit(f"refs/pr/{number}", title, tree, base.oid), number


def is_lfs(path: str, size: int) -> bool:
    return size > 0 and (path.endswith(LFS_ENDINGS) or size > LFS_ABOVE_BYTES)


def folder_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file that is not hidden."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }
