"""The dataset repository: plan, scenes, shards, card and manifest in one folder that appears whole or not at all."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from figureground.build.painting.scene_files import SceneJob
from figureground.build.planning.gates import GateFinding, check_gates, require_no_errors
from figureground.build.planning.plan import Plan, make_plan
from figureground.errors import DataError, Fault, UsageError
from figureground.exports.dataset.cluster_shards import BuildPlace, write_all_scenes, write_all_shards
from figureground.exports.dataset.earlier import describe_earlier, find_earlier_rows
from figureground.exports.dataset.earlier_rows import RENDER, EarlierRows
from figureground.exports.dataset.files import LOCK
from figureground.exports.dataset.lock import make_lock
from figureground.exports.dataset.metadata import plan_features, write_manifest, write_papers
from figureground.exports.dataset.shards import ROWS_PER_SHARD, ShardJob
from figureground.runtime.engines import EngineChoice
from figureground.runtime.files import write_text
from figureground.runtime.pools import Engine, LazyJobs, open_engine
from figureground.runtime.processes import default_workers
from figureground.runtime.progress import Progress
from figureground.schemas.attributes import AttributeSchema
from figureground.schemas.classes import ClassMap
from figureground.schemas.recipes import Recipe, RuleName, RuleSet
from figureground.schemas.records import ObjectRecord, PhotoRef, PlanRow, SourceRow, canonical_json
from figureground.schemas.store.releases import LeftOut

Item = TypeVar("Item")

_PHOTOS_PER_JOB: Final = 16
_SCRATCH: Final = ".scenes"
_KEY: Final = ".build-key"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """Everything that decides the bytes of a dataset repository, and how fast it is made."""

    recipe: Recipe
    classes: ClassMap
    attributes: AttributeSchema
    records: tuple[ObjectRecord, ...]
    release_version: str
    release_sha256: str
    sources: Mapping[str, SourceRow]
    left_out: LeftOut = field(default_factory=dict)
    """Catalogued photos that are not in the release."""
    annotation: Mapping[str, Any] = field(default_factory=dict)
    """How the release's masks came about, in numbers."""
    textures: tuple[PhotoRef, ...] = ()
    """Photos of the source that the recipe takes textures from."""
    earlier: Path | None = None
    """Dataset repository that this is the next version of: its rows are copied where they did not change, and the
    changelog goes on from its own. Never changes a row."""
    changelog: tuple[Mapping[str, Any], ...] = ()
    """Changelog so far, where it is not that of ``earlier``."""
    rules: RuleName = "exact"
    draws: int = 1
    workers: int = field(default_factory=default_workers)
    """Processes; never changes a byte."""
    engine: EngineChoice = field(default_factory=EngineChoice)
    """Where the work runs; never changes a byte."""

    def __post_init__(self) -> None:
        """Refuse what cannot be made.

        Raises:
            UsageError: for an earlier version on a cluster.
        """
        if self.earlier is not None and self.engine.is_cluster:
            raise UsageError("--earlier copies rows from a folder of this machine, which a cluster may not see")


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildReport:
    """What a build made."""

    folder: Path
    rows: int
    objects: int
    balanced: bool
    class_counts: Mapping[str, int]
    splits: Mapping[str, int]
    """Split to number of objects."""
    refused: Mapping[str, int]
    """Reason to number of objects left out."""
    warnings: tuple[str, ...]
    """What the gates found that is no error, one line each."""
    reused: bool
    """True where the very same build was there already."""
    copied: int = 0
    """Rows whose pixels are an earlier version's."""


