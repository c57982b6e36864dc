"""Masks that were made elsewhere, stored as accepted answers: whose they are stands beside every one of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from figureground.annotate.decisions import decide
from figureground.annotate.times import spell_utc
from figureground.errors import UsageError
from figureground.schemas.attributes import OBJECT, AttributeSchema
from figureground.schemas.rasters.masks import Mask, encode_coco_rle
from figureground.schemas.records import NAME_PATTERN, Annotation, ImageRecord, canonical_json, content_id
from figureground.schemas.store.workspace import Workspace

_PARQUET_ROW: Final = re.compile(r"\.parquet#\d+$")
"""The uri of a photo without a file name: it is found by its image_id alone."""

LONGEST_ORIGIN: Final = 200
"""Characters: an origin is a line for people, not a document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOrigin:
    """Where imported masks come from; stored in every answer."""

    text: str
    """Who made them and how, one line, such as ``project-made`` or ``dataset authors``."""
    annotator: str
    """Pseudonym that stands for the maker; the newest answer of an annotator replaces the older ones."""
    tool: str
    """The way in, such as ``import:masks``."""
    schema: AttributeSchema | None = None
    """The attributes that the masks speak of; None for object masks alone."""

    def require_valid(self) -> None:
        """Check the fields that people type.

        Raises:
            UsageError: for an empty or long origin, or an annotator that is no name.
        """
        if not self.text.strip() or len(self.text) > LONGEST_ORIGIN or not self.text.isprintable():
            raise UsageError(f"an origin is one line of 1 to {LONGEST_ORIGIN} characters that says who made the masks")
        if not NAME_PATTERN.fullmatch(self.annotator):
            raise UsageError(f"annotator {self.annotator!r}: use letters, digits, dot, dash and underscore")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedAnswer:
    """One photo's masks and attributes, made outside of this workspace."""

    image: ImageRecord
    masks: Mapping[str, Mask]
    """``object`` and local attributes to ``(H, W)`` bool, stored pixels, none of them empty."""
    instances: Sequence[Mask] = ()
    """Masks of the single objects, whose union is ``object``, where several are kept apart; else empty."""
    attributes: Mapping[str, bool | None]
    """Attribute name to present, absent or (None) not known."""
    remark: str = ""
    """How the masks were changed by the import; empty where they were not."""


@dataclass(slots=True, kw_only=True)
class ImportReport:
    """Counts of one import."""

    answers: int = 0
    """New answers."""
    already_there: int = 0
    """Photos whose answer is stored already."""
    decisions: Counter[str] = field(default_factory=Counter)
    """New decisions by state; other than ``accepted`` where people answered differently."""
    attributes: Counter[str] = field(default_factory=Counter)
    """Attribute to number of photos that have it, those that were there already included."""
    present_without_mask: Counter[str] = field(default_factory=Counter)
    """Local attribute to number of photos that have it by their label and lack its mask."""
    mask_without_presence: Counter[str] = field(default_factory=Counter)
    """Local attribute to number of photos that lack it by their label; the label counts, the mask is left out."""
    resized: int = 0
    """Photos whose masks were of another size and were resized by nearest neighbour."""
    without_mask: int = 0
    """Photos of the source that the import does not mention, or for which it has no object mask."""
    not_indexed: list[str] = field(default_factory=list)
    """Names of photos that have masks there and are not in the workspace."""

    def warnings(self) -> list[str]:
        """Remarks for the person who imports, one line each."""
        bare = [f"{name}: {count} present without a mask" for name, count in sorted(self.present_without_mask.items())]
        painted = [
            f"{name}: {count} masks left out, the label says absent"
            for name, count in sorted(self.mask_without_presence.items())
        ]
        resized = [f"{self.resized} photos whose masks were resized by nearest neighbour"] if self.resized else []
        shown = ", ".join(self.not_indexed[:10]) + (", ..." if len(self.not_indexed) > 10 else "")
        missing = [f"{len(self.not_indexed)} photos are not in the workspace: {shown}"] if self.not_indexed else []
        return [*bare, *painted, *resized, *missing]

    def __str__(self) -> str:
        """Counts, then the warnings."""
        decided = ", ".join(f"{state} {count}" for state, count in sorted(self.decisions.items())) or "none"
        head = (
            f"{self.answers} answers stored, {self.already_there} there before, "
            f"{self.without_mask} photos without a mask; new decisions: {decided}"
        )
        return "\n".join([head, *(f"warning: {line}" for line in self.warnings())])


