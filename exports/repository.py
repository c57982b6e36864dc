"""The dataset repository: plan, scenes, shards, card and manifest in one folder that appears whole or not at all."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import yaml

from figureground.build.coverage import ClassCoverage, class_coverage
from figureground.build.engine import run_jobs
from figureground.build.gates import (
    AttributeFrequency,
    GateFinding,
    attribute_frequencies,
    check_gates,
    require_no_errors,
)
from figureground.build.plan import Plan, make_plan, write_plan
from figureground.build.scenes import SceneJob, write_scenes
from figureground.build.selection import Refusal
from figureground.errors import DataError, Fault, UsageError
from figureground.exports.card import render_card
from figureground.exports.contact_sheet import write_contact_sheet
from figureground.exports.lock import make_lock
from figureground.exports.shards import ROWS_PER_SHARD, ShardJob, write_shard
from figureground.schemas.attributes import AttributeSchema
from figureground.schemas.classes import ClassMap
from figureground.schemas.features import dataset_features
from figureground.schemas.files import csv_text, file_sha256, write_text
from figureground.schemas.processes import default_workers
from figureground.schemas.recipes import Recipe, RuleName, RuleSet
from figureground.schemas.records import ObjectRecord, PhotoRef, canonical_json
from figureground.schemas.releases import LeftOut, blind_name, write_release
from figureground.schemas.workspace import SourceRow

if TYPE_CHECKING:
    from datasets import Features

Item = TypeVar("Item")
Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total)."""

MANIFEST: Final = "manifest.json"
OBJECTS: Final = "objects.parquet"
"""The objects of the rows with their masks in stored pixels: what rebuilding needs beside plan and photos."""
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
    textures: tuple[PhotoRef, ...] = ()
    """Photos of the source that the recipe takes textures from."""
    rules: RuleName = "exact"
    draws: int = 1
    workers: int = field(default_factory=default_workers)
    """Processes; never changes a byte."""


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


def build_dataset(request: BuildRequest, folder: Path, *, progress: Progress = lambda *_: None) -> BuildReport:
    """Build a dataset repository in ``folder``; killed and called again, it goes on where it was.

    Raises:
        UsageError: if ``folder`` holds anything else than this very build.
        DataError: with every photo at fault; finished shards are kept for the next call.
    """
    plan = make_plan(
        request.records, request.recipe, request.classes,
        attributes=request.attributes, textures=request.textures, rules=request.rules, draws=request.draws,
    )  # fmt: skip
    findings = check_gates(plan, request.recipe, request.classes, request.attributes)
    require_no_errors(findings)
    lock = make_lock(plan, request.recipe, request.rules, request.records, draws=request.draws)
    lock["release"] = {"version": request.release_version, "sha256": request.release_sha256}
    if folder.exists():
        _require_same_build(folder, lock)
        return _report(folder, plan, findings, reused=True)
    make_repository(request, plan, findings, lock, folder, progress=progress)
    return _report(folder, plan, findings, reused=False)


def make_repository(
    request: BuildRequest, plan: Plan, findings: Sequence[GateFinding], lock: dict[str, Any], folder: Path, *,
    progress: Progress, finish: Callable[[Path], None] = lambda _: None,
) -> None:  # fmt: skip
    """Render a plan into ``folder``, which appears when it is whole.

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
    _render(request, plan, partial, progress)
    _write_papers(request, plan, findings, lock, partial)
    finish(partial)
    shutil.rmtree(partial / _SCRATCH)
    (partial / _KEY).unlink()
    _write_manifest(partial)
    partial.replace(folder)


def _build_key(plan: Plan, lock: Mapping[str, Any], request: BuildRequest) -> str:
    digest = hashlib.sha256(canonical_json(lock).encode())
    digest.update(request.recipe.model_dump_json().encode())
    digest.update(request.classes.model_dump_json().encode())
    for row in plan.rows:
        digest.update(repr((row.key, row.seed, row.ground_id, row.params)).encode())
    return digest.hexdigest()


def _require_same_build(folder: Path, lock: Mapping[str, Any]) -> None:
    try:
        found = json.loads((folder / "recipe.lock.json").read_text(encoding="utf-8"))
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


def _render(request: BuildRequest, plan: Plan, partial: Path, progress: Progress) -> None:
    rules = request.recipe.rules[request.rules]
    scratch = partial / _SCRATCH
    job = SceneJob(
        candidates=(), textures=(), sources=request.sources, recipe=request.recipe, rules=rules, folder=scratch
    )
    scene_jobs = [
        *(replace(job, candidates=part) for part in _batched(list(plan.candidates.values()))),
        *(replace(job, textures=part) for part in _batched(list(plan.textures.values()))),
    ]
    faults: list[Fault] = []
    done = 0
    for count, found in run_jobs(write_scenes, scene_jobs, workers=request.workers):
        done += count
        faults += found
        progress("photos", done, len(plan.candidates) + len(plan.textures))
    if faults:
        raise DataError(faults)
    jobs = list(_shard_jobs(request, plan, rules, partial))
    done = 0
    for count in run_jobs(write_shard, jobs, workers=request.workers):
        done += count
        progress("rows", done, len(plan.rows))


def _batched(items: Sequence[Item]) -> Iterator[tuple[Item, ...]]:
    for start in range(0, len(items), _PHOTOS_PER_JOB):
        yield tuple(items[start : start + _PHOTOS_PER_JOB])


def _shard_jobs(request: BuildRequest, plan: Plan, rules: RuleSet, partial: Path) -> Iterator[ShardJob]:
    schema = _features(request, plan).arrow_schema
    for (config, split), grouped in groupby(plan.rows, key=lambda row: (row.variant, row.split)):
        rows = tuple(grouped)
        count = -(-len(rows) // ROWS_PER_SHARD)
        for index in range(count):
            part = rows[index * ROWS_PER_SHARD : (index + 1) * ROWS_PER_SHARD]
            used = {name for row in part for name in (row.object_id, row.ground_id) if name}
            yield ShardJob(
                path=partial / "data" / config / f"{split}-{index:05d}-of-{count:05d}.parquet",
                rows=part,
                candidates={name: plan.candidates[name] for name in sorted(used)},
                recipe=request.recipe,
                rules=rules,
                mask_version=request.release_version,
                scenes=partial / _SCRATCH,
                schema=schema,
            )


def _features(request: BuildRequest, plan: Plan) -> Features:
    """Attributes are those of the recipe's schema in its order, then what else people were asked for."""
    taken = [candidate.record for candidate in plan.candidates.values()]
    others = {name for record in taken for name in record.attributes} - set(request.attributes.names())
    names = [*request.attributes.names(), *sorted(others)]
    return dataset_features(request.classes, names, pixels=request.recipe.pixels)


