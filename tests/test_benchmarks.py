"""The benchmarks are run by hand: what they import of the package is there."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest
from checkout import ROOT

SCRIPTS = sorted((ROOT / "benchmarks").rglob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_what_a_benchmark_imports_is_there(script: Path) -> None:
    imports = [
        node for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))) if isinstance(node, ast.ImportFrom)
    ]
    wanted = [
        (node.module, name.name)
        for node in imports
        for name in node.names
        if (node.module or "").startswith("figureground")
    ]
    absent = [f"{module}.{name}" for module, name in wanted if not hasattr(importlib.import_module(str(module)), name)]
    assert not absent
