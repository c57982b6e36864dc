"""What is done with a dataset: check it, make it again, export and publish it, and put results side by side.

``import figureground`` and the command line call these, beside ``figureground.exports.dataset.request.build`` and
``evaluate``, which has a package of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from figureground.errors import UsageError
from figureground.runtime.processes import default_workers
from figureground.runtime.progress import Progress

if TYPE_CHECKING:
    from figureground.exports.dataset.verify import VerifyReport
    from figureground.exports.layouts.coco import CocoLayout
    from figureground.exports.layouts.imagenet9 import ImageNet9Layout
    from figureground.exports.layouts.imagenet_a import ImageNetALayout
    from figureground.exports.layouts.rival10 import LayoutReport
    from figureground.exports.publishing.hub_attempts import Notice
    from figureground.exports.publishing.plan import PublishPlan, PublishRequest
    from figureground.exports.publishing.publish import PublishReport
    from figureground.exports.rebuilding.rebuild import RebuildReport

LayoutName = Literal["imagenet9", "imagenet-a", "rival10", "coco"]


def verify(
    repository: str | Path,
    *,
    revision: str | None = None,
    workers: int | None = None,
    progress: Progress = lambda *_: None,
) -> VerifyReport:
    """Check every file of a dataset against its manifest, and every image against its own hash and the plan.

    Args:
        repository: Folder of a dataset repository, or OWNER/NAME on the Hub.
        revision: Tag, branch or commit on the Hub; needed there, and for nothing else.
        workers: Processes; None for all processors.
        progress: Called with (stage, done, total).

    Returns:
        How many files, rows and images were checked.

    Raises:
        UsageError: if there is no such dataset.
        ServiceError: if the Hub cannot be reached.
        DataError: with every file and row that is missing, changed or unknown.

    Example:
        >>> figureground.verify("in9").rows
        90
    """
    from figureground.exports.dataset.verify import verify_repository
    from figureground.exports.publishing.hub_releases import open_release

    with open_release(str(repository), revision, progress=progress) as folder:
        return verify_repository(folder, workers=workers or default_workers(), progress=progress)


def rebuild(
    release: str | Path,
    sources: Sequence[str | Path] | str | Path,
    out: str | Path,
    *,
    revision: str | None = None,
    tolerance: int | None = None,
    workers: int | None = None,
    progress: Progress = lambda *_: None,
) -> RebuildReport:
    """Make a release's rows from your own copy of its photos, to the same pixels.

    Args:
        release: Folder of a dataset repository, with images or without, or OWNER/NAME on the Hub.
        sources: Where the photos lie, one or several, as ``index`` takes them.
        out: Folder of the dataset repository to make.
        revision: Tag, branch or commit on the Hub; needed there, and for nothing else.
        tolerance: Grey levels, [0, 255], that the mean of a block of a row may be off, where other versions of the
            libraries made the pixels differ; None takes no such row.
        workers: Processes; None for all processors.
        progress: Called with (stage, done, total).

    Returns:
        What was made; photos that nobody had are in ``missing``, and their rows left out.

    Raises:
        UsageError: if ``out`` exists, there is no such release, or no photo is there.
        ServiceError: if the Hub cannot be reached.
        DataError: if the release is damaged, or rows are further off than is tolerated.

    Example:
        >>> figureground.rebuild("in9", "photos", "in9-again").missing
        ()
    """
    from figureground.exports.publishing.hub_releases import REBUILT_FROM, open_release
    from figureground.exports.rebuilding.rebuild import rebuild_dataset
    from figureground.schemas.sources.opening import open_source

    locators = [sources] if isinstance(sources, str | Path) else sources
    opened = [open_source(str(locator), name=f"source{number}") for number, locator in enumerate(locators)]
    with open_release(str(release), revision, REBUILT_FROM, progress=progress) as folder:
        return rebuild_dataset(
            folder, opened, Path(out), workers=workers or default_workers(), tolerance=tolerance, progress=progress
        )


def export(
    repository: str | Path,
    layout: LayoutName,
    out: str | Path,
    *,
    config: str | None = None,
    validation: Literal["train", "drop"] | None = None,
    progress: Progress = lambda *_: None,
) -> ImageNet9Layout | ImageNetALayout | LayoutReport | CocoLayout:
    """Write a dataset in another dataset's layout, so that its loaders read it.

    Args:
        repository: Folder of a dataset repository.
        layout: Whose layout: ``imagenet9``, ``imagenet-a``, ``rival10`` or ``coco``.
        out: Folder to make.
        config: ``coco`` and ``imagenet-a`` alone: the config to write; None for ``original``.
        validation: ``rival10`` alone: where validation rows go, which it has no split for; None for ``train``.
        progress: Called with (stage, done, total).

    Returns:
        What was written, and what the layout has no room for.

    Raises:
        UsageError: if ``out`` exists, the layout cannot hold such a dataset, or an argument is of other layouts.
        DataError: for rows that cannot be written.

    Example:
        >>> figureground.export("in9", "coco", "in9-as-coco").objects
        10
    """
    source, target = Path(repository), Path(out)
    _require_own_arguments(layout, config, validation)
    written = "original" if config is None else config
    if layout == "imagenet9":
        from figureground.exports.layouts.imagenet9 import export_imagenet9

        return export_imagenet9(source, target, progress=progress)
    if layout == "imagenet-a":
        from figureground.exports.layouts.imagenet_a import export_imagenet_a

        return export_imagenet_a(source, target, config=written, progress=progress)
    if layout == "coco":
        from figureground.exports.layouts.coco import export_coco

        return export_coco(source, target, config=written, progress=progress)
    from figureground.exports.layouts.rival10 import export_rival10

    return export_rival10(source, target, validation=validation or "train", progress=progress)


def _require_own_arguments(layout: LayoutName, config: str | None, validation: str | None) -> None:
    """Refuse a layout that is none, and arguments that it does not read.

    Raises:
        UsageError: for either.
    """
    if layout not in get_args(LayoutName):
        raise UsageError(f"no layout is called {layout!r}; there are imagenet9, imagenet-a, rival10 and coco")
    if config is not None and layout not in ("coco", "imagenet-a"):
        raise UsageError(f"--config {config} is for coco and imagenet-a: {layout} takes all configs; leave it out")
    if validation is not None and layout != "rival10":
        raise UsageError(f"--validation {validation} is for rival10, not for {layout}: leave it out")


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What publishing does, and what it did."""

    plan: PublishPlan
    report: PublishReport | None
    """None where only the plan was asked for."""


