"""The Ray engine: every job once, faults as they are, and jobs begun again when their worker is killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from engine_jobs import die_once, fail, square
from ray_cluster import shared_ray

from figureground.runtime.engines import EngineChoice
from figureground.runtime.pools import Engine, open_engine


@pytest.fixture
def engine() -> Iterator[Engine]:
    shared_ray()
    with open_engine(EngineChoice(kind="ray"), workers=2) as opened:
        yield opened


def test_every_job_runs_once(engine: Engine) -> None:
    assert sorted(engine.run(square, range(25))) == [number * number for number in range(25)]
    assert list(engine.run(square, [])) == []


def test_a_job_that_fails_fails_the_run_with_its_own_error(engine: Engine) -> None:
    with pytest.raises(ValueError, match=r"^job \d$"):
        list(engine.run(fail, range(4)))
    assert sorted(engine.run(square, range(3))) == [0, 1, 4]


def test_a_job_whose_worker_is_killed_is_begun_again(engine: Engine, tmp_path: Path) -> None:
    jobs = [(str(tmp_path), number) for number in range(6)]
    assert sorted(engine.run(die_once, jobs)) == list(range(6))
    assert (tmp_path / "died").exists()


def test_one_job_runs_on_every_node(engine: Engine, tmp_path: Path) -> None:
    engine.run_everywhere(Path.touch, tmp_path / "tidied")
    assert (tmp_path / "tidied").exists()
    engine.run_everywhere(fail, 1)


def test_a_ray_of_this_machine_listens_to_it_alone(engine: Engine) -> None:
    """Whoever reaches a Ray may run anything on it."""
    assert list(engine.run(square, [3])) == [9]
    own = psutil.Process()
    sockets = [
        socket
        for process in (own, *own.children(recursive=True))
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        for socket in getattr(process, "net_connections", process.connections)("inet")  # its name before psutil 6
        if socket.status == psutil.CONN_LISTEN
    ]
    assert len(sockets) >= 3
    assert {socket.laddr.ip.removeprefix("::ffff:") for socket in sockets} == {"127.0.0.1"}
