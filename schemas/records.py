"""The typed records that pass between stages; one class for each table of the workspace and for the release."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

from figureground.schemas.rasters.masks import Box, CocoRle

NAME_PATTERN: Final = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,128}")
"""Form of every id, class, attribute and config name; ``/`` would break ``datasets``, dots alone are paths."""

NAME_WORDS: Final = "1 to 128 letters, digits, dots, dashes and underscores, and not dots alone"
"""What ``NAME_PATTERN`` takes, for people."""

DecisionState = Literal["accepted", "rejected", "confirmed_empty", "not_localisable", "wrong_label", "needs_second"]

ObjectState = Literal["accepted", "consensus", "machine_import", "unreviewed", "unmasked"]

DUPLICATE: Final = "duplicate"
"""Reason of a rejected file that has the bytes and the label of a photo that is catalogued."""

GROUP_DIGEST: Final = "sha256:"
"""How a group begins whose name is not told (``releases.group_digest``)."""
LINKED: Final = "linked:"
"""How the name of a group begins that near-duplicates were joined to, which may be of several sources."""

AGREEING_PROPOSALS: Final = 0.75
"""IoU from which the proposals of two segmenters agree: below it BG-gap is that of the masks as much as the model's
(four classifiers on 143 photos lost a third to three quarters of it once such photos were left out)."""

AnswerState = Literal["submitted", "skipped", "draft"]

Purpose = Literal["first_look", "second_look", "authors_look", "honeypot", "new_attributes"]
"""The reason why people are asked about a photo: a first look, a second one after answers that left a doubt, the same
by those whose own answers are in doubt (on the maintainer's explicit word), a honeypot (a photo whose mask is known, to
see how somebody works; it decides nothing), or attributes that were added after it was decided."""
SHEET_TOOL: Final = "sheet"
"""Tool of answers that accept or reject a machine mask on a sheet, where nobody can paint."""
SECOND_LOOKS: Final[tuple[Purpose, ...]] = ("second_look", "authors_look")
"""Purposes of answers that settle a doubt."""


def canonical_json(value: Any) -> str:  # noqa: ANN401  any JSON value
    """JSON text with sorted keys and no spaces: equal values, equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def content_id(*parts: str) -> str:
    """First 32 hex digits of the SHA-256 over the NUL-joined parts: equal content, equal id."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


class RowKey(NamedTuple):
    """Key of a row of a plan or of a dataset: rows are sorted and looked up by it."""

    variant: str
    """Also the name of the config that the row is published in."""
    split: str
    object_id: str
    """Object whose figure the row shows."""
    attribute: str
    """Attribute that the row is about; empty in variants that are about whole photos."""
    draw: int
    """0, the number of the repeated donor draw, or that of the instance where each has a row."""

    def __str__(self) -> str:
        """The parts with a space between them, as errors name a row."""
        return " ".join(map(str, self))

    @property
    def in_variant(self) -> str:
        """Name of the row within its variant, for people: object, attribute and draw."""
        return f"{self.object_id} {self.attribute} {self.draw}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRow:
    """Location of a named source of photos, as it is now."""

    name: str
    kind: str
    """``folder``, ``ilsvrc``, ``imagenet-a``, ``parquet`` or ``rival10``."""
    locator: str
    """A path or a Hub id, as the user gave it; never part of a release."""
    options: Mapping[str, str]
    """Other settings that open it, such as ``boxes``, and its terms: ``licence``, ``restricted``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecord:
    """A catalogued photo."""

    image_id: str
    """First 32 hex digits of ``sha256``."""
    source: str
    """Name of the source that it was catalogued from."""
    uri: str
    """Its location in the source: a path below the source's root, or ``file.parquet#row``."""
    sha256: str
    """SHA-256 of the stored bytes, hex."""
    width: int
    """Stored width in pixels, before any EXIF rotation."""
    height: int
    """Stored height in pixels, before any EXIF rotation."""
    exif_orientation: int
    """EXIF orientation tag, 1 to 8; 1 where the file has none. Recorded, never applied."""
    label: str
    """Source label, a wnid for ImageNet-like sources."""
    source_split: str
    """Split of the source that it lies in."""
    boxes_xyxy_px: tuple[Box, ...] = ()
    """Annotated boxes, half-open, stored pixels."""
    phash: str
    """64-bit perceptual hash of the stored pixels, 16 hex digits (imagehash.phash)."""
    flags: tuple[str, ...] = ()
    """Properties that are unusual but usable: ``cmyk``, ``palette``, ``grey``, ``alpha``, sorted."""

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in stored pixels."""
        return self.height, self.width


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """The question to a segmenter: a box, a point, or nothing."""

    kind: Literal["box", "point", "text", "none"]
    """``box`` and ``point`` carry coordinates, ``text`` names a thing; ``none`` asks for whatever the segmenter finds
    by itself."""
    box_xyxy_px: Box | None = None
    """Half-open box in stored pixels."""
    point_xy_px: tuple[float, float] | None = None
    """A point on the figure in stored pixels; the centre of the first pixel is (0.5, 0.5)."""
    origin: str = ""
    """Origin of the coordinates: ``annotated``, ``saliency``, ``detector``, ``centre``, ``grid``, or the model that
    found a text's box: ``sam3``, ``grounding-dino``, ``owlv2``; of a text itself ``class``."""
    text: str = ""
    """What was asked for by name; empty for nothing."""
    score: float | None = None
    """How sure the model that found the text's box is of it, in [0, 1]; None without one."""

    def to_json(self) -> str:
        """Canonical JSON without absent fields."""
        pairs: dict[str, Any] = {
            "kind": self.kind,
            "box": self.box_xyxy_px,
            "point": self.point_xy_px,
            "origin": self.origin,
        }
        pairs |= {"text": self.text, "score": self.score}
        return canonical_json({key: value for key, value in pairs.items() if value not in (None, "")})


