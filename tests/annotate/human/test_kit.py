"""Kits of the human task: what is drawn, what is asked, and what nobody outside may learn from it."""

from __future__ import annotations

import hashlib
import io
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from human_kits import CONFIGS, SECRET, draw_dataset, draw_many_classes, make
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from figureground.annotate.human.page import instructions, options, page_configuration, question, task_json
from figureground.annotate.human.pictures import make_picture, model_view
from figureground.annotate.human.sample import draw_sample
from figureground.errors import DataError, FigureGroundError, UsageError
from figureground.exports.evaluation.pictures import Transform


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return draw_dataset(tmp_path / f"drawn_{SECRET}")


def tree(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_same_call_makes_the_same_bytes_and_another_seed_others(dataset: Path, tmp_path: Path) -> None:
    first, second = make(tmp_path / "a", dataset), make(tmp_path / "b", dataset)
    assert tree(first.folder) == tree(second.folder)
    assert first.kit_id == second.kit_id
    other = make(tmp_path / "c", dataset, seed=8)
    assert not {task.task_id for task in first.tasks} & {task.task_id for task in other.tasks}
    assert not {task.picture for task in first.tasks} & {task.picture for task in other.tasks}


def test_every_image_is_asked_once_truly_and_once_with_the_same_foil_in_both_configs(
    dataset: Path, tmp_path: Path
) -> None:
    kit = make(tmp_path / "kit", dataset)
    first = [task for task in kit.tasks if task.repeats is None]
    asked = Counter((task.config, task.image_id, task.asked == task.label) for task in first)
    assert set(asked.values()) == {1}
    assert len(asked) == len(CONFIGS) * 12 * 2
    offered: dict[str, set[tuple[int, ...]]] = {}
    for task in first:
        true, foil = task.offered
        assert true == task.label != foil
        offered.setdefault(task.image_id, set()).add(task.offered)
    assert {len(pairs) for pairs in offered.values()} == {1}
    assert len({foil for pairs in offered.values() for _, foil in pairs}) > 1


def test_repeats_are_the_stated_share_of_each_round_and_equal_what_they_repeat(dataset: Path, tmp_path: Path) -> None:
    some = make(tmp_path / "some", dataset, repeat_share=0.25)
    assert Counter(task.config for task in some.tasks if task.repeats) == dict.fromkeys(CONFIGS, 6)
    kit = make(tmp_path / "kit", dataset, repeat_share=0.5)
    repeats = [task for task in kit.tasks if task.repeats is not None]
    assert Counter(task.config for task in repeats) == dict.fromkeys(CONFIGS, 12)
    assert len({task.picture for task in repeats}) == len(repeats)
    for again in repeats:
        first = kit.by_id[str(again.repeats)]
        assert first.repeats is None
        assert (again.picture, again.asked, again.offered) == (first.picture, first.asked, first.offered)
    assert not any(task.repeats for task in make(tmp_path / "none", dataset, repeat_share=0).tasks)


def test_few_classes_are_all_offered_in_order_and_many_are_drawn_with_the_true_one(tmp_path: Path) -> None:
    few = make(tmp_path / "few", draw_dataset(tmp_path / "three"), design="choice")
    assert {task.offered for task in few.tasks} == {(0, 1, 2)}
    dataset = draw_many_classes(tmp_path / "twenty", dict.fromkeys(range(20), 3))
    many = make(tmp_path / "many", dataset, design="choice", configs=("original",), choices=8)
    places = Counter(task.offered.index(task.label) for task in many.tasks)
    assert {len(set(task.offered)) for task in many.tasks} == {8}
    assert len(places) == 8, "the true class has a place of its own choosing"
    assert options(many.tasks[0], many)[:-1] == tuple(f"thing {index}" for index in many.tasks[0].offered)


def test_a_sample_is_even_over_classes_capped_and_stable(tmp_path: Path) -> None:
    labels = {f"c{label}-{serial:02}": label for label, size in enumerate((3, 30, 30)) for serial in range(size)}
    sample = draw_sample(labels, 21, None, 1)
    assert Counter(labels[image_id] for image_id in sample) == {0: 3, 1: 9, 2: 9}
    assert Counter(labels[image_id] for image_id in draw_sample(labels, None, 5, 1)) == {0: 3, 1: 5, 2: 5}
    more = draw_sample({**labels, "c1-99": 1}, 21, None, 1)
    assert len(set(sample) ^ set(more)) <= 2, "one photo more changes one photo of its class"
    assert sample != draw_sample(labels, 21, None, 2)
    with pytest.raises(UsageError, match=r"asked for 22 images, at most 9 a class, and there are 21"):
        draw_sample(labels, 22, 9, 1)
    dataset = draw_many_classes(tmp_path / "drawn", {0: 2, 1: 6, 2: 6})
    kit = make(tmp_path / "kit", dataset, configs=("original",), images=9, per_class=4)
    sizes = Counter(label for _, label in {(task.image_id, task.label) for task in kit.tasks})
    assert (sizes[0], sorted(sizes.values())) == (2, [2, 3, 4])


def test_nothing_that_is_sent_names_anything_but_the_question(dataset: Path, tmp_path: Path) -> None:
    kit = make(tmp_path / f"kit_{SECRET}", dataset)
    for task in kit.tasks:
        sent = task_json(task, kit, f"/data/{task.picture}.png")
        assert set(sent) == {"data"}
        assert set(sent["data"]) == {"image", "image_id", "question", "options"}
        assert SECRET not in str(sent)
        asked = kit.titles[task.asked or 0]
        assert sent["data"]["question"] == f"Does the picture show this: {asked}?"
        assert sum(name in str(sent) for name in kit.titles) == 1
    for text in (instructions(kit), page_configuration("model"), page_configuration("full")):
        assert SECRET not in text
        assert not any(re.search(rf"\b{name}\b", text) for name in kit.classes.names)
    assert "At most 10 seconds" in instructions(kit)
    same_question = {
        (question(first, kit), question(second, kit))
        for first in kit.tasks
        for second in kit.tasks
        if first.repeats == second.task_id
    }
    assert all(first == second for first, second in same_question)


def test_pictures_carry_pixels_and_nothing_else() -> None:
    note = PngImagePlugin.PngInfo()
    title = f"a red {SECRET}"
    note.add_text("Title", title)
    canvas = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (224, 224, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(canvas).save(buffer, "PNG", pnginfo=note)
    assert title.encode() in buffer.getvalue()
    picture = make_picture(buffer.getvalue(), "model")
    with Image.open(io.BytesIO(picture)) as shown:
        assert np.array_equal(np.asarray(shown), canvas)
        assert shown.info == {}
    assert title.encode() not in picture


@settings(max_examples=40)
@given(height=st.integers(1, 400), width=st.integers(1, 400), seed=st.integers(0, 9))
def test_other_shapes_are_resized_and_cropped_as_photos_are_for_models(height: int, width: int, seed: int) -> None:
    canvas = np.random.Generator(np.random.PCG64(seed)).integers(0, 256, (height, width, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(canvas).save(buffer, "PNG", compress_level=1)
    wanted = Transform(size_hw=(224, 224), crop_pct=0.875, crop_mode="center", interpolation="bilinear")
    if (height, width) == (224, 224):
        assert np.array_equal(model_view(canvas), canvas)
    else:
        assert np.array_equal(model_view(canvas), wanted.crops(buffer.getvalue(), "")[0])


def test_the_full_arm_shows_the_stored_canvas(dataset: Path, tmp_path: Path) -> None:
    sizes: dict[str, set[tuple[int, int]]] = {}
    for arm in ("model", "full"):
        kit = make(tmp_path / arm, dataset, arm=arm)
        for task in kit.tasks:
            with Image.open(kit.picture_path(task.picture)) as picture:
                sizes.setdefault(arm, set()).add(picture.size)
    assert sizes["model"] == {(224, 224)}
    assert (120, 40) in sizes["full"]
    with pytest.raises(FigureGroundError, match="too_narrow"):
        model_view(np.zeros((1, 2000, 3), np.uint8))


def test_an_image_with_several_rows_is_shown_by_one_of_them(tmp_path: Path) -> None:
    from crop_dataset import crop_configs, photos, write_repository

    dataset = write_repository(tmp_path / "draws", crop_configs(photos(3)))
    kit = make(tmp_path / "kit", dataset, configs=("random_box",))
    draws = {task.image_id: {same.draw for same in kit.tasks if same.image_id == task.image_id} for task in kit.tasks}
    assert {len(same) for same in draws.values()} == {1}
    assert {draw for same in draws.values() for draw in same} == {0, 1}


def test_foils_from_a_file_are_asked_and_come_out_as_they_went_in(dataset: Path, tmp_path: Path) -> None:
    first = make(tmp_path / "first", dataset)
    written = (first.folder / "foils.csv").read_text()
    swapped = {task.image_id: next(i for i in range(3) if i not in task.offered) for task in first.tasks}
    lines = [f"{image_id},{first.classes.names[foil]}" for image_id, foil in sorted(swapped.items())]
    (tmp_path / "foils.csv").write_text("\n".join(["image_id,foil", *lines, ""]))
    kit = make(tmp_path / "kit", dataset, foils=tmp_path / "foils.csv")
    assert {task.image_id: task.offered[1] for task in kit.tasks} == swapped
    assert (kit.folder / "foils.csv").read_text() == (tmp_path / "foils.csv").read_text() != written
    assert kit.facts.foils.startswith("file ")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("image_id", "image"), "columns image_id, foil"),
        (lambda text: text + text.splitlines()[1] + "\n", "each image once"),
        (lambda text: "\n".join(text.splitlines()[:-1]), "a foil for every image"),
        (lambda text: text.replace("red", "mauve"), "a class of class_map.json, got 'mauve'"),
        (lambda text: text.replace("red", "green").replace("blue", "green"), "other than the true one, got green"),
    ],
)
def test_wrong_foils_are_named(change: Any, message: str, dataset: Path, tmp_path: Path) -> None:
    good = (make(tmp_path / "first", dataset).folder / "foils.csv").read_text()
    (tmp_path / "foils.csv").write_text(change(good))
    with pytest.raises(DataError, match=message):
        make(tmp_path / "kit", dataset, foils=tmp_path / "foils.csv")
    assert not [path.name for path in tmp_path.iterdir() if "kit" in path.name], "nothing half-made is left"


def rewrite(dataset: Path, change: Any) -> None:
    """Change one shard of the second config."""
    (path,) = (dataset / "data" / CONFIGS[1]).glob("*.parquet")
    table = pq.read_table(path)
    rows = change(table.to_pylist())
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)


