"""Pull: every answer that changed since the last time, and what it decides."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeAlias

from figureground.annotate.decisions import decide, newest_answers, newest_state, news_of, settles
from figureground.annotate.studio.answer_json import Task, parse_answer, read_export, read_time
from figureground.annotate.studio.answers import AnswerContext, read_answer
from figureground.annotate.studio.client import StudioClient
from figureground.annotate.studio.home import StudioHome
from figureground.annotate.studio.people.holdings import Holdings
from figureground.annotate.studio.people.new_attributes import extend_answer
from figureground.annotate.studio.pseudonyms import Pseudonyms
from figureground.annotate.studio.tasks import named_faults
from figureground.annotate.times import spell_utc
from figureground.errors import DataError, Fault, UsageError
from figureground.runtime.progress import Progress
from figureground.schemas.attributes import OBJECT, AttributeSchema
from figureground.schemas.documents import validate_document
from figureground.schemas.records import SECOND_LOOKS, Annotation, Decision, ProposalRecord, Purpose, StudioProject
from figureground.schemas.store.workspace import Workspace

SETTLED_AFTER: Final = timedelta(seconds=5)
"""Answers that are younger when a pull begins are looked at again by the next."""

Given: TypeAlias = tuple[Task, Sequence[StudioProject]]
"""A task, and the pages of its project, the oldest first."""

EXPORTED: Final = "exports"
"""The server of the notes on attributes that were named for an export: no real one is called so."""


@dataclass(slots=True, kw_only=True)
class PullReport:
    """Counts of one call of ``pull``."""

    tasks: int = 0
    """Tasks that were looked at."""
    answers: Counter[str] = field(default_factory=Counter)
    """New answers by state: submitted, skipped, draft."""
    edited_by_others: int = 0
    decisions: Counter[str] = field(default_factory=Counter)
    """Photos by state whose decision is another than before the pull."""
    unsettled: int = 0
    """New second looks that settle nothing: by people whose own answer is in doubt, and without author."""
    begun: int = 0
    """Tasks on which somebody has an unsubmitted draft."""
    waiting: int = 0
    """Photos that somebody answered and that wait for another person's answer."""
    barred: int = 0
    """Photos of which nothing was stored, because an answer to them could not be read."""
    passed_over: Counter[str] = field(default_factory=Counter)
    """What new answers hold that is not read and draws nothing, by its reason."""
    faults: list[Fault] = field(default_factory=list)
    """Answers that could not be read, and projects that were found deleted."""


def pull(workspace: Workspace, client: StudioClient, *, progress: Progress = lambda *_: None) -> PullReport:
    """Fetch every answer that is new or changed since the last pull; a second pull with nothing new changes nothing.

    Answers are stored page by page. A project's cursor moves when all of it was read without a fault, so a pull that
    was killed, or met a damaged answer, looks at those tasks again.

    A project that was deleted in Label Studio is a fault once, and noted.

    Raises:
        DataError: at the end, with every answer that could not be read; those to other photos were stored.
        ServiceError: if the server fails; run again to resume.
        UsageError: if nothing was pushed to this server.
    """
    server = client.connection.server
    projects = workspace.studio_projects(server, deleted=True)
    if not projects:
        send = f"figureground studio push {StudioHome.of(workspace.root).option}"
        raise UsageError(f"nothing was pushed to this server; send tasks with: {send}")
    numbers = {user.email: user.id for user in client.users()}
    reader = _Reader(workspace, Pseudonyms(StudioHome.of(workspace.root), server, numbers), server, client)
    for number, (project, notes) in enumerate(projects.items()):
        present = client.project(project) is not None
        if not present and project not in workspace.deleted_studio_projects(server):
            reader.strangers.append(
                Fault(
                    where=client.connection.url,
                    record=f"project {project}",
                    expected=notes[-1].title,
                    got="none",
                    remedy="it was deleted in Label Studio; its answers that were pulled are kept, and the next push "
                    "sends again what it had not answered; this is said once",
                )
            )
        workspace.note_studio_presence(server, project, present=present)
        if not present:
            continue
        before = len(reader.faults)
        cursor = latest = workspace.studio_cursor(server, project)
        # A task that was listed and is answered while later pages are read must be younger than the cursor.
        settled = spell_utc(client.clock() - SETTLED_AFTER)
        for tasks in client.changed_tasks(project, cursor):
            reader.read([(task, notes) for task in reader.checked(tasks)])
            latest = max(filter(None, [latest, *(read_time(task["updated_at"]) for task in tasks)]))
            progress("pull", number, len(projects))
        for tasks in client.drafted_tasks(project):
            reader.report.begun += len(tasks)
            reader.read_drafts([(task, notes) for task in reader.checked(tasks)])
        if latest and len(reader.faults) == before:
            workspace.move_studio_cursor(server, project, max(cursor or "", min(latest, settled)))
        progress("pull", number + 1, len(projects))
    return reader.finish()


