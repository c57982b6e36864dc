"""Which photo of the workspace an image of a COCO file is: by its bytes, or by its name."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

from figureground.annotate.imports.photo_names import PhotoNames
from figureground.errors import DataError, Faults, listed
from figureground.schemas.records import ImageRecord
from figureground.schemas.sources.coco_files import CocoFile, CocoImage
from figureground.schemas.sources.names import NameIndex
from figureground.schemas.sources.walking import photos_below
from figureground.schemas.store.workspace import Workspace

_REMEDY: Final = "choose one source with --source, or give the folder of the images with --images"


@dataclass(slots=True)
class ImageMatches:
    """What the images of a file are in the workspace."""

    photos: dict[int, ImageRecord] = field(default_factory=dict)
    """Image's id to its photo, where it is one photo and no other image is."""
    barred: set[str] = field(default_factory=set)
    """Ids of photos that a fault is about: they may not be stored."""
    absent: dict[int, str] = field(default_factory=dict)
    """Image's id to what is there instead of a photo; ``none`` where nothing is."""


def match_photos(names: PhotoNames, file: CocoFile, faults: Faults) -> ImageMatches:
    """The photos of a file's images by their names: see ``schemas.sources.names``.

    Args:
        names: The workspace's photos.
        file: Whose images are looked for.
        faults: Gets images that mean several photos, and photos that several images mean.
    """
    images = file.images.values()
    by_name = names.match(image.file_name for image in images)
    matches, owners = ImageMatches(), defaultdict[str, list[CocoImage]](list)
    for image in images:
        match = by_name[image.file_name]
        if len(match.fits) == 1:  # where others mean it too, they are told of each other at once
            owners[match.fits[0].image_id].append(image)
            matches.photos[image.id] = match.fits[0]
        elif match.absent:
            matches.absent[image.id] = match.got
        else:
            matches.barred.update(photo.image_id for photo in match.fits)
            match.add_fault(faults, str(file.path), f"image {image.id} {image.file_name}", remedy=_REMEDY)
    _refuse_shared(file, owners, matches, faults, remedy=_REMEDY)
    return matches


def match_bytes(
    workspace: Workspace, file: CocoFile, folder: Path, *, source: str | None, faults: Faults
) -> ImageMatches:
    """The photos of a file's images by the bytes of the files that they are.

    Args:
        workspace: Where the photos are catalogued.
        file: Whose images are looked for.
        folder: Where the images lie.
        source: Look at photos of this source only.
        faults: Gets files that cannot be read, and photos that several images are.
    """
    matches, owners, files = ImageMatches(), defaultdict[str, list[CocoImage]](list), _ImageFiles(folder)
    for image in file.images.values():
        record = f"image {image.id} {image.file_name}"
        try:
            digest = files.sha256(image.file_name, where=str(file.path), record=record)
        except DataError as error:
            faults.extend(error.faults)
            continue
        photo = None if digest is None else workspace.image(digest[:32])
        if photo is None or source not in (None, photo.source):
            matches.absent[image.id] = f"no such file in {folder}" if digest is None else "none of these bytes"
        else:
            owners[photo.image_id].append(image)
            matches.photos[image.id] = photo
    remedy = "the files have equal bytes and are one photo: keep the entry and the masks of one of them"
    _refuse_shared(file, owners, matches, faults, remedy=remedy)
    return matches


class _ImageFiles:
    """The files below a folder of images."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._root = folder, folder.resolve()

    def sha256(self, file_name: str, *, where: str, record: str) -> str | None:
        """SHA-256 of a file, hex; None where there is none of this name.

        Raises:
            DataError: if it leaves the folder, is not one alone, or cannot be read.
        """
        path = self._root / file_name
        try:
            if not path.exists():
                fits = self._index.find(file_name).fits
                if len(fits) > 1:
                    got = listed([str(fit.relative_to(self._root)) for fit in fits])
                    raise DataError.single(where, record, expected="one file of this name", got=got)
                path = fits[0] if fits else path
            if not path.resolve().is_relative_to(self._root):
                expected = f"a path inside {self._folder}"
                raise DataError.single(where, record, expected=expected, got="one that leaves it")
            with path.open("rb") as opened:
                return hashlib.file_digest(opened, "sha256").hexdigest()
        except FileNotFoundError:
            return None
        except OSError as error:
            got = error.strerror or str(error)
            raise DataError.single(where, record, expected="a readable file", got=got) from error

    @cached_property
    def _index(self) -> NameIndex[Path]:
        """Files by their paths; made once a name is no path of one, letter by letter."""
        index: NameIndex[Path] = NameIndex()
        for item in photos_below(self._root):
            if not item.fault:
                index.add(item.uri, self._root / item.uri, root=str(self._root))
        return index


def _refuse_shared(
    file: CocoFile, owners: Mapping[str, list[CocoImage]], matches: ImageMatches, faults: Faults, *, remedy: str
) -> None:
    """Bar photos that several images of a file are."""
    for image_id, images in owners.items():
        if len(images) < 2:
            continue
        first, *others = images
        faults.add(
            str(file.path),
            f"image {first.id} {first.file_name}",
            expected=f"one image for the photo {matches.photos[first.id].uri}",
            got=listed([f"image {image.id} {image.file_name}" for image in others]) + " as well",
            remedy=remedy,
        )
        matches.barred.add(image_id)