def build_dataset(request: BuildRequest, folder: Path, *, progress: Progress = lambda *_: None) -> BuildReport:
    """Build a dataset repository in ``folder``; killed and called again, it goes on where it was.

    Raises:
        UsageError: if ``folder`` holds anything else than this very build.
        DataError: with every photo at fault; finished shards are kept for the next call.
    """
    plan = make_plan(
        request.records,
        request.recipe,
        request.classes,
        attributes=request.attributes,
        textures=request.textures,
        rules=request.rules,
        draws=request.draws,
    )
    findings = check_gates(plan, request.recipe, request.classes, request.attributes)
    require_no_errors(findings)
    lock = make_lock(plan, request.recipe, request.rules, request.records, sources=request.sources, draws=request.draws)
    lock["release"] = {"version": request.release_version, "sha256": request.release_sha256}
    if request.annotation:
        lock["annotation"] = dict(request.annotation)
    if request.earlier is not None:
        lock["follows"] = describe_earlier(request.earlier)
    if folder.exists():
        _require_same_build(folder, lock)
        return _report(folder, plan, findings, reused=True)
    copied = make_repository(request, plan, findings, lock, folder, progress=progress)
    return replace(_report(folder, plan, findings, reused=False), copied=copied)


def make_repository(
    request: BuildRequest,
    plan: Plan,
    findings: Sequence[GateFinding],
    lock: dict[str, Any],
    folder: Path,
    *,
    progress: Progress,
    finish: Callable[[Path], None] = lambda _: None,
) -> int:
    """Render a plan into ``folder``, which appears when it is whole; returns how many rows an earlier version had.

    Args:
        request: What the plan was made of, and where the photos lie.
        plan: The rows.
        findings: What the gates found.
        lock: Content of recipe.lock.json.
        folder: The repository.
        progress: Called with (stage, done, total).
        finish: Called with the unfinished folder before its manifest is written; may check it, and write to report/.

    Raises:
        DataError: with every photo at fault; finished shards are kept for the next call.
    """
    partial = folder.with_name(f"{folder.name}.partial")
    _resume_or_start(partial, _build_key(plan, lock, request))
    copied = _render(request, plan, partial, progress)
    write_papers(request, plan, findings, lock, partial)
    finish(partial)
    shutil.rmtree(partial / _SCRATCH)
    (partial / _KEY).unlink()
    write_manifest(partial)
    partial.replace(folder)
    return copied


def _build_key(plan: Plan, lock: Mapping[str, Any], request: BuildRequest) -> str:
    digest = hashlib.sha256(canonical_json(lock).encode())
    digest.update(request.recipe.model_dump_json().encode())
    digest.update(request.classes.model_dump_json().encode())
    for row in plan.rows:
        digest.update(repr((row.key, row.seed, row.ground_id, row.params)).encode())
    return digest.hexdigest()


