"""Freeze: accepted masks into an immutable release. Unreviewed proposals only where they are asked for by name."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Generic, Protocol, TypeVar

from figureground.annotate.agreement.agreement import measure_agreement
from figureground.annotate.agreement.consensus import WorkspaceConsensus
from figureground.annotate.agreement.consensus_masks import METHODS, ConsensusMethod
from figureground.annotate.agreement.overlaps import photo_agreements
from figureground.annotate.annotation_summary import summarise_annotation
from figureground.annotate.attribute_history import AttributeHistory
from figureground.annotate.freezing.objects import accepted_object, require_sizes, unmasked_object, unreviewed_object
from figureground.annotate.freezing.policy import PolicyFile
from figureground.annotate.freezing.review import ObjectReview, Review
from figureground.annotate.freezing.scenes import joined_groups
from figureground.annotate.lint.checking import LintLevel, lint_gate
from figureground.annotate.photo_states import TEXTURE, is_texture
from figureground.annotate.proposals.agreement import agreement_iou, other_masks
from figureground.annotate.proposals.best import Choice, best_proposals
from figureground.errors import DataError, Faults, UsageError, shell_word
from figureground.runtime.files import csv_text, write_text
from figureground.runtime.leftovers import clear_partials
from figureground.schemas.records import AGREEING_PROPOSALS, NAME_PATTERN, ObjectRecord
from figureground.schemas.store.releases import LeftOut, write_release
from figureground.schemas.store.workspace import Workspace

DISAGREE: Final = "masks_disagree"
NO_SECOND: Final = "no_second_mask"
"""Reasons why a machine mask is left out that another segmenter's must agree with."""

_STRICTEST_FIRST: Final[tuple[LintLevel, ...]] = ("note", "warning", "error")


class OfImage(Protocol):
    """A record that belongs to an image."""

    @property
    def image_id(self) -> str:
        """Id of the image."""
        ...


Entry = TypeVar("Entry", bound=OfImage)


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeOptions:
    """Objects that may enter a release besides those with accepted masks."""

    unreviewed: bool = False
    """Take the best machine mask of photos that nobody decided on."""
    unmasked: bool = False
    """Take photos without any mask, for recipes that need none (IN-9L); their mask is empty."""
    segmenter: str | None = None
    """Whose proposals to take; needed where several segmenters made some, besides that of ``agree``, and nothing ranked
    them."""
    agree: str | None = None
    """Take a machine mask only where this other segmenter's first choice, NAME or NAME:PROMPT, agrees with it."""
    min_iou: float = AGREEING_PROPOSALS
    """IoU in [0, 1] from which two masks agree."""
    consensus: ConsensusMethod | None = None
    """Take what the answers of three or more people add up to in place of one person's, and of photos in doubt only
    because these differ; None takes accepted answers alone."""
    lint: LintLevel | None = None
    """Check every mask, and refuse the release for findings of this severity or a worse one; None not to check."""
    policy: PolicyFile | None = None
    """What the release must be; its states are taken, whether or not the options above name them."""

    def taking_states(self) -> FreezeOptions:
        """The options with the states that the policy takes, and the stricter of the two levels of lint.

        Raises:
            UsageError: if an option asks for a state that the policy does not take.
        """
        if self.policy is None:
            return self
        policy, faults = self.policy.policy, []
        for name in ("unreviewed", "unmasked"):
            if getattr(self, name) and name not in policy.states.take:
                faults.append(f"--{name}: the policy {policy.label} takes {', '.join(policy.states.take)} alone")
        if faults:
            raise UsageError("; ".join(faults))
        take = policy.states.take
        lint = next((level for level in _STRICTEST_FIRST if level in (policy.lint, self.lint)), self.lint)
        return replace(self, unreviewed="unreviewed" in take, unmasked="unmasked" in take, lint=lint)

    def require_valid(self) -> None:
        """Check that the options go together.

        Raises:
            UsageError: for an IoU that is none, a segmenter without machine masks, the same one twice, or an unknown
                consensus.
        """
        if self.consensus is not None and self.consensus not in METHODS:
            raise UsageError(f"--consensus {self.consensus}: expected {' or '.join(METHODS)}")
        if not 0 <= self.min_iou <= 1:
            raise UsageError(f"--min-iou {self.min_iou:g}: give an IoU from 0 to 1")
        for option, segmenter in (("--segmenter", self.segmenter), ("--agree", self.agree)):
            if segmenter is not None and not self.unreviewed:
                raise UsageError(f"{option} {segmenter} is about machine masks: give --unreviewed with it")
        if self.agree is not None and self.agree == self.segmenter:
            raise UsageError(f"--agree {self.agree} names the segmenter of the masks themselves; name another one")


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOutPhoto:
    """A catalogued photo that did not enter a release; ``objects/<version>.left_out.csv`` lists them."""

    image_id: str
    label: str
    reason: str
    """``undecided``, ``no_mask``, ``texture``, ``masks_disagree`` or ``no_second_mask`` where two machine masks must
    agree, what a policy asks for (``freezing.review``), or what was decided: ``not_localisable``, ``wrong_label`` …"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeReport:
    """The release that was written, in counts."""

    path: Path
    version: str
    states: Mapping[str, int]
    """State to number of objects."""
    left_out: Mapping[str, int]
    """Reason to number of photos that did not enter."""
    lint: Mapping[str, Any] = field(default_factory=dict)
    """What the masks were checked by, and how many findings there are; empty where they were not checked."""
    choice: Choice | None = None
    """How rankings chose the machine masks; None where none did."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready fields; how masks were chosen only where rankings did."""
        values = {"path": self.path, "version": self.version, "states": self.states, "left_out": self.left_out}
        choice = {} if self.choice is None else {"chosen_by": self.choice.to_dict()}
        return {**values, "lint": self.lint, **choice}


