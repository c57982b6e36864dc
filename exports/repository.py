"""The dataset repository: plan, scenes, shards, card and manifest in one folder that appears whole or not at all."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import yaml

from figureground.build.engine import run_jobs
from figureground.build.plan import Plan, make_plan, write_plan
from figureground.build.scenes import SceneJob, write_scenes
from figureground.errors import DataError, Fault, UsageError
from figureground.exports.card import render_card
from figureground.exports.contact_sheet import write_contact_sheet
from figureground.exports.lock import make_lock
from figureground.exports.shards import ROWS_PER_SHARD, ShardJob, write_shard
from figureground.schemas.classes import ClassMap
from figureground.schemas.features import dataset_features
from figureground.schemas.files import file_sha256, write_text
from figureground.schemas.processes import default_workers
from figureground.schemas.recipes import Recipe, RuleName, RuleSet
from figureground.schemas.records import ObjectRecord, canonical_json
from figureground.schemas.workspace import SourceRow

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total)."""

_OBJECTS_PER_JOB: Final = 16
_SCRATCH: Final = ".scenes"
_KEY: Final = ".build-key"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """Everything that decides the bytes of a dataset repository, and how fast it is made."""

    recipe: Recipe
    classes: ClassMap
    records: tuple[ObjectRecord, ...]
    release_version: str
    release_sha256: str
    sources: Mapping[str, SourceRow]
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
    refused: Mapping[str, int]
    """Reason to number of objects left out."""
    reused: bool
    """True where the very same build was there already."""


def build_dataset(request: BuildRequest, folder: Path, *, progress: Progress = lambda *_: None) -> BuildReport:
    """Build a dataset repository in ``folder``; killed and called again, it goes on where it was.

    Raises:
        UsageError: if ``folder`` holds anything else than this very build.
        DataError: with every photo at fault; finished shards are kept for the next call.
    """
    plan = make_plan(request.records, request.recipe, request.classes, rules=request.rules, draws=request.draws)
    lock = make_lock(plan, request.recipe, request.rules, request.records, draws=request.draws)
    lock["release"] = {"version": request.release_version, "sha256": request.release_sha256}
    key = _build_key(plan, lock, request)
    if folder.exists():
        _require_same_build(folder, lock)
        return _report(folder, plan, reused=True)
    partial = folder.with_name(f"{folder.name}.partial")
    _resume_or_start(partial, key)
    _render(request, plan, partial, progress)
    _write_papers(request, plan, lock, partial)
    shutil.rmtree(partial / _SCRATCH)
    (partial / _KEY).unlink()
    partial.replace(folder)
    return _report(folder, plan, reused=False)


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
    candidates = tuple(plan.candidates.values())
    scene_jobs = [
        SceneJob(
            candidates=candidates[start : start + _OBJECTS_PER_JOB],
            sources=request.sources,
            recipe=request.recipe,
            rules=rules,
            folder=scratch,
        )
        for start in range(0, len(candidates), _OBJECTS_PER_JOB)
    ]
    faults: list[Fault] = []
    done = 0
    for count, found in run_jobs(write_scenes, scene_jobs, workers=request.workers):
        done += count
        faults += found
        progress("photos", done, len(candidates))
    if faults:
        raise DataError(faults)
    jobs = list(_shard_jobs(request, plan, rules, partial))
    done = 0
    for count in run_jobs(write_shard, jobs, workers=request.workers):
        done += count
        progress("rows", done, len(plan.rows))


def _shard_jobs(request: BuildRequest, plan: Plan, rules: RuleSet, partial: Path) -> Iterator[ShardJob]:
    schema = dataset_features(request.classes, _attribute_names(request.records)).arrow_schema
    for config, grouped in groupby(plan.rows, key=lambda row: row.variant):
        rows = tuple(grouped)
        count = -(-len(rows) // ROWS_PER_SHARD)
        for index in range(count):
            part = rows[index * ROWS_PER_SHARD : (index + 1) * ROWS_PER_SHARD]
            used = {name for row in part for name in (row.object_id, row.ground_id) if name}
            yield ShardJob(
                path=partial / "data" / config / f"{request.recipe.split}-{index:05d}-of-{count:05d}.parquet",
                rows=part,
                candidates={name: plan.candidates[name] for name in sorted(used)},
                recipe=request.recipe,
                rules=rules,
                mask_version=request.release_version,
                scenes=partial / _SCRATCH,
                schema=schema,
            )


def _attribute_names(records: tuple[ObjectRecord, ...]) -> list[str]:
    return sorted({name for record in records for name in record.attributes})


def _write_papers(request: BuildRequest, plan: Plan, lock: dict[str, Any], partial: Path) -> None:
    """Everything beside the shards; the manifest comes last and covers the rest."""
    recipe = request.recipe
    shards = {name: sorted((partial / "data" / name).glob("*.parquet")) for name in recipe.variants}
    rows = Counter(row.variant for row in plan.rows)
    sizes = {name: (sum(file.stat().st_size for file in found), rows[name]) for name, found in shards.items()}
    features = dataset_features(request.classes, _attribute_names(request.records))
    write_text(partial / "README.md", render_card(recipe, lock, features=features, shard_sizes=sizes))
    write_text(partial / "evaluate.py", (files("figureground.exports") / "evaluate.py").read_text(encoding="utf-8"))
    write_text(partial / "class_map.json", json.dumps(request.classes.model_dump(mode="json"), indent=1) + "\n")
    portable = recipe.model_copy(update={"class_map": "class_map.json"})
    write_text(partial / "recipe.yaml", yaml.safe_dump(portable.model_dump(mode="json"), sort_keys=False))
    write_text(partial / "recipe.lock.json", json.dumps(lock, indent=1, sort_keys=True) + "\n")
    (partial / "report").mkdir(exist_ok=True)
    write_plan(plan, partial / "report" / "plan.parquet")
    write_text(partial / "report" / "refused.csv", _refused_csv(plan))
    first_shards = {name: found[0] for name, found in shards.items()}
    write_contact_sheet(partial / "report" / "contact_sheet.png", first_shards, request.classes.names)
    hashed = {
        str(path.relative_to(partial)): file_sha256(path)
        for path in sorted(partial.rglob("*"))
        if path.is_file() and path.name != "manifest.json" and not path.is_relative_to(partial / _SCRATCH)
        if path.name != _KEY
    }
    write_text(
        partial / "manifest.json", json.dumps({"schema": "1", "sha256": hashed}, indent=1, sort_keys=True) + "\n"
    )


def _refused_csv(plan: Plan) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["object_id", "source_label", "reason", "detail"])
    writer.writerows([each.object_id, each.label, each.reason, each.detail] for each in plan.refusals)
    return text.getvalue()


def _report(folder: Path, plan: Plan, *, reused: bool) -> BuildReport:
    return BuildReport(
        folder=folder,
        rows=len(plan.rows),
        objects=len(plan.candidates),
        balanced=plan.balanced,
        class_counts=plan.class_counts,
        refused=dict(sorted(Counter(refusal.reason for refusal in plan.refusals).items())),
        reused=reused,
    )
