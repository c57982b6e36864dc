"""Triage: how many machine masks can be skimmed, and whether what people made of them bears that out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from studio_samples import make_photo, make_proposal, store_proposal

from figureground.annotate.proposals.triage import skimmable, triage
from figureground.errors import UsageError
from figureground.schemas.records import Annotation, Decision
from figureground.schemas.store.ranked_proposals import RankedProposal
from figureground.schemas.store.workspace import Workspace

CHANCES = (0.99, 0.97, 0.95, 0.6, 0.2)


def rank(photo_id: str, proposal_id: str, probability: float, min_iou: float = 0.9) -> RankedProposal:
    return RankedProposal(
        image_id=photo_id,
        proposal_id=proposal_id,
        place=0,
        probability=probability,
        min_iou=min_iou,
        features={"agreement": 0.5},
        rule="toy@1",
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create(tmp_path) as workspace:
        for number, chance in enumerate(CHANCES):
            photo = make_photo(str(number))
            workspace.add_images([photo])
            proposal = make_proposal(photo)
            store_proposal(workspace, proposal)
            workspace.add_ranking([rank(photo.image_id, proposal.proposal_id, chance)])
        yield workspace


@given(st.lists(st.floats(0, 1), max_size=12), st.floats(0, 1))
def test_the_risk_is_kept_and_one_more_would_break_it(probabilities: list[float], risk: float) -> None:
    count = skimmable(probabilities, risk)
    faults = sorted(1 - probability for probability in probabilities)
    assert sum(faults[:count]) <= risk * count + 1e-9
    if count < len(faults):
        assert sum(faults[: count + 1]) > risk * (count + 1) - 1e-9


def test_a_triage_counts_photos_that_wait(store: Workspace) -> None:
    report = triage(store)
    assert report is not None
    assert (report.photos, report.skim, report.from_probability, report.check) == (5, 3, 0.95, None)
    assert report.expected_corrections == pytest.approx(0.09)
    assert "3 of 5 undecided photos can be skimmed, probability 0.95 or more" in str(report)
    assert triage(store, risk=0.125).skim == 4  # type: ignore[union-attr]  # there are rankings
    none = triage(store, risk=0.0)
    assert none is not None
    assert (none.skim, none.from_probability) == (0, None)
    store.decide(Decision(image_id=make_photo("0").image_id, state="wrong_label", reason="-"))
    later = triage(store)
    assert later is not None
    assert (later.photos, later.skim) == (4, 2)


def test_nothing_to_say_without_a_ranking(tmp_path: Path, store: Workspace) -> None:
    with Workspace.create(tmp_path / "bare") as bare:
        assert triage(bare) is None
    with pytest.raises(UsageError, match="risk"):
        triage(store, risk=1.5)


def test_answers_are_set_beside_what_was_expected(store: Workspace) -> None:
    for number, iou in ((0, 0.95), (1, 0.97), (3, 0.4)):
        photo = make_photo(str(number))
        for updated, edited in (("2026-01-01T00:00:00Z", iou), ("2026-01-02T00:00:00Z", 0.0)):
            answer = Annotation(
                annotation_id=str(number),
                updated_at=updated,
                image_id=photo.image_id,
                masks={},
                attributes={},
                flags=(),
                annotator="p1",
                seconds=3.0,
                tool="manual",
                proposal_id=make_proposal(photo).proposal_id,
                edit_iou=edited,
            )
            store.add_answer(answer, None)
    report = triage(store)
    assert report is not None
    assert report.check is not None
    assert report.check.photos == 3
    assert report.check.observed == pytest.approx(2 / 3)
    assert report.check.expected == pytest.approx((0.99 + 0.97 + 0.6) / 3)
    low, high = report.check.ci95
    assert (low, high) == pytest.approx((0.2077, 0.9385), abs=1e-3)
    assert "on 3 photos that people answered since, 67 % [21, 94] needed none; expected 85 %" in str(report)
    assert report.to_dict()["check"]["photos"] == 3


def test_probabilities_of_another_iou_are_not_mixed_in(store: Workspace) -> None:
    photo = make_photo("4")
    store.add_ranking([rank(photo.image_id, make_proposal(photo).proposal_id, 0.5, min_iou=0.8)])
    report = triage(store)
    assert report is not None
    assert (report.photos, report.min_iou) == (4, 0.9)
