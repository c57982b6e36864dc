"""The demo's folder: a user's own files are never its to add to, or to delete."""

from __future__ import annotations

from pathlib import Path

import pytest

import figureground
from figureground.demo.walk import run_demo


@pytest.mark.parametrize("name", ["workspace", "photos", "dataset", "notes.txt"])
def test_a_folder_of_somebody_elses_is_left_alone(tmp_path: Path, name: str) -> None:
    own = tmp_path / name / "figureground.sqlite" if name != "notes.txt" else tmp_path / name
    own.parent.mkdir(exist_ok=True)
    own.write_bytes(b"mine")
    with pytest.raises(figureground.UsageError, match="no demo made; name a new folder"):
        run_demo(tmp_path)
    assert own.read_bytes() == b"mine"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [own]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "demo").write_text("mine", encoding="utf-8")
    with pytest.raises(figureground.UsageError, match="no demo made"):
        run_demo(tmp_path / "demo")
