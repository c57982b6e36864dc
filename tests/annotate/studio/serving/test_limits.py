"""The interactive SAM's server: bodies that are too large, requests that never come, names of others, Ctrl-C."""

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
from figureground.annotate.studio.serving import limits
from figureground.cli import app as program

limits.REQUEST_SECONDS, limits._STOP_SECONDS = 1.0, 1
app = FastAPI()

@app.post("/length")
async def length(request: Request) -> dict[str, int]:
    return {"length": len(await request.body())}

@app.get("/slow")
def slow() -> None:
    print("asked", flush=True)
    time.sleep(60)

program.app = lambda **_: limits.serve(app, host="127.0.0.1", port=int(sys.argv[1]))
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


def test_bodies_requests_and_names_have_limits(server: tuple[subprocess.Popen[str], int]) -> None:
    process, port = server
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as http:
        assert http.post("/length", content=b"x" * (4 << 20)).json() == {"length": 4 << 20}
        assert http.post("/length", content=b"x" * ((4 << 20) + 1)).status_code == 413
        pieces = (b"x" * (1 << 20) for _ in range(6))
        assert http.post("/length", content=pieces).status_code == 413
        assert http.post("/length", headers={"Host": "evil.example"}).status_code == 400
        assert http.post("/length", headers={"Host": f"localhost:{port}"}).status_code == 200
    for beginning in (b"", b"POST /length HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\nhalf"):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as half:
            half.sendall(beginning)
            began = time.monotonic()
            assert half.recv(1000)[:12] in (b"", b"HTTP/1.1 400")  # closed, and not by us
            assert time.monotonic() - began < 15
    assert process.poll() is None


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
        _, said = process.communicate(timeout=20)
    assert process.returncode == 128 + getattr(signal, name)
    assert f"stopped by {name}" in said
    assert "Traceback" not in said
