"""Photos in Parquet: labelled, listed without their bytes, read one row group at a time."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from photo_samples import draw_pixels, encode

from figureground.errors import DataError
from figureground.schemas.sources.opening import ParquetSource, SourceItem, open_source


def put_parquet(path: Path, rows: list[dict[str, Any]], names: list[str] | None = None, group: int = 3) -> None:
    """A file as ``datasets`` writes it, with row groups of ``group`` rows."""
    label_type = pa.int64() if names else pa.string()
    image_type = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    schema = pa.schema([("image", image_type), ("label", label_type)])
    if names:
        label = {"names": names, "_type": "ClassLabel"}
        features = {"info": {"features": {"image": {"_type": "Image"}, "label": label}}}
        schema = schema.with_metadata({"huggingface": json.dumps(features)})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path, row_group_size=group)


def photo_row(seed: int, label: Any, path: str | None = None) -> dict[str, Any]:
    return {"image": {"bytes": encode(draw_pixels(seed), "PNG"), "path": path}, "label": label}


def test_parquet_rows_are_labelled_by_class_name_and_read_at_random(tmp_path: Path) -> None:
    rows = [photo_row(seed, seed % 2) for seed in range(8)]
    put_parquet(tmp_path / "data" / "train-00000-of-00002.parquet", rows[:5], ["cat", "dog"])
    put_parquet(tmp_path / "data" / "train-00001-of-00002.parquet", rows[5:], ["cat", "dog"])
    source = open_source(str(tmp_path))
    assert isinstance(source, ParquetSource)
    first, second = (f"data/train-0000{number}-of-00002.parquet" for number in range(2))
    uris = [f"{first}#{row}" for row in range(5)] + [f"{second}#{row}" for row in range(3)]
    assert [item.uri for item in source] == uris
    assert [item.label for item in source] == ["cat", "dog"] * 4
    assert {item.source_split for item in source} == {"train"}
    for number in (7, 0, 3, 4, 2):
        assert source.read(uris[number]) == rows[number]["image"]["bytes"]
    assert pickle.loads(pickle.dumps(source)).read(uris[6]) == rows[6]["image"]["bytes"]


def test_reading_one_row_touches_only_its_row_group(tmp_path: Path) -> None:
    path = tmp_path / "photos.parquet"
    rows = [photo_row(seed, "dog") for seed in range(9)]
    put_parquet(path, rows)
    column = pq.ParquetFile(path).metadata.row_group(2).column(0)
    start = column.dictionary_page_offset or column.data_page_offset
    data = bytearray(path.read_bytes())
    data[start : start + column.total_compressed_size] = bytes(column.total_compressed_size)
    path.write_bytes(data)  # the third group is unreadable now
    source = open_source(str(path))
    assert source.name == "photos"
    assert source.read("photos.parquet#4") == rows[4]["image"]["bytes"]
    assert [item.uri for item in source] == [f"photos.parquet#{row}" for row in range(9)]  # without image bytes


def test_string_labels_and_plain_binary_images_will_do(tmp_path: Path) -> None:
    data = encode(draw_pixels(), "PNG")
    table = pa.table({"image": pa.array([data, data], pa.binary()), "label": ["dog", None]})
    pq.write_table(table, tmp_path / "x.parquet")
    source = open_source(str(tmp_path / "x.parquet"))
    assert list(source) == [
        SourceItem(uri="x.parquet#0", label="dog", source_split=""),
        SourceItem(uri="x.parquet#1", label="", source_split="", fault="expected a label, got none"),
    ]
    assert source.read("x.parquet#1") == data


@pytest.mark.parametrize(
    "uri",
    ["x.parquet#9", "x.parquet#-1", "x.parquet#", "x.parquet", "y.parquet#0", "../x.parquet#0", "#0", "x.parquet#1e0"],
)
def test_parquet_uris_of_other_rows_and_files_are_refused(tmp_path: Path, uri: str) -> None:
    put_parquet(tmp_path / "in" / "x.parquet", [photo_row(0, "dog")])
    put_parquet(tmp_path / "x.parquet", [photo_row(0, "dog")])
    with pytest.raises(DataError):
        open_source(str(tmp_path / "in")).read(uri)


def test_a_parquet_file_without_images_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"picture": [b"x"], "label": ["dog"]}), tmp_path / "x.parquet")
    (item,) = open_source(str(tmp_path))
    assert (item.uri, item.fault) == ("x.parquet", "expected a column image, got picture, label")


def test_the_hubs_imagenet_is_labelled_by_the_wnid_in_its_file_names(tmp_path: Path) -> None:
    rows = [
        photo_row(0, 0, "n01440764_10026_n01440764.JPEG"),
        photo_row(1, 1, "ILSVRC2012_val_00000001_n02071294.JPEG"),
    ]
    put_parquet(tmp_path / "validation-0.parquet", [*rows, photo_row(2, 1, "x.JPEG")], ["tench, Tinca", "killer whale"])
    items = list(open_source(str(tmp_path)))
    assert [item.label for item in items] == ["n01440764", "n02071294", "killer whale"]
    assert {item.source_split for item in items} == {"validation"}


@pytest.mark.parametrize("uri", ["train/0000.parquet", "default/train/0000.parquet", "data/train-0-of-1.parquet"])
def test_splits_are_found_in_file_and_folder_names(tmp_path: Path, uri: str) -> None:
    put_parquet(tmp_path / uri, [photo_row(0, "dog")])
    assert [item.source_split for item in open_source(str(tmp_path))] == ["train"]


def test_a_folder_with_brackets_in_its_name_is_read(tmp_path: Path) -> None:
    put_parquet(tmp_path / "a[1]" / "x.parquet", [photo_row(0, "dog")])
    assert [item.uri for item in open_source(str(tmp_path / "a[1]"), name="a")] == ["x.parquet#0"]


@pytest.mark.parametrize("text", ["{", "[]", '{"info": {"features": {"label": {"names": [1]}}}}'])
def test_odd_metadata_is_a_fault(tmp_path: Path, text: str) -> None:
    table = pa.table({"image": [b"x"], "label": [0]}).replace_schema_metadata({"huggingface": text})
    pq.write_table(table, tmp_path / "x.parquet")
    (item,) = open_source(str(tmp_path))
    assert item.uri == "x.parquet"
    assert item.fault.startswith("expected the features of datasets, got ")


def test_a_damaged_row_group_and_a_missing_photo_are_named(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    put_parquet(path, [photo_row(0, "dog"), {"image": {"bytes": None, "path": "a.jpg"}, "label": "dog"}], group=1)
    column = pq.ParquetFile(path).metadata.row_group(0).column(0)
    start = column.dictionary_page_offset or column.data_page_offset
    data = bytearray(path.read_bytes())
    data[start : start + column.total_compressed_size] = bytes(column.total_compressed_size)
    path.write_bytes(data)
    source = open_source(str(path))
    with pytest.raises(DataError, match=r"x.parquet#0: expected a readable row"):
        source.read("x.parquet#0")
    with pytest.raises(DataError, match=r"x.parquet#1: expected a row with image bytes, got none; embed the photos"):
        source.read("x.parquet#1")
