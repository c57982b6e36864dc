"""Scenes on scratch disk: what was made of a photo comes back, a damaged file is made anew, faults come together."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from strategies import object_record, square_mask

from figureground.build.painting.scene_files import SceneJob, SceneStore, load_scene, load_texture, write_scenes
from figureground.build.painting.scenes import CanvasKey, Scene, make_scene
from figureground.build.planning.plan import Plan, make_plan
from figureground.build.recipes.loading import load_recipe
from figureground.schemas.classes import ClassMap
from figureground.schemas.rasters.masks import decode_png1
from figureground.schemas.rasters.photos import decode_photo
from figureground.schemas.recipes import Balance
from figureground.schemas.records import PhotoRef, SourceRow

RECIPE = load_recipe("imagenet9").model_copy(update={"balance": Balance(per_class="all")})
CLASSES = ClassMap.model_validate(
    {"name": "toy", "classes": [{"index": 0, "name": "a", "wnids": ["a"]}, {"index": 1, "name": "b", "wnids": ["b"]}]}
)
SIZES_HW = {"a": (300, 400), "b": (260, 256)}


@pytest.fixture
def job(tmp_path: Path) -> SceneJob:
    """Two photos, one a class, on disk and planned."""
    records = []
    for number, (label, size_hw) in enumerate(sorted(SIZES_HW.items())):
        buffer = io.BytesIO()
        pixels = np.random.default_rng(number).integers(0, 256, (*size_hw, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(buffer, "PNG")
        path = tmp_path / "photos" / label / "one.png"
        path.parent.mkdir(parents=True)
        path.write_bytes(buffer.getvalue())
        record = object_record(f"{number}", label, mask=square_mask(size_hw, (90, 80, 190, 200)))
        digest = hashlib.sha256(buffer.getvalue()).hexdigest()
        records.append(replace(record, source="photos", uri=f"{label}/one.png", sha256=digest))
    recipe = RECIPE.model_copy(update={"variants": {"only_bg_t": RECIPE.variants["only_bg_t"]}})
    plan: Plan = make_plan(records, recipe, CLASSES)
    source = SourceRow(name="photos", kind="folder", locator=str(tmp_path / "photos"), options={})
    (tmp_path / "scenes").mkdir()
    return SceneJob(
        objects=tuple(plan.objects.values()),
        textures=(),
        sources={"photos": source},
        recipe=recipe,
        rules=recipe.rules["exact"],
        folder=tmp_path / "scenes",
    )


def made(job: SceneJob, index: int) -> Scene:
    candidate = job.objects[index]
    photo = decode_photo((Path(job.sources["photos"].locator) / candidate.record.uri).read_bytes())
    return make_scene(candidate, photo, job.rules, job.recipe)


def assert_same(read: Scene, expected: Scene) -> None:
    assert read.keys() == expected.keys()
    for key, placed in expected.items():
        assert read[key].mask_png == placed.mask_png
        for part in ("photos", "mattes", "attributes"):
            ours, theirs = getattr(read[key], part), getattr(placed, part)
            assert ours.keys() == theirs.keys()
            for name, array in theirs.items():
                assert ours[name].dtype == array.dtype
                np.testing.assert_array_equal(ours[name], array)


def test_a_scene_comes_back_as_it_was_made(job: SceneJob) -> None:
    assert write_scenes(job) == (2, [])
    for index, candidate in enumerate(job.objects):
        scene = load_scene(job.folder, candidate.object_id)
        assert_same(scene, made(job, index))
        np.testing.assert_array_equal(
            decode_png1(scene[CanvasKey("imagenet")].mask_png), scene[CanvasKey("imagenet")].mask
        )
    assert not list(job.folder.glob(".*"))


def test_rows_cannot_change_a_scene_that_others_use(job: SceneJob) -> None:
    write_scenes(job)
    scene = SceneStore(job.folder).get(job.objects[0].object_id)
    with pytest.raises(ValueError, match="read-only"):
        scene[CanvasKey("imagenet")].photos["tile"][0, 0] = 0


def test_a_scene_that_is_there_is_not_made_again(job: SceneJob) -> None:
    write_scenes(job)
    before = {path: path.stat().st_mtime_ns for path in job.folder.iterdir()}
    assert write_scenes(job) == (2, [])
    assert {path: path.stat().st_mtime_ns for path in job.folder.iterdir()} == before


@pytest.mark.parametrize("length", [0, 3, 8, 40, -1])
def test_a_scene_that_was_cut_off_is_made_anew(job: SceneJob, length: int) -> None:
    write_scenes(job)
    path = sorted(job.folder.iterdir())[0]
    whole = path.read_bytes()
    path.write_bytes(whole[:length])
    assert write_scenes(job) == (2, [])
    assert path.read_bytes() == whole


def test_a_texture_is_kept_in_stored_pixels(job: SceneJob) -> None:
    record = job.objects[0].record
    texture = PhotoRef(image_id="0" * 32, source=record.source, uri=record.uri, sha256=record.sha256)
    assert write_scenes(replace(job, objects=(), textures=(texture,))) == (1, [])
    photo = decode_photo((Path(job.sources["photos"].locator) / record.uri).read_bytes())
    np.testing.assert_array_equal(load_texture(job.folder, texture.image_id), photo)


def test_all_photos_at_fault_are_told_and_leave_nothing(job: SceneJob) -> None:
    for candidate in job.objects:
        (Path(job.sources["photos"].locator) / candidate.record.uri).write_bytes(b"another photo")
    done, faults = write_scenes(job)
    assert done == 2
    assert {fault.record for fault in faults} == {"a/one.png", "b/one.png"}
    assert not list(job.folder.iterdir())
