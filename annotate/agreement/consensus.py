"""The consensus of a photo's answers, as a release takes it in place of one person's; the answers themselves stay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from figureground.annotate.agreement.attribute_consensus import AttributeConsensus, consensus_of_all
from figureground.annotate.agreement.consensus_masks import ConsensusMethod, consensus_mask, enough_people, nearest_mask
from figureground.annotate.agreement.overlaps import answered_by_several, attribute_votes, first_looks
from figureground.annotate.attribute_history import AttributeHistory
from figureground.annotate.decisions import DOUBTS, newest_answers
from figureground.schemas.attributes import OBJECT
from figureground.schemas.rasters.masks import CocoRle, decode_coco_rle, encode_coco_rle
from figureground.schemas.records import SECOND_LOOKS, Annotation, Decision, ObjectRecord
from figureground.schemas.store.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoConsensus:
    """What the first looks of three or more people add up to."""

    method: ConsensusMethod
    answers: tuple[Annotation, ...]
    """The answers, one for each person, under the newest names of attributes."""
    nearest: Annotation
    """That whose object is nearest to the others': what has no consensus is taken from it."""
    mask: CocoRle
    attributes: Mapping[str, bool]
    """Those that enough people answered."""
    attribute_masks: Mapping[str, CocoRle]
    """Consensus of the masks of those attributes of which the consensus is yes, where enough people painted them."""

    @property
    def origin(self) -> str:
        """Who made the mask, for ``ObjectRecord.mask_origin``."""
        ids = " ".join(sorted(answer.annotation_id for answer in self.answers))
        return f"consensus of {len(self.answers)} people ({self.method}): {ids}"

    def applied_to(self, record: ObjectRecord) -> ObjectRecord:
        """The object of the nearest answer with the consensus in place of what that says alone.

        A flag of one person stays: it is a warning, and is not voted on.
        """
        masks = {name: rle for name, rle in record.attribute_masks.items() if self.attributes.get(name, True)}
        return replace(
            record,
            state="consensus",
            mask=self.mask,
            mask_origin=self.origin,
            origin="; ".join(sorted({answer.origin for answer in self.answers} - {""})),
            instances=(),
            attributes={**record.attributes, **self.attributes},
            attribute_masks={**masks, **self.attribute_masks},
            flags=tuple(sorted({flag for answer in self.answers for flag in answer.flags})),
        )


@dataclass(slots=True, kw_only=True)
class WorkspaceConsensus:
    """Consensus of photo after photo of a workspace, by one method."""

    workspace: Workspace
    method: ConsensusMethod
    history: AttributeHistory
    attributes: Mapping[str, AttributeConsensus]
    """By name; people's errors are estimated on all photos that several people answered."""
    people: Counter[int] = field(default_factory=Counter)
    """Number of people to photos with a consensus of so many, counted as they are asked for."""
    without: Counter[str] = field(default_factory=Counter)
    """Reason to photos that three or more people answered and that have no consensus, likewise."""

    @classmethod
    def of(cls, workspace: Workspace, method: ConsensusMethod) -> WorkspaceConsensus:
        """Estimate people's errors in a workspace; masks are not looked at."""
        history = AttributeHistory.of(workspace)
        votes = {
            image_id: attribute_votes(first_looks([history.current(answer) for answer in answers]))
            for image_id, answers in answered_by_several(workspace).items()
        }
        return cls(workspace=workspace, method=method, history=history, attributes=consensus_of_all(votes))

    def of_photo(self, decision: Decision) -> PhotoConsensus | None:
        """The consensus on a decided photo; None where its decision stands as it is.

        A photo has one where three or more people painted its object in first looks, without a doubt of anybody, and no
        second look settled it: the decision is then that answers agree, or that masks or attributes differ.
        """
        answers = [self.history.current(answer) for answer in self.workspace.annotations(decision.image_id)]
        first = first_looks(answers)
        if not enough_people(len(first)):
            return None
        if reason := _reason_without(decision, answers, first):
            self.without[reason] += 1
            return None
        size_hw = first[0].masks[OBJECT].size_hw
        masks = [decode_coco_rle(own.masks[OBJECT], size_hw=size_hw, record=own.image_id) for own in first]
        agreed = consensus_mask(masks, self.method)
        if not agreed.any():
            self.without["nothing in common"] += 1
            return None
        self.people[len(first)] += 1
        values = {
            name: value
            for name, attribute in self.attributes.items()
            if (value := attribute.value(decision.image_id)) is not None
        }
        return PhotoConsensus(
            method=self.method,
            answers=tuple(first),
            nearest=first[nearest_mask(masks)],
            mask=encode_coco_rle(agreed),
            attributes=values,
            attribute_masks={name: rle for name, value in values.items() if value and (rle := self._part(first, name))},
        )

    def _part(self, first: Sequence[Annotation], name: str) -> CocoRle | None:
        """Consensus of those who painted an attribute; None where they are too few, or have nothing in common."""
        painted = [answer.masks[name] for answer in first if name in answer.masks]
        if not enough_people(len(painted)):
            return None
        size_hw = first[0].masks[OBJECT].size_hw
        masks = [decode_coco_rle(rle, size_hw=size_hw, record=f"{first[0].image_id} {name}") for rle in painted]
        agreed = consensus_mask(masks, self.method)
        return encode_coco_rle(agreed) if agreed.any() else None

    def summary(self) -> dict[str, Any]:
        """What was asked for so far, in numbers, for the release and its card."""
        return {
            "method": self.method,
            "objects": self.people.total(),
            "people": {str(number): count for number, count in sorted(self.people.items())},
            "without": dict(sorted(self.without.items())),
        }


def _reason_without(decision: Decision, answers: Sequence[Annotation], first: Sequence[Annotation]) -> str:
    """Why a photo that enough people answered has no consensus; empty where nothing speaks against one."""
    newest = newest_answers(answers)
    if decision.state not in ("accepted", "needs_second"):
        return f"decided: {decision.state}"
    if any(answer.purpose in SECOND_LOOKS for answer in newest):
        return "settled by a second look"
    if any(set(DOUBTS) & set(answer.flags) for answer in newest):
        return "flagged"
    if any(OBJECT not in answer.masks for answer in first):
        return "answered without an object mask"
    if any(len(answer.instances) > 1 for answer in first):
        return "several objects told apart"
    accepted = next((answer for answer in newest if answer.annotation_id == decision.annotation_id), None)
    # Answers to questions that were added later show the accepted mask, which somebody may have mended meanwhile.
    if accepted is not None and accepted.masks.get(OBJECT) not in [answer.masks[OBJECT] for answer in first]:
        return "mended later"
    return ""
