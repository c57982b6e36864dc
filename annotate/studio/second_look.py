"""Photos in doubt, back to Label Studio: tasks that show the earlier answers, for a third person to settle."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from html import escape
from typing import Any, Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from figureground.annotate.agreement.adjudication import Ranking, ranked_doubts
from figureground.annotate.attribute_history import AttributeHistory
from figureground.annotate.decisions import newest_answers
from figureground.annotate.limits import check_limit
from figureground.annotate.studio.answer_json import read_time
from figureground.annotate.studio.client import StudioClient
from figureground.annotate.studio.home import StudioHome
from figureground.annotate.studio.projects import ProjectOwner, ProjectRequest, open_project
from figureground.annotate.studio.push import BATCH, Batch, copy_address, reconcile, send_batch
from figureground.annotate.studio.queues.leaking import in_order
from figureground.annotate.studio.served import ANSWER_PREFIX, BROWSER_FORMATS, ServedView
from figureground.annotate.studio.tasks import TaskSource, make_task
from figureground.errors import DataError, Fault
from figureground.runtime.files import replace_file
from figureground.runtime.progress import Progress
from figureground.schemas.attributes import OBJECT, AttributeSchema
from figureground.schemas.pages.labeling import FLAGGED, FLAGS, PAINTED
from figureground.schemas.rasters.masks import Mask, decode_coco_rle
from figureground.schemas.records import Annotation, Decision, ImageRecord, content_id
from figureground.schemas.store.workspace import Workspace

Json = dict[str, Any]
Turn = Literal["send", "waiting", "unpulled"]

ANSWER_NAMES: Final = "ABCDEFGH"
"""Answers are shown by letters, in the order of their ids: who gave them shall not count."""
_COLOURS: Final = ((255, 140, 0), (0, 114, 255), (0, 158, 115), (204, 121, 167))
"""Okabe and Ito's, so that people with most kinds of colour vision can distinguish them."""
_PICTURE_WIDTH: Final = 480
_DIMMED: Final = 0.35


@dataclass(slots=True, kw_only=True)
class SecondLookReport:
    """Counts of one call of ``push_second_look``."""

    sent: int = 0
    waiting: int = 0
    """Photos that were sent before and that nobody has answered yet."""
    unpulled: int = 0
    """Photos whose second look is answered and was not pulled yet."""
    held_back: int = 0
    """Photos in doubt that a limit leaves for later."""
    project: int | None = None
    """Where they are; None if no photo is in doubt."""
    address: str = ""
    """Its page."""
    notices: list[str] = field(default_factory=list)
    """Lines for the maintainer: what was found changed on the server, and was mended."""
    faults: list[Fault] = field(default_factory=list)
    """Photos that could not be sent."""

    def __str__(self) -> str:
        """Some lines for people."""
        if self.project is None:
            return "no photo is in doubt"
        lines = [f"{self.sent} photos in doubt sent for a second look; {self.waiting} still wait for one"]
        if self.unpulled:
            lines.append(f"{self.unpulled} are answered: fetch them with: figureground studio pull -w WORKSPACE")
        if self.held_back:
            lines.append(f"{self.held_back} in doubt, on which people differ less, are left for later by --limit")
        return "\n".join([*lines, *self.notices, f"  for whoever gave none of the answers: {self.address}"])


def push_second_look(
    workspace: Workspace,
    client: StudioClient,
    schema: AttributeSchema,
    *,
    by_authors: bool = False,
    by: Ranking = "both",
    first: Sequence[str] = (),
    limit: int | None = None,
    progress: Progress = lambda *_: None,
) -> SecondLookReport:
    """Send photos whose decision is ``needs_second`` to the project of second looks, the greatest disagreement first.

    Label Studio shows them in the order in which they were sent. A photo is there once at a time. It is sent again if
    its second look was skipped, or pulled and left the photo in doubt, or if there are other answers now than those
    that it shows.

    Args:
        workspace: Knows what is in doubt.
        client: The server.
        schema: What the page asks for.
        by_authors: Let those settle a doubt whose own answers are in doubt.
        by: What disagreement is about.
        first: image_id of photos in doubt that come before all others, in this order.
        limit: Most photos to send, the first in that order; those that were sent before stay there, and a limit leaves
            none of them out. None for all.
        progress: Called with (stage, done, total).

    Raises:
        DataError: at the end, with every photo that could not be read, and the report; the others were sent.
        ServiceError: if the server fails; run again to resume.
        UsageError: for a limit below 1.
    """
    check_limit(limit)
    doubtful = [doubt.decision for doubt in in_order(ranked_doubts(workspace, by), first)]
    report = SecondLookReport()
    if not doubtful:
        return report
    batch = _open_batch(workspace, client, schema, report)
    reconcile(workspace, client, batch.project, anew=True)
    shown, history = _Shown.of(client, batch.project), AttributeHistory.of(workspace)
    queue = [own for rank, own in enumerate(doubtful) if limit is None or rank < limit or own.image_id in shown.tasks]
    report.held_back = len(doubtful) - len(queue)
    for start in range(0, len(queue), BATCH):
        part = queue[start : start + BATCH]
        questions = {decision.image_id: _Question.about(workspace, decision, history, by_authors) for decision in part}
        turns = {image_id: shown.turn(image_id, asked) for image_id, asked in questions.items()}
        report.waiting += Counter(turns.values())["waiting"]
        report.unpulled += Counter(turns.values())["unpulled"]
        due = [image_id for image_id, turn in turns.items() if turn == "send"]
        due = [image_id for image_id in due if shown.take_back(client, batch.project, image_id)]
        photos = [image for image_id in due if (image := workspace.image(image_id)) is not None]
        count, wrong = send_batch(batch, photos, {}, partial(_task, batch, questions))
        report.sent += count
        report.faults += wrong
        progress("second look", start + len(part), len(queue))
    reconcile(workspace, client, batch.project, anew=True)
    if report.faults:
        raise DataError(report.faults, report)
    return report


