"""What is checked: a photo's mask with all that rules look at, from a workspace or from a release."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from figureground.annotate.attribute_history import AttributeHistory
from figureground.annotate.decisions import newest_state
from figureground.annotate.proposals.best import best_proposals
from figureground.annotate.released_attributes import gather_attributes
from figureground.schemas.attributes import OBJECT
from figureground.schemas.rasters.masks import CocoRle
from figureground.schemas.records import CONSENSUS, Annotation, ImageRecord, ObjectRecord, ProposalRecord
from figureground.schemas.store.workspace import Workspace

SubjectState = Literal["accepted", "consensus", "machine_import", "unreviewed"]

_GUESSES: Final = ("grid", "centre", "saliency")
"""Origins of prompts that nobody knows to be about the photo's label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherMask:
    """Another machine mask of the same photo."""

    rle: CocoRle
    quality: float
    """Score x stability, [0, 1]."""
    maker: str
    """Segmenter and origin of its prompt, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One object that is checked."""

    object_id: str
    photo: ImageRecord
    state: SubjectState
    origin: str
    """The answer or proposal that the mask is."""
    mask: CocoRle | None
    """None for an accepted answer without one."""
    instances: tuple[CocoRle, ...] = ()
    parts: Mapping[str, CocoRle] = field(default_factory=dict)
    """Attribute to its mask."""
    attributes: Mapping[str, bool | None] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    answer: Annotation | None = None
    """The answer, without its masks; None for a machine mask, and in a release."""
    began_from: CocoRle | None = None
    """The machine mask that the answer began from."""
    others: tuple[OtherMask, ...] = ()
    """Machine masks of the photo besides ``mask`` that may show a second object of its label."""


def accepted_origins(workspace: Workspace) -> dict[str, str]:
    """Photo to its accepted answer, of every photo that has one."""
    return {
        decision.image_id: decision.annotation_id
        for decision in workspace.newest_decisions()
        if decision.state == "accepted"
    }


def proposal_origins(workspace: Workspace, segmenter: str | None) -> dict[str, str]:
    """Photo to its best machine mask, of every photo that nobody decided on.

    Raises:
        UsageError: if several segmenters made proposals and ``segmenter`` names none.
    """
    decided = workspace.decisions()
    return {
        proposal.image_id: proposal.proposal_id
        for proposal in best_proposals(workspace, segmenter)
        if proposal.image_id not in decided
    }


class WorkspaceSubjects(Sequence[Subject | None]):
    """Objects of a workspace, read from it one after another.

    Args:
        workspace: Where they are.
        origins: Photo to the answer or proposal that its mask is; empty for a photo without a mask, which is passed
            over.
    """

    def __init__(self, workspace: Workspace, origins: Mapping[str, str]) -> None:
        self._workspace = workspace
        self._origins = sorted((image_id, origin) for image_id, origin in origins.items() if origin)
        self._history = AttributeHistory.of(workspace)

    def __len__(self) -> int:
        return len(self._origins)

    def find(self, object_id: str) -> Subject | None:
        """The object of an object_id; None for one that is not among these."""
        place = bisect_left(self._origins, (object_id.partition(".")[0], ""))
        subject = self[place] if place < len(self) else None
        return subject if subject is not None and subject.object_id == object_id else None

    def __getitem__(self, index: int) -> Subject | None:  # type: ignore[override]  # slices are nobody's need
        """An object; None where the photo was forgotten, or the answer is not there."""
        image_id, origin = self._origins[index]
        photo = self._workspace.image(image_id)
        if photo is None:
            return None
        proposals = list(self._workspace.proposals(image_id))
        for proposal in proposals:
            if proposal.proposal_id == origin:
                return _of_proposal(photo, proposal, proposals)
        answers = list(self._workspace.annotations(image_id))
        answer = newest_state(answers, origin)
        return None if answer is None else _of_answer(photo, answer, answers, proposals, self._history)


