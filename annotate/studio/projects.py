"""Projects on a server: one for each annotator and purpose, made once, kept in step with the attribute schema."""

from __future__ import annotations

from datetime import UTC, datetime

from figureground.annotate.studio.client import StudioClient
from figureground.annotate.studio.home import StudioHome
from figureground.errors import UsageError
from figureground.schemas.attributes import AttributeSchema, compare_schemas, load_attribute_schema
from figureground.schemas.pages.labeling import labeling_configuration
from figureground.schemas.records import Purpose, StudioProject, content_id
from figureground.schemas.store.workspace import Workspace


def open_project(
    workspace: Workspace,
    client: StudioClient,
    home: StudioHome,
    schema: AttributeSchema,
    *,
    annotator: str,
    purpose: Purpose = "first_look",
    destructive: bool = False,
) -> int:
    """The project of an annotator, made or brought up to date; returns its id.

    A schema that adds or renames attributes changes the page in place (a renamed one keeps its old name as the alias
    under which answers are stored). One that drops some gets a project of its own, so that what was answered stays.

    Raises:
        UsageError: for other attributes under the same version, or a destructive change without ``destructive``.
    """
    server = client.connection.server
    for known in reversed([notes[-1] for notes in workspace.studio_projects(server).values()]):
        if (known.annotator, known.purpose) != (annotator, purpose) or client.project(known.project) is None:
            continue
        before = AttributeSchema.model_validate_json(known.attribute_schema)
        if before.name != schema.name:
            continue
        if before == schema:
            return known.project
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
        client.set_config(known.project, labeling_configuration(schema, purpose=purpose))
        _note(workspace, client, known.project, known.title, schema, annotator, purpose)
        return known.project
    return _make(workspace, client, home, schema, annotator, purpose)


def pushed_schema(workspace: Workspace, client: StudioClient) -> AttributeSchema:
    """The schema that was pushed last, or the one that asks for the object mask alone.

    A workspace that asked for attributes goes on asking for them without being told each time.
    """
    notes = [note for each in workspace.studio_projects(client.connection.server).values() for note in each]
    if not notes:
        return load_attribute_schema("none")
    return AttributeSchema.model_validate_json(max(notes, key=lambda note: note.since).attribute_schema)


def _make(
    workspace: Workspace,
    client: StudioClient,
    home: StudioHome,
    schema: AttributeSchema,
    annotator: str,
    purpose: Purpose,
) -> int:
    """Make a project, or take up one that was made when the last run was killed before it could note it."""
    title = " - ".join(filter(None, [workspace.root.resolve().name, purpose.replace("_", " "), annotator, schema.name]))
    mark = f"figureground {content_id(client.connection.key, title, schema.label)}"
    noted = workspace.studio_projects(client.connection.server)
    found = [each for each in client.projects_described(mark) if each not in noted]
    project = (
        found[0] if found else client.create_project(title[:50], labeling_configuration(schema, purpose=purpose), mark)
    )
    if client.connection.ours:
        client.serve_folder(project, home.served)
    _note(workspace, client, project, title, schema, annotator, purpose)
    return project


def _note(
    workspace: Workspace,
    client: StudioClient,
    project: int,
    title: str,
    schema: AttributeSchema,
    annotator: str,
    purpose: Purpose,
) -> None:
    workspace.add_studio_project(
        StudioProject(
            server=client.connection.server,
            project=project,
            title=title,
            annotator=annotator,
            purpose=purpose,
            attribute_schema=schema.model_dump_json(),
            since=datetime.now(UTC).isoformat(),
        )
    )
