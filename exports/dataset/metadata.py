"""Everything of a dataset repository beside its shards: card, script, recipe, lock, objects, reports, manifest."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from figureground.build.planning.coverage import ClassCoverage, DonorUse, class_coverage, donor_use
from figureground.build.planning.crossing import CrossedSet
from figureground.build.planning.gates import AttributeFrequency, attribute_frequencies
from figureground.build.planning.plan import Plan
from figureground.build.planning.plan_files import read_donors, write_plan
from figureground.build.planning.selection import Refusal
from figureground.exports.dataset.card import ConfigSizes, SplitSize, mask_sources, render_card
from figureground.exports.dataset.changes import compare_datasets, extend_changelog
from figureground.exports.dataset.contact_sheet import write_contact_sheet
from figureground.exports.dataset.croissant import make_croissant
from figureground.exports.dataset.files import (
    ATTRIBUTE_COUNTS,
    ATTRIBUTES,
    CARD,
    CHANGELOG,
    CLASS_MAP,
    CONTACT_SHEET,
    COVERAGE,
    CROISSANT,
    CROSSED,
    DONORS,
    GATES,
    LOCK,
    OBJECTS,
    PLAN,
    RECIPE,
    REFUSED,
    SCRIPT,
)
from figureground.exports.dataset.folder import DatasetFolder
from figureground.exports.dataset.inputs import BuildRequest
from figureground.exports.dataset.planned import PlannedBuild
from figureground.runtime.files import csv_text, write_text
from figureground.schemas.features import dataset_features
from figureground.schemas.recipes import Recipe
from figureground.schemas.store.releases import blind_name, write_release

if TYPE_CHECKING:
    from datasets import Features


def plan_features(request: BuildRequest, plan: Plan) -> Features:
    """Attributes are those of the recipe's schema in its order, then what else people were asked for."""
    design = request.design
    records = [measured.record for measured in plan.objects.values()]
    others = {name for record in records for name in record.attributes} - set(design.attributes.names())
    names = [*design.attributes.names(), *sorted(others)]
    grouped = any(record.group for record in records)
    return dataset_features(design.classes, names, pixels=design.recipe.pixels, grouped=grouped)


def write_metadata(build: PlannedBuild, folder: Path) -> None:
    """Write all of a repository but the shards, which are there, and the manifest."""
    request, recipe = build.request, build.request.design.recipe
    _write_sources(build, folder)
    _write_reports(build, folder)
    donors = donor_use(read_donors(folder / PLAN), {name: own.label for name, own in build.plan.objects.items()})
    if donors:
        write_text(folder / DONORS, csv_text(DonorUse, donors))
    dataset = DatasetFolder.unfinished(folder)
    splits = _filled_splits(recipe, dataset)
    paths = {
        config: [dataset.shard_path(shard) for split in own for shard in dataset.find_shards(config, split)]
        for config, own in splits.items()
    }
    croissant = make_croissant(recipe, request.design.classes, paths, folder, masks=mask_sources(build.lock))
    write_text(folder / CROISSANT, json.dumps(croissant, indent=1) + "\n")
    if recipe.pixels:
        shown = {config: own[-1] for config, own in splits.items()}
        write_contact_sheet(folder / CONTACT_SHEET, dataset, shown, sizes=Counter(build.plan.splits.values()))
    changelog: Sequence[Mapping[str, Any]] = request.history.changelog
    if request.history.earlier is not None:
        earlier = DatasetFolder.open(request.history.earlier)
        changelog = extend_changelog(earlier, compare_datasets(earlier, dataset))
    if changelog:
        write_text(folder / CHANGELOG, json.dumps(list(changelog), indent=1) + "\n")
    sizes = _sizes(build.plan, dataset, splits)
    features = plan_features(request, build.plan)
    card = render_card(recipe, build.lock, features=features, sizes=sizes, donors=donors, changelog=changelog)
    write_text(folder / CARD, card)


def _filled_splits(recipe: Recipe, dataset: DatasetFolder) -> dict[str, list[str]]:
    """Config to its splits, in the recipe's order, without what has no rows."""
    return {
        config: [split for split in recipe.split_names if split in dataset.splits(config)]
        for config in recipe.variants
        if config in dataset.configs
    }


def _sizes(plan: Plan, dataset: DatasetFolder, splits: Mapping[str, Sequence[str]]) -> ConfigSizes:
    rows = dict(plan.lengths())
    return {
        config: {
            split: SplitSize(
                size=sum(dataset.shard_path(shard).stat().st_size for shard in dataset.find_shards(config, split)),
                rows=rows[config, split],
            )
            for split in own
        }
        for config, own in splits.items()
    }


def _write_sources(build: PlannedBuild, folder: Path) -> None:
    """What the rows are made by: all that a rebuild reads, and the script that scores them."""
    design, release = build.request.design, build.request.release
    script = (files("figureground.exports") / "evaluate.py").read_text(encoding="utf-8")
    write_text(folder / SCRIPT, script)
    write_text(folder / CLASS_MAP, json.dumps(design.classes.model_dump(mode="json"), indent=1) + "\n")
    portable = design.recipe.model_copy(update={"class_map": CLASS_MAP})
    if design.attributes.attributes:
        portable = portable.model_copy(update={"attributes": ATTRIBUTES})
        text = yaml.safe_dump(design.attributes.model_dump(mode="json"), sort_keys=False)
        write_text(folder / ATTRIBUTES, text)
    write_text(folder / RECIPE, yaml.safe_dump(portable.model_dump(mode="json"), sort_keys=False))
    write_text(folder / LOCK, build.lock.to_json())
    blinded = [blind_name(measured.record) for measured in build.plan.objects.values()]
    write_release(folder / OBJECTS, blinded, version=release.version, replace_other=True)


def _write_reports(build: PlannedBuild, folder: Path) -> None:
    """What was planned, checked, counted and left out."""
    plan, design = build.plan, build.request.design
    (folder / PLAN).parent.mkdir(exist_ok=True)
    write_plan(plan.rows, folder / PLAN)
    write_text(folder / REFUSED, csv_text(Refusal, plan.refusals))
    write_text(folder / GATES, json.dumps([asdict(finding) for finding in build.findings], indent=1) + "\n")
    if design.attributes.attributes:
        frequencies = attribute_frequencies(plan, design.classes, design.attributes)
        write_text(folder / ATTRIBUTE_COUNTS, csv_text(AttributeFrequency, frequencies))
    coverage = class_coverage(plan, design.classes, build.request.release.left_out)
    write_text(folder / COVERAGE, csv_text(ClassCoverage, coverage))
    if plan.crossed:
        write_text(folder / CROSSED, csv_text(CrossedSet, plan.crossed))
