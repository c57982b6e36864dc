"""The rule that ranks a photo's masks by several segmenters, and says how likely the first needs no correction."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Annotated, Final

from pydantic import Field, model_validator

from figureground.annotate.proposals.mask_features import FEATURES
from figureground.errors import UsageError
from figureground.schemas.documents import Document, Name, parse_document

RULE_FILE: Final = "ranking_rule.yaml"
NO_CORRECTION: Final = 0.9
"""IoU with a person's mask from which a machine mask needs no correction, where nobody says otherwise."""

_Number = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
_Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Reading(Document):
    """How features of a first mask are read as a probability: a logistic function of their weighted sum."""

    offset: _Number
    weights: Mapping[str, Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]]
    """Feature to its weight, 0 or more: the more segmenters agree, the likelier."""


class RankingRule(Document):
    """The rule, as ``ranking_rule.yaml`` holds it: all that was fitted, and on what."""

    name: Name
    version: Annotated[int, Field(ge=1)]
    fitted: str
    """How the numbers were found, and on which photos."""
    weights: Mapping[str, _Number]
    """Feature to its weight in the sum that masks are ranked by; a feature that is not named has none."""
    needs_no_correction: Mapping[_Share, Reading]
    """IoU with a person's mask from which a machine mask needs no correction, to how likely that is."""

    @model_validator(mode="after")
    def _check(self) -> RankingRule:
        named = {name for reading in self.needs_no_correction.values() for name in reading.weights} | set(self.weights)
        if unknown := sorted(named - set(FEATURES)):
            raise ValueError(f"no features are called {', '.join(unknown)}; there are {', '.join(FEATURES)}")
        if not self.needs_no_correction:
            raise ValueError("at least one IoU needs a reading")
        return self

    @property
    def label(self) -> str:
        """``name@version``, as rankings record it."""
        return f"{self.name}@{self.version}"

    def merit(self, features: Mapping[str, float]) -> float:
        """The weighted sum that masks are ranked by, the greatest first."""
        return _sum(self.weights, features)

    def probability(self, features: Mapping[str, float], min_iou: float) -> float:
        """That a first mask needs no correction, in [0, 1]: ``1 / (1 + exp(-(offset + weighted sum)))``.

        Raises:
            UsageError: for an IoU that the rule has no reading for.
        """
        reading = self.reading(min_iou)
        logit = reading.offset + _sum(reading.weights, features)
        return 1 / (1 + math.exp(-logit)) if logit >= 0 else math.exp(logit) / (1 + math.exp(logit))

    def reading(self, min_iou: float) -> Reading:
        """How features are read for an IoU; raises as ``probability``."""
        reading = self.needs_no_correction.get(min_iou)
        if reading is None:
            known = ", ".join(f"{iou:g}" for iou in sorted(self.needs_no_correction))
            raise UsageError(f"{self.label} does not know IoU {min_iou:g} from which masks need no correction: {known}")
        return reading


def _sum(weights: Mapping[str, float], features: Mapping[str, float]) -> float:
    return math.fsum(weight * features[name] for name, weight in sorted(weights.items()))


@cache
def shipped_rule() -> RankingRule:
    """The rule that comes with the program."""
    text = files(__package__).joinpath(RULE_FILE).read_text(encoding="utf-8")
    return parse_document(text, RankingRule, where=RULE_FILE)
