"""Imports: a fault about a photo bars that photo and no other, both are told, and nobody is not somebody."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coco_samples import rle_of
from drawn_masks import HEIGHT, PHOTOS, WIDTH, draw, index_photos, put_mask
from photo_samples import draw_pixels, encode, with_orientation
from PIL import Image
from shared_cases import copy_case, run_here

from figureground.annotate.catalogue import index_source
from figureground.annotate.imports.answers import ImportOrigin, ImportReport
from figureground.annotate.imports.coco_annotations import import_coco
from figureground.annotate.imports.coco_answers import CocoChoices
from figureground.annotate.imports.coco_categories import read_category_map
from figureground.annotate.imports.mask_folder import import_mask_folder
from figureground.annotate.imports.rival10 import import_rival10
from figureground.errors import DataError
from figureground.schemas.attributes import AttributeSchema
from figureground.schemas.sources.opening import open_source
from figureground.schemas.store.workspace import Workspace

SCHEMA = AttributeSchema.model_validate(
    {
        "name": "s",
        "version": "1",
        "attributes": [{"name": "wet", "scope": "global"}, {"name": "wing", "scope": "local"}],
    }
)
ORIGIN = ImportOrigin(text="us", tool="import:test", schema=SCHEMA)


def put_masks(*paths: Path) -> None:
    for path in paths:
        put_mask(path)


def write(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x")


@pytest.fixture
def store(tmp_path: Path) -> Workspace:
    return index_photos(tmp_path)


def answered(store: Workspace) -> set[str]:
    photos = {image.image_id: image.uri for image in store.images()}
    return {photos[answer.image_id] for answer in store.annotations()}


# A fault bars its photo, in every import


def masks_of_all(folder: Path) -> Path:
    for uri in PHOTOS:
        put_mask(folder / uri)
    return folder


def _table(folder: Path, *rows: str) -> None:
    (folder / "attributes.csv").write_text("\n".join(["file,attribute,value", *rows]) + "\n")


MASK_FAULTS: dict[str, Callable[[Path], object]] = {
    "a damaged mask": lambda folder: (folder / "cat/a.png").write_bytes(b"\x89PNG"),
    "an empty file": lambda folder: (folder / "cat/a.png").write_bytes(b""),
    "a mask of another size": lambda folder: Image.new("L", (9, 9), 255).save(folder / "cat/a.png"),
    "a mask in colour": lambda folder: Image.new("RGB", (WIDTH, HEIGHT)).save(folder / "cat/a.png"),
    "an empty mask": lambda folder: put_mask(folder / "cat/a.png", draw(0, 0)),
    "two masks": lambda folder: put_mask(folder / "a.png"),
    "a JPEG beside it": lambda folder: (folder / "cat/a.jpg").write_bytes(b"x"),
    "a damaged part": lambda folder: write(folder / "wing/a.png"),
    "two masks of a part": lambda folder: put_masks(folder / "wing/a.png", folder / "wing/cat/a.png"),
    "a bad value": lambda folder: _table(folder, "a.png,wet,yes"),
    "no value": lambda folder: _table(folder, "cat/a.png,wet,"),
    "an unknown attribute": lambda folder: _table(folder, "a,fluffy,true"),
    "two values": lambda folder: _table(folder, "a,wet,true", "cat/a.png,wet,false"),
    "a comma that is not quoted": lambda folder: _table(folder, "a,wet,true,false"),
    "a row of two photos": lambda folder: _table(folder, "A.png,wet,true", "a.png,wet,oops"),
}


@pytest.mark.parametrize("name", MASK_FAULTS)
def test_a_fault_in_a_folder_of_masks_bars_its_photo_alone(store: Workspace, tmp_path: Path, name: str) -> None:
    MASK_FAULTS[name](masks_of_all(tmp_path / "masks"))
    with pytest.raises(DataError) as caught:
        import_mask_folder(store, tmp_path / "masks", ORIGIN)
    assert answered(store) == {"dog/b.png", "dog/c.png"}
    report = caught.value.report
    assert isinstance(report, ImportReport)
    assert (report.answers, len(report.faults)) == (2, len(caught.value.faults))


def coco_of_all() -> dict[str, list[dict[str, Any]]]:
    """An image and an annotation for each photo; category 1 is cat, 2 dog, 3 wing."""
    images = [{"id": n, "file_name": uri, "width": WIDTH, "height": HEIGHT} for n, uri in enumerate(PHOTOS)]
    drawn = [
        {"id": n, "image_id": n, "category_id": 1 if n == 0 else 2, "segmentation": rle_of(draw())}
        for n, _ in enumerate(PHOTOS)
    ]
    names = ("cat", "dog", "wing")
    return {
        "images": images,
        "categories": [{"id": n, "name": name} for n, name in enumerate(names, start=1)],
        "annotations": drawn,
    }


def _more(lists: dict[str, list[dict[str, Any]]], kind: str, **entry: Any) -> None:
    lists[kind].append(entry)


def _second_image(lists: dict[str, list[dict[str, Any]]]) -> None:
    _more(lists, "images", id=9, file_name="images/a.png", width=WIDTH, height=HEIGHT)
    _more(lists, "annotations", id=9, image_id=9, category_id=1, segmentation=rle_of(draw(22, 30)))


COCO_FAULTS: dict[str, Callable[[dict[str, list[dict[str, Any]]]], object]] = {
    "two images of it": lambda lists: _second_image(lists),
    "two images of one name": lambda lists: _more(
        lists, "images", id=9, file_name="cat/a.png", width=WIDTH, height=HEIGHT
    ),
    "an image of the same id": lambda lists: _more(
        lists, "images", id=0, file_name="z.png", width=WIDTH, height=HEIGHT
    ),
    "no width": lambda lists: lists["images"][0].update(width=None),
    "another size": lambda lists: lists["images"][0].update(width=HEIGHT, height=WIDTH),
    "a damaged mask": lambda lists: lists["annotations"][0].update(segmentation={"size": [40, 60], "counts": "1"}),
    "an annotation of the same id": lambda lists: _more(
        lists, "annotations", id=0, image_id=0, category_id=1, segmentation=rle_of(draw(22, 30))
    ),
    "a category at fault": lambda lists: lists["categories"][0].update(name=None),
    "a category twice": lambda lists: _more(lists, "categories", id=1, name="dog"),
    "no such category": lambda lists: lists["annotations"][0].update(category_id=77),
    "another category": lambda lists: lists["annotations"][0].update(category_id=2),
    "a box alone": lambda lists: lists["annotations"][0].update(segmentation=None),
    "polygons": lambda lists: lists["annotations"][0].update(segmentation=[[1, 1, 9, 1, 9, 9]]),
    "an attribute's odd value": lambda lists: lists["annotations"][0].update(attributes={"wet": "soaked"}),
    "an empty mask": lambda lists: lists["annotations"][0].update(segmentation=rle_of(draw(0, 0))),
    "a panoptic annotation": lambda lists: _more(lists, "annotations", image_id=0, segments_info=[]),
}


@pytest.mark.parametrize("name", COCO_FAULTS)
def test_a_fault_in_a_coco_file_bars_its_photo_alone(store: Workspace, tmp_path: Path, name: str) -> None:
    lists = coco_of_all()
    COCO_FAULTS[name](lists)
    (tmp_path / "x.json").write_text(json.dumps(lists))
    with pytest.raises(DataError) as caught:
        import_coco(store, [tmp_path / "x.json"], ORIGIN, CocoChoices())
    assert answered(store) == {"dog/b.png", "dog/c.png"}
    assert isinstance(caught.value.report, ImportReport)
    assert caught.value.report.answers == 2
    assert len(caught.value.faults) == 1  # the cause, and none of its consequences


def test_with_parts_nothing_is_stored_if_one_file_cannot_be_read(store: Workspace, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps(coco_of_all()))
    (tmp_path / "parts.json").write_text("{")
    with pytest.raises(DataError, match=r"parts\.json"):
        import_coco(store, [tmp_path / "x.json", tmp_path / "parts.json"], ORIGIN, CocoChoices())
    assert answered(store) == set()


def test_two_sets_of_rival10_files_of_one_photo_bar_it(tmp_path: Path) -> None:
    schema = AttributeSchema.model_validate(
        {"name": "s", "version": "1", "attributes": [{"name": "wet", "scope": "global"}]}
    )
    (tmp_path / "imagenet/n02690373").mkdir(parents=True)
    for number in (1, 2):
        photo = encode(draw_pixels(number), "JPEG")
        (tmp_path / f"imagenet/n02690373/n02690373_{number}.JPEG").write_bytes(photo)
    for part, number in (("train", 1), ("test", 1), ("train", 2)):
        root, name = tmp_path / "RIVAL10" / part, f"n02690373_n02690373_{number}"
        for folder in ("ordinary", "entire_object_masks"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        np.save(root / "ordinary" / f"{name}_attr_labels.npy", np.zeros((2, 1)))
        (root / "ordinary" / f"{name}_attr_dict.pkl").write_bytes(pickle.dumps({}, protocol=2))
        Image.fromarray(draw().astype(np.uint8) * 255).save(root / "entire_object_masks" / f"{name}.JPEG", "JPEG")
    with Workspace.create(tmp_path / "work") as store:
        index_source(store, open_source(str(tmp_path / "imagenet")))
        with pytest.raises(DataError, match="one set of files for the photo n02690373/n02690373_1") as caught:
            import_rival10(store, tmp_path / "RIVAL10", ImportOrigin(text="authors", tool="t", schema=schema))
        assert answered(store) == {"n02690373/n02690373_2.JPEG"}
    assert isinstance(caught.value.report, ImportReport)
    assert caught.value.report.answers == 1


def test_the_report_is_printed_beside_the_faults(
    store: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    masks_of_all(tmp_path / "masks")
    (tmp_path / "masks/cat/a.png").write_bytes(b"")
    words = ("import", "masks", tmp_path / "masks", "-w", tmp_path / "work", "--origin", "us")
    code, out, err = run_here(capsys, *words)
    assert code == 1
    assert out.startswith("2 answers stored, 0 there before")
    assert "1 fault in the data" in err
    code, out, _ = run_here(capsys, *words, "--json")
    report = json.loads(out)
    assert (code, report["answers"], report["already_there"], len(report["faults"])) == (1, 0, 2, 1)


# Data of one's own


def test_masks_that_mirror_the_photo_tree_come_in(store: Workspace, tmp_path: Path) -> None:
    folder = masks_of_all(tmp_path / "masks")
    put_mask(folder / "wing" / "cat" / "a.png")
    put_mask(folder / "Wing" / "dog" / "b.png")
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "cat" / "Thumbs.db").write_bytes(b"x")
    report = import_mask_folder(store, folder, ORIGIN)
    assert (report.answers, report.without_mask, report.attributes["wing"]) == (3, 0, 2)
    assert report.passed_over == {"hidden and system files": 2}


def test_names_that_repeat_in_every_class_come_in_by_their_folders(tmp_path: Path) -> None:
    for number, label in enumerate(("cat", "dog")):
        (tmp_path / "photos" / label).mkdir(parents=True)
        (tmp_path / "photos" / label / "00000.jpg").write_bytes(encode(draw_pixels(number), "JPEG"))
        put_mask(tmp_path / "masks" / label / "00000.png", draw(number, 10 + number))
    with Workspace.create(tmp_path / "work") as store:
        index_source(store, open_source(str(tmp_path / "photos")))
        assert import_mask_folder(store, tmp_path / "masks", ORIGIN).answers == 2


def test_textures_are_no_photos_without_a_mask(store: Workspace, tmp_path: Path) -> None:
    (tmp_path / "textures").mkdir()
    (tmp_path / "textures" / "a.png").write_bytes(encode(draw_pixels(77), "PNG"))
    index_source(store, open_source(str(tmp_path / "textures"), kind="textures"))
    report = import_mask_folder(store, masks_of_all(tmp_path / "masks"), ORIGIN)
    assert (report.answers, report.without_mask) == (3, 0)


def test_rotations_that_sizes_do_not_show_are_told_by_every_import(tmp_path: Path) -> None:
    (tmp_path / "photos/dog").mkdir(parents=True)
    (tmp_path / "photos/dog/o3.jpg").write_bytes(with_orientation(3, "JPEG")[0])
    put_mask(tmp_path / "masks/o3.png")
    lists = coco_of_all()
    lists["images"] = [{"id": 2, "file_name": "o3.jpg", "width": WIDTH, "height": HEIGHT}]
    lists["annotations"] = lists["annotations"][2:]
    (tmp_path / "x.json").write_text(json.dumps(lists))
    with Workspace.create(tmp_path / "work") as store:
        index_source(store, open_source(str(tmp_path / "photos")))
        for report in (
            import_mask_folder(store, tmp_path / "masks", ORIGIN),
            import_coco(store, [tmp_path / "x.json"], ORIGIN, CocoChoices()),
        ):
            assert report.maybe_turned == 1
            assert "an EXIF rotation that sizes do not show" in str(report)


def test_what_a_map_and_a_table_hold_beside_is_told(store: Workspace, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps(coco_of_all()))
    (tmp_path / "map.csv").write_text("category,label\ncat,cat\ndog,dog\nzebra,zebra\n")
    choices = CocoChoices(categories=read_category_map(tmp_path / "map.csv"))
    report = import_coco(store, [tmp_path / "x.json"], ORIGIN, choices)
    assert report.passed_over == {"category zebra of the map, which the files do not have": 1}
    folder = masks_of_all(tmp_path / "masks")
    (folder / "attributes.csv").write_text("file,attribute,value,who\na,wet,true,anna\n")
    assert import_mask_folder(store, folder, ORIGIN).passed_over == {"column who of attributes.csv": 1}


# Cases of ../shared


def index_case(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Workspace:
    monkeypatch.chdir(copy_case(f"annotate/{name}", tmp_path))
    assert run_here(capsys, "index", "photos", "-w", "w")[0] == 0
    return Workspace.open(Path("w"))


def accepted(store: Workspace) -> set[str]:
    return {image.uri for image in store.images() if (d := store.decision(image.image_id)) and d.state == "accepted"}


def test_case_two_images_of_one_photo(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with index_case("03_coco_two_images_of_one_photo", tmp_path, capsys, monkeypatch) as store:
        code, out, err = run_here(capsys, "import", "coco", "x.json", "-w", "w", "--origin", "me")
        assert (code, "1 answers stored" in out, err.count("expected")) == (1, True, 1)
        assert accepted(store) == {"dog/b.jpg"}


def test_case_report_beside_a_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with index_case("10_report_lost_when_one_fault", tmp_path, capsys, monkeypatch):
        code, out, err = run_here(capsys, "import", "coco", "bad.json", "-w", "w", "--origin", "me")
        assert (code, "2 answers stored" in out, "ghost.jpg" in out, "EXIF rotation" in out) == (1, True, True, True)
        assert "annotation 2: expected size 48x36 (width x height), got 40x36" in err
        code, out, _ = run_here(capsys, "import", "coco", "bad.json", "-w", "w", "--origin", "me", "--json")
        assert (code, len(json.loads(out)["warnings"]), len(json.loads(out)["faults"])) == (1, 2, 1)


def test_case_rotations_of_a_mask_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with index_case("11_exif_180_mask_folder", tmp_path, capsys, monkeypatch):
        Path("masks/o6.png").unlink()
        code, out, _ = run_here(capsys, "import", "masks", "masks", "-w", "w", "--origin", "me")
        assert (code, "4 photos have an EXIF rotation that sizes do not show" in out) == (0, True)


def test_case_faults_of_the_attribute_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with index_case("12_attributes_csv_fault_kept", tmp_path, capsys, monkeypatch) as store:
        code, _, _ = run_here(capsys, "import", "masks", "masks", "-w", "w", "--attributes", "s.yaml", "--origin", "me")
        assert (code, accepted(store)) == (1, {"dog/d.jpg"})
