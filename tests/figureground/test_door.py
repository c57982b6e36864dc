"""The door: every name is there, lazily, with its type, and each function says what it does."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path
from typing import assert_type

import pytest

import figureground
from figureground.annotate.freeze import FreezeReport

VERBS = (
    "index",
    "propose",
    "lint",
    "freeze",
    "build",
    "evaluate",
    "report",
    "export",
    "publish",
    "verify",
    "rebuild",
    "view",
)
FUNCTIONS = (*VERBS, "load_attribute_schema", "load_class_map", "load_model", "load_recipe", "open_workspace")
OWN = tuple(name for name in VERBS if name != "evaluate")


def test_what_the_issue_of_a_door_is() -> None:
    assert {*FUNCTIONS, "Adapter", "metrics", "FigureGroundError", "Workspace"} <= set(figureground.__all__)
    assert not [name for name in figureground.__all__ if name.startswith(("encode_", "decode_"))]


@pytest.mark.parametrize("name", figureground.__all__)
def test_every_name_is_there_and_listed(name: str) -> None:
    assert getattr(figureground, name) is getattr(figureground, name)
    assert name in dir(figureground)


def test_another_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'encode_png1'"):
        figureground.encode_png1  # type: ignore[attr-defined]  # pyright: ignore  # noqa: B018
    assert "__version__" in dir(figureground)
    assert figureground.__version__.count(".") == 2


def test_static_tools_see_the_names_that_the_interpreter_finds() -> None:
    """The imports for type checkers and the table are one thing written twice."""
    tree = ast.parse(Path(figureground.__file__).read_text(encoding="utf-8"))
    static = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module not in (None, "__future__", "importlib"):
            static[node.module] = tuple(alias.name for alias in node.names)
    assert static.pop("figureground") == ("metrics",)
    assert static == figureground._HOMES
    names = [name for names in static.values() for name in names]
    assert sorted([*names, "metrics"]) == figureground.__all__


def typed_calls() -> None:
    """Read by type checkers alone, in ``make check``: they know what the door's names are, and what they are not."""
    assert_type(figureground.index("photos", "work").added, int)
    assert_type(figureground.freeze("work", "v1"), FreezeReport)
    assert_type(figureground.build("imagenet9", "work", "in9").rows, int)
    assert_type(figureground.metrics.wilson_interval(0.75, 4), list[float])
    assert_type(figureground.__version__, str)
    figureground.propose("work", speed="high")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    figureground.indx("photos", "work")  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("name", OWN)
def test_a_verb_takes_few_parameters_and_says_all_of_them(name: str) -> None:
    verb = getattr(figureground, name)
    assert inspect.isfunction(verb)
    parameters = inspect.signature(verb).parameters
    assert len(parameters) <= 8
    text = inspect.getdoc(verb) or ""
    sections = ("\nArgs:\n", "\nReturns:\n", "\nRaises:\n", "\nExample:\n")
    assert [section for section in sections if section not in text] == []
    assert [parameter for parameter in parameters if f"\n    {parameter}: " not in text] == []


@pytest.mark.slow
def test_the_verb_build_stays_the_verb_when_its_stage_is_imported() -> None:
    code = (
        "import figureground, figureground.build.planning.seeds\n"
        "from figureground.build.painting import effects\n"
        "from figureground import build\n"
        "import inspect\n"
        "assert inspect.isfunction(build) and figureground.build is build\n"
    )
    subprocess.run([sys.executable, "-P", "-c", code], check=True)


@pytest.mark.parametrize("name", figureground.metrics.__all__)
def test_metrics_are_documented_functions(name: str) -> None:
    function = getattr(figureground.metrics, name)
    assert inspect.isfunction(function)
    assert inspect.getdoc(function)