def pull_export(
    workspace: Workspace, path: Path, *, schema: AttributeSchema | None = None, server: str = "export"
) -> PullReport:
    """Read the answers of Label Studio's JSON export, without a server.

    Args:
        workspace: Where they go.
        path: The export (``exportType=JSON``).
        schema: The attributes that were asked for; None to take those of the project as it was pushed from here.
        server: The server that the export is of, as the workspace calls it.

    Raises:
        UsageError: if the file cannot be read, or the attributes are not known.
        DataError: at the end, with every answer that could not be read; those to other photos were stored.
    """
    reader = _Reader(workspace, Pseudonyms(StudioHome.of(workspace.root), server), server)
    known = workspace.studio_projects(server, deleted=True)
    exported, reader.faults, reader.barred = read_export(path)
    given: list[Given] = []
    for task in reader.checked(exported, where=str(path)):
        notes = known.get(task.project, [])
        if schema is not None:
            purpose: Purpose = notes[-1].purpose if notes else "first_look"
            notes = [
                StudioProject(
                    server=server,
                    project=task.project,
                    title="export",
                    annotator=notes[-1].annotator if notes else "",
                    purpose=purpose,
                    since="",
                    attribute_schema=schema.model_dump_json(),
                )
            ]
        if not notes:
            raise UsageError("this workspace did not push those tasks; say with --attributes what was asked")
        given.append((task, notes))
    reader.read(given)
    reader.read_drafts(given)
    if schema is not None and reader.earliest:
        _note_schema(workspace, schema, since=reader.earliest)
    return reader.finish()


def _note_schema(workspace: Workspace, schema: AttributeSchema, *, since: str) -> None:
    """Remember the attributes that an export was read by, so that later versions of them are followed."""
    text = schema.model_dump_json()
    if text not in workspace.pushed_schemas():
        workspace.add_studio_project(
            StudioProject(
                server=EXPORTED,
                project=0,
                title=schema.label,
                annotator="",
                purpose="first_look",
                attribute_schema=text,
                since=since,
            )
        )


