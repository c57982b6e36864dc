"""RIVAL10's layout: read back as its loader reads it, and by the loader itself where its file is at hand."""

from __future__ import annotations

import base64
import io
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from datasets import load_dataset
from drawn_release import CLASS_MAP, draw_release
from PIL import Image

from figureground.build.recipes.loading import load_recipe
from figureground.cli.export import _rival10_lines
from figureground.errors import DataError, UsageError
from figureground.exports.dataset.building import build_dataset
from figureground.exports.dataset.inputs import Machines
from figureground.exports.dataset.manifest import write_manifest
from figureground.exports.dataset.request import prepare_request
from figureground.exports.layouts.rival10 import export_rival10, row_stem
from figureground.schemas.attributes import load_attribute_schema
from figureground.schemas.rasters.masks import CocoRle, Mask, decode_coco_rle

ATTRIBUTES = load_attribute_schema("rival10").names()
KINDS = {"original": "ordinary", "attribute_superimposed": "superimposed", "attribute_removed": "removed"}


def build(folder: Path, **changes: Any) -> Path:
    drawn = draw_release(folder, per_class=10, part="wings")
    (folder / "toy.json").write_text(CLASS_MAP)
    recipe = load_recipe("rival10").model_dump(mode="json")
    splits = {**recipe["splits"], "near_duplicate_bits": 0}  # drawn photos are alike
    text = yaml.safe_dump(
        {**recipe, "name": "toy", "class_map": "toy.json", "splits": splits, **changes}, sort_keys=False
    )
    (folder / "toy.yaml").write_text(text)
    build_dataset(
        prepare_request(str(folder / "toy.yaml"), drawn.workspace, machines=Machines(workers=1)), folder / "repo"
    )
    return folder / "repo"


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(Path(tmp_path_factory.mktemp("rival")))


@pytest.fixture(scope="module")
def tree(repo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = Path(tmp_path_factory.mktemp("layout")) / "as-rival10"
    report = export_rival10(repo, out)
    assert report.instances["train/ordinary"] == 24  # 21 of train, 3 of validation
    assert report.instances["test/ordinary"] == 6
    assert report.own_attributes == ()
    return out / "RIVAL10"


def rows_of(repo: Path, config: str, split: str) -> dict[str, dict[str, Any]]:
    """Rows by stem, as the dataset has them."""
    rows: Any = load_dataset(str(repo), config, split=split)
    return {row_stem(row): row for row in rows}


def true_masks(row: dict[str, Any]) -> dict[str, Mask]:
    painted = {
        stored["attribute"]: decode_coco_rle(CocoRle(size_hw=tuple(stored["size"]), counts=stored["counts"]))
        for stored in row["attribute_masks"]
    }
    return {"entire-object": np.asarray(row["object_mask"].convert("L")) > 0, **painted}


def mask_of(data: bytes) -> Mask:
    """As the loader: channels added up, anything above 0 is mask."""
    with Image.open(io.BytesIO(data)) as picture:
        pixels = np.asarray(picture)
    assert pixels.shape == (224, 224, 3)
    return np.asarray(pixels.astype(int).sum(axis=2) > 0)


@pytest.mark.parametrize(("config", "split"), [(config, split) for config in KINDS for split in ("train", "test")])
def test_labels_masks_and_pixels_are_the_dataset_s(repo: Path, tree: Path, config: str, split: str) -> None:
    folder = tree / split / KINDS[config]
    for stem, row in rows_of(repo, config, split).items():
        with Image.open(folder / f"{stem}.JPEG") as picture:
            assert np.array_equal(np.asarray(picture), np.asarray(row["image"]))
        present, changed = np.load(folder / f"{stem}_attr_labels.npy", allow_pickle=False)
        assert [name for name, holds in zip(ATTRIBUTES, present, strict=True) if holds] == [
            name for name in ATTRIBUTES if row["attributes"][name]
        ]
        assert [name for name, holds in zip(ATTRIBUTES, changed, strict=True) if holds] == [row["attribute"]] * bool(
            row["attribute"]
        )
        masks = pickle.loads((folder / f"{stem}_attr_dict.pkl").read_bytes())
        expected = true_masks(row)
        assert set(masks) == set(expected)
        for name, encoded in masks.items():
            assert np.array_equal(mask_of(base64.b64decode(encoded)), expected[name])
        merged = mask_of((folder / f"{stem}_merged_mask.JPEG").read_bytes())
        attributes = [mask for name, mask in expected.items() if name != "entire-object"]
        assert np.array_equal(merged, np.logical_or.reduce([np.zeros((224, 224), bool), *attributes]))


@pytest.mark.parametrize("config", KINDS)
def test_every_row_has_files_of_its_own(repo: Path, tree: Path, config: str) -> None:
    """Several photos lend the same photo an attribute: the row's name says whose."""
    rows = [row for split in ("train", "validation", "test") for row in load_dataset(str(repo), config, split=split)]
    for ending in ("_attr_dict.pkl", "_attr_labels.npy", "_merged_mask.JPEG"):
        assert len(list(tree.glob(f"*/{KINDS[config]}/*{ending}"))) == len(rows)


def test_classes_are_found_by_the_file_s_name(tree: Path) -> None:
    wnid_to_class, mappings, split = (
        json.loads((tree / "meta" / f"{name}.json").read_text())
        for name in ("wnid_to_class", "label_mappings", "train_test_split_by_url")
    )
    for path in (tree / "train" / "ordinary").glob("*_attr_dict.pkl"):
        wnid = path.name.split("_")[0]
        assert mappings[wnid_to_class[wnid]] == [wnid, ["disc", "ring", "bar"].index(wnid)]
    url = split["test"][0].split("/")
    assert (tree / "test" / "entire_object_masks" / f"{url[-2]}_{url[-1]}").is_file()


def test_the_same_dataset_gives_the_same_bytes(repo: Path, tree: Path, tmp_path: Path) -> None:
    export_rival10(repo, tmp_path / "again")
    for path in tree.rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "again" / "RIVAL10" / path.relative_to(tree)).read_bytes()


