"""Projects on a server: one for each annotator and purpose, made once, kept in step with the attribute schema."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence, Set
from dataclasses import dataclass, field
from datetime import UTC
from typing import Final
from xml.etree import ElementTree as xml

from figureground.annotate.studio.client import StudioClient
from figureground.annotate.studio.home import StudioHome
from figureground.annotate.studio.requests import RefusedError
from figureground.errors import UsageError
from figureground.schemas.attributes import AttributeSchema, compare_schemas, load_attribute_schema
from figureground.schemas.pages.labeling import annotators_instructions, labeling_configuration
from figureground.schemas.records import Purpose, StudioProject, content_id
from figureground.schemas.store.workspace import Workspace

MODEL_VERSION: Final = "figureground"
"""Version of every prediction that we send, and of every project of ours: people would not see the others in the stream
of tasks (``StudioClient.show_predictions``). The segmenter stands in the task's data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectOwner:
    """On whose behalf projects are opened: a workspace, and the server that shows its photos."""

    workspace: Workspace
    """Notes which projects there are."""
    client: StudioClient
    home: StudioHome
    """Holds the served copies that a server of ours may read."""
    notices: list[str] = field(default_factory=list)
    """Lines for the maintainer: what was found changed on the server, and was mended."""


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

    A schema that adds or renames attributes changes the page in place (a part that was renamed is shown under its old
    name where it was painted). One that drops some gets a project of its own, so that what was answered stays; so do
    second looks of an older figureground that do not take the page of today.

    Args:
        owner: The workspace and the server.
        request: Which project.
        destructive: Allow a schema that no longer asks what was asked before.

    Raises:
        UsageError: for other attributes under the same version, or a destructive change without ``destructive``.
    """
    client, workspace, schema = owner.client, owner.workspace, request.schema
    newest = [notes[-1] for notes in workspace.studio_projects(client.connection.server).values()]
    for note in reversed(newest):
        if (note.annotator, note.purpose) != (request.annotator, request.purpose):
            continue
        before = AttributeSchema.model_validate_json(note.attribute_schema)
        # Questions that were added belong to a project of their own, with a page that asks nothing else.
        if before.name != schema.name or (request.purpose == "new_attributes" and before != schema):
            continue
        state = client.project(note.project)
        if state is None:
            workspace.note_studio_presence(client.connection.server, note.project, present=False)
            owner.notices.append(f"{note.title} (project {note.project}) was deleted in Label Studio; it is made anew")
            continue
        if before == schema:
            if _restore(owner, request, note, str(state["label_config"])):
                return note.project
            break
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
        if not _give_page(owner, request, note):
            break
        _note(owner, request, note.project, note.title)
        _show_predictions(owner, note.project, note.title)
        return note.project
    return _make(owner, request)


def newest_projects(workspace: Workspace, server: str, purpose: Purpose) -> dict[str, int]:
    """The project that each annotator was given last, by the annotator's name; those that were deleted are left out."""
    newest: dict[str, StudioProject] = {}
    for notes in workspace.studio_projects(server).values():
        note = notes[-1]
        if note.purpose == purpose and (note.annotator not in newest or newest[note.annotator].since <= note.since):
            newest[note.annotator] = note
    return {name: note.project for name, note in sorted(newest.items())}


def _restore(owner: ProjectOwner, request: ProjectRequest, note: StudioProject, config: str) -> bool:
    """Give a project our page again where it has another one, and let it show all its machine masks.

    Returns:
        Whether it has the page now.
    """
    if not _same_page(config, request.page):
        if not _give_page(owner, request, note):
            return False
        owner.notices.append(f"the page of {note.title} (project {note.project}) had been changed; it is restored")
    _show_predictions(owner, note.project, note.title)
    return True


def _give_page(owner: ProjectOwner, request: ProjectRequest, note: StudioProject) -> bool:
    """Give a project a page; False where second looks of an older one do not take it."""
    try:
        owner.client.set_config(note.project, request.page, instruction=annotators_instructions())
    except RefusedError:
        if request.purpose != "second_look":
            raise
        owner.notices.append(
            f"{note.title} (project {note.project}) is of an older figureground, and does not take the page of today; "
            "second looks go on in a project made anew, and what was answered there is still pulled"
        )
        return False
    return True


