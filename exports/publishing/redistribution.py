"""What may not be passed on: how a dataset repository shows whose photos and masks it holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from figureground.exports.dataset.lock import LockedSource, RecipeLock
from figureground.schemas.records import ObjectRecord
from figureground.schemas.terms import (
    RESTRICTED_KINDS,
    UNSTATED,
    restriction_by_licence,
    restriction_by_looks,
    restriction_by_name,
)

_RIVAL10: Final = RESTRICTED_KINDS["rival10"]
_NOT_STATED: Final = "no licence stated"
_MASKS_TOO: Final = "the terms of RIVAL10 let nobody pass on its masks either"


def restrictions(lock: RecipeLock, records: Sequence[ObjectRecord], *, pixels: bool) -> list[str]:
    """Why a repository may not be passed on by whoever built it, a line each; empty where nothing says so.

    The lock says of every source whether its photos may be passed on: as its maintainer stated, else as its kind, its
    licence, its names and labels tell (``schemas.terms``). Where it only says that nothing is known against them, as
    locks of earlier days do, licence and labels are looked at again. A source that the lock does not name is judged by
    what is left: its own name, file names of ImageNet's training part, which the lock counts, and labels that hold a
    wnid. That errs on the safe side: own photos in folders named by wnid look like ImageNet's.

    Args:
        lock: What the repository was made of and by.
        records: The objects of its rows.
        pixels: Whether rows hold images. Without, only RIVAL10 matters, whose terms forbid copies of its masks as well.
    """
    restricted = sorted((name, reason) for name, reason in _reasons(lock, records).items() if reason)
    lines = [f"source {name}: {reason}" for name, reason in restricted if pixels]
    return lines + [f"source {name}: {_MASKS_TOO}" for name, reason in restricted if reason == _RIVAL10]


def _reasons(lock: RecipeLock, records: Sequence[ObjectRecord]) -> dict[str, str]:
    """Why the photos of each source may not be passed on; empty where they may."""
    labels: dict[str, set[str]] = defaultdict(set)
    for record in records:
        labels[record.source].add(record.label)
    textures = {lock.textures.source} if lock.textures else set()
    reasons = {name: _reason(source, labels[name]) for name, source in lock.sources.items()}
    unknown = (set(labels) | textures) - set(reasons)
    seen = RESTRICTED_KINDS["ilsvrc"] if lock.imagenet_train else ""
    # Other recipes are for anybody's photos.
    by_recipe = bool(unknown & set(labels)) and restriction_by_name(lock.recipe) == _RIVAL10
    for name in unknown:
        reason = restriction_by_name(name) or restriction_by_looks(labels[name]) or seen
        reasons[name] = reason or ("" if by_recipe else UNSTATED)
    if by_recipe:
        reasons[lock.recipe] = _RIVAL10
    return reasons


def describe_terms(lock: RecipeLock, records: Sequence[ObjectRecord], masks_licence: str) -> list[str]:
    """The terms of everything in a repository, a line each, whether or not they restrict it.

    Args:
        lock: What the repository was made of and by.
        records: The objects of its rows.
        masks_licence: Licence of masks, attributes and parameters, as the recipe names it; empty where it does not.
    """
    lines = []
    for name, why in sorted(_reasons(lock, records).items()):
        source = lock.sources.get(name)
        photos = f" ({source.photos})" if source else ""
        licence = (source.licence if source else "") or _NOT_STATED
        reason = f"; not to be passed on: {why}" if why else ""
        lines.append(f"photos of {name}{photos}: {licence}{reason}")
    return [*lines, f"masks, attributes, parameters: {masks_licence or _NOT_STATED}"]


def _reason(source: LockedSource, labels: Iterable[str]) -> str:
    """Why a source that the lock names may not be passed on; empty where it may."""
    if source.restricted or source.said:
        return source.restricted
    return restriction_by_looks(labels) or restriction_by_licence(source.licence)
