"""A Ray that all tests of a worker share, and two nodes that share no scratch folder, of which one can be lost.

Ray keeps its files, and the address of the cluster that this machine belongs to, below RAY_TMPDIR, which conftest sets
to a folder of the run.
"""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest
from costs import require_marker
from needs import ROOT, need

from figureground.runtime.engines import EngineChoice, ray_session

_SMALL_STORE = 80 * 1024**2
_LOSS_SEEN_SOON = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 1000,
    "health_check_failure_threshold": 3,
}
_SUPPORT = str(ROOT / "tests" / "support")
_shared = ExitStack()


@dataclass(slots=True, kw_only=True)
class TwoNodes:
    """A cluster with one processor on each node."""

    address: str
    scratch: tuple[Path, Path]
    """The folder for temporary files of either node; the second one's is the node's that can be lost."""
    _cluster: Any
    _second: Any = None

    def require_second(self) -> None:
        """Start the second node if it is lost, or was never there."""
        if self._second is None:
            self.scratch[1].mkdir()
            self._second = _add_node(self._cluster, self.scratch[1])

    def lose_second(self) -> None:
        """Kill the second node's raylet and all its workers, as when the machine goes."""
        (raylet,) = self._second.all_processes["raylet"]
        there = psutil.Process(raylet.process.pid)
        for process in [there, *there.children(recursive=True)]:
            process.kill()
        self._cluster.remove_node(self._second, allow_graceful=False)
        self._second = None
        shutil.rmtree(self.scratch[1])


def need_ray() -> None:
    """Skip the test where Ray is not installed."""
    require_marker("ray")
    need(find_spec("ray") is not None, "Ray is not installed (extra ray)")


def shared_ray() -> None:
    """Connect this process to a Ray of this machine, of two processors, if it is not yet.

    Whatever asks for a Ray of this machine uses it. Starting one for each test would take seconds of a processor.
    conftest ends it after the last test of several that have the marker.
    """
    need_ray()
    import ray

    if ray.is_initialized():
        gc.collect()  # an actor that an earlier test left holds its processors for as long as its handle lives
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", _import_paths())
        _shared.enter_context(ray_session(EngineChoice(kind="ray"), workers=2))


def end_shared_ray() -> None:
    """End it, for a test that starts a Ray itself or needs none; it starts again when it is needed."""
    _shared.close()


def kill_workers(name: str) -> int:
    """Kill this test's processes that run an actor or task of this name; returns how many there were."""
    processes = [
        child for child in psutil.Process().children(recursive=True) if f"ray::{name}" in " ".join(child.cmdline())
    ]
    for process in processes:
        process.kill()
    return len(processes)


def machine_address() -> tuple[str, int] | None:
    """What the file says that tells Ray which cluster this machine belongs to, and when it was written; None without.

    It is the developer's: no test may write it.
    """
    from ray._common.utils import get_ray_address_file

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_TMPDIR", raising=False)
        path = Path(get_ray_address_file(None))
    return (path.read_text(), path.stat().st_mtime_ns) if path.exists() else None


@contextmanager
def two_nodes() -> Iterator[TwoNodes]:
    """Start both nodes; nothing of them is left afterwards."""
    need_ray()
    end_shared_ray()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    folder = Path(tempfile.mkdtemp(prefix="fg"))  # short: Ray's sockets lie below, whose paths may have 107 bytes
    scratch = folder / "first", folder / "second"
    cluster: Any = Cluster()
    try:
        scratch[0].mkdir()
        _add_node(cluster, scratch[0], _system_config=_LOSS_SEEN_SOON, include_dashboard=False)
        nodes = TwoNodes(address=cluster.address, scratch=scratch, _cluster=cluster)
        nodes.require_second()
        yield nodes
    finally:
        cluster.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def _add_node(cluster: Any, scratch: Path, **more: Any) -> Any:
    variables = {"TMPDIR": str(scratch), "PYTHONPATH": _import_paths()}
    return cluster.add_node(num_cpus=1, object_store_memory=_SMALL_STORE, env_vars=variables, **more)


def _import_paths() -> str:
    """Where Ray's processes find the jobs of tests, beside what they find anyway."""
    return os.pathsep.join(filter(None, [_SUPPORT, os.environ.get("PYTHONPATH")]))