def _show_predictions(owner: ProjectOwner, project: int, title: str) -> None:
    if mended := owner.client.show_predictions(project, MODEL_VERSION):
        owner.notices.append(
            f"{title} (project {project}): {mended} tasks would have opened without their mask; mended"
        )


def _same_page(one: str, other: str) -> bool:
    try:
        return xml.canonicalize(one, strip_text=True) == xml.canonicalize(other, strip_text=True)
    except xml.ParseError:
        return False


def pushed_schema(workspace: Workspace, client: StudioClient) -> AttributeSchema:
    """The schema that was pushed last, or the one that asks for the object mask alone.

    A workspace that asked for attributes goes on asking for them without naming them each time.
    """
    by_project = workspace.studio_projects(client.connection.server)
    every = [note for project_notes in by_project.values() for note in project_notes]
    notes = [note for note in every if note.purpose != "new_attributes"]  # those ask for a part of a schema
    if not notes:
        return load_attribute_schema("none")
    newest = max(reversed(notes), key=lambda note: note.since)  # of two in one second, that of the later project
    return AttributeSchema.model_validate_json(newest.attribute_schema)


def _make(owner: ProjectOwner, request: ProjectRequest) -> int:
    """Make a project, or take up one that was made when the last run was killed before it could note it."""
    client, workspace, schema = owner.client, owner.workspace, request.schema
    added = "+".join(schema.names()) if request.purpose == "new_attributes" else ""
    parts = [workspace.root.resolve().name, request.purpose.replace("_", " "), added, request.annotator, schema.name]
    title = " - ".join(filter(None, parts))
    mark = f"figureground {content_id(client.connection.key, title, schema.label)}"
    noted = workspace.studio_projects(client.connection.server)
    unnoted = [project for project in client.projects_described(mark) if project not in noted]
    if unnoted:
        project = unnoted[0]
    else:
        project = client.create_project(
            title[:50], request.page, mark, instruction=annotators_instructions(), model_version=MODEL_VERSION
        )
    delete_empty_doubles(client, mark, {project, *noted})
    if client.connection.ours:
        client.serve_folder(project, owner.home.served)
    _note(owner, request, project, title)
    if unnoted:
        _show_predictions(owner, project, title)
    return project


def delete_empty_doubles(client: StudioClient, mark: str, known: Set[int]) -> None:
    """Delete projects of a mark without tasks but for those that are known.

    A command that was killed had asked for them, and the server made them when the next command had asked anew.
    """
    for project in client.projects_described(mark):
        if project not in known and (client.project(project) or {}).get("task_number") == 0:
            client.delete_project(project)


def delete_doubled_tasks(
    client: StudioClient,
    project: int,
    tasks: Sequence[tuple[str, int]],
    *,
    known: Collection[int] = (),
    anew: bool = False,
) -> list[tuple[str, int]]:
    """Delete tasks that show what another task of the project shows, and that nobody has answered, skipped or begun.

    They come from a command that was killed while the server was taking in what it had sent: the next one did not see
    them, and sent it again. One that is known stays, else the first, and whatever somebody has begun.

    Args:
        client: The server.
        project: The project.
        tasks: What each of its tasks shows, and its number, as the server lists them.
        known: Tasks that the workspace notes.
        anew: Whether what was answered may be asked again: then an untouched task beside an answered one stays, too.

    Returns:
        The tasks that are left.
    """
    by_photo: dict[str, list[int]] = defaultdict(list)
    for image_id, task in sorted(tasks, key=lambda entry: (entry[1] not in known, entry[1])):
        by_photo[image_id].append(task)
    several = [numbers for numbers in by_photo.values() if len(numbers) > 1]
    if not several:
        return list(tasks)
    untouched = client.untouched_tasks(project, [task for numbers in several for task in numbers])
    doubled: list[int] = []
    for numbers in several:
        free = [task for task in numbers if task in untouched]
        doubled += free[1:] if anew or len(free) == len(numbers) else free
    gone = client.delete_untouched(project, doubled)
    return [(image_id, task) for image_id, task in tasks if task not in gone]


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
            since=owner.client.clock().astimezone(UTC).isoformat(),  # by which answers are dated
        )
    )
