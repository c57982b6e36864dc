"""Lint of a workspace or of a release, with its report, its page, and the gate that a release passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from figureground.annotate.lint.findings import require_table, write_findings
from figureground.annotate.lint.linting import HERE, LintReport, LintRequest, lint
from figureground.annotate.lint.page import write_page
from figureground.annotate.lint.settings import read_settings
from figureground.annotate.lint.subjects import (
    ReleasedSubjects,
    Subject,
    WorkspaceSubjects,
    accepted_origins,
    proposal_origins,
    subject_of,
)
from figureground.annotate.lint.waivers import read_waivers
from figureground.errors import DataError, Faults, UsageError, shell_word
from figureground.runtime.engines import EngineChoice
from figureground.runtime.files import file_ending
from figureground.runtime.processes import default_workers
from figureground.runtime.progress import Progress
from figureground.schemas.records import ObjectRecord, SourceRow
from figureground.schemas.store.releases import read_release
from figureground.schemas.store.workspace import DATABASE_NAME, Workspace

LintLevel = Literal["error", "warning", "note", "never"]
"""The severity from which a finding that nobody waived stops a command; ``never`` for findings that stop none."""

_WORTH_A_WORKER: Final = 32
"""Objects for which a process is worth its start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LintOptions:
    """What is checked, and by what."""

    proposals: bool = False
    """Check the best machine mask of photos that nobody decided on, too."""
    segmenter: str | None = None
    """Whose, NAME or NAME:PROMPT; needed where several segmenters made some."""
    rules: tuple[str, ...] = ()
    """Rules to run; empty for all that the settings leave on."""
    settings: Path | None = None
    """YAML file of thresholds; None for ``lint.yaml`` of the workspace, where that is there."""
    waivers: Path | None = None
    """YAML file of waivers; None for ``lint_waivers.yaml`` of the workspace, where that is there."""
    out: Path | None = None
    """File that the findings are written to, ``.csv`` or ``.parquet``; None for none."""
    page: Path | None = None
    """HTML file of pictures of the findings; None for none."""


def lint_workspace(
    workspace: Workspace,
    options: LintOptions = LintOptions(),
    *,
    engine: EngineChoice = HERE,
    workers: int | None = None,
    progress: Progress = lambda *_: None,
) -> LintReport:
    """Check the accepted masks of a workspace, and on request machine masks of photos that nobody decided on.

    Args:
        workspace: Where they are; nothing is written to it.
        options: What is checked, and by what.
        engine: Where the work runs.
        workers: Processes of this machine; None for all processors.
        progress: Called with ("lint", objects done, all), then with ("page", findings done, all).

    Raises:
        UsageError: if there is nothing to check, or for rules, files and endings that are none.
        DataError: with every fault of the settings or the waivers.
    """
    if options.segmenter is not None and not options.proposals:
        raise UsageError("--segmenter is about machine masks: give --proposals with it")
    _require_outputs(options)
    origins = accepted_origins(workspace)
    if options.proposals:
        origins |= proposal_origins(workspace, options.segmenter)
    subjects = WorkspaceSubjects(workspace, origins)
    if not len(subjects):
        propose = f"figureground propose -w {shell_word(workspace.root)}"
        hint = f"make some with: {propose}" if options.proposals else "check machine masks with --proposals"
        raise UsageError(f"{workspace.root} holds no accepted mask to check; {hint}")
    request = _request(options, workspace.root, engine, _workers(workers, len(subjects)))
    sources, known = workspace.sources(), {image.image_id for image in workspace.images()}
    report = lint(subjects, request, sources=sources, known=known, progress=progress)
    _write(report, options, subjects.find, sources, progress)
    return report


