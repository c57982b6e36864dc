"""Two nodes of Ray on one machine that share no scratch folder; one of them can be lost.

Ray keeps its files, and the address of the cluster that this machine belongs to, below RAY_TMPDIR, which conftest sets
to a folder of the run.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest
from costs import require_marker
from needs import ROOT, need

_SMALL_STORE = 80 * 1024**2
_LOSS_SEEN_SOON = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 1000,
    "health_check_failure_threshold": 3,
}


@dataclass(slots=True, kw_only=True)
class TwoNodes:
    """A cluster with one processor on each node."""

    address: str
    scratch: tuple[Path, Path]
    """The folder for temporary files of either node; the second one's is the node's that can be lost."""
    _cluster: Any
    _second: Any

    def lose_second(self) -> None:
        """Kill the second node's raylet and all its workers, as when the machine goes."""
        (raylet,) = self._second.all_processes["raylet"]
        there = psutil.Process(raylet.process.pid)
        for process in [there, *there.children(recursive=True)]:
            process.kill()
        self._cluster.remove_node(self._second, allow_graceful=False)
        shutil.rmtree(self.scratch[1])


def need_ray() -> None:
    """Skip the test where Ray is not installed."""
    require_marker("ray")
    need(find_spec("ray") is not None, "Ray is not installed (extra ray)")


def kill_workers(name: str) -> int:
    """Kill this test's processes that run an actor or task of this name; returns how many there were."""
    found = [
        child for child in psutil.Process().children(recursive=True) if f"ray::{name}" in " ".join(child.cmdline())
    ]
    for process in found:
        process.kill()
    return len(found)


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
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    folder = Path(tempfile.mkdtemp(prefix="fg"))  # short: Ray's sockets lie below, whose paths may have 107 bytes
    scratch = folder / "first", folder / "second"
    cluster: Any = Cluster()
    paths = os.pathsep.join(filter(None, [str(ROOT / "tests" / "support"), os.environ.get("PYTHONPATH")]))
    try:
        nodes = []
        for number, place in enumerate(scratch):
            place.mkdir()
            more = {} if number else {"_system_config": _LOSS_SEEN_SOON, "include_dashboard": False}
            found = {"TMPDIR": str(place), "PYTHONPATH": paths}
            nodes.append(cluster.add_node(num_cpus=1, object_store_memory=_SMALL_STORE, env_vars=found, **more))
        yield TwoNodes(address=cluster.address, scratch=scratch, _cluster=cluster, _second=nodes[1])
    finally:
        cluster.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
