"""Plans as Parquet files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from figureground.build.planning.plan_rows import NONE
from figureground.errors import Faults
from figureground.runtime.files import replace_file
from figureground.schemas.classes import ClassMap
from figureground.schemas.documents import check_config_name, check_split_name, shown
from figureground.schemas.recipes import TEXTURE_FAMILIES, Recipe, Variant
from figureground.schemas.records import NAME_PATTERN, NAME_WORDS, ObjectRecord, PlanRow
from figureground.schemas.store.tables import read_batches

_ROWS_PER_GROUP: Final = 1 << 20
_ROWS_AT_A_TIME: Final = 1 << 15  # spelled out together; divides a row group, so that pages end where they would
_MOST_FAULTS: Final = 100  # after which nobody reads on
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_SCHEMA: Final = pa.schema(
    [
        ("variant", pa.string()),
        ("split", pa.string()),
        ("object_id", pa.string()),
        ("attribute", pa.string()),
        ("draw", pa.int32()),
        ("label", pa.int32()),
        ("seed", pa.uint64()),
        ("ground_id", pa.string()),
        ("ground_label", pa.int32()),
        ("texture_id", pa.string()),
        ("params", pa.string()),
    ]
)


def write_plan(rows: Sequence[PlanRow], path: Path) -> None:
    """Write a plan's rows as Parquet, in the order given; equal rows, equal bytes."""
    with replace_file(path) as temporary, pq.ParquetWriter(temporary, _SCHEMA, compression="zstd") as writer:
        for start in range(0, max(len(rows), 1), _ROWS_PER_GROUP):
            parts = [
                _table(rows[first : min(first + _ROWS_AT_A_TIME, start + _ROWS_PER_GROUP)])
                for first in range(start, min(start + _ROWS_PER_GROUP, max(len(rows), 1)), _ROWS_AT_A_TIME)
            ]
            writer.write_table(pa.concat_tables(parts), row_group_size=_ROWS_PER_GROUP)


def _table(rows: Sequence[PlanRow]) -> pa.Table:
    return pa.table({name: [getattr(row, name) for row in rows] for name in _SCHEMA.names}, schema=_SCHEMA)


def read_donors(path: Path) -> Iterator[tuple[str, str, str]]:
    """Variant, object id and the donor's object id of every row that ``write_plan`` wrote, few in memory at a time."""
    columns = ("variant", "object_id", "ground_id")
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_ROWS_AT_A_TIME, columns=list(columns)):
            yield from zip(*(batch.column(name).to_pylist() for name in columns), strict=True)


def read_plan(path: Path) -> tuple[PlanRow, ...]:
    """Read the rows that ``write_plan`` wrote; the file may be a stranger's, and names in it become paths.

    Raises:
        DataError: if the file is no plan, or with rows whose names could be paths or are none of ``datasets``, whose
            numbers are out of range, or that are not sorted by key, each key once.
    """
    faults, rows, last = Faults(), list[PlanRow](), None
    for batch in read_batches(path, _SCHEMA, _ROWS_AT_A_TIME, "a plan"):
        for row in (PlanRow(**values) for values in batch):
            number = len(rows)
            for name, expected, got in _problems(row):
                faults.add(str(path), f"row {number} {name}", expected=expected, got=shown(got), remedy="get it again")
            if last is not None and row.key <= last:
                key = shown(str(row.key))
                faults.add(str(path), f"row {number}", expected="rows sorted by key, each key once", got=f"{key} late")
            last = row.key
            rows.append(row)
        if len(faults) >= _MOST_FAULTS:
            break
    faults.raise_if_any()
    return tuple(rows)


def check_plan(
    rows: Sequence[PlanRow], recipe: Recipe, classes: ClassMap, objects: Mapping[str, ObjectRecord], *, where: str
) -> None:
    """Compare the rows of a plan with what they are rows of.

    Args:
        rows: The rows.
        recipe: Has their variants and splits.
        classes: Has their labels.
        objects: Objects that they show, by id.
        where: Name of the plan in errors.

    Raises:
        DataError: for every name that is unknown, and every row without the donor, texture or attribute that its
            variant takes.
    """
    faults, labels = Faults(), range(len(classes.classes))
    for name, known in (
        ("variant", set(recipe.variants)),
        ("split", set(recipe.split_names)),
        ("object_id", set(objects)),
        ("ground_id", {*objects, ""}),
        ("label", set(labels)),
        ("ground_label", {NONE, *labels}),
    ):
        for value in sorted({getattr(row, name) for row in rows} - known)[:_MOST_FAULTS]:
            faults.add(where, name, expected=f"a {name} that the dataset has", got=shown(value), remedy="get it again")
    faults.raise_if_any()
    for row in rows:
        for name, expected in _misfits(row, recipe.variants[row.variant], objects[row.object_id]):
            faults.add(
                where, f"{row.key} {name}", expected=expected, got=shown(getattr(row, name)), remedy="get it again"
            )
        if len(faults) >= _MOST_FAULTS:
            break
    faults.raise_if_any()


def _misfits(row: PlanRow, variant: Variant, figure: ObjectRecord) -> Iterator[tuple[str, str]]:
    """Columns of a row that do not fit its variant, each with what was expected."""
    for name, takes in (("ground_id", variant.donor is not None), ("texture_id", variant.texture == "photos")):
        if takes != bool(getattr(row, name)):
            yield name, f"{'one' if takes else 'none'} in rows of {row.variant}"
    if not (row.attribute in figure.attribute_masks if variant.per_attribute else row.attribute == ""):
        yield "attribute", f"{'one that the object has a mask of' if variant.per_attribute else 'none'}"
    if variant.texture not in (None, "photos"):
        texture = json.loads(row.params).get("texture")
        if not isinstance(texture, dict) or texture.get("family") not in TEXTURE_FAMILIES:
            yield "params", f"a texture of the families {', '.join(TEXTURE_FAMILIES)}"


def _problems(row: PlanRow) -> Iterator[tuple[str, str, object]]:
    """What of a row is not as ``write_plan`` writes it: the column, what was expected, and what is there."""
    for name, check in (("variant", check_config_name), ("split", check_split_name)):
        try:
            check(getattr(row, name))
        except ValueError as error:
            yield name, str(error), getattr(row, name)
    for name in ("object_id", "attribute", "ground_id", "texture_id"):
        value = getattr(row, name)
        if not NAME_PATTERN.fullmatch(value) and (value or name == "object_id"):
            yield name, NAME_WORDS, value
    for name, least in (("draw", 0), ("label", 0), ("ground_label", -1)):
        if getattr(row, name) < least:
            yield name, f"a number from {least} up", getattr(row, name)
    try:
        params = json.loads(row.params)
    except (ValueError, RecursionError):
        params = None
    if not isinstance(params, dict):
        yield "params", "a JSON object", row.params
    elif row.texture_id and not _SHA256.fullmatch(str(_texture_sha256(params))):
        yield "params", "the SHA-256 of the texture", params.get("texture")


def _texture_sha256(params: Mapping[str, Any]) -> object:
    texture = params.get("texture")
    return texture.get("sha256") if isinstance(texture, dict) else None
