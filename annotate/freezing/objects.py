"""Objects of a release: a photo with the mask and the attributes that were accepted, or with a machine's mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from figureground.annotate.attribute_history import AttributeHistory
from figureground.annotate.decisions import newest_state
from figureground.annotate.proposals.fusion import maker_title
from figureground.annotate.released_attributes import gather_attributes
from figureground.errors import DataError, Faults
from figureground.schemas.attributes import OBJECT
from figureground.schemas.rasters.masks import CocoRle, encode_coco_rle
from figureground.schemas.rasters.sizes import ORDER, spell_size
from figureground.schemas.records import Annotation, Decision, ImageRecord, ObjectRecord, ObjectState, ProposalRecord


def accepted_object(
    image: ImageRecord, decision: Decision, answers: Sequence[Annotation], history: AttributeHistory
) -> ObjectRecord:
    """The object of an accepted photo: the mask of the answer's newest state, the attributes of all answers."""
    answer = newest_state(answers, decision.annotation_id)
    if answer is None or OBJECT not in answer.masks:
        got = "an answer without one" if answer else "no such answer"
        raise DataError.single("decisions", image.image_id, expected="an accepted answer with an object mask", got=got)
    attributes = gather_attributes(answer, answers, history)
    return replace(
        _object(image, answer.masks[OBJECT], "machine_import" if answer.machine else "accepted"),
        mask_origin=answer.annotation_id,
        origin=answer.origin,
        instances=answer.instances,
        attributes=attributes.values,
        attribute_masks=attributes.masks,
        flags=tuple(sorted(answer.flags)),
    )


def unreviewed_object(image: ImageRecord, proposal: ProposalRecord, iou: float | None) -> ObjectRecord:
    """The object of a photo whose machine mask nobody looked at; ``iou`` with another segmenter's, None for none."""
    record = _object(image, proposal.rle, "unreviewed")
    return replace(
        record,
        mask_origin=proposal.proposal_id,
        segmenter=maker_title(proposal),
        instances=proposal.instances,
        agreement_iou=iou,
    )


def unmasked_object(image: ImageRecord) -> ObjectRecord:
    """The object of a photo that has no mask: an empty one."""
    return _object(image, encode_coco_rle(np.zeros(image.size_hw, dtype=np.bool_)), "unmasked")


def _object(image: ImageRecord, mask: CocoRle, state: ObjectState) -> ObjectRecord:
    """A photo with a mask of which nothing else is known."""
    return ObjectRecord(
        object_id=f"{image.image_id}.0",
        image_id=image.image_id,
        source=image.source,
        uri=image.uri,
        sha256=image.sha256,
        width=image.width,
        height=image.height,
        exif_orientation=image.exif_orientation,
        label=image.label,
        source_split=image.source_split,
        boxes_xyxy_px=image.boxes_xyxy_px,
        phash=image.phash,
        image_flags=image.flags,
        mask=mask,
        state=state,
        mask_origin="",
        segmenter="",
    )


def require_sizes(record: ObjectRecord, faults: Faults) -> None:
    """Add a fault for every mask of another size than the photo's."""
    numbered = {f"instance {number}": rle for number, rle in enumerate(record.instances)}
    for name, rle in {OBJECT: record.mask, **numbered, **record.attribute_masks}.items():
        if tuple(rle.size_hw) != record.size_hw:
            faults.add(
                "annotations",
                f"{record.image_id} {name}",
                expected=f"a mask of {spell_size(record.size_hw)} {ORDER}",
                got=spell_size(rle.size_hw),
            )
