"""Imports are cheap, and they point one way."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import PACKAGE_FOLDERS, ROOT

HEAVY = ("cv2", "datasets", "label_studio_sdk", "onnxruntime", "pyarrow", "scipy", "timm", "torch")


def heavy_modules_after(code: str) -> list[str]:
    """Which heavy packages a fresh interpreter has loaded after ``code``."""
    script = f"{code}\nimport sys\nprint(*(name for name in {HEAVY!r} if name in sys.modules))"
    run = subprocess.run([sys.executable, "-P", "-c", script], check=True, capture_output=True, text=True)
    return run.stdout.split()


@pytest.mark.parametrize("module", ["figureground", "figureground.cli", "figureground.errors"])
def test_import_loads_nothing_heavy(module: str) -> None:
    assert heavy_modules_after(f"import {module}") == []


def test_a_heavy_import_would_be_seen() -> None:
    """That the test above can fail."""
    assert heavy_modules_after("import figureground, onnxruntime") == ["onnxruntime"]


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    """import-linter's verdict on the tree at ``root``."""
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [program, "--config", ROOT / ".importlinter", "--no-cache", "--no-logo"],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the packages, links and all."""
    for folder in PACKAGE_FOLDERS:
        shutil.copytree(ROOT / folder, tmp_path / folder, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_imports_point_one_way(tree: Path) -> None:
    verdict = lint_imports(tree)
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("figureground/errors.py", "from figureground.schemas import masks"),
        ("schemas/masks.py", "import figureground.build.plan"),
        ("schemas/masks.py", "from figureground.annotate import freeze"),
        ("annotate/freeze.py", "from figureground.build import tiles"),
        ("annotate/freeze.py", "from figureground.exports.card import render_card"),
        ("build/seeds.py", "from figureground.annotate.freeze import freeze"),
        ("build/seeds.py", "from figureground.exports import card"),
        ("build/seeds.py", "from figureground.console import emit"),
        ("exports/card.py", "from figureground.annotate import freeze"),
        ("exports/card.py", "import figureground.cli"),
    ],
)
def test_an_import_against_the_arrows_is_seen(tree: Path, file: str, line: str) -> None:
    """That the test above can fail, for ``build`` too, which has no ``__init__.py``."""
    with (tree / file).open("a", encoding="utf-8") as stream:
        stream.write(f"\n{line}\n")
    verdict = lint_imports(tree)
    assert verdict.returncode == 1, verdict.stdout + verdict.stderr
    assert "BROKEN" in verdict.stdout
    assert (
        f"figureground.{file.removeprefix('figureground/').removesuffix('.py').replace('/', '.')} -> " in verdict.stdout
    )


def test_every_module_of_the_front_package_has_its_layer() -> None:
    """import-linter says so too; this says what to do about it."""
    config = configparser.ConfigParser()
    config.read(ROOT / ".importlinter")
    named = set(config["importlinter:contract:stages"]["layers"].replace(":", " ").replace("|", " ").split())
    modules = {path.stem for path in (ROOT / "figureground").iterdir() if path.suffix == ".py" or path.is_dir()}
    modules -= {"__init__", "__pycache__"}
    assert modules == named, "name the module in the layers of .importlinter"