def mended(rows: list[dict[str, Any]], **fields: Any) -> list[dict[str, Any]]:
    return [{**rows[0], **fields}, *rows[1:]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: mended(rows, label=None), "a label from 0 to 2, got None"),
        (lambda rows: mended(rows, label=3), "a label from 0 to 2, got 3"),
        (lambda rows: mended(rows, label=1), "one label in all configs, got 0 and 1"),
        (lambda rows: mended(rows, image_id="../up"), r"an id, .* got '../up'"),
        (lambda rows: mended(rows, image={"bytes": b"no picture", "path": None}), f"{SECRET}-000: expected an image"),
        (lambda rows: mended(rows, image={"bytes": None, "path": "x.png"}), "a path instead of the image"),
    ],
)
def test_rows_at_fault_are_named(change: Any, message: str, dataset: Path, tmp_path: Path) -> None:
    rewrite(dataset, change)
    with pytest.raises(DataError, match=message):
        make(tmp_path / "kit", dataset)
    assert not (tmp_path / "kit").exists()


def test_only_images_that_all_configs_have_are_asked_about(dataset: Path, tmp_path: Path) -> None:
    rewrite(dataset, lambda rows: rows[1:])
    kit = make(tmp_path / "kit", dataset)
    assert len({task.image_id for task in kit.tasks}) == 11
    assert f"{SECRET}-000" not in {task.image_id for task in kit.tasks}
    rewrite(dataset, lambda rows: mended(rows[:1], image_id="stranger"))
    with pytest.raises(UsageError, match="share no image"):
        make(tmp_path / "other", dataset)


