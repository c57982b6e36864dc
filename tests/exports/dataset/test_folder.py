"""A dataset repository opened: what it holds is what its manifest lists, and what is damaged is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from drawn_release import draw_release, lock_of
from hub_client import build_toy

from figureground.errors import DataError, UsageError
from figureground.exports.dataset.files import ShardName
from figureground.exports.dataset.folder import DatasetFolder
from figureground.exports.dataset.lock import environment, read_lock
from figureground.exports.dataset.manifest import write_manifest
from figureground.exports.dataset.opening import open_dataset
from figureground.exports.dataset.rows import KEY_COLUMNS, IndexedRows, row_key
from figureground.schemas.records import RowKey

SHARD = "data/original/test-00000-of-00001.parquet"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = Path(tmp_path_factory.mktemp("built"))
    return build_toy(draw_release(root / "drawn", per_class=2), root / "toy")


@pytest.fixture
def copy(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "copy"))


def relist(folder: Path, **changes: str | None) -> None:
    """Add paths to the manifest, or take some out."""
    manifest = json.loads((folder / "manifest.json").read_text())
    for path, sha256 in changes.items():
        manifest["sha256"].pop(path, None)
        manifest["sha256"] |= {path: sha256} if sha256 is not None else {}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_a_folder_says_what_it_holds(built: Path) -> None:
    dataset = open_dataset(built)
    assert dataset.configs == ("original", "plus")
    assert dataset.splits("plus") == ("test",)
    assert dataset.shards == (ShardName("original", "test", 0, 1), ShardName("plus", "test", 0, 1))
    assert (dataset.count_rows("original"), dataset.count_rows("plus", "test")) == (6, 6)
    assert dataset.class_map.names == ("disc", "ring", "bar")
    assert (dataset.recipe.name, dataset.lock.recipe, dataset.attributes) == ("toy", "toy@1", None)
    assert dataset.lock.environment == environment()
    version, records = dataset.objects()
    assert (version, len(records)) == (dataset.lock.release.version, 6)
    keys = [row_key(row, "test") for row in dataset.rows("plus", "test", KEY_COLUMNS)]
    assert keys == [row.key for row in dataset.plan_rows() if row.variant == "plus"]
    assert keys[0] == ("plus", "test", records[0].object_id, "", 0)
    with pytest.raises(UsageError, match="no dataset with a config 'minus'; configs: original, plus"):
        dataset.splits("minus")
    with pytest.raises(UsageError, match="config plus has no split 'train'; splits: test"):
        list(dataset.rows("plus", "train"))


def test_rows_by_index_are_the_rows_in_order(built: Path, tmp_path: Path) -> None:
    rows = list(open_dataset(built).rows("plus", columns=KEY_COLUMNS))
    schema = pq.read_schema(built / SHARD.replace("original", "plus"))
    fields = [schema.field(name) for name in ("variant", "draw", "attribute")] + [schema.field("provenance")]
    whole = pq.read_table(built / SHARD.replace("original", "plus"), columns=[field.name for field in fields])
    for number, part in enumerate((whole[:4], whole[4:])):
        pq.write_table(part, tmp_path / f"{number}.parquet", row_group_size=3)
    indexed = IndexedRows([tmp_path / "0.parquet", tmp_path / "1.parquet"], KEY_COLUMNS)
    assert [indexed[index] for index in (5, 0, 3, 4)] == [rows[index] for index in (5, 0, 3, 4)]


def test_shards_are_those_that_the_manifest_lists(copy: Path) -> None:
    shutil.copy(copy / SHARD, copy / "data" / "original" / "train-00000-of-00001.parquet")
    assert DatasetFolder.open(copy).splits("original") == ("test",)
    write_manifest(copy)
    assert DatasetFolder.open(copy).splits("original") == ("test", "train")
    relist(copy, **{SHARD: None})
    assert DatasetFolder.open(copy).splits("original") == ("train",)


@pytest.mark.parametrize(
    "path", ["data/plus/test.parquet", "data/test-00000-of-00001.parquet", "data/a/b/test-00000-of-00001.parquet"]
)
def test_what_has_no_shard_s_name_among_the_shards_is_refused(copy: Path, path: str) -> None:
    relist(copy, **{path: "0"})
    with pytest.raises(DataError, match=f"{path}: expected data/CONFIG/SPLIT-00000-of-00001.parquet"):
        _ = DatasetFolder.open(copy).configs


def test_a_name_of_a_shard_is_its_path_taken_apart() -> None:
    name = ShardName("mixed_rand", "test-hard", 7, 12)
    assert name.path == "data/mixed_rand/test-hard-00007-of-00012.parquet"
    assert ShardName.parse(name.path) == name
    assert ShardName.parse("data/../test-00000-of-00001.parquet") is None
    assert ShardName.parse("data/.x/test-00000-of-00001.parquet") is None


def test_damaged_shards_are_named(copy: Path) -> None:
    dataset = DatasetFolder.open(copy)
    with pytest.raises(DataError, match=rf"{SHARD}: expected the column provenance\.wind, got none"):
        list(dataset.rows("original", columns=["label", "provenance.wind"]))
    whole = pq.read_table(copy / SHARD)
    bare = whole.set_column(whole.schema.get_field_index("provenance"), "provenance", pa.nulls(len(whole)))
    with pytest.raises(DataError, match=r"original, test: provenance\.object_id: expected an id, got none"):
        row_key(bare.to_pylist()[0], "test")
    (copy / SHARD).write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match=f"{SHARD}: expected a table"):
        dataset.count_rows("original")


def test_a_lock_is_written_as_it_was_read_and_keeps_keys_of_a_later_program(copy: Path) -> None:
    text = (copy / "recipe.lock.json").read_text()
    assert read_lock(copy / "recipe.lock.json").to_json() == text
    content: dict[str, Any] = {**json.loads(text), "weather": {"wind": 3, "rain": None}}
    (copy / "recipe.lock.json").write_text(json.dumps(content))
    lock = read_lock(copy / "recipe.lock.json")
    assert json.loads(lock.model_copy(update={"objects": 5}).to_json()) == {**content, "objects": 5}
    assert "textures" not in lock_of().to_dict()


def test_every_fault_of_a_lock_is_told_at_once(copy: Path) -> None:
    content = json.loads((copy / "recipe.lock.json").read_text())
    (copy / "recipe.lock.json").write_text(json.dumps({**content, "rules": "loose", "objects": "many", "states": 3}))
    with pytest.raises(DataError) as raised:
        _ = DatasetFolder.open(copy).lock
    assert {fault.record for fault in raised.value.faults} == {"rules", "objects", "states"}


def test_what_is_no_dataset_is_refused(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no dataset: it has no manifest\.json"):
        open_dataset(tmp_path)
    with pytest.raises(UsageError, match="is a folder: it has no revision"):
        open_dataset(copy, "v1")
    with pytest.raises(UsageError, match="neither a folder nor a dataset on the Hub"):
        open_dataset(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="me/toy: a dataset on the Hub needs --revision"):
        open_dataset("me/toy")


def test_a_key_is_shown_as_its_parts() -> None:
    key = RowKey("plus", "test", "a.0", "wing", 2)
    assert (str(key), key.in_variant) == ("plus test a.0 wing 2", "a.0 wing 2")
