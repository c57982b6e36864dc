"""The evaluation's own files, as the published script writes them: what a killed run left, and how one is stopped."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from needs import ROOT
from scored_cases import draw_dataset

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
