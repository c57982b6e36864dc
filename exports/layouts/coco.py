"""COCO's layout, ``annotations/instances_<split>.json`` beside ``images/<split>``, with masks as they are.

A mask is one annotation with a compressed RLE and ``iscrowd`` 0, which pycocotools, supervision and Datumaro read; a
polygon would fill holes and tear islands apart. Category ids count from 1, because Datumaro takes 0 for no class.
Masks of attributes stand in a file of their own, ``attributes_<split>.json``, so that whoever trains on the objects
meets the dataset's classes and one annotation an object; ``obj_ann_id`` leads to the object, as in PACO.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from figureground.errors import DataError, Faults
from figureground.exports.dataset.folder import DatasetFolder
from figureground.exports.layouts.published_rows import (
    export_key,
    exported_before,
    new_folder,
    note_export,
    read_row_masks,
    require_images,
    row_name,
)
from figureground.runtime.files import csv_text, write_text
from figureground.runtime.progress import Progress
from figureground.schemas.attributes import OBJECT
from figureground.schemas.classes import ClassMap
from figureground.schemas.rasters.masks import Mask, encode_coco_rle, tight_box
from figureground.schemas.records import NAME_PATTERN, NAME_WORDS, canonical_json

LABELS: Final = "labels.csv"
_COLUMNS: Final = (
    "image",
    "label",
    "image_id",
    "source_label",
    "draw",
    "attribute",
    "object_mask",
    "ground_id",
    "attributes",
    "attribute_masks",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CocoLayout:
    """What was written."""

    folder: Path
    config: str
    images: Mapping[str, int]
    """Split to number of images."""
    objects: int
    """Annotations of objects."""
    without_object: int
    """Images whose object has no pixel on the canvas; they have no annotation."""
    attribute_masks: int
    """Annotations of attributes."""
    unknown: int
    """Attributes that nobody was sure of; they are left out of their object's ``attributes``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _LabelRow:
    """A row of ``labels.csv``, which ``figureground index --labels`` reads."""

    file: str
    label: str
    split: str


@dataclass(slots=True)
class _Split:
    """What the files of one split hold."""

    images: list[dict[str, Any]] = field(default_factory=list)
    objects: list[dict[str, Any]] = field(default_factory=list)
    parts: list[dict[str, Any]] = field(default_factory=list)
    """Annotations of attributes, whose ``category_id`` is the attribute's name until all names are known."""


def export_coco(
    repository: Path, out: Path, *, config: str = "original", progress: Progress = lambda *_: None
) -> CocoLayout:
    """Write one config of a dataset in COCO's layout, whole or not at all: canvases, and masks in canvas pixels.

    ``OUT/labels.csv`` has each image's source label and split, so that ``OUT/images`` can be indexed again.

    Args:
        repository: Folder of a dataset.
        out: Folder to make.
        config: Config to write.
        progress: Called with (stage, done, total).

    Raises:
        UsageError: if ``out`` exists, ``repository`` is no dataset or has no such config, or its rows hold no images.
        DataError: with every row whose image or masks are damaged or of another size, whose label is no class, or that
            is named like a path or like another row.
    """
    key = export_key(repository, "coco", config)
    if (earlier := exported_before(out, key, CocoLayout)) is not None:
        return earlier
    with new_folder(out) as partial:
        dataset = DatasetFolder.open(repository)
        require_images(dataset, [config])
        tree = _Tree(partial, dataset.class_map)
        tree.write(dataset, config, progress)
        splits = tree.splits
        report = CocoLayout(
            folder=out,
            config=config,
            images={name: len(splits[name].images) for name in sorted(splits)},
            objects=sum(len(split.objects) for split in splits.values()),
            without_object=tree.without_object,
            attribute_masks=sum(len(split.parts) for split in splits.values()),
            unknown=tree.unknown,
        )
        note_export(partial, key, report)
    return report


