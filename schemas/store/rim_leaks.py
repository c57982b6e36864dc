"""What a workspace remembers of the rims of masks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RimLeak:
    """How much of a figure its mask leaves at the rim; all in [0, 1]."""

    image_id: str
    origin: str
    """The answer or proposal that the mask is."""
    score: float
    """``colour`` where it is known, else ``answers``."""
    colour: float | None
    """How much of the ring around the mask is of the figure's colour; None where colours cannot be told apart."""
    answers: float | None
    """How far models are right by the rim alone; None without models."""
