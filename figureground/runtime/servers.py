"""Limits of a server of ours: what is too large, too many or too slow is refused before it is held.

Needs the extra ``backend``.
"""

from __future__ import annotations

import asyncio
from typing import Final

import h11
from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_BODY_BYTES: Final = 8 << 20
"""Of one request; Label Studio sends the task with its masks along."""
PATIENCE_SECONDS: Final = 30.0
"""Time between two pieces of a request's body, and from a connection to the end of its first request's head."""
_CLOSE: Final = {"Connection": "close"}
MOST_CONNECTIONS: Final = 512
"""At once; further ones are answered 503."""


class BoundedBodies:
    """Refuses requests whose body is larger than any of Label Studio's, or comes too slowly, before it is held."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        size, whole = 0, scope["type"] != "http"

        async def bounded() -> Message:
            nonlocal size, whole
            if whole:
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), PATIENCE_SECONDS)
            except TimeoutError as error:
                raise HTTPException(408, "the request's body does not come", _CLOSE) from error
            size, whole = size + len(message.get("body", b"")), not message.get("more_body", False)
            if size > MOST_BODY_BYTES:
                raise HTTPException(413, f"a body of more than {MOST_BODY_BYTES} bytes", _CLOSE)
            return message

        await self._app(scope, bounded, send)


class Impatient(H11Protocol):
    """A connection that is closed where the head of a request does not come."""

    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._patience = self.loop.call_later(PATIENCE_SECONDS, transport.close)

    def data_received(self, data: bytes) -> None:
        """Take a piece of a request, and wait no longer where its head is complete."""
        super().data_received(data)
        waiting = self.conn.their_state is h11.IDLE
        if self._patience is not None and not waiting:
            self._patience.cancel()
            self._patience = None
        elif self._patience is None and waiting:
            self._patience = self.loop.call_later(PATIENCE_SECONDS, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop to wait."""
        if self._patience is not None:
            self._patience.cancel()
        super().connection_lost(exc)
