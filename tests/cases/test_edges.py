"""What strangers pass on, and what nobody foresaw: every file of a dataset damaged, and never a traceback."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from drawn_release import draw_photo
from plain_dataset import Plain, build_plain, make_plain, rewrite_rows, rewrite_table, update_manifest

from figureground import cli
from figureground.build.planning.selection import select_objects
from figureground.build.recipes import loading
from figureground.cli.app import main
from figureground.console import SECONDS_A_LINE, ProgressLog
from figureground.errors import DataError, FigureGroundError
from figureground.exports.dataset.folder import DatasetFolder
from figureground.exports.dataset.verify import verify_repository
from figureground.exports.verbs import export, rebuild
from figureground.schemas.classes import load_class_map
from figureground.schemas.rasters.masks import decode_npy, decode_png1, encode_png1
from figureground.schemas.recipe_views import View
from figureground.schemas.store.releases import read_release

OBJECTS, PLAN = "objects.parquet", "report/plan.parquet"
SHARD = "data/original/test-00000-of-00001.parquet"
BAD_TEXT = pa.StringArray.from_buffers(1, pa.py_buffer(b"\x00\x00\x00\x00\x01\x00\x00\x00"), pa.py_buffer(b"\xff"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Plain:
    return make_plain(Path(tmp_path_factory.mktemp("plain")))


def files_of(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def refuse_rebuild(plain: Plain, dataset: Path, out: Path) -> str:
    """What a rebuild says, which makes nothing anywhere."""
    before = files_of(out.parent)
    with pytest.raises(DataError) as raised:
        rebuild(dataset, plain.drawn.photos, out, workers=1)
    assert files_of(out.parent) == before
    assert not out.exists()
    return str(raised.value)


# Plans


def _set(name: str, value: Any) -> Callable[[list[dict[str, Any]]], None]:
    def change(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            row[name] = value

    return change


PATHS = ("../../../../x", "/tmp/fg-evil/x", "..", ".hidden", "a/b", "", "a\0b", "x" * 300, "a\nb", "ünïcode")
HOSTILE_PLANS: dict[str, tuple[Callable[[list[dict[str, Any]]], Any], str]] = {
    **{
        f"{name} {path[:20]!r}": (_set(name, path), name)
        for name in ("variant", "split", "object_id", "attribute", "ground_id", "texture_id")
        for path in PATHS
        if name in ("variant", "split") or (path not in ("", ".hidden") or (name == "object_id" and not path))
    },
    "a split that nothing loads": (_set("split", "my-test"), "split"),
    "a split of no recipe": (_set("split", "train"), "split"),
    "a variant of no recipe": (lambda rows: rows[-1].update(variant="zebra"), "variant"),
    "an object of no release": (lambda rows: rows[-1].update(object_id="g" * 32), "object_id"),
    "a label of no class": (_set("label", 3), "label"),
    "a label below 0": (_set("label", -1), "label"),
    "a draw below 0": (_set("draw", -1), "draw"),
    "a ground's label of no class": (_set("ground_label", 9), "ground_label"),
    "a donor where none is": (lambda rows: _set("ground_id", rows[0]["object_id"])(rows), "ground_id"),
    "no donor where one is": (_set("ground_id", ""), "ground_id"),
    "an attribute where none is": (_set("attribute", "wing"), "attribute"),
    "params that are no JSON": (_set("params", "{"), "params"),
    "params that are a list": (_set("params", "[]"), "params"),
    "params without end": (_set("params", "[" * 100_000), "params"),
    "a texture of no family": (_set("params", '{"texture": {"family": "x"}}'), "params"),
    "a texture without a digest": (_set("texture_id", "a" * 32), "texture"),
    "backwards": (lambda rows: rows[::-1], "sorted by key"),
    "each row twice": (lambda rows: [row for row in rows for _ in range(2)], "each key once"),
    "a null": (lambda rows: rows[0].update(variant=None), "variant"),
    "a null number": (lambda rows: rows[-1].update(label=None), "label"),
}


@pytest.mark.parametrize("case", HOSTILE_PLANS)
def test_a_hostile_plan_is_refused_before_anything_is_written(case: str, plain: Plain, tmp_path: Path) -> None:
    change, word = HOSTILE_PLANS[case]
    shutil.copytree(plain.dataset, tmp_path / "d")
    rewrite_rows(tmp_path / "d", PLAN, change)
    message = refuse_rebuild(plain, tmp_path / "d", tmp_path / "out")
    assert word in message
    assert "plan.parquet" in message
    assert len(message) < 60_000
    assert not Path("/tmp/fg-evil").exists()


# Releases, plans and shards as tables


def _without(name: str) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.drop_columns([name])


def _nulled(name: str) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        index = table.schema.get_field_index(name)
        field = table.schema.field(index)
        cells = [None, *table.column(index).to_pylist()[1:]]
        return table.set_column(index, field, pa.array(cells, field.type))

    return change


def _typed(name: str) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        index = table.schema.get_field_index(name)
        return table.set_column(index, name, pa.array([{"x": 1.5}] * table.num_rows))

    return change


def _no_utf8(name: str) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        index = table.schema.get_field_index(name)
        bad = pa.concat_arrays([BAD_TEXT] * table.num_rows)
        return table.set_column(index, table.schema.field(index), bad)

    return change


TABLES = {
    OBJECTS: (
        "object_id", "image_id", "source", "uri", "sha256", "width", "label", "boxes_xyxy_px", "phash", "image_flags",
        "mask", "instances", "attributes", "attribute_masks", "state", "mask_origin", "segmenter", "flags",
    ),
    PLAN: ("variant", "split", "object_id", "attribute", "draw", "label", "seed", "ground_id", "texture_id", "params"),
}  # fmt: skip
DAMAGES = {"without": _without, "null in": _nulled, "another type of": _typed, "no UTF-8 in": _no_utf8}
TEXTS = {"object_id", "image_id", "uri", "sha256", "label", "attributes", "variant", "split", "params", "state"}
DAMAGED = [
    (table, damage, name)
    for table, names in TABLES.items()
    for name in names
    for damage in DAMAGES
    if damage != "no UTF-8 in" or (name in TEXTS and (table, name) != (PLAN, "label"))
]


@pytest.mark.parametrize(("table", "damage", "name"), DAMAGED, ids=lambda part: str(part))
def test_a_damaged_table_is_a_fault_that_names_file_and_column(
    table: str, damage: str, name: str, plain: Plain, tmp_path: Path
) -> None:
    shutil.copytree(plain.dataset, tmp_path / "d")
    rewrite_table(tmp_path / "d", table, DAMAGES[damage](name))
    message = refuse_rebuild(plain, tmp_path / "d", tmp_path / "out")
    assert Path(table).name in message
    assert name in message or damage == "no UTF-8 in"


HOSTILE_OBJECTS: dict[str, dict[str, Any]] = {
    "a path for an id": {"object_id": "../../x"},
    "a path for an image": {"image_id": "../../x"},
    "no digest": {"sha256": "x"},
    "no hash": {"phash": "x"},
    "a photo of 3.6 gigapixels": {"width": 60_000, "height": 60_000},
    "a photo without a pixel": {"width": 0},
    "attributes that are no JSON": {"attributes": "{"},
    "attributes that are a list": {"attributes": "[1]"},
    "attributes that are numbers": {"attributes": '{"wing": 2}'},
    "attributes that are paths": {"attributes": '{"../x": true}'},
    "attributes without end": {"attributes": "[" * 100_000},
    "a state of no kind": {"state": "x"},
    "a mask of another size": {"mask": {"size": [1, 1], "counts": "1"}},
    "a mask that is cut off": {"mask": {"size": [200, 200], "counts": "x"}},
    "a mask of a path": {"attribute_masks": [{"attribute": "../x", "mask": {"size": [1, 1], "counts": "1"}}]},
}


@pytest.mark.parametrize("case", HOSTILE_OBJECTS)
def test_a_hostile_object_is_a_fault(case: str, plain: Plain, tmp_path: Path) -> None:
    shutil.copytree(plain.dataset, tmp_path / "d")
    rewrite_rows(tmp_path / "d", OBJECTS, lambda rows: rows[0].update(HOSTILE_OBJECTS[case]))
    assert len(refuse_rebuild(plain, tmp_path / "d", tmp_path / "out")) < 20_000


METADATA: dict[str, dict[bytes, bytes] | None] = {
    "none": None,
    "no version": {b"figureground.schema": b"1"},
    "a path for a version": {b"figureground.schema": b"1", b"figureground.release": b"../x"},
    "bytes for a version": {b"figureground.schema": b"1", b"figureground.release": b"\xff"},
    "bytes for a schema": {b"figureground.schema": b"\xff", b"figureground.release": b"v1"},
    "another schema": {b"figureground.schema": b"99", b"figureground.release": b"v1"},
}


@pytest.mark.parametrize("case", METADATA)
def test_metadata_of_a_release_are_read_carefully(case: str, plain: Plain, tmp_path: Path) -> None:
    table = pq.read_table(plain.drawn.release).replace_schema_metadata(METADATA[case])
    pq.write_table(table, tmp_path / "r.parquet")
    with pytest.raises(DataError, match=r"r\.parquet"):
        read_release(tmp_path / "r.parquet")


WHOLE_FILES = {
    "recipe.yaml": ("[]", "a: 1\na: 2", "name: !!int x", "\xff", ""),
    "recipe.lock.json": ("[]", "{}", '{"recipe": 1}', "\xff", "[" * 2000, "", "null"),
    "class_map.json": ("[]", "{}", '{"classes": []}', "\xff", ""),
    "report/changelog.json": (
        "{}",
        "[1]",
        '[{"version": 1}]',
        "\xff",
        '[{"version": "a", "follows": "b", "changes": 3}]',
    ),
    OBJECTS: ("", "PAR1", "no table"),
    PLAN: ("", "PAR1", "no table"),
}


@pytest.mark.parametrize(
    ("name", "content"), [(name, content) for name, contents in WHOLE_FILES.items() for content in contents]
)
def test_any_file_of_a_dataset_may_be_anything(name: str, content: str, plain: Plain, tmp_path: Path) -> None:
    shutil.copytree(plain.dataset, tmp_path / "d")
    (tmp_path / "d" / name).write_bytes(content.encode("latin-1"))
    update_manifest(tmp_path / "d", name)
    message = refuse_rebuild(plain, tmp_path / "d", tmp_path / "out")
    assert Path(name).name in message
    with pytest.raises(DataError, match=Path(name).name.replace(".", r"\.")):
        verify_repository(tmp_path / "d")


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


# Sizes


def test_a_canvas_that_no_machine_holds_leaves_its_photo_out(plain: Plain) -> None:
    from dataclasses import replace

    dataset = DatasetFolder.open(plain.dataset)
    classes, recipe = dataset.class_map, dataset.recipe
    record = dataset.objects()[1][0]
    long = replace(record, width=90_000_000, height=1, mask=replace(record.mask, size_hw=(1, 90_000_000)))
    for view in (View(size=256, crop=224), View(size=4096, crop=None)):
        rules = recipe.rules["exact"].model_copy(update={"views": {"imagenet": view}})
        taken, refused = select_objects([long], recipe, rules, classes)
        assert not taken
        assert refused[0].reason == "canvas_too_large"
    assert load_class_map("imagenet9").names


# The command


def test_a_fault_of_the_program_is_one_line_and_leaves_a_file(
    plain: Plain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for error in (RecursionError("too deep"), KeyError("label"), pa.ArrowInvalid("what\nis this")):

        def fail(*_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(loading, "shipped_recipes", fail)
        with pytest.raises(SystemExit) as ended:
            main(["recipe", "imagenet9"])
        said = capsys.readouterr().err
        assert ended.value.code == 1
        assert len(said.splitlines()) == 1, said
        assert said.startswith("error: FigureGroundError: a fault of figureground itself (")
        report = Path(said.rstrip("\n").rpartition("with the file ")[2])
        assert report.parent == tmp_path
        assert type(error).__name__ in report.read_text()
        assert "Traceback" in report.read_text()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    with pytest.raises(SystemExit):
        main(["recipe", "imagenet9"])
    assert "with the file nowhere (No such file or directory)" in capsys.readouterr().err


def test_memory_that_gives_out_is_an_outside_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> Sequence[str]:
        raise MemoryError

    monkeypatch.setattr(loading, "shipped_recipes", fail)
    with pytest.raises(SystemExit) as ended:
        main(["recipe", "imagenet9"])
    assert ended.value.code == 3
    assert "out of memory; give --workers a smaller number" in capsys.readouterr().err


def test_a_reader_that_has_seen_enough_ends_the_command_quietly(tmp_path: Path) -> None:
    command = f'"{sys.executable}" -P -m figureground recipe imagenet9 | head -1'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.stdout.startswith("# ImageNet-9")
    assert done.stderr == ""


# Logs


class _Clock:
    """Seconds that pass when they are told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_log_gets_a_line_every_half_minute_with_count_rate_and_rest() -> None:
    lines: list[str] = []
    clock = _Clock()
    show = ProgressLog(lines.append, clock)
    for done in range(0, 401):
        clock.now = done * 0.5
        show("rows", done, 400)
    assert lines == [
        "rows: 60 of 400, 2 a second, 3 min left",
        "rows: 120 of 400, 2 a second, 2 min left",
        "rows: 180 of 400, 2 a second, 2 min left",
        "rows: 240 of 400, 2 a second, 80 s left",
        "rows: 300 of 400, 2 a second, 50 s left",
        "rows: 360 of 400, 2 a second, 20 s left",
        "rows: 400 of 400, 2 a second",
    ]
    lines.clear()
    show("photos", 10, 12)  # a run that goes on where another ended
    clock.now += SECONDS_A_LINE
    show("photos", 11, 12)
    assert lines == ["photos: 11 of 12, one in 30 seconds, 30 s left"]
    lines.clear()
    show("quick", 1, 2)
    show("quick", 2, 2)
    assert lines == []


def test_progress_outside_a_terminal_is_such_a_log(plain: Plain, tmp_path: Path) -> None:
    from figureground.console import progress_bar

    with progress_bar() as show:
        assert isinstance(show, ProgressLog)
    photo, mask = draw_photo("disc", 1)
    assert photo.shape[:2] == mask.shape
    assert json.dumps(build_plain(plain, plain.dataset, pixels=False).rows) == "18"
    assert cli.__name__ == "figureground.cli"
