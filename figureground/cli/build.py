"""``figureground build``: a release and a recipe, rendered as a dataset repository."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from figureground.cli.options import JsonOption, RenderEngineOptions, WorkersOption, WorkspaceOption, verb
from figureground.console import emit, progress_bar
from figureground.schemas.recipes import RuleName, SplitBy


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """What decides the rows of a dataset, besides the recipe and the release."""

    rules: Annotated[RuleName, typer.Option(help="As a careful reader expects, or bug for bug.")] = "exact"
    per_class: Annotated[str | None, typer.Option(help="Objects a class: a number, smallest, or all.")] = None
    variants: Annotated[str | None, typer.Option(help="Only these configs of the recipe, with commas.")] = None
    splits: Annotated[
        str | None, typer.Option(help="Divide photos by the recipe's seed, such as train=0.7,validation=0.1,test=0.2.")
    ] = None
    split_by: Annotated[SplitBy | None, typer.Option(help="Divide by the recipe's seed, or as the source does.")] = None
    waive_near_duplicates: Annotated[
        str | None,
        typer.Option(
            metavar="REASON", help="Why near-duplicates may stand in two splits, for the card; else an error."
        ),
    ] = None
    draws: Annotated[int, typer.Option(min=1, help="Donors for each row of the mixed variants.")] = 1
    pixels: Annotated[
        bool | None, typer.Option("--pixels/--no-pixels", help="Store the images, or only what rows are made of.")
    ] = None
    licence: Annotated[str | None, typer.Option(help="Licence of masks and attributes, for the card.")] = None
    class_map: Annotated[
        str | None,
        typer.Option(
            help="Another class map: a shipped one's name, a .json, or a .csv of label, class, imagenet_index."
        ),
    ] = None
    attributes: Annotated[
        str | None, typer.Option(help="Another attribute schema: a shipped one's name, or a .yaml file.")
    ] = None
    max_box_share: Annotated[
        float | None, typer.Option(help="Largest share of the canvas that an object's box may cover, up to 1.")
    ] = None
    earlier: Annotated[
        Path | None,
        typer.Option(help="Dataset that this is the next version of: rows that did not change are copied from it."),
    ] = None
    workers: WorkersOption = None


@verb(
    "Examples: figureground build imagenet9 -w work --release v1 -o in9\n\n"
    "figureground build imagenet9 -w work --release v1 -o in9-ref --rules reference --per-class all\n\n"
    "figureground build imagenet9 -w work -o in9 --variants original,mixed_same,mixed_rand "
    "--splits train=0.7,validation=0.1,test=0.2\n\n"
    "figureground build imagenet9 -w work --release v2 --earlier in9 -o in9-v2\n\n"
    "figureground build imagenet9 -w work -o in9 --engine ray --ray-address auto --ray-staging s3://bucket/staging\n\n"
    "figureground build imagenet9 -w work -o mine --class-map classes.csv --max-box-share 0.9\n\n"
    "figureground build --list"
)
def build(
    *,
    recipe: Annotated[str | None, typer.Argument(help="A shipped recipe's name, or a YAML file.")] = None,
    workspace: WorkspaceOption = Path(),
    release: Annotated[str | None, typer.Option(help="Frozen version; default: the only one.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder of the dataset repository.")] = None,
    options: BuildOptions,
    engine: RenderEngineOptions,
    list_recipes: Annotated[bool, typer.Option("--list", help="List the shipped recipes and stop.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Turn a release into a dataset repository that datasets.load_dataset reads."""
    from figureground.exports.dataset import request as build_command
    from figureground.exports.dataset.building import build_dataset
    from figureground.exports.dataset.inputs import Machines
    from figureground.runtime.processes import default_workers

    if list_recipes:
        listed = build_command.describe_recipes()
        emit(listed, as_json=as_json, text="\n".join(f"{name:17} {text}" for name, text in listed.items()))
        return
    use = build_command.BuildOptions(
        rules=options.rules,
        per_class=options.per_class,
        variants=[name.strip() for name in options.variants.split(",")] if options.variants is not None else None,
        splits=build_command.parse_splits(options.splits) if options.splits is not None else None,
        split_by=options.split_by,
        waive_near_duplicates=options.waive_near_duplicates,
        draws=options.draws,
        pixels=options.pixels,
        licence=options.licence,
        class_map=options.class_map,
        attributes=options.attributes,
        max_box_share=options.max_box_share,
    )
    request = build_command.prepare_request(
        build_command.require_recipe(recipe),
        workspace,
        release=release,
        options=use,
        earlier=options.earlier,
        machines=Machines(workers=options.workers or default_workers(), engine=engine.choice()),
    )
    with progress_bar() as show:
        report = build_dataset(request, build_command.require_folder(out), progress=show)
    emit(report, as_json=as_json, text=build_command.describe_report(report))


@verb("Example: figureground recipe imagenet9 > mine.yaml")
def recipe(
    name: Annotated[str, typer.Argument(help="A shipped recipe's name, as build --list has it.")],
    as_json: JsonOption = False,
) -> None:
    """Print a shipped recipe, to begin one of your own with."""
    from figureground.build.recipes.loading import load_recipe, recipe_text

    text = recipe_text(name)
    emit(load_recipe(name).model_dump(mode="json"), as_json=as_json, text=text.rstrip("\n"))
