"""The machine mask that stands for a photo: the first choice of one segmenter, or the one that a ranking chose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from heapq import merge
from typing import Any

from figureground.console import counts_text
from figureground.errors import UsageError
from figureground.schemas.records import ProposalRecord
from figureground.schemas.store.workspace import Workspace


def best_proposals(
    workspace: Workspace, segmenter: str | None, *, apart_from: str | None = None, option: str = "--segmenter"
) -> Iterator[ProposalRecord]:
    """The machine mask of every image that has one, sorted by image_id: the ranking's choice, or else the first-ranked.

    Where nobody is named and masks of several segmenters were ranked, a ranking chooses for its photos; the others must
    have been left to one segmenter. Masks are read one after another, for those of a million photos do not fit into
    memory.

    Args:
        workspace: Where the proposals are.
        segmenter: Whose proposals to take, whatever a ranking says: ``sam``, or ``sam:box`` where proposals differ by
            their prompts; None for the ranking's, or where one segmenter made all of them.
        apart_from: Whose proposals are not looked at, where ``segmenter`` names none; written likewise. Rankings, in
            which they took part, are not followed then.
        option: The option that names ``segmenter``, for the error.

    Raises:
        UsageError: if several segmenters, checkpoints or settings compete: which one is taken is never left to order.
    """
    ranked = workspace.ranked_photos() if follows_ranking(segmenter, apart_from) else set()
    firsts = _firsts(workspace, segmenter, apart_from, option, ranked)
    if not ranked:
        return firsts
    return merge(workspace.chosen_proposals(), firsts, key=lambda proposal: proposal.image_id)


def follows_ranking(segmenter: str | None, apart_from: str | None = None) -> bool:
    """Whether a ranking chooses, where there is one; arguments as of ``best_proposals``."""
    return segmenter is None and apart_from is None


def _firsts(
    workspace: Workspace, segmenter: str | None, apart_from: str | None, option: str, ranked: Collection[str]
) -> Iterator[ProposalRecord]:
    """First-ranked proposals of the photos without a ranking; raises as ``best_proposals``."""
    makers: set[str] = set()
    passed_over: set[str] = set()
    last, crowded = "", False
    for image_id, run_id, name, mode in workspace.first_ranked_makers():
        maker = f"{name}:{mode}"
        other = segmenter not in {None, name, maker} or (segmenter is None and apart_from in {name, maker})
        if other or image_id in ranked:
            passed_over.add(run_id)
            continue
        crowded |= image_id == last
        last = image_id
        makers.add(maker)
    if crowded or len(makers) > 1:
        raise UsageError(f"several segmenters made proposals; choose one with {option}: {', '.join(sorted(makers))}")
    return (proposal for proposal in workspace.first_ranked() if proposal.run_id not in passed_over)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """By which rule, and among whose masks, rankings chose the machine masks of photos."""

    rules: tuple[str, ...]
    """``name@version`` of each, sorted."""
    photos: dict[str, int]
    """Segmenter to the photos whose mask is its."""

    @classmethod
    def of(
        cls, workspace: Workspace, segmenter: str | None, photos: Collection[str], *, apart_from: str | None = None
    ) -> Choice | None:
        """That of the masks which ``best_proposals`` gives for some photos; None where a ranking chose none of them."""
        if not follows_ranking(segmenter, apart_from):
            return None
        makers = [(name, rule) for image_id, name, rule in workspace.chosen_makers() if image_id in photos]
        if not makers:
            return None
        names = Counter(name for name, _ in makers)
        return cls(rules=tuple(sorted({rule for _, rule in makers})), photos=dict(sorted(names.items())))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready fields."""
        return {"rules": list(self.rules), "photos": self.photos}

    def __str__(self) -> str:
        """One line for people."""
        return f"masks chosen by {', '.join(self.rules)}: {counts_text(self.photos)}"
