from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from figure_dataset import draw_figure, make_row, write_shard

from figureground.errors import DataError, UsageError
from figureground.exports.analyses.rows import open_rows
from figureground.exports.evaluation.dataset import open_repository


def altered(figures: Path, tmp_path: Path, rows: list[dict[str, Any]]) -> Any:
    folder = Path(shutil.copytree(figures, tmp_path / "altered"))
    write_shard(folder, "test", rows)
    return open_rows(open_repository(str(folder)), "original", "test", unique=True)


def test_rows_are_what_was_drawn(figures: Path) -> None:
    rows = open_rows(open_repository(str(figures)), "original", "test")
    assert len(rows) == 12
    row = rows[3]  # red 9: with a knob
    canvas, masks = draw_figure(0, 9)
    assert row.image_id == "test-red-09"
    assert np.array_equal(row.canvas_rgb, canvas)
    assert row.object_mask_hw is not None
    assert np.array_equal(row.object_mask_hw, masks["object"])
    assert np.array_equal(row.attribute_masks_hw["knob"], masks["knob"])
    assert row.attributes == {"knob": True, "tall": True} == rows.attributes()[3]
    assert [len(batch) for batch in rows.batches(range(12), 5)] == [5, 5, 2]


@pytest.mark.parametrize("workers", [1, 3, None])
def test_batches_are_in_the_order_asked_for(figures: Path, workers: int | None) -> None:
    rows = open_rows(open_repository(str(figures)), "original", "test", workers=workers)
    order = [7, 0, 3, 11, 2]
    batches = list(rows.batches(order, 2))
    assert [[row.image_id for row in batch] for batch in batches] == [
        [str(rows.image_ids[index]) for index in part] for part in ([7, 0], [3, 11], [2])
    ]
    assert np.array_equal(batches[1][1].canvas_rgb, rows[11].canvas_rgb)


def test_a_damaged_row_comes_after_the_batch_before_it(figures: Path, tmp_path: Path) -> None:
    stored = [make_row(0, number, "test") for number in range(4)]
    stored[2]["image"] = {"bytes": b"no image", "path": None}
    batches = altered(figures, tmp_path, stored).batches(range(4), 1)
    assert [next(batches)[0].image_id] == ["test-red-00"]
    with pytest.raises(DataError, match="test-red-02"):
        list(batches)


def test_an_unknown_attribute_is_absent_and_a_missing_mask_none(figures: Path, tmp_path: Path) -> None:
    row = {**make_row(0, 0, "test"), "object_mask": None}
    decoded = altered(figures, tmp_path, [row])[0]
    assert decoded.attributes == {"knob": False}
    assert decoded.object_mask_hw is None


@pytest.mark.parametrize("config", ["missing", "../original", ""])
def test_an_unknown_config_is_refused(figures: Path, config: str) -> None:
    with pytest.raises(UsageError, match=r"no dataset with a config .*; configs: original"):
        open_rows(open_repository(str(figures)), config, "test")


def test_several_rows_of_an_image_are_refused(figures: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="one row an image"):
        altered(figures, tmp_path, [make_row(0, 0, "test")] * 2)


def test_damaged_rows_are_named(figures: Path, tmp_path: Path) -> None:
    broken = {**make_row(0, 0, "test"), "image": {"bytes": b"no image", "path": None}}
    with pytest.raises(DataError, match="test-red-00"):
        altered(figures, tmp_path, [broken])[0]


def test_a_mask_of_another_size_is_refused(figures: Path, tmp_path: Path) -> None:
    from figureground.schemas.rasters.masks import encode_png1

    small = {"bytes": encode_png1(np.ones((8, 8), dtype=np.bool_)), "path": None}
    with pytest.raises(DataError, match="an object mask of 64x64"):
        altered(figures, tmp_path, [{**make_row(0, 0, "test"), "object_mask": small}])[0]
