"""One lookup for all that is called after a photo: exactly one, or a fault with every place that fits."""

from __future__ import annotations

import csv
import json
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from coco_samples import rle_of
from photo_samples import draw_pixels, encode
from PIL import Image
from shared_cases import copy_case, run_here

from figureground.annotate.catalogue import index_source
from figureground.annotate.imports.answers import ImportOrigin
from figureground.annotate.imports.coco_annotations import import_coco
from figureground.annotate.imports.coco_answers import CocoChoices
from figureground.annotate.imports.coco_categories import category_has_label, check_category_map, read_category_map
from figureground.annotate.imports.mask_folder import import_mask_folder
from figureground.errors import DataError, Faults
from figureground.schemas.attributes import AttributeSchema
from figureground.schemas.rasters.masks import Mask
from figureground.schemas.sources.coco_files import CocoCategory, read_coco
from figureground.schemas.sources.names import NameIndex, name_key, same_names
from figureground.schemas.sources.opening import open_source
from figureground.schemas.store.workspace import Workspace

HEIGHT, WIDTH = 40, 60
ORIGIN = ImportOrigin(text="us", tool="import:test")
SCHEMA = AttributeSchema.model_validate(
    {
        "name": "s",
        "version": "1",
        "attributes": [{"name": "wet", "scope": "global"}, {"name": "wing", "scope": "local"}],
    }
)
NFC, NFD = unicodedata.normalize("NFC", "café"), unicodedata.normalize("NFD", "café")


def mask(last: int = 20) -> Mask:
    drawn = np.zeros((HEIGHT, WIDTH), dtype=np.bool_)
    drawn[5:last] = True
    return drawn


def put_photos(root: Path, *uris: str) -> Path:
    for number, uri in enumerate(uris):
        (root / uri).parent.mkdir(parents=True, exist_ok=True)
        (root / uri).write_bytes(encode(draw_pixels(number), "PNG"))
    return root


def put_mask(path: Path, last: int = 20) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask(last)).save(path, "PNG")


def put_coco(path: Path, *names: str) -> Path:
    images = [{"id": n, "file_name": name, "width": WIDTH, "height": HEIGHT} for n, name in enumerate(names)]
    drawn = [
        {"id": n, "image_id": n, "category_id": 1, "segmentation": rle_of(mask(10 + n))} for n, _ in enumerate(names)
    ]
    path.write_text(
        json.dumps({"images": images, "categories": [{"id": 1, "name": "dog"}], "annotations": drawn}), encoding="utf-8"
    )
    return path


def indexed(tmp_path: Path, *uris: str) -> Workspace:
    store = Workspace.create(tmp_path / "work")
    index_source(store, open_source(str(put_photos(tmp_path / "photos", *uris))))
    return store


def answered(store: Workspace) -> set[str]:
    """Paths of the photos that have an answer."""
    photos = {image.image_id: image.uri for image in store.images()}
    return {photos[answer.image_id] for answer in store.annotations()}


# Readers: what photos a name, written as it is, reaches through each of them


def by_label_table(tmp_path: Path, photos: tuple[str, ...], name: str) -> set[str]:
    with (tmp_path / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("file", "label"), (name, "dog")])
    source = open_source(str(put_photos(tmp_path / "photos", *photos)), labels=tmp_path / "labels.csv")
    return {item.uri for item in source if not item.fault}


def by_annotation(tmp_path: Path, photos: tuple[str, ...], name: str) -> set[str]:
    stem = name if "." not in name else name.rpartition(".")[0]
    path = tmp_path / "boxes" / f"{stem}.xml"
    path.parent.mkdir(parents=True, exist_ok=True)
    corners = "<xmin>1</xmin><ymin>2</ymin><xmax>9</xmax><ymax>8</ymax>"
    path.write_text(
        f"<annotation><size><width>{WIDTH}</width><height>{HEIGHT}</height></size>"
        f"<object><name>dog</name><bndbox>{corners}</bndbox></object></annotation>"
    )
    source = open_source(str(put_photos(tmp_path / "photos", *photos)), boxes=tmp_path / "boxes")
    return {item.uri for item in source if item.boxes_xyxy_px and not item.fault}


