"""How a client proves to a Label Studio server who it is."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from figureground.annotate.studio.home import Connection


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
            request.headers["Authorization"] = f"Bearer {self.access}"
            yield request

    return TokenAuth()
