"""What machine masks save: the time that photos took with each segmenter's mask, against painting from nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, Final

import numpy as np
from scipy.special import stdtrit  # type: ignore[import-untyped]  # ships no annotations

from figureground.annotate.agreement.intervals import MIN_PHOTOS, TOO_FEW, Floats, crossed_variance
from figureground.annotate.decisions import AGREEING_IOU, newest_answers
from figureground.schemas.attributes import OBJECT
from figureground.schemas.records import SHEET_TOOL, Annotation
from figureground.schemas.store.workspace import Workspace

PAUSE_SECONDS: Final = 900.0
"""Longest time on the page that is taken for work: a page left open over lunch would outweigh a hundred photos."""
NOTHING: Final = "nothing"
"""Stands for a segmenter where a mask was painted from nothing."""
NO_COMPARISON: Final = "nobody painted two photos from nothing and two with it"
_DIGITS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Quartiles:
    """Times on the page in seconds."""

    lower: float
    median: float
    upper: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Quartiles:
        """Quartiles of one time or more, interpolated linearly."""
        lower, median, upper = np.quantile(np.asarray(seconds, dtype=np.float64), [0.25, 0.5, 0.75])
        return cls(lower=float(lower), median=float(median), upper=float(upper))

    def to_json(self) -> dict[str, float]:
        """JSON-ready."""
        return {name: round(getattr(self, name), _DIGITS) for name in ("lower", "median", "upper")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """Seconds a photo that a mask saved those who also painted from nothing."""

    seconds: float | None = None
    """What a photo took from nothing less what one took with the mask, by annotator, then the mean over annotators by
    their photos with the mask; below 0 where the mask costs time. None where nobody did both."""
    ci95: tuple[float, float] | None = None
    """For these people on other photos."""
    ci95_others: tuple[float, float] | None = None
    """For other people like these; None of one person."""
    photos: int = 0
    """Photos that it is of."""
    annotators: int = 0
    """People whose times it is of."""
    reason: str = ""
    """Why there is no figure or no ``ci95``; empty where there are both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmenterTimes:
    """Timed first looks with an object mask that began from one segmenter's masks, or from nothing."""

    segmenter: str
    """Its name, or ``nothing``."""
    answers: int
    annotators: int
    seconds: Quartiles
    edits: Mapping[str, int]
    """``untouched``, ``touched_up`` (IoU with the machine mask from 0.9 on) or ``redrawn`` to answers; none where it
    began from nothing."""
    edit_seconds: Mapping[str, float]
    """The same to median seconds."""
    saving: Saving | None
    """None for what was painted from nothing."""

    @property
    def minutes_saved(self) -> float | None:
        """Minutes saved on all its answers, as if all were of those who did both; None where that is unknown."""
        return None if self.saving is None or self.saving.seconds is None else self.saving.seconds * self.answers / 60

    @property
    def minutes_ci95(self) -> tuple[float, float] | None:
        """Interval of ``minutes_saved``; None where there is none."""
        if self.saving is None or self.saving.ci95 is None:
            return None
        low, high = (bound * self.answers / 60 for bound in self.saving.ci95)
        return low, high

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        values: dict[str, Any] = {
            "segmenter": self.segmenter,
            "answers": self.answers,
            "annotators": self.annotators,
            "seconds": self.seconds.to_json(),
            "edits": dict(self.edits),
            "edit_seconds": {name: round(value, _DIGITS) for name, value in self.edit_seconds.items()},
        }
        if self.saving is not None:
            saving = self.saving
            values["saved"] = {
                "seconds": _rounded(saving.seconds),
                "ci95": _rounded_interval(saving.ci95),
                "ci95_others": _rounded_interval(saving.ci95_others),
                "photos": saving.photos,
                "annotators": saving.annotators,
                "minutes": _rounded(self.minutes_saved),
                "minutes_ci95": _rounded_interval(self.minutes_ci95),
                **({"no_ci95": saving.reason} if saving.reason else {}),
            }
        return values


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)


