"""What waits for whom: photos that lack the second of two answers, second looks, photos on nobody's page."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from figureground.annotate.decisions import newest_answers
from figureground.console import count_text
from figureground.schemas.records import Annotation
from figureground.schemas.store.workspace import Workspace

SOMEBODY = "somebody"
"""Who an answer is expected of where the server did not say who is who."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Photos of a workspace that wait for something, as it was when answers were last pulled."""

    answer_states: Mapping[str, int]
    """State to number of answers, for each photo, person and purpose the newest."""
    one_of_two: int
    """Photos that two people were sent and one has answered."""
    expected_of: Mapping[str, int]
    """Annotator to the number of those photos for which his or her answer is expected."""
    second_looks_open: int
    """Photos in doubt that are on the page of second looks."""
    second_looks_unsent: int
    """Photos in doubt that are not."""
    unsent: int
    """Photos without a decision and without an answer that are on nobody's page."""

    def lines(self) -> Iterator[str]:
        """A line for each thing that is waited for."""
        if self.one_of_two:
            whose = ", ".join(f"{name} {count}" for name, count in sorted(self.expected_of.items()))
            yield f"{count_text(self.one_of_two, 'photo')} with one of two answers; the other is expected of {whose}"
        if doubtful := self.second_looks_open + self.second_looks_unsent:
            yield (
                f"{count_text(doubtful, 'photo')} in doubt: {self.second_looks_open} on the page of second looks, "
                f"{self.second_looks_unsent} not sent yet"
            )
        if self.unsent:
            yield f"{count_text(self.unsent, 'photo')} on nobody's page"


def find_waiting(workspace: Workspace, server: str, names: Mapping[str, str]) -> Waiting:
    """Gather what is waited for.

    Args:
        workspace: Where photos, answers and decisions are.
        server: The server.
        names: Pseudonym to the name of the annotator, of those who are known.
    """
    shown_to: dict[str, set[str]] = defaultdict(set)
    second_looks: set[str] = set()
    for project, notes in workspace.studio_projects(server).items():
        tasks = workspace.studio_tasks(server, project)
        if notes[-1].purpose == "first_look":
            for image_id in tasks:
                shown_to[image_id].add(notes[-1].annotator)
        elif notes[-1].purpose == "second_look":
            second_looks |= tasks.keys()
    decisions = workspace.decisions()
    doubtful = {image_id for image_id, decision in decisions.items() if decision.state == "needs_second"}
    states, answered_by = _answers(workspace)
    one_of_two = {
        image_id
        for image_id, people in shown_to.items()
        if len(people) > 1 and len(answered_by.get(image_id, ())) == 1 and image_id not in doubtful
    }
    lower = {pseudonym: name.casefold() for pseudonym, name in names.items()}  # accounts are written so
    expected: Counter[str] = Counter()
    for image_id in one_of_two:
        (pseudonym,) = answered_by[image_id]
        others = {name for name in shown_to[image_id] if name.casefold() != lower.get(pseudonym)}
        expected.update(others if pseudonym in names else {SOMEBODY})
    return Waiting(
        answer_states=states,
        one_of_two=len(one_of_two),
        expected_of=dict(expected),
        second_looks_open=len(doubtful & second_looks),
        second_looks_unsent=len(doubtful - second_looks),
        unsent=sum(
            image.image_id not in decisions and image.image_id not in shown_to and image.image_id not in answered_by
            for image in workspace.images()
        ),
    )


def _answers(workspace: Workspace) -> tuple[Counter[str], dict[str, set[str]]]:
    """Number of newest answers by state, and who gave a first look to each photo."""
    newest: dict[tuple[str, str, str], list[Annotation]] = defaultdict(list)
    for answer in workspace.annotations():
        newest[answer.image_id, answer.annotator, answer.purpose].append(replace(answer, masks={}, instances=()))
    states: Counter[str] = Counter()
    answered_by: dict[str, set[str]] = defaultdict(set)
    for (image_id, annotator, purpose), answers in newest.items():
        states[max(answers, key=lambda answer: (answer.updated_at, answer.annotation_id)).state] += 1
        if purpose == "first_look" and newest_answers(answers):
            answered_by[image_id].add(annotator)
    return states, dict(answered_by)
