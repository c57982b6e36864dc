"""Sources: every layout read as it lies, labels and boxes found, hostile paths and tables refused by name."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from needs import SHARED, need
from photo_samples import draw_pixels, encode

from figureground.errors import DataError, UsageError
from figureground.schemas.masks import Box
from figureground.schemas.sources import ParquetSource, PhotoSource, SourceItem, count_passed_over, open_source
from figureground.schemas.voc import parse_voc, read_voc

VOC = (
    "<annotation><filename>x</filename><size><width>60</width><height>40</height><depth>3</depth></size>"
    "<object><name>n01440764</name><bndbox><xmin>5</xmin><ymin>6</ymin><xmax>20</xmax><ymax>30</ymax></bndbox></object>"
    "</annotation>"
)


def put(root: Path, *uris: str, data: bytes | None = None) -> None:
    """Files with small photos in them, no two alike."""
    for number, uri in enumerate(uris):
        path = root / uri
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(draw_pixels(number), "PNG") if data is None else data)


def placed(source: PhotoSource) -> list[tuple[str, str, str]]:
    """(uri, label, split) of the items without a fault."""
    return [(item.uri, item.label, item.source_split) for item in source if not item.fault]


def faults(source: PhotoSource) -> dict[str, str]:
    """Fault by uri."""
    return {item.uri: item.fault for item in source if item.fault}


def boxes(source: PhotoSource) -> dict[str, tuple[Box, ...]]:
    """Boxes by uri."""
    return {item.uri: item.boxes_xyxy_px for item in source}


# Folders


def test_a_folder_of_labels_is_read_in_the_order_of_paths(tmp_path: Path) -> None:
    put(tmp_path, "dog/b.JPG", "dog/a.png", "cat/z.jpeg", "cat/deep/y.webp")
    source = open_source(str(tmp_path))
    assert (source.kind, source.name, source.locator) == ("folder", tmp_path.name, str(tmp_path))
    assert placed(source) == [
        ("cat/deep/y.webp", "cat", ""), ("cat/z.jpeg", "cat", ""), ("dog/a.png", "dog", ""), ("dog/b.JPG", "dog", ""),
    ]  # fmt: skip
    assert list(source) == list(source)
    assert source.read("dog/b.JPG") == (tmp_path / "dog" / "b.JPG").read_bytes()


def test_folders_named_like_splits_are_splits(tmp_path: Path) -> None:
    put(tmp_path, "train/dog/a.jpg", "validation/dog/b.jpg", "Test/dog/c.jpg", "val/loose.jpg")
    put(tmp_path, "val/dog/d.jpg", "top.jpg")
    source = open_source(str(tmp_path))
    assert placed(source) == [
        ("Test/dog/c.jpg", "dog", "Test"), ("train/dog/a.jpg", "dog", "train"), ("val/dog/d.jpg", "dog", "val"),
        ("validation/dog/b.jpg", "dog", "validation"),
    ]  # fmt: skip
    expected = "expected a folder named for the label around it, got a file"
    assert faults(source) == {"top.jpg": f"{expected} at the top", "val/loose.jpg": f"{expected} directly in val"}


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    put(tmp_path, "bus/a.jpg", "train/b.jpg")
    assert placed(open_source(str(tmp_path))) == [("bus/a.jpg", "bus", ""), ("train/b.jpg", "train", "")]


def test_other_files_are_passed_over_and_counted(tmp_path: Path) -> None:
    put(tmp_path, "dog/a.jpg")
    put(tmp_path, "dog/notes.TXT", "readme.txt", "dog/b.heic", "LICENSE", data=b"x")
    source = open_source(str(tmp_path))
    assert [item.uri for item in source] == ["dog/a.jpg"]
    assert count_passed_over(source) == {".heic": 1, ".txt": 2, "LICENSE": 1}


@pytest.mark.parametrize(
    "uri",
    [
        "../secret.jpg", "dog/../../secret.jpg", "dog/../dog/a.jpg", "/etc/passwd", "//etc/passwd", "dog//a.jpg",
        "./dog/a.jpg", "", ".", "dog/link.jpg", "linked/secret.jpg", "dog/a.jpg\0.png",
    ],
)  # fmt: skip
def test_hostile_paths_are_refused(tmp_path: Path, uri: str) -> None:
    root = tmp_path / "photos"
    put(root, "dog/a.jpg")
    put(tmp_path, "secret.jpg")
    (root / "dog" / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (root / "linked").symlink_to(tmp_path)
    with pytest.raises(DataError, match="expected a path inside the source, got one that leaves it"):
        open_source(str(root)).read(uri)


def test_a_folder_beside_the_root_with_its_name_as_prefix_is_outside(tmp_path: Path) -> None:
    put(tmp_path, "photos/dog/a.jpg", "photos-private/dog/b.jpg")
    (tmp_path / "photos" / "dog" / "b.jpg").symlink_to(tmp_path / "photos-private" / "dog" / "b.jpg")
    with pytest.raises(DataError, match="leaves it"):
        open_source(str(tmp_path / "photos")).read("dog/b.jpg")


def test_what_cannot_be_photos_is_an_item_with_a_fault(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    put(root, "dog/a.jpg")
    put(tmp_path, "elsewhere/b.jpg")
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "dog" / "broken.jpg").symlink_to(tmp_path / "nothing")
    os.mkfifo(root / "dog" / "pipe.jpg")
    Path(os.fsdecode(os.fsencode(root / "dog") + b"/caf\xe9.jpg")).write_bytes(b"x")
    found = faults(open_source(str(root)))
    assert found == {
        "dog/broken.jpg": "expected a file, got a broken link or a device",
        "dog/caf\\xe9.jpg": "expected a path in UTF-8, got other bytes",
        "dog/pipe.jpg": "expected a file, got a broken link or a device",
        "linked": "expected a folder, got a link to one; index what it points to",
    }


def test_a_photo_that_went_away_is_named(tmp_path: Path) -> None:
    put(tmp_path, "dog/a.jpg")
    with pytest.raises(DataError, match=r"dog/b.jpg: expected a readable photo, got No such file"):
        open_source(str(tmp_path)).read("dog/b.jpg")


def test_a_file_too_large_to_be_a_photo_is_not_read(tmp_path: Path) -> None:
    put(tmp_path, "dog/a.jpg")
    with (tmp_path / "dog" / "a.jpg").open("r+b") as file:
        file.truncate(1 << 40)
    with pytest.raises(DataError, match="at most 1073741824 bytes"):
        open_source(str(tmp_path)).read("dog/a.jpg")


# Tables of labels


def test_a_flat_folder_takes_its_labels_from_a_table(tmp_path: Path) -> None:
    root, table = tmp_path / "photos", tmp_path / "labels.csv"
    put(root, "a.jpg", "b.jpg", "sub/c.jpg", "unlisted.jpg")
    table.write_text("\ufefffile,label,split\na.jpg,dog,train\nb,cat,\nsub/c.jpg, dog ,val\ngone.jpg,dog,val\n")
    source = open_source(str(root), labels=table)
    assert placed(source) == [("a.jpg", "dog", "train"), ("b.jpg", "cat", ""), ("sub/c.jpg", "dog", "val")]
    assert faults(source) == {
        "unlisted.jpg": "expected a row in labels.csv, got none",
        "gone.jpg": "expected the photo that labels.csv lists, got none",
    }


def test_every_fault_of_a_table_is_reported_at_once(tmp_path: Path) -> None:
    put(tmp_path, "photos/a.jpg")
    table = tmp_path / "labels.csv"
    table.write_text("id,label\na,dog\nb,\na,cat\na,dog\n")
    with pytest.raises(DataError) as caught:
        list(open_source(str(tmp_path / "photos"), labels=table))
    assert [str(fault).removeprefix(f"{table}: ") for fault in caught.value.faults] == [
        "line 3: expected a file and a label, got 'b', ''", "line 4: expected one label for a, got dog and cat",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [(b"name,class\na,dog\n", r"expected the columns file \(or id\) and label, got name, class"),
     (b"", "expected the columns"), (b"file,label\n\xff\xfe,dog\n", "expected a CSV file in UTF-8")],
)  # fmt: skip
def test_a_table_of_another_kind_is_refused(tmp_path: Path, text: bytes, message: str) -> None:
    put(tmp_path, "photos/a.jpg")
    (tmp_path / "labels.csv").write_bytes(text)
    with pytest.raises(DataError, match=message):
        list(open_source(str(tmp_path / "photos"), labels=tmp_path / "labels.csv"))


# The ILSVRC tree


def put_voc(root: Path, *uris: str, text: str = VOC) -> None:
    """Annotations."""
    for uri in uris:
        (root / uri).parent.mkdir(parents=True, exist_ok=True)
        (root / uri).write_text(text)


@pytest.fixture
def ilsvrc(tmp_path: Path) -> Path:
    """Kaggle's layout: two photos to train, two to validate, one to test."""
    data, notes = tmp_path / "ILSVRC/Data/CLS-LOC", tmp_path / "ILSVRC/Annotations/CLS-LOC"
    put(data, "train/n01440764/n01440764_1.JPEG", "train/n02071294/n02071294_2.JPEG")
    put(data, "val/ILSVRC2012_val_00000001.JPEG", "val/ILSVRC2012_val_00000002.JPEG", "test/x.JPEG")
    put_voc(notes, "train/n01440764/n01440764_1.xml", "val/ILSVRC2012_val_00000001.xml")
    return tmp_path


