"""``figureground import``: both ways in from the command line, and there and back through RIVAL10's layout."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from drawn_release import CLASS_MAP, draw_release
from PIL import Image
from rival10_tree import PHOTOS, draw_mask, draw_tree
from typer.testing import CliRunner

from figureground.annotate.catalogue import index_source
from figureground.annotate.freeze import FreezeOptions, freeze
from figureground.build.recipes.loading import load_recipe
from figureground.cli.imports import import_masks
from figureground.errors import DataError, FigureGroundError, UsageError
from figureground.exports.dataset.building import build_dataset
from figureground.exports.dataset.inputs import Machines
from figureground.exports.dataset.request import prepare_request
from figureground.exports.layouts.rival10 import export_rival10
from figureground.schemas.sources.opening import open_source
from figureground.schemas.store.releases import read_release
from figureground.schemas.store.workspace import Workspace


def run(*arguments: str | Path) -> dict[str, Any]:
    """What a command prints as JSON; its error is raised."""
    done = CliRunner().invoke(import_masks, [*map(str, arguments), "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.fixture
def work(tmp_path: Path) -> Path:
    tree = draw_tree(tmp_path)
    with Workspace.create(tmp_path / "work") as store:
        index_source(store, open_source(str(tree)))
    return tmp_path / "work"


def test_rival10_is_imported_once(work: Path) -> None:
    tree = work.parent / "RIVAL10"
    first, second = (run("rival10", tree, "-w", work) for _ in range(2))
    assert (first["answers"], first["decisions"]) == (len(PHOTOS), {"accepted": len(PHOTOS)})
    assert (second["answers"], second["already_there"]) == (0, len(PHOTOS))
    with Workspace.open(work) as store:
        assert {answer.note for answer in store.annotations()} == {"origin: RIVAL10, dataset authors"}


def test_masks_are_imported_with_their_origin(work: Path, tmp_path: Path) -> None:
    stem = next(iter(PHOTOS)).partition("/")[2]
    for folder, name in (("", "entire-object"), ("wings", "wings")):
        (tmp_path / "masks" / folder).mkdir(exist_ok=True)
        Image.fromarray(draw_mask(name)).save(tmp_path / "masks" / folder / f"{stem}.png")
    schema = {"name": "own", "version": "1", "attributes": [{"name": "wings", "scope": "local", "category": "part"}]}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(schema))
    words = ["--attributes", f"{tmp_path}/own.yaml", "--annotator", "us", "--origin", "project-made"]
    report = run("masks", tmp_path / "masks", "-w", work, *words)
    assert (report["answers"], report["attributes"], report["without_mask"]) == (1, {"wings": 1}, len(PHOTOS) - 1)
    with Workspace.open(work) as store:
        (answer,) = store.annotations()
    assert (answer.annotator, answer.note) == ("us", "origin: project-made")


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["rival10", "gone"], UsageError, "found no train/ordinary"),
        (["masks", "gone", "--origin", "us"], UsageError, "no such folder"),
        (["masks", "RIVAL10", "--origin", ""], UsageError, "one line"),
        (["masks", "RIVAL10", "--origin", "us"], DataError, "expected a PNG mask"),
        (["masks", "RIVAL10", "--origin", "us", "--attributes", "gone"], UsageError, "no attribute schema 'gone'"),
    ],
)
def test_errors_are_ours(
    work: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], error: type[FigureGroundError], message: str
) -> None:
    monkeypatch.chdir(work.parent)
    with pytest.raises(error, match=message):
        run(*words, "-w", work)


def test_an_origin_must_be_said(work: Path) -> None:
    done = CliRunner().invoke(import_masks, ["masks", "RIVAL10", "-w", str(work)])
    assert done.exit_code == 2
    assert "--origin" in done.output


@pytest.mark.parametrize("verb", ["masks", "rival10"])
def test_help_has_an_example_and_loads_nothing_heavy(verb: str) -> None:
    code = f"""import sys
from typer.testing import CliRunner
from figureground.cli.imports import import_masks
text = CliRunner().invoke(import_masks, [{verb!r}, "--help"]).output
assert "figureground import {verb}" in text and "Example" in text, text
assert not {{"torch", "datasets", "cv2"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-P", "-c", code], check=True)


def test_there_and_back_through_rival10_s_layout(tmp_path: Path) -> None:
    """A dataset exported, indexed and imported has the masks, the attributes and the labels that it had."""
    drawn = draw_release(tmp_path, per_class=10, part="wings")
    (tmp_path / "toy.json").write_text(CLASS_MAP)
    recipe = load_recipe("rival10").model_dump(mode="json")
    recipe["variants"] = {"original": recipe["variants"]["original"]}
    recipe = {
        **recipe,
        "name": "toy",
        "class_map": "toy.json",
        "splits": {**recipe["splits"], "near_duplicate_bits": 0},
    }
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    build_dataset(
        prepare_request(str(tmp_path / "toy.yaml"), drawn.workspace, machines=Machines(workers=1)), tmp_path / "repo"
    )
    export_rival10(tmp_path / "repo", tmp_path / "out")
    with Workspace.create(tmp_path / "again") as store:
        index_source(store, open_source(str(tmp_path / "out")))
        assert run("rival10", tmp_path / "out", "-w", tmp_path / "again")["answers"] == 30
        frozen = freeze(store, "v1", FreezeOptions())
        (tmp_path / "again" / "toy.yaml").write_text((tmp_path / "toy.yaml").read_text())
        (tmp_path / "again" / "toy.json").write_text(CLASS_MAP)
    assert {record.size_hw for record in read_release(frozen.path)[1]} == {(224, 224)}
    request = prepare_request(str(tmp_path / "again" / "toy.yaml"), tmp_path / "again", machines=Machines(workers=1))
    build_dataset(request, tmp_path / "repo2")
    before, after = (_original(tmp_path / name) for name in ("repo", "repo2"))
    assert len(before) == 30
    assert before == after


def _original(repo: Path) -> dict[str, Any]:
    """What the rows of ``original`` show, by their pixels: a photo that was squashed has another id."""
    import pyarrow.parquet as pq

    rows = [row for path in (repo / "data" / "original").glob("*.parquet") for row in pq.read_table(path).to_pylist()]
    return {
        row["provenance"]["pixels_sha256"]: (
            row["label"],
            row["source_label"],
            row["object_mask"]["bytes"],
            row["attribute_masks"],
            {name: bool(value) for name, value in row["attributes"].items() if name != "round"},
        )
        for row in rows
    }
