"""Embeddings of photos on disk, for those who ask a SAM about the same photos again with other prompts."""

from __future__ import annotations

import hashlib
import math
import os
import threading
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from figureground.annotate.segmenters.protocol import Photo, Segmenter
from figureground.annotate.segmenters.sam_decoding import Answers, Embedding, Floats, Frame, SamNetwork
from figureground.errors import UsageError
from figureground.runtime.files import replace_file
from figureground.schemas.rasters.arrays import read_array

MOST_GIGABYTES: Final = 20.0
"""Bound of a folder of embeddings where nothing else is said: 5000 photos of the first SAM, 1200 of SAM 2.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingFolder:
    """Where embeddings are kept."""

    path: Path
    """Each model and precision has a folder of its own in it."""
    most_bytes: int = int(MOST_GIGABYTES * 1e9)
    """What all of them may take together; those that were not used for longest go first."""


class RememberingSam:
    """A ``SamNetwork`` that encodes a photo once, also over several runs.

    Embeddings are stored as they are, float32, so that masks are the same bytes with them and without: 4 MB a photo for
    the first SAM, 17 MB for SAM 2.1.

    Args:
        network: The model.
        bounded: The folder of all models, with its bound.
        name: Name of this model's folder in it, which is made.
    """

    def __init__(self, network: SamNetwork, bounded: EmbeddingFolder, name: str) -> None:
        self._network = network
        self._bounded = bounded
        self._folder = bounded.path / name
        self._folder.mkdir(parents=True, exist_ok=True)
        self._trimming = threading.Lock()
        self.embedding_shapes = network.embedding_shapes

    def frame(self, photo_hw: tuple[int, int]) -> Frame:
        """As the model does (``SamNetwork.frame``)."""
        return self._network.frame(photo_hw)

    def has(self, photo_rgb: Photo) -> bool:
        """Whether the embedding of a photo is stored."""
        return self._path(photo_rgb).exists()

    def encode(self, photo_rgb: Photo) -> Embedding:
        """Embed a photo (``SamNetwork.encode``), or read its embedding where it is stored."""
        path = self._path(photo_rgb)
        embedding = _read(path, self.embedding_shapes)
        if embedding is None:
            embedding = self._network.encode(photo_rgb)
            with replace_file(path) as temporary, temporary.open("wb") as file:
                np.savez(file, *embedding)
            with self._trimming:
                _trim(self._bounded, spare=path)
        else:
            with suppress(FileNotFoundError):  # another process trims, or a takedown
                os.utime(path)  # used last is forgotten last
        return embedding

    def decode(
        self,
        embedding: Embedding,
        coords: Floats,
        labels: Sequence[int],
        *,
        hint: Floats | None = None,
        answers: Answers = "four",
    ) -> tuple[Floats, Floats]:
        """As the model does (``SamNetwork.decode``)."""
        return self._network.decode(embedding, coords, labels, hint=hint, answers=answers)

    def _path(self, photo_rgb: Photo) -> Path:
        return self._folder / _file_name(photo_rgb)


def keep_embeddings(segmenter: Segmenter, folder: Path | EmbeddingFolder) -> RememberingSam:
    """Let a SAM keep its embeddings below a folder; returns what keeps them.

    Raises:
        UsageError: if it makes none.
    """
    network = getattr(segmenter, "network", None)
    if network is None:
        raise UsageError(f"{segmenter.name} makes no embeddings; SAMs do, such as mobile-sam")
    precision = getattr(segmenter, "precision", "float32")  # of an encoder that has a choice
    suffix = "" if precision == "float32" else f"-{precision}"
    bounded = folder if isinstance(folder, EmbeddingFolder) else EmbeddingFolder(path=folder)
    remembering = RememberingSam(network, bounded, f"{segmenter.name}-{segmenter.checkpoint_sha256[:16]}{suffix}")
    segmenter.network = remembering  # type: ignore[attr-defined]  # it is there, see above
    return remembering


def forget_embedding(folder: Path, photo_rgb: Photo) -> None:
    """Delete what any model keeps of a photo in a folder of embeddings."""
    for path in folder.glob(f"*/{_file_name(photo_rgb)}"):
        path.unlink(missing_ok=True)


def stored_embeddings(folder: Path) -> dict[Path, int]:
    """Files of a folder of embeddings with their sizes in bytes, the one used longest ago first."""
    states = []
    for path in folder.glob("*/*.npz"):
        try:
            states.append((path.stat(), path))
        except FileNotFoundError:  # another process trims too
            continue
    states.sort(key=lambda state: (state[0].st_mtime_ns, state[1]))
    return {path: state.st_size for state, path in states}


def _file_name(photo_rgb: Photo) -> str:
    height, width = photo_rgb.shape[:2]
    return f"{hashlib.sha256(f'{height}x{width} '.encode() + photo_rgb.tobytes()).hexdigest()}.npz"


def _trim(bounded: EmbeddingFolder, *, spare: Path) -> None:
    """Delete what goes beyond the bound; the file that was just written stays in any case."""
    sizes = stored_embeddings(bounded.path)
    excess = sum(sizes.values()) - bounded.most_bytes
    for path, size in sizes.items():
        if excess <= 0:
            return
        if path != spare:
            path.unlink(missing_ok=True)
            excess -= size


def _read(path: Path, shapes: Sequence[tuple[int, ...]]) -> Embedding | None:
    """A stored embedding; None where there is none, or a damaged one, which is then made again."""
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(info.file_size for info in archive.infolist()) > sum(
                4 * math.prod(shape) + 4096 for shape in shapes
            ):
                return None  # never unpacked: it may be larger than the memory
            names = sorted(archive.namelist(), key=lambda name: int(name.removeprefix("arr_").removesuffix(".npy")))
            arrays = tuple(read_array(archive.read(name), where=str(path), record=name) for name in names)
    except Exception:  # zipfile, zlib and NumPy raise nearly anything on damaged bytes
        return None
    sound = all(array.dtype == np.float32 and np.isfinite(array).all() for array in arrays)
    return arrays if sound and [array.shape for array in arrays] == list(shapes) else None
