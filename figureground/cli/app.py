"""The command line: one verb a stage, each a thin call of one public function.

Exit codes: 0 done; 1 a fault in the data, said in full, nothing half-written; 2 wrong usage; 3 an outside service
failed, run again to resume.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from figureground.cli.analyze import analyze
from figureground.cli.diff import diff
from figureground.cli.engines import EngineOption, RayAddressOption, RayGpusOption, RayStagingOption, engine_choice
from figureground.cli.export import export
from figureground.cli.human import human
from figureground.cli.imports import import_masks
from figureground.cli.propose import propose
from figureground.cli.publish import publish
from figureground.cli.release import rebuild, verify
from figureground.cli.studio import studio
from figureground.console import JsonOption, WorkspaceOption, counts_text, emit, progress_bar, stderr
from figureground.errors import FigureGroundError, UsageError
from figureground.schemas.recipes import RuleName, SplitBy

app = typer.Typer(
    name="figureground",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Build, publish and score datasets that tell how much a classifier looks at the object and how much at the "
    "background.",
    epilog="Exit codes: 0 done, 1 fault in the data, 2 wrong usage, 3 an outside service failed (run again).",
)

WorkersOption = Annotated[int | None, typer.Option("--workers", min=1, help="Processes; default: all processors.")]


@app.command(
    epilog="Examples: figureground index photos/ -w work --licence 'CC BY 4.0'\n\n"
    "figureground index private-photos/ -w work --restricted"
)
def index(
    source: Annotated[
        str,
        typer.Argument(help="ImageFolder, ILSVRC tree, ImageNet-A's folder or .tar, Parquet, or hf://datasets/O/N."),
    ],
    workspace: WorkspaceOption,
    name: Annotated[str | None, typer.Option(help="Name of the source; default: the folder's.")] = None,
    kind: Annotated[
        str | None, typer.Option(help="folder, ilsvrc, imagenet-a, parquet or rival10; default: by looking.")
    ] = None,
    boxes: Annotated[Path | None, typer.Option(help="Folder of Pascal-VOC XML, if it is not in the tree.")] = None,
    labels: Annotated[Path | None, typer.Option(help="CSV of file and label, where folders are no labels.")] = None,
    licence: Annotated[str | None, typer.Option(help="Licence of the photos, for the card: 'CC BY 4.0'.")] = None,
    restricted: Annotated[
        bool | None,
        typer.Option("--restricted/--unrestricted", help="May their pixels be passed on? Default: by what they are."),
    ] = None,
    workers: WorkersOption = None,
    as_json: JsonOption = False,
) -> None:
    """Catalogue photos; those that cannot be used are reported by name, and none of them is fatal."""
    from figureground.annotate.catalogue import index_source
    from figureground.runtime.processes import default_workers
    from figureground.schemas.sources.opening import open_source
    from figureground.schemas.store.workspace import Workspace
    from figureground.schemas.terms import options_of_terms

    opened = open_source(source, kind=kind, name=name, boxes=boxes, labels=labels)
    with Workspace.create(workspace) as store, progress_bar() as show:
        known = store.sources().get(opened.name)
        terms = options_of_terms(licence, restricted, known.options if known else {})
        opened = open_source(source, kind=opened.kind, name=opened.name, boxes=boxes, labels=labels, options=terms)
        report = index_source(
            store, opened, workers=workers or default_workers(), progress=lambda done, total: show("index", done, total)
        )
    emit(report.to_dict(), as_json=as_json, text=str(report))
    report.faults.raise_if_any()


app.command(
    epilog="Examples: figureground propose -w work --segmenter mobile-sam --prompt auto\n\n"
    "figureground propose -w work --segmenter sam --checkpoint sam_vit_b --prompt box\n\n"
    "figureground propose -w work --segmenter sam --engine ray --ray-address head:6379 --ray-gpus 1"
)(propose)
app.add_typer(import_masks)
app.add_typer(studio)


@app.command(epilog="Example: figureground freeze -w work --version v1 --unreviewed")
def freeze(
    workspace: WorkspaceOption,
    version: Annotated[str, typer.Option(help="Name of the release, such as v1.")],
    unreviewed: Annotated[
        bool, typer.Option(help="Take machine masks that nobody reviewed; said on the card.")
    ] = False,
    unmasked: Annotated[bool, typer.Option(help="Take photos without a mask, for recipes that need none.")] = False,
    segmenter: Annotated[str | None, typer.Option(help="Whose proposals: NAME or NAME:PROMPT.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the accepted masks as an immutable release, objects/VERSION.parquet."""
    from figureground.annotate.freeze import FreezeOptions
    from figureground.annotate.freeze import freeze as run
    from figureground.schemas.store.workspace import Workspace

    options = FreezeOptions(unreviewed=unreviewed, unmasked=unmasked, segmenter=segmenter)
    with Workspace.open(workspace) as store:
        report = run(store, version, options)
    text = f"{report.path}: {counts_text(report.states)}; left out: {counts_text(report.left_out)}"
    emit(report, as_json=as_json, text=text)


