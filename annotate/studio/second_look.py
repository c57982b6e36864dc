"""Photos in doubt, back to Label Studio: tasks that show the earlier answers, for somebody to settle."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from figureground.annotate.decisions import newest_answers
from figureground.annotate.studio.client import StudioClient
from figureground.annotate.studio.home import StudioHome
from figureground.annotate.studio.projects import MODEL_VERSION, ProjectOwner, ProjectRequest, open_project
from figureground.annotate.studio.push import BATCH, Batch, copy_address, reconcile, send_batch
from figureground.annotate.studio.regions import share_out
from figureground.annotate.studio.served import ServedView
from figureground.annotate.studio.tasks import TaskSource, make_task, mask_region
from figureground.errors import DataError, Fault
from figureground.runtime.files import replace_file
from figureground.runtime.progress import Progress
from figureground.schemas.attributes import OBJECT, AttributeSchema
from figureground.schemas.pages.labeling import ATTRIBUTES_CONTROL, FLAGS_CONTROL, IMAGE_CONTROL, VISIBILITY_CONTROL
from figureground.schemas.rasters.masks import CocoRle, Mask, decode_coco_rle
from figureground.schemas.records import Annotation, Decision, ImageRecord, ProposalRecord, content_id
from figureground.schemas.store.workspace import Workspace

Json = dict[str, Any]

ANSWER_NAMES: Final = "ABCDEFGH"
"""Answers are shown by letters, in the order of their ids: who gave them shall not count."""
_COLOURS: Final = ((255, 140, 0), (0, 114, 255), (0, 158, 115), (204, 121, 167))
"""Okabe and Ito's, so that people with most kinds of colour vision can distinguish them."""
_PANEL_WIDTH: Final = 480
_DIMMED: Final = 0.35


def push_second_look(
    workspace: Workspace, client: StudioClient, schema: AttributeSchema, *, progress: Progress = lambda *_: None
) -> int:
    """Send every photo whose decision is ``needs_second`` to the project of second looks, once; returns how many went.

    Raises:
        DataError: at the end, with every photo that could not be read; the others were sent.
        ServiceError: if the server fails; run again to resume.
    """
    home = StudioHome.of(workspace.root)
    doubtful = [decision for decision in workspace.decisions().values() if decision.state == "needs_second"]
    if not doubtful:
        return 0
    owner = ProjectOwner(workspace=workspace, client=client, home=home)
    project = open_project(owner, ProjectRequest(schema=schema, purpose="second_look"))
    shown = reconcile(workspace, client, project)
    queue = [decision for decision in doubtful if decision.image_id not in shown]
    newest = [notes[-1] for notes in workspace.studio_projects(client.connection.server).values()]
    uploads = next((note.project for note in newest if note.purpose == "first_look"), None)
    batch = Batch(
        workspace=workspace,
        client=client,
        home=home,
        project=project,
        schema=schema,
        purpose="second_look",
        uploads=uploads,
    )
    proposals = {proposal.proposal_id: proposal for proposal in workspace.proposals()}
    faults: list[Fault] = []
    sent = 0
    for start in range(0, len(queue), BATCH):
        part = queue[start : start + BATCH]
        questions = {decision.image_id: _Question.about(workspace, decision, proposals) for decision in part}
        photos = [image for decision in part if (image := workspace.image(decision.image_id)) is not None]
        began = {image_id: asked.proposal for image_id, asked in questions.items() if asked.proposal is not None}
        count, wrong = send_batch(batch, photos, began, partial(_task, batch, questions))
        sent += count
        faults += wrong
        progress("second look", start + len(part), len(queue))
    if faults:
        raise DataError(faults)
    return sent


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """Why a photo is in doubt, and what people answered."""

    reason: str
    answers: tuple[Annotation, ...]
    proposal: ProposalRecord | None
    """What all answers began from; None if they did not begin from one."""

    @classmethod
    def about(cls, workspace: Workspace, decision: Decision, proposals: Mapping[str, ProposalRecord]) -> _Question:
        answers = newest_answers(list(workspace.annotations(decision.image_id)))
        began = {answer.proposal_id for answer in answers}
        return cls(
            reason=decision.reason,
            answers=tuple(sorted(answers, key=lambda answer: answer.annotation_id)),
            proposal=proposals.get(began.pop()) if len(began) == 1 else None,
        )


def _task(batch: Batch, questions: Mapping[str, _Question], source: TaskSource) -> Json:
    """A task whose predictions are the earlier answers and whose picture shows how they differ."""
    task, question = make_task(source), questions[source.record.image_id]
    compared = compare_picture(source, question.answers)
    path = batch.home.served / f"compare-{source.record.image_id}-{hashlib.sha256(compared).hexdigest()[:12]}.jpg"
    with replace_file(path) as temporary:
        temporary.write_bytes(compared)
    task["data"]["compare"] = copy_address(batch, path)
    task["data"]["question"] = f"Second look: {question.reason}"
    task["predictions"] = [
        {"model_version": MODEL_VERSION, "result": answer_regions(source.record, answer)}
        for answer in question.answers[: len(ANSWER_NAMES)]
    ]
    return task


