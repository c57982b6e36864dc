"""The votes on one accepted object: who answered with a mask, who agrees with the accepted one, how far all agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

from figureground.annotate.attribute_history import AttributeHistory
from figureground.annotate.decisions import DOUBTS, MACHINE_EDITOR, answer_makers, newest_answers, newest_state
from figureground.schemas.attributes import OBJECT
from figureground.schemas.rasters.masks import CocoRle, decode_coco_rle, mask_iou
from figureground.schemas.records import Annotation


@dataclass(frozen=True, slots=True, kw_only=True)
class Votes:
    """What people say of one photo whose mask is accepted."""

    voters: tuple[str, ...]
    """Pseudonyms of the people whose newest answer has an object mask and no doubt, sorted; an answer without author
    has a name of its own."""
    painters: tuple[str, ...]
    """Who gave the accepted answer, and who edited it, sorted."""
    likeness: Mapping[str, float]
    """Voter to the IoU of the voter's object mask with the accepted one."""
    mask_iou: float | None
    """Mean IoU of object masks over the pairs of voters; None with fewer than two."""
    equal_attributes: float | None
    """Share of attributes that both of a pair answered, and answered alike, over the pairs; None without any."""

    def agreeing(self, min_iou: float) -> tuple[str, ...]:
        """Voters whose mask is the accepted one up to an IoU of ``min_iou``, sorted."""
        return tuple(name for name in self.voters if self.likeness[name] >= min_iou)


def count_votes(accepted_id: str, mask: CocoRle, answers: Sequence[Annotation], history: AttributeHistory) -> Votes:
    """The votes on a photo.

    Honeypots and masks of machines are no votes, and neither is an answer to attributes that were added later: it holds
    a mask that somebody else painted.

    Args:
        accepted_id: ``annotation_id`` of the answer that was accepted; another text for a consensus: nobody painted it.
        mask: The object mask of that answer, or of the consensus.
        answers: All answers to the photo, in any order.
        history: Versions of the attributes that people were asked for.
    """
    makers = dict(zip((answer.annotation_id for answer in answers), answer_makers(answers), strict=True))
    newest: dict[str, Annotation] = {}
    for answer in newest_answers(answers):
        if not answer.machine and answer.purpose != "new_attributes":
            newest[makers[answer.annotation_id]] = history.current(answer)
    votes = {
        maker: answer
        for maker, answer in sorted(newest.items())
        if OBJECT in answer.masks and not set(DOUBTS) & set(answer.flags)
    }
    accepted = newest_state(answers, accepted_id)
    masks = {maker: answer.masks[OBJECT] for maker, answer in votes.items()}
    decoded = {}
    if len(votes) > 1 or any(own != mask for own in masks.values()):
        decoded = {
            name: decode_coco_rle(own, size_hw=mask.size_hw, record=answers[0].image_id) for name, own in masks.items()
        }
        taken = decode_coco_rle(mask, record=answers[0].image_id)
        likeness = {name: mask_iou(own, taken) for name, own in decoded.items()}
    else:  # nothing to compare: most photos have one answer
        likeness = dict.fromkeys(masks, 1.0)
    by_people = newest_state([answer for answer in answers if answer.edited_by != MACHINE_EDITOR], accepted_id)
    editor = {by_people.edited_by} if by_people is not None else set()
    painters = ({makers[accepted_id], *editor} if accepted is not None else set()) - {""}
    added = accepted is not None and accepted.purpose == "new_attributes"
    if added and any(iou == 1.0 for iou in likeness.values()):
        painters = {name for name, iou in likeness.items() if iou == 1.0}
    pairs = list(combinations(votes, 2))
    equal = [like for one, other in pairs for like in _equal(votes[one], votes[other])]
    return Votes(
        voters=tuple(votes),
        painters=tuple(sorted(painters)),
        likeness=likeness,
        mask_iou=fmean(mask_iou(decoded[one], decoded[other]) for one, other in pairs) if pairs else None,
        equal_attributes=fmean(equal) if equal else None,
    )


def _equal(one: Annotation, other: Annotation) -> list[bool]:
    """Whether two people said the same, for each attribute that both answered with yes or no."""
    both = sorted(one.attributes.keys() & other.attributes.keys())
    values = [(one.attributes[name], other.attributes[name]) for name in both]
    return [first == second for first, second in values if None not in (first, second)]
