"""COCO files of other tools: what is sound is read, what is not is named by the id of the annotation."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coco_samples import SIZE_HW, annotation, content, ring, rle_of, write_coco

from figureground.errors import DataError, Faults, UsageError
from figureground.schemas.rasters.masks import decode_coco_rle
from figureground.schemas.sources.coco_files import CocoFile, read_coco

GOOD = content(
    annotation(11, 1, 1, ring(), iscrowd=0, attributes={"wet": True}, area=3, bbox=[0, 0, 1, 1], score=0.5),
    annotation(12, 1, 3, [[1, 1, 4, 1, 4, 4]]),
    annotation(13, 4, 2, None, iscrowd=1),
)


def read(path: Path) -> tuple[CocoFile, list[str]]:
    faults = Faults()
    file = read_coco(path, faults)
    assert all(fault.where == str(path) for fault in faults)
    return file, [str(fault).removeprefix(f"{path}: ") for fault in faults]


def test_what_a_file_says(tmp_path: Path) -> None:
    path = tmp_path / "good.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(GOOD, indent=2).encode())  # some tools write a byte order mark
    file, faults = read(path)
    assert faults == []
    assert [image.file_name for image in file.images.values()] == [image["file_name"] for image in GOOD["images"]]
    assert {number: category.name for number, category in file.categories.items()} == {1: "bird", 2: "fish", 3: "wing"}
    object_, part = file.annotations[1]
    (group,) = file.annotations[4]
    assert object_.rle is not None
    assert np.array_equal(decode_coco_rle(object_.rle, size_hw=SIZE_HW), ring())
    assert (object_.attributes, object_.crowd, part.rle) == ({"wet": True}, False, None)
    assert [outline.tolist() for outline in part.polygons] == [[1, 1, 4, 1, 4, 4]]
    assert (group.crowd, group.rle, group.polygons) == (True, None, ())
    assert file.faulty == set()


Change = Callable[[dict[str, Any]], None]


def change(path: str, value: Any) -> Change:
    """Set the value at ``kind.position.key``."""

    def apply(whole: dict[str, Any]) -> None:
        *parents, last = [int(key) if key.isdigit() else key for key in path.split(".")]
        node: Any = whole
        for key in parents:
            node = node[key]
        node[last] = value

    return apply


@pytest.mark.parametrize(
    ("changed", "message", "faulty"),
    [
        (change("images.0.width", 0), "image 1: width: expected Input should be greater than 0, got 0", {1}),
        (change("images.0.width", 16.5), "image 1: width: expected", {1}),
        (change("images.0.width", "16"), "image 1: width: expected", {1}),
        (change("images.0.file_name", "a\0b"), "image 1: file_name: expected 1 to 1000 characters of text", {1}),
        (change("images.0.file_name", "\ud800"), "image 1: file_name: expected 1 to 1000 characters of text", {1}),
        (change("images.0.file_name", ""), "image 1: file_name: expected 1 to 1000 characters of text", {1}),
        (change("images.0.file_name", "a" * 5000), "image 1: file_name: expected 1 to 1000 characters of text", {1}),
        (change("images.0.file_name", None), "image 1: file_name: expected", {1}),
        (change("images.1", {"file_name": "b.png"}), "images[1]: id: expected a value, got none", set()),
        (change("images.1", "b.png"), "images[1]: expected", set()),
        (change("images.1.id", 1), "image 1: expected one of this id, got two", {1}),
        (change("images.1.id", -1), "image -1: id: expected", {-1}),
        (change("images.1.id", 2.0), "images[1]: id: expected", set()),
        (change("categories.1.id", 1), "category 1: expected one of this id, got two", set()),
        (change("categories.0.name", ["bird"]), "category 1: name: expected", {1}),
        (change("categories.0.wnids", ["ok", "a\0b"]), "category 1: wnids.1: expected 1 to 1000 characters", {1}),
        (change("annotations.1.id", 11), "annotation 11: expected one of this id, got two", {1}),
        (change("annotations.0.image_id", 99), "annotation 11: expected image 99 in the file, got none", {99}),
        (change("annotations.0.category_id", 9), "annotation 11: expected category 9 in the file, got none", {1}),
        (change("annotations.0.category_id", None), "annotation 11: category_id: expected", {1}),
        (change("annotations.0.image_id", None), "annotation 11: image_id: expected", set()),
        (change("annotations.0.iscrowd", 2), "annotation 11: iscrowd: expected", {1}),
        (change("annotations.0.segmentation", "x"), "annotation 11: segmentation", {1}),
        (change("annotations.0.segmentation.counts", [1]), "annotation 11: segmentation: expected runs that fill", {1}),
        (change("annotations.0.segmentation.size", [9**20] * 2), "annotation 11: segmentation: expected a size", {1}),
        (change("annotations.0.segmentation.counts", "P" * 99), "annotation 11: segmentation: expected COCO RLE", {1}),
        (change("annotations.1.segmentation", [[1, 2, 3]]), "annotation 12: segmentation: expected an RLE, or", {1}),
        (change("annotations.1", 5), "annotations[1]: expected", set()),
    ],
)
def test_every_fault_is_named_by_its_id(tmp_path: Path, changed: Change, message: str, faulty: set[int]) -> None:
    whole = copy.deepcopy(GOOD)
    changed(whole)
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(whole))
    file, faults = read(path)
    assert any(fault.startswith(message) for fault in faults), faults
    assert file.faulty >= faulty
    assert all(len(fault) < 400 for fault in faults)
    assert file.annotations[4][0].annotation_id == 13  # the rest is read


def test_faults_of_a_file_are_reported_together(tmp_path: Path) -> None:
    whole = copy.deepcopy(GOOD)
    change("images.1.width", -1)(whole)
    change("annotations.0.iscrowd", 7)(whole)
    change("annotations.2.category_id", 70)(whole)
    (tmp_path / "bad.json").write_text(json.dumps(whole))
    file, faults = read(tmp_path / "bad.json")
    assert [fault.split(":")[0] for fault in faults] == ["image 2", "annotation 11", "annotation 13"]
    assert file.faulty == {1, 2, 4}


def test_annotations_may_come_before_images(tmp_path: Path) -> None:
    turned = dict(reversed(GOOD.items()))
    (tmp_path / "turned.json").write_text(json.dumps(turned))
    file, faults = read(tmp_path / "turned.json")
    assert faults == []
    assert set(file.annotations) == {1, 4}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xff{}", "UTF-8 text"),
        (b'{"images": [], "categories": []}', "none called annotations"),
        (b'{"images": [], "categories": [], "annotations": [{"id": NaN}]}', "NaN, which is no JSON number"),
        (b'{"images": [], "categories": [], "annotations": ' + b"[" * 10**5, "one JSON object"),
        (b"\x00" * 100, "one JSON object"),
    ],
)
def test_what_is_no_coco_file_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "bad.json").write_bytes(data)
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path / "bad.json")
    assert str(tmp_path / "bad.json") in str(caught.value)


def test_what_is_no_file_is_a_wrong_call(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.json", tmp_path):
        with pytest.raises(UsageError, match="cannot be read"):
            read(path)


def test_a_giant_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "giant.json"
    with path.open("wb") as file:
        file.truncate((2 << 30) + 1)  # a hole, not bytes
    with pytest.raises(DataError, match="at most 2147483648 bytes, got 2147483649"):
        read(path)


def test_a_number_beyond_all_bounds_is_no_polygon(tmp_path: Path) -> None:
    """``1e999`` is JSON, and Python reads it as infinity."""
    text = json.dumps(content(annotation(1, 1, 1, [[1, 1, 4, 1, 4, 77.25]]))).replace("77.25", "1e999")
    (tmp_path / "far.json").write_text(text)
    _, faults = read(tmp_path / "far.json")
    assert [fault.split(": expected")[0] for fault in faults] == ["annotation 1: segmentation"]


def test_uncompressed_groups_are_read(tmp_path: Path) -> None:
    """As COCO's own files have them: ``iscrowd`` 1 and counts that are numbers."""
    height, width = SIZE_HW
    runs = {"size": [height, width], "counts": [height, height, height * (width - 2)]}
    file, faults = read(write_coco(tmp_path / "crowd.json", annotation(1, 1, 1, runs, iscrowd=1)))
    expected = np.zeros(SIZE_HW, dtype=np.bool_)
    expected[:, 1] = True
    assert faults == []
    rle = file.annotations[1][0].rle
    assert rle is not None
    assert {"size": list(rle.size_hw), "counts": rle.counts} == rle_of(expected)
