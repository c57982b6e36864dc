"""What came back: Label Studio's JSON of one answer as our record, with nothing of it guessed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from figureground.annotate.candidates import mask_iou
from figureground.annotate.studio.pseudonyms import Pseudonyms
from figureground.annotate.studio.served import ServedView
from figureground.errors import DataError, Fault
from figureground.schemas.attributes import OBJECT, AttributeSchema
from figureground.schemas.labeling import (
    ATTRIBUTES_CONTROL,
    FLAGS_CONTROL,
    MASK_CONTROL,
    NOTE_CONTROL,
    VISIBILITY_CONTROL,
)
from figureground.schemas.masks import Mask, decode_brush_rle, decode_coco_rle, encode_coco_rle
from figureground.schemas.records import (
    Annotation,
    AnswerState,
    ImageRecord,
    ProposalRecord,
    Purpose,
    content_id,
)

Json = dict[str, Any]

UNSURE: Final = "unsure"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerContext:
    """What an answer is read against."""

    image: ImageRecord
    proposal: ProposalRecord | None
    """The machine mask that was sent with the task."""
    schema: AttributeSchema
    """The attributes that the page asked for when the answer was given."""
    purpose: Purpose
    pseudonyms: Pseudonyms


@dataclass(frozen=True, slots=True)
class _Region:
    """One painted region."""

    id: str
    labels: tuple[str, ...]
    mask_hw: Mask
    """Served pixels."""
    origin: str


def read_answer(answer: Json, context: AnswerContext, *, draft: bool = False) -> Annotation:
    """One submitted, skipped or drafted answer.

    Regions of one name are united. The object mask is the full-resolution proposal wherever the served pixels are as
    they were sent. A local attribute is present where it was painted, unsure where a region says so, absent otherwise;
    a global one is present where it was ticked.

    Args:
        answer: An annotation (or draft) as the server or a JSON export gives it.
        context: What it is read against.
        draft: Whether it was never submitted.

    Raises:
        DataError: with every fault of the answer: masks of another size, damaged or invisible masks.
    """
    image, schema = context.image, context.schema
    state: AnswerState = "draft" if draft else "skipped" if answer.get("was_cancelled") else "submitted"
    author = _user(answer.get("user") if draft else answer.get("completed_by"))
    editor = author if draft else _user(answer.get("updated_by"), otherwise=author)
    results: Sequence[Json] = answer.get("result") or []
    view = ServedView.of(image)
    regions = _regions(results, view, schema, record=f"{image.image_id} answer {answer.get('id')}")
    visibility = _visibility(results, regions)
    united = _united(regions)
    masks = {name: view.to_stored(mask) for name, mask in united.items() if name != OBJECT}
    edit_iou = changed = None
    if OBJECT in united:
        masks[OBJECT] = view.to_stored(united[OBJECT])
        if context.proposal is not None:
            sent = decode_coco_rle(context.proposal.rle, size_hw=image.size_hw, record=image.image_id)
            masks[OBJECT] = view.merge_edit(sent, united[OBJECT])
            edit_iou, changed = mask_iou(masks[OBJECT], sent), int(np.count_nonzero(masks[OBJECT] != sent))
    return Annotation(
        annotation_id=content_id(
            "draft" if draft else "answer", image.image_id, str(answer["id"]), str(answer["created_at"])
        ),
        updated_at=str(answer["updated_at"]),
        image_id=image.image_id,
        masks={name: encode_coco_rle(mask) for name, mask in sorted(masks.items())},
        attributes=_attributes(results, schema, united, visibility),
        flags=tuple(sorted(_chosen(results, FLAGS_CONTROL))),
        annotator=context.pseudonyms.of(author),
        seconds=float(answer.get("lead_time") or 0.0),
        tool="+".join(sorted({region.origin for region in regions if OBJECT in region.labels})),
        proposal_id=context.proposal.proposal_id if context.proposal else "",
        edit_iou=edit_iou,
        changed_px=changed,
        state=state,
        edited_by=context.pseudonyms.of(editor) if editor != author else "",
        visibility=visibility,
        note=_note(results),
        attribute_schema=schema.label,
        purpose=context.purpose,
    )


def _user(value: Any, otherwise: str = "") -> str:  # noqa: ANN401  an id, or an object with one
    """Who, by the server's number or (in drafts) address."""
    if isinstance(value, Mapping):
        value = value.get("id")
    return otherwise if value in (None, "") else str(value)


def _regions(results: Sequence[Json], view: ServedView, schema: AttributeSchema, *, record: str) -> list[_Region]:
    names = {each.was: each.name for each in schema.attributes if each.was}
    faults: list[Fault] = []
    found: list[_Region] = []
    for result in results:
        if result.get("type") != "brushlabels" or result.get("from_name") != MASK_CONTROL:
            continue
        place = f"{record} region {result.get('id')}"
        sides = result.get("original_height"), result.get("original_width")
        value = result.get("value") or {}
        if sides != view.served_hw:
            faults.append(Fault(
                where="Label Studio", record=place, got=f"{sides[1]}x{sides[0]}",
                expected=f"a mask of the served copy's {view.served_hw[1]}x{view.served_hw[0]}",
                remedy="delete the region in the page and paint it again",
            ))  # fmt: skip
            continue
        try:
            mask = decode_brush_rle(value.get("rle") or [], size_hw=view.served_hw, record=place)
        except DataError as error:
            faults += error.faults
            continue
        labels = tuple(names.get(label, label) for label in value.get("brushlabels") or [])
        found.append(_Region(str(result.get("id")), labels, mask, str(result.get("origin") or "manual")))
    if faults:
        raise DataError(faults)
    return found


def _united(regions: Sequence[_Region]) -> dict[str, Mask]:
    """The union of the regions of each name; names without a painted pixel are none."""
    united: dict[str, Mask] = {}
    for region in regions:
        for label in region.labels:
            united[label] = united[label] | region.mask_hw if label in united else region.mask_hw
    return {name: mask for name, mask in united.items() if mask.any()}


def _visibility(results: Sequence[Json], regions: Sequence[_Region]) -> dict[str, str]:
    """What was said of each name's regions; the least certain word counts."""
    order = (UNSURE, "occluded", "visible")
    said: dict[str, set[str]] = defaultdict(set)
    labels = {region.id: region.labels for region in regions}
    for result in results:
        if result.get("from_name") == VISIBILITY_CONTROL:
            for label in labels.get(str(result.get("id")), ()):
                said[label].update((result.get("value") or {}).get("choices") or [])
    return {label: next(word for word in order if word in words) for label, words in sorted(said.items()) if words}


def _attributes(
    results: Sequence[Json], schema: AttributeSchema, united: Mapping[str, Mask], visibility: Mapping[str, str]
) -> dict[str, bool | None]:
    ticked = _chosen(results, ATTRIBUTES_CONTROL)
    said: dict[str, bool | None] = {}
    for each in schema.attributes:
        if each.scope == "global":
            said[each.name] = each.name in ticked or each.was in ticked
        else:
            said[each.name] = None if visibility.get(each.name) == UNSURE else each.name in united
    return said


def _chosen(results: Sequence[Json], control: str) -> set[str]:
    """Ticked choices as a set: the page does not keep their order."""
    found = [result for result in results if result.get("from_name") == control]
    return {choice for result in found for choice in (result.get("value") or {}).get("choices") or []}


def _note(results: Sequence[Json]) -> str:
    found = [result for result in results if result.get("from_name") == NOTE_CONTROL]
    return "\n".join(str(text) for result in found for text in (result.get("value") or {}).get("text") or [])
