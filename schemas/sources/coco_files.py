"""Files in COCO's object detection format, as other tools write them: images, categories and annotations, checked.

The format is that of cocodataset.org ("Data format"); every tool adds keys of its own, which are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from figureground.errors import DataError, Faults
from figureground.schemas.documents import read_text, same_form, validate_document
from figureground.schemas.rasters.coco_masks import Outline, read_segmentation
from figureground.schemas.rasters.masks import CocoRle
from figureground.schemas.sources.json_lists import list_elements

_SINGULAR: Final = {"images": "image", "categories": "category", "annotations": "annotation"}
_IMAGE_OF: Final = {"images": "id", "annotations": "image_id"}
_MOST_BYTES: Final = 2 << 30
_NO_TEXT: Final = re.compile("[\0\ud800-\udfff]")  # what can be in no name of a file; odd spaces can


def _whole_text(text: str) -> str:
    if not 0 < len(text) <= 1000 or _NO_TEXT.search(text):
        raise ValueError("1 to 1000 characters of text")
    return text


Whole = Annotated[int, Field(strict=True, ge=0)]
Side = Annotated[int, Field(strict=True, gt=0)]
Line = Annotated[str, AfterValidator(_whole_text)]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    id: Whole


class CocoImage(_Entry):
    """One image."""

    file_name: Line
    width: Side
    height: Side

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels, as the file says."""
        return self.height, self.width


class CocoCategory(_Entry):
    """One category."""

    name: Line
    wnids: tuple[Line, ...] = ()
    """Source labels that belong to it; a key of ours."""


class _Annotation(_Entry):
    image_id: Whole
    category_id: Whole
    iscrowd: int = Field(default=0, ge=0, le=1)
    segmentation: dict[str, Any] | list[Any] | None = None
    attributes: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CocoAnnotation:
    """One annotation."""

    annotation_id: int
    image_id: int
    category_id: int
    crowd: bool
    """Whether it stands for a group (``iscrowd``)."""
    rle: CocoRle | None
    """The mask; None where there are polygons, or a box alone."""
    polygons: tuple[Outline, ...]
    attributes: Mapping[str, Any]
    """Attribute name to whatever the tool wrote (CVAT and Datumaro write such a key)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CocoFile:
    """Contents of a file, by id."""

    path: Path
    images: dict[int, CocoImage] = field(default_factory=dict)
    """By their id, which holds in this file alone."""
    categories: dict[int, CocoCategory] = field(default_factory=dict)
    """By their id."""
    annotations: dict[int, list[CocoAnnotation]] = field(default_factory=dict)
    """Annotations by the id of their image, in the order of the file."""
    faulty: set[int] = field(default_factory=set)
    """Ids of images at fault, or with an annotation or a category that is."""
    spelled: set[str] = field(default_factory=set)
    """Names of the categories, in the one form of those that look alike."""


Model = TypeVar("Model", bound=_Entry)


def read_coco(path: Path, faults: Faults) -> CocoFile:
    """Read a COCO file.

    Args:
        path: The file.
        faults: The faults of its entries are added to it, by the ids of annotations, images and categories.

    Raises:
        UsageError: if it cannot be read.
        DataError: if it is no JSON object with the lists ``images``, ``categories`` and ``annotations``.
    """
    file, seen, broken = CocoFile(path=path), set[tuple[str, int]](), set[tuple[str, int]]()
    text = read_text(path, most_bytes=_MOST_BYTES)
    for kind, position, value in list_elements(text, tuple(_SINGULAR), where=str(path)):
        name = _name(kind, position, value)
        try:
            number = _add(kind, value, file, name)
            if (kind, number) in seen:
                raise DataError.single(str(path), name, expected="one of this id", got="two")
            seen.add((kind, number))
        except DataError as error:
            faults.extend(error.faults)
            if not isinstance(value, dict):
                continue
            if isinstance(of_image := value.get(_IMAGE_OF.get(kind)), int):
                file.faulty.add(of_image)
            if isinstance(own := value.get("id"), int):
                broken.add((kind, own))
    _check_references(file, broken, faults)
    file.spelled.update(same_form(category.name) for category in file.categories.values())
    return file


def _name(kind: str, position: int, value: Any) -> str:  # noqa: ANN401  any JSON value
    """Name of an element in errors: its id, or its position where it has none."""
    known = isinstance(value, dict) and isinstance(value.get("id"), int)
    return f"{_SINGULAR[kind]} {value['id']}" if known else f"{kind}[{position}]"


def _add(kind: str, value: Any, file: CocoFile, name: str) -> int:  # noqa: ANN401  any JSON value
    """Add a sound element to ``file``; returns its id."""
    if kind == "images":
        image = _entry(value, CocoImage, file, name)
        file.images.setdefault(image.id, image)
        return image.id
    if kind == "categories":
        category = _entry(value, CocoCategory, file, name)
        file.categories.setdefault(category.id, category)
        return category.id
    if isinstance(value, dict) and "segments_info" in value:
        remedy = "convert the panoptic file to COCO's detection format, such as panopticapi's panoptic2detection does"
        raise DataError.single(str(file.path), name, expected="a mask", got="segments of a panoptic PNG", remedy=remedy)
    entry = _entry(value, _Annotation, file, name)
    rle, polygons = read_segmentation(entry.segmentation or (), where=str(file.path), record=f"{name}: segmentation")
    annotation = CocoAnnotation(
        annotation_id=entry.id,
        image_id=entry.image_id,
        category_id=entry.category_id,
        crowd=bool(entry.iscrowd),
        rle=rle,
        polygons=polygons,
        attributes=entry.attributes if isinstance(entry.attributes, dict) else {},
    )
    file.annotations.setdefault(annotation.image_id, []).append(annotation)
    return annotation.annotation_id


def _entry(value: Any, model: type[Model], file: CocoFile, name: str) -> Model:  # noqa: ANN401  any JSON value
    try:
        return validate_document(value, model, where=str(file.path))
    except DataError as error:
        raise DataError(
            replace(fault, record=f"{name}: {fault.record}" if fault.record else name) for fault in error.faults
        ) from error


def _check_references(file: CocoFile, broken: Collection[tuple[str, int]], faults: Faults) -> None:
    """Add a fault for every annotation whose image or category is not in the file; those that are broken are told."""
    for annotation in chain.from_iterable(file.annotations.values()):
        image, category = ("images", annotation.image_id), ("categories", annotation.category_id)
        if image in broken or category in broken:
            file.faulty.add(annotation.image_id)
            continue
        missing = [f"image {annotation.image_id}"] if annotation.image_id not in file.images else []
        missing += [f"category {annotation.category_id}"] if annotation.category_id not in file.categories else []
        if missing:
            faults.add(
                str(file.path),
                f"annotation {annotation.annotation_id}",
                expected=f"{' and '.join(missing)} in the file",
                got="none of this id",
            )
            file.faulty.add(annotation.image_id)
