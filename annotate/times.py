"""Times of answers: one spelling of UTC, so that times sort as text."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from figureground.schemas.records import Annotation


def utc_text(text: str) -> str:
    """A time in ISO 8601 as ``2026-05-01T10:05:00.000001Z``, with all six digits of its microseconds.

    Raises:
        ValueError: if it is no time, has no zone, or lies outside of the years 1 to 9999 in UTC.
    """
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError("a time with its zone")
    try:
        return spell_utc(time)
    except OverflowError as error:
        raise ValueError("a time of the years 1 to 9999 in UTC") from error


def spell_utc(time: datetime) -> str:
    """The same spelling of a time that has a zone."""
    # Not by strftime, which writes the year 1 as "1" on some systems.
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def later_utc(text: str, earlier: Iterable[Annotation]) -> str:
    """A time in the spelling above, or the first one after all of some answers where it is not later than they are."""
    newest = max((answer.updated_at for answer in earlier), default="")
    return text if text > newest else just_after(newest)


def just_after(text: str) -> str:
    """The first time after another one, in the spelling above."""
    return spell_utc(datetime.fromisoformat(text) + timedelta(microseconds=1))
