"""The engine: every job once, on one process or more, and nobody left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from engine_jobs import die, fail, own_pid, square
from needs import ROOT

from figureground.errors import ServiceError
from figureground.runtime.engines import EngineChoice
from figureground.runtime.pools import open_engine

LOCAL = EngineChoice()


@pytest.mark.parametrize("workers", [1, 2])
def test_every_job_runs_once(workers: int) -> None:
    with open_engine(LOCAL, workers=workers) as engine:
        assert sorted(engine.run(square, range(25))) == [number * number for number in range(25)]
        assert list(engine.run(square, [])) == []


@pytest.mark.slow
def test_the_processes_serve_all_runs_and_end_with_the_engine() -> None:
    with open_engine(LOCAL, workers=2) as engine:
        first, second = (set(engine.run(own_pid, range(25))) for _ in range(2))
        assert first == second
        assert os.getpid() not in first
    assert not any(_lives(pid) for pid in first)


def test_the_environment_is_as_before() -> None:
    before = dict(os.environ)
    with open_engine(LOCAL, workers=2) as engine:
        list(engine.run(square, range(3)))
    assert dict(os.environ) == before


@pytest.mark.parametrize("workers", [1, 2])
def test_a_job_that_fails_fails_the_run(workers: int) -> None:
    with open_engine(LOCAL, workers=workers) as engine, pytest.raises(ValueError, match="job"):
        list(engine.run(fail, range(4)))


def test_a_worker_that_dies_is_told_with_a_remedy() -> None:
    with open_engine(LOCAL, workers=2) as engine, pytest.raises(ServiceError, match="run again"):
        list(engine.run(die, range(8)))


@pytest.mark.slow
def test_workers_end_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import sys\nsys.path.insert(0, sys.argv[2])\nfrom engine_jobs import wait\n"
        "from figureground.runtime.pools import open_engine\nfrom figureground.runtime.engines import EngineChoice\n"
        "if __name__ == '__main__':\n    with open_engine(EngineChoice(), workers=2) as engine:\n"
        "        list(engine.run(wait, [sys.argv[1]] * 4))\n"
    )
    (tmp_path / "pids").mkdir()
    parent = subprocess.Popen([sys.executable, str(script), str(tmp_path / "pids"), str(ROOT / "tests" / "support")])
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
