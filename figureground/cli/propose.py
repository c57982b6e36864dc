"""``figureground propose``: masks by machine; ``figureground sheet``: accept or reject them in any browser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from figureground.annotate.proposals.prompts import PromptMode
from figureground.annotate.segmenters.loading import SEGMENTER_NAMES, UNPROMPTED
from figureground.cli.options import (
    DeviceOptions,
    JsonOption,
    ModelEngineOptions,
    WorkspaceOption,
    refuse_options,
    verb,
)
from figureground.console import emit, progress_bar, reported_faults
from figureground.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class ProposalOptions:
    """Which photos get masks, which model makes them, and how it is asked."""

    source: Annotated[list[str] | None, typer.Option(help="Photos of this source only, once for each.")] = None
    limit: Annotated[
        int | None, typer.Option(min=1, help="Most photos of this run; the next one goes on with the rest.")
    ] = None
    segmenter: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=WEIGHTS]",
            help=f"Model: {', '.join(SEGMENTER_NAMES)}; once for each, and a rule ranks the masks of several; best for "
            "those that are installed. Default: mobile-sam.",
        ),
    ] = None
    checkpoint: Annotated[
        str | None,
        typer.Option(
            help="File, folder or name of the weights, as figureground checkpoints lists; of several models with "
            "NAME=WEIGHTS."
        ),
    ] = None
    prompt: Annotated[PromptMode, typer.Option(help="How the model is asked.")] = "auto"
    keep: Annotated[int, typer.Option(min=1, help="Most candidates kept for a photo.")] = 3
    grid: Annotated[int, typer.Option(min=1, help="Points on each side of the grid prompt.")] = 16
    threads: Annotated[int | None, typer.Option(min=1, help="Threads inside the model.")] = None
    embeddings: Annotated[
        Path | None,
        typer.Option(help="Folder that keeps SAM's embeddings (4 to 25 MB a photo) for runs with other prompts."),
    ] = None
    embeddings_gb: Annotated[
        float, typer.Option(min=0.001, help="Most gigabytes of that folder; what was used longest ago goes first.")
    ] = 20.0


@dataclass(frozen=True, kw_only=True)
class TriageOptions:
    """How many masks of several models may be skimmed."""

    no_correction_iou: Annotated[
        float, typer.Option(help="IoU with a person's mask from which a mask needs no correction: 0.8, 0.9 or 0.95.")
    ] = 0.9
    risk: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the skimmed masks that may need a correction.")
    ] = 0.05


@dataclass(frozen=True, kw_only=True)
class TextOptions:
    """How things are asked for by name."""

    boxes_by: Annotated[
        Literal["grounding-dino", "owlv2"] | None,
        typer.Option(help="What finds boxes by text, in front of the segmenter; SAM 3 takes texts itself."),
    ] = None
    boxes_checkpoint: Annotated[str | None, typer.Option(help="Folder, name or Hub repository of its weights.")] = None
    template: Annotated[str, typer.Option(help="The text, with {} where the class's name stands.")] = "{}"
    class_map: Annotated[
        str | None, typer.Option(help="Ask for the class names of this map, not for ImageNet's or the labels.")
    ] = None
    synonyms: Annotated[
        Path | None, typer.Option(help="CSV with the columns label and text: further names, asked for too.")
    ] = None


@verb(
    "Examples: figureground propose -w work --segmenter mobile-sam --prompt auto\n\n"
    "figureground propose -w work --segmenter best\n\n"
    "figureground propose -w work --segmenter saliency --segmenter grabcut --segmenter sam2=sam2.1_large\n\n"
    "figureground propose -w work --source dogs --limit 200\n\n"
    "figureground propose -w work --segmenter sam --checkpoint sam_vit_b --prompt box\n\n"
    "figureground propose -w work --segmenter sam3 --prompt text --class-map imagenet9\n\n"
    "figureground propose -w work --segmenter sam2 --prompt text --boxes-by grounding-dino --synonyms words.csv\n\n"
    "figureground propose -w work --segmenter sam --device cuda --precision bfloat16\n\n"
    "figureground propose -w work --segmenter sam --engine ray --ray-address head:6379 --ray-gpus 1"
)
def propose(
    context: typer.Context,
    *,
    workspace: WorkspaceOption,
    options: ProposalOptions,
    by_name: TextOptions,
    skimming: TriageOptions,
    network: DeviceOptions,
    engine: ModelEngineOptions,
    as_json: JsonOption = False,
) -> None:
    """Propose masks by machine; photos that are done already are skipped, so a killed run goes on.

    Of several models all masks are stored, a rule ranks those of each photo, and the report says how many may be
    skimmed.
    """
    from figureground.annotate.proposals.class_texts import ClassTexts
    from figureground.annotate.proposals.proposing import ProposalScope, ProposalSettings
    from figureground.annotate.proposals.triage import TriageSettings
    from figureground.annotate.segmenters.loading import ModelChoice
    from figureground.annotate.verbs import propose as run

    models = _models(options)
    _refuse_idle(context, options, [name for name, _ in models])
    choices = [
        ModelChoice(
            segmenter=name,
            checkpoint=weights or options.checkpoint,
            threads=options.threads,
            embeddings=options.embeddings,
            device=network.device,
            precision=network.precision,
            boxes_by=by_name.boxes_by or "",
            boxes_checkpoint=by_name.boxes_checkpoint,
            most_embeddings_gb=options.embeddings_gb,
        )
        for name, weights in models
    ]
    texts = ClassTexts.of(template=by_name.template, class_map=by_name.class_map, synonyms=by_name.synonyms)
    settings = ProposalSettings(prompt_mode=options.prompt, keep=options.keep, grid_side=options.grid, texts=texts)
    scope = ProposalScope(sources=tuple(options.source or ()), limit=options.limit)
    triage = TriageSettings(min_iou=skimming.no_correction_iou, risk=skimming.risk)
    with reported_faults(as_json=as_json), progress_bar() as show:
        report = run(
            workspace, choices, settings=settings, scope=scope, engine=engine.choice(), triage=triage, progress=show
        )
    emit(report, as_json=as_json, text=str(report))


_OF_TEXTS: Final = ("template", "class_map", "synonyms", "boxes_checkpoint")


def _refuse_idle(context: typer.Context, options: ProposalOptions, models: Sequence[str]) -> None:
    """Refuse what models that are asked so do not read.

    Raises:
        UsageError: for such an option.
    """
    from figureground.annotate.proposals.running import BEST

    if options.prompt not in ("text", "auto"):
        refuse_options(context, _OF_TEXTS, f"with --prompt {options.prompt}, which asks for nothing by name")
    elif options.prompt == "auto" and set(models) <= set(UNPROMPTED):
        refuse_options(context, _OF_TEXTS, f"on {' and '.join(models)}, asked for nothing by name")
    if options.prompt != "grid":
        refuse_options(context, ["grid"], f"with --prompt {options.prompt}")
    if options.embeddings is None:
        refuse_options(context, ["embeddings_gb"], "without --embeddings")
    if len(models) == 1 and models[0] != BEST:
        refuse_options(context, ["no_correction_iou", "risk"], "on one model, whose masks nothing ranks")


def _models(options: ProposalOptions) -> list[tuple[str, str | None]]:
    """Name and weights of every model that is asked for.

    Raises:
        UsageError: for weights of one model where several are asked for, or that are named twice.
    """
    pairs = [text.partition("=") for text in options.segmenter or ["mobile-sam"]]
    if options.checkpoint is not None and (len(pairs) > 1 or pairs[0][1]):
        raise UsageError("--checkpoint is of one model: name weights with --segmenter NAME=WEIGHTS")
    if any(equals and not weights for _, equals, weights in pairs):
        raise UsageError("--segmenter NAME=WEIGHTS names no weights after the sign")
    return [(name, weights or None) for name, _, weights in pairs]


@verb("Examples: figureground checkpoints\n\nfigureground checkpoints --json")
def checkpoints(*, as_json: JsonOption = False) -> None:
    """List the weights that --checkpoint knows by name: size, licence, gate, and what their files are held to."""
    from figureground.annotate.segmenters.checkpoint_listing import list_checkpoints

    listed = list_checkpoints()
    emit({"checkpoints": listed}, as_json=as_json, text="\n".join(map(str, listed)))


sheet = typer.Typer(
    name="sheet",
    no_args_is_help=True,
    help="A sheet of machine masks to accept or reject in any browser, without Label Studio.",
)


@sheet.command(
    epilog="Examples: figureground sheet make -w work -o sheet\n\n"
    "figureground sheet make -w work -o sheet --segmenter saliency --limit 100"
)
def make(
    *,
    workspace: WorkspaceOption,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the pages to make.")],
    segmenter: Annotated[str | None, typer.Option(help="Whose masks: NAME or NAME:PROMPT.")] = None,
    source: Annotated[list[str] | None, typer.Option(help="Photos of this source only, once for each.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Most photos, the most uncertain first.")] = None,
    per_page: Annotated[int, typer.Option(min=1, help="Photos on a page.")] = 200,
    as_json: JsonOption = False,
) -> None:
    """Write pages of photos with their machine masks, the most uncertain first; each is one file, to open anywhere."""
    from figureground.annotate.sheet.making import SheetRequest, make_sheet
    from figureground.schemas.store.workspace import Workspace

    request = SheetRequest(segmenter=segmenter, sources=tuple(source or ()), limit=limit, photos_a_page=per_page)
    with reported_faults(as_json=as_json), Workspace.open(workspace) as store, progress_bar() as show:
        report = make_sheet(store, out, request, progress=show)
    emit(report, as_json=as_json, text=str(report))


@sheet.command(epilog="Example: figureground sheet read decisions-*.json -w work")
def read(
    files: Annotated[list[Path], typer.Argument(help="What pages of a sheet downloaded.")],
    workspace: WorkspaceOption,
    as_json: JsonOption = False,
) -> None:
    """Store what people decided on a sheet: accepted masks as they are, rejected ones for a second look."""
    from figureground.annotate.sheet.reading import read_decisions
    from figureground.schemas.store.workspace import Workspace

    with reported_faults(as_json=as_json), Workspace.open(workspace) as store:
        report = read_decisions(store, files)
    emit(report, as_json=as_json, text=str(report))
