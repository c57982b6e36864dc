"""Projects on a server: one for each annotator and purpose, made once, kept in step with the attribute schema."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from figureground.annotate.studio.client import StudioClient
from figureground.annotate.studio.home import StudioHome
from figureground.errors import UsageError
from figureground.schemas.attributes import AttributeSchema, compare_schemas, load_attribute_schema
from figureground.schemas.pages.labeling import annotators_instructions, labeling_configuration
from figureground.schemas.records import Purpose, StudioProject, content_id
from figureground.schemas.store.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectOwner:
    """On whose behalf projects are opened: a workspace, and the server that shows its photos."""

    workspace: Workspace
    """Notes which projects there are."""
    client: StudioClient
    home: StudioHome
    """Holds the served copies that a server of ours may read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectRequest:
    """Which project is asked for."""

    schema: AttributeSchema
    """What its page asks."""
    annotator: str = ""
    """Whose it is; empty for one that anybody answers in."""
    purpose: Purpose = "first_look"

    @property
    def page(self) -> str:
        """XML of its page."""
        return labeling_configuration(self.schema, purpose=self.purpose)


def open_project(owner: ProjectOwner, request: ProjectRequest, *, destructive: bool = False) -> int:
    """The project of an annotator, made or brought up to date; returns its id.

    A schema that adds or renames attributes changes the page in place (a renamed one keeps its old name as the alias
    under which answers are stored). One that drops some gets a project of its own, so that what was answered stays.

    Args:
        owner: The workspace and the server.
        request: Which project.
        destructive: Allow a schema that no longer asks what was asked before.

    Raises:
        UsageError: for other attributes under the same version, or a destructive change without ``destructive``.
    """
    client, schema = owner.client, request.schema
    newest = [notes[-1] for notes in owner.workspace.studio_projects(client.connection.server).values()]
    for note in reversed(newest):
        if (note.annotator, note.purpose) != (request.annotator, request.purpose):
            continue
        before = AttributeSchema.model_validate_json(note.attribute_schema)
        state = client.project(note.project) if before.name == schema.name else None
        if state is None:
            continue
        if before == schema:
            # An earlier version of ours made it, or somebody edited it by hand.
            if state.get("label_config") != request.page:
                client.set_config(note.project, request.page, instruction=annotators_instructions())
            return note.project
        change = compare_schemas(before, schema)
        if before.version == schema.version and change.kind != "same":
            raise UsageError(f"{schema.label} was pushed with other attributes ({change}); give it a new version")
        if change.kind == "destructive":
            if not destructive:
                raise UsageError(
                    f"{before.label} to {schema.label} is {change}; say --allow-destructive to ask the new questions "
                    f"in new projects (what was answered stays)"
                )
            break
        client.set_config(note.project, request.page, instruction=annotators_instructions())
        _note(owner, request, note.project, note.title)
        return note.project
    return _make(owner, request)


def pushed_schema(workspace: Workspace, client: StudioClient) -> AttributeSchema:
    """The schema that was pushed last, or the one that asks for the object mask alone.

    A workspace that asked for attributes goes on asking for them without naming them each time.
    """
    by_project = workspace.studio_projects(client.connection.server)
    notes = [note for project_notes in by_project.values() for note in project_notes]
    if not notes:
        return load_attribute_schema("none")
    return AttributeSchema.model_validate_json(max(notes, key=lambda note: note.since).attribute_schema)


def _make(owner: ProjectOwner, request: ProjectRequest) -> int:
    """Make a project, or take up one that was made when the last run was killed before it could note it."""
    client, workspace, schema = owner.client, owner.workspace, request.schema
    parts = [workspace.root.resolve().name, request.purpose.replace("_", " "), request.annotator, schema.name]
    title = " - ".join(filter(None, parts))
    mark = f"figureground {content_id(client.connection.key, title, schema.label)}"
    noted = workspace.studio_projects(client.connection.server)
    unnoted = [project for project in client.projects_described(mark) if project not in noted]
    if unnoted:
        project = unnoted[0]
    else:
        project = client.create_project(title[:50], request.page, mark, instruction=annotators_instructions())
    if client.connection.ours:
        client.serve_folder(project, owner.home.served)
    _note(owner, request, project, title)
    return project


def _note(owner: ProjectOwner, request: ProjectRequest, project: int, title: str) -> None:
    """Remember a project, and the page that it has from now on."""
    owner.workspace.add_studio_project(
        StudioProject(
            server=owner.client.connection.server,
            project=project,
            title=title,
            annotator=request.annotator,
            purpose=request.purpose,
            attribute_schema=request.schema.model_dump_json(),
            since=datetime.now(UTC).isoformat(),
        )
    )
