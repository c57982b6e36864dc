"""Photos that a release names by their SHA-256, found again among those that somebody has."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from figureground.errors import DataError
from figureground.runtime.progress import Progress
from figureground.schemas.sources.opening import PhotoSource
from figureground.schemas.store.releases import name_digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a photo lies."""

    source: str
    """Name of the source."""
    uri: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedPhoto:
    """A photo that has the name of a wanted one and other bytes."""

    sha256: str
    """Of the wanted one."""
    place: Place
    got_sha256: str


@dataclass(slots=True, kw_only=True)
class FoundPhotos:
    """What was found, by the SHA-256 of the photos' bytes."""

    places: dict[str, Place] = field(default_factory=dict)
    changed: list[ChangedPhoto] = field(default_factory=list)
    """Wanted photos of which only another version is there."""
    read: int = 0
    """How many photos were read."""


def find_photos(wanted: Mapping[str, str], sources: Sequence[PhotoSource], progress: Progress) -> FoundPhotos:
    """Find photos by name first, and read the others only where a name is not there.

    Args:
        wanted: SHA-256 of each photo to its ``name_digest``, or to an empty text where it has none.
        sources: Where to look; the first place that holds a photo counts.
        progress: Called with ("photos found", found, wanted).
    """
    found = FoundPhotos()
    places: dict[str, list[tuple[PhotoSource, str]]] = defaultdict(list)
    for source in sources:
        for item in source:  # those without a label too; what cannot be read shows when it is read
            places[name_digest(item.uri)].append((source, item.uri))
    named = [place for digest in dict.fromkeys(wanted.values()) for place in places.get(digest, [])]
    other_versions = _look(named, wanted, found, progress)
    unnamed = {sha256 for sha256, digest in wanted.items() if digest not in places} - set(found.places)
    if unnamed:
        seen = {(source.name, uri) for source, uri in named}
        rest = ((source, uri) for each in places.values() for source, uri in each if (source.name, uri) not in seen)
        _look(rest, wanted, found, progress)
    for sha256, digest in wanted.items():
        if sha256 not in found.places and digest in other_versions:
            place, got = other_versions[digest]
            found.changed.append(ChangedPhoto(sha256=sha256, place=place, got_sha256=got))
    return found


def _look(
    places: Iterable[tuple[PhotoSource, str]], wanted: Mapping[str, str], found: FoundPhotos, progress: Progress
) -> dict[str, tuple[Place, str]]:
    """Hash photos until none is missing; returns those that are not wanted, by the digest of their names."""
    others: dict[str, tuple[Place, str]] = {}
    for source, uri, data in _readable(places):
        sha256, place = hashlib.sha256(data).hexdigest(), Place(source=source.name, uri=uri)
        found.read += 1
        if sha256 in wanted:
            found.places.setdefault(sha256, place)
            progress("photos found", len(found.places), len(wanted))
        else:
            others.setdefault(name_digest(uri), (place, sha256))
        if len(found.places) == len(wanted):
            break
    return others


def _readable(places: Iterable[tuple[PhotoSource, str]]) -> Iterator[tuple[PhotoSource, str, bytes]]:
    """Photos with their bytes; those that cannot be read are as good as missing."""
    for source, uri in places:
        try:
            yield source, uri, source.read(uri)
        except DataError:
            continue
