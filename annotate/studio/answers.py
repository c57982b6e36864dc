"""Label Studio's JSON of one answer, read as our record; nothing in it is guessed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from figureground.annotate.studio.answer_json import Answer, Result, parse_answer
from figureground.annotate.studio.pseudonyms import Pseudonyms
from figureground.annotate.studio.regions import Region, chosen_choices, read_regions, single_objects, unite_regions
from figureground.annotate.studio.served import ServedView
from figureground.errors import DataError
from figureground.schemas.attributes import OBJECT, AttributeSchema
from figureground.schemas.pages.labeling import (
    ATTRIBUTES_CONTROL,
    FLAGGED,
    FLAGS_CONTROL,
    NO_OTHER_PARTS,
    NOTE_CONTROL,
    PAINTED,
    PARTS_CONTROL,
    SETTLEMENT_CONTROL,
    VISIBILITY_CONTROL,
)
from figureground.schemas.rasters.masks import CocoRle, Mask, decode_coco_rle, encode_coco_rle, mask_iou
from figureground.schemas.records import (
    SECOND_LOOKS,
    Annotation,
    AnswerState,
    ImageRecord,
    ProposalRecord,
    Purpose,
    content_id,
)

Json = dict[str, Any]

UNSURE: Final = "unsure"
TAKEN: Final = "taken"
"""The tool of a second look that takes an earlier answer as it is."""
CLASS_VISIBLE_OUTSIDE: Final = "class_visible_outside"
"""The one flag that describes a mask, and goes with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerContext:
    """Photo, proposal and questions that an answer belongs to."""

    image: ImageRecord
    proposal: ProposalRecord | None
    """The machine mask that was sent with the task."""
    schema: AttributeSchema
    """The attributes that the page asked for when the answer was given."""
    purpose: Purpose
    pseudonyms: Pseudonyms
    shown: Mapping[str, Annotation] = field(default_factory=dict)
    """Of a second look: the earlier answers that its page shows, by letter."""
    passed_over: Counter[str] = field(default_factory=Counter)
    """Counts what is in the answer and was not read, by its reason."""


def read_answer(answer: Json | Answer, context: AnswerContext, *, draft: bool = False) -> Annotation:
    """One submitted, skipped or drafted answer.

    Regions of one name are united; several regions called ``object`` are several objects, and are kept apart beside
    their union. The object mask is the full-resolution proposal wherever the served pixels are as they were sent. A
    local attribute is present where it was painted, and absent where it was not and ``no_other_parts`` is ticked; it is
    None, not answered, where that is not ticked, and where a region says that it is unsure. A global one is present
    where it was ticked, absent otherwise. A second look that takes an earlier answer has that answer's masks and
    attributes, bit for bit, whatever else was painted.

    Args:
        answer: An annotation (or draft) as the server or a JSON export gives it, or as ``parse_answer`` checked it.
        context: What it is read against.
        draft: Whether it was never submitted.

    Raises:
        DataError: with every fault of the answer: regions that are not read or have no label, masks of another size,
            damaged or invisible masks, labels and choices that were not offered, JSON of another form.
    """
    image, schema = context.image, context.schema
    given = parse_answer(answer, image.image_id)
    state: AnswerState = "draft" if draft else "skipped" if given.was_cancelled else "submitted"
    author = given.user if draft else given.completed_by
    editor = author if draft else given.updated_by or author
    results = given.result or []
    view = ServedView.of(image)
    regions = read_regions(
        results, view, schema, record=f"{image.image_id} answer {given.id}", passed_over=context.passed_over
    )
    visibility = _visibility(results, regions)
    united = unite_regions(regions)
    masks = {name: encode_coco_rle(view.to_stored(mask)) for name, mask in united.items() if name != OBJECT}
    painted = _painted_object(regions, united[OBJECT], view, context) if OBJECT in united else _NOTHING_PAINTED
    if painted.mask is not None:
        masks[OBJECT] = painted.mask
    read = Annotation(
        annotation_id=content_id("draft" if draft else "answer", image.image_id, str(given.id), given.created_at),
        updated_at=given.updated_at,
        image_id=image.image_id,
        masks=dict(sorted(masks.items())),
        instances=painted.instances,
        attributes=_attributes(results, schema, united, visibility),
        flags=tuple(sorted(chosen_choices(results, FLAGS_CONTROL))),
        annotator=context.pseudonyms.of(author),
        seconds=given.lead_time or 0.0,
        tool="+".join(sorted({region.origin for region in regions if OBJECT in region.labels})),
        proposal_id=context.proposal.proposal_id if context.proposal else "",
        edit_iou=painted.edit_iou,
        changed_px=painted.changed_px,
        state=state,
        edited_by=context.pseudonyms.of(editor) if editor != author else "",
        visibility=visibility,
        note=_note(results),
        attribute_schema=schema.label,
        purpose=context.purpose,
    )
    return _settled(read, results, context) if context.purpose in SECOND_LOOKS else read


