"""Answers of models lie at the rows that they were given to; results of something else are refused."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from viewed_dataset import SeesColours, Viewed

import figureground
from figureground.errors import DataError, UsageError
from figureground.exports.dataset.manifest import write_manifest
from figureground.exports.dataset.opening import open_dataset
from figureground.exports.viewing.columns import read_columns
from figureground.exports.viewing.gallery import open_gallery
from figureground.exports.viewing.readings import OUTSIDE, Reading
from figureground.runtime.files import file_sha256

Arrays = dict[str, NDArray[Any]]


def test_results_are_of_the_data_whatever_models_it_carries(viewed: Viewed, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(viewed.dataset, tmp_path / "carrying"))
    (folder / "leaderboard").mkdir()
    (folder / "leaderboard" / "leaderboard.json").write_text("{}")
    write_manifest(folder)
    assert len(open_gallery(folder, results=[viewed.scores]).readings) == 1


def test_every_answer_is_the_model_s_to_that_row(viewed: Viewed) -> None:
    gallery = open_gallery(viewed.dataset, results=[viewed.scores])
    (reading,) = gallery.readings
    assert reading.answered.all()
    for row in range(gallery.columns.rows):
        data = (gallery.pictures.image(row) or pytest.fail("no image")).data
        canvas = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))[None]
        answer = ("disc", "ring", "bar")[int(SeesColours().logits(canvas)[0, :3].argmax())]
        assert reading.answers.name(row) == answer
        assert reading.right[row] == (answer == gallery.columns.label.name(row))
    assert 0 < reading.right.sum() < 36


def rewritten(viewed: Viewed, folder: Path, change: Callable[[Arrays], Any], config: str = "mixed") -> Path:
    """The scores with the stored answers of a config changed."""
    scores = Path(shutil.copytree(viewed.scores, folder / "scores"))
    (path,) = (scores / "predictions").glob(f"*.{config}.npz")
    arrays = dict(np.load(path))
    change(arrays)
    np.savez(path, allow_pickle=False, **arrays)
    return scores


def read(viewed: Viewed, scores: Path) -> list[Reading]:
    return list(open_gallery(viewed.dataset, results=[scores]).readings)


def keep(rows: slice) -> Callable[[Arrays], None]:
    """Answers to some rows alone, as under --limit."""

    def change(arrays: Arrays) -> None:
        arrays.update({name: array[rows] for name, array in arrays.items() if array.ndim})

    return change


def test_rows_that_were_not_asked_about_have_no_answer(viewed: Viewed, tmp_path: Path) -> None:
    (reading,) = read(viewed, rewritten(viewed, tmp_path, keep(slice(3))))
    columns = read_columns(open_dataset(viewed.dataset))
    mixed = columns.config.wanted(["mixed"])
    assert int(reading.answered[mixed].sum()) == 3
    assert reading.answered[~mixed].all()


def test_several_label_spaces_are_several_readings(viewed: Viewed, tmp_path: Path) -> None:
    """As rival10 stores them: conditions and trials, of which the first is without noise, by label space."""

    def change(arrays: Arrays) -> None:
        ids, labels = arrays["image_id"], arrays["label"]
        for name in [name for name in arrays if name != "key"]:
            del arrays[name]
        clean = np.arange(len(ids)) % 2 == 0
        right = np.stack([clean, ~clean], axis=1)[:, :, None]
        answer = np.where(right, labels[:, None, None], -1)
        for space in ("exact1000", "map3"):
            arrays |= {f"{space}.image_id": ids, f"{space}.right": right, f"{space}.answer": answer}
            arrays |= {f"{space}.probability": right * 0.5}
        arrays["skipped"] = np.empty(0, dtype=np.int64)

    scores = rewritten(viewed, tmp_path, change)
    for config in ("original", "striped"):
        for path in (scores / "predictions").glob(f"*.{config}.npz"):
            path.unlink()
    readings = read(viewed, scores)
    assert [reading.name for reading in readings] == ["sees colours (exact1000)", "sees colours (map3)"]
    for reading in readings:
        rows = np.flatnonzero(reading.answered)
        assert reading.right[rows].tolist() == [number % 2 == 0 for number in range(12)]
        assert {reading.answers.name(row) for row in rows[1::2].tolist()} == {OUTSIDE}
        assert np.isnan(reading.confidence).all()


def unknown_photo(arrays: Arrays) -> None:
    arrays["image_id"][0] = "f" * 32


def two_for_one(arrays: Arrays) -> None:
    arrays["image_id"][0] = arrays["image_id"][1]


def without_answers(arrays: Arrays) -> None:
    del arrays["mapped"]


def shorter(arrays: Arrays) -> None:
    arrays["mapped"] = arrays["mapped"][:3]


@pytest.mark.parametrize("change", [unknown_photo, two_for_one, without_answers, shorter])
def test_answers_to_other_rows_are_a_fault(viewed: Viewed, tmp_path: Path, change: Callable[[Arrays], None]) -> None:
    with pytest.raises(DataError, match=r"mixed.*run evaluate again"):
        read(viewed, rewritten(viewed, tmp_path, change))


def test_a_damaged_file_is_a_fault(viewed: Viewed, tmp_path: Path) -> None:
    scores = Path(shutil.copytree(viewed.scores, tmp_path / "scores"))
    (path,) = (scores / "predictions").glob("*.mixed.npz")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match="expected answers of evaluate"):
        read(viewed, scores)


def test_answers_to_another_dataset_are_refused(viewed: Viewed) -> None:
    with pytest.raises(UsageError, match="its answers are to another dataset"):
        open_gallery(viewed.release, results=[viewed.scores])


def test_results_without_stored_answers_are_refused(viewed: Viewed, tmp_path: Path) -> None:
    (path,) = viewed.scores.glob("*.json")
    shutil.copy(path, tmp_path)
    assert json.loads(path.read_text())["dataset"]["fingerprint"] == file_sha256(viewed.dataset / "manifest.json")
    with pytest.raises(UsageError, match="no stored answers of sees colours"):
        read(viewed, tmp_path)


def test_answers_to_noise_are_those_without_any(viewed: Viewed, tmp_path: Path) -> None:
    options: dict[str, Any] = {"protocol": "rival10", "noise": "sigma", "levels": "0.3", "bootstrap": 1}
    for configs in (["original"], ["original", "mixed"]):  # the same answers to original, which are shown once
        figureground.evaluate(
            str(viewed.dataset), "viewed_dataset:SeesColours", out=tmp_path, configs=configs, **options
        )
    assert len(list(tmp_path.glob("*.json"))) == 2
    readings = open_gallery(viewed.dataset, results=[tmp_path]).readings
    assert [own.name for own in readings] == ["sees colours (exact1000)", "sees colours (map3)"]
    reading = readings[1]
    (other,) = open_gallery(viewed.dataset, results=[viewed.scores]).readings
    columns = open_gallery(viewed.dataset).columns
    rows = columns.config.wanted(["original"])
    assert (reading.protocol, reading.answered.tolist()) == ("rival10", rows.tolist())
    assert reading.right[rows].tolist() == other.right[rows].tolist()
    assert reading.answers.codes[rows].tolist() == other.answers.codes[rows].tolist()
