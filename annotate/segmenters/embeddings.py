"""Embeddings of photos on disk, for those who ask a SAM about the same photos again with other prompts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from figureground.annotate.segmenters.protocol import Photo, Segmenter
from figureground.annotate.segmenters.sam_decoding import EMBEDDING_SHAPE, Floats, SamNetwork
from figureground.errors import DataError, UsageError
from figureground.runtime.files import replace_file
from figureground.schemas.rasters.arrays import read_array


class RememberingSam:
    """A ``SamNetwork`` that encodes a photo once, also over several runs.

    Embeddings are stored as they are, float32 and 4 MB each, so that masks are the same bytes with them and without.

    Args:
        network: The model.
        folder: Where its embeddings are stored, and no other model's; it is made.
    """

    def __init__(self, network: SamNetwork, folder: Path) -> None:
        self._network = network
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def encode(self, frame_rgb: Photo) -> Floats:
        """Embed a scaled photo (``SamNetwork.encode``), or read its embedding where it is stored."""
        height, width = frame_rgb.shape[:2]
        name = hashlib.sha256(f"{height}x{width} ".encode() + frame_rgb.tobytes()).hexdigest()
        path = self._folder / f"{name}.npy"
        embedding = _read(path)
        if embedding is None:
            embedding = self._network.encode(frame_rgb)
            with replace_file(path) as temporary, temporary.open("wb") as file:
                np.save(file, embedding, allow_pickle=False)
        return embedding

    def decode(self, embedding: Floats, coords: Floats, labels: Sequence[int]) -> tuple[Floats, Floats]:
        """As the model does (``SamNetwork.decode``)."""
        return self._network.decode(embedding, coords, labels)


def keep_embeddings(segmenter: Segmenter, folder: Path) -> None:
    """Let a SAM keep its embeddings below a folder, each model and precision in a folder of its own.

    Raises:
        UsageError: if it makes none.
    """
    network = getattr(segmenter, "network", None)
    if network is None:
        raise UsageError(f"{segmenter.name} makes no embeddings; mobile-sam and sam do")
    precision = getattr(segmenter, "precision", "float32")  # of an encoder that has a choice
    suffix = "" if precision == "float32" else f"-{precision}"
    own = folder / f"{segmenter.name}-{segmenter.checkpoint_sha256[:16]}{suffix}"
    segmenter.network = RememberingSam(network, own)  # type: ignore[attr-defined]  # it is there, see above


def _read(path: Path) -> Floats | None:
    """A stored embedding; None where there is none, or a damaged one, which is then made again."""
    try:
        stored = read_array(path.read_bytes(), where=str(path))
    except (OSError, DataError):
        return None
    whole = stored.shape == EMBEDDING_SHAPE and stored.dtype == np.float32 and bool(np.isfinite(stored).all())
    return stored if whole else None
