"""Push: photos and their machine masks to annotators, each photo to each project once, however often it is run."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from figureground.annotate.proposals.best import best_proposals
from figureground.annotate.studio.client import StudioClient
from figureground.annotate.studio.home import StudioHome
from figureground.annotate.studio.projects import ProjectOwner, ProjectRequest, open_project
from figureground.annotate.studio.queues.order import note_queue
from figureground.annotate.studio.served import serve_copy
from figureground.annotate.studio.tasks import Json, TaskSource, check_tasks, make_task, uncertainty
from figureground.errors import DataError, Fault, FigureGroundError, UsageError
from figureground.runtime.progress import Progress
from figureground.schemas.attributes import AttributeSchema
from figureground.schemas.pages.labeling import labeling_configuration
from figureground.schemas.records import NAME_PATTERN, ImageRecord, ProposalRecord, Purpose
from figureground.schemas.sources.opening import read_catalogued
from figureground.schemas.store.workspace import Workspace

BATCH: Final = 50
"""Tasks a request: some hundred kilobytes, and little to send again if the server dies."""
EVERYBODY: Final = ""
"""The annotator of a project that anybody answers in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PushSettings:
    """Who is asked what about which photos."""

    schema: AttributeSchema
    annotators: tuple[str, ...] = ()
    """One project each; none for one project that anybody answers in."""
    overlap: float = 0.0
    """Share of photos that two annotators get, in [0, 1]."""
    segmenter: str | None = None
    """Whose proposals; needed where several segmenters made some."""
    limit: int | None = None
    """Most photos to send, the most uncertain first."""
    destructive: bool = False
    """Allow a schema that no longer asks what was asked before."""

    def __post_init__(self) -> None:
        """Refuse what cannot be done, before anything is."""
        strange = [name for name in self.annotators if not NAME_PATTERN.fullmatch(name)]
        if strange or len(set(self.annotators)) < len(self.annotators):
            raise UsageError("annotators are named once each, with letters, digits, dots, dashes and underscores")
        if not 0 <= self.overlap <= 1:
            raise UsageError(f"an overlap is a share between 0 and 1, not {self.overlap}")
        if self.overlap and len(self.annotators) < 2:
            raise UsageError("an overlap needs two annotators: name them with --annotator, once each")


@dataclass(slots=True, kw_only=True)
class PushReport:
    """Counts of one call of ``push``."""

    sent: Counter[str] = field(default_factory=Counter)
    """Annotator to number of new tasks."""
    already_there: int = 0
    projects: dict[str, int] = field(default_factory=dict)
    """Annotator to project."""
    overlapping: int = 0
    """Photos that two annotators have."""


def push(
    workspace: Workspace, client: StudioClient, settings: PushSettings, *, progress: Progress = lambda *_: None
) -> PushReport:
    """Send every photo without a decision to its annotators, the most uncertain first.

    Photos that a project already shows are not sent to it again: what the server has counts, so a push that was
    killed, or whose server was, goes on where it stopped.

    Raises:
        UsageError: for a schema change that is refused.
        DataError: at the end, with every photo that could not be read; the others were sent.
        ServiceError: if the server fails; run again to resume.
    """
    home = StudioHome.of(workspace.root)
    owner = ProjectOwner(workspace=workspace, client=client, home=home)
    proposals = {proposal.image_id: proposal for proposal in best_proposals(workspace, settings.segmenter)}
    photos = _photos(workspace, proposals, settings.limit)
    annotators = settings.annotators or (EVERYBODY,)
    projects: dict[str, int] = {}
    for name in annotators:
        request = ProjectRequest(schema=settings.schema, annotator=name)
        projects[name] = open_project(owner, request, destructive=settings.destructive)
    report = PushReport(projects=dict(projects))
    queues = _queues(
        photos, settings, {name: set(reconcile(workspace, client, projects[name])) for name in annotators}, report
    )
    faults: list[Fault] = []
    total, done = sum(map(len, queues.values())), 0
    for name, queue in queues.items():
        batch = Batch(workspace=workspace, client=client, home=home, project=projects[name], schema=settings.schema)
        for start in range(0, len(queue), BATCH):
            part = queue[start : start + BATCH]
            sent, wrong = send_batch(batch, part, proposals)
            faults += wrong
            report.sent[name] += sent
            done += len(part)
            progress("push", done, total)
    if faults:
        raise DataError(faults)
    return report


