"""The report of ``studio status``: the server, its projects, and how far the annotators are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from figureground.annotate.studio.accounts import accounts
from figureground.annotate.studio.client import StudioClient
from figureground.annotate.studio.home import StudioHome
from figureground.annotate.studio.server import ServerStatus
from figureground.schemas.attributes import AttributeSchema
from figureground.schemas.store.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectState:
    """How far one project is."""

    project: int
    title: str
    attributes: str
    """``name@version``."""
    tasks: int
    answered: int | None
    """Tasks with a submitted answer on the server; None if it does not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The state of a workspace's Label Studio."""

    server: ServerStatus
    backend: str | None
    """Address of the interactive SAM; None if it does not run."""
    accounts: tuple[str, ...]
    projects: tuple[ProjectState, ...]
    answers: Mapping[str, int]
    """Answers pulled so far, by state."""
    decisions: Mapping[str, int]

    def __str__(self) -> str:
        """Some lines for people."""
        server = self.server
        lines = [" ".join(filter(None, ["Label Studio", server.version, server.state, "at", server.url]))]
        lines.append(f"interactive SAM: {self.backend or 'not running'}")
        for state in self.projects:
            answered = "?" if state.answered is None else state.answered
            lines.append(f"  {state.title}: {answered} of {state.tasks} answered ({state.attributes})")
        lines.append(f"pulled: {_counts(self.answers)}; decisions: {_counts(self.decisions)}")
        if self.accounts:
            lines.append(f"accounts: {', '.join(self.accounts)} (passwords: studio/accounts.json)")
        return "\n".join(lines)


def overview(workspace: Workspace, home: StudioHome, server: ServerStatus, *, backend: str | None) -> Overview:
    """Gather the state of everything; a server that does not answer is part of it, no error."""
    connection = home.require_connection()
    client = StudioClient(connection, patient=False) if server.state == "running" else None
    projects = []
    for project, notes in workspace.studio_projects(connection.server).items():
        state = client.project(project) if client else None
        schema = AttributeSchema.model_validate_json(notes[-1].attribute_schema)
        projects.append(
            ProjectState(
                project=project,
                title=notes[-1].title,
                attributes=schema.label,
                tasks=len(workspace.studio_tasks(connection.server, project)),
                answered=int(state["num_tasks_with_annotations"]) if state else None,
            )
        )
    return Overview(
        server=server,
        backend=backend,
        accounts=tuple(sorted(accounts(home))),
        projects=tuple(projects),
        answers=dict(Counter(answer.state for answer in workspace.annotations())),
        decisions=dict(Counter(decision.state for decision in workspace.decisions().values())),
    )


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"
