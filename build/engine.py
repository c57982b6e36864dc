"""The local engine: independent jobs on a pool of processes, results as they come."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from typing import TypeVar

import cv2

Job = TypeVar("Job")
Result = TypeVar("Result")

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def default_workers() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_jobs(function: Callable[[Job], Result], jobs: Sequence[Job], *, workers: int) -> Iterator[Result]:
    """Run ``function`` over ``jobs``; yields results in whatever order they finish.

    One worker runs in this process. More are spawned, each with one thread of its own for OpenCV and BLAS, and never
    hold more than two jobs a worker in flight, so memory does not grow with the number of jobs.
    """
    if workers <= 1 or len(jobs) <= 1:
        yield from map(function, jobs)
        return
    context = multiprocessing.get_context("spawn")
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    try:
        with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=context, initializer=_one_thread) as pool:
            yield from _bounded(pool, function, jobs, in_flight=2 * workers)
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _bounded(
    pool: ProcessPoolExecutor, function: Callable[[Job], Result], jobs: Sequence[Job], *, in_flight: int
) -> Iterator[Result]:
    waiting = iter(jobs)
    running: set[Future[Result]] = set()
    try:
        while True:
            for job in waiting:
                running.add(pool.submit(function, job))
                if len(running) >= in_flight:
                    break
            if not running:
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    finally:
        for future in running:
            future.cancel()


def _one_thread() -> None:
    cv2.setNumThreads(1)
