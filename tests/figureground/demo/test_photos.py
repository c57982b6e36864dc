"""The demo's photos: they never change. Its walk goes on from what docs/python.md made, in test_python_page."""

from __future__ import annotations

import csv
from pathlib import Path

from figureground.demo.photos import write_demo_photos
from figureground.runtime.files import file_sha256
from figureground.schemas.classes import load_class_map


def test_the_photos_are_the_same_every_time_and_credited(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_demo_photos(tmp_path / name)
    photos = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one" / "photos").rglob("*.*"))
    assert len(photos) == 10
    assert {path.parts[1] for path in photos} == set(load_class_map("living_made").names)
    for path in photos:
        assert file_sha256(tmp_path / "one" / path) == file_sha256(tmp_path / "two" / path)
    credits = list(csv.DictReader((tmp_path / "one" / "CREDITS.csv").read_text().splitlines()))
    assert {row["file"] for row in credits} == {"/".join(path.parts[1:]) for path in photos}
    assert all(row["credit"] for row in credits)
