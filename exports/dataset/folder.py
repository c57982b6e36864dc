"""A dataset repository as one thing: its files, its configs and splits, its recipe and lock, its rows.

Which shards there are is what the manifest lists, never what happens to lie in a folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol

from figureground.build.planning.plan_files import check_plan, read_plan
from figureground.build.recipes.loading import load_recipe
from figureground.build.recipes.pixel_rules import in_present_words
from figureground.errors import DataError, Fault, Faults, UsageError
from figureground.exports.dataset.files import (
    ATTRIBUTES,
    BOARD,
    CHANGELOG,
    CLASS_MAP,
    DATA,
    LOCK,
    MANIFEST,
    OBJECTS,
    PLAN,
    RECIPE,
    ShardName,
    has_hidden_part,
)
from figureground.exports.dataset.lock import RecipeLock, read_lock
from figureground.exports.dataset.locked.leaderboard import Leaderboard, read_leaderboard
from figureground.exports.dataset.manifest import read_manifest, require_files
from figureground.exports.dataset.rows import count_rows, read_rows, read_schema
from figureground.schemas.attributes import AttributeSchema, load_attribute_schema
from figureground.schemas.classes import ClassMap
from figureground.schemas.documents import (
    Document,
    check_config_name,
    check_config_names,
    check_split_name,
    check_unlike,
    parse_text,
    read_document,
    read_text,
    validate_document,
)
from figureground.schemas.recipes import Recipe
from figureground.schemas.records import ObjectRecord, PlanRow
from figureground.schemas.store.releases import read_release


class _ChangelogEntry(Document):
    """What one version changed."""

    version: str
    follows: str
    changes: list[str]


class _Changelog(Document):
    """Every version's changes, oldest first."""

    entries: tuple[_ChangelogEntry, ...]


class RepositoryFiles(Protocol):
    """Where the files of a repository are."""

    def path(self, name: str) -> Path:
        """Local path of a file, by its path below the repository; one on the Hub is fetched first."""
        ...


@dataclass(frozen=True, slots=True)
class LocalFiles:
    """The files of a folder."""

    folder: Path

    def path(self, name: str) -> Path:
        """Path of a file; nothing says that it is there.

        Raises:
            DataError: for a pipe, a device or a folder in its place; reading a pipe would wait for ever.
        """
        path = self.folder / name
        if path.exists() and not path.is_file():
            raise DataError.single(str(self.folder), name, expected="a file", got="a pipe, a device or a folder")
        return path


