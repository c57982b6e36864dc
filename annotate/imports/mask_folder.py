"""A folder of PNG masks that somebody made: of objects, and of their parts in folders of attributes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from figureground.annotate.imports.answers import (
    ImportedAnswer,
    ImportOrigin,
    ImportReport,
    agree_with_labels,
    note_rotation,
    require_source,
    store_answer,
)
from figureground.annotate.imports.mask_files import ATTRIBUTE_TABLE, MaskFiles, read_mask_files, refuse_strange_folders
from figureground.annotate.imports.photo_names import PhotoMatch, PhotoNames
from figureground.annotate.imports.png_masks import read_png_mask
from figureground.errors import DataError, Faults, UsageError, listed
from figureground.runtime.progress import Progress
from figureground.schemas.attributes import OBJECT, AttributeSchema
from figureground.schemas.rasters.masks import Mask
from figureground.schemas.records import ImageRecord
from figureground.schemas.store.workspace import Workspace


@dataclass(slots=True)
class _Photo:
    """What a folder holds of one photo."""

    image: ImageRecord
    masks: dict[str, Path] = field(default_factory=dict)
    """Mask name to file."""
    labels: dict[str, bool | None] = field(default_factory=dict)
    """Attribute to its value in the table."""


@dataclass(slots=True)
class _Photos:
    """What a folder holds, by photo."""

    known: dict[str, _Photo] = field(default_factory=dict)
    """By image_id."""
    barred: set[str] = field(default_factory=set)
    """Ids of photos that a fault is about."""

    def of(self, image: ImageRecord) -> _Photo:
        """The entry of a photo, made if there is none."""
        return self.known.setdefault(image.image_id, _Photo(image))

    def bar(self, match: PhotoMatch) -> None:
        """Keep out all photos that a name may mean."""
        self.barred.update(image.image_id for image in match.fits)


def import_mask_folder(
    workspace: Workspace,
    folder: Path,
    origin: ImportOrigin,
    *,
    source: str | None = None,
    progress: Progress = lambda *_: None,
) -> ImportReport:
    """Import a folder of masks as accepted answers; a second import of the same folder changes nothing.

    ``FOLDER/<photo>.png`` is an object mask, ``FOLDER/<attribute>/<photo>.png`` that of a local attribute, where
    ``<photo>`` is the photo's file name without its ending, with as many of the folders around it as are needed, or
    its image_id. ``attributes.csv`` (file, attribute, value of true, false or unsure) has the rest: what it does not
    name is present where there is a mask, absent where the attribute has a folder without one, and not known otherwise.

    Args:
        workspace: Where the photos are catalogued.
        folder: The masks: 1-bit PNG, or 8-bit grey PNG of 0 and one other value, of the photos' stored size.
        origin: Whose they are.
        source: Look at photos of this source only.
        progress: Called after every photo with ("import", done, total).

    Raises:
        UsageError: if there is no such folder or source, or the origin is missing.
        DataError: at the end, with every fault of the folder by file, and the report; answers of photos that no fault
            is about were stored.
    """
    origin.require_valid()
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder of masks")
    require_source(workspace, source)
    report = ImportReport()
    files = read_mask_files(folder, origin.schema, report.faults)
    report.passed_over += files.passed_over
    names = PhotoNames(workspace, files.names(), source=source)
    photos = _match(names, files, folder, origin.schema, report.faults)
    report.without_mask = names.photos - len(photos.known)
    for done, photo in enumerate(sorted(photos.known.values(), key=lambda photo: photo.image.image_id), start=1):
        answer = _read(photo, folder, files, origin.schema, report)
        if answer is not None and photo.image.image_id not in photos.barred:
            store_answer(workspace, answer, origin, report)
        progress("import", done, len(photos.known))
    report.faults.raise_if_any(report)
    return report


def _match(
    names: PhotoNames, files: MaskFiles, folder: Path, schema: AttributeSchema | None, faults: Faults
) -> _Photos:
    """What the folder holds of each photo; names that mean none, or several, are faults."""
    photos, blamed = _Photos(), refuse_strange_folders(folder, files, schema, names.folders, faults)
    for match in names.match(sorted(files.barred | blamed), competing=False).values():
        photos.bar(match)
    for mask, named in files.masks.items():
        for name, match in names.match(sorted(named)).items():
            if match.image is not None:
                photos.of(match.image).masks[mask] = named[name]
            elif name not in blamed:
                photos.bar(match)
                _refuse(match, str(named[name]), name, faults)
                blamed.add(name)
    where = str(folder / ATTRIBUTE_TABLE)
    by_name = names.match([row.name for row in files.rows], competing=False)
    lines: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in files.rows:
        match = by_name[row.name]
        if match.image is None:
            photos.bar(match)
            if row.name not in blamed:
                _refuse(match, where, f"{row.line}: {row.name}", faults)
                blamed.add(row.name)
            continue
        photo = photos.of(match.image)
        lines[match.image.image_id, row.attribute].append(row.line)
        if photo.labels.setdefault(row.attribute, row.value) is not row.value:
            got = f"another in {listed(lines[match.image.image_id, row.attribute][:-1])}"
            expected = f"one value of {row.attribute} for {match.image.uri}"
            faults.add(where, row.line, expected=expected, got=got)
            photos.bar(match)
    return photos


def _refuse(match: PhotoMatch, where: str, name: str, faults: Faults) -> None:
    if match.absent:
        known = "take the file out, or name it as the photo is called"
        remedy = "index the photos first, or take the file out" if match.got == "none" else known
    else:
        remedy = "name it with the folders around the photo or by its image_id, or choose one source with --source"
    match.add_fault(faults, where, name, remedy=remedy)


def _read(
    photo: _Photo, folder: Path, files: MaskFiles, schema: AttributeSchema | None, report: ImportReport
) -> ImportedAnswer | None:
    """The answer for a photo, or None where its files have faults."""
    before, faults = len(report.faults), report.faults
    masks = dict(_masks(photo, faults))
    where = str(photo.masks.get(OBJECT, folder / f"{Path(photo.image.uri).stem}.png"))
    if OBJECT not in photo.masks:
        faults.add(where, "", expected="an object mask beside its attributes", got="none")
    elif OBJECT not in masks and len(faults) == before:
        faults.add(where, "", expected="an object of at least one pixel", got="an empty mask")
    if len(faults) > before:
        return None
    note_rotation(photo.image, report)
    if schema is None:
        return ImportedAnswer(image=photo.image, masks=masks, attributes={})
    attributes = _attributes(photo.labels, masks, files, schema)
    agreeing = agree_with_labels(masks, attributes, schema, report)
    return ImportedAnswer(image=photo.image, masks=agreeing, attributes=attributes)


def _attributes(
    labels: Mapping[str, bool | None], masks: Mapping[str, Mask], files: MaskFiles, schema: AttributeSchema
) -> dict[str, bool | None]:
    """What the table says of each attribute, else what the masks do."""
    return {
        attribute: labels.get(attribute, True if attribute in masks else False if attribute in files.asked else None)
        for attribute in schema.names()
    }


def _masks(photo: _Photo, faults: Faults) -> Iterator[tuple[str, Mask]]:
    """Masks that have a pixel; damaged ones are faults."""
    for name, path in photo.masks.items():
        try:
            mask = read_png_mask(path, photo.image)
        except DataError as error:
            faults.extend(error.faults)
            continue
        if mask.any():
            yield name, mask
