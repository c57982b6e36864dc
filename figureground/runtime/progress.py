"""Progress: how far a piece of work has come."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total): what is counted, how many of them are done, and how many there are."""
