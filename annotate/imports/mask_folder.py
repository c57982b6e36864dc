"""A folder of PNG masks that somebody made: ``<photo>.png`` of objects, ``<attribute>/<photo>.png`` of their parts."""

from __future__ import annotations

import csv
import io
import re
import warnings
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageFile

from figureground.annotate.imports.answers import (
    ImportedAnswer,
    ImportOrigin,
    ImportReport,
    agree_with_labels,
    photos_by_name,
    require_source,
    store_answer,
)
from figureground.errors import DataError, Faults, UsageError
from figureground.runtime.progress import Progress
from figureground.schemas.attributes import OBJECT, AttributeSchema
from figureground.schemas.rasters.masks import Mask
from figureground.schemas.records import ImageRecord
from figureground.schemas.store.workspace import Workspace

ATTRIBUTE_TABLE: Final = "attributes.csv"
_COLUMNS: Final = ("file", "attribute", "value")
_ENDING: Final = re.compile(r"\.(png|jpe?g|webp|bmp|gif|tiff?)$", re.IGNORECASE)
_VALUES: Final[dict[str, bool | None]] = {"true": True, "false": False, "unsure": None}
_MOST_BYTES: Final = 100_000_000  # a PNG mask of 100 megapixels has less than 13 MB; more would only exhaust memory


