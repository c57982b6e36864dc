"""The consensus of several segmenters: a machine mask of its own, made of their first choices and kept beside them.

A pixel is figure where more than half of the first choices hold it. Where GrabCut took part and its own mask is like
that majority, the photo's colours tell figure from ground, and a narrow band around the rim is cut anew by them; where
it is not, colours mislead (docs/adr/0016).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np

from figureground.annotate.agreement.consensus_masks import enough_people, majority_mask
from figureground.annotate.proposals.reports import ProposalReport
from figureground.annotate.segmenters.grabcut import GrabCutSegmenter, cut_rim
from figureground.errors import Fault, FigureGroundError
from figureground.runtime.processes import default_workers
from figureground.runtime.progress import Progress
from figureground.schemas.rasters.masks import Mask, decode_coco_rle, encode_coco_rle, mask_iou
from figureground.schemas.rasters.photos import decode_photo
from figureground.schemas.records import (
    CONSENSUS,
    ImageRecord,
    ProposalRecord,
    ProposalRun,
    SourceRow,
    canonical_json,
    content_id,
)
from figureground.schemas.sources.opening import read_catalogued
from figureground.schemas.store.workspace import Workspace

RIM_SHARE: Final = 0.01
"""How far from the majority's rim GrabCut may move it, as a share of the photo's diagonal."""
LIKE_THE_MAJORITY: Final = 0.9
"""IoU of GrabCut's own mask with the majority from which the rim is cut."""
_METHOD: Final = "majority"
_MOST_AT_A_TIME: Final = 8
_MOST_BESIDE: Final = 20_000_000
"""Pixels of a photo beside which no other one is fused: its masks and its pixels are ten bytes each."""
_DIGITS: Final = 6


def fused_by(proposal: ProposalRecord) -> tuple[str, ...]:
    """Segmenters of the masks that a consensus is made of, sorted; empty for the mask of one segmenter."""
    return tuple(sorted(part["segmenter"] for part in _parts(proposal)))


def fused_from(proposal: ProposalRecord) -> tuple[str, ...]:
    """Ids of the masks that a consensus is made of, sorted; empty for the mask of one segmenter."""
    return tuple(sorted(part["proposal_id"] for part in _parts(proposal)))


def maker_title(proposal: ProposalRecord) -> str:
    """Who made a machine mask, for people: a segmenter's name, or ``consensus of grabcut, sam, saliency``."""
    parts = fused_by(proposal)
    return f"{proposal.segmenter} of {', '.join(parts)}" if parts else proposal.segmenter


def _parts(proposal: ProposalRecord) -> list[dict[str, str]]:
    if proposal.segmenter != CONSENSUS:
        return []
    parts: list[dict[str, str]] = json.loads(proposal.prompt)["of"]
    return parts


def fuse_photos(
    workspace: Workspace, runs: Mapping[str, Sequence[str]], prompt_mode: str, *, progress: Progress = lambda *_: None
) -> tuple[ProposalReport, list[Fault]]:
    """Store the consensus of every photo that three or more segmenters found something on; the same masks give it once.

    Photos are worked on side by side in this process, wherever the models ran.

    Args:
        workspace: Where the masks are, and the consensus goes to.
        runs: Photo to the runs of all segmenters that were asked.
        prompt_mode: How they were asked.
        progress: Called after every photo.

    Returns:
        Counts, with the run of each photo's consensus, and a fault for every photo that could not be read any more.
    """
    finished, sources = workspace.finished_runs(), workspace.sources()
    report, faults = ProposalReport(), list[Fault]()
    work: list[_Fusion] = []
    for image_id, ids in sorted(runs.items()):
        masks = [one for one in workspace.proposals(image_id) if one.run_id in ids and one.rank == 0]
        image = workspace.image(image_id)
        if image is None or not enough_people(len(masks)):
            continue
        fusion = _Fusion.of(image, masks, prompt_mode)
        if fusion.run_id in finished:
            report.runs[image_id] = fusion.run_id
            report.already_done += 1
        else:
            work.append(fusion)
    for number, (fusion, outcome) in enumerate(_outcomes(work, sources), start=1):
        if isinstance(outcome, Fault):
            faults.append(outcome)
        else:
            workspace.add_run(*outcome)
            report.runs[fusion.image.image_id] = fusion.run_id
            report.images += 1
            report.masks += len(outcome[1])
            report.seconds += outcome[0].seconds
        progress("fuse", number, len(work))
    return report, faults