CONSENSUS: Final = "consensus"
"""Stands for a segmenter where a machine mask is made of the first choices of several; no segmenter is called so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalRecord:
    """A machine mask."""

    proposal_id: str
    """Derived from the run and the rank."""
    run_id: str
    """The run that made it: image, segmenter, checkpoint, settings."""
    image_id: str
    rle: CocoRle
    """The mask in stored pixels."""
    score: float
    """The segmenter's own estimate of quality, in [0, 1] (SAM: predicted IoU)."""
    stability: float
    """IoU of the masks at a raised and a lowered threshold, in [0, 1] (SAM's stability score)."""
    rank: int
    """0 is the segmenter's first choice for the image."""
    prompt: str
    """Canonical JSON of the prompt."""
    segmenter: str
    checkpoint_sha256: str
    """SHA-256 over the checkpoint's files, or over its tensors where transformers loads it; empty without weights."""
    instances: tuple[CocoRle, ...] = ()
    """Masks of the single objects that it unites, stored pixels; they may overlap. Empty where it shows one."""
    probability: float | None = None
    """That it needs no correction, in [0, 1], where a ranking chose it among those of several segmenters; else None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalRun:
    """One segmenter's finished attempt at one image, stored so that a run can resume and a rejection has a reason."""

    run_id: str
    image_id: str
    segmenter: str
    prompt_mode: str
    reason: str
    """Reason why there are no candidates; empty where there are some."""
    seconds: float
    """Wall clock spent on the image; never part of a release."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """One person's answer for one image, as pulled."""

    annotation_id: str
    updated_at: str
    """UTC, ISO 8601."""
    image_id: str
    masks: Mapping[str, CocoRle]
    """Mask name (``object`` or an attribute) to mask, stored pixels."""
    instances: tuple[CocoRle, ...] = ()
    """Masks of the single objects, stored pixels, where the answer tells several apart; they may overlap, and their
    union is the mask ``object``. Empty where it shows one object."""
    attributes: Mapping[str, bool | None]
    """Attribute name to present, absent or (None) unsure."""
    flags: tuple[str, ...]
    annotator: str
    """Random pseudonym of who gave the answer."""
    seconds: float
    """Time on the page, as Label Studio counts it (``lead_time``)."""
    tool: str
    """Origins of the object's regions (Label Studio's ``origin``), sorted, joined by ``+``."""
    proposal_id: str
    """The proposal it began from; empty for none."""
    edit_iou: float | None
    """IoU of the object mask with that proposal; None without one."""
    changed_px: int | None = None
    """Stored pixels in which the object mask differs from that proposal; None without one."""
    state: AnswerState = "submitted"
    """A draft or a skip is an answer too, but never accepted."""
    edited_by: str = ""
    """Pseudonym of who changed it last, where that was somebody else."""
    visibility: Mapping[str, str] = field(default_factory=dict)
    """Mask name to ``visible``, ``occluded`` or ``unsure``, where the annotator said so."""
    note: str = ""
    attribute_schema: str = ""
    """``name@version`` of the attributes that were asked for; empty for none."""
    purpose: Purpose = "first_look"
    origin: str = ""
    """Who made imported masks and how, in one line, as whoever imported them says; empty for an answer given here."""
    machine: bool = False
    """Whether a machine made the masks that were imported, as whoever imported them says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudioProject:
    """A Label Studio project that we filled."""

    server: str
    """The server: the random id of one that we started, or the address of another one."""
    project: int
    title: str
    annotator: str
    """Name of the annotator whose project it is, as the maintainer gave it; empty where anybody answers."""
    purpose: Purpose
    attribute_schema: str
    """JSON of the attribute schema that its page was made from."""
    since: str
    """When it got that page by the server's clock, UTC, ISO 8601: answers from before were given to the page before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudioTeam:
    """Who answers on a Label Studio server, and how photos are shared out among them."""

    annotators: tuple[str, ...]
    """Their names as the maintainer gave them; one empty name where anybody answers in one project."""
    heirs: Mapping[str, str] = field(default_factory=dict)
    """Those who left, and who takes over what they had not answered; empty text for everybody who stays."""
    overlap: str = "0"
    """Photos that two people get, as it was asked for: a count such as ``40``, or a share of the photos such as
    ``0.1``."""
    honeypots: int = 0
    """Photos with a known mask that are mixed into the queue of each."""
    entry_test: int = 0
    """Photos with a known mask that come first to whoever is new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """State of an image and the reason for it; the newest decision on an image counts."""

    image_id: str
    state: DecisionState
    reason: str
    annotation_id: str = ""
    """The answer that was accepted; empty where none was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoRef:
    """A photo of which nothing but its bytes is used, such as a texture."""

    image_id: str
    source: str
    uri: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectRecord:
    """A frozen object: one row of a release that a build reads."""

    object_id: str
    """``image_id + "." + index``."""
    image_id: str
    source: str
    uri: str
    sha256: str
    width: int
    height: int
    exif_orientation: int
    label: str
    source_split: str
    boxes_xyxy_px: tuple[Box, ...]
    phash: str
    image_flags: tuple[str, ...]
    mask: CocoRle
    """Union of all instances, stored pixels."""
    instances: tuple[CocoRle, ...] = ()
    """Masks of the single objects, stored pixels, where several were told apart; they may overlap. Empty where there is
    one, which ``mask`` shows."""
    attributes: Mapping[str, bool | None] = field(default_factory=dict)
    attribute_masks: Mapping[str, CocoRle] = field(default_factory=dict)
    """Attribute name to mask, stored pixels."""
    state: ObjectState
    """``accepted``: a person's answer; ``consensus``: what answers of several people add up to; ``machine_import``: a
    machine's mask that was imported; ``unreviewed``: a machine proposal that nobody looked at; ``unmasked``: the photo
    alone, its mask empty."""
    mask_origin: str
    """The annotation or proposal id that the mask comes from; of a consensus ``consensus of N people (METHOD):`` and
    the ids of their annotations."""
    segmenter: str
    """Segmenter of an unreviewed mask; empty for a person's."""
    flags: tuple[str, ...] = ()
    """Annotators' flags, such as ``class_visible_outside``."""
    origin: str = ""
    """Who made an imported mask and how, in one line; empty for one that was made here, and where it is not known."""
    agreement_iou: float | None = None
    """IoU in [0, 1] of a proposal that nobody reviewed with the first choice of another segmenter, the least where
    there are several of these; None for other masks, and without another segmenter's proposal."""
    group: str = ""
    """What it shares with other photos of its source: a video, a burst, a photographer; empty for none."""

    @property
    def scene(self) -> tuple[str, str] | None:
        """Source and group, which are equal where two photos may show one scene; None where nothing is known.

        A group of near-duplicates is of no one source, and the digest of a group holds its source.
        """
        if self.group.startswith((LINKED, GROUP_DIGEST)):
            return "", self.group
        return (self.source, self.group) if self.group else None

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in stored pixels."""
        return self.height, self.width


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRow:
    """One row that a build makes: everything that painting needs besides the photos and masks themselves."""

    variant: str
    object_id: str
    """Object whose figure the row shows."""
    draw: int
    """Number of the repeated donor draw, from 0, or that of the instance where each instance has a row."""
    split: str
    """Split that the row is published under."""
    attribute: str
    """Attribute that the row is about; empty in variants that are about whole photos."""
    label: int
    """Class index of the photo that the row is labelled by."""
    seed: int
    """64-bit seed of the row."""
    ground_id: str
    """Object whose ground is used; empty where it is the row's own."""
    ground_label: int
    """Class index of the donor; -1 without one."""
    texture_id: str
    """Photo that is the texture; empty without one."""
    params: str
    """Canonical JSON: stored→canvas affine, box, strip and flags of figure and ground; the texture; the attribute."""

    @property
    def key(self) -> RowKey:
        """Key by which rows are sorted and looked up."""
        return RowKey(self.variant, self.split, self.object_id, self.attribute, self.draw)
