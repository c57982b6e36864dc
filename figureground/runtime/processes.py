"""Worker processes: spawned, one thread each, and never left behind by a parent that was killed."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import ParamSpec, TypeVar

import cv2

from figureground.runtime.signals import deaf, hear_sigterm

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Variables that set how many threads the libraries of numbers start."""


def default_workers() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def worker_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Give a pool of ``workers`` spawned processes, with one thread each for BLAS and OpenCV."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    # Read by the libraries when the workers start, so it must stand in the environment that they inherit.
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    try:
        context = multiprocessing.get_context("spawn")
        with deaf():  # the process that tidies up after workers starts here
            made = _DeafWorkers(workers, mp_context=context, initializer=_start_worker)
        with made as pool:
            yield pool
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class _DeafWorkers(ProcessPoolExecutor):
    """A pool whose processes, which start with the jobs, do not hear the terminal, and start whole or not at all."""

    def submit(
        self, function: Callable[Parameters, Result], /, *args: Parameters.args, **named: Parameters.kwargs
    ) -> Future[Result]:
        """As the pool's own."""
        with deaf():
            return super().submit(function, *args, **named)


def _start_worker() -> None:
    hear_sigterm()
    cv2.setNumThreads(1)
    sys.meta_path.insert(0, _WithoutPandas())
    parent = multiprocessing.parent_process()

    def end_with_parent() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


class _WithoutPandas(MetaPathFinder):
    """Lets pandas look as if it were not installed.

    PyArrow imports it before it turns its first Python object into an array: a second of each worker, and 60 MB.
    """

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        """Refuse pandas, and leave all others to the next finder."""
        if name == "pandas":
            raise ModuleNotFoundError("No module named 'pandas'", name=name)
        return None
