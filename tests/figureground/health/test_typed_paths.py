"""What doctor and status give to type works in a workspace whose name a shell would take apart."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from drawn_release import draw_release
from shared_cases import run_here

from figureground.errors import shell_word
from figureground.health.workspaces import look_at_workspace


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
    for command in commands:
        words = shlex.split(re.split(r"  \(", command)[0])
        assert words[words.index("-w") + 1] == str(work)
