"""The whole path with planted tokens, through real servers that also fail and repeat them."""

from __future__ import annotations

import base64
import json
import os
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final
from urllib.parse import quote

import httpx
import numpy as np
import platformdirs
import pytest
from colour_dataset import HEAD, PLAIN, write_onnx
from drawn_release import draw_photo
from hub_double import SIGNATURE, HubDouble
from PIL import Image
from plain_dataset import write_recipe
from studio_lead import answer, tasks_of
from studio_server import DATABASE, copy_database, shared_server

from figureground.annotate.studio.client import StudioClient
from figureground.annotate.studio.daemons import free_port
from figureground.annotate.studio.home import Connection, StudioHome
from figureground.annotate.studio.tasks import mask_region
from figureground.schemas.store.workspace import DATABASE_NAME

CANARIES: Final[dict[str, str]] = {
    "HF_TOKEN": "hf_CanaryOfTheHub/+0123456789abcdef",
    "LABEL_STUDIO_API_KEY": "ca11ab1e0123456789abcdef0123456789abcdef",
    "FIGUREGROUND_BACKEND_PASSWORD": "canary of the: interactive/SAM+?",
    "AWS_SECRET_ACCESS_KEY": "canary/of+the/store/0123456789abcdef0123",
}
"""Variables that hold a secret, with what they hold here."""
TYPED: Final = "canary0of0an0address"
"""A secret that somebody types, in an address."""
SEEN: Final = ("connection.json", "accounts.json", "label_studio.sqlite3", "label_studio.sqlite3-wal")
"""Files that are meant to hold secrets (SECURITY.md)."""


class Echo(BaseHTTPRequestHandler):
    """A server that refuses and repeats what it was sent, as it is, in base64 and in an address."""

    status = 401

    def do_GET(self) -> None:
        sent = self.headers["Authorization"] or ""
        token = sent.rpartition(" ")[2]
        detail = f"{sent} {base64.b64encode(sent.encode()).decode()} {quote(token, safe='')} "
        data = json.dumps({"detail": detail.ljust(275, "x") + token}).encode()  # 300 characters are shown
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_POST = do_PATCH = do_DELETE = do_GET

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def echo() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@dataclass
class Person:
    """Somebody who types commands, in a HOME and a folder for temporary files of their own."""

    root: Path
    environment: dict[str, str]
    printed: list[str] = field(default_factory=list)

    def types(self, *words: object, code: int = 0, **more: str) -> str:
        command = [sys.executable, "-P", "-m", "figureground", *map(str, words)]
        done = subprocess.run(
            command, cwd=self.root, env={**self.environment, **more}, capture_output=True, text=True, check=False
        )
        self.printed += [done.stdout, done.stderr]
        assert done.returncode == code, (words, done.stdout, done.stderr)
        return done.stdout + done.stderr


@dataclass
class Watcher:
    """Looks at the command lines of all processes."""

    seen: set[bytes] = field(default_factory=set)

    def look(self) -> None:
        for process in Path("/proc").glob("[0-9]*"):
            for name in ("cmdline", "comm"):
                try:
                    self.seen.add((process / name).read_bytes())
                except OSError:  # it ended
                    continue

    @contextmanager
    def watching(self) -> Iterator[None]:
        over = threading.Event()

        def watch() -> None:
            while not over.wait(0.2):
                self.look()

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def forms(secret: str) -> set[bytes]:
    """A secret in the forms in which it may lie somewhere."""
    data = secret.encode()
    spelled = {data, quote(secret, safe="").encode(), json.dumps(secret)[1:-1].encode(), data.hex().encode()}
    for before in range(3):
        coded = base64.b64encode(b"-" * before + data + b"-" * 3)
        whole = coded[before + (before > 0) : (before + len(data)) * 8 // 6]
        spelled |= {whole, whole.translate(bytes.maketrans(b"+/", b"-_"))}
    return spelled


def holders(root: Path, wanted: Mapping[str, set[bytes]]) -> dict[str, set[str]]:
    """Files below a folder that hold a secret, or whose path does: path to the names of secrets."""
    held: dict[str, set[str]] = {}
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            content = os.fsencode(path) + (path.read_bytes() if path.is_file() and not path.is_symlink() else b"")
            known = {secret for secret, spelled in wanted.items() if any(form in content for form in spelled)}
            if known:
                held[path.relative_to(root).as_posix()] = known
    return held


@pytest.fixture
def person(tmp_path: Path) -> Person:
    home, cache = tmp_path / "home", tmp_path / "home" / "cache" / "figureground"
    cache.mkdir(parents=True)
    for path in Path(platformdirs.user_cache_dir("figureground")).iterdir():  # Label Studio itself, and weights
        (cache / path.name).symlink_to(path)
    (tmp_path / "tmp").mkdir()
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING", "FIGUREG"))
    }
    own = {"HOME": str(home), "TMPDIR": str(tmp_path / "tmp"), "XDG_CACHE_HOME": str(home / "cache")}
    return Person(tmp_path, {**inherited, **own, **CANARIES, "USE_TORCH": "0", "USE_TF": "0"})


