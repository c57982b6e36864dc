"""The engine: every job once, on one process or more, and nobody left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from engine_jobs import die, fail, square
from needs import ROOT

from figureground.build.engine import run_jobs
from figureground.errors import ServiceError


@pytest.mark.parametrize("workers", [1, 2])
def test_every_job_runs_once(workers: int) -> None:
    assert sorted(run_jobs(square, range(25), workers=workers)) == [number * number for number in range(25)]
    assert list(run_jobs(square, [], workers=workers)) == []


def test_the_environment_is_as_before() -> None:
    before = dict(os.environ)
    list(run_jobs(square, range(3), workers=2))
    assert dict(os.environ) == before


@pytest.mark.parametrize("workers", [1, 2])
def test_a_job_that_fails_fails_the_run(workers: int) -> None:
    with pytest.raises(ValueError, match="job"):
        list(run_jobs(fail, range(4), workers=workers))


def test_a_worker_that_dies_is_told_with_a_remedy() -> None:
    with pytest.raises(ServiceError, match="run again"):
        list(run_jobs(die, range(8), workers=2))


def test_workers_end_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import sys\nsys.path.insert(0, sys.argv[2])\nfrom engine_jobs import wait\n"
        "from figureground.build.engine import run_jobs\n"
        "if __name__ == '__main__':\n    list(run_jobs(wait, [sys.argv[1]] * 4, workers=2))\n"
    )
    (tmp_path / "pids").mkdir()
    parent = subprocess.Popen([sys.executable, str(script), str(tmp_path / "pids"), str(ROOT / "tests")])
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(list((tmp_path / "pids").iterdir())) < 2:
        time.sleep(0.05)
    workers = [int(path.name) for path in (tmp_path / "pids").iterdir()]
    assert len(workers) == 2
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    while time.monotonic() < deadline and any(_lives(pid) for pid in workers):
        time.sleep(0.05)
    assert not any(_lives(pid) for pid in workers)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z" if Path("/proc").is_dir() else True