def freeze(workspace: Workspace, version: str, options: FreezeOptions) -> FreezeReport:
    """Write ``objects/<version>.parquet`` from the newest decisions.

    Raises:
        UsageError: if the version's name is bad, exists with other content, or ``segmenter`` must be given.
        DataError: if nothing would be in it, masks do not have their photos' sizes, lint refuses some, or the release
            fails its policy.
    """
    if not NAME_PATTERN.fullmatch(version):
        raise UsageError(f"version {version!r}: use letters, digits, dot, dash and underscore")
    options = options.taking_states()
    options.require_valid()
    with workspace.unchanging():
        return _freeze(workspace, version, options)


def _freeze(workspace: Workspace, version: str, options: FreezeOptions) -> FreezeReport:
    missing: list[LeftOutPhoto] = []
    faults = Faults()
    review = Review(file=options.policy, history=AttributeHistory.of(workspace)) if options.policy else None
    # A million masks do not fit into memory: objects are gone through twice, first to judge them, then to write them.
    origins: dict[str, str] = {}
    states, labels = Counter[str](), Counter[str]()
    consensus = WorkspaceConsensus.of(workspace, options.consensus) if options.consensus else None
    for record in _objects(workspace, options, missing, consensus):
        require_sizes(record, faults)
        if review is not None:
            reason = review.judge(record, list(workspace.annotations(record.image_id)), faults)
            if reason:
                missing.append(LeftOutPhoto(image_id=record.image_id, label=record.label, reason=reason))
                continue
        origins[record.image_id] = record.mask_origin
        states[record.state] += 1
        labels[record.label] += 1
    by_label: dict[str, Counter[str]] = defaultdict(Counter)
    for photo in missing:
        by_label[photo.label][photo.reason] += 1
    if review is not None:
        _judge_release(workspace, review, labels, by_label, faults)
    if not faults:
        _require_some(workspace, version, origins, missing)
    counted = consensus.summary() if consensus is not None else None  # it counts on when objects are gone through again
    linted = _lint(workspace, options, origins, consensus, faults)
    faults.raise_if_any()
    left_out = Counter(photo.reason for photo in missing)
    annotation = summarise_annotation(workspace, origins)
    if counted is not None:
        annotation["consensus"] = counted
    if linted:
        annotation["lint"] = linted
    if options.agree is not None:
        unlike = {reason: left_out[reason] for reason in (DISAGREE, NO_SECOND)}
        annotation["proposals_agree"] = {"with": options.agree, "min_iou": options.min_iou, "left_out": unlike}
    machine = origins.keys() - workspace.decisions().keys() if states["unreviewed"] else set[str]()
    choice = Choice.of(workspace, options.segmenter, machine, apart_from=options.agree)
    if choice is not None:
        annotation["proposals_ranked"] = choice.to_dict()
    if review is not None:
        annotation["policy"] = review.summary(labels, _without_textures(by_label))
    path = workspace.root / "objects" / f"{version}.parquet"
    clear_partials(path.parent)
    objects = _fitting(workspace, options, origins, consensus)
    write_release(path, objects, version=version, left_out=by_label, annotation=annotation)
    write_text(path.with_suffix(".left_out.csv"), csv_text(LeftOutPhoto, missing))
    if review is not None:
        write_text(path.with_suffix(".reviews.csv"), csv_text(ObjectReview, review.taken))
    return FreezeReport(
        path=path,
        version=version,
        states=dict(states),
        left_out=dict(sorted(left_out.items())),
        lint=annotation.get("lint", {}),
        choice=choice,
    )


