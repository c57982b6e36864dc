"""Pull: all that raters answered, as the kit's answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from figureground.annotate.human.page import ANSWER_CONTROL, read_choice
from figureground.annotate.human.push import raters_of
from figureground.annotate.human.served import find_project
from figureground.annotate.human.sessions import session
from figureground.annotate.studio.answer_json import Answer, Task
from figureground.annotate.studio.client import StudioClient
from figureground.annotate.studio.home import StudioHome
from figureground.errors import DataError, Faults, UsageError, shell_word
from figureground.runtime.progress import Progress
from figureground.schemas.documents import validate_document
from figureground.schemas.pages.human_tasks import HumanAnswer, HumanKit, HumanTask, answer_faults, write_answers


@dataclass(slots=True, kw_only=True)
class HumanPullReport:
    """What raters have answered by now."""

    answers: dict[str, int] = field(default_factory=dict)
    """Rater to number of answers."""
    of: int = 0
    """Questions of each rater."""
    skipped: int = 0
    """Tasks that were skipped, which are no answers."""


def pull_kit(
    kit: HumanKit, client: StudioClient, home: StudioHome, *, progress: Progress = lambda *_: None
) -> HumanPullReport:
    """Fetch every answer and write them to the kit, in place of those pulled before.

    Raises:
        UsageError: if the kit was not pushed from here.
        DataError: with every fault: answers to unknown tasks, two answers to one task, answers of two accounts in one
            rater's project, texts that were not offered, deleted projects; then nothing is written.
        ServiceError: if the server fails; run again.
    """
    raters = raters_of(home, kit)
    if not raters:
        send = f"figureground human push {shell_word(kit.folder)} {home.option} --rater NAME"
        raise UsageError(f"this kit was not pushed from this workspace; send it with: {send}")
    faults, report, answers = Faults(), HumanPullReport(of=len(kit.tasks)), list[HumanAnswer]()
    rounds = len(kit.facts.configs)
    for number in range(1, len(raters) + 1):
        mine = list[HumanAnswer]()
        for turn in range(1, rounds + 1):
            project = find_project(kit, client, number, turn)
            if project is None:
                faults.add(
                    client.connection.url,
                    f"r{number}, session {turn}",
                    expected="a project",
                    got="none",
                    remedy="it was deleted in Label Studio, or never sent: push again",
                )
                continue
            reader = _ProjectReader(kit, number, turn, faults)
            for tasks in client.changed_tasks(project, None):
                mine += (answer for task in tasks for answer in reader.read(task))
            reader.check_accounts()
            report.skipped += reader.skipped
            progress("pull", (number - 1) * rounds + turn, len(raters) * rounds)
        report.answers[f"r{number}"] = len(mine)
        answers += mine
    faults.raise_if_any()
    write_answers(kit, answers)
    return report


class _ProjectReader:
    """Reads the tasks of one rater's project of one round."""

    def __init__(self, kit: HumanKit, number: int, turn: int, faults: Faults) -> None:
        self._kit, self._rater, self._faults = kit, f"r{number}", faults
        self._place = f"r{number}, session {turn}"
        self._asked = {task.task_id: task for task in session(kit, number, turn)}
        self._answered: set[str] = set()
        self._accounts: set[str] = set()
        self.skipped = 0

    def read(self, stored: Any) -> Iterator[HumanAnswer]:  # noqa: ANN401  unchecked JSON
        """The answer of a task, if it has one that can be read."""
        try:
            task = validate_document(stored, Task, where=f"Label Studio: {self._place}")
            given = [
                validate_document(answer, Answer, where=f"Label Studio: {self._place}, task {task.data.image_id[:32]}")
                for answer in task.annotations or []
            ]
        except DataError as error:
            self._faults.extend(error.faults)
            return
        self.skipped += sum(bool(answer.was_cancelled) for answer in given)
        submitted = [answer for answer in given if not answer.was_cancelled]
        if not submitted:
            return
        task_id = task.data.image_id
        asked = self._asked.get(task_id)
        if asked is None:
            self._fault(task_id, "a task of this session", "an unknown one", "it was not made by push: delete it")
        elif len(submitted) > 1 or task_id in self._answered:
            self._fault(task_id, "one answer", "two", "delete one of them in Label Studio and pull again")
        else:
            self._answered.add(task_id)
            self._accounts.add(submitted[0].completed_by)
            yield from self._answer(submitted[0], asked)

    def _answer(self, given: Answer, task: HumanTask) -> Iterator[HumanAnswer]:
        chosen = [
            text for result in given.result or [] if result.from_name == ANSWER_CONTROL for text in result.value.choices
        ]
        if len(chosen) != 1:
            self._fault(task.task_id, "one choice", str(len(chosen)), "delete the answer and let it be given again")
            return
        try:
            answer = read_choice(chosen[0], task, self._kit, rater=self._rater, seconds=given.lead_time)
        except DataError as error:
            self._faults.extend(error.faults)
            return
        wrong = answer_faults(answer, self._kit, f"Label Studio: {self._place}")
        self._faults.extend(wrong)
        if not wrong:
            yield answer

    def check_accounts(self) -> None:
        """One rater, one account: intervals are clustered by rater."""
        if len(self._accounts) > 1:
            self._faults.add(
                f"Label Studio: {self._place}",
                "",
                expected="answers of one account",
                got=f"{len(self._accounts)}",
                remedy="delete those that the rater did not give",
            )

    def _fault(self, task_id: str, expected: str, got: str, remedy: str) -> None:
        record = f"task {task_id[:32]}"
        self._faults.add(f"Label Studio: {self._place}", record, expected=expected, got=got, remedy=remedy)