def by_coco(tmp_path: Path, photos: tuple[str, ...], name: str) -> set[str]:
    store = indexed(tmp_path, *photos)
    try:
        import_coco(store, [put_coco(tmp_path / "x.json", name)], ORIGIN, CocoChoices())
    except DataError:
        assert answered(store) == set()
    return answered(store)


def by_coco_bytes(tmp_path: Path, photos: tuple[str, ...], name: str) -> set[str]:
    store = indexed(tmp_path, *photos)
    choices = CocoChoices(images=tmp_path / "photos")
    try:
        import_coco(store, [put_coco(tmp_path / "x.json", name)], ORIGIN, choices)
    except DataError:
        assert answered(store) == set()
    return answered(store)


def by_mask(tmp_path: Path, photos: tuple[str, ...], name: str) -> set[str]:
    store = indexed(tmp_path, *photos)
    put_mask(tmp_path / "masks" / f"{name}.png")
    try:
        import_mask_folder(store, tmp_path / "masks", ORIGIN)
    except DataError:
        assert answered(store) == set()
    return answered(store)


def by_attribute_table(tmp_path: Path, photos: tuple[str, ...], name: str) -> set[str]:
    store = indexed(tmp_path, *photos)
    for image in store.images():
        put_mask(tmp_path / "masks" / f"{image.image_id}.png")
    with (tmp_path / "masks" / "attributes.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("file", "attribute", "value"), (name, "wet", "true")])
    with suppress(DataError):  # the row, and with it its photo, is refused
        import_mask_folder(store, tmp_path / "masks", ImportOrigin(text="us", tool="t", schema=SCHEMA))
    photos_of = {image.image_id: image.uri for image in store.images()}
    return {photos_of[answer.image_id] for answer in store.annotations() if answer.attributes["wet"]}


READERS: dict[str, Callable[[Path, tuple[str, ...], str], set[str]]] = {
    "label table": by_label_table,
    "annotation": by_annotation,
    "coco": by_coco,
    "coco by bytes": by_coco_bytes,
    "mask": by_mask,
    "attribute table": by_attribute_table,
}
SAME = {
    "as it is": (("dog/a.png", "dog/b.png"), "dog/a.png", {"dog/a.png"}),
    "NFC for NFD": ((f"dog/{NFD}.png", "dog/b.png"), f"dog/{NFC}.png", {f"dog/{NFD}.png"}),
    "NFD for NFC": ((f"dog/{NFC}.png", "dog/b.png"), f"dog/{NFD}.png", {f"dog/{NFC}.png"}),
    "a folder in NFD": ((f"dog/{NFC}/a.png", "dog/b.png"), f"{NFD}/a.png", {f"dog/{NFC}/a.png"}),
    "narrow space": (("dog/at 3\u202fPM.png", "dog/b.png"), "dog/at 3 PM.png", {"dog/at 3\u202fPM.png"}),
    "wide space": (("dog/写\u30001.png", "dog/b.png"), "dog/写 1.png", {"dog/写\u30001.png"}),
    "capital letters": (("dog/IMG_1.PNG", "dog/b.png"), "dog/img_1.png", {"dog/IMG_1.PNG"}),
    "another ending": (("dog/a.png", "dog/b.png"), "dog/a.jpg", {"dog/a.png"}),
    "no folder": (("dog/a.png", "dog/b.png"), "a.png", {"dog/a.png"}),
    "its own folder of two": (("cat/a.png", "dog/a.png"), "dog/a.png", {"dog/a.png"}),
    "a dot in the name": (("dog/d.v2.png", "dog/b.png"), "dog/d.v2.png", {"dog/d.v2.png"}),
}
NONE = {
    "several folders": (("cat/a.png", "dog/a.png"), "a.png"),
    "another folder": (("train/dog/a.png", "train/dog/b.png"), "val/dog/a.png"),
    "another class": (("dog/a.png", "dog/b.png"), "cat/a.png"),
    "two forms that look alike": ((f"dog/{NFC}.png", f"dog/{NFD}.png"), f"{NFC}.png"),
    "two that differ in capitals": (("dog/IMG.png", "dog/img.png"), "Img.png"),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("form", SAME)
def test_every_reader_compares_names_in_one_way(tmp_path: Path, reader: str, form: str) -> None:
    photos, name, right = SAME[form]
    written = name.rpartition(".")[0] if reader == "mask" else name
    assert READERS[reader](tmp_path, photos, written) == right


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("form", NONE)
def test_no_reader_chooses(tmp_path: Path, reader: str, form: str) -> None:
    photos, name = NONE[form]
    written = name.rpartition(".")[0] if reader == "mask" else name
    assert READERS[reader](tmp_path, photos, written) == set()


@pytest.mark.parametrize(
    ("name", "right"),
    [("a", {"b/a.jpg", "b/a.png"}), ("a.jpg", {"b/a.jpg"}), ("a.PNG", {"b/a.png"}), ("a.gif", {"b/a.jpg", "b/a.png"})],
)
def test_an_ending_decides_only_where_it_is_written(name: str, right: set[str]) -> None:
    index: NameIndex[str] = NameIndex()
    for uri in ("b/a.jpg", "b/a.png"):
        index.add(uri, uri)
    assert set(index.find(name).fits) == right


@pytest.mark.parametrize(
    ("root", "name", "fits"),
    [
        ("/data/train", "val/dog/a.jpg", False),
        ("/data/train", "train/dog/a.jpg", True),
        ("/data/val", "validation/dog/a.jpg", True),
        ("/data/photos", "C:\\my\\dog\\a.jpg", True),
        ("/data/photos", "data/images/dog/a.jpg", True),
    ],
)
def test_folders_above_the_root_speak_only_where_they_are_splits(root: str, name: str, fits: bool) -> None:
    index: NameIndex[str] = NameIndex()
    index.add("dog/a.jpg", "a", root=root)
    assert bool(index.find(name).fits) == fits


def test_a_whole_path_is_one_below_one_root_and_none_among_several() -> None:
    index: NameIndex[str] = NameIndex()
    index.add("a.jpg", "flat", root="/one")
    index.add("sub/a.jpg", "deep", root="/one")
    assert index.find("a.jpg").fits == ("flat",)
    index.add("dog/a.jpg", "other", root="/two")
    assert len(index.find("a.jpg").fits) == 3


def test_names_that_compete_for_one_photo_are_told_of_each_other() -> None:
    index: NameIndex[str] = NameIndex()
    index.add("dog/a.jpg", "a")
    meanings = index.meanings(["a.jpg", "a.png", "dog/a.jpg"])
    assert {name: meant.others for name, meant in meanings.items()} == {
        "a.jpg": ("dog/a.jpg",),
        "a.png": (),
        "dog/a.jpg": ("a.jpg",),
    }
    assert (meanings["a.png"].fits, meanings["a.png"].near) == ((), ("a",))


def test_every_place_that_fits_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with indexed(tmp_path, "cat/a.png", "dog/a.png", "dog/b.png") as store:
        put_mask(tmp_path / "masks" / "a.png")
        put_mask(tmp_path / "masks" / "b.png")
        with pytest.raises(DataError, match=r"got 2 \(photos: (cat|dog)/a\.png, photos: (cat|dog)/a\.png\)"):
            import_mask_folder(store, tmp_path / "masks", ORIGIN)
        assert answered(store) == {"dog/b.png"}


def test_one_annotation_is_not_two_photos(tmp_path: Path) -> None:
    reached = by_annotation(tmp_path, ("cat/a.png", "dog/a.png", "dog/b.png"), "a.xml")
    assert reached == set()
    source = open_source(str(tmp_path / "photos"), boxes=tmp_path / "boxes")
    assert {item.uri for item in source if item.reason == "ambiguous_name"} == {"cat/a.png", "dog/a.png"}


def test_one_photo_has_not_two_annotations(tmp_path: Path) -> None:
    by_annotation(tmp_path, ("dog/a.png",), "train/a.xml")
    by_annotation(tmp_path, ("dog/a.png",), "test/a.xml")
    (item,) = open_source(str(put_photos(tmp_path / "flat", "a.png").parent / "flat"), kind="textures")
    assert item.uri == "a.png"
    table = tmp_path / "labels.csv"
    table.write_text("file,label\na.png,dog\n")
    (item,) = open_source(str(tmp_path / "flat"), labels=table, boxes=tmp_path / "boxes")
    assert "got test/a.xml, train/a.xml" in item.fault


def test_labels_are_in_one_form_and_those_that_differ_in_capitals_are_told(tmp_path: Path) -> None:
    put_photos(tmp_path / "photos", f"{NFD}/a.png", f"{NFC}/b.png", "Dog/c.png", "dog/d.png")
    with Workspace.create(tmp_path / "work") as store:
        report = index_source(store, open_source(str(tmp_path / "photos")))
        assert {image.label for image in store.images()} == {NFC, "Dog", "dog"}
    assert report.warnings() == ["labels that differ in capital letters alone: Dog, dog"]
    assert same_names(["a", "b"]) == {}
    assert name_key("STRASSE") == name_key("straße")


# Categories


def test_a_word_of_a_map_means_one_category(tmp_path: Path) -> None:
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": WIDTH, "height": HEIGHT}],
        "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "1"}, {"id": 3, "name": "cat"}],
        "annotations": [{"id": 5, "image_id": 1, "category_id": 2, "segmentation": rle_of(mask())}],
    }
    (tmp_path / "x.json").write_text(json.dumps(content))
    (tmp_path / "map.csv").write_text("category,label\n1,hound\ncat,cat\nzebra,zebra\n")
    faults = Faults()
    file = read_coco(tmp_path / "x.json", faults)
    used = check_category_map(read_category_map(tmp_path / "map.csv"), file, faults)
    assert (used, file.faulty) == ({"1", "cat"}, {1})
    (fault,) = faults
    assert fault.got == "category 2 1, category 1 dog"


def test_categories_may_differ_in_capitals_unless_one_is_spelled_like_the_label() -> None:
    upper, lower = CocoCategory(id=1, name="Dog"), CocoCategory(id=2, name="dog")
    assert category_has_label(upper, "dog", None, {"Dog"})
    assert not category_has_label(upper, "dog", None, {"Dog", "dog"})
    assert category_has_label(lower, "dog", None, {"Dog", "dog"})
    assert category_has_label(CocoCategory(id=3, name=NFD), NFC, None)


def test_a_category_that_is_a_part_and_the_object_is_a_fault(tmp_path: Path) -> None:
    schema = AttributeSchema.model_validate(
        {"name": "s", "version": "1", "attributes": [{"name": "dog", "scope": "local"}]}
    )
    with indexed(tmp_path, "dog/a.png") as store:
        origin = ImportOrigin(text="us", tool="t", schema=schema)
        with pytest.raises(DataError, match="got both, the label dog and the attribute dog"):
            import_coco(store, [put_coco(tmp_path / "x.json", "a.png")], origin, CocoChoices())
        assert answered(store) == set()


def test_a_folder_that_is_an_attribute_and_a_class_is_a_fault(tmp_path: Path) -> None:
    with indexed(tmp_path, "wing/a.png", "dog/b.png") as store:
        put_mask(tmp_path / "masks" / "wing" / "a.png")
        put_mask(tmp_path / "masks" / "dog" / "b.png")
        with pytest.raises(DataError, match="both are called 'wing'"):
            import_mask_folder(store, tmp_path / "masks", ImportOrigin(text="us", tool="t", schema=SCHEMA))
        assert answered(store) == {"dog/b.png"}


# Photos that are there under another name, or not


def test_what_became_of_a_photo_is_told(tmp_path: Path) -> None:
    put_photos(tmp_path / "photos", "dog/a.png")
    (tmp_path / "photos/dog/twin.png").write_bytes((tmp_path / "photos/dog/a.png").read_bytes())
    (tmp_path / "photos/dog/empty.png").write_bytes(b"")
    for name in ("a", "twin", "empty"):
        put_mask(tmp_path / "masks" / f"{name}.png")
    with indexed(tmp_path, "dog/a.png") as store:
        with pytest.raises(DataError) as caught:
            import_mask_folder(store, tmp_path / "masks", ORIGIN)
        assert answered(store) == {"dog/a.png"}
    got = {Path(fault.where).stem: fault.got for fault in caught.value.faults}
    assert got == {
        "twin": "dog/twin.png, a duplicate: the bytes of dog/a.png",
        "empty": "dog/empty.png, rejected: zero_byte (the file is empty)",
    }


# Cases of ../shared


def test_case_other_folder_wins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copy_case("annotate/04_coco_other_folder_wins", tmp_path))
    run_here(capsys, "index", "photos", "-w", "w")
    code, out, _ = run_here(capsys, "import", "coco", "x.json", "-w", "w", "--origin", "me")
    assert (code, "1 answers stored" in out, "val/dog/0001.jpg (none in these folders" in out) == (0, True, True)
    run_here(capsys, "index", "photos", "-w", "w2")
    code, out, _ = run_here(capsys, "import", "coco", "y.json", "-w", "w2", "--origin", "me")
    assert (code, "0 answers stored" in out) == (1, True)


