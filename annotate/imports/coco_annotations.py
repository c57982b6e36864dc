"""COCO files as accepted answers, one for each photo that is catalogued."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from figureground.annotate.imports.answers import ImportOrigin, require_source, store_answer
from figureground.annotate.imports.coco_answers import AnswerReader, CocoChoices, CocoReport, PhotoEntry
from figureground.annotate.imports.coco_photos import match_photos
from figureground.errors import DataError, Faults, UsageError
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
    together: those of parts may be others than those of objects.

    Args:
        workspace: Where the photos are catalogued.
        files: The files.
        origin: Whose masks they are; with a schema, ``attributes`` of the annotations are read by it.
        choices: How they are read.
        progress: Called after every photo with ("import", done, total).

    Raises:
        UsageError: if there is no such file, folder or source, or the origin is missing.
        DataError: at the end, with every fault by file and annotation; answers of faultless photos were stored. Also if
            none of the images is in the workspace.
    """
    origin.require_valid()
    require_source(workspace, choices.source)
    if choices.images is not None and not choices.images.is_dir():
        raise UsageError(f"{choices.images}: no such folder of images")
    faults, report = Faults(), CocoReport()
    photos, entries = _match(workspace, _read_files(files, faults), choices, faults, report)
    reader = AnswerReader(origin.schema, choices, faults, report)
    for done, (image_id, listed) in enumerate(sorted(entries.items()), start=1):
        answer = reader.read(photos[image_id], listed)
        if answer is not None:
            store_answer(workspace, answer, origin, report)
        progress("import", done, len(entries))
    counted = sum(1 for photo in workspace.images() if choices.source in (None, photo.source))
    report.without_mask = counted - len(entries)
    reader.report_refused()
    faults.raise_if_any()
    return report


def _read_files(files: Iterable[Path], faults: Faults) -> list[CocoFile]:
    """The files that can be read."""
    readable: list[CocoFile] = []
    for path in files:
        try:
            readable.append(read_coco(path, faults))
        except DataError as error:
            faults.extend(error.faults)
    return readable


def _match(
    workspace: Workspace, files: Sequence[CocoFile], choices: CocoChoices, faults: Faults, report: CocoReport
) -> tuple[dict[str, ImageRecord], dict[str, list[PhotoEntry]]]:
    """Photos by image_id, and the entries of the files that have annotations of them."""
    photos: dict[str, ImageRecord] = {}
    entries: dict[str, list[PhotoEntry]] = defaultdict(list)
    for file in files:
        before = len(faults)
        matched = match_photos(workspace, file, folder=choices.images, source=choices.source, faults=faults)
        for image in file.images.values():
            photo = matched.get(image.id)
            if not file.annotations.get(image.id) and image.id not in file.faulty:
                continue
            if photo is None:
                report.not_indexed.append(image.file_name)
            else:
                photos[photo.image_id] = photo
                entries[photo.image_id].append(PhotoEntry(file, image))
        if not matched and len(faults) == before:
            faults.add(
                str(file.path),
                "",
                expected="images that are in the workspace",
                got="none",
                remedy="index the photos first; if their files are called otherwise, say with --images where they lie",
            )
    return photos, entries
