"""Every verb prints with ``--json`` what its published schema says, and no key more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import typer
from fault_inputs import Inputs
from fault_verbs import VERBS, Verb, begin
from output_schemas import read_printed, schema_of
from shared_cases import run_here

from figureground.cli.app import app
from figureground.cli.outputs.printed import ABSENT, Output, json_schema, printed
from figureground.cli.outputs.registry import OUTPUTS

pytestmark = pytest.mark.slow

PRINT_TEXT = {"studio backend"}
"""Verbs without ``--json``: they serve until they are stopped, and make nothing to print."""
TRIED = [name for name in VERBS if "two workers" not in name]


def commands(group: Any, *names: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *names, name)
        else:
            yield " ".join([*names, name]), command


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return Inputs(tmp_path_factory.mktemp("printed") / "inputs")


def test_every_verb_prints_json_of_a_known_shape() -> None:
    options = {
        name: {word for parameter in command.params for word in parameter.opts}
        for name, command in commands(typer.main.get_command(app))
    }
    assert {name for name, words in options.items() if "--json" not in words} == PRINT_TEXT
    assert set(OUTPUTS) == options.keys() - PRINT_TEXT


@pytest.mark.parametrize("name", TRIED)
def test_a_verb_prints_what_its_schema_says(
    name: str, inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    verb = VERBS[name]
    if verb.kind == "networks":
        pytest.importorskip("captum")
    monkeypatch.chdir(begin(verb, inputs, tmp_path / "folder"))
    words = [word for word in verb.words(inputs) if word != "--json"]
    code, stdout, stderr = run_here(capsys, *words, "--json")
    assert code == 0, stderr
    assert read_printed(name.partition(",")[0], stdout)


@pytest.mark.parametrize(
    ("verb", "words", "part"),
    [
        ("lint", ("--rules",), ""),
        ("policy", (), ""),
        ("build", ("--list",), ""),
        ("doctor", ("-w", "work"), "accepted=work"),
        ("analyze conflict", ("scores", "-o", "out"), "scores"),
        ("freeze", ("-w", "work", "--version", "v9", "--lint", "never"), "speckled=work"),
    ],
)
def test_other_forms_of_a_verb_too(
    verb: str,
    words: tuple[str, ...],
    part: str,
    inputs: Inputs,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tried = Verb(words=lambda _: [], begin=(part,) if part else ())
    monkeypatch.chdir(begin(tried, inputs, tmp_path / "folder"))
    _, stdout, stderr = run_here(capsys, *verb.split(), *words, "--json")
    assert stdout, stderr
    read_printed(verb, stdout)


@dataclass(frozen=True)
class Sample:
    """A sample of a record."""

    count: int
    """How many; None where
    nobody counted."""
    faults: list[str] = field(default_factory=list)


def test_a_key_that_no_schema_names_is_refused() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = schema_of("doctor")
    finding = {"area": "machine", "name": "disk", "state": "good", "detail": "", "remedy": ""}
    counts = {"good": 1, "absent": 0, "doubtful": 0, "broken": 0}
    valid = jsonschema.Draft202012Validator(schema).is_valid
    assert valid({"findings": [finding], "counts": counts})
    assert not valid({"findings": [{**finding, "weight": 1}], "counts": counts})
    assert not valid({"findings": [finding], "counts": counts, "seconds": 1})
    assert not valid({"findings": [finding]})


def test_a_shape_is_closed_and_says_what_docstrings_say() -> None:
    schema = json_schema(printed(Sample, "Said otherwise.", without=("faults",), note=(str, ABSENT)))
    assert schema["description"] == "Said otherwise."
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["count"]
    assert schema["properties"] == {
        "count": {"type": "integer", "description": "How many; null where nobody counted."},
        "note": {"type": "string"},
    }
    record = json_schema(Sample)
    assert record["additionalProperties"] is False
    assert record["required"] == ["count", "faults"], "a record prints what has a default, too"


def test_a_shape_is_an_object_of_its_own_or_several() -> None:
    for verb, shape in OUTPUTS.items():
        schema = json_schema(shape)
        assert schema.get("type") == "object" or all(schema["anyOf"]), verb
        assert json.loads(json.dumps(schema)) == schema
    assert issubclass(printed(Sample), Output)
