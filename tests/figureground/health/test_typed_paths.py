"""What doctor and status give to type works in a workspace whose name a shell would take apart."""

from __future__ import annotations

import json
import re
import shlex
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from block_ledger import read_call
from drawn_release import draw_release
from shared_cases import run_here

from figureground.errors import shell_word
from figureground.health.workspaces import look_at_workspace
from figureground.schemas.store.migrations import _MIGRATIONS
from figureground.schemas.store.workspace import DATABASE_NAME


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "it's my work"
    draw_release(tmp_path / "drawn", per_class=1).workspace.rename(folder)
    return folder


def test_a_plain_path_stays_as_it_is() -> None:
    assert shell_word(Path("data/work-1.2_3")) == "data/work-1.2_3"


def test_a_remedy_deletes_what_it_names(work: Path) -> None:
    leftover = work / "objects" / ".v2.parquet.fg0.partial"
    leftover.touch()
    (finding,) = [finding for finding in look_at_workspace(work) if "rm -r" in finding.remedy]
    words = shlex.split(finding.remedy.partition("or: ")[2])
    assert words == ["rm", "-r", str(leftover)]


def test_next_commands_name_the_workspace(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, printed, _ = run_here(capsys, "status", "-w", work, "--json")
    assert code == 0
    commands = json.loads(printed)["next_commands"]
    assert commands
    for line in commands:
        for command in re.split(r",? (?:or|then) (?=figureground )", line.partition("  (")[0]):
            call = read_call(line, shlex.split(command)[1:])
            assert str(call.values["workspace"]) == str(work)


def test_files_that_were_not_catalogued_are_listed_by_what_status_says(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photos" / "disc").mkdir(parents=True)
    (tmp_path / "photos" / "disc" / "a.png").write_text("no photo")
    run_here(capsys, "index", tmp_path / "photos", "-w", work)
    _, printed, _ = run_here(capsys, "status", "-w", work)
    (command,) = re.findall(r"why: (.*)", printed)
    code, listing, _ = run_here(capsys, *shlex.split(command)[1:])
    assert code == 0
    assert "a.png" in listing


def test_doctor_s_remedies_name_the_workspace(work: Path) -> None:
    """Of a damaged release and of photos that are gone, of a source with a space in its name."""
    (work / "objects" / "v1.parquet").write_bytes(b"PAR1")
    with closing(sqlite3.connect(work / DATABASE_NAME)) as database:
        database.execute("PRAGMA foreign_keys = OFF")
        database.execute("UPDATE sources SET name = 'my photos', locator = '/nowhere'")
        database.execute("UPDATE images SET source = 'my photos'")
        database.commit()
    remedies = [finding.remedy for finding in look_at_workspace(work) if finding.remedy]
    calls = [read_call(remedy, shlex.split(remedy[remedy.index("figureground ") :])[1:]) for remedy in remedies]
    assert [call.verb for call in calls] == ["index", "freeze"]
    assert {str(call.values["workspace"]) for call in calls} == {str(work)}
    assert calls[0].values["name"] == "my photos"


def test_a_copy_of_an_old_workspace_is_made_beside_it(work: Path) -> None:
    (work / DATABASE_NAME).unlink()
    with closing(sqlite3.connect(work / DATABASE_NAME)) as database:
        database.executescript(_MIGRATIONS[0])
        database.execute("PRAGMA user_version = 1")
    (finding,) = look_at_workspace(work)
    assert shlex.split(finding.remedy.partition(", where")[0]) == ["cp", "-r", str(work), f"{work}-before"]
    call = read_call(finding.remedy, shlex.split(finding.remedy[finding.remedy.index("figureground photos") :])[1:])
    assert str(call.values["workspace"]) == str(work)
