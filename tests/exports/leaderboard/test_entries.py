"""Results that a leaderboard is made of: with their answers, and scored alike."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from crop_dataset import ground_configs, photos, write_repository

import figureground
from figureground.errors import DataError, UsageError
from figureground.exports.comparison.compare import compare_results, describe_comparison
from figureground.exports.dataset.locked.leaderboard import RESULTS, BoardTable
from figureground.exports.leaderboard.board import make_board
from figureground.exports.leaderboard.entries import Entry, merge_entries, read_entries
from figureground.exports.report.groups import group_results
from figureground.exports.report.stored_results import read_results

NOISE: dict[str, Any] = {"protocol": "rival10", "configs": ["original"], "noise": "sigma", "levels": "0.2,0.6"}
OTHER = {**NOISE, "levels": "0.2"}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_repository(tmp_path_factory.mktemp("entries") / "grounds", ground_configs(photos()))


def score(repository: Path, model: str, out: Path, options: dict[str, Any]) -> dict[str, Any]:
    return figureground.evaluate(repository, f"crop_dataset:{model}", out=out, bootstrap=20, **options)


@pytest.fixture(scope="module")
def scores(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models under one noise, and one of them under another."""
    folder = tmp_path_factory.mktemp("entries")
    for model in ("looks_at_figure", "looks_at_ground"):
        score(repository, model, folder / "alike", NOISE)
    score(repository, "looks_at_figure", folder / "other", OTHER)
    return folder


def entries_of(folder: Path) -> list[Entry]:
    (fingerprint, *_) = (json.loads(path.read_text())["dataset"]["fingerprint"] for path in folder.glob("*.json"))
    return read_entries([folder], fingerprint, "grounds")


def staged_table(entries: list[Entry], folder: Path) -> BoardTable:
    for name, path in (pair for entry in entries for pair in entry.files().items()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / name)
    (table,) = make_board(folder / RESULTS, fingerprint="f", edition=1).tables
    return table


def test_results_under_noise_take_their_answers_with_them(scores: Path, tmp_path: Path) -> None:
    entries = entries_of(scores / "alike")
    assert [[name.endswith(".original.npz") for name in entry.files()] for entry in entries] == [[False, True]] * 2
    table = staged_table(entries, tmp_path)
    assert [row.model for row in table.rows] == ["looks-at-figure", "looks-at-ground"]
    assert {"original", "RFS sigma"} <= set(table.figures)
    assert table.notes[0] == "noise sigma of 0.2, 0.6"


def test_ranks_say_that_they_allow_for_no_groups(scores: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(scores / "alike", tmp_path / "copied"))
    for path in copied.glob("*.json"):
        result = json.loads(path.read_text())
        result["dataset"]["groups"] = {"groups": 4, "images": 9}
        path.write_text(json.dumps(result))
    notes = staged_table(entries_of(copied), tmp_path / "staged").notes
    assert "9 images are in 4 groups, which ranks and the interval of RFS sigma here do not allow for" in notes[2]
    (comparison,) = compare_results([copied], rounds=99)
    assert "9 images are in 4 groups, which intervals, p-values and ranks here" in describe_comparison(comparison)


def test_other_noise_does_not_rank_beside_it(scores: Path, repository: Path, tmp_path: Path) -> None:
    alike, (other,) = entries_of(scores / "alike"), entries_of(scores / "other")
    assert merge_entries(alike[:1], alike) == sorted(alike, key=lambda entry: entry.path.name)
    with pytest.raises(DataError, match=r"expected noise and masks as in looks-at-ground.*: noise sigma of 0\.2, 0\.6"):
        merge_entries([entry for entry in alike if "ground" in entry.path.name], [other])
    shutil.copytree(scores / "alike", tmp_path / "both")
    shutil.copytree(scores / "other", tmp_path / "both", dirs_exist_ok=True)
    with pytest.raises(DataError, match="got another one in"):
        entries_of(tmp_path / "both")
    score(repository, "looks_at_figure", tmp_path / "both", {**NOISE, "masks_from": str(repository)})
    groups = group_results(read_results([tmp_path / "both"]), "rival10")
    assert sorted((group.settings, len(group.members)) for group in groups if group.space == groups[0].space) == [
        ("noise sigma of 0.2", 1),
        ("noise sigma of 0.2, 0.6", 2),
        ("noise sigma of 0.2, 0.6, masks of grounds", 1),
    ]


def test_two_results_of_the_same_figures_are_named_by_their_files(repository: Path, tmp_path: Path) -> None:
    options = {**NOISE, "configs": None}
    for own in (NOISE, options, options):
        score(repository, "looks_at_figure", tmp_path, own)
    assert len(list(tmp_path.glob("*.json"))) == 2
    assert len(list(tmp_path.glob("predictions/*.original.npz"))) == 1
    with pytest.raises(UsageError, match=r"several results of looks-at-figure .*give one of each, of .*json, .*json"):
        group_results(read_results([tmp_path]))