def test_validation_can_be_left_out(repo: Path, tmp_path: Path) -> None:
    report = export_rival10(repo, tmp_path / "out", validation="drop")
    assert report.instances["train/ordinary"] == 21
    assert list(report.dropped) == ["validation"]
    assert report.dropped["validation"] >= 3  # of original; the pasted ones beside them


def test_splits_that_the_layout_has_not_are_named(repo: Path, tmp_path: Path) -> None:
    copy = tmp_path / "repo"
    shutil.copytree(repo, copy)
    counts = dict.fromkeys(("validation", "test"), 0)
    for split in counts:
        for path in sorted((copy / "data").glob(f"*/{split}-*.parquet")):
            if path.parent.name in KINDS:
                counts[split] += pq.read_metadata(path).num_rows
    for path in sorted((copy / "data").glob("*/test-*.parquet")):
        path.rename(path.with_name(path.name.replace("test-", "test_hard-")))
    write_manifest(copy)
    report = export_rival10(copy, tmp_path / "out", validation="drop")
    assert report.dropped == {"test_hard": counts["test"], "validation": counts["validation"]}
    assert _rival10_lines(report)[1] == (
        "left out, rows of splits that the layout has not: "
        f"test_hard {counts['test']}, validation {counts['validation']}"
    )


def test_other_attributes_are_told_of(tmp_path: Path) -> None:
    parts = {
        "name": "parts",
        "version": "1",
        "attributes": [{"name": "wings", "scope": "local"}, {"name": "round", "scope": "global"}],
    }
    (tmp_path / "parts.yaml").write_text(yaml.safe_dump(parts))
    repo = build(tmp_path, attributes="parts.yaml")
    report = export_rival10(repo, tmp_path / "out")
    assert report.own_attributes == ("wings", "round")
    assert json.loads((tmp_path / "out" / "RIVAL10" / "meta" / "attributes.json").read_text()) == ["wings", "round"]
    masks = pickle.loads(next((tmp_path / "out" / "RIVAL10" / "test" / "ordinary").glob("disc*.pkl")).read_bytes())
    assert masks["round"] == masks["entire-object"]  # what holds of the whole has the whole's mask


