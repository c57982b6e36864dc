"""Proposals on Ray: each actor loads the models once and makes the masks of one photo after another.

Actors read photos from the paths of the catalogue, so those paths must be there on every node. They return masks; the
command alone writes the workspace.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Final, NamedTuple

from figureground.annotate.proposals.proposing import (
    ALL_PHOTOS,
    Makers,
    Outcome,
    ProposalScope,
    ProposalSettings,
    propose_one,
    store_proposals,
)
from figureground.annotate.proposals.reports import ProposalReport
from figureground.annotate.segmenters.loading import ModelChoice, load_models
from figureground.annotate.segmenters.protocol import Segmenter
from figureground.errors import UsageError
from figureground.runtime.engines import RETRIES, EngineChoice, ray_session, task_errors
from figureground.runtime.processes import THREAD_VARIABLES, default_workers
from figureground.runtime.progress import Progress
from figureground.schemas.records import ImageRecord, SourceRow
from figureground.schemas.store.workspace import Workspace

_ALIVE: Final = "Alive"


def propose_on_ray(
    workspace: Workspace,
    models: ModelChoice,
    settings: ProposalSettings,
    choice: EngineChoice,
    *,
    workers: int | None = None,
    scope: ProposalScope = ALL_PHOTOS,
    progress: Progress = lambda *_: None,
) -> ProposalReport:
    """As ``propose``, with the models on Ray.

    Args:
        workspace: Where photos come from and masks go to; only this process touches it.
        models: What each actor loads, from its own node's files or cache; without ``threads``, for as many processors
            as each node has for every actor.
        settings: Prompts and number of candidates.
        choice: Which Ray, and how many GPUs an actor gets.
        workers: Most actors; None for one a node, or with GPUs as many as these are enough for. Those that the nodes
            have no room for are left out.
        scope: Which photos.
        progress: Called after every photo.

    Raises:
        DataError: at the end, with every photo that could not be read any more.
        UsageError: if the models cannot be loaded or asked so, or no node has what one actor needs.
        ServiceError: if the cluster cannot be reached, or a photo's actor was lost again and again.
    """
    with ray_session(choice, workers=default_workers()) as ray:
        proposer = _RayProposer(ray, models, settings, choice, workspace.sources(), workers)
        return store_proposals(workspace, proposer, settings, scope=scope, progress=progress)


class ActorLayout(NamedTuple):
    """Actors that the nodes of a cluster have room for at the same time."""

    actors: int
    threads: int
    """Processors that each of them gets."""


def lay_out_actors(
    nodes: Sequence[Mapping[str, float]], *, gpus: float, threads: int | None, workers: int | None
) -> ActorLayout:
    """As many actors as were asked for and have room: one that has none would wait without end, and so would its photo.

    Args:
        nodes: Resources of each node, ``CPU`` and ``GPU``.
        gpus: GPUs of each actor, from 0.
        threads: Processors of each actor, from 1; None for the most with which the actors have room.
        workers: Most actors; None for one a node, or with GPUs as many as these are enough for.

    Raises:
        UsageError: if no node has what one actor needs.
    """
    # Several small shares of a GPU may add up to a hair more than one.
    rooms = [(int(node.get("CPU", 0)), int(node.get("GPU", 0) / gpus + 1e-9) if gpus else None) for node in nodes]
    usable = [(processors, by_gpu) for processors, by_gpu in rooms if processors >= (threads or 1) and by_gpu != 0]
    if not usable:
        asked = f"{threads or 1} processor{'s' if (threads or 1) > 1 else ''}" + (f" and {gpus:g} GPU" if gpus else "")
        raise UsageError(f"no machine of the Ray has {asked} for a model; ask for less with --threads and --ray-gpus")

    def room(share: int) -> int:
        by_processors = [(processors // share, by_gpu) for processors, by_gpu in usable]
        return sum(places if by_gpu is None else min(places, by_gpu) for places, by_gpu in by_processors)

    wanted = workers or (sum(by_gpu or 0 for _, by_gpu in usable) if gpus else len(usable))
    if threads is None:
        smallest = min(processors for processors, _ in usable)
        threads = next((share for share in range(smallest, 1, -1) if room(share) >= wanted), 1)
    return ActorLayout(min(wanted, room(threads)), threads)


class _RayProposer:
    """Actors, each with the models."""

    def __init__(
        self,
        ray: Any,  # noqa: ANN401  the module
        models: ModelChoice,
        settings: ProposalSettings,
        choice: EngineChoice,
        sources: Mapping[str, SourceRow],
        workers: int | None,
    ) -> None:
        self._ray = ray
        nodes = [node["Resources"] for node in ray.nodes() if node[_ALIVE]]
        layout = lay_out_actors(nodes, gpus=choice.gpus, threads=models.threads, workers=workers)
        threads = layout.threads
        actor = ray.remote(_ModelActor).options(
            num_cpus=threads,
            num_gpus=choice.gpus,
            scheduling_strategy="SPREAD",
            max_restarts=RETRIES,
            max_task_retries=RETRIES,
            runtime_env={"env_vars": dict.fromkeys(THREAD_VARIABLES, str(threads))},
        )
        self._actors = [actor.remote(models, settings, sources, threads) for _ in range(layout.actors)]

    def makers(self) -> Makers:
        with task_errors(self._ray):
            makers: Makers = self._ray.get(self._actors[0].makers.remote())
        return makers

    def outcomes(self, photos: Sequence[tuple[ImageRecord, str]]) -> Iterator[Outcome]:
        from ray.util import ActorPool

        pool: Any = ActorPool(self._actors)
        for photo in photos:
            pool.submit(lambda actor, value: actor.outcome.remote(*value), photo)
        while pool.has_next():
            with task_errors(self._ray):
                outcome: Outcome = pool.get_next_unordered()
            yield outcome


class _ModelActor:
    """The models on one node. They are loaded when first used, so that an error in them reaches the caller as it is."""

    def __init__(
        self, models: ModelChoice, settings: ProposalSettings, sources: Mapping[str, SourceRow], threads: int
    ) -> None:
        self._models, self._settings, self._sources, self._threads = models, settings, sources, threads

    def makers(self) -> Makers:
        """Names and hashes of the loaded models."""
        return Makers.of(*self._loaded)

    def outcome(self, record: ImageRecord, run_id: str) -> Outcome:
        """The ranked masks of one photo, or its fault."""
        segmenter, saliency = self._loaded
        return propose_one(record, run_id, segmenter, self._settings, saliency, self._sources)

    @cached_property
    def _loaded(self) -> tuple[Segmenter, Segmenter | None]:
        return load_models(replace(self._models, threads=self._threads))
