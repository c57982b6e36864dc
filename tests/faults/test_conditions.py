"""A workspace that cannot be written to, and a clock that goes back: told, or no matter."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from needs import need
from PIL import Image
from plain_dataset import Plain, make_plain
from read_only_folders import read_only
from run_faults import clock_library

from figureground.schemas.store.migrations import _MIGRATIONS
from figureground.schemas.store.workspace import DATABASE_NAME, Workspace

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Plain:
    return make_plain(Path(tmp_path_factory.mktemp("plain")))


def test_a_workspace_that_cannot_be_written_to_is_read(plain: Plain, tmp_path: Path) -> None:
    work, out = tmp_path / "work", tmp_path / "out"
    shutil.copytree(plain.drawn.workspace, work)
    before = {path: path.read_bytes() for path in work.rglob("*") if path.is_file()}
    with read_only(work) as run:
        listed = run("photos", "-w", work)
        assert (listed.returncode, len(listed.stdout.splitlines())) == (0, 6), listed.stderr
        built = run("build", plain.recipe, "-w", work, "-o", out, "--workers", 1)
        assert built.returncode == 0, built.stderr
        for words in (["index", plain.drawn.photos, "--workers", 1], ["freeze", "--version", "v2"]):
            refused = run(*words, "-w", work)
            assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1), refused.stderr
            assert str(work) in refused.stderr
    assert {path: path.read_bytes() for path in work.rglob("*") if path.is_file()} == before
    assert (out / "manifest.json").read_bytes() == (plain.pictures / "manifest.json").read_bytes()


def test_what_only_a_write_could_mend_is_told(plain: Plain, tmp_path: Path) -> None:
    """Changes that wait beside the database, and a database of an earlier version."""
    waiting, old = tmp_path / "waiting", tmp_path / "old"
    shutil.copytree(plain.drawn.workspace, waiting)
    old.mkdir()
    with closing(sqlite3.connect(waiting / DATABASE_NAME)) as database:
        database.execute("DELETE FROM decisions")
        database.commit()
        shutil.copytree(waiting, tmp_path / "copied")  # as a machine that lost power leaves it
    (tmp_path / "copied" / f"{DATABASE_NAME}-shm").unlink()
    with closing(sqlite3.connect(old / DATABASE_NAME)) as database:
        database.executescript(_MIGRATIONS[0])
        database.execute("PRAGMA user_version = 1")
    for folder, words in ((tmp_path / "copied", "unable to open"), (old, "is of an older figureground")):
        with read_only(folder) as run:
            refused = run("photos", "-w", folder)
        assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1), refused.stderr
        assert words in refused.stderr


def test_a_clock_that_goes_back_loses_no_correction(plain: Plain, tmp_path: Path) -> None:
    need(shutil.which("cc") is not None and sys.platform == "linux", "there is no C compiler")
    library = clock_library(tmp_path)
    work, masks = tmp_path / "work", tmp_path / "masks"
    shutil.copytree(plain.drawn.workspace, work)
    with Workspace.open(work) as store:
        images = list(store.images())

    def imported(shrink: int, offset: int) -> str:
        for image in images:
            mask = np.zeros(image.size_hw, dtype=np.uint8)
            mask[40 : 90 - shrink, 40:90] = 255
            target = (masks / image.uri).with_suffix(".png")
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(target)
        words = ["import", "masks", str(masks), "-w", str(work), "--origin", "drawn", "--annotator", "me"]
        environment = {**os.environ, "LD_PRELOAD": str(library), "FAULT_CLOCK_OFFSET": str(offset)}
        command = [sys.executable, "-P", "-m", "figureground", *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    imported(0, 0)
    assert f"{len(images)} answers stored" in imported(5, -86_400)
    assert f"0 answers stored, {len(images)} there before" in imported(5, -86_400)
    with Workspace.open(work) as store:
        newest = {
            image.image_id: max(store.annotations(image.image_id), key=lambda a: a.updated_at) for image in images
        }
        assert {answer.annotator for answer in newest.values()} == {"me"}
        assert len(list(store.annotations())) == 3 * len(images)  # that of the release, and two imports
