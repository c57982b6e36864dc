"""First pass of a build: every source decoded once, its views stored raw on scratch disk.

Memory stays flat however many rows there are, and a killed build goes on from the scenes that it had made.

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
from typing import Any, Final, Literal, NamedTuple
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from figureground.build.geometry.objects import MeasuredObject
from figureground.build.geometry.views import Canvas
from figureground.build.painting.scenes import CanvasKey, PlacedPhoto, Scene, make_scene
from figureground.errors import DataError, Fault, FigureGroundError
from figureground.runtime.failures import naming
from figureground.schemas.rasters.photos import decode_photo
from figureground.schemas.recipes import Recipe, RuleSet
from figureground.schemas.records import ObjectRecord, PhotoRef, SourceRow
from figureground.schemas.sources.opening import read_catalogued

_OPEN_SCENES: Final = 16  # rows of one object follow each other; donors seldom recur, and opening a scene is quick
_LENGTH_BYTES: Final = 8


class ArrayName(NamedTuple):
    """Name of an array in the file of a scene."""

    part: Literal["photo", "matte", "attribute", "mask_png", "texture"]
    name: str = ""
    """Name of the paint, matte or attribute; empty for the other parts."""
    view: str = ""
    """View and instance of its ``CanvasKey``; empty and 0 for a texture, which is in stored pixels."""
    instance: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneJob:
    """Some objects whose scenes are to be made."""

    objects: tuple[MeasuredObject, ...]
    textures: tuple[PhotoRef, ...]
    """Photos that are stored as they are, for rows to take their texture from."""
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
    return len(job.objects) + len(job.textures), faults


Arrays = Mapping[ArrayName, NDArray[Any]]


def _photos(job: SceneJob) -> Iterator[tuple[ObjectRecord | PhotoRef, Path, Callable[[Canvas], Arrays]]]:
    """Each photo of a job, the path that its arrays go to, and how they are made of its pixels."""

    def object_arrays(measured: MeasuredObject, photo: Canvas) -> Arrays:
        return _scene_arrays(make_scene(measured, photo, job.rules, job.recipe))

    for measured in job.objects:
        yield measured.record, Path(_scene_path(job.folder, measured.object_id)), partial(object_arrays, measured)
    for texture in job.textures:
        path = Path(_texture_path(job.folder, texture.image_id))
        yield texture, path, lambda photo: {ArrayName("texture"): photo}


def _scene_arrays(scene: Scene) -> Arrays:
    arrays: dict[ArrayName, NDArray[Any]] = {}
    for key, placed in scene.items():
        arrays |= {ArrayName("photo", name, *key): canvas for name, canvas in placed.photos.items()}
        arrays |= {ArrayName("matte", name, *key): matte for name, matte in placed.mattes.items()}
        arrays |= {ArrayName("attribute", name, *key): mask for name, mask in placed.attributes.items()}
        arrays[ArrayName("mask_png", "", *key)] = np.frombuffer(placed.mask_png, dtype=np.uint8)
    return arrays


def load_scene(folder: Path, object_id: str) -> Scene:
    """Read a scene that ``write_scenes`` made; its arrays are read-only."""
    parts: dict[CanvasKey, dict[str, dict[str, NDArray[Any]]]] = {}
    for array_name, array in _read_arrays(_scene_path(folder, object_id)).items():
        empty: dict[str, dict[str, NDArray[Any]]] = {"photo": {}, "matte": {}, "attribute": {}, "mask_png": {}}
        placed = parts.setdefault(CanvasKey(array_name.view, array_name.instance), empty)
        placed[array_name.part][array_name.name] = array
    return {
        key: PlacedPhoto(
            photos=placed["photo"],
            mattes=placed["matte"],
            attributes=placed["attribute"],
            mask_png=placed["mask_png"][""].tobytes(),
        )
        for key, placed in parts.items()
    }


def load_texture(folder: Path, image_id: str) -> Canvas:
    """Read a photo that ``write_scenes`` stored as a texture."""
    return _read_arrays(_texture_path(folder, image_id))[ArrayName("texture")]


class SceneStore:
    """Scenes by object id and textures by image id, the most recent ones open."""

    def __init__(self, folder: Path) -> None:
        self.get = lru_cache(maxsize=_OPEN_SCENES)(lambda object_id: load_scene(folder, object_id))
        self.texture = lru_cache(maxsize=_OPEN_SCENES)(lambda image_id: load_texture(folder, image_id))


def _write_arrays(path: Path, arrays: Arrays) -> None:
    """Write arrays so that the file appears whole unless the power fails, which ``_is_whole`` notices."""
    head = json.dumps([(name, array.dtype.str, array.shape) for name, array in arrays.items()]).encode()
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.partial")
    try:
        with naming(path), temporary.open("xb") as file:
            file.write(len(head).to_bytes(_LENGTH_BYTES, "little") + head)
            for array in arrays.values():
                file.write(np.ascontiguousarray(array).data)
        temporary.replace(path)  # not flushed to the disk before: that took longer than making a scene
    finally:
        temporary.unlink(missing_ok=True)


def _read_arrays(path: str) -> dict[ArrayName, NDArray[Any]]:
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
    arrays: dict[ArrayName, NDArray[Any]] = {}
    for name, kind, shape in json.loads(mapped[_LENGTH_BYTES:start]):
        arrays[ArrayName(*name)] = np.ndarray(shape, dtype=kind, buffer=mapped, offset=start)
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
