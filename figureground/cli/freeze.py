"""``figureground agree``, ``lint``, ``rims``, ``freeze``, ``policy``: answers compared, masks checked and released."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from figureground.cli.options import EngineOptions, JsonOption, WorkersOption, WorkspaceOption, refuse_options, verb
from figureground.console import count_text, counts_text, emit, progress_bar, reported_faults, say
from figureground.errors import UsageError, shell_word
from figureground.schemas.sources.names import photo_name

if TYPE_CHECKING:
    from figureground.annotate.lint.findings import Finding

Level = Literal["error", "warning", "note", "never"]
ConsensusName = Literal["majority", "staple"]


@dataclass(frozen=True, kw_only=True)
class ObjectOptions:
    """Which masks enter besides those that were accepted, and what the release must be."""

    unreviewed: Annotated[bool, typer.Option(help="Take machine masks that nobody reviewed; said on the card.")] = False
    unmasked: Annotated[bool, typer.Option(help="Take photos without a mask, for recipes that need none.")] = False
    segmenter: Annotated[str | None, typer.Option(help="Whose proposals: NAME or NAME:PROMPT.")] = None
    agree: Annotated[
        str | None, typer.Option(help="Take machine masks only where this other segmenter's first choice agrees.")
    ] = None
    min_iou: Annotated[
        float | None, typer.Option(min=0, max=1, help="IoU from which two masks agree; default: 0.75.")
    ] = None
    consensus: Annotated[
        ConsensusName | None,
        typer.Option(help="Take the consensus of three or more people's answers in place of one of them."),
    ] = None
    lint: Annotated[
        Level | None, typer.Option(help="Check the masks, and refuse the release for findings from this severity on.")
    ] = None
    policy: Annotated[
        str | None, typer.Option(help="What the release must be: a shipped policy's name, or a YAML file.")
    ] = None


@verb(
    "Examples: figureground agree -w work\n\n"
    "figureground agree -w work --by masks --limit 30\n\n"
    "figureground agree -w work --consensus majority -o agreement\n\n"
    "figureground agree -w work --json > agreement.json"
)
def agree(
    workspace: WorkspaceOption,
    consensus: Annotated[ConsensusName, typer.Option(help="How the consensus of masks is made.")] = "staple",
    by: Annotated[
        Literal["masks", "attributes", "both"], typer.Option(help="What photos in doubt are ranked by.")
    ] = "both",
    limit: Annotated[int, typer.Option(min=1, help="Most photos in doubt to list; files and JSON have all.")] = 10,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the report as JSON, CSV and a plot.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say how far people agree, what is in doubt, how each annotator works, and what machine masks saved.

    JSON and files name people by pseudonym alone, so that they may be passed on.
    """
    from figureground.annotate.agreement.report_text import report_text
    from figureground.annotate.verbs import agree as run

    report = run(workspace, consensus=consensus, by=by, out=out)
    if out is not None and report.annotators:
        _draw(report.to_json(), out / "agreement.png")
    names = {} if as_json else _names(workspace)
    emit(report.to_json(), as_json=as_json, text=report_text(report, workspace, names, limit=limit))


def _names(workspace: Path) -> dict[str, str]:
    """Pseudonym to name, of those whom a Label Studio that runs knows; answers of sheets need none of it installed."""
    from figureground.annotate.studio.home import StudioHome
    from figureground.errors import MissingExtraError

    home = StudioHome.of(workspace)
    if home.connection() is None:
        return {}
    try:
        from figureground.annotate.studio.progress.overview import annotator_names

        return annotator_names(home)
    except MissingExtraError:
        return {}


def _draw(report: dict[str, Any], path: Path) -> None:
    """Write the plot; where matplotlib is not installed, say so."""
    from figureground.errors import MissingExtraError
    from figureground.runtime.files import replace_file

    try:
        from figureground.exports.report.agreement_plots import draw_agreement
    except MissingExtraError as error:
        say(f"no plot: {error}")
        return
    picture = draw_agreement(report)
    with replace_file(path) as temporary:
        temporary.write_bytes(picture)


