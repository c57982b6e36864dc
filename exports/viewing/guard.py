"""Who may ask: whoever has the address with its token, from this page and no other."""

from __future__ import annotations

import secrets
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY: Final = (
    "default-src 'none'; img-src 'self'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content Security Policy: the page loads what this server sends, and nothing else."""
_HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_READING: Final = ("GET", "HEAD")


def new_token() -> str:
    """A token that nobody guesses: 192 random bits, in letters that an address may hold."""
    return secrets.token_urlsafe(24)


class Guard:
    """Answers only requests below ``/TOKEN/``, that no page of another origin sends.

    The token stays in the path. A cookie would be sent to every server of this machine, whoever's it is: browsers tell
    cookies of one host's ports not apart (RFC 6265, 8.5).
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        reason = self._refusal(scope)
        if reason:
            await PlainTextResponse(reason, 403)(scope, receive, sealed)
            return
        prefix = f"/{self._token.decode()}"
        inner = {**scope, "path": scope["path"].removeprefix(prefix), "root_path": scope.get("root_path", "")}
        inner.pop("raw_path", None)
        await self._app(inner, receive, sealed)

    def _refusal(self, scope: Scope) -> str:
        """Why a request is refused; empty for one that is answered."""
        first, slash, _ = scope["path"].removeprefix("/").partition("/")
        if not (secrets.compare_digest(first.encode("utf-8", "replace"), self._token) and slash):
            return "the address lacks its token: take the whole address that figureground view printed"
        headers, reads = Headers(scope=scope), scope["method"] in _READING
        own = f"http://{headers.get('host', '')}"
        if headers.get("origin", own if reads else "") != own:
            return "a page of another origin asks"
        # A link from elsewhere to the page itself is somebody's click; pictures and data are the page's own.
        clicked = reads and headers.get("sec-fetch-mode") == "navigate"
        if not clicked and headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return "a page of another origin asks"
        return ""
