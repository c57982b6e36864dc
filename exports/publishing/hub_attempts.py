"""Asking the Hub again: after 409, 412, 429, 5xx and dropped connections, as long as it says, and not for ever."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils._http import parse_ratelimit_headers

from figureground.errors import MissingExtraError
from figureground.runtime.hub import http_cause, hub_error, is_fleeting

Result = TypeVar("Result")
Notice = Callable[[str], None]
"""Called with what went wrong and is tried again, a line of text."""

ATTEMPTS: Final = 8
LONGEST_WAIT_SECONDS: Final = 300.0
"""Where the Hub asks to wait longer, such as for the hourly quota of commits, that is an error for the user."""


def ask(what: Callable[[], Result], where: str, notice: Notice) -> Result:
    """Call until it succeeds; what is called must look at the Hub anew each time.

    Args:
        what: Asks the Hub.
        where: The dataset, for people.
        notice: Called after every failure that is followed by another attempt.

    Raises:
        MissingExtraError: without stamina.
        Exception: what the last attempt raised.
    """
    try:
        import stamina
    except ImportError as error:
        raise MissingExtraError("stamina", "publish") from error

    def wait(error: Exception) -> bool | float:
        reason = hub_error(error, where)
        seconds = asked_wait(error)
        if not is_fleeting(error) or (seconds or 0) > LONGEST_WAIT_SECONDS:
            return False
        if attempt.num < ATTEMPTS:
            notice(f"{str(reason).rpartition(';')[0]}; attempt {attempt.num + 1} of {ATTEMPTS} follows")
        return True if seconds is None else seconds

    for attempt in stamina.retry_context(on=wait, attempts=ATTEMPTS, timeout=None, wait_initial=1.0, wait_max=60.0):
        with attempt:
            return what()
    raise AssertionError("stamina raises what the last attempt raised")


def asked_wait(error: BaseException) -> float | None:
    """Seconds that the Hub asks to wait, by its headers RateLimit or Retry-After; None where it says nothing."""
    cause = http_cause(error)
    if not isinstance(cause, HfHubHTTPError):
        return None
    headers = cause.response.headers
    limit = parse_ratelimit_headers(headers) if cause.response.status_code == 429 else None
    if limit is not None and limit.remaining == 0:
        return float(limit.reset_in_seconds + 1)
    after = headers.get("Retry-After", "").strip()
    return float(after) if after.isdecimal() else None
