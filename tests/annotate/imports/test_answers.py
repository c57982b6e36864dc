"""Folders of masks become accepted answers: once, whole, and with whose they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from figureground.annotate.catalogue import index_source
from figureground.annotate.freeze import FreezeOptions, freeze
from figureground.annotate.imports.answers import ImportedAnswer, ImportOrigin, ImportReport, store_answer
from figureground.annotate.imports.mask_folder import import_mask_folder
from figureground.annotate.imports.photo_names import PhotoNames
from figureground.errors import DataError, UsageError
from figureground.schemas.attributes import AttributeSchema
from figureground.schemas.rasters.masks import decode_coco_rle, encode_coco_rle
from figureground.schemas.records import Annotation
from figureground.schemas.sources.opening import open_source
from figureground.schemas.store.releases import read_release
from figureground.schemas.store.workspace import Workspace

HEIGHT, WIDTH = 12, 16
NAMES = ("a", "b", "c")
SCHEMA = AttributeSchema.model_validate(
    {
        "name": "toy",
        "version": "1",
        "attributes": [
            {"name": "wing", "scope": "local"},
            {"name": "tail", "scope": "local"},
            {"name": "wet", "scope": "global"},
        ],
    }
)
ORIGIN = ImportOrigin(text="project-made", annotator="imported", tool="import:masks", schema=SCHEMA)


def draw(rows: slice, mode: str = "1", size_hw: tuple[int, int] = (HEIGHT, WIDTH)) -> Image.Image:
    mask = np.zeros(size_hw, dtype=np.bool_)
    mask[rows] = True
    return Image.fromarray(mask) if mode == "1" else Image.fromarray(mask.astype(np.uint8) * 255).convert(mode)


def save(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, "PNG")


def write_masks(folder: Path) -> Path:
    """Objects of a and b, a wing of a, no tail, and a table."""
    for name in ("a", "b"):
        save(draw(slice(2, 8), "L" if name == "b" else "1"), folder / f"{name}.png")
    save(draw(slice(2, 4)), folder / "wing" / "a.png")
    (folder / "attributes.csv").write_text("file,attribute,value\na.png,wet,true\nb.png,wet,Unsure\nb,tail,false\n")
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Workspace:
    for number, name in enumerate(NAMES):
        pixels = np.random.default_rng(number).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        (tmp_path / "photos" / "bird").mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "photos" / "bird" / f"{name}.png")
    workspace = Workspace.create(tmp_path / "work")
    index_source(workspace, open_source(str(tmp_path / "photos")))
    return workspace


def answer_of(store: Workspace, name: str) -> Annotation:
    image = next(image for image in store.images() if image.uri == f"bird/{name}.png")
    (answer,) = store.annotations(image.image_id)
    return answer


def rows(mask: NDArray[np.bool_]) -> list[int]:
    return [int(row) for row in np.flatnonzero(mask.any(axis=1))]


def test_masks_and_the_table_become_accepted_answers(store: Workspace, tmp_path: Path) -> None:
    report = import_mask_folder(store, write_masks(tmp_path / "masks"), ORIGIN)
    assert (report.answers, report.without_mask, report.decisions) == (2, 1, {"accepted": 2})
    a, b = answer_of(store, "a"), answer_of(store, "b")
    assert {name: rows(decode_coco_rle(rle)) for name, rle in a.masks.items()} == {
        "object": [2, 3, 4, 5, 6, 7],
        "wing": [2, 3],
    }
    assert a.attributes == {"wing": True, "tail": None, "wet": True}  # nobody painted tails: not known
    assert b.attributes == {"wing": False, "tail": False, "wet": None}
    assert (a.annotator, a.tool, a.note) == ("imported", "import:masks", "origin: project-made")
    assert (a.attribute_schema, a.state) == ("toy@1", "submitted")
    frozen = freeze(store, "v1", FreezeOptions())
    assert (frozen.states, frozen.left_out) == ({"accepted": 2}, {"undecided": 1})
    assert {record.mask_origin for record in read_release(frozen.path)[1]} == {a.annotation_id, b.annotation_id}


def test_a_second_import_changes_nothing(store: Workspace, tmp_path: Path) -> None:
    folder = write_masks(tmp_path / "masks")
    import_mask_folder(store, folder, ORIGIN)
    before = list(store.annotations()), store.decisions()
    report = import_mask_folder(store, folder, ORIGIN)
    assert (report.answers, report.already_there, report.decisions) == (0, 2, {})
    assert (list(store.annotations()), store.decisions()) == before


def test_a_mended_mask_replaces_the_older_one_and_can_come_back(store: Workspace, tmp_path: Path) -> None:
    (image, *_) = store.images()
    answers = [
        ImportedAnswer(image=image, masks={"object": np.array(draw(slice(2, last)))}, attributes={}) for last in (6, 9)
    ]
    for second, answer in enumerate((answers[0], answers[1], answers[1], answers[0])):
        store_answer(store, answer, ORIGIN, ImportReport(), now=f"2026-01-01T00:00:0{second}.000000Z")
        report = freeze(store, f"v{second}", FreezeOptions())
        (record,) = read_release(report.path)[1]
        assert record.mask == encode_coco_rle(answer.masks["object"])
    assert len(list(store.annotations(image.image_id))) == 3  # the third time nothing was new


def test_people_who_disagree_are_heard(store: Workspace, tmp_path: Path) -> None:
    image = next(image for image in store.images() if image.uri == "bird/a.png")
    person = Annotation(
        annotation_id="x",
        updated_at="2026-01-01T00:00:00.000000Z",
        image_id=image.image_id,
        masks={"object": encode_coco_rle(np.array(draw(slice(9, 12))))},
        attributes={},
        flags=(),
        annotator="p1",
        seconds=1.0,
        tool="manual",
        proposal_id="",
        edit_iou=None,
    )
    store.add_answer(person, None)
    report = import_mask_folder(store, write_masks(tmp_path / "masks"), ORIGIN)
    assert report.decisions == {"accepted": 1, "needs_second": 1}


def test_labels_count_where_masks_disagree(store: Workspace, tmp_path: Path) -> None:
    folder = write_masks(tmp_path / "masks")
    (folder / "attributes.csv").write_text("file,attribute,value\na,wing,false\nb,tail,true\n")
    report = import_mask_folder(store, folder, ORIGIN)
    assert report.mask_without_presence == {"wing": 1}
    assert report.present_without_mask == {"tail": 1}
    assert set(answer_of(store, "a").masks) == {"object"}
    assert "tail: 1 present without a mask" in str(report)


def test_an_empty_mask_of_a_part_says_that_it_is_absent(store: Workspace, tmp_path: Path) -> None:
    folder = write_masks(tmp_path / "masks")
    save(draw(slice(0, 0)), folder / "wing" / "b.png")
    import_mask_folder(store, folder, ORIGIN)
    assert answer_of(store, "b").attributes["wing"] is False


def test_photos_may_be_named_by_their_id(store: Workspace, tmp_path: Path) -> None:
    (image, *_) = store.images()
    save(draw(slice(2, 8)), tmp_path / "masks" / f"{image.image_id}.png")
    assert import_mask_folder(store, tmp_path / "masks", ORIGIN).answers == 1


def test_names_may_have_dots(store: Workspace, tmp_path: Path) -> None:
    Image.new("RGB", (WIDTH, HEIGHT), "red").save(tmp_path / "photos" / "bird" / "d.v2.png")
    index_source(store, open_source(str(tmp_path / "photos")))
    save(draw(slice(2, 8)), tmp_path / "masks" / "d.v2.png")
    (tmp_path / "masks" / "attributes.csv").write_text("file,attribute,value\nd.v2,wet,true\nd.v2.PNG,tail,false\n")
    import_mask_folder(store, tmp_path / "masks", ORIGIN)
    assert answer_of(store, "d.v2").attributes == {"wing": None, "tail": False, "wet": True}


def test_rows_of_parquet_files_are_named_by_their_id_alone(store: Workspace, tmp_path: Path) -> None:
    (image, *_) = store.images()
    row = replace(image, image_id="f" * 32, uri="a.parquet#7")
    store.add_images([row])
    names = PhotoNames(store, ["a", row.image_id], source=None)
    assert {name: [image.uri for image in match.fits] for name, match in names.match(["a", row.image_id]).items()} == {
        "a": ["bird/a.png"],
        row.image_id: ["a.parquet#7"],
    }


def _write(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


def _table(row: str) -> Callable[[Path], object]:
    return _write("attributes.csv", f"file,attribute,value\n{row}\n")


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a mask of another size": (
        lambda folder: save(draw(slice(2, 8), size_hw=(WIDTH, HEIGHT)), folder / "a.png"),
        "a.png: expected a 1-bit or black-and-white PNG of 16x12.*got 12x16",
    ),
    "a grey mask": (
        lambda folder: save(Image.linear_gradient("L").resize((WIDTH, HEIGHT)), folder / "a.png"),
        "greys; choose a threshold",
    ),
    "a coloured mask": (lambda folder: save(draw(slice(2, 8), "RGB"), folder / "a.png"), "mode RGB"),
    "a damaged mask": (lambda folder: (folder / "a.png").write_bytes(b"\x89PNG"), "a damaged one"),
    "a cut mask": (
        lambda folder: (folder / "a.png").write_bytes((folder / "a.png").read_bytes()[:50]),
        "a damaged one",
    ),
    "a mask that is no PNG": (_write("note.txt", "x"), "note.txt: expected a PNG mask"),
    "a mask without a photo": (
        lambda folder: save(draw(slice(2, 8)), folder / "zebra.png"),
        "zebra.png: zebra: expected a photo of this name",
    ),
    "parts without an object": (lambda folder: (folder / "a.png").unlink(), "a.png: expected an object mask"),
    "an empty object": (lambda folder: save(draw(slice(0, 0)), folder / "a.png"), "at least one pixel"),
    "a folder of a global attribute": (
        lambda folder: save(draw(slice(2, 8)), folder / "wet" / "a.png"),
        "local attribute of toy@1: wing, tail",
    ),
    "a folder within a folder": (
        lambda folder: save(draw(slice(2, 8)), folder / "wing" / "left" / "a.png"),
        "left: expected a folder of a local attribute",
    ),
    "a table without its columns": (
        _write("attributes.csv", "file,value\n"),
        "the columns file, attribute, value, each once, got file, value",
    ),
    "a table in another encoding": (
        lambda folder: (folder / "attributes.csv").write_bytes(b"\xff\xfe\xff"),
        "expected UTF-8 text|expected the columns",
    ),
    "an attribute that was not asked": (_table("a,hairy,true"), "line 2: expected one of wing, tail, wet"),
    "a value that is none": (_table("a,wet,maybe"), "true, false, unsure"),
    "no value": (_table("a,wet"), "true, false, unsure"),
    "two values": (
        _table("a,wet,true\na.png,wet,false"),
        "line 3: expected one value of wet for bird/a.png, got another in line 2",
    ),
    "a row without a photo": (_table("zebra,wet,true"), "attributes.csv: line 2: zebra: expected a photo of this name"),
    "a row without an object": (_table("c,wet,true"), "c.png: expected an object mask"),
}


@pytest.mark.parametrize(("change", "message"), FAULTS.values(), ids=FAULTS)
def test_faults_are_named_by_file_and_the_rest_is_stored(
    store: Workspace, tmp_path: Path, change: Callable[[Path], object], message: str
) -> None:
    folder = write_masks(tmp_path / "masks")
    change(folder)
    with pytest.raises(DataError, match=message):
        import_mask_folder(store, folder, ORIGIN)
    assert answer_of(store, "b").annotator == "imported"


def test_all_faults_are_told_at_once(store: Workspace, tmp_path: Path) -> None:
    folder = write_masks(tmp_path / "masks")
    for name in ("damaged mask", "mask that is no PNG", "mask without a photo"):
        FAULTS[f"a {name}"][0](folder)
    with pytest.raises(DataError) as caught:
        import_mask_folder(store, folder, ORIGIN)
    assert len(caught.value.faults) == 3


def test_photos_of_one_name_need_a_source(store: Workspace, tmp_path: Path) -> None:
    (tmp_path / "more" / "bird").mkdir(parents=True)
    Image.new("RGB", (WIDTH, HEIGHT), "red").save(tmp_path / "more" / "bird" / "a.jpg")
    index_source(store, open_source(str(tmp_path / "more")))
    folder = write_masks(tmp_path / "masks")
    with pytest.raises(DataError, match=r"2 .*a\.jpg.*--source"):
        import_mask_folder(store, folder, ORIGIN)
    assert import_mask_folder(store, folder, ORIGIN, source="photos").already_there == 1


@pytest.mark.parametrize(
    ("origin", "message"),
    [
        ({"text": " "}, "one line"),
        ({"text": "two\nlines"}, "one line"),
        ({"text": "x" * 201}, "1 to 200"),
        ({"annotator": "A. Person"}, "annotator"),
    ],
)
def test_an_origin_is_a_line_and_an_annotator_a_name(
    store: Workspace, tmp_path: Path, origin: dict[str, str], message: str
) -> None:
    made_by = ImportOrigin(**{"text": "us", "annotator": "imported", "tool": "t", **origin})  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=message):
        import_mask_folder(store, write_masks(tmp_path / "masks"), made_by)


def test_what_is_not_there_is_wrong_usage(store: Workspace, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        import_mask_folder(store, tmp_path / "gone", ORIGIN)
    with pytest.raises(UsageError, match="no source is called"):
        import_mask_folder(store, write_masks(tmp_path / "masks"), ORIGIN, source="gone")
