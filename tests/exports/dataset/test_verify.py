"""Verifying: rows are compared with the plan shard after shard, and what differs is named."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from figureground.errors import DataError
from figureground.exports.dataset.verify import verify_repository
from figureground.runtime.files import file_sha256

SHARD_ROWS = 4
PLANNED = [
    (variant, split, f"{number:02d}.0", attribute, draw)
    for variant in ("mixed", "original")
    for split in ("test", "test_hard", "train")
    for number in range(6)
    for attribute in ("", "wing")
    for draw in range(2)
]


def write_repository(folder: Path, stored: Sequence[tuple[str, str, str, str, int]]) -> Path:
    """A release without pixels whose shards hold ``stored``."""
    groups: dict[tuple[str, str], list[tuple[str, str, str, str, int]]] = {}
    for key in stored:
        groups.setdefault((key[0], key[1]), []).append(key)
    for (variant, split), keys in groups.items():
        count = -(-len(keys) // SHARD_ROWS)
        for number in range(count):
            rows = [
                {
                    "variant": key[0],
                    "draw": key[4],
                    "attribute": key[3] or None,
                    "provenance": {"object_id": key[2], "pixels_sha256": ""},
                }
                for key in keys[number * SHARD_ROWS : (number + 1) * SHARD_ROWS]
            ]
            path = folder / "data" / variant / f"{split}-{number:05d}-of-{count:05d}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.Table.from_pylist(rows), path)
    names = ("variant", "split", "object_id", "attribute", "draw")
    plan = [dict(zip(names, key, strict=True)) for key in PLANNED]
    (folder / "report").mkdir()
    pq.write_table(pa.Table.from_pylist(plan), folder / "report" / "plan.parquet")
    listed = {path.relative_to(folder).as_posix(): file_sha256(path) for path in folder.rglob("*") if path.is_file()}
    (folder / "manifest.json").write_text(json.dumps({"sha256": listed}))
    return folder


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_as_planned_passes(tmp_path: Path, workers: int) -> None:
    report = verify_repository(write_repository(tmp_path / "set", PLANNED), workers=workers)
    assert (report.rows, report.images) == (len(PLANNED), 0)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (PLANNED[::-1], "the rows in the order of the plan"),
        ([PLANNED[1], PLANNED[0], *PLANNED[2:]], "the rows in the order of the plan"),
        ([PLANNED[0], *PLANNED], "1 of this row, as the plan has"),
        ([*PLANNED, *PLANNED[-3:]], "1 of this row, as the plan has"),
    ],
    ids=["backwards", "two in each other's place", "the first twice", "the last three twice"],
)
def test_rows_that_are_there_twice_or_in_another_order_are_named(
    tmp_path: Path, stored: list[tuple[str, str, str, str, int]], expected: str
) -> None:
    with pytest.raises(DataError) as raised:
        verify_repository(write_repository(tmp_path / "set", stored))
    assert {fault.expected for fault in raised.value.faults} == {expected}


@pytest.mark.parametrize("index", [0, 5, len(PLANNED) - 1])
def test_a_row_that_lacks_is_named(tmp_path: Path, index: int) -> None:
    folder = write_repository(tmp_path / "set", PLANNED[:index] + PLANNED[index + 1 :])
    with pytest.raises(DataError) as raised:
        verify_repository(folder)
    (fault,) = raised.value.faults
    assert fault.record == " ".join(map(str, PLANNED[index]))
    assert fault.expected == "a row that the plan has"


def test_a_row_too_many_is_named(tmp_path: Path) -> None:
    strange = ("original", "train", "99.0", "", 0)
    with pytest.raises(DataError) as raised:
        verify_repository(write_repository(tmp_path / "set", [*PLANNED, strange]))
    (fault,) = raised.value.faults
    assert (fault.record, fault.got) == ("original train 99.0  0", "another one")
