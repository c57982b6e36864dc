"""Limits of a server on this machine: sizes and times of requests, and by which names it is asked for.

A page in a browser on the same machine, or a program gone wild, must not take its memory or hold it for ever.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import h11
import uvicorn
from fastapi import HTTPException
from fastapi.responses import JSONResponse
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_BODY_BYTES: Final = 4 << 20
"""Of one request: 256 prompts and a task with all its data are under a megabyte."""
_TOO_LARGE: Final = f"a body has at most {MOST_BODY_BYTES >> 20} MB"
REQUEST_SECONDS: Final = 30.0
"""In which a request must have come; afterwards its connection is closed."""
_STOP_SECONDS: Final = 5
"""That running requests are waited for when the server is asked to stop."""
_LOCAL_NAMES: Final = ("127.0.0.1", "localhost")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class LimitedBodies:
    """An application whose requests have bodies of ``MOST_BODY_BYTES`` at most; others are answered 413, unread."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        length = dict(scope.get("headers", ())).get(b"content-length", b"0")
        if not length.isdigit() or int(length[:20]) > MOST_BODY_BYTES:
            too_large = JSONResponse({"detail": _TOO_LARGE}, 413, {"Connection": "close"})
            await too_large(scope, receive, send)
            return
        read = 0

        async def receive_some() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > MOST_BODY_BYTES:  # it came without its length
                raise HTTPException(413, _TOO_LARGE, {"Connection": "close"})
            return message

        await self._app(scope, receive_some, send)


class PunctualProtocol(H11Protocol):
    """HTTP of connections that are closed when a request does not come to its end in time."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._deadline = self.loop.call_later(REQUEST_SECONDS, transport.close)

    def data_received(self, data: bytes) -> None:
        """Take a part of a request; while it is not whole, the time runs."""
        super().data_received(data)
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._stop_waiting()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(REQUEST_SECONDS, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class _OnlyFaults(logging.Filter):
    """Lets through what is a fault: requests whose client left, or that were cut off at the end, are none."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is written."""
        kind = record.exc_info[0] if record.exc_info else None
        return kind is None or not issubclass(kind, (asyncio.CancelledError, ClientDisconnect))


def serve(app: App, *, host: str, port: int) -> None:
    """Serve an application until it is asked to stop; requests that run then have a few seconds.

    Args:
        app: The application.
        host: Address to listen at. At one of this machine alone only requests to this machine's names are answered:
            a page of a stranger's site, whose name was made to lead here, asks for its own.
        port: Port to listen at.
    """
    guarded: App = LimitedBodies(app)
    if host in _LOCAL_NAMES:
        guarded = TrustedHostMiddleware(guarded, allowed_hosts=list(_LOCAL_NAMES))
    logging.getLogger("uvicorn.error").addFilter(_OnlyFaults())
    uvicorn.run(
        guarded,
        host=host,
        port=port,
        http=PunctualProtocol,
        timeout_graceful_shutdown=_STOP_SECONDS,
        log_level="warning",
        access_log=False,
    )