def draw(root: Path) -> None:
    for number, kind in enumerate(("disc", "ring", "bar")):
        for index in range(2):
            (root / "photos" / kind).mkdir(parents=True, exist_ok=True)
            photo, _ = draw_photo(kind, 100 * number + index)
            Image.fromarray(photo).save(root / "photos" / kind / f"{kind}{index}.png")
    write_recipe(root, {})
    write_onnx(root / "model.onnx", HEAD, settings=PLAIN)


def own_studio(work: Path) -> Connection:
    """The studio of a workspace whose server is to start on the run's empty database, with its secrets."""
    root, connection = shared_server()
    home = StudioHome.of(work)
    own = replace(connection, url=f"http://127.0.0.1:{free_port()}", server="0" * 16, key="0" * 16)
    home.save_connection(own)
    home.data.mkdir(parents=True)
    copy_database(root / DATABASE, home.data / DATABASE)
    return own


def answer_all(connection: Connection, work: Path) -> None:
    client = StudioClient(connection)
    with closing(sqlite3.connect(work / DATABASE_NAME)) as database:
        projects = [row[0] for row in database.execute("SELECT project FROM studio_projects")]
        sizes = {
            name: (height, width)
            for name, height, width in database.execute("SELECT image_id, height, width FROM images")
        }
    for project in projects:
        for task in tasks_of(client, project):
            mask = np.zeros(sizes[task["data"]["image_id"]], dtype=np.bool_)
            mask[60:140, 60:140] = True
            answer(client, task, [mask_region(mask, region_id="r", label="object")])


def fails_beside_the_studio(person: Person, work: Path) -> None:
    """Calls of a server that refuses, or falls, and repeats the token each time."""
    with echo() as url:
        other = person.root / "other"
        person.types("index", person.root / "photos", "-w", other, "--workers", "1")
        for Echo.status, code in ((401, 2), (500, 3)):
            assert "***" in person.types("studio", "up", "-w", other, "--url", url, code=code)
        StudioHome.of(other).save_connection(
            Connection(url=url, token=CANARIES["LABEL_STUDIO_API_KEY"], server=url, key="k")
        )
        for verb in ("push", "pull"):
            for Echo.status, code in ((401, 2), (400, 3)):
                assert "***" in person.types("studio", verb, "-w", other, code=code)
    own = StudioHome.of(work).require_connection()
    assert "refused the token" in person.types("studio", "up", "-w", other, "--url", own.url, code=2)


