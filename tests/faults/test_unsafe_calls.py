"""The code itself: nothing of a file is run, unpickled, evaluated or given to a shell, whoever wrote the file."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml
from checkout import PACKAGE_FOLDERS, ROOT

from figureground.annotate.imports.plain_pickle import read_plain_dict
from figureground.errors import DataError
from figureground.schemas import documents

MODULES: Final = sorted(
    {path.resolve() for folder in PACKAGE_FOLDERS for path in (ROOT / folder).rglob("*.py")}, key=str
)
NEVER: Final = {
    *("eval", "exec", "compile", "__import__", "input"),
    *("os.system", "os.popen", "os.execv", "os.execvp", "os.spawnl", "pty.spawn", "commands.getoutput"),
    *("subprocess.getoutput", "subprocess.getstatusoutput", "asyncio.create_subprocess_shell"),
    *("pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.load", "marshal.loads", "shelve.open", "dill.loads"),
    *("joblib.load", "pandas.read_pickle", "cloudpickle.loads", "jsonpickle.decode"),
    *("yaml.unsafe_load", "yaml.full_load", "yaml.load_all", "yaml.UnsafeLoader", "yaml.FullLoader", "yaml.Loader"),
    *("ElementTree.parse", "ElementTree.fromstring", "xml.parse", "xml.fromstring", "tempfile.mktemp"),
}
"""Calls that run, unpickle or evaluate what they are given, or open what somebody else may have put there."""
ALLOWED: Final[dict[tuple[str, str], str]] = {}
"""(module, call) to the reason; there is none."""
WANTED: Final = {
    "np.load": ("allow_pickle", False),
    "npy_format.read_array": ("allow_pickle", False),
    "torch.load": ("weights_only", True),
}
"""Call to a word and the value that it must be given."""


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Every call of a module by the dotted name that it is written with."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def given(call: ast.Call, word: str) -> object:
    """The value of a call's keyword; None where it has none that is plain."""
    values = [keyword.value for keyword in call.keywords if keyword.arg == word]
    return values[0].value if values and isinstance(values[0], ast.Constant) else None


def test_nothing_runs_what_it_reads() -> None:
    assert len(MODULES) > 200
    faults = [
        f"{path.relative_to(ROOT)}:{call.lineno} {name}"
        for path in MODULES
        for name, call in calls(path)
        if name in NEVER and (path.name, name) not in ALLOWED
    ]
    assert faults == []


def test_every_reader_of_foreign_formats_is_told_to_be_careful() -> None:
    seen: dict[str, int] = {}
    for path in MODULES:
        for name, call in calls(path):
            where = f"{path.relative_to(ROOT)}:{call.lineno} {name}"
            assert given(call, "shell") in (None, False), where
            assert given(call, "allow_pickle") is not True, where
            assert given(call, "trust_remote_code") is not True, where
            if name in WANTED:
                word, value = WANTED[name]
                assert given(call, word) is value, where
                seen[name] = seen.get(name, 0) + 1
            if name == "Image.open":  # without formats Pillow starts programs, Ghostscript for one
                assert any(keyword.arg == "formats" for keyword in call.keywords), where
                seen[name] = seen.get(name, 0) + 1
            if name == "yaml.load":
                assert ast.unparse(call.args[1]) == "_Loader", where
                seen[name] = seen.get(name, 0) + 1
    assert set(seen) == {*WANTED, "Image.open", "yaml.load"}
    assert issubclass(documents._Loader, yaml.SafeLoader)


@pytest.mark.parametrize(
    "text", ["!!python/object/apply:os.getcwd []", "!!python/name:os.system", "a: !!python/object:os.PathLike {}"]
)
def test_yaml_makes_no_objects(text: str) -> None:
    with pytest.raises(DataError, match="could not determine a constructor"):
        documents.parse_text(text, where="r.yaml")


@pytest.mark.parametrize("program", [b"cos\ngetcwd\n(tR.", b"\x80\x02cposix\nsystem\nX\x01\x00\x00\x00x\x85R."])
def test_pickles_call_nothing(program: bytes) -> None:
    with pytest.raises(DataError, match="a pickled dict of text, no more"):
        read_plain_dict(program, where="a.pkl")


def test_the_linter_looks_for_more() -> None:
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]["lint"]
    assert "S" in lint["select"]  # flake8-bandit: assert, exec, weak hashes, tmp, requests without end, SQL ...
    assert [rule for rule in lint["ignore"] if rule.startswith("S")] == ["S603"]
    assert not any(
        "S" in rules for folder, rules in lint["per-file-ignores"].items() if folder.startswith(PACKAGE_FOLDERS)
    )
