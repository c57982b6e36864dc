"""A double of the Hub on loopback: what publishing and loading ask of it, a log of every request, and faults at will.

Routes and answers are those of huggingface_hub 2.4 and datasets 5.2. Clients run in processes of their own
(``client_environment``), since those libraries read the endpoint once, when they are imported.
"""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from costs import require_marker
from hub_store import Blob, Commit, Refused, Repo, folder_hashes, is_lfs
from hub_traffic import Asked, Trouble

SECRET = "hf_DoubleSecretOfTheOwner0123456789"
"""Token of the owner; it may stand in no output."""
SIGNATURE = "X-Amz-Signature=3141592653589793"
"""What a pre-signed upload address carries; it may stand in no output either."""
STRANGER = "hf_TokenOfSomebodyWithoutAccess0000"


class HubDouble:
    """The server; use as a context manager."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.users = {SECRET: "owner", STRANGER: "stranger"}
        self.log: list[Asked] = []
        self.violations: list[str] = []
        self.under_way = 0
        self._releases: dict[str, list[dict[str, str]]] = {}
        self._troubles: list[Trouble] = []
        self._lock = threading.RLock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.hub = self
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> HubDouble:
        require_marker("hub")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def fail(self, method: str, pattern: str, status: int = 503, **more: Any) -> Trouble:
        """Answer so to the next matching request (``times`` of them)."""
        trouble = Trouble(method, re.compile(pattern), status, **more)
        self._troubles.append(trouble)
        return trouble

    def trouble_of(self, method: str, path: str) -> Trouble | None:
        with self._lock:
            for trouble in self._troubles:
                if trouble.times and trouble.method == method and trouble.pattern.search(path):
                    if trouble.after:
                        trouble.after -= 1
                        return None
                    trouble.times -= 1
                    return trouble
        return None

    def allow(self, name: str, folder: Path) -> None:
        """From now on main of ``name`` may hold this release: all of it, and no other file of its folders."""
        self._releases.setdefault(name, []).append(folder_hashes(folder))

    def note(self, asked: Asked) -> None:
        with self._lock:
            self.under_way -= 1
            self.log.append(asked)
            for name, repo in self.repos.items():
                tree = {path: blob.sha256 for path, blob in repo.main.tree.items() if not path.startswith(".")}
                ours = {path for release in self._releases.get(name, []) for path in release}
                shown = {path: sha256 for path, sha256 in tree.items() if path in ours or path.startswith("data/")}
                if name in self._releases and shown and shown not in self._releases[name]:
                    self.violations.append(f"{asked.method} {asked.path}: main of {name} is no whole release")

    def settle(self) -> None:
        """Wait until nothing has been under way for a second: what a killed client sent may arrive after it died."""
        seen, since = -1, time.monotonic()
        while time.monotonic() - since < 1:
            if self.under_way or len(self.log) != seen:
                seen, since = len(self.log), time.monotonic()
            time.sleep(0.02)

    def asked(self, method: str, pattern: str, *, status: int | None = None) -> list[Asked]:
        """Requests so far, of a method and with a path that the pattern is found in."""
        return [
            request
            for request in list(self.log)
            if request.method == method and re.search(pattern, request.path) and status in (None, request.status)
        ]

    def create(self, name: str, **settings: Any) -> Repo:
        self.repos[name] = Repo(name, **settings)
        return self.repos[name]

    def client_environment(self, home: Path, token: str | None = SECRET) -> dict[str, str]:
        """Environment of a client process that talks to this server and shares no cache with another."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("HF_", "HUGGING")) and not name.lower().endswith("_proxy")
        }
        asked = {
            "HF_ENDPOINT": self.url, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "NO_PROXY": "127.0.0.1",
            "HF_HUB_DISABLE_TELEMETRY": "1", "NO_COLOR": "1", "XDG_CACHE_HOME": str(home / "cache"),
        }  # fmt: skip
        return {**inherited, **asked, **({"HF_TOKEN": token} if token else {})}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    hub: HubDouble

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _Dropped(Exception):
    pass


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Requests stand in ``HubDouble.log``."""

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

    def _serve(self) -> None:
        hub = self.server.hub
        self.answered = 0, 0
        body = b""
        with hub._lock:
            hub.under_way += 1
        trouble = hub.trouble_of(self.command, self.path)
        try:
            if trouble and trouble.drop:
                raise _Dropped
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if trouble and trouble.before:
                trouble.before()
            elif trouble and not trouble.lose:
                self._answer(trouble.status, {"error": "injected"}, trouble.headers)
                return
            with hub._lock:
                status, content, headers = self._do(body)
            if trouble and trouble.lose:
                raise _Dropped
            self._answer(status, content, headers)
        except Refused as refused:
            headers = {"X-Error-Code": refused.code} if refused.code else {}
            self._answer(refused.status, {"error": refused.message}, {**headers, "X-Error-Message": refused.message})
        except _Dropped:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        finally:
            status, sent = self.answered
            data = body if "json" in (self.headers.get("Content-Type") or "") else b""
            hub.note(
                Asked(
                    self.command, self.path, status, len(body), sent, self.headers.get("Range") or "", self._user, data
                )
            )

    def _answer(self, status: int, content: Any, headers: Mapping[str, str]) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
        self.wfile.flush()
        self.answered = status, len(data) if self.command != "HEAD" else 0

    @property
    def _user(self) -> str:
        given = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        return self.server.hub.users.get(given, "")

    def _do(self, body: bytes) -> tuple[int, Any, Mapping[str, str]]:
        split = urlsplit(self.path)
        self.query = parse_qs(split.query, keep_blank_values=True)
        for method, pattern, act in _ROUTES:
            match = re.fullmatch(pattern, split.path)
            if match and method in (self.command, "GET" if self.command == "HEAD" else ""):
                return act(self, body, *map(unquote, match.groups()))
        raise Refused(404, "", f"the double has no {self.command} {split.path}")

    def _repo(self, name: str, *, write: bool = False) -> Repo:
        repo = self.server.hub.repos.get(name)
        if repo is None or (repo.private and self._user != "owner"):
            raise Refused(404 if self._user else 401, "RepoNotFound", "Repository not found")
        if write and self._user != "owner":
            raise Refused(403 if self._user else 401, "", "You don't have the rights to write")
        return repo

    def _whoami(self, body: bytes) -> Any:
        if not self._user:
            raise Refused(401, "", "Invalid credentials")
        return 200, {"type": "user", "name": self._user, "orgs": [], "auth": {}}, {}

    def _create(self, body: bytes) -> Any:
        asked = json.loads(body)
        name = f"{asked['organization']}/{asked['name']}"
        if self._user != "owner":
            raise Refused(403 if self._user else 401, "", "You don't have the rights to create a dataset")
        if name in self.server.hub.repos:
            raise Refused(409, "", "You already created this dataset repo")
        self.server.hub.create(name, private=asked.get("visibility") == "private")
        return 200, {"url": f"{self.server.hub.url}/datasets/{name}", "name": name, "id": name}, {}

    def _info(self, body: bytes, name: str, revision: str = "main") -> Any:
        repo = self._repo(name)
        commit = repo.find(revision)
        siblings = [{"rfilename": path} for path in sorted(commit.tree)]
        info = {"id": name, "sha": commit.oid, "private": repo.private, "gated": repo.gated, "disabled": False}
        return 200, {**info, "siblings": siblings, "tags": [], "downloads": 0, "likes": 0}, {}

    def _validate(self, body: bytes) -> Any:
        return 200, {"errors": [], "warnings": []}, {}

    def _preupload(self, body: bytes, name: str, revision: str) -> Any:
        tree = self._repo(name, write=True).find(revision).tree
        plan = []
        for file in json.loads(body)["files"]:
            lfs, here = is_lfs(file["path"], file["size"]), tree.get(file["path"])
            oid = {"oid": here.sha256 if lfs else here.git_sha1} if here else {}
            plan.append({"path": file["path"], "uploadMode": "lfs" if lfs else "regular", "shouldIgnore": False, **oid})
        return 200, {"files": plan}, {}

    def _batch(self, body: bytes, name: str) -> Any:
        repo, objects = self._repo(name, write=True), []
        for asked in json.loads(body)["objects"]:
            href = f"{self.server.hub.url}/lfs/{name}/{asked['oid']}"
            actions = {"upload": {"href": f"{href}?{SIGNATURE}"}, "verify": {"href": f"{href}/verify"}}
            objects.append({**asked, **({} if asked["oid"] in repo.objects else {"actions": actions})})
        return 200, {"transfer": "basic", "objects": objects}, {}

    def _upload(self, body: bytes, name: str, oid: str) -> Any:
        blob = Blob(body, True)
        if blob.sha256 != oid:
            raise Refused(400, "", "content does not match its SHA-256")
        self.server.hub.repos[name].objects[oid] = body
        return 200, b"", {}

    def _verify(self, body: bytes, name: str, oid: str) -> Any:
        repo, asked = self._repo(name, write=True), json.loads(body)
        if len(repo.objects.get(oid, b"")) != asked["size"]:
            raise Refused(404, "", "no such object")
        return 200, {}, {}

    def _commit(self, body: bytes, name: str, revision: str) -> Any:
        repo = self._repo(name, write=True)
        lines = [json.loads(line) for line in body.splitlines()]
        head, rest = lines[0]["value"], lines[1:]
        operations = [(line["key"], line["value"], base64.b64decode(line["value"].get("content", ""))) for line in rest]
        create_pr = self.query.get("create_pr") == ["1"]
        commit, number = repo.commit(
            revision, operations, head["summary"], head.get("parentCommit"), create_pr=create_pr
        )
        url = f"{self.server.hub.url}/datasets/{name}"
        answer = {"commitOid": commit.oid, "commitUrl": f"{url}/commit/{commit.oid}", "success": True}
        return 200, {**answer, "pullRequestUrl": f"{url}/discussions/{number}" if number else None}, {}

    def _refs(self, body: bytes, name: str) -> Any:
        refs = [
            {"name": ref.split("/", 2)[2], "ref": ref, "targetCommit": oid}
            for ref, oid in sorted(self._repo(name).refs.items())
        ]
        kinds = {key: [item for item in refs if item["ref"].startswith(start)] for key, start in _REF_KINDS.items()}
        return 200, {**kinds, "converts": []}, {}

    def _commits(self, body: bytes, name: str, revision: str) -> Any:
        repo, commits = self._repo(name), list[dict[str, Any]]()
        commit: Commit | None = repo.find(revision)
        while commit:
            date = "2026-01-01T00:00:00.000Z"
            commits.append({"id": commit.oid, "title": commit.title, "message": "", "date": date, "authors": []})
            commit = repo.commits.get(commit.parent)
        return 200, commits, {}

    def _tag(self, body: bytes, name: str, revision: str) -> Any:
        repo, ref = self._repo(name, write=True), f"refs/tags/{json.loads(body)['tag']}"
        if ref in repo.refs:
            raise Refused(409, "", "Tag reference exists already")
        repo.refs[ref] = repo.find(revision).oid
        return 200, {}, {}

    def _settings(self, body: bytes, name: str) -> Any:
        repo, asked = self._repo(name, write=True), json.loads(body)
        repo.gated = asked.get("gated", repo.gated)
        repo.private = asked.get("visibility", "private" if repo.private else "public") == "private"
        return 200, {}, {}

    def _discussions(self, body: bytes, name: str) -> Any:
        pulls = [
            {
                "num": number, "title": request["title"], "status": request["status"], "isPullRequest": True,
                "author": {"name": "owner"}, "createdAt": "2026-01-01T00:00:00.000Z",
                "repo": {"name": name, "type": "dataset"},
            }
            for number, request in sorted(self._repo(name).pull_requests.items())
            if self.query.get("status") in (None, [request["status"]])
        ]  # fmt: skip
        page = int(self.query.get("p", ["0"])[0])
        return 200, {"count": len(pulls), "start": 10 * page, "discussions": pulls[10 * page : 10 * page + 10]}, {}

    def _status(self, body: bytes, name: str, number: str) -> Any:
        request = self._repo(name, write=True).pull_requests[int(number)]
        request.update(json.loads(body))
        event = {"id": "1", "type": "status-change", "createdAt": "2026-01-01T00:00:00.000Z"}
        return 200, {"newStatus": {**event, "data": {"status": request["status"]}}}, {}

    def _tree(self, body: bytes, name: str, revision: str, folder: str = "") -> Any:
        commit = self._repo(name).find(revision)
        deep = self.query.get("recursive", ["false"])[0].lower() in ("true", "1")
        return 200, commit.listing(folder, deep=deep), {}

    def _paths_info(self, body: bytes, name: str, revision: str) -> Any:
        commit = self._repo(name).find(revision)
        asked = parse_qs(body.decode())["paths"]
        return 200, [commit.item(path) for path in asked if path in commit.tree], {}

    def _resolve(self, body: bytes, name: str, revision: str, path: str) -> Any:
        repo = self._repo(name)
        if repo.gated and self._user != "owner":
            raise Refused(403 if self._user else 401, "GatedRepo", f"Access to dataset {name} is restricted.")
        commit = repo.find(revision)
        if path not in commit.tree:
            raise Refused(404, "EntryNotFound", "Entry not found")
        blob = commit.tree[path]
        headers = {"X-Repo-Commit": commit.oid, "ETag": f'"{blob.sha256 if blob.is_lfs else blob.git_sha1}"'}
        headers["Accept-Ranges"] = "bytes"
        if blob.is_lfs:
            headers |= {"X-Linked-Etag": f'"{blob.sha256}"', "X-Linked-Size": str(len(blob.data))}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if asked is None:
            return 200, blob.data, headers
        first, last = int(asked[1]), min(int(asked[2] or len(blob.data) - 1), len(blob.data) - 1)
        return 206, blob.data[first : last + 1], headers | {"Content-Range": f"bytes {first}-{last}/{len(blob.data)}"}


_REF_KINDS = {"branches": "refs/heads/", "tags": "refs/tags/", "pullRequests": "refs/pr/"}
_ID = r"([\w.-]+/[\w.-]+)"
_API = f"/api/datasets/{_ID}"
_H = _Handler
_ROUTES: list[tuple[str, str, Callable[..., tuple[int, Any, Mapping[str, str]]]]] = [
    ("GET", "/api/whoami-v2", _H._whoami),
    ("POST", "/api/repos/create", _H._create),
    ("POST", "/api/validate-yaml", _H._validate),
    ("GET", _API, _H._info),
    ("GET", f"{_API}/revision/([^/]+)", _H._info),
    ("POST", f"{_API}/preupload/([^/]+)", _H._preupload),
    ("POST", f"/datasets/{_ID}\\.git/info/lfs/objects/batch", _H._batch),
    ("PUT", f"/lfs/{_ID}/([0-9a-f]+)", _H._upload),
    ("POST", f"/lfs/{_ID}/([0-9a-f]+)/verify", _H._verify),
    ("POST", f"{_API}/commit/([^/]+)", _H._commit),
    ("GET", f"{_API}/refs", _H._refs),
    ("GET", f"{_API}/commits/([^/]+)", _H._commits),
    ("POST", f"{_API}/tag/([^/]+)", _H._tag),
    ("PUT", f"{_API}/settings", _H._settings),
    ("GET", f"{_API}/discussions", _H._discussions),
    ("POST", f"{_API}/discussions/([0-9]+)/status", _H._status),
    ("GET", f"{_API}/tree/([^/]+)", _H._tree),
    ("GET", f"{_API}/tree/([^/]+)/(.+)", _H._tree),
    ("POST", f"{_API}/paths-info/([^/]+)", _H._paths_info),
    ("GET", f"/datasets/{_ID}/resolve/([^/]+)/(.+)", _H._resolve),
    ("GET", f"/api/models/{_ID}/tree/([^/]+)(?:/.*)?", _H._tree),
    ("GET", f"/{_ID}/resolve/([^/]+)/(.+)", _H._resolve),
]
