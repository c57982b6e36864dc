"""``figureground analyze``: what classifiers look at, from the command line."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from figureground.cli.analyses.options import (
    AttributionOptions,
    FeedOptions,
    ForwardFeedOptions,
    HeadsOptions,
    Layer,
    ListOptions,
    Model,
    Models,
    Out,
    ProbeOptions,
    Repo,
    RowOptions,
    SaliencyReportOptions,
    UnitOptions,
)
from figureground.cli.options import JsonOption, NetworkOptions, flattened
from figureground.console import emit, progress_bar, summarise_files
from figureground.errors import MissingExtraError

if TYPE_CHECKING:
    from figureground.exports.analyses.networks import AnalysedModel
    from figureground.exports.analyses.saliency_report import AnalysisInput

analyze = typer.Typer(
    name="analyze",
    no_args_is_help=True,
    help="What classifiers look at: figure against ground, saliency, spurious and neural features, trained heads.",
)


def _require_extra() -> None:
    """``MissingExtraError`` if a library of the extra is absent: at once, not after an hour."""
    for package, name in (("torch",) * 2, ("captum",) * 2, ("matplotlib",) * 2, ("sklearn", "scikit-learn")):
        if find_spec(package) is None:
            raise MissingExtraError(name, "analyses")


def _open(repo: str, rows: RowOptions, feed: FeedOptions) -> AnalysisInput:
    """The rows to analyse; raises as ``_require_extra`` and ``open_repository`` do."""
    _require_extra()
    from figureground.exports.analyses.saliency_report import AnalysisInput
    from figureground.exports.evaluation.dataset import open_repository

    repository = open_repository(repo, rows.revision)
    return AnalysisInput(
        repository=repository, config=rows.config, split=rows.split, limit=feed.limit, workers=feed.network.workers
    )


def _load(spec: str, network: NetworkOptions) -> AnalysedModel:
    """The network of a model's specification, where and in what the options say; raises as ``load_network``."""
    from figureground.exports.analyses.networks import load_network

    return load_network(spec, device=network.device, precision=network.precision)


def _means_text(result: dict[str, Any]) -> str:
    from figureground.exports.analyses.nulls.displaced import describe_nulls

    lines = []
    for model in [*result["models"], {"model": "centre blob", **result["centre_blob"]}]:
        means = model["by_true_class"]["mean"]
        cells = ", ".join(f"{name} {cell['value']:.3f}" for name, cell in means.items()) or "nothing to measure"
        lines.append(f"{model['model']} ({model['n_measured']} of {model['n']} images): {cells}")
        if "beyond_null" in model:
            lines.append(f"  {describe_nulls(model['model'], model['beyond_null'], tuple(means))}")
    return "\n".join(lines)


@analyze.command(
    epilog="Examples: figureground analyze saliency in9 --model timm:resnet50.a1_in1k "
    "--model timm:deit_small_patch16_224 -o saliency\n\n"
    "figureground analyze saliency in9 --model figureground.exports.evaluation.classifiers:efficientnet_lite0 "
    "--target true --method gradient -o saliency"
)
@flattened
def saliency(
    *,
    repo: Repo,
    model: Models,
    out: Out,
    rows: RowOptions,
    attribution: AttributionOptions,
    report: SaliencyReportOptions,
    feed: FeedOptions,
    as_json: JsonOption = False,
) -> None:
    """Measure how far saliency lies on the figure, by model and class, with intervals, bars and overlays."""
    images = _open(repo, rows, feed)
    from figureground.exports.analyses.saliency_report import SaliencyRequest, analyse_saliency

    settings = attribution.settings(feed.batch_size)
    request = SaliencyRequest(
        settings=settings,
        bootstrap=report.bootstrap,
        seed=report.seed,
        shown=report.shown,
        families=report.families,
        nulls=report.nulls(),
        null_format=report.null_format,
    )
    models = [_load(spec, feed.network) for spec in model]
    with progress_bar() as show:
        result = analyse_saliency(images, models, request, out, progress=show)
    emit(result, as_json=as_json, text=f"{_means_text(result)}\n{out}: {', '.join(result['files'])}, saliency.json")


