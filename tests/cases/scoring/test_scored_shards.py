"""Shards as strangers, disks and downloads leave them: scored as they are listed, or named in one line."""

from __future__ import annotations

import io
import json
import os
import shutil
import stat
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from needs import SHARED, need_shared
from PIL import Image
from scored_cases import (
    SHARD,
    change_column,
    change_rows,
    colour_model,
    draw_dataset,
    list_files,
    scoring_code,
    scratch,
)

script = scoring_code()
CASES = SHARED / "cases" / "build"


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path) -> Iterator[None]:
    with scratch(tmp_path):
        yield


def score(folder: Path | str, **options: Any) -> dict[str, Any]:
    model = colour_model(Path("models") / "colour.onnx")
    result: dict[str, Any] = script.evaluate(str(folder), model, bootstrap=20, **options)
    return result


def refused(folder: Path | str, code: int = 1) -> str:
    """The message with which a dataset is refused: one line, and no traceback of others."""
    with pytest.raises(script.EvaluationError) as caught:
        score(folder)
    assert caught.value.exit_code == code
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 600
    return message


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0xFF
    path.write_bytes(bytes(content))


def pointer(path: Path) -> None:
    path.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n")


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "cut": (cut, "download it again"),
    "flipped": (flip, "download it again"),
    "empty": (lambda path: path.write_bytes(b""), "empty"),
    "pointer": (pointer, "git lfs pull"),
    "absent": (Path.unlink, "no such file"),
    "text": (lambda path: path.write_text("hello"), "download it again"),
    "folder": (replace_by_folder, "no such file"),
}


@pytest.mark.parametrize(
    ("damage", "relisted"),
    [*((name, False) for name in DAMAGES), *((name, True) for name in ("cut", "empty", "pointer", "text"))],
)
def test_a_damaged_shard_is_named_with_its_remedy(tmp_path: Path, damage: str, relisted: bool) -> None:
    """Whether the manifest lists the right bytes, or those of the damage."""
    change, remedy = DAMAGES[damage]
    folder = draw_dataset(tmp_path / "set")
    change(folder / SHARD)
    message = refused(list_files(folder) if relisted else folder)
    assert f"set: {SHARD}" in message.replace("set/original: ", "set: ")
    assert remedy in message


@pytest.mark.parametrize("offset", range(0, 100, 7))
def test_any_flipped_byte_of_an_unlisted_shard_is_one_line_or_read(tmp_path: Path, offset: int) -> None:
    folder = draw_dataset(tmp_path / "set", listed=False)
    content = bytearray((folder / SHARD).read_bytes())
    content[len(content) * offset // 100] ^= 0x55
    (folder / SHARD).write_bytes(bytes(content))
    try:
        score(folder)
    except script.EvaluationError:
        refused(folder)


def test_parts_that_are_not_there_are_named(tmp_path: Path) -> None:
    folder = draw_dataset(tmp_path / "set", listed=False)
    (folder / SHARD).rename(folder / "data/original/test-00000-of-00003.parquet")
    message = refused(folder)
    assert "data/original/test-00001-of-00003.parquet: no such file" in message
    assert "data/original/test-00002-of-00003.parquet: no such file" in message


def test_a_shard_that_the_manifest_does_not_list_is_not_read(tmp_path: Path) -> None:
    folder = draw_dataset(tmp_path / "set")
    shutil.copy(folder / SHARD, folder / "data/original/test-extra.parquet")
    assert score(folder)["n"] == 6
    (folder / "manifest.json").write_text('{"sha256": {"class_map.json": 3}}')
    assert "manifest.json" in refused(folder)


@pytest.mark.parametrize("text", ["{", "[]", '{"sha256": []}', '{"sha256": {"../x.parquet": "0"}}', "\udcff"])
def test_a_damaged_manifest_is_named(tmp_path: Path, text: str) -> None:
    folder = draw_dataset(tmp_path / "set")
    (folder / "manifest.json").write_text(text, errors="surrogateescape")
    assert "manifest.json" in refused(folder)


@pytest.mark.parametrize(
    ("column", "values", "words"),
    [
        ("label", pa.array([0, 0, 1, 1, 2, 2]), "expected the labels of class_map.json"),
        ("label", pa.array(list("rrggbb")), "expected the labels of class_map.json"),
        ("image", pa.array(["a.png"] * 6), "image: expected encoded images"),
        ("image_id", pa.array(range(6)), "image_id: expected texts"),
        ("draw", pa.array(["0"] * 6), "draw: expected whole numbers"),
    ],
    ids=["label-numbers", "label-texts", "image-path", "id-number", "draw-text"],
)
def test_a_column_of_another_kind_is_named(tmp_path: Path, column: str, values: pa.Array, words: str) -> None:
    folder = draw_dataset(tmp_path / "set")
    change_column(folder, column, values)
    assert words in refused(list_files(folder))


def put(column: str, value: Any) -> Callable[[list[dict[str, Any]]], None]:
    def change(rows: list[dict[str, Any]]) -> None:
        rows[2][column] = value

    return change


def picture(data: bytes) -> Callable[[list[dict[str, Any]]], None]:
    return put("image", {"bytes": data, "path": None})


def huge_png(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header speaks of many pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [header, b"IDAT" + zlib.compress(b""), b"IEND"]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (put("label", None), "1 rows have no label"),
        (put("label", -1), "1 rows have no label"),
        (put("label", 7), "label: expected 0 to 2, got 7"),
        (put("image_id", None), "image_id: 1 of 6 rows have none"),
        (put("image_id", "x" * 1_000_000), "image_id: expected at most 256 characters, got 1000000"),
        (put("draw", None), "draw: 1 of 6 rows have none"),
        (put("image", None), "id2"),
        (picture(b""), "original/id2: the image cannot be decoded"),
        (picture(b"no image"), "original/id2: the image cannot be decoded"),
        (picture(huge_png(20_000, 10_000)), "original/id2: the image: expected at most 100,000,000 pixels"),
        (picture(huge_png(9, 9)), "original/id2: the image cannot be decoded"),
    ],
    ids=["null", "minus", "beyond", "no-id", "long-id", "no-draw", "no-image", "empty", "text", "huge", "cut"],
)
def test_a_row_of_another_shape_is_named(tmp_path: Path, change: Callable[[Any], None], words: str) -> None:
    folder = draw_dataset(tmp_path / "set")
    change_rows(folder, change)
    assert words in refused(list_files(folder))


