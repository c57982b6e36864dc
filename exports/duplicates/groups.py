"""Groups of near-duplicates with all that is known of them, and what is wrong with each: labels, splits, releases."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from figureground.build.planning.near_duplicates import near_pairs
from figureground.console import count_text
from figureground.errors import UsageError
from figureground.exports.duplicates.places import Place, PlacedPhoto, open_place
from figureground.runtime.progress import Progress
from figureground.schemas.store.workspace import Workspace

USUAL_BITS: Final = 8
"""Bits of 64 in which the hashes of near-duplicates differ at most; recipes have the same for splits and donors."""
USUAL_COSINE: Final = 0.9
"""Cosine of penultimate features from which photos are near-duplicates (docs/building.md has what it finds)."""
_SHOWN: Final = 20

Kind = Literal["bytes", "phash", "embedding"]


class FoundLink(NamedTuple):
    """Two photos that are alike; of each two equal or near hashes one pair stands for all."""

    one: int
    """Index of the photo in its group."""
    other: int
    kind: Kind
    distance: float
    """``bytes``: 0; ``phash``: bits of 64 that differ; ``embedding``: the cosine of the features, rounded."""

    def __str__(self) -> str:
        """In words."""
        if self.kind == "bytes":
            return "equal bytes"
        return f"cosine {self.distance:g}" if self.kind == "embedding" else f"{self.distance:g} of 64 bits differ"


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateGroup:
    """Photos that are linked directly or through others."""

    photos: tuple[PlacedPhoto, ...]
    """In the order of the places, then by image_id."""
    links: tuple[FoundLink, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        """``across_classes``, ``across_splits`` and ``across_places``, whichever it is."""
        labels = {photo.label for photo in self.photos}
        splits = Counter(place for place, _ in {(photo.place, photo.split) for photo in self.photos})
        places = {photo.place for photo in self.photos}
        kinds = {
            "across_classes": len(labels) > 1,
            "across_splits": any(count > 1 for count in splits.values()),
            "across_places": len(places) > 1,
        }
        return tuple(name for name, is_so in kinds.items() if is_so)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        photos = [_plain(photo) for photo in self.photos]
        links = [
            {
                "one": self.photos[link.one].image_id,
                "other": self.photos[link.other].image_id,
                "kind": link.kind,
                "distance": link.distance,
            }
            for link in self.links
        ]
        return {"problems": list(self.problems), "photos": photos, "links": links}

    def lines(self) -> Iterator[str]:
        """For people: the photos, then the links by their numbers."""
        yield f"{count_text(len(self.photos), 'photo')}: {', '.join(self.problems) or 'one class and split'}"
        for number, photo in enumerate(self.photos, start=1):
            split = f", {photo.split}" if photo.split else ""
            yield f"  {number}. {photo.image_id}  {photo.label}{split}  {photo.place}: {photo.file}"
        shown = self.links[:_SHOWN]
        yield "  " + "; ".join(f"{link.one + 1} and {link.other + 1}: {link}" for link in shown)


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateReport:
    """What was compared, and the groups; those across classes, splits or places first."""

    places: Mapping[str, int]
    """Place to number of photos."""
    groups: tuple[DuplicateGroup, ...]
    copies: Mapping[str, tuple[str, ...]]
    """Workspace to files with the bytes of a photo that it has; ``index`` passed them over."""
    bits: int
    embedder: str
    """Model and threshold; empty without one."""
    stored: int
    """Pairs that the workspace keeps together from now on."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        counts = Counter(problem for group in self.groups for problem in group.problems)
        return {
            "places": dict(self.places),
            "bits": self.bits,
            "embedder": self.embedder,
            "problems": dict(sorted(counts.items())),
            "groups": [group.to_dict() for group in self.groups],
            "copies": {place: list(files) for place, files in self.copies.items()},
            "stored": self.stored,
        }

    def __str__(self) -> str:
        """Counts, then the first groups by photo."""
        counts = Counter(problem for group in self.groups for problem in group.problems)
        alike = sum(len(group.photos) for group in self.groups)
        total = sum(self.places.values())
        by = f"hashes of at most {self.bits} bits apart" + (f", {self.embedder}" if self.embedder else "")
        lines = [
            f"{count_text(len(self.groups), 'group')} of {alike} near-duplicates among {count_text(total, 'photo')} "
            f"({by}): " + ", ".join(f"{counts[name]} {name.replace('_', ' ')}" for name in _PROBLEMS)
        ]
        for place, files in self.copies.items():
            lines.append(f"{place}: {count_text(len(files), 'file')} with the bytes of another, passed over by index")
        for group in self.groups[:_SHOWN]:
            lines += group.lines()
        if len(self.groups) > _SHOWN:
            lines.append(f"and {len(self.groups) - _SHOWN} more groups; --json has all")
        if self.stored:
            lines.append(f"{count_text(self.stored, 'pair')} kept together from the next freeze on")
        return "\n".join(lines)


_PROBLEMS: Final = ("across_classes", "across_splits", "across_places")


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """How near-duplicates are looked for."""

    bits: int = USUAL_BITS
    """Bits of 64 in which two perceptual hashes differ at most."""
    embedder: str | None = None
    """Model specification as ``evaluate`` takes it; None to compare hashes alone."""
    min_cosine: float = USUAL_COSINE
    """Cosine of features from which two photos are near-duplicates."""
    device: str = "auto"
    keep_together: bool = False
    """Store the pairs that the embedder finds in the workspace: freeze makes one group of them."""


