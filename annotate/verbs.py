"""What is done with photos before a build: catalogue them, propose masks, see how far people agree, freeze.

``import figureground`` and the command line call these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

from figureground.errors import UsageError
from figureground.runtime.engines import EngineChoice
from figureground.runtime.files import file_ending
from figureground.runtime.processes import default_workers
from figureground.runtime.progress import Progress
from figureground.schemas.records import AGREEING_PROPOSALS
from figureground.schemas.store.workspace import Workspace

# A verb imports what it needs by itself: one must not wait for the libraries of another.
if TYPE_CHECKING:
    from figureground.annotate.agreement.adjudication import Ranking
    from figureground.annotate.agreement.consensus_masks import ConsensusMethod
    from figureground.annotate.agreement.report import AgreementReport
    from figureground.annotate.catalogue import IndexReport
    from figureground.annotate.freeze import FreezeReport
    from figureground.annotate.lint.checking import LintLevel, LintOptions
    from figureground.annotate.lint.linting import LintReport
    from figureground.annotate.proposals.proposing import ProposalScope, ProposalSettings
    from figureground.annotate.proposals.reports import ProposalReport
    from figureground.annotate.proposals.triage import TriageSettings
    from figureground.annotate.segmenters.loading import ModelChoice


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceReading:
    """How a source of photos is read, where looking at it does not tell."""

    kind: str | None = None
    """``folder``, ``ilsvrc``, ``imagenet-a``, ``parquet``, ``rival10`` or ``textures``; None to look."""
    boxes: Path | None = None
    """Folder of Pascal-VOC XML files, if it is not in the tree."""
    labels: Path | None = None
    """CSV with the columns ``file`` (or ``id``) and ``label``, where folders are no labels; perhaps ``group`` too."""
    groups: Path | None = None
    """CSV with the columns ``file`` (or ``id``) and ``group``: the video, burst or photographer of photos."""


def index(
    source: str | Path,
    workspace: str | Path,
    *,
    name: str | None = None,
    licence: str | None = None,
    restricted: bool | None = None,
    reading: SourceReading = SourceReading(),
    workers: int | None = None,
    progress: Progress = lambda *_: None,
) -> IndexReport:
    """Catalogue photos in a workspace, which is made if there is none; photos that are there already stay as they are.

    Args:
        source: An ImageFolder, an ILSVRC tree, ImageNet-A's folder or tar archive, a Parquet file, or
            ``hf://datasets/OWNER/NAME``.
        workspace: Folder of the workspace.
        name: Name of the source; None for the last part of ``source``.
        licence: Licence of the photos, for the card of datasets made of them; None leaves what was given before.
        restricted: Whether their pixels may not be passed on; None leaves what was given before, and else follows
            from what the photos are.
        reading: How the source is read, where looking at it does not tell.
        workers: Processes that read and measure; None for all processors.
        progress: Called with (stage, photos done, photos in all).

    Returns:
        What was added, and every photo that cannot be used with the reason. ``report.faults.raise_if_any()`` raises
        where equal bytes stand under two labels.

    Raises:
        UsageError: if there is no such source, or the workspace has another one of this name.
        ServiceError: if the source cannot be reached any more; call again to go on.

    Example:
        >>> figureground.index("photos", "work", licence="CC BY 4.0").added
        10
    """
    from figureground.annotate.catalogue import index_source, terms_line
    from figureground.schemas.sources.opening import open_source
    from figureground.schemas.terms import options_of_terms

    locator, folder = str(source), Path(workspace)
    open_here = partial(open_source, locator, boxes=reading.boxes, labels=reading.labels, groups=reading.groups)
    opened = open_here(kind=reading.kind, name=name)
    with Workspace.create(folder) as store:
        known = store.sources().get(opened.name)
        terms = options_of_terms(licence, restricted, known.options if known else {})
        opened = open_here(kind=opened.kind, name=opened.name, options=terms)
        report = index_source(store, opened, workers=workers or default_workers(), progress=progress)
        report.terms = terms_line(store, opened.name)
        return report


def propose(
    workspace: str | Path,
    model: ModelChoice | str | Sequence[ModelChoice | str] = "mobile-sam",
    *,
    settings: ProposalSettings | None = None,
    scope: ProposalScope | None = None,
    engine: EngineChoice | None = None,
    triage: TriageSettings | None = None,
    progress: Progress = lambda *_: None,
) -> ProposalReport:
    """Propose masks by machine for the photos of a workspace; photos that are done are skipped, and textures.

    Args:
        workspace: Folder of the workspace.
        model: The model that makes the masks, or the name of its segmenter: ``detector``, ``edgetam``, ``grabcut``,
            ``mobile-sam``, ``saliency``, ``sam``, ``sam-hq``, ``sam2`` or ``sam3``. What the settings need besides is
            added: the saliency model, or what takes the classes' names. Of several, all masks are stored, and a rule
            ranks those of each photo; ``best`` stands for those that are installed, of SAMs the best one.
        settings: Prompts, and how many candidates are stored for a photo; None for the defaults. Photos without a box
            are asked for by their class's name under ``auto`` where weights of what takes texts lie on this machine;
            ``report.boxes_by`` says which.
        scope: Which sources, and how many photos at most; what is left is done by later calls. None for all.
        engine: Where the model runs; None for this process.
        triage: From which IoU a mask needs no correction, and what risk is taken; for several models. None for the
            defaults.
        progress: Called with (stage, photos done, photos in all).

    Returns:
        How many masks there are of how many photos, and why photos have none; of several models which were chosen, and
        how many photos may be skimmed.

    Raises:
        UsageError: for an unknown model, source or a device that this machine lacks, or if there is no workspace.
        MissingExtraError: if the library that runs the model is not installed.
        ServiceError: if weights are not in the cache and cannot be downloaded.
        DataError: at the end, with every photo that could not be read any more.

    Example:
        >>> figureground.propose("work", "grabcut", settings=ProposalSettings(prompt_mode="box")).masks
        10
    """
    from figureground.annotate.proposals.proposing import ALL_PHOTOS, ProposalSettings
    from figureground.annotate.proposals.running import ProposalJob, run_models
    from figureground.annotate.proposals.triage import TriageSettings
    from figureground.annotate.segmenters.loading import ModelChoice

    models = [model] if isinstance(model, ModelChoice | str) else list(model)
    choices = [ModelChoice(segmenter=one) if isinstance(one, str) else one for one in models]
    with Workspace.open(Path(workspace)) as store:
        job = ProposalJob(
            workspace=store,
            settings=settings or ProposalSettings(),
            scope=scope or ALL_PHOTOS,
            engine=engine,
            progress=progress,
        )
        return run_models(job, choices, triage or TriageSettings())


class ReleaseRules(TypedDict, total=False):
    """How answers become the objects of a release, and what these must be."""

    consensus: ConsensusMethod | None
    """Take what three or more people's answers add up to, ``majority`` or ``staple``, in place of one of them, and of
    photos in doubt only because these differ; rows and cards say so. None takes one answer."""
    lint: LintLevel | None
    """Check every mask first, and refuse the release where something of this severity is found: ``error``, ``warning``,
    ``note``, or ``never`` to put the findings on the card alone; None not to check."""
    policy: str | Path | None
    """What the release must be: a shipped policy's name, or a YAML file; None asks nothing."""