def _open_batch(workspace: Workspace, client: StudioClient, schema: AttributeSchema, report: SecondLookReport) -> Batch:
    """Open the project of second looks, and note in the report where it is and what was mended."""
    home = StudioHome.of(workspace.root)
    owner = ProjectOwner(workspace=workspace, client=client, home=home)
    project = open_project(owner, ProjectRequest(schema=schema, purpose="second_look"))
    report.project, report.address, report.notices = project, client.project_address(project), owner.notices
    newest = [notes[-1] for notes in workspace.studio_projects(client.connection.server).values()]
    return Batch(
        workspace=workspace,
        client=client,
        home=home,
        project=project,
        schema=schema,
        purpose="second_look",
        uploads=next((note.project for note in newest if note.purpose == "first_look"), None),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """Why a photo is in doubt, and what people answered."""

    reason: str
    answers: Mapping[str, Annotation]
    """By letter; those without an object mask cannot be taken, and have none."""
    others: int
    """How many have no letter."""
    pulled: frozenset[str]
    """Ids of all answers to the photo that are stored."""
    by_authors: bool

    @classmethod
    def about(cls, workspace: Workspace, decision: Decision, history: AttributeHistory, by_authors: bool) -> _Question:
        stored = [history.current(answer) for answer in workspace.annotations(decision.image_id)]
        answers = sorted(newest_answers(stored), key=lambda answer: answer.annotation_id)
        # An earlier second look that took an answer shows nothing new.
        distinct = {content_id(repr((answer.masks, answer.attributes, answer.flags))): answer for answer in answers}
        painted = [answer for answer in distinct.values() if OBJECT in answer.masks]
        return cls(
            reason=decision.reason,
            answers=dict(zip(ANSWER_NAMES, painted, strict=False)),
            others=len(distinct) - len(painted[: len(ANSWER_NAMES)]),
            pulled=frozenset(answer.annotation_id for answer in stored),
            by_authors=by_authors,
        )

    @property
    def answer_ids(self) -> dict[str, list[str]]:
        """What the task keeps of the answers, so that the one that is taken is found again as it was."""
        return {letter: [answer.annotation_id, answer.updated_at] for letter, answer in self.answers.items()}

    @property
    def text(self) -> str:
        """What the page says of the doubt."""
        rest = f" ({self.others} more without an object mask)" if self.others else ""
        whose = "" if self.by_authors else " If one of the answers is yours, skip: somebody else settles it."
        return f"Second look: {_in_words(self.reason)}{rest}.{whose}"


@dataclass(frozen=True, slots=True)
class _Shown:
    """The second looks that are on the server."""

    tasks: dict[str, Json] = field(default_factory=dict)
    """image_id to its newest task."""
    begun: frozenset[int] = frozenset()
    """Tasks that somebody has begun."""

    @classmethod
    def of(cls, client: StudioClient, project: int) -> _Shown:
        tasks = [task for page in client.changed_tasks(project, None) for task in page]
        begun = (int(task["id"]) for page in client.drafted_tasks(project) for task in page)
        by_number = sorted(tasks, key=lambda task: int(task["id"]))
        return cls({str(task["data"].get("image_id", "")): task for task in by_number}, frozenset(begun))

    def turn(self, image_id: str, asked: _Question) -> Turn:
        """Whether a photo is to be sent now, waits for somebody, or for a pull."""
        task = self.tasks.get(image_id)
        if task is None:
            return "send"
        if given := task["annotations"] or []:
            ids = {
                content_id("answer", image_id, str(answer["id"]), read_time(answer["created_at"])) for answer in given
            }
            return "send" if ids <= asked.pulled else "unpulled"
        same = task["data"].get("answer_ids") == asked.answer_ids
        same = same and bool(task["data"].get("by_authors")) == asked.by_authors
        return "waiting" if same or int(task["id"]) in self.begun else "send"

    def take_back(self, client: StudioClient, project: int, image_id: str) -> bool:
        """Delete the task of a photo that is sent anew, unless it was submitted: else people would be asked twice.

        Returns:
            Whether the photo may be sent; False where somebody has begun it meanwhile.
        """
        task = self.tasks.get(image_id)
        if task is None or any(not answer.get("was_cancelled") for answer in task["annotations"] or []):
            return True
        number = int(task["id"])
        if not task["annotations"]:
            return number in client.delete_untouched(project, [number])
        client.delete_task(number)
        return True


def _task(batch: Batch, questions: Mapping[str, _Question], source: TaskSource) -> Json:
    """A task that shows the photo, and beside it the earlier answers to choose from; none of them is painted on it."""
    task, question = make_task(source), questions[source.record.image_id]
    pictures = answer_pictures(source, question.answers)
    options = []
    for letter, picture in pictures.items():
        digest = hashlib.sha256(picture).hexdigest()[:12]
        path = batch.home.served / f"{ANSWER_PREFIX}{source.record.image_id}-{digest}.jpg"
        with replace_file(path) as temporary:
            temporary.write_bytes(picture)
        address = escape(copy_address(batch, path))
        text = f"<b>answer {letter}</b> {escape(describe_answer(question.answers[letter]))}"
        options.append(_option(letter, f'{text}<img src="{address}" alt="answer {letter}">', f"shift+{letter.lower()}"))
    options.append(_option(PAINTED, "what I painted here", "shift+p"))
    options.append(_option(FLAGGED, "none: the flags say why", "shift+n"))
    task["data"] |= {
        "question": question.text,
        "answers": options,
        "answer_ids": question.answer_ids,
        "by_authors": question.by_authors,
    }
    return task


def _option(value: str, html: str, key: str) -> Json:
    return {"value": value, "html": html, "hotkey": key}


def describe_answer(answer: Annotation) -> str:
    """What an answer says beside its object mask: parts and attributes, what is unsure, flags."""
    true = [name for name, value in sorted(answer.attributes.items()) if value]
    unsure = [f"{name}?" for name, value in sorted(answer.attributes.items()) if value is None]
    return ", ".join([*true, *unsure, *(FLAGS.get(flag, flag) for flag in answer.flags)])


def _in_words(reason: str) -> str:
    """A decision's reason, its flags as the page words them."""
    flags = reason.removeprefix("flagged ").split(", ")
    return f"flagged: {'; '.join(FLAGS[flag] for flag in flags)}" if set(flags) <= set(FLAGS) else reason


def answer_pictures(source: TaskSource, answers: Mapping[str, Annotation]) -> dict[str, bytes]:
    """JPEG of each answer: its ground dimmed, its rim drawn, and what it alone has in its colour."""
    with Image.open(source.copy, formats=BROWSER_FORMATS) as copy:
        scale = min(1.0, _PICTURE_WIDTH / copy.width)
        size_wh = max(1, int(copy.width * scale)), max(1, int(copy.height * scale))
        photo = np.asarray(copy.convert("RGB").resize(size_wh, Image.Resampling.LANCZOS))
    masks = {letter: _shown_mask(source.record, answer, size_wh) for letter, answer in answers.items()}
    pictures = {}
    for (letter, mask), colour in zip(masks.items(), _COLOURS * 2, strict=False):
        elsewhere = [other for name, other in masks.items() if name != letter]
        alone = mask & ~np.logical_or.reduce(elsewhere) if elsewhere else np.zeros_like(mask)
        buffer = io.BytesIO()
        picture = Image.fromarray(_picture(photo, mask, alone, colour, letter))
        picture.save(buffer, "JPEG", quality=92, subsampling=0)
        pictures[letter] = buffer.getvalue()
    return pictures


def _shown_mask(image: ImageRecord, answer: Annotation, size_wh: tuple[int, int]) -> Mask:
    if OBJECT not in answer.masks:
        return np.zeros(size_wh[::-1], dtype=np.bool_)
    served = ServedView.of(image).to_served(decode_coco_rle(answer.masks[OBJECT], size_hw=image.size_hw))
    return np.asarray(cv2.resize(served.astype(np.uint8), size_wh, interpolation=cv2.INTER_NEAREST) > 0)


def _picture(
    photo: NDArray[np.uint8], mask: Mask, alone: Mask, colour: tuple[int, int, int], letter: str
) -> NDArray[np.uint8]:
    shown = np.where(mask[..., None], photo, (photo * _DIMMED).astype(np.uint8))
    shown[alone] = (shown[alone] * 0.5 + np.array(colour) * 0.5).astype(np.uint8)
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    canvas = Image.fromarray(
        np.asarray(cv2.drawContours(np.ascontiguousarray(shown), contours, -1, colour, 2), np.uint8)
    )
    draw = ImageDraw.Draw(canvas)
    draw.rectangle((0, 0, 8 + draw.textlength(letter), 16), fill=(0, 0, 0))
    draw.text((4, 2), letter, fill=(255, 255, 255))
    return np.asarray(canvas)
