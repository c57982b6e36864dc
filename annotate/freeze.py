"""Freeze: accepted masks into an immutable release. Unreviewed proposals only where they are asked for by name."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from figureground.annotate.annotation_summary import summarise_annotation
from figureground.annotate.proposals import best_proposals
from figureground.errors import DataError, Faults, UsageError
from figureground.schemas.files import csv_text, write_text
from figureground.schemas.masks import CocoRle, encode_coco_rle
from figureground.schemas.records import (
    NAME_PATTERN,
    Annotation,
    ImageRecord,
    ObjectRecord,
    ObjectState,
    ProposalRecord,
)
from figureground.schemas.releases import write_release
from figureground.schemas.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeOptions:
    """What may enter a release besides accepted masks."""

    unreviewed: bool = False
    """Take the best machine mask of photos that nobody decided on."""
    unmasked: bool = False
    """Take photos without any mask, for recipes that need none (IN-9L); their mask is empty."""
    segmenter: str | None = None
    """Whose proposals to take; needed where several segmenters made some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOutPhoto:
    """A catalogued photo that did not enter a release; ``objects/<version>.left_out.csv`` lists them."""

    image_id: str
    label: str
    reason: str
    """``undecided``, ``no_mask``, or what was decided: ``not_localisable``, ``wrong_label`` …"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeReport:
    """What a release holds."""

    path: Path
    version: str
    states: Mapping[str, int]
    """State to number of objects."""
    left_out: Mapping[str, int]
    """Reason to number of photos that did not enter."""


def freeze(workspace: Workspace, version: str, options: FreezeOptions) -> FreezeReport:
    """Write ``objects/<version>.parquet`` from the newest decisions.

    Raises:
        UsageError: if the version's name is bad, exists with other content, or ``segmenter`` must be given.
        DataError: if nothing would be in it, or masks do not have their photos' sizes.
    """
    if not NAME_PATTERN.fullmatch(version):
        raise UsageError(f"version {version!r}: use letters, digits, dot, dash and underscore")
    missing: list[LeftOutPhoto] = []
    records = list(_objects(workspace, options, missing))
    left_out = Counter(each.reason for each in missing)
    path = workspace.root / "objects" / f"{version}.parquet"
    if not records:
        raise DataError.single(
            str(workspace.root), "", expected="accepted masks",
            got="none (" + ", ".join(f"{reason} {count}" for reason, count in sorted(left_out.items())) + ")",
            remedy="accept some in Label Studio, or take machine masks with --unreviewed",
        )  # fmt: skip
    _require_sizes(records)
    by_label: dict[str, Counter[str]] = defaultdict(Counter)
    for each in missing:
        by_label[each.label][each.reason] += 1
    annotation = summarise_annotation(workspace, records)
    write_release(path, records, version=version, left_out=by_label, annotation=annotation)
    write_text(path.with_suffix(".left_out.csv"), csv_text(LeftOutPhoto, missing))
    states: Counter[str] = Counter(record.state for record in records)
    return FreezeReport(path=path, version=version, states=dict(states), left_out=dict(sorted(left_out.items())))


def _objects(workspace: Workspace, options: FreezeOptions, missing: list[LeftOutPhoto]) -> Iterator[ObjectRecord]:
    decisions = workspace.decisions()
    answers = {answer.annotation_id: answer for answer in workspace.annotations()}
    best = best_proposals(workspace, options.segmenter) if options.unreviewed else {}
    for image in workspace.images():
        decision = decisions.get(image.image_id)
        if decision is not None and decision.state != "accepted":
            missing.append(LeftOutPhoto(image_id=image.image_id, label=image.label, reason=decision.state))
        elif decision is not None:
            yield _accepted(image, answers.get(decision.annotation_id))
        elif image.image_id in best:
            yield _unreviewed(image, best[image.image_id])
        elif options.unmasked:
            yield _object(image, encode_coco_rle(np.zeros(image.size_hw, dtype=np.bool_)), state="unmasked")
        else:
            reason = "no_mask" if options.unreviewed else "undecided"
            missing.append(LeftOutPhoto(image_id=image.image_id, label=image.label, reason=reason))


def _accepted(image: ImageRecord, answer: Annotation | None) -> ObjectRecord:
    if answer is None or "object" not in answer.masks:
        got = "no such answer" if answer is None else "an answer without one"
        raise DataError.single("decisions", image.image_id, expected="an accepted answer with an object mask", got=got)
    masks = dict(answer.masks)
    mask = masks.pop("object")
    return _object(
        image,
        mask,
        state="accepted",
        origin=answer.annotation_id,
        attributes=answer.attributes,
        attribute_masks=masks,
        flags=answer.flags,
    )


def _unreviewed(image: ImageRecord, proposal: ProposalRecord) -> ObjectRecord:
    return _object(image, proposal.rle, state="unreviewed", origin=proposal.proposal_id, segmenter=proposal.segmenter)


def _object(
    image: ImageRecord,
    mask: CocoRle,
    *,
    state: ObjectState,
    origin: str = "",
    segmenter: str = "",
    attributes: Mapping[str, bool | None] | None = None,
    attribute_masks: Mapping[str, CocoRle] | None = None,
    flags: tuple[str, ...] = (),
) -> ObjectRecord:
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
        instances=(mask,),
        attributes=attributes or {},
        attribute_masks=attribute_masks or {},
        state=state,
        mask_origin=origin,
        segmenter=segmenter,
        flags=tuple(sorted(flags)),
    )


def _require_sizes(records: list[ObjectRecord]) -> None:
    faults = Faults()
    for record in records:
        for name, rle in {"object": record.mask, **record.attribute_masks}.items():
            if tuple(rle.size_hw) != record.size_hw:
                faults.add(
                    "annotations", f"{record.image_id} {name}",
                    expected=f"a mask of {record.height}x{record.width}", got=f"{rle.size_hw[0]}x{rle.size_hw[1]}",
                )  # fmt: skip
    faults.raise_if_any()
