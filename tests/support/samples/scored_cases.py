"""What tests of scoring draw: the scoring code as one module, small datasets with a manifest, small models."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import datasets.config
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from colour_dataset import HEAD, PLAIN, offline, write_dataset, write_onnx
from evaluation_package import NAME, package_as_one_module

SHARD = "data/original/test-00000-of-00001.parquet"


@cache
def scoring_code() -> Any:
    """The package, or the published file where FIGUREGROUND_EVALUATION is ``file``."""
    if os.environ.get("FIGUREGROUND_EVALUATION") == "file":
        return importlib.import_module(NAME)
    return package_as_one_module()


@contextmanager
def scratch(folder: Path) -> Iterator[None]:
    """The folder as working directory, with caches of its own and no Hub; modules in it are forgotten afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in offline(folder).items():
            patch.setenv(name, value)
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", str(folder / "hf" / "datasets"))
        patch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
        patch.chdir(folder)
        yield
    sys.path[:] = [path for path in sys.path if not path.startswith(str(folder))]
    for name in list(sys.modules):
        own = getattr(sys.modules[name], "__dict__", {})  # a lazy module imports what it is asked for
        if str(own.get("__file__")).startswith(str(folder)):
            del sys.modules[name]


def score(folder: Path, model: str, **options: Any) -> dict[str, Any]:
    """Results of a model on ``original``."""
    result: dict[str, Any] = scoring_code().evaluate(str(folder), model, configs=["original"], bootstrap=20, **options)
    return result


def refused(folder: Path, model: str, code: int = 1, **options: Any) -> str:
    """The one line with which a model is refused."""
    with pytest.raises(scoring_code().EvaluationError) as caught:
        score(folder, model, **options)
    assert caught.value.exit_code == code, str(caught.value)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 700
    assert " at 0x" not in message
    return message


def list_files(folder: Path) -> Path:
    """Let the manifest list the files as they are now."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json")
    digests = {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    (folder / "manifest.json").write_text(json.dumps({"sha256": digests}, indent=1))
    return folder


def draw_dataset(folder: Path, *, listed: bool = True) -> Path:
    """A dataset of colours with one config, whose manifest lists its files, or with no manifest."""
    write_dataset(folder, {"original": ["red", "red", "green", "green", "blue", "red"]}, manifest=None)
    return list_files(folder) if listed else folder


def change_rows(folder: Path, change: Callable[[list[dict[str, Any]]], Any], schema: pa.Schema | None = None) -> None:
    """Rewrite the rows of ``original``; the features of ``datasets`` stay unless a schema is given."""
    path = folder / SHARD
    table = pq.read_table(path)
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema or table.schema), path)


def change_column(folder: Path, name: str, values: pa.Array) -> None:
    """Give ``original`` a column of another kind, with no word of it in the features of ``datasets``."""
    path = folder / SHARD
    table = pq.read_table(path)
    metadata = json.loads(table.schema.metadata[b"huggingface"])
    metadata["info"]["features"].pop(name)
    features: Any = datasets.Features.from_arrow_schema(pa.schema([(name, values.type)])).to_dict()
    metadata["info"]["features"][name] = features[name]
    table = table.set_column(table.column_names.index(name), name, values)
    pq.write_table(table.replace_schema_metadata({b"huggingface": json.dumps(metadata).encode()}), path)


def colour_model(path: Path, scale: float = 1, settings: Mapping[str, str] = PLAIN) -> str:
    """Specification of an ONNX head that answers the colour it sees most of, or where ``scale`` is negative least."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return f"onnx:{write_onnx(path, (HEAD * scale).astype(np.float32), settings=settings)}"
