"""Pascal-VOC annotations: corners as released become half-open boxes, and every fault is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from figureground.errors import DataError
from figureground.schemas.rasters.masks import Box
from figureground.schemas.sources.voc import parse_voc, read_voc

VOC = (
    "<annotation><filename>x</filename><size><width>60</width><height>40</height><depth>3</depth></size>"
    "<object><name>n01440764</name><bndbox><xmin>5</xmin><ymin>6</ymin><xmax>20</xmax><ymax>30</ymax></bndbox></object>"
    "</annotation>"
)


def test_corners_are_pixels_of_the_object() -> None:
    annotation = parse_voc(VOC.encode(), where="x.xml")
    assert annotation.size_hw == (40, 60)
    assert annotation.names == ("n01440764",)
    assert annotation.boxes_xyxy_px == ((5, 6, 21, 31),)


@pytest.mark.parametrize(
    ("corners", "box"),
    [
        ((0, 0, 59, 39), (0, 0, 60, 40)),
        ((1, 1, 60, 40), (1, 1, 60, 40)),  # counted from 1, as VOC did
        ((7, 8, 7, 8), (7, 8, 8, 9)),
        ((-4, -1, 500, 9), (0, 0, 60, 10)),
        ((5.7, 6.2, 20.9, 30.0), (5, 6, 21, 31)),
    ],
)
def test_boxes_are_half_open_and_clipped(corners: tuple[float, ...], box: Box) -> None:
    assert parse_voc(_voc_with(corners), where="x.xml").boxes_xyxy_px == (box,)


def _voc_with(corners: tuple[float, ...]) -> bytes:
    text = VOC
    for name, old, new in zip(("xmin", "ymin", "xmax", "ymax"), (5, 6, 20, 30), corners, strict=True):
        text = text.replace(f"<{name}>{old}<", f"<{name}>{new}<")
    return text.encode()


BOMB = '<!DOCTYPE a [<!ENTITY b "bbbbbbbb">]>' + VOC.replace("<filename>x", "<filename>&b;")
MUTATIONS = {
    "cut off": (VOC[:100].encode(), "x.xml: expected a Pascal-VOC annotation, got unclosed token"),
    "empty": (b"", "x.xml: expected a Pascal-VOC annotation, got no element found"),
    "not xml": (b"5 6 20 30", "x.xml: expected a Pascal-VOC annotation, got syntax error"),
    "unknown encoding": (b"<?xml version='1.0' encoding='klingon'?>" + VOC.encode(), "got unknown encoding"),
    "entities": (BOMB.encode(), "x.xml: expected a Pascal-VOC annotation, got a DOCTYPE"),
    "entities in utf-16": (BOMB.encode("utf-16"), "x.xml: expected a Pascal-VOC annotation, got a DOCTYPE"),
    "outside entity": (b'<!DOCTYPE a SYSTEM "file:///etc/passwd">' + VOC.encode(), "got a DOCTYPE"),
    "too long": (VOC.encode() + b" " * (1 << 20), "x.xml: expected at most 1048576 bytes, got more"),
    "no size": (VOC.replace("width", "wide").encode(), "x.xml: expected a number in <size><width>, got none"),
    "size 0": (
        VOC.replace(">60<", ">0<").encode(),
        "x.xml: size: expected a width and height above 0 (width x height), got 0x40",
    ),
    "no corner": (VOC.replace("xmax", "x").encode(), "x.xml: object 0: expected a number in <bndbox><xmax>, got none"),
    "word": (VOC.replace(">20<", ">a<").encode(), "x.xml: object 0: expected a number in <bndbox><xmax>, got 'a'"),
    "nan": (_voc_with((float("nan"), 6, 20, 30)), "expected a number in <bndbox><xmin>, got 'nan'"),
    "infinite": (_voc_with((5, 6, float("inf"), 30)), "expected a number in <bndbox><xmax>, got 'inf'"),
    "reversed": (
        _voc_with((20, 6, 5, 30)),
        "expected a box with xmin <= xmax and ymin <= ymax, got (20, 6) to (5, 30)",
    ),
    "right of it": (
        _voc_with((60, 6, 70, 30)),
        "expected a box inside the photo of 60x40 px (width x height), got (60, 6) to (70, 30)",
    ),
    "above it": (
        _voc_with((5, -9, 20, -1)),
        "expected a box inside the photo of 60x40 px (width x height), got (5, -9) to (20, -1)",
    ),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_faulty_annotations_are_reported(name: str) -> None:
    data, message = MUTATIONS[name]
    with pytest.raises(DataError) as caught:
        parse_voc(data, where="x.xml")
    assert message in str(caught.value)
    assert len(caught.value.faults) == 1


def test_every_fault_of_an_annotation_is_reported_at_once() -> None:
    reversed_box = _voc_with((20, 6, 5, 30)).decode().split("<object>")[1].removesuffix("</annotation>")
    text = VOC.replace("</annotation>", f"<object>{reversed_box}<object><name>n</name></object></annotation>")
    with pytest.raises(DataError) as caught:
        parse_voc(text.encode(), where="x.xml")
    assert [fault.record for fault in caught.value.faults] == ["object 1"] + ["object 2"] * 4


def test_an_annotation_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone.xml: expected a readable file, got No such file"):
        read_voc(tmp_path / "gone.xml")
