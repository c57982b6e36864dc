"""Weights that the Hub gives for a name of ``checkpoints.yaml``: held to pinned sums, or to those of their first use.

Sums that could not be had where ``checkpoints.yaml`` was written are taken from the first download on this machine
(trust on first use). From then on its commit is the one that is loaded, wherever the branch moves to, and each load
compares the files with what was kept, so that a damaged or exchanged copy is refused.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from filelock import FileLock
from pydantic import Field, RootModel

from figureground.annotate.segmenters.checkpoint_sources import Sha256
from figureground.annotate.segmenters.checkpoints import HubCheckpoint, cache_folder
from figureground.errors import DataError, Fault
from figureground.runtime.files import file_sha256, write_text
from figureground.schemas.documents import Document, parse_document

_LOG = logging.getLogger(__name__)
_WEIGHTS: Final = "*.safetensors"


class FirstUse(Document):
    """What was downloaded first."""

    commit: str = Field(pattern=r"^[0-9a-f]{40}$")
    sha256: Mapping[str, Sha256]
    """Sums of the files of weights, by name."""


class _Uses(RootModel[dict[str, FirstUse]]):
    """The file that keeps them, by repository and revision."""


def first_uses_file() -> Path:
    """Where first uses are kept."""
    return cache_folder() / "first_uses.json"


def first_use(entry: HubCheckpoint) -> FirstUse | None:
    """What was downloaded first of a checkpoint; None where nothing was yet, or where its sums are pinned.

    Raises:
        DataError: if the file that keeps it is damaged: what was trusted is not known any more.
    """
    return None if entry.sha256 else _read().get(_key(entry))


def trusted_revision(entry: HubCheckpoint) -> str:
    """The revision to load: the commit of the first use, else what ``checkpoints.yaml`` says."""
    known = first_use(entry)
    return entry.revision if known is None else known.commit


def is_on_this_machine(entry: HubCheckpoint) -> bool:
    """Whether the Hub's cache has it, at the revision that would be loaded; nothing is downloaded."""
    from huggingface_hub import try_to_load_from_cache

    files, revision = ("model.safetensors", "model.safetensors.index.json"), trusted_revision(entry)
    stored = (try_to_load_from_cache(entry.repository, name, revision=revision) for name in files)
    return any(isinstance(path, str) for path in stored)


def changed_weights(name: str, entry: HubCheckpoint) -> list[Fault]:
    """Files of a checkpoint on this machine that are not those that are known; nothing is trusted by asking.

    Raises:
        DataError: as ``first_use``.
    """
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(entry.repository, "config.json", revision=trusted_revision(entry))
    used = first_use(entry)
    known = entry.sha256 or (used.sha256 if used else {})
    if not known or not isinstance(config, str):
        return []
    snapshot = Path(config).parent
    return _differences(name, entry, known, _sums(snapshot), snapshot)


def check_weights(name: str, entry: HubCheckpoint, snapshot: Path) -> None:
    """Compare the files of a download with what is pinned or was downloaded first; keep their sums if neither is known.

    Args:
        name: The checkpoint's name in ``checkpoints.yaml``.
        entry: The checkpoint.
        snapshot: Folder of the Hub's cache that holds the files; it is named by their commit.

    Raises:
        DataError: for files that are others, with one fault for each; or as ``first_use``.
    """
    sums = _sums(snapshot)
    known = entry.sha256 or _first_sums(name, entry, snapshot, sums)
    if faults := _differences(name, entry, known, sums, snapshot):
        raise DataError(faults)


def _first_sums(name: str, entry: HubCheckpoint, snapshot: Path, sums: Mapping[str, str]) -> Mapping[str, str]:
    """The sums of the first use, which is now where there was none."""
    path = first_uses_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        uses = _read()
        if (known := uses.get(_key(entry))) is not None:
            return known.sha256
        uses[_key(entry)] = FirstUse(commit=snapshot.name, sha256=sums)
        document = {key: use.model_dump(mode="json") for key, use in sorted(uses.items())}
        write_text(path, json.dumps(document, indent=1) + "\n")
    words = "%s: first use, at commit %s; the sha256 of its files are kept in %s, and compared from now on"
    _LOG.warning(words, name, snapshot.name, path)
    return sums


def _sums(snapshot: Path) -> dict[str, str]:
    return {path.name: file_sha256(path) for path in sorted(snapshot.glob(_WEIGHTS))}


def _differences(
    name: str, entry: HubCheckpoint, expected: Mapping[str, str], got: Mapping[str, str], snapshot: Path
) -> list[Fault]:
    """Every file that is not the one expected."""
    remedy = "delete that folder and run again"
    if not entry.sha256:
        remedy += f"; to trust these files instead, delete {_key(entry)} in {first_uses_file()}"
    return [
        Fault(
            where=str(snapshot),
            record=file,
            expected=f"sha256 {expected.get(file, 'of no such file')}, as known of {name}",
            got=got.get(file, "no such file"),
            remedy=remedy,
        )
        for file in sorted({*expected, *got})
        if expected.get(file) != got.get(file)
    ]


def _key(entry: HubCheckpoint) -> str:
    return f"{entry.repository}@{entry.revision}"


def _read() -> dict[str, FirstUse]:
    path = first_uses_file()
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError:
        text = ""  # refused below, as any other damage
    return parse_document(text, _Uses, where=str(path)).root
