"""Plans, releases and documents that strangers pass on: each is read by one reader, which names what is wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from plain_dataset import DAMAGES, Plain, make_plain, rewrite_rows, rewrite_table, update_manifest

from figureground.errors import DataError
from figureground.exports.dataset.verify import verify_repository
from figureground.exports.verbs import rebuild
from figureground.schemas.store.releases import read_release

OBJECTS, PLAN = "objects.parquet", "report/plan.parquet"
SHARD = "data/original/test-00000-of-00001.parquet"


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


TABLES = {
    OBJECTS: (
        "object_id", "image_id", "source", "uri", "sha256", "width", "label", "boxes_xyxy_px", "phash", "image_flags",
        "mask", "instances", "attributes", "attribute_masks", "state", "mask_origin", "segmenter", "flags",
    ),
    PLAN: ("variant", "split", "object_id", "attribute", "draw", "label", "seed", "ground_id", "texture_id", "params"),
}  # fmt: skip
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


LOCKS: dict[str, dict[str, Any]] = {
    "answers without their numbers": {"annotation": {"answers": 3}},
    "answers of another type": {"annotation": {"answers": [1], "annotators": "x", "tools": 3}},
    "rules of no recipe": {"rules": "reference"},
    "pixel rules to come": {"pixel_rules": 99},
    "draws of no number": {"draws": "many"},
}


@pytest.mark.parametrize("case", LOCKS)
def test_a_hostile_lock_is_a_fault(case: str, plain: Plain, tmp_path: Path) -> None:
    shutil.copytree(plain.dataset, tmp_path / "d")
    path = tmp_path / "d" / "recipe.lock.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **LOCKS[case]}))
    update_manifest(tmp_path / "d", "recipe.lock.json")
    with pytest.raises(DataError):
        rebuild(tmp_path / "d", plain.drawn.photos, tmp_path / "out", workers=1)
    assert not (tmp_path / "out").exists()


def test_a_card_of_a_stranger_s_words_holds_no_markup(plain: Plain, tmp_path: Path) -> None:
    script = "<script>alert(1)</script>"
    shutil.copytree(plain.dataset, tmp_path / "d")
    recipe = yaml.safe_load((tmp_path / "d" / "recipe.yaml").read_text())
    words = {"description": script, "citation": script, "licence": script}
    (tmp_path / "d" / "recipe.yaml").write_text(yaml.safe_dump({**recipe, **words}))
    lock = json.loads((tmp_path / "d" / "recipe.lock.json").read_text())
    lock |= {"recipe": script, "release": {**lock["release"], "version": script}, "refused": {script: 1}}
    lock["sources"] = {script: {"photos": 1, "licence": script, "restricted": script}}
    (tmp_path / "d" / "recipe.lock.json").write_text(json.dumps({**lock, "unreviewed": 1, "segmenters": [script]}))
    for name in ("recipe.yaml", "recipe.lock.json"):
        update_manifest(tmp_path / "d", name)
    rebuild(tmp_path / "d", plain.drawn.photos, tmp_path / "out", workers=1)
    front, card = (tmp_path / "out" / "README.md").read_text().split("---\n", 2)[1:]
    assert "<script" not in card
    assert "&lt;script&gt;" in card
    assert yaml.safe_load(front)["configs"]