@pytest.mark.parametrize("kind", ["eps", "bmp", "tiff", "gif", "ico", "psd"])
def test_no_image_reaches_another_program(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow hands PostScript to ``gs``, if one lets it; here it is one that writes down that it was called."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("gs", "gswin32c", "dwebp"):
        (programs / name).write_text(f"#!/bin/sh\necho called >> {tmp_path}/called\n")
        (programs / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    stored = io.BytesIO()
    if kind in ("ico", "psd"):
        stored.write({"ico": b"\0\0\1\0\1\0", "psd": b"8BPS\0\1"}[kind] + bytes(40))
    else:
        Image.new("RGB", (16, 16), (200, 0, 0)).save(stored, kind.upper())
    folder = draw_dataset(tmp_path / "set")
    change_rows(folder, picture(stored.getvalue()))
    assert "expected PNG or JPEG or WEBP" in refused(list_files(folder))
    assert not (tmp_path / "called").exists()
    with pytest.raises(script.EvaluationError, match="the object mask cannot be decoded: expected PNG"):
        script.decode_mask(stored.getvalue(), "id2")


@pytest.mark.parametrize("name", ["in9[v2]", "in9*", "in9?", "in9[!a]", "{a,b}", "a b", "ü 模型", "-o", "~", "a#b%20"])
def test_a_folder_is_read_by_its_own_name(tmp_path: Path, name: str) -> None:
    """And none of its siblings that a pattern of that name would fit."""
    draw_dataset(tmp_path / "in9v2")
    folder = draw_dataset(tmp_path / name)
    change_rows(folder, lambda rows: rows.pop())
    result = score(list_files(folder))
    assert result["n"] == 5
    assert result["dataset"]["name"] == name


def test_a_path_that_datasets_cannot_read_is_named(tmp_path: Path) -> None:
    assert "rename the folder" in refused(draw_dataset(tmp_path / "x::y"), code=2)


def test_a_card_cannot_make_it_read_elsewhere(tmp_path: Path) -> None:
    """Addresses, absolute paths and parents on a card fit no file of the dataset."""
    folder = draw_dataset(tmp_path / "set", listed=False)
    shutil.copytree(folder, tmp_path / "other")
    for path in ("https://example.org/test-*.parquet", f"{tmp_path}/other/{SHARD}", f"../other/{SHARD}"):
        (folder / "README.md").write_text(
            f"---\nconfigs:\n- config_name: original\n  data_files:\n  - split: test\n    path: {path}\n---\n"
        )
        assert score(folder)["n"] == 6  # by the names of the shards
        (folder / SHARD).rename(folder / "hidden.parquet")
        assert "found none" in refused(folder)
        (folder / "hidden.parquet").rename(folder / SHARD)


@pytest.mark.parametrize("name", ["a/b", "\x1b]52;c;x\x07", "", "x" * 200])
def test_names_of_configs_that_no_dataset_has_are_refused(tmp_path: Path, name: str) -> None:
    folder = draw_dataset(tmp_path / "set")
    card = {"configs": [{"config_name": name, "data_files": [{"split": "test", "path": "data/original/*"}]}]}
    (folder / "README.md").write_text(f"---\n{json.dumps(card)}\n---\n")
    message = refused(list_files(folder))
    assert "names of configs" in message
    assert message.isprintable()


@pytest.mark.parametrize("name", ["ds_lfs", "ds_cut"])
def test_the_shared_unreadable_shards_are_named(tmp_path: Path, name: str) -> None:
    case = CASES / "05_shard_unreadable"
    need_shared(case)
    copied = shutil.copytree(case, tmp_path / "case")
    with pytest.raises(script.EvaluationError) as caught:
        script.evaluate(str(copied / name), f"onnx:{copied}/k2.onnx", configs=["original"])
    assert caught.value.exit_code == 1
    assert SHARD in str(caught.value)
    assert ("git lfs pull" if name == "ds_lfs" else "download it again") in str(caught.value)
