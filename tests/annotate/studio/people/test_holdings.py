"""For whose answers a photo waits: a table of who has it, answered, skipped and left."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from figureground.annotate.studio.people.assignment import Holders
from figureground.annotate.studio.people.holdings import Holdings
from figureground.annotate.studio.people.team import EVERYBODY
from figureground.schemas.records import Annotation, AnswerState, StudioTeam

PROJECTS = {"ada": 1, "ben": 2, "cleo": 3, EVERYBODY: 4}
ALL = ("ada", "ben", "cleo")


def holdings(have: Sequence[str], states: dict[str, AnswerState], *, pair: bool, team: Sequence[str] = ALL) -> Holdings:
    made = Holdings(
        team=StudioTeam(annotators=tuple(team)),
        pairs={"photo"} if pair else set(),
        projects=PROJECTS,
        tasks={name: {"photo": 1} for name in have},
        names={project: name for name, project in PROJECTS.items()},
        honeypots={(1, "pot")},
    )
    for name, state in states.items():
        made.note(PROJECTS[name], "photo", f"answer of {name}", state)
    return made


def answers(states: dict[str, AnswerState]) -> list[Annotation]:
    return [
        Annotation(
            annotation_id=f"answer of {name}",
            updated_at="2026-01-01T00:00:00.000000Z",
            image_id="photo",
            masks={},
            attributes={},
            flags=(),
            annotator=f"pseudonym of {name}",
            seconds=0.0,
            tool="",
            proposal_id="",
            edit_iou=None,
            state=state,
        )
        for name, state in states.items()
    ]


@pytest.mark.parametrize(
    ("have", "states", "pair", "team", "awaited"),
    [
        (["ada"], {}, False, ALL, 1),
        (["ada"], {"ada": "submitted"}, False, ALL, 0),
        (["ada"], {"ada": "draft"}, False, ALL, 1),
        (["ada", "ben"], {"ada": "submitted"}, True, ALL, 1),
        (["ada", "ben"], {"ada": "submitted"}, False, ALL, 1),  # two have it, whatever for
        (["ada", "ben"], {"ada": "submitted", "ben": "submitted"}, True, ALL, 0),
        # A skip is no answer: there is cleo, who will be asked.
        (["ada", "ben"], {"ada": "submitted", "ben": "skipped"}, True, ALL, 1),
        (["ada", "ben", "cleo"], {"ada": "submitted", "ben": "skipped"}, True, ALL, 1),
        (["ada", "ben", "cleo"], {"ada": "submitted", "ben": "skipped", "cleo": "skipped"}, True, ALL, 0),
        (["ada", "ben"], {"ada": "submitted", "ben": "skipped"}, True, ["ada", "ben"], 0),
        (["ada", "ben"], {"ada": "skipped", "ben": "submitted"}, False, ALL, 0),
        # Those who left are not waited for, their answers count.
        (["ada", "ben"], {"ben": "submitted"}, True, ["ben"], 0),
        (["ada", "ben"], {"ben": "submitted"}, True, ["ben", "cleo"], 1),
        (["ada", "ben"], {"ada": "submitted"}, True, ["ben", "cleo"], 1),
        (["ada", "ben"], {"ada": "submitted", "ben": "submitted"}, True, ["cleo"], 0),
        ([EVERYBODY], {EVERYBODY: "submitted"}, False, [EVERYBODY], 0),
        ([], {}, False, (), 0),
    ],
)
def test_a_photo_waits_for_those_who_will_answer(
    have: list[str], states: dict[str, AnswerState], pair: bool, team: Sequence[str], awaited: int
) -> None:
    made = holdings(have, states, pair=pair, team=team)
    assert made.awaited("photo", answers(states)) == awaited


def test_answers_that_an_older_version_pulled_count_by_people() -> None:
    both: dict[str, AnswerState] = {"ada": "submitted", "ben": "submitted"}
    assert holdings(["ada", "ben"], {}, pair=True).awaited("photo", answers(both)) == 0
    assert holdings(["ada", "ben"], {"ben": "submitted"}, pair=True).awaited("photo", answers(both)) == 0
    assert holdings(["ada", "ben"], {}, pair=True).awaited("photo", answers({"ada": "submitted"})) == 1


def test_one_account_that_answers_in_two_projects_is_waited_for_no_longer() -> None:
    made = holdings(["ada", "ben"], {"ada": "submitted", "ben": "submitted"}, pair=True)
    assert made.awaited("photo", answers({"ada": "submitted"})) == 0


def test_a_later_state_of_an_answer_counts_and_honeypots_are_passed_over() -> None:
    made = holdings(["ada"], {"ada": "submitted"}, pair=False)
    assert made.holders("photo") == Holders(answered={"ada"})
    made.note(1, "photo", "answer of ada", "skipped")
    assert made.holders("photo") == Holders(skipped={"ada"})
    made.note(1, "pot", "x", "submitted")
    assert made.holders("pot") == Holders()
    assert made.sent() == {"photo"}
