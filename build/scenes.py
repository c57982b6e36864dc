"""First pass of a build: every source decoded once, its views kept raw on scratch disk.

Memory stays flat however many rows there are, and a killed build finds the scenes it had made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from figureground.build.render import Scene, make_scene
from figureground.build.selection import Candidate
from figureground.build.views import Canvas
from figureground.errors import DataError, Fault, FigureGroundError
from figureground.schemas.files import replace_file
from figureground.schemas.photos import decode_photo
from figureground.schemas.recipes import Recipe, RuleSet
from figureground.schemas.records import ObjectRecord, PhotoRef
from figureground.schemas.sources import read_catalogued
from figureground.schemas.workspace import SourceRow

_SCENES_KEPT: Final = 256  # about 100 MB of 224-pixel scenes; donors recur, so a small cache already helps
_STORED_SIZE_KEPT: Final = 8  # canvases in stored pixels: each may have 100 megapixels, and no row has a donor
_TEXTURE: Final = "texture"


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneJob:
    """Some objects whose scenes are to be made."""

    candidates: tuple[Candidate, ...]
    textures: tuple[PhotoRef, ...]
    """Photos that are kept as they are, for rows to take their texture from."""
    sources: Mapping[str, SourceRow]
    recipe: Recipe
    rules: RuleSet
    folder: Path
    """Scratch folder for the scenes."""


def write_scenes(job: SceneJob) -> tuple[int, list[Fault]]:
    """Make the scenes of a job that are not there yet; returns how many photos it was about, and every fault."""
    faults: list[Fault] = []
    for record, path, make in _photos(job):
        if path.exists():
            continue
        try:
            arrays = make(decode_photo(read_catalogued(record, job.sources)))
        except DataError as error:
            faults.extend(error.faults)
        except (FigureGroundError, OSError) as error:
            faults.append(
                Fault(where=record.source, record=record.uri, expected="the catalogued photo", got=str(error))
            )
        else:
            with replace_file(path) as temporary, temporary.open("wb") as file:
                np.savez(file, allow_pickle=False, **arrays)
    return len(job.candidates) + len(job.textures), faults


def _photos(
    job: SceneJob,
) -> Iterator[tuple[ObjectRecord | PhotoRef, Path, Callable[[Canvas], dict[str, NDArray[Any]]]]]:
    """Each photo of a job, where its arrays go, and how they are made of its pixels."""

    def scene_arrays(candidate: Candidate, photo: Canvas) -> dict[str, NDArray[Any]]:
        scene = make_scene(candidate, photo, job.rules, job.recipe)
        return {**scene.photos, **scene.mattes}

    for candidate in job.candidates:
        path = _scene_path(job.folder, candidate.object_id)
        yield candidate.record, path, partial(scene_arrays, candidate)
    for texture in job.textures:
        yield texture, _texture_path(job.folder, texture.image_id), lambda photo: {_TEXTURE: photo}


def load_scene(folder: Path, object_id: str) -> Scene:
    """Read a scene that ``write_scenes`` made."""
    with np.load(_scene_path(folder, object_id), allow_pickle=False) as arrays:
        return _scene(arrays)


def load_texture(folder: Path, image_id: str) -> Canvas:
    """Read a photo that ``write_scenes`` kept as a texture."""
    with np.load(_texture_path(folder, image_id), allow_pickle=False) as arrays:
        return np.asarray(arrays[_TEXTURE])


class SceneStore:
    """Scenes by object id and textures by image id, the most recent ones kept in memory."""

    def __init__(self, folder: Path, rules: RuleSet) -> None:
        small = all(view.side_px is not None for view in rules.views.values())
        kept = _SCENES_KEPT if small else _STORED_SIZE_KEPT
        self.get = lru_cache(maxsize=kept)(lambda object_id: load_scene(folder, object_id))
        self.texture = lru_cache(maxsize=_STORED_SIZE_KEPT)(lambda image_id: load_texture(folder, image_id))


def _scene(arrays: NpzFile) -> Scene:
    loaded = {name: arrays[name] for name in arrays.files}
    return Scene(
        photos={name: array for name, array in loaded.items() if array.ndim == 3},
        mattes={name: array for name, array in loaded.items() if array.ndim == 2},
    )


def _scene_path(folder: Path, object_id: str) -> Path:
    return folder / f"{object_id}.npz"


def _texture_path(folder: Path, image_id: str) -> Path:
    return folder / f"{image_id}.texture.npz"
