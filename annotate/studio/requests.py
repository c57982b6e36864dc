"""How requests to a Label Studio server are signed, and what their failures are called."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterator
from functools import wraps
from typing import Any, Final, TypeVar

from figureground.annotate.studio.home import Connection
from figureground.errors import FigureGroundError, ServiceError, UsageError, keep_secret, masked, printable

Kind = TypeVar("Kind")
_STRANGE: Final = (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError)
"""What reading JSON of another form raises."""


class FleetingError(ServiceError):
    """A failure that may pass by itself."""


class RefusedError(ServiceError):
    """The server does not take what it was sent; sending it again does not help."""


def status_error(url: str, status: int, what: str, body: str) -> FigureGroundError:
    """The error for an HTTP status: a refused token is the caller's to mend, conflicts and server faults may pass."""
    text = masked(" ".join(body.split()))[:300]  # masked first: a half of a token would not be known as one
    if status in (401, 403):
        return UsageError(f"{url} refused the token ({status}) at {what}: {text}")
    fleeting = FleetingError if status in (409, 429) or status >= 500 else ServiceError
    kind = RefusedError if status == 400 else fleeting
    return kind(f"{url} answered {status} to {what}: {text}")


def of_label_studio(kind: type[Kind]) -> type[Kind]:
    """Let what a server answers in place of Label Studio's JSON be an error of ours, in every method of a client."""
    for name, method in list(vars(kind).items()):
        if inspect.isfunction(method) and name != "__init__":
            setattr(kind, name, _paged(method) if inspect.isgeneratorfunction(method) else _naming_server(method))
    return kind


def _naming_server(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def call(self: Any, *values: Any, **options: Any) -> Any:  # noqa: ANN401  of any client's method
        try:
            return method(self, *values, **options)
        except _STRANGE as error:
            raise _strange(self.connection.url, error) from error

    return call


def _paged(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def call(self: Any, *values: Any, **options: Any) -> Iterator[Any]:  # noqa: ANN401  of any client's method
        try:
            yield from method(self, *values, **options)
        except _STRANGE as error:
            raise _strange(self.connection.url, error) from error

    return call


def _strange(url: str, error: Exception) -> ServiceError:
    words = printable(masked(" ".join(f"{type(error).__name__}: {error}".split())))[:120]
    return ServiceError(f"{url} is no Label Studio, or one of another version: its answer is of another form ({words})")


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
            if answer.status_code >= 300:
                what = "POST /api/token/refresh"
                raise status_error(connection.url, answer.status_code, what, answer.text)
            self.access = str(answer.json()["access"])
            keep_secret(self.access)
            request.headers["Authorization"] = f"Bearer {self.access}"
            yield request

    return TokenAuth()