def agree(
    workspace: str | Path, *, consensus: ConsensusMethod = "staple", by: Ranking = "both", out: str | Path | None = None
) -> AgreementReport:
    """Say how far people agree on photos that several answered, what is in doubt, and how each annotator works.

    Args:
        workspace: Folder of the workspace.
        consensus: How the consensus is made that masks are compared with, ``majority`` or ``staple``.
        by: What photos in doubt are ranked by: ``masks``, ``attributes`` or ``both``.
        out: Folder for the report as JSON and CSV; None writes nothing.

    Returns:
        Figures with their intervals, people by pseudonym.

    Raises:
        UsageError: for an unknown consensus or ranking, or if there is no workspace.

    Example:
        >>> figureground.agree("work").agreement.photos
        0
    """
    from figureground.annotate.agreement.adjudication import RANKINGS
    from figureground.annotate.agreement.consensus_masks import METHODS
    from figureground.annotate.agreement.report import report_agreement
    from figureground.annotate.agreement.report_files import write_agreement

    if consensus not in METHODS or by not in RANKINGS:
        raise UsageError(f"a consensus is one of {', '.join(METHODS)}, a ranking one of {', '.join(RANKINGS)}")
    with Workspace.open(Path(workspace)) as store, store.unchanging():
        report = report_agreement(store, consensus, by)
    if out is not None:
        write_agreement(report, Path(out))
    return report


