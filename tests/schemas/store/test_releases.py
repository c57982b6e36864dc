"""Releases: the same objects give the same bytes, and a version never changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from strategies import object_record, square_mask

from figureground.errors import DataError, UsageError
from figureground.runtime.files import file_sha256
from figureground.schemas.rasters.masks import encode_coco_rle
from figureground.schemas.store.releases import read_release, write_release

WING = encode_coco_rle(np.eye(100, 120, dtype=np.bool_))
RECORDS = [
    object_record(
        "one", "a", boxes=[(1, 2, 3, 4), (5, 6, 7, 8)], flags=("class_visible_outside",), image_flags=("grey",)
    ),
    object_record("two", "b", attributes={"wet": True, "tall": None}, attribute_masks={"wing": WING}, state="accepted"),
]


def test_round_trip_sorted_by_object(tmp_path: Path) -> None:
    path = tmp_path / "objects" / "v1.parquet"
    write_release(path, RECORDS, version="v1")
    version, records = read_release(path)
    assert version == "v1"
    assert list(records) == sorted(RECORDS, key=lambda record: record.object_id)


def test_several_instances_are_read_as_they_were_written(tmp_path: Path) -> None:
    halves = tuple(encode_coco_rle(square_mask((100, 120), box)) for box in ((40, 30, 60, 70), (60, 30, 80, 70)))
    write_release(tmp_path / "v1.parquet", [object_record("one", "a", instances=halves)], version="v1")
    (record,) = read_release(tmp_path / "v1.parquet")[1]
    assert record.instances == halves


def test_a_release_that_repeats_a_single_mask_reads_like_one_that_does_not(tmp_path: Path) -> None:
    repeated = [replace(record, instances=(record.mask,)) for record in RECORDS]
    write_release(tmp_path / "old.parquet", repeated, version="v1")
    write_release(tmp_path / "new.parquet", RECORDS, version="v1")
    assert read_release(tmp_path / "old.parquet") == read_release(tmp_path / "new.parquet")
    assert (tmp_path / "new.parquet").stat().st_size < (tmp_path / "old.parquet").stat().st_size


def test_equal_objects_equal_bytes_whatever_the_order(tmp_path: Path) -> None:
    write_release(tmp_path / "one.parquet", RECORDS, version="v1")
    write_release(tmp_path / "two.parquet", RECORDS[::-1], version="v1")
    assert file_sha256(tmp_path / "one.parquet") == file_sha256(tmp_path / "two.parquet")


def test_an_iterator_must_give_objects_sorted(tmp_path: Path) -> None:
    ordered = sorted(RECORDS, key=lambda record: record.object_id)
    write_release(tmp_path / "list.parquet", RECORDS, version="v1")
    write_release(tmp_path / "iterator.parquet", iter(ordered), version="v1")
    assert file_sha256(tmp_path / "list.parquet") == file_sha256(tmp_path / "iterator.parquet")
    with pytest.raises(ValueError, match="must give objects sorted"):
        write_release(tmp_path / "mixed.parquet", iter(ordered[::-1]), version="v1")
    assert not (tmp_path / "mixed.parquet").exists()


def test_a_release_of_several_row_groups_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [object_record(str(number), "a") for number in range(10)]
    monkeypatch.setattr("figureground.schemas.store.releases._ROWS_PER_GROUP", 4)
    monkeypatch.setattr("figureground.schemas.store.releases._ROWS_AT_A_TIME", 2)
    write_release(tmp_path / "v1.parquet", records, version="v1")
    assert pq.ParquetFile(tmp_path / "v1.parquet").num_row_groups == 3
    assert list(read_release(tmp_path / "v1.parquet")[1]) == sorted(records, key=lambda record: record.object_id)


def test_a_version_never_changes(tmp_path: Path) -> None:
    path = tmp_path / "v1.parquet"
    write_release(path, RECORDS, version="v1")
    before = file_sha256(path)
    write_release(path, RECORDS, version="v1")
    with pytest.raises(UsageError, match="another version"):
        write_release(path, RECORDS[:1], version="v1")
    assert file_sha256(path) == before
    assert [path.name for path in tmp_path.iterdir()] == ["v1.parquet"]


def test_strangers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="figureground freeze -w WORKSPACE --version v9"):
        read_release(tmp_path / "v9.parquet")
    (tmp_path / "text.parquet").write_text("no")
    with pytest.raises(DataError, match="a release"):
        read_release(tmp_path / "text.parquet")
    write_release(tmp_path / "v1.parquet", RECORDS, version="v1")
    table = pq.read_table(tmp_path / "v1.parquet")
    pq.write_table(table.replace_schema_metadata({"figureground.schema": "99"}), tmp_path / "new.parquet")
    with pytest.raises(DataError, match="got 99"):
        read_release(tmp_path / "new.parquet")
    evil = [object_record("x", "a", object_id="../../etc/passwd")]
    write_release(tmp_path / "evil.parquet", evil, version="v1")
    with pytest.raises(DataError, match="object_id: expected 1 to 128 letters"):
        read_release(tmp_path / "evil.parquet")