class _Tree:
    """The folders, while rows are written into them."""

    def __init__(self, folder: Path, classes: ClassMap) -> None:
        self.splits: dict[str, _Split] = defaultdict(_Split)
        self.without_object = 0
        self.unknown = 0
        self._folder = folder
        self._classes = classes
        self._labels: list[_LabelRow] = []
        self._faults = Faults()

    def write(self, dataset: DatasetFolder, config: str, progress: Progress) -> None:
        """Write all rows, then the files that speak of them; ``DataError`` with everything that is at fault."""
        total, done = dataset.count_rows(config), 0
        for split in dataset.splits(config):
            (self._folder / "images" / split).mkdir(parents=True, exist_ok=True)
            for row in dataset.rows(config, split, _COLUMNS):
                done += 1
                progress("export", done, total)
                try:
                    self._write_row(split, row)
                except DataError as error:
                    self._faults.extend(error.faults)
        self._faults.raise_if_any()
        self._write_annotations(config, dataset.attributes.names("local") if dataset.attributes else ())
        write_text(self._folder / LABELS, csv_text(_LabelRow, self._labels))

    def _write_row(self, split: str, row: Mapping[str, Any]) -> None:
        name, label = row_name(row), row["label"]
        if not NAME_PATTERN.fullmatch(name):
            raise DataError.single("image_id", repr(name), expected=NAME_WORDS, got="a name that could be a path")
        if label is None or not 0 <= label < len(self._classes.names):
            wanted = f"a label from 0 to {len(self._classes.names) - 1}"
            raise DataError.single("label", name, expected=wanted, got=str(label))
        path = self._folder / "images" / split / f"{name}.png"
        if path.exists():
            raise DataError.single("image_id", name, expected=f"one row of this name in {split}", got="two")
        masks = read_row_masks(row, name)
        path.write_bytes(row["image"]["bytes"])
        self._labels.append(_LabelRow(file=f"{split}/{path.name}", label=row["source_label"], split=split))
        self._add(self.splits[split], path.name, row, masks)

    def _add(self, split: _Split, file_name: str, row: Mapping[str, Any], masks: Mapping[str, Mask]) -> None:
        """Note an image, its object and its attributes, those that have a pixel."""
        height, width = masks[OBJECT].shape
        image_id = len(split.images) + 1
        split.images.append({"id": image_id, "file_name": file_name, "height": height, "width": width})
        answered = {name: value for name, value in (row["attributes"] or {}).items() if value is not None}
        self.unknown += len(row["attributes"] or {}) - len(answered)
        if not masks[OBJECT].any():
            self.without_object += 1
            return
        own = {"id": len(split.objects) + 1, "category_id": row["label"] + 1, "attributes": answered}
        split.objects.append({**_annotation(masks[OBJECT], image_id), **own})
        for name, mask in masks.items():
            if name != OBJECT and mask.any():
                own = {"id": len(split.parts) + 1, "category_id": name, "obj_ann_id": len(split.objects)}
                split.parts.append({**_annotation(mask, image_id), **own})

    def _write_annotations(self, config: str, local: Sequence[str]) -> None:
        """``instances_<split>.json``, and where the dataset has attributes with masks ``attributes_<split>.json``."""
        classes = [
            {"id": entry.index + 1, "name": entry.name, "wnids": list(entry.wnids)} for entry in self._classes.classes
        ]
        names = sorted({*local, *(part["category_id"] for split in self.splits.values() for part in split.parts)})
        numbers = {name: number for number, name in enumerate(names, start=1)}
        attributes = [{"id": number, "name": name} for name, number in numbers.items()]
        for name, split in self.splits.items():
            self._write_file(f"instances_{name}", config, classes, split.images, split.objects)
            if names:
                parts = [{**part, "category_id": numbers[part["category_id"]]} for part in split.parts]
                self._write_file(f"attributes_{name}", config, attributes, split.images, parts)

    def _write_file(self, name: str, config: str, categories: Any, images: Any, annotations: Any) -> None:  # noqa: ANN401
        # loadRes of pycocotools copies info, and fails where there is none
        content = {
            "info": {"description": f"{config}: {name}"},
            "licenses": [],
            "categories": categories,
            "images": images,
            "annotations": annotations,
        }
        path = self._folder / "annotations" / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        write_text(path, canonical_json(content) + "\n")


def _annotation(mask: Mask, image_id: int) -> dict[str, Any]:
    """What an annotation says of a mask that has a pixel."""
    x0, y0, x1, y1 = tight_box(mask) or (0, 0, 0, 0)
    rle = encode_coco_rle(mask)
    return {
        "image_id": image_id,
        "iscrowd": 0,
        "area": int(mask.sum()),
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "segmentation": {"size": list(rle.size_hw), "counts": rle.counts},
    }
