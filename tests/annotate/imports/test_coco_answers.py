"""What COCO annotations say of a photo: which are its object, which its parts, and what they say of attributes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coco_samples import SCHEMA, SIZE_HW, annotation, answers_of, draw_store, ring, rows_mask, write_coco
from PIL import Image

from figureground.annotate.catalogue import index_source
from figureground.annotate.imports.answers import ImportOrigin
from figureground.annotate.imports.coco_annotations import import_coco
from figureground.annotate.imports.coco_answers import CocoChoices, CocoReport
from figureground.errors import DataError
from figureground.schemas.rasters.masks import decode_coco_rle
from figureground.schemas.records import Annotation
from figureground.schemas.sources.opening import open_source
from figureground.schemas.store.workspace import Workspace

ORIGIN = ImportOrigin(text="drawn", annotator="imported", tool="import:coco", schema=SCHEMA)


@pytest.fixture
def store(tmp_path: Path) -> Workspace:
    return draw_store(tmp_path)


def read(store: Workspace, *annotations: dict[str, Any], **lists: Any) -> tuple[CocoReport, Annotation]:
    """The report, and the newest answer about the first photo."""
    path = write_coco(Path(store.root) / "a.json", *annotations, **lists)
    report = import_coco(store, [path], ORIGIN, CocoChoices())
    return report, answers_of(store, "bird/a.png")[-1]


def faults_of(store: Workspace, *annotations: dict[str, Any], **lists: Any) -> list[str]:
    path = write_coco(Path(store.root) / "a.json", *annotations, **lists)
    with pytest.raises(DataError) as caught:
        import_coco(store, [path], ORIGIN, CocoChoices())
    assert all(fault.where == str(path) for fault in caught.value.faults)
    return [str(fault).removeprefix(f"{path}: ") for fault in caught.value.faults]


def test_an_object_is_the_union_of_its_annotations_groups_included(store: Workspace) -> None:
    report, answer = read(store, annotation(1, 1, 1, rows_mask(0, 2)), annotation(2, 1, 1, ring(), iscrowd=1))
    assert np.array_equal(decode_coco_rle(answer.masks["object"]), rows_mask(0, 2) | ring())
    assert (report.united, report.crowds) == (1, 1)
    assert answer.note == "origin: drawn\nunion of 2 annotations"
    assert "1 annotations of groups (iscrowd) are taken as part of the object" in str(report)


def test_annotations_of_an_object_stay_apart_beside_their_union(store: Workspace) -> None:
    touching = rows_mask(0, 2), rows_mask(2, 5)
    _, answer = read(store, *(annotation(number, 1, 1, mask) for number, mask in enumerate(touching, start=1)))
    assert [decode_coco_rle(rle).tolist() for rle in answer.instances] == [mask.tolist() for mask in touching]
    assert np.array_equal(decode_coco_rle(answer.masks["object"]), touching[0] | touching[1])


def test_one_annotation_and_copies_of_it_are_one_object(store: Workspace) -> None:
    for others in ([], [annotation(2, 1, 1, ring())], [annotation(3, 1, 1, rows_mask(0, 0))]):
        _, answer = read(store, annotation(1, 1, 1, ring()), *others)
        assert answer.instances == ()


def test_what_a_photo_is_not_labelled_as_is_passed_over(store: Workspace) -> None:
    report, answer = read(store, annotation(1, 1, 1, ring()), annotation(2, 1, 2, rows_mask(0, 12)))
    assert np.array_equal(decode_coco_rle(answer.masks["object"]), ring())
    assert "passed over, of other categories: fish 1" in str(report)


def test_a_photo_without_its_label_is_a_fault(store: Workspace) -> None:
    (fault,) = faults_of(store, annotation(1, 1, 2, ring()), annotation(2, 1, 3, ring()))
    assert fault.startswith("image 1 bird/a.png: expected an annotation of bird, as the photo is labelled, got annotat")
    assert "--category-map" in fault


def test_an_object_without_a_pixel_is_a_fault(store: Workspace) -> None:
    (fault,) = faults_of(store, annotation(5, 1, 1, rows_mask(0, 0)))
    assert fault == "annotation 5: expected an object of at least one pixel, got none"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([{"wet": True}], True),
        ([{"wet": "True"}], True),
        ([{"wet": "false"}], False),
        ([{"wet": "unsure"}], None),
        ([{"wet": None}], None),
        ([{}], None),
        ([{"wet": False}, {"wet": True}], True),
        ([{"wet": False}, {"wet": None}], None),
        ([{"wet": False}, {}], False),
    ],
)
def test_attributes_of_several_annotations_are_one_answer(
    store: Workspace, given: list[dict[str, Any]], expected: bool | None
) -> None:
    drawn = [annotation(number, 1, 1, ring(), attributes=values) for number, values in enumerate(given, start=1)]
    assert read(store, *drawn)[1].attributes["wet"] is expected


def test_values_that_are_none_are_faults(store: Workspace) -> None:
    drawn = [
        annotation(number, 1, 1, ring(), attributes={"wet": value})
        for number, value in enumerate((1, "maybe", [True], "x" * 10**5), start=1)
    ]
    faults = faults_of(store, *drawn)
    assert [fault.split(", got")[0] for fault in faults] == [
        f"annotation {number}: attributes.wet: expected true, false or null" for number in (1, 2, 3, 4)
    ]
    assert all(len(fault) < 200 for fault in faults)


def test_attributes_that_no_schema_names_are_counted(store: Workspace) -> None:
    drawn = annotation(1, 1, 1, ring(), attributes={"occluded": False, "wet": True, "\x1b[2J": 1})
    report, answer = read(store, drawn)
    assert answer.attributes == {"wing": None, "tail": None, "wet": True}
    assert report.other_attributes == {"occluded": 1, "\x1b[2J": 1}
    assert "\x1b" not in str(report)


def test_a_label_counts_where_a_part_s_mask_disagrees(store: Workspace) -> None:
    parts = annotation(2, 1, 3, rows_mask(2, 3))
    report, answer = read(store, annotation(1, 1, 1, ring(), attributes={"wing": False, "tail": True}), parts)
    assert set(answer.masks) == {"object"}
    assert (report.mask_without_presence, report.present_without_mask) == ({"wing": 1}, {"tail": 1})


def test_an_empty_part_is_no_mask(store: Workspace) -> None:
    _, answer = read(store, annotation(1, 1, 1, ring()), annotation(2, 1, 3, rows_mask(0, 0)))
    assert (set(answer.masks), answer.attributes["wing"]) == ({"object"}, None)


def test_a_file_of_another_size_is_a_fault(store: Workspace) -> None:
    height, width = SIZE_HW
    images = [{"id": 1, "file_name": "bird/a.png", "height": width, "width": height}]
    (fault,) = faults_of(store, annotation(1, 1, 1, ring()), images=images)
    assert fault.startswith("image 1 bird/a.png: expected 16x12 (width x height), got 12x16")


def turned_photo(store: Workspace, orientation: int, size_hw: tuple[int, int]) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    picture = Image.fromarray(np.random.default_rng(orientation).integers(0, 256, (*size_hw, 3), dtype=np.uint8))
    picture.save(buffer, format="JPEG", exif=exif)
    folder = Path(store.root).parent / "turned"
    (folder / "bird").mkdir(parents=True)
    (folder / "bird" / "turned.jpg").write_bytes(buffer.getvalue())
    index_source(store, open_source(str(folder)))


def test_masks_of_the_upright_photo_are_told_apart(store: Workspace) -> None:
    """Label Studio and CVAT show photos upright; masks here are in stored pixels."""
    turned_photo(store, 6, (12, 16))
    upright = np.zeros((16, 12), dtype=np.bool_)
    upright[:3] = True
    images = [{"id": 1, "file_name": "turned.jpg", "height": 16, "width": 12}]
    (fault,) = faults_of(store, annotation(1, 1, 1, upright), images=images)
    assert "the masks show the photo turned by its EXIF orientation, 6" in fault


@pytest.mark.parametrize(
    ("orientation", "size_hw", "doubtful"), [(3, (12, 16), 1), (6, (12, 12), 1), (6, (12, 16), 0), (1, (12, 16), 0)]
)
def test_turns_that_sizes_do_not_show_are_told(
    store: Workspace, orientation: int, size_hw: tuple[int, int], doubtful: int
) -> None:
    turned_photo(store, orientation, size_hw)
    mask = np.zeros(size_hw, dtype=np.bool_)
    mask[:3] = True
    images = [{"id": 1, "file_name": "turned.jpg", "height": size_hw[0], "width": size_hw[1]}]
    path = write_coco(Path(store.root) / "a.json", annotation(1, 1, 1, mask), images=images)
    report = import_coco(store, [path], ORIGIN, CocoChoices())
    assert (report.answers, report.maybe_turned) == (1, doubtful)
    assert ("EXIF rotation that sizes do not show" in str(report)) == bool(doubtful)
