"""Features of a frozen backbone, computed once for each config and split and kept in the folder of the results."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from figureground.exports.analyses.networks import AnalysedModel, Penultimate
from figureground.exports.analyses.probe import describe_feeding
from figureground.exports.analyses.probe_training import FeatureRequest, Features, extract_features
from figureground.exports.analyses.results import SCHEMA_VERSION, file_stem, library_versions
from figureground.exports.evaluation.adapters import adapter_option
from figureground.exports.evaluation.jobs import read_predictions, write_predictions
from figureground.exports.evaluation.models import specification_sha256
from figureground.exports.evaluation.repository.shards import layout_sha256
from figureground.exports.evaluation.values import Ints, arrays_of
from figureground.runtime.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureTable:
    """What the backbone makes of one config's split: R rows, of which an image may have several."""

    image_id: NDArray[np.str_]
    """``(R,)``."""
    label: Ints
    """``(R,)`` class indices."""
    features: Features
    """``(R, D)``."""


class FeatureStore:
    """The features of one backbone on one dataset; those of the very same computation are read from the folder."""

    def __init__(
        self,
        request: FeatureRequest,
        model: AnalysedModel,
        spec: str,
        folder: Path,
        *,
        progress: Progress | None = None,
    ) -> None:
        """Features of ``model``, which ``spec`` specifies, on the dataset of ``request``, kept below ``folder``."""
        self._request = request
        self._model = model
        self._spec = spec
        self._folder = folder
        self._progress = progress
        self._penultimate = Penultimate(model.network).eval()

    def read(self, config: str, split: str) -> FeatureTable:
        """The features of a config's split, computed unless they are there; raises as ``open_rows``.

        Shards that are not those of the manifest are refused, also where features are stored.
        """
        key = self._key(config, split)
        path = self._folder / f"{file_stem(self._model.name)}.{config}.{split}.npz"
        stored = read_predictions(path, key)
        if stored is not None:
            return FeatureTable(**stored)
        request, rows = self._request, self._request.rows(config, split)
        table = FeatureTable(
            image_id=rows.image_ids,
            label=rows.labels,
            features=extract_features(
                self._penultimate, self._model, rows, request, progress=self._progress, stage=f"{config}, {split}"
            ),
        )
        write_predictions(path, arrays_of(table), key)
        return table

    def _key(self, config: str, split: str) -> str:
        """Everything that decides the features, to their last bit, as JSON."""
        request, model = self._request, self._model
        decisive = {
            "schema": SCHEMA_VERSION,
            "fingerprint": request.repository.fingerprint,
            "layout_sha256": layout_sha256(request.repository.layout),
            "shards_sha256": request.repository.check(config, split),  # stored features are of the listed shards
            "config": config,
            "split": split,
            "limit": request.limit,
            "model": model.name,
            "weights_sha256": model.weights_sha256,
            "specification_sha256": specification_sha256(self._spec),
            "settings": adapter_option(model.adapter, "settings"),
            "feeding": describe_feeding(model).model_dump(mode="json"),
            "device": str(model.device),
            "precision": model.precision,
            "batch_size": request.batch_size,  # sums of a batch are ordered by its size
            "libraries": library_versions(("numpy", "pillow", *model.libraries)),
        }
        return json.dumps(decisive, sort_keys=True)