def test_case_names_that_mean_two_photos(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copy_case("annotate/05_names_that_mean_two_photos", tmp_path))
    code, out, err = run_here(capsys, "index", "photos", "-w", "w", "--labels", "labels.csv")
    assert (code, "0 photos added" in out) == (1, True)
    assert "got a/0001.jpg, b/0001.jpg" in err
    assert "got c/x.jpg, c/x.png" in err


@pytest.mark.parametrize("case", ["13_coco_macos_screenshot_name", "14_nfc_nfd_names"])
def test_case_unicode_forms(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    folder = copy_case(f"annotate/{case}", tmp_path)
    monkeypatch.chdir(folder)
    run_here(capsys, "index", "photos", "-w", "w")
    code, out, _ = run_here(capsys, "import", "coco", "x.json", "-w", "w", "--origin", "me")
    assert (code, "2 answers stored" in out) == (0, True)
    if (folder / "masks").is_dir():
        assert run_here(capsys, "import", "masks", "masks", "-w", "w", "--origin", "you")[0] == 0
        code, out, _ = run_here(capsys, "index", "photos", "-w", "w2", "--labels", "labels.csv")
        assert (code, "2 photos added" in out) == (0, True)


def test_case_duplicate_photo(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copy_case("annotate/20_duplicate_photo_named", tmp_path))
    run_here(capsys, "index", "photos", "-w", "w")
    fault = "dog/b.png, a duplicate: the bytes of dog/a.png"
    code, _, err = run_here(capsys, "import", "masks", "masks", "-w", "w", "--origin", "me")
    assert (code, fault in err) == (1, True)
    code, out, _ = run_here(capsys, "import", "coco", "x.json", "-w", "w", "--origin", "me")
    assert (code, fault in out) == (0, True)
    code, _, err = run_here(capsys, "import", "coco", "x.json", "-w", "w", "--origin", "me", "--images", "photos")
    assert (code, "keep the entry and the masks of one of them" in err) == (1, True)
