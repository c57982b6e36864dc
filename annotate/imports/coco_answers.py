"""What COCO annotations say of one photo: the masks of its object, united, and its attributes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np

from figureground.annotate.imports.answers import ImportedAnswer, ImportReport, agree_with_labels
from figureground.annotate.imports.coco_categories import CategoryMap, category_has_label
from figureground.errors import DataError, Faults
from figureground.schemas.attributes import OBJECT, AttributeSchema
from figureground.schemas.rasters.coco_masks import decode_polygons
from figureground.schemas.rasters.masks import Mask, decode_coco_rle
from figureground.schemas.records import ImageRecord
from figureground.schemas.sources.coco_files import CocoAnnotation, CocoCategory, CocoFile, CocoImage

_VALUES: Final[dict[str, bool | None]] = {"true": True, "false": False, "unsure": None}
_TURNED: Final = (5, 6, 7, 8)
"""EXIF orientations that swap width and height."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CocoChoices:
    """How a COCO file is read."""

    images: Path | None = None
    """Folder of the file's images, to find photos by their bytes; None to find them by their names."""
    source: str | None = None
    """Look at photos of this source only."""
    categories: CategoryMap | None = None
    """Which labels the categories stand for; None where names or wnids say it."""
    polygons: bool = False
    """Fill polygons, which are lossy, instead of refusing them."""


@dataclass(slots=True, kw_only=True)
class CocoReport(ImportReport):
    """What one import of COCO files did."""

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
    maybe_turned: int = 0
    """Photos with an EXIF rotation that sizes do not show: the masks may be those of the upright photo."""

    def warnings(self) -> list[str]:
        """What a person should know, a line each."""
        told = [
            (self.from_polygons, f"{self.from_polygons} photos have masks filled from polygons, which are lossy"),
            (self.crowds, f"{self.crowds} annotations of groups (iscrowd) are taken as part of the object"),
            (self.other_categories, f"passed over, of other categories: {_listed(self.other_categories)}"),
            (self.other_attributes, f"attributes left out, which no schema names: {_listed(self.other_attributes)}"),
            (
                self.maybe_turned,
                f"{self.maybe_turned} photos have an EXIF rotation that sizes do not show: check that their masks are "
                "in stored pixels, before any rotation",
            ),
        ]
        return [*ImportReport.warnings(self), *(line for count, line in told if count)]


@dataclass(frozen=True, slots=True)
class PhotoEntry:
    """One file's image of a photo."""

    file: CocoFile
    image: CocoImage

    def annotations(self) -> list[tuple[CocoAnnotation, CocoCategory]]:
        """Its annotations, each with its category."""
        return [(each, self.file.categories[each.category_id]) for each in self.file.annotations.get(self.image.id, [])]