def test_the_ilsvrc_tree_gives_labels_and_boxes(ilsvrc: Path) -> None:
    for given in (ilsvrc, ilsvrc / "ILSVRC"):
        source = open_source(str(given), name="imagenet")
        assert (source.kind, source.locator) == ("ilsvrc", str(ilsvrc / "ILSVRC"))
    assert placed(source) == [
        ("train/n01440764/n01440764_1.JPEG", "n01440764", "train"),
        ("train/n02071294/n02071294_2.JPEG", "n02071294", "train"),
        ("val/ILSVRC2012_val_00000001.JPEG", "n01440764", "val"),
    ]
    assert list(boxes(source).values()) == [((5, 6, 21, 31),), (), ((5, 6, 21, 31),), ()]
    assert [item.annotated_hw for item in source] == [(40, 60), None, (40, 60), None]
    unlabelled = "val/ILSVRC2012_val_00000002.JPEG"
    assert faults(source) == {
        unlabelled: "expected one label in a folder's name, LOC_val_solution.csv or the annotation, "
        "got neither a table nor an annotation of it"
    }
    assert source.read(unlabelled).startswith(b"\x89PNG")


def test_kaggles_solution_labels_val_and_wins(ilsvrc: Path) -> None:
    (ilsvrc / "LOC_val_solution.csv").write_text(
        "ImageId,PredictionString\nILSVRC2012_val_00000001,n09999999 5 6 20 30 \n"
        "ILSVRC2012_val_00000002,n02071294 1 2 3 4 n02071294 5 6 7 8 \n"
    )
    source = open_source(str(ilsvrc))
    assert faults(source) == {}
    assert [label for _, label, split in placed(source) if split == "val"] == ["n09999999", "n02071294"]


