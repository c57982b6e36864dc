"""COCO files as accepted answers, one for each photo that is catalogued."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from figureground.annotate.imports.answers import ImportOrigin, require_source, store_answer
from figureground.annotate.imports.coco_answers import AnswerReader, CocoChoices, CocoReport, PhotoEntry
from figureground.annotate.imports.coco_categories import check_category_map
from figureground.annotate.imports.coco_photos import match_bytes, match_photos
from figureground.annotate.imports.photo_names import PhotoNames
from figureground.errors import DataError, UsageError
from figureground.runtime.progress import Progress
from figureground.schemas.records import ImageRecord
from figureground.schemas.sources.coco_files import CocoFile, read_coco
from figureground.schemas.store.workspace import Workspace


def import_coco(
    workspace: Workspace,
    files: Sequence[Path],
    origin: ImportOrigin,
    choices: CocoChoices,
    *,
    progress: Progress = lambda *_: None,
) -> CocoReport:
    """Import COCO files as accepted answers, one for each photo; a second import of the same files changes nothing.

    A photo's object is the union of its annotations whose category stands for the photo's label, groups (``iscrowd``)
    included. Annotations whose category is called like a local attribute of the schema are its masks. Files are taken
    together: those of parts may be others than those of objects, so that with a schema nothing is stored if one of
    them cannot be read.

    Args:
        workspace: Where the photos are catalogued.
        files: The files.
        origin: Whose masks they are; with a schema, ``attributes`` of the annotations are read by it.
        choices: How they are read.
        progress: Called after every photo with ("import", done, total).

    Raises:
        UsageError: if there is no such file, folder or source, or the origin is missing.
        DataError: at the end, with every fault by file and annotation, and the report; answers of photos that no fault
            is about were stored. Also if none of the images is in the workspace.
    """
    origin.require_valid()
    require_source(workspace, choices.source)
    if choices.images is not None and not choices.images.is_dir():
        raise UsageError(f"{choices.images}: no such folder of images")
    report = CocoReport()
    readable = _read_files(files, choices, report)
    if len(readable) < len(set(files)) and origin.schema is not None:
        report.faults.raise_if_any(report)
    matched = _match(workspace, readable, choices, report)
    reader = AnswerReader(origin.schema, choices, report)
    for done, (image_id, entries) in enumerate(sorted(matched.entries.items()), start=1):
        answer = None if image_id in matched.barred else reader.read(matched.photos[image_id], entries)
        if answer is not None:
            store_answer(workspace, answer, origin, report)
        progress("import", done, len(matched.entries))
    report.without_mask = matched.looked_at - len(matched.entries)
    reader.report_refused()
    report.faults.raise_if_any(report)
    return report


@dataclass(slots=True)
class _Matched:
    """Photos of the workspace that files speak of, by image_id."""

    photos: dict[str, ImageRecord] = field(default_factory=dict)
    entries: dict[str, list[PhotoEntry]] = field(default_factory=lambda: defaultdict(list))
    """The images of a photo that have annotations."""
    barred: set[str] = field(default_factory=set)
    """Photos that a fault is about."""
    looked_at: int = 0
    """Number of photos that there are."""


def _read_files(files: Sequence[Path], choices: CocoChoices, report: CocoReport) -> list[CocoFile]:
    """The files that can be read, their categories compared with the map."""
    readable: list[CocoFile] = []
    for path in dict.fromkeys(files):
        try:
            readable.append(read_coco(path, report.faults))
        except DataError as error:
            report.faults.extend(error.faults)
    if choices.categories is not None and readable:
        used = set[str]().union(*(check_category_map(choices.categories, file, report.faults) for file in readable))
        for word in sorted(set(choices.categories) - used):
            report.passed_over[f"category {word} of the map, which the files do not have"] += 1
    return readable


def _match(workspace: Workspace, files: Sequence[CocoFile], choices: CocoChoices, report: CocoReport) -> _Matched:
    """Photos, and the entries of the files that have annotations of them."""
    matched = _Matched()
    by_name = [] if choices.images else [image.file_name for file in files for image in file.images.values()]
    names = PhotoNames(workspace, by_name, source=choices.source)
    matched.looked_at = names.photos
    for file in files:
        before = len(report.faults)
        if choices.images:
            matches = match_bytes(workspace, file, choices.images, source=choices.source, faults=report.faults)
        else:
            matches = match_photos(names, file, report.faults)
        matched.barred |= matches.barred
        for image in file.images.values():
            if not file.annotations.get(image.id) and image.id not in file.faulty:
                continue
            if photo := matches.photos.get(image.id):
                matched.photos[photo.image_id] = photo
                matched.entries[photo.image_id].append(PhotoEntry(file, image))
            elif image.id in matches.absent:
                reason = matches.absent[image.id]
                report.not_indexed.append(image.file_name if reason == "none" else f"{image.file_name} ({reason})")
        if not matches.photos and not file.faulty and len(report.faults) == before:
            report.faults.add(
                str(file.path),
                "",
                expected="images that are in the workspace",
                got="none",
                remedy="index the photos first; if their files are called otherwise, say with --images where they lie",
            )
    return matched
