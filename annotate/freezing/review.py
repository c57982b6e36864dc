"""A release judged by its policy: each object as it comes, then all of them together, with every failure at once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Final, NamedTuple

from figureground.annotate.agreement.agreement import Agreement
from figureground.annotate.attribute_history import AttributeHistory
from figureground.annotate.freezing.policy import BY_PEOPLE, Policy, PolicyFile, ReviewersRule, Unfit
from figureground.annotate.freezing.votes import Votes, count_votes
from figureground.errors import Faults
from figureground.schemas.records import Annotation, ObjectRecord
from figureground.schemas.store.releases import LeftOut

STATE_NOT_TAKEN: Final = "state_not_taken"
TOO_FEW_VOTES: Final = "too_few_votes"
MASKS_DIFFER: Final = "voters_masks_differ"
ATTRIBUTES_DIFFER: Final = "voters_attributes_differ"
NOT_REVIEWED: Final = "not_reviewed"
"""Reasons why an object is left out that does not fit its policy."""

NO_AUTHOR: Final = "without author"
"""Stands for everybody whose pseudonym nobody knows."""
_NAMELESS: Final = "nobody-"
_UNREVIEWED: Final = ("machine_import", "unreviewed")
_DIGITS: Final = 4


class Misfit(NamedTuple):
    """One rule that an object does not fit."""

    reason: str
    expected: str
    got: str
    unfit: Unfit


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectReview:
    """Who stands behind one object of a release; ``objects/<version>.reviews.csv`` lists them."""

    object_id: str
    state: str
    votes: int
    """People whose newest answer has an object mask and no doubt; 0 for a machine's mask."""
    painters: str
    """Pseudonyms of who gave the accepted answer and who edited it, with spaces between them."""
    accepted_by: str
    """Pseudonyms of the other voters whose masks are like the accepted one, with spaces between them."""
    mask_iou: float | None
    """Mean IoU over the pairs of voters; empty with fewer than two."""
    equal_attributes: float | None
    """Share of attributes that the pairs of voters answered alike; empty where no pair answered one."""


