"""First pass of a build: every source decoded once, its views kept raw on scratch disk.

Memory stays flat however many rows there are, and a killed build finds the scenes it had made.

A scene's file is its arrays one after the other, behind a line of JSON that names them with their types and shapes. It
is mapped into memory, so that a row reads what it shows and no more: of NumPy's own container a row took 1 ms to read.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from figureground.build.geometry.views import Canvas
from figureground.build.painting.render import Scene, make_scene
from figureground.build.planning.selection import Candidate
from figureground.errors import DataError, Fault, FigureGroundError
from figureground.schemas.rasters.photos import decode_photo
from figureground.schemas.recipes import Recipe, RuleSet
from figureground.schemas.records import ObjectRecord, PhotoRef, SourceRow
from figureground.schemas.sources.opening import read_catalogued

_SCENES_KEPT: Final = 16  # rows of one object follow each other; donors seldom recur, and opening a scene is quick
_TEXTURE: Final = "texture"
_LENGTH_BYTES: Final = 8


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
        if _is_whole(path):
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
            _write_arrays(path, arrays)
    return len(job.candidates) + len(job.textures), faults


def _photos(
    job: SceneJob,
) -> Iterator[tuple[ObjectRecord | PhotoRef, Path, Callable[[Canvas], dict[str, NDArray[Any]]]]]:
    """Each photo of a job, where its arrays go, and how they are made of its pixels."""

    def scene_arrays(candidate: Candidate, photo: Canvas) -> dict[str, NDArray[Any]]:
        scene = make_scene(candidate, photo, job.rules, job.recipe)
        pngs = {place: np.frombuffer(png, dtype=np.uint8) for place, png in scene.mask_pngs.items()}
        return {**scene.photos, **scene.mattes, **pngs}

    for candidate in job.candidates:
        path = Path(_scene_path(job.folder, candidate.object_id))
        yield candidate.record, path, partial(scene_arrays, candidate)
    for texture in job.textures:
        path = Path(_texture_path(job.folder, texture.image_id))
        yield texture, path, lambda photo: {_TEXTURE: photo}


def load_scene(folder: Path, object_id: str) -> Scene:
    """Read a scene that ``write_scenes`` made."""
    photos, mattes, pngs = {}, {}, {}
    for name, array in _read_arrays(_scene_path(folder, object_id)).items():
        if array.ndim == 3:
            photos[name] = array
        elif array.ndim == 2:
            mattes[name] = array
        else:
            pngs[name] = array.tobytes()
    return Scene(photos=photos, mattes=mattes, mask_pngs=pngs)


def load_texture(folder: Path, image_id: str) -> Canvas:
    """Read a photo that ``write_scenes`` kept as a texture."""
    return _read_arrays(_texture_path(folder, image_id))[_TEXTURE]


class SceneStore:
    """Scenes by object id and textures by image id, the most recent ones kept open."""

    def __init__(self, folder: Path) -> None:
        self.get = lru_cache(maxsize=_SCENES_KEPT)(lambda object_id: load_scene(folder, object_id))
        self.texture = lru_cache(maxsize=_SCENES_KEPT)(lambda image_id: load_texture(folder, image_id))


def _write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays so that the file appears whole unless the power fails, which ``_is_whole`` notices."""
    head = json.dumps({name: (array.dtype.str, array.shape) for name, array in arrays.items()}).encode()
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with temporary.open("wb") as file:
            file.write(len(head).to_bytes(_LENGTH_BYTES, "little") + head)
            for array in arrays.values():
                file.write(np.ascontiguousarray(array).data)
        temporary.replace(path)  # not flushed to the disk before: that took longer than making a scene
    finally:
        temporary.unlink(missing_ok=True)


def _read_arrays(path: str) -> dict[str, NDArray[Any]]:
    """The arrays of a file, read-only.

    Raises:
        ValueError: if it is cut off.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        mapped = mmap(handle, 0, access=ACCESS_READ)
    finally:
        os.close(handle)
    start = _LENGTH_BYTES + int.from_bytes(mapped[:_LENGTH_BYTES], "little")
    arrays: dict[str, NDArray[Any]] = {}
    for name, (kind, shape) in json.loads(mapped[_LENGTH_BYTES:start]).items():
        arrays[name] = np.ndarray(shape, dtype=kind, buffer=mapped, offset=start)
        start += math.prod(shape)  # of bytes: bool or uint8
    return arrays


def _is_whole(path: Path) -> bool:
    try:
        return bool(_read_arrays(str(path)))
    except (OSError, TypeError, ValueError):  # not there, empty, or cut off
        return False


def _scene_path(folder: Path, object_id: str) -> str:
    return f"{folder}{os.sep}{object_id}.scene"  # a Path would take as long as opening the file


def _texture_path(folder: Path, image_id: str) -> str:
    return f"{folder}{os.sep}{image_id}.texture"
