"""The demo: its photos never change, and without SAM weights it still ends and says what it did."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from needs import need

from figureground.annotate.segmenters.checkpoints import cache_folder, fetch_checkpoint
from figureground.demo.photos import write_demo_photos
from figureground.errors import ServiceError
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


def test_without_npm_the_demo_ends_with_grabcut_and_says_so(tmp_path: Path) -> None:
    try:
        fetch_checkpoint("u2netp")
    except ServiceError as error:
        need(False, str(error))
    pytest.importorskip("efficientnet_lite_pytorch")
    cache = tmp_path / "cache"
    shutil.copytree(cache_folder() / "checkpoints" / "u2netp", cache / "checkpoints" / "u2netp")
    environment = {**os.environ, "FIGUREGROUND_CACHE": str(cache), "PATH": str(tmp_path)}
    command = [sys.executable, "-m", "figureground", "demo", "-o", str(tmp_path / "demo"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert "No SAM weights, so GrabCut" in " ".join(done.stderr.split())
    report = json.loads(done.stdout)
    assert report["segmenter"] == "grabcut"
    assert "npm" in report["note"]
    assert report["rows_loaded"] > 0
    assert Path(report["contact_sheet"]).is_file()
    assert "mixed_rand" in report["table"]
