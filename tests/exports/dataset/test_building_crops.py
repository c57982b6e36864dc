"""Repositories of crops and textures: boxes without pixels, the same rows with them, textures from a source."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from datasets import load_dataset
from drawn_release import CLASS_MAP, DrawnRelease, draw_release
from PIL import Image

from figureground.annotate.catalogue import index_source
from figureground.annotate.freeze import FreezeOptions, freeze
from figureground.build.recipes.loading import load_recipe
from figureground.errors import DataError
from figureground.exports.dataset.building import build_dataset
from figureground.exports.dataset.inputs import Machines
from figureground.exports.dataset.request import BuildOptions, describe_report, prepare_request
from figureground.exports.evaluation.dataset import load_rows, open_repository
from figureground.exports.evaluation.values import EvaluationError
from figureground.schemas.rasters.masks import decode_png1, pixels_sha256
from figureground.schemas.records import Decision
from figureground.schemas.sources.opening import open_source
from figureground.schemas.store.workspace import Workspace


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> DrawnRelease:
    return draw_release(Path(tmp_path_factory.mktemp("drawn")), per_class=3)


def _recipe(folder: Path, name: str, **changes: Any) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "toy.json").write_text(CLASS_MAP)
    recipe = load_recipe(name).model_dump(mode="json")
    (folder / "toy.yaml").write_text(yaml.safe_dump({**recipe, "name": "toy", "class_map": "toy.json", **changes}))
    return str(folder / "toy.yaml")


def _rows(folder: Path, config: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(folder / "data" / config).to_pylist()
    return rows


def _pixels(cell: dict[str, Any]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.asarray(Image.open(io.BytesIO(cell["bytes"])))


@pytest.fixture(scope="module")
def crops(drawn: DrawnRelease, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same crops without and with their pixels."""
    folder = Path(tmp_path_factory.mktemp("crops"))
    recipe = _recipe(folder, "imagenet_a_plus")
    for name, pixels in (("boxes", None), ("pixels", True)):
        report = build_dataset(
            prepare_request(recipe, drawn.workspace, options=BuildOptions(pixels=pixels), machines=Machines(workers=1)),
            folder / name,
        )
        assert ("--pixels adds them" in describe_report(report)) == (pixels is None)
    return folder / "boxes", folder / "pixels"


def test_boxes_are_published_without_a_pixel_and_lead_to_those_of_the_photos(
    crops: tuple[Path, Path], drawn: DrawnRelease
) -> None:
    boxes, pixels = crops
    assert not (boxes / "report" / "contact_sheet.png").exists()
    photos = {}
    with Workspace.open(drawn.workspace) as store:
        for image in store.images():
            photos[image.image_id] = np.asarray(Image.open(drawn.photos / image.uri).convert("RGB"))
    for config in ("original", "plus", "plus_m50", "center_zoom", "random_box"):
        for bare, full in zip(_rows(boxes, config), _rows(pixels, config), strict=True):
            image = full.pop("image")
            assert bare == full
            shown = _pixels(image)
            assert pixels_sha256(shown) == bare["provenance"]["pixels_sha256"]
            figure = json.loads(bare["provenance"]["params"])["figure"]
            x0, y0, x1, y1 = (
                figure["crop"]["window"] if "crop" in figure else (0, 0, *photos[bare["image_id"]].shape[1::-1])
            )
            padded = np.pad(photos[bare["image_id"]], ((500, 500), (500, 500), (0, 0)))
            np.testing.assert_array_equal(shown, padded[y0 + 500 : y1 + 500, x0 + 500 : x1 + 500])


