"""A new protocol is one module and one registration, and both command lines have one table of options."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
import typing
from pathlib import Path

import pytest
import typer
from colour_dataset import write_adapter, write_dataset
from evaluation_package import FILE
from typer.testing import CliRunner

from figureground.cli import evaluate as house
from figureground.cli.app import main
from figureground.exports.evaluation.command import make_parser
from figureground.exports.evaluation.options import ScoringOptions
from figureground.exports.evaluation.protocols import registry
from figureground.exports.join_evaluation import join_modules

pytestmark = pytest.mark.usefixtures("offline_datasets", "fresh_modules")

FIFTH = '''"""Protocol rows: how many rows every config has."""

from figureground.exports.evaluation.options import Option
from figureground.exports.evaluation.protocol import Protocol
from figureground.exports.evaluation.tables import Cell

FIFTH = Protocol(
    name="rows",
    claims=lambda configs: "original" in configs,
    run=lambda job: {"headline": "rows", "n": 6, "balanced": True, "chance": 0.5, "label_space": job.options["shout"]}
    | {"rows": {config: len(job.rows(config, [])) for config in job.configs}},
    cells=lambda summary: {f"share of {name}": Cell(rows / 24, bare=True) for name, rows in summary["rows"].items()},
    figures=lambda summary: iter(()),
    options=(Option(name="shout", help="A word.", default="hello"),),
)
'''
"""Ten lines of protocol."""


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    write_adapter(tmp_path, "reads", answer="images.mean(axis=(1, 2))")
    return write_dataset(tmp_path / "colours")


@pytest.mark.same_on_file
def test_the_published_file_runs_a_fifth_protocol(repo: Path, tmp_path: Path) -> None:
    package = tmp_path / "evaluation"
    shutil.copytree(FILE.with_name("evaluation"), package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "protocols" / "rows.py").write_text(FIFTH, encoding="utf-8")
    lines = (package / "protocols" / "registry.py").read_text(encoding="utf-8")
    lines = lines.replace("PROTOCOLS: Final = [", "PROTOCOLS: Final = [FIFTH, ")
    first = "from figureground.exports.evaluation.protocols.background_check import BACKGROUND_CHECK"
    lines = lines.replace(first, f"{first}\nfrom figureground.exports.evaluation.protocols.rows import FIFTH")
    (package / "protocols" / "registry.py").write_text(lines, encoding="utf-8")
    script = tmp_path / "evaluate.py"
    script.write_text(join_modules(package), encoding="utf-8")
    call = [sys.executable, str(script), "--repo", str(repo), "--model", "reads:make", "--shout", "loud"]
    table = subprocess.run(call, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert table.returncode == 0, table.stderr
    assert "label space loud" in table.stdout
    assert "share of original    25.0" in table.stdout
    whole = subprocess.run([*call, "--json"], capture_output=True, text=True, cwd=tmp_path, check=True).stdout
    assert json.loads(whole)["results"][0]["protocol"] == "rows"


def test_the_command_runs_a_fifth_protocol(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names: dict[str, typing.Any] = {}
    exec(FIFTH, names)
    monkeypatch.setattr(registry, "PROTOCOLS", [names["FIFTH"], *registry.PROTOCOLS])
    done = CliRunner().invoke(importlib.reload(house).evaluate, [str(repo), "--model", "reads:make", "--shout", "loud"])
    assert done.exit_code == 0, done.output
    assert "label space loud" in done.output
    assert "share of original    25.0" in done.output


def test_both_command_lines_have_the_same_options() -> None:
    script = {action.dest: action.help for action in make_parser()._actions if action.dest != "help"}
    command = {parameter.name for parameter in typer.main.get_command(importlib.reload(house).evaluate).params}
    own = {"repository", "engine", "models", "ray_address", "ray_gpus", "as_json"}
    assert command - own == set(script) - {"repo", "json"}
    assert set(registry.option_owners()) == set(typing.get_type_hints(ScoringOptions))


def test_an_option_of_another_protocol_is_refused_by_its_name(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", str(repo), "--model", "reads:make", "--trials", "2"])
    assert stop.value.code == 2
    assert capsys.readouterr().err == "error: --trials is for rival10, not for imagenet9\n"
