"""Rows of a dataset on disk, as every layout reads them: a dataset that somebody passed on is hostile input."""

from __future__ import annotations

import io
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from PIL import Image
from pydantic import TypeAdapter

from figureground.errors import DataError, UsageError
from figureground.exports.dataset.files import MANIFEST
from figureground.exports.dataset.folder import DatasetFolder
from figureground.runtime.files import file_sha256
from figureground.runtime.folders import MADE, made_before, note_made, unfinished_folder
from figureground.schemas.attributes import OBJECT
from figureground.schemas.rasters.masks import CocoRle, Mask, decode_coco_rle, decode_png1
from figureground.schemas.rasters.sizes import MOST_PIXELS, ORDER, spell_size
from figureground.schemas.records import content_id

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Report = TypeVar("Report")


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder to write into, which becomes ``out`` at the end, or nothing where something failed.

    Raises:
        UsageError: if ``out`` exists, another command is making it, or ``OUT.partial`` is not an export's.
    """
    with unfinished_folder(out, "export", "export", keeps=False) as partial:
        for entry in partial.iterdir():  # what a killed export left
            if not entry.name.startswith(".") or entry.name == MADE:
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        yield partial


def export_key(repository: Path, layout: str, *options: str) -> str:
    """What decides the files of an export: the dataset by its manifest, the layout and its options."""
    manifest = repository / MANIFEST
    digest = file_sha256(manifest) if manifest.is_file() else ""
    return content_id("export", digest, layout, *options)


def note_export(partial: Path, key: str, report: DataclassInstance) -> None:
    """Note in an unfinished export what is told of it, but not where it lies: it may be moved."""
    facts = {field.name: getattr(report, field.name) for field in fields(report) if field.name != "folder"}
    note_made(partial, key, facts)


def exported_before(out: Path, key: str, kind: type[Report]) -> Report | None:
    """The report of an export that stands in ``out`` already, whole and the very same; None where there is none."""
    made = made_before(out, key)
    try:
        return None if made is None else TypeAdapter(kind).validate_python({**made, "folder": out})
    except ValueError:
        return None


def require_images(dataset: DatasetFolder, configs: Sequence[str]) -> None:
    """Check that the rows of some configs hold their images.

    Raises:
        UsageError: if there is no such config, or its rows hold none.
    """
    shards = [shard for config in configs for shard in dataset.find_shards(config)]
    if any("image" not in dataset.columns(shard) for shard in shards):
        raise UsageError(
            f"{dataset.name}: its rows hold no images; build it with --pixels, or rebuild it from the photos"
        )


def row_name(row: Mapping[str, Any]) -> str:
    """A file's name without its ending: the photo's id, and of several rows of one photo what tells them apart."""
    return "_".join(filter(None, [row["image_id"], row["attribute"], row["ground_id"], str(row["draw"] or "")]))


def read_row_masks(row: Mapping[str, Any], name: str) -> dict[str, Mask]:
    """The masks of a row's object (``object``) and of its attributes, ``(H, W)`` bool in canvas pixels.

    Args:
        row: With the columns ``image``, ``object_mask`` and ``attribute_masks``.
        name: What to call it in an error.

    Raises:
        DataError: unless image and masks are whole and of one size, and no two masks are of one name.
    """
    size_hw = _png_size_hw(row["image"], "RGB", "image", name)
    mask_hw = _png_size_hw(row["object_mask"], "1", "object_mask", name)
    if mask_hw != size_hw:
        wanted, got = map(spell_size, (size_hw, mask_hw))
        raise DataError.single("object_mask", name, expected=f"{wanted} {ORDER} as its image", got=got)
    masks = {OBJECT: decode_png1(row["object_mask"]["bytes"], record=name)}
    for stored in row["attribute_masks"] or []:
        attribute = stored["attribute"]
        record = f"{name}: {attribute}"
        if attribute in masks:
            raise DataError.single("attribute_masks", record, expected="one mask of this name", got="two")
        if len(stored["size"]) != 2:
            raise DataError.single("attribute_masks", record, expected="height and width", got=str(stored["size"])[:80])
        rle = CocoRle(size_hw=(stored["size"][0], stored["size"][1]), counts=stored["counts"])
        masks[attribute] = decode_coco_rle(rle, size_hw=size_hw, record=record)
    return masks


def _png_size_hw(cell: Mapping[str, Any] | None, mode: str, where: str, name: str) -> tuple[int, int]:
    """Height and width of a PNG by its header alone: a bomb is refused before it is unpacked."""
    expected = f"a PNG of mode {mode} and at most {MOST_PIXELS} pixels"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the size is judged here
            with Image.open(io.BytesIO((cell or {}).get("bytes") or b""), formats=["PNG"]) as picture:
                size_hw, stored_mode = (picture.height, picture.width), picture.mode
    except Exception as error:  # Pillow's parsers raise nearly anything on damaged bytes
        got = str(error) or type(error).__name__
        raise DataError.single(where, name, expected=expected, got=got) from error
    if stored_mode != mode or size_hw[0] * size_hw[1] > MOST_PIXELS:
        raise DataError.single(where, name, expected=expected, got=f"{spell_size(size_hw)} of mode {stored_mode}")
    return size_hw
