"""The dataset repository: plan, scenes, shards, card and manifest in one folder that appears whole or not at all."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from figureground.build.painting.scene_files import SceneJob
from figureground.build.planning.crossing import CrossedSet
from figureground.build.planning.plan import Plan
from figureground.build.planning.unmapped import misspelt_labels, unmapped_labels
from figureground.errors import DataError, Fault, UsageError, listed, shell_word
from figureground.exports.dataset.cluster_shards import BuildSite, write_all_scenes, write_all_shards
from figureground.exports.dataset.earlier import RENDER, ConfigSplit, EarlierRows, find_earlier_rows
from figureground.exports.dataset.files import LOCK, MANIFEST, ShardName
from figureground.exports.dataset.inputs import BuildRequest
from figureground.exports.dataset.lock import read_lock
from figureground.exports.dataset.locked.differences import build_differences, recipe_there
from figureground.exports.dataset.manifest import write_manifest
from figureground.exports.dataset.metadata import plan_features, write_metadata
from figureground.exports.dataset.planned import PlannedBuild, plan_build
from figureground.exports.dataset.shards import ROWS_PER_SHARD, ShardJob
from figureground.runtime.folders import MARK, settle, unfinished_folder
from figureground.runtime.pools import Engine, LazyJobs, open_engine
from figureground.runtime.progress import Progress
from figureground.schemas.recipes import Balance
from figureground.schemas.records import PlanRow

Item = TypeVar("Item")

_PHOTOS_PER_JOB: Final = 16
_SCRATCH: Final = ".scenes"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildReport:
    """What a build made."""

    folder: Path
    rows: int
    objects: int
    """Objects that rows are of."""
    balanced: bool
    """Whether every class that has objects has equally many."""
    unbalanced: str
    """Why they have not; empty where they have."""
    class_counts: Mapping[str, int]
    """Class name to number of objects."""
    splits: Mapping[str, int]
    """Split to number of objects."""
    refused: Mapping[str, int]
    """Reason to number of objects left out."""
    unmapped: Mapping[str, int]
    """Label that is in no class of the class map to number of objects left out, the most first."""
    misspelt: Mapping[str, str]
    """Such a label to the one of the class map that it is nearly, and that no object has."""
    warnings: tuple[str, ...]
    """Findings of the gates that are no errors, and a licence that the earlier version had; a line for each."""
    reused: bool
    """True where the very same build was there already."""
    copied: int = 0
    """Rows whose pixels are an earlier version's."""
    crossed: tuple[CrossedSet, ...] = ()
    """What became of crossed grounds, by variant and split."""


def build_dataset(request: BuildRequest, folder: Path, *, progress: Progress = lambda *_: None) -> BuildReport:
    """Build a dataset repository in ``folder``; killed and called again, it goes on where it was.

    Raises:
        UsageError: if ``folder`` holds anything else than this very build, or is being built by another command.
        DataError: with every photo at fault; finished shards are kept for the next call.
    """
    build = plan_build(request)
    if folder.exists():
        require_same_build(folder, build)
        settle(folder)
        return _report(folder, build, reused=True)
    copied = make_repository(build, folder, progress=progress)
    return _report(folder, build, copied=copied)


def make_repository(
    build: PlannedBuild, folder: Path, *, progress: Progress, finish: Callable[[Path], None] = lambda _: None
) -> int:
    """Render a build into ``folder``, which appears when it is whole; returns how many rows an earlier version had.

    Args:
        build: The rows, and what they are made of.
        folder: The repository.
        progress: Called with (stage, done, total).
        finish: Called with the unfinished folder before its manifest is written; may check it, and write to report/.

    Raises:
        DataError: with every photo at fault; finished shards are kept for the next call.
    """
    with unfinished_folder(folder, build.key(), "build", keeps=True) as partial:
        (partial / _SCRATCH).mkdir(exist_ok=True)
        copied = _render(build, partial, progress)
        write_metadata(build, partial)
        finish(partial)
        shutil.rmtree(partial / _SCRATCH)
        write_manifest(partial)
    return copied


def require_same_build(folder: Path, build: PlannedBuild) -> None:
    """Check that a folder holds this very build, whole.

    Raises:
        UsageError: if it holds anything else, with what differs.
    """
    remedy = "give another folder with -o, or delete it"
    try:
        there = read_lock(folder / LOCK)
        if there == build.lock:
            differing = []
        else:
            differing = build_differences(there, build.lock, (recipe_there(folder), build.request.design.recipe))
    except (UsageError, DataError):
        raise UsageError(f"{folder} exists and is no dataset; {remedy}") from None
    if not differing and not (folder / MANIFEST).is_file():
        differing = [f"it has no {MANIFEST}"]
    if differing:
        raise UsageError(f"{folder} exists and is not this build, which differs in: {listed(differing)}; {remedy}")


def _render(build: PlannedBuild, partial: Path, progress: Progress) -> int:
    """Write every shard; returns how many rows were copied from an earlier version."""
    request, plan = build.request, build.plan
    partial = partial.absolute()  # a node of a cluster works in a folder of its own
    earlier = {}
    if request.history.earlier is not None:
        earlier = find_earlier_rows(request.history.earlier.absolute(), plan, request.design)
    jobs = _shard_jobs(request, plan, partial, earlier)
    machines = request.machines
    site = BuildSite(
        key=(partial / MARK).read_text(encoding="utf-8"),
        folder=partial,
        sources=request.photos.sources,
        textures=plan.textures,
        staging=machines.engine.staging,
    )
    with open_engine(machines.engine, workers=machines.workers) as engine:
        rows = chain.from_iterable(job.rows_to_render() for job in jobs)
        _make_scenes(build, rows, engine, site, progress)
        done = 0
        for count in write_all_shards(engine, site, jobs):
            done += count
            progress("rows", done, len(plan.rows))
    return sum(index != RENDER for rows in earlier.values() for index in rows.indices)


