"""The dataset repository: what load_dataset reads, the same bytes whatever the workers, whole or not at all."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from checkout import ROOT
from datasets import get_dataset_config_names, load_dataset
from drawn_release import CLASS_MAP, DrawnRelease, draw_release
from PIL import Image

from figureground.annotate.catalogue import index_source
from figureground.annotate.freeze import FreezeOptions, freeze
from figureground.build.recipes.loading import load_recipe
from figureground.errors import DataError, UsageError
from figureground.exports.dataset.building import build_dataset
from figureground.exports.dataset.folder import DatasetFolder
from figureground.exports.dataset.inputs import BuildRequest, Machines
from figureground.exports.dataset.request import BuildOptions, parse_splits, prepare_request
from figureground.exports.rebuilding.rebuild import rebuild_dataset
from figureground.runtime.files import file_sha256
from figureground.schemas.rasters.masks import decode_png1, pixels_sha256
from figureground.schemas.recipes import Splits
from figureground.schemas.sources.opening import open_source
from figureground.schemas.store.releases import read_release
from figureground.schemas.store.workspace import Workspace

VARIANTS = list(load_recipe("imagenet9").variants)


def request_for(
    drawn: DrawnRelease, folder: Path, *, workers: int = 1, options: BuildOptions | None = None
) -> BuildRequest:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "toy.json").write_text(CLASS_MAP)
    recipe = load_recipe("imagenet9").model_dump(mode="json")
    (folder / "toy.yaml").write_text(yaml.safe_dump({**recipe, "name": "toy", "class_map": "toy.json"}))
    machines = Machines(workers=workers)
    return prepare_request(str(folder / "toy.yaml"), drawn.workspace, options=options, machines=machines)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> DrawnRelease:
    return draw_release(Path(tmp_path_factory.mktemp("drawn")))


@pytest.fixture(scope="module")
def built(drawn: DrawnRelease, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(tmp_path_factory.mktemp("built"))
    build_dataset(request_for(drawn, folder), folder / "toy")
    return folder / "toy"


def hashes(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): file_sha256(path) for path in folder.rglob("*") if path.is_file()}


def test_load_dataset_reads_every_config(built: Path, tmp_path: Path) -> None:
    assert set(get_dataset_config_names(str(built))) == set(VARIANTS)
    for name in VARIANTS:
        rows = load_dataset(str(built), name, split="test", cache_dir=str(tmp_path))
        assert len(rows) == 12
        assert rows.features["label"].names == ["disc", "ring", "bar"]
        assert set(rows["variant"]) == {name}
        assert rows[0]["image"].size == (224, 224)
        assert rows[0]["object_mask"].mode == "1"
        assert rows[0]["attributes"] == {"round": rows[0]["source_label"] != "bar"}
    assert len(load_dataset(str(built), split="test", cache_dir=str(tmp_path))) == 12  # the default config


def test_streaming_gives_the_same_rows(built: Path, tmp_path: Path) -> None:
    loaded: Any = load_dataset(str(built), "mixed_rand", split="test", cache_dir=str(tmp_path))
    streamed = list(load_dataset(str(built), "mixed_rand", split="test", streaming=True))
    assert [row["provenance"] for row in streamed] == list(loaded["provenance"])
    assert np.array_equal(np.asarray(streamed[0]["image"]), np.asarray(loaded[0]["image"]))


def test_pixels_masks_and_provenance_agree(built: Path) -> None:
    originals = {row["image_id"]: row for row in _rows(built, "original")}
    for name in VARIANTS:
        for row in _rows(built, name):
            pixels = np.asarray(Image.open(io.BytesIO(row["image"]["bytes"])))
            assert pixels.dtype == np.uint8
            assert pixels_sha256(pixels) == row["provenance"]["pixels_sha256"]
            mask = decode_png1(row["object_mask"]["bytes"])
            x0, y0, x1, y1 = row["box"]
            ys, xs = np.nonzero(mask)
            assert x0 - 1 <= xs.min()
            assert xs.max() <= x1
            assert y0 - 1 <= ys.min()
            assert ys.max() <= y1
            if name == "only_fg":
                assert not pixels[~mask].any()
            if name.startswith("mixed") and name != "mixed_self":
                assert row["ground_id"] != row["image_id"]
                assert originals[row["ground_id"]]["label"] == row["ground_label"]
            if name == "mixed_next":
                assert row["ground_label"] == (row["label"] + 1) % 3


def _rows(folder: Path, config: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(folder / "data" / config).to_pylist()
    return rows


def test_another_mask_shows_the_same_grounds_and_seeds(built: Path) -> None:
    for plain in ("mixed_same", "mixed_rand"):
        for other in (f"{plain}_m4", f"{plain}_p4"):
            pairs = list(zip(_rows(built, plain), _rows(built, other), strict=True))
            for row, grown in pairs:
                assert (row["image_id"], row["ground_id"]) == (grown["image_id"], grown["ground_id"])
                assert row["provenance"]["seed"] == grown["provenance"]["seed"]
                assert row["object_mask"]["bytes"] == grown["object_mask"]["bytes"]
                assert row["provenance"]["pixels_sha256"] != grown["provenance"]["pixels_sha256"]


def test_the_use_of_donors_is_what_the_rows_say(built: Path) -> None:
    with (built / "report" / "donors.csv").open(newline="") as lines:
        uses = {row["variant"]: row for row in csv.DictReader(lines)}
    assert set(uses) == {name for name in VARIANTS if name.startswith("mixed") and name != "mixed_self"}
    for name, use in uses.items():
        rows = _rows(built, name)
        lent = Counter(row["ground_id"] for row in rows)
        own = sum(row["ground_label"] == row["label"] for row in rows)
        expected = {"rows": 12, "own_class": own, "donors": len(lent), "most_rows": max(lent.values())}
        assert use == {"variant": name, **{key: str(value) for key, value in expected.items()}}
    assert uses["mixed_same"]["own_class"] == "12"
    assert uses["mixed_next"]["own_class"] == "0"


def test_only_some_variants_are_built_in_splits_and_stay_so_when_rebuilt(drawn: DrawnRelease, tmp_path: Path) -> None:
    options = BuildOptions(
        variants=("original", "mixed_rand"), splits={"train": 0.5, "test": 0.5}, per_class="all", pixels=False
    )
    report = build_dataset(request_for(drawn, tmp_path, options=options), tmp_path / "out")
    assert report.splits == {"train": 6, "test": 6}
    made = DatasetFolder.open(tmp_path / "out")
    assert made.configs == ("mixed_rand", "original")
    assert list(made.recipe.variants) == ["mixed_rand", "original"]  # as in the recipe
    assert made.recipe.splits == Splits(shares={"train": 0.5, "test": 0.5})
    source = open_source(str(drawn.photos), name="mine")
    rebuilt = rebuild_dataset(tmp_path / "out", [source], tmp_path / "again")
    assert (rebuilt.rows, rebuilt.drifted) == (24, ())
    whole = build_dataset(request_for(drawn, tmp_path, options=BuildOptions(per_class="all")), tmp_path / "whole")
    planned = {row.key: row.seed for row in DatasetFolder.open(whole.folder).plan_rows()}
    assert {row.seed for row in made.plan_rows()} <= set(planned.values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"variants": ["original", "mixed_rnd", "nope"]},
            "no variant 'mixed_rnd'; no variant 'nope'; toy has mixed_next, mixed_rand",
        ),
        (
            {"variants": ["original", "mixed_rand_m4"]},
            "mixed_rand_m4 takes the donors of mixed_rand, which is left out",
        ),
        ({"variants": []}, "--variants: no name"),
        ({"splits": {"train": 0.7, "test": 0.2}}, "shares add up to 0.9, not to 1"),
        ({"splits": {"tr/ain": 0.7, "test": float("nan")}}, "'tr/ain' cannot be a split's name: expected 1 to"),
        ({"splits": {"train": 1.5, "test": -0.5}}, "train=1.5 is no share above 0, up to 1; test=-0.5 is no share"),
        ({"splits": {}}, "shares add up to 0, not to 1"),
    ],
)
def test_options_that_make_no_sense_say_all_that_is_wrong(
    options: dict[str, Any], message: str, drawn: DrawnRelease, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        request_for(drawn, tmp_path, options=BuildOptions(**options))
    assert message in str(caught.value)


def test_splits_are_read_from_a_command_line() -> None:
    assert parse_splits("train=0.7, validation=0.1,test=0.2") == {"train": 0.7, "validation": 0.1, "test": 0.2}
    for text, message in (
        ("train", "'train' is not NAME=SHARE"),
        ("train=half,test=0.5,", "'train=half' is not NAME=SHARE; '' is not NAME=SHARE"),
        ("a=0.5,a=0.5", "a is named twice"),
    ):
        with pytest.raises(UsageError) as caught:
            parse_splits(text)
        assert message in str(caught.value)


def test_the_same_bytes_whatever_the_workers_and_wherever(built: Path, drawn: DrawnRelease, tmp_path: Path) -> None:
    two = build_dataset(request_for(drawn, tmp_path, workers=2), tmp_path / "two")
    assert hashes(two.folder) == hashes(built)
    # Elsewhere: photos copied to another folder, indexed into another workspace, same frozen objects.
    shutil.copytree(drawn.photos, tmp_path / "moved")
    with Workspace.create(tmp_path / "other") as store:
        index_source(store, open_source(str(tmp_path / "moved"), name="drawn", options={"licence": "CC0-1.0"}))
    shutil.copytree(drawn.release.parent, tmp_path / "other" / "objects")
    moved = DrawnRelease(photos=tmp_path / "moved", workspace=tmp_path / "other", release=drawn.release)
    third = build_dataset(request_for(moved, tmp_path), tmp_path / "third")
    assert hashes(third.folder) == hashes(built)


def test_the_manifest_covers_every_other_file(built: Path) -> None:
    manifest = json.loads((built / "manifest.json").read_text())["sha256"]
    stored = hashes(built)
    del stored["manifest.json"]
    assert manifest == stored
    assert {"README.md", "evaluate.py", "class_map.json", "recipe.yaml", "recipe.lock.json"} <= set(manifest)
    assert {"report/contact_sheet.png", "report/plan.parquet", "report/refused.csv"} <= set(manifest)


def test_nothing_of_this_machine_is_in_a_release(built: Path, drawn: DrawnRelease) -> None:
    for path in built.rglob("*"):
        if path.is_file():
            assert str(drawn.photos.parent).encode() not in path.read_bytes(), path


def test_the_repository_rebuilds_itself_from_its_own_recipe(built: Path, drawn: DrawnRelease, tmp_path: Path) -> None:
    request = prepare_request(str(built / "recipe.yaml"), drawn.workspace, machines=Machines(workers=1))
    again = build_dataset(request, tmp_path / "again")
    for name in VARIANTS:
        assert [row["provenance"]["pixels_sha256"] for row in _rows(again.folder, name)] == [
            row["provenance"]["pixels_sha256"] for row in _rows(built, name)
        ]


def test_a_second_build_reuses_the_first_and_another_one_is_refused(built: Path, drawn: DrawnRelease) -> None:
    before = hashes(built)
    assert build_dataset(request_for(drawn, built.parent), built).reused
    with pytest.raises(UsageError, match="is not this build"):
        build_dataset(request_for(drawn, built.parent, options=BuildOptions(rules="reference")), built)
    assert hashes(built) == before


def test_what_differs_from_the_build_that_is_there_is_told_with_both_values(built: Path, drawn: DrawnRelease) -> None:
    request = request_for(drawn, built.parent)
    photos = request.photos
    sources = {
        name: replace(row, options={**row.options, "licence": "CC BY 4.0"}) for name, row in photos.sources.items()
    }
    licensed = replace(request, photos=replace(photos, sources=sources))
    with pytest.raises(UsageError) as told:
        build_dataset(licensed, built)
    assert str(told.value) == (
        f"{built} exists and is not this build, which differs in: licence of the photos of drawn: "
        "CC0-1.0 -> CC BY 4.0; give another folder with -o, or delete it"
    )
    other = replace(request, release=replace(request.release, version="v9", annotation={"seen": 1}))
    with pytest.raises(UsageError, match=r"differs in: release: v1 -> v9; give"):
        build_dataset(other, built)


def test_a_changed_photo_is_named_and_nothing_is_published(drawn: DrawnRelease, tmp_path: Path) -> None:
    shutil.copytree(drawn.photos, tmp_path / "photos")
    shutil.copytree(drawn.workspace, tmp_path / "workspace")
    (tmp_path / "photos" / "disc" / "disc1.png").unlink()
    with (tmp_path / "photos" / "ring" / "ring2.png").open("ab") as file:
        file.write(b"x")
    with Workspace.open(tmp_path / "workspace") as store:
        index_source(store, open_source(str(tmp_path / "photos"), name="drawn"))
    broken = DrawnRelease(photos=tmp_path / "photos", workspace=tmp_path / "workspace", release=drawn.release)
    with pytest.raises(DataError) as caught:
        build_dataset(request_for(broken, tmp_path), tmp_path / "out")
    assert {fault.record for fault in caught.value.faults} == {"disc/disc1.png", "ring/ring2.png"}
    assert not (tmp_path / "out").exists()


def test_a_killed_build_goes_on_and_gives_the_same_bytes(built: Path, drawn: DrawnRelease, tmp_path: Path) -> None:
    request_for(drawn, tmp_path)  # writes the recipe
    command = [
        sys.executable,
        "-m",
        "figureground",
        "build",
        str(tmp_path / "toy.yaml"),
        "-w",
        str(drawn.workspace),
        "-o",
        str(tmp_path / "out"),
        "--workers",
        "1",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    partial = tmp_path / "out.partial"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(list(partial.glob("data/*/*.parquet"))) < 2:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "out").exists()
    finished = {path: path.stat().st_mtime_ns for path in partial.glob("data/*/*.parquet")}
    assert finished
    subprocess.run(command, check=True, capture_output=True)
    for path, made in finished.items():
        finished_path = tmp_path / "out" / path.relative_to(partial)
        assert finished_path.stat().st_mtime_ns == made  # not rendered again
    assert not partial.exists()
    assert hashes(tmp_path / "out") == hashes(built)


def test_what_another_build_left_behind_stays_and_is_named(built: Path, drawn: DrawnRelease, tmp_path: Path) -> None:
    partial = tmp_path / "out.partial"
    (partial / "data" / "original").mkdir(parents=True)
    (partial / ".build-key").write_text("another build")
    (partial / "data" / "original" / "test-00000-of-00001.parquet").write_bytes(b"stale")
    with pytest.raises(UsageError, match=r"out\.partial holds unfinished work of other options"):
        build_dataset(request_for(drawn, tmp_path), tmp_path / "out")
    shutil.rmtree(partial / "data")  # nothing of it is left but its mark
    build_dataset(request_for(drawn, tmp_path), tmp_path / "out")
    assert hashes(tmp_path / "out") == hashes(built)


def test_draws_give_more_rows_of_the_mixed_variants(drawn: DrawnRelease, tmp_path: Path) -> None:
    report = build_dataset(request_for(drawn, tmp_path, options=BuildOptions(draws=3)), tmp_path / "out")
    assert report.rows == 12 * (8 + 7 * 3)
    assert {row["draw"] for row in _rows(tmp_path / "out", "mixed_same")} == {0, 1, 2}


def test_evaluate_is_copied_verbatim(built: Path) -> None:
    root = ROOT
    assert (built / "evaluate.py").read_bytes() == (root / "exports" / "evaluate.py").read_bytes()
    assert hashlib.sha256((built / "evaluate.py").read_bytes()).hexdigest() in (built / "manifest.json").read_text()


def test_in9l_takes_photos_without_masks(drawn: DrawnRelease, tmp_path: Path) -> None:
    with Workspace.create(tmp_path / "work") as store:
        index_source(store, open_source(str(drawn.photos), name="drawn"))
        freeze(store, "bare", FreezeOptions(unmasked=True))
    (tmp_path / "toy.json").write_text(CLASS_MAP)
    recipe = {**load_recipe("imagenet9l").model_dump(mode="json"), "name": "toy", "class_map": "toy.json"}
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(recipe))
    report = build_dataset(
        prepare_request(str(tmp_path / "toy.yaml"), tmp_path / "work", machines=Machines(workers=1)), tmp_path / "out"
    )
    assert (report.rows, report.objects, report.refused) == (12, 12, {})
    rows = _rows(tmp_path / "out", "original")
    assert not any(decode_png1(row["object_mask"]["bytes"]).any() for row in rows)
    # The very same photos are of no use to a recipe that needs masks.
    masked = request_for(drawn, tmp_path)
    bare = replace(masked.release, records=read_release(tmp_path / "work/objects/bare.parquet")[1])
    with pytest.raises(DataError, match="mask_empty 12"):
        build_dataset(replace(masked, release=bare), tmp_path / "masked")
