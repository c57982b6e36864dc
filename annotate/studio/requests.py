"""How requests to a Label Studio server are signed, and what their failures are called."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from figureground.annotate.studio.home import Connection
from figureground.errors import FigureGroundError, ServiceError, UsageError, keep_secret


class FleetingError(ServiceError):
    """A failure that may pass by itself."""


class RefusedError(ServiceError):
    """The server does not take what it was sent; sending it again does not help."""


def status_error(url: str, status: int, what: str, body: str) -> FigureGroundError:
    """The error for an HTTP status: a refused token is the caller's to mend, conflicts and server faults may pass."""
    text = " ".join(body.split())[:300]
    if status in (401, 403):
        return UsageError(f"{url} refused the token ({status}) at {what}: {text}")
    fleeting = FleetingError if status in (409, 429) or status >= 500 else ServiceError
    kind = RefusedError if status == 400 else fleeting
    return kind(f"{url} answered {status} to {what}: {text}")


def token_auth(connection: Connection) -> Any:  # noqa: ANN401  an httpx.Auth
    """Legacy tokens as they are; a personal access token only buys access tokens that live five minutes."""
    import httpx

    class TokenAuth(httpx.Auth):
        requires_response_body = True
        access = ""

        def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
            if "." not in connection.token:
                request.headers["Authorization"] = f"Token {connection.token}"
                yield request
                return
            if self.access:
                request.headers["Authorization"] = f"Bearer {self.access}"
                response = yield request
                if response.status_code != 401:
                    return
            refresh = httpx.Request("POST", f"{connection.url}/api/token/refresh", json={"refresh": connection.token})
            answer = yield refresh
            if answer.status_code == 200:
                self.access = str(answer.json()["access"])
                keep_secret(self.access)
            request.headers["Authorization"] = f"Bearer {self.access}"
            yield request

    return TokenAuth()