def _make_scenes(
    build: PlannedBuild, rows: Iterable[PlanRow], engine: Engine, site: BuildSite, progress: Progress
) -> None:
    """Decode every photo that ``rows`` show."""
    design, plan = build.request.design, build.plan
    object_ids, texture_ids = set[str](), set[str]()
    for row in rows:
        object_ids.update((row.object_id, row.ground_id))
        texture_ids.add(row.texture_id)
    empty = SceneJob(
        objects=(),
        textures=(),
        sources=build.request.photos.sources,
        recipe=design.recipe,
        rules=design.rule_set,
        folder=site.folder / _SCRATCH,
    )
    objects = [measured for name, measured in plan.objects.items() if name in object_ids]
    textures = [photo for name, photo in plan.textures.items() if name in texture_ids]
    jobs = [
        *(replace(empty, objects=part) for part in _batched(objects)),
        *(replace(empty, textures=part) for part in _batched(textures)),
    ]
    faults: list[Fault] = []
    done = 0
    for count, job_faults in write_all_scenes(engine, site, jobs):
        done += count
        faults += job_faults
        progress("photos", done, len(objects) + len(textures))
    if faults:
        raise DataError(faults)


def _batched(items: Sequence[Item]) -> Iterator[tuple[Item, ...]]:
    for start in range(0, len(items), _PHOTOS_PER_JOB):
        yield tuple(items[start : start + _PHOTOS_PER_JOB])


def _shard_jobs(
    request: BuildRequest, plan: Plan, partial: Path, earlier: Mapping[ConfigSplit, EarlierRows]
) -> Sequence[ShardJob]:
    design = request.design
    schema = plan_features(request, plan).arrow_schema
    # Large ones first, or the last one to begin keeps one worker busy while the others wait.
    parts = sorted(_shard_parts(plan), key=lambda part: part.start - part.stop)

    def make(number: int) -> ShardJob:
        part = parts[number]
        known = earlier.get((part.name.config, part.name.split))
        rows = tuple(plan.rows[part.first + part.start : part.first + part.stop])
        used = {name for row in rows for name in (row.object_id, row.ground_id) if name}
        return ShardJob(
            path=partial / part.name.path,
            rows=rows,
            objects={name: plan.objects[name] for name in sorted(used)},
            recipe=design.recipe,
            rules=design.rule_set,
            mask_version=request.release.version,
            scenes=partial / _SCRATCH,
            schema=schema,
            earlier=known.part(part.start, part.stop) if known else None,
        )

    return LazyJobs(make, len(parts))


class _ShardPart(NamedTuple):
    """Which rows of a plan are one shard."""

    name: ShardName
    first: int
    """Index in the plan of the first row of this config and split."""
    start: int
    """First row of the shard, counted from there."""
    stop: int
    """The row after its last, counted likewise."""


def _shard_parts(plan: Plan) -> Iterator[_ShardPart]:
    first = 0
    for (config, split), length in plan.lengths():
        count = -(-length // ROWS_PER_SHARD)
        for number in range(count):
            start, stop = number * ROWS_PER_SHARD, min((number + 1) * ROWS_PER_SHARD, length)
            yield _ShardPart(ShardName(config, split, number, count), first, start, stop)
        first += length


def _why_unbalanced(plan: Plan, balance: Balance) -> str:
    filled = {name: count for name, count in plan.class_counts.items() if count}
    name = min(filled, key=lambda name: filled[name])
    if balance.per_class == "all":
        return "all objects of every class were asked for"
    if balance.per_class == "smallest":
        return f"{name} has {filled[name]}, fewer than the recipe's min_per_class {balance.min_per_class}"
    return f"{name} has {filled[name]}, fewer than {balance.per_class}"


def _report(folder: Path, build: PlannedBuild, *, reused: bool = False, copied: int = 0) -> BuildReport:
    plan = build.plan
    unmapped = unmapped_labels(plan)
    return BuildReport(
        folder=folder,
        rows=len(plan.rows),
        objects=len(plan.objects),
        balanced=plan.balanced,
        unbalanced="" if plan.balanced else _why_unbalanced(plan, build.request.design.recipe.balance),
        class_counts=plan.class_counts,
        splits=dict(Counter(plan.splits.values())),
        refused=dict(sorted(Counter(refusal.reason for refusal in plan.refusals).items())),
        unmapped=unmapped,
        misspelt=misspelt_labels(unmapped, build.request.release.records, build.request.design.classes),
        warnings=(*map(str, build.findings), *_warn_of_licence(build.request)),
        reused=reused,
        copied=copied,
        crossed=plan.crossed,
    )


def _warn_of_licence(request: BuildRequest) -> Iterator[str]:
    """A line where the earlier version had a licence and this one has none."""
    earlier = request.history.earlier
    if earlier is None or request.design.recipe.licence:
        return
    if before := recipe_there(earlier).licence:
        again = f"build it again into another folder with --licence {shell_word(before)}"
        yield f"warning: licence: {earlier} had {before!r}, and this version has none; to keep it, {again}"
