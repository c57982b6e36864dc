"""What may not be passed on: how a dataset repository shows whose photos and masks it holds."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from figureground.schemas.classes import imagenet_names
from figureground.schemas.records import ObjectRecord

_IMAGENET: Final = re.compile(r"imagenet|ilsvrc", re.IGNORECASE)
_RIVAL10: Final = re.compile(r"rival", re.IGNORECASE)
_MASKS_TOO: Final = "the terms of RIVAL10 let nobody pass on its masks either"


def restrictions(lock: Mapping[str, Any], records: Sequence[ObjectRecord], *, pixels: bool) -> list[str]:
    """Why a repository may not be passed on by whoever built it, a line each; empty where nothing says so.

    The lock says of every source whether its photos may be passed on. Of sources that it does not name (older locks
    name none) it is judged by what is left: file names are blinded in a repository, but the lock counts those of
    ImageNet's training part, and labels that are wnids of ImageNet-1k and names of sources tell the rest. That errs on
    the safe side: own photos in folders named by wnid look like ImageNet's.

    Args:
        lock: Content of recipe.lock.json.
        records: The objects of its rows.
        pixels: Whether rows hold images. Without, only RIVAL10 matters, whose terms forbid copies of its masks as well.
    """
    told = {name: str(terms.get("restricted", "")) for name, terms in (lock.get("sources") or {}).items()}
    reasons = [f"source {name}: {reason}" for name, reason in sorted(told.items()) if reason and pixels]
    unknown = [record for record in records if record.source not in told]
    names = {record.source for record in unknown} | ({_textures(lock)} - set(told) - {""})
    rival10 = {name for name, reason in told.items() if _RIVAL10.search(reason)} | set(filter(_RIVAL10.search, names))
    if unknown and _RIVAL10.match(str(lock.get("recipe", ""))):
        rival10.add(str(lock["recipe"]))
    reasons += [f"{name}: {_MASKS_TOO}" for name in sorted(rival10)]
    if not pixels:
        return reasons
    if unknown and (seen := lock.get("imagenet_train")):
        reasons.append(f"{seen} photos carry file names of ImageNet-1k's training part")
    wnids = imagenet_names()
    if labelled := sum(record.label in wnids for record in unknown):
        reasons.append(f"{labelled} objects carry labels of ImageNet-1k, as photos of ImageNet and ImageNet-A do")
    return reasons + [f"source {name}: named after ImageNet" for name in sorted(names) if _IMAGENET.search(name)]


def _textures(lock: Mapping[str, Any]) -> str:
    return str((lock.get("textures") or {}).get("source", ""))
