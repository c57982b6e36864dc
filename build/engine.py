"""The local engine: independent jobs on a pool of processes, results as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TypeVar

from figureground.errors import ServiceError
from figureground.schemas.processes import worker_pool

Job = TypeVar("Job")
Result = TypeVar("Result")


def run_jobs(function: Callable[[Job], Result], jobs: Sequence[Job], *, workers: int) -> Iterator[Result]:
    """Run ``function`` over ``jobs``; yields results in whatever order they finish.

    One worker runs in this process. More are processes of their own and never hold more than two jobs each, so memory
    does not grow with the number of jobs.

    Raises:
        ServiceError: if a worker process dies; what was finished stays.
    """
    if workers <= 1 or len(jobs) <= 1:
        yield from map(function, jobs)
        return
    with worker_pool(min(workers, len(jobs))) as pool:
        try:
            yield from _bounded(pool, function, jobs, in_flight=2 * workers)
        except BrokenProcessPool as error:
            raise ServiceError("a worker process died, perhaps for want of memory; run again to go on") from error


def _bounded(
    pool: ProcessPoolExecutor, function: Callable[[Job], Result], jobs: Sequence[Job], *, in_flight: int
) -> Iterator[Result]:
    waiting = iter(jobs)
    running: set[Future[Result]] = {pool.submit(function, job) for job in islice(waiting, in_flight)}
    try:
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            running |= {pool.submit(function, job) for job in islice(waiting, len(done))}
            for future in done:
                yield future.result()
    finally:
        for future in running:
            future.cancel()