def find_duplicates(paths: Sequence[Path], search: Search, *, progress: Progress = lambda *_: None) -> DuplicateReport:
    """Look for near-duplicates among the photos of some places together.

    Raises:
        UsageError: if a place is none, an embedder cannot see its photos, or options do not go together.
        DataError: if a place is damaged, or photos cannot be read.
    """
    _check(search, paths)
    places = [open_place(path) for path in paths]
    photos = [photo for place in places for photo in place.photos]
    links: list[Edge] = list(_hash_links(photos, search.bits))
    embedder, pairs = "", list[tuple[int, int, float]]()
    if search.embedder is not None:
        embedder, pairs = _embedded(places, search, progress)
        links.extend((one, other, "embedding", round(cosine, 4)) for one, other, cosine in pairs)
    if search.keep_together:
        with Workspace.open(paths[0]) as store:
            named = [(photos[one].image_id, photos[other].image_id, cosine) for one, other, cosine in pairs]
            store.add_links(embedder, named)
    groups = sorted(_grouped(photos, links), key=lambda group: (not group.problems, -len(group.problems)))
    return DuplicateReport(
        places={place.name: len(place.photos) for place in places},
        groups=tuple(groups),
        copies={place.name: place.copies for place in places if place.copies},
        bits=search.bits,
        embedder=embedder,
        stored=len(pairs) if search.keep_together else 0,
    )


def _check(search: Search, paths: Sequence[Path]) -> None:
    if not 0 <= search.bits <= 63:
        raise UsageError(f"--bits {search.bits}: give a number from 0 to 63")
    if not -1 <= search.min_cosine <= 1:
        raise UsageError(f"--min-cosine {search.min_cosine:g}: give a cosine from -1 to 1")
    if search.keep_together and (search.embedder is None or len(paths) != 1):
        raise UsageError("--keep-together stores what an --embedder finds in one workspace; hashes need no storing")
    if len(set(paths)) < len(paths):
        raise UsageError("a place is named twice")


def _embedded(places: Sequence[Place], search: Search, progress: Progress) -> tuple[str, list[tuple[int, int, float]]]:
    blind = [place.name for place in places if not place.sources]
    if blind:
        raise UsageError(
            f"--embedder looks at photos, and nobody here knows where those of {', '.join(blind)} lie: "
            "give their workspace, or a release in the objects/ of its workspace"
        )
    from figureground.exports.duplicates.embedding import embed_photos, near_features

    embedding = embed_photos(places, search.embedder or "", device=search.device, progress=progress)
    pairs = list(near_features(embedding.features, search.min_cosine))
    return f"{embedding.model}, cosine of at least {search.min_cosine:g}", pairs


Edge = tuple[int, int, Kind, float]


def _hash_links(photos: Sequence[PlacedPhoto], bits: int) -> Iterator[Edge]:
    """Links by bytes and hashes that suffice to join all that is near: not every pair of many equal photos."""
    members: dict[int, list[int]] = defaultdict(list)
    by_bytes: dict[str, int] = {}
    for number, photo in enumerate(photos):
        members[int(photo.phash, 16)].append(number)
        if (first := by_bytes.setdefault(photo.image_id, number)) != number:
            yield first, number, "bytes", 0.0
    for own in members.values():
        for one, other in pairwise(own):
            if photos[one].image_id != photos[other].image_id:
                yield one, other, "phash", 0.0
    hashes = np.array(sorted(members), dtype=np.uint64)
    pairs = {(int(one), int(other)) for part in near_pairs(hashes, bits) for one, other in part.tolist()}
    for one, other in sorted(pairs):
        first, second = int(hashes[one]), int(hashes[other])
        yield members[first][0], members[second][0], "phash", float((first ^ second).bit_count())


def _grouped(photos: Sequence[PlacedPhoto], edges: Iterable[Edge]) -> Iterator[DuplicateGroup]:
    """Photos that are linked directly or through others, in the order of their first photos."""
    from scipy.sparse import csr_array  # type: ignore[import-untyped]  # takes a quarter of a second to load
    from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]  # likewise

    listed = sorted(edges)
    rows, columns = [edge[0] for edge in listed], [edge[1] for edge in listed]
    size = (len(photos), len(photos))
    _, labels = connected_components(
        csr_array((np.ones(len(listed), np.int8), (rows, columns)), shape=size), directed=False
    )
    linked = sorted({*rows, *columns})
    members: dict[int, list[int]] = defaultdict(list)
    for number in linked:
        members[int(labels[number])].append(number)
    own: dict[int, list[Edge]] = defaultdict(list)
    for edge in listed:
        own[int(labels[edge[0]])].append(edge)
    for label, numbers in members.items():
        index = {number: place for place, number in enumerate(numbers)}
        links = [FoundLink(index[one], index[other], kind, distance) for one, other, kind, distance in own[label]]
        yield DuplicateGroup(photos=tuple(photos[number] for number in numbers), links=tuple(links))


def _plain(photo: PlacedPhoto) -> dict[str, Any]:
    return {field.name: getattr(photo, field.name) for field in fields(photo) if field.name != "record"}
