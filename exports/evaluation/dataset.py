"""The dataset that is scored: a folder or a repository on the Hub."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from figureground.exports.evaluation.label_spaces import ClassMap, parse_class_map
from figureground.exports.evaluation.repository.columns import check_columns
from figureground.exports.evaluation.repository.hub import fetch_files, fetch_metadata, list_files
from figureground.exports.evaluation.repository.shards import (
    Layout,
    check_shards,
    data_fingerprint,
    read_layout,
    read_manifest,
    read_table,
)
from figureground.exports.evaluation.values import (
    EMPTY,
    EvaluationError,
    Table,
    file_sha256,
    list_names,
    plain_line,
    require,
)

CONFIG_ORDER: Final = (
    "original",
    "mixed_self",
    "mixed_same",
    "mixed_same_m4",
    "mixed_same_p4",
    "mixed_rand",
    "mixed_rand_m4",
    "mixed_rand_p4",
    "mixed_next",
    "only_fg",
    "no_fg",
    "silhouette",
    "only_bg_b",
    "only_bg_t",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A dataset repository, in a folder or on the Hub."""

    location: str  # folder, or id on the Hub
    name: str  # folder name or Hub id: results name no machine's paths
    revision: str | None  # commit on the Hub; None for a folder
    manifest_sha256: str | None
    fingerprint: str  # changes whenever the data does, and not with a leaderboard
    classes: ClassMap
    class_map_sha256: str = ""
    folder: Path = Path()  # where its files lie; of one on the Hub those that were fetched
    listed: Mapping[str, str] | None = None  # SHA-256 of its files, as the manifest lists them
    layout: Layout = field(default_factory=dict)  # shards of every config and split
    masks: Mapping[str, Any] | None = None  # what its lock says of its masks; see count_masks
    grouped: bool = False  # whether its lock says that photos are in groups

    def shards(self, config: str, split: str) -> dict[str, Path]:
        """Where the shards of a config's split lie, by their path in the dataset; on the Hub they are fetched.

        Raises:
            EvaluationError: if there is no such config or split (exit code 2), or the Hub does not give them.
        """
        splits = self.layout.get(config, {})
        require(splits, f"{self.name} has no config {config}; it has {list_names(self.layout)}", 2)
        require(split in splits, f"{self.name}/{config}: has no split {split}; it has {list_names(splits)}", 2)
        names = splits[split]
        if self.revision is None or Path(self.location).is_dir():
            return {name: self.folder / name for name in names}
        return dict(zip(names, fetch_files(self.location, self.revision, names), strict=True))

    def check(self, config: str, split: str) -> str | None:
        """SHA-256 of a config's shards, which are those that the manifest lists; None on the Hub, where commits stay.

        Raises:
            EvaluationError: as ``shards``, and with every shard that is damaged or has other bytes.
        """
        if self.revision is not None:
            return None
        return check_shards(self.name, self.shards(config, split), self.listed)


