"""Triage: how many machine masks may be skimmed instead of looked at, and whether their probabilities were right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from figureground.annotate.proposals.ranking_rule import NO_CORRECTION
from figureground.errors import UsageError
from figureground.schemas.store.workspace import Workspace

RISK: Final = 0.05
"""Share of the skimmed masks that may need a correction."""
_DIGITS: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class TriageSettings:
    """When a machine mask needs no correction, and how often that may be wrong."""

    min_iou: float = NO_CORRECTION
    """IoU with a person's mask from which a mask needs none; one that the ranking rule knows."""
    risk: float = RISK
    """Share in [0, 1] of the skimmed masks that may need one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What people made of chosen masks since, beside what was expected of these."""

    photos: int
    """Photos with an answer that began from the chosen mask, the first of each."""
    expected: float
    """Mean probability of these that it needs no correction."""
    observed: float
    """Share of these that were left with the IoU from which a mask needs no correction, or more."""
    ci95: tuple[float, float]
    """Wilson's interval of that share (JASA 22, 1927)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Triage:
    """How many of the photos that wait may be skimmed."""

    min_iou: float
    """IoU with a person's mask from which a machine mask needs no correction."""
    risk: float
    """Share in [0, 1] of the skimmed masks that may need one."""
    photos: int
    """Photos with a ranking that nobody has decided on."""
    skim: int
    """The most of these, the surest first, whose mean probability leaves no more than the risk."""
    from_probability: float | None
    """The least probability among these; None where there are none."""
    expected_corrections: float
    """How many of these are expected to need a correction all the same."""
    check: Check | None
    """None where nobody answered a photo with a ranking."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready fields, shares in four decimals."""
        least = None if self.from_probability is None else round(self.from_probability, _DIGITS)
        values: dict[str, Any] = {"min_iou": self.min_iou, "risk": self.risk, "photos": self.photos, "skim": self.skim}
        values |= {"from_probability": least, "expected_corrections": round(self.expected_corrections, _DIGITS)}
        if (check := self.check) is not None:
            ci95 = [round(bound, _DIGITS) for bound in check.ci95]
            shares = {"expected": round(check.expected, _DIGITS), "observed": round(check.observed, _DIGITS)}
            values["check"] = {"photos": check.photos, **shares, "ci95": ci95}
        return values

    def __str__(self) -> str:
        """One or two lines for people."""
        which = f", probability {self.from_probability:.2f} or more" if self.from_probability is not None else ""
        lines = [
            f"{self.skim} of {self.photos} undecided photos can be skimmed{which}: at most {100 * self.risk:g} % of "
            f"them are expected to need a correction (IoU with a person's mask under {self.min_iou:g})"
        ]
        if (check := self.check) is not None:
            low, high = (100 * bound for bound in check.ci95)
            lines.append(
                f"on {check.photos} photos that people answered since, {100 * check.observed:.0f} % "
                f"[{low:.0f}, {high:.0f}] needed none; expected {100 * check.expected:.0f} %"
            )
        return "\n".join(lines)


def skimmable(probabilities: Sequence[float], risk: float) -> int:
    """The most masks, the surest first, of which at most a share ``risk`` is expected to need a correction.

    Args:
        probabilities: That each needs none, in [0, 1], in any order.
        risk: In [0, 1].
    """
    faults = np.cumsum(1 - np.sort(np.asarray(probabilities, dtype=np.float64))[::-1])
    shares = faults / np.arange(1, len(faults) + 1)
    # The share never falls, so that the masks within the risk are the first ones.
    return int(np.count_nonzero(shares <= risk + 1e-12))


def triage(workspace: Workspace, *, risk: float = RISK) -> Triage | None:
    """How many photos with a ranking may be skimmed; None where there is no ranking.

    Probabilities for another IoU than the newest rankings' are left out.

    Raises:
        UsageError: for a risk outside of [0, 1].
    """
    if not 0 <= risk <= 1:
        raise UsageError(f"a risk is a share from 0 to 1, got {risk:g}")
    firsts = [ranking[0] for ranking in workspace.rankings()]
    if not firsts:
        return None
    min_iou = max({rank.min_iou for rank in firsts}, key=lambda iou: (sum(r.min_iou == iou for r in firsts), iou))
    firsts = [rank for rank in firsts if rank.min_iou == min_iou]
    decided = workspace.decisions()
    waiting = sorted((rank.probability for rank in firsts if rank.image_id not in decided), reverse=True)
    skim = skimmable(waiting, risk)
    return Triage(
        min_iou=min_iou,
        risk=risk,
        photos=len(waiting),
        skim=skim,
        from_probability=waiting[skim - 1] if skim else None,
        expected_corrections=float(sum(1 - probability for probability in waiting[:skim])),
        check=_check(workspace, {rank.proposal_id: rank.probability for rank in firsts}, min_iou),
    )


def _check(workspace: Workspace, probabilities: dict[str, float], min_iou: float) -> Check | None:
    """Chosen masks beside what the first submitted answer from each left of it."""
    ious: dict[str, float] = {}
    for answer in sorted(workspace.annotations(), key=lambda answer: (answer.updated_at, answer.annotation_id)):
        if answer.state == "submitted" and answer.purpose == "first_look" and answer.proposal_id in probabilities:
            ious.setdefault(answer.proposal_id, answer.edit_iou or 0.0)
    if not ious:
        return None
    from scipy.stats import binomtest  # type: ignore[import-untyped]  # ships no annotations; slow to import

    right = sum(iou >= min_iou for iou in ious.values())
    low, high = binomtest(right, len(ious)).proportion_ci(method="wilson")
    return Check(
        photos=len(ious),
        expected=float(np.mean([probabilities[proposal_id] for proposal_id in sorted(ious)])),
        observed=right / len(ious),
        ci95=(float(low), float(high)),
    )
