"""Imports are cheap, and they point one way."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import PACKAGE_FOLDERS, ROOT
from PIL import Image

HEAVY = (
    "datasets",
    "label_studio_sdk",
    "onnxruntime",
    "open_clip",
    "segment_anything",
    "timm",
    "torch",
    "torchvision",
    "transformers",
)


def heavy_modules_after(code: str) -> list[str]:
    """Which heavy packages a fresh interpreter has loaded after ``code``."""
    script = f"{code}\nimport sys\nprint(*(name for name in {HEAVY!r} if name in sys.modules))"
    run = subprocess.run([sys.executable, "-P", "-c", script], check=True, capture_output=True, text=True)
    return run.stdout.split()


@pytest.mark.parametrize("module", ["figureground", "figureground.cli.app", "figureground.errors"])
def test_import_loads_nothing_heavy(module: str) -> None:
    assert heavy_modules_after(f"import {module}") == []


def test_the_package_loads_nothing_before_a_name_is_asked_for() -> None:
    script = "import sys; before = set(sys.modules); import figureground; print(*sorted(set(sys.modules) - before))"
    run = subprocess.run([sys.executable, "-P", "-c", script], check=True, capture_output=True, text=True)
    assert [name for name in run.stdout.split() if name != "__future__"] == ["figureground", "figureground.build"]


def test_a_verb_does_not_wait_for_the_libraries_of_others(tmp_path: Path) -> None:
    """Statistics take longer to load than a small catalogue takes to make."""
    script = f"import sys, figureground; figureground.index({str(tmp_path)!r}, {str(tmp_path / 'work')!r}, workers=1)"
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.png")
    loaded = "print(*(name for name in ('scipy.optimize', 'scipy.stats') if name in sys.modules))"
    run = subprocess.run(
        [sys.executable, "-P", "-c", f"{script}; {loaded}"], check=True, capture_output=True, text=True
    )
    assert run.stdout.split() == []


def test_a_heavy_import_would_be_seen() -> None:
    """That the test above can fail."""
    assert heavy_modules_after("import figureground, onnxruntime") == ["onnxruntime"]


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    """import-linter's verdict on the tree at ``root``."""
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [program, "--config", ROOT / ".importlinter", "--no-cache", "--no-logo"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages, links and all."""
    copy = Path(tmp_path_factory.mktemp("tree"))
    for folder in PACKAGE_FOLDERS:
        shutil.copytree(ROOT / folder, copy / folder, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def test_imports_point_one_way(tree: Path) -> None:
    verdict = lint_imports(tree)
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("figureground/errors.py", "from figureground.schemas import records"),
        ("figureground/runtime/files.py", "from figureground.console import emit"),
        ("figureground/runtime/storage.py", "from figureground.schemas.records import content_id"),
        ("schemas/rasters/masks.py", "import figureground.build.planning.plan"),
        ("schemas/rasters/masks.py", "from figureground.annotate import freeze"),
        ("schemas/rasters/masks.py", "from figureground.schemas.records import Decision"),
        ("schemas/records.py", "from figureground.schemas.documents import Name"),
        ("schemas/documents.py", "from figureground.schemas.classes import ClassMap"),
        ("schemas/classes.py", "from figureground.schemas.terms import SourceTerms"),
        ("schemas/terms.py", "from figureground.schemas.store.workspace import Workspace"),
        ("schemas/sources/opening.py", "from figureground.schemas.store.workspace import Workspace"),
        ("schemas/store/rows.py", "from figureground.schemas.sources.items import SourceItem"),
        ("schemas/pages/labeling.py", "from figureground.schemas.store.releases import read_release"),
        ("annotate/freeze.py", "from figureground.build.geometry import tiles"),
        ("annotate/freeze.py", "from figureground.exports.dataset.card import render_card"),
        ("annotate/segmenters/sam_decoding.py", "from figureground.annotate.proposals import candidates"),
        ("annotate/segmenters/interactive.py", "from figureground.annotate.studio import backend"),
        ("annotate/proposals/best.py", "from figureground.annotate.studio import push"),
        ("annotate/imports/answers.py", "from figureground.annotate.studio.answer_json import read_time"),
        ("annotate/studio/pull.py", "from figureground.annotate.imports import answers"),
        ("annotate/studio/push.py", "from figureground.annotate.human import push"),
        ("annotate/annotation_summary.py", "from figureground.annotate.studio import pull"),
        ("annotate/decisions.py", "from figureground.annotate.proposals import best"),
        ("annotate/human/kit.py", "from figureground.annotate.freeze import freeze"),
        ("build/planning/seeds.py", "from figureground.annotate.freeze import freeze"),
        ("build/planning/seeds.py", "from figureground.exports.dataset import card"),
        ("build/planning/seeds.py", "from figureground.cli import engines"),
        ("build/geometry/views.py", "from figureground.build.planning.seeds import derive_seed"),
        ("build/geometry/views.py", "from figureground.build.painting.textures import Dice"),
        ("build/planning/seeds.py", "from figureground.build.painting.textures import Dice"),
        ("build/painting/textures.py", "from figureground.build.planning.seeds import derive_seed"),
        ("build/recipes/loading.py", "from figureground.build.planning.plan import make_plan"),
        ("exports/dataset/card.py", "from figureground.annotate import freeze"),
        ("exports/dataset/card.py", "import figureground.cli.app"),
        ("exports/dataset/card.py", "from figureground.exports.publishing import plan"),
        ("exports/publishing/plan.py", "from figureground.exports.rebuilding import drift"),
        ("exports/analyses/rows.py", "from figureground.exports.report import report"),
        ("exports/evaluation/values.py", "from figureground.errors import DataError"),
        ("exports/evaluation/values.py", "from figureground.exports.report import noise"),
        ("exports/report/report.py", "from figureground.exports import evaluate"),
    ],
)
def test_an_import_against_the_arrows_is_seen(tree: Path, file: str, line: str) -> None:
    """That the test above can fail, for ``build`` too, which has no ``__init__.py``, and inside functions."""
    path = tree / file
    before = path.read_text(encoding="utf-8")
    path.write_text(f"{before}\n\ndef late() -> None:\n    {line}\n", encoding="utf-8")
    verdict = lint_imports(tree)
    path.write_text(before, encoding="utf-8")
    assert verdict.returncode == 1, verdict.stdout + verdict.stderr
    assert "BROKEN" in verdict.stdout
    module = f"figureground.{file.removeprefix('figureground/').removesuffix('.py').replace('/', '.')}"
    assert f"{module} -> " in verdict.stdout


def test_every_module_of_the_front_package_has_its_layer() -> None:
    """import-linter says so too; this says what to do about it."""
    config = configparser.ConfigParser()
    config.read(ROOT / ".importlinter")
    named = set(config["importlinter:contract:stages"]["layers"].replace(":", " ").replace("|", " ").split())
    modules = {path.stem for path in (ROOT / "figureground").iterdir() if path.suffix == ".py" or path.is_dir()}
    modules -= {"__init__", "__pycache__"}
    assert modules == named, "name the module in the layers of .importlinter"
