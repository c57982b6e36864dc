"""Rendering on machines that share no disk: scenes stay where they were made, and only finished shards travel.

A scene of a 224-pixel photo has some 0.5 MB, the photo itself 0.1 MB, and making the one of the other takes 5 ms. So a
node makes the scenes that its shards need, each once, on a disk of its own, and none crosses the network; a node that
is lost takes nothing along that another could not make again. ``docs/adr/0011-ray.md`` has the numbers.
"""

from __future__ import annotations

import shutil
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Final

from figureground.build.painting.scene_files import SceneJob, write_scenes
from figureground.errors import DataError, Fault, ServiceError, UsageError
from figureground.exports.dataset.lock import Environment, environment, environment_differences
from figureground.exports.dataset.shards import ShardJob, write_shard
from figureground.runtime.files import file_sha256
from figureground.runtime.folders import clear_unfinished
from figureground.runtime.pools import Engine, LazyJobs
from figureground.runtime.storage import copy_to, fetch, join_location, local_path, machine_scratch, remove
from figureground.schemas.records import PhotoRef, SourceRow

_APPEARS_SECONDS: Final = 60.0  # NFS may remember that long that a file is not there (acdirmax)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSite:
    """Where a build is made: what its tasks get to know, wherever they run."""

    key: str
    """Names the build: what one left on a node's disk serves the next attempt of the same build only."""
    folder: Path
    """The unfinished repository, on the machine of the command."""
    sources: Mapping[str, SourceRow]
    """Where photos lie; on a cluster, for every node."""
    textures: Mapping[str, PhotoRef]
    """The textures of the plan, by image_id."""
    staging: str = ""
    """Folder or URI that all nodes reach; empty where they reach the repository's own folder."""
    environment: Environment = field(default_factory=environment)
    """Software of the machine of the command; a node with another one might make other bytes."""

    @property
    def handover_prefix(self) -> str:
        """What the names of all shards of this build begin with in the staging."""
        return f"{self.key[:16]}+"

    def handover(self, shard: Path) -> str:
        """Where the task of a shard puts it: a path or URI."""
        if not self.staging:
            return str(shard)
        return join_location(self.staging, self.handover_prefix + "+".join(shard.relative_to(self.folder).parts))


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeShardJob:
    """A shard to be made on some node."""

    shard: ShardJob
    scenes: SceneJob
    """The photos that its rows use."""
    key: str
    """Names the build."""
    handover: str
    """Where to put it: a path or URI."""
    environment: Environment
    """Software that the node must have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardMade:
    """A shard that a node has handed over."""

    path: Path
    """Where it belongs, on the machine of the command."""
    handover: str
    """Where it was put: a path or URI."""
    host: str
    """Name of the node."""
    sha256: str = ""
    """SHA-256 of the file that the node wrote; empty where it wrote none."""
    rows: int = 0
    faults: tuple[Fault, ...] = ()
    """Photos that this node could not read; there is no shard then."""


def write_all_scenes(engine: Engine, site: BuildSite, jobs: Sequence[SceneJob]) -> Iterator[tuple[int, list[Fault]]]:
    """``write_scenes`` of every job; on a cluster, into the disk of whichever node runs it.

    There the second pass makes the scenes that its own node lacks, so that this one only shares that work out, and
    tells the faults of all photos before any row is rendered.
    """
    if engine.choice.is_cluster:
        yield from engine.run(partial(_write_node_scenes, site.key, site.environment), jobs)
    else:
        yield from engine.run(write_scenes, jobs)


def write_all_shards(engine: Engine, site: BuildSite, jobs: Sequence[ShardJob]) -> Iterator[int]:
    """``write_shard`` of every job; from a cluster, shards are taken in as they come. Yields the rows of each.

    Raises:
        DataError: with every photo that a node could not read.
        UsageError: if a node has other software, or put a shard where this machine does not find it.
        ServiceError: if staging fails, or a shard is not what its node handed over.
    """
    if not engine.choice.is_cluster:
        yield from engine.run(write_shard, jobs)
        return
    missing = []
    for number, job in enumerate(jobs):
        if job.path.exists():
            yield len(job.rows)
        else:
            missing.append(number)
    faults: set[Fault] = set()
    node_jobs = LazyJobs(lambda number: _node_job(site, jobs[missing[number]]), len(missing))
    for made in engine.run(write_node_shard, node_jobs):
        faults.update(made.faults)
        if not made.faults:
            _take_in(made)
            yield made.rows
    if faults:
        raise DataError(faults)
    _clear_handed_over(site)
    engine.run_everywhere(_clear_scratch, site.key)


def _clear_handed_over(site: BuildSite) -> None:
    """Delete what nodes that were lost had begun to hand over; every shard is here."""
    clear_unfinished(site.folder)
    staging = local_path(site.staging) if site.staging else None
    if staging is not None:
        for leftover in staging.glob(f".{site.handover_prefix}*.partial"):
            leftover.unlink(missing_ok=True)


def write_node_shard(job: NodeShardJob) -> ShardMade:
    """Make a shard on this node, with the scenes that this node lacks, and hand it over whole."""
    folder = _scratch(job.key, job.environment)
    made = ShardMade(path=job.shard.path, handover=job.handover, host=socket.gethostname())
    _, faults = write_scenes(replace(job.scenes, folder=folder))
    if faults:
        return replace(made, faults=tuple(faults))
    with tempfile.TemporaryDirectory(dir=folder) as own:
        path = Path(own, job.shard.path.name)
        rows = write_shard(replace(job.shard, path=path, scenes=folder))
        copy_to(path, job.handover)
        return replace(made, rows=rows, sha256=file_sha256(path))


def _write_node_scenes(key: str, wanted: Environment, job: SceneJob) -> tuple[int, list[Fault]]:
    return write_scenes(replace(job, folder=_scratch(key, wanted)))


def _node_job(site: BuildSite, shard: ShardJob) -> NodeShardJob:
    rows = shard.rows_to_render()
    objects = sorted({name for row in rows for name in (row.object_id, row.ground_id) if name})
    textures = sorted({row.texture_id for row in rows if row.texture_id})
    scenes = SceneJob(
        objects=tuple(shard.objects[name] for name in objects),
        textures=tuple(site.textures[name] for name in textures),
        sources=site.sources,
        recipe=shard.recipe,
        rules=shard.rules,
        folder=shard.scenes,
    )
    return NodeShardJob(
        shard=shard, scenes=scenes, key=site.key, handover=site.handover(shard.path), environment=site.environment
    )


def _scratch(key: str, wanted: Environment) -> Path:
    """This node's folder for the scenes of a build.

    Raises:
        UsageError: if the node has other software than the machine of the command.
    """
    if wanted != _environment():
        differs = "; ".join(environment_differences(wanted, _environment())) or "another figureground"
        raise UsageError(f"node {socket.gethostname()} could make other bytes: {differs}; give all nodes one image")
    return machine_scratch(key)


@cache
def _environment() -> Environment:
    return environment()


def _clear_scratch(key: str) -> None:
    shutil.rmtree(machine_scratch(key), ignore_errors=True)


def _take_in(made: ShardMade) -> None:
    """Bring a shard to where it belongs, and make sure that it is the one that its node made."""
    staged = local_path(made.handover)
    if staged is not None and not _appears(staged):
        raise UsageError(
            f"{made.host} wrote {made.handover}, which is not here: put it on a disk that all nodes share, or name a "
            "folder or URI that they all reach with --ray-staging"
        )
    if staged != made.path:
        fetch(made.handover, made.path)
        remove(made.handover)
    got = file_sha256(made.path)
    if got != made.sha256:
        made.path.unlink()
        raise ServiceError(f"{made.handover}: {made.host} wrote SHA-256 {made.sha256}, here it has {got}; run again")


def _appears(path: Path) -> bool:
    until = time.monotonic() + _APPEARS_SECONDS
    while not path.exists() and time.monotonic() < until:
        time.sleep(0.5)
    return path.exists()
