"""The table of verbs: its lines are theirs, its page is typer's, and it loads none of them before it is called."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from types import MappingProxyType
from typing import Any

import pytest
import typer
from typer.core import TyperGroup
from typer.testing import CliRunner

from figureground.cli.app import app
from figureground.cli.verbs import VERBS

HEAVY = ("numpy", "pyarrow", "pydantic", "yaml", "PIL", "cv2", "rich.markdown", "rich.traceback", "pygments")


@pytest.mark.parametrize("name", VERBS)
def test_the_summary_is_the_first_paragraph_of_the_help(name: str) -> None:
    command = program().commands[name]
    assert VERBS[name].summary == " ".join((command.help or "").split("\n\n")[0].split())


def program() -> TyperGroup:
    command = typer.main.get_command(app)
    assert isinstance(command, TyperGroup)
    return command


@pytest.mark.parametrize("columns", [60, 80, 100, 140])
def test_the_listing_is_what_typer_prints_of_the_loaded_verbs(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = CliRunner().invoke(app, ["--help"], env={"COLUMNS": str(columns)}).output
    monkeypatch.setattr("figureground.cli.verbs.VerbGroup.format_help", TyperGroup.format_help)
    assert ours == CliRunner().invoke(app, ["--help"], env={"COLUMNS": str(columns)}).output
    assert "rebuild" in ours


def modules_after(*words: str, environment: Mapping[str, str] = MappingProxyType({})) -> set[str]:
    """Names of the modules that are loaded after ``figureground WORDS``."""
    code = (
        "import sys; sys.argv[0] = 'figureground'; from figureground.cli.app import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit: pass\n"
    )
    command = [sys.executable, "-P", "-c", f"{code}print(*sys.modules, file=sys.stderr)", *words]
    own = {**os.environ, **environment}
    return set(subprocess.run(command, check=True, capture_output=True, text=True, env=own).stderr.split())


@pytest.mark.parametrize("words", [("--help",), ("--version",), ()])
def test_the_listing_loads_no_verb_and_nothing_heavy(words: tuple[str, ...]) -> None:
    modules = modules_after(*words)
    assert sorted(modules & set(HEAVY)) == []
    homes = {verb.home.partition(":")[0] for verb in VERBS.values()}
    assert sorted(modules & homes) == []


def test_a_verb_loads_no_other() -> None:
    modules = modules_after("freeze", "--help")
    homes = {verb.home.partition(":")[0] for verb in VERBS.values()}
    assert modules & homes == {"figureground.cli.freeze"}


def test_the_version_is_the_package_s() -> None:
    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.output) == (0, f"figureground {version('figureground')}\n")


def test_a_mistyped_verb_is_guessed() -> None:
    done: Any = CliRunner().invoke(app, ["fresze"])
    assert done.exit_code == 2
    assert "freeze" in done.output


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("figureground re", {"recipe", "rebuild", "report"}), ("figureground studio pu", {"push", "pull"})],
)
def test_a_shell_completes_verbs(typed: str, offered: set[str]) -> None:
    words = {"_FIGUREGROUND_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    done = CliRunner().invoke(app, [], prog_name="figureground", env=words)
    assert set(done.output.split()) == offered


def test_a_completed_verb_loads_none() -> None:
    environment = {"_FIGUREGROUND_COMPLETE": "complete_bash", "COMP_WORDS": "figureground re", "COMP_CWORD": "1"}
    homes = {verb.home.partition(":")[0] for verb in VERBS.values()}
    modules = modules_after(environment=environment)
    assert "typer._click.shell_completion" in modules
    assert sorted(modules & homes) == []


def test_nothing_is_coloured_where_nobody_wants_colours() -> None:
    wanted = {"FORCE_COLOR": "1", "TERM": "xterm-256color"}
    assert "\x1b[" in CliRunner().invoke(app, ["--help"], env=wanted).output
    plain = CliRunner().invoke(app, ["--help"], env={**wanted, "NO_COLOR": "1"}).output
    assert not re.search("\x1b\\[[0-9;]*3[0-7]", plain)
