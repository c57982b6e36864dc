"""What changed between two versions: objects, rows, recipe, software. For ``diff``, and for the card's changelog."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq

from figureground.build.recipes.loading import load_recipe
from figureground.errors import UsageError
from figureground.exports.dataset.files import CHANGELOG, CLASS_MAP, LOCK, OBJECTS, RECIPE, REFUSED
from figureground.exports.dataset.lock import environment_differences
from figureground.schemas.rasters.masks import decode_coco_rle, mask_iou
from figureground.schemas.records import ObjectRecord
from figureground.schemas.store.releases import read_release

_COMPARED: Final = ("label", "mask", "boxes_xyxy_px", "attributes", "attribute_masks", "flags", "state")
"""Fields of an object that people decide; the others follow from the photo."""
_ROW_COLUMNS: Final = ["draw", "attribute", "ground_id", "provenance.object_id", "provenance.pixels_sha256"]

RowKey = tuple[str, str, str, int]
"""Split, object, attribute, draw."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectChange:
    """One object that is not as it was."""

    object_id: str
    label: str
    change: str
    """``added``, ``removed`` or ``changed``."""
    what: tuple[str, ...]
    """Fields that changed; of a removed object why it was refused, where it was."""
    iou: float | None
    """IoU of the mask with the former one, in [0, 1]; None where the mask did not change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowChanges:
    """What became of the rows of one config."""

    same: int
    """Rows of equal pixels."""
    added: int
    removed: int
    repainted: Mapping[str, int]
    """Rows of other pixels, by the first of these that holds: ``figure`` (its object changed), ``donor`` (another was
    chosen), ``ground`` (the donor's object changed), ``other`` (recipe or software)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionChanges:
    """What tells two versions of a dataset, or of a release, apart."""

    before: str
    after: str
    recipe: tuple[str, ...] = ()
    """Parts of the recipe and its rules that differ."""
    software: tuple[str, ...] = ()
    """Software that touches pixels and differs."""
    objects: tuple[ObjectChange, ...] = ()
    """Sorted by object_id."""
    rows: Mapping[str, RowChanges] = field(default_factory=dict)
    """By config; empty for releases, which have no rows."""

    @property
    def object_counts(self) -> dict[str, int]:
        """Number of objects by ``added``, ``removed`` and ``changed``, without zeros."""
        return dict(sorted(Counter(each.change for each in self.objects).items()))

    @property
    def mean_iou(self) -> float | None:
        """Mean IoU of changed masks with the former ones; None if no mask changed."""
        found = [each.iou for each in self.objects if each.iou is not None]
        return sum(found) / len(found) if found else None

    def __str__(self) -> str:
        """Some lines for people."""
        return "\n".join([f"{self.before} → {self.after}", *(f"  {line}" for line in describe_changes(self))])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Version:
    """One side of a comparison."""

    name: str
    objects: Mapping[str, ObjectRecord]
    recipe: Mapping[str, Any]
    """Of a dataset: dotted place in the recipe to value, under the rules in use."""
    lock: Mapping[str, Any]
    shards: Mapping[str, Sequence[Path]]
    """Config to its shards."""
    refused: Mapping[str, str]
    """Object to reason."""


def compare_versions(before: Path, after: Path) -> VersionChanges:
    """Compare two dataset repositories, or two releases (``objects/VERSION.parquet``).

    Raises:
        UsageError: if one is a dataset and the other a release, or neither is there.
        DataError: if one is damaged.
    """
    if before.is_file() != after.is_file():
        raise UsageError(f"{before} and {after}: give two dataset repositories, or two releases (.parquet)")
    old, new = _read(before), _read(after)
    changed = tuple(_object_changes(old, new))
    ids = {each.object_id for each in changed}
    configs = [*new.shards, *(name for name in old.shards if name not in new.shards)]
    return VersionChanges(
        before=old.name,
        after=new.name,
        recipe=tuple(_differing(old.recipe, new.recipe)),
        software=environment_differences(old.lock, new.lock),
        objects=changed,
        rows={name: _row_changes(old.shards.get(name, ()), new.shards.get(name, ()), ids) for name in configs},
    )


def describe_changes(changes: VersionChanges) -> list[str]:
    """A line for each kind of change; one that says so where there is none."""
    lines = []
    for change, count in changes.object_counts.items():
        what = Counter(part for each in changes.objects if each.change == change for part in each.what)
        told = ", ".join(f"{part} {number}" for part, number in sorted(what.items()))
        lines.append(f"objects {change}: {count}" + (f" ({told})" if told else ""))
    if changes.mean_iou is not None:
        lines.append(f"mean IoU of changed masks with the former ones: {changes.mean_iou:.3f}")
    lines += [f"recipe: {each}" for each in changes.recipe]
    lines += [f"software: {each}" for each in changes.software]
    for name, rows in changes.rows.items():
        parts = [f"{count} repainted ({cause})" for cause, count in rows.repainted.items()]
        parts += [f"{count} {word}" for word, count in (("added", rows.added), ("removed", rows.removed)) if count]
        if parts:
            lines.append(f"{name}: {rows.same} rows as they were, {', '.join(parts)}")
    return lines or ["nothing changed"]


def read_changelog(folder: Path) -> list[dict[str, Any]]:
    """The changelog of a dataset repository; empty where it follows no other."""
    path = folder / CHANGELOG
    entries: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    return entries


def extend_changelog(before: Path, changes: VersionChanges) -> list[dict[str, Any]]:
    """The changelog of ``before`` and one entry more: name, what it follows, a line for each kind of change."""
    return [
        *read_changelog(before),
        {"version": changes.after, "follows": changes.before, "changes": describe_changes(changes)},
    ]


def _read(path: Path) -> _Version:
    if path.is_file():
        version, records = read_release(path)
        return _Version(name=version, objects=_by_id(records), recipe={}, lock={}, shards={}, refused={})
    if not (path / LOCK).is_file():
        raise UsageError(f"{path}: neither a dataset repository nor a release (.parquet)")
    lock = json.loads((path / LOCK).read_text(encoding="utf-8"))
    version, records = read_release(path / OBJECTS)
    recipe = load_recipe(str(path / RECIPE)).model_dump(mode="json", exclude={"class_map", "attributes"})
    recipe["rules"] = {lock["rules"]: recipe["rules"][lock["rules"]]}
    recipe["class_map"] = json.loads((path / CLASS_MAP).read_text(encoding="utf-8"))
    with (path / REFUSED).open(encoding="utf-8") as lines:
        refused = {row["object_id"]: row["reason"] for row in csv.DictReader(lines)}
    return _Version(
        name=f"{lock['recipe']} of {version}",
        objects=_by_id(records),
        recipe=dict(_flat(recipe)),
        lock=lock,
        shards={folder.name: sorted(folder.glob("*.parquet")) for folder in sorted((path / "data").iterdir())},
        refused=refused,
    )


def _by_id(records: Sequence[ObjectRecord]) -> dict[str, ObjectRecord]:
    return {record.object_id: record for record in records}


def _flat(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401  whatever the recipe holds
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _flat(item, f"{place}.{key}" if place else str(key))
    else:
        yield place, value


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for place in sorted({*old, *new}):
        if place not in old or place not in new:
            yield f"{place}: {'added' if place in new else 'removed'}"
        elif old[place] != new[place]:
            yield f"{place}: {old[place]} → {new[place]}"


def _object_changes(old: _Version, new: _Version) -> Iterator[ObjectChange]:
    for object_id, kept in sorted({**old.objects, **new.objects}.items()):
        before, after = old.objects.get(object_id), new.objects.get(object_id)
        iou = None
        if before is None or after is None:
            change, what = ("added", ()) if before is None else ("removed", _refusal(new, object_id))
        else:
            change, what = "changed", tuple(name for name in _COMPARED if getattr(before, name) != getattr(after, name))
            if not what:
                continue
            if "mask" in what and before.mask.size_hw == after.mask.size_hw:
                iou = mask_iou(decode_coco_rle(before.mask), decode_coco_rle(after.mask))
        yield ObjectChange(object_id=object_id, label=kept.label, change=change, what=what, iou=iou)


def _refusal(new: _Version, object_id: str) -> tuple[str, ...]:
    return (new.refused[object_id],) if object_id in new.refused else ()


def _row_changes(old: Sequence[Path], new: Sequence[Path], changed: set[str]) -> RowChanges:
    before, after = dict(_rows(old)), dict(_rows(new))
    images = {object_id.rpartition(".")[0] for object_id in changed}
    causes: Counter[str] = Counter()
    same = 0
    for key in before.keys() & after.keys():
        (pixels, ground), (pixels_now, ground_now) = before[key], after[key]
        if pixels == pixels_now:
            same += 1
        elif key[1] in changed:
            causes["figure"] += 1
        elif ground != ground_now:
            causes["donor"] += 1
        else:
            causes["ground" if ground in images else "other"] += 1
    return RowChanges(
        same=same,
        added=len(after.keys() - before.keys()),
        removed=len(before.keys() - after.keys()),
        repainted=dict(sorted(causes.items())),
    )


def _rows(shards: Sequence[Path]) -> Iterator[tuple[RowKey, tuple[str, str | None]]]:
    """Every row's SHA-256 of its pixels, and its donor."""
    for shard in shards:
        split = shard.name.rpartition("-of-")[0].rpartition("-")[0]
        for row in pq.ParquetFile(shard).read(columns=_ROW_COLUMNS).to_pylist():
            told = row["provenance"]
            key = split, told["object_id"], row["attribute"] or "", row["draw"]
            yield key, (told["pixels_sha256"], row["ground_id"])
