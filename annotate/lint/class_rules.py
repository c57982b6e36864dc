"""Rules that need all objects at once: what is usual in a class, and which attributes are painted at all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from figureground.annotate.lint.findings import Observation
from figureground.annotate.lint.looks import Look
from figureground.annotate.lint.settings import LintSettings

_CONSISTENT = 0.6745
"""The normal distribution's 0.75 quantile, which makes the MAD an estimate of its standard deviation."""
_LEAST_MAD = 0.05
"""Least MAD of the logarithms of areas, 5 %: where most objects of a class are alike to the pixel, as drawn ones are,
the others are not all outliers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectFacts:
    """What rules of whole classes need to know of one object."""

    object_id: str
    label: str
    share: float
    """Area of its mask as a share of the photo; 0 for none."""
    present: tuple[str, ...]
    """Attributes that it has."""
    painted: tuple[str, ...]
    """Attributes that have a mask."""


def facts_of(look: Look) -> ObjectFacts:
    """The facts of one object."""
    return ObjectFacts(
        object_id=look.subject.object_id,
        label=look.subject.photo.label,
        share=look.area_px / (look.size_hw[0] * look.size_hw[1]),
        present=tuple(sorted(name for name, value in look.subject.attributes.items() if value)),
        painted=tuple(sorted(look.subject.parts)),
    )


Observed = Iterator[tuple[str, Observation]]
"""object_id and what was seen."""


def size_outlier(objects: Sequence[ObjectFacts], settings: LintSettings) -> Observed:
    """A figure much larger or smaller than those of its class.

    The modified z-score 0.6745 (x - median) / MAD of the logarithm of the mask's share of the photo (Iglewicz and
    Hoaglin, "How to Detect and Handle Outliers", 1993, who take 3.5 for the limit).
    """
    by_label: dict[str, list[ObjectFacts]] = defaultdict(list)
    for facts in objects:
        if facts.share > 0:
            by_label[facts.label].append(facts)
    for label, alike in sorted(by_label.items()):
        if len(alike) < settings.outlier_objects:
            continue
        sizes = np.log([facts.share for facts in alike])
        middle = float(np.median(sizes))
        spread = max(float(np.median(np.abs(sizes - middle))), _LEAST_MAD)
        for facts, score in zip(alike, _CONSISTENT * (sizes - middle) / spread, strict=True):
            if abs(score) > settings.outlier_z:
                what = "large" if score > 0 else "small"
                words = (
                    f"{what} for its class: {facts.share:.2%} of the photo, where the middle one of {len(alike)} of "
                    f"{label or 'no label'} has {np.exp(middle):.2%}"
                )
                yield (
                    facts.object_id,
                    Observation(words=words, value=float(score), unit="z", threshold=settings.outlier_z),
                )


def attribute_without_mask(objects: Sequence[ObjectFacts], settings: LintSettings) -> Observed:
    """An attribute that is said to be there and has no mask, though it is painted on other objects."""
    del settings
    painted: Mapping[str, int] = _counts(objects)
    for facts in objects:
        for name in facts.present:
            if painted.get(name) and name not in facts.painted:
                words = f"{name} is said to be there and has no mask; {painted[name]} other objects have one"
                yield facts.object_id, Observation(words=words, value=0, unit="masks", threshold=1, mask=name)


def _counts(objects: Sequence[ObjectFacts]) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for facts in objects:
        for name in facts.painted:
            counts[name] += 1
    return counts
