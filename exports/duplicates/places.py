"""Where photos are looked for that are near-duplicates: a workspace, a frozen release, a dataset repository."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from figureground.errors import UsageError
from figureground.exports.dataset.files import MANIFEST, OBJECTS, PLAN
from figureground.exports.dataset.folder import DatasetFolder
from figureground.schemas.records import DUPLICATE, ImageRecord, ObjectRecord, SourceRow
from figureground.schemas.sources.folders import TEXTURES
from figureground.schemas.sources.names import photo_name
from figureground.schemas.store.releases import read_release
from figureground.schemas.store.workspace import DATABASE_NAME, Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedPhoto:
    """A photo that is compared with others."""

    place: str
    """Workspace, release or dataset that it is in, as it was named."""
    image_id: str
    """First 32 hex digits of the SHA-256 of its bytes."""
    file: str
    """``SOURCE: FILE``; in a published release the digest of its name."""
    label: str
    """Source label."""
    split: str
    """Split of the dataset, else of the source; empty where there is none."""
    phash: str
    """64-bit perceptual hash, 16 hex digits."""
    record: ImageRecord | ObjectRecord
    """Where its bytes lie."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Photos of one workspace, release or dataset."""

    name: str
    photos: tuple[PlacedPhoto, ...]
    """Sorted by image_id; textures are none."""
    copies: tuple[str, ...] = ()
    """Files with the bytes of a photo that is there, which ``index`` passed over; of a workspace alone."""
    sources: Mapping[str, SourceRow] = field(default_factory=dict)
    """Where the photos' sources lie; empty where nobody here knows."""


def open_place(path: Path) -> Place:
    """Read the photos of a workspace's folder, a release (``.parquet``) or a dataset repository's folder.

    Raises:
        UsageError: if it is none of these.
        DataError: if it is damaged.
    """
    if (path / DATABASE_NAME).is_file():
        return _open_workspace(path)
    if path.is_file():
        return _open_release(path)
    if (path / MANIFEST).is_file():
        return _open_dataset(path)
    raise UsageError(f"{path}: no workspace, no release (.parquet) and no dataset repository")


def _open_workspace(path: Path) -> Place:
    with Workspace.open(path) as store:
        sources = store.sources()
        photos = [
            _placed(str(path), image, image.source_split)
            for image in store.images()
            if sources[image.source].kind != TEXTURES
        ]
        copies = [
            f"{photo_name(source, uri)} ({detail})"
            for source, uri, reason, detail in store.rejections()
            if reason == DUPLICATE
        ]
    return Place(name=str(path), photos=tuple(photos), copies=tuple(copies), sources=sources)


def _open_release(path: Path) -> Place:
    sources: dict[str, SourceRow] = {}
    workspace = path.parent.parent
    if (workspace / DATABASE_NAME).is_file():  # a release lies in the objects/ of its workspace
        with Workspace.open(workspace) as store:
            sources = store.sources()
    photos = (_placed(str(path), record, record.source_split) for record in read_release(path)[1])
    return Place(name=str(path), photos=tuple(_once(photos)), sources=sources)


def _open_dataset(path: Path) -> Place:
    dataset = DatasetFolder.open(path)
    dataset.require([OBJECTS, PLAN])
    splits = {row.object_id: row.split for row in dataset.plan_rows()}
    photos = (_placed(str(path), record, splits.get(record.object_id, "")) for record in dataset.objects()[1])
    return Place(name=str(path), photos=tuple(_once(photos)))


def _once(photos: Iterator[PlacedPhoto]) -> Iterator[PlacedPhoto]:
    last = ""
    for photo in photos:
        if photo.image_id != last:
            yield photo
        last = photo.image_id


def _placed(place: str, record: ImageRecord | ObjectRecord, split: str) -> PlacedPhoto:
    return PlacedPhoto(
        place=place,
        image_id=record.image_id,
        file=photo_name(record.source, record.uri),
        label=record.label,
        split=split,
        phash=record.phash,
        record=record,
    )
