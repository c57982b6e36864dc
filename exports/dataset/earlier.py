"""Rows that an earlier version of a dataset has already: their pixels are copied, not rendered again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from figureground.build.planning.plan import Plan
from figureground.build.planning.plan_files import read_plan
from figureground.build.recipes.loading import load_recipe
from figureground.errors import UsageError
from figureground.exports.dataset.earlier_rows import RENDER, EarlierRows
from figureground.exports.dataset.files import LOCK, MANIFEST, OBJECTS, PLAN, RECIPE
from figureground.exports.dataset.lock import environment
from figureground.exports.dataset.verify import read_manifest, require_files
from figureground.runtime.files import file_sha256
from figureground.schemas.recipes import Recipe, RuleName
from figureground.schemas.records import ObjectRecord, PlanRow
from figureground.schemas.store.releases import read_release


def describe_earlier(earlier: Path) -> dict[str, str]:
    """Which version a dataset follows: the recipe and release of ``earlier``, and its manifest's SHA-256.

    Raises:
        UsageError: if ``earlier`` is no dataset repository.
    """
    if not (earlier / LOCK).is_file():
        raise UsageError(f"{earlier}: no dataset repository to go on from")
    lock = json.loads((earlier / LOCK).read_text(encoding="utf-8"))
    version = lock["release"]["version"]
    return {"recipe": lock["recipe"], "release": version, "manifest_sha256": file_sha256(earlier / MANIFEST)}


def find_earlier_rows(earlier: Path, plan: Plan, recipe: Recipe, rules: RuleName) -> dict[tuple[str, str], EarlierRows]:
    """Which rows of a plan an earlier version holds with the very same pixels, by config and split.

    A row is the same if its part of the plan, the recipe's words for its config, the masks and boxes of the objects
    in it, and all software that touches pixels are.

    Args:
        earlier: Dataset repository of the earlier version.
        plan: The new version's plan.
        recipe: Its recipe.
        rules: Its rules.

    Raises:
        DataError: if ``earlier`` is damaged.
    """
    manifest = read_manifest(earlier)
    require_files(earlier, manifest, [RECIPE, LOCK, OBJECTS, PLAN])
    before = json.loads((earlier / LOCK).read_text(encoding="utf-8"))
    if before["rules"] != rules or any(before.get(name) != value for name, value in environment().items()):
        return {}
    known = load_recipe(str(earlier / RECIPE))
    if known.rules.get(rules) != recipe.rules[rules] or known.pixels != recipe.pixels:
        return {}
    kept = {name for name, variant in recipe.variants.items() if known.variants.get(name) == variant}
    changed = _changed_objects(read_release(earlier / OBJECTS)[1], plan)
    old = {group: _numbered(rows) for group, rows in _groups(read_plan(earlier / PLAN)) if group[0] in kept}
    found = {}
    for group, rows in _groups(plan.rows):
        shards = tuple(sorted((earlier / "data" / group[0]).glob(f"{group[1]}-*.parquet")))
        if group in old:
            require_files(earlier, manifest, [path.relative_to(earlier).as_posix() for path in shards])
            places = tuple(_place(row, old[group], changed) for row in rows)
            found[group] = EarlierRows(shards=shards, places=places)
    return found


def _groups(rows: Sequence[PlanRow]) -> Iterator[tuple[tuple[str, str], list[PlanRow]]]:
    for group, members in groupby(rows, key=lambda row: (row.variant, row.split)):
        yield group, list(members)


def _numbered(rows: Sequence[PlanRow]) -> dict[PlanRow, int]:
    return {row: number for number, row in enumerate(rows)}


def _place(row: PlanRow, old: Mapping[PlanRow, int], changed: set[str]) -> int:
    return RENDER if changed & {row.object_id, row.ground_id} else old.get(row, RENDER)


def _changed_objects(before: Sequence[ObjectRecord], plan: Plan) -> set[str]:
    """Objects of the plan of which the earlier version knows nothing, or other masks or boxes."""
    known = {record.object_id: _painted(record) for record in before}
    return {name for name, each in plan.objects.items() if known.get(name) != _painted(each.record)}


def _painted(record: ObjectRecord) -> tuple[Any, ...]:
    """What of an object decides pixels and masks of its rows."""
    return (record.sha256, record.mask, record.instances, record.boxes_xyxy_px, dict(record.attribute_masks))
