"""The small inputs of ../shared that were drawn after public bug reports, and the command line run on them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from needs import SHARED, need_shared

from figureground.cli.app import main

CASES = SHARED / "cases"
Run = Callable[..., tuple[int, str, str]]
"""Words of a command to its exit code, standard output and standard error."""


def copy_case(name: str, folder: Path) -> Path:
    """A copy of one of the cases, which a test may write into; skips the test where ../shared is not here."""
    need_shared(CASES / name)
    target = folder / "case"
    shutil.copytree(CASES / name, target, copy_function=shutil.copyfile)
    for path in (target, *target.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return target


def run_here(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    """Run the command line in this process."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    printed = capsys.readouterr()
    code = stop.value.code
    return int(code) if isinstance(code, int) else 0, printed.out, printed.err
