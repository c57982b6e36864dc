"""Push: photos and their machine masks to annotators, each photo to each project once, however often it is run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, Final, Literal

from figureground.annotate.limits import check_limit
from figureground.annotate.photo_states import count_textures, photos_to_annotate
from figureground.annotate.proposals.best import Choice, best_proposals
from figureground.annotate.studio.accounts import ensure_account
from figureground.annotate.studio.client import StudioClient
from figureground.annotate.studio.home import StudioHome
from figureground.annotate.studio.people.assignment import choose, choose_pairs, nobody_is_left
from figureground.annotate.studio.people.holdings import Holdings
from figureground.annotate.studio.people.honeypots import choose_honeypots, known_photos, mix_honeypots
from figureground.annotate.studio.people.moves import (
    answered_by_those_who_left,
    photos_for_newcomers,
    photos_of_those_who_left,
    take_back,
)
from figureground.annotate.studio.people.team import EVERYBODY, TeamChange, change_team, overlap_count, remembered_team
from figureground.annotate.studio.projects import ProjectOwner, ProjectRequest, delete_doubled_tasks, open_project
from figureground.annotate.studio.queues.leaking import leaking_first
from figureground.annotate.studio.queues.order import note_queue
from figureground.annotate.studio.served import serve_copy
from figureground.annotate.studio.tasks import Json, TaskSource, check_tasks, make_task, named_faults, uncertainty
from figureground.errors import DataError, Fault, FigureGroundError, UsageError, shell_word
from figureground.runtime.progress import Progress
from figureground.schemas.attributes import AttributeSchema
from figureground.schemas.pages.labeling import labeling_configuration
from figureground.schemas.records import ImageRecord, ProposalRecord, Purpose
from figureground.schemas.sources.names import photo_name
from figureground.schemas.sources.opening import read_catalogued
from figureground.schemas.store.workspace import Workspace

BATCH: Final = 50
"""Tasks a request: some hundred kilobytes, and little to send again if the server dies."""


First = Literal["doubtful", "sure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PushSettings:
    """Who is asked what about which photos."""

    schema: AttributeSchema
    people: TeamChange = field(default_factory=TeamChange)
    """Changes of who answers; without any, those who were named before are sent what is new."""
    segmenter: str | None = None
    """Whose proposals; needed where several segmenters made some and nothing ranked them."""
    limit: int | None = None
    """Most photos to send, the first in their order."""
    first: First = "doubtful"
    """Which photos come first: those whose machine mask is the least sure, or the surest."""
    leaking: int | None = None
    """How many photos come before them whose machine masks leak most at the rim; None for none."""
    destructive: bool = False
    """Allow a schema that no longer asks what was asked before."""

    def __post_init__(self) -> None:
        """Refuse a limit that lets nothing through; raises ``UsageError``."""
        check_limit(self.limit)


@dataclass(slots=True, kw_only=True)
class PushReport:
    """Counts of one call of ``push``."""

    sent: Counter[str] = field(default_factory=Counter)
    """Annotator to number of new tasks, honeypots among them."""
    already_there: int = 0
    textures: int = 0
    """Photos that are textures, about which nobody is asked."""
    projects: dict[str, int] = field(default_factory=dict)
    """Annotator to project."""
    overlapping: int = 0
    """Photos that two annotators get."""
    moved: Counter[str] = field(default_factory=Counter)
    """Photos that changed hands, by ``ada to cleo``; nobody had begun them."""
    honeypots: Counter[str] = field(default_factory=Counter)
    """Annotator to number of new honeypots."""
    notices: list[str] = field(default_factory=list)
    """Lines for the maintainer: what was mended on the server, and what could not be done."""
    skipped_by_all: list[str] = field(default_factory=list)
    """Photos that everybody skipped, by source and uri."""
    accounts: list[str] = field(default_factory=list)
    """Addresses that annotators log in with, on a server of ours."""
    faults: list[Fault] = field(default_factory=list)
    """Photos that could not be sent."""


def push(
    workspace: Workspace, client: StudioClient, settings: PushSettings, *, progress: Progress = lambda *_: None
) -> PushReport:
    """Send every photo without a decision to its annotators, the most uncertain first, or the surest.

    Photos that a project already shows are not sent to it again: what the server has counts, so a push that was
    killed, or whose server was, goes on where it stopped. Who answers is remembered, so that the next push needs no
    names. What somebody skipped goes to somebody else.

    Raises:
        UsageError: for people or a schema change that are refused.
        DataError: at the end, with every photo that could not be read; the others were sent.
        ServiceError: if the server fails; run again to resume.
    """
    home, server = StudioHome.of(workspace.root), client.connection.server
    owner = ProjectOwner(workspace=workspace, client=client, home=home)
    before = remembered_team(workspace, server)
    team = change_team(before, settings.people)
    proposals = {proposal.image_id: proposal for proposal in best_proposals(workspace, settings.segmenter)}
    photos = photos_to_send(workspace, proposals, settings.first)
    if settings.leaking is not None:
        photos = leaking_first(photos, workspace, settings.leaking)
    report = PushReport(notices=owner.notices, textures=count_textures(workspace))
    if (choice := Choice.of(workspace, settings.segmenter, {photo.image_id for photo in photos})) is not None:
        report.notices.append(str(choice))
    named = [name for name in team.annotators if name != EVERYBODY and client.connection.ours]
    report.accounts += [ensure_account(client, home, name) for name in named]
    if before is None:  # else a first push that is killed below would be remembered as one to a part of them
        workspace.set_studio_team(server, team)
    for name in team.annotators:
        request = ProjectRequest(schema=settings.schema, annotator=name)
        report.projects[name] = open_project(owner, request, destructive=settings.destructive)
    workspace.set_studio_team(server, team)
    shown = {name: set(reconcile(workspace, client, project)) for name, project in report.projects.items()}
    queues = _queues(workspace, client, settings, photos, shown, report)
    queues = _with_honeypots(workspace, client, proposals, queues, shown, report)
    batches = {
        name: Batch(workspace=workspace, client=client, home=home, project=project, schema=settings.schema)
        for name, project in report.projects.items()
    }
    return send_queues(queues, batches, report, partial(send_batch, proposals=proposals), partial(progress, "push"))


def send_queues(
    queues: Mapping[str, Sequence[ImageRecord]],
    batches: Mapping[str, Batch],
    report: PushReport,
    send: Callable[[Batch, Sequence[ImageRecord]], tuple[int, list[Fault]]],
    progress: Callable[[int, int], None],
) -> PushReport:
    """Send every annotator's photos, some at a time; returns the report, with what was sent and what was wrong.

    Args:
        queues: Photos by annotator.
        batches: Where those of an annotator go.
        report: Counts what is sent.
        send: As ``send_batch``.
        progress: Called with (done, total).

    Raises:
        DataError: at the end, with every photo that could not be sent, and the report.
        ServiceError: if the server fails.
    """
    total, done = sum(map(len, queues.values())), 0
    for name, queue in queues.items():
        for start in range(0, len(queue), BATCH):
            part = queue[start : start + BATCH]
            sent, wrong = send(batches[name], part)
            report.faults += wrong
            report.sent[name] += sent
            done += len(part)
            progress(done, total)
    for batch in batches.values():  # what a killed command had sent may have come in meanwhile
        reconcile(batch.workspace, batch.client, batch.project, anew=batch.purpose != "first_look")
    if report.faults:
        raise DataError(report.faults, report)
    return report


def _queues(
    workspace: Workspace,
    client: StudioClient,
    settings: PushSettings,
    photos: Sequence[ImageRecord],
    shown: Mapping[str, Set[str]],
    report: PushReport,
) -> dict[str, list[ImageRecord]]:
    """Photos to send by annotator, after those that change hands were taken back."""
    server = client.connection.server
    holdings = Holdings.of(workspace, server, report.projects)
    known = holdings.sent() | set(holdings.left)
    # What is on its way already is not cut off by a limit.
    asked = [
        photo for rank, photo in enumerate(photos) if rank < (settings.limit or len(photos)) or photo.image_id in known
    ]
    asked_ids = [photo.image_id for photo in asked]
    pairs = _pairs(holdings, asked_ids)
    workspace.add_studio_pairs(server, pairs - holdings.pairs)
    taken = take_back(workspace, client, holdings, photos_of_those_who_left(holdings))
    givers = photos_for_newcomers(holdings, asked_ids, set(settings.people.add), pairs)
    taken |= take_back(workspace, client, holdings, givers)
    if taken:
        holdings = Holdings.of(workspace, server, report.projects)
    for name, image_ids in answered_by_those_who_left(client, holdings, photos_of_those_who_left(holdings)).items():
        for image_id in image_ids:  # to be pulled; nobody else is asked
            holdings.note(holdings.projects[name], image_id, "", "submitted")
    report.overlapping = len(pairs)
    queues: dict[str, list[ImageRecord]] = {name: [] for name in shown}
    for photo in asked:
        holders = holdings.holders(photo.image_id)
        report.already_there += sum(photo.image_id in image_ids for image_ids in shown.values())
        if nobody_is_left(holdings.team, holders):
            report.skipped_by_all.append(photo_name(photo.source, photo.uri))
        for name in choose(photo.image_id, holdings.team, holders, wanted=2 if photo.image_id in pairs else 1):
            queues[name].append(photo)
            if photo.image_id in taken:
                report.moved[f"{taken[photo.image_id] or 'everybody'} to {name}"] += 1
    return queues


def _pairs(holdings: Holdings, asked: Sequence[str]) -> set[str]:
    """Photos that two people get: those of before, and new ones up to the number that is asked for."""
    team = set(holdings.team.annotators)
    before = set(holdings.pairs)
    for image_id in asked:
        holders = holdings.holders(image_id)
        if len(holders.open & team) + len(holders.answered) > 1:
            before.add(image_id)
    if len(team) < 2:
        return before
    wanted = overlap_count(holdings.team.overlap, len(holdings.sent() | set(asked)))
    return before | set(choose_pairs(set(asked) - before, wanted - len(before)))


def _with_honeypots(
    workspace: Workspace,
    client: StudioClient,
    proposals: Mapping[str, ProposalRecord],
    queues: Mapping[str, list[ImageRecord]],
    shown: Mapping[str, Set[str]],
    report: PushReport,
) -> dict[str, list[ImageRecord]]:
    """Queues with the honeypots that are lacking, which are noted before they are sent."""
    server = client.connection.server
    holdings = Holdings.of(workspace, server, report.projects)
    team = holdings.team
    if not team.honeypots and not team.entry_test:
        return dict(queues)
    known = known_photos(workspace, proposals)
    mixed: dict[str, list[ImageRecord]] = {}
    for name, queue in queues.items():
        first = 0 if shown[name] else team.entry_test
        chosen, lacking = choose_honeypots(holdings, name, known, shown=shown[name], wanted=team.honeypots + first)
        if lacking:
            report.notices.append(f"{name or 'everybody'}: {lacking} honeypots are lacking; too few masks are known")
        workspace.add_studio_honeypots(server, report.projects[name], chosen)
        report.honeypots[name] += len(chosen)
        photos = [photo for image_id in chosen if (photo := workspace.image(image_id)) is not None]
        mixed[name] = mix_honeypots(queue, photos, name, first=first)
    return mixed


def photos_to_send(
    workspace: Workspace, proposals: Mapping[str, ProposalRecord], first: First = "doubtful"
) -> list[ImageRecord]:
    """Photos without a decision, the most uncertain first or the surest; textures are none.

    Raises:
        UsageError: if the workspace holds no photos to annotate.
    """
    decided = workspace.decisions()
    photos = [image for image in photos_to_annotate(workspace) if image.image_id not in decided]
    if not photos and not decided:
        catalogue = f"figureground index SOURCE -w {shell_word(workspace.root)}"
        raise UsageError(f"the workspace holds no photos; catalogue some with: {catalogue}")
    sign = -1 if first == "doubtful" else 1
    photos.sort(key=lambda image: (sign * uncertainty(proposals.get(image.image_id)), image.image_id))
    return photos


def reconcile(workspace: Workspace, client: StudioClient, project: int, *, anew: bool = False) -> dict[str, int]:
    """Tasks by image_id as the server has them, noted in the workspace; listed only where the counts differ.

    Photos that are there twice are mended as by ``delete_doubled_tasks``; the project's queue has all of them.
    """
    server = client.connection.server
    known = workspace.studio_tasks(server, project)
    state = client.project(project)
    if state is None or int(state["task_number"]) != len(known):
        listed = client.task_images(project)
        tasks = dict(delete_doubled_tasks(client, project, listed, known=set(known.values()), anew=anew))
        mine = {image_id: task for image_id, task in tasks.items() if workspace.image(image_id) is not None}
        workspace.add_studio_tasks(server, project, mine)
        there = set(tasks.values())
        gone = {image_id: task for image_id, task in known.items() if task not in there}
        workspace.withdraw_studio_tasks(server, project, gone)
        known = mine
    if known:
        note_queue(StudioHome.of(workspace.root).queues, project, known)
    return known


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Where a batch of tasks goes."""

    workspace: Workspace
    client: StudioClient
    home: StudioHome
    project: int
    schema: AttributeSchema
    purpose: Purpose = "first_look"
    uploads: int | None = None
    """The project that takes the copies for a server that does not see this disk; None for ``project`` itself. Label
    Studio refuses files for a page that shows more of a task than one file."""