def open_repository(repo: str, revision: str | None = None) -> Repository:
    """Find a dataset and read its class map; ``EvaluationError`` if there is none.

    ``repo`` is a folder, or an id ``OWNER/NAME`` on the Hub, where ``revision`` (tag, branch or commit) is required, so
    that a score names the data it is of; it is resolved to a commit once, so that no run mixes two. What the Hub's
    cache holds is enough where the Hub cannot be asked.
    """
    local = Path(repo).is_dir()
    require(local or re.fullmatch(r"[\w.-]+/[\w.-]+", repo), f"{repo}: neither a folder nor a Hub id OWNER/NAME", 2)
    require(not (local and revision), f"{repo} is a folder: it has no revision", 2)
    require(local or revision, f"{repo}: a dataset on the Hub needs --revision, a tag or commit", 2)
    folder = Path(repo).resolve() if local else fetch_metadata(repo, revision or "")  # the cache names it by commit
    commit = None if local else folder.name
    class_map, manifest = folder / "class_map.json", folder / "manifest.json"
    require(class_map.is_file(), f"{repo}: expected class_map.json in the dataset, found none")
    listed, class_map_sha256 = read_manifest(manifest), file_sha256(class_map)
    wanted = (listed or {}).get("class_map.json", class_map_sha256)
    other = "expected the bytes that manifest.json lists, got others; download it again"
    require(wanted == class_map_sha256, f"{repo}: class_map.json: {other}")
    names = listed if listed is not None else _list_names(repo, folder, commit)
    manifest_sha256 = file_sha256(manifest) if manifest.is_file() else None
    known = data_fingerprint(manifest) if listed is not None else f"revision:{commit}" if commit else None
    lock = _read_lock(folder / "recipe.lock.json")
    return Repository(
        location=repo,
        name=folder.name if local else repo,
        revision=commit,
        manifest_sha256=manifest_sha256,
        fingerprint=known or _folder_fingerprint(folder),
        classes=_read_class_map(class_map),
        class_map_sha256=class_map_sha256,
        folder=folder,
        listed=listed,
        layout=read_layout(folder / "README.md", names),
        masks=count_masks(lock, where=repo),
        grouped=isinstance(lock, dict) and bool(lock.get("groups")),
    )


def _list_names(repo: str, folder: Path, commit: str | None) -> Collection[str]:
    """Paths of all shards of a dataset without a list of its files."""
    if commit is not None:
        return list_files(repo, commit, folder)
    return [path.relative_to(folder).as_posix() for path in _shards(folder)]


def _shards(folder: Path) -> list[Path]:
    """All Parquet files below a folder, sorted, without hidden ones, which ``datasets`` passes over as well."""
    paths = sorted(folder.rglob("*.parquet"))
    return [path for path in paths if not any(part.startswith(".") for part in path.relative_to(folder).parts)]


def _read_class_map(path: Path) -> ClassMap:
    try:
        return parse_class_map(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"{path}: cannot be read: {plain_line(error)}") from error


def _read_lock(path: Path) -> Any:  # noqa: ANN401  any JSON value
    """Content of a dataset's lock; None where there is none. Raises ``EvaluationError`` for a damaged one."""
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise EvaluationError(f"{path}: expected the lock of the dataset: {plain_line(error)}") from error


def count_masks(lock: Any, *, where: str) -> dict[str, Any] | None:  # noqa: ANN401  any JSON value
    """How many of a dataset's objects have masks in which state, and how many nobody reviewed, as its lock says.

    None where the lock does not say that. ``EvaluationError``, with ``where`` it lies, for numbers that are none.
    """
    try:
        states = {str(state): int(count) for state, count in lock["states"].items()}
        objects, unreviewed = int(lock["objects"]), int(lock["unreviewed"])
        if (least := min(objects, unreviewed, *states.values())) < 0:
            raise ValueError(f"a negative number of masks, {least}")
        return {"objects": objects, "unreviewed": unreviewed, "states": states, **_read_agreement(lock)}
    except (ValueError, OverflowError) as error:
        words = f"{where}/recipe.lock.json: expected the numbers of the dataset's masks: {plain_line(error)}"
        raise EvaluationError(words) from error
    except (KeyError, TypeError, AttributeError):
        return None


def _read_agreement(lock: Mapping[str, Any]) -> dict[str, Any]:
    """How many of the machine masks were compared with another segmenter's, and agree; empty where none were."""
    own = lock.get("agreement")
    if own is None:
        return {}
    min_iou, objects, agreeing = float(own["min_iou"]), int(own["objects"]), int(own["agreeing"])
    if not 0 <= min_iou <= 1:
        raise ValueError(f"agreement.min_iou: no IoU from 0 to 1, {min_iou}")
    if not 0 <= agreeing <= objects:
        raise ValueError(f"agreement: {agreeing} of {objects} masks agree")
    return {"agreement": {"min_iou": min_iou, "objects": objects, "agreeing": agreeing}}


