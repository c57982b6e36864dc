"""What a client asked of the Hub's double, and what may go wrong with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Asked:
    """One request and what became of it."""

    method: str
    path: str
    """With the query."""
    status: int
    """0 where the connection was dropped."""
    received: int
    """Bytes of the request's body."""
    sent: int
    """Bytes of the answer's body."""
    range: str
    user: str
    body: bytes
    """Of JSON requests; files are left out."""


@dataclass(slots=True)
class Trouble:
    """A fault to inject."""

    method: str
    pattern: re.Pattern[str]
    status: int = 503
    times: int = 1
    headers: Mapping[str, str] = field(default_factory=dict)
    drop: bool = False
    """Close the connection without doing anything."""
    lose: bool = False
    """Do what is asked, then close the connection without an answer."""
    before: Callable[[], None] | None = None
    """Call this, then do what is asked."""
    after: int = 0
    """Let so many matching requests pass first."""
