"""``figureground report``, ``compare``, ``plan-size``: results side by side, and the images that a difference takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from figureground.cli.options import JsonOption, verb
from figureground.console import emit
from figureground.errors import UsageError


@verb(
    "Examples: figureground report scores -o report\n\n"
    "figureground report scores -o report --models models.yaml --repository rival\n\n"
    "figureground report scores -o report --published results-imagenet-a.csv\n\n"
    "figureground report scores -o report --margin 0.03 --vector pdf\n\n"
    "figureground report scores -o report --repository crossed --vector svg"
)
def report(
    results: Annotated[list[Path], typer.Argument(help="Result files of evaluate, or folders of them.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the tables and plots.")],
    models: Annotated[Path | None, typer.Option(help="YAML that lists models with family and training.")] = None,
    repository: Annotated[str | None, typer.Option(help="The dataset, to show its images in the plots.")] = None,
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
    """Put results side by side: tables, families pooled, and the plots of the paper."""
    from figureground.exports.verbs import report as run

    files = run(results, out, models=models, repository=repository, published=published, margin=margin, vector=vector)
    written = {"folder": str(out), "files": [file.relative_to(out).as_posix() for file in files]}
    emit(written, as_json=as_json, text="\n".join(map(str, files)))


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
