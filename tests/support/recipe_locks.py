"""Locks of datasets that nobody built, for what is said of a lock alone."""

from __future__ import annotations

from typing import Any

from figureground.exports.dataset.lock import RecipeLock

_LOCK: dict[str, Any] = {
    "figureground": "0.0.0",
    "png": {"library": "libdeflate", "level": 1},
    "packages": {"pillow": "1.0"},
    "libraries": {"jpg": "3.0"},
    "recipe": "toy@1",
    "rules": "exact",
    "seed": 0,
    "draws": 1,
    "release": {"version": "v1", "sha256": "0"},
    "quotas": {"disc": 4, "ring": 5, "bar": 3},
    "balanced": False,
    "objects": 12,
    "objects_in_release": 14,
    "refused": {"mask_empty": 1, "no_strip": 1},
    "refused_total": 2,
    "states": {"accepted": 9, "unreviewed": 3},
    "unreviewed": 3,
    "segmenters": ["mobile-sam"],
    "sources": {"shapes": {"photos": 12, "licence": "CC0-1.0", "restricted": ""}},
}


def lock_of(**changes: Any) -> RecipeLock:
    """A lock whose keys are these, and plain values elsewhere."""
    return RecipeLock.model_validate({**_LOCK, **changes})
