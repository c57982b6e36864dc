"""The notebook of the documentation runs from top to bottom, and lies in git without what it printed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import nbformat as untyped_nbformat
import pytest
from checkout import ROOT
from guide_folders import begun_dataset
from nbclient import NotebookClient
from typist import TRANSCRIPTS

pytestmark = [pytest.mark.whole_path, pytest.mark.timeout(900)]
nbformat: Any = untyped_nbformat  # its functions have no annotations
NOTEBOOK = ROOT / "docs" / "tutorials" / "first_score.ipynb"


def read() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


def test_it_lies_in_git_without_outputs() -> None:
    notebook = read()
    nbformat.validate(notebook)
    printed = [cell["id"] for cell in notebook.cells if cell.get("outputs") or cell.get("execution_count")]
    assert printed == [], "clear all outputs before you commit it"
    assert NOTEBOOK.read_text(encoding="utf-8").rstrip("\n") == nbformat.writes(notebook).rstrip("\n")


def test_it_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    folder = shutil.copytree(begun_dataset(), tmp_path / "here")
    notebook = read()
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()
    cells = {cell["id"]: outputs_of(cell) for cell in notebook.cells if cell.cell_type == "code"}
    TRANSCRIPTS.mkdir(parents=True, exist_ok=True)
    (TRANSCRIPTS / "notebook.txt").write_text(
        "\n".join(f"[{name}]\n{text}" for name, (text, _) in cells.items()), encoding="utf-8"
    )
    assert "mixed_rand" in cells["setting"][0]
    assert {name: pictures for name, (_, pictures) in cells.items() if pictures} == {"variants": 1, "gap": 1}
    assert cells["score"][0].count("%") == 4
    assert "95 % interval" in cells["gap"][0]


def outputs_of(cell: Any) -> tuple[str, int]:
    """What a cell printed, and how many pictures it shows."""
    text = "".join(output.get("text", "") for output in cell.outputs)
    return text, sum("image/png" in output.get("data", {}) for output in cell.outputs)