def answer_regions(image: ImageRecord, answer: Annotation) -> list[Json]:
    """An earlier answer as regions that can be taken over and edited: one a mask, and one for each of several objects.

    A single object's region has the id of the proposal that it began from.
    """
    regions: list[Json] = []
    for name, masks in _served_masks(image, answer).items():
        for number, mask in enumerate(masks):
            own_id = content_id(answer.annotation_id, name, *([str(number)] if len(masks) > 1 else []))
            region_id = answer.proposal_id if name == OBJECT and answer.proposal_id and len(masks) == 1 else own_id
            region = mask_region(mask, region_id=region_id, label=name)
            regions.append(region)
            if name in answer.visibility:
                sides = {key: region[key] for key in ("original_width", "original_height")}
                regions.append({**_choices(VISIBILITY_CONTROL, [answer.visibility[name]], region_id), **sides})
    ticked = sorted(name for name, value in answer.attributes.items() if value and name not in answer.masks)
    for control, chosen in ((ATTRIBUTES_CONTROL, ticked), (FLAGS_CONTROL, list(answer.flags))):
        if chosen:
            regions.append(_choices(control, chosen, content_id(answer.annotation_id, control)))
    return regions


def _served_masks(image: ImageRecord, answer: Annotation) -> dict[str, list[Mask]]:
    """Masks of an answer by name, served pixels; of the object one mask for each instance."""
    view = ServedView.of(image)

    def served(rle: CocoRle) -> Mask:
        return view.to_served(decode_coco_rle(rle, size_hw=image.size_hw, record=image.image_id))

    masks = {name: [served(rle)] for name, rle in sorted(answer.masks.items())}
    if answer.instances and masks[OBJECT][0].any():
        masks[OBJECT] = share_out(masks[OBJECT][0], [served(rle) for rle in answer.instances])
    return masks


def compare_picture(source: TaskSource, answers: Sequence[Annotation]) -> bytes:
    """JPEG of the answers side by side, each with the ground dimmed, and of where they differ."""
    with Image.open(source.copy) as copy:
        scale = min(1.0, _PANEL_WIDTH / copy.width)
        size_wh = max(1, int(copy.width * scale)), max(1, int(copy.height * scale))
        photo = np.asarray(copy.convert("RGB").resize(size_wh, Image.Resampling.LANCZOS))
    masks = [_shown_mask(source.record, answer, size_wh) for answer in answers]
    panels = [
        _panel(photo, mask, colour, f"answer {name}")
        for name, mask, colour in zip(ANSWER_NAMES, masks, _COLOURS * 2, strict=False)
    ]
    if len(masks) == 2:
        differing = photo.astype(np.float32) * _DIMMED
        for mask, other, colour in ((masks[0], masks[1], _COLOURS[0]), (masks[1], masks[0], _COLOURS[1])):
            differing[mask & ~other] = colour
        panels.append(_titled(differing.astype(np.uint8), "only one of them"))
    buffer = io.BytesIO()
    Image.fromarray(np.hstack(panels or [photo])).save(buffer, "JPEG", quality=92, subsampling=0)
    return buffer.getvalue()


def _shown_mask(image: ImageRecord, answer: Annotation, size_wh: tuple[int, int]) -> Mask:
    if OBJECT not in answer.masks:
        return np.zeros(size_wh[::-1], dtype=np.bool_)
    served = ServedView.of(image).to_served(decode_coco_rle(answer.masks[OBJECT], size_hw=image.size_hw))
    return np.asarray(cv2.resize(served.astype(np.uint8), size_wh, interpolation=cv2.INTER_NEAREST) > 0)


def _panel(photo: NDArray[np.uint8], mask: Mask, colour: tuple[int, int, int], title: str) -> NDArray[np.uint8]:
    shown = np.where(mask[..., None], photo, (photo * _DIMMED).astype(np.uint8))
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    return _titled(np.asarray(cv2.drawContours(np.ascontiguousarray(shown), contours, -1, colour, 2), np.uint8), title)


def _titled(picture: NDArray[np.uint8], title: str) -> NDArray[np.uint8]:
    canvas = Image.fromarray(picture)
    draw = ImageDraw.Draw(canvas)
    draw.rectangle((0, 0, 8 + draw.textlength(title), 16), fill=(0, 0, 0))
    draw.text((4, 2), title, fill=(255, 255, 255))
    return np.asarray(canvas)


def _choices(control: str, chosen: Sequence[str], result_id: str) -> Json:
    return {
        "id": result_id,
        "type": "choices",
        "from_name": control,
        "to_name": IMAGE_CONTROL,
        "value": {"choices": list(chosen)},
    }