@pytest.mark.parametrize("folder", ["Annotation", "Annotations"])
@pytest.mark.parametrize("notes", ["train/n01440764/x.xml", "n01440764/x.xml"])
def test_the_flat_layout_finds_its_annotations(tmp_path: Path, folder: str, notes: str) -> None:
    put(tmp_path, "train/n01440764/x.JPEG", "val/v1.JPEG")
    put_voc(tmp_path / folder, notes, "val/v1.xml")
    source = open_source(str(tmp_path))
    assert source.kind == "ilsvrc"
    assert [item.label for item in source] == ["n01440764", "n01440764"]
    assert list(boxes(source).values()) == [((5, 6, 21, 31),)] * 2


def test_val_in_folders_of_labels_finds_flat_annotations(tmp_path: Path) -> None:
    put(tmp_path, "train/n01440764/x.JPEG", "val/n01440764/v1.JPEG")
    put_voc(tmp_path / "boxes", "val/v1.xml")
    source = open_source(str(tmp_path), kind="folder", boxes=tmp_path / "boxes")
    assert boxes(source) == {"train/n01440764/x.JPEG": (), "val/n01440764/v1.JPEG": ((5, 6, 21, 31),)}
    assert placed(source)[1] == ("val/n01440764/v1.JPEG", "n01440764", "val")


@pytest.mark.parametrize(
    ("names", "got"), [(["Scottish_deerhound"], "no wnid"), (["n01440764", "n02071294"], "n01440764, n02071294")]
)
def test_val_annotations_without_one_wnid_are_faults(ilsvrc: Path, names: list[str], got: str) -> None:
    start, rest = VOC.split("<object>")
    objects = "".join(f"<object>{rest.removesuffix('</annotation>')}".replace("n01440764", name) for name in names)
    path = "Annotations/CLS-LOC/val/ILSVRC2012_val_00000002.xml"
    put_voc(ilsvrc / "ILSVRC", path, text=f"{start}{objects}</annotation>")
    fault = faults(open_source(str(ilsvrc)))["val/ILSVRC2012_val_00000002.JPEG"]
    assert fault.endswith(f"got {got} in val/ILSVRC2012_val_00000002.xml")


