"""What waits for whom: photos that lack the second of two answers, second looks, photos on nobody's page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from figureground.annotate.studio.people.assignment import Holders, nobody_is_left
from figureground.annotate.studio.people.holdings import Holdings
from figureground.annotate.studio.people.team import EVERYBODY
from figureground.console import count_text
from figureground.schemas.records import AnswerState
from figureground.schemas.store.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Photos of a workspace that wait for something, as it was when answers were last pulled."""

    one_of_two: int
    """Photos that one person answered and another one has before him."""
    expected_of: Mapping[str, int]
    """Annotator to the number of those photos for which his or her answer is expected."""
    second_looks_open: int
    """Photos in doubt that are on the page of second looks."""
    second_looks_unsent: int
    """Photos in doubt that are not."""
    unsent: int
    """Photos that an answer is wanted for and that are on nobody's page."""
    skipped_by_all: int
    """Photos that everybody skipped."""

    def lines(self) -> Iterator[str]:
        """A line for each thing that is waited for."""
        if self.one_of_two:
            whose = ", ".join(f"{name or 'anybody'} {count}" for name, count in sorted(self.expected_of.items()))
            yield f"{count_text(self.one_of_two, 'photo')} with one of two answers; the other is expected of {whose}"
        if doubtful := self.second_looks_open + self.second_looks_unsent:
            yield (
                f"{count_text(doubtful, 'photo')} in doubt: {self.second_looks_open} on the page of second looks, "
                f"{self.second_looks_unsent} not sent yet"
            )
        if self.unsent:
            yield f"{count_text(self.unsent, 'photo')} on nobody's page"
        if self.skipped_by_all:
            yield f"{count_text(self.skipped_by_all, 'photo')} skipped by everybody"


def find_waiting(workspace: Workspace, server: str) -> Waiting:
    """Gather what is waited for on a server."""
    holdings = Holdings.of(workspace, server)
    decisions = workspace.decisions()
    doubtful = {image_id for image_id, decision in decisions.items() if decision.state == "needs_second"}
    second_looks: set[str] = set()
    for project, notes in workspace.studio_projects(server).items():
        if notes[-1].purpose == "second_look":
            second_looks |= workspace.studio_tasks(server, project).keys()
    expected: Counter[str] = Counter()
    one_of_two = unsent = skipped_by_all = 0
    for image in workspace.images():
        if image.image_id in decisions:
            continue
        holders = holdings.holders(image.image_id)
        if holders.answered and holders.open:
            one_of_two += 1
            expected.update(holders.open)
        skipped = nobody_is_left(holdings.team, holders)
        skipped_by_all += skipped
        unsent += not skipped and _is_unsent(holdings, image.image_id, holders)
    return Waiting(
        one_of_two=one_of_two,
        expected_of=dict(expected),
        second_looks_open=len(doubtful & second_looks),
        second_looks_unsent=len(doubtful - second_looks),
        unsent=unsent,
        skipped_by_all=skipped_by_all,
    )


def _is_unsent(holdings: Holdings, image_id: str, holders: Holders) -> bool:
    """Whether the next push would send a photo to somebody: nobody has it, or the second of two does not."""
    if not holders.asked:
        return True
    wanted = 2 if image_id in holdings.pairs else 1
    free = set(holdings.team.annotators) - holders.asked
    return len(holders.open | holders.answered) < wanted and bool(free) and holdings.team.annotators != (EVERYBODY,)


def count_answers(workspace: Workspace) -> dict[AnswerState, int]:
    """State to number of answers, of each person, photo and purpose the newest."""
    newest: dict[tuple[str, str, str], tuple[str, str, AnswerState]] = {}
    for answer in workspace.annotations():
        key = (answer.image_id, answer.annotator, answer.purpose)
        state = (answer.updated_at, answer.annotation_id, answer.state)
        newest[key] = max(newest.get(key, state), state)
    return dict(Counter(state for _, _, state in newest.values()))
