"""``figureground propose``: masks by machine, here or on Ray."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from figureground.annotate.proposals.prompts import UNPROMPTED, PromptMode
from figureground.annotate.segmenters.loading import SEGMENTER_NAMES
from figureground.cli.engines import EngineOption, RayAddressOption, RayGpusOption, engine_choice
from figureground.console import JsonOption, WorkspaceOption, counts_text, emit, progress_bar


def propose(
    workspace: WorkspaceOption,
    segmenter: Annotated[str, typer.Option(help=f"Model: {', '.join(SEGMENTER_NAMES)}.")] = "mobile-sam",
    checkpoint: Annotated[str | None, typer.Option(help="File, folder or name of the weights.")] = None,
    prompt: Annotated[PromptMode, typer.Option(help="How the model is asked.")] = "auto",
    keep: Annotated[int, typer.Option(min=1, help="Most candidates kept for a photo.")] = 3,
    grid: Annotated[int, typer.Option(min=1, help="Points on each side of the grid prompt.")] = 16,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads inside the model.")] = None,
    embeddings: Annotated[
        Path | None, typer.Option(help="Folder that keeps SAM's embeddings (4 MB a photo) for runs with other prompts.")
    ] = None,
    engine: EngineOption = "local",
    ray_address: RayAddressOption = "",
    ray_gpus: RayGpusOption = 0.0,
    as_json: JsonOption = False,
) -> None:
    """Propose masks by machine; photos that are done already are skipped, so a killed run goes on."""
    from figureground.annotate.proposals.proposing import ProposalReport, ProposalSettings
    from figureground.annotate.proposals.proposing import propose as run
    from figureground.annotate.segmenters.loading import ModelChoice, load_models
    from figureground.schemas.store.workspace import Workspace

    choice = engine_choice(engine, ray_address, gpus=ray_gpus)
    settings = ProposalSettings(prompt_mode=prompt, keep=keep, grid_side=grid)
    with Workspace.open(workspace) as store, progress_bar() as show:
        asked = prompt == "grid" or any(not image.boxes_xyxy_px for image in store.images())
        models = ModelChoice(
            segmenter=segmenter,
            checkpoint=checkpoint,
            with_saliency=asked and segmenter not in UNPROMPTED and prompt != "center",
            threads=threads,
            embeddings=embeddings,
        )

        def progress(done: int, total: int) -> None:
            show("propose", done, total)

        if choice.kind == "ray":
            from figureground.annotate.proposals.on_ray import propose_on_ray

            report: ProposalReport = propose_on_ray(store, models, settings, choice, progress=progress)
        else:
            model, saliency = load_models(models)
            report = run(store, model, settings, saliency=saliency, progress=progress)
    text = f"{report.masks} masks for {report.images} photos, {report.already_done} done before"
    rejected = f"\nwithout a mask: {counts_text(report.rejected)}" if report.rejected else ""
    emit(report, as_json=as_json, text=text + rejected)
