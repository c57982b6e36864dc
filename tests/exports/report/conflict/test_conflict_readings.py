"""Cue conflict from stored answers, on the command line: the same figures as evaluate told, and pictures of them."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pasted_dataset import make_rows, write_repository
from shared_cases import run_here

import figureground

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("conflict")
    data = write_repository(folder / "pasted", make_rows())
    for name in ("looks_at_figure", "looks_at_ground"):
        figureground.evaluate(data, f"crop_dataset:{name}", out=folder / "scores", bootstrap=50)
    return folder / "scores"


def test_the_command_says_what_evaluate_said_without_a_model(
    scores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, printed, _ = run_here(capsys, "analyze", "conflict", scores, "-o", tmp_path / "out", "--json")
    assert code == 0
    written = json.loads(printed)
    conflicts = {}
    for path in scores.glob("*.json"):
        result = json.loads(path.read_text())
        conflicts[result["model"]] = result["conflict"]["head"]
    assert {model["model"]: model["configs"] for model in written["models"]} == {
        model: own["configs"] for model, own in conflicts.items()
    }
    assert set(written["definitions"]) >= {"bias", "attraction", "worst_group"}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(written["files"])
    pictures = [name for name in written["files"] if name.endswith(".png")]
    assert len(pictures) == 3  # one of all models, and a table of each
    with (tmp_path / "out" / "conflict.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert sum(int(line["n"]) for line in lines if line["model"] == "looks-at-figure") == 12
    first = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    _, text, _ = run_here(capsys, "analyze", "conflict", scores, "-o", tmp_path / "again")
    assert text.splitlines()[-1] == f"{tmp_path / 'again'}: 6 files; look first at conflict.txt and head.bias.png"
    assert "\nworst group: no group of figure x ground has 10 images\n" in text
    assert "conflict: worst group" not in text
    assert {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()} == first


def test_groups_may_be_asked_to_be_larger_and_pictures_to_be_drawn_in_vectors(
    scores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("analyze", "conflict", scores, "-o", tmp_path, "--least", "3", "--format", "svg", "--json")
    code, printed, _ = run_here(capsys, *words)
    assert code == 0
    written = json.loads(printed)
    worst = written["models"][0]["configs"]["mixed_rand"]["worst_group"]
    assert worst["value"] is not None
    assert all(group["n"] >= 3 for group in worst["groups"] if not group["too_small"])
    drawn = [tmp_path / name for name in written["files"] if name.endswith(".svg")]
    assert len(drawn) == 3
    assert all(path.read_text().startswith("<?xml") for path in drawn)


def test_a_panel_that_would_be_empty_is_left_out(scores: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from figureground.exports.report.conflict import drawing
    from figureground.exports.report.conflict.readings import read_conflicts

    seen: dict[int, tuple[int, str]] = {}
    for least in (3, 10):

        def look(figure: Any, picture_format: str, least: int = least) -> bytes:
            seen[least] = len(figure.axes), figure.get_suptitle()
            return b""

        monkeypatch.setattr(drawing, "encode_figure", look)
        drawing.draw_bias(read_conflicts([scores], least=least))
    assert {least: panels for least, (panels, _) in seen.items()} == {3: 3, 10: 2}
    assert seen[10][1].endswith("; no group of 10 images: no worst group")
    assert "no group" not in seen[3][1]


def test_evaluate_and_report_say_where_to_look_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    data = write_repository(tmp_path / "pasted", make_rows())
    words = ("evaluate", data, "--model", "crop_dataset:looks_at_figure", "--bootstrap", "50")
    code, _, error = run_here(capsys, *words, "-o", "my scores")
    assert code == 0
    assert error.endswith("on one page: figureground report 'my scores' -o report\n")
    assert "figureground report" not in run_here(capsys, *words)[2]
    assert "figureground report" not in run_here(capsys, *words, "-o", "my scores", "--json")[2]
    code, printed, _ = run_here(capsys, "report", "my scores", "-o", "report")
    assert code == 0
    assert re.fullmatch(r"report: \d+ files; look first at report\.html and report\.txt\n", printed)


def test_answers_that_are_damaged_or_not_there_are_named(
    scores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (result,) = scores.glob("looks-at-figure*.json")
    lone = tmp_path / result.name
    lone.write_bytes(result.read_bytes())
    code, _, error = run_here(capsys, "analyze", "conflict", lone, "-o", tmp_path / "out")
    assert code == 2
    assert "score it with --out" in error
    answers = tmp_path / "predictions" / f"{json.loads(result.read_text())['answers']}.mixed_rand.npz"
    answers.parent.mkdir()
    stored = dict(np.load(scores / "predictions" / answers.name))
    np.savez(answers, **{**stored, "ground_label": stored["ground_label"].astype(str)})
    code, _, error = run_here(capsys, "analyze", "conflict", lone, "-o", tmp_path / "out")
    assert code == 1
    assert "expected answers of evaluate" in error
    assert not (tmp_path / "out").exists()


def test_results_without_grounds_of_other_classes_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = {name: own for name, own in make_rows().items() if name in ("original", "mixed_same")}
    data = write_repository(tmp_path / "same", rows)
    figureground.evaluate(data, "crop_dataset:looks_at_figure", out=tmp_path / "scores", bootstrap=50)
    code, _, error = run_here(capsys, "analyze", "conflict", tmp_path / "scores", "-o", tmp_path / "out")
    assert code == 2
    assert "no result here has rows whose ground is of another class" in error
