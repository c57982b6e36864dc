"""Attributes that were added after photos were decided: asked alone, on a page that shows the accepted mask."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from figureground.annotate.decisions import accepted_state
from figureground.annotate.studio.client import StudioClient
from figureground.annotate.studio.home import StudioHome
from figureground.annotate.studio.people.assignment import Holders, choose, nobody_is_left
from figureground.annotate.studio.people.team import EVERYBODY, remembered_team
from figureground.annotate.studio.projects import MODEL_VERSION, ProjectOwner, ProjectRequest, open_project
from figureground.annotate.studio.push import Batch, PushReport, reconcile, send_batch, send_queues
from figureground.annotate.studio.regions import share_out
from figureground.annotate.studio.served import ServedView
from figureground.annotate.studio.tasks import Json, TaskSource, make_task, mask_region
from figureground.errors import UsageError
from figureground.runtime.progress import Progress
from figureground.schemas.attributes import OBJECT, AttributeSchema
from figureground.schemas.pages.labeling import FLAGS_CONTROL, IMAGE_CONTROL
from figureground.schemas.rasters.masks import CocoRle, Mask, decode_coco_rle
from figureground.schemas.records import Annotation, AnswerState, ImageRecord, StudioTeam, content_id
from figureground.schemas.sources.names import photo_name
from figureground.schemas.store.workspace import Workspace


def push_new_attributes(
    workspace: Workspace,
    client: StudioClient,
    schema: AttributeSchema,
    asked: Sequence[str],
    *,
    progress: Progress = lambda *_: None,
) -> PushReport:
    """Send accepted photos whose answer knows nothing of some attributes, to be asked those alone, once each.

    A photo whose accepted answer has changed since it was asked is sent again.

    Args:
        workspace: Knows what is accepted.
        client: The server.
        schema: A schema with the attributes.
        asked: Their names; or ``name@version`` of the schema for all of them.
        progress: Called with (stage, done, total).

    Raises:
        UsageError: if the schema has no such attribute.
        DataError: at the end, with every photo that could not be read; the others were sent.
        ServiceError: if the server fails; run again to resume.
    """
    part, server = part_of(schema, asked), client.connection.server
    home = StudioHome.of(workspace.root)
    owner = ProjectOwner(workspace=workspace, client=client, home=home)
    team = remembered_team(workspace, server) or StudioTeam(annotators=(EVERYBODY,))
    report = PushReport(notices=owner.notices)
    lacking = list(lacking_photos(workspace, part))
    for name in team.annotators if lacking else ():
        request = ProjectRequest(schema=part, annotator=name, purpose="new_attributes")
        report.projects[name] = open_project(owner, request)
    asking = _Asking.of(workspace, client, team, report.projects)
    queues = asking.queues(lacking, report)
    batches = {
        name: Batch(
            workspace=workspace, client=client, home=home, project=project, schema=part, purpose="new_attributes"
        )
        for name, project in report.projects.items()
    }
    send = partial(send_batch, proposals={}, make=partial(_task, workspace))
    return send_queues(queues, batches, report, send, partial(progress, "ask"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asking:
    """The people whom photos were sent to for these attributes."""

    team: StudioTeam
    projects: Mapping[str, int]
    shown: Mapping[str, Mapping[str, int]]
    """Annotator to the number of tasks of each photo in their project."""
    states: dict[tuple[int, str], dict[str, AnswerState]] = field(default_factory=dict)
    """(project, image_id) to the state of each answer."""

    @classmethod
    def of(cls, workspace: Workspace, client: StudioClient, team: StudioTeam, projects: Mapping[str, int]) -> _Asking:
        """What server and workspace know of the projects."""
        server, shown = client.connection.server, {}
        for name, project in projects.items():
            reconcile(workspace, client, project, anew=True)
            shown[name] = workspace.studio_task_counts(server, project)
        asking = cls(team=team, projects=projects, shown=shown)
        for project, image_id, annotation_id, state in workspace.studio_answers(server):
            asking.states.setdefault((project, image_id), {})[annotation_id] = state
        return asking

    def holders(self, image_id: str) -> Holders:
        """Those who have a photo, and those who skipped it; who answered may be asked again."""
        states = {
            name: [state for state in self.states.get((number, image_id), {}).values() if state != "draft"]
            for name, number in self.projects.items()
        }
        have = {name for name, counts in self.shown.items() if counts.get(image_id, 0) > len(states[name])}
        skipped = {name for name, given in states.items() if "skipped" in given and "submitted" not in given}
        return Holders(open=have, skipped=skipped - have)

    def queues(self, photos: Iterable[ImageRecord], report: PushReport) -> dict[str, list[ImageRecord]]:
        """Photos to send by annotator; what is there, or was skipped by all, is noted in the report."""
        queues: dict[str, list[ImageRecord]] = {name: [] for name in self.projects}
        for photo in photos:
            holders = self.holders(photo.image_id)
            report.already_there += len(holders.open)
            if nobody_is_left(self.team, holders):
                report.skipped_by_all.append(photo_name(photo.source, photo.uri))
            for name in choose(photo.image_id, self.team, holders):
                queues[name].append(photo)
        return queues


def part_of(schema: AttributeSchema, asked: Sequence[str]) -> AttributeSchema:
    """A schema with some of its attributes alone.

    Raises:
        UsageError: if it has no such attribute.
    """
    names = set(schema.names()) if schema.label in asked else set(asked)
    if strange := sorted(names - set(schema.names())):
        raise UsageError(
            f"{schema.label} has no attribute {', '.join(strange)}; it has {', '.join(schema.names()) or 'none'}. Name "
            "the schema that has it with --attributes"
        )
    return schema.model_copy(update={"attributes": tuple(a for a in schema.attributes if a.name in names)})


def lacking_photos(workspace: Workspace, part: AttributeSchema) -> Iterator[ImageRecord]:
    """Accepted photos whose answer was never asked all of some attributes, sorted by image_id."""
    for image in workspace.images():
        answer = accepted_answer(workspace, image.image_id)
        if answer is not None and any(
            not {attribute.name, attribute.was} & answer.attributes.keys() for attribute in part.attributes
        ):
            yield image


def accepted_answer(workspace: Workspace, image_id: str) -> Annotation | None:
    """The newest state of the answer that was accepted for a photo; None without one, or without a mask."""
    return accepted_state(list(workspace.annotations(image_id)), workspace.decision(image_id))


def _task(workspace: Workspace, source: TaskSource) -> Json:
    """A task that shows an accepted mask, to be kept."""
    task, answer = make_task(source), accepted_answer(workspace, source.record.image_id)
    if answer is not None:
        task["data"]["answer_id"] = answer.annotation_id
        task["predictions"] = [{"model_version": MODEL_VERSION, "result": kept_regions(source.record, answer)}]
    return task


def kept_regions(image: ImageRecord, answer: Annotation) -> list[Json]:
    """The object of an answer as regions, one for each of several objects, and its flags."""
    view = ServedView.of(image)

    def served(rle: CocoRle) -> Mask:
        return view.to_served(decode_coco_rle(rle, size_hw=image.size_hw, record=image.image_id))

    union = served(answer.masks[OBJECT])
    several = answer.instances and union.any()
    masks = share_out(union, [served(rle) for rle in answer.instances]) if several else [union]
    regions = [
        {
            **mask_region(mask, region_id=content_id(answer.annotation_id, str(number)), label=OBJECT),
            "origin": "prediction",
        }
        for number, mask in enumerate(masks)
    ]
    if answer.flags:
        flags = {"id": content_id(answer.annotation_id, FLAGS_CONTROL), "type": "choices", "from_name": FLAGS_CONTROL}
        regions.append({**flags, "to_name": IMAGE_CONTROL, "value": {"choices": list(answer.flags)}})
    return regions


def extend_answer(answer: Annotation, accepted: Annotation) -> Annotation:
    """An answer about added attributes, with all that the accepted answer says of the others.

    The accepted mask stays as it is, pixel for pixel, unless it was painted on.

    Args:
        answer: As it was read against the accepted mask: ``changed_px`` counts from that.
        accepted: The accepted answer that the task showed.
    """
    if answer.state != "submitted":
        return answer
    parts = {name: mask for name, mask in accepted.masks.items() if name != OBJECT and name not in answer.attributes}
    untouched = answer.changed_px == 0
    return replace(
        answer,
        masks=dict(sorted({**parts, **answer.masks}.items())),
        instances=accepted.instances if untouched and accepted.instances else answer.instances,
        attributes={**accepted.attributes, **answer.attributes},
        visibility={**accepted.visibility, **answer.visibility},
        note="\n".join(filter(None, [accepted.note, answer.note])),
        tool=accepted.tool if untouched else answer.tool,
        proposal_id=accepted.proposal_id,
        edit_iou=accepted.edit_iou if untouched else None,
        changed_px=accepted.changed_px if untouched else None,
    )
