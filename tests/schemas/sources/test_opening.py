"""Sources: every layout is read as it lies, with labels and boxes; hostile paths and tables are refused by name."""

from __future__ import annotations

import os
import pickle
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from needs import SHARED, need_shared
from photo_samples import draw_pixels, encode

from figureground.errors import DataError, UsageError
from figureground.schemas.rasters.masks import Box
from figureground.schemas.sources.opening import PhotoSource, count_passed_over, open_source

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
        ("cat/deep/y.webp", "cat", ""),
        ("cat/z.jpeg", "cat", ""),
        ("dog/a.png", "dog", ""),
        ("dog/b.JPG", "dog", ""),
    ]
    assert list(source) == list(source)
    assert source.read("dog/b.JPG") == (tmp_path / "dog" / "b.JPG").read_bytes()


def test_folders_named_like_splits_are_splits(tmp_path: Path) -> None:
    put(tmp_path, "train/dog/a.jpg", "validation/dog/b.jpg", "Test/dog/c.jpg", "val/loose.jpg")
    put(tmp_path, "val/dog/d.jpg", "top.jpg")
    source = open_source(str(tmp_path))
    assert placed(source) == [
        ("Test/dog/c.jpg", "dog", "Test"),
        ("train/dog/a.jpg", "dog", "train"),
        ("val/dog/d.jpg", "dog", "val"),
        ("validation/dog/b.jpg", "dog", "validation"),
    ]
    expected = "expected a folder named for the label around it, got a file"
    assert faults(source) == {"top.jpg": f"{expected} at the top", "val/loose.jpg": f"{expected} directly in val"}


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    put(tmp_path, "bus/a.jpg", "train/b.jpg")
    assert placed(open_source(str(tmp_path))) == [("bus/a.jpg", "bus", ""), ("train/b.jpg", "train", "")]


@pytest.mark.parametrize("top", ["", "./", "photos/"])
@pytest.mark.parametrize(
    "uris",
    [
        ("dog/b.JPG", "dog/a.png", "cat/deep/y.webp", "loose.jpg"),
        ("train/dog/b.JPG", "test/cat/y.webp"),
        ("n01440764/a.jpg", "n01443537/b.jpg"),
    ],
)
def test_an_archive_is_read_as_the_folder_that_it_unpacks_to(tmp_path: Path, uris: tuple[str, ...], top: str) -> None:
    root = tmp_path / "photos"
    put(root, *uris, "dog/notes.TXT")
    with tarfile.open(tmp_path / "photos.tar", "w") as packed:
        for path in sorted(root.rglob("*"), reverse=True):
            if path.is_file() and (top != "photos/" or path.name != "loose.jpg"):
                packed.add(path, f"{top}{path.relative_to(root)}")
    folder, archive = open_source(str(root)), open_source(str(tmp_path / "photos.tar"))
    assert (archive.kind, archive.name) == ("folder", "photos")
    assert placed(archive) == placed(folder)
    assert count_passed_over(archive) == count_passed_over(folder) == {".txt": 1}
    for uri, _, _ in placed(folder):
        assert archive.read(uri) == folder.read(uri)
    with pytest.raises(DataError, match="of this archive"):
        archive.read("../x.jpg")


def test_a_folder_with_files_beside_it_is_a_part_of_an_archive_s_paths(tmp_path: Path) -> None:
    put(tmp_path, "dog/deep/a.jpg", "cat/b.jpg")
    with tarfile.open(tmp_path / "some.tar", "w") as packed:
        for uri in ("dog/deep/a.jpg", "cat/b.jpg"):
            packed.add(tmp_path / uri, uri)
    assert placed(open_source(str(tmp_path / "some.tar"))) == [("cat/b.jpg", "cat", ""), ("dog/deep/a.jpg", "dog", "")]


def test_other_files_are_passed_over_and_counted(tmp_path: Path) -> None:
    put(tmp_path, "dog/a.jpg")
    put(tmp_path, "dog/notes.TXT", "readme.txt", "dog/b.heic", "LICENSE", data=b"x")
    source = open_source(str(tmp_path))
    assert [item.uri for item in source] == ["dog/a.jpg"]
    assert count_passed_over(source) == {".heic": 1, ".txt": 2, "LICENSE": 1}


@pytest.mark.parametrize(
    "uri",
    [
        "../secret.jpg",
        "dog/../../secret.jpg",
        "dog/../dog/a.jpg",
        "/etc/passwd",
        "//etc/passwd",
        "dog//a.jpg",
        "./dog/a.jpg",
        "",
        ".",
        "dog/link.jpg",
        "linked/secret.jpg",
        "dog/a.jpg\0.png",
    ],
)
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
    faulty = faults(open_source(str(root)))
    assert faulty == {
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
    assert faults(open_source(str(tmp_path / "photos"), labels=table)) == {
        "a.jpg": "expected one label in labels.csv, got dog in line 2 and cat in line 4 and dog in line 5",
        "b": "expected a file and a label, got 'b', ''",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            b"name,class\na,dog\n",
            "expected the columns file or id or ImageId, label or PredictionString, each once, got name, class",
        ),
        (b"", "expected the columns"),
        (b"file,label\n\xff\xfe,dog\n", "expected UTF-8 text, got byte 0xff, in line 2"),
    ],
)
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


# Opening


@pytest.mark.parametrize(
    ("locator", "name"),
    [
        ("hf://datasets/ILSVRC/imagenet-1k", "imagenet-1k"),
        ("hf://datasets/o/n@v1.0", "n"),
        ("hf://datasets/o/n@refs/pr/1", "n"),
    ],
)
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
    with pytest.raises(DataError, match=r"in folders, Data/CLS-LOC, or .parquet files, got .txt 1"):
        open_source(str(tmp_path))
    with pytest.raises(UsageError, match=r"no such folder, .parquet or .tar file, or hf://"):
        open_source(str(tmp_path / "gone"))


def test_photos_beside_parquet_are_the_users_to_choose(tmp_path: Path) -> None:
    put(tmp_path, "dog/a.jpg")
    pq.write_table(pa.table({"image": [b"x"], "label": ["dog"]}), tmp_path / "meta.parquet")
    with pytest.raises(UsageError, match=r"holds both photos and meta\.parquet"):
        open_source(str(tmp_path))
    assert [item.uri for item in open_source(str(tmp_path), kind="folder")] == ["dog/a.jpg"]
    assert [item.uri for item in open_source(str(tmp_path), kind="parquet")] == ["meta.parquet#0"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "tar"}, "no kind of source is called 'tar'; there are folder, ilsvrc, imagenet-a, parquet,"),
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
    need_shared(root)
    photos = placed(open_source(str(root)))
    assert len(photos) == 186
    assert all(label[0] == "n" and label[1:].isdecimal() for _, label, _ in photos)
    assert len({label for _, label, _ in photos}) == 186
