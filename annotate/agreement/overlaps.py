"""Photos that several people answered, each in a first look of his or her own, and how far the answers agree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from figureground.annotate.agreement.attribute_votes import Votes
from figureground.annotate.agreement.mask_overlap import MaskOverlap, compare_masks
from figureground.annotate.attribute_history import AttributeHistory
from figureground.annotate.decisions import answer_makers, newest_answers
from figureground.schemas.rasters.masks import decode_coco_rle
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


def photo_agreements(workspace: Workspace) -> Iterator[PhotoAgreement]:
    """Every photo that several people answered in a first look, sorted by image_id; one is in memory at a time.

    Whether the photo was accepted does not matter: agreement on accepted photos alone would leave out those on which
    people disagreed.
    """
    history = AttributeHistory.of(workspace)
    for image_id in _answered_by_several(workspace):
        answers = [history.current(answer) for answer in workspace.annotations(image_id)]
        if (photo := compare_answers(image_id, answers)) is not None:
            yield photo


def compare_answers(image_id: str, answers: Sequence[Annotation]) -> PhotoAgreement | None:
    """Compare the newest first looks of a photo; None where fewer than two people gave one.

    Args:
        image_id: The photo.
        answers: Its answers, whose attributes have the same names.
    """
    makers = dict(zip((answer.annotation_id for answer in answers), answer_makers(answers), strict=True))
    first = sorted(
        (
            replace(answer, annotator=makers[answer.annotation_id])
            for answer in newest_answers(answers)
            if answer.purpose == "first_look" and not answer.machine
        ),
        key=lambda answer: answer.annotator,
    )
    if len(first) < 2:
        return None
    votes: dict[str, dict[str, bool]] = defaultdict(dict)
    for answer in first:
        for name, value in sorted(answer.attributes.items()):
            if value is not None:
                votes[name][answer.annotator] = value
    return PhotoAgreement(
        image_id=image_id, pairs=tuple(_compare(one, other) for one, other in combinations(first, 2)), votes=dict(votes)
    )


def _compare(one: Annotation, other: Annotation) -> PairAgreement:
    masks = {
        name: compare_masks(
            decode_coco_rle(one.masks[name], record=one.image_id),
            decode_coco_rle(other.masks[name], size_hw=one.masks[name].size_hw, record=other.image_id),
        )
        for name in sorted(one.masks.keys() & other.masks.keys())
    }
    answered = sorted(one.attributes.keys() & other.attributes.keys())
    values = {name: (one.attributes[name], other.attributes[name]) for name in answered}
    return PairAgreement(
        annotators=(one.annotator, other.annotator),
        masks=masks,
        equal={name: first == second for name, (first, second) in values.items() if None not in (first, second)},
    )


def _answered_by_several(workspace: Workspace) -> list[str]:
    """Photos with answers of several people, sorted."""
    by_image: dict[str, list[Annotation]] = defaultdict(list)
    for answer in workspace.annotations():
        if answer.purpose == "first_look" and not answer.machine:
            by_image[answer.image_id].append(replace(answer, masks={}, instances=()))  # masks would fill the memory
    return sorted(image_id for image_id, answers in by_image.items() if len(newest_answers(answers)) > 1)