def store_answer(
    workspace: Workspace, answer: ImportedAnswer, origin: ImportOrigin, report: ImportReport, *, now: str | None = None
) -> None:
    """Store one answer and what it decides; an answer that is its annotator's newest already changes nothing.

    Args:
        workspace: Where it goes.
        answer: Masks and attributes of one photo; it must have an object mask.
        origin: Whose they are.
        report: Counts what was done.
        now: The time of the answer, UTC, ISO 8601; None for the clock. Time orders answers and is no part of the id.
    """
    made = _annotation(answer, origin, now or spell_utc(datetime.now(UTC)))
    report.attributes.update(name for name, present in made.attributes.items() if present)
    stored = list(workspace.annotations(made.image_id))
    ours = [earlier for earlier in stored if earlier.annotator == made.annotator and earlier.state == "submitted"]
    newest = max(ours, key=lambda earlier: (earlier.updated_at, earlier.annotation_id), default=None)
    if newest is not None and newest.annotation_id == made.annotation_id:
        report.already_there += 1
        return
    decision = decide(made.image_id, [*stored, made])
    if decision == workspace.decision(made.image_id):
        decision = None
    if workspace.add_answer(made, decision):
        report.answers += 1
        if decision is not None:
            report.decisions[decision.state] += 1


def agree_with_labels(
    masks: Mapping[str, Mask], attributes: Mapping[str, bool | None], schema: AttributeSchema, report: ImportReport
) -> dict[str, Mask]:
    """Masks that the labels allow; what disagrees is counted, and the label counts.

    Args:
        masks: ``object`` and attributes to ``(H, W)`` bool, none of them empty.
        attributes: Attribute name to the value of its label.
        schema: Which attributes are local.
        report: Counts the disagreements.
    """
    agreeing = dict(masks)
    for name in schema.names("local"):
        if attributes.get(name) is True and name not in masks:
            report.present_without_mask[name] += 1
        elif attributes.get(name) is False and name in masks:
            report.mask_without_presence[name] += 1
            del agreeing[name]
    return agreeing


def require_source(workspace: Workspace, source: str | None) -> None:
    """Check that a source is one of the workspace's; None means all of them.

    Raises:
        UsageError: with the names that there are.
    """
    if source is not None and source not in workspace.sources():
        raise UsageError(f"no source is called {source!r}; there are {', '.join(workspace.sources()) or 'none'}")


def photos_by_name(workspace: Workspace, names: Iterable[str]) -> dict[str, list[ImageRecord]]:
    """Photos of a workspace by a name of theirs: the file's name without its ending, or the image_id.

    Args:
        workspace: Where the photos are catalogued.
        names: Names that are looked for; others are left out.

    Returns:
        Name to every photo that it may mean; more than one where folders hold files of the same name.
    """
    wanted = set(names)
    photos: dict[str, list[ImageRecord]] = {}
    for image in workspace.images():
        file_name = "" if _PARQUET_ROW.search(image.uri) else image.uri.rpartition("/")[2]
        for name in {file_name.rpartition(".")[0], image.image_id} & wanted:
            photos.setdefault(name, []).append(image)
    return photos


def _annotation(answer: ImportedAnswer, origin: ImportOrigin, updated_at: str) -> Annotation:
    if OBJECT not in answer.masks:
        raise ValueError(f"an imported answer has an object mask; {answer.image.image_id} has none")
    masks = {name: encode_coco_rle(mask) for name, mask in sorted(answer.masks.items())}
    instances = tuple(map(encode_coco_rle, answer.instances))
    schema = origin.schema.label if origin.schema else ""
    note = "\n".join(filter(None, [f"origin: {origin.text}", answer.remark]))
    content = {
        "masks": {name: [*rle.size_hw, rle.counts] for name, rle in masks.items()},
        "attributes": dict(answer.attributes),
        "schema": schema,
        "note": note,
        **({"instances": [[*rle.size_hw, rle.counts] for rle in instances]} if instances else {}),
    }
    return Annotation(
        annotation_id=content_id(
            "import", answer.image.image_id, origin.annotator, origin.tool, canonical_json(content)
        ),
        updated_at=updated_at,
        image_id=answer.image.image_id,
        masks=masks,
        instances=instances,
        attributes=dict(answer.attributes),
        flags=(),
        annotator=origin.annotator,
        seconds=0.0,
        tool=origin.tool,
        proposal_id="",
        edit_iou=None,
        note=note,
        attribute_schema=schema,
    )