def _fitting(
    workspace: Workspace, options: FreezeOptions, origins: Mapping[str, str], consensus: WorkspaceConsensus | None
) -> Iterator[ObjectRecord]:
    """The objects that are released."""
    return (record for record in _objects(workspace, options, [], consensus) if record.image_id in origins)


def _lint(
    workspace: Workspace,
    options: FreezeOptions,
    origins: Mapping[str, str],
    consensus: WorkspaceConsensus | None,
    faults: Faults,
) -> dict[str, Any] | None:
    """What lint finds in the objects that are released; None where nobody asked, or where it refuses some."""
    if options.lint is None or not origins:
        return None
    try:
        return lint_gate(workspace, _fitting(workspace, options, origins, consensus), len(origins), options.lint)
    except DataError as error:
        faults.extend(error.faults)
        return None


def _judge_release(
    workspace: Workspace, review: Review, labels: Counter[str], left_out: LeftOut, faults: Faults
) -> None:
    """Judge all objects together by the policy; nobody painted the textures, and nobody was to."""
    agreement = measure_agreement(photo_agreements(workspace))
    review.judge_release(labels, _without_textures(left_out), agreement, faults)


def _without_textures(left_out: LeftOut) -> dict[str, dict[str, int]]:
    photos = {
        label: {reason: n for reason, n in reasons.items() if reason != TEXTURE} for label, reasons in left_out.items()
    }
    return {label: reasons for label, reasons in photos.items() if reasons}


def _require_some(
    workspace: Workspace, version: str, origins: Mapping[str, str], missing: Sequence[LeftOutPhoto]
) -> None:
    if origins:
        return
    work = f"-w {shell_word(workspace.root)}"
    left_out = Counter(photo.reason for photo in missing)
    raise DataError.single(
        str(workspace.root),
        "",
        expected="accepted masks",
        got="none (" + ", ".join(f"{reason} {count}" for reason, count in sorted(left_out.items())) + ")",
        remedy=f"accept some (figureground studio up {work}, or figureground sheet make {work} -o SHEET), or take "
        f"machine masks: figureground freeze {work} --version {version} --unreviewed",
    )


def _objects(
    workspace: Workspace, options: FreezeOptions, missing: list[LeftOutPhoto], consensus: WorkspaceConsensus | None
) -> Iterator[ObjectRecord]:
    decisions = _Ascending(workspace.newest_decisions())
    others = _Ascending(other_masks(workspace, options.agree) if options.unreviewed else iter(()))
    masks = best_proposals(workspace, options.segmenter, apart_from=options.agree) if options.unreviewed else iter(())
    best = _Ascending(masks)
    history, sources, groups = AttributeHistory.of(workspace), workspace.sources(), joined_groups(workspace)
    for image in workspace.images():
        decision, proposal = decisions.of(image.image_id), best.of(image.image_id)
        group = groups.get(image.image_id, "")
        agreed = consensus.of_photo(decision) if consensus is not None and decision is not None else None
        if agreed is not None and decision is not None:
            chosen = replace(decision, annotation_id=agreed.nearest.annotation_id)
            answers = list(workspace.annotations(image.image_id))
            yield replace(agreed.applied_to(accepted_object(image, chosen, answers, history)), group=group)
        elif decision is not None and decision.state != "accepted":
            missing.append(LeftOutPhoto(image_id=image.image_id, label=image.label, reason=decision.state))
        elif decision is not None:
            yield replace(
                accepted_object(image, decision, list(workspace.annotations(image.image_id)), history), group=group
            )
        elif is_texture(image, sources):
            missing.append(LeftOutPhoto(image_id=image.image_id, label=image.label, reason=TEXTURE))
        elif proposal is not None:
            iou = agreement_iou(proposal, others.of(image.image_id), named=options.agree is not None)
            if options.agree is not None and (iou is None or iou < options.min_iou):
                reason = NO_SECOND if iou is None else DISAGREE
                missing.append(LeftOutPhoto(image_id=image.image_id, label=image.label, reason=reason))
            else:
                yield replace(unreviewed_object(image, proposal, iou), group=group)
        elif options.unmasked:
            yield replace(unmasked_object(image), group=group)
        else:
            reason = "no_mask" if options.unreviewed else "undecided"
            missing.append(LeftOutPhoto(image_id=image.image_id, label=image.label, reason=reason))


class _Ascending(Generic[Entry]):
    """Entries of images, looked up in the order of the images' ids; one is in memory at a time."""

    def __init__(self, entries: Iterator[Entry]) -> None:
        self._entries = entries
        self._next = next(entries, None)

    def of(self, image_id: str) -> Entry | None:
        """The entry of an image; None if it has none."""
        while self._next is not None and self._next.image_id < image_id:
            self._next = next(self._entries, None)
        return self._next if self._next is not None and self._next.image_id == image_id else None