def _settled(read: Annotation, results: Sequence[Result], context: AnswerContext) -> Annotation:
    """A second look with what it chose: an earlier answer, what was painted, or nothing but its flags.

    Raises:
        DataError: if it chose an answer that it was not shown.
    """
    chosen = chosen_choices(results, SETTLEMENT_CONTROL)
    if FLAGGED in chosen:
        return replace(read, masks={}, instances=(), edit_iou=None, changed_px=None)
    if not chosen or PAINTED in chosen:
        return read
    letter = min(chosen)
    if letter not in context.shown:
        raise DataError.single(
            "Label Studio",
            f"{read.image_id} {SETTLEMENT_CONTROL}",
            expected=f"one of {', '.join([*context.shown, PAINTED, FLAGGED])}",
            got=repr(letter[:80]),
            remedy="the answer was forgotten here, or the task was changed; open the second look again",
        )
    taken = context.shown[letter]
    return replace(
        read,
        masks=taken.masks,
        instances=taken.instances,
        attributes=taken.attributes,
        visibility=taken.visibility,
        flags=tuple(sorted({*read.flags, *({CLASS_VISIBLE_OUTSIDE} & set(taken.flags))})),
        tool=TAKEN,
        proposal_id=taken.proposal_id,
        edit_iou=taken.edit_iou,
        changed_px=taken.changed_px,
        attribute_schema=taken.attribute_schema,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _PaintedObject:
    """What was painted of the object, in stored pixels, and how far that is from the proposal."""

    mask: CocoRle | None = None
    """None where nothing was painted."""
    instances: tuple[CocoRle, ...] = ()
    """Empty where one region shows it."""
    edit_iou: float | None = None
    """IoU with the proposal; None without one."""
    changed_px: int | None = None
    """Stored pixels that differ from the proposal; None without one."""


_NOTHING_PAINTED: Final = _PaintedObject()


def _painted_object(
    regions: Sequence[Region], united_hw: Mask, view: ServedView, context: AnswerContext
) -> _PaintedObject:
    """The object of an answer; ``united_hw`` is the union of its regions in served pixels."""
    mask, edit_iou, changed_px = view.to_stored(united_hw), None, None
    if context.proposal is not None:
        image = context.image
        sent = decode_coco_rle(context.proposal.rle, size_hw=image.size_hw, record=image.image_id)
        mask = view.merge_edit(sent, united_hw)
        edit_iou, changed_px = mask_iou(mask, sent), int(np.count_nonzero(mask != sent))
    instances = tuple(map(encode_coco_rle, single_objects(regions, mask, view)))
    return _PaintedObject(mask=encode_coco_rle(mask), instances=instances, edit_iou=edit_iou, changed_px=changed_px)


def _visibility(results: Sequence[Result], regions: Sequence[Region]) -> dict[str, str]:
    """Mask name to the least certain of the words that were ticked for its regions."""
    order = (UNSURE, "occluded", "visible")
    words_of: dict[str, set[str]] = defaultdict(set)
    labels = {region.region_id: region.labels for region in regions}
    for result in results:
        if result.from_name == VISIBILITY_CONTROL:
            for label in labels.get(result.id, ()):
                words_of[label].update(result.value.choices)
    return {label: next(word for word in order if word in words) for label, words in sorted(words_of.items()) if words}


def _attributes(
    results: Sequence[Result], schema: AttributeSchema, united: Mapping[str, Mask], visibility: Mapping[str, str]
) -> dict[str, bool | None]:
    ticked = chosen_choices(results, ATTRIBUTES_CONTROL)
    unpainted = False if NO_OTHER_PARTS in chosen_choices(results, PARTS_CONTROL) else None
    values: dict[str, bool | None] = {}
    for attribute in schema.attributes:
        name = attribute.name
        if attribute.scope == "global":
            values[name] = name in ticked or attribute.was in ticked
        else:
            painted = name in united or unpainted
            values[name] = None if visibility.get(name) == UNSURE else painted
    return values


def _note(results: Sequence[Result]) -> str:
    return "\n".join(text for result in results if result.from_name == NOTE_CONTROL for text in result.value.text)
