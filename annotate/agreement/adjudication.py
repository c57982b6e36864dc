"""Photos in doubt, those first on which people differ most: the order in which somebody else should look at them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import Any, Final, Literal, get_args

from figureground.annotate.agreement.overlaps import compare_answers, first_looks
from figureground.annotate.attribute_history import AttributeHistory
from figureground.schemas.attributes import OBJECT
from figureground.schemas.records import Annotation, Decision
from figureground.schemas.store.workspace import Workspace

Ranking = Literal["masks", "attributes", "both"]
RANKINGS: Final[tuple[Ranking, ...]] = get_args(Ranking)
_DIGITS: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A photo that needs a second look."""

    decision: Decision
    source: str
    uri: str
    label: str
    answers: int
    """First looks that people gave."""
    mask_disagreement: float | None
    """1 - IoU of the object, the mean over pairs of people; 1 for a pair of whom one painted none. None for one answer,
    and where nobody painted one."""
    attribute_disagreement: float | None
    """Share of attributes of which one said yes and the other no, over all pairs; None where no two answered one."""

    def disagreement(self, by: Ranking) -> float | None:
        """What photos are ranked by; of both it is the sum, to which what is not known adds nothing."""
        parts = {"masks": [self.mask_disagreement], "attributes": [self.attribute_disagreement]}
        known = [
            part for part in parts.get(by, [self.mask_disagreement, self.attribute_disagreement]) if part is not None
        ]
        return sum(known) if known else None

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        shares = {"mask_disagreement": self.mask_disagreement, "attribute_disagreement": self.attribute_disagreement}
        return {
            "image_id": self.decision.image_id,
            "source": self.source,
            "uri": self.uri,
            "label": self.label,
            "reason": self.decision.reason,
            "answers": self.answers,
            **{name: None if share is None else round(share, _DIGITS) for name, share in shares.items()},
        }


def ranked_doubts(workspace: Workspace, by: Ranking = "both") -> list[Doubt]:
    """Every photo whose decision is ``needs_second``, the greatest disagreement first.

    Those whose disagreement is not known, such as photos that one person flagged, come last; equals are sorted by
    image_id. One photo's masks are in memory at a time.
    """
    history = AttributeHistory.of(workspace)
    doubts = [
        _doubt(workspace, decision, history)
        for decision in workspace.newest_decisions()
        if decision.state == "needs_second"
    ]

    def rank(doubt: Doubt) -> tuple[float, str]:
        known = doubt.disagreement(by)
        return (1.0 if known is None else -known), doubt.decision.image_id

    return sorted(doubts, key=rank)


def _doubt(workspace: Workspace, decision: Decision, history: AttributeHistory) -> Doubt:
    image = workspace.image(decision.image_id)
    answers = [history.current(answer) for answer in workspace.annotations(decision.image_id)]
    photo, first = compare_answers(decision.image_id, answers), first_looks(answers)
    equal = [value for pair in photo.pairs for value in pair.equal.values()] if photo is not None else []
    ious = {pair.annotators: pair.masks[OBJECT].iou for pair in photo.pairs if OBJECT in pair.masks} if photo else {}
    return Doubt(
        decision=decision,
        source=image.source if image else "",
        uri=image.uri if image else "",
        label=image.label if image else "",
        answers=len(first),
        mask_disagreement=_mask_disagreement(first, ious),
        attribute_disagreement=1 - fmean(equal) if equal else None,
    )


def _mask_disagreement(first: Sequence[Annotation], ious: dict[tuple[str, str], float]) -> float | None:
    """Mean over the pairs of whom one or both painted the object; None where there is no such pair."""
    differences = [
        1 - ious.get((one.annotator, other.annotator), 0.0)
        for one, other in combinations(first, 2)
        if OBJECT in one.masks or OBJECT in other.masks
    ]
    return fmean(differences) if differences else None
