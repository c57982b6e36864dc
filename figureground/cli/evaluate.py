"""``figureground evaluate``: classifiers scored on a dataset repository.

Its options come from the table from which the published file's are made too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from figureground.cli.options import JsonOption, ModelEngineOptions, verb
from figureground.console import emit, progress_bar, say
from figureground.errors import UsageError, shell_word
from figureground.exports.evaluation.models import MODEL_SPECS
from figureground.exports.evaluation.options import OUT, Option
from figureground.exports.evaluation.protocols.registry import PROTOCOLS, option_owners
from figureground.exports.evaluation.results import format_table
from figureground.exports.evaluation.scoring import check_models
from figureground.exports.evaluation.scoring import evaluate as evaluate_model


def _field(option: Option, owners: tuple[str, ...]) -> tuple[str, Any, Any]:
    """Name, type and default of an option: numbers as numbers, several words as one text with commas."""
    default, kind = None if option.several else option.default, int if option.kind is int else str
    names = sorted(protocol.name for protocol in PROTOCOLS) if option.name == "protocol" else option.choices
    choices = f" {' or '.join(names)}." if names and not option.several else ""
    about = f"{', '.join(owners)}: {option.help}{choices}" if owners else f"{option.help}{choices}"
    least = typer.Option(help=about, min=option.least if kind is int else None)
    return option.name, Annotated[kind if default is not None else kind | None, least], default


def _value(option: Option, word: Any) -> Any:  # noqa: ANN401  whatever the option holds
    """What a word of the command line stands for; the default where it was left out."""
    if word is None:
        return option.default
    return option.parse(word) if option.several else word


ScoringWords = dataclasses.make_dataclass(
    "ScoringWords", [_field(option, owners) for option, owners in option_owners().values()], frozen=True, kw_only=True
)
"""Options of the table, as the command line gives them."""


@verb(
    "Examples: figureground evaluate in9 --model timm:resnet50.a1_in1k --model onnx:my.onnx -o scores\n\n"
    "figureground evaluate in9 --model timm:resnet50.a1_in1k --device cuda --precision bfloat16\n\n"
    "figureground evaluate rival --noise sigma --trials 3 --mask-grow 0,5,-5 --model timm:deit_small_patch16_224\n\n"
    "figureground evaluate in9 --challenge reference,exact --model timm:resnet50.a1_in1k -o scores\n\n"
    "figureground evaluate a-plus --cluster class --model timm:convnext_base.fb_in1k -o scores\n\n"
    "figureground evaluate in9 --model hf:google/siglip2-base-patch16-224 --model hf:openai/clip-vit-base-patch32\n\n"
    "figureground evaluate in9 --model open_clip:ViT-B-16/laion2b_s34b_b88k --model chat:llava-hf/llava-1.5-7b-hf\n\n"
    "figureground evaluate in9 --model torchvision:resnet50/IMAGENET1K_V2 --model hf:facebook/deit-tiny-patch16-224\n\n"
    "figureground evaluate in9 --models models.yaml -o scores\n\n"
    "figureground evaluate in9 --model figureground.exports.evaluation.classifiers:efficientnet_lite0\n\n"
    "figureground evaluate ORG/in9 --revision v1.0 --engine ray --ray-address auto --model timm:resnet50.a1_in1k"
)
def evaluate(
    *,
    repository: Annotated[str, typer.Argument(help="Folder of a dataset repository, or its id on the Hub.")],
    model: Annotated[list[str] | None, typer.Option(help=f"{MODEL_SPECS}; may be repeated.")] = None,
    models: Annotated[
        Path | None, typer.Option(help="YAML that lists models, as report takes it; none stops another.")
    ] = None,
    out: Annotated[Path | None, typer.Option(*OUT.flags, help=OUT.help)] = None,
    eval_results_yaml: Annotated[
        Path | None, typer.Option(help="File for the Hub's eval results; of one model, on a dataset on the Hub.")
    ] = None,
    scoring: ScoringWords,  # type: ignore[valid-type]  # made from the table
    engine: ModelEngineOptions,
    as_json: JsonOption = False,
) -> None:
    """Score classifiers on a dataset repository, with intervals."""
    if bool(model) == (models is not None):
        raise UsageError("which models? Give --model, once for each, or --models with a file that lists them")
    if eval_results_yaml is not None and len(model or ()) != 1:
        raise UsageError("eval results are of one model: give one --model")
    options: Any = {name: _value(option, vars(scoring)[name]) for name, (option, _) in option_owners().items()}
    files: Any = {"out": out, "eval_results_yaml": eval_results_yaml}
    choice = engine.choice()
    if models is not None:
        from figureground.exports.zoo import evaluate_zoo

        with progress_bar() as show:
            zoo = evaluate_zoo(repository, models, choice=choice, out=out, progress=show, notice=say, **options)
        listed = {"results": zoo.results, "failures": [dataclasses.asdict(failure) for failure in zoo.failures]}
        emit(listed, as_json=as_json, text=format_table(zoo.results))
        _name_next(zoo.results, out, as_json=as_json)
        zoo.raise_if_any()
        return
    model = list(dict.fromkeys(model or []))
    if choice.kind == "ray":
        from figureground.exports.evaluation.on_ray import evaluate_on_ray

        with progress_bar() as show:
            results = evaluate_on_ray(repository, model, choice, progress=show, **files, **options)
    else:
        results = []
        check_models(repository, model, **options)
        try:
            for name in model:
                with progress_bar() as show:
                    results.append(evaluate_model(repository, name, progress=show, **files, **options))
        except Exception:
            if results:  # what is done is not lost with what is not
                emit({"results": results}, as_json=as_json, text=format_table(results))
            raise
    emit({"results": results}, as_json=as_json, text=format_table(results))
    _name_next(results, out, as_json=as_json)


def _name_next(results: Sequence[Mapping[str, Any]], out: Path | None, *, as_json: bool) -> None:
    """Say what to type next where results were stored: a table of a hundred rows is no way to read them."""
    if results and out is not None and not as_json:
        say(f"charts, tables and what they say, on one page: figureground report {shell_word(out)} -o report")