@dataclass(frozen=True, kw_only=True)
class DatasetFolder:
    """A dataset repository, in a folder or on the Hub; each part is read and checked when it is asked for."""

    name: str
    """What errors call it: the folder as it was named, or ``OWNER/NAME@REVISION``."""
    manifest: Mapping[str, str]
    """Path below the repository to SHA-256, of every file but the manifest itself."""
    files: RepositoryFiles = field(repr=False)

    @classmethod
    def open(cls, folder: Path) -> DatasetFolder:
        """Open a folder.

        Raises:
            UsageError: if it has no manifest.
            DataError: if its manifest is damaged or names what is no path of a repository.
        """
        if not (folder / MANIFEST).is_file():
            make = "figureground build RECIPE -w WORKSPACE -o FOLDER"
            raise UsageError(f"{folder}: no dataset: it has no {MANIFEST}; make one with: {make}")
        return cls(name=str(folder), manifest=read_manifest(folder), files=LocalFiles(folder))

    @classmethod
    def unfinished(cls, folder: Path) -> DatasetFolder:
        """Open a repository that is being built and has no manifest yet: with the files that are there, unhashed."""
        paths = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        manifest = {path: "" for path in sorted(paths) if not has_hidden_part(path)}
        return cls(name=str(folder), manifest=manifest, files=LocalFiles(folder))

    @cached_property
    def shards(self) -> tuple[ShardName, ...]:
        """Every shard, sorted by config, split and number.

        Raises:
            DataError: with every file among them that has no shard's name.
        """
        shards, faults = list[ShardName](), Faults()
        for path in self.manifest:
            shard = ShardName.parse(path) if path.startswith(DATA) else None
            if shard is not None:
                shards.append(shard)
            elif path.startswith(DATA):
                expected = f"{DATA}CONFIG/SPLIT-00000-of-00001.parquet"
                faults.add(self.name, path, expected=expected, got="another name among the shards")
        faults.raise_if_any()
        return tuple(sorted(shards))

    @property
    def configs(self) -> tuple[str, ...]:
        """Names of the configs, sorted."""
        return tuple(dict.fromkeys(shard.config for shard in self.shards))

    def splits(self, config: str) -> tuple[str, ...]:
        """Names of a config's splits, sorted.

        Raises:
            UsageError: if there is no such config.
        """
        return tuple(dict.fromkeys(shard.split for shard in self.find_shards(config)))

    def find_shards(self, config: str, split: str | None = None) -> tuple[ShardName, ...]:
        """Shards of a config, in order; of all its splits where none is named.

        Raises:
            UsageError: if there is no such config or split.
        """
        own = tuple(shard for shard in self.shards if shard.config == config)
        if not own:
            listed = ", ".join(self.configs) or "none"
            raise UsageError(f"{self.name}: no dataset with a config {config!r}; configs: {listed}")
        wanted = tuple(shard for shard in own if split in (None, shard.split))
        if not wanted:
            listed = ", ".join(self.splits(config))
            raise UsageError(f"{self.name}: config {config} has no split {split!r}; splits: {listed}")
        return wanted

    def shard_path(self, shard: ShardName) -> Path:
        """Local path of a shard; one on the Hub is fetched first."""
        return self.files.path(shard.path)

    def rows(
        self,
        config: str,
        split: str | None = None,
        columns: Sequence[str] | None = None,
        *,
        optional: Sequence[str] = (),
    ) -> Iterator[dict[str, Any]]:
        """Rows of a config in the order of its shards, few in memory at a time.

        Args:
            config: Name of the config.
            split: Name of the split; None for all, one after the other.
            columns: Columns to read, those inside a structure as ``provenance.object_id``; None for all.
            optional: Columns to read where they are there.

        Raises:
            UsageError: if there is no such config or split.
            DataError: if a shard is no table, is damaged or lacks one of ``columns``.
        """
        for shard in self.find_shards(config, split):
            yield from read_rows(self.shard_path(shard), columns, optional=optional)

    def count_rows(self, config: str, split: str | None = None) -> int:
        """Number of rows of a config. Raises as ``rows``."""
        return sum(count_rows(self.shard_path(shard)) for shard in self.find_shards(config, split))

    def columns(self, shard: ShardName) -> frozenset[str]:
        """Names of a shard's columns. Raises ``DataError`` if it is no table."""
        return frozenset(read_schema(self.shard_path(shard)).names)

    def has(self, name: str) -> bool:
        """Whether there is a file of this path."""
        return name in self.manifest

    def require(self, names: Iterable[str]) -> None:
        """Compare some files of a folder with the manifest; those on the Hub are compared whenever they are read.

        Raises:
            DataError: with every one that is missing, changed or not listed.
        """
        if isinstance(self.files, LocalFiles):
            require_files(self.files.folder, self.manifest, names)

    @cached_property
    def lock(self) -> RecipeLock:
        """What it was made of and by. Raises ``DataError`` if that is damaged."""
        return read_lock(self.files.path(LOCK))

    @cached_property
    def recipe(self) -> Recipe:
        """Its recipe, which names the class map and the attributes beside it, in words of the present pixel rules.

        Raises:
            DataError: if it is damaged, names other files of this machine, or was built under later pixel rules.
        """
        path = self.files.path(RECIPE)
        own = {name: str(self.files.path(name)) for name in (CLASS_MAP, ATTRIBUTES) if self.has(name)}
        recipe, faults = load_recipe(str(path)), Faults()
        attributes = [name for name in ("none", own.get(ATTRIBUTES)) if name]
        for key, named, allowed in (
            ("class_map", recipe.class_map, [own.get(CLASS_MAP, CLASS_MAP)]),
            ("attributes", recipe.attributes, attributes),
        ):
            if named not in allowed:
                faults.add(str(path), key, expected=Path(allowed[-1]).name, got=named)
        if self.lock.rules not in recipe.rules:
            rules = ", ".join(sorted(recipe.rules))
            faults.add(f"{self.name}/{LOCK}", "rules", expected=f"rules of the recipe: {rules}", got=self.lock.rules)
        faults.raise_if_any()
        return in_present_words(recipe, self.lock.pixel_rules, where=self.name)

    @cached_property
    def class_map(self) -> ClassMap:
        """Its classes. Raises ``DataError`` if they are damaged."""
        return read_document(self.files.path(CLASS_MAP), ClassMap)

    @cached_property
    def attributes(self) -> AttributeSchema | None:
        """Its attribute schema; None where it has none. Raises ``DataError`` if it is damaged."""
        return load_attribute_schema(str(self.files.path(ATTRIBUTES))) if self.has(ATTRIBUTES) else None

    def objects(self) -> tuple[str, tuple[ObjectRecord, ...]]:
        """Version of the release that it was built from, and the objects of its rows, photos' names blinded.

        Raises:
            DataError: if they are damaged.
        """
        return read_release(self.files.path(OBJECTS))

    def plan_rows(self) -> tuple[PlanRow, ...]:
        """The plan of its rows.

        Raises:
            DataError: if it is damaged, or has rows of what the recipe, the classes or the objects do not know.
        """
        path = self.files.path(PLAN)
        rows, objects = read_plan(path), {record.object_id: record for record in self.objects()[1]}
        check_plan(rows, self.recipe, self.class_map, objects, where=str(path))
        return rows

    def changelog(self) -> list[dict[str, Any]]:
        """What each version changed, oldest first; empty where it follows no other.

        Raises:
            DataError: if it is damaged.
        """
        if not self.has(CHANGELOG):
            return []
        path = self.files.path(CHANGELOG)
        entries = validate_document(
            {"entries": parse_text(read_text(path), where=str(path))}, _Changelog, where=str(path)
        )
        return [entry.model_dump() for entry in entries.entries]

    def leaderboard(self) -> Leaderboard | None:
        """Models that were scored on it; None where none were published with it.

        Raises:
            DataError: if that is damaged, or names files that are not there.
        """
        return read_leaderboard(self.files.path(BOARD), self.manifest) if self.has(BOARD) else None


def name_faults(dataset: DatasetFolder) -> list[Fault]:
    """A fault for every config and split that ``datasets`` would refuse to load."""
    faults, splits = Faults(), {config: dataset.splits(config) for config in dataset.configs}
    checks: list[tuple[str, Callable[[], object]]] = [("configs", partial(check_config_names, dataset.configs))]
    for config, own in splits.items():
        checks.append((config, partial(check_config_name, config)))
        checks.append((f"splits of {config}", partial(check_unlike, own)))
        checks += [(f"{config}: {split}", partial(check_split_name, split)) for split in own]
    for record, check in checks:
        try:
            check()
        except ValueError as error:
            remedy = "name it otherwise in the recipe, and build again"
            faults.add(
                dataset.name, record, expected=str(error), got="a name that datasets does not load", remedy=remedy
            )
    return list(faults)
