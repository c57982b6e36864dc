"""Machine masks for every catalogued photo: resumable, several candidates kept and ranked."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol

from figureground.annotate.limits import check_limit
from figureground.annotate.photo_states import photos_to_annotate, require_sources
from figureground.annotate.proposals.candidates import rank_candidates
from figureground.annotate.proposals.class_texts import ClassTexts
from figureground.annotate.proposals.prompts import PromptMode, prompts_for
from figureground.annotate.proposals.reports import ProposalReport
from figureground.annotate.segmenters.loading import UNPROMPTED
from figureground.annotate.segmenters.protocol import Candidate, Photo, SegmentationRejected, Segmenter
from figureground.errors import DataError, Fault, FigureGroundError, UsageError
from figureground.runtime.progress import Progress
from figureground.schemas.rasters.masks import Mask
from figureground.schemas.rasters.photos import decode_photo
from figureground.schemas.records import (
    ImageRecord,
    Prompt,
    ProposalRecord,
    ProposalRun,
    SourceRow,
    canonical_json,
    content_id,
)
from figureground.schemas.sources.opening import read_catalogued
from figureground.schemas.store.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalSettings:
    """Settings that decide a machine mask, beside the photo and the segmenter."""

    prompt_mode: PromptMode = "auto"
    """What a segmenter is asked about; ``auto``: annotated boxes, and in photos without one what takes the class's name
    finds, or the salient object's box."""
    keep: int = 3
    """Most candidates kept for a photo."""
    grid_side: int = 16
    """Points on each side of the grid prompt."""
    texts: ClassTexts | None = None
    """How classes are named where they are asked for by name: for ``text``, and for ``auto`` where something that takes
    texts is installed."""

    def to_json(self) -> str:
        """Canonical JSON; part of the run id."""
        grid = {"grid_side": self.grid_side} if self.prompt_mode == "grid" else {}
        return canonical_json({"prompt_mode": self.prompt_mode, "keep": self.keep, **grid})


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalScope:
    """Which photos one call works on; what it leaves is done by later calls."""

    sources: tuple[str, ...] = ()
    """Names of sources; empty for all of them."""
    limit: int | None = None
    """Most photos that are not done yet, 1 or more, in the order of their ids; None for all."""


_MOST_BESIDE: Final = 20_000_000
"""Pixels of a photo beside which another one is read: 60 MB of photo, and as much again for Pillow's."""

ALL_PHOTOS: Final = ProposalScope()


Outcome = tuple[ProposalRun, list[ProposalRecord]] | Fault
"""The finished run of one photo with its masks; a fault where the photo could not be read any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Makers:
    """The models that decide the masks of a run."""

    segmenter: str
    checkpoint_sha256: str
    saliency_sha256: str = ""
    """SHA-256 of the saliency model's weights; empty without one."""

    @classmethod
    def of(cls, segmenter: Segmenter, saliency: Segmenter | None) -> Makers:
        """Those of loaded models."""
        return cls(
            segmenter=segmenter.name,
            checkpoint_sha256=segmenter.checkpoint_sha256,
            saliency_sha256=saliency.checkpoint_sha256 if saliency is not None else "",
        )


class Proposer(Protocol):
    """Makes the masks of photos, here or elsewhere."""

    def makers(self) -> Makers:
        """Its models."""
        ...

    def outcomes(self, photos: Sequence[tuple[ImageRecord, str]]) -> Iterator[Outcome]:
        """The outcome of each photo and run id, in the order in which they finish."""
        ...


def propose(
    workspace: Workspace,
    segmenter: Segmenter,
    settings: ProposalSettings,
    *,
    saliency: Segmenter | None = None,
    scope: ProposalScope = ALL_PHOTOS,
    progress: Progress = lambda *_: None,
) -> ProposalReport:
    """Propose masks for every photo of a scope that this segmenter has not yet done with these settings.

    Args:
        workspace: Where photos come from and masks go to.
        segmenter: The model.
        settings: Prompts and number of candidates.
        saliency: Gives a box prompt where the mode needs one and none is annotated, and separates a grid's
            masks of the object from those of the ground.
        scope: Which photos.
        progress: Called after every photo.

    Raises:
        DataError: at the end, with every photo that could not be read any more.
        UsageError: for a source that the workspace does not know, or a limit below 1.
    """
    proposer = _LocalProposer(segmenter, saliency, settings, workspace.sources())
    return store_proposals(workspace, proposer, settings, scope=scope, progress=progress)


