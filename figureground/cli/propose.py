"""``figureground propose``: masks by machine; ``figureground sheet``: accept or reject them in any browser."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from figureground.annotate.proposals.prompts import PromptMode
from figureground.annotate.segmenters.loading import SEGMENTER_NAMES
from figureground.cli.options import DeviceOptions, JsonOption, ModelEngineOptions, WorkspaceOption, verb
from figureground.console import counts_text, emit, progress_bar, reported_faults


@dataclass(frozen=True, kw_only=True)
class ProposalOptions:
    """Which photos get masks, which model makes them, and how it is asked."""

    source: Annotated[list[str] | None, typer.Option(help="Photos of this source only, once for each.")] = None
    limit: Annotated[
        int | None, typer.Option(min=1, help="Most photos of this run; the next one goes on with the rest.")
    ] = None
    segmenter: Annotated[str, typer.Option(help=f"Model: {', '.join(SEGMENTER_NAMES)}.")] = "mobile-sam"
    checkpoint: Annotated[
        str | None, typer.Option(help="File, folder or name of the weights; figureground checkpoints lists the names.")
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
    "figureground propose -w work --source dogs --limit 200\n\n"
    "figureground propose -w work --segmenter sam --checkpoint sam_vit_b --prompt box\n\n"
    "figureground propose -w work --segmenter sam3 --prompt text --class-map imagenet9\n\n"
    "figureground propose -w work --segmenter sam2 --prompt text --boxes-by grounding-dino --synonyms words.csv\n\n"
    "figureground propose -w work --segmenter sam --device cuda --precision bfloat16\n\n"
    "figureground propose -w work --segmenter sam --engine ray --ray-address head:6379 --ray-gpus 1"
)
def propose(
    *,
    workspace: WorkspaceOption,
    options: ProposalOptions,
    by_name: TextOptions,
    network: DeviceOptions,
    engine: ModelEngineOptions,
    as_json: JsonOption = False,
) -> None:
    """Propose masks by machine; photos that are done already are skipped, so a killed run goes on."""
    from figureground.annotate.proposals.class_texts import ClassTexts
    from figureground.annotate.proposals.proposing import ProposalScope, ProposalSettings
    from figureground.annotate.segmenters.loading import ModelChoice
    from figureground.annotate.verbs import propose as run

    model = ModelChoice(
        segmenter=options.segmenter,
        checkpoint=options.checkpoint,
        threads=options.threads,
        embeddings=options.embeddings,
        device=network.device,
        precision=network.precision,
        boxes_by=by_name.boxes_by or "",
        boxes_checkpoint=by_name.boxes_checkpoint,
        most_embeddings_gb=options.embeddings_gb,
    )
    texts = ClassTexts.of(template=by_name.template, class_map=by_name.class_map, synonyms=by_name.synonyms)
    settings = ProposalSettings(prompt_mode=options.prompt, keep=options.keep, grid_side=options.grid, texts=texts)
    scope = ProposalScope(sources=tuple(options.source or ()), limit=options.limit)
    with progress_bar() as show:
        report = run(workspace, model, settings=settings, scope=scope, engine=engine.choice(), progress=show)
    text = f"{report.masks} masks for {report.images} photos, {report.already_done} done before"
    text += f", {report.left} left for later runs" if report.left else ""
    text += f"\nphotos without an annotated box: asked by {report.boxes_by}" if report.boxes_by else ""
    rejected = f"\nwithout a mask: {counts_text(report.rejected)}" if report.rejected else ""
    emit(report, as_json=as_json, text=text + rejected)


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
