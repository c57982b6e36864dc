"""The evaluation's own files, as the published script writes them: what a killed run left, and how one is stopped."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from needs import ROOT
from scored_cases import draw_dataset

from figureground.exports.evaluation import values
from figureground.exports.evaluation.values import write_whole

STOPPER = f"""
import os, time

def make():
    os.kill(os.getpid(), {int(signal.SIGTERM)})
    time.sleep(60)
"""


def test_what_a_killed_run_left_is_deleted_and_what_another_one_writes_is_not(tmp_path: Path) -> None:
    dead, alive, mine = (tmp_path / f".{name}.partial" for name in ("a.npz.4242", "b.npz.4243", "notes"))
    for path in (dead, alive, mine):
        path.write_text("half")
    with alive.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        write_whole(tmp_path / "c.npz", b"whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([alive.name, mine.name, "c.npz"])
    assert (tmp_path / "c.npz").read_bytes() == b"whole"


@pytest.mark.slow
def test_the_published_script_is_stopped_with_a_word(tmp_path: Path) -> None:
    (tmp_path / "stopper.py").write_text(STOPPER)
    folder = draw_dataset(tmp_path / "colours")
    command = [sys.executable, str(ROOT / "exports" / "evaluate.py"), "--repo", str(folder), "--model", "stopper:make"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 130, done.stderr
    assert done.stderr == "stopped; what --out keeps is kept, run again to go on\n"


def test_a_file_that_another_run_takes_for_a_leftover_is_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its making and its lock a file is empty and unlocked."""
    taken = list[Path]()

    def lock(handle: int, **_: object) -> bool:
        if len(taken) < 2:
            (half,) = tmp_path.glob(".*.partial")
            taken.append(half)
            half.unlink()
        return True

    monkeypatch.setattr(values, "_lock", lock)
    write_whole(tmp_path / "c.npz", b"whole")
    assert len(set(taken)) == 2
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("c.npz", b"whole")]


def test_threads_write_one_file_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: write_whole(tmp_path / "c.npz", b"%d" % number * 9999), range(10, 60)))
    assert [path.name for path in tmp_path.iterdir()] == ["c.npz"]
    content = (tmp_path / "c.npz").read_bytes()
    assert content == content[:2] * 9999