def _queues(
    photos: Sequence[ImageRecord], settings: PushSettings, shown: Mapping[str, Set[str]], report: PushReport
) -> dict[str, list[ImageRecord]]:
    """Photos to send by annotator; what an annotator's project shows already (``shown``) is counted, not sent again."""
    queues: dict[str, list[ImageRecord]] = {name: [] for name in shown}
    for photo in photos:
        have = {name for name, image_ids in shown.items() if photo.image_id in image_ids}
        chosen = assign(photo.image_id, list(shown), settings.overlap, have=have)
        report.overlapping += len(chosen) > 1
        for name in chosen:
            if name in have:
                report.already_there += 1
            else:
                queues[name].append(photo)
    return queues


def assign(image_id: str, annotators: Sequence[str], overlap: float, *, have: Set[str] = frozenset()) -> list[str]:
    """Who is asked about a photo: those who have it, then by the smallest hash (rendezvous hashing).

    One photo or annotator more or less leaves the others' photos where they are.

    Args:
        image_id: The photo.
        annotators: Everybody who could be asked.
        overlap: Share of photos that two are asked about.
        have: Those who have the photo already.
    """
    wanted = 1 + (len(annotators) > 1 and _fraction("overlap", image_id) < overlap)
    ranked = sorted(annotators, key=lambda name: (name not in have, _fraction(name, image_id)))
    return ranked[: max(wanted, len(have))]


def _fraction(*parts: str) -> float:
    """A number in [0, 1) that is the same every time."""
    digest = hashlib.sha256("\0".join(("studio", *parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _photos(workspace: Workspace, proposals: Mapping[str, ProposalRecord], limit: int | None) -> list[ImageRecord]:
    """Photos without a decision, the most uncertain first."""
    decided = workspace.decisions()
    photos = [image for image in workspace.images() if image.image_id not in decided]
    if not photos and not decided:
        raise UsageError("the workspace holds no photos; catalogue some with: figureground index")
    photos.sort(key=lambda image: (-uncertainty(proposals.get(image.image_id)), image.image_id))
    return photos[:limit]


def reconcile(workspace: Workspace, client: StudioClient, project: int) -> dict[str, int]:
    """Tasks by image_id as the server has them, noted in the workspace; listed only where the counts differ."""
    server = client.connection.server
    known = workspace.studio_tasks(server, project)
    state = client.project(project)
    if state is not None and int(state["task_number"]) == len(known):
        return known
    tasks = dict(client.task_images(project))
    mine = {image_id: task for image_id, task in tasks.items() if workspace.image(image_id) is not None}
    workspace.add_studio_tasks(server, project, mine)
    return mine


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

    Raises:
        DataError: if a task would not show in the page as it should; then none of the batch is sent.
        ServiceError: if the server fails.
    """
    faults: list[Fault] = []
    made: list[TaskSource] = []
    sources = batch.workspace.sources()
    for photo in photos:
        try:
            copy = serve_copy(read_catalogued(photo, sources), photo, batch.home.served)
        except DataError as error:
            faults += error.faults
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
    tasks = [make(source) for source in made]
    copies = {source.record.image_id: source.copy for source in made}
    wrong = check_tasks(tasks, copies, label_interface(batch.schema, batch.purpose))
    if wrong:
        raise DataError([*faults, *wrong])
    if tasks:
        ids = batch.client.import_tasks(batch.project, tasks)
        sent = {source.record.image_id: task for source, task in zip(made, ids, strict=True)}
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