@dataclass(slots=True)
class Review:
    """A release on its way through its policy."""

    file: PolicyFile
    history: AttributeHistory
    taken: list[ObjectReview] = field(default_factory=list)
    """Of the objects that fit."""
    left_out: Counter[str] = field(default_factory=Counter)
    """Reason to number of objects that did not fit, where the policy leaves them out."""

    def judge(self, record: ObjectRecord, answers: Sequence[Annotation], faults: Faults) -> str:
        """Judge one object.

        Args:
            record: The object.
            answers: All answers to its photo.
            faults: Takes each rule that it does not fit and that stops a release.

        Returns:
            The reason why the object is left out; empty where it is taken.
        """
        policy = self.file.policy
        votes = None
        if record.state in BY_PEOPLE:
            votes = count_votes(record.mask_origin, record.mask, answers, self.history)
        misfits = list(_misfits(policy, record, votes))
        for misfit in misfits:
            if misfit.unfit == "stop":
                where = f"{record.object_id} ({record.uri}) {misfit.reason}"
                self._fail(faults, where, misfit.expected, misfit.got)
        if misfits:
            self.left_out[misfits[0].reason] += 1
            return misfits[0].reason
        self.taken.append(_reviewed(policy, record, votes))
        return ""

    def judge_release(self, counts: Mapping[str, int], left_out: LeftOut, agreement: Agreement, faults: Faults) -> None:
        """Judge all objects together.

        Args:
            counts: Source label to number of objects that are taken.
            left_out: Source label to reason to number of photos that are not; textures are none.
            agreement: That of all photos that several people answered.
            faults: Takes whatever the release fails.
        """
        rule, objects = self.file.policy.release, sum(counts.values())
        missing = {label: sum(reasons.values()) for label, reasons in left_out.items()}
        photos = objects + sum(missing.values())
        gone, bare = sum(missing.values()), sum(review.state in _UNREVIEWED for review in self.taken)
        if rule.max_left_out is not None and gone > rule.max_left_out * photos:
            expected = f"at most {rule.max_left_out:.1%} of the photos left out"
            self._fail(faults, "release max_left_out", expected, f"{gone} of {photos}")
        if rule.max_unreviewed is not None and bare > rule.max_unreviewed * objects:
            expected = f"at most {rule.max_unreviewed:.1%} of the masks unreviewed"
            self._fail(faults, "release max_unreviewed", expected, f"{bare} of {objects}")
        for label in sorted({*counts, *missing}) if rule.min_class_coverage is not None else ():
            own, whole = counts.get(label, 0), counts.get(label, 0) + missing.get(label, 0)
            if whole and own < (rule.min_class_coverage or 0) * whole:
                expected = f"at least {rule.min_class_coverage:.1%} of the photos of the label"
                self._fail(faults, f"label {label} min_class_coverage", expected, f"{own} of {whole}")
        self._judge_agreement(agreement, faults)

    def _judge_agreement(self, agreement: Agreement, faults: Faults) -> None:
        rule = self.file.policy.release
        none = "no photo that several people answered"
        if rule.min_compared is not None and agreement.photos < rule.min_compared:
            expected = f"at least {rule.min_compared} photos that several people answered"
            self._fail(faults, "release min_compared", expected, str(agreement.photos))
        if rule.min_mask_iou is not None:
            masks = agreement.masks.get("object")
            mean = masks.iou.value if masks else None
            if mean is None or mean < rule.min_mask_iou:
                expected = f"a mean IoU of at least {rule.min_mask_iou:g} between people"
                self._fail(faults, "release min_mask_iou", expected, none if mean is None else f"{mean:.4f}")
        if rule.min_alpha is not None:
            expected = f"Krippendorff's alpha of at least {rule.min_alpha:g}"
            if not agreement.attributes:
                self._fail(faults, "release min_alpha", expected, "no attribute that two people answered of one photo")
            for name, attribute in agreement.attributes.items():
                alpha = attribute.alpha.value
                if alpha is not None and alpha < rule.min_alpha:
                    got = f"{alpha:.4f} over {attribute.alpha.photos} photos"
                    self._fail(faults, f"attribute {name} min_alpha", expected, got)

    def summary(self, counts: Mapping[str, int], left_out: LeftOut) -> dict[str, Any]:
        """What release, lock and card hold of the policy and of what it found, as JSON holds it.

        Args:
            counts: Source label to number of objects.
            left_out: Source label to reason to number of photos that are not in the release; textures are none.
        """
        policy, objects = self.file.policy, sum(counts.values())
        photos = {label: counts.get(label, 0) + sum(left_out.get(label, {}).values()) for label in {*counts, *left_out}}
        least = min(sorted(photos), key=lambda label: (counts.get(label, 0) / max(1, photos[label]), label))
        people: dict[str, Counter[str]] = defaultdict(Counter)
        for review in self.taken:
            for act, names in (("painted", review.painters), ("accepted", review.accepted_by)):
                for name in names.split():
                    people[NO_AUTHOR if name.startswith(_NAMELESS) else name][act] += 1
        ious = [review.mask_iou for review in self.taken if review.mask_iou is not None]
        equal = [review.equal_attributes for review in self.taken if review.equal_attributes is not None]
        return {
            "name": policy.label,
            "sha256": self.file.sha256,
            "text": self.file.text,
            "asks": policy.asks(),
            "votes": {str(votes): n for votes, n in sorted(Counter(own.votes for own in self.taken).items())},
            "people": {name: {act: people[name][act] for act in ("painted", "accepted")} for name in sorted(people)},
            **_spread("voters_masks", ious),
            **_spread("voters_attributes", equal),
            "left_out": dict(sorted(self.left_out.items())),
            "coverage": {
                "objects": objects,
                "photos": sum(photos.values()),
                "least_label": least,
                "least_objects": counts.get(least, 0),
                "least_photos": photos[least],
            },
        }

    def _fail(self, faults: Faults, record: str, expected: str, got: str) -> None:
        remedy = "review more, or freeze by another policy"
        faults.add(f"policy {self.file.policy.label}", record, expected=expected, got=got, remedy=remedy)


