"""Who answers: named once, remembered, changed by explicit words alone."""

from __future__ import annotations

from typing import Any

import pytest

from figureground.annotate.studio.people.team import EVERYBODY, TeamChange, change_team, heir_of, overlap_count
from figureground.errors import UsageError
from figureground.schemas.records import StudioTeam

AB = StudioTeam(annotators=("ada", "ben"), overlap="4", honeypots=2)


@pytest.mark.parametrize(
    ("overlap", "photos", "expected"),
    [("0", 9, 0), ("4", 9, 4), ("40", 9, 40), ("1", 9, 1), ("1.0", 9, 9), ("0.4", 27, 11), ("0.1", 4, 0), (".5", 9, 4)],
)
def test_an_overlap_is_a_count_or_a_share(overlap: str, photos: int, expected: int) -> None:
    assert overlap_count(overlap, photos) == expected


@pytest.mark.parametrize("overlap", ["-1", "-0.1", "1.1", "10.0", "nan", "inf", "", "x", "1e9", "0x1"])
def test_another_overlap_is_refused(overlap: str) -> None:
    with pytest.raises(UsageError, match=r"number of photos such as 40, or a share such as 0\.1"):
        TeamChange(overlap=overlap)


@pytest.mark.parametrize(
    "names", [("ada", "ada"), ("ada", "a/b"), ("../ada",), ("",), ("x" * 129,), ("ada@example.org",)]
)
def test_strange_names_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="named once each, with letters, digits"):
        TeamChange(annotators=names)
    with pytest.raises(UsageError, match=r"letters, digits|cannot hand over"):
        TeamChange(hand_over=((names[-1], names[0]),))


CHANGES: dict[str, tuple[StudioTeam | None, dict[str, Any], StudioTeam]] = {
    "nobody is named": (None, {}, StudioTeam(annotators=(EVERYBODY,))),
    "the first names": (None, {"annotators": ("ada", "ben"), "overlap": "4", "honeypots": 2}, AB),
    "none, later": (AB, {}, AB),
    "the same, later": (AB, {"annotators": ("ben", "ada")}, AB),
    "another overlap": (AB, {"overlap": "0.5"}, StudioTeam(annotators=("ada", "ben"), overlap="0.5", honeypots=2)),
    "names after everybody": (
        StudioTeam(annotators=(EVERYBODY,)),
        {"annotators": ("ada",)},
        StudioTeam(annotators=("ada",), heirs={EVERYBODY: ""}),
    ),
    "one joins": (AB, {"add": ("cleo",)}, StudioTeam(annotators=("ada", "ben", "cleo"), overlap="4", honeypots=2)),
    "one joins again": (AB, {"add": ("ben",)}, AB),
    "to one who is there": (
        AB,
        {"hand_over": (("ada", "ben"),)},
        StudioTeam(annotators=("ben",), heirs={"ada": "ben"}, overlap="4", honeypots=2),
    ),
    "to a new one": (
        AB,
        {"hand_over": (("ada", "cleo"),)},
        StudioTeam(annotators=("ben", "cleo"), heirs={"ada": "cleo"}, overlap="4", honeypots=2),
    ),
    "the same again": (
        StudioTeam(annotators=("ben", "cleo"), heirs={"ada": "cleo"}),
        {"hand_over": (("ada", "cleo"),)},
        StudioTeam(annotators=("ben", "cleo"), heirs={"ada": "cleo"}),
    ),
    "who left comes back": (
        StudioTeam(annotators=("ben",), heirs={"ada": "ben"}),
        {"add": ("ada",)},
        StudioTeam(annotators=("ben", "ada")),
    ),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_a_team_changes(kind: str) -> None:
    before, change, after = CHANGES[kind]
    assert change_team(before, TeamChange(**change)) == after


REFUSED: dict[str, tuple[StudioTeam | None, dict[str, Any], str]] = {
    "other names": (AB, {"annotators": ("ada", "cleo")}, "the annotators are ada, ben: .*--add.*--hand-over"),
    "fewer names": (AB, {"annotators": ("ada",)}, "the annotators are ada, ben"),
    "a stranger leaves": (AB, {"hand_over": (("dan", "ada"),)}, "dan is none of the annotators: ada, ben"),
    "one joins everybody": (None, {"add": ("ada",)}, "name all who shall have their own with --annotator"),
    "an overlap of one": (None, {"annotators": ("ada",), "overlap": "3"}, "needs two annotators"),
    "an overlap of nobody": (None, {"overlap": "0.1"}, "needs two annotators"),
    "two in the same letters": (AB, {"add": ("Ada",)}, "more than capitals"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_change_that_does_not_fit_is_refused(kind: str) -> None:
    before, change, message = REFUSED[kind]
    with pytest.raises(UsageError, match=message):
        change_team(before, TeamChange(**change))


def test_heirs_are_followed_to_who_is_there() -> None:
    team = StudioTeam(annotators=("dan",), heirs={"ada": "ben", "ben": "dan", "x": "gone", EVERYBODY: ""})
    assert [heir_of(team, name) for name in ("ada", "ben", "x", EVERYBODY, "nobody")] == [
        "dan",
        "dan",
        None,
        None,
        None,
    ]
    ring = StudioTeam(annotators=("dan",), heirs={"ada": "ben", "ben": "ada"})
    assert heir_of(ring, "ada") is None
