"""First pass of a build: every source decoded once, its views kept raw on scratch disk.

Memory stays flat however many rows there are, and a killed build finds the scenes it had made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.lib.npyio import NpzFile

from figureground.build.render import Scene, make_scene
from figureground.build.selection import Candidate
from figureground.errors import DataError, Fault, FigureGroundError
from figureground.schemas.files import replace_file
from figureground.schemas.photos import decode_photo
from figureground.schemas.recipes import Recipe, RuleSet
from figureground.schemas.sources import read_catalogued
from figureground.schemas.workspace import SourceRow

_SCENES_KEPT: Final = 256  # about 100 MB of 224-pixel scenes; donors recur, so a small cache already helps


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneJob:
    """Some objects whose scenes are to be made."""

    candidates: tuple[Candidate, ...]
    sources: Mapping[str, SourceRow]
    recipe: Recipe
    rules: RuleSet
    folder: Path
    """Scratch folder for the scenes."""


def write_scenes(job: SceneJob) -> tuple[int, list[Fault]]:
    """Make the scenes of a job that are not there yet; returns the number of objects and every fault."""
    faults: list[Fault] = []
    for candidate in job.candidates:
        path = _scene_path(job.folder, candidate.object_id)
        if path.exists():
            continue
        try:
            scene = _read_scene(candidate, job)
        except DataError as error:
            faults.extend(error.faults)
        except (FigureGroundError, OSError) as error:
            record = candidate.record
            faults.append(
                Fault(where=record.source, record=record.uri, expected="the catalogued photo", got=str(error))
            )
        else:
            arrays = {**scene.photos, **scene.mattes}
            with replace_file(path) as temporary, temporary.open("wb") as file:
                np.savez(file, allow_pickle=False, **arrays)
    return len(job.candidates), faults


def load_scene(folder: Path, object_id: str) -> Scene:
    """Read a scene that ``write_scenes`` made."""
    with np.load(_scene_path(folder, object_id), allow_pickle=False) as arrays:
        return _scene(arrays)


class SceneStore:
    """Scenes by object id, the most recent ones kept in memory."""

    def __init__(self, folder: Path) -> None:
        self.get = lru_cache(maxsize=_SCENES_KEPT)(lambda object_id: load_scene(folder, object_id))


def _scene(arrays: NpzFile) -> Scene:
    loaded = {name: arrays[name] for name in arrays.files}
    return Scene(
        photos={name: array for name, array in loaded.items() if array.ndim == 3},
        mattes={name: array for name, array in loaded.items() if array.ndim == 2},
    )


def _scene_path(folder: Path, object_id: str) -> Path:
    return folder / f"{object_id}.npz"


def _read_scene(candidate: Candidate, job: SceneJob) -> Scene:
    record = candidate.record
    data = read_catalogued(record, job.sources)
    return make_scene(candidate, decode_photo(data), job.rules, job.recipe)
