"""A server that dies, and commands that are killed, in mid-push and mid-pull: nothing is doubled, nothing lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from studio_server import add_block_proposals, drawn_photos, need_server, start_own_server

from figureground.annotate.catalogue import index_source
from figureground.annotate.studio.client import StudioClient
from figureground.annotate.studio.home import StudioHome
from figureground.annotate.studio.server import server_status, start_server, stop_server
from figureground.annotate.studio.tasks import mask_region
from figureground.schemas.sources.opening import open_source
from figureground.schemas.store.workspace import Workspace

PHOTOS = 240
ANSWERED = 60
PATIENCE = 120.0


@pytest.fixture
def root(tmp_path: Path) -> Any:
    """A workspace with a server of its own, which may be killed."""
    need_server()
    folder = tmp_path / "work"
    with Workspace.create(folder) as store:
        index_source(store, open_source(str(drawn_photos(tmp_path / "photos", PHOTOS))), workers=1)
        add_block_proposals(store)
    home = StudioHome.of(folder)
    start_own_server(home)
    try:
        yield folder
    finally:
        stop_server(home)


def run(root: Path, verb: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-m", "figureground", "studio", verb, "-w", str(root), "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, output = process.communicate(timeout=PATIENCE)
    return process.returncode, output


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait until the command is in the middle of it."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, f"the command ended before it could be interrupted: {process.communicate()}"
        assert time.monotonic() < deadline
        time.sleep(0.01)


def kill_server(root: Path) -> None:
    pid = server_status(StudioHome.of(root)).pid
    assert pid is not None
    os.killpg(pid, signal.SIGKILL)


def count(root: Path, table: str) -> int:
    with Workspace.open(root) as store:
        return int(store._db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def tasks_on(root: Path) -> list[tuple[str, int]]:
    home = StudioHome.of(root)
    client = StudioClient(home.require_connection())
    with Workspace.open(root) as store:
        (project,) = store.studio_projects(client.connection.server)
    return client.task_images(project)


def answer_some(root: Path) -> None:
    client = StudioClient(StudioHome.of(root).require_connection())
    mask = np.eye(48, 64, dtype=np.bool_)
    for _, task in sorted(tasks_on(root))[:ANSWERED]:
        result = [mask_region(mask, region_id="painted", label="object")]
        client._request("POST", f"/api/tasks/{task}/annotations/", json={"result": result, "lead_time": 1.0})


@pytest.mark.timeout(1200)
def test_interrupted_pushes_and_pulls(root: Path) -> None:
    home = StudioHome.of(root)

    pushing = run(root, "push")
    wait_for(lambda: count(root, "studio_tasks") > 0, pushing)
    kill_server(root)
    code, output = finish(pushing)
    assert code == 3, output
    assert "run again" in output
    assert 0 < count(root, "studio_tasks") < PHOTOS
    code, output = finish(run(root, "push"))
    assert code == 2
    assert "studio up" in output

    start_server(home)
    before = count(root, "studio_tasks")
    pushing = run(root, "push")
    wait_for(lambda: count(root, "studio_tasks") > before, pushing)
    pushing.send_signal(signal.SIGKILL)
    finish(pushing)
    code, output = finish(run(root, "push"))
    assert code == 0, output[-2000:]
    shown = Counter(image_id for image_id, _ in tasks_on(root))
    assert len(shown) == PHOTOS
    assert set(shown.values()) == {1}

    answer_some(root)
    pulling = run(root, "pull")
    wait_for(lambda: count(root, "annotations") > 0, pulling)
    kill_server(root)
    code, output = finish(pulling)
    assert code == 3, output
    start_server(home)
    code, output = finish(run(root, "pull"))
    assert code == 0, output[-2000:]
    assert count(root, "annotations") == ANSWERED
    assert count(root, "decisions") == ANSWERED
    code, _ = finish(run(root, "pull"))
    assert (code, count(root, "annotations"), count(root, "decisions")) == (0, ANSWERED, ANSWERED)
