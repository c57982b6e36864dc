"""Workspaces that somebody else made or damaged: refused before they are read, or a fault that names the row."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

import pytest
from shared_cases import run_here
from sheet_samples import make_workspace

from figureground.schemas.store.workspace import DATABASE_NAME, Workspace

ENDLESS: Final = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i"

STATEMENTS: Final[dict[str, tuple[str, str]]] = {
    "an endless view in place of the photos": (
        f"DROP TABLE images; CREATE VIEW images AS {ENDLESS} AS image_id FROM n",
        "images: expected tables alone, got a view",
    ),
    "an endless view in place of decisions": (
        f"DROP TABLE decisions; CREATE VIEW decisions AS {ENDLESS} AS image_id FROM n",
        "decisions: expected tables alone, got a view",
    ),
    "a view beside": (f"CREATE VIEW more AS {ENDLESS} FROM n", "more: expected tables alone, got a view"),
    "a trigger": (
        "CREATE TRIGGER t AFTER INSERT ON decisions BEGIN DELETE FROM images; END",
        "t: expected tables alone, got a trigger",
    ),
    "a table less": ("DROP TABLE proposals", "proposals: expected a table of a workspace, got none"),
    "a virtual table": (
        "DROP TABLE rejections; CREATE VIRTUAL TABLE rejections USING fts5(source, uri, reason, detail)",
        "rejections: expected the columns of a workspace, got others",
    ),
    "a column less": ("ALTER TABLE images DROP COLUMN flags", "images: expected the columns of a workspace"),
    "a column more": ("ALTER TABLE proposal_runs ADD COLUMN x TEXT", "proposal_runs: expected the columns"),
    "a column of another name": ("ALTER TABLE sources RENAME COLUMN options TO x", "sources: expected the columns"),
    "a computed column": (
        "DROP TABLE studio_pairs; CREATE TABLE studio_pairs "
        "(server TEXT NOT NULL, image_id TEXT AS (server || server), PRIMARY KEY (server)) STRICT",
        "studio_pairs: expected the columns of a workspace",
    ),
    "a table that is not strict": (
        "DROP TABLE studio_pairs; CREATE TABLE studio_pairs "
        "(server TEXT NOT NULL, image_id TEXT NOT NULL, PRIMARY KEY (server, image_id))",
        "studio_pairs: expected the columns of a workspace",
    ),
    "a version to come": ("PRAGMA user_version = 99", "user_version: expected 0 to"),
    "a version below 0": ("PRAGMA user_version = -1", "user_version: expected 0 to"),
    "another program's": ("PRAGMA user_version = 0", "expected a workspace database, got that of another program"),
    "flags without end": (f"UPDATE images SET flags = '{'[' * 2000}'", "expected a row as figureground writes it"),
    "boxes that are no JSON": ("UPDATE images SET boxes = '{'", "expected a row as figureground writes it"),
    "boxes of one number": ("UPDATE images SET boxes = '[[1]]'", "expected a row as figureground writes it"),
    "text that is no UTF-8": ("UPDATE images SET uri = CAST(x'ff80' AS TEXT)", "Could not decode to UTF-8"),
    "options that are a list": ("UPDATE sources SET options = '[1]'", "expected a row as figureground writes it"),
    "options without end": (f"UPDATE sources SET options = '{'[' * 2000}'", "expected a row as figureground writes it"),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("workspace")
    make_workspace(folder, 2).close()
    return (folder / "work" / DATABASE_NAME).read_bytes()


def rewrite(folder: Path, whole: bytes, statements: str) -> Path:
    folder.mkdir()
    (folder / DATABASE_NAME).write_bytes(whole)
    connection = sqlite3.connect(folder / DATABASE_NAME)
    connection.executescript(f"PRAGMA journal_mode = DELETE; {statements}")
    connection.close()
    return folder


@pytest.mark.parametrize("case", STATEMENTS)
def test_a_foreign_workspace_is_one_line_and_stays_as_it_is(
    case: str, whole: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    statements, words = STATEMENTS[case]
    folder = rewrite(tmp_path / "w", whole, statements)
    before = (folder / DATABASE_NAME).read_bytes()
    for command in (("photos", "-w", folder), ("freeze", "--version", "v1", "--unreviewed", "-w", folder)):
        code, _, err = run_here(capsys, *command)
        if "of sources" in case or command[0] == "photos" or not case.startswith("options"):
            assert code == 1, err
            assert words in err
        assert "a fault of figureground itself" not in err
        assert len(err) < 4000
    if "expected a row" not in words and "UTF-8" not in words:
        assert (folder / DATABASE_NAME).read_bytes() == before
    assert not (folder / "objects" / "v1.parquet").exists()


def test_a_file_that_is_cut_off_is_a_fault(whole: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for length in (100, 4096, len(whole) // 2):
        folder = tmp_path / str(length)
        folder.mkdir()
        (folder / DATABASE_NAME).write_bytes(whole[:length])
        code, _, err = run_here(capsys, "photos", "-w", folder)
        assert (code, "expected a workspace database" in err) == (1, True), err


def test_a_workspace_of_ours_opens_at_every_version(whole: bytes, tmp_path: Path) -> None:
    from figureground.schemas.store import migrations

    for version in range(1, len(migrations._MIGRATIONS) + 1):
        folder = tmp_path / str(version)
        folder.mkdir()
        with sqlite3.connect(folder / DATABASE_NAME) as connection:
            connection.executescript("".join(migrations._MIGRATIONS[:version]))
            connection.execute(f"PRAGMA user_version = {version}")
        with Workspace.open(folder) as store:
            assert list(store.images()) == []