def _write_papers(
    request: BuildRequest, plan: Plan, findings: Sequence[GateFinding], lock: dict[str, Any], partial: Path
) -> None:
    """Everything beside the shards but the manifest."""
    recipe = request.recipe
    rows = Counter((row.variant, row.split) for row in plan.rows)
    shards = {
        name: {
            split: sorted((partial / "data" / name).glob(f"{split}-*.parquet"))
            for split in recipe.split_names
            if rows[name, split]
        }
        for name in recipe.variants
        if any(rows[name, split] for split in recipe.split_names)
    }
    sizes = {
        name: {split: (sum(file.stat().st_size for file in found), rows[name, split]) for split, found in parts.items()}
        for name, parts in shards.items()
    }
    write_text(partial / "README.md", render_card(recipe, lock, features=_features(request, plan), shard_sizes=sizes))
    write_text(partial / "evaluate.py", (files("figureground.exports") / "evaluate.py").read_text(encoding="utf-8"))
    write_text(partial / "class_map.json", json.dumps(request.classes.model_dump(mode="json"), indent=1) + "\n")
    portable = recipe.model_copy(update={"class_map": "class_map.json"})
    if request.attributes.attributes:
        portable = portable.model_copy(update={"attributes": "attributes.yaml"})
        text = yaml.safe_dump(request.attributes.model_dump(mode="json"), sort_keys=False)
        write_text(partial / "attributes.yaml", text)
    write_text(partial / "recipe.yaml", yaml.safe_dump(portable.model_dump(mode="json"), sort_keys=False))
    write_text(partial / "recipe.lock.json", json.dumps(lock, indent=1, sort_keys=True) + "\n")
    blinded = [blind_name(candidate.record) for candidate in plan.candidates.values()]
    write_release(partial / OBJECTS, blinded, version=request.release_version)
    (partial / "report").mkdir(exist_ok=True)
    write_plan(plan, partial / "report" / "plan.parquet")
    write_text(partial / "report" / "refused.csv", csv_text(Refusal, plan.refusals))
    write_text(partial / "report" / "gates.json", json.dumps([asdict(each) for each in findings], indent=1) + "\n")
    if request.attributes.attributes:
        frequencies = attribute_frequencies(plan, request.classes, request.attributes)
        write_text(partial / "report" / "attributes.csv", csv_text(AttributeFrequency, frequencies))
    coverage = class_coverage(plan, request.classes, request.left_out)
    write_text(partial / "report" / "coverage.csv", csv_text(ClassCoverage, coverage))
    if recipe.pixels:
        first_shards = {name: list(parts.values())[-1][0] for name, parts in shards.items()}
        write_contact_sheet(partial / "report" / "contact_sheet.png", first_shards, request.classes.names)


def _write_manifest(partial: Path) -> None:
    """SHA-256 of every other file."""
    found = sorted(path for path in partial.rglob("*") if path.is_file() and path.name != MANIFEST)
    hashed = {path.relative_to(partial).as_posix(): file_sha256(path) for path in found}
    write_text(partial / MANIFEST, json.dumps({"schema": "1", "sha256": hashed}, indent=1, sort_keys=True) + "\n")


def _report(folder: Path, plan: Plan, findings: Sequence[GateFinding], *, reused: bool) -> BuildReport:
    return BuildReport(
        folder=folder,
        rows=len(plan.rows),
        objects=len(plan.candidates),
        balanced=plan.balanced,
        class_counts=plan.class_counts,
        splits=dict(Counter(plan.splits.values())),
        refused=dict(sorted(Counter(refusal.reason for refusal in plan.refusals).items())),
        warnings=tuple(map(str, findings)),
        reused=reused,
    )