@analyze.command(
    epilog="Examples: figureground analyze worst in9 --model timm:resnet50.a1_in1k -o worst\n\n"
    "figureground analyze worst in9 --model timm:resnet50.a1_in1k --by true -k 8 -o worst"
)
@flattened
def worst(
    *,
    repo: Repo,
    model: Models,
    out: Out,
    rows: RowOptions,
    lists: ListOptions,
    attribution: AttributionOptions,
    feed: FeedOptions,
    as_json: JsonOption = False,
) -> None:
    """List and draw the images of each class on which a model looks least, and most, at the figure."""
    images = _open(repo, rows, feed)
    from figureground.exports.analyses.spurious import find_spurious

    settings = attribution.settings(feed.batch_size)
    models = [_load(spec, feed.network) for spec in model]
    with progress_bar() as show:
        result = find_spurious(images, models, settings, out, k=lists.k, grouping=lists.by, progress=show)
    emit(result, as_json=as_json, text=f"{out}: {', '.join(result['files'])}, worst.json")


@analyze.command(
    epilog="Examples: figureground analyze probe in9 --model timm:resnet50.a1_in1k -o heads/resnet50.safetensors\n\n"
    "figureground analyze probe in9 --model timm:resnet50.a1_in1k --config only_fg -o heads/resnet50-fg.safetensors\n\n"
    "figureground evaluate in9 --model figureground.exports.analyses.probe:head=heads/resnet50.safetensors"
)
@flattened
def probe(
    *,
    repo: Repo,
    model: Model,
    out: Annotated[Path, typer.Option("--out", "-o", help="File of the head, .safetensors.")],
    options: ProbeOptions,
    feed: ForwardFeedOptions,
    as_json: JsonOption = False,
) -> None:
    """Train a linear head for the dataset's classes on a frozen backbone; the test split is not opened."""
    _require_extra()
    from figureground.exports.analyses.probe_training import ProbeRequest, train_probe
    from figureground.exports.evaluation.dataset import open_repository

    request = ProbeRequest(
        repository=open_repository(repo, options.revision),
        config=options.config,
        train_split=options.train_split,
        validation_split=options.validation_split,
        limit=feed.limit,
        batch_size=feed.batch_size,
        device=feed.network.device,
        precision=feed.network.precision,
        workers=feed.network.workers,
    )
    with progress_bar() as show:
        record = train_probe(request, model, options.settings(), out, progress=show)
    best = record.validation_accuracy[record.chosen_epoch - 1]
    text = f"{out}: epoch {record.chosen_epoch} of {record.epochs}, class-mean accuracy {best:.3f} on validation"
    emit(record.model_dump(mode="json"), as_json=as_json, text=text)


@analyze.command(
    epilog="Examples: figureground analyze heads in9 --model timm:resnet50.a1_in1k -o heads\n\n"
    "figureground analyze heads in9 --model timm:resnet50.a1_in1k --train original,mixed_rand,only_fg "
    "--test original,mixed_same,mixed_rand,only_bg_t -o heads\n\n"
    "figureground evaluate in9 --model figureground.exports.analyses.probe:head=heads/mixed_rand.safetensors"
)
@flattened
def heads(
    *,
    repo: Repo,
    model: Model,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for table, plot, heads and features.")],
    options: HeadsOptions,
    feed: ForwardFeedOptions,
    as_json: JsonOption = False,
) -> None:
    """Train linear heads on some variants and test each on all, on one frozen backbone: a train x test table."""
    _require_extra()
    from figureground.exports.analyses.heads.crossing import train_heads
    from figureground.exports.analyses.heads.drawing import format_crossing
    from figureground.exports.analyses.heads.splits import HeadsRequest
    from figureground.exports.evaluation.dataset import open_repository

    request = HeadsRequest(
        repository=open_repository(repo, options.revision),
        train=_names(options.train),
        test=_names(options.test),
        train_split=options.train_split,
        validation_split=options.validation_split,
        test_split=options.test_split,
        bootstrap=options.bootstrap,
        limit=feed.limit,
        batch_size=feed.batch_size,
        device=feed.network.device,
        precision=feed.network.precision,
        workers=feed.network.workers,
    )
    with progress_bar() as show:
        result = train_heads(request, model, options.settings(), out, progress=show)
    files = ", ".join(result["heads"][train]["file"] for train in result["train"])
    emit(result, as_json=as_json, text=f"{format_crossing(result)}\n{out}: {files}, heads.json, heads.txt, heads.png")


