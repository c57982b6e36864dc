"""The rule that ranks a photo's masks by several segmenters: a weighted sum of features, read as a probability."""

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
    """How a sum of weighted features is read as a probability (Platt, 1999)."""

    slope: Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
    """Above 0, so that of two masks the likelier one is always the one that ranks first."""
    offset: _Number


class RankingRule(Document):
    """The rule, as ``ranking_rule.yaml`` holds it: all that was fitted, and on what."""

    name: Name
    version: Annotated[int, Field(ge=1)]
    fitted: str
    """How the numbers were found, and on which photos."""
    weights: Mapping[str, _Number]
    """Feature to its weight; a feature that is not named has none."""
    needs_no_correction: Mapping[_Share, Reading]
    """IoU with a person's mask from which a machine mask needs no correction, to the reading of the sum for it."""

    @model_validator(mode="after")
    def _check(self) -> RankingRule:
        unknown = sorted(set(self.weights) - set(FEATURES))
        if unknown:
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
        return math.fsum(weight * features[name] for name, weight in sorted(self.weights.items()))

    def probability(self, merit: float, min_iou: float) -> float:
        """That the first of a ranking needs no correction, in [0, 1]: ``1 / (1 + exp(-(slope x merit + offset)))``.

        Raises:
            UsageError: for an IoU that the rule has no reading for.
        """
        reading = self.needs_no_correction.get(min_iou)
        if reading is None:
            known = ", ".join(f"{iou:g}" for iou in sorted(self.needs_no_correction))
            raise UsageError(f"{self.label} does not know IoU {min_iou:g} from which masks need no correction: {known}")
        logit = reading.slope * merit + reading.offset
        return 1 / (1 + math.exp(-logit)) if logit >= 0 else math.exp(logit) / (1 + math.exp(logit))


@cache
def shipped_rule() -> RankingRule:
    """The rule that comes with the program."""
    text = files(__package__).joinpath(RULE_FILE).read_text(encoding="utf-8")
    return parse_document(text, RankingRule, where=RULE_FILE)
