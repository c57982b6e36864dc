"""Object masks, attribute masks and labels of a user's own RIVAL10 folder, as accepted answers.

The files are read as the authors' loader reads them (mmoayeri/RIVAL10, ``datasets/local_rival10.py`` and its rewrite on
the branch ``main``), but for what is dangerous: pickles are held to plain text, arrays to numbers.
"""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from figureground.annotate.imports.answers import (
    ImportedAnswer,
    ImportOrigin,
    ImportReport,
    agree_with_labels,
    note_rotation,
    require_source,
    store_answer,
)
from figureground.annotate.imports.photo_names import PhotoNames
from figureground.annotate.imports.plain_pickle import read_plain_dict
from figureground.errors import DataError, UsageError, shell_word
from figureground.runtime.progress import Progress
from figureground.schemas.attributes import OBJECT, AttributeSchema
from figureground.schemas.rasters.arrays import read_array
from figureground.schemas.rasters.masks import Mask
from figureground.schemas.rasters.sizes import spell_size
from figureground.schemas.records import ImageRecord
from figureground.schemas.sources.rival10 import (
    ATTRIBUTE_LABELS,
    ATTRIBUTE_MASKS,
    OBJECT_MASKS,
    ORDINARY,
    RIVAL10_SPLITS,
    find_rival10,
)
from figureground.schemas.store.workspace import Workspace

ENTIRE_OBJECT: Final = "entire-object"
_DATA_URL: Final = b"data:image/png;base64,"
_MOST_PIXELS: Final = 25_000_000  # of a canvas that somebody painted on in a browser
_MOST_LABEL_BYTES: Final = 1_000_000
_SURE: Final = 128  # a JPEG mask rings at its edge; the middle of its greys is where the edge was


@dataclass(frozen=True, slots=True)
class _Instance:
    """The files of one photo."""

    stem: str
    labels: Path
    masks: Path
    object_mask: Path

    def names(self) -> tuple[str, str]:
        """The photo's name here, and in an ImageNet folder, which lacks the label before it."""
        return self.stem, self.stem.partition("_")[2]


def import_rival10(
    workspace: Workspace,
    folder: Path,
    origin: ImportOrigin,
    *,
    source: str | None = None,
    progress: Progress = lambda *_: None,
) -> ImportReport:
    """Import the masks and labels of the unaltered photos; a second import of the same folder changes nothing.

    Photos are found by their names, in the RIVAL10 folder itself (indexed before) or in an ImageNet folder: masks of
    another size than the stored photo are resized by nearest neighbour. Global attributes have a label alone, for their
    masks are copies of the object's; photos without an object mask are left out and counted.

    Args:
        workspace: Where the photos are catalogued.
        folder: RIVAL10, or the folder that holds it.
        origin: Whose masks they are; its schema names the columns of the labels, in their order.
        source: Look at photos of this source only.
        progress: Called after every photo with ("import", done, total).

    Raises:
        UsageError: if there is no such folder or source, or no schema.
        DataError: at the end, with every file at fault, and the report; answers of photos that no fault is about were
            stored. Also if none of the photos is catalogued.
    """
    origin.require_valid()
    root = find_rival10(folder)
    if root is None:
        raise UsageError(f"{folder}: found no {'/'.join(('train', ORDINARY))} with files *{ATTRIBUTE_LABELS}")
    if origin.schema is None:
        raise UsageError("labels of attributes are numbers in a row: say with --attributes what they mean")
    require_source(workspace, source)
    report = ImportReport()
    instances = list(_instances(root))
    matched = _match(workspace, instances, source, report)
    for done, (instance, image) in enumerate(matched, start=1):
        answer = _read(instance, image, origin.schema, report)
        if answer is not None:
            store_answer(workspace, answer, origin, report)
        progress("import", done, len(matched))
    report.faults.raise_if_any(report)
    return report


