"""What a call of ``propose`` did, in counts."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from figureground.annotate.proposals.ranking import RankingReport
from figureground.annotate.proposals.triage import Triage
from figureground.console import counts_text
from figureground.errors import printable

_OF_SEVERAL: Final = ("by_segmenter", "ranking", "triage", "runs")


@dataclass(slots=True, kw_only=True)
class ProposalReport:
    """Counts of one call of ``propose``."""

    images: int = 0
    """Photos that this call worked on; with several segmenters each counts for itself."""
    already_done: int = 0
    left: int = 0
    """Photos of the scope that its limit leaves for later calls."""
    masks: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    """Reason to number of photos without a mask."""
    seconds: float = 0.0
    """Spent on photos, decoding included."""
    boxes_by: str = ""
    """What ``auto`` asked about photos without an annotated box: ``saliency``, or what takes a class's name; empty for
    other prompts, and where every photo has a box."""
    strange_synonyms: list[str] = field(default_factory=list)
    """Labels and names of a table of synonyms that fit no photo of the workspace, sorted."""
    runs: dict[str, str] = field(default_factory=dict, repr=False)
    """Photo to its run with these models and settings, of every photo that is done; of one segmenter."""
    by_segmenter: Mapping[str, ProposalReport] = field(default_factory=dict)
    """What each of several segmenters did; empty for one alone."""
    ranking: RankingReport | None = None
    """How masks of several segmenters were ranked; None for one alone."""
    triage: Triage | None = None
    """How many photos may be skimmed; None without a ranking."""

    @classmethod
    def together(
        cls, by_segmenter: Mapping[str, ProposalReport], ranking: RankingReport, triage: Triage | None
    ) -> ProposalReport:
        """The sum over several segmenters."""
        parts = list(by_segmenter.values())
        return cls(
            images=sum(part.images for part in parts),
            already_done=sum(part.already_done for part in parts),
            left=sum(part.left for part in parts),
            masks=sum(part.masks for part in parts),
            rejected=sum((part.rejected for part in parts), Counter[str]()),
            seconds=sum(part.seconds for part in parts),
            boxes_by=", ".join(dict.fromkeys(part.boxes_by for part in parts if part.boxes_by)),
            by_segmenter=dict(by_segmenter),
            ranking=ranking,
            triage=triage,
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready fields; those of several segmenters only where there were several."""
        values = {one.name: getattr(self, one.name) for one in dataclasses.fields(self) if one.name not in _OF_SEVERAL}
        if self.ranking is not None:
            values["by_segmenter"] = {name: report.to_dict() for name, report in self.by_segmenter.items()}
            values["ranking"] = dataclasses.asdict(self.ranking)
            values["triage"] = None if self.triage is None else self.triage.to_dict()
        return values

    def __str__(self) -> str:
        """Some lines for people."""
        strange = self.strange_synonyms
        unfit = [f"synonyms that fit no photo: {len(strange)}, the first: {printable(strange[0])}"] if strange else []
        if (ranking := self.ranking) is None:
            return "\n".join([self._counts(), *unfit])
        lines = [f"{name}: {report}" for name, report in self.by_segmenter.items()]
        waiting = f", {ranking.waiting} wait for the rest of the segmenters" if ranking.waiting else ""
        chosen = counts_text(ranking.chosen)
        lines.append(f"masks of {ranking.photos} photos ranked by {ranking.rule}{waiting}; chosen: {chosen}")
        return "\n".join([*lines, *([str(self.triage)] if self.triage is not None else []), *unfit])

    def _counts(self) -> str:
        text = f"{self.masks} masks for {self.images} photos, {self.already_done} done before"
        text += f", {self.left} left for later runs" if self.left else ""
        text += f"\nphotos without an annotated box: asked by {self.boxes_by}" if self.boxes_by else ""
        return text + (f"\nwithout a mask: {counts_text(self.rejected)}" if self.rejected else "")
