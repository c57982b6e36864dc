"""Checks of a published revision: every file's hash, and every config as ``datasets`` itself loads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from huggingface_hub import HfApi

from figureground.errors import Faults
from figureground.exports.dataset.files import DATA
from figureground.exports.dataset.rows import read_schema
from figureground.exports.publishing.plan import LocalRelease, compare_files
from figureground.runtime.hub import read_files, read_tree
from figureground.runtime.progress import Progress

_COMPARED: Final = ("image_id", "label", "variant", "draw")


def check_files(api: HfApi, repo_id: str, revision: str, release: LocalRelease) -> None:
    """Compare the hash of every file at a revision with the local one.

    Raises:
        DataError: with every file that is missing or differs, and every other one among the release's shards, whose
            rows ``datasets`` would read.
    """
    where, faults = f"{repo_id}@{revision}", Faults()
    stored = read_files(api, repo_id, revision, list(release.sha256))
    strange = set(read_tree(api, repo_id, revision)) - set(release.sha256)
    for file in compare_files(release, stored, ()):
        if file.action != "same":
            expected = f"a file with SHA-256 {release.sha256[file.path]}"
            got = stored[file.path].digest if file.path in stored else "none"
            faults.add(where, file.path, expected=expected, got=got, remedy="run publish again")
    for path in strange:
        if path.startswith(DATA):
            faults.add(where, path, expected="only shards of the release", got="another file", remedy="delete it there")
    faults.raise_if_any()


def check_loading(repo_id: str, commit: str, release: LocalRelease, progress: Progress) -> None:
    """Load every config and split with ``datasets``: names, features, counts, and the first row, streamed.

    Args:
        repo_id: The dataset.
        commit: Its commit; a branch or tag could be answered from a cache.
        release: What it must hold.
        progress: Called with ("configs loaded back", done, total).

    Raises:
        DataError: with every difference.
    """
    from datasets import get_dataset_config_names

    where, faults = f"{repo_id}@{commit}", Faults()
    names = set(get_dataset_config_names(repo_id, revision=commit))
    if names != set(release.rows):
        expected = f"the configs {', '.join(sorted(release.rows))}"
        faults.add(where, "README.md", expected=expected, got=", ".join(sorted(names)) or "none")
    shared = sorted(names & set(release.rows))
    for done, config in enumerate(shared, start=1):
        _check_config(repo_id, commit, config, release, faults)
        progress("configs loaded back", done, len(shared))
    faults.raise_if_any()


def _check_config(repo_id: str, commit: str, config: str, release: LocalRelease, faults: Faults) -> None:
    from datasets import load_dataset

    loaded = load_dataset(repo_id, config, revision=commit, streaming=True)
    splits = release.rows[config]
    if set(loaded) != set(splits):
        expected = f"the splits {', '.join(sorted(splits))}"
        faults.add(f"{repo_id}@{commit}", config, expected=expected, got=", ".join(sorted(loaded)))
    for split in sorted(set(loaded) & set(splits)):
        wanted, got = _stored(release, config, split), _loaded(loaded[split], split)
        for what, value in wanted.items():
            if value != got[what]:
                faults.add(f"{repo_id}@{commit}", f"{config}/{split}", expected=f"{what} {value}", got=str(got[what]))


def _stored(release: LocalRelease, config: str, split: str) -> dict[str, Any]:
    """What the local shards of a split say of themselves."""
    from datasets import Features

    shards = release.dataset.find_shards(config, split)
    row = next(release.dataset.rows(config, split))
    return {
        "rows": release.rows[config][split],
        "shards": len(shards),
        "features": str(Features.from_arrow_schema(read_schema(release.dataset.shard_path(shards[0])))),
        "first row": {name: row.get(name) for name in _COMPARED},
        "image": "image" in row,
    }


def _loaded(table: Any, split: str) -> dict[str, Any]:  # noqa: ANN401  datasets ships no annotations
    """The same of a streamed split, whose number of rows is the card's."""
    counted = (table.info.splits or {}).get(split)
    row: Mapping[str, Any] = next(iter(table), {})
    return {
        "rows": counted.num_examples if counted else None,
        "shards": table.num_shards,
        "features": str(table.features),
        "first row": {name: row.get(name) for name in _COMPARED},
        "image": min(getattr(row.get("image"), "size", (0, 0))) > 0,
    }
