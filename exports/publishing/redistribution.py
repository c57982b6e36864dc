"""What may not be passed on: how a dataset repository shows whose photos and masks it holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from figureground.schemas.classes import imagenet_names
from figureground.schemas.records import ObjectRecord
from figureground.schemas.terms import RESTRICTED_KINDS, restriction_by_name

_RIVAL10: Final = RESTRICTED_KINDS["rival10"]
_MASKS_TOO: Final = "the terms of RIVAL10 let nobody pass on its masks either"


def restrictions(lock: Mapping[str, Any], records: Sequence[ObjectRecord], *, pixels: bool) -> list[str]:
    """Why a repository may not be passed on by whoever built it, a line each; empty where nothing says so.

    The lock says of every source whether its photos may be passed on: as its maintainer stated, else as its kind and
    its file names tell (``schemas.terms``). A source that the lock does not name is judged by what is left: its own
    name, file names of ImageNet's training part, which the lock counts, and labels that are wnids of ImageNet-1k.
    That errs on the safe side: own photos in folders named by wnid look like ImageNet's.

    Args:
        lock: Content of recipe.lock.json.
        records: The objects of its rows.
        pixels: Whether rows hold images. Without, only RIVAL10 matters, whose terms forbid copies of its masks as well.
    """
    told = {name: str(terms.get("restricted", "")) for name, terms in lock.get("sources", {}).items()}
    unknown = [record for record in records if record.source not in told]
    textures = str(lock.get("textures", {}).get("source", ""))
    for name in {record.source for record in unknown} | ({textures} - set(told)):
        told[name] = restriction_by_name(name)
    recipe = str(lock.get("recipe", ""))
    if unknown and restriction_by_name(recipe) == _RIVAL10:  # imagenet9 and others are for anybody's photos
        told[recipe] = _RIVAL10
    restricted = sorted((name, reason) for name, reason in told.items() if reason)
    reasons = [f"source {name}: {reason}" for name, reason in restricted if pixels]
    reasons += [f"source {name}: {_MASKS_TOO}" for name, reason in restricted if reason == _RIVAL10]
    if not pixels or not unknown:
        return reasons
    if seen := lock.get("imagenet_train"):
        reasons.append(f"{seen} photos carry file names of ImageNet-1k's training part")
    if labelled := sum(record.label in imagenet_names() for record in unknown):
        reasons.append(f"{labelled} objects carry labels of ImageNet-1k, as photos of ImageNet and ImageNet-A do")
    return reasons
