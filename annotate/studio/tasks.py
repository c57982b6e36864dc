"""What a task is: a photo's served copy, its machine mask as an editable region, and what reading it back needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from figureground.annotate.proposals.fusion import maker_title
from figureground.annotate.studio.projects import MODEL_VERSION
from figureground.annotate.studio.served import BROWSER_FORMATS, ServedView
from figureground.errors import DataError, Fault
from figureground.schemas.attributes import OBJECT
from figureground.schemas.classes import imagenet_names
from figureground.schemas.pages.labeling import IMAGE_CONTROL, MASK_CONTROL
from figureground.schemas.rasters.masks import Mask, decode_brush_rle, decode_coco_rle, encode_brush_rle
from figureground.schemas.rasters.sizes import ORDER, spell_size
from figureground.schemas.records import ImageRecord, ProposalRecord
from figureground.schemas.sources.names import photo_name

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSource:
    """A photo on its way to annotators."""

    record: ImageRecord
    proposal: ProposalRecord | None
    copy: Path
    """Its served copy."""
    address: str
    """What the page loads the copy by."""
    schema: str
    """``name@version`` of the attributes asked for."""


def make_task(source: TaskSource) -> Json:
    """The task of a photo as Label Studio imports it.

    The region of the machine mask has the proposal's id, so that an answer says by itself what it began from. Of a mask
    that unites several objects each has a region, the first with that id, so that people keep, mend or delete each.
    """
    record, view = source.record, ServedView.of(source.record)
    data = {
        "image": source.address,
        "image_id": record.image_id,
        "label": record.label,
        "title": label_title(record.label),
        "stored_size": [record.width, record.height],
        "served_size": [view.served_hw[1], view.served_hw[0]],
        "exif_orientation": record.exif_orientation,
        "schema": source.schema,
        "proposal_id": source.proposal.proposal_id if source.proposal else "",
        "segmenter": segmenter_title(source.proposal),
        "uncertainty": round(uncertainty(source.proposal), 4),
    }
    if source.proposal is None:
        return {"data": data}
    proposal, regions = source.proposal, []
    for number, rle in enumerate(proposal.instances or (proposal.rle,)):
        mask = view.to_served(decode_coco_rle(rle, size_hw=record.size_hw, record=record.image_id))
        region_id = f"{proposal.proposal_id}.{number}" if number else proposal.proposal_id
        region = mask_region(mask, region_id=region_id, label=OBJECT, score=proposal.score)
        regions.append({**region, "origin": "prediction"})
    prediction = {"model_version": MODEL_VERSION, "score": proposal.score, "result": regions}
    return {"data": data, "predictions": [prediction]}


def mask_region(mask_hw: Mask, *, region_id: str, label: str, score: float | None = None) -> Json:
    """A brush region in served pixels."""
    height, width = mask_hw.shape
    region: Json = {
        "id": region_id,
        "type": "brushlabels",
        "from_name": MASK_CONTROL,
        "to_name": IMAGE_CONTROL,
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": {"format": "rle", "rle": encode_brush_rle(mask_hw), "brushlabels": [label]},
    }
    return region if score is None else {**region, "score": score}


def uncertainty(proposal: ProposalRecord | None) -> float:
    """How little the machine mask can be trusted, in [0, 1]; 1 without a mask.

    1 - the probability that it needs no correction, where a ranking gave it one, and else 1 - score x stability.
    """
    if proposal is None:
        return 1.0
    trust = proposal.score * proposal.stability if proposal.probability is None else proposal.probability
    return float(np.clip(1.0 - trust, 0.0, 1.0))


def segmenter_title(proposal: ProposalRecord | None) -> str:
    """``mobile-sam-1a2b3c4d``: what made a machine mask; empty without one."""
    return "" if proposal is None else "-".join(filter(None, [maker_title(proposal), proposal.checkpoint_sha256[:8]]))


def label_title(label: str) -> str:
    """What annotators read: ``monarch (n02279972)``, or the label itself where it is no wnid of ImageNet's."""
    name = imagenet_names().get(label)
    return label if name is None else f"{name.replace('_', ' ')} ({label})"


def check_tasks(tasks: Sequence[Json], copies: Mapping[str, Path], interface: Any) -> list[Fault]:  # noqa: ANN401
    """Every fault that Label Studio would swallow in silence or choke on in the page.

    Args:
        tasks: As ``make_task`` gives them.
        copies: Served copies by image_id.
        interface: The SDK's ``LabelInterface`` of the project's configuration.
    """
    faults: list[Fault] = []
    for task in tasks:
        image_id = str(task["data"]["image_id"])
        with Image.open(copies[image_id], formats=BROWSER_FORMATS) as copy:
            size_wh = copy.size
        for prediction in task.get("predictions", ()):
            faults += (
                Fault(where="task", record=image_id, expected="a prediction that the page can show", got=str(error))
                for error in interface.validate_prediction(prediction, return_errors=True)
            )
            faults += check_regions(prediction["result"], size_wh=size_wh, record=image_id)
    return faults


def check_regions(regions: Iterable[Json], *, size_wh: tuple[int, int], record: str) -> list[Fault]:
    """Faults of brush regions that would show nothing, show it sheared, or hang the page."""
    faults: list[Fault] = []
    for region in regions:
        if region.get("type") != "brushlabels":
            continue
        region_record = f"{record} region {region.get('id')!r}"
        if not isinstance(region.get("id"), str):
            faults.append(
                Fault(
                    where="task",
                    record=region_record,
                    expected="a region id that is text",
                    got=type(region.get("id")).__name__,
                    remedy="the page waits for ever on a number",
                )
            )
        sides = region.get("original_width"), region.get("original_height")
        if sides != size_wh:
            faults.append(
                Fault(
                    where="task",
                    record=region_record,
                    expected=f"a mask of {spell_size(size_wh[::-1])} {ORDER}, the served copy's size",
                    got=spell_size(sides[::-1]),
                    remedy="the page would shear it",
                )
            )
            continue
        try:
            decode_brush_rle(region["value"]["rle"], size_hw=(size_wh[1], size_wh[0]), record=region_record)
        except DataError as error:
            faults += error.faults
    return faults


def named_faults(faults: Iterable[Fault], image: ImageRecord, link: str = "") -> list[Fault]:
    """Faults that name the photo by its file instead of its id.

    Args:
        faults: Faults of one photo.
        image: The photo.
        link: Where a browser shows its task, or the task's number where there is no server; empty for neither.
    """

    def name(text: str) -> str:
        return text.replace(image.image_id, photo_name(image.source, image.uri))

    end = f" ({link})" if link else ""
    return [replace(fault, where=name(fault.where), record=name(fault.record) + end) for fault in faults]