def _names(text: str | None) -> tuple[str, ...] | None:
    """Names parted by commas; None for None."""
    return None if text is None else tuple(name.strip() for name in text.split(",") if name.strip())


@analyze.command(
    epilog="Example: figureground analyze features rival --model timm:resnet50.a1_in1k --split validation -o features"
)
@flattened
def features(
    *,
    repo: Repo,
    model: Model,
    out: Out,
    rows: RowOptions,
    k: Annotated[int, typer.Option("-k", min=1, help="Top images of each unit.")] = 10,
    layer: Layer = None,
    feed: ForwardFeedOptions,
    as_json: JsonOption = False,
) -> None:
    """Compare where penultimate units are active with the masks of attributes."""
    images = _open(repo, rows, feed)
    from figureground.exports.analyses.feature_report import attribute_features

    with progress_bar() as show:
        result = attribute_features(
            images, _load(model, feed.network), out, k=k, layer=layer, batch_size=feed.batch_size, progress=show
        )
    best = {name: region["best_units"][0] for name, region in result["regions"].items() if region["best_units"]}
    lines = [f"{name}: unit {unit['unit']}, IoU {unit['mean_iou']:.2f}" for name, unit in best.items()]
    emit(result, as_json=as_json, text="\n".join([*lines, f"{out}: {', '.join(result['files'])}, features.json"]))


@analyze.command(
    epilog="Example: figureground analyze spuriosity in9 --model timm:resnet50.a1_in1k --split train -o ranks"
)
@flattened
def spuriosity(
    *,
    repo: Repo,
    model: Model,
    out: Out,
    rows: RowOptions,
    units: UnitOptions,
    feed: ForwardFeedOptions,
    as_json: JsonOption = False,
) -> None:
    """Rank the images of each class by how much of its spurious features they show."""
    images = _open(repo, rows, feed)
    from figureground.exports.analyses.nulls.displaced import describe_nulls
    from figureground.exports.analyses.spuriosity import SpuriositySettings, rank_spuriosity

    settings = SpuriositySettings(
        top_n=units.top_n, k=units.k, shown=units.shown, layer=units.layer, batch_size=feed.batch_size
    )
    with progress_bar() as show:
        result = rank_spuriosity(images, _load(model, feed.network), settings, out, progress=show)
    lines = []
    for name, ranking in result["classes"].items():
        spurious = ranking["spurious_units"]
        lines.append(f"{name}: {f'spurious units {spurious}' if spurious else 'no spurious feature'}")
    lines.append(describe_nulls(result["model"], result["beyond_null"], ("precision",)))
    emit(result, as_json=as_json, text="\n".join([*lines, f"{out}: {', '.join(result['files'])}, spuriosity.json"]))


@analyze.command(
    epilog="Examples: figureground analyze conflict scores -o conflict\n\n"
    "figureground analyze conflict scores -o conflict --least 25 --format pdf"
)
def conflict(
    *,
    results: Annotated[list[Path], typer.Argument(help="Result files of evaluate --out, or folders of them.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for tables, JSON and pictures.")],
    least: Annotated[int, typer.Option(min=1, help="Images below which a group is pooled, or marked.")] = 10,
    picture_format: Annotated[Literal["png", "svg", "pdf"], typer.Option("--format", help="Of the pictures.")] = "png",
    as_json: JsonOption = False,
) -> None:
    """Tell whether figure or ground wins where their classes differ: bias, attraction, worst group; no model runs."""
    from figureground.exports.report.conflict import readings as stored

    readings = stored.read_conflicts(results, least=least)
    files = stored.write_conflicts(readings, out, picture_format=picture_format)
    written = {"folder": str(out), "files": files, **stored.conflicts_json(readings)}
    first = [files[0], *[name for name in files if ".bias." in name][:1]]
    emit(written, as_json=as_json, text=f"{stored.describe_conflicts(readings)}\n{summarise_files(out, files, first)}")
