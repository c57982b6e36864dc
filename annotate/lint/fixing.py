"""Clean-up: steps that mend masks of accepted answers, told before they are done, and stored as states of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

import numpy as np

from figureground.annotate.decisions import MACHINE_EDITOR, accepted_state
from figureground.annotate.lint.findings import Finding
from figureground.annotate.lint.settings import DEFAULTS, LintSettings
from figureground.annotate.lint.specks import islands_of, pinholes_of
from figureground.annotate.lint.subjects import accepted_origins
from figureground.annotate.times import just_after
from figureground.console import count_text
from figureground.errors import DataError, Faults, UsageError, listed, printable
from figureground.runtime.progress import Progress
from figureground.schemas.attributes import OBJECT
from figureground.schemas.rasters.masks import CocoRle, Mask, decode_coco_rle, encode_coco_rle
from figureground.schemas.records import Annotation, Decision, ImageRecord
from figureground.schemas.sources.names import photo_name
from figureground.schemas.store.workspace import Workspace

TOOL: Final = "lint"
"""Joins the tools of an answer that was mended."""

Masks = dict[str, Mask]
"""``object``, ``instance 0`` and so on, and attributes to ``(H, W)`` bool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskChange:
    """What one step changes, or would change, of one mask."""

    image_id: str
    name: str
    """Source and file of the photo."""
    object_id: str
    origin: str
    """The answer whose mask it is."""
    step: str
    """The rule whose findings it mends."""
    parameters: str
    """What decides the step, for people."""
    mask: str
    """``object``, ``instance 0``, or an attribute."""
    added_px: int
    removed_px: int