def test_masks_and_boxes_of_crops_are_in_canvas_pixels(crops: tuple[Path, Path]) -> None:
    for config in ("plus", "plus_m00", "plus_m10", "plus_letterbox", "plus_tight"):
        for row in _rows(crops[0], config):
            mask = decode_png1(row["object_mask"]["bytes"])
            ys, xs = np.nonzero(mask)
            assert tuple(row["box"]) == (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
            if config == "plus_m00":
                assert max(mask.shape) == max(xs.max() + 1 - xs.min(), ys.max() + 1 - ys.min())


def test_control_arms_are_as_large_as_plus_and_masked_arms_lie_in_its_window(crops: tuple[Path, Path]) -> None:
    plus = {row["image_id"]: _pixels(row["image"]) for row in _rows(crops[1], "plus")}
    for config in ("center_zoom", "random_box", "plus_masked", "bg_only"):
        for row in _rows(crops[1], config):
            shown, mask = _pixels(row["image"]), decode_png1(row["object_mask"]["bytes"])
            original = plus[row["image_id"]]
            assert shown.shape == original.shape
            if config == "plus_masked":
                np.testing.assert_array_equal(shown[mask], original[mask])
                assert (shown[~mask] == 128).all()
            if config == "bg_only":
                np.testing.assert_array_equal(shown[~mask], original[~mask])
                assert (shown[mask] == 128).all()


def test_no_row_of_plus_is_flagged_as_amputated(crops: tuple[Path, Path]) -> None:
    for config in ("plus", "plus_largest", "plus_masked", "bg_only"):
        flags = [json.loads(row["provenance"]["params"])["figure"].get("flags", []) for row in _rows(crops[0], config)]
        assert len(flags) == 9
        assert not any("amputated_by_eval" in own for own in flags)


def test_rows_without_images_load_and_are_refused_by_evaluate(crops: tuple[Path, Path], tmp_path: Path) -> None:
    rows = load_dataset(str(crops[0]), "plus", split="test", cache_dir=str(tmp_path))
    assert "image" not in rows.column_names
    assert len(rows) == 9
    with pytest.raises(EvaluationError, match="holds no images"):
        load_rows(open_repository(str(crops[0])), "plus", "test")


def test_workers_change_no_byte_of_crops(crops: tuple[Path, Path], drawn: DrawnRelease, tmp_path: Path) -> None:
    recipe = _recipe(tmp_path, "imagenet_a_plus")
    build_dataset(prepare_request(recipe, drawn.workspace, machines=Machines(workers=2)), tmp_path / "again")
    first = {path.relative_to(crops[0]): path.read_bytes() for path in crops[0].rglob("*") if path.is_file()}
    again = {path.relative_to(tmp_path / "again"): path for path in (tmp_path / "again").rglob("*") if path.is_file()}
    assert set(first) == set(again)
    assert [name for name, path in again.items() if path.read_bytes() != first[name]] == []


def test_textures_come_from_an_indexed_source_and_stand_in_lock_and_params(tmp_path: Path) -> None:
    drawn = draw_release(tmp_path / "drawn", per_class=2)
    wallpapers = tmp_path / "wallpapers" / "any"
    wallpapers.mkdir(parents=True)
    for number in range(3):
        Image.new("RGB", (300, 260), (10 * number, 5, 200)).save(wallpapers / f"{number}.png")
    swap = {"ground": {"texture": "photos"}, "matte": "mask", "figure": "source"}
    recipe = _recipe(tmp_path, "background_check", variants={"mine": swap}, textures="wallpapers")
    with pytest.raises(DataError, match="figureground index FOLDER -w WORKSPACE --name wallpapers"):
        build_dataset(prepare_request(recipe, drawn.workspace, machines=Machines(workers=1)), tmp_path / "out")
    with Workspace.open(drawn.workspace) as store:
        index_source(store, open_source(str(wallpapers.parent), name="wallpapers"))
    build_dataset(prepare_request(recipe, drawn.workspace, machines=Machines(workers=2)), tmp_path / "out")
    lock = json.loads((tmp_path / "out" / "recipe.lock.json").read_text())
    used = set()
    for row in _rows(tmp_path / "out", "mine"):
        texture = json.loads(row["provenance"]["params"])["texture"]
        used.add(texture["sha256"])
        mask = decode_png1(row["object_mask"]["bytes"])
        colours = np.unique(_pixels(row["image"])[~mask], axis=0)
        assert [list(colour[1:]) for colour in colours] == [[5, 200]]
    assert lock["textures"]["source"] == "wallpapers"
    assert lock["textures"]["photos"] == len(used)


def test_coverage_counts_what_was_left_out_before_and_by_the_build(tmp_path: Path) -> None:
    drawn = draw_release(tmp_path / "drawn", per_class=3)
    with Workspace.open(drawn.workspace) as store:
        images = sorted(store.images(), key=lambda image: image.uri)
        store.decide(Decision(image_id=images[0].image_id, state="not_localisable", reason="no object to be seen"))
        freeze(store, "v2", FreezeOptions())
    recipe = _recipe(tmp_path, "background_check", balance={"per_class": 2})
    build_dataset(
        prepare_request(recipe, drawn.workspace, release="v2", machines=Machines(workers=1)), tmp_path / "out"
    )
    rows = list(csv.DictReader((tmp_path / "out" / "report" / "coverage.csv").open()))
    assert [list(row.values()) for row in rows] == [
        ["disc", "3", "3", "2", "0.6667", "balance:1"],
        ["ring", "3", "3", "2", "0.6667", "balance:1"],
        ["bar", "3", "2", "2", "0.6667", "not_localisable:1"],
    ]
    listed = list(csv.DictReader((drawn.workspace / "objects" / "v2.left_out.csv").open()))
    assert listed == [{"image_id": images[0].image_id, "label": "bar", "reason": "not_localisable"}]
