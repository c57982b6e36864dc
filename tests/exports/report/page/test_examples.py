"""Photos on the report's page: which are chosen, and what stands beside them."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from figureground.exports.evaluation.dataset import open_repository
from figureground.exports.report.page.examples import choose_compared, choose_wrong, collect_examples
from figureground.exports.report.stored_answers import StoredAnswer, read_answers
from figureground.exports.report.stored_results import read_results


def answer(probability: float, right: bool) -> StoredAnswer:
    return StoredAnswer(mapped=0, probability=probability, right=right)


def test_the_most_confident_errors_come_first_and_ties_go_by_id() -> None:
    answers = {
        "b": answer(0.7, False),
        "a": answer(0.7, False),
        "c": answer(0.9, False),
        "sure": answer(1.0, True),
        "d": answer(0.1, False),
    }
    assert choose_wrong(answers) == ["c", "a", "b", "d"]
    assert choose_wrong(answers, 2) == ["c", "a"]


def test_photos_that_divide_the_models_most_are_compared() -> None:
    rights = {
        "all": (1, 1, 1, 1),
        "none": (0, 0, 0, 0),
        "one": (1, 0, 0, 0),
        "half": (1, 0, 1, 0),
        "also": (0, 0, 1, 1),
    }
    models = [{name: answer(0.5, bool(right[model])) for name, right in rights.items()} for model in range(4)]
    assert choose_compared(models) == ["also", "half", "one"]
    assert choose_compared(models, 1) == ["also"]
    assert choose_compared(models[:1]) == []
    assert choose_compared([]) == []


def test_examples_are_rows_of_the_dataset_with_the_stored_answers(answered: tuple[Path, Path]) -> None:
    repository, scores = answered
    members = read_results([scores])
    examples = collect_examples(members, open_repository(str(repository)))
    assert examples is not None
    assert {wrong.config for wrong in examples.wrong} <= {"original", "mixed_rand"}
    for wrong in examples.wrong:
        stored = read_answers(next(one for one in members if one["model"] == wrong.model), wrong.config)
        assert stored is not None
        assert [row.image_id for row, _ in wrong.rows] == choose_wrong(stored)
        assert (wrong.wrong, wrong.images) == (sum(not own.right for own in stored.values()), len(stored))
        for row, own in wrong.rows:
            assert not own.right
            assert not own.text.startswith(row.truth)
    assert examples.compared
    for photo in examples.compared:
        rights = [own.right for own in photo.rows[-1][1]]
        assert len(rights) == 2
        assert len(set(rights)) == 2


def test_a_mask_is_clear_outside_the_figure(answered: tuple[Path, Path]) -> None:
    examples = collect_examples(read_results([answered[1]]), open_repository(str(answered[0])))
    assert examples is not None
    row = examples.wrong[0].rows[0][0]
    picture, mask = (Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) for uri in (row.picture, row.mask))
    assert picture.size == mask.size
    assert picture.format == "JPEG"
    pixels = np.asarray(mask.convert("RGBA"))
    shown = pixels[..., 3] > 0
    assert 0 < shown.mean() < 1
    assert {tuple(colour) for colour in pixels[shown]} == {(213, 94, 0, 255)}
    middle, corner = pixels[pixels.shape[0] // 2, pixels.shape[1] // 2], pixels[0, 0]
    assert (middle[3], corner[3]) == (255, 0)


def test_without_stored_answers_there_are_none(answered: tuple[Path, Path]) -> None:
    members = [{**member, "answers": "gone"} for member in read_results([answered[1]])]
    assert collect_examples(members, open_repository(str(answered[0]))) is None
