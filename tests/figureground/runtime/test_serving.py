"""Servers of this machine, as the interactive SAM's: names of others, and Ctrl-C while requests run or never come."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from figureground.annotate.studio.daemons import free_port

pytest.importorskip("fastapi")
pytestmark = pytest.mark.slow

PROGRAM = """
import sys, time
from fastapi import FastAPI, Request
from figureground.runtime import serving
from figureground.cli import app as program

serving.STOP_SECONDS = 1
app = FastAPI()

@app.post("/length")
async def length(request: Request) -> dict[str, int]:
    return {"length": len(await request.body())}

@app.get("/slow")
def slow() -> None:
    print("asked", flush=True)
    time.sleep(60)

program.app = lambda **_: serving.serve(app, host="127.0.0.1", port=int(sys.argv[1]))
program.main()
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The limits around an application that counts, ended as the command ends."""
    (tmp_path / "program.py").write_text(PROGRAM)
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-P", str(tmp_path / "program.py"), str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    yield process, port
    process.kill()
    process.communicate()


def test_other_names_of_the_host_are_refused(server: tuple[subprocess.Popen[str], int]) -> None:
    """A page of a stranger's site, whose name was made to lead to this machine."""
    _, port = server
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as http:
        assert http.post("/length", content=b"abc").json() == {"length": 3}
        assert http.post("/length", headers={"Host": "evil.example"}).status_code == 400
        assert http.post("/length", headers={"Host": f"localhost:{port}"}).status_code == 200


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_it_ends_though_requests_run_and_others_never_come(
    name: str, server: tuple[subprocess.Popen[str], int]
) -> None:
    process, port = server
    with socket.create_connection(("127.0.0.1", port)) as half, socket.create_connection(("127.0.0.1", port)) as asked:
        half.sendall(b"POST /length HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\nhal")
        asked.sendall(b"GET /slow HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert process.stdout is not None
        assert process.stdout.readline() == "asked\n"
        process.send_signal(getattr(signal, name))
        _, stderr = process.communicate(timeout=20)
    assert process.returncode == 128 + getattr(signal, name)
    assert f"stopped by {name}" in stderr
    assert "Traceback" not in stderr