def publish(
    repository: str | Path,
    request: PublishRequest | str,
    *,
    results: Sequence[str | Path] = (),
    dry_run: bool = False,
    workers: int | None = None,
    progress: Progress = lambda *_: None,
    notice: Notice = lambda _: None,
) -> Published:
    """Publish a dataset on the Hugging Face Hub: verified, staged, loaded back, then one commit and a tag.

    Log in with ``hf auth login``, or set ``HF_TOKEN``; ``HF_ENDPOINT`` names another Hub.
    Killed or failed, call it again.

    Args:
        repository: Folder of a dataset repository.
        request: OWNER/NAME on the Hub, or that with a tag, who sees it and whether it may be passed on.
        results: Result files of ``evaluate --out``, or folders of them, whose models the dataset carries from then on,
            beside those that it carries on the Hub; of each model the result that was given last counts.
        dry_run: Make the plan and change nothing.
        workers: Processes that verify; None for all processors.
        progress: Called with (stage, done, total).
        notice: Called with the plan's sums in words before it is carried out, and with failures that are tried again.

    Returns:
        The plan, and unless ``dry_run``, what was published.

    Raises:
        UsageError: for an id, a tag or rights that are wrong.
        ServiceError: if the Hub failed more often than is worth trying.
        DataError: if the repository is damaged, a result is not of these data, or the Hub does not hold what was sent.

    Example:
        >>> figureground.publish("in9", "me/in9", dry_run=True).plan.upload_bytes
        52734
    """
    from huggingface_hub.utils.tqdm import disable_progress_bars

    from figureground.exports.dataset.verify import verify_repository
    from figureground.exports.leaderboard.staging import staged_release
    from figureground.exports.publishing.plan import PublishRequest, describe_plan, read_local
    from figureground.exports.publishing.publish import open_publication

    disable_progress_bars()  # ours says more
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # its warnings hold addresses that are signed
    logging.getLogger("stamina").setLevel(logging.ERROR)  # notice says it with the reason
    asked = PublishRequest(repo_id=request) if isinstance(request, str) else request
    folder = Path(repository)
    # The Hub is asked nothing about a folder that is damaged.
    verify_repository(folder, workers=workers or default_workers(), progress=progress)
    with staged_release(folder, [Path(item) for item in results], asked.repo_id, notice=notice) as staged:
        asked = replace(asked, tag=asked.tag or staged.tag)
        publication = open_publication(read_local(staged.folder), asked, progress=progress, notice=notice)
        plan = publication.plan
        if dry_run:
            return Published(plan=plan, report=None)
        notice(describe_plan(plan, listed=False))
        return Published(plan=plan, report=publication.run())


