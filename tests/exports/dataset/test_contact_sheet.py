"""The contact sheet: so many lines as asked for, and words that say how many objects there are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drawn_release import CLASS_MAP, draw_release
from PIL import Image

from figureground.exports.dataset.building import build_dataset
from figureground.exports.dataset.contact_sheet import _rows_of, count_line, write_contact_sheet
from figureground.exports.dataset.folder import DatasetFolder
from figureground.exports.dataset.inputs import Machines
from figureground.exports.dataset.request import BuildOptions, prepare_request

LINE_PX = 160 + 6 + 22
HEAD_PX = 22


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of fifteen objects of three classes in one split, two configs."""
    root = tmp_path_factory.mktemp("sheet")
    drawn = draw_release(root, per_class=5)
    (root / "toy.json").write_text(CLASS_MAP)
    options = BuildOptions(variants=("original", "only_fg"), class_map=str(root / "toy.json"))
    request = prepare_request("imagenet9", drawn.workspace, options=options, machines=Machines(workers=1))
    return build_dataset(request, root / "out").folder


@pytest.mark.parametrize(
    ("shown", "objects", "words"),
    [(12, 143, "12 of 143 objects of test, spread over the classes"), (9, 9, "all 9 objects of test")],
)
def test_a_sheet_says_how_many_of_the_objects_it_shows(shown: int, objects: int, words: str) -> None:
    assert count_line(shown, objects, "test") == words


def test_variants_of_many_draws_show_the_photos_that_lead(tmp_path: Path) -> None:
    """Eighteen objects of which a variant has twenty draws each, one after the other: more rows than photos."""
    drawn = draw_release(tmp_path, per_class=6)
    (tmp_path / "toy.json").write_text(CLASS_MAP)
    options = BuildOptions(variants=("original", "mixed_rand"), class_map=str(tmp_path / "toy.json"), draws=20)
    request = prepare_request("imagenet9", drawn.workspace, options=options, machines=Machines(workers=1))
    folder = build_dataset(request, tmp_path / "out").folder
    with Image.open(folder / "report" / "contact_sheet.png") as sheet:
        pixels = np.asarray(sheet.convert("RGB"))
    for line in range(12):
        top = HEAD_PX + LINE_PX * line
        cell = pixels[top : top + 160, 6 + 2 * 166 : 6 + 2 * 166 + 160]
        assert (cell != 255).any(axis=2).mean() > 0.5
    rows = list(DatasetFolder.open(folder).rows("mixed_rand", columns=("image", "image_id", "draw")))
    first = _rows_of(DatasetFolder.open(folder), "mixed_rand", "test", [rows[25]["image_id"]])[rows[25]["image_id"]]
    assert (rows[25]["draw"], first["image"]) == (5, rows[20]["image"])


def test_the_words_are_on_the_sheet(built: Path, tmp_path: Path) -> None:
    with Image.open(built / "report" / "contact_sheet.png") as sheet:
        assert sheet.height == 2 * HEAD_PX + 12 * LINE_PX
        assert np.asarray(sheet.convert("L"))[-HEAD_PX:].min() < 100
    texts = []
    for objects in (15, 400):
        path = tmp_path / f"{objects}.png"
        dataset = DatasetFolder.open(built)
        write_contact_sheet(path, dataset, {"original": "test"}, sizes={"test": objects}, most_rows=3)
        with Image.open(path) as sheet:
            assert sheet.height == 2 * HEAD_PX + 3 * LINE_PX
            texts.append(np.asarray(sheet.convert("L"))[-HEAD_PX:])
    assert not np.array_equal(texts[0], texts[1])
