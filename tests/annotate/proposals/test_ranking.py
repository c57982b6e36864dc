"""Masks of several segmenters: measured, ranked by a rule, the same in every order."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rival_masks import RULE, block, proposal, store_masks
from studio_samples import make_photo

from figureground.annotate.proposals.mask_features import FEATURES, photo_features, shape_features
from figureground.annotate.proposals.ranking import rank_masks, rank_photos
from figureground.annotate.proposals.ranking_rule import RankingRule, shipped_rule
from figureground.errors import DataError, UsageError
from figureground.schemas.documents import parse_document
from figureground.schemas.rasters.masks import mask_iou
from figureground.schemas.store.workspace import Workspace

SAM, CUT, SALIENT = block(10, 10, 30, 30), block(10, 10, 30, 28), block(29, 10, 58, 30)
MASKS = [
    proposal("sam", SAM),
    proposal("sam", block(0, 0, 60, 40), rank=1, score=0.99),
    proposal("grabcut", CUT),
    proposal("saliency", SALIENT),
]
PHOTO = make_photo(size_hw=(40, 60))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create(tmp_path) as workspace:
        workspace.add_images([PHOTO])
        yield workspace


def test_features_are_what_they_say() -> None:
    first, second, cut, salient = photo_features(MASKS, 3)
    assert set(first) == set(FEATURES)
    assert first["agreement"] == pytest.approx((mask_iou(SAM, CUT) + mask_iou(SAM, SALIENT)) / 2)
    assert first["nearest"] == pytest.approx(0.9)
    assert first["saliency"] == pytest.approx(20 / 960)
    assert salient["saliency"] == salient["agreement"] < first["saliency"]
    assert cut["agreement"] == pytest.approx((0.9 + 18 / 922) / 2)
    assert (second["area"], second["border"], second["largest"]) == (1.0, 1.0, 1.0)
    assert (second["score"], second["stability"]) == (0.99, 0.8)


def test_a_segmenter_that_found_nothing_agrees_with_nobody() -> None:
    pair = [proposal("sam", SAM), proposal("grabcut", CUT)]
    assert photo_features(pair, 2)[0]["agreement"] == pytest.approx(0.9)
    assert photo_features(pair, 3)[0]["agreement"] == pytest.approx(0.45)
    (alone,) = photo_features([proposal("sam", SAM)], 3)
    assert (alone["agreement"], alone["nearest"], alone["saliency"]) == (0.0, 0.0, 0.0)


def test_shapes_are_measured_alike_at_every_resolution() -> None:
    yy, xx = np.mgrid[:1024, :1024]
    disc = (xx - 512) ** 2 + (yy - 512) ** 2 < 400**2
    large, small = shape_features(disc), shape_features(disc[::4, ::4])
    assert large["compactness"] == pytest.approx(small["compactness"], abs=0.02)
    assert 0.8 < large["compactness"] <= 1
    ragged = disc & (np.random.default_rng(1).random(disc.shape) < 0.6)
    assert shape_features(ragged)["compactness"] < large["compactness"]
    halves = shape_features(block(0, 0, 10, 40) | block(40, 0, 60, 40))
    assert halves["largest"] == pytest.approx(2 / 3)
    assert shape_features(block(0, 0, 0, 0)) == {"area": 0.0, "border": 0.0, "compactness": 0.0, "largest": 0.0}
    assert shape_features(block(5, 5, 6, 6))["compactness"] == 1.0
    assert shape_features(block(5, 5, 6, 6))["area"] == 1 / 2400


def test_the_rule_chooses_what_others_agree_with_over_what_scores_itself_high() -> None:
    ranks = rank_masks(MASKS, 3, RULE)
    by_id = {one.proposal_id: one for one in MASKS}
    assert [(by_id[rank.proposal_id].segmenter, by_id[rank.proposal_id].rank) for rank in ranks] == [
        ("sam", 0),
        ("grabcut", 0),
        ("saliency", 0),
        ("sam", 1),
    ]
    agreement = (0.9 + 20 / 960) / 2
    assert ranks[0].probability == pytest.approx(1 / (1 + math.exp(-(8 * agreement - 6))), abs=1e-6)
    assert (ranks[0].rule, ranks[0].min_iou, ranks[0].place) == ("toy@3", 0.9, 0)
    easier = rank_masks(MASKS, 3, RULE, min_iou=0.8)
    assert [rank.proposal_id for rank in easier] == [rank.proposal_id for rank in ranks]
    assert all(one.probability > other.probability for one, other in zip(easier, ranks, strict=True))


def test_the_order_in_which_masks_are_given_says_nothing() -> None:
    twins = [*MASKS, proposal("twin", SAM)]
    rankings = [rank_masks(masks, 4, RULE) for masks in permutations(twins)]
    assert all(ranking == rankings[0] for ranking in rankings)
    assert [rank.place for rank in rankings[0]] == list(range(5))


@pytest.mark.parametrize("segmenter", ["sam", "grabcut", "saliency", "other"])
def test_of_equal_masks_a_segmenters_own_first_choice_comes_first(segmenter: str) -> None:
    own = [proposal(segmenter, SAM, rank=rank) for rank in range(6)]
    ranks = rank_masks([*own[::-1], proposal("twin", SAM)], 2, RULE)
    places = {rank.proposal_id: rank.place for rank in ranks}
    assert [places[one.proposal_id] for one in own] == sorted(places[one.proposal_id] for one in own)


@given(st.fixed_dictionaries({name: st.floats(0, 1) for name in FEATURES}))
def test_probabilities_rise_with_agreement_and_fall_with_the_iou_that_is_asked_for(features: dict[str, float]) -> None:
    rule = shipped_rule()
    for min_iou in rule.needs_no_correction:
        chance = rule.probability(features, min_iou)
        assert 0 < chance < 1
        assert rule.probability(features | {"agreement": 1.0, "nearest": 1.0, "saliency": 1.0}, min_iou) >= chance


def test_the_shipped_rule_has_its_numbers_and_their_origin() -> None:
    rule = shipped_rule()
    assert 0.9 in rule.needs_no_correction
    assert rule.weights["nearest"] > 0
    assert "158" in rule.fitted


def test_a_rule_that_cannot_be_read_is_refused() -> None:
    reading = "{0.9: {offset: 0, weights: {area: 1}}}"
    text = f"{{name: odd, version: 1, fitted: x, weights: {{beauty: 1}}, needs_no_correction: {reading}}}"
    with pytest.raises(DataError, match="beauty"):
        parse_document(text, RankingRule, where="rule.yaml")
    falling = text.replace("beauty", "area").replace("weights: {area: 1}}}}", "weights: {area: -1}}}}")
    with pytest.raises(DataError, match="greater than or equal to 0"):
        parse_document(falling, RankingRule, where="rule.yaml")
    with pytest.raises(DataError, match="needs a reading"):
        parse_document(
            "{name: odd, version: 1, fitted: x, weights: {}, needs_no_correction: {}}", RankingRule, where="r"
        )


def test_rankings_are_stored_once_and_wait_for_the_last_segmenter(store: Workspace) -> None:
    masks = [replace(one, image_id=PHOTO.image_id) for one in MASKS]
    runs = store_masks(store, masks)
    names = ["sam", "grabcut", "saliency"]
    early = rank_photos(store, {PHOTO.image_id: runs[PHOTO.image_id][:2]}, segmenters=names, rule=RULE)
    assert (early.photos, early.waiting, early.new) == (0, 1, 0)
    assert store.ranking(PHOTO.image_id) == []
    report = rank_photos(store, runs, segmenters=names, rule=RULE)
    assert (report.photos, report.new, report.chosen) == (1, 1, {"sam": 1})
    again = rank_photos(store, {PHOTO.image_id: runs[PHOTO.image_id][::-1]}, segmenters=names[::-1], rule=RULE)
    assert (again.photos, again.new, again.segmenters) == (1, 0, report.segmenters)
    assert store.ranking(PHOTO.image_id) == rank_masks(masks, 3, RULE)


def test_a_newer_rule_supersedes_an_older_one(store: Workspace) -> None:
    runs = store_masks(store, [replace(one, image_id=PHOTO.image_id) for one in MASKS])
    names = ["sam", "grabcut", "saliency"]
    rank_photos(store, runs, segmenters=names, rule=RULE)
    newer = RULE.model_copy(update={"version": 4, "weights": {"area": 1.0}})
    assert rank_photos(store, runs, segmenters=names, rule=newer).new == 1
    ranking = store.ranking(PHOTO.image_id)
    assert {rank.rule for rank in ranking} == {"toy@4"}
    assert ranking[0].features["area"] == 1.0
    (chosen,) = store.chosen_proposals()
    assert (chosen.segmenter, chosen.rank, chosen.probability) == ("sam", 1, ranking[0].probability)


def test_an_iou_that_the_rule_does_not_know_is_refused_before_anything_is_stored(store: Workspace) -> None:
    runs = store_masks(store, [replace(one, image_id=PHOTO.image_id) for one in MASKS])
    with pytest.raises(UsageError, match=r"0\.7 .*0\.8, 0\.9"):
        rank_photos(store, runs, segmenters=["sam", "grabcut", "saliency"], rule=RULE, min_iou=0.7)
    assert list(store.rankings()) == []


def test_a_forgotten_photo_takes_its_ranking_with_it(store: Workspace) -> None:
    runs = store_masks(store, [replace(one, image_id=PHOTO.image_id) for one in MASKS])
    rank_photos(store, runs, segmenters=["sam", "grabcut", "saliency"], rule=RULE)
    store.forget(PHOTO.image_id)
    assert list(store.rankings()) == [] == list(store.chosen_proposals())
