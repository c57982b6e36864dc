"""`figureground view` as it is typed: it says where the page is, serves until it is stopped, names what is wrong."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from output_schemas import read_printed
from shared_cases import run_here
from viewed_dataset import Viewed, make_viewed

import figureground


@pytest.fixture(scope="module")
def viewed(tmp_path_factory: pytest.TempPathFactory) -> Viewed:
    return make_viewed(tmp_path_factory.getbasetemp())


def test_it_serves_until_it_is_stopped(viewed: Viewed) -> None:
    words = ["view", viewed.dataset, "--results", viewed.scores, "-w", viewed.workspace, "--json"]
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "figureground", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        about = read_printed("view", process.stdout.readline())
        names = ("rows", "photos", "pixels", "configs", "splits", "models", "workspace")
        assert {name: about[name] for name in names} == {
            "rows": 36,
            "photos": 12,
            "pixels": True,
            "configs": ["original", "mixed", "striped"],
            "splits": ["test"],
            "models": ["sees colours"],
            "workspace": "workspace",
        }
        assert about["token"] in about["url"]
        assert httpx.get(about["url"]).status_code == 200
        assert httpx.get(f"{about['url']}rows", params={"config": "mixed"}).json()["total"] == 12
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130
    assert stderr.endswith("stopped by SIGINT\n")
    assert about["token"] not in stderr


def test_what_is_wrong_is_named(viewed: Viewed, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, _, error = run_here(capsys, "view", viewed.release, "--port", port)
        assert (code, f"port {port}: cannot listen" in error) == (2, True)
    for words, message in (
        ([tmp_path], "has no manifest.json"),
        ([viewed.release, "-w", tmp_path], "holds no workspace"),
        ([viewed.release, "--results", viewed.scores], "answers are to another dataset"),
        (["me/toy"], "needs --revision"),
    ):
        code, out, error = run_here(capsys, "view", *words)
        assert (code, out, message in " ".join(error.split())) == (2, "", True), error


def test_the_door_has_it_as_a_context(viewed: Viewed) -> None:
    with figureground.view(str(viewed.dataset), results=str(viewed.scores)) as shown:
        url = shown.url
        assert httpx.get(f"{url}rows", params={"model": 0, "outcome": "right"}).json()["total"] > 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)