@dataclass(slots=True)
class _Folder:
    """What a folder of masks holds, by the name of the photo."""

    masks: dict[str, dict[str, Path]] = field(default_factory=lambda: defaultdict(dict))
    """Photo's name to mask name to file."""
    labels: dict[str, dict[str, bool | None]] = field(default_factory=lambda: defaultdict(dict))
    """Photo's name to attribute to its value in the table."""
    asked: set[str] = field(default_factory=set)
    """Local attributes that have a folder: a photo without a file there lacks the attribute."""

    def names(self) -> set[str]:
        return {*self.masks, *self.labels}


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
    ``<photo>`` is the photo's file name without its ending, or its image_id. ``attributes.csv`` (file, attribute, value
    of true, false or unsure) has the rest: what it does not name is present where there is a mask, absent where the
    attribute has a folder without one, and not known otherwise.

    Args:
        workspace: Where the photos are catalogued.
        folder: The masks: 1-bit PNG, or 8-bit grey PNG of 0 and one other value, of the photos' stored size.
        origin: Whose they are.
        source: Look at photos of this source only.
        progress: Called after every photo with ("import", done, total).

    Raises:
        UsageError: if there is no such folder or source, or the origin is missing.
        DataError: at the end, with every fault of the folder by file; answers of faultless photos were stored.
    """
    origin.require_valid()
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder of masks")
    require_source(workspace, source)
    faults, report = Faults(), ImportReport()
    contents = _look(folder, origin.schema, faults)
    photos = _match(workspace, contents, folder, source, faults)
    counted = [image for image in workspace.images() if source in (None, image.source)]
    report.without_mask = len(counted) - len({image.image_id for image in photos.values()})
    for done, (name, image) in enumerate(photos.items(), start=1):
        answer = _read(folder / f"{name}.png", image, contents, origin.schema, faults, report)
        if answer is not None:
            store_answer(workspace, answer, origin, report)
        progress("import", done, len(photos))
    faults.raise_if_any()
    return report


def read_png_mask(path: Path, size_hw: tuple[int, int], *, record: str = "") -> Mask:
    """Read a PNG mask, ``(H, W)`` bool: 1-bit, or 8-bit grey that holds 0 and one other value.

    Args:
        path: The file.
        size_hw: The size that it must have, its photo's stored one.
        record: What to call it in an error.

    Raises:
        DataError: if it is no such PNG: other greys would need a threshold, which is a choice.
    """
    expected = f"a 1-bit or black-and-white PNG of {size_hw[1]}x{size_hw[0]} (width x height)"
    lenient, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False  # others switch it on globally
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError.single(str(path), record, expected=expected, got=f"{path.stat().st_size} bytes")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the size is judged here
            with Image.open(io.BytesIO(path.read_bytes()), formats=["PNG"]) as image:
                if image.mode not in ("1", "L") or (image.height, image.width) != tuple(size_hw):
                    got = f"{image.width}x{image.height} of mode {image.mode}"
                    remedy = "masks are in the photo's stored pixels, before any EXIF rotation"
                    raise DataError.single(str(path), record, expected=expected, got=got, remedy=remedy)
                pixels = np.array(image)
    except DataError:
        raise
    except Exception as error:  # Pillow's parsers raise nearly anything on damaged bytes
        got = f"a damaged one: {error or type(error).__name__}"
        raise DataError.single(str(path), record, expected=expected, got=got) from error
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = lenient
    values = np.unique(pixels)
    if len(values[values > 0]) > 1:
        raise DataError.single(
            str(path),
            record,
            expected="0 and one other value",
            got=f"{len(values)} greys",
            remedy="choose a threshold and save the mask in black and white",
        )
    return pixels.astype(np.bool_)


def _look(folder: Path, schema: AttributeSchema | None, faults: Faults) -> _Folder:
    """Every file of the folder by photo and mask name; a file that belongs to neither is a fault."""
    contents = _Folder()
    local = schema.names("local") if schema else ()
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.name == ATTRIBUTE_TABLE:
            _read_table(path, schema, contents, faults)
        elif path.is_dir() and path.name in local:
            contents.asked.add(path.name)
            for mask in sorted(path.iterdir()):
                _place(mask, path.name, contents, faults)
        elif path.is_dir():
            asked = f"of {schema.label}: {', '.join(local) or 'none'}" if schema else "of the schema: --attributes"
            faults.add(str(path), "", expected=f"a folder of a local attribute {asked}", got=f"{path.name!r}")
        else:
            _place(path, OBJECT, contents, faults)
    if not contents.names():
        faults.add(str(folder), "", expected="masks called after their photos, such as 0001.png", got="none")
    return contents


def _place(path: Path, name: str, contents: _Folder, faults: Faults) -> None:
    if path.name.startswith("."):
        return
    if path.suffix.lower() != ".png" or not path.is_file():
        faults.add(str(path), "", expected="a PNG mask", got="something else", remedy="take it out of the folder")
    else:
        contents.masks[path.stem][name] = path


def _read_table(path: Path, schema: AttributeSchema | None, contents: _Folder, faults: Faults) -> None:
    """Add the rows of ``attributes.csv`` to ``contents``; every bad one is a fault."""
    known = schema.names() if schema else ()
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if missing := [name for name in _COLUMNS if name not in (reader.fieldnames or [])]:
                got = f"none called {', '.join(missing)}"
                faults.add(str(path), "header", expected=f"the columns {', '.join(_COLUMNS)}", got=got)
                return
            rows = [(f"line {reader.line_num}", *((row[name] or "").strip() for name in _COLUMNS)) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        faults.add(str(path), "", expected="a CSV file in UTF-8", got=str(error))
        return
    for line, file_name, attribute, value in rows:
        stem = _ENDING.sub("", file_name.rpartition("/")[2])
        if attribute not in known:
            asked = ", ".join(known) or "a schema, with --attributes"
            faults.add(str(path), line, expected=f"one of {asked}", got=f"{attribute!r}")
        elif value.lower() not in _VALUES or not stem:
            expected = f"a file and one of {', '.join(_VALUES)}"
            faults.add(str(path), line, expected=expected, got=f"{file_name!r} and {value!r}")
        elif contents.labels[stem].setdefault(attribute, _VALUES[value.lower()]) is not _VALUES[value.lower()]:
            faults.add(str(path), line, expected=f"one value of {attribute} for {stem}", got="two")


def _match(
    workspace: Workspace, contents: _Folder, folder: Path, source: str | None, faults: Faults
) -> dict[str, ImageRecord]:
    """The photo that each name means; names that mean none, or several, are faults."""
    photos = photos_by_name(workspace, contents.names())
    matched: dict[str, ImageRecord] = {}
    taken: dict[str, str] = {}
    for name in sorted(contents.names()):
        where = str(next(iter(contents.masks.get(name, {}).values()), folder / ATTRIBUTE_TABLE))
        meant = [image for image in photos.get(name, []) if source in (None, image.source)]
        if not meant:
            faults.add(
                where,
                name,
                expected="a photo of this name in the workspace",
                got="none",
                remedy="index the photos first, or take the file out",
            )
        elif len(meant) > 1:
            places = ", ".join(f"{image.source}: {image.uri}" for image in meant[:3])
            faults.add(
                where,
                name,
                expected="one photo of this name",
                got=f"{len(meant)} ({places})",
                remedy="name the mask by the photo's image_id, or choose one source with --source",
            )
        elif meant[0].image_id in taken:
            faults.add(where, name, expected="one name for a photo", got=f"{taken[meant[0].image_id]} as well")
        else:
            matched[name] = meant[0]
            taken[meant[0].image_id] = name
    return matched


def _read(
    path: Path,
    image: ImageRecord,
    contents: _Folder,
    schema: AttributeSchema | None,
    faults: Faults,
    report: ImportReport,
) -> ImportedAnswer | None:
    """The answer for the photo whose object mask is ``path``, or None where its files have faults."""
    before, name = len(faults), path.stem
    masks = dict(_masks(contents.masks.get(name, {}), image, faults))
    if OBJECT not in contents.masks.get(name, {}):
        faults.add(str(path), "", expected="an object mask beside its attributes", got="none")
    elif OBJECT not in masks and len(faults) == before:
        faults.add(str(path), "", expected="an object of at least one pixel", got="an empty mask")
    if len(faults) > before:
        return None
    if schema is None:
        return ImportedAnswer(image=image, masks=masks, attributes={})
    labels = contents.labels.get(name, {})
    attributes = {
        attribute: labels.get(attribute, True if attribute in masks else False if attribute in contents.asked else None)
        for attribute in schema.names()
    }
    agreeing = agree_with_labels(masks, attributes, schema, report)
    return ImportedAnswer(image=image, masks=agreeing, attributes=attributes)


def _masks(files: dict[str, Path], image: ImageRecord, faults: Faults) -> Iterator[tuple[str, Mask]]:
    """Masks that have a pixel; damaged ones are faults."""
    for name, path in files.items():
        try:
            mask = read_png_mask(path, image.size_hw)
        except DataError as error:
            faults.extend(error.faults)
            continue
        if mask.any():
            yield name, mask