def lint_release(
    path: Path,
    workspace: Path | None,
    options: LintOptions = LintOptions(),
    *,
    engine: EngineChoice = HERE,
    workers: int | None = None,
    progress: Progress = lambda *_: None,
) -> LintReport:
    """Check the objects of a release. Arguments and errors are those of ``lint_workspace``, but for these.

    Args:
        path: The release.
        workspace: Folder of the workspace that knows where its photos lie; None for the one that the release lies in,
            and without one no rule looks at a photo.
        options: What is checked, and by what; a release has no proposals.
        engine: As above.
        workers: As above.
        progress: As above.
    """
    if options.proposals or options.segmenter:
        raise UsageError("--proposals is about a workspace: a release has the masks that it has")
    _require_outputs(options)
    own = path.absolute().parent.parent
    folder = workspace or (own if (own / DATABASE_NAME).is_file() else None)
    subjects = [subject_of(record) for record in read_release(path)[1]]
    request = _request(options, folder, engine, _workers(workers, len(subjects)))
    sources: Mapping[str, SourceRow] | None = None
    if folder is not None:
        with Workspace.open(folder) as store:
            sources = store.sources()
    report = lint(subjects, request, sources=sources, progress=progress)
    by_id = {subject.object_id: subject for subject in subjects if subject is not None}
    _write(report, options, by_id.get, sources, progress)
    return report


def lint_gate(
    workspace: Workspace, records: Iterator[ObjectRecord], count: int, level: LintLevel, *, workers: int | None = None
) -> dict[str, Any]:
    """Check the masks that are about to be released, by the workspace's own settings and waivers.

    Args:
        workspace: Where their answers and photos are.
        records: The objects of the release, each once; they are in memory a few at a time.
        count: How many these are.
        level: The severity from which a finding that nobody waived refuses the release.
        workers: Processes; None for all processors.

    Returns:
        Coverage for the release's metadata: objects, findings, waived, each rule, and the settings that were changed.

    Raises:
        DataError: with every finding that refuses the release, and every waiver that fits nothing.
    """
    subjects = ReleasedSubjects(workspace, records, count)
    request = _request(LintOptions(), workspace.root, HERE, _workers(workers, len(subjects)))
    known = {image.image_id for image in workspace.images()}
    report = lint(subjects, request, sources=workspace.sources(), known=known)
    refused = [] if level == "never" else report.faults_at_least(level)
    if refused or report.faults:
        raise DataError([*refused, *report.faults])
    changed = request.settings.model_dump(mode="json", exclude_defaults=True)
    return {**report.summary(), **({"settings": changed} if changed else {})}


def stop_at(report: LintReport, level: LintLevel) -> None:
    """End a command whose report was shown, where findings or waivers that fit nothing stop it.

    Raises:
        DataError: with how many findings stop it, and every waiver that fits nothing.
    """
    stopping: Sequence[object] = [] if level == "never" else report.at_least(level)
    faults = Faults(list(report.faults))
    if stopping:
        faults.add(
            "lint",
            "",
            expected=f"no finding of severity {level}" + (" or worse" if level != "error" else ""),
            got=str(len(stopping)),
            remedy="mend the masks, decide otherwise, or waive each with a reason (docs/lint.md)",
        )
    faults.raise_if_any()


def _request(options: LintOptions, workspace: Path | None, engine: EngineChoice, workers: int) -> LintRequest:
    return LintRequest(
        settings=read_settings(options.settings, workspace),
        rules=options.rules,
        waivers=read_waivers(options.waivers, workspace),
        engine=engine,
        workers=workers,
    )


def _workers(workers: int | None, objects: int) -> int:
    return min(workers or default_workers(), max(1, objects // _WORTH_A_WORKER))


def _require_outputs(options: LintOptions) -> None:
    """Check the names of files before an hour of work."""
    if options.out is not None:
        require_table(options.out)
    if options.page is not None and file_ending(options.page) not in (".html", ".htm"):
        raise UsageError(f"{options.page}: a page is an .html file")
    for path in (options.out, options.page):
        if path is not None and not path.absolute().parent.is_dir():
            raise UsageError(f"{path}: there is no folder {path.parent}")


def _write(
    report: LintReport,
    options: LintOptions,
    find: Callable[[str], Subject | None],
    sources: Mapping[str, SourceRow] | None,
    progress: Progress,
) -> None:
    if options.out is not None:
        write_findings(options.out, report.findings)
    if options.page is not None:
        write_page(options.page, report, find, sources, progress=progress)
