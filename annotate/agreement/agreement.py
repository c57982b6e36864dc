"""Agreement over many photos, in figures with intervals: of the object, of every part, of every attribute."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from figureground.annotate.agreement.attribute_votes import Votes, alpha, kappa
from figureground.annotate.agreement.intervals import Estimate, mean_over_photos
from figureground.annotate.agreement.mask_overlap import MaskOverlap
from figureground.annotate.agreement.overlaps import PhotoAgreement
from figureground.schemas.attributes import OBJECT

_DIGITS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskAgreement:
    """Masks of one name that people painted of the same photos; a photo's figure is the mean over its pairs."""

    pairs: int
    """Pairs of masks."""
    iou: Estimate
    dice: Estimate
    boundary_iou: Estimate
    least_iou: float
    """Of the pair that agrees least."""

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        shares = {"iou": self.iou, "dice": self.dice, "boundary_iou": self.boundary_iou}
        figures = {name: estimate.to_json() for name, estimate in shares.items()}
        return {"pairs": self.pairs, **figures, "least_iou": round(self.least_iou, _DIGITS)}


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeAgreement:
    """What people said of one attribute of the same photos; who left it open, or was unsure, does not count."""

    equal: Estimate
    """Share of pairs that said the same; a photo's figure is the mean over its pairs."""
    kappa: Estimate
    alpha: Estimate

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"equal": self.equal.to_json(), "kappa": self.kappa.to_json(), "alpha": self.alpha.to_json()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far people agree on the photos that several of them answered."""

    photos: int
    pairs: int
    """Pairs of answers for one photo."""
    masks: Mapping[str, MaskAgreement]
    """``object`` first, then the parts by name; those that two people painted of some photo."""
    attributes: Mapping[str, AttributeAgreement]
    """By name; those that two people answered of some photo."""
    equal_attributes: Estimate
    """Share of equal answers to all attributes together."""

    def to_json(self) -> dict[str, Any]:
        """JSON-ready; empty of names where nothing can be compared."""
        return {
            "photos": self.photos,
            "pairs": self.pairs,
            "masks": {name: masks.to_json() for name, masks in self.masks.items()},
            "attributes": {name: attribute.to_json() for name, attribute in self.attributes.items()},
            "equal_attributes": self.equal_attributes.to_json(),
        }


def measure_agreement(photos: Iterable[PhotoAgreement]) -> Agreement:
    """Sum up photos that several people answered. Photos are the sample: each counts once in every figure."""
    count = pairs = 0
    overlaps: dict[str, list[list[MaskOverlap]]] = defaultdict(list)
    votes: dict[str, list[Votes]] = defaultdict(list)
    equal: dict[str, list[float]] = defaultdict(list)
    equal_of_all: list[float] = []
    for photo in photos:
        count, pairs = count + 1, pairs + len(photo.pairs)
        for name in sorted({name for pair in photo.pairs for name in pair.masks}):
            overlaps[name].append([pair.masks[name] for pair in photo.pairs if name in pair.masks])
        for name, own in photo.votes.items():
            if len(own) > 1:
                votes[name].append(own)
                equal[name].append(fmean(pair.equal[name] for pair in photo.pairs if name in pair.equal))
        if answered := [value for pair in photo.pairs for value in pair.equal.values()]:
            equal_of_all.append(fmean(answered))
    return Agreement(
        photos=count,
        pairs=pairs,
        masks={name: _masks(overlaps[name]) for name in sorted(overlaps, key=lambda name: (name != OBJECT, name))},
        attributes={
            name: AttributeAgreement(
                equal=mean_over_photos(equal[name]), kappa=kappa(votes[name]), alpha=alpha(votes[name])
            )
            for name in sorted(votes)
        },
        equal_attributes=mean_over_photos(equal_of_all),
    )


def _masks(photos: Sequence[Sequence[MaskOverlap]]) -> MaskAgreement:
    return MaskAgreement(
        pairs=sum(map(len, photos)),
        iou=mean_over_photos([fmean(pair.iou for pair in pairs) for pairs in photos]),
        dice=mean_over_photos([fmean(pair.dice for pair in pairs) for pairs in photos]),
        boundary_iou=mean_over_photos([fmean(pair.boundary_iou for pair in pairs) for pairs in photos]),
        least_iou=min(pair.iou for pairs in photos for pair in pairs),
    )
