"""Which photo of the workspace an image of a COCO file is: by its bytes, or by its name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Final

from figureground.annotate.imports.answers import photos_by_name
from figureground.errors import Faults
from figureground.schemas.records import ImageRecord
from figureground.schemas.sources.coco_files import CocoFile, CocoImage
from figureground.schemas.store.workspace import Workspace

_REMEDY: Final = "choose one source with --source, or give the folder of the images with --images"


def match_photos(
    workspace: Workspace, file: CocoFile, *, folder: Path | None, source: str | None, faults: Faults
) -> dict[int, ImageRecord]:
    """The photos of a file's images, by the images' ids; images that are not in the workspace are left out.

    Args:
        workspace: Where the photos are catalogued.
        file: Whose images are looked for.
        folder: Where the images lie: a photo is the one with the same bytes. None to go by names: the photo's file name
            without its ending, or its image_id, and by the folders before it where several photos have one name.
        source: Look at photos of this source only.
        faults: Gets images that mean several photos, and photos that several images mean.
    """
    pairs = _by_bytes(workspace, file, folder, faults) if folder else _by_name(workspace, file, source, faults)
    matched: dict[int, ImageRecord] = {}
    owners: dict[str, CocoImage] = {}
    for image, photo in pairs:
        if source not in (None, photo.source):
            continue
        owner = owners.setdefault(photo.image_id, image)
        if owner is image:
            matched[image.id] = photo
        else:
            faults.add(
                str(file.path),
                f"image {image.id} {image.file_name}",
                expected="one image for a photo",
                got=f"image {owner.id} {owner.file_name} as well",
                remedy=_REMEDY if not folder else "",
            )
    return matched


def _by_bytes(
    workspace: Workspace, file: CocoFile, folder: Path, faults: Faults
) -> Iterator[tuple[CocoImage, ImageRecord]]:
    root = folder.resolve()
    for image in file.images.values():
        record = f"image {image.id} {image.file_name}"
        path = (root / image.file_name).resolve()
        if not path.is_relative_to(root):
            faults.add(str(file.path), record, expected=f"a path inside {folder}", got="one that leaves it")
            continue
        try:
            with path.open("rb") as opened:
                photo = workspace.image(hashlib.file_digest(opened, "sha256").hexdigest()[:32])
        except FileNotFoundError:
            continue
        except OSError as error:
            faults.add(str(file.path), record, expected="a readable file", got=error.strerror or str(error))
            continue
        if photo is not None:
            yield image, photo


def _by_name(
    workspace: Workspace, file: CocoFile, source: str | None, faults: Faults
) -> Iterator[tuple[CocoImage, ImageRecord]]:
    photos = photos_by_name(workspace, (_stem(image.file_name) for image in file.images.values()))
    for image in file.images.values():
        named = [photo for photo in photos.get(_stem(image.file_name), []) if source in (None, photo.source)]
        meant = _nearest(image.file_name, named)
        if len(meant) == 1:
            yield image, meant[0]
        elif meant:
            places = ", ".join(f"{photo.source}: {photo.uri}" for photo in meant[:3])
            faults.add(
                str(file.path),
                f"image {image.id} {image.file_name}",
                expected="one photo of this name",
                got=f"{len(meant)} ({places})",
                remedy=_REMEDY,
            )


def _nearest(file_name: str, photos: Sequence[ImageRecord]) -> list[ImageRecord]:
    """Of photos of one name, those whose folders agree with the file name's the furthest up."""
    depths = [_shared_folders(file_name, photo.uri) for photo in photos]
    return [photo for photo, depth in zip(photos, depths, strict=True) if depth == max(depths)]


def _shared_folders(file_name: str, uri: str) -> int:
    pairs = zip(_path(file_name).parts[-2::-1], PurePosixPath(uri).parts[-2::-1], strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _stem(file_name: str) -> str:
    return _path(file_name).stem


def _path(file_name: str) -> PurePosixPath:
    return PurePosixPath(file_name.replace("\\", "/"))
