"""Near-duplicates by a network: photos whose penultimate features point the same way, however they were cropped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from figureground.errors import DataError, Faults
from figureground.exports.analyses.networks import AnalysedModel, Penultimate, load_network
from figureground.exports.duplicates.places import Place, PlacedPhoto
from figureground.runtime.progress import Progress
from figureground.schemas.rasters.photos import PhotoRejected, decode_photo
from figureground.schemas.sources.opening import read_catalogued

_BATCH: Final = 16
"""Photos that the network sees at once."""
_BLOCK: Final = 2048
"""Photos that are compared with as many others at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """Unit features of photos."""

    model: str
    """Name and first digits of the SHA-256 of the weights."""
    features: NDArray[np.float32]
    """``(n, D)``, of length 1 each."""


def embed_photos(
    places: Sequence[Place], spec: str, *, device: str = "auto", progress: Progress = lambda *_: None
) -> Embedding:
    """Features of all photos of some places, in their order, by a model that ``evaluate`` takes.

    Each photo is resized whole to the network's input, with its own normalisation.

    Args:
        places: Where the photos are.
        spec: Model specification, such as ``timm:resnet50.a1_in1k``.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        progress: Called with (stage, photos done, photos in all).

    Raises:
        UsageError: if the network has no layer before its classes.
        DataError: with every photo that cannot be read where its source lies now.
    """
    model = load_network(spec, device=device)
    total = sum(len(place.photos) for place in places)
    faults, rows = Faults(), list[NDArray[np.float32]]()
    network = Penultimate(model.network)
    pictures = _pictures(places, faults)
    while batch := list(islice(pictures, _BATCH)):
        rows.append(_features(model, network, batch))
        progress("embed", sum(map(len, rows)), total)
    faults.raise_if_any()
    features = np.concatenate([np.zeros((0, network.width), np.float32), *rows])
    return Embedding(model=f"{model.name} {model.weights_sha256[:12]}", features=features)


def _pictures(places: Sequence[Place], faults: Faults) -> Iterator[NDArray[np.uint8]]:
    for place in places:
        for photo in place.photos:
            picture = _read(place, photo, faults)
            if picture is not None:
                yield picture


def _read(place: Place, photo: PlacedPhoto, faults: Faults) -> NDArray[np.uint8] | None:
    """The pixels of a photo; None, and a fault, where they cannot be had."""
    try:
        return decode_photo(read_catalogued(photo.record, place.sources))
    except DataError as error:
        faults.extend(error.faults)
    except (OSError, PhotoRejected) as error:
        faults.add(place.name, photo.file, expected="the photo that was catalogued", got=str(error))
    return None


def _features(model: AnalysedModel, network: Penultimate, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    with torch.inference_mode(), model.autocast():
        features = network(model.feed(pictures)).float()
    unit: NDArray[np.float32] = torch.nn.functional.normalize(features, dim=1).cpu().numpy()
    return unit


def near_features(features: NDArray[np.float32], min_cosine: float) -> Iterator[tuple[int, int, float]]:
    """Index, greater index and cosine of every two rows whose cosine is ``min_cosine`` or more.

    All are compared with all, a block at a time: the work grows with the square of their number.

    Args:
        features: ``(n, D)``, of length 1 each.
        min_cosine: In [-1, 1].
    """
    for start in range(0, len(features), _BLOCK):
        for other in range(start, len(features), _BLOCK):
            cosines = features[start : start + _BLOCK] @ features[other : other + _BLOCK].T
            for row, column in np.argwhere(cosines >= min_cosine).tolist():
                if start + row < other + column:
                    yield start + row, other + column, float(cosines[row, column])
