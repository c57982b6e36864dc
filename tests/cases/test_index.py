"""All that a reader finds is taken, passed over with its reason, or refused, and counted."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from photo_samples import draw_pixels, encode
from shared_cases import copy_case, run_here

from figureground.annotate.catalogue import IndexReport, index_source
from figureground.annotate.photo_states import list_photos
from figureground.annotate.proposals.proposing import ProposalSettings, propose
from figureground.annotate.segmenters.loading import ModelChoice, load_models
from figureground.errors import DataError, UsageError
from figureground.schemas.documents import read_text
from figureground.schemas.records import Decision
from figureground.schemas.sources.opening import count_passed_over, open_source
from figureground.schemas.store.workspace import Workspace
from figureground.schemas.tables import read_table

HIDDEN = "hidden and system files"


def put(root: Path, *uris: str) -> Path:
    for number, uri in enumerate(uris):
        (root / uri).parent.mkdir(parents=True, exist_ok=True)
        (root / uri).write_bytes(encode(draw_pixels(number), "PNG"))
    return root


def index(tmp_path: Path, root: Path, **reading: object) -> tuple[IndexReport, list[str]]:
    """The report of an index, and the paths that are catalogued."""
    with Workspace.create(tmp_path / "work") as store:
        report = index_source(store, open_source(str(root), **reading))  # type: ignore[arg-type]
        return report, sorted(image.uri for image in store.images())


# Hidden and system files

STRANGERS = (
    ".ipynb_checkpoints/a-checkpoint.jpg",
    "dog/.ipynb_checkpoints/a-checkpoint.jpg",
    "dog/._a.jpg",
    "@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg",
    "dog/@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg",
    "__MACOSX/dog/._a.jpg",
    ".Trash-1000/files/old.jpg",
    "$RECYCLE.BIN/x.jpg",
    "#recycle/x.jpg",
    "lost+found/x.jpg",
    "dog/Thumbs.db",
    "dog/desktop.ini",
    "dog/@__thumb/a.jpg",
    "dog/Icon\r",
    ".DS_Store",
)


@pytest.mark.parametrize("stranger", STRANGERS)
@pytest.mark.parametrize("form", ["folder", "table", "tar", "textures", "ilsvrc", "rival10", "imagenet-a"])
def test_what_systems_put_beside_photos_is_passed_over(tmp_path: Path, stranger: str, form: str) -> None:
    top, photo, kind = {
        "ilsvrc": ("train/", "train/dog/a.jpg", "ilsvrc"),
        "rival10": ("", "train/ordinary/dog_a.JPEG", "rival10"),
        "imagenet-a": ("", "n01498041/a.jpg", "imagenet-a"),
        "textures": ("", "a.jpg", "textures"),
    }.get(form, ("", "dog/a.jpg", "folder"))
    root = put(tmp_path / "photos", photo, f"{top}{stranger}")
    labels = None
    if form == "table":
        labels = tmp_path / "labels.csv"
        labels.write_text("file,label\na.jpg,dog\n")
    if form == "tar":
        with tarfile.open(tmp_path / "photos.tar", "w") as packed:
            packed.add(root, "photos")
        root = tmp_path / "photos.tar"
    source = open_source(str(root), kind=kind, labels=labels)
    assert [(item.uri, item.fault) for item in source] == [(photo, "")]
    assert count_passed_over(source) == {HIDDEN: 1}


def test_hidden_parquet_files_are_no_shards(tmp_path: Path) -> None:
    table = pa.table({"image": [encode(draw_pixels(), "PNG")], "label": ["dog"]})
    for name in ("train-0.parquet", ".cache/train-0.parquet"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, tmp_path / "data" / name)
    source = open_source(str(tmp_path / "data"))
    assert [item.uri for item in source] == ["train-0.parquet#0"]
    assert count_passed_over(source) == {HIDDEN: 1}


# Splits, endings, columns


def test_annotations_of_another_kind_make_no_ilsvrc_tree(tmp_path: Path) -> None:
    root = put(tmp_path / "p", "train/dog/a.jpg", "val/dog/b.jpg", "test/dog/c.jpg")
    (root / "Annotations").mkdir()
    (root / "Annotations" / "instances.json").write_text("{}")
    report, uris = index(tmp_path, root)
    assert (uris, report.passed_over) == (["test/dog/c.jpg", "train/dog/a.jpg", "val/dog/b.jpg"], {".json": 1})


def test_photos_without_a_label_in_a_split_are_no_class_of_its_name(tmp_path: Path) -> None:
    root = put(tmp_path / "p", "train/dog/a.jpg", "test/b.jpg", "Val/c.jpg", "other/d.jpg")
    report, uris = index(tmp_path, root)
    assert uris == ["other/d.jpg", "train/dog/a.jpg"]
    assert {rejection.uri: rejection.detail.partition(", got ")[2] for rejection in report.rejections} == {
        "Val/c.jpg": "a file directly in Val",
        "test/b.jpg": "a file directly in test",
    }
    _, uris = index(tmp_path / "flat", put(tmp_path / "flat" / "p", "train/a.jpg", "plane/b.jpg"))
    assert uris == ["plane/b.jpg", "train/a.jpg"]  # classes that are called so


def test_photos_that_an_ilsvrc_tree_leaves_out_are_counted(tmp_path: Path) -> None:
    root = put(tmp_path / "p", "train/n01440764/a.jpg", "test/b.jpg", "test/c.jpg", "extra/n01440764/d.jpg")
    (root / "Annotations").mkdir()
    (root / "Annotations" / "x.xml").write_text("<annotation/>")
    report, uris = index(tmp_path, root)
    assert uris == ["train/n01440764/a.jpg"]
    assert report.passed_over == {
        "photos of extra, read as ILSVRC (--kind folder takes them)": 1,
        "photos of test, read as ILSVRC (--kind folder takes them)": 2,
    }
    assert "photos of test" in str(report)


def test_photos_that_a_rival10_tree_leaves_out_are_counted(tmp_path: Path) -> None:
    root = put(
        tmp_path / "p",
        "train/ordinary/dog_a.JPEG",
        "train/ordinary/dog_a_merged_mask.JPEG",
        "train/removed/dog_a.JPEG",
        "extra/x.jpg",
    )
    report, uris = index(tmp_path, root, kind="rival10")
    assert uris == ["train/ordinary/dog_a.JPEG"]
    assert report.passed_over == {"masks": 1, "photos of extra": 1, "photos of removed": 1}


@pytest.mark.parametrize("ending", [".jpg", ".JPEG", ".jpe", ".jfif", ".png", ".WebP", ".bmp", ".gif", ".tif", ".tiff"])
def test_endings_of_photos(tmp_path: Path, ending: str) -> None:
    assert index(tmp_path, put(tmp_path / "p", f"dog/a{ending}"))[1] == [f"dog/a{ending}"]


@pytest.mark.parametrize("ending", [".heic", ".avif", ".jxl", ".NEF", ".dng"])
def test_pictures_in_formats_that_are_not_read_are_told(tmp_path: Path, ending: str) -> None:
    report, _ = index(tmp_path, put(tmp_path / "p", "dog/a.jpg", f"dog/b{ending}"))
    assert report.passed_over == {ending.lower(): 1}
    assert report.warnings() == ["1 files are pictures in formats that are not read: convert them to PNG or JPEG"]


def test_columns_that_are_not_read_are_told(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file,label,who,split\na.jpg,dog,anna,train\n")
    source = open_source(str(put(tmp_path / "p", "a.jpg")), labels=tmp_path / "labels.csv")
    assert count_passed_over(source) == {"column who of labels.csv": 1}
    table = pa.table({"image": [encode(draw_pixels(), "PNG")], "label": ["dog"], "boxes": [[1]]})
    pq.write_table(table, tmp_path / "x.parquet")
    assert count_passed_over(open_source(str(tmp_path / "x.parquet"))) == {"column boxes": 1}


# Nothing usable


def _flat(folder: Path) -> None:
    put(folder, "a.jpg", "b.jpg")


NOTHING: dict[str, Callable[[Path], object]] = {
    "nothing": lambda folder: None,
    "notes": lambda folder: (folder / "notes.txt").write_text("x"),
    "foreign formats": lambda folder: (folder / "a.heic").write_bytes(b"x"),
    "hidden photos": lambda folder: put(folder, ".cache/dog/a.jpg"),
    "photos without a label": _flat,
    "damaged photos": lambda folder: (put(folder, "dog/a.jpg") / "dog/a.jpg").write_bytes(b""),
    "a parquet file without photos": lambda folder: pq.write_table(pa.table({"x": [1]}), folder / "x.parquet"),
    "a parquet file of no rows": lambda folder: pq.write_table(
        pa.table({"image": pa.array([], pa.binary()), "label": pa.array([], pa.string())}), folder / "x.parquet"
    ),
    "no parquet file": lambda folder: (folder / "x.parquet").write_bytes(b"PAR1"),
}


@pytest.mark.parametrize("name", NOTHING)
def test_an_index_of_nothing_usable_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    (tmp_path / "p").mkdir()
    NOTHING[name](tmp_path / "p")
    code, _, err = run_here(capsys, "index", tmp_path / "p", "-w", tmp_path / "w")
    assert (code, "1 fault in the data" in err) == (1, True)


def test_a_second_index_of_what_is_known_is_no_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path / "p", "dog/a.jpg")
    for _ in range(2):
        assert run_here(capsys, "index", tmp_path / "p", "-w", tmp_path / "w")[0] == 0


def test_textures_come_in_as_what_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path / "p", "dog/a.jpg")
    put(tmp_path / "textures", "x.jpg", "deep/y.jpg")
    (tmp_path / "textures/x.jpg").write_bytes(encode(draw_pixels(9), "PNG"))
    work = tmp_path / "w"
    (tmp_path / "boxes").mkdir()
    (tmp_path / "boxes/a.xml").write_text(
        "<annotation><size><width>60</width><height>40</height></size><object><name>dog</name><bndbox><xmin>9</xmin>"
        "<ymin>8</ymin><xmax>50</xmax><ymax>30</ymax></bndbox></object></annotation>"
    )
    assert run_here(capsys, "index", tmp_path / "p", "-w", work, "--boxes", tmp_path / "boxes")[0] == 0
    code, out, _ = run_here(capsys, "index", tmp_path / "textures", "-w", work, "--kind", "textures")
    assert (code, "2 photos added" in out) == (0, True)
    with Workspace.open(work) as store:
        assert [photo.state for photo in list_photos(store)] == ["undecided", "texture", "texture"]
        segmenter, saliency = load_models(ModelChoice(segmenter="grabcut"))
        report = propose(store, segmenter, ProposalSettings(prompt_mode="box"), saliency=saliency)
        assert report.images == 1
    with pytest.raises(UsageError, match="textures has no labels"):
        open_source(str(tmp_path / "textures"), kind="textures", boxes=tmp_path)


def test_photos_are_listed_with_id_name_label_and_state(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path / "p", "cat/a.jpg", "dog/b.jpg", "dog/c.jpg")
    (tmp_path / "p/dog/d.jpg").write_bytes(b"")
    work = tmp_path / "w"
    run_here(capsys, "index", tmp_path / "p", "-w", work)
    with Workspace.open(work) as store:
        ids = {image.uri: image.image_id for image in store.images()}
        store.decide(Decision(image_id=ids["dog/c.jpg"], state="rejected", reason="blurred"))
    code, out, _ = run_here(capsys, "photos", "-w", work, "--label", "dog", "--rejected")
    assert code == 0
    assert out.splitlines() == [
        f"{ids['dog/b.jpg']}  undecided  dog  p: dog/b.jpg",
        f"{ids['dog/c.jpg']}  rejected  dog  p: dog/c.jpg  (blurred)",
    ]
    _, out, _ = run_here(capsys, "photos", "-w", work, "--rejected", "--state", "zero_byte", "--json")
    assert [photo["name"] for photo in json.loads(out)["photos"]] == ["dog/d.jpg"]
    assert run_here(capsys, "photos", "-w", work, "--source", "gone")[0] == 2


# Parquet: none is fatal


def parquet(path: Path, **columns: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, row_group_size=2, compression="none")
    return path


def pictures(count: int, first: int = 0) -> list[bytes]:
    return [encode(draw_pixels(first + number), "PNG") for number in range(count)]


@pytest.mark.parametrize(
    ("labels", "read", "faults"),
    [
        (pa.array([0.0, 1.0, 1.0, 0.0]), ["0", "1", "1", "0"], []),
        (pa.array([0.5, float("nan"), 2.0, None]), ["0.5", "2"], ["got no number (NaN)", "got none"]),
        (pa.array([0, 1, -1, 2]), ["0", "1", "2"], ["got -1, which stands for none"]),
        (pa.array([True, False, True, False]), ["True", "False", "True", "False"], []),
        (pa.array([b"dog", b"caf\xc3\xa9", b"\xff", b""]), ["dog", "café"], ["in UTF-8, got b'\\xff'", "got b''"]),
        (pa.array([[0], [1], [0], [1]]), [], ["text or a number, got a list"] * 4),
        (pa.array(["a", "", None, "b"]), ["a", "b"], ["got none", "got none"]),
    ],
)
def test_labels_of_every_type(tmp_path: Path, labels: pa.Array, read: list[str], faults: list[str]) -> None:
    path = parquet(tmp_path / "x.parquet", image=pictures(4), label=labels)
    items = list(open_source(str(path)))
    assert [item.label for item in items if not item.fault] == read
    assert len([item for item in items if item.fault]) == len(faults)


def test_text_that_is_no_utf_8_and_text_as_image_are_their_rows_faults(tmp_path: Path) -> None:
    labels = pa.array([b"dog", b"\xff\xfe", b"dog"], pa.binary()).cast(pa.binary())
    text = pa.StringArray.from_buffers(3, labels.buffers()[1], labels.buffers()[2])
    report, uris = index(tmp_path, parquet(tmp_path / "x.parquet", image=pictures(3), label=text))
    assert uris == ["x.parquet#0", "x.parquet#2"]
    assert "expected a label in UTF-8" in report.rejections[0].detail
    parquet(tmp_path / "y.parquet", image=["text", "more"], label=["dog", "dog"])
    report, _ = index(tmp_path, tmp_path / "y.parquet")
    assert [rejection.detail for rejection in report.rejections] == [
        f"y: y.parquet#{row}: expected the bytes of an image file, got a str" for row in (0, 1)
    ]


def test_a_damaged_page_costs_its_rows_alone(tmp_path: Path) -> None:
    path = parquet(tmp_path / "data/a.parquet", image=pictures(6), label=["dog"] * 6)
    parquet(tmp_path / "data/b.parquet", image=pictures(2, 20), label=["dog"] * 2)
    (tmp_path / "data/c.parquet").write_bytes(b"PAR1 nothing PAR1")
    column = pq.ParquetFile(path).metadata.row_group(1).column(1)
    data = bytearray(path.read_bytes())
    start = column.dictionary_page_offset or column.data_page_offset
    data[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path.write_bytes(data)
    report, uris = index(tmp_path, tmp_path / "data")
    assert uris == [*(f"a.parquet#{row}" for row in (0, 1, 4, 5)), "b.parquet#0", "b.parquet#1"]
    assert {rejection.uri: rejection.reason for rejection in report.rejections} == {
        "a.parquet#2": "file_fault",
        "c.parquet": "file_fault",
    }
    assert len(report.faults) == 2


# Links, tables


@pytest.mark.parametrize("name", ["loop", "loop.jpg"])
def test_a_link_to_itself_ends_nothing(tmp_path: Path, name: str) -> None:
    root = put(tmp_path / "p", "dog/a.jpg")
    (root / name).symlink_to(name)
    report, uris = index(tmp_path, root)
    assert uris == ["dog/a.jpg"]
    assert [rejection.uri for rejection in report.rejections] == [name]
    source = open_source(str(root))
    with pytest.raises(DataError):
        source.read(name)


TABLE = "file,label\na.jpg,dög\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_tables_are_read_as_people_save_them(tmp_path: Path, encoding: str, line_end: str) -> None:
    (tmp_path / "labels.csv").write_bytes(TABLE.replace("\n", line_end).encode(encoding))
    source = open_source(str(put(tmp_path / "p", "a.jpg")), labels=tmp_path / "labels.csv")
    assert [item.label for item in source] == ["dög"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (TABLE.encode("latin-1"), "labels.csv: expected UTF-8 text, got byte 0xf6, in line 2; save it as UTF-8"),
        (TABLE.replace(",", ";").encode(), "got file;label; save it with commas between cells, not semicolons"),
        (b"file,label,label\na,b,c\n", "each once, got file, label, label"),
        (b"", "got an empty file"),
    ],
)
def test_tables_that_cannot_be_read_say_how_to_save_them(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "labels.csv").write_bytes(data)
    with pytest.raises(DataError, match=message):
        read_table(tmp_path / "labels.csv", ("file", "label"))


def test_a_row_with_a_comma_too_many_costs_its_photo_alone(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file,label\na.jpg,tench, Tinca\nb.jpg,dog\n")
    source = open_source(str(put(tmp_path / "p", "a.jpg", "b.jpg")), labels=tmp_path / "labels.csv")
    assert {item.uri: (item.label, bool(item.fault)) for item in source} == {
        "a.jpg": ("", True),
        "b.jpg": ("dog", False),
    }


def test_text_is_read_in_one_way(tmp_path: Path) -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        (tmp_path / "a.yaml").write_text("name: é", encoding=encoding)
        assert read_text(tmp_path / "a.yaml") == "name: é"
    with pytest.raises(UsageError):
        read_text(tmp_path / "gone.yaml")
    with pytest.raises(DataError, match="at most 3 bytes"):
        read_text(tmp_path / "a.yaml", most_bytes=3)


# Cases of ../shared


@pytest.mark.parametrize(
    ("case", "photos", "phrase"),
    [
        ("annotate/08_hidden_folders_become_classes", 2, "hidden and system files 10"),
        ("annotate/09_test_split_lost", 3, ".json 1"),
    ],
)
def test_cases_of_folders(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str, photos: int, phrase: str
) -> None:
    folder = copy_case(case, tmp_path)
    code, out, _ = run_here(capsys, "index", folder / "photos", "-w", tmp_path / "w")
    assert (code, f"{photos} photos added" in out, phrase in out) == (0, True, True)
    with Workspace.open(tmp_path / "w") as store:
        assert {image.label for image in store.images()} <= {"cat", "dog"}


def test_case_parquet_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = copy_case("build/19_parquet_labels", tmp_path)
    assert run_here(capsys, "index", folder / "float", "-w", tmp_path / "w1")[0] == 0
    with Workspace.open(tmp_path / "w1") as store:
        labels = [image.label for image in store.images()]
    assert (len(labels), len(set(labels))) == (4, 2)
    code, out, err = run_here(capsys, "index", folder / "labels_column", "-w", tmp_path / "w2")
    assert (code, "0 photos added" in out) == (1, True)
    assert "1 fault in the data" in err
    assert "expected a column label, got image, labels" in err
