"""Who is asked about which photo: the same every time, and nobody loses what they have."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from studio_samples import make_schema

from figureground.annotate.studio.push import EVERYBODY, PushSettings, assign
from figureground.errors import UsageError
from figureground.schemas.records import content_id

people = st.lists(st.from_regex(r"[a-z]{1,6}", fullmatch=True), min_size=1, max_size=6, unique=True)
shares = st.floats(0, 1)
photos = st.integers(0, 10_000).map(lambda number: content_id(str(number)))
MANY = [content_id(str(number)) for number in range(4000)]


@pytest.mark.slow
@given(image_id=photos, annotators=people, overlap=shares, data=st.data())
def test_nothing_but_the_names_decides(image_id: str, annotators: list[str], overlap: float, data: Any) -> None:
    chosen = assign(image_id, annotators, overlap)
    assert chosen == assign(image_id, data.draw(st.permutations(annotators)), overlap)
    assert len(set(chosen)) == len(chosen)
    assert set(chosen) <= set(annotators)
    assert 1 <= len(chosen) <= min(2, len(annotators))


def test_every_process_and_every_version_chooses_the_same() -> None:
    """A workspace that was pushed by an older figureground goes on with the same people."""
    chosen = [" ".join(assign(image_id, ["ada", "ben", "cleo"], 0.5)) for image_id in MANY[:8]]
    assert chosen == ["cleo", "cleo", "ben ada", "ben cleo", "ada cleo", "ada", "ben", "ada ben"]


@given(image_id=photos, annotators=people, overlap=shares, data=st.data())
def test_those_who_have_a_photo_keep_it(image_id: str, annotators: list[str], overlap: float, data: Any) -> None:
    have = data.draw(st.sets(st.sampled_from(annotators)))
    chosen = assign(image_id, annotators, overlap, have=have)
    assert have <= set(chosen)
    assert len(chosen) == max(len(have), len(assign(image_id, annotators, overlap)))
    assert set(assign(image_id, annotators, overlap, have=set(chosen))) == set(chosen)


@given(image_id=photos, annotators=people, overlap=shares)
def test_one_more_annotator_takes_photos_but_moves_none_between_the_others(
    image_id: str, annotators: list[str], overlap: float
) -> None:
    before = assign(image_id, annotators, overlap)
    more = [*annotators, "newcomer"]
    after = assign(image_id, more, overlap)
    assert set(after) - {"newcomer"} <= set(before)
    assert set(before) <= set(assign(image_id, more, overlap, have=set(before)))
    if "newcomer" not in after:
        assert after[: len(before)] == before


@given(image_id=photos, annotators=people, overlap=shares, data=st.data())
def test_one_annotator_less_leaves_the_others_photos_where_they_are(
    image_id: str, annotators: list[str], overlap: float, data: Any
) -> None:
    gone = data.draw(st.sampled_from(annotators))
    left = [name for name in annotators if name != gone]
    if left:
        others = [name for name in assign(image_id, annotators, overlap) if name != gone]
        after = assign(image_id, left, overlap)
        assert others[: len(after)] == after[: len(others)]


@given(image_id=photos, annotators=people, overlap=shares, higher=shares)
def test_a_higher_overlap_takes_nothing_away(
    image_id: str, annotators: list[str], overlap: float, higher: float
) -> None:
    lower, higher = sorted((overlap, higher))
    fewer, more = assign(image_id, annotators, lower), assign(image_id, annotators, higher)
    assert more[: len(fewer)] == fewer


@pytest.mark.parametrize("overlap", [0.0, 0.1, 0.5, 1.0])
def test_the_overlap_is_the_share_that_was_asked_for(overlap: float) -> None:
    pairs = sum(len(assign(image_id, ["ada", "ben", "cleo"], overlap)) == 2 for image_id in MANY)
    assert pairs / len(MANY) == pytest.approx(overlap, abs=0.02 if 0 < overlap < 1 else 0)


def test_photos_are_shared_out_evenly_and_so_are_the_pairs() -> None:
    annotators = ["ada", "ben", "cleo"]
    first = [assign(image_id, annotators, 0.5) for image_id in MANY]
    for name in annotators:
        assert sum(chosen[0] == name for chosen in first) / len(MANY) == pytest.approx(1 / 3, abs=0.03)
    pairs = [frozenset(chosen) for chosen in first if len(chosen) == 2]
    assert len(set(pairs)) == 3
    assert max(map(pairs.count, set(pairs))) / len(pairs) == pytest.approx(1 / 3, abs=0.05)


def test_one_alone_gets_everything() -> None:
    assert all(assign(image_id, [EVERYBODY], 0.0) == [EVERYBODY] for image_id in MANY[:50])
    assert all(assign(image_id, ["ada"], 1.0) == ["ada"] for image_id in MANY[:50])


# Settings


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"annotators": ("ada", "ada")}, "named once each"),
        ({"annotators": ("ada", "a/b")}, "letters, digits"),
        ({"annotators": ("../ada",)}, "letters, digits"),
        ({"annotators": ("",)}, "letters, digits"),
        ({"annotators": ("x" * 129,)}, "letters, digits"),
        ({"annotators": ("ada@example.org",)}, "letters, digits"),
        ({"annotators": ("ada", "ben"), "overlap": -0.1}, "between 0 and 1, not -0.1"),
        ({"annotators": ("ada", "ben"), "overlap": 1.1}, "between 0 and 1, not 1.1"),
        ({"annotators": ("ada", "ben"), "overlap": 10}, "between 0 and 1, not 10"),
        ({"annotators": ("ada", "ben"), "overlap": float("nan")}, "between 0 and 1, not nan"),
        ({"overlap": 0.1}, "needs two annotators"),
        ({"annotators": ("ada",), "overlap": 0.1}, "needs two annotators"),
    ],
)
def test_what_cannot_be_done_is_refused(settings: dict[str, Any], expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        PushSettings(schema=make_schema(), **settings)


@pytest.mark.parametrize(
    "settings",
    [{}, {"annotators": ("ada",)}, {"annotators": ("ada", "ben.c-d_e"), "overlap": 1}, {"annotators": ("a", "b")}],
)
def test_what_can_be_done_is_taken(settings: dict[str, Any]) -> None:
    assert PushSettings(schema=make_schema(), **settings).annotators == settings.get("annotators", ())
