"""Servers that are not what they should be, and clients that ask too much: Label Studio's side and our own."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from figureground.annotate.studio.client import StudioClient
from figureground.annotate.studio.home import Connection
from figureground.errors import FigureGroundError, ServiceError, UsageError

pytest.importorskip("label_studio_sdk")
httpx, uvicorn = (pytest.importorskip(library) for library in ("httpx", "uvicorn"))


class Strange(BaseHTTPRequestHandler):
    """Answers everything with the same."""

    answer: ClassVar[tuple[int, dict[str, str], bytes]]

    def _reply(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, headers, body = self.answer
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PATCH = do_DELETE = _reply

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def answering(status: int, body: bytes, **headers: str) -> Iterator[str]:
    """The address of a server that gives one answer."""
    handler = type("Handler", (Strange,), {"answer": (status, headers, body)})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


CALLS: dict[str, Callable[[StudioClient], Any]] = {
    "whoami": lambda client: client.whoami(),
    "users": lambda client: client.users(),
    "invitation": lambda client: client.invitation(),
    "version": lambda client: client.version(),
    "project": lambda client: client.project(1),
    "tasks": lambda client: list(client.changed_tasks(1, None)),
    "images": lambda client: client.task_images(1),
    "count": lambda client: client.count_tasks(1, "answered"),
    "import": lambda client: client.import_tasks(1, [{}]),
    "predictions": lambda client: client.show_predictions(1, "v"),
    "uploads": lambda client: client.uploaded(1),
    "backend": lambda client: client.connect_backend(1, "http://x"),
}
BODIES = (
    b"",
    b"{}",
    b"[]",
    b"null",
    b"3",
    b'"x"',
    b'[{"a": 1}]',
    b'{"tasks": 5, "total": "x"}',
    b"<html>",
    b"[" * 2000,
)
HARMLESS = {"project", "users", "predictions", "uploads", "version", "images", "tasks"}
"""Calls that nothing at all, or an empty list, is an answer to."""


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body[:20].decode())
def test_a_server_that_answers_something_else_is_told(body: bytes) -> None:
    failures = 0
    with answering(200, body) as url:
        client = StudioClient(Connection(url=url, token="t" * 40, server="s", key="k"), patient=False)
        for name, call in CALLS.items():
            words = error_of(client, call)
            failures += words != ""
            assert words or name in HARMLESS, name
            assert not words or url in words
            assert len(words) < 400
    assert failures >= 5


def error_of(client: StudioClient, call: Callable[[StudioClient], Any]) -> str:
    """What a call says of the server; empty where it takes the answer."""
    try:
        call(client)
    except ServiceError as error:
        return str(error)
    return ""


def test_a_redirect_is_no_answer() -> None:
    with answering(302, b"", Location="http://192.0.2.1/login") as url:
        client = StudioClient(Connection(url=url, token="t" * 40, server="s", key="k"), patient=False)
        for call in (CALLS["whoami"], CALLS["tasks"]):
            with pytest.raises(ServiceError, match="answered 302"):
                call(client)


def test_an_expired_personal_token_is_refused_by_name() -> None:
    with answering(401, b'{"detail": "Token is expired"}') as url:
        client = StudioClient(Connection(url=url, token="a.b.c", server="s", key="k"))
        began = time.monotonic()
        with pytest.raises(UsageError, match=r"refused the token \(401\).*Token is expired"):
            client.whoami()
        assert time.monotonic() - began < 10  # not tried again
    with answering(200, b'{"other": 1}') as url, pytest.raises(FigureGroundError, match="is no Label Studio"):
        StudioClient(Connection(url=url, token="a.b.c", server="s", key="k"), patient=False).whoami()


# Our own server, of the interactive SAM


@contextmanager
def backend(folder: Path) -> Iterator[int]:
    from figureground.annotate.segmenters.interactive import InteractiveSam
    from figureground.annotate.studio.backend import create_app
    from figureground.runtime.servers import Impatient

    sam: Any = object.__new__(InteractiveSam)
    app = create_app(folder, sam, model_version="none")
    config = uvicorn.Config(app, port=0, http=Impatient, log_level="critical", access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.02)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(timeout=20)
        assert not thread.is_alive()


def test_requests_are_bounded_in_size_number_and_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from figureground.runtime import servers

    monkeypatch.setattr(servers, "PATIENCE_SECONDS", 1.0)
    monkeypatch.setattr(servers, "MOST_BODY_BYTES", 100_000)
    with backend(tmp_path) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as http:
        plain: dict[str, Any] = {"tasks": [{"data": {}}]}
        assert http.post("/predict", json=plain).json() == {"results": []}
        assert http.post("/predict", json={"tasks": [{"data": {}}] * 2000}).status_code == 422
        assert http.post("/predict", json={"tasks": [{"data": {"x": "y" * 200_000}}]}).status_code == 413
        assert http.post("/predict", content=iter([b"x" * 60_000] * 9)).status_code == 413  # of no length that is said
        begun = [socket.create_connection(("127.0.0.1", port)) for _ in range(60)]
        for number, half in enumerate(begun):  # heads and bodies that never end, and nothing at all
            head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 900\r\n"
            half.sendall((b"", b"POST /pre", head, head + b'\r\n{"tasks"')[number % 4])
            half.settimeout(10)
        assert http.post("/predict", json=plain).status_code == 200  # others are answered meanwhile
        for number, half in enumerate(begun):
            reply = b""
            while piece := half.recv(4096):
                reply += piece
            assert reply.startswith(b"HTTP/1.1 408") if number % 4 == 3 else not reply
            half.close()
        with socket.create_connection(("127.0.0.1", port)) as connection:  # the second request of a connection
            body = json.dumps(plain).encode()
            request = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "
            connection.sendall(request + str(len(body)).encode() + b"\r\n\r\n" + body)
            connection.settimeout(10)
            assert connection.recv(4096).startswith(b"HTTP/1.1 200")
            connection.sendall(b"POST /pre")
            while connection.recv(4096):
                pass
