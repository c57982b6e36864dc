"""Limits of how many photos a call takes."""

from __future__ import annotations

from figureground.errors import UsageError


def check_limit(limit: int | None) -> None:
    """Check a number of photos; None for all of them.

    Raises:
        UsageError: for one below 1.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"a limit is 1 photo or more, got {limit}")
