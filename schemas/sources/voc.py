"""Pascal-VOC annotations, as ImageNet's boxes come: one XML file a photo."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from figureground.errors import DataError, Faults
from figureground.schemas.rasters.masks import Box
from figureground.schemas.rasters.sizes import ORDER, spell_size

_MOST_BYTES: Final = 1 << 20  # ImageNet's largest annotation has a few kB
_CORNERS: Final = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True, slots=True, kw_only=True)
class VocAnnotation:
    """Contents of one XML file."""

    size_hw: tuple[int, int]
    """Height and width that the annotation was drawn on."""
    names: tuple[str, ...]
    """Object names (wnids), one per box."""
    boxes_xyxy_px: tuple[Box, ...]
    """Boxes, half-open, clipped to ``size_hw``.

    The file's corners are pixels that belong to the object, both of them: (xmin, ymin, xmax, ymax) becomes
    (xmin, ymin, xmax + 1, ymax + 1). A few released boxes reach past their photo; those are cut at its edge.
    """


class _WithoutDoctype(ElementTree.TreeBuilder):
    """Stops at a DOCTYPE, before any entity is declared: an annotation needs none, an attack does."""

    def doctype(self, *_: object) -> None:
        """Refuse it; the parser calls this by name, whatever the encoding of the file."""
        raise ValueError("a DOCTYPE")


def read_voc(path: Path, *, where: str | None = None) -> VocAnnotation:
    """Read a Pascal-VOC XML file.

    Args:
        path: The file.
        where: What to call it in faults; None for its path.

    Raises:
        DataError: with every fault of the file: malformed XML, no size, a box without area or outside the photo.
    """
    where = where or str(path)
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise DataError.single(where, "", expected="a readable file", got=error.strerror or str(error)) from error
    return parse_voc(data, where=where)


def parse_voc(data: bytes, *, where: str) -> VocAnnotation:
    """Parse the bytes of a Pascal-VOC XML file. Raises as ``read_voc``."""
    root = _parse_xml(data, where)
    faults = Faults()
    height, width = (_number(root, f"size/{name}", where, "", faults) for name in ("height", "width"))
    if not faults and not (height > 0 and width > 0):
        faults.add(where, "size", expected=f"a width and height above 0 {ORDER}", got=spell_size((height, width)))
    faults.raise_if_any()
    objects = root.findall("object")
    boxes = [
        _box(element, (height, width), where, f"object {number}", faults) for number, element in enumerate(objects)
    ]
    faults.raise_if_any()
    names = tuple((element.findtext("name") or "").strip() for element in objects)
    return VocAnnotation(size_hw=(height, width), names=names, boxes_xyxy_px=tuple(boxes))


def _parse_xml(data: bytes, where: str) -> ElementTree.Element:
    if len(data) > _MOST_BYTES:
        raise DataError.single(where, "", expected=f"at most {_MOST_BYTES} bytes", got="more")
    parser = ElementTree.XMLParser(target=_WithoutDoctype())  # noqa: S314  entities cannot be declared
    try:
        parser.feed(data)
        root: ElementTree.Element = parser.close()
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise DataError.single(where, "", expected="a Pascal-VOC annotation", got=str(error)) from error
    return root


def _box(element: ElementTree.Element, size_hw: tuple[int, int], where: str, record: str, faults: Faults) -> Box:
    """One box, half-open and clipped; what is wrong with it goes to ``faults``."""
    height, width = size_hw
    before = len(faults)
    x0, y0, x1, y1 = (_number(element, f"bndbox/{corner}", where, record, faults) for corner in _CORNERS)
    box = max(x0, 0), max(y0, 0), min(x1 + 1, width), min(y1 + 1, height)
    if len(faults) > before:
        return box
    got = f"({x0}, {y0}) to ({x1}, {y1})"
    if x0 > x1 or y0 > y1:
        faults.add(where, record, expected="a box with xmin <= xmax and ymin <= ymax", got=got)
    elif box[0] >= box[2] or box[1] >= box[3]:
        faults.add(where, record, expected=f"a box inside the photo of {spell_size(size_hw)} px {ORDER}", got=got)
    return box


def _number(element: ElementTree.Element, path: str, where: str, record: str, faults: Faults) -> int:
    """A coordinate as the index of the pixel that it lies in; a fault and 0 where there is none."""
    text = element.findtext(path)
    try:
        return math.floor(float(text or ""))
    except (ValueError, OverflowError):
        got = "none" if text is None else repr(text)
        faults.add(where, record, expected=f"a number in <{path.replace('/', '><')}>", got=got)
        return 0