def decode_canvas(encoded: str | bytes, *, where: str, record: str = "") -> Mask:
    """A mask that was painted on a browser's canvas, ``(H, W)`` bool: PNG in base64, with or without a data URL's head.

    A pixel is True where its channels add up to more than nothing, which is the loader's rule (the branch ``main``; the
    older loader rounds anything short of full strength down, which differs on half-transparent rims only).

    Raises:
        DataError: if it is no base64, no PNG, damaged, or larger than 25 megapixels.
    """
    try:
        text = b"".join((encoded.encode("ascii") if isinstance(encoded, str) else encoded).split())
        data = base64.b64decode(text.removeprefix(_DATA_URL), validate=True)
    except ValueError as error:
        raise DataError.single(where, record, expected="a PNG in base64", got=str(error)) from error
    return _decode(data, "PNG", where=where, record=record) > 0


def _decode(data: bytes, format_name: str, *, where: str, record: str) -> NDArray[np.uint8]:
    """The strongest channel of each pixel, ``(H, W)``; a bomb is refused before it is unpacked."""
    expected = f"a whole {format_name} of at most {_MOST_PIXELS} pixels"
    lenient, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False  # others switch it on globally
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the size is judged here
            with Image.open(io.BytesIO(data), formats=["PNG", format_name]) as image:
                if image.width * image.height > _MOST_PIXELS or image.mode not in ("1", "L", "LA", "RGB", "RGBA"):
                    got = f"{spell_size((image.height, image.width))} of mode {image.mode}"
                    raise DataError.single(where, record, expected=expected, got=got)
                pixels = np.asarray(image.convert("L") if image.mode == "1" else image)
    except DataError:
        raise
    except Exception as error:  # Pillow's parsers raise nearly anything on damaged bytes
        got = f"a damaged one: {error or type(error).__name__}"
        raise DataError.single(where, record, expected=expected, got=got) from error
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = lenient
    channels = np.moveaxis(pixels.reshape(*pixels.shape[:2], -1), 2, 0)
    return np.asarray(reduce(np.maximum, channels))  # eight times as fast as max(axis=2)


def _instances(root: Path) -> Iterator[_Instance]:
    for split in RIVAL10_SPLITS:
        for labels in sorted((root / split / ORDINARY).glob(f"*{ATTRIBUTE_LABELS}")):
            stem = labels.name.removesuffix(ATTRIBUTE_LABELS)
            yield _Instance(
                stem, labels, labels.with_name(f"{stem}{ATTRIBUTE_MASKS}"), root / split / OBJECT_MASKS / f"{stem}.JPEG"
            )


def _match(
    workspace: Workspace, instances: list[_Instance], source: str | None, report: ImportReport
) -> list[tuple[_Instance, ImageRecord]]:
    """Each instance with its photo; those that are not catalogued are named in the report."""
    names = PhotoNames(workspace, (name for instance in instances for name in instance.names()), source=source)
    by_stem = names.match(instance.stem for instance in instances)
    lacking = {instance.names()[1] for instance in instances if by_stem[instance.stem].absent}
    by_imagenet_name = names.match(sorted(lacking))
    owners: dict[str, list[tuple[_Instance, ImageRecord]]] = {}
    for instance in instances:
        match = by_stem[instance.stem]
        if match.absent:
            match = by_imagenet_name[instance.names()[1]]
        if match.image is not None:
            owners.setdefault(match.image.image_id, []).append((instance, match.image))
        elif match.absent:
            reason = "" if match.got == "none" else f" ({match.got})"
            report.not_indexed.append(f"{instance.stem}{reason}")
        else:
            match.add_fault(report.faults, str(instance.labels), "", remedy="choose one source with --source")
    for alike in owners.values():
        if len(alike) > 1:
            report.faults.add(
                str(alike[0][0].labels),
                "",
                expected=f"one set of files for the photo {alike[0][1].uri}",
                got=", ".join(str(instance.labels) for instance, _ in alike[1:]) + " as well",
                remedy="take out those that are of another photo",
            )
    matched = [alike[0] for alike in owners.values() if len(alike) == 1]
    if not matched and not len(report.faults):
        report.faults.add(
            str(instances[0].labels.parent.parent.parent),
            "",
            expected="photos that are in the workspace",
            got="none",
            remedy=f"index the folder first: figureground index FOLDER -w {shell_word(workspace.root)} --kind rival10",
        )
    return matched


