"""One photo's answer from its COCO annotations: the mask of its object, the single instances, its attributes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path
from typing import Final

import numpy as np

from figureground.annotate.imports.answers import (
    ImportedAnswer,
    ImportReport,
    agree_with_labels,
    note_rotation,
    size_remedy,
)
from figureground.annotate.imports.coco_categories import CategoryMap, category_has_label
from figureground.errors import DataError, listed
from figureground.schemas.attributes import OBJECT, AttributeSchema
from figureground.schemas.rasters.coco_masks import decode_polygons
from figureground.schemas.rasters.masks import Mask, decode_coco_rle
from figureground.schemas.rasters.sizes import ORDER, spell_size
from figureground.schemas.records import ImageRecord
from figureground.schemas.sources.coco_files import CocoAnnotation, CocoCategory, CocoFile, CocoImage
from figureground.schemas.sources.names import name_key

_VALUES: Final[dict[str, bool | None]] = {"true": True, "false": False, "unsure": None}

Parts = dict[str, list[tuple[Path, CocoAnnotation]]]
"""Mask name (``object`` or a local attribute) to the annotations that it is the union of, each with its file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CocoChoices:
    """How a COCO file is read."""

    images: Path | None = None
    """Folder of the file's images, to find photos by their bytes; None to find them by their names."""
    source: str | None = None
    """Look at photos of this source only."""
    categories: CategoryMap | None = None
    """Which labels the categories stand for; None where names or wnids decide."""
    polygons: bool = False
    """Fill polygons, which are lossy, instead of refusing them."""


@dataclass(slots=True, kw_only=True)
class CocoReport(ImportReport):
    """Counts of one import of COCO files."""

    united: int = 0
    """Photos whose object is the union of several annotations."""
    from_polygons: int = 0
    """Photos whose masks were filled from polygons."""
    crowds: int = 0
    """Annotations of groups (``iscrowd``), which are part of the object."""
    other_categories: Counter[str] = field(default_factory=Counter)
    """Category to number of annotations of something else than the photo's label names; they are passed over."""
    other_attributes: Counter[str] = field(default_factory=Counter)
    """Attribute that the schema does not know to number of annotations that have it; it is left out."""

    def warnings(self) -> list[str]:
        """Remarks for the person who imports, one line each."""
        lines = [
            (self.from_polygons, f"{self.from_polygons} photos have masks filled from polygons, which are lossy"),
            (self.crowds, f"{self.crowds} annotations of groups (iscrowd) are taken as part of the object"),
            (self.other_categories, f"passed over, of other categories: {_listed(self.other_categories)}"),
            (self.other_attributes, f"attributes left out, which no schema names: {_listed(self.other_attributes)}"),
        ]
        return [*ImportReport.warnings(self), *(line for count, line in lines if count)]


@dataclass(frozen=True, slots=True)
class PhotoEntry:
    """One file's image of a photo."""

    file: CocoFile
    image: CocoImage

    def annotations(self) -> list[tuple[CocoAnnotation, CocoCategory]]:
        """Its annotations, each with its category."""
        annotations = self.file.annotations.get(self.image.id, [])
        return [(annotation, self.file.categories[annotation.category_id]) for annotation in annotations]