def test_a_recipe_release_and_other_classes_are_refused(dataset: Path, tmp_path: Path) -> None:
    (path,) = (dataset / "data" / CONFIGS[0]).glob("*.parquet")
    whole = pq.read_table(path)
    pq.write_table(whole.drop_columns(["image"]), path)
    with pytest.raises(DataError, match="a column image, got none: a recipe release; rebuild it first"):
        make(tmp_path / "kit", dataset)
    pq.write_table(whole, path)
    text = (dataset / "class_map.json").read_text()
    (dataset / "class_map.json").write_text(text.replace('"green"', '"lime"'))
    with pytest.raises(DataError, match="the map's classes, red, lime, blue"):
        make(tmp_path / "kit", dataset)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"configs": ("absent",)}, r"no files data/absent/test-\*.parquet"),
        ({"configs": ("../data",)}, "config and split are letters"),
        ({"split": "train"}, "no files"),
        ({"configs": CONFIGS[:1] * 2}, "each once"),
        ({"design": "choice", "foils": Path("x")}, "foils belong to the design verification"),
        ({"choices": 17}, "2 to 16 classes, not 17"),
        ({"repeat_share": 0.6}, "between 0 and 0.5"),
        ({"images": 0}, "numbers from 1"),
        ({"images": 13}, "there are 12"),
    ],
)
def test_what_cannot_be_asked_is_refused(given: dict[str, Any], message: str, dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        make(tmp_path / "kit", dataset, **given)


def test_a_kit_is_never_written_over(dataset: Path, tmp_path: Path) -> None:
    before = tree(make(tmp_path / "kit", dataset).folder)
    with pytest.raises(UsageError, match="exists"):
        make(tmp_path / "kit", dataset, seed=1)
    assert tree(tmp_path / "kit") == before
