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
from figureground.cli.app import main
from figureground.schemas.sources.opening import open_source
from figureground.schemas.store.workspace import Workspace

PHOTOS = 120
"""Two batches and a part of one, so that a push can be interrupted between any two."""
ANSWERED = 30
"""Of all pages of tasks."""
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


@pytest.fixture
def finish(root: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[str], tuple[int, str]]:
    """Runs a command that nobody interrupts, in this process; gives its exit code and what it says of errors."""

    def run_to_the_end(verb: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as stop:
            main(["studio", verb, "-w", str(root), "--json"])
        assert isinstance(stop.value.code, int)
        return stop.value.code, capsys.readouterr().err

    return run_to_the_end


def start(root: Path, verb: str) -> subprocess.Popen[str]:
    """Start a command that is to be interrupted, as a program of its own."""
    command = [sys.executable, "-P", "-m", "figureground", "studio", verb, "-w", str(root), "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, output = process.communicate(timeout=PATIENCE)
    return process.returncode, output


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait until the command is in the middle of it."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, f"the command ended before it could be interrupted: {process.communicate()}"
        assert time.monotonic() < deadline
        time.sleep(0.01)


def server_process(root: Path) -> int:
    """Asked for before the command starts: asking takes as long as a batch."""
    pid = server_status(StudioHome.of(root)).pid
    assert pid is not None
    return pid


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
def test_interrupted_pushes_and_pulls(root: Path, finish: Callable[[str], tuple[int, str]]) -> None:
    home = StudioHome.of(root)

    server = server_process(root)
    pushing = start(root, "push")
    wait_for(lambda: count(root, "studio_tasks") > 0, pushing)
    os.killpg(server, signal.SIGKILL)
    code, output = end(pushing)
    assert code == 3, output
    assert "run again" in output
    assert 0 < count(root, "studio_tasks") < PHOTOS
    code, output = finish("push")
    assert code == 2
    assert "studio up" in output

    start_server(home)
    before = count(root, "studio_tasks")
    pushing = start(root, "push")
    wait_for(lambda: count(root, "studio_tasks") > before, pushing)
    pushing.send_signal(signal.SIGKILL)
    end(pushing)
    code, output = finish("push")
    assert code == 0, output[-2000:]
    shown = Counter(image_id for image_id, _ in tasks_on(root))
    assert len(shown) == PHOTOS
    assert set(shown.values()) == {1}

    answer_some(root)
    server = server_process(root)
    pulling = start(root, "pull")
    wait_for(lambda: count(root, "annotations") > 0, pulling)
    os.killpg(server, signal.SIGKILL)
    code, output = end(pulling)
    assert code == 3, output
    assert 0 < count(root, "annotations") < ANSWERED
    start_server(home)
    code, output = finish("pull")
    assert code == 0, output[-2000:]
    assert count(root, "annotations") == ANSWERED
    assert count(root, "decisions") == ANSWERED
    code, _ = finish("pull")
    assert (code, count(root, "annotations"), count(root, "decisions")) == (0, ANSWERED, ANSWERED)