def _read(
    instance: _Instance, image: ImageRecord, schema: AttributeSchema, report: ImportReport
) -> ImportedAnswer | None:
    """The answer for one photo, or None where its files have faults or there is no object mask."""
    try:
        attributes = _read_labels(instance.labels, schema)
        painted = dict(_read_masks(instance, schema))
    except DataError as error:
        report.faults.extend(error.faults)
        return None
    if OBJECT not in painted:
        report.without_mask += 1
        return None
    sizes = {mask.shape for mask in painted.values()} - {image.size_hw}
    report.resized += bool(sizes)
    note_rotation(image, report, resized=True)
    masks = {name: _resized(mask, image.size_hw) for name, mask in painted.items()}
    masks = {name: mask for name, mask in masks.items() if mask.any()}
    agreeing = agree_with_labels(masks, attributes, schema, report)
    shown = ", ".join(map(spell_size, sorted(sizes)))
    remark = f"masks resized by nearest neighbour from {shown} to {spell_size(image.size_hw)}" if sizes else ""
    return ImportedAnswer(image=image, masks=agreeing, attributes=attributes, remark=remark)


def _read_labels(path: Path, schema: AttributeSchema) -> Mapping[str, bool | None]:
    """Row 0 of the labels. Row 1 marks the attributes that were altered; in an ordinary photo none are."""
    data = _bytes(path, _MOST_LABEL_BYTES)
    names = schema.names()
    expected = f"2 x {len(names)} numbers, 0 or 1, as {schema.label} has attributes"
    array = read_array(data, where=str(path), expected=expected)
    if array.shape != (2, len(names)) or not np.isin(array, (0, 1)).all():
        got = f"shape {array.shape}, dtype {array.dtype}"
        raise DataError.single(str(path), "", expected=expected, got=got, remedy="name the attributes: --attributes")
    if array[1].any():
        changed = ", ".join(name for name, value in zip(names, array[1], strict=True) if value)
        raise DataError.single(str(path), "row 1", expected="zeros: an unaltered photo", got=f"{changed} altered")
    return {name: bool(value) for name, value in zip(names, array[0], strict=True)}


def _read_masks(instance: _Instance, schema: AttributeSchema) -> Iterator[tuple[str, Mask]]:
    """Masks that have a pixel: of the object, and of local attributes."""
    where = str(instance.masks)
    encoded = read_plain_dict(_bytes(instance.masks), where=where)
    if strange := sorted(set(encoded) - {ENTIRE_OBJECT, *schema.names()}):
        raise DataError.single(where, "", expected=f"attributes of {schema.label}", got=", ".join(map(repr, strange)))
    for name, value in encoded.items():
        if name == ENTIRE_OBJECT or name in schema.names("local"):
            painted = decode_canvas(value, where=where, record=name)
            if painted.any():
                yield OBJECT if name == ENTIRE_OBJECT else name, painted
    if ENTIRE_OBJECT not in encoded and instance.object_mask.is_file():
        where = str(instance.object_mask)
        mask = _decode(_bytes(instance.object_mask), "JPEG", where=where, record="") >= _SURE
        if mask.any():
            yield OBJECT, mask


def _bytes(path: Path, most: int = 1 << 30) -> bytes:
    try:
        if path.stat().st_size > most:
            raise DataError.single(str(path), "", expected=f"at most {most} bytes", got=f"{path.stat().st_size}")
        return path.read_bytes()
    except OSError as error:
        raise DataError.single(str(path), "", expected="a readable file", got=error.strerror or str(error)) from error


def _resized(mask_hw: Mask, size_hw: tuple[int, int]) -> Mask:
    if mask_hw.shape == tuple(size_hw):
        return mask_hw
    picture = Image.fromarray(mask_hw.astype(np.uint8)).resize((size_hw[1], size_hw[0]), Image.Resampling.NEAREST)
    return np.asarray(picture).astype(np.bool_)
