"""Files that people hand over: endings in capitals, what systems put beside them, how tables are saved."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from drawn_release import CLASS_MAP, draw_release
from photo_samples import draw_pixels, encode
from scored_cases import draw_dataset, scoring_code
from shared_cases import run_here

from figureground.annotate.freezing.policy import load_policy, policy_text
from figureground.annotate.lint.findings import write_findings
from figureground.annotate.proposals.class_texts import read_synonyms
from figureground.build.recipes.loading import load_recipe, recipe_text
from figureground.errors import DataError, UsageError
from figureground.exports.evaluation.model_files.settings import read_named_settings
from figureground.exports.report.stored_results import read_results, result_files
from figureground.exports.report.timm_table import read_published
from figureground.runtime.files import file_ending, files_in
from figureground.schemas.attributes import load_attribute_schema
from figureground.schemas.classes import load_class_map
from figureground.schemas.sources.opening import count_passed_over, open_source
from figureground.schemas.sources.walking import HIDDEN

APPLE_DOUBLE = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        "
"""What macOS puts beside ``NAME`` on disks of other systems, as ``._NAME``."""
TABLE = "label,class\nhäher,bird\n"
PUBLISHED = "model,top1,top5,img_size,crop_pct\nresnet50,50.5,75,224,0.875\n"


def shard(label: str) -> bytes:
    made = io.BytesIO()
    pq.write_table(pa.table({"image": [encode(draw_pixels(len(label)), "PNG")], "label": [label]}), made)
    return made.getvalue()


# Endings: capital letters are small ones


def test_shards_in_capitals_are_not_lost(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.parquet").write_bytes(shard("cat"))
    (tmp_path / "data" / "B.PARQUET").write_bytes(shard("horse"))
    assert {item.uri: item.label for item in open_source(str(tmp_path / "data"))} == {
        "B.PARQUET#0": "horse",
        "a.parquet#0": "cat",
    }
    alone = open_source(str(tmp_path / "data" / "B.PARQUET"))
    assert (alone.name, [item.label for item in alone]) == ("B", ["horse"])


def test_an_archive_in_capitals_is_one(tmp_path: Path) -> None:
    photo = encode(draw_pixels(), "PNG")
    with tarfile.open(tmp_path / "PHOTOS.TAR", "w") as packed:
        info = tarfile.TarInfo("dog/a.png")
        info.size = len(photo)
        packed.addfile(info, io.BytesIO(photo))
    source = open_source(str(tmp_path / "PHOTOS.TAR"))
    assert (source.name, [item.uri for item in source]) == ("PHOTOS", ["dog/a.png"])


SCHEMA = "name: s\nversion: '1'\nattributes: [{name: wet, scope: global}]\n"
DOCUMENTS: dict[str, tuple[str, Callable[[str], object]]] = {
    "RECIPE.YAML": (recipe_text("imagenet9"), load_recipe),
    "RECIPE.Yml": (recipe_text("imagenet9"), load_recipe),
    "POLICY.YAML": (policy_text("reviewed"), load_policy),
    "SCHEMA.YAML": (SCHEMA, load_attribute_schema),
    "MAP.JSON": (CLASS_MAP, load_class_map),
    "MAP.CSV": (TABLE, load_class_map),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_in_capitals_are_what_they_are_called(tmp_path: Path, name: str) -> None:
    text, load = DOCUMENTS[name]
    (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / name.lower()).write_text(text, encoding="utf-8")
    assert str(load(str(tmp_path / name))).replace("MAP", "map") == str(load(str(tmp_path / name.lower())))


def test_settings_of_a_model_may_be_called_in_capitals(tmp_path: Path) -> None:
    (tmp_path / "S.JSON").write_text('{"crop_pct": 0.9}')  # which must not be looked for as S.json, and passed over
    assert read_named_settings(tmp_path / "S.JSON", ("crop_pct",))[0] == {"crop_pct": 0.9}


def test_json_in_capitals_is_no_yaml(tmp_path: Path) -> None:
    (tmp_path / "MAP.JSON").write_text(CLASS_MAP[:-1])
    with pytest.raises(DataError, match="expected well-formed JSON"):
        load_class_map(str(tmp_path / "MAP.JSON"))


def test_what_is_written_goes_by_the_ending_too(tmp_path: Path) -> None:
    write_findings(tmp_path / "F.CSV", [])
    assert (tmp_path / "F.CSV").read_text().startswith("severity,rule,")
    assert file_ending(tmp_path / "a.tar.GZ") == ".gz"
    assert file_ending("folder.d/none") == ""


# Files that systems put beside others


def test_a_release_is_not_doubled_by_what_a_system_puts_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = draw_release(tmp_path, per_class=1)
    objects = drawn.workspace / "objects"
    (release,) = objects.glob("*.parquet")
    (objects / f"._{release.name}").write_bytes(APPLE_DOUBLE)
    (objects / "Thumbs.db").write_bytes(APPLE_DOUBLE)
    assert files_in(objects, ".parquet") == [release]
    code, _, err = run_here(capsys, "build", "imagenet9", "-w", drawn.workspace, "-o", tmp_path / "d")
    assert "several releases" not in err
    assert "._" not in err
    code, out, _ = run_here(capsys, "status", "-w", drawn.workspace)
    assert (code, "._" in out) == (0, False)
    code, out, _ = run_here(capsys, "doctor", "-w", drawn.workspace)
    assert "._" not in out


def test_of_several_releases_the_newest_stands_in_the_command_to_type(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = draw_release(tmp_path, per_class=1)
    (release,) = (drawn.workspace / "objects").glob("*.parquet")
    older = release.with_name("zz.parquet")
    older.write_bytes(release.read_bytes())
    os.utime(older, (1, 1))
    code, _, err = run_here(capsys, "build", "imagenet9", "-w", drawn.workspace, "-o", tmp_path / "d")
    assert code == 2
    assert (
        f"several releases: {release.stem}, zz; choose one, such as the newest: figureground build imagenet9 "
        f"-w {drawn.workspace} --release {release.stem} -o DATASET" in err
    )


def test_results_are_read_without_what_lies_beside_them(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    for name in ("._a.json", ".a.json.123.partial", ".ipynb.json"):
        (tmp_path / name).write_bytes(APPLE_DOUBLE)
    assert result_files([tmp_path]) == [tmp_path / "a.json"]
    (tmp_path / "a.json").unlink()
    with pytest.raises(UsageError, match="no results in"):
        result_files([tmp_path])


def test_annotations_in_hidden_folders_are_of_no_photo(tmp_path: Path) -> None:
    (tmp_path / "photos" / "dog").mkdir(parents=True)
    (tmp_path / "photos" / "dog" / "a.png").write_bytes(encode(draw_pixels(), "PNG"))
    corners = "<xmin>1</xmin><ymin>2</ymin><xmax>9</xmax><ymax>8</ymax>"
    annotation = (
        "<annotation><size><width>60</width><height>40</height></size>"
        f"<object><name>dog</name><bndbox>{corners}</bndbox></object></annotation>"
    )
    for name in ("train/dog/a.xml", "__MACOSX/train/dog/a.xml", ".Trash-1000/train/dog/a.xml"):
        (tmp_path / "boxes" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "boxes" / name).write_text(annotation)
    (tmp_path / "boxes" / "train" / "dog" / "._a.xml").write_bytes(APPLE_DOUBLE)
    (item,) = open_source(str(tmp_path / "photos"), boxes=tmp_path / "boxes")
    assert (item.fault, len(item.boxes_xyxy_px)) == ("", 1)


def test_hidden_annotations_make_no_ilsvrc_tree(tmp_path: Path) -> None:
    for name in ("train/dog/a.png", "val/dog/b.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(encode(draw_pixels(len(name)), "PNG"))
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "Annotations" / "._a.xml").write_bytes(APPLE_DOUBLE)
    source = open_source(str(tmp_path))
    assert (source.kind, count_passed_over(source)) == ("folder", {HIDDEN: 1})


def test_shards_of_a_dataset_without_a_list_are_those_that_datasets_reads(tmp_path: Path) -> None:
    script = scoring_code()
    folder = draw_dataset(tmp_path / "d", listed=False)
    (folder / "manifest.json").unlink(missing_ok=True)
    (folder / "README.md").unlink(missing_ok=True)
    before = script.open_repository(str(folder))
    shards = sorted((folder / "data").rglob("*.parquet"))
    for path in shards:
        path.with_name(f"._{path.name}").write_bytes(APPLE_DOUBLE)
        (folder / ".cache").mkdir(exist_ok=True)
        shutil.copyfile(path, folder / ".cache" / path.name)
    after = script.open_repository(str(folder))
    assert (after.layout, after.fingerprint) == (before.layout, before.fingerprint)


# How tables and results are saved


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_table_is_read_as_people_save_it(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "map.csv").write_text(TABLE, encoding=encoding)
    assert load_class_map(str(tmp_path / "map.csv")).classes[0].wnids == ("häher",)
    (tmp_path / "timm.csv").write_text(PUBLISHED, encoding=encoding)
    assert [row.model for row in read_published(tmp_path / "timm.csv")] == ["resnet50"]


def test_semicolons_are_told_by_every_table(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    for text, read in ((TABLE, lambda: load_class_map(str(path))), (PUBLISHED, lambda: read_published(path))):
        path.write_text(text.replace(",", ";"))
        with pytest.raises(DataError, match="save it with commas between cells, not semicolons"):
            read()


def test_a_result_that_a_shell_wrote_is_read(tmp_path: Path) -> None:
    """``evaluate --json > a.json`` writes UTF-16 in PowerShell 5, and a byte order mark in later ones."""
    for encoding in ("utf-8-sig", "utf-16"):
        (tmp_path / "a.json").write_text(json.dumps({"model": 3}), encoding=encoding)
        with pytest.raises(DataError, match="expected a result of evaluate, got TypeError: model: expected a name"):
            read_results([tmp_path / "a.json"])
    (tmp_path / "a.json").write_bytes('{"model": "é"}'.encode("latin-1"))
    with pytest.raises(DataError, match="expected UTF-8 text, got byte 0xe9"):
        read_results([tmp_path / "a.json"])


# Words that name what is there


def test_a_filter_that_is_misspelt_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    work = draw_release(tmp_path, per_class=1).workspace
    for option, word, hint in (("--label", "rnig", "there are bar, disc, ring"), ("--state", "acceptd", "accepted, ")):
        code, _, err = run_here(capsys, "photos", "-w", work, option, word)
        assert (code, repr(word) in err, hint in err) == (2, True, True)
    assert run_here(capsys, "photos", "-w", work, "--state", "needs_second")[:2] == (0, "\n")


def test_labels_of_synonyms_are_in_the_form_of_the_photos_labels(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("label,text\ncafe\u0301,bistro\n", encoding="utf-8")
    assert read_synonyms(tmp_path / "s.csv") == {"caf\u00e9": ("bistro",)}
