"""What may not be passed on: how a dataset repository shows whose photos and masks it holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from figureground.exports.dataset.lock import RecipeLock
from figureground.schemas.classes import imagenet_names
from figureground.schemas.records import ObjectRecord
from figureground.schemas.terms import RESTRICTED_KINDS, restriction_by_name

_RIVAL10: Final = RESTRICTED_KINDS["rival10"]
_MASKS_TOO: Final = "the terms of RIVAL10 let nobody pass on its masks either"


def restrictions(lock: RecipeLock, records: Sequence[ObjectRecord], *, pixels: bool) -> list[str]:
    """Why a repository may not be passed on by whoever built it, a line each; empty where nothing says so.

    The lock says of every source whether its photos may be passed on: as its maintainer stated, else as its kind and
    its file names tell (``schemas.terms``). A source that the lock does not name is judged by what is left: its own
    name, file names of ImageNet's training part, which the lock counts, and labels that are wnids of ImageNet-1k.
    That errs on the safe side: own photos in folders named by wnid look like ImageNet's.

    Args:
        lock: What the repository was made of and by.
        records: The objects of its rows.
        pixels: Whether rows hold images. Without, only RIVAL10 matters, whose terms forbid copies of its masks as well.
    """
    stated = {name: source.restricted for name, source in lock.sources.items()}
    unknown = [record for record in records if record.source not in stated]
    textures = {lock.textures.source} if lock.textures else set()
    unstated = {record.source for record in unknown} | (textures - set(stated))
    reasons = stated | {name: restriction_by_name(name) for name in unstated}
    if unknown and restriction_by_name(lock.recipe) == _RIVAL10:  # imagenet9 and others are for anybody's photos
        reasons[lock.recipe] = _RIVAL10
    restricted = sorted((name, reason) for name, reason in reasons.items() if reason)
    lines = [f"source {name}: {reason}" for name, reason in restricted if pixels]
    lines += [f"source {name}: {_MASKS_TOO}" for name, reason in restricted if reason == _RIVAL10]
    if not pixels or not unknown:
        return lines
    if seen := lock.imagenet_train:
        lines.append(f"{seen} photos carry file names of ImageNet-1k's training part")
    if labelled := sum(record.label in imagenet_names() for record in unknown):
        lines.append(f"{labelled} objects carry labels of ImageNet-1k, as photos of ImageNet and ImageNet-A do")
    return lines
