"""Crops of the same photos by several sources of boxes: paired by image, whatever each source has found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from figureground.errors import UsageError
from figureground.exports.report.box_sources import compare_box_sources, describe_box_sources

ORIGINAL = dict.fromkeys("abcdefgh", False) | {"a": True}
DETECTOR = {"a": True, "b": True, "c": False, "d": False}  # finds half of the objects
HUMAN = dict.fromkeys("abcdefgh", True) | {"d": False}


def write_result(
    folder: Path, dataset: str, crops: dict[str, bool], *, original: dict[str, bool] = ORIGINAL
) -> dict[str, Any]:
    """A result of evaluate with its stored answers."""
    (folder / "predictions").mkdir(exist_ok=True)
    for config, right in (("original", original), ("plus", crops)):
        arrays: dict[str, Any] = {"masked3.right": np.array(list(right.values()))}
        arrays |= {"image_id": np.array(list(right)), "label": np.zeros(len(right), np.int64)}
        np.savez(folder / "predictions" / f"model.{dataset}.{config}.npz", allow_pickle=False, **arrays)
    return {
        "protocol": "imagenet_a",
        "model": "model",
        "weights_sha256": "0",
        "feed": "canvas",
        "split": "test",
        "bootstrap": 200,
        "seed": 0,
        "dataset": {"name": dataset},
        "label_spaces": {"masked3": {}},
        "folder": str(folder),
        "stem": f"model.{dataset}",
    }


def test_sources_are_compared_on_the_photos_that_all_of_them_crop(tmp_path: Path) -> None:
    results = [write_result(tmp_path, "detector", DETECTOR), write_result(tmp_path, "human", HUMAN)]
    (comparison,) = compare_box_sources(results)
    assert (comparison.images, dict(comparison.crops)) == (4, {"detector": 4, "human": 8})
    micro = {name: cell["accuracy_micro"] for name, cell in comparison.accuracies.items()}
    assert micro == {"original": 0.25, "detector": 0.5, "human": 0.75}
    gains = {name: cell["micro"]["value"] for name, cell in comparison.differences.items()}
    assert gains == {"detector_minus_original": 0.25, "human_minus_original": 0.5, "human_minus_detector": 0.25}
    assert all(cell["undecidable"] for cell in comparison.differences.values())
    text = describe_box_sources([comparison])
    assert "photos that all have" in text
    assert "+50.0" in text
    assert "comparison" not in text  # four photos decide nothing
    assert "] undecidable" in text


def test_sources_share_the_stars_of_their_table(tmp_path: Path) -> None:
    photos = [f"p{row:02}" for row in range(40)]
    original = {photo: row >= 20 for row, photo in enumerate(photos)}
    detector = {photo: row >= 16 for row, photo in enumerate(photos)}
    human = dict.fromkeys(photos, True)
    results = [
        write_result(tmp_path, name, crops, original=original)
        for name, crops in (("detector", detector), ("human", human), ("lazy", original))
    ]
    (comparison,) = compare_box_sources(results)
    gain = comparison.differences["detector_minus_original"]["micro"]
    assert 0.02 < gain["p"] < 0.05  # alone it would have a star
    text = describe_box_sources([comparison])
    rows = {line.split()[2]: line for line in text.splitlines() if line.startswith("model  ")}
    assert rows["human"].endswith("*")
    assert rows["detector"].endswith("]")
    assert rows["lazy"].endswith("]")
    assert text.endswith("* differs from 0 at 5 % after Holm's correction over 3 comparisons")


def test_one_dataset_is_nothing_to_compare_and_neither_are_answers_that_were_not_kept(tmp_path: Path) -> None:
    first, second = (write_result(tmp_path, name, HUMAN) for name in ("one", "two"))
    assert compare_box_sources([first]) == []
    (tmp_path / "predictions" / "model.two.plus.npz").unlink()
    assert compare_box_sources([first, second]) == []
    other = {**first, "protocol": "rival10"}
    assert compare_box_sources([other, {**second, "protocol": "rival10"}]) == []


def test_datasets_of_other_photos_are_refused(tmp_path: Path) -> None:
    others = {name.upper(): right for name, right in HUMAN.items()}
    results = [write_result(tmp_path, "one", HUMAN), write_result(tmp_path, "two", others, original=others)]
    with pytest.raises(UsageError, match="one, two are of other photos"):
        compare_box_sources(results)
