"""``studio up`` beside a server that runs, or that does not answer: no running server is ever stopped by it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from studio_server import Typed, taken

from figureground.annotate.studio.backend_daemon import stop_backend
from figureground.annotate.studio.daemons import free_port
from figureground.annotate.studio.home import StudioHome
from figureground.annotate.studio.server import server_status
from figureground.schemas.store.workspace import Workspace


@pytest.mark.timeout(600)
def test_a_running_server_is_left_alone_whatever_is_wrong(own_root: Path, typed: Typed) -> None:
    home = StudioHome.of(own_root)
    stop_backend(home)
    assert typed("studio", "up", "--no-sam")[0] == 0
    pid, url = server_status(home).pid, server_status(home).url
    assert typed("studio", "up", "--no-sam")[1] == typed("studio", "up", "--no-sam")[1] == {
        "url": url, "username": "maintainer@figureground.local", "backend": None
    }  # fmt: skip

    code, _, talk = typed("studio", "up", "--no-sam", "--port", "1999")
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
        code, _, talk = typed("studio", "up", "--no-sam")
        assert code in (1, 2)
        assert words in talk
        assert "connection.json" in talk
        assert token not in talk
        secrets.write_text(whole)
        assert server_status(home).pid == pid
    secrets.unlink()
    code, _, talk = typed("studio", "up", "--no-sam")
    assert code == 2
    assert "secrets are lost" in talk
    secrets.write_text(whole)

    (home.root / "server.json").unlink()  # the note of the process
    assert typed("studio", "up", "--no-sam")[0] == 0
    assert server_status(home).pid == pid
    (home.root / "server.json").write_text("{")
    assert typed("studio", "down")[1] == {"server": "stopped"}
    assert server_status(home).state == "stopped"

    with taken(url):
        code, moved, talk = typed("studio", "up", "--no-sam")
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