class ReleasedSubjects(Sequence[Subject | None]):
    """Objects that are about to be released, with what the workspace knows of their answers; read once, in order.

    Args:
        workspace: Where the answers are.
        records: The objects.
        count: How many these are.
    """

    def __init__(self, workspace: Workspace, records: Iterator[ObjectRecord], count: int) -> None:
        self._workspace, self._records, self._count = workspace, records, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Subject | None:  # type: ignore[override]  # slices are nobody's need
        """The next object, whatever the index; None for one that is to have no mask."""
        subject = subject_of(next(self._records))
        if subject is None:
            return None
        image_id = subject.photo.image_id
        proposals = list(self._workspace.proposals(image_id))
        answers = [answer for answer in self._workspace.annotations(image_id) if answer.annotation_id == subject.origin]
        if answers:
            return _with_answer(subject, answers[-1], proposals)
        return replace(subject, others=_others(proposals, subject.origin))


def _of_proposal(photo: ImageRecord, proposal: ProposalRecord, proposals: Iterable[ProposalRecord]) -> Subject:
    return Subject(
        object_id=f"{photo.image_id}.0",
        photo=photo,
        state="unreviewed",
        origin=proposal.proposal_id,
        mask=proposal.rle,
        others=_others(proposals, proposal.proposal_id),
    )


def _of_answer(
    photo: ImageRecord,
    answer: Annotation,
    answers: Sequence[Annotation],
    proposals: Sequence[ProposalRecord],
    history: AttributeHistory,
) -> Subject:
    attributes = gather_attributes(answer, answers, history)
    subject = Subject(
        object_id=f"{photo.image_id}.0",
        photo=photo,
        state="machine_import" if answer.machine else "accepted",
        origin=answer.annotation_id,
        mask=answer.masks.get(OBJECT),
        instances=answer.instances,
        parts=attributes.masks,
        attributes=attributes.values,
        flags=tuple(sorted(answer.flags)),
    )
    return _with_answer(subject, answer, proposals)


def _with_answer(subject: Subject, answer: Annotation, proposals: Sequence[ProposalRecord]) -> Subject:
    """The object with the answer that its mask comes from, and the machine masks of its photo."""
    began = [proposal.rle for proposal in proposals if proposal.proposal_id == answer.proposal_id]
    return replace(
        subject,
        answer=replace(answer, masks={}, instances=()),
        began_from=began[0] if began else None,
        others=_others(proposals, answer.proposal_id),
    )


def _others(proposals: Iterable[ProposalRecord], own: str) -> tuple[OtherMask, ...]:
    """Machine masks that were asked for about the photo's label, or that a detector made of an object."""
    return tuple(
        OtherMask(rle=proposal.rle, quality=proposal.score * proposal.stability, maker=proposal.segmenter)
        for proposal in proposals
        if proposal.proposal_id != own
        and proposal.segmenter != CONSENSUS  # what it is made of is there
        and not any(f'"origin":"{origin}"' in proposal.prompt for origin in _GUESSES)
    )


def subject_of(record: ObjectRecord) -> Subject | None:
    """An object of a release; None for one that has no mask and is to have none."""
    if record.state == "unmasked":
        return None
    photo = ImageRecord(
        image_id=record.image_id,
        source=record.source,
        uri=record.uri,
        sha256=record.sha256,
        width=record.width,
        height=record.height,
        exif_orientation=record.exif_orientation,
        label=record.label,
        source_split=record.source_split,
        boxes_xyxy_px=record.boxes_xyxy_px,
        phash=record.phash,
        flags=record.image_flags,
    )
    return Subject(
        object_id=record.object_id,
        photo=photo,
        state=record.state,
        origin=record.mask_origin,
        mask=record.mask,
        instances=record.instances,
        parts=record.attribute_masks,
        attributes=record.attributes,
        flags=record.flags,
    )
