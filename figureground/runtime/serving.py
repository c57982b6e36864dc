"""A server on this machine: by which names it is asked for, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import socket
from dataclasses import dataclass, field
from typing import Any, Final

import uvicorn
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp

from figureground.errors import UsageError
from figureground.runtime.servers import MOST_CONNECTIONS, Impatient
from figureground.runtime.signals import serving

STOP_SECONDS: Final = 5
"""That running requests are waited for when the server is asked to stop."""
_LOCAL_NAMES: Final = ("127.0.0.1", "localhost")


class _OnlyFaults(logging.Filter):
    """Lets through what is a fault: requests whose client left, or that were cut off at the end, are none."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is written."""
        kind = record.exc_info[0] if record.exc_info else None
        return kind is None or not issubclass(kind, (asyncio.CancelledError, ClientDisconnect))


def serve(app: ASGIApp, *, host: str, port: int, **settings: Any) -> None:  # noqa: ANN401  uvicorn's own
    """Serve an application until it is asked to stop; requests that run then have a few seconds.

    Needs the extra ``backend``, as all of this module does.

    Args:
        app: The application.
        host: Address to listen at. At one of this machine alone only requests to this machine's names are answered:
            a page of a stranger's site, whose name was made to lead here, asks for its own.
        port: Port to listen at.
        settings: Others of ``uvicorn.run``.
    """
    with serving():
        uvicorn.run(_guarded(app, host), host=host, port=port, **_settings(), **settings)


@dataclass(slots=True)
class LocalServer:
    """A server of this machine alone, which listens before it serves: an address that is told works at once."""

    app: ASGIApp
    listening: socket.socket
    _server: uvicorn.Server = field(init=False, repr=False)

    def __post_init__(self) -> None:
        host, port = self.address
        app = _guarded(self.app, host)
        config = uvicorn.Config(
            app, host=host, port=port, http=Impatient, limit_concurrency=MOST_CONNECTIONS, **_settings()
        )
        self._server = uvicorn.Server(config)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, port = self.listening.getsockname()[:2]
        return str(host), int(port)

    def run(self) -> None:
        """Serve until asked to stop."""
        try:
            with serving():
                self._server.run(sockets=[self.listening])
        finally:
            self.listening.close()

    def stop(self) -> None:
        """Let ``run``, in another thread, come to its end."""
        self._server.should_exit = True


def listen_locally(port: int = 0) -> socket.socket:
    """A socket that listens on loopback.

    Args:
        port: Port, or 0 for any that is free.

    Raises:
        UsageError: if another program has the port, or it may not be used.
    """
    try:
        return socket.create_server((_LOCAL_NAMES[0], port))
    except OSError as error:
        raise UsageError(
            f"port {port}: cannot listen ({error.strerror}); leave --port out to take a free one"
        ) from error


def _guarded(app: ASGIApp, host: str) -> ASGIApp:
    """The application; of this machine alone, for requests to this machine's names."""
    return TrustedHostMiddleware(app, allowed_hosts=list(_LOCAL_NAMES)) if host in _LOCAL_NAMES else app


def _settings() -> dict[str, Any]:
    """Of every server: what is logged are faults alone, never an address, which may hold a token."""
    logging.getLogger("uvicorn.error").addFilter(_OnlyFaults())
    return {"timeout_graceful_shutdown": STOP_SECONDS, "log_level": "warning", "access_log": False}