@dataclass(slots=True, kw_only=True)
class FixReport:
    """Counts of one call of ``fix``."""

    applied: bool
    """Whether the changes were stored; else this is what would change."""
    answers: int = 0
    """Accepted answers that were looked at."""
    changes: list[MaskChange] = field(default_factory=list)
    """Sorted by photo, in the order of the steps."""
    left: list[str] = field(default_factory=list)
    """What is left for people, since a step would take a whole mask away."""
    faults: Faults = field(default_factory=Faults)
    """Answers whose masks cannot be read; nothing is changed of them."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready fields."""
        return {
            "applied": self.applied,
            "answers": self.answers,
            "mended": len({change.image_id for change in self.changes}),
            "changes": [asdict(change) for change in self.changes],
            "left": self.left,
            "faults": list(map(str, self.faults)),
        }

    def __str__(self) -> str:
        """Counts by step, then every change."""
        photos = Counter({step: len({c.image_id for c in self.changes if c.step == step}) for step in STEPS})
        done = "mended" if self.applied else "would mend"
        end = "" if self.applied or not self.changes else "; nothing is stored before you say --apply"
        steps = ", ".join(f"{step} {count}" for step, count in photos.items() if count) or "none"
        lines = [f"{count_text(self.answers, 'accepted answer')} looked at; {done}: {steps}{end}"]
        lines += [
            f"{change.step} ({change.parameters}): {change.object_id} {change.mask} ({change.name}): "
            f"{change.added_px} px added, {change.removed_px} px removed"
            for change in self.changes
        ]
        return "\n".join(map(printable, [*lines, *self.left]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One way to mend masks."""

    mend: Callable[[Masks, LintSettings], Masks]
    """Masks of one object to what they are afterwards; equal masks give equal ones, and mended ones themselves."""
    parameters: Callable[[LintSettings], str]


def fill_pinholes(masks: Masks, settings: LintSettings) -> Masks:
    """Fill the pinholes of the object, and of each instance its own; between two instances they stay."""
    instances = _instances(masks)
    filled = {name: _filled(mask, settings) for name, mask in (instances or {OBJECT: masks[OBJECT]}).items()}
    return _united({**masks, **filled})


def drop_islands(masks: Masks, settings: LintSettings) -> Masks:
    """Take the islands of the object out of it and out of its instances; an instance that was one goes."""
    specks = islands_of(masks[OBJECT], settings)
    if specks is None:
        return masks
    own = {
        name: mask & ~specks.pixels_hw for name, mask in masks.items() if name == OBJECT or name in _instances(masks)
    }
    return _united({**masks, **own})


def cut_to_object(masks: Masks, settings: LintSettings) -> Masks:
    """Take away from each attribute's mask what lies outside of the object; one that lies there whole stays."""
    del settings
    cut = {
        name: mask & masks[OBJECT] for name, mask in masks.items() if name != OBJECT and name not in _instances(masks)
    }
    return {**masks, **{name: mask for name, mask in cut.items() if mask.any()}}


STEPS: Final = {
    "pinholes": Step(
        mend=fill_pinholes,
        parameters=lambda own: f"filled under {own.pinhole_px} px and {own.pinhole_share:g} of the mask",
    ),
    "islands": Step(
        mend=drop_islands,
        parameters=lambda own: f"dropped under {own.island_px} px and {own.island_share:g} of the mask",
    ),
    "attribute_outside": Step(mend=cut_to_object, parameters=lambda _: "cut to the object"),
}
"""Rule to the step that mends what it finds, in the order in which they are done."""


def fix(
    workspace: Workspace,
    steps: Sequence[str],
    settings: LintSettings = DEFAULTS,
    *,
    apply: bool = False,
    progress: Progress = lambda *_: None,
) -> FixReport:
    """Mend the masks of accepted answers, or tell what would change.

    A mended answer is stored as a later state of the same answer, which names the steps and what decides them; the
    former states stay, and so do the time, the proposal and the edit distance of whoever gave it. A second call finds
    nothing to do.

    Args:
        workspace: Where the answers are.
        steps: Names of ``STEPS``; they are done in its order.
        settings: What is small.
        apply: Store the changes; False to tell them alone.
        progress: Called after every photo.

    Raises:
        UsageError: for a step that there is not.
        DataError: at the end, with every answer that cannot be read, and the report.
    """
    if unknown := sorted(set(steps) - set(STEPS)):
        raise UsageError(f"lint mends no {listed(unknown)}; there are {', '.join(STEPS)}")
    chosen = [name for name in STEPS if name in steps]
    report = FixReport(applied=apply)
    accepted = [decision.image_id for decision in workspace.newest_decisions() if decision.state == "accepted"]
    for number, image_id in enumerate(accepted, start=1):
        with workspace.writing() if apply else workspace.unchanging():
            decision = workspace.decision(image_id)
            if decision is not None and decision.state == "accepted":
                _fix_one(workspace, decision, chosen, settings, report)
        progress("fix", number, len(accepted))
    report.faults.raise_if_any(report)
    return report


def mendable_steps(workspace: Workspace, findings: Iterable[Finding]) -> list[str]:
    """Steps that mend some of the findings: of their rule, standing, and about an accepted answer's mask."""
    accepted = set(accepted_origins(workspace).values())
    rules = {finding.rule for finding in findings if not finding.waived_by and finding.origin in accepted}
    return [name for name in STEPS if name in rules]


def _fix_one(
    workspace: Workspace, decision: Decision, steps: Sequence[str], settings: LintSettings, report: FixReport
) -> None:
    photo = workspace.image(decision.image_id)
    answers = list(workspace.annotations(decision.image_id))
    answer = accepted_state(answers, decision)
    if photo is None or answer is None:
        return
    report.answers += 1
    try:
        masks = _decoded(photo, answer)
    except DataError as error:
        report.faults.extend(error.faults)
        return
    if not masks[OBJECT].any():
        return
    mended, changes = _mend(photo, answer, masks, steps, settings)
    report.changes += changes
    report.left += _left(photo, mended, steps)
    if changes and report.applied:
        states = [own for own in answers if own.annotation_id == answer.annotation_id]
        notes = dict.fromkeys(f"{change.step} {change.parameters}" for change in changes)
        workspace.add_answer(
            _stored(answer, mended, list(notes), later_than=max(own.updated_at for own in states)),
            replace(decision, reason=f"mended by lint: {'; '.join(notes)}"),
        )


def _mend(
    photo: ImageRecord, answer: Annotation, masks: Masks, steps: Sequence[str], settings: LintSettings
) -> tuple[Masks, list[MaskChange]]:
    changes: list[MaskChange] = []
    for name in steps:
        mended = STEPS[name].mend(masks, settings)
        for mask_name, before in masks.items():
            after = mended.get(mask_name, np.zeros_like(before))
            added, removed = int(np.count_nonzero(after & ~before)), int(np.count_nonzero(before & ~after))
            if added or removed:
                changes.append(
                    MaskChange(
                        image_id=photo.image_id,
                        name=photo_name(photo.source, photo.uri),
                        object_id=f"{photo.image_id}.0",
                        origin=answer.annotation_id,
                        step=name,
                        parameters=STEPS[name].parameters(settings),
                        mask=mask_name,
                        added_px=added,
                        removed_px=removed,
                    )
                )
        masks = mended
    return masks, changes


def _left(photo: ImageRecord, masks: Masks, steps: Sequence[str]) -> Iterator[str]:
    if "attribute_outside" in steps:
        for name, mask in masks.items():
            if mask.any() and not (mask & masks[OBJECT]).any():
                where = f"{photo.image_id}.0 ({photo_name(photo.source, photo.uri)})"
                yield f"left to people: {where} {name} lies outside of the object as a whole"


def _decoded(photo: ImageRecord, answer: Annotation) -> Masks:
    """Masks of an answer; instances are called as in findings."""
    numbered = {f"instance {number}": rle for number, rle in enumerate(answer.instances)}
    rles: dict[str, CocoRle] = {OBJECT: answer.masks[OBJECT], **numbered, **dict(sorted(answer.masks.items()))}
    named = {name: f"{photo.image_id} {name}" for name in rles}
    return {name: decode_coco_rle(rle, size_hw=photo.size_hw, record=named[name]) for name, rle in rles.items()}


def _stored(answer: Annotation, masks: Masks, notes: Sequence[str], *, later_than: str) -> Annotation:
    """The mended state of an answer: as late as can be known to be later, so that whoever edits it again is later."""
    instances = tuple(encode_coco_rle(mask) for name, mask in masks.items() if name in _instances(masks))
    return replace(
        answer,
        updated_at=just_after(later_than),
        masks={name: encode_coco_rle(mask) for name, mask in sorted(masks.items()) if name not in _instances(masks)},
        instances=instances if len(instances) > 1 else (),
        tool="+".join(sorted({*filter(None, answer.tool.split("+")), TOOL})),
        edited_by=MACHINE_EDITOR,
        note="\n".join(filter(None, [answer.note, *(f"{TOOL}: {note}" for note in notes)])),
    )


def _instances(masks: Masks) -> Masks:
    return {name: mask for name, mask in masks.items() if name.startswith("instance ")}


def _united(masks: Masks) -> Masks:
    """Masks whose object is the union of its instances, without instances that are empty."""
    remaining = {name: mask for name, mask in masks.items() if name not in _instances(masks) or mask.any()}
    instances = list(_instances(remaining).values())
    return {**remaining, OBJECT: np.logical_or.reduce(instances)} if instances else remaining


def _filled(mask_hw: Mask, settings: LintSettings) -> Mask:
    specks = pinholes_of(mask_hw, settings)
    return mask_hw if specks is None else mask_hw | specks.pixels_hw
