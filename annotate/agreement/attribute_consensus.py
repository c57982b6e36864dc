"""What several people's answers to an attribute add up to, by Dawid and Skene: who errs more counts less."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Final

import numpy as np

from figureground.annotate.agreement.attribute_votes import Votes
from figureground.annotate.agreement.consensus_masks import MIN_PEOPLE
from figureground.annotate.agreement.vote_model import NO_VOTE, fit_votes

_RIGHT: Final = 4.0
_WRONG: Final = 1.0
"""Imagined votes of each person: in 8 to 30 simulated photos of three to five people, pure maximum likelihood was worse
than the majority and at times upside down (0 of 30 right); with these it was as good, and from 100 photos on better."""
_DIGITS: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeConsensus:
    """One attribute of the photos that several people answered."""

    probabilities: Mapping[str, float]
    """image_id to the probability that the attribute is there; photos of at least ``MIN_PEOPLE`` answers."""
    overruled: int
    """Those of them where the consensus is not what most people said."""
    sensitivity: Mapping[str, float]
    """Annotator to the estimated share of photos that have it of which he or she says so."""
    specificity: Mapping[str, float]
    """Annotator to the estimated share of photos that lack it of which he or she says so."""
    prior: float
    """Estimated share of photos that have it."""

    def value(self, image_id: str) -> bool | None:
        """Whether a photo has it; None where too few people answered."""
        probability = self.probabilities.get(image_id)
        return None if probability is None else probability >= 0.5

    def to_json(self) -> dict[str, Any]:
        """JSON-ready, without photos."""
        values = [probability >= 0.5 for probability in self.probabilities.values()]
        return {
            "photos": len(values),
            "present": sum(values),
            "overruled": self.overruled,
            "annotators": {
                name: {
                    "sensitivity": round(self.sensitivity[name], _DIGITS),
                    "specificity": round(self.specificity[name], _DIGITS),
                }
                for name in sorted(self.sensitivity)
            },
        }


def attribute_consensus(photos: Mapping[str, Votes]) -> AttributeConsensus | None:
    """Consensus on one attribute; None where no photo has answers of ``MIN_PEOPLE``.

    People's errors are estimated on all photos that two or more answered; those of two have no consensus of their own,
    since of two who differ the one would always be right who errs less elsewhere.

    Args:
        photos: image_id to what each person said, yes or no.
    """
    shared = {image_id: votes for image_id, votes in sorted(photos.items()) if len(votes) > 1}
    if not any(len(votes) >= MIN_PEOPLE for votes in shared.values()):
        return None
    people = sorted({name for votes in shared.values() for name in votes})
    ballots = {image_id: tuple(int(votes.get(name, NO_VOTE)) for name in people) for image_id, votes in shared.items()}
    kinds = Counter(ballots.values())
    counts = np.array(list(kinds.values()), dtype=np.float64)
    model = fit_votes(np.array(list(kinds), dtype=np.int8), counts, right=_RIGHT, wrong=_WRONG)
    truth = dict(zip(kinds, map(float, model.truth), strict=True))
    known = {image_id: truth[ballot] for image_id, ballot in ballots.items() if len(shared[image_id]) >= MIN_PEOPLE}
    return AttributeConsensus(
        probabilities=known,
        overruled=sum(_overrules(probability, shared[image_id]) for image_id, probability in known.items()),
        sensitivity=dict(zip(people, map(float, model.sensitivity), strict=True)),
        specificity=dict(zip(people, map(float, model.specificity), strict=True)),
        prior=model.prior,
    )


def consensus_of_all(votes: Mapping[str, Mapping[str, Votes]]) -> dict[str, AttributeConsensus]:
    """Consensus on every attribute that has one, by name.

    Args:
        votes: image_id to attribute to what each person said.
    """
    by_name: dict[str, dict[str, Votes]] = {}
    for image_id, attributes in votes.items():
        for name, own in attributes.items():
            by_name.setdefault(name, {})[image_id] = own
    agreed = {name: attribute_consensus(photos) for name, photos in sorted(by_name.items())}
    return {name: consensus for name, consensus in agreed.items() if consensus is not None}


def equal_to_consensus(
    votes: Mapping[str, Mapping[str, Votes]], agreed: Mapping[str, AttributeConsensus]
) -> dict[str, list[float]]:
    """Annotator to the share of his or her answers that the consensus has too, a number for each photo.

    Args:
        votes: image_id to attribute to what each person said; the person's own vote is part of the consensus.
        agreed: Consensus by attribute.
    """
    shares: dict[str, list[float]] = defaultdict(list)
    for image_id, attributes in sorted(votes.items()):
        equal: dict[str, list[bool]] = defaultdict(list)
        for name, own in attributes.items():
            value = agreed[name].value(image_id) if name in agreed else None
            for annotator, vote in own.items():
                if value is not None:
                    equal[annotator].append(vote == value)
        for annotator, answers in equal.items():
            shares[annotator].append(fmean(answers))
    return dict(shares)


def _overrules(probability: float, votes: Votes) -> bool:
    """Whether the consensus is not what more than half said."""
    yes = 2 * sum(votes.values())
    return yes != len(votes) and (yes > len(votes)) != (probability >= 0.5)