def _misfits(policy: Policy, record: ObjectRecord, votes: Votes | None) -> Iterator[Misfit]:
    """The rules that an object does not fit, in the order in which a policy has them."""
    states = policy.states
    if record.state not in states.take:
        yield Misfit(STATE_NOT_TAKEN, f"a mask that is {' or '.join(states.take)}", record.state, states.unfit)
    if votes is None:
        return
    rule = policy.votes
    if rule is not None and len(votes.voters) < rule.at_least:
        got = f"{len(votes.voters)}{_names(votes.voters)}"
        yield Misfit(TOO_FEW_VOTES, f"at least {rule.at_least} voters", got, rule.unfit)
    masks, iou = policy.masks, votes.mask_iou
    if masks is not None and iou is not None and iou < masks.min_iou:
        expected = f"a mean IoU of at least {masks.min_iou:g} between the voters"
        yield Misfit(MASKS_DIFFER, expected, f"{iou:.4f}{_names(votes.voters)}", masks.unfit)
    attributes, equal = policy.attributes, votes.equal_attributes
    if attributes is not None and equal is not None and equal < attributes.min_equal:
        expected = f"at least {attributes.min_equal:.1%} of the voters' attributes alike"
        yield Misfit(ATTRIBUTES_DIFFER, expected, f"{equal:.1%}{_names(votes.voters)}", attributes.unfit)
    reviewers = policy.reviewers
    if reviewers is not None and not _reviewers(reviewers, votes):
        who = f"one of {', '.join(reviewers.named)}" if reviewers.named else "somebody"
        besides = f" besides {', '.join(votes.painters)}" if reviewers.second_person else ""
        expected = f"{who}{besides} who agrees at an IoU of {reviewers.min_iou:g} or more"
        likeness = ", ".join(f"{name} {iou:.4f}" for name, iou in votes.likeness.items())
        yield Misfit(NOT_REVIEWED, expected, likeness or "nobody", reviewers.unfit)


def _reviewers(rule: ReviewersRule, votes: Votes) -> set[str]:
    """People who agree with a mask and may count as its reviewers."""
    agreeing = set(votes.agreeing(rule.min_iou)) | set(votes.painters)
    if rule.second_person:
        agreeing -= set(votes.painters)
    return agreeing & set(rule.named) if rule.named else agreeing


def _names(voters: Sequence[str]) -> str:
    return f" ({', '.join(voters)})" if voters else ""


def _reviewed(policy: Policy, record: ObjectRecord, votes: Votes | None) -> ObjectReview:
    if votes is None:
        votes = Votes(voters=(), painters=(), likeness={}, mask_iou=None, equal_attributes=None)
    min_iou = (policy.reviewers or ReviewersRule(second_person=True)).min_iou
    others = [name for name in votes.agreeing(min_iou) if name not in votes.painters]
    return ObjectReview(
        object_id=record.object_id,
        state=record.state,
        votes=len(votes.voters),
        painters=" ".join(name.replace(" ", "-") for name in votes.painters),
        accepted_by=" ".join(name.replace(" ", "-") for name in others),
        mask_iou=None if votes.mask_iou is None else round(votes.mask_iou, _DIGITS),
        equal_attributes=None if votes.equal_attributes is None else round(votes.equal_attributes, _DIGITS),
    )


def _spread(name: str, values: Sequence[float]) -> dict[str, Any]:
    """Number, mean and least of some shares under a name; nothing of none."""
    if not values:
        return {}
    return {name: {"objects": len(values), "mean": round(fmean(values), _DIGITS), "least": round(min(values), _DIGITS)}}