class _Reader:
    """Stores the answers of pages of tasks, and remembers what was new and what was wrong."""

    def __init__(
        self, workspace: Workspace, pseudonyms: Pseudonyms, server: str, client: StudioClient | None = None
    ) -> None:
        self._workspace = workspace
        self._pseudonyms = pseudonyms
        self._server = server
        self._client = client
        self._holdings = Holdings.of(workspace, server)
        self._before: dict[str, Decision | None] = {}
        self.faults: list[Fault] = []
        """Faults whose tasks the next pull looks at again."""
        self.strangers: list[Fault] = []
        """Faults that the next pull does not change: of tasks of others, and of projects that are gone."""
        self.barred: set[str] = set()
        """Photos with an answer that could not be read: nothing is decided about them."""
        self.earliest = ""
        """Time of the oldest answer that was read; empty for none."""
        self.report = PullReport()

    def checked(self, tasks: Sequence[Any], where: str = "Label Studio") -> list[Task]:
        """Tasks that have the form of tasks; the others are faults."""
        valid: list[Task] = []
        for number, task in enumerate(tasks):
            name = task.get("id") if isinstance(task, dict) else f"at place {number}"
            try:
                valid.append(validate_document(task, Task, where=f"{where}: task {name}"))
            except DataError as error:
                self.faults += error.faults
                data = task.get("data") if isinstance(task, dict) else None
                image_id = data.get("image_id") if isinstance(data, dict) else None
                self.barred |= {image_id} if isinstance(image_id, str) else set()
        return valid

    def read(self, given: Sequence[Given]) -> None:
        """Store submitted and skipped answers, photo by photo; a photo with one that cannot be read is barred.

        Second looks show answers that are stored, so they are read after the first looks of the same photo.
        """
        self.report.tasks += len(given)
        for image_id, own in _by_photo(given).items():
            first = [(task, notes) for task, notes in own if notes[-1].purpose == "first_look"]
            later = [[(task, notes)] for task, notes in own if notes[-1].purpose != "first_look"]
            for group in filter(None, [first, *later]):
                if image_id not in self.barred:
                    self._store(group, "annotations")

    def read_drafts(self, given: Sequence[Given]) -> None:
        """Store drafts, which are never accepted."""
        for entry in given:
            self._store([entry], "drafts")

    def finish(self) -> PullReport:
        """The report, after photos were decided whose other answers are awaited no longer.

        Raises:
            DataError: with all that was wrong.
        """
        self._decide_waiting()
        for image_id, before in self._before.items():
            decision = self._workspace.decision(image_id)
            if decision is not None and decision != before:
                self.report.decisions[decision.state] += 1
        self.report.barred = len(self.barred)
        self.report.faults = [*self.faults, *self.strangers]
        if self.report.faults:
            raise DataError(self.report.faults, self.report)
        return self.report

    def _store(self, given: Sequence[Given], kind: str) -> None:
        """Store the answers of a photo's tasks; none of them where one submitted or skipped one cannot be read."""
        before = len(self.faults)
        read = [(notes, *answer) for task, notes in given for answer in self._answers(task, notes, kind)]
        if kind == "annotations" and len(self.faults) > before:
            self.barred |= {task.data.image_id for task, _ in given}
            return
        for notes, answer, passed_over in read:
            given_in = self._server, notes[-1].project
            self._holdings.note(given_in[1], answer.image_id, answer.annotation_id, answer.state)
            self.earliest = min(filter(None, [self.earliest, answer.updated_at]))
            with self._workspace.writing():  # another pull must not store an answer that this decision does not see
                new = self._workspace.add_answer(answer, self._decision(answer), given_in=given_in)
            if new:
                self.report.answers[answer.state] += 1
                self.report.edited_by_others += bool(answer.edited_by)
                self.report.unsettled += self._settles_nothing(answer)
                self.report.passed_over.update(+passed_over)

    def _settles_nothing(self, answer: Annotation) -> bool:
        if answer.state != "submitted" or answer.purpose not in SECOND_LOOKS:
            return False
        return not settles(answer, newest_answers(list(self._workspace.annotations(answer.image_id))))

    def _shown(self, task: Task) -> dict[str, Annotation]:
        """The earlier answers that a second look shows, as they were when it was sent."""
        letters = {ids: letter for letter, ids in task.data.answer_ids.items()}
        if not letters:
            return {}
        stored = self._workspace.annotations(task.data.image_id)
        shown = {(answer.annotation_id, answer.updated_at): answer for answer in stored}
        return {letter: shown[ids] for ids, letter in letters.items() if ids in shown}

    def _decision(self, answer: Annotation) -> Decision | None:
        """The decision that the photo's answers now make; None if the answer does not change it."""
        before = self._workspace.decision(answer.image_id)
        self._before.setdefault(answer.image_id, before)
        stored = list(self._workspace.annotations(answer.image_id))
        return news_of(before, answer, stored, awaited=self._holdings.awaited(answer.image_id, [*stored, answer]))

    def _decide_waiting(self) -> None:
        """Decide photos that waited for the answer of somebody who has left, or count them as waiting."""
        decided = self._workspace.decisions()
        for image_id in sorted(self._holdings.states.keys() - decided.keys() - self.barred):
            with self._workspace.writing():
                answers = list(self._workspace.annotations(image_id))
                decision = decide(image_id, answers, awaited=self._holdings.awaited(image_id, answers))
                if decision is not None and self._workspace.decision(image_id) is None:
                    self._before.setdefault(image_id, None)
                    self._workspace.decide(decision)
            self.report.waiting += decision is None and decide(image_id, answers) is not None

    def _answers(
        self, task: Task, notes: Sequence[StudioProject], kind: str
    ) -> Iterator[tuple[Annotation, Counter[str]]]:
        """The answers of a task that can be read, and what was passed over in each; the others are noted as faults."""
        image_id = task.data.image_id
        # Exports may name drafts by number alone.
        entries = getattr(task, kind) or []
        answers = [answer for answer in entries if isinstance(answer, dict)]
        if kind == "annotations" and len(answers) < len(entries):
            self.report.passed_over["entries that are no answers"] += len(entries) - len(answers)
        link = self._client.task_address(notes[-1].project, task.id) if self._client else f"task {task.id}"
        image = self._workspace.image(image_id)
        if image is None:
            if answers:
                self.strangers.append(
                    Fault(
                        where="Label Studio",
                        record=link,
                        expected="a photo of this workspace",
                        got=f"image_id {image_id[:64]!r}",
                        remedy="it was forgotten here, or the task was not made here",
                    )
                )
            return
        proposals = self._workspace.proposals(image_id)
        proposal = next((proposal for proposal in proposals if proposal.proposal_id == task.data.proposal_id), None)
        for answer in answers:
            try:
                given = parse_answer(answer, image_id)
                note = _note_of(given.updated_at, notes)
                accepted = self._accepted(task, note)
                context = AnswerContext(
                    image=image,
                    proposal=proposal if accepted is None else _as_proposal(accepted),
                    schema=AttributeSchema.model_validate_json(note.attribute_schema),
                    purpose=self._purpose(note, task),
                    pseudonyms=self._pseudonyms,
                    shown=self._shown(task),
                )
                read = read_answer(given, context, draft=kind == "drafts")
                yield (read if accepted is None else extend_answer(read, accepted)), context.passed_over
            except DataError as error:
                self.faults += named_faults(error.faults, image, link)

    def _accepted(self, task: Task, note: StudioProject) -> Annotation | None:
        """The newest state of the answer that a task about added attributes shows; None for other tasks.

        Raises:
            DataError: if it is not there.
        """
        if note.purpose != "new_attributes":
            return None
        stored = self._workspace.annotations(task.data.image_id)
        accepted = newest_state([answer for answer in stored if OBJECT in answer.masks], task.data.answer_id)
        if accepted is None:
            raise DataError.single(
                "Label Studio",
                task.data.image_id,
                expected="a task that shows an accepted answer of this workspace",
                got=f"answer_id {task.data.answer_id[:64]!r}",
            )
        return accepted

    def _purpose(self, note: StudioProject, task: Task) -> Purpose:
        if (note.project, task.data.image_id) in self._holdings.honeypots:
            return "honeypot"
        return "authors_look" if note.purpose == "second_look" and task.data.by_authors else note.purpose


def _as_proposal(accepted: Annotation) -> ProposalRecord:
    """An accepted mask as what an answer began from."""
    return ProposalRecord(
        proposal_id=accepted.proposal_id,
        run_id="",
        image_id=accepted.image_id,
        rle=accepted.masks[OBJECT],
        score=1.0,
        stability=1.0,
        rank=0,
        prompt="",
        segmenter="",
        checkpoint_sha256="",
    )


def _by_photo(given: Sequence[Given]) -> Mapping[str, list[Given]]:
    photos: dict[str, list[Given]] = defaultdict(list)
    for task, notes in given:
        photos[task.data.image_id].append((task, notes))
    return photos


def _note_of(given: str, notes: Sequence[StudioProject]) -> StudioProject:
    """The page that an answer of that time was given on: the newest that is not younger than the answer."""
    older = (note for note in reversed(notes) if note.since and read_time(note.since) <= given)
    return next(older, notes[0])
