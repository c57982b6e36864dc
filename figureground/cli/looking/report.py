"""``figureground report``, ``compare``, ``plan-size``: results side by side, a dataset on a page, images to plan."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from figureground.cli.options import JsonOption, RevisionOption, refuse_options, verb
from figureground.console import emit, progress_bar, summarise_files
from figureground.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class ReportedOptions:
    """What results are of, and which state of a dataset on the Hub is told of."""

    models: Annotated[Path | None, typer.Option(help="YAML that lists models with family and training.")] = None
    repository: Annotated[str | None, typer.Option(help="The dataset, to show its images in the plots.")] = None
    revision: RevisionOption = None


@verb(
    "Examples: figureground report scores -o report\n\n"
    "figureground report scores -o report --models models.yaml --repository rival\n\n"
    "figureground report scores -o report --published results-imagenet-a.csv\n\n"
    "figureground report scores -o report --margin 0.03 --vector pdf\n\n"
    "figureground report scores -o report --repository crossed --vector svg\n\n"
    "figureground report in9 -o in9-report"
)
def report(
    context: typer.Context,
    results: Annotated[list[Path], typer.Argument(help="Result files of evaluate, folders of them, or one dataset.")],
    *,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for the report; of a dataset by default NAME-report beside it."),
    ] = None,
    options: ReportedOptions,
    published: Annotated[
        Path | None, typer.Option(help="timm's results-imagenet-a.csv, to compare results of imagenet_a with.")
    ] = None,
    margin: Annotated[
        float, typer.Option(help="Difference of accuracies that counts as none, for where the leak of rims levels off.")
    ] = 0.05,
    vector: Annotated[
        Literal["svg", "pdf"] | None,
        typer.Option(help="Write every chart in this format too; sheets of photos stay PNG."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Put results side by side in tables and plots, or show a dataset on one page: photos, masks, donors, rows."""
    from figureground.exports.build_report.reporting import is_build

    if any(is_build(path, options.revision) for path in results):
        refuse_options(context, ("models", "repository", "published", "margin", "vector"), "on a dataset")
        _report_build(results, out, options.revision, as_json=as_json)
        return
    if out is None:
        raise UsageError("results need a folder to be written to: give --out; a dataset on the Hub needs --revision")
    from figureground.exports.verbs import report as run

    files = run(
        results,
        out,
        models=options.models,
        repository=options.repository,
        revision=options.revision,
        published=published,
        margin=margin,
        vector=vector,
    )
    written: dict[str, Any] = {"folder": str(out), "files": [file.relative_to(out).as_posix() for file in files]}
    first = [name for name in ("report.html", "report.txt") if name in written["files"]]
    emit(written, as_json=as_json, text=summarise_files(out, written["files"], first))


def _report_build(datasets: list[Path], out: Path | None, revision: str | None, *, as_json: bool) -> None:
    from figureground.exports.verbs import report_build

    if len(datasets) > 1:
        raise UsageError(f"one dataset at a time, and no results beside it: got {', '.join(map(str, datasets))}")
    with progress_bar() as show:
        page = report_build(datasets[0], out, revision=revision, progress=show)
    emit({"folder": str(page.parent), "files": [page.name]}, as_json=as_json, text=str(page))


Scored = Annotated[list[Path], typer.Argument(help="Result files of evaluate --out, or folders of them.")]


@verb(
    "Examples: figureground compare scores -o comparison\n\n"
    "figureground compare scores -o comparison --figure bg_gap --figure original --format svg"
)
def compare(
    results: Scored,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the tables and plots.")],
    figure: Annotated[
        list[str] | None, typer.Option(help="The only figures to compare, such as bg_gap; may be repeated.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=99, help="Rounds of flipped signs behind the p-values.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="Of the signs.")] = 0,
    picture_format: Annotated[Literal["png", "svg", "pdf"], typer.Option("--format", help="Of the plots.")] = "png",
    as_json: JsonOption = False,
) -> None:
    """Compare models: paired differences of every figure, corrected for all comparisons, and sets that hold ranks."""
    from figureground.exports.comparison.compare import compare_results, describe_comparison, write_comparison

    comparisons = compare_results(results, figures=figure or (), rounds=rounds, seed=seed)
    files = write_comparison(comparisons, out, picture_format=picture_format)
    texts = [*map(describe_comparison, comparisons), "\n".join(str(out / name) for name in files)]
    written = {"folder": str(out), "files": files, "comparisons": [comparison.json() for comparison in comparisons]}
    emit(written, as_json=as_json, text="\n\n".join(texts))


@verb(
    "Examples: figureground plan-size scores --difference 0.02\n\n"
    "figureground plan-size --discordant 0.15 --difference 0.02 --difference 0.05"
)
def plan_size(
    results: Annotated[
        list[Path] | None, typer.Argument(help="Results of a pilot: of one model, or of several to compare.")
    ] = None,
    difference: Annotated[
        list[float] | None, typer.Option(help="Differences to see, in (0, 1); may be repeated. Default: 0.01 to 0.1.")
    ] = None,
    discordant: Annotated[
        float | None, typer.Option(help="Without a pilot: share of images of which just one answer of two is right.")
    ] = None,
    figure: Annotated[list[str] | None, typer.Option(help="The only figures to plan for; may be repeated.")] = None,
    power: Annotated[float, typer.Option(help="Chance to find the difference.")] = 0.8,
    alpha: Annotated[float, typer.Option(help="Chance to find one where there is none, two-sided.")] = 0.05,
    as_json: JsonOption = False,
) -> None:
    """Plan how many images and donors of each show a difference, from a pilot's results or from a stated rate."""
    from figureground.exports.comparison.sample_size import PlannedTest, plan_from_rates, plan_from_results, plan_json

    test = PlannedTest(power=power, alpha=alpha)
    wanted = difference or [0.01, 0.02, 0.05, 0.1]
    if (discordant is None) == (not results):
        raise UsageError("give results of a pilot, or --discordant without one")
    plans: dict[str, Any]
    if discordant is not None:
        plans, text = plan_json(plan_from_rates(discordant, wanted, test), [], test)
    else:
        plans, text = plan_json(*plan_from_results(results or [], wanted, test, figures=figure or ()), test)
    emit(plans, as_json=as_json, text=text)