class AnswerReader:
    """Reads one photo's answer after the other, and remembers what it had to refuse."""

    def __init__(
        self, schema: AttributeSchema | None, choices: CocoChoices, faults: Faults, report: CocoReport
    ) -> None:
        self._schema = schema
        self._local = schema.names("local") if schema else ()
        self._choices = choices
        self._faults = faults
        self._report = report
        self._refused: dict[tuple[Path, str], list[int]] = defaultdict(list)

    def read(self, photo: ImageRecord, entries: Sequence[PhotoEntry]) -> ImportedAnswer | None:
        """The answer for one photo, or None where what the files say of it has faults."""
        if any(entry.image.id in entry.file.faulty for entry in entries):
            return None
        before = len(self._faults)
        for entry in entries:
            self._check_size(entry, photo)
        parts = self._sorted(photo, entries)
        if len(self._faults) > before:
            return None
        masks = {name: self._union(found, photo) for name, found in parts.items()}
        attributes = self._attributes(parts[OBJECT])
        if len(self._faults) > before or any(mask is None for mask in masks.values()):
            return None
        kept = {name: mask for name, mask in masks.items() if mask is not None and mask.any()}
        if OBJECT not in kept:
            record = "annotation " + ", ".join(str(each.annotation_id) for _, each in parts[OBJECT])
            self._faults.add(str(entries[0].file.path), record, expected="an object of at least one pixel", got="none")
            return None
        return self._answer(photo, kept, attributes, parts)

    def tell_of_refused(self) -> None:
        """Add the annotations without pixels to the faults, one fault for each file and kind."""
        for (path, kind), found in sorted(self._refused.items()):
            shown = ", ".join(map(str, sorted(found)[:3])) + (", ..." if len(found) > 3 else "")
            remedy = "polygons lose holes and thin parts; fill them all the same with --lossy-polygons"
            self._faults.add(
                str(path),
                f"annotation {shown}",
                expected="masks as RLE",
                got=f"{len(found)} annotations with {kind}",
                remedy=remedy if kind == "polygons" else "propose masks from the boxes instead",
            )

    def _check_size(self, entry: PhotoEntry, photo: ImageRecord) -> None:
        if entry.image.size_hw == photo.size_hw:
            return
        remedy = "masks are in the photo's stored pixels, before any EXIF rotation"
        if entry.image.size_hw == photo.size_hw[::-1] and photo.exif_orientation in _TURNED:
            remedy = (
                f"the file shows the photo turned by its EXIF orientation, {photo.exif_orientation}, and the photo is "
                "stored unturned: turn the masks back, or index copies that are stored upright"
            )
        self._faults.add(
            str(entry.file.path),
            f"image {entry.image.id} {entry.image.file_name}",
            expected=f"{photo.width}x{photo.height} (width x height)",
            got=f"{entry.image.width}x{entry.image.height}",
            remedy=remedy,
        )

    def _sorted(
        self, photo: ImageRecord, entries: Sequence[PhotoEntry]
    ) -> dict[str, list[tuple[Path, CocoAnnotation]]]:
        """A photo's annotations by mask: of the object, and of local attributes."""
        parts: dict[str, list[tuple[Path, CocoAnnotation]]] = {OBJECT: []}
        others: Counter[str] = Counter()
        for entry in entries:
            for annotation, category in entry.annotations():
                if category.name in self._local:
                    parts.setdefault(category.name, []).append((entry.file.path, annotation))
                elif category_has_label(category, photo.label, self._choices.categories):
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

    def _union(self, found: Sequence[tuple[Path, CocoAnnotation]], photo: ImageRecord) -> Mask | None:
        """The pixels of some annotations, ``(H, W)`` bool; None where one has none or is damaged."""
        union: Mask = np.zeros(photo.size_hw, dtype=np.bool_)
        whole = True
        for path, annotation in found:
            mask = self._mask(path, annotation, photo)
            if mask is None:
                whole = False
            else:
                union |= mask
        return union if whole else None

    def _mask(self, path: Path, annotation: CocoAnnotation, photo: ImageRecord) -> Mask | None:
        record = f"annotation {annotation.annotation_id}"
        try:
            if annotation.rle is not None:
                return decode_coco_rle(annotation.rle, size_hw=photo.size_hw, record=record)
            if annotation.polygons and self._choices.polygons:
                return decode_polygons(annotation.polygons, size_hw=photo.size_hw, where=str(path), record=record)
        except DataError as error:
            self._faults.found += [replace(fault, where=str(path)) for fault in error.faults]
            return None
        self._refused[path, "polygons" if annotation.polygons else "a box alone"].append(annotation.annotation_id)
        return None

    def _attributes(self, found: Sequence[tuple[Path, CocoAnnotation]]) -> dict[str, bool | None]:
        """What the annotations of an object say: present where one says so, absent where nobody is unsure."""
        said: dict[str, list[bool | None]] = defaultdict(list)
        for path, annotation in found:
            for name, value in annotation.attributes.items():
                if self._schema is None or name not in self._schema.names():
                    self._report.other_attributes[name] += 1
                elif value is None or isinstance(value, bool):
                    said[name].append(value)
                elif str(value).lower() in _VALUES:
                    said[name].append(_VALUES[str(value).lower()])
                else:
                    self._faults.add(
                        str(path),
                        f"annotation {annotation.annotation_id}: attributes.{name}",
                        expected="true, false or null",
                        got=f"{value!r:.60}",
                    )
        return {name: True if True in each else None if None in each else False for name, each in said.items()}

    def _answer(
        self,
        photo: ImageRecord,
        masks: dict[str, Mask],
        said: dict[str, bool | None],
        parts: dict[str, list[tuple[Path, CocoAnnotation]]],
    ) -> ImportedAnswer:
        annotations = [annotation for found in parts.values() for _, annotation in found]
        united, filled = len(parts[OBJECT]), any(each.rle is None for each in annotations)
        self._report.united += united > 1
        self._report.from_polygons += filled
        self._report.crowds += sum(annotation.crowd for _, annotation in parts[OBJECT])
        if photo.exif_orientation != 1 and (photo.exif_orientation not in _TURNED or photo.width == photo.height):
            self._report.maybe_turned += 1
        remarks = [f"union of {united} annotations"] if united > 1 else []
        remarks += ["filled from polygons"] if filled else []
        if self._schema is None:
            return ImportedAnswer(image=photo, masks=masks, attributes={}, remark="; ".join(remarks))
        attributes = {name: said.get(name, True if name in masks else None) for name in self._schema.names()}
        kept = agree_with_labels(masks, attributes, self._schema, self._report)
        return ImportedAnswer(image=photo, masks=kept, attributes=attributes, remark="; ".join(remarks))


def _listed(counts: Counter[str]) -> str:
    """The ten most frequent names with their counts, what no terminal can show spelled out."""
    shown = [f"{name if name.isprintable() else repr(name)} {count}" for name, count in counts.most_common(10)]
    return ", ".join([*shown, "..."] if len(counts) > 10 else shown) or "nothing"
