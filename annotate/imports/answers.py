"""Masks that were made elsewhere, stored as accepted answers: whose they are stands beside every one of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any, Final

from figureground.annotate.decisions import news_of
from figureground.annotate.times import later_utc, spell_utc
from figureground.errors import Faults, UsageError, listed, printable
from figureground.schemas.attributes import OBJECT, AttributeSchema
from figureground.schemas.documents import same_form
from figureground.schemas.rasters.masks import Mask, encode_coco_rle
from figureground.schemas.rasters.sizes import TURNED
from figureground.schemas.records import NAME_PATTERN, Annotation, ImageRecord, canonical_json, content_id
from figureground.schemas.store.workspace import Workspace

LONGEST_ORIGIN: Final = 200
"""Characters: an origin is a line for people, not a document."""
_MACHINE_WORDS: Final = re.compile(
    r"\b(machines?|models?|networks?|segmenters?|(mobile|edge|fast)?[-_ ]?sam[0-9.]*|auto(matic|matically)?|predict\w*|"
    r"u-?2?-?net\w*|mask[-_ ]?r-?cnn|yolo\w*|ai)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOrigin:
    """Where imported masks come from; stored in every answer."""

    text: str
    """Who made them and how, one line, such as ``project-made`` or ``dataset authors``."""
    annotator: str = ""
    """Pseudonym that stands for the maker; the newest answer of an annotator replaces the older ones. Where it is
    empty, the origin itself stands for the maker: imports of two origins never replace one another."""
    tool: str
    """The way in, such as ``import:masks``."""
    schema: AttributeSchema | None = None
    """The attributes that the masks speak of; None for object masks alone."""
    machine: bool = False
    """Whether a machine made the masks: a person's answer then replaces them, and cards of datasets say so."""

    @property
    def maker(self) -> str:
        """The pseudonym that answers are stored under."""
        return self.annotator or f"imported-{content_id('origin', same_form(self.text).strip())[:12]}"

    @property
    def speaks_of_machine(self) -> bool:
        """Whether the text speaks of a machine, though the masks are said to be a person's."""
        return not self.machine and _MACHINE_WORDS.search(self.text) is not None

    def require_valid(self) -> None:
        """Check the fields that people type.

        Raises:
            UsageError: for an empty or long origin, or an annotator that is no name.
        """
        if not self.text.strip() or len(self.text) > LONGEST_ORIGIN or printable(self.text) != self.text:
            raise UsageError(f"an origin is one line of 1 to {LONGEST_ORIGIN} characters that says who made the masks")
        if not NAME_PATTERN.fullmatch(self.maker):
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
    """Names of photos that have masks there and are not in the workspace, with the reason where one is known."""
    replaced: int = 0
    """Answers of the same annotator that newer ones replace."""
    maybe_turned: int = 0
    """Photos with an EXIF rotation that sizes do not show: the masks may be those of the upright photo."""
    maybe_machine: str = ""
    """The origin, where it speaks of a machine and the masks were imported as a person's."""
    passed_over: Counter[str] = field(default_factory=Counter)
    """Files, columns and rows that are not read, by what they are."""
    faults: Faults = field(default_factory=Faults)
    """What is wrong; the photos that it is about are not stored."""

    def warnings(self) -> list[str]:
        """Remarks for the person who imports, one line each."""
        bare = [f"{name}: {count} present without a mask" for name, count in sorted(self.present_without_mask.items())]
        painted = [
            f"{name}: {count} masks left out, the label says absent"
            for name, count in sorted(self.mask_without_presence.items())
        ]
        resized = [f"{self.resized} photos whose masks were resized by nearest neighbour"] if self.resized else []
        others = [f"{name} {count}" for name, count in sorted(self.passed_over.items())]
        lines = [
            (self.not_indexed, f"{len(self.not_indexed)} photos are not in the workspace: {listed(self.not_indexed)}"),
            (self.replaced, f"{self.replaced} answers replace older ones of the same annotator"),
            (
                self.maybe_turned,
                f"{self.maybe_turned} photos have an EXIF rotation that sizes do not show: check that their masks are "
                "in stored pixels, before any rotation",
            ),
            (
                self.maybe_machine,
                f"the origin {self.maybe_machine!r} speaks of a machine: import the masks again with --machine if one "
                "made them",
            ),
            (others, f"passed over: {listed(others)}"),
        ]
        return [*bare, *painted, *resized, *(line for count, line in lines if count)]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready fields."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**values, "warnings": self.warnings(), "faults": [str(fault) for fault in self.faults]}

    def __str__(self) -> str:
        """Counts, then the warnings."""
        decided = ", ".join(f"{state} {count}" for state, count in sorted(self.decisions.items())) or "none"
        head = (
            f"{self.answers} answers stored, {self.already_there} there before, "
            f"{self.without_mask} photos without a mask; new decisions: {decided}"
        )
        return "\n".join(map(printable, [head, *(f"warning: {line}" for line in self.warnings())]))


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
    timeless = _annotation(answer, origin, now or spell_utc(datetime.now(UTC)))
    report.maybe_machine = origin.text if origin.speaks_of_machine else ""
    report.attributes.update(name for name, present in timeless.attributes.items() if present)
    with workspace.writing():  # two imports at once must not both find the answer missing
        stored = list(workspace.annotations(timeless.image_id))
        ours = [earlier for earlier in stored if earlier.annotator == origin.maker and earlier.state == "submitted"]
        newest = max(ours, key=lambda earlier: (earlier.updated_at, earlier.annotation_id), default=None)
        # A clock that was set back must not make the older answer the newer one.
        made = replace(timeless, updated_at=later_utc(timeless.updated_at, ours))
        if newest is not None and newest.annotation_id == made.annotation_id:
            report.already_there += 1
            return
        decision = news_of(workspace.decision(made.image_id), made, stored)
        if workspace.add_answer(made, decision):
            report.answers += 1
            report.replaced += newest is not None
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


def note_rotation(photo: ImageRecord, report: ImportReport, *, resized: bool = False) -> None:
    """Count a photo whose masks may be those of the upright photo without their sizes showing it.

    Args:
        photo: The photo, whose masks have its stored size.
        report: Counts it.
        resized: Whether masks of any size are taken, so that no rotation shows.
    """
    shows = photo.exif_orientation in TURNED and photo.width != photo.height and not resized
    report.maybe_turned += photo.exif_orientation != 1 and not shows


def size_remedy(photo: ImageRecord, size_hw: tuple[int, int]) -> str:
    """What to do about masks of another size than the stored photo's."""
    if size_hw == photo.size_hw[::-1] and photo.exif_orientation in TURNED:
        return (
            f"the masks show the photo turned by its EXIF orientation, {photo.exif_orientation}, and the photo is "
            "stored unturned: turn the masks back, or index copies that are stored upright"
        )
    return "masks are in the photo's stored pixels, before any EXIF rotation"


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
        **({"machine": True} if origin.machine else {}),
    }
    return Annotation(
        annotation_id=content_id("import", answer.image.image_id, origin.maker, origin.tool, canonical_json(content)),
        updated_at=updated_at,
        image_id=answer.image.image_id,
        masks=masks,
        instances=instances,
        attributes=dict(answer.attributes),
        flags=(),
        annotator=origin.maker,
        seconds=0.0,
        tool=origin.tool,
        proposal_id="",
        edit_iou=None,
        note=note,
        attribute_schema=schema,
        origin=origin.text,
        machine=origin.machine,
    )
