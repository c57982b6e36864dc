"""A server on this machine: by which names it is asked for, and how it ends."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

import uvicorn
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp

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

    Args:
        app: The application.
        host: Address to listen at. At one of this machine alone only requests to this machine's names are answered:
            a page of a stranger's site, whose name was made to lead here, asks for its own.
        port: Port to listen at.
        settings: Others of ``uvicorn.run``.
    """
    if host in _LOCAL_NAMES:
        app = TrustedHostMiddleware(app, allowed_hosts=list(_LOCAL_NAMES))
    logging.getLogger("uvicorn.error").addFilter(_OnlyFaults())
    uvicorn.run(
        app,
        host=host,
        port=port,
        timeout_graceful_shutdown=STOP_SECONDS,
        log_level="warning",
        access_log=False,
        **settings,
    )
