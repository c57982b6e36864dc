"""The columns in memory say what the shards say; a stranger's shard is one fault that names it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from plain_dataset import DAMAGES, rewrite_table
from viewed_dataset import Viewed

from figureground.errors import DataError
from figureground.exports.dataset.folder import DatasetFolder
from figureground.exports.dataset.opening import open_dataset
from figureground.exports.viewing.columns import read_columns
from figureground.schemas.rasters.masks import decode_png1

SHARD = "data/mixed/test-00000-of-00001.parquet"


def rows_of(dataset: DatasetFolder) -> list[dict[str, object]]:
    return [row for config in ("original", "mixed", "striped") for row in dataset.rows(config)]


@pytest.mark.parametrize("kind", ["dataset", "release"])
def test_every_row_is_what_its_shard_says(viewed: Viewed, kind: str) -> None:
    dataset = open_dataset(getattr(viewed, kind))
    columns, names = read_columns(dataset), dataset.class_map.names
    stored = rows_of(dataset)
    assert columns.rows == len(stored) == 36
    assert columns.has_pixels == (kind == "dataset")
    for number, row in enumerate(stored):
        donor = row["ground_label"]
        provenance, mask = row["provenance"], row["object_mask"]
        assert isinstance(provenance, dict)
        assert isinstance(mask, dict)
        assert (columns.config.name(number), columns.image.name(number)) == (row["variant"], row["image_id"])
        assert columns.label.name(number) == names[int(str(row["label"]))]
        assert columns.ground.name(number) == ("" if donor is None else names[int(str(donor))])
        assert columns.ground_id.name(number) == (row["ground_id"] or "")
        assert columns.state.name(number) == provenance["mask_state"] == "accepted"
        assert columns.area[number] == np.float32(decode_png1(mask["bytes"]).mean())
        place = columns.place(number)
        assert place.shard.config == row["variant"]
        assert place.row == number % 12


def test_rows_of_a_photo_are_one_of_each_config(viewed: Viewed) -> None:
    columns = read_columns(open_dataset(viewed.dataset))
    for code in range(len(columns.image.names)):
        rows = columns.rows_of_image(code)
        assert [columns.config.name(row) for row in rows] == ["original", "mixed", "striped"]
        assert {columns.image.name(row) for row in rows} == {columns.image.names[code]}


FAULTS = [
    *((damage, "image_id") for damage in DAMAGES),
    *((damage, name) for damage in ("without", "another type of") for name in ("label", "provenance")),
    ("another type of", "object_mask"),
]


@pytest.mark.parametrize(("damage", "column"), FAULTS)
def test_a_damaged_column_is_a_fault_of_its_shard(viewed: Viewed, tmp_path: Path, damage: str, column: str) -> None:
    folder = Path(shutil.copytree(viewed.release, tmp_path / "changed"))
    rewrite_table(folder, SHARD, DAMAGES[damage](column))
    with pytest.raises(DataError, match="mixed"):
        read_columns(open_dataset(folder))


@pytest.mark.parametrize(("damage", "gaps"), [("null in", 1), ("without", 12)])
def test_rows_without_a_mask_have_no_area(viewed: Viewed, tmp_path: Path, damage: str, gaps: int) -> None:
    folder = Path(shutil.copytree(viewed.release, tmp_path / "changed"))
    rewrite_table(folder, SHARD, DAMAGES[damage]("object_mask"))
    assert np.isnan(read_columns(open_dataset(folder)).area).sum() == gaps


def test_a_class_that_the_map_has_not_is_a_fault(viewed: Viewed, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(viewed.release, tmp_path / "changed"))

    def changed(table: pa.Table) -> pa.Table:
        index = table.schema.get_field_index("label")
        return table.set_column(index, table.schema.field(index), pa.array([3] * table.num_rows, pa.int64()))

    rewrite_table(folder, SHARD, changed)
    with pytest.raises(DataError, match="a class of the class map, 0 to 2"):
        read_columns(open_dataset(folder))