def test_a_faulty_annotation_is_the_photos_fault_and_stops_nothing(ilsvrc: Path) -> None:
    path = "Annotations/CLS-LOC/train/n01440764/n01440764_1.xml"
    put_voc(ilsvrc / "ILSVRC", path, text=VOC.replace("<xmin>5", "<xmin>25").replace("<ymax>30", "<ymax>x"))
    source = open_source(str(ilsvrc))
    assert faults(source)["train/n01440764/n01440764_1.JPEG"] == (
        "train/n01440764/n01440764_1.xml: object 0: expected a number in <bndbox><ymax>, got 'x'"
    )
    assert len(placed(source)) == 2


# Pascal-VOC


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
    "size 0": (VOC.replace(">60<", ">0<").encode(), "x.xml: size: expected a height and width above 0, got 40 x 0"),
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
        "expected a box inside the photo of 60 x 40 px, got (60, 6) to (70, 30)",
    ),
    "above it": (_voc_with((5, -9, 20, -1)), "expected a box inside the photo of 60 x 40 px, got (5, -9) to (20, -1)"),
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


# Parquet


def put_parquet(path: Path, rows: list[dict[str, Any]], names: list[str] | None = None, group: int = 3) -> None:
    """A file as ``datasets`` writes it, with row groups of ``group`` rows."""
    label_type = pa.int64() if names else pa.string()
    image_type = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    schema = pa.schema([("image", image_type), ("label", label_type)])
    if names:
        label = {"names": names, "_type": "ClassLabel"}
        features = {"info": {"features": {"image": {"_type": "Image"}, "label": label}}}
        schema = schema.with_metadata({"huggingface": json.dumps(features)})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path, row_group_size=group)


def photo_row(seed: int, label: Any, path: str | None = None) -> dict[str, Any]:
    return {"image": {"bytes": encode(draw_pixels(seed), "PNG"), "path": path}, "label": label}


def test_parquet_rows_are_labelled_by_class_name_and_read_at_random(tmp_path: Path) -> None:
    rows = [photo_row(seed, seed % 2) for seed in range(8)]
    put_parquet(tmp_path / "data" / "train-00000-of-00002.parquet", rows[:5], ["cat", "dog"])
    put_parquet(tmp_path / "data" / "train-00001-of-00002.parquet", rows[5:], ["cat", "dog"])
    source = open_source(str(tmp_path))
    assert isinstance(source, ParquetSource)
    first, second = (f"data/train-0000{number}-of-00002.parquet" for number in range(2))
    uris = [f"{first}#{row}" for row in range(5)] + [f"{second}#{row}" for row in range(3)]
    assert [item.uri for item in source] == uris
    assert [item.label for item in source] == ["cat", "dog"] * 4
    assert {item.source_split for item in source} == {"train"}
    for number in (7, 0, 3, 4, 2):
        assert source.read(uris[number]) == rows[number]["image"]["bytes"]
    assert pickle.loads(pickle.dumps(source)).read(uris[6]) == rows[6]["image"]["bytes"]


def test_reading_one_row_touches_only_its_row_group(tmp_path: Path) -> None:
    path = tmp_path / "photos.parquet"
    rows = [photo_row(seed, "dog") for seed in range(9)]
    put_parquet(path, rows)
    column = pq.ParquetFile(path).metadata.row_group(2).column(0)
    start = column.dictionary_page_offset or column.data_page_offset
    data = bytearray(path.read_bytes())
    data[start : start + column.total_compressed_size] = bytes(column.total_compressed_size)
    path.write_bytes(data)  # the third group is unreadable now
    source = open_source(str(path))
    assert source.name == "photos"
    assert source.read("photos.parquet#4") == rows[4]["image"]["bytes"]
    assert [item.uri for item in source] == [f"photos.parquet#{row}" for row in range(9)]  # without image bytes


