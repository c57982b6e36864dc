"""What came back: Label Studio's JSON of one answer as our record, with nothing of it guessed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from figureground.annotate.studio.answer_json import Answer, Result
from figureground.annotate.studio.pseudonyms import Pseudonyms
from figureground.annotate.studio.served import ServedView
from figureground.errors import DataError, Fault
from figureground.schemas.attributes import OBJECT, AttributeSchema
from figureground.schemas.documents import validate_document
from figureground.schemas.pages.labeling import (
    ATTRIBUTES_CONTROL,
    FLAGS,
    FLAGS_CONTROL,
    MASK_CONTROL,
    NOTE_CONTROL,
    VISIBILITIES,
    VISIBILITY_CONTROL,
)
from figureground.schemas.rasters.masks import Mask, decode_brush_rle, decode_coco_rle, encode_coco_rle, mask_iou
from figureground.schemas.records import Annotation, AnswerState, ImageRecord, ProposalRecord, Purpose, content_id

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
        DataError: with every fault of the answer: masks of another size, damaged or invisible masks, labels and choices
            that were not offered, JSON of another form.
    """
    image, schema = context.image, context.schema
    given = validate_document(answer, Answer, where=f"Label Studio: {image.image_id} answer {answer.get('id')}")
    state: AnswerState = "draft" if draft else "skipped" if given.was_cancelled else "submitted"
    author = given.user if draft else given.completed_by
    editor = author if draft else given.updated_by or author
    results = given.result or []
    view = ServedView.of(image)
    regions = _regions(results, view, schema, record=f"{image.image_id} answer {given.id}")
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
        annotation_id=content_id("draft" if draft else "answer", image.image_id, str(given.id), given.created_at),
        updated_at=given.updated_at,
        image_id=image.image_id,
        masks={name: encode_coco_rle(mask) for name, mask in sorted(masks.items())},
        attributes=_attributes(results, schema, united, visibility),
        flags=tuple(sorted(_chosen(results, FLAGS_CONTROL))),
        annotator=context.pseudonyms.of(author),
        seconds=given.lead_time or 0.0,
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


def _regions(results: Sequence[Result], view: ServedView, schema: AttributeSchema, *, record: str) -> list[_Region]:
    """Painted regions; labels and choices that the page does not offer are faults as well."""
    asked = {OBJECT: OBJECT, **{name: name for name in schema.names("local")}}
    asked |= {each.was: each.name for each in schema.attributes if each.was}
    faults = list(_strange_choices(results, schema, record))
    found: list[_Region] = []
    for result in results:
        if result.type != "brushlabels" or result.from_name != MASK_CONTROL:
            continue
        place = f"{record} region {result.id}"
        labels = result.value.brushlabels
        if strange := sorted(set(labels) - set(asked)):
            faults.append(_strange(place, ", ".join(asked), strange[0]))
            continue
        if (result.original_height, result.original_width) != view.served_hw:
            faults.append(
                Fault(
                    where="Label Studio",
                    record=place,
                    got=f"{result.original_width}x{result.original_height}",
                    expected=f"a mask of the served copy's {view.served_hw[1]}x{view.served_hw[0]}",
                    remedy="delete the region in the page and paint it again",
                )
            )
            continue
        try:
            mask = decode_brush_rle(result.value.rle or [], size_hw=view.served_hw, record=place)
        except DataError as error:
            faults += error.faults
            continue
        found.append(_Region(result.id, tuple(asked[label] for label in labels), mask, result.origin or "manual"))
    if faults:
        raise DataError(faults)
    return found


def _strange_choices(results: Sequence[Result], schema: AttributeSchema, record: str) -> Iterator[Fault]:
    said = schema.names("global")
    offered = {
        FLAGS_CONTROL: set(FLAGS),
        VISIBILITY_CONTROL: set(VISIBILITIES),
        ATTRIBUTES_CONTROL: {*said, *(each.was for each in schema.attributes if each.was)},
    }
    for control, choices in offered.items():
        for strange in sorted(_chosen(results, control) - choices):
            yield _strange(f"{record} {control}", ", ".join(sorted(choices)) or "nothing", strange)


def _strange(place: str, offered: str, got: str) -> Fault:
    remedy = "it was not asked for; the answer belongs to another page"
    return Fault(where="Label Studio", record=place, expected=f"one of {offered}", got=repr(got[:80]), remedy=remedy)


def _united(regions: Sequence[_Region]) -> dict[str, Mask]:
    """The union of the regions of each name; names without a painted pixel are none."""
    united: dict[str, Mask] = {}
    for region in regions:
        for label in region.labels:
            united[label] = united[label] | region.mask_hw if label in united else region.mask_hw
    return {name: mask for name, mask in united.items() if mask.any()}


def _visibility(results: Sequence[Result], regions: Sequence[_Region]) -> dict[str, str]:
    """What was said of each name's regions; the least certain word counts."""
    order = (UNSURE, "occluded", "visible")
    said: dict[str, set[str]] = defaultdict(set)
    labels = {region.id: region.labels for region in regions}
    for result in results:
        if result.from_name == VISIBILITY_CONTROL:
            for label in labels.get(result.id, ()):
                said[label].update(result.value.choices)
    return {label: next(word for word in order if word in words) for label, words in sorted(said.items()) if words}


def _attributes(
    results: Sequence[Result], schema: AttributeSchema, united: Mapping[str, Mask], visibility: Mapping[str, str]
) -> dict[str, bool | None]:
    ticked = _chosen(results, ATTRIBUTES_CONTROL)
    said: dict[str, bool | None] = {}
    for each in schema.attributes:
        if each.scope == "global":
            said[each.name] = each.name in ticked or each.was in ticked
        else:
            said[each.name] = None if visibility.get(each.name) == UNSURE else each.name in united
    return said


def _chosen(results: Sequence[Result], control: str) -> set[str]:
    """Ticked choices as a set: the page does not keep their order."""
    return {choice for result in results if result.from_name == control for choice in result.value.choices}


def _note(results: Sequence[Result]) -> str:
    return "\n".join(text for result in results if result.from_name == NOTE_CONTROL for text in result.value.text)
