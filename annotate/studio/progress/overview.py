"""The report of ``studio status``: the server, its projects, what waits for whom, and what to type next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from figureground.annotate.studio.accounts import accounts
from figureground.annotate.studio.answer_json import read_time
from figureground.annotate.studio.client import StudioClient
from figureground.annotate.studio.home import StudioHome
from figureground.annotate.studio.progress.click_times import ClickTimes, read_click_times
from figureground.annotate.studio.progress.waiting import Waiting, count_answers, find_waiting
from figureground.annotate.studio.pseudonyms import names_of_pseudonyms
from figureground.annotate.studio.server import ServerStatus, server_status
from figureground.console import count_text, counts_text, table_text
from figureground.errors import shell_word
from figureground.schemas.attributes import AttributeSchema
from figureground.schemas.records import StudioProject
from figureground.schemas.store.workspace import Workspace

_UNKNOWN = "?"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectState:
    """How far one project is; None where the server does not answer."""

    project: int
    title: str
    annotator: str
    """Whose it is; empty where anybody answers."""
    purpose: str
    attributes: str
    """``name@version``."""
    tasks: int
    """Photos that it shows."""
    answered: int | None
    """Tasks with a submitted answer on the server."""
    skipped: int | None
    """Tasks that were skipped and not answered."""
    begun: int | None
    """Tasks of which somebody has a draft."""
    unpulled: int | None
    """Tasks that were answered or skipped since the last pull."""
    deleted: bool = False
    """Whether it is in Label Studio no more."""

    @property
    def open(self) -> int | None:
        """Tasks that were neither answered nor skipped."""
        if self.answered is None or self.skipped is None:
            return None
        return max(0, self.tasks - self.answered - self.skipped)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The state of a workspace's Label Studio."""

    server: ServerStatus
    backend: str | None
    """Address of the interactive SAM; None if it does not run."""
    click_times: ClickTimes
    """How long people waited for its masks."""
    accounts: tuple[str, ...]
    projects: tuple[ProjectState, ...]
    answers: Mapping[str, int]
    """Answers pulled so far, by state: for each photo and person the newest."""
    decisions: Mapping[str, int]
    waiting: Waiting
    next_commands: tuple[str, ...]
    """What to type next, most urgent first, each with the reason."""

    def __str__(self) -> str:
        """Some lines for people."""
        server = self.server
        lines = [" ".join(filter(None, ["Label Studio", server.version, server.state, "at", server.url]))]
        lines.append(f"interactive SAM: {self.backend or 'not running'}")
        if waits := str(self.click_times):
            lines.append(f"its answers: {waits}")
        if self.accounts:
            lines.append(f"accounts: {', '.join(self.accounts)} (passwords: studio/accounts.json)")
        if self.projects:
            lines += ["", _project_table(self.projects)]
        pulled = f"pulled: {counts_text(dict(sorted(self.answers.items())))}"
        lines += ["", f"{pulled}; decisions: {counts_text(dict(sorted(self.decisions.items())))}"]
        lines += self.waiting.lines()
        lines += ["", "next:", *(f"  {command}" for command in self.next_commands)]
        return "\n".join(lines)


def _project_table(projects: tuple[ProjectState, ...]) -> str:
    rows = [["project", "photos", "open", "answered", "skipped", "begun", "not pulled", "attributes"]]
    for state in projects:
        figures = (state.open, state.answered, state.skipped, state.begun, state.unpulled)
        cells = [_UNKNOWN if figure is None else str(figure) for figure in figures]
        title = f"{state.title} (deleted in Label Studio)" if state.deleted else state.title
        rows.append([title, str(state.tasks), *cells, state.attributes])
    return table_text(rows)


def overview(workspace: Workspace, home: StudioHome, server: ServerStatus, *, backend: str | None) -> Overview:
    """Gather the state of everything; a server that does not answer is part of it, no error."""
    connection = home.require_connection()
    client = StudioClient(connection, patient=False) if server.state == "running" else None
    notes = {project: own[-1] for project, own in workspace.studio_projects(connection.server).items()}
    projects = tuple(_project_state(workspace, client, note) for note in notes.values())
    waiting = find_waiting(workspace, connection.server)
    decisions = Counter(str(decision.state) for decision in workspace.newest_decisions())
    return Overview(
        server=server,
        backend=backend,
        click_times=read_click_times(home.click_times),
        accounts=tuple(sorted(accounts(home))),
        projects=projects,
        answers={str(state): count for state, count in count_answers(workspace).items()},
        decisions=decisions,
        waiting=waiting,
        next_commands=tuple(_next_commands(workspace.root, server, projects, waiting, decisions)),
    )


def annotator_names(home: StudioHome) -> dict[str, str]:
    """Pseudonym to name, of everybody whom the server knows; empty where it does not answer."""
    if home.connection() is None or server_status(home).state != "running":
        return {}
    client = StudioClient(home.require_connection(), patient=False)
    addresses = {user.id: user.email for user in client.users()}
    return names_of_pseudonyms(home, client.connection.server, addresses)


def _project_state(workspace: Workspace, client: StudioClient | None, note: StudioProject) -> ProjectState:
    shown = workspace.studio_tasks(note.server, note.project)
    there = client is not None and client.project(note.project) is not None
    answered = skipped = begun = unpulled = None
    if client is not None and there:
        answered, skipped = (client.count_tasks(note.project, state) for state in ("answered", "skipped"))
        begun = client.count_tasks(note.project, "begun")
        unpulled = _count_unpulled(workspace, client, note) if answered or skipped else 0
    return ProjectState(
        project=note.project,
        title=note.title,
        annotator=note.annotator,
        purpose=note.purpose,
        attributes=AttributeSchema.model_validate_json(note.attribute_schema).label,
        tasks=len(shown),
        answered=answered,
        skipped=skipped,
        begun=begun,
        unpulled=unpulled,
        deleted=client is not None and not there,
    )


def _count_unpulled(workspace: Workspace, client: StudioClient, note: StudioProject) -> int:
    """Tasks with an answer that is newer than what was pulled; pull looks at the last seconds before it twice."""
    since = workspace.studio_cursor(note.server, note.project)
    count = 0
    for page in client.changed_tasks(note.project, since):
        for task in page:  # few: only those that changed since the last pull
            known = {answer.updated_at for answer in workspace.annotations(str(task["data"].get("image_id", "")))}
            count += any(read_time(answer["updated_at"]) not in known for answer in task["annotations"])
    return count


def _next_commands(
    root: Path, server: ServerStatus, projects: tuple[ProjectState, ...], waiting: Waiting, decisions: Mapping[str, int]
) -> Iterator[str]:
    studio, work = "figureground studio", f"-w {shell_word(root)}"
    if server.state != "running":
        yield f"{studio} up {work}  (Label Studio: {server.state})"
    if unpulled := sum(state.unpulled or 0 for state in projects):
        yield f"{studio} pull {work}  ({count_text(unpulled, 'task')} answered or skipped since the last pull)"
    if waiting.unsent:
        yield f"{studio} push {work}  ({count_text(waiting.unsent, 'photo')} on nobody's page)"
    if waiting.second_looks_unsent:
        unsent = count_text(waiting.second_looks_unsent, "photo")
        yield f"{studio} push {work} --second-look  ({unsent} in doubt not sent)"
    open_tasks = sum(state.open or 0 for state in projects)
    if open_tasks:
        yield f"nothing to type for {count_text(open_tasks, 'open task')}: people are at work"
    elif decisions.get("accepted"):
        yield f"figureground freeze {work} --version NAME  ({count_text(decisions['accepted'], 'photo')} accepted)"