def send_batch(
    batch: Batch,
    photos: Sequence[ImageRecord],
    proposals: Mapping[str, ProposalRecord],
    make: Callable[[TaskSource], Json] = make_task,
) -> tuple[int, list[Fault]]:
    """Send photos as tasks, leaving out those that cannot be read; returns how many went and what was wrong.

    Tasks that would not show in the page as they should are left out too.

    Raises:
        ServiceError: if the server fails.
    """
    faults: list[Fault] = []
    made: list[TaskSource] = []
    sources = batch.workspace.sources()
    for photo in photos:
        try:
            copy = serve_copy(read_catalogued(photo, sources), photo, batch.home.served)
        except DataError as error:
            faults += named_faults(error.faults, photo)
        except (FigureGroundError, OSError) as error:
            faults.append(Fault(where=photo.source, record=photo.uri, expected="the catalogued photo", got=str(error)))
        else:
            made.append(
                TaskSource(
                    record=photo,
                    proposal=proposals.get(photo.image_id),
                    copy=copy,
                    schema=batch.schema.label,
                    address=copy_address(batch, copy),
                )
            )
    tasks: dict[str, Json] = {}
    interface = label_interface(batch.schema, batch.purpose)
    for source in made:
        task, record = make(source), source.record
        wrong = check_tasks([task], {record.image_id: source.copy}, interface)
        faults += named_faults(wrong, record)
        if not wrong:
            tasks[record.image_id] = task
    if tasks:
        ids = batch.client.import_tasks(batch.project, list(tasks.values()))
        sent = dict(zip(tasks, ids, strict=True))
        batch.workspace.add_studio_tasks(batch.client.connection.server, batch.project, sent)
        note_queue(batch.home.queues, batch.project, sent)
    return len(tasks), faults


def copy_address(batch: Batch, copy: Path) -> str:
    """What the page loads a served copy by: a server of ours reads it from this disk, another gets it sent."""
    if batch.client.connection.ours:
        return f"/data/local-files/?d={copy.relative_to(batch.home.documents).as_posix()}"
    return batch.client.upload(batch.uploads or batch.project, copy)


@cache
def label_interface(schema: AttributeSchema, purpose: Purpose) -> Any:  # noqa: ANN401  the SDK's LabelInterface
    """The SDK's reading of a page, which checks predictions against it."""
    from label_studio_sdk.label_interface.interface import LabelInterface

    return LabelInterface(labeling_configuration(schema, purpose=purpose))
