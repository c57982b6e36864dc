"""Who is asked about which photo: the same every time, and nobody loses what they have."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from figureground.annotate.studio.people.assignment import (
    Holders,
    choose,
    choose_move,
    choose_pairs,
    mix,
    nobody_is_left,
)
from figureground.annotate.studio.people.team import EVERYBODY
from figureground.schemas.records import StudioTeam, content_id

names = st.lists(st.from_regex(r"[a-z]{1,6}", fullmatch=True), min_size=1, max_size=6, unique=True)
photos = st.integers(0, 10_000).map(lambda number: content_id(str(number)))
counts = st.integers(1, 2)
MANY = [content_id(str(number)) for number in range(4000)]
NOBODY = Holders()
ABC = StudioTeam(annotators=("ada", "ben", "cleo"))


def team(annotators: Any) -> StudioTeam:
    return StudioTeam(annotators=tuple(annotators))


@given(image_id=photos, annotators=names, wanted=counts, data=st.data())
def test_nothing_but_the_names_decides(image_id: str, annotators: list[str], wanted: int, data: Any) -> None:
    chosen = choose(image_id, team(annotators), NOBODY, wanted=wanted)
    assert chosen == choose(image_id, team(data.draw(st.permutations(annotators))), NOBODY, wanted=wanted)
    assert len(set(chosen)) == len(chosen) == min(wanted, len(annotators))
    assert set(chosen) <= set(annotators)


def test_every_process_and_every_version_chooses_the_same() -> None:
    """A workspace that was pushed by an older figureground goes on with the same people."""
    chosen = [" ".join(choose(image_id, ABC, NOBODY, wanted=2)) for image_id in MANY[:8]]
    assert [pair.split()[0] for pair in chosen] == ["cleo", "cleo", "ben", "ben", "ada", "ada", "ben", "ada"]
    assert chosen[2:5] == ["ben ada", "ben cleo", "ada cleo"]


@given(image_id=photos, annotators=names, wanted=counts, data=st.data())
def test_those_who_have_a_photo_keep_it(image_id: str, annotators: list[str], wanted: int, data: Any) -> None:
    have = data.draw(st.sets(st.sampled_from(annotators)))
    holders = Holders(open=have)
    chosen = choose(image_id, team(annotators), holders, wanted=wanted)
    assert not have & set(chosen)
    assert len(have) + len(chosen) == max(len(have), min(wanted, len(annotators)))


@given(image_id=photos, annotators=names)
def test_one_more_annotator_moves_none_between_the_others(image_id: str, annotators: list[str]) -> None:
    (before,) = choose(image_id, team(annotators), NOBODY)
    (after,) = choose(image_id, team([*annotators, "newcomer"]), NOBODY)
    assert after in {before, "newcomer"}
    assert choose(image_id, team([*annotators, "newcomer"]), Holders(open={before})) == []


def test_photos_and_pairs_are_shared_out_evenly() -> None:
    chosen = [choose(image_id, ABC, NOBODY, wanted=2) for image_id in MANY]
    for name in ABC.annotators:
        assert sum(pair[0] == name for pair in chosen) / len(MANY) == pytest.approx(1 / 3, abs=0.03)
    pairs = [frozenset(pair) for pair in chosen]
    assert len(set(pairs)) == 3
    assert max(map(pairs.count, set(pairs))) / len(pairs) == pytest.approx(1 / 3, abs=0.05)


def test_one_alone_gets_everything() -> None:
    for name in (EVERYBODY, "ada"):
        assert all(choose(image_id, team([name]), NOBODY, wanted=2) == [name] for image_id in MANY[:50])


# What was skipped, answered and left


@pytest.mark.parametrize(
    ("holders", "wanted", "expected"),
    [
        (Holders(), 1, 1),
        (Holders(open={"ada"}), 1, 0),
        (Holders(answered={"ada"}), 1, 0),
        (Holders(skipped={"ada"}), 1, 1),
        (Holders(skipped={"ada"}, open={"ben"}), 1, 0),
        (Holders(skipped={"ada", "ben"}), 1, 1),
        (Holders(skipped={"ada", "ben", "cleo"}), 1, 0),
        (Holders(skipped={"ada"}, answered={"ben"}), 2, 1),
        (Holders(open={"ada", "ben"}), 2, 0),
        (Holders(answered={"gone"}), 1, 0),
        (Holders(answered={"gone"}), 2, 1),
        (Holders(open={"gone"}), 1, 1),
        (Holders(left={"ada"}), 1, 1),
    ],
)
def test_a_photo_has_as_many_people_as_are_wanted(holders: Holders, wanted: int, expected: int) -> None:
    for image_id in MANY[:30]:
        chosen = choose(image_id, ABC, holders, wanted=wanted)
        assert len(chosen) == expected
        assert not set(chosen) & set(holders.asked)


def test_a_photo_that_all_skipped_is_left_over() -> None:
    assert nobody_is_left(ABC, Holders(skipped={"ada", "ben", "cleo"}))
    assert nobody_is_left(team(["ada"]), Holders(skipped={"ada", "gone"}))
    assert not nobody_is_left(ABC, Holders(skipped={"ada", "ben"}))
    assert not nobody_is_left(ABC, Holders(skipped={"ada", "ben"}, open={"cleo"}))
    assert not nobody_is_left(ABC, Holders())


def test_the_rest_of_who_left_goes_to_the_heir() -> None:
    heirs = replace(team(["ben", "cleo"]), heirs={"ada": "cleo"})
    left = Holders(left={"ada"})
    assert all(choose(image_id, heirs, left) == ["cleo"] for image_id in MANY[:50])
    chain = replace(team(["ben", "dan"]), heirs={"ada": "cleo", "cleo": "dan"})
    assert all(choose(image_id, chain, left) == ["dan"] for image_id in MANY[:50])
    assert {choose(image_id, heirs, Holders(left={"ada"}, open={"cleo"}), wanted=2)[0] for image_id in MANY[:50]} == {
        "ben"
    }
    nobody = replace(team(["ben", "cleo"]), heirs={EVERYBODY: ""})
    chosen = [choose(image_id, nobody, Holders(left={EVERYBODY})) for image_id in MANY[:50]]
    assert chosen == [choose(image_id, nobody, NOBODY) for image_id in MANY[:50]]


# Pairs, newcomers, places


@given(st.integers(0, 60), st.integers(0, 60), st.sets(photos, max_size=50))
def test_pairs_are_exactly_as_many_as_asked_and_a_higher_number_keeps_them(
    fewer: int, more: int, image_ids: set[str]
) -> None:
    fewer, more = sorted((fewer, more))
    few, many = choose_pairs(image_ids, fewer), choose_pairs(image_ids, more)
    assert len(few) == min(fewer, len(image_ids))
    assert many[: len(few)] == few


def test_a_newcomer_gets_a_fair_share_and_only_what_would_have_been_theirs() -> None:
    before = {image_id: choose(image_id, team(["ada", "ben"]), NOBODY)[0] for image_id in MANY}
    moves = {
        image_id: choose_move(image_id, ABC, Holders(open={name}), newcomers={"cleo"}, wanted=1)
        for image_id, name in before.items()
    }
    moved = [image_id for image_id, giver in moves.items() if giver]
    assert len(moved) / len(MANY) == pytest.approx(1 / 3, abs=0.03)
    assert all(moves[image_id] == before[image_id] for image_id in moved)
    for image_id in MANY:
        (due,) = choose(image_id, ABC, NOBODY)
        assert (due == "cleo") == (image_id in moved)
        assert choose(image_id, ABC, Holders(left={before[image_id]} if image_id in moved else set()))[0] == due


def test_what_is_answered_or_theirs_already_does_not_move_to_a_newcomer() -> None:
    for image_id in MANY[:200]:
        for holders in (
            Holders(answered={"ada"}),
            Holders(skipped={"ada"}),
            Holders(open={"cleo"}),
            Holders(open={"ada"}, skipped={"cleo"}),
            Holders(open={"gone"}),
        ):
            assert choose_move(image_id, ABC, holders, newcomers={"cleo"}, wanted=1) is None


@given(st.lists(photos, unique=True, max_size=20), st.lists(photos, unique=True, max_size=5), st.sampled_from("xyz"))
def test_mixing_keeps_the_order_and_loses_nothing(queue: list[str], more: list[str], salt: str) -> None:
    mixed = mix([f"q{item}" for item in queue], [(item, f"m{item}") for item in more], salt)
    assert [item[1:] for item in mixed if item[0] == "q"] == queue
    assert sorted(item[1:] for item in mixed if item[0] == "m") == sorted(more)
    assert mixed == mix([f"q{item}" for item in queue], [(item, f"m{item}") for item in reversed(more)], salt)


def test_places_spread_over_the_queue_and_differ_between_queues() -> None:
    queue = [str(number) for number in range(100)]
    more = [(image_id, "pot") for image_id in MANY[:200]]
    places = [number for number, item in enumerate(mix(queue, more, "ada")) if item == "pot"]
    assert min(places) < 15
    assert max(places) > 285
    assert places != [number for number, item in enumerate(mix(queue, more, "ben")) if item == "pot"]
