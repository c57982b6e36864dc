"""Down and up again: the same addresses, SAM in every project, and no running server is ever stopped by ``up``."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from studio_server import add_block_proposals, drawn_photos, need_server, start_own_server

from figureground.annotate.catalogue import index_source
from figureground.annotate.studio.backend_daemon import stop_backend
from figureground.annotate.studio.client import StudioClient
from figureground.annotate.studio.daemons import free_port
from figureground.annotate.studio.home import StudioHome
from figureground.annotate.studio.queues.opened import Opened, ServerLog
from figureground.annotate.studio.queues.order import read_queues
from figureground.annotate.studio.server import server_status, stop_server
from figureground.schemas.sources.opening import open_source
from figureground.schemas.store.workspace import Workspace

Json = dict[str, Any]
SIZE_WH = 64, 48


def run(root: Path, *words: str) -> tuple[int, Json, str]:
    """Exit code, result and talk of ``figureground studio``."""
    command = [sys.executable, "-P", "-m", "figureground", "studio", *words, "-w", str(root), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    return done.returncode, json.loads(done.stdout or "{}"), done.stderr


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A workspace of four photos with a server of its own."""
    need_server()
    tmp_path = tmp_path_factory.mktemp("restart")
    folder = tmp_path / "work"
    with Workspace.create(folder) as store:
        index_source(store, open_source(str(drawn_photos(tmp_path / "photos", 4, size_wh=SIZE_WH))), workers=1)
        add_block_proposals(store)
    home = StudioHome.of(folder)
    start_own_server(home)
    try:
        yield folder
    finally:
        stop_backend(home)
        stop_server(home)


def click(client: StudioClient, project: int, task: int) -> Json:
    """A click of the smart tool in the middle of the photo, as the page sends it."""
    (backend,) = client._get("/api/ml/", {"project": project})
    prompt = {
        "type": "keypointlabels", "from_name": "sam_point", "to_name": "image", "is_positive": True,
        "original_width": SIZE_WH[0], "original_height": SIZE_WH[1],
        "value": {"x": 50.0, "y": 50.0, "width": 0.3, "keypointlabels": ["object"], "labels": ["object"]},
    }  # fmt: skip
    route = f"/api/ml/{backend['id']}/interactive-annotating"
    return dict(client._request("POST", route, json={"task": task, "context": {"result": [prompt]}}))


def first_tasks(client: StudioClient, projects: dict[str, int]) -> dict[int, int]:
    return {project: min(task for _, task in client.task_images(project)) for project in projects.values()}


@contextmanager
def taken(address: str) -> Iterator[None]:
    """Somebody else listens at an address."""
    with socket.socket() as port:
        port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        port.bind(("127.0.0.1", int(address.rsplit(":", 1)[1])))
        port.listen()
        yield


@pytest.mark.timeout(600)
def test_down_and_up_leave_the_address_and_sam_in_every_project(root: Path) -> None:
    home = StudioHome.of(root)
    code, before, _ = run(root, "up")
    assert code == 0
    _, pushed, _ = run(root, "push", "--annotator", "ada", "--annotator", "ben", "--overlap", "1.0")
    projects = dict(pushed["projects"])
    assert len(projects) == 2
    assert run(root, "down")[0] == 0
    assert server_status(home).state == "stopped"

    with taken(before["backend"]):
        code, after, _ = run(root, "up")
    assert (code, after["url"]) == (0, before["url"])
    assert after["backend"] != before["backend"]
    client = StudioClient(home.require_connection())
    log = ServerLog(home.server_log)
    for project in projects.values():
        # What a page asks for when somebody presses Label All Tasks.
        list(log.opened())
        task = client._request("POST", "/api/dm/actions", params={"id": "next_task", "project": project}, json={})
        assert client._http.get(task["data"]["image"]).status_code == 200
        assert list(log.opened()) == [Opened(project=project, image_id=task["data"]["image_id"])]
        assert read_queues(home.queues)[project].image_ids[0] == task["data"]["image_id"]
    for project, task in first_tasks(client, projects).items():
        answer = click(client, project, task)
        assert not answer.get("errors"), answer
        assert answer["data"]["result"][0]["value"]["brushlabels"] == ["object"]


@pytest.mark.timeout(600)
def test_a_running_server_is_left_alone_whatever_is_wrong(root: Path) -> None:
    home = StudioHome.of(root)
    stop_backend(home)
    assert run(root, "up", "--no-sam")[0] == 0
    pid, url = server_status(home).pid, server_status(home).url
    assert run(root, "up", "--no-sam")[1] == run(root, "up", "--no-sam")[1] == {
        "url": url, "username": "maintainer@figureground.local", "backend": None
    }  # fmt: skip

    code, _, talk = run(root, "up", "--no-sam", "--port", "1999")
    assert code == 2
    assert f"runs at {url}" in talk
    assert "figureground studio down" in talk

    secrets = home.root / "connection.json"
    whole = secrets.read_text()
    token = json.loads(whole)["token"]
    for damaged, words in (
        (whole.replace(token, "0" * 40), "refuses the token"),
        (whole[:40], "restore it from a copy"),
    ):
        secrets.write_text(damaged)
        code, _, talk = run(root, "up", "--no-sam")
        assert code in (1, 2)
        assert words in talk
        assert "connection.json" in talk
        assert token not in talk
        secrets.write_text(whole)
        assert server_status(home).pid == pid
    secrets.unlink()
    code, _, talk = run(root, "up", "--no-sam")
    assert code == 2
    assert "secrets are lost" in talk
    secrets.write_text(whole)

    (home.root / "server.json").unlink()  # the note of the process
    assert run(root, "up", "--no-sam")[0] == 0
    assert server_status(home).pid == pid
    (home.root / "server.json").write_text("{")
    assert run(root, "down")[1] == {"server": "stopped"}
    assert server_status(home).state == "stopped"

    with taken(url):
        code, moved, talk = run(root, "up", "--no-sam")
    assert code == 0
    assert moved["url"] != url
    assert "of last time is taken: Label Studio moves to" in talk


def test_a_server_that_does_not_answer_is_a_service_that_failed(tmp_path: Path) -> None:
    Workspace.create(tmp_path / "work").close()
    command = ["studio", "up", "--url", f"http://127.0.0.1:{free_port()}", "-w", str(tmp_path / "work")]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "figureground", *command],
        capture_output=True, text=True, check=False, env={**os.environ, "LABEL_STUDIO_API_KEY": "0" * 40},
    )  # fmt: skip
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1].startswith("error: ServiceError: http://127.0.0.1")
    assert "stamina" not in done.stderr
