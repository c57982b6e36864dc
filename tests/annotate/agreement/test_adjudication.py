"""The queue of photos in doubt: those first on which people differ most, in masks, in attributes or in both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from answered_photos import add_answer, add_photo, band

from figureground.annotate.agreement.adjudication import Ranking, ranked_doubts
from figureground.schemas.records import Decision
from figureground.schemas.store.workspace import Workspace


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create(tmp_path) as workspace:
        yield workspace


def doubt(store: Workspace, name: str, *answers: tuple[int, Mapping[str, bool | None]]) -> str:
    """A photo in doubt with an answer for each pair of columns (0: no mask) and attributes."""
    image_id = add_photo(store, name)
    for number, (columns, attributes) in enumerate(answers):
        masks = {"object": band(columns)} if columns else {}
        add_answer(store, image_id, f"p{number}", masks, attributes=attributes)
    store.decide(Decision(image_id=image_id, state="needs_second", reason=f"because of {name}"))
    return image_id


@pytest.mark.parametrize(
    ("by", "order"),
    [
        ("masks", ["unpainted", "masks", "attributes", "flagged"]),
        ("attributes", ["attributes", "masks", "unpainted", "flagged"]),
        ("both", ["attributes", "unpainted", "masks", "flagged"]),
    ],
)
def test_the_greatest_disagreement_comes_first(store: Workspace, by: Ranking, order: list[str]) -> None:
    both: dict[str, bool | None] = {"wet": True, "old": True}
    doubt(store, "flagged", (3, both))
    doubt(store, "masks", (5, both), (10, {"wet": True, "old": None}))
    doubt(store, "attributes", (8, both), (10, {"wet": False, "old": False}))
    doubt(store, "unpainted", (5, {}), (5, {}), (0, {}), (0, {}))
    add_answer(store, add_photo(store, "fine"), "p1", {"object": band(1)})
    doubts = ranked_doubts(store, by)
    names = [own.uri for own in doubts]
    if by == "attributes":  # "unpainted" and "flagged" have no attribute in common: by id
        assert names[:2] == order[:2]
        assert set(names) == set(order)
    else:
        assert names == order
    named = {own.uri: own for own in doubts}
    assert named["masks"].mask_disagreement == pytest.approx(0.5)
    assert named["masks"].attribute_disagreement == 0
    assert named["attributes"].attribute_disagreement == 1
    # Of six pairs one painted alike, four painted against nothing, and one is of two who painted nothing.
    assert named["unpainted"].mask_disagreement == pytest.approx(4 / 5)
    assert (named["flagged"].mask_disagreement, named["flagged"].attribute_disagreement) == (None, None)
    assert named["flagged"].disagreement(by) is None
    assert named["attributes"].to_json()["reason"] == "because of attributes"


def test_equals_come_by_id_and_nothing_is_in_doubt_without_a_decision(store: Workspace) -> None:
    ids = [doubt(store, name, (5, {}), (10, {})) for name in "abcd"]
    assert [own.decision.image_id for own in ranked_doubts(store)] == sorted(ids)
    for image_id in ids:
        store.decide(Decision(image_id=image_id, state="rejected", reason=""))
    assert ranked_doubts(store) == []
