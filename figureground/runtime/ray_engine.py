"""The Ray engine: independent jobs as tasks of a cluster, begun again where a worker or a node is lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, TypeVar

import cv2

from figureground.runtime.engines import RETRIES, EngineChoice, task_errors

Job = TypeVar("Job")
Result = TypeVar("Result")
_IN_FLIGHT: Final = 2  # tasks a processor: the next one's data travels while one runs
_ASK_AGAIN_SECONDS: Final = 2.0  # how old the number of processors may be


class RayEngine:
    """Runs jobs on the Ray that this process is connected to."""

    def __init__(self, ray: Any, choice: EngineChoice) -> None:  # noqa: ANN401  the module
        self.choice = choice
        self._ray = ray
        self._slots = 0
        self._asked = float("-inf")

    def run(self, function: Callable[[Job], Result], jobs: Sequence[Job]) -> Iterator[Result]:
        """As ``LocalEngine.run``; function and jobs are pickled, and importable on every node.

        Raises:
            ServiceError: if a job was lost with its worker or node again and again.
        """
        task = self._ray.remote(_run_one).options(
            num_cpus=1, num_gpus=self.choice.gpus, max_retries=RETRIES, retry_exceptions=False
        )
        shared = self._ray.put(function)
        waiting = iter(jobs)
        running: list[Any] = []
        try:
            while True:
                room = max(0, self._in_flight() - len(running))
                running += [task.remote(shared, job) for job in islice(waiting, room)]
                if not running:
                    return
                first, running = self._ray.wait(running, num_returns=1)
                more, running = self._ray.wait(running, num_returns=len(running), timeout=0) if running else ([], [])
                for reference in [*first, *more]:
                    with task_errors(self._ray):
                        result: Result = self._ray.get(reference)
                    yield result
        finally:
            for reference in running:
                self._ray.cancel(reference)

    def run_everywhere(self, function: Callable[[Job], object], job: Job) -> None:
        """Run one job on every node that is alive, such as to tidy up; failures are ignored."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        task = self._ray.remote(_run_one)
        started = []
        for node in self._ray.nodes():
            if node["Alive"]:
                there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                started.append(task.options(num_cpus=0, max_retries=0, scheduling_strategy=there).remote(function, job))
        self._ray.wait(started, num_returns=len(started), timeout=60)

    def _in_flight(self) -> int:
        if time.monotonic() - self._asked > _ASK_AGAIN_SECONDS:
            resources, gpus = self._ray.cluster_resources(), self.choice.gpus
            at_once = int(resources.get("GPU", 0) / gpus) if gpus else int(resources.get("CPU", 0))
            self._slots, self._asked = _IN_FLIGHT * max(1, at_once), time.monotonic()
        return self._slots


def _run_one(function: Callable[[Job], Result], job: Job) -> Result:
    cv2.setNumThreads(1)
    return function(job)