def _rounded_interval(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else [round(bound, _DIGITS) for bound in interval]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeReport:
    """How long photos took, by what they began from."""

    segmenters: tuple[SegmenterTimes, ...]
    """What was painted from nothing first, if any was; then by name."""
    pauses: int
    """Answers that are left out since they took more than ``PAUSE_SECONDS``."""


def report_times(workspace: Workspace) -> TimeReport:
    """Times of the newest first look of each person for each photo.

    Answers on sheets are left out, on which nobody can paint, and so are imported ones, which have no time.
    """
    looks = [answer for answer in _looks(workspace) if answer.seconds > 0 and answer.tool != SHEET_TOOL]
    worked = [answer for answer in looks if answer.seconds <= PAUSE_SECONDS]
    needed = {answer.proposal_id for answer in worked} - {""}
    makers = {made.proposal_id: made.segmenter for made in workspace.proposals() if made.proposal_id in needed}
    groups: dict[str, list[Annotation]] = defaultdict(list)
    for answer in worked:
        if not answer.proposal_id or answer.proposal_id in makers:
            groups[makers.get(answer.proposal_id, NOTHING)].append(answer)
    painted = groups.pop(NOTHING, [])
    times = [_times(NOTHING, painted, None)] if painted else []
    times += [_times(name, own, measure_saving(painted, own)) for name, own in sorted(groups.items())]
    return TimeReport(segmenters=tuple(times), pauses=len(looks) - len(worked))


def _looks(workspace: Workspace) -> Iterable[Annotation]:
    """Newest first looks of people that show an object, sorted by image and annotator, without their masks."""
    by_image: dict[str, list[Annotation]] = defaultdict(list)
    for answer in workspace.annotations():
        if answer.purpose == "first_look" and not answer.machine and not answer.origin and answer.annotator:
            painted = {OBJECT: answer.masks[OBJECT]} if OBJECT in answer.masks else {}
            # Whether there is one is all that counts; a million masks would fill the memory.
            by_image[answer.image_id].append(
                replace(answer, masks={name: replace(rle, counts="") for name, rle in painted.items()}, instances=())
            )
    for _, answers in sorted(by_image.items()):
        yield from sorted(
            (answer for answer in newest_answers(answers) if OBJECT in answer.masks), key=lambda own: own.annotator
        )


def _times(segmenter: str, answers: Sequence[Annotation], saving: Saving | None) -> SegmenterTimes:
    by_edit: dict[str, list[float]] = defaultdict(list)
    for answer in answers:
        if answer.changed_px is not None and answer.edit_iou is not None:
            touched = "touched_up" if answer.edit_iou >= AGREEING_IOU else "redrawn"
            by_edit[touched if answer.changed_px else "untouched"].append(answer.seconds)
    names = [name for name in ("untouched", "touched_up", "redrawn") if name in by_edit]
    return SegmenterTimes(
        segmenter=segmenter,
        answers=len(answers),
        annotators=len({answer.annotator for answer in answers}),
        seconds=Quartiles.of([answer.seconds for answer in answers]),
        edits={name: len(by_edit[name]) for name in names},
        edit_seconds={name: float(np.median(by_edit[name])) for name in names},
        saving=saving,
    )


def measure_saving(painted: Sequence[Annotation], corrected: Sequence[Annotation]) -> Saving:
    """Compare each person with himself or herself: some are fast whatever they begin from.

    Intervals are Student's, with the variance of the linearised figure clustered by photo (``ci95``) and by photo and
    annotator (``ci95_others``), the rule by which people's scores are judged (``crossed_variance``). None under 24
    photos on either side.

    Args:
        painted: Answers that were painted from nothing, one for each photo and person.
        corrected: Answers that began from masks of one segmenter, likewise.
    """
    before, after = _seconds_of(painted), _seconds_of(corrected)
    people = sorted(name for name in before.keys() & after.keys() if min(len(before[name]), len(after[name])) > 1)
    if not people:
        return Saving(reason=NO_COMPARISON)
    total = sum(len(after[name]) for name in people)
    saved = {name: fmean(before[name].values()) - fmean(after[name].values()) for name in people}
    value = sum(len(after[name]) * saved[name] for name in people) / total
    counts = [len({photo for name in people for photo in side[name]}) for side in (before, after)]
    photos = sorted({photo for name in people for side in (before, after) for photo in side[name]})
    saving = Saving(seconds=value, photos=len(photos), annotators=len(people))
    rows = {photo: row for row, photo in enumerate(photos)}
    # Parts of the figure that differ within a person, and those that differ between people; each kind adds up to 0.
    within, between = np.zeros((2, len(photos), len(people)))
    for column, name in enumerate(people):
        for side, sign in ((before, 1), (after, -1)):
            count, mean = len(side[name]), fmean(side[name].values())
            for photo, seconds in side[name].items():
                # The root makes the variance within a person unbiased.
                scale = len(after[name]) / total / count * (count / (count - 1)) ** 0.5
                within[rows[photo], column] += sign * scale * (seconds - mean)
        for photo in after[name]:
            between[rows[photo], column] += (saved[name] - value) / total
    here = _interval(value, within.sum(axis=1, keepdims=True))
    if min(counts) < MIN_PHOTOS or here is None:
        return replace(saving, reason=TOO_FEW)
    return replace(saving, ci95=here, ci95_others=_interval(value, within + between) if len(people) > 1 else None)


def _interval(value: float, parts: Floats) -> tuple[float, float] | None:
    """Student's interval of a figure with these linearised parts; None where nothing varies."""
    crossed = crossed_variance(parts)
    if crossed.variance < 1e-12:
        return None
    half = float(stdtrit(max(1.0, crossed.degrees), 0.975)) * crossed.variance**0.5
    return value - half, value + half


def _seconds_of(answers: Sequence[Annotation]) -> dict[str, dict[str, float]]:
    """Annotator to photo to seconds."""
    seconds: dict[str, dict[str, float]] = defaultdict(dict)
    for answer in answers:
        seconds[answer.annotator][answer.image_id] = answer.seconds
    return dict(seconds)