def store_proposals(
    workspace: Workspace,
    proposer: Proposer,
    settings: ProposalSettings,
    *,
    scope: ProposalScope = ALL_PHOTOS,
    progress: Progress = lambda *_: None,
) -> ProposalReport:
    """Store the outcome of every photo of a scope that these models have not yet done with these settings.

    Each photo is stored as it is finished, so a killed run loses at most those under way.

    Raises:
        DataError: at the end, with every photo that could not be read any more.
        UsageError: for a source that the workspace does not know, or a limit below 1.
    """
    require_sources(workspace, scope.sources)
    check_limit(scope.limit)
    finished, makers = workspace.finished_runs(), proposer.makers()
    photos = [(record, run_id(record, makers, settings)) for record in photos_to_annotate(workspace, scope.sources)]
    open_photos = [(record, run) for record, run in photos if run not in finished]
    chosen = open_photos[: scope.limit]
    report = ProposalReport(already_done=len(photos) - len(open_photos), left=len(open_photos) - len(chosen))
    report.runs |= {record.image_id: run for record, run in photos if run in finished}
    faults = list[Fault]()
    for done, outcome in enumerate(proposer.outcomes(chosen), start=report.already_done + 1):
        if isinstance(outcome, Fault):
            faults.append(outcome)
        else:
            run, proposals = outcome
            workspace.add_run(run, proposals)
            report.runs[run.image_id] = run.run_id
            report.images += 1
            report.masks += len(proposals)
            report.seconds += run.seconds
            if run.reason:
                report.rejected[run.reason] += 1
        progress("propose", done, len(photos) - report.left)
    if faults:
        raise DataError(faults, report)
    return report


@dataclass(frozen=True, slots=True)
class _LocalProposer:
    """One segmenter, in this process."""

    segmenter: Segmenter
    saliency: Segmenter | None
    settings: ProposalSettings
    sources: Mapping[str, SourceRow]

    def makers(self) -> Makers:
        return Makers.of(self.segmenter, self.saliency)

    def outcomes(self, photos: Sequence[tuple[ImageRecord, str]]) -> Iterator[Outcome]:
        """In order. The next photo is read, and the masks of the last one are ranked, while the model runs.

        Beside a photo of more than ``_MOST_BESIDE`` pixels nothing is done: two of them may be more than the memory.
        """
        steps = _Steps(self.segmenter, self.settings, self.saliency, self.sources)
        with ThreadPoolExecutor(1) as reading, ThreadPoolExecutor(1) as ranking:
            reads = deque[Future[tuple[Photo, float] | Fault]]()
            last: Future[Outcome] | None = None
            for number, (record, run) in enumerate(photos, start=1):
                alone = any(_is_large(photo) for photo, _ in photos[number - 1 : number + 1])
                if last is not None and alone:
                    yield last.result()
                    last = None
                photo = reads.popleft().result() if reads else steps.read(record)
                if not alone:
                    reads.extend(reading.submit(steps.read, following) for following, _ in photos[number : number + 1])
                segmented = steps.ask(record, photo)
                del photo
                if last is not None:
                    yield last.result()
                last = ranking.submit(steps.rank, record, run, segmented)
            if last is not None:
                yield last.result()


def _is_large(record: ImageRecord) -> bool:
    return record.width * record.height > _MOST_BESIDE


def run_id(record: ImageRecord, makers: Makers, settings: ProposalSettings) -> str:
    """Everything that decides the masks of one photo; the saliency model and the class's names only where asked."""
    asked = settings.prompt_mode in ("grid", "text") or not record.boxes_xyxy_px
    helper = makers.saliency_sha256 if asked else ""
    parts = ["run", record.image_id, makers.segmenter, makers.checkpoint_sha256, settings.to_json(), helper]
    if asked and settings.texts is not None:
        parts.append(canonical_json(_texts_of(record, settings.texts)))
    return content_id(*parts)


def _texts_of(record: ImageRecord, texts: ClassTexts) -> tuple[str, ...]:
    try:
        return texts.texts(record.label)
    except SegmentationRejected:
        return ()


def propose_one(
    record: ImageRecord,
    run_id: str,
    segmenter: Segmenter,
    settings: ProposalSettings,
    saliency: Segmenter | None,
    sources: Mapping[str, SourceRow],
) -> Outcome:
    """The masks of one photo, ranked.

    Raises:
        UsageError: if the segmenter cannot be asked so.
    """
    steps = _Steps(segmenter, settings, saliency, sources)
    return steps.rank(record, run_id, steps.ask(record, steps.read(record)))