def _folder_fingerprint(folder: Path) -> str:
    """Hash of the names and contents of the shards, class map and manifest, for a folder whose manifest lists none."""
    others = [path for name in ("class_map.json", "manifest.json") if (path := folder / name).is_file()]
    shards = [*_shards(folder), *others]
    text = "\0".join(f"{path.relative_to(folder).as_posix()}\0{file_sha256(path)}" for path in shards)
    return f"files:{hashlib.sha256(text.encode()).hexdigest()}"


def list_configs(repository: Repository, asked: Sequence[str] | None = None) -> list[str]:
    """The configs asked for, else all of the dataset, known ones in the order of the tables."""
    present = set(repository.layout)
    require(present, f"{repository.name}: expected shards data/CONFIG/SPLIT-00000-of-00001.parquet, found none")
    absent = set(asked or ()) - present
    require(not absent, f"{repository.name} has no config {list_names(absent)}; it has {list_names(present)}", 2)
    return sorted(present if asked is None else set(asked), key=config_rank)


def config_rank(name: str) -> tuple[int, str, int]:
    """Sorts known configs in the order of the tables, others after them by name; those of one dilation by its size."""
    grown = re.fullmatch(r"(.+)_([de])([1-9]\d{0,2})", name)
    base, pixels = (grown[1], int(grown[3]) * (1 if grown[2] == "d" else -1)) if grown else (name, 0)
    return (CONFIG_ORDER.index(base) if base in CONFIG_ORDER else len(CONFIG_ORDER), base, pixels)


def load_rows(
    repository: Repository,
    config: str,
    split: str,
    *,
    limit: int | None = None,
    columns: Sequence[str] = ("draw",),
    ids: Collection[str] | None = None,
    optional: Sequence[str] = (),
) -> Table:
    """Rows of one config with image (stored bytes), label, image_id and ``columns``, as a ``datasets.Dataset``.

    Columns that are ``optional`` are there where the config has them.
    With ``limit`` only the images of the config's smallest ids; with ``ids`` only those images, none if it has none.
    ``EvaluationError`` if the config lacks the split, pixels or labels, its classes are not the map's, or a shard is
    damaged or not the one that the manifest lists.
    """
    import datasets

    record, paths = f"{repository.name}/{config}", repository.shards(config, split)
    table = read_table(record, paths, split, check_shards(repository.name, paths, repository.listed))
    require("image" in table.column_names, f"{record}: holds no images (a recipe release); rebuild it first")
    lacking = {"label", "image_id", *columns} - set(table.column_names)
    require(not lacking, f"{record}: has no column {list_names(lacking)}, which this protocol needs")
    present = [column for column in optional if column in table.column_names]
    check_columns(table, record, [*columns, *present], repository.classes.names)
    table = table.select_columns(["image", "label", "image_id", *columns, *present])
    for column in {"image", "object_mask"} & set(table.column_names):
        table = table.cast_column(column, datasets.Image(decode=False))
    if limit is not None or ids is not None:
        stored_ids = table["image_id"][:]
        chosen = set(sorted(set(stored_ids))[:limit]) if ids is None else set(ids)
        table = table.select([row for row, image_id in enumerate(stored_ids) if image_id in chosen])
    unlabelled = sum(label is None or label < 0 for label in table["label"][:])
    require(len(table) or ids is not None, f"{record}: {EMPTY}")
    require(not unlabelled, f"{record}: {unlabelled} rows have no label")
    return table


def row_names(table: Table) -> dict[str, NDArray[Any]]:
    """Whose rows they are: ``image_id`` and ``label``, ``(R,)`` each."""
    return {"image_id": np.array(table["image_id"][:]), "label": np.array(table["label"][:], dtype=np.int64)}


def row_texts(table: Table, column: str) -> NDArray[Any]:
    """A column of texts, ``(R,)``; empty where a row has none."""
    return np.array([str(text or "") for text in table[column][:]])
