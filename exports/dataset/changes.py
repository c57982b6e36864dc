"""What changed between two versions: objects, rows, recipe, software. For ``diff``, and for the card's changelog."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from figureground.errors import DataError, UsageError
from figureground.exports.dataset.files import LOCK, REFUSED
from figureground.exports.dataset.folder import DatasetFolder
from figureground.exports.dataset.lock import Environment, environment_differences
from figureground.exports.dataset.rows import row_key
from figureground.schemas.rasters.masks import decode_coco_rle, mask_iou
from figureground.schemas.records import ObjectRecord, RowKey
from figureground.schemas.store.releases import read_release
from figureground.schemas.tables import read_table

_COMPARED: Final = ("label", "mask", "boxes_xyxy_px", "attributes", "attribute_masks", "flags", "state")
"""Fields of an object that people decide; the others follow from the photo."""
_ROW_COLUMNS: Final = ("draw", "attribute", "ground_id", "provenance.object_id", "provenance.pixels_sha256")


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectChange:
    """One object that is not as it was."""

    object_id: str
    label: str
    """Source label of the newest version that has the object."""
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
    """Rows that the earlier version did not have."""
    removed: int
    """Rows that the later version does not have."""
    repainted: Mapping[str, int]
    """Rows of other pixels, by the first of these that holds: ``figure`` (its object changed), ``donor`` (another was
    chosen), ``ground`` (the donor's object changed), ``other`` (recipe or software)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionChanges:
    """What tells two versions of a dataset, or of a release, apart."""

    before: str
    """Name of the earlier version: recipe and release, such as ``imagenet9@1 of v1``."""
    after: str
    """Name of the later version."""
    recipe: tuple[str, ...] = ()
    """Parts of the recipe and its rules that differ."""
    software: tuple[str, ...] = ()
    """Software that touches pixels and differs."""
    objects: tuple[ObjectChange, ...] = ()
    """Sorted by object_id."""
    rows: Mapping[str, RowChanges] = field(default_factory=dict)
    """Config to what became of its rows; empty for releases, which have no rows."""

    @property
    def object_counts(self) -> dict[str, int]:
        """Number of objects by ``added``, ``removed`` and ``changed``, without zeros."""
        return dict(sorted(Counter(change.change for change in self.objects).items()))

    @property
    def mean_iou(self) -> float | None:
        """Mean IoU of changed masks with the former ones; None if no mask changed."""
        ious = [change.iou for change in self.objects if change.iou is not None]
        return sum(ious) / len(ious) if ious else None

    def __str__(self) -> str:
        """Some lines for people."""
        return "\n".join([f"{self.before} → {self.after}", *(f"  {line}" for line in describe_changes(self))])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Version:
    """One side of a comparison."""

    name: str
    objects: Mapping[str, ObjectRecord]
    """Object by id."""
    dataset: DatasetFolder | None = None
    """None for a release."""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """Dotted path in the recipe to value, under the rules in use; empty for a release."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Object to the reason why it was left out."""

    @property
    def configs(self) -> tuple[str, ...]:
        return self.dataset.configs if self.dataset else ()

    @property
    def environment(self) -> Environment | None:
        return self.dataset.lock.environment if self.dataset else None


class _RowPixels(NamedTuple):
    """What a row shows, as far as two versions are compared by it."""

    sha256: str
    """SHA-256 of its pixels."""
    ground_id: str | None
    """Photo whose ground it shows."""


def compare_versions(before: Path, after: Path) -> VersionChanges:
    """Compare two dataset repositories, or two releases (``objects/VERSION.parquet``).

    Raises:
        UsageError: if one is a dataset and the other a release, or neither is there.
        DataError: if one is damaged.
    """
    if before.is_file() != after.is_file():
        raise UsageError(f"{before} and {after}: give two dataset repositories, or two releases (.parquet)")
    if before.is_file():
        return _compare(_read_release(before), _read_release(after))
    for folder in (before, after):
        if not (folder / LOCK).is_file():
            raise UsageError(f"{folder}: neither a dataset repository nor a release (.parquet)")
    return compare_datasets(DatasetFolder.open(before), DatasetFolder.open(after))


def compare_datasets(before: DatasetFolder, after: DatasetFolder) -> VersionChanges:
    """Compare two dataset repositories. Raises ``DataError`` if one is damaged."""
    return _compare(_read_dataset(before), _read_dataset(after))


def _compare(old: _Version, new: _Version) -> VersionChanges:
    objects = tuple(_object_changes(old, new))
    changed = {change.object_id for change in objects}
    configs = [*new.configs, *(name for name in old.configs if name not in new.configs)]
    software: tuple[str, ...] = ()
    if old.environment and new.environment:
        software = environment_differences(old.environment, new.environment)
    return VersionChanges(
        before=old.name,
        after=new.name,
        recipe=tuple(_differing(old.recipe, new.recipe)),
        software=software,
        objects=objects,
        rows={name: _row_changes(_row_pixels(old, name), _row_pixels(new, name), changed) for name in configs},
    )


def describe_changes(changes: VersionChanges) -> list[str]:
    """A line for each kind of change; one that says so where there is none."""
    lines = []
    for change, count in changes.object_counts.items():
        fields = Counter(name for item in changes.objects if item.change == change for name in item.what)
        counted = ", ".join(f"{name} {number}" for name, number in sorted(fields.items()))
        lines.append(f"objects {change}: {count}" + (f" ({counted})" if counted else ""))
    if changes.mean_iou is not None:
        lines.append(f"mean IoU of changed masks with the former ones: {changes.mean_iou:.3f}")
    lines += [f"recipe: {line}" for line in changes.recipe]
    lines += [f"software: {line}" for line in changes.software]
    for name, rows in changes.rows.items():
        parts = [f"{count} repainted ({cause})" for cause, count in rows.repainted.items()]
        parts += [f"{count} {word}" for word, count in (("added", rows.added), ("removed", rows.removed)) if count]
        if parts:
            lines.append(f"{name}: {rows.same} rows as they were, {', '.join(parts)}")
    return lines or ["nothing changed"]


def extend_changelog(before: DatasetFolder, changes: VersionChanges) -> list[dict[str, Any]]:
    """The changelog of ``before`` and one entry more: name, what it follows, a line for each kind of change."""
    return [
        *before.changelog(),
        {"version": changes.after, "follows": changes.before, "changes": describe_changes(changes)},
    ]


def _read_release(path: Path) -> _Version:
    version, records = read_release(path)
    return _Version(name=version, objects=_by_id(records))


def _read_dataset(dataset: DatasetFolder) -> _Version:
    lock = dataset.lock
    version, records = dataset.objects()
    recipe = dataset.recipe.model_dump(mode="json", exclude={"class_map", "attributes"})
    recipe["rules"] = {lock.rules: recipe["rules"][lock.rules]}
    recipe["class_map"] = dataset.class_map.model_dump(mode="json")
    refused = _read_refused(dataset.files.path(REFUSED))
    return _Version(
        name=f"{lock.recipe} of {version}",
        objects=_by_id(records),
        dataset=dataset,
        recipe=dict(flat_values(recipe)),
        refused=refused,
    )


def _read_refused(path: Path) -> dict[str, str]:
    """Object that was left out to the reason.

    Raises:
        DataError: if the file is no table of them.
    """
    rows = read_table(path, ("object_id", "reason")).rows
    refused = {row.cells["object_id"]: row.cells["reason"] for row in rows}
    if len(refused) < len(rows):
        got = f"{len(rows) - len(refused)} rows of objects that have one"
        raise DataError.single(str(path), "", expected="each object once", got=got)
    return refused


def _by_id(records: Sequence[ObjectRecord]) -> dict[str, ObjectRecord]:
    return {record.object_id: record for record in records}


def flat_values(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401  whatever the recipe holds
    """Values of nested mappings with their dotted paths."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from flat_values(item, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for path in sorted({*old, *new}):
        if path not in old or path not in new:
            yield f"{path}: {'added' if path in new else 'removed'}"
        elif old[path] != new[path]:
            yield f"{path}: {old[path]} → {new[path]}"


def _object_changes(old: _Version, new: _Version) -> Iterator[ObjectChange]:
    for object_id, newest in sorted({**old.objects, **new.objects}.items()):
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
        yield ObjectChange(object_id=object_id, label=newest.label, change=change, what=what, iou=iou)


def _refusal(new: _Version, object_id: str) -> tuple[str, ...]:
    return (new.refused[object_id],) if object_id in new.refused else ()


def _row_changes(
    before: Mapping[RowKey, _RowPixels], after: Mapping[RowKey, _RowPixels], changed: set[str]
) -> RowChanges:
    """What became of the rows of one config, where the objects ``changed`` are not as they were."""
    images = {object_id.rpartition(".")[0] for object_id in changed}
    causes: Counter[str] = Counter()
    same = 0
    for key in before.keys() & after.keys():
        then, now = before[key], after[key]
        if then.sha256 == now.sha256:
            same += 1
        elif key.object_id in changed:
            causes["figure"] += 1
        elif then.ground_id != now.ground_id:
            causes["donor"] += 1
        else:
            causes["ground" if then.ground_id in images else "other"] += 1
    return RowChanges(
        same=same,
        added=len(after.keys() - before.keys()),
        removed=len(before.keys() - after.keys()),
        repainted=dict(sorted(causes.items())),
    )


def _row_pixels(version: _Version, config: str) -> dict[RowKey, _RowPixels]:
    """What every row of a config shows; empty where the version has no such config."""
    dataset = version.dataset
    if dataset is None or config not in dataset.configs:
        return {}
    return {
        row_key(row, split, variant=config): _RowPixels(row["provenance"]["pixels_sha256"], row["ground_id"])
        for split in dataset.splits(config)
        for row in dataset.rows(config, split, _ROW_COLUMNS)
    }