def report(
    results: Sequence[str | Path] | str | Path,
    out: str | Path,
    *,
    models: str | Path | None = None,
    repository: str | Path | None = None,
    revision: str | None = None,
    published: str | Path | None = None,
    margin: float = 0.05,
    vector: Literal["svg", "pdf"] | None = None,
) -> tuple[Path, ...]:
    """Put results side by side: tables, families pooled, and the plots of the papers.

    Args:
        results: Result files of ``evaluate``, or folders of them; one or several.
        out: Folder for the tables and plots.
        models: YAML file that lists models with family and training; None makes each model a family.
        repository: The dataset that was scored, to show its images in the plots; None shows none.
        revision: Tag, branch or commit of ``repository`` on the Hub; needed there, and for nothing else.
        published: timm's ``results-imagenet-a.csv``, to set results of ``imagenet_a`` beside; None sets none.
        margin: Difference of two accuracies on ``no_fg`` that counts as none, in (0, 1).
        vector: ``svg`` or ``pdf``, to write every chart as that too; sheets of photos stay PNG.

    Returns:
        Files that were written.

    Raises:
        UsageError: if there are no results, or results that cannot be pooled.
        DataError: for files that are no results, and for faults in the models file or the published one.

    Example:
        >>> figureground.report("scores", "report")
        (PosixPath('report/report.txt'), PosixPath('report/report.html'))
    """
    from figureground.exports.report.report import write_report

    names = write_report(
        [Path(item) for item in ([results] if isinstance(results, str | Path) else results)],
        Path(out),
        models=None if models is None else Path(models),
        repository=None if repository is None else str(repository),
        revision=revision,
        published=None if published is None else Path(published),
        margin=margin,
        vector=vector,
    )
    return tuple(Path(out) / name for name in names)


def report_build(
    repository: str | Path,
    out: str | Path | None = None,
    *,
    revision: str | None = None,
    progress: Progress = lambda *_: None,
) -> Path:
    """Show a dataset on one page, ``report.html``: photos, masks, donors, what was left out, every row's provenance.

    The page needs no network and no server, and the same dataset makes the same bytes.

    Args:
        repository: Folder of a dataset repository, or OWNER/NAME on the Hub, whose shards are fetched.
        out: Folder for the page; None for ``NAME-report`` beside the dataset, or here for one on the Hub.
        revision: Tag, branch or commit on the Hub; needed there, and for nothing else.
        progress: Called with (stage, done, total).

    Returns:
        The page.

    Raises:
        UsageError: if there is no such dataset, or ``out`` lies in it.
        ServiceError: if the Hub cannot be reached.
        DataError: with every file and shard that is damaged.

    Example:
        >>> figureground.report_build("in9")
        PosixPath('in9-report/report.html')
    """
    from figureground.exports.build_report.reporting import write_build_report

    where = None if out is None else Path(out)
    return write_build_report(repository, where, revision=revision, progress=progress)
