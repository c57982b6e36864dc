"""Everything of a dataset repository beside its shards: card, script, recipe, lock, objects, reports, manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from figureground.build.planning.coverage import ClassCoverage, class_coverage
from figureground.build.planning.gates import AttributeFrequency, GateFinding, attribute_frequencies
from figureground.build.planning.plan import Plan
from figureground.build.planning.plan_files import write_plan
from figureground.build.planning.selection import Refusal
from figureground.exports.dataset.card import render_card
from figureground.exports.dataset.changes import compare_versions, extend_changelog
from figureground.exports.dataset.contact_sheet import write_contact_sheet
from figureground.exports.dataset.croissant import make_croissant
from figureground.exports.dataset.files import (
    ATTRIBUTES,
    CHANGELOG,
    CLASS_MAP,
    CROISSANT,
    LOCK,
    MANIFEST,
    OBJECTS,
    PLAN,
    RECIPE,
    REFUSED,
)
from figureground.runtime.files import csv_text, file_sha256, write_text
from figureground.schemas.features import dataset_features
from figureground.schemas.store.releases import blind_name, write_release

if TYPE_CHECKING:
    from datasets import Features

    from figureground.exports.dataset.building import BuildRequest


def plan_features(request: BuildRequest, plan: Plan) -> Features:
    """Attributes are those of the recipe's schema in its order, then what else people were asked for."""
    taken = [candidate.record for candidate in plan.objects.values()]
    others = {name for record in taken for name in record.attributes} - set(request.attributes.names())
    names = [*request.attributes.names(), *sorted(others)]
    return dataset_features(request.classes, names, pixels=request.recipe.pixels)


def write_papers(
    request: BuildRequest, plan: Plan, findings: Sequence[GateFinding], lock: Mapping[str, Any], folder: Path
) -> None:
    """Write all of it but the manifest, beside shards that are there."""
    _write_sources(request, plan, lock, folder)
    _write_reports(request, plan, findings, folder)
    shards = _shards(request, folder)
    flat = {name: [path for found in parts.values() for path in found] for name, parts in shards.items()}
    croissant = make_croissant(request.recipe, request.classes, flat, folder)
    write_text(folder / CROISSANT, json.dumps(croissant, indent=1) + "\n")
    if request.recipe.pixels:
        first_shards = {name: list(parts.values())[-1][0] for name, parts in shards.items()}
        write_contact_sheet(folder / "report" / "contact_sheet.png", first_shards, request.classes.names)
    changelog: Sequence[Mapping[str, Any]] = request.changelog
    if request.earlier is not None:
        changelog = extend_changelog(request.earlier, compare_versions(request.earlier, folder))
    if changelog:
        write_text(folder / CHANGELOG, json.dumps(list(changelog), indent=1) + "\n")
    rows = dict(plan.lengths())
    sizes = {
        name: {split: (sum(file.stat().st_size for file in found), rows[name, split]) for split, found in parts.items()}
        for name, parts in shards.items()
    }
    features = plan_features(request, plan)
    card = render_card(request.recipe, lock, features=features, shard_sizes=sizes, changelog=changelog)
    write_text(folder / "README.md", card)


def _shards(request: BuildRequest, folder: Path) -> dict[str, dict[str, list[Path]]]:
    """Config to split to its shards, in the recipe's order, without what has none."""
    found = {
        name: {
            split: sorted((folder / "data" / name).glob(f"{split}-*.parquet")) for split in request.recipe.split_names
        }
        for name in request.recipe.variants
    }
    filled = {name: {split: paths for split, paths in parts.items() if paths} for name, parts in found.items()}
    return {name: parts for name, parts in filled.items() if parts}


def _write_sources(request: BuildRequest, plan: Plan, lock: Mapping[str, Any], folder: Path) -> None:
    """What the rows are made by: all that a rebuild reads, and the script that scores them."""
    write_text(folder / "evaluate.py", (files("figureground.exports") / "evaluate.py").read_text(encoding="utf-8"))
    write_text(folder / CLASS_MAP, json.dumps(request.classes.model_dump(mode="json"), indent=1) + "\n")
    portable = request.recipe.model_copy(update={"class_map": CLASS_MAP})
    if request.attributes.attributes:
        portable = portable.model_copy(update={"attributes": ATTRIBUTES})
        text = yaml.safe_dump(request.attributes.model_dump(mode="json"), sort_keys=False)
        write_text(folder / ATTRIBUTES, text)
    write_text(folder / RECIPE, yaml.safe_dump(portable.model_dump(mode="json"), sort_keys=False))
    write_text(folder / LOCK, json.dumps(lock, indent=1, sort_keys=True) + "\n")
    blinded = [blind_name(candidate.record) for candidate in plan.objects.values()]
    write_release(folder / OBJECTS, blinded, version=request.release_version)


def _write_reports(request: BuildRequest, plan: Plan, findings: Sequence[GateFinding], folder: Path) -> None:
    report = folder / "report"
    report.mkdir(exist_ok=True)
    write_plan(plan.rows, folder / PLAN)
    write_text(folder / REFUSED, csv_text(Refusal, plan.refusals))
    write_text(report / "gates.json", json.dumps([asdict(each) for each in findings], indent=1) + "\n")
    if request.attributes.attributes:
        frequencies = attribute_frequencies(plan, request.classes, request.attributes)
        write_text(report / "attributes.csv", csv_text(AttributeFrequency, frequencies))
    coverage = class_coverage(plan, request.classes, request.left_out)
    write_text(report / "coverage.csv", csv_text(ClassCoverage, coverage))


def write_manifest(folder: Path) -> None:
    """SHA-256 of every other file."""
    found = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    hashed = {path.relative_to(folder).as_posix(): file_sha256(path) for path in found}
    write_text(folder / MANIFEST, json.dumps({"schema": "1", "sha256": hashed}, indent=1, sort_keys=True) + "\n")
