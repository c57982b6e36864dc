"""Rows that an earlier version of a dataset has already: their pixels are copied, not rendered again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from figureground.build.planning.plan import Plan
from figureground.errors import UsageError
from figureground.exports.dataset.files import LOCK, MANIFEST, OBJECTS, PLAN, RECIPE
from figureground.exports.dataset.folder import DatasetFolder
from figureground.exports.dataset.inputs import Design
from figureground.exports.dataset.lock import LockedEarlier, environment
from figureground.runtime.files import file_sha256
from figureground.schemas.records import ObjectRecord, PlanRow

RENDER: Final = -1
"""Index of a row that the earlier version has not, or not so."""
ConfigSplit = tuple[str, str]
"""Config and split."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierRows:
    """Where rows of one config and split are in the earlier version."""

    shards: tuple[Path, ...]
    """Its shards of that config and split, in order."""
    indices: tuple[int, ...]
    """Index of each row among the rows of those shards, or ``RENDER``."""

    def part(self, start: int, stop: int) -> EarlierRows:
        """The same for a range of the rows."""
        return EarlierRows(shards=self.shards, indices=self.indices[start:stop])


def describe_earlier(folder: Path) -> LockedEarlier:
    """Which version a dataset follows: the recipe and release of the one in ``folder``, and its manifest's SHA-256.

    Raises:
        UsageError: if ``folder`` is no dataset repository.
        DataError: if it is damaged.
    """
    if not (folder / LOCK).is_file():
        raise UsageError(f"{folder}: no dataset repository to go on from")
    lock = DatasetFolder.open(folder).lock
    return LockedEarlier(
        recipe=lock.recipe, release=lock.release.version, manifest_sha256=file_sha256(folder / MANIFEST)
    )


def find_earlier_rows(folder: Path, plan: Plan, design: Design) -> dict[ConfigSplit, EarlierRows]:
    """Which rows of a plan an earlier version holds with the very same pixels, by config and split.

    A row is the same if its part of the plan, the recipe's words for its config, the masks and boxes of the objects
    in it, and all software that touches pixels are.

    Args:
        folder: Dataset repository of the earlier version.
        plan: The new version's plan.
        design: Its recipe and rules.

    Raises:
        DataError: if the earlier version is damaged.
    """
    earlier = DatasetFolder.open(folder)
    earlier.require([RECIPE, LOCK, OBJECTS, PLAN])
    if earlier.lock.rules != design.rules or earlier.lock.environment != environment():
        return {}
    before, recipe = earlier.recipe, design.recipe
    if before.rules.get(design.rules) != design.rule_set or before.pixels != recipe.pixels:
        return {}
    unchanged = {name for name, variant in recipe.variants.items() if before.variants.get(name) == variant}
    changed = _changed_objects(earlier.objects()[1], plan)
    old = {group: _numbered(rows) for group, rows in _groups(earlier.plan_rows()) if group[0] in unchanged}
    earlier_rows = {}
    for group, rows in _groups(plan.rows):
        if group in old:
            shards = [shard for shard in earlier.shards if (shard.config, shard.split) == group]
            earlier.require(shard.path for shard in shards)
            indices = tuple(_index(row, old[group], changed) for row in rows)
            earlier_rows[group] = EarlierRows(shards=tuple(map(earlier.shard_path, shards)), indices=indices)
    return earlier_rows


def _groups(rows: Sequence[PlanRow]) -> Iterator[tuple[ConfigSplit, list[PlanRow]]]:
    for group, members in groupby(rows, key=lambda row: (row.variant, row.split)):
        yield group, list(members)


def _numbered(rows: Sequence[PlanRow]) -> dict[PlanRow, int]:
    return {row: number for number, row in enumerate(rows)}


def _index(row: PlanRow, old: Mapping[PlanRow, int], changed: set[str]) -> int:
    return RENDER if changed & {row.object_id, row.ground_id} else old.get(row, RENDER)


def _changed_objects(before: Sequence[ObjectRecord], plan: Plan) -> set[str]:
    """Objects of the plan of which the earlier version knows nothing, or other masks or boxes."""
    known = {record.object_id: _painted(record) for record in before}
    return {name for name, measured in plan.objects.items() if known.get(name) != _painted(measured.record)}


def _painted(record: ObjectRecord) -> tuple[Any, ...]:
    """What of an object decides pixels and masks of its rows."""
    return (record.sha256, record.mask, record.instances, record.boxes_xyxy_px, dict(record.attribute_masks))
