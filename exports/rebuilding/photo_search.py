"""Photos that a release names by their SHA-256, looked for among those that somebody has."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from figureground.errors import DataError
from figureground.runtime.progress import Progress
from figureground.schemas.sources.opening import PhotoSource
from figureground.schemas.store.releases import name_digest


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoLocation:
    """Where a photo lies."""

    source: str
    """Name of the source."""
    uri: str
    """Where the source keeps it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedPhoto:
    """A photo that has the name of a wanted one and other bytes."""

    sha256: str
    """SHA-256 of the wanted photo."""
    location: PhotoLocation
    """Where the other version lies."""
    got_sha256: str
    """SHA-256 of the other version."""


@dataclass(slots=True, kw_only=True)
class PhotoSearch:
    """What a search came to, by the SHA-256 of the photos' bytes."""

    locations: dict[str, PhotoLocation] = field(default_factory=dict)
    """Wanted photo to where it lies."""
    changed: list[ChangedPhoto] = field(default_factory=list)
    """Wanted photos of which only another version is there."""
    read: int = 0
    """How many photos were read."""


class _SourcePhoto(NamedTuple):
    """A photo that can be read."""

    source: PhotoSource
    uri: str

    @property
    def location(self) -> PhotoLocation:
        return PhotoLocation(source=self.source.name, uri=self.uri)


class _OtherVersion(NamedTuple):
    """A photo that was read and is not wanted."""

    location: PhotoLocation
    sha256: str


def find_photos(wanted: Mapping[str, str], sources: Sequence[PhotoSource], progress: Progress) -> PhotoSearch:
    """Find photos by name first, and read the others only where a name is not there.

    Args:
        wanted: SHA-256 of each photo to its ``name_digest``, or to an empty text where it has none.
        sources: Where to look; the first that holds a photo counts.
        progress: Called with ("photos found", found, wanted).
    """
    search = PhotoSearch()
    by_name: dict[str, list[_SourcePhoto]] = defaultdict(list)
    for source in sources:
        for item in source:  # those without a label too; what cannot be read shows when it is read
            by_name[name_digest(item.uri)].append(_SourcePhoto(source, item.uri))
    named = [photo for digest in dict.fromkeys(wanted.values()) for photo in by_name.get(digest, [])]
    others = _look(named, wanted, search, progress)
    unnamed = {sha256 for sha256, digest in wanted.items() if digest not in by_name} - set(search.locations)
    if unnamed:
        seen = {photo.location for photo in named}
        rest = (photo for photos in by_name.values() for photo in photos if photo.location not in seen)
        _look(rest, wanted, search, progress)
    for sha256, digest in wanted.items():
        if sha256 not in search.locations and digest in others:
            other = others[digest]
            search.changed.append(ChangedPhoto(sha256=sha256, location=other.location, got_sha256=other.sha256))
    return search


def _look(
    photos: Iterable[_SourcePhoto], wanted: Mapping[str, str], search: PhotoSearch, progress: Progress
) -> dict[str, _OtherVersion]:
    """Hash photos until none is missing; returns those that are not wanted, by the digest of their names."""
    others: dict[str, _OtherVersion] = {}
    for photo, data in _readable(photos):
        sha256 = hashlib.sha256(data).hexdigest()
        search.read += 1
        if sha256 in wanted:
            search.locations.setdefault(sha256, photo.location)
            progress("photos found", len(search.locations), len(wanted))
        else:
            others.setdefault(name_digest(photo.uri), _OtherVersion(photo.location, sha256))
        if len(search.locations) == len(wanted):
            break
    return others


def _readable(photos: Iterable[_SourcePhoto]) -> Iterator[tuple[_SourcePhoto, bytes]]:
    """Photos with their bytes; those that cannot be read are as good as missing."""
    for photo in photos:
        try:
            yield photo, photo.source.read(photo.uri)
        except DataError:
            continue
