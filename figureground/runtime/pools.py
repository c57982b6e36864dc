"""Engines: independent jobs on a pool of processes or on Ray, results as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, closing, contextmanager
from functools import cached_property
from itertools import islice
from typing import Protocol, TypeVar, overload

from figureground.errors import ServiceError
from figureground.runtime.engines import EngineChoice, ray_session
from figureground.runtime.processes import worker_pool

Job = TypeVar("Job")
Result = TypeVar("Result")


class LazyJobs(Sequence[Job]):
    """Jobs that are made when they are asked for, because all jobs of a large build would not fit into memory."""

    def __init__(self, make: Callable[[int], Job], count: int) -> None:
        self._make = make
        self._indices = range(count)

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, index: int) -> Job: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Job]: ...
    def __getitem__(self, index: int | slice) -> Job | Sequence[Job]:
        if isinstance(index, slice):
            return [self._make(job) for job in self._indices[index]]
        return self._make(self._indices[index])


class Engine(Protocol):
    """Runs jobs; the choice of engine never changes a byte of their results."""

    choice: EngineChoice

    def run(self, function: Callable[[Job], Result], jobs: Sequence[Job]) -> Iterator[Result]:
        """Results in whatever order they finish; the first error of a job ends the run."""
        ...

    def run_everywhere(self, function: Callable[[Job], object], job: Job) -> None:
        """Run one job on every machine, such as to tidy up; failures are ignored."""
        ...


class LocalEngine:
    """Runs jobs on processes of this machine, which start with the first run that needs them and serve all others."""

    def __init__(self, workers: int) -> None:
        self.choice = EngineChoice()
        self._workers = workers
        self._resources = ExitStack()

    @cached_property
    def _pool(self) -> ProcessPoolExecutor:
        return self._resources.enter_context(worker_pool(self._workers))

    def run(self, function: Callable[[Job], Result], jobs: Sequence[Job]) -> Iterator[Result]:
        """Run ``function`` over ``jobs``; one worker, or a job that is alone, runs in this process.

        Processes never hold more than two jobs each, so memory does not grow with the number of jobs.

        Raises:
            ServiceError: if a worker process dies; what was finished stays.
        """
        if self._workers <= 1 or len(jobs) <= 1:
            yield from map(function, jobs)
            return
        try:
            yield from _bounded(self._pool, function, jobs, in_flight=2 * self._workers)
        except BrokenProcessPool as error:
            raise ServiceError("a worker process died, perhaps for want of memory; run again to go on") from error

    def run_everywhere(self, function: Callable[[Job], object], job: Job) -> None:
        """Run one job here."""
        function(job)

    def close(self) -> None:
        """End the processes."""
        self._resources.close()


@contextmanager
def open_engine(choice: EngineChoice, *, workers: int) -> Iterator[Engine]:
    """Give the chosen engine, and end what it started.

    Args:
        choice: Which engine.
        workers: Processes of this machine; a cluster uses all that it has.

    Raises:
        MissingExtraError: if Ray is asked for and not installed.
        ServiceError: if a cluster cannot be reached.
        UsageError: if no machine of it has what each job asks for.
    """
    if choice.kind == "local":
        with closing(LocalEngine(workers)) as engine:
            yield engine
        return
    from figureground.runtime.ray_engine import RayEngine

    with ray_session(choice, workers=workers) as ray:
        yield RayEngine(ray, choice)


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