@verb(
    "Examples: figureground freeze -w work --version v1 --unreviewed\n\n"
    "figureground freeze -w work --version v1 --unreviewed --agree saliency --min-iou 0.75\n\n"
    "figureground freeze -w work --version v1 --consensus staple --lint error\n\n"
    "figureground freeze -w work --version v1 --policy policy.yaml"
)
def freeze(
    *,
    workspace: WorkspaceOption,
    version: Annotated[str, typer.Option(help="Name of the release, such as v1.")],
    options: ObjectOptions,
    as_json: JsonOption = False,
) -> None:
    """Write the accepted masks as an immutable release, objects/VERSION.parquet."""
    from figureground.annotate.verbs import freeze as run

    report = run(workspace, version, **asdict(options))
    text = f"{report.path}: {counts_text(report.states)}; left out: {counts_text(report.left_out)}"
    if report.lint:
        findings = count_text(report.lint["findings"], "finding")
        text += f"; lint: {findings}, {report.lint['waived']} waived"
    text += f"\n{report.choice}" if report.choice is not None else ""
    emit(report, as_json=as_json, text=text)


@verb("Example: figureground policy double_checked > policy.yaml")
def policy(
    name: Annotated[str | None, typer.Argument(help="A shipped policy's name; without one, the names.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Print a shipped policy of releases, to begin one of your own with; without a name, list them."""
    from figureground.annotate.freezing.policy import load_policy, policy_text, shipped_policies

    if name is None:
        listed = {name: load_policy(name).policy.description for name in shipped_policies()}
        emit(listed, as_json=as_json, text="\n".join(f"{name:15} {text}" for name, text in listed.items()))
        return
    text = policy_text(name)
    emit(load_policy(name).policy.model_dump(mode="json"), as_json=as_json, text=text.rstrip("\n"))


@dataclass(frozen=True, kw_only=True)
class CheckOptions:
    """What is checked, by what, and where it is shown."""

    proposals: Annotated[
        bool, typer.Option("--proposals", help="Machine masks of photos that nobody decided on, too.")
    ] = False
    segmenter: Annotated[str | None, typer.Option(help="Whose, with --proposals: NAME or NAME:PROMPT.")] = None
    rule: Annotated[list[str] | None, typer.Option(help="This rule only, once for each; --rules lists them.")] = None
    settings: Annotated[
        Path | None, typer.Option(help="YAML of thresholds and severities; default: WORKSPACE/lint.yaml.")
    ] = None
    waivers: Annotated[
        Path | None, typer.Option(help="YAML of findings to let stand; default: WORKSPACE/lint_waivers.yaml.")
    ] = None
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the findings, .csv or .parquet.")] = None
    page: Annotated[Path | None, typer.Option(help="Write a page of pictures of the findings, .html.")] = None
    fail_on: Annotated[
        Level, typer.Option(help="Severity from which a finding that nobody waived ends the command with 1.")
    ] = "error"


@dataclass(frozen=True, kw_only=True)
class FixOptions:
    """What is mended, or listed, instead of a check."""

    fix: Annotated[
        list[str] | None,
        typer.Option(help="Tell how pinholes, islands or attribute_outside would be mended; once for each."),
    ] = None
    apply: Annotated[bool, typer.Option("--apply", help="Store what --fix tells, as new states of the answers.")] = (
        False
    )
    rules: Annotated[bool, typer.Option("--rules", help="List the rules, and end.")] = False


@verb(
    "Examples: figureground lint -w work --page findings.html\n\n"
    "figureground lint work/objects/v1.parquet --out findings.csv --fail-on warning\n\n"
    "figureground lint -w work --fix pinholes --fix islands --apply"
)
def lint(
    context: typer.Context,
    *,
    release: Annotated[
        Path | None, typer.Argument(help="A release (.parquet); default: the workspace's masks.")
    ] = None,
    workspace: Annotated[Path | None, typer.Option("--workspace", "-w", help="Folder of the workspace.")] = None,
    options: CheckOptions,
    fixes: FixOptions,
    engine: EngineOptions,
    workers: WorkersOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check masks by rules: sizes, specks, rims, what lies outside, what nobody looked at; tell how to mend them."""
    from figureground.annotate.lint.checking import LintOptions, stop_at
    from figureground.annotate.verbs import lint as run

    if fixes.rules:
        _list_rules(as_json=as_json)
        return
    if fixes.fix or fixes.apply:
        _mend(context, release, workspace, options.settings, fixes, as_json=as_json)
        return
    if release is None and workspace is None:
        raise UsageError("give the folder of a workspace with -w, or a release")
    chosen = LintOptions(
        proposals=options.proposals,
        segmenter=options.segmenter,
        rules=tuple(options.rule or ()),
        settings=options.settings,
        waivers=options.waivers,
        out=options.out,
        page=options.page,
    )
    with progress_bar() as show:
        report = run(
            release or workspace or "",
            chosen,
            workspace=workspace,
            engine=engine.choice(),
            workers=workers,
            progress=show,
        )
    written = [f"look at {path}" for path in (options.page, options.out) if path is not None]
    wanted = not as_json and release is None
    mend = _how_to_mend(workspace, report.standing) if wanted and workspace is not None else []
    emit(report, as_json=as_json, text="\n".join([str(report), *mend, *written]))
    stop_at(report, options.fail_on)


def _how_to_mend(workspace: Path, findings: Sequence[Finding]) -> list[str]:
    """The command that mends some of the findings, in a line; none where it would mend none."""
    from figureground.annotate.lint.fixing import mendable_steps
    from figureground.schemas.store.workspace import Workspace

    with Workspace.open(workspace) as store:
        steps = mendable_steps(store, findings)
    options = " ".join(f"--fix {step}" for step in steps)
    command = f"figureground lint -w {shell_word(workspace)} {options}"
    return [f"how {' and '.join(steps)} would be mended: {command}  (--apply does it)"] if steps else []


def _list_rules(*, as_json: bool) -> None:
    from figureground.annotate.lint.registry import RULES

    lines = [f"{rule.name} ({rule.severity}): {rule.summary}" for rule in RULES.values()]
    listed = [{"rule": rule.name, "severity": rule.severity, "finds": rule.summary} for rule in RULES.values()]
    emit({"rules": listed}, as_json=as_json, text="\n".join(lines))


_OF_CHECKS: Final = ("proposals", "segmenter", "rule", "waivers", "out", "page", "fail_on")
_OF_WORK: Final = ("engine", "ray_address", "workers")


def _mend(
    context: typer.Context,
    release: Path | None,
    workspace: Path | None,
    settings_file: Path | None,
    fixes: FixOptions,
    *,
    as_json: bool,
) -> None:
    from figureground.annotate.lint.fixing import fix
    from figureground.annotate.lint.settings import read_settings
    from figureground.schemas.store.workspace import Workspace

    if release is not None or workspace is None:
        raise UsageError("--fix mends the accepted masks of a workspace: name it with -w; a release never changes")
    if not fixes.fix:
        raise UsageError("--apply stores what --fix tells: name what is to be mended")
    refuse_options(context, (*_OF_CHECKS, *_OF_WORK), "with --fix, which mends by --settings alone")
    settings = read_settings(settings_file, workspace)
    with reported_faults(as_json=as_json), Workspace.open(workspace) as store, progress_bar() as show:
        report = fix(store, fixes.fix, settings, apply=fixes.apply, progress=show)
    text = str(report)
    if fixes.apply and report.changes:
        again = f"figureground freeze -w {shell_word(workspace)} --version NAME"
        text += f"\na new release takes the mended masks in; those that there are never change: {again}"
    emit(report, as_json=as_json, text=text)


@verb(
    "Examples: figureground rims -w work\n\n"
    "figureground rims -w work scores --out rims.csv\n\n"
    "figureground studio push -w work --second-look --leaking 20"
)
def rims(
    *,
    results: Annotated[
        list[Path] | None, typer.Argument(help="Results of evaluate --out on imagenet9_leak, to count answers too.")
    ] = None,
    workspace: WorkspaceOption,
    segmenter: Annotated[str | None, typer.Option(help="Whose machine masks: NAME or NAME:PROMPT.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the scores to this .csv file too.")] = None,
    workers: WorkersOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score how much of each figure its mask leaves at the rim, by colour and models' answers; for push."""
    from figureground.annotate.lint.rim_scores import score_rims
    from figureground.exports.report.leak.photos import rim_answers
    from figureground.runtime.files import csv_text, write_text
    from figureground.schemas.store.rim_leaks import RimLeak
    from figureground.schemas.store.workspace import Workspace

    answers, models = rim_answers(results) if results else ({}, 0)
    with Workspace.open(workspace) as store, progress_bar() as show:
        leaks = score_rims(store, answers, segmenter=segmenter, workers=workers, progress=show)
        store.add_rim_leaks(leaks, models)
        worst = [(leak, store.image(leak.image_id)) for leak in leaks[:10]]
    if out is not None:
        write_text(out, csv_text(RimLeak, leaks))
    lines = [
        f"{len(leaks)} masks scored by colour{f' and the answers of {models} models' if models else ''}; the worst:"
    ]
    lines += [
        f"  {leak.score:.2f}  {leak.image_id}"
        + (f"  {photo_name(image.source, image.uri)}" if image is not None else "")
        for leak, image in worst
    ]
    scored = {"models": models, "masks": [asdict(leak) for leak in leaks]}
    emit(scored, as_json=as_json, text="\n".join(lines))
