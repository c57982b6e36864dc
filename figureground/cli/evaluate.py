"""``figureground evaluate``: classifiers scored on a dataset repository."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from figureground.cli.options import JsonOption, ModelEngineOptions, verb
from figureground.console import emit, progress_bar
from figureground.errors import UsageError


@verb(
    "Examples: figureground evaluate in9 --model timm:resnet50.a1_in1k --model onnx:my.onnx -o scores\n\n"
    "figureground evaluate rival --noise sigma --trials 3 --mask-grow 0,5,-5 --model timm:deit_small_patch16_224\n\n"
    "figureground evaluate in9 --challenge reference,exact --model timm:resnet50.a1_in1k -o scores\n\n"
    "figureground evaluate a-plus --cluster class --model timm:convnext_base.fb_in1k -o scores\n\n"
    "figureground evaluate in9 --model figureground.exports.evaluation.classifiers:efficientnet_lite0\n\n"
    "figureground evaluate ORG/in9 --revision v1.0 --engine ray --ray-address auto --model timm:resnet50.a1_in1k"
)
def evaluate(
    *,
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
    engine: ModelEngineOptions,
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
    choice = engine.choice()
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
