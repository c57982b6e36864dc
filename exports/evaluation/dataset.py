"""The dataset that is scored: a folder or a repository on the Hub."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from figureground.exports.evaluation.label_spaces import ClassMap, parse_class_map
from figureground.exports.evaluation.values import EMPTY, EvaluationError, Table, file_sha256, list_names, require

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
    "no_fg_d2",
    "no_fg_d4",
    "no_fg_d8",
    "no_fg_d16",
    "no_fg_d32",
    "silhouette",
    "only_bg_b",
    "only_bg_t",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A dataset repository, in a folder or on the Hub."""

    location: str  # what load_dataset is given
    name: str  # folder name or Hub id: results name no machine's paths
    revision: str | None  # commit on the Hub; None for a folder
    manifest_sha256: str | None
    fingerprint: str  # changes whenever the data does
    classes: ClassMap


def open_repository(repo: str, revision: str | None = None) -> Repository:
    """Find a dataset and read its class map; ``EvaluationError`` if there is none.

    ``repo`` is a folder, or an id ``OWNER/NAME`` on the Hub, where ``revision`` (tag, branch or commit) is required, so
    that a score names the data it is of; it is resolved to a commit once, so that no run mixes two.
    """
    local = Path(repo).is_dir()
    require(local or re.fullmatch(r"[\w.-]+/[\w.-]+", repo), f"{repo}: neither a folder nor a Hub id OWNER/NAME", 2)
    require(not (local and revision), f"{repo} is a folder: it has no revision", 2)
    require(local or revision, f"{repo}: a dataset on the Hub needs --revision, a tag or commit", 2)
    folder = Path(repo).resolve() if local else _fetch_metadata(repo, revision)  # the cache names it by commit
    commit = None if local else folder.name
    class_map, manifest = folder / "class_map.json", folder / "manifest.json"
    require(class_map.is_file(), f"{repo}: expected class_map.json in the dataset, found none")
    manifest_sha256 = file_sha256(manifest) if manifest.is_file() else None
    return Repository(
        location=repo,
        name=folder.name if local else repo,
        revision=commit,
        manifest_sha256=manifest_sha256,
        fingerprint=manifest_sha256 or (f"revision:{commit}" if commit else _folder_fingerprint(folder)),
        classes=parse_class_map(class_map.read_text(encoding="utf-8")),
    )


def _fetch_metadata(repo: str, revision: str | None) -> Path:
    """The Hub's class map and manifest, in a cache folder that is named after the commit."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repo, repo_type="dataset", revision=revision, allow_patterns=["*.json"]))
    except (OSError, ValueError) as error:
        raise EvaluationError(f"{repo}@{revision}: the Hub did not give it: {error}", 3) from error


def _folder_fingerprint(folder: Path) -> str:
    """Hash of the names and contents of the shards and of the class map, for a folder without a manifest."""
    shards = [*sorted(folder.rglob("*.parquet")), folder / "class_map.json"]
    text = "\0".join(f"{path.relative_to(folder).as_posix()}\0{file_sha256(path)}" for path in shards)
    return f"files:{hashlib.sha256(text.encode()).hexdigest()}"


def list_configs(repository: Repository, asked: Sequence[str] | None = None) -> list[str]:
    """The configs asked for, else all of the dataset, known ones in the order of the tables."""
    from datasets import get_dataset_config_names

    present = set(get_dataset_config_names(repository.location, revision=repository.revision))
    absent = set(asked or ()) - present
    require(not absent, f"{repository.name} has no config {list_names(absent)}; it has {list_names(present)}", 2)
    return sorted(present if asked is None else set(asked), key=config_rank)


def config_rank(name: str) -> tuple[int, str]:
    """Sorts known configs in the order of the tables, others after them by name."""
    return (CONFIG_ORDER.index(name) if name in CONFIG_ORDER else len(CONFIG_ORDER), name)


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
    ``EvaluationError`` if the config lacks the split, pixels or labels, or its classes are not the map's.
    """
    import datasets

    record, commit = f"{repository.name}/{config}", repository.revision
    # datasets does not notice that the files of a local folder have changed: it gets a cache for each fingerprint
    cache = None if commit else str(Path(datasets.config.HF_DATASETS_CACHE, repository.fingerprint[-16:]))
    try:
        table = datasets.load_dataset(repository.location, config, split=split, revision=commit, cache_dir=cache)
    except (OSError, ValueError) as error:
        raise EvaluationError(f"{record}: {error}", 3 if isinstance(error, OSError) else 2) from error
    require("image" in table.column_names, f"{record}: holds no images (a recipe release); rebuild it first")
    names, wanted = tuple(getattr(table.features["label"], "names", ())), repository.classes.names
    require(names == wanted, f"{record}: expected the labels of class_map.json, {', '.join(wanted)}; got {names}")
    lacking = set(columns) - set(table.column_names)
    require(not lacking, f"{record}: has no column {list_names(lacking)}, which this protocol needs")
    present = [column for column in optional if column in table.column_names]
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
