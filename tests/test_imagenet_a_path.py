"""The whole path on a miniature ImageNet-A: the archive is read in place, masks, crops, scores; no name gets out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from imagenet_a_tree import SKETCHES, draw_photos, draw_tar, draw_tree, write_masks
from needs import need
from typer.testing import CliRunner

from figureground.annotate.segmenters.checkpoints import fetch_checkpoint
from figureground.cli.app import app
from figureground.errors import ServiceError
from figureground.schemas.classes import load_class_map


def run(*arguments: str | Path) -> Any:
    done = CliRunner().invoke(app, [*map(str, arguments), "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive indexed, its true masks accepted, machine boxes proposed; all of it from the command line."""
    root = Path(tmp_path_factory.mktemp("imagenet-a"))
    draw_tar(root / "imagenet-a.tar")
    write_masks(root / "masks")
    indexed = run("index", root / "imagenet-a.tar", "-w", root / "work", "--workers", "1")
    assert (indexed["added"], indexed["rejected"]) == (len(SKETCHES), {})
    assert not (root / "imagenet-a").exists()
    run("import", "masks", root / "masks", "-w", root / "work", "--origin", "drawn")
    run("freeze", "-w", root / "work", "--version", "human")
    run("build", "imagenet_a_plus", "-w", root / "work", "-o", root / "plus", "--pixels", "--workers", "1")
    return root


def test_no_file_name_leaves_the_workspace(work: Path) -> None:
    """Names hold what a classifier answered and how sure it was."""
    words = {part for photo in draw_photos() for part in Path(photo.uri).stem.split("_") if len(part.strip()) > 5}
    names = {entry.name for entry in load_class_map("imagenet_a").classes}
    answers = {word.strip() for word in words} - {name.replace("_", " ") for name in names} - names
    assert len(answers) > 28
    for path in (path for path in (work / "plus").rglob("*") if path.is_file()):
        content = path.read_bytes()
        assert [word for word in answers if word.encode() in content] == [], path


def test_every_oddity_has_its_crop_and_its_flags(work: Path) -> None:
    oddities = {photo.image_id: photo for photo in draw_photos()}
    rows = pq.read_table(work / "plus" / "data" / "plus").to_pylist()
    assert len(rows) == len(SKETCHES)
    for row in rows:
        photo, figure = oddities[row["image_id"]], json.loads(row["provenance"]["params"])["figure"]
        flags, (x0, y0, x1, y1) = set(figure.get("flags", [])), figure["box"]
        assert tuple(figure["size"]) == photo.mask_hw.shape  # never turned by EXIF
        assert not photo.mask_hw[:, :x0].any()
        assert not photo.mask_hw[:, x1:].any()
        assert not photo.mask_hw[:y0].any()
        assert not photo.mask_hw[y1:].any()
        assert ("several_instances" in flags) == ("two" in photo.oddity and "borders" not in photo.oddity)
        assert ("no_context" in flags) == (photo.oddity in ("fills the frame", "nearly fills the frame"))
        if photo.oddity == "cut off by the centre crop":
            assert "truncated_by_center_crop" in flags
        if photo.oddity == "tiny":
            assert "low_res" in flags


def test_folder_and_archive_give_the_same_photos(work: Path, tmp_path: Path) -> None:
    draw_tree(tmp_path)
    again = run("index", tmp_path / "imagenet-a", "-w", tmp_path / "work", "--workers", "1")
    assert again["added"] == len(SKETCHES)
    write_masks(tmp_path / "masks")
    run("import", "masks", tmp_path / "masks", "-w", tmp_path / "work", "--origin", "drawn")
    run("freeze", "-w", tmp_path / "work", "--version", "human")
    run("build", "imagenet_a_plus", "-w", tmp_path / "work", "-o", tmp_path / "plus", "--workers", "1")
    for config in ("plus", "random_box"):
        first, second = (
            pq.read_table(root / "plus" / "data" / config, columns=["provenance"]).to_pylist()
            for root in (work, tmp_path)
        )
        assert [row["provenance"]["pixels_sha256"] for row in first] == [
            row["provenance"]["pixels_sha256"] for row in second
        ]


def test_machine_masks_go_the_same_way(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    try:
        fetch_checkpoint("u2netp")
    except ServiceError as error:
        need(False, str(error))
    photos = len(draw_tar(tmp_path / "some.tar", every=3))  # the network takes half a second a photo
    run("index", tmp_path / "some.tar", "-w", tmp_path / "work", "--workers", "1")
    run("propose", "-w", tmp_path / "work", "--segmenter", "saliency", "--threads", "1")
    frozen = run("freeze", "-w", tmp_path / "work", "--version", "machine", "--unreviewed")
    assert frozen["states"]["unreviewed"] + frozen["left_out"].get("no_mask", 0) == photos
    run("build", "imagenet_a_plus", "-w", tmp_path / "work", "-o", tmp_path / "auto", "--workers", "1")
    assert "**Machine masks.**" in (tmp_path / "auto" / "README.md").read_text()
    true = {photo.image_id: photo.mask_hw for photo in draw_photos()}
    shares = []
    for row in pq.read_table(tmp_path / "auto" / "data" / "plus").to_pylist():
        x0, y0, x1, y1 = json.loads(row["provenance"]["params"])["figure"]["crop"]["content"]
        mask = true[row["image_id"]]
        shares.append(mask[y0:y1, x0:x1].sum() / mask.sum())
    assert np.median(shares) > 0.9  # most automatic crops hold most of their object


def test_a_reader_of_colours_is_right_where_the_object_is_seen(work: Path) -> None:
    results = run(
        "evaluate",
        work / "plus",
        "--model",
        "colour_reader:ColourReader",
        "--bootstrap",
        "200",
        "--configs",
        "original,plus,bg_only",
        "--out",
        work / "scores",
    )
    (result,) = results["results"]
    assert result["protocol"] == "imagenet_a"
    configs = result["label_spaces"]["imagenet_a200"]["configs"]
    assert configs["plus"]["accuracy_micro"] > configs["original"]["accuracy_micro"]
    assert configs["bg_only"]["accuracy_micro"] < 0.2
