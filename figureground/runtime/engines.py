"""The engine that runs the work of a command: processes of this machine, or Ray, and how Ray is reached."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Final, Literal

from figureground.errors import MissingExtraError, ServiceError, UsageError
from figureground.runtime.processes import THREAD_VARIABLES
from figureground.runtime.storage import check_location

EngineKind = Literal["local", "ray"]

RETRIES: Final = 5
"""Number of times that Ray runs a task again whose worker or node was lost; a task that raises is not run again."""

_ANSWERS_SECONDS: Final = 10.0
_REACHABLE: Final = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Ray's word for whether its processes listen to the whole network; elsewhere than on Linux they do not by default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineChoice:
    """The engine that runs the work of a command; the choice never changes a byte of what the command makes."""

    kind: EngineKind = "local"
    """Processes of this machine, or Ray's."""
    ray_address: str = ""
    """``HOST:PORT`` of a cluster, or ``auto`` for the one that this machine belongs to; empty for a Ray of this
    machine, which starts and ends with the command."""
    staging: str = ""
    """Folder or URI that all machines of the cluster reach, by which they hand over files; empty where they share the
    output folder itself."""
    gpus: float = 0.0
    """GPUs that Ray reserves for each model, from 0; below 1, models share a GPU."""

    def __post_init__(self) -> None:
        """Refuse options that do not go together.

        Raises:
            UsageError: for options of Ray without Ray, or of a cluster without one.
        """
        if self.kind == "local" and (self.ray_address or self.staging or self.gpus):
            raise UsageError("options of Ray are for --engine ray")
        if self.ray_address.startswith("ray://"):
            raise UsageError("ray:// is Ray's client; run the command on a machine of the cluster, with its HOST:PORT")
        if self.staging and not self.ray_address:
            raise UsageError("staging is for a cluster, with --ray-address")
        if self.ray_address not in ("", "auto") and not self.ray_address.rpartition(":")[2].isdigit():
            raise UsageError(f"a Ray cluster is HOST:PORT or auto, got {self.ray_address!r}")
        check_location(self.staging)

    @property
    def is_cluster(self) -> bool:
        """Whether the work may run on machines that do not see this one's disk."""
        return bool(self.ray_address)


@contextmanager
def ray_session(choice: EngineChoice, *, workers: int) -> Iterator[Any]:
    """Give the module ``ray``, connected; disconnected afterwards, and a Ray of our own ended.

    A connection that this process has already is used and left as it is.

    Args:
        choice: Which cluster.
        workers: Processors of a Ray of this machine; a cluster has those that it has.

    Raises:
        MissingExtraError: if Ray is not installed.
        ServiceError: if the cluster cannot be reached.
        UsageError: if no machine of it has what each task asks for.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("ray", "ray") from error
    if ray.is_initialized():
        yield ray
        return
    _require_answer(choice.ray_address)
    with nullcontext() if choice.is_cluster else _on_loopback(), _connected(ray, choice, workers=workers):
        yield ray


@contextmanager
def _connected(ray: Any, choice: EngineChoice, *, workers: int) -> Iterator[None]:  # noqa: ANN401  the module
    """Connect in the block. Raises as ``ray_session``."""
    processors = None if choice.is_cluster else workers  # a running cluster has its own number
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            address=choice.ray_address or "local",
            num_cpus=processors,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.CRITICAL,
            runtime_env={"env_vars": dict.fromkeys(THREAD_VARIABLES, "1")},
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        where = f"the Ray cluster {choice.ray_address}" if choice.is_cluster else "a Ray of this machine"
        raise ServiceError(f"{where} cannot be used: {error}") from error
    if on_sigterm is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_sigterm)  # Ray's own would end the command with a code of its own
    try:
        _require_resources(ray, choice)
        yield
    finally:
        ray.shutdown()


@contextmanager
def _on_loopback() -> Iterator[None]:
    """Let a Ray that starts in the block listen to this machine alone: who reaches it may run anything."""
    from ray._private import ray_constants

    before = os.environ.get(_REACHABLE), ray_constants.ENABLE_RAY_CLUSTER
    os.environ[_REACHABLE], ray_constants.ENABLE_RAY_CLUSTER = "0", False
    try:
        yield
    finally:
        os.environ.pop(_REACHABLE)
        if before[0] is not None:
            os.environ[_REACHABLE] = before[0]
        ray_constants.ENABLE_RAY_CLUSTER = before[1]


@contextmanager
def task_errors(ray: Any) -> Iterator[None]:  # noqa: ANN401
    """Raise the error of a task itself, without Ray's wrapping, and failures of Ray as ``ServiceError``."""
    try:
        yield
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None  # the error of the task itself, not Ray's wrapping of it
    except ray.exceptions.RayError as error:
        first_line = str(error).strip().partition("\n")[0]
        raise ServiceError(f"Ray lost a task for good ({first_line}); run again to go on") from error


def _require_answer(address: str) -> None:
    """Check that something answers at a cluster's address: Ray itself would try for ten minutes."""
    host, _, port = address.rpartition(":")
    if not host:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWERS_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ServiceError(
            f"the Ray cluster {address} does not answer: {error}; is it up, and is this its port?"
        ) from error


def _require_resources(ray: Any, choice: EngineChoice) -> None:  # noqa: ANN401
    """Check that a machine of the cluster has what a task needs: Ray itself would wait for one without end."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if not any(node.get("CPU", 0) >= 1 and node.get("GPU", 0) >= choice.gpus for node in nodes):
        asked = f"a processor and {choice.gpus:g} GPU" if choice.gpus else "a processor"
        raise UsageError(f"no machine of the Ray cluster has {asked}; start one")
