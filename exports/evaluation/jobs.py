"""One model on one dataset: what is scored, and the answers that are stored, so that a killed run goes on."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import math
import re
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from figureground.exports.evaluation.adapters import Adapter
from figureground.exports.evaluation.answers import Feeder
from figureground.exports.evaluation.dataset import Repository, load_rows
from figureground.exports.evaluation.intervals import Sampling
from figureground.exports.evaluation.values import Answers, Progress, Table, list_names, require, write_whole

PREDICTIONS: Final = "predictions"  # folder of stored answers, in that of results
npy_format: Any = np.lib.format  # ships no annotations
MOST_ARRAY_BYTES: Final = 1 << 29  # of a file: answers to 1.3 million images with ids of 32 characters have 250 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One model on one dataset under one protocol."""

    repository: Repository
    adapter: Adapter
    configs: Sequence[str]
    views: Sequence[str]  # those of the configs that are none of the dataset's, but other views of its images
    split: str
    limit: int | None  # images of the smallest ids; None for all
    batch_size: int
    workers: int | None  # threads that decode images
    out: Path | None  # folder for results
    sampling: Sampling  # behind intervals
    options: Mapping[str, Any]  # of the protocol, by name
    key: Mapping[str, Any]  # everything that decides a prediction: stored ones of any other key are stale
    progress: Progress | None
    only: Collection[str] | None = None  # the only images to score; None for all

    @property
    def feeder(self) -> Feeder:
        """The model, and how rows come to it."""
        return Feeder(adapter=self.adapter, batch_size=self.batch_size, workers=self.workers, progress=self.progress)

    def rows(self, config: str, columns: Sequence[str], *, optional: Sequence[str] = ()) -> Table:
        """Rows of a config, with the ``optional`` columns that it has."""
        return load_rows(
            self.repository, config, self.split, limit=self.limit, columns=columns, ids=self.only, optional=optional
        )

    def limited(self) -> Job:
        """The same with the limit taken of ``original``; configs that hold none of its images then are left out."""
        name = self.key["protocol"]
        require("original" in self.configs, f"{name} needs the config original; got {list_names(self.configs)}", 2)
        if self.limit is None:
            return self
        job = dataclasses.replace(self, only=frozenset(self.rows("original", [])["image_id"]))
        left = [config for config in self.configs if config in self.views or len(job.rows(config, []))]
        return dataclasses.replace(job, configs=left)

    def keyed(self, **more: Any) -> Job:  # noqa: ANN401  JSON values
        """The same with more in the key that stored answers must have."""
        return dataclasses.replace(self, key={**self.key, **more})

    def remembered(self, configs: Sequence[str], run: Callable[[str], Answers]) -> dict[str, Answers]:
        """Arrays of every config's answers: stored ones of the very same job, else made by ``run``, and stored."""
        answers = {}
        for config in configs:
            if config in self.repository.layout:
                self.repository.check(config, self.split)  # stored answers are of the shards as they are listed
            text = json.dumps({**self.key, "config": config}, sort_keys=True)
            path = self.predictions_path(config)
            stored = read_predictions(path, text) if path else None
            answers[config] = run(config) if stored is None else stored
            if path and stored is None:
                write_predictions(path, answers[config], text)
            elif stored is not None and self.progress is not None:
                rows = len(next(iter(stored.values())))
                self.progress(config, rows, rows)
        return answers

    def predictions_path(self, config: str) -> Path | None:
        """Where a config's answers are stored; None without a folder."""
        return answers_file(self.out, file_stem(self.key), config) if self.out else None


def answers_file(folder: Path, stem: str, config: str) -> Path:
    """Where a folder of results has the answers to a config; ``stem`` is what a result has as ``answers``."""
    return folder / PREDICTIONS / f"{stem}.{config}.npz"


def config_of(name: str) -> str:
    """The config, or the view, that a file of answers is of, by the file's name."""
    return re.sub(r"^.*\.[0-9a-f]{16}\.", "", name.removesuffix(".npz"))


def file_stem(key: Mapping[str, Any]) -> str:
    """What the files of a job are called: the model's name, and 16 digits of the key's hash."""
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', key['model'])[:80]}.{digest[:16]}"


def write_predictions(path: Path, arrays: Mapping[str, NDArray[Any]], key: str) -> None:
    """Write arrays whole or not at all, without pickle, with the key of what they are of."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, key=np.array(key), **arrays)
    write_whole(path, buffer.getvalue())


def read_predictions(path: Path, key: str) -> dict[str, NDArray[Any]] | None:
    """Read stored arrays; None where there are none, or they are damaged, or of something else than ``key``."""
    try:
        arrays = read_arrays(path)
        return arrays if str(arrays.pop("key")) == key else None
    except Exception:  # zipfile, zlib and NumPy raise nearly anything on damaged bytes
        return None


def read_arrays(path: Path, names: Collection[str] | None = None) -> dict[str, NDArray[Any]]:
    """Arrays of an ``.npz`` file by name, of ``names`` alone or all; no room is made for what the file has not.

    Raises whatever zipfile, zlib and NumPy raise on damaged bytes; ``ValueError`` for more than ``MOST_ARRAY_BYTES``.
    """
    arrays, left = dict[str, NDArray[Any]](), MOST_ARRAY_BYTES
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            name = info.filename.removesuffix(".npy")
            if names is not None and name not in names:
                continue
            with archive.open(info) as member:
                version = npy_format.read_magic(member)
                read = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
                shape, _, dtype = read(member)
            size = math.prod(shape) * dtype.itemsize
            sound = min(shape, default=1) >= 0 < dtype.itemsize and size <= min(info.file_size, left)
            if not sound or name in arrays:
                raise ValueError(f"{name}: shape {shape} of {dtype} in {info.file_size} bytes, or there twice")
            left -= size
            with archive.open(info) as member:
                arrays[name] = npy_format.read_array(member, allow_pickle=False)
    return arrays


def split_by_space(stored: Mapping[str, Answers], record: type[Any]) -> Iterator[tuple[str, Any]]:
    """Every label space that all configs have, with its answers by config.

    Arrays are stored as ``SPACE.NAME`` or, where shared, ``NAME``.
    """
    fields = [field.name for field in dataclasses.fields(record)]
    spaces = [{name.split(".")[0] for name in arrays if "." in name} for arrays in stored.values()]
    for space in sorted(set.intersection(*spaces)):
        by_config = {}
        for config, arrays in stored.items():
            own = {name: arrays[f"{space}.{name}"] for name in fields if f"{space}.{name}" in arrays}
            by_config[config] = record(**{name: arrays[name] for name in fields if name in arrays} | own)
        yield space, by_config