def test_some_of_rival10_s_attributes_keep_their_places(tmp_path: Path) -> None:
    some = {
        "name": "some",
        "version": "1",
        "attributes": [{"name": "tall", "scope": "global"}, {"name": "wings", "scope": "local"}],
    }
    (tmp_path / "some.yaml").write_text(yaml.safe_dump(some))
    repo = build(tmp_path, attributes="some.yaml")
    assert export_rival10(repo, tmp_path / "out").own_attributes == ()
    for path in (tmp_path / "out" / "RIVAL10").glob("*/ordinary/*_attr_labels.npy"):
        assert np.load(path)[0].tolist() == [int(name == "wings") for name in ATTRIBUTES]
    assert not (tmp_path / "out" / "RIVAL10" / "meta" / "attributes.json").exists()


def test_nothing_is_written_over_or_half(repo: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(UsageError, match="exists"):
        export_rival10(repo, tmp_path / "there")
    with pytest.raises(UsageError, match="no dataset"):
        export_rival10(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_canvas_of_another_size_is_refused(tmp_path: Path) -> None:
    recipe = load_recipe("rival10").model_dump(mode="json")
    recipe["rules"]["exact"]["views"]["squash"]["size"] = 160
    repo = build(tmp_path, rules=recipe["rules"])
    with pytest.raises(DataError, match="224x224, got 160x160"):
        export_rival10(repo, tmp_path / "out")
    assert not (tmp_path / "out").exists()


ASK = """
import importlib.util, json, sys
import numpy as np
spec = importlib.util.spec_from_file_location("local_rival10", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
root = sys.argv[2]
module._DATA_ROOT = root + "/{}/"
module._LABEL_MAPPINGS, module._WNID_TO_CLASS = root + "/meta/label_mappings.json", root + "/meta/wnid_to_class.json"
answers = {}
data = module.LocalRIVAL10(train=False, masks_dict=True, include_aug=True)
for index in range(len(data)):
    item, path = data[index], data.all_instances[index][0]
    answers["/".join(path.split("/")[-2:])] = {
        "class": [item["og_class_name"], item["og_class_label"]], "labels": item["attr_labels"].tolist(),
        "changed": item["changed_attrs"].tolist(), "mean": float(item["img"].mean()),
        "areas": [int((mask[0] > 0).sum()) for mask in item["attr_masks"]],
    }
print(json.dumps(answers))
"""


def test_the_original_loader_reads_it(repo: Path, tree: Path, tmp_path: Path) -> None:
    loader = os.environ.get("FIGUREGROUND_LOCAL_RIVAL10")
    if not loader:
        pytest.skip("FIGUREGROUND_LOCAL_RIVAL10 names no local_rival10.py of mmoayeri/RIVAL10")
    done = subprocess.run(
        [sys.executable, "-P", "-c", ASK, loader, str(tree)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    seen = 0
    for config, kind in KINDS.items():
        for stem, row in rows_of(repo, config, "test").items():
            item = answers[f"{kind}/{stem}.JPEG"]
            masks = true_masks(row)
            assert item["class"] == [row["source_label"], row["label"]]
            assert item["labels"] == [int(bool(row["attributes"][name])) for name in ATTRIBUTES]
            assert item["changed"] == [int(name == row["attribute"]) for name in ATTRIBUTES]
            names = [*ATTRIBUTES, "entire-object"]
            assert item["areas"] == [int(masks[name].sum()) if name in masks else 0 for name in names]
            assert item["mean"] == pytest.approx(np.asarray(row["image"]).mean() / 255, abs=1e-5)
            seen += 1
    assert seen == len(answers) > 6
