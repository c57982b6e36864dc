"""Head of every result file: data, model, versions of libraries; and files that appear whole."""

from __future__ import annotations

import importlib.metadata
import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from figureground.exports.analyses.networks import AnalysedModel
from figureground.exports.evaluation.dataset import Repository
from figureground.runtime.files import replace_file, write_text

SCHEMA_VERSION: Final = "1"
LIBRARIES: Final = ("captum", "datasets", "figureground", "matplotlib", "numpy", "pillow", "scikit-learn", "torch")
"""What the numbers of an analysis pass through."""


def describe_run(
    analysis: str,
    repository: Repository,
    models: Iterable[AnalysedModel],
    *,
    config: str,
    split: str,
    limit: int | None,
) -> dict[str, Any]:
    """The head of a result file, JSON-ready: schema, data, libraries."""
    names = (name for model in models for name in model.libraries)
    return {
        "schema_version": SCHEMA_VERSION,
        "analysis": analysis,
        "dataset": {**describe_dataset(repository), "config": config, "split": split, "limit": limit},
        "libraries": library_versions((*LIBRARIES, *names)),
    }


def describe_dataset(repository: Repository) -> dict[str, Any]:
    """Which data, JSON-ready: name, revision, hashes and classes."""
    return {
        "name": repository.name,
        "revision": repository.revision,
        "manifest_sha256": repository.manifest_sha256,
        "fingerprint": repository.fingerprint,
        "class_map": repository.classes.name,
        "classes": list(repository.classes.names),
    }


def library_versions(names: Iterable[str]) -> dict[str, str]:
    """Installed versions by name of the package; those that are not installed are left out."""
    versions = {}
    for name in sorted(set(names)):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def describe_model(model: AnalysedModel) -> dict[str, Any]:
    """Which weights, run where and in what, fed how; JSON-ready."""
    return {
        "model": model.name,
        "weights_sha256": model.weights_sha256,
        "device": str(model.device),
        "precision": model.precision,
        "feeding": {
            "input_size_hw": list(model.input_size_hw),
            "mean": list(model.mean),
            "std": list(model.std),
            "interpolation": model.interpolation,
            "fit": "the canvas is resized whole",
        },
    }


def write_json(folder: Path, name: str, result: Mapping[str, Any]) -> dict[str, Any]:
    """Write a result as sorted, indented JSON, and return it as a reader of the file finds it: NaN is null."""
    plain = {str(key): _finite(item) for key, item in result.items()}
    write_result(folder, name, json.dumps(plain, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")
    return plain


def _finite(value: Any) -> Any:  # noqa: ANN401  any JSON value
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_result(folder: Path, name: str, content: str | bytes) -> str:
    """Write one file of a result folder whole or not at all; returns its name."""
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        write_text(folder / name, content)
    else:
        with replace_file(folder / name) as temporary:
            temporary.write_bytes(content)
    return name


def file_stem(name: str) -> str:
    """A model's name as part of a file name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._") or "model"
