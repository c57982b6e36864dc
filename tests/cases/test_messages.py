"""Messages are for people: one order of sizes, lists that end, no addresses, nothing that commands a terminal."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from needs import ROOT
from photo_samples import draw_pixels, encode
from PIL import Image
from shared_cases import copy_case, run_here

from figureground.annotate.catalogue import IndexReport, Rejection
from figureground.annotate.imports.answers import ImportReport
from figureground.console import emit, say
from figureground.errors import DataError, Fault, Faults, listed, printable
from figureground.schemas.rasters.coco_masks import read_segmentation
from figureground.schemas.rasters.masks import CocoRle, decode_bitmask, decode_coco_rle, encode_bitmask, encode_coco_rle
from figureground.schemas.rasters.sizes import spell_size
from figureground.schemas.sources.voc import parse_voc

RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
EVIL = "x\x1b]52;c;aGk=\x07\x1b[31m\x9b2J\nerror: all is well\r\u202egpj.exe"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("a\x1b[31mb\x07", r"a\x1b[31mb\x07"),
        ("two\nlines\ttab", r"two\nlines\ttab"),
        ("\u202egpj.exe", r"\u202egpj.exe"),
        ("half \udcff", r"half \udcff"),
        ("3.15\u202fPM 写\u30001 cafe\u0301", "3.15\u202fPM 写\u30001 cafe\u0301"),
    ],
)
def test_names_are_spelled_out_where_they_would_command_a_terminal(text: str, shown: str) -> None:
    assert printable(text) == shown


def texts() -> dict[str, str]:
    """What each report and error says of a name that is hostile."""
    fault = Fault(where=EVIL, record=EVIL, expected=EVIL, got=EVIL, remedy=EVIL)
    report = IndexReport(source=EVIL, passed_over={EVIL: 1}, alike=[[EVIL, EVIL]])
    report.rejections.append(Rejection(source=EVIL, uri=EVIL, reason=EVIL, detail=EVIL))
    imported = ImportReport(not_indexed=[EVIL])
    imported.passed_over[EVIL] += 1
    return {
        "fault": str(fault),
        "error": str(DataError([fault])).removeprefix("1 fault in the data:\n"),
        "index": "".join(str(report).split("\n", 3)),
        "import": "".join(str(imported).split("\n", 2)),
    }


@pytest.mark.parametrize("name", texts())
def test_no_report_and_no_error_holds_raw_characters_of_a_name(name: str) -> None:
    text = texts()[name]
    assert not RAW.search(text)
    assert "\nerror: all is well" not in text
    assert r"\x1b]52;c;aGk=\x07" in text


def test_what_is_printed_holds_none_either(capsys: pytest.CaptureFixture[str]) -> None:
    emit({}, as_json=False, text=EVIL)
    say(EVIL)
    printed = capsys.readouterr()
    assert not RAW.search(printed.out + printed.err)
    emit({"name": EVIL}, as_json=True, text="")
    assert json.loads(capsys.readouterr().out) == {"name": EVIL}


def test_a_hostile_name_at_index_does_not_reach_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "p" / "dog"
    folder.mkdir(parents=True)
    (folder / "x\x1b]0;owned\x07.jpg").write_bytes(b"x")
    (folder / "two\nlines.jpg").write_bytes(b"x")
    _, out, err = run_here(capsys, "index", tmp_path / "p", "-w", tmp_path / "w")
    assert not RAW.search(out + err)
    assert r"dog/two\nlines.jpg: unreadable" in out
    _, out, err = run_here(capsys, "photos", "-w", tmp_path / "w", "--rejected")
    assert len(out.splitlines()) == 2
    assert not RAW.search(out + err)


# Addresses, and lists without end


def test_no_address_of_memory_is_told(tmp_path: Path) -> None:
    fault = Fault(where="a.png", record="", expected="a PNG", got=f"{Faults.__new__(Faults).__class__} {object()!r}")
    assert " at 0x" not in str(fault)
    with pytest.raises(DataError) as caught:
        decode_bitmask("data:image/png;base64,", size_hw=(2, 3))
    assert " at 0x" not in str(caught.value)


def test_a_part_of_a_fault_is_not_endless() -> None:
    keys = ", ".join(f"key_{number}" for number in range(1000))
    line = str(Fault(where="x.yaml", record="", expected=f"one of {keys}", got="y"))
    assert len(line) < 1100
    assert "... (8895 characters), got y" in line


@pytest.mark.parametrize(("count", "lines"), [(1, 2), (10, 11), (11, 12), (39, 12), (4000, 12)])
def test_faults_of_one_kind_end_in_their_number(count: int, lines: int) -> None:
    faults = Faults()
    for number in range(count):
        faults.add("x.json", f"image {number}", expected=f"{number} boxes", got="none", remedy=f"add {number}")
    faults.add("a.json", "", expected="a file", got="none")
    with pytest.raises(DataError) as caught:
        faults.raise_if_any()
    text = str(caught.value).splitlines()
    assert len(caught.value.faults) == count + 1  # all of them for a program
    assert len(text) == lines + 1
    assert text[1] == "  a.json: expected a file, got none"
    assert (f"  and {count - 10} more of this kind" in text) == (count > 10)


def test_rejections_of_one_kind_end_in_their_number() -> None:
    report = IndexReport(source="p")
    for number in range(39):
        report.rejections.append(Rejection(source="p", uri=f"{number}.jpg", reason="truncated", detail=f"{number} b"))
    assert str(report).splitlines()[-1] == "  and 29 more of this kind"
    assert len(report.to_dict()["rejections"]) == 39


def test_lists_end() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed(range(39)) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 29 more"
    assert "and 29 more" in str(ImportReport(not_indexed=[f"{number}.jpg" for number in range(39)]))


# Sizes: width before height, everywhere

WIDE = np.ones((2, 30), dtype=np.bool_)
VOC = (
    "<annotation><size><width>30</width><height>2</height></size><object><name>a</name><bndbox><xmin>40</xmin>"
    "<ymin>1</ymin><xmax>50</xmax><ymax>1</ymax></bndbox></object></annotation>"
)
SIZES: dict[str, Callable[[], object]] = {
    "mask of another size": lambda: decode_coco_rle(encode_coco_rle(WIDE), size_hw=(30, 2)),
    "runs too short": lambda: decode_coco_rle(CocoRle(size_hw=(2, 30), counts="1")),
    "counts too short": lambda: read_segmentation({"size": [2, 30], "counts": [1]}, where="x", record=""),
    "bitmask": lambda: decode_bitmask(encode_bitmask(WIDE), size_hw=(30, 2)),
    "boxes": lambda: parse_voc(VOC.encode(), where="x"),
    "boxes without a size": lambda: parse_voc(VOC.replace(">2<", ">0<").encode(), where="x"),
}


@pytest.mark.parametrize("name", SIZES)
def test_sizes_are_told_width_first(name: str) -> None:
    with pytest.raises(DataError) as caught:
        SIZES[name]()
    assert "(width x height)" in str(caught.value)
    assert re.search(r"\b(30x2|30x0|2x30)\b", str(caught.value))
    if name != "mask of another size" and name != "bitmask":
        assert "2x30" not in str(caught.value)
    else:
        assert re.search(r"2x30 \(width x height\), got 30x2", str(caught.value))


def test_no_message_of_ours_spells_a_size_the_other_way_round() -> None:
    """Height before width in a text, as ``{height}x{width}`` or ``{size_hw[0]}x{size_hw[1]}``; keys of hashes may."""
    wrong = re.compile(r"\{[\w.]*height\} ?x ?\{|\{[\w.]*(?:size_hw|shape)\[0\]\} ?x ?\{")
    lines = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for stage in ("annotate", "build", "exports", "figureground/cli", "schemas")
        for path in sorted((ROOT / stage).rglob("*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if wrong.search(line) and "sha256(" not in line
    ]
    assert lines == []
    assert spell_size((480, 640)) == "640x480"


# Cases of ../shared


def test_case_terminal_escapes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copy_case("annotate/28_terminal_escapes", tmp_path))
    code, out, err = run_here(capsys, "index", "photos", "-w", "w")
    assert (code, "2 photos added" in out, RAW.search(out + err)) == (0, True, None)
    assert len(out.splitlines()) == 4  # the report, the licence, two rejections


def test_case_modes_of_masks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copy_case("annotate/18_masks_modes_wrong_remedy", tmp_path))
    run_here(capsys, "index", "photos", "-w", "w")
    code, out, err = run_here(capsys, "import", "masks", "masks", "-w", "w", "--origin", "me")
    assert (code, "5 answers stored" in out, " at 0x" in err) == (1, True, False)
    remedies = {line.split(":")[0].strip(): line.rpartition("; ")[2] for line in err.splitlines()[1:]}
    for name in ("pal01", "voc255", "rgb", "rgba_alpha", "la", "i16"):
        assert "save " in remedies[f"masks/{name}.png"]
        assert "EXIF" not in remedies[f"masks/{name}.png"]
    assert "EXIF" in remedies["masks/small.png"]
    again = run_here(capsys, "import", "masks", "masks", "-w", "w", "--origin", "me")[2]
    assert again == err


def test_case_one_fault_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copy_case("annotate/23_coco_one_fault_told_31_times", tmp_path))
    run_here(capsys, "index", "photos", "-w", "w")
    for name, fault in (("x.json", "image 1: width"), ("panoptic.json", "segments of a panoptic PNG")):
        code, _, err = run_here(capsys, "import", "coco", name, "-w", "w", "--origin", "me")
        assert (code, err.count("expected"), fault in err) == (1, 1, True)


def test_a_file_of_thousands_at_fault_is_told_in_a_few_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "p/dog").mkdir(parents=True)
    (tmp_path / "p/dog/a.png").write_bytes(encode(Image.fromarray(draw_pixels()), "PNG"))
    run_here(capsys, "index", tmp_path / "p", "-w", tmp_path / "w")
    images = [{"id": n, "coco_url": f"http://x/{n}.jpg", "width": 9, "height": 9} for n in range(2000)]
    drawn = [{"id": n, "image_id": n, "category_id": 1, "segmentation": [[1, 1, 2, 2, 3, 1]]} for n in range(2000)]
    lists = {"images": images, "categories": [{"id": 1, "name": "dog"}], "annotations": drawn}
    (tmp_path / "lvis.json").write_text(json.dumps(lists))
    code, _, err = run_here(capsys, "import", "coco", tmp_path / "lvis.json", "-w", tmp_path / "w", "--origin", "lvis")
    assert (code, len(err.splitlines())) == (1, 12)
    assert "and 1990 more of this kind" in err