def test_string_labels_and_plain_binary_images_will_do(tmp_path: Path) -> None:
    data = encode(draw_pixels(), "PNG")
    table = pa.table({"image": pa.array([data, data], pa.binary()), "label": ["dog", None]})
    pq.write_table(table, tmp_path / "x.parquet")
    source = open_source(str(tmp_path / "x.parquet"))
    assert list(source) == [
        SourceItem(uri="x.parquet#0", label="dog", source_split=""),
        SourceItem(uri="x.parquet#1", label="", source_split="", fault="expected a label, got none"),
    ]
    assert source.read("x.parquet#1") == data


@pytest.mark.parametrize(
    "uri",
    ["x.parquet#9", "x.parquet#-1", "x.parquet#", "x.parquet", "y.parquet#0", "../x.parquet#0", "#0", "x.parquet#1e0"],
)
def test_parquet_uris_of_other_rows_and_files_are_refused(tmp_path: Path, uri: str) -> None:
    put_parquet(tmp_path / "in" / "x.parquet", [photo_row(0, "dog")])
    put_parquet(tmp_path / "x.parquet", [photo_row(0, "dog")])
    with pytest.raises(DataError):
        open_source(str(tmp_path / "in")).read(uri)


def test_a_parquet_file_without_images_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"picture": [b"x"], "label": ["dog"]}), tmp_path / "x.parquet")
    with pytest.raises(DataError, match="expected a column image, got picture, label"):
        list(open_source(str(tmp_path)))


# Opening


@pytest.mark.parametrize(
    ("locator", "name"),
    [("hf://datasets/ILSVRC/imagenet-1k", "imagenet-1k"), ("hf://datasets/o/n@v1.0", "n"),
     ("hf://datasets/o/n@refs/pr/1", "n")],
)  # fmt: skip
def test_hub_ids_open_without_asking_the_hub(locator: str, name: str) -> None:
    source = open_source(locator)
    assert (source.kind, source.locator, source.name) == ("parquet", locator, name)


def test_a_source_opens_again_from_what_it_says_of_itself(tmp_path: Path) -> None:
    put(tmp_path, "p/dog/a.jpg")
    put_voc(tmp_path / "boxes", "dog/a.xml")
    first = open_source(str(tmp_path / "p"), boxes=tmp_path / "boxes")
    again = open_source(first.locator, kind=first.kind, name=first.name, options=first.options)
    assert again == first == pickle.loads(pickle.dumps(first))
    assert boxes(again) == {"dog/a.jpg": ((5, 6, 21, 31),)}


def test_nothing_known_says_what_was_looked_for(tmp_path: Path) -> None:
    put(tmp_path, "notes.txt", data=b"x")
    with pytest.raises(UsageError, match=r"neither photos in folders, nor Data/CLS-LOC, nor .parquet files"):
        open_source(str(tmp_path))
    with pytest.raises(UsageError, match=r"no such folder, .parquet file or hf://"):
        open_source(str(tmp_path / "gone"))


def test_photos_beside_parquet_are_the_users_to_choose(tmp_path: Path) -> None:
    put(tmp_path, "dog/a.jpg")
    put_parquet(tmp_path / "meta.parquet", [photo_row(0, "dog")])
    with pytest.raises(UsageError, match=r"holds both photos and meta\.parquet"):
        open_source(str(tmp_path))
    assert [item.uri for item in open_source(str(tmp_path), kind="folder")] == ["dog/a.jpg"]
    assert [item.uri for item in open_source(str(tmp_path), kind="parquet")] == ["meta.parquet#0"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "tar"}, "no kind of source is called 'tar'; there are folder, ilsvrc and parquet"),
        ({"name": "my photos"}, "source name 'my photos': give one of letters"),
        ({"name": ""}, "source name ''"),
        ({"name": "a/b"}, "source name 'a/b'"),
        ({"boxes": Path("gone")}, "gone: no such folder of boxes"),
        ({"labels": Path("gone.csv")}, r"gone.csv: no such table of labels"),
        ({"kind": "parquet", "labels": Path("gone.csv")}, "carries its own labels"),
    ],
)
def test_wrong_calls_are_usage_errors(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    put(tmp_path, "dog/a.jpg")
    with pytest.raises(UsageError, match=message):
        open_source(str(tmp_path), **arguments)


def test_the_real_photos_are_a_folder_of_wnids() -> None:
    root = SHARED / "photos_in9"
    need(root.is_dir(), "the shared photos are not here")
    found = placed(open_source(str(root)))
    assert len(found) == 186
    assert all(label[0] == "n" and label[1:].isdecimal() for _, label, _ in found)
    assert len({label for _, label, _ in found}) == 186