def _outcomes(
    work: Sequence[_Fusion], sources: Mapping[str, SourceRow]
) -> Iterator[tuple[_Fusion, tuple[ProposalRun, list[ProposalRecord]] | Fault]]:
    """Several photos at a time, for OpenCV works outside of Python's lock; one at a time where some are large."""
    large = any(fusion.image.width * fusion.image.height > _MOST_BESIDE for fusion in work)
    side_by_side = 1 if large else min(_MOST_AT_A_TIME, default_workers())
    with ThreadPoolExecutor(side_by_side) as pool:
        for start in range(0, len(work), side_by_side):
            batch = work[start : start + side_by_side]
            yield from zip(batch, pool.map(lambda fusion: fusion.outcome(sources), batch), strict=True)


@dataclass(frozen=True, slots=True)
class _Fusion:
    """The consensus of one photo that is to be made."""

    image: ImageRecord
    masks: tuple[ProposalRecord, ...]
    """First choices, sorted by their ids, so that the order in which segmenters were named says nothing."""
    prompt_mode: str
    run_id: str

    @classmethod
    def of(cls, image: ImageRecord, masks: Sequence[ProposalRecord], prompt_mode: str) -> _Fusion:
        ordered = tuple(sorted(masks, key=lambda mask: mask.proposal_id))
        settings = canonical_json({"method": _METHOD, "rim": RIM_SHARE, "like": LIKE_THE_MAJORITY})
        run = content_id("run", image.image_id, CONSENSUS, settings, *(mask.proposal_id for mask in ordered))
        return cls(image, ordered, prompt_mode, run)

    def outcome(self, sources: Mapping[str, SourceRow]) -> tuple[ProposalRun, list[ProposalRecord]] | Fault:
        """The run with its mask; a fault where the photo is needed and cannot be read any more."""
        start = time.perf_counter()
        masks = [decode_coco_rle(mask.rle, record=mask.proposal_id) for mask in self.masks]
        majority = majority_mask(masks)
        cut = bool(majority.any()) and any(
            proposal.segmenter == GrabCutSegmenter.name and mask_iou(mask, majority) >= LIKE_THE_MAJORITY
            for proposal, mask in zip(self.masks, masks, strict=True)
        )
        fused = majority
        if cut:
            try:
                photo_rgb = decode_photo(read_catalogued(self.image, sources))
            except (FigureGroundError, OSError) as error:
                where, record = self.image.source, self.image.uri
                return Fault(where=where, record=record, expected="the catalogued photo", got=str(error))
            fused = cut_rim(photo_rgb, majority, band_px=max(1, round(RIM_SHARE * math.hypot(*majority.shape))))
        proposals = [self._record(fused, masks, cut=cut)] if fused.any() else []
        run = ProposalRun(
            run_id=self.run_id,
            image_id=self.image.image_id,
            segmenter=CONSENSUS,
            prompt_mode=self.prompt_mode,
            reason="" if proposals else "nothing_in_common",
            seconds=time.perf_counter() - start,
        )
        return run, proposals

    def _record(self, fused: Mask, masks: Sequence[Mask], *, cut: bool) -> ProposalRecord:
        """Its score is the mean IoU of every two of its masks, its stability the IoU of what all and what any hold."""
        pairs = [mask_iou(one, other) for one, other in combinations(masks, 2)]
        common, together = np.logical_and.reduce(masks), np.logical_or.reduce(masks)
        parts = [{"proposal_id": mask.proposal_id, "segmenter": mask.segmenter} for mask in self.masks]
        made = {"kind": CONSENSUS, "origin": _METHOD, "of": parts, "rim": RIM_SHARE if cut else 0}
        return ProposalRecord(
            proposal_id=content_id(self.run_id, "0"),
            run_id=self.run_id,
            image_id=self.image.image_id,
            rle=encode_coco_rle(fused),
            score=round(float(np.mean(pairs)), _DIGITS),
            stability=round(np.count_nonzero(common) / np.count_nonzero(together), _DIGITS),
            rank=0,
            prompt=canonical_json(made),
            segmenter=CONSENSUS,
            checkpoint_sha256="",
        )
