"""The layout of docs/adr/0001: stage folders at the top, one import name, and a wheel that holds all of it."""

from __future__ import annotations

import ast
import fnmatch
import re
import subprocess
import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest
import yaml
from check_ranges import CORE_TESTS, EXTRAS_TESTS
from checkout import CODE_FOLDERS, PACKAGE_FOLDERS, ROOT, STAGES, is_checkout, project_files, tracked_files
from needs import need
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import figureground

PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SETUPTOOLS: dict[str, Any] = PYPROJECT["tool"]["setuptools"]
FORBIDDEN_NAMES = {"base", "common", "core", "helpers", "misc", "util", "utils"}


@pytest.fixture(scope="module")
def files() -> list[str]:
    """Every file of the packaged folders."""
    need(is_checkout(), "this is no git checkout")
    return project_files(*PACKAGE_FOLDERS)


def test_the_packages_are_the_folders_with_code(files: list[str]) -> None:
    folders = {str(Path(name).parent) for name in files if name.endswith(".py")}
    assert set(SETUPTOOLS["package-dir"].values()) == folders
    assert sorted(SETUPTOOLS["packages"]) == sorted(SETUPTOOLS["package-dir"])
    assert {folder.split("/")[0] for folder in folders} == set(PACKAGE_FOLDERS)


def test_code_lies_in_known_folders_only() -> None:
    need(is_checkout(), "this is no git checkout")
    assert {name.split("/")[0] for name in tracked_files() if name.endswith(".py")} <= set(CODE_FOLDERS)


def test_the_core_asks_for_no_library_of_models() -> None:
    """By the requirements of what is installed here, however deep; ``make wheel-check`` installs it bare."""
    waiting, core = [Requirement(text) for text in PYPROJECT["project"]["dependencies"]], set[str]()
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        if name in core or (wanted.marker and not wanted.marker.evaluate({"extra": ""})):
            continue
        core.add(name)
        further = map(Requirement, requires(name) or ())
        waiting += [one for one in further if one.marker is None or _is_asked(one, wanted.extras)]
    assert {"datasets", "numpy", "pyarrow"} <= core
    assert (
        core & {"torch", "torchvision", "transformers", "timm", "open-clip-torch", "onnxruntime", "tokenizers"} == set()
    )


def _is_asked(wanted: Requirement, extras: set[str]) -> bool:
    return any(wanted.marker is not None and wanted.marker.evaluate({"extra": extra}) for extra in {"", *extras})


@pytest.mark.parametrize("stage", STAGES)
def test_each_link_leads_to_its_stage(stage: str) -> None:
    link = ROOT / "figureground" / stage
    assert link.is_symlink()
    assert link.readlink() == Path("..", stage)
    assert link.resolve() == ROOT / stage


def test_build_has_no_init() -> None:
    assert not (ROOT / "build" / "__init__.py").exists(), "it would shadow PyPA's build: docs/adr/0001"


@pytest.mark.parametrize("stage", STAGES)
def test_no_stage_is_importable_bare(stage: str, tmp_path: Path) -> None:
    """From anywhere but the root; PyPA's ``build`` may be installed, and is then not ours."""
    code = (
        f"import importlib.util as u; s = u.find_spec({stage!r}); print(*(s.submodule_search_locations if s else []))"
    )
    locations = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout
    assert str(ROOT / stage) not in locations.split()


def test_package_data_covers_every_other_file(files: list[str]) -> None:
    folders = {folder: package for package, folder in SETUPTOOLS["package-dir"].items()}
    lost = []
    for name in files:
        folder = max((prefix for prefix in folders if name.startswith(f"{prefix}/")), key=len)
        inner = name.removeprefix(f"{folder}/")
        patterns = SETUPTOOLS["package-data"].get(folders[folder], [])
        if not name.endswith(".py") and not any(_matches(inner, pattern) for pattern in patterns):
            lost.append(name)
    assert not lost, "no pattern of [tool.setuptools.package-data] ships these"


def _matches(path: str, pattern: str) -> bool:
    """As setuptools globs: a star stays within one folder."""
    return path.count("/") == pattern.count("/") and fnmatch.fnmatchcase(path, pattern)


def test_module_names_are_nouns_of_the_domain(files: list[str]) -> None:
    assert not [name for name in files if Path(name).stem in FORBIDDEN_NAMES]


def test_the_citation_is_of_this_version() -> None:
    """That the file itself is valid was checked with cffconvert; what changes is held here."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = PYPROJECT["project"]
    assert [citation[key] for key in ("title", "version", "license")] == [
        project[key] for key in ("name", "version", "license")
    ]
    assert citation["authors"]


def test_public_names_are_sorted_and_exist() -> None:
    names: list[str] = getattr(figureground, "__all__", [])
    assert names == sorted(set(names))
    assert [name for name in names if not hasattr(figureground, name)] == []


def test_public_names_are_all_that_is_defined() -> None:
    """What ``figureground/__init__.py`` binds without an underscore is what it says that it offers."""
    tree = ast.parse((ROOT / "figureground" / "__init__.py").read_text(encoding="utf-8"))
    bound = set()
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module != "__future__":
            bound |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            bound.add(node.name)
    assert {name for name in bound if not name.startswith("_")} <= set(getattr(figureground, "__all__", []))


def test_every_requirement_is_locked() -> None:
    project, groups = PYPROJECT["project"], PYPROJECT["dependency-groups"]
    asked = [*project["dependencies"], *groups["dev"]]
    asked += [line for lines in _extras_of("demo", project["optional-dependencies"]) for line in lines]
    locked = {canonicalize_name(line.split("==")[0].split("[")[0]) for line in _constraints()}
    names = {canonicalize_name(Requirement(line).name) for line in asked} - {"figureground"}
    assert names - locked == set(), "run: make lock"


def _extras_of(name: str, extras: dict[str, list[str]]) -> list[list[str]]:
    """An extra and those of our own that it names."""
    inner = {
        extra for line in extras[name] if Requirement(line).name == "figureground" for extra in Requirement(line).extras
    }
    return [extras[name], *(lines for extra in sorted(inner) for lines in _extras_of(extra, extras))]


def _constraints() -> list[str]:
    return (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()


def test_the_lock_names_versions_and_no_place() -> None:
    line = re.compile(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+( ; [^/]+)?")
    assert [text for text in _constraints() if not line.fullmatch(text)] == []
    names = [text.split("==")[0] for text in _constraints()]
    assert names == sorted(names)


def test_the_check_of_ranges_runs_tests_that_exist() -> None:
    assert [path for path in (*CORE_TESTS, *EXTRAS_TESTS) if not (ROOT / path).exists()] == []
