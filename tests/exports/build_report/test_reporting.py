"""What a build's page holds, without a browser: which photos, how large, the same bytes, and what is refused."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import shutil
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from plain_dataset import rewrite_rows
from shared_cases import run_here
from viewed_dataset import Viewed

import figureground
from figureground.errors import DataError
from figureground.exports.build_report import reporting, row_packs, shown, thumbnails
from figureground.exports.build_report.facts import read_facts
from figureground.exports.build_report.tables import FactTable
from figureground.exports.dataset.manifest import write_manifest
from figureground.exports.viewing.columns import RowColumns, read_columns
from figureground.exports.viewing.gallery import fingerprint_of


def unpacked(page: str, name: str) -> dict[str, Any]:
    (text,) = re.findall(rf'id="{name}">([^<]*)</script>', page)
    columns: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(text)))
    return columns


def cells(column: dict[str, Any]) -> list[Any]:
    if "names" not in column:
        return list(column["values"])
    return [column["names"][code] if code >= 0 else None for code in column["codes"]]


@pytest.fixture
def columns(viewed: Viewed) -> RowColumns:
    return read_columns(figureground.open_dataset(viewed.dataset))


def test_the_same_dataset_makes_the_same_bytes(viewed: Viewed, reported: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(viewed.dataset, tmp_path / "elsewhere"))
    page = figureground.report_build(copied)
    assert page == tmp_path / "elsewhere-report" / "report.html"
    assert page.read_bytes() == reported.read_bytes()
    assert figureground.verify(copied).rows == 36  # nothing was put into it


def test_every_row_is_in_it_as_it_is_stored(viewed: Viewed, reported: Path) -> None:
    page, dataset = reported.read_text(encoding="utf-8"), figureground.open_dataset(viewed.dataset)
    stored = [row for config in ("original", "mixed", "striped") for row in dataset.rows(config)]
    choices, details = unpacked(page, "choices"), unpacked(page, "details")
    assert cells(choices["config"]) == [row["variant"] for row in stored]
    assert cells(choices["image_id"]) == [row["image_id"] for row in stored]
    assert cells(choices["ground_id"]) == [row["ground_id"] for row in stored]
    for name in ("object_id", "source_sha256", "ground_sha256", "pixels_sha256", "mask_state", "params", "recipe"):
        assert cells(details[f"provenance.{name}"]) == [row["provenance"][name] for row in stored]
    seeds = [row["provenance"]["seed"] for row in stored]
    assert cells(details["provenance.seed"]) == [str(seed) if seed > 1 << 53 else seed for seed in seeds]
    assert max(seeds) > 1 << 53  # JavaScript would round it
    assert "provenance.sketch" not in details


def test_the_page_admits_its_own_script_and_style_and_nothing_else(reported: Path) -> None:
    page = reported.read_text(encoding="utf-8")
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    own = {name: re.findall(rf"<{name}>(.*?)</{name}>", page, re.DOTALL)[0] for name in ("style", "script")}
    for name, text in own.items():
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{name}-src &#39;sha256-{digest}&#39;" in policy
    assert policy.startswith("default-src &#39;none&#39;; img-src data:;")
    assert set(re.findall(r'(?:src|href)="([a-z]+:|#)', page)) == {"data:", "#"}


def test_photos_come_class_by_class_and_say_how_many(
    viewed: Viewed, reported: Path, columns: RowColumns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = shown.choose_photos(columns, most_pictures=15)  # five photos of three rows
    assert [photo.label for photo in photos] == ["disc", "ring", "bar", "disc", "ring"]
    assert [photo.image_id for photo in photos[::3]] == sorted(photo.image_id for photo in photos[::3])
    assert all([columns.config.name(row) for row in photo.rows] == ["original", "mixed", "striped"] for photo in photos)
    assert photos == shown.choose_photos(columns)[:5]
    assert len(shown.choose_photos(columns, most_pictures=1)) == 1
    # By size, too: of all chosen photos those that fit beside the pairs.
    whole = reported.read_text(encoding="utf-8")
    most = int(0.8 * sum(map(len, re.findall(r'src="(data:[^"]*)"', whole))))
    monkeypatch.setattr(reporting, "MOST_CHARACTERS", most)
    page = figureground.report_build(viewed.dataset, tmp_path).read_text(encoding="utf-8")
    (count, rows) = map(int, re.findall(r"(\d+) of 12 photos, as many .*?: (\d+) of 36 rows have a picture", page)[0])
    assert 1 < count < 12
    assert rows == 3 * count == page.count('<li><button type="button" class="tile"')
    assert sum(map(len, re.findall(r'src="(data:[^"]*)"', page))) <= most
    assert len(cells(unpacked(page, "choices")["config"])) == 36


def test_of_too_many_rows_those_of_the_shown_photos_are_looked_up(
    viewed: Viewed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "MOST_ROWS", 20)
    monkeypatch.setattr(reporting, "choose_photos", lambda columns: shown.choose_photos(columns, 6))
    page = figureground.report_build(viewed.dataset, tmp_path).read_text(encoding="utf-8")
    choices, details = unpacked(page, "choices"), unpacked(page, "details")
    listed = len(cells(choices["config"]))
    assert f"{listed} of 36 rows, those of the photos above" in page
    assert 6 <= listed <= 8  # two photos and their donors
    stored = list(figureground.open_dataset(viewed.dataset).rows("mixed"))
    hashes = {(row["image_id"], "mixed"): row["provenance"]["pixels_sha256"] for row in stored}
    keys = list(zip(cells(choices["image_id"]), cells(choices["config"]), strict=True))
    digests = dict(zip(keys, cells(details["provenance.pixels_sha256"]), strict=True))
    mixed = {key: digest for key, digest in digests.items() if key[1] == "mixed"}
    assert mixed == {key: hashes[key] for key in mixed} != {}
    places = {int(place) for place in re.findall(r'data-row="(\d+)"', page)}
    assert places <= set(range(listed))


def test_pairs_are_of_different_classes_first(columns: RowColumns) -> None:
    pairs = shown.choose_pairs(columns, shown.choose_photos(columns), most=3)
    assert [columns.label.name(pair.row) for pair in pairs] == ["disc", "ring", "bar"]
    for pair in pairs:
        assert pair.ground is not None
        assert columns.image.name(pair.ground) == columns.ground_id.name(pair.row)
        assert columns.image.name(pair.figure) == columns.image.name(pair.row)
        assert {columns.config.name(pair.figure), columns.config.name(pair.ground)} == {"original"}


def test_facts_are_those_of_lock_and_reports(viewed: Viewed, columns: RowColumns) -> None:
    dataset = figureground.open_dataset(viewed.dataset)
    facts = read_facts(dataset, columns, fingerprint_of(viewed.dataset, dataset))
    about = dict(facts.about)
    assert about["Recipe"] == "plain@1" == facts.title
    assert about["Seed"] == "7"
    assert about["Fingerprint"] == hashlib.sha256((viewed.dataset / "manifest.json").read_bytes()).hexdigest()
    assert [(row[0], row[-1]) for row in facts.contents.rows] == [
        ("original", "12"),
        ("mixed", "12"),
        ("striped", "12"),
    ]
    assert [table.caption.split(":")[0] for table in facts.left_out] == [
        "Left out of the build, by reason",
        "Coverage",
        "Donors",
        "Checked before the build",
    ]
    coverage = {row[0]: row[3] for row in facts.left_out[1].rows}
    assert coverage == {"disc": "4", "ring": "4", "bar": "4"}
    assert sum(int(row[-1]) for row in facts.masks[0].rows) == 12
    assert facts.terms[0].rows[0][0].startswith("photos of ")


def locked(folder: Path, changes: dict[str, Any]) -> Path:
    path = folder / "recipe.lock.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    write_manifest(folder)
    return folder


FIGURE = {"value": 0.912, "ci95": [0.874, 0.94], "photos": 5}
UNDEFINED = {"value": None, "photos": 5}
ANNOTATION = {
    "agreement": {
        "photos": 5,
        "pairs": 7,
        "masks": {"object": {"iou": FIGURE, "boundary_iou": FIGURE, "dice": FIGURE, "least_iou": 0.5}},
        "attributes": {"wet": {"equal": FIGURE, "kappa": UNDEFINED, "alpha": UNDEFINED}},
    },
    "lint": {
        "objects": 12,
        "findings": 3,
        "waived": 1,
        "rules": {"speck": {"severity": "warning", "checked": 12, "findings": 3, "waived": 1}},
    },
    "proposals_agree": {"with": "saliency", "min_iou": 0.75, "left_out": {"masks_disagree": 4, "no_second_mask": 2}},
}


def test_agreement_lint_and_refusals_stand_in_it_where_they_are_known(viewed: Viewed, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(viewed.dataset, tmp_path / "known"))
    refused = {"refused": {"box_too_large": 3, "mask_empty": 5}, "refused_total": 8, "objects_in_release": 20}
    locked(folder, {"annotation": ANNOTATION, **refused})
    page = figureground.report_build(folder).read_text(encoding="utf-8")
    assert "0.912 [0.874, 0.940]" in page
    assert "undefined" in page
    assert ">speck</th><td>warning</td>" in page
    assert "saliency" in page
    assert page.index("mask_empty") < page.index("box_too_large")
    assert '>mask_empty</th><td class="number">5</td><td class="number">25.0 %</td>' in page
    assert "8 of 20 objects of the release are left out" in page


def test_numbers_that_are_none_are_a_fault_of_the_lock(viewed: Viewed, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(viewed.dataset, tmp_path / "odd"))
    locked(folder, {"annotation": {"lint": {"rules": 3}}})
    with pytest.raises(DataError, match=r"recipe\.lock\.json: expected numbers as a build writes them"):
        figureground.report_build(folder)


def test_what_a_dataset_lacks_is_left_out(viewed: Viewed, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(viewed.dataset, tmp_path / "bare"))
    for name in ("recipe.lock.json", "recipe.yaml", "report/coverage.csv", "report/gates.json", "report/donors.csv"):
        (folder / name).unlink()
    write_manifest(folder)
    page = figureground.report_build(folder).read_text(encoding="utf-8")
    assert "<h1>bare</h1>" in page
    for name in ("left-out", "masks", "terms", "changes"):
        assert f'id="{name}"' not in page
        assert f'href="#{name}"' not in page
    assert len(cells(unpacked(page, "choices")["config"])) == 36


def test_a_damaged_file_or_picture_is_one_line(
    viewed: Viewed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(viewed.dataset, tmp_path / "odd"))
    (folder / "report/coverage.csv").write_text("changed")
    code, _, error = run_here(capsys, "report", folder)
    assert (code, error.count("\n")) == (1, 2)  # how many, and each in a line
    assert "report/coverage.csv: expected a file with SHA-256" in error

    def cut(rows: list[dict[str, Any]]) -> None:
        rows[0]["image"] = {"bytes": b"no picture", "path": None}

    folder = Path(shutil.copytree(viewed.dataset, tmp_path / "cut"))
    rewrite_rows(folder, "data/mixed/test-00000-of-00001.parquet", cut)
    code, _, error = run_here(capsys, "report", folder)
    assert (code, error.count("\n")) == (1, 2)
    assert "data/mixed/test-00000-of-00001.parquet" in error
    assert "expected an image" in error
    assert not (tmp_path / "cut-report").exists()


def test_the_command_line(viewed: Viewed, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, printed, _ = run_here(capsys, "report", viewed.dataset, "-o", tmp_path / "out", "--json")
    assert (code, json.loads(printed)) == (0, {"folder": str(tmp_path / "out"), "files": ["report.html"]})
    for words, reason in (
        (
            [viewed.dataset, "-o", viewed.dataset / "report"],
            "lies in the dataset, whose manifest.json lists every file",
        ),
        ([viewed.dataset, viewed.release], "one dataset at a time"),
        ([viewed.dataset, viewed.scores], "one dataset at a time"),
        ([viewed.scores], "give --out"),
    ):
        code, printed, error = run_here(capsys, "report", *words)
        assert (code, printed, error.count("\n")) == (2, "", 1)
        assert reason in error
    assert figureground.verify(viewed.dataset).rows == 36


def test_numbers_of_tables_stand_at_the_right() -> None:
    table = FactTable.of("t", ["a", "b", "c"], [("x\x1b", 12_000, "3.5 %"), ("y", 3, "")])
    assert table.rows == (("x\\x1b", "12,000", "3.5 %"), ("y", "3", ""))
    assert table.numeric == (False, True, True)
    assert FactTable.of("t", ["a"], []).numeric == (False,)


def test_columns_are_short_where_many_rows_share_a_value() -> None:
    assert row_packs._column(["a", "a", None, "a"]) == {"names": ["a", None], "codes": [0, 0, 1, 0]}
    assert row_packs._column([1 << 60, float("nan"), 0.123456]) == {"values": [str(1 << 60), None, 0.1235]}


def test_pictures_of_many_rows_are_small(viewed: Viewed, columns: RowColumns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnails, "MOST_LARGE", 2)
    monkeypatch.setattr(thumbnails, "SMALL_PX", 16)
    dataset = figureground.open_dataset(viewed.dataset)
    for rows, side_px in (([0, 13], 32), ([0, 13, 26], 16)):
        read = thumbnails.read_thumbnails(dataset, columns, rows)
        assert sorted(read) == rows
        for row, thumbnail in read.items():
            picture, mask = (
                Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
                for url in (thumbnail.picture, thumbnail.mask)
            )
            assert (picture.format, mask.format) == ("WEBP", "PNG")
            assert picture.size == mask.size == (thumbnail.width, thumbnail.height) == (side_px, side_px)
            covered = np.asarray(mask.convert("RGBA"))[..., 3] > 0
            assert covered.mean() == pytest.approx(columns.area[row], abs=0.03)
