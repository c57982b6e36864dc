"""Agreement in a workspace of few photos: each figure by hand, over all photos that several people answered."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from answered_photos import SIZE_HW, add_answer, add_photo, band
from needs import need
from simulated_people import answer_yes
from studio_samples import make_schema, note_project

from figureground.annotate.agreement.agreement import measure_agreement
from figureground.annotate.agreement.overlaps import photo_agreements
from figureground.schemas.records import Decision
from figureground.schemas.store.workspace import Workspace


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create(tmp_path) as workspace:
        yield workspace


def test_photos_count_once_and_need_not_be_accepted(store: Workspace) -> None:
    three, two, alone = (add_photo(store, name) for name in ("three", "two", "alone"))
    for who, columns in (("p1", 5), ("p2", 8), ("p3", 10)):
        add_answer(store, three, who, {"object": band(columns)})
    add_answer(store, two, "p1", {"object": band(4), "tail": band(2)})
    add_answer(store, two, "p2", {"object": band(4), "tail": band(1)})
    store.decide(Decision(image_id=two, state="needs_second", reason="they differ"))
    add_answer(store, alone, "p1", {"object": band(1)})
    agreement = measure_agreement(photo_agreements(store))
    assert (agreement.photos, agreement.pairs) == (2, 4)
    whole = agreement.masks["object"]
    assert (whole.pairs, whole.iou.photos, whole.least_iou) == (4, 2, 0.5)
    assert whole.iou.value == pytest.approx(((5 / 8 + 5 / 10 + 8 / 10) / 3 + 1) / 2)
    assert whole.dice.value == pytest.approx(((10 / 13 + 10 / 15 + 16 / 18) / 3 + 1) / 2)
    # Rims of bands of 4 rows, 1 px wide: all but 2 rows of the inner columns.
    rims = {columns: 4 * columns - 2 * (columns - 2) for columns in (5, 8, 10)}
    # Two rows of the narrower band and, on the left, two more pixels; its own right end lies within the wider band.
    shared = {(5, 8): 2 * 5 + 2, (5, 10): 2 * 5 + 2, (8, 10): 2 * 8 + 2}
    boundary = [both / (rims[one] + rims[other] - both) for (one, other), both in shared.items()]
    assert whole.boundary_iou.value == pytest.approx((sum(boundary) / 3 + 1) / 2)
    tail = agreement.masks["tail"]
    assert (tail.pairs, tail.iou.value, tail.iou.photos) == (1, 0.5, 1)
    assert list(agreement.masks) == ["object", "tail"]


def test_attributes_count_where_both_said_yes_or_no(store: Workspace) -> None:
    answers_by_photo = {
        "a": ({"wet": True, "old": True}, {"wet": True, "old": None}),
        "b": ({"wet": True, "old": False}, {"wet": False, "old": False}),
        "c": ({"wet": False}, {"wet": False, "old": True}),
        "d": ({"wet": False, "old": None}, {"wet": False, "old": None}),
    }
    for name, answers in answers_by_photo.items():
        image_id = add_photo(store, name)
        for who, attributes in zip(("p1", "p2"), answers, strict=True):
            add_answer(store, image_id, who, {"object": band(3)}, attributes=attributes)
    agreement = measure_agreement(photo_agreements(store))
    wet, old = agreement.attributes["wet"], agreement.attributes["old"]
    assert (wet.equal.value, wet.equal.photos) == (0.75, 4)
    # Both 1, only p1 1, neither 2: observed 3/4, expected (2/4 * 1/4) + (2/4 * 3/4).
    assert wet.kappa.value == pytest.approx((0.75 - 0.5) / 0.5)
    # Three times yes and five times no in eight answers; one photo differs.
    assert wet.alpha.value == pytest.approx(1 - 7 * 2 / (2 * 3 * 5))
    assert (old.equal.value, old.equal.photos, old.kappa.value, old.alpha.value) == (1.0, 1, None, None)
    # Of a photo the share of its attributes, then the mean: 1, 1/2, 1, 1.
    assert agreement.equal_attributes.value == pytest.approx(3.5 / 4)
    assert wet.kappa.ci95 is None
    assert wet.equal.ci95 is not None


def test_only_first_looks_of_different_people_count(store: Workspace) -> None:
    image_id = add_photo(store, "a")
    add_answer(store, image_id, "p1", {"object": band(2)}, day=1)
    add_answer(store, image_id, "p1", {"object": band(4)}, day=2)
    add_answer(store, image_id, "p2", {"object": band(9)}, day=3, purpose="second_look")
    add_answer(store, image_id, "p3", {"object": band(9)}, day=4, state="draft")
    add_answer(store, image_id, "p4", {"object": band(9)}, day=5, purpose="honeypot")
    assert list(photo_agreements(store)) == []
    add_answer(store, image_id, "p5", {"object": band(8)}, day=6)
    agreement = measure_agreement(photo_agreements(store))
    assert (agreement.photos, agreement.masks["object"].iou.value) == (1, 0.5)
    add_answer(store, image_id, "p5", {}, day=7, state="skipped")
    assert list(photo_agreements(store)) == []


def test_an_answer_without_an_object_still_says_something_of_attributes(store: Workspace) -> None:
    image_id = add_photo(store, "a")
    add_answer(store, image_id, "p1", {}, attributes={"wet": True})
    add_answer(store, image_id, "p2", {"object": band(2)}, attributes={"wet": False})
    agreement = measure_agreement(photo_agreements(store))
    assert (agreement.photos, agreement.masks, agreement.equal_attributes.value) == (1, {}, 0.0)


def test_renamed_attributes_are_one(store: Workspace) -> None:
    note_project(store, make_schema(local=["horns"]), since="2026-01-01T00:00:00+00:00")
    renamed = make_schema(local=["antlers"], was={"antlers": "horns"}, version="2")
    note_project(store, renamed, since="2026-01-02T00:00:00+00:00")
    image_id = add_photo(store, "a")
    old = {"object": band(5), "horns": band(1)}
    new = {"object": band(5), "antlers": band(2)}
    add_answer(store, image_id, "p1", old, attributes={"horns": True}, attribute_schema="animals@1")
    add_answer(store, image_id, "p2", new, attributes={"antlers": True}, attribute_schema="animals@2")
    agreement = measure_agreement(photo_agreements(store))
    assert agreement.masks["antlers"].iou.value == 0.5
    assert list(agreement.attributes) == ["antlers"]
    assert agreement.attributes["antlers"].equal.value == 1.0


def test_nobody_answered_the_same_photo(store: Workspace) -> None:
    agreement = measure_agreement(photo_agreements(store))
    assert (agreement.photos, agreement.masks, agreement.attributes) == (0, {}, {})
    assert agreement.to_json()["equal_attributes"] == {"value": None, "ci95": None, "photos": 0}


@pytest.mark.slow  # the imports alone
def test_figures_of_simulated_people_are_those_of_other_libraries(store: Workspace) -> None:
    """Three people with known error rates in pixels and answers, against scikit-learn and krippendorff."""
    need(find_spec("sklearn") is not None and find_spec("krippendorff") is not None, "the extras analyses and agree")
    alpha, metrics = import_module("krippendorff").alpha, import_module("sklearn.metrics")
    generator = np.random.Generator(np.random.Philox(11))
    wrong = (0.05, 0.1, 0.2)
    answers_by_photo = answer_yes([bool(value) for value in generator.random(40) < 0.4], wrong, generator)
    painted = []
    for number, answers in enumerate(answers_by_photo):
        image_id = add_photo(store, str(number))
        masks = [band(6) ^ (generator.random(SIZE_HW) < rate) for rate in wrong]
        painted.append(masks)
        for who, mask, value in zip("abc", masks, answers, strict=True):
            add_answer(store, image_id, who, {"object": mask}, attributes={"wet": value})
    agreement = measure_agreement(photo_agreements(store))
    pairs = [[(one.ravel(), other.ravel()) for one, other in combinations(masks, 2)] for masks in painted]
    whole, wet = agreement.masks["object"], agreement.attributes["wet"]
    ious = [np.mean([metrics.jaccard_score(*pair) for pair in own]) for own in pairs]
    assert whole.iou.value == pytest.approx(np.mean(ious))
    assert whole.dice.value == pytest.approx(
        np.mean([np.mean([metrics.f1_score(*pair) for pair in own]) for own in pairs])
    )
    columns = np.array(answers_by_photo).T
    assert wet.alpha.value == pytest.approx(alpha(columns.astype(float), level_of_measurement="nominal"))
    kappas = [metrics.cohen_kappa_score(one, other) for one, other in combinations(columns, 2)]
    print(
        f"simulated: IoU {whole.iou.value}, Dice {whole.dice.value}, alpha {wet.alpha.value}, kappa {wet.kappa.value}"
    )
    # Pooled over pairs that share all photos, kappa lies among those of the pairs.
    assert min(kappas) < (wet.kappa.value or 0) < max(kappas)
