"""Shards that strangers pass on, damaged in every column: verify and every layout name what is wrong."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from plain_dataset import DAMAGES, Plain, make_plain, rewrite_rows, rewrite_table

from figureground.errors import DataError, FigureGroundError
from figureground.exports.dataset.verify import verify_repository
from figureground.exports.verbs import export
from figureground.schemas.rasters.masks import decode_npy, decode_png1, encode_png1

OBJECTS, PLAN = "objects.parquet", "report/plan.parquet"
SHARD = "data/original/test-00000-of-00001.parquet"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Plain:
    return make_plain(Path(tmp_path_factory.mktemp("plain")))


SHARD_COLUMNS = ("image", "label", "image_id", "source_label", "draw", "object_mask", "attribute_masks", "provenance")


READ_BY: dict[str, set[str]] = {
    "coco": {*SHARD_COLUMNS} - {"provenance"},
    "rival10": {*SHARD_COLUMNS} - {"provenance"},
    "imagenet9": {*SHARD_COLUMNS} - {"provenance", "attribute_masks"},
    "imagenet-a": {"image", "image_id", "source_label", "draw"},
}
IN_SHARDS = [
    (layout, name, damage)
    for layout, names in READ_BY.items()
    for name in sorted(names)
    for damage in ("without", "null in", "another type of")
]


@pytest.mark.parametrize(("layout", "name", "damage"), IN_SHARDS)
def test_a_damaged_shard_is_a_fault_of_every_layout(
    layout: Any, name: str, damage: str, plain: Plain, tmp_path: Path
) -> None:
    shutil.copytree(plain.pictures, tmp_path / "d")
    rewrite_table(tmp_path / "d", SHARD, DAMAGES[damage](name))
    with pytest.raises(FigureGroundError) as raised:
        export(tmp_path / "d", layout, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.partial").exists()
    assert len(str(raised.value)) < 20_000


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *((name, damage) for name in ("draw", "provenance") for damage in ("without", "null in", "another type of")),
        *((name, damage) for name in ("image", "label", "object_mask") for damage in ("null in", "another type of")),
    ],
)
def test_verify_names_a_damaged_shard(name: str, damage: str, plain: Plain, tmp_path: Path) -> None:
    shutil.copytree(plain.pictures, tmp_path / "d")
    rewrite_table(tmp_path / "d", SHARD, DAMAGES[damage](name))
    with pytest.raises(DataError):
        verify_repository(tmp_path / "d")


def _twice(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [*rows, rows[0]]


def _swapped(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [rows[1], rows[0], *rows[2:]]


def _masked(rows: list[dict[str, Any]]) -> None:
    rows[0]["object_mask"]["bytes"] = b"garbage"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (_twice, "1 of this row, as the plan has"),
        (_swapped, "the rows in the order of the plan"),
        (_masked, "a 1-bit PNG"),
        (lambda rows: rows[0].update(label=None), "a label"),
        (lambda rows: rows[0].update(variant="mixed"), "rows of original"),
    ],
    ids=["twice", "swapped", "mask", "label", "variant"],
)
def test_verify_tells_repeated_reordered_and_broken_rows(
    change: Any, expected: str, plain: Plain, tmp_path: Path
) -> None:
    shutil.copytree(plain.pictures, tmp_path / "d")
    assert verify_repository(tmp_path / "d").images == 18
    rewrite_rows(tmp_path / "d", SHARD, change)
    with pytest.raises(DataError, match=expected):
        verify_repository(tmp_path / "d")


def test_a_label_with_an_underscore_is_told_before_a_row_is_written(plain: Plain, tmp_path: Path) -> None:
    shutil.copytree(plain.pictures, tmp_path / "d")
    rewrite_rows(tmp_path / "d", SHARD, lambda rows: rows[-1].update(source_label="red_disc"))
    with pytest.raises(DataError) as raised:
        export(tmp_path / "d", "rival10", tmp_path / "out", progress=lambda *_: pytest.fail("a row was written"))
    (fault,) = raised.value.faults
    assert (fault.expected, fault.got) == ("labels without _", "red_disc")
    assert "A-Za-z" not in str(raised.value)


def test_masks_that_make_their_decoders_stumble_are_faults() -> None:
    import io
    import struct
    import zlib

    import numpy as np

    whole = encode_png1(np.ones((4, 4), dtype=np.bool_))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    end = whole.index(b"IEND") - 4
    bomb = chunk(b"zTXt", b"a\0\0" + zlib.compress(b"\0" * 80_000_000))
    for data in (whole[:end] + bomb + whole[end:], whole[:33] + chunk(b"tRNS", b"") + whole[33:], whole[:40], b""):
        with pytest.raises(DataError):
            decode_png1(data)
    buffer = io.BytesIO()
    np.save(buffer, np.zeros((2, 2), dtype=np.bool_))
    saved = buffer.getvalue()
    for data in (
        saved.replace(b"(2, 2)", b"(9**99999999999, 2)"[:6]),
        saved.replace(b"'shape': (2, 2)", b"'shape': (2, [)"),
        saved.replace(b"(2, 2), }", b"(1<<60,)}"),
        b"\x93NUMPY\x01\x00\x76\x00" + b"(" * 118,
        b"",
    ):
        with pytest.raises(DataError):
            decode_npy(data)
