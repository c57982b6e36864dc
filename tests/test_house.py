"""Sizes that keep the house livable: of files, folders, functions and parameter lists."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from checkout import ROOT, is_checkout, project_files
from needs import need

MOST_FILES = 20
"""Files of code side by side in a folder."""
MOST_LINES = 400
MOST_FUNCTION_LINES = 60
MOST_PARAMETERS = 8
"""Without ``self`` and ``cls``."""
MOST_SKIPS = 25
"""Tables that keep their columns, of the whole project; the marker is spelled in two so that this line is none."""
SKIP = "# fmt:" + " skip"
GENERATED = "exports/evaluate.py"
"""Published as one file, written as the package exports/evaluation."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function or method, as its module defines it."""

    name: str
    """Its file, two colons and its name with the classes and functions around it."""
    lines: int
    """From ``def`` to its last line; decorators are not counted."""
    parameters: int


def functions_of(name: str, source: str) -> Iterator[Function]:
    """Every function in a module, inner ones too."""

    def walk(node: ast.AST, path: tuple[str, ...]) -> Iterator[Function]:
        for child in ast.iter_child_nodes(node):
            inner = path
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                inner = (*path, child.name)
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
                arguments = child.args
                names = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
                variable = [a.arg for a in (arguments.vararg, arguments.kwarg) if a is not None]
                count = len({*names, *variable} - {"self", "cls"})
                yield Function(f"{name}::{'.'.join(inner)}", (child.end_lineno or 0) - child.lineno + 1, count)
            yield from walk(child, inner)

    yield from walk(ast.parse(source), ())


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    """Text of every Python file that is written by hand, by name."""
    need(is_checkout(), "this is no git checkout")
    names = [name for name in project_files() if name.endswith(".py") and name != GENERATED]
    return {name: (ROOT / name).read_text(encoding="utf-8") for name in names}


@pytest.fixture(scope="module")
def functions(sources: dict[str, str]) -> list[Function]:
    return [function for name, source in sources.items() for function in functions_of(name, source)]


def test_a_folder_is_seen_at_a_glance(sources: dict[str, str]) -> None:
    counts = Counter(str(Path(name).parent) for name in sources)
    assert {folder: count for folder, count in counts.items() if count > MOST_FILES} == {}


def test_a_file_is_read_at_one_sitting(sources: dict[str, str]) -> None:
    lengths = {name: source.count("\n") for name, source in sources.items()}
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}


def test_a_function_fits_on_a_screen(functions: list[Function]) -> None:
    too_long = {function.name: function.lines for function in functions if function.lines > MOST_FUNCTION_LINES}
    assert too_long == {}


def test_a_call_is_read_without_counting(functions: list[Function]) -> None:
    too_many = {function.name: function.parameters for function in functions if function.parameters > MOST_PARAMETERS}
    assert too_many == {}


def test_few_tables_keep_their_columns(sources: dict[str, str]) -> None:
    skips = {name: source.count(SKIP) for name, source in sources.items() if SKIP in source}
    assert sum(skips.values()) <= MOST_SKIPS, skips


def test_functions_are_measured() -> None:
    """That the tests above can fail."""
    source = "class A:\n    def f(self, a, /, b, *c, d=1, **e):\n        def g(): ...\n\n        return 0\n"
    assert list(functions_of("m.py", source)) == [Function("m.py::A.f", 4, 5), Function("m.py::A.f.g", 1, 0)]