class AnswerReader:
    """Reads one photo's answer after the other, and collects the annotations that it has to refuse."""

    def __init__(self, schema: AttributeSchema | None, choices: CocoChoices, report: CocoReport) -> None:
        self._schema = schema
        self._local = {name_key(name): name for name in schema.names("local")} if schema else {}
        self._choices = choices
        self._faults = report.faults
        self._report = report
        self._refused: dict[tuple[Path, str], list[int]] = defaultdict(list)

    def read(self, photo: ImageRecord, entries: Sequence[PhotoEntry]) -> ImportedAnswer | None:
        """The answer for one photo, or None where its annotations have faults."""
        if any(entry.image.id in entry.file.faulty for entry in entries):
            return None
        before = len(self._faults)
        for entry in entries:
            self._check_size(entry, photo)
        parts = self._sorted(photo, entries)
        if len(self._faults) > before:
            return None
        refused = sum(map(len, self._refused.values()))
        masks = {name: self._masks(annotations, photo) for name, annotations in parts.items()}
        attributes = self._attributes(parts[OBJECT])
        if len(self._faults) > before or sum(map(len, self._refused.values())) > refused:
            return None
        if not masks[OBJECT]:
            record = "annotation " + ", ".join(str(annotation.annotation_id) for _, annotation in parts[OBJECT])
            self._faults.add(str(entries[0].file.path), record, expected="an object of at least one pixel", got="none")
            return None
        return self._answer(photo, masks, attributes, parts)

    def report_refused(self) -> None:
        """Add the annotations without pixels to the faults, one fault for each file and kind."""
        for (path, kind), numbers in sorted(self._refused.items()):
            shown = listed(sorted(numbers))
            remedy = "polygons lose holes and thin parts; fill them all the same with --lossy-polygons"
            self._faults.add(
                str(path),
                f"annotation {shown}",
                expected="masks as RLE",
                got=f"{len(numbers)} annotations with {kind}",
                remedy=remedy if kind == "polygons" else "propose masks from the boxes instead",
            )

    def _check_size(self, entry: PhotoEntry, photo: ImageRecord) -> None:
        if entry.image.size_hw == photo.size_hw:
            return
        self._faults.add(
            str(entry.file.path),
            f"image {entry.image.id} {entry.image.file_name}",
            expected=f"{spell_size(photo.size_hw)} {ORDER}",
            got=spell_size(entry.image.size_hw),
            remedy=size_remedy(photo, entry.image.size_hw),
        )

    def _sorted(self, photo: ImageRecord, entries: Sequence[PhotoEntry]) -> Parts:
        """A photo's annotations by mask: of the object, and of local attributes."""
        parts: Parts = {OBJECT: []}
        others: Counter[str] = Counter()
        for entry in entries:
            for annotation, category in entry.annotations():
                part = self._local.get(name_key(category.name))
                of_object = category_has_label(category, photo.label, self._choices.categories, entry.file.spelled)
                if part is not None and of_object:
                    self._faults.add(
                        str(entry.file.path),
                        f"category {category.id} {category.name}",
                        expected="a category of objects, or of a part of them",
                        got=f"both, the label {photo.label} and the attribute {part}",
                        remedy="rename the attribute in the schema, or say with --category-map what has the label",
                    )
                elif part is not None:
                    parts.setdefault(part, []).append((entry.file.path, annotation))
                elif of_object:
                    parts[OBJECT].append((entry.file.path, annotation))
                else:
                    others[category.name] += 1
        if not parts[OBJECT]:
            entry = entries[0]
            self._faults.add(
                str(entry.file.path),
                f"image {entry.image.id} {entry.image.file_name}",
                expected=f"an annotation of {photo.label}, as the photo is labelled",
                got=f"annotations of {_listed(others + Counter(list(parts)[1:]))}",
                remedy="say with --category-map which labels the categories stand for",
            )
        else:
            self._report.other_categories += others
        return parts

    def _masks(self, annotations: Sequence[tuple[Path, CocoAnnotation]], photo: ImageRecord) -> list[Mask]:
        """Masks of annotations, ``(H, W)`` bool, without empty ones and copies of another, pixel for pixel."""
        masks = [self._mask(path, annotation, photo) for path, annotation in annotations]
        return list({mask.tobytes(): mask for mask in masks if mask is not None and mask.any()}.values())

    def _mask(self, path: Path, annotation: CocoAnnotation, photo: ImageRecord) -> Mask | None:
        """The mask of one annotation; None, and noted, where it has none or is damaged."""
        record = f"annotation {annotation.annotation_id}"
        try:
            if annotation.rle is not None:
                return decode_coco_rle(annotation.rle, size_hw=photo.size_hw, record=record)
            if annotation.polygons and self._choices.polygons:
                return decode_polygons(annotation.polygons, size_hw=photo.size_hw, where=str(path), record=record)
        except DataError as error:
            self._faults.extend(replace(fault, where=str(path)) for fault in error.faults)
            return None
        self._refused[path, "polygons" if annotation.polygons else "a box alone"].append(annotation.annotation_id)
        return None

    def _attributes(self, annotations: Sequence[tuple[Path, CocoAnnotation]]) -> dict[str, bool | None]:
        """Attributes of an object: present where one annotation says so, else unsure where one is, else absent."""
        values: dict[str, list[bool | None]] = defaultdict(list)
        for path, annotation in annotations:
            for name, value in annotation.attributes.items():
                if self._schema is None or name not in self._schema.names():
                    self._report.other_attributes[name] += 1
                elif value is None or isinstance(value, bool):
                    values[name].append(value)
                elif str(value).lower() in _VALUES:
                    values[name].append(_VALUES[str(value).lower()])
                else:
                    self._faults.add(
                        str(path),
                        f"annotation {annotation.annotation_id}: attributes.{name}",
                        expected="true, false or null",
                        got=f"{value!r:.60}",
                    )
        return {name: True if True in given else None if None in given else False for name, given in values.items()}

    def _answer(
        self, photo: ImageRecord, masks: Mapping[str, Sequence[Mask]], given: Mapping[str, bool | None], parts: Parts
    ) -> ImportedAnswer:
        """The answer made of masks, none of them empty, of each name in ``parts``."""
        annotations = [annotation for listed in parts.values() for _, annotation in listed]
        united, filled = len(parts[OBJECT]), any(annotation.rle is None for annotation in annotations)
        self._report.united += united > 1
        self._report.from_polygons += filled
        self._report.crowds += sum(annotation.crowd for _, annotation in parts[OBJECT])
        note_rotation(photo, self._report)
        remarks = [f"union of {united} annotations"] if united > 1 else []
        remarks += ["filled from polygons"] if filled else []
        unions = {name: reduce(np.logical_or, listed) for name, listed in masks.items() if listed}
        attributes: dict[str, bool | None] = {}
        if self._schema is not None:
            attributes = {name: given.get(name, True if name in unions else None) for name in self._schema.names()}
            unions = agree_with_labels(unions, attributes, self._schema, self._report)
        return ImportedAnswer(
            image=photo,
            masks=unions,
            instances=masks[OBJECT] if len(masks[OBJECT]) > 1 else (),
            attributes=attributes,
            remark="; ".join(remarks),
        )


def _listed(counts: Counter[str]) -> str:
    """The ten most frequent names with their counts."""
    return listed([f"{name} {count}" for name, count in counts.most_common()]) or "nothing"