def asks_the_backend(person: Person, work: Path) -> None:
    """An interactive SAM behind a login, asked with the right password and a wrong one."""
    port = free_port()
    command = [sys.executable, "-P", "-m", "figureground", "studio", "backend", "-w", str(work)]
    with subprocess.Popen(
        [*command, "--login", "studio", "--port", str(port)],
        env=person.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        address, password = f"http://127.0.0.1:{port}", CANARIES["FIGUREGROUND_BACKEND_PASSWORD"]
        try:
            answers = list[httpx.Response]()
            deadline = time.monotonic() + 100
            while not answers and time.monotonic() < deadline and process.poll() is None:
                time.sleep(0.3)
                try:
                    for login in (("studio", password), ("studio", f"{password}!"), (password, "x")):
                        answers.append(httpx.get(f"{address}/health", auth=login))
                        answers.append(httpx.post(f"{address}/predict", auth=login, content=password))
                except httpx.TransportError:
                    continue
        finally:
            process.terminate()
        person.printed += [process.communicate()[0], *(given.text for given in answers)]
    assert {given.status_code for given in answers} >= {401}
    assert answers[0].status_code == 200


def fails_beside_the_hub(person: Person, hub: HubDouble) -> None:
    """Calls of a Hub that refuses and repeats the token."""
    token = CANARIES["HF_TOKEN"]
    message = f"Bearer {token} {base64.b64encode(token.encode()).decode()} {quote(token, safe='')}"
    for method, path, words, code in (
        (
            "GET",
            "/api/datasets/owner/made",
            ["evaluate", "owner/made", "--revision", "v1", "--model", "onnx:model.onnx"],
            2,
        ),
        ("POST", "/api/repos/create", ["publish", "out", "--repo-id", "owner/other", "--workers", "1"], 2),
        ("GET", "/api/datasets/owner/made", ["index", "hf://datasets/owner/made", "-w", "other"], 3),
    ):
        trouble = hub.fail(method, path, 403, times=99, headers={"X-Error-Message": message})
        person.types(*words, code=code, HF_HUB_CACHE=str(person.root / "hub"))  # a full one would do without the Hub
        trouble.times = 0


SCORED = ["owner/made", "--revision", "v1", "--model", "onnx:model.onnx", "--bootstrap", "20", "--configs", "original"]


def test_after_the_whole_path_secrets_lie_in_their_own_files_alone(person: Person, tmp_path: Path) -> None:
    draw(tmp_path)
    work, watcher = tmp_path / "work", Watcher()
    with HubDouble() as hub, watcher.watching():
        hub.users = {CANARIES["HF_TOKEN"]: "owner"}
        person.environment |= {
            name: value
            for name, value in hub.client_environment(tmp_path / "home" / "hf", None).items()
            if name.startswith(("HF_", "NO_"))
        } | {"HF_TOKEN": CANARIES["HF_TOKEN"]}
        person.types("index", tmp_path / "photos", "-w", work, "--licence", "CC0-1.0", "--workers", "1")
        with closing(sqlite3.connect(work / DATABASE_NAME)) as database, database:
            database.execute("UPDATE images SET boxes = '[[40, 40, 160, 160]]'")  # what GrabCut begins from
        person.types("propose", "-w", work, "--segmenter", "grabcut", "--prompt", "box")
        own_studio(work)
        try:
            person.types("studio", "up", "-w", work, "--no-sam")
            person.types("studio", "push", "-w", work, "--annotator", "ada", "--json")
            answer_all(StudioHome.of(work).require_connection(), work)
            fails_beside_the_studio(person, work)
            person.types("studio", "pull", "-w", work)
            person.types("studio", "status", "-w", work, "--json")
        finally:
            person.types("studio", "down", "-w", work)
        asks_the_backend(person, work)
        person.types("freeze", "-w", work, "--version", "v1")
        person.types("build", tmp_path / "plain.yaml", "-w", work, "-o", "out", "--workers", "1")
        person.types("publish", "out", "--repo-id", "owner/made", "--workers", "1")
        person.types("evaluate", *SCORED, "--out", "results")
        assert TYPED not in person.types("index", f"s3://key:{TYPED}@bucket/x", "-w", "other", code=2)
        fails_beside_the_hub(person, hub)
    connection = StudioHome.of(work).require_connection()
    passwords = json.loads((work / "studio" / "accounts.json").read_text())
    secrets = {**CANARIES, "token": connection.token, "password": connection.password, **passwords, "signed": SIGNATURE}
    wanted = {name: forms(secret) for name, secret in secrets.items()}
    held = holders(tmp_path, wanted)
    meant = {path: names for path, names in held.items() if Path(path).name in SEEN and "studio" in path}
    assert held == meant
    assert {path for path in meant if path.startswith("work/")} >= {
        "work/studio/connection.json",
        "work/studio/accounts.json",
    }
    assert {stat.S_IMODE((tmp_path / path).stat().st_mode) for path in meant} == {0o600}
    listed = b"\n".join(watcher.seen)
    texts = "\n".join(person.printed).encode()
    assert b"figureground\0publish" in listed
    assert b"***" in texts
    for name, spelled in wanted.items():
        assert not any(form in listed for form in spelled), name
        assert not any(form in texts for form in spelled), name