def _require_same_build(folder: Path, lock: Mapping[str, Any]) -> None:
    try:
        found = json.loads((folder / LOCK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if found != json.loads(json.dumps(lock)):
        raise UsageError(f"{folder} exists and is not this build; give another folder with -o, or delete it")


def _resume_or_start(partial: Path, key: str) -> None:
    """Keep what an interrupted run of the same build left; throw away what another one did."""
    marker = partial / _KEY
    if partial.exists() and (not marker.exists() or marker.read_text() != key):
        shutil.rmtree(partial)
    for unfinished in partial.rglob(".*.partial"):
        unfinished.unlink()
    (partial / _SCRATCH).mkdir(parents=True, exist_ok=True)
    write_text(marker, key)


def _render(request: BuildRequest, plan: Plan, partial: Path, progress: Progress) -> int:
    """Write every shard; returns how many rows were copied from an earlier version."""
    rules = request.recipe.rules[request.rules]
    earlier = {}
    if request.earlier is not None:
        earlier = find_earlier_rows(request.earlier, plan, request.recipe, request.rules)
    jobs = _shard_jobs(request, plan, rules, partial, earlier)
    place = BuildPlace(
        key=(partial / _KEY).read_text(encoding="utf-8"),
        folder=partial,
        sources=request.sources,
        textures=plan.textures,
        staging=request.engine.staging,
    )
    with open_engine(request.engine, workers=request.workers) as engine:
        rows = chain.from_iterable(job.rows_to_render() for job in jobs)
        _make_scenes(request, plan, rows, engine, place, progress)
        done = 0
        for count in write_all_shards(engine, place, jobs):
            done += count
            progress("rows", done, len(plan.rows))
    return sum(place != RENDER for rows in earlier.values() for place in rows.places)


def _make_scenes(
    request: BuildRequest, plan: Plan, rows: Iterable[PlanRow], engine: Engine, place: BuildPlace, progress: Progress
) -> None:
    """Decode every photo that ``rows`` show."""
    objects, textures = set[str](), set[str]()
    for row in rows:
        objects.update((row.object_id, row.ground_id))
        textures.add(row.texture_id)
    job = SceneJob(
        objects=(),
        textures=(),
        sources=request.sources,
        recipe=request.recipe,
        rules=request.recipe.rules[request.rules],
        folder=place.folder / _SCRATCH,
    )
    shown = [each for name, each in plan.objects.items() if name in objects]
    taken = [each for name, each in plan.textures.items() if name in textures]
    scene_jobs = [
        *(replace(job, objects=part) for part in _batched(shown)),
        *(replace(job, textures=part) for part in _batched(taken)),
    ]
    faults: list[Fault] = []
    done = 0
    for count, found in write_all_scenes(engine, place, scene_jobs):
        done += count
        faults += found
        progress("photos", done, len(shown) + len(taken))
    if faults:
        raise DataError(faults)


def _batched(items: Sequence[Item]) -> Iterator[tuple[Item, ...]]:
    for start in range(0, len(items), _PHOTOS_PER_JOB):
        yield tuple(items[start : start + _PHOTOS_PER_JOB])


def _shard_jobs(
    request: BuildRequest, plan: Plan, rules: RuleSet, partial: Path, earlier: Mapping[tuple[str, str], EarlierRows]
) -> Sequence[ShardJob]:
    schema = plan_features(request, plan).arrow_schema
    # Large ones first, or the last one to begin keeps one worker busy while the others wait.
    parts = sorted(_shard_parts(plan), key=lambda part: part.start - part.stop)

    def make(place: int) -> ShardJob:
        part = parts[place]
        known = earlier.get((part.config, part.split))
        rows = tuple(plan.rows[part.first + part.start : part.first + part.stop])
        used = {name for row in rows for name in (row.object_id, row.ground_id) if name}
        return ShardJob(
            path=partial / "data" / part.config / part.file_name,
            rows=rows,
            objects={name: plan.objects[name] for name in sorted(used)},
            recipe=request.recipe,
            rules=rules,
            mask_version=request.release_version,
            scenes=partial / _SCRATCH,
            schema=schema,
            earlier=known.part(part.start, part.stop) if known else None,
        )

    return LazyJobs(make, len(parts))


class _ShardPart(NamedTuple):
    """Which rows of a plan are one shard."""

    config: str
    split: str
    file_name: str
    first: int
    """Place in the plan of the first row of this config and split."""
    start: int
    """First row of the shard, counted from there."""
    stop: int


def _shard_parts(plan: Plan) -> Iterator[_ShardPart]:
    first = 0
    for (config, split), length in plan.lengths():
        count = -(-length // ROWS_PER_SHARD)
        for index in range(count):
            name = f"{split}-{index:05d}-of-{count:05d}.parquet"
            start, stop = index * ROWS_PER_SHARD, min((index + 1) * ROWS_PER_SHARD, length)
            yield _ShardPart(config, split, name, first, start, stop)
        first += length


def _report(folder: Path, plan: Plan, findings: Sequence[GateFinding], *, reused: bool) -> BuildReport:
    return BuildReport(
        folder=folder,
        rows=len(plan.rows),
        objects=len(plan.objects),
        balanced=plan.balanced,
        class_counts=plan.class_counts,
        splits=dict(Counter(plan.splits.values())),
        refused=dict(sorted(Counter(refusal.reason for refusal in plan.refusals).items())),
        warnings=tuple(map(str, findings)),
        reused=reused,
    )
