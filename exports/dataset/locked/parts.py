"""Parts of recipe.lock.json: the policy of the release, and the groups of near-duplicates among the objects."""

from __future__ import annotations

from dataclasses import asdict

from pydantic import BaseModel, ConfigDict

from figureground.build.planning.effective_sizes import effective_sizes, near_duplicate_bits
from figureground.build.planning.plan import Plan
from figureground.exports.dataset.inputs import Design


class LockPart(BaseModel):
    """Keys that a later figureground may add are read, kept and written again."""

    model_config = ConfigDict(frozen=True, extra="allow")


class LockedSize(LockPart):
    """How many photos there are, and how many independent ones they are worth."""

    photos: int
    groups: int
    """Groups of near-duplicates and of named scenes; a photo without any like is one."""
    effective: float
    """(Σm)² ÷ Σm² over the sizes m of the groups (``build.planning.effective_sizes``)."""


class LockedSizes(LockedSize):
    """Groups of near-duplicates and named scenes among the objects."""

    bits: int
    """Bits of 64 up to which two perceptual hashes are those of near-duplicates."""
    classes: dict[str, LockedSize]
    """Class to the same; of the classes that have objects."""


class LockedPolicy(LockPart):
    """The policy that a release was frozen by, as its ``annotation`` holds it (``annotate.freezing.review``)."""

    name: str
    """``name@version``."""
    sha256: str
    """SHA-256 of its text."""
    text: str
    asks: tuple[str, ...]
    """What it asks for, a line each."""
    votes: dict[str, int]
    """Number of voters to objects of the release."""
    people: dict[str, dict[str, int]] = {}
    """Pseudonym to the masks that he or she ``painted``, and those of others that he or she ``accepted``."""
    voters_masks: dict[str, float] | None = None
    """``objects`` with two voters or more, ``mean`` and ``least`` of their IoU; None where there are none."""
    voters_attributes: dict[str, float] | None = None
    """The same for the share of attributes that voters answered alike."""
    left_out: dict[str, int] = {}
    """Reason to objects that the policy left out."""
    coverage: dict[str, int | str]
    """``objects`` of ``photos``; ``least_objects`` of ``least_photos`` of the label ``least_label``."""


def locked_sizes(plan: Plan, design: Design) -> LockedSizes:
    """Groups among the objects of a plan, and what the photos are worth."""
    bits = near_duplicate_bits(design.recipe, design.rule_set)
    whole, own = effective_sizes(plan, design.classes, bits)
    classes = {name: LockedSize(**asdict(size)) for name, size in own.items()}
    return LockedSizes(**asdict(whole), bits=bits, classes=classes)