def freeze(
    workspace: str | Path,
    version: str,
    *,
    unreviewed: bool = False,
    unmasked: bool = False,
    segmenter: str | None = None,
    agree: str | None = None,
    min_iou: float | None = None,
    **rules: Unpack[ReleaseRules],
) -> FreezeReport:
    """Write the accepted masks of a workspace as an immutable release, ``objects/VERSION.parquet``.

    Args:
        workspace: Folder of the workspace.
        version: Name of the release, such as ``v1``.
        unreviewed: Take the best machine mask of photos that nobody decided on; cards of datasets say so.
        unmasked: Take photos without a mask, for recipes that need none.
        segmenter: Whose proposals are taken, NAME or NAME:PROMPT; needed where several segmenters made some.
        agree: Take a machine mask only where the first choice of this other segmenter agrees; written likewise.
        min_iou: IoU in [0, 1] from which two masks agree; None for 0.75.
        rules: How accepted answers become objects and what these must be; ``ReleaseRules`` has them.

    Returns:
        Where the release is, and how many objects it holds by state.

    Raises:
        UsageError: for a bad name, a version that exists with other content, or several segmenters to choose from.
        DataError: if nothing would be in it, masks do not have their photos' sizes, lint refuses some, or the release
            fails its policy: then nothing is written.

    Example:
        >>> figureground.freeze("work", "v1", unreviewed=True).path
        PosixPath('work/objects/v1.parquet')
    """
    from figureground.annotate.freeze import FreezeOptions
    from figureground.annotate.freeze import freeze as freeze_workspace
    from figureground.annotate.freezing.policy import load_policy

    if min_iou is not None and agree is None:
        raise UsageError("--min-iou is that of two segmenters' masks: name the other one with --agree")
    policy = rules.get("policy")
    options = FreezeOptions(
        unreviewed=unreviewed,
        unmasked=unmasked,
        segmenter=segmenter,
        agree=agree,
        min_iou=AGREEING_PROPOSALS if min_iou is None else min_iou,
        policy=load_policy(str(policy)) if policy is not None else None,
        consensus=rules.get("consensus"),
        lint=rules.get("lint"),
    )
    with Workspace.open(Path(workspace)) as store:
        return freeze_workspace(store, version, options)


def lint(
    masks: str | Path,
    options: LintOptions | None = None,
    *,
    workspace: str | Path | None = None,
    engine: EngineChoice | None = None,
    workers: int | None = None,
    progress: Progress = lambda *_: None,
) -> LintReport:
    """Check masks by rules: those of a workspace, or of a release.

    Args:
        masks: Folder of a workspace, or a release, ``objects/VERSION.parquet``.
        options: What is checked and by what; None for accepted masks, by the workspace's own settings and waivers.
        workspace: For a release: the workspace that knows where its photos lie; None for the one that it lies in.
        engine: Where the work runs; None for processes here.
        workers: Processes here; None for all processors.
        progress: Called with (stage, done, total).

    Returns:
        What was found, the worst first. ``report.faults`` has the waivers that fit nothing.

    Raises:
        UsageError: if there is nothing to check, or for rules, files and endings that are none.
        DataError: with every fault of the settings or the waivers.

    Example:
        >>> figureground.lint("work").summary()["objects"]
        10
    """
    from figureground.annotate.lint.checking import LintOptions, lint_release, lint_workspace

    path, options, engine = Path(masks), options or LintOptions(), engine or EngineChoice()
    if file_ending(path) == ".parquet" or path.is_file():
        folder = None if workspace is None else Path(workspace)
        return lint_release(path, folder, options, engine=engine, workers=workers, progress=progress)
    with Workspace.open(path) as store:
        return lint_workspace(store, options, engine=engine, workers=workers, progress=progress)
