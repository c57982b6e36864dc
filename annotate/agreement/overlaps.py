"""Photos that several people answered, each in a first look of his or her own, and how far the answers agree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

from figureground.annotate.agreement.attribute_votes import Votes
from figureground.annotate.agreement.consensus_masks import ConsensusMethod, consensus_mask, enough_people
from figureground.annotate.agreement.mask_overlap import MaskOverlap, compare_masks
from figureground.annotate.attribute_history import AttributeHistory
from figureground.annotate.decisions import answer_makers, newest_answers
from figureground.schemas.attributes import OBJECT
from figureground.schemas.rasters.masks import Mask, decode_coco_rle, mask_iou
from figureground.schemas.records import Annotation
from figureground.schemas.store.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class PairAgreement:
    """Two people's answers for one photo."""

    annotators: tuple[str, str]
    """Their pseudonyms, sorted; an answer without author has a name of its own."""
    masks: Mapping[str, MaskOverlap]
    """Mask name, ``object`` or a part, to how far the two masks are the same; only what both painted."""
    equal: Mapping[str, bool]
    """Attribute to whether both said the same; only what both answered with yes or no."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoAgreement:
    """The answers of several people for one photo, compared."""

    image_id: str
    pairs: tuple[PairAgreement, ...]
    """Every two of the people."""
    votes: Mapping[str, Votes]
    """Attribute to what each person said of it: yes or no."""
    consensus_ious: Mapping[str, float] = field(default_factory=dict)
    """Annotator to the IoU of the object with the consensus of all who painted it; empty where they are too few for
    one, and where none was asked for."""


def photo_agreements(workspace: Workspace, method: ConsensusMethod | None = None) -> Iterator[PhotoAgreement]:
    """Every photo that several people answered in a first look, sorted by image_id; one is in memory at a time.

    Whether the photo was accepted does not matter: agreement on accepted photos alone would leave out those on which
    people disagreed.

    Args:
        workspace: Where the answers are.
        method: How the consensus is made that masks are compared with; None for no consensus.
    """
    history = AttributeHistory.of(workspace)
    for image_id in answered_by_several(workspace):
        answers = [history.current(answer) for answer in workspace.annotations(image_id)]
        if (photo := compare_answers(image_id, answers, method)) is not None:
            yield photo


def first_looks(answers: Sequence[Annotation]) -> list[Annotation]:
    """The newest first look of each person, sorted by pseudonym; an answer without author has a name of its own.

    Args:
        answers: All answers to one photo, in any order.
    """
    makers = dict(zip((answer.annotation_id for answer in answers), answer_makers(answers), strict=True))
    newest = [
        replace(answer, annotator=makers[answer.annotation_id])
        for answer in newest_answers(answers)
        if answer.purpose == "first_look" and not answer.machine
    ]
    return sorted(newest, key=lambda answer: answer.annotator)


def compare_answers(
    image_id: str, answers: Sequence[Annotation], method: ConsensusMethod | None = None
) -> PhotoAgreement | None:
    """Compare the newest first looks of a photo; None where fewer than two people gave one.

    Args:
        image_id: The photo.
        answers: Its answers, whose attributes have the same names.
        method: As in ``photo_agreements``.
    """
    first = first_looks(answers)
    if len(first) < 2:
        return None
    masks = [_decoded(answer, first) for answer in first]
    pairs = combinations(zip(first, masks, strict=True), 2)
    return PhotoAgreement(
        image_id=image_id,
        pairs=tuple(_compare(one, other) for one, other in pairs),
        votes=attribute_votes(first),
        consensus_ious=_consensus_ious(first, masks, method) if method is not None else {},
    )


def attribute_votes(first: Sequence[Annotation]) -> dict[str, dict[str, bool]]:
    """Attribute to what each person said of it, yes or no; who was unsure or not asked is left out."""
    votes: dict[str, dict[str, bool]] = defaultdict(dict)
    for answer in first:
        for name, value in sorted(answer.attributes.items()):
            if value is not None:
                votes[name][answer.annotator] = value
    return dict(votes)


def _decoded(answer: Annotation, others: Sequence[Annotation]) -> dict[str, Mask]:
    """Masks by name of those that somebody else painted too; all must have the size of the first."""
    shared = {name for other in others if other is not answer for name in other.masks}
    sizes = {name: rle.size_hw for other in reversed(others) for name, rle in other.masks.items()}
    return {
        name: decode_coco_rle(rle, size_hw=sizes[name], record=answer.image_id)
        for name, rle in sorted(answer.masks.items())
        if name in shared
    }


def _consensus_ious(
    first: Sequence[Annotation], masks: Sequence[Mapping[str, Mask]], method: ConsensusMethod
) -> dict[str, float]:
    painted = {answer.annotator: own[OBJECT] for answer, own in zip(first, masks, strict=True) if OBJECT in own}
    if not enough_people(len(painted)):
        return {}
    agreed = consensus_mask(list(painted.values()), method)
    return {annotator: mask_iou(mask, agreed) for annotator, mask in painted.items()}


def _compare(
    first: tuple[Annotation, Mapping[str, Mask]], second: tuple[Annotation, Mapping[str, Mask]]
) -> PairAgreement:
    (one, own), (other, others) = first, second
    masks = {name: compare_masks(own[name], others[name]) for name in sorted(own.keys() & others.keys())}
    answered = sorted(one.attributes.keys() & other.attributes.keys())
    values = {name: (one.attributes[name], other.attributes[name]) for name in answered}
    return PairAgreement(
        annotators=(one.annotator, other.annotator),
        masks=masks,
        equal={name: first == second for name, (first, second) in values.items() if None not in (first, second)},
    )


def answered_by_several(workspace: Workspace) -> dict[str, list[Annotation]]:
    """Photos that several people answered in first looks, sorted by image_id, with these answers without masks."""
    by_image: dict[str, list[Annotation]] = defaultdict(list)
    for answer in workspace.annotations():
        if answer.purpose == "first_look" and not answer.machine:
            by_image[answer.image_id].append(replace(answer, masks={}, instances=()))  # masks would fill the memory
    return {image_id: answers for image_id, answers in sorted(by_image.items()) if len(newest_answers(answers)) > 1}