@app.command(epilog="Example: figureground forget 0e7abe93ff8abf5c8a00399a8080fe37 -w work")
def forget(
    image: Annotated[str, typer.Argument(help="Id of the photo.")],
    workspace: WorkspaceOption,
    as_json: JsonOption = False,
) -> None:
    """Delete a photo and all that hangs on it (a takedown); releases that hold it stay as they are.

    Tasks that show it are left on the Label Studio server, without their picture: delete them there.
    """
    from figureground.annotate.studio.home import StudioHome
    from figureground.annotate.studio.served import forget_copies
    from figureground.schemas.store.workspace import Workspace

    with Workspace.open(workspace) as store:
        if store.image(image) is None:
            raise UsageError(f"{workspace} knows no photo {image}")
        store.forget(image)
        forget_copies(StudioHome.of(workspace), image)
    emit({"forgotten": image}, as_json=as_json, text=f"{image} is forgotten")


@app.command(
    epilog="Examples: figureground build imagenet9 -w work --release v1 -o in9\n\n"
    "figureground build imagenet9 -w work --release v1 -o in9-ref --rules reference --per-class all\n\n"
    "figureground build imagenet9 -w work --release v2 --earlier in9 -o in9-v2\n\n"
    "figureground build imagenet9 -w work -o in9 --engine ray --ray-address auto --ray-staging s3://bucket/staging\n\n"
    "figureground build --list"
)
def build(
    recipe: Annotated[str | None, typer.Argument(help="A shipped recipe's name, or a YAML file.")] = None,
    workspace: WorkspaceOption = Path(),
    release: Annotated[str | None, typer.Option(help="Frozen version; default: the only one.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder of the dataset repository.")] = None,
    rules: Annotated[RuleName, typer.Option(help="As a careful reader expects, or bug for bug.")] = "exact",
    per_class: Annotated[str | None, typer.Option(help="Objects a class: a number, smallest, or all.")] = None,
    split_by: Annotated[
        SplitBy | None, typer.Option(help="Divide by the recipe's seed, or as the source does.")
    ] = None,
    draws: Annotated[int, typer.Option(min=1, help="Donors for each row of the mixed variants.")] = 1,
    pixels: Annotated[
        bool | None, typer.Option("--pixels/--no-pixels", help="Store the images, or only what rows are made of.")
    ] = None,
    licence: Annotated[str | None, typer.Option(help="Licence of masks and attributes, for the card.")] = None,
    earlier: Annotated[
        Path | None,
        typer.Option(help="Dataset that this is the next version of: rows that did not change are copied from it."),
    ] = None,
    workers: WorkersOption = None,
    engine: EngineOption = "local",
    ray_address: RayAddressOption = "",
    ray_staging: RayStagingOption = "",
    list_recipes: Annotated[bool, typer.Option("--list", help="List the shipped recipes and stop.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Turn a release into a dataset repository that datasets.load_dataset reads."""
    from figureground.exports.dataset import request as build_command

    if list_recipes:
        listed = build_command.describe_recipes()
        emit(listed, as_json=as_json, text="\n".join(f"{name:17} {text}" for name, text in listed.items()))
        return
    request = build_command.prepare_request(
        recipe,
        workspace,
        release=release,
        rules=rules,
        per_class=per_class,
        split_by=split_by,
        draws=draws,
        pixels=pixels,
        licence=licence,
        earlier=earlier,
        workers=workers,
        engine=engine_choice(engine, ray_address, staging=ray_staging),
    )
    with progress_bar() as show:
        report = build_command.build_dataset(request, build_command.require_folder(out), progress=show)
    emit(report, as_json=as_json, text=build_command.describe_report(report))


@app.command(
    epilog="Examples: figureground evaluate in9 --model timm:resnet50.a1_in1k --model onnx:my.onnx -o scores\n\n"
    "figureground evaluate rival --noise sigma --trials 3 --mask-grow 0,5,-5 --model timm:deit_small_patch16_224\n\n"
    "figureground evaluate in9 --challenge reference,exact --model timm:resnet50.a1_in1k -o scores\n\n"
    "figureground evaluate a-plus --cluster class --model timm:convnext_base.fb_in1k -o scores\n\n"
    "figureground evaluate in9 --model figureground.exports.evaluation.classifiers:efficientnet_lite0\n\n"
    "figureground evaluate ORG/in9 --revision v1.0 --engine ray --ray-address auto --model timm:resnet50.a1_in1k"
)
def evaluate(
    repository: Annotated[str, typer.Argument(help="Folder of a dataset repository, or its id on the Hub.")],
    model: Annotated[list[str], typer.Option(help="timm:NAME, timm:NAME=FILE, onnx:FILE, MODULE:CALLABLE[=ARGUMENT].")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for results; lets a killed run go on.")
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Revision on the Hub.")] = None,
    configs: Annotated[str | None, typer.Option(help="Only these configs, comma-separated.")] = None,
    split: Annotated[str, typer.Option(help="Split to score.")] = "test",
    protocol: Annotated[
        str | None,
        typer.Option(help="imagenet9, imagenet_a, rival10 or background_check; default: as the configs are made."),
    ] = None,
    feed: Annotated[str, typer.Option(help="canvas or reference.")] = "canvas",
    noise: Annotated[str, typer.Option(help="rival10: sigma, l2, both with a comma, or none.")] = "sigma,l2",
    levels: Annotated[str | None, typer.Option(help="rival10: levels of one kind, comma-separated.")] = None,
    trials: Annotated[int, typer.Option(min=1, help="rival10: noises of each image.")] = 1,
    mask_grow: Annotated[str, typer.Option(help="rival10: pixels to dilate or erode masks by: 0,4,-4.")] = "0",
    masks_from: Annotated[str | None, typer.Option(help="rival10: dataset whose object masks to use.")] = None,
    rfs_undefined: Annotated[str, typer.Option(help="rival10: RFS without errors: strict or hardimagenet.")] = "strict",
    challenge: Annotated[
        str | None,
        typer.Option(help="imagenet9: figures that some ground fools: reference, exact, targeted, with commas."),
    ] = None,
    eval_results_yaml: Annotated[
        Path | None, typer.Option(help="File for the Hub's eval results; of one model, on a dataset on the Hub.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images a forward pass.")] = 32,
    bootstrap: Annotated[int, typer.Option(min=1, help="Bootstrap resamples.")] = 10_000,
    cluster: Annotated[
        str, typer.Option(help="imagenet_a, background_check: what is resampled, image or class.")
    ] = "image",
    limit: Annotated[int | None, typer.Option(min=1, help="Only the images with the smallest ids.")] = None,
    engine: EngineOption = "local",
    ray_address: RayAddressOption = "",
    ray_gpus: RayGpusOption = 0.0,
    as_json: JsonOption = False,
) -> None:
    """Score classifiers on a dataset repository, with intervals."""
    from figureground.exports import evaluate as script

    words: dict[str, Any] = {"noise": noise, "levels": levels, "trials": trials, "mask_grow": mask_grow}
    words["rfs_undefined"] = rfs_undefined
    if eval_results_yaml is not None and len(model) > 1:
        raise UsageError("eval results are of one model: give one --model")
    options: dict[str, Any] = {
        "revision": revision,
        "configs": configs.split(",") if configs else None,
        "split": split,
        "protocol": protocol,
        "feed": feed,
        "batch_size": batch_size,
        "limit": limit,
        "out": out,
        "bootstrap": bootstrap,
        "noise": script.parse_noise(**words) if words != script.NOISE_WORDS else None,
        "masks_from": masks_from,
        "cluster": cluster,
        "challenge": challenge.split(",") if challenge else (),
        "eval_results_yaml": eval_results_yaml,
    }
    choice = engine_choice(engine, ray_address, gpus=ray_gpus)
    if choice.kind == "ray":
        from figureground.exports.evaluation.on_ray import evaluate_on_ray

        with progress_bar() as show:
            results = evaluate_on_ray(repository, model, choice, progress=show, **options)
    else:
        results = []
        for name in model:
            with progress_bar() as show:
                results.append(script.evaluate(repository, name, progress=show, **options))
    emit({"results": results}, as_json=as_json, text=script.format_table(results))


@app.command(
    epilog="Examples: figureground report scores -o report\n\n"
    "figureground report scores -o report --models models.yaml --repository rival\n\n"
    "figureground report scores -o report --published results-imagenet-a.csv"
)
def report(
    results: Annotated[list[Path], typer.Argument(help="Result files of evaluate, or folders of them.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the tables and plots.")],
    models: Annotated[Path | None, typer.Option(help="YAML that lists models with family and training.")] = None,
    repository: Annotated[str | None, typer.Option(help="The dataset, to show its images in the plots.")] = None,
    published: Annotated[
        Path | None, typer.Option(help="timm's results-imagenet-a.csv, to compare results of imagenet_a with.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Put results side by side: tables, families pooled, and the plots of the paper."""
    from figureground.exports.report.report import write_report

    written = write_report(results, out, models=models, repository=repository, published=published)
    emit({"folder": str(out), "files": written}, as_json=as_json, text="\n".join(str(out / name) for name in written))


app.add_typer(analyze)
app.add_typer(human)
app.command(epilog="Example: figureground export rival --layout rival10 -o as-rival10")(export)
app.command(
    epilog="Examples: figureground publish in9 --repo-id me/in9 --dry-run\n\n"
    "figureground publish in9 --repo-id me/in9 --private --gated manual"
)(publish)
app.command(
    epilog="Examples: figureground diff in9 in9-v2\n\n"
    "figureground diff work/objects/v1.parquet work/objects/v2.parquet\n\n"
    "figureground diff me/in9 me/in9 --revision v1 --revision v2"
)(diff)
app.command(epilog="Examples: figureground verify in9\n\nfigureground verify me/in9 --revision v1")(verify)
app.command(
    epilog="Examples: figureground rebuild plus --source imagenet-a.tar -o plus-with-images\n\n"
    "figureground rebuild me/plus --revision v1 --source photos/ -o plus-with-images"
)(rebuild)


@app.command(epilog="Example: figureground demo -o demo-run")
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for everything the demo makes.")] = Path("demo-run"),
    as_json: JsonOption = False,
) -> None:
    """Walk the whole path on photos that installed packages ship: propose, build, load back, score."""
    from figureground.demo.walk import run_demo

    report = run_demo(out)
    emit(report.to_dict(), as_json=as_json, text=str(report))


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code; errors of ours are one message, never a traceback."""
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")  # ours says more
    try:
        result: Any = app(args=arguments, standalone_mode=False)
    except FigureGroundError as error:
        stderr.print(f"[red]error:[/red] {type(error).__name__}:", end=" ")
        stderr.print(str(error), markup=False, soft_wrap=True)
        sys.exit(error.exit_code)
    except typer.Exit as stop:
        sys.exit(stop.exit_code)
    except typer.Abort:
        sys.exit(130)
    except Exception as error:
        show = getattr(error, "show", None)  # click's own usage errors
        if show is None:
            raise
        show()
        sys.exit(getattr(error, "exit_code", 2))
    sys.exit(result if isinstance(result, int) else 0)


if __name__ == "__main__":
    main()
