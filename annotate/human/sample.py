"""Which pictures of a built dataset people see: a sample by hash, as even over classes as the classes allow."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from figureground.errors import Faults, UsageError
from figureground.schemas.classes import ClassMap
from figureground.schemas.records import NAME_PATTERN, NAME_WORDS

_KEYS: Final = ("image_id", "label", "draw", "attribute")
_BATCH_ROWS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetRow:
    """One row of one config, without its pixels."""

    config: str
    image_id: str
    label: int
    """Class index."""
    draw: int
    attribute: str | None
    shard: Path
    """The Parquet file that it lies in."""
    row_index: int
    """Its row in that file, from 0."""


def seeded_hash(seed: int, *parts: str) -> str:
    """SHA-256 over the NUL-joined parts, 64 hex digits: what is drawn by it depends on nothing else."""
    return hashlib.sha256("\0".join(("human", str(seed), *parts)).encode()).hexdigest()


def hash_fraction(seed: int, *parts: str) -> float:
    """A number in [0, 1) from the same hash."""
    return int(seeded_hash(seed, *parts)[:13], 16) / 16**13


def read_rows(dataset: Path, configs: Sequence[str], split: str, classes: ClassMap) -> dict[str, list[DatasetRow]]:
    """Rows of every config, in the order of files and rows.

    Raises:
        UsageError: if a config or split has no files.
        DataError: with every fault: rows without a label or with a strange id, other classes than the map's, no pixels.
    """
    faults = Faults()
    rows = {config: list(_rows(dataset, config, split, classes, faults)) for config in configs}
    faults.raise_if_any()
    return rows


def _rows(dataset: Path, config: str, split: str, classes: ClassMap, faults: Faults) -> Iterator[DatasetRow]:
    strange = [name for name in (config, split) if not NAME_PATTERN.fullmatch(name)]
    if strange:
        raise UsageError(f"{strange[0]!r}: config and split are letters, digits, dots, dashes and underscores")
    shards = sorted((dataset / "data" / config).glob(f"{split}-*.parquet"))
    if not shards:
        raise UsageError(f"{dataset} has no files data/{config}/{split}-*.parquet")
    for shard in shards:
        where = shard.relative_to(dataset).as_posix()
        try:
            file = pq.ParquetFile(shard)
            columns = [name for name in _KEYS if name in file.schema_arrow.names]
            records = file.read(columns=columns).to_pylist()
        except (pa.ArrowException, OSError) as error:
            faults.add(where, "", expected="Parquet", got=str(error))
            continue
        if not _has_columns(file.schema_arrow, classes, where, faults):
            continue
        for number, record in enumerate(records):
            image_id, label = str(record["image_id"]), record["label"]
            if not NAME_PATTERN.fullmatch(image_id):
                faults.add(where, f"row {number}", expected=f"an id, {NAME_WORDS}", got=repr(image_id)[:80])
            elif label is None or not 0 <= label < len(classes.names):
                faults.add(where, image_id, expected=f"a label from 0 to {len(classes.names) - 1}", got=str(label))
            else:
                yield DatasetRow(
                    config=config,
                    image_id=image_id,
                    label=int(label),
                    draw=int(record.get("draw") or 0),
                    attribute=record.get("attribute"),
                    shard=shard,
                    row_index=number,
                )


def _has_columns(schema: pa.Schema, classes: ClassMap, where: str, faults: Faults) -> bool:
    before = len(faults)
    if "image" not in schema.names:
        faults.add(where, "", expected="a column image", got="none: a recipe release", remedy="rebuild it first")
    for name in ("image_id", "label"):
        if name not in schema.names:
            faults.add(where, "", expected=f"a column {name}", got=", ".join(schema.names))
    try:
        stored = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        names = stored.get("info", {}).get("features", {}).get("label", {}).get("names")
    except (ValueError, AttributeError) as error:
        faults.add(where, "metadata huggingface", expected="the features of datasets", got=str(error))
        names = None
    if names is not None and tuple(names) != classes.names:
        faults.add(where, "label", expected=f"the map's classes, {', '.join(classes.names)}", got=str(names)[:200])
    return len(faults) == before


def shared_rows(rows: Mapping[str, Sequence[DatasetRow]], seed: int) -> dict[str, dict[str, DatasetRow]]:
    """One row of each config for every image that all configs have, by image: of several, one by hash.

    Raises:
        DataError: if an image has two labels.
        UsageError: if the configs share no image.
    """
    faults = Faults()
    labels: dict[str, int] = {}
    chosen: dict[str, dict[str, DatasetRow]] = {}
    for config, listed in rows.items():
        for row in listed:
            if labels.setdefault(row.image_id, row.label) != row.label:
                both = f"{labels[row.image_id]} and {row.label}"
                faults.add(f"data/{config}", row.image_id, expected="one label in all configs", got=both)
            mine = chosen.setdefault(row.image_id, {})
            if config not in mine or _rank(row, seed) < _rank(mine[config], seed):
                mine[config] = row
    faults.raise_if_any()
    shared = {image_id: of_image for image_id, of_image in sorted(chosen.items()) if len(of_image) == len(rows)}
    if not shared:
        raise UsageError(f"the configs {', '.join(rows)} share no image")
    return shared


def _rank(row: DatasetRow, seed: int) -> tuple[str, int]:
    return seeded_hash(seed, "row", row.image_id, str(row.draw), row.attribute or ""), row.row_index


def draw_sample(labels: Mapping[str, int], images: int | None, per_class: int | None, seed: int) -> tuple[str, ...]:
    """Images by hash, sorted by id: first one of every class, then a second, and so on, so that sizes stay even.

    Args:
        labels: Class index of every image.
        images: How many; None for all that the cap allows.
        per_class: Most images of a class; None for no cap.
        seed: Of the hash.

    Raises:
        UsageError: if there are fewer than were asked for.
    """
    by_class: dict[int, list[str]] = {}
    for image_id in sorted(labels, key=lambda ranked_id: seeded_hash(seed, "sample", ranked_id)):
        by_class.setdefault(labels[image_id], []).append(image_id)
    turns = [(turn, image_id) for ranked in by_class.values() for turn, image_id in enumerate(ranked[:per_class])]
    if images is not None and images > len(turns):
        cap = f" at most {per_class} a class," if per_class is not None else ""
        raise UsageError(f"asked for {images} images,{cap} and there are {len(turns)}; ask for fewer, or raise the cap")
    turns.sort(key=lambda entry: (entry[0], seeded_hash(seed, "sample", entry[1])))
    return tuple(sorted(image_id for _, image_id in turns[:images]))


def read_images(rows: Sequence[DatasetRow]) -> Iterator[tuple[DatasetRow, bytes | None]]:
    """Rows with their stored image bytes, shard after shard, read in small batches."""
    by_shard: dict[Path, dict[int, DatasetRow]] = {}
    for row in rows:
        by_shard.setdefault(row.shard, {})[row.row_index] = row
    for shard, wanted in sorted(by_shard.items()):
        first = 0
        for batch in pq.ParquetFile(shard).iter_batches(columns=["image"], batch_size=_BATCH_ROWS):
            column = batch.column("image")
            for offset in range(len(column)):
                if first + offset in wanted:
                    yield wanted[first + offset], _image_bytes(column[offset].as_py())
            first += len(column)


def _image_bytes(stored: Any) -> bytes | None:  # noqa: ANN401  one Arrow value
    return stored.get("bytes") if isinstance(stored, dict) else stored
