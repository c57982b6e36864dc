"""Pascal-VOC annotations, as ImageNet's boxes come: one XML file a photo."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from figureground.errors import DataError
from figureground.schemas.masks import Box

_FORBIDDEN = re.compile(rb"<!(DOCTYPE|ENTITY)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class VocAnnotation:
    """What one XML file says."""

    size_hw: tuple[int, int]
    """Height and width that the annotation was drawn on."""
    names: tuple[str, ...]
    """Object names (wnids), one per box."""
    boxes_xyxy_px: tuple[Box, ...]
    """Boxes, half-open: the file's far corner is a pixel of the object, so one is added to it."""


def read_voc(path: Path) -> VocAnnotation:
    """Read a Pascal-VOC XML file.

    Raises:
        DataError: if it is malformed, declares entities, or holds a box without area.
    """
    data = path.read_bytes()
    if _FORBIDDEN.search(data):
        # ElementTree expands entities; an annotation needs none, an attack does.
        raise DataError.single(str(path), "", expected="XML without DOCTYPE or ENTITY", got="one that has them")
    try:
        root = ElementTree.fromstring(data)  # noqa: S314  entities are refused above
        size_hw = (_number(root, "size/height"), _number(root, "size/width"))
        objects = root.findall("object")
        boxes = tuple(
            (
                _number(each, "bndbox/xmin"),
                _number(each, "bndbox/ymin"),
                _number(each, "bndbox/xmax") + 1,
                _number(each, "bndbox/ymax") + 1,
            )
            for each in objects
        )
    except (ElementTree.ParseError, ValueError) as error:
        raise DataError.single(str(path), "", expected="a Pascal-VOC annotation", got=str(error)) from error
    for number, (x0, y0, x1, y1) in enumerate(boxes):
        if not (0 <= x0 < x1 and 0 <= y0 < y1):
            got = f"({x0}, {y0}) to ({x1 - 1}, {y1 - 1})"
            raise DataError.single(str(path), f"object {number}", expected="a box with area", got=got)
    names = tuple((each.findtext("name") or "").strip() for each in objects)
    return VocAnnotation(size_hw=size_hw, names=names, boxes_xyxy_px=boxes)


def _number(element: ElementTree.Element, path: str) -> int:
    text = element.findtext(path)
    if text is None:
        raise ValueError(f"no <{path.replace('/', '><')}>")
    return round(float(text))
