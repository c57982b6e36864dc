"""COCO files become accepted answers: once, with whose they are, and not where anything is at fault."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from coco_samples import (
    PHOTOS,
    SCHEMA,
    SIZE_HW,
    annotation,
    answers_of,
    content,
    draw_store,
    ring,
    rle_of,
    rows_mask,
    write_coco,
)
from typer.testing import CliRunner

from figureground.annotate.freeze import FreezeOptions, freeze
from figureground.annotate.imports.answers import ImportOrigin
from figureground.annotate.imports.coco_annotations import import_coco
from figureground.annotate.imports.coco_answers import CocoChoices, CocoReport
from figureground.cli.imports import import_masks
from figureground.errors import DataError, UsageError
from figureground.schemas.rasters.masks import decode_coco_rle, encode_coco_rle
from figureground.schemas.store.releases import read_release
from figureground.schemas.store.workspace import Workspace

ORIGIN = ImportOrigin(text="drawn by our lab", annotator="imported", tool="import:coco")
WITH_PARTS = ImportOrigin(text="drawn by our lab", annotator="imported", tool="import:coco", schema=SCHEMA)


@pytest.fixture
def store(tmp_path: Path) -> Workspace:
    return draw_store(tmp_path)


def run(store: Workspace, *files: Path, origin: ImportOrigin = ORIGIN, **choices: Any) -> CocoReport:
    return import_coco(store, files, origin, CocoChoices(**choices))


def faults_of(store: Workspace, *files: Path, origin: ImportOrigin = ORIGIN, **choices: Any) -> list[str]:
    with pytest.raises(DataError) as caught:
        run(store, *files, origin=origin, **choices)
    return [str(fault) for fault in caught.value.faults]


def test_masks_become_accepted_answers_pixel_for_pixel(store: Workspace, tmp_path: Path) -> None:
    path = write_coco(tmp_path / "a.json", annotation(1, 1, 1, ring()), annotation(2, 4, 2, rows_mask(0, 3)))
    report = run(store, path)
    assert (report.answers, report.without_mask, report.decisions) == (2, 2, {"accepted": 2})
    (bird,), (fish,) = answers_of(store, "bird/a.png"), answers_of(store, "fish/c.png")
    assert np.array_equal(decode_coco_rle(bird.masks["object"]), ring())
    assert np.array_equal(decode_coco_rle(fish.masks["object"]), rows_mask(0, 3))
    assert (bird.annotator, bird.tool, bird.note, bird.state) == (
        "imported",
        "import:coco",
        "origin: drawn by our lab",
        "submitted",
    )
    frozen = read_release(freeze(store, "v1", FreezeOptions()).path)[1]
    assert {record.mask for record in frozen} == {encode_coco_rle(ring()), encode_coco_rle(rows_mask(0, 3))}
    assert {record.mask_origin for record in frozen} == {bird.annotation_id, fish.annotation_id}


def test_a_second_import_changes_nothing(store: Workspace, tmp_path: Path) -> None:
    path = write_coco(tmp_path / "a.json", annotation(1, 1, 1, ring()))
    run(store, path)
    before = list(store.annotations()), store.decisions()
    report = run(store, path)
    assert (report.answers, report.already_there, report.decisions) == (0, 1, {})
    assert (list(store.annotations()), store.decisions()) == before


def test_files_are_taken_together(store: Workspace, tmp_path: Path) -> None:
    """Objects in one file, parts in another, with ids of their own."""
    objects = write_coco(tmp_path / "objects.json", annotation(1, 1, 1, ring(), attributes={"wet": False}))
    renumbered = content(annotation(1, 71, 5, rows_mask(2, 4)))
    renumbered["images"] = [{"id": 71, "file_name": "bird/a.png", "height": 12, "width": 16}]
    renumbered["categories"] = [{"id": 5, "name": "wing"}]
    (tmp_path / "parts.json").write_text(json.dumps(renumbered))
    report = run(store, objects, tmp_path / "parts.json", origin=WITH_PARTS)
    (answer,) = answers_of(store, "bird/a.png")
    assert (report.answers, report.attributes) == (1, {"wing": 1})
    assert set(answer.masks) == {"object", "wing"}
    assert np.array_equal(decode_coco_rle(answer.masks["wing"]), rows_mask(2, 4))
    assert answer.attributes == {"wing": True, "tail": None, "wet": False}
    assert answer.attribute_schema == "toy@1"


def test_a_photo_at_fault_is_not_stored_and_the_others_are(store: Workspace, tmp_path: Path) -> None:
    short = {"size": list(SIZE_HW), "counts": "12"}
    path = write_coco(
        tmp_path / "a.json",
        annotation(1, 1, 1, ring()),
        annotation(2, 2, 1, short),
        annotation(3, 2, 1, ring()),
        annotation(4, 4, 2, {"size": [1, 2], "counts": [2]}),
        annotation(5, 3, 9, ring()),
    )
    faults = faults_of(store, path)
    assert [fault.removeprefix(f"{path}: ").split(": expected")[0] for fault in faults] == [
        "annotation 2",
        "annotation 4",
        "annotation 5",
    ]
    assert "size 16x12 (width x height), got 2x1" in faults[1]
    assert [bool(answers_of(store, uri)) for uri in PHOTOS] == [True, False, False, False]


def test_files_at_fault_are_told_together(store: Workspace, tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text("{")
    (tmp_path / "c.json").write_bytes(b"\xff")
    path = write_coco(tmp_path / "a.json", annotation(1, 1, 1, ring()))
    faults = faults_of(store, path, tmp_path / "b.json", tmp_path / "c.json")
    assert [fault.split(":")[0].rpartition("/")[2] for fault in faults] == ["b.json", "c.json"]
    assert len(answers_of(store, "bird/a.png")) == 1


def test_polygons_are_refused_unless_asked_for(store: Workspace, tmp_path: Path) -> None:
    square = [[2, 2, 6, 2, 6, 6, 2, 6]]
    path = write_coco(
        tmp_path / "a.json", annotation(1, 1, 1, square), annotation(2, 2, 1, square), annotation(3, 4, 2, None)
    )
    polygons, box = faults_of(store, path)
    assert "annotation 1, 2: expected masks as RLE, got 2 annotations with polygons" in polygons
    assert "--lossy-polygons" in polygons
    assert "annotation 3: expected masks as RLE, got 1 annotations with a box alone" in box
    assert not list(store.annotations())
    write_coco(path, annotation(1, 1, 1, square), annotation(2, 2, 1, ring()))
    report = run(store, path, polygons=True)
    (answer,) = answers_of(store, "bird/a.png")
    expected = np.zeros(SIZE_HW, dtype=np.bool_)
    expected[2:6, 2:6] = True
    assert np.array_equal(decode_coco_rle(answer.masks["object"]), expected)
    assert (report.from_polygons, answer.note) == (1, "origin: drawn by our lab\nfilled from polygons")
    assert "1 photos have masks filled from polygons, which are lossy" in str(report)


def test_images_that_nobody_indexed_are_named(store: Workspace, tmp_path: Path) -> None:
    whole = content(annotation(1, 1, 1, ring()), annotation(2, 9, 1, ring()))
    whole["images"].append({"id": 9, "file_name": "bird/z.png", "height": 12, "width": 16})
    (tmp_path / "a.json").write_text(json.dumps(whole))
    report = run(store, tmp_path / "a.json")
    assert (report.answers, report.not_indexed) == (1, ["bird/z.png"])
    whole["images"] = whole["images"][-1:]
    whole["annotations"] = whole["annotations"][-1:]
    (tmp_path / "b.json").write_text(json.dumps(whole))
    (fault,) = faults_of(store, tmp_path / "b.json")
    assert "expected images that are in the workspace, got none; index the photos first" in fault


def test_wrong_calls(store: Workspace, tmp_path: Path) -> None:
    path = write_coco(tmp_path / "a.json", annotation(1, 1, 1, ring()))
    with pytest.raises(UsageError, match="cannot be read"):
        run(store, tmp_path / "gone.json")
    with pytest.raises(UsageError, match="no source is called 'other'"):
        run(store, path, source="other")
    with pytest.raises(UsageError, match="no such folder of images"):
        run(store, path, images=path)
    with pytest.raises(UsageError, match="one line"):
        run(store, path, origin=ImportOrigin(text="", annotator="a", tool="t"))


def command(*arguments: str | Path) -> dict[str, Any]:
    """What the command prints as JSON; its error is raised."""
    done = CliRunner().invoke(import_masks, ["coco", *map(str, arguments), "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_the_command_takes_every_choice(store: Workspace, tmp_path: Path) -> None:
    whole = content(annotation(1, 1, 7, ring()), annotation(2, 1, 3, [[1, 1, 9, 1, 9, 9]]))
    whole["categories"].append({"id": 7, "name": "animal"})
    whole["images"] = [{"id": 1, "file_name": "00001.png", "height": 12, "width": 16}]
    (tmp_path / "a.json").write_text(json.dumps(whole))
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "00001.png").write_bytes((tmp_path / "photos" / "bird" / "b.png").read_bytes())
    (tmp_path / "map.csv").write_text("category,label\nanimal,bird\n")
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(SCHEMA.model_dump(mode="json")))
    report = command(
        tmp_path / "a.json",
        "-w",
        tmp_path / "work",
        "--origin",
        "drawn by us",
        "--images",
        tmp_path / "images",
        "--category-map",
        tmp_path / "map.csv",
        "--attributes",
        tmp_path / "toy.yaml",
        "--annotator",
        "us",
        "--source",
        "photos",
        "--lossy-polygons",
    )
    assert (report["answers"], report["from_polygons"], report["attributes"]) == (1, 1, {"wing": 1})
    (answer,) = answers_of(store, "bird/b.png")
    assert (answer.annotator, answer.tool) == ("us", "import:coco")
    assert answer.note == "origin: drawn by us\nfilled from polygons"
    assert set(answer.masks) == {"object", "wing"}


def test_the_command_reads_several_files(store: Workspace, tmp_path: Path) -> None:
    files = [write_coco(tmp_path / f"{number}.json", annotation(1, number, 1, rle_of(ring()))) for number in (1, 2)]
    assert command(*files, "-w", tmp_path / "work", "--origin", "us")["answers"] == 2


def test_help_has_an_example_and_loads_nothing_heavy() -> None:
    code = """import sys
from typer.testing import CliRunner
from figureground.cli.imports import import_masks
text = CliRunner().invoke(import_masks, ["coco", "--help"]).output
assert "figureground import coco" in text and "Example" in text, text
assert not {"torch", "datasets", "cv2"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-P", "-c", code], check=True)