@dataclass(frozen=True, slots=True)
class _Segmented:
    """Candidates of one photo, not yet ranked."""

    candidates: Sequence[Candidate]
    guide_hw: Mask | None
    reason: str
    """Why there are no candidates."""
    seconds: float
    ordered: bool = False
    """Whether their order is that of the ranks already: the things that a text names."""


@dataclass(frozen=True, slots=True)
class _Steps:
    """The steps of one photo: read, ask, rank. Each takes the result of the step before it, and passes a fault on."""

    segmenter: Segmenter
    settings: ProposalSettings
    saliency: Segmenter | None
    sources: Mapping[str, SourceRow]

    def read(self, record: ImageRecord) -> tuple[Photo, float] | Fault:
        """Pixels, and seconds that it took."""
        start = time.perf_counter()
        try:
            return decode_photo(read_catalogued(record, self.sources)), time.perf_counter() - start
        except UsageError:
            raise
        except (FigureGroundError, OSError) as error:
            return _fault(record, error)

    def ask(self, record: ImageRecord, photo: tuple[Photo, float] | Fault) -> _Segmented | Fault:
        """Candidates by the models."""
        if isinstance(photo, Fault):
            return photo
        (photo_rgb, seconds), start = photo, time.perf_counter()
        try:
            candidates, guide_hw, ordered = self._segment(record, photo_rgb)
            reason = ""
        except SegmentationRejected as rejected:
            candidates, guide_hw, ordered, reason = [], None, False, rejected.reason
        except UsageError:
            raise
        except (FigureGroundError, OSError) as error:
            return _fault(record, error)
        return _Segmented(candidates, guide_hw, reason, seconds + time.perf_counter() - start, ordered)

    def rank(self, record: ImageRecord, run_id: str, segmented: _Segmented | Fault) -> Outcome:
        """The best candidates, as they are stored."""
        if isinstance(segmented, Fault):
            return segmented
        start = time.perf_counter()
        keep = self.settings.keep
        ranked = list(segmented.candidates[:keep])
        if not segmented.ordered:
            ranked = rank_candidates(segmented.candidates, keep, guide_hw=segmented.guide_hw)
        proposals = _records(record, run_id, ranked, self.segmenter)
        run = ProposalRun(
            run_id=run_id,
            image_id=record.image_id,
            segmenter=self.segmenter.name,
            prompt_mode=self.settings.prompt_mode,
            reason=segmented.reason or ("" if ranked else "nothing_found"),
            seconds=segmented.seconds + time.perf_counter() - start,
        )
        return run, proposals

    def _segment(self, record: ImageRecord, photo_rgb: Photo) -> tuple[Sequence[Candidate], Mask | None, bool]:
        """Candidates, the guide of their ranks, and whether they are in order."""
        settings, segmenter, saliency = self.settings, self.segmenter, self.saliency
        prompts, guide_hw = [Prompt(kind="none", origin=segmenter.name)], None
        if segmenter.name not in UNPROMPTED:
            prompts = prompts_for(settings.prompt_mode, record, photo_rgb, saliency, settings.grid_side, settings.texts)
        if settings.prompt_mode == "grid" and saliency is not None:
            guide_hw = saliency.segment(photo_rgb, [Prompt(kind="none", origin="saliency")])[0].mask_hw
        ordered = all(prompt.kind == "text" for prompt in prompts)
        return segmenter.segment(photo_rgb, prompts), guide_hw, ordered


def _fault(record: ImageRecord, error: Exception) -> Fault:
    return Fault(where=record.source, record=record.uri, expected="the catalogued photo", got=str(error))


def _records(
    record: ImageRecord, run_id: str, ranked: Sequence[Candidate], segmenter: Segmenter
) -> list[ProposalRecord]:
    return [
        ProposalRecord(
            proposal_id=content_id(run_id, str(rank)),
            run_id=run_id,
            image_id=record.image_id,
            rle=candidate.rle,
            score=candidate.score,
            stability=candidate.stability,
            rank=rank,
            prompt=candidate.prompt.to_json(),
            segmenter=segmenter.name,
            checkpoint_sha256=segmenter.checkpoint_sha256,
            instances=candidate.instance_rles,
        )
        for rank, candidate in enumerate(ranked)
    ]
