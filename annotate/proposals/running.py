"""Models run over a workspace: one segmenter as it is, or several whose masks a rule then ranks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Final

from figureground.annotate.photo_states import photos_to_annotate
from figureground.annotate.proposals.class_texts import ClassTexts
from figureground.annotate.proposals.fusion import fuse_photos
from figureground.annotate.proposals.proposing import ProposalScope, ProposalSettings, propose
from figureground.annotate.proposals.ranking import rank_photos
from figureground.annotate.proposals.ranking_rule import shipped_rule
from figureground.annotate.proposals.reports import ProposalReport
from figureground.annotate.proposals.triage import TriageSettings, triage
from figureground.annotate.segmenters.loading import (
    HUB_SAMS,
    UNPROMPTED,
    ModelChoice,
    best_sam,
    load_models,
    require_taker_of_texts,
    taker_of_texts,
)
from figureground.errors import DataError, Fault, UsageError
from figureground.runtime.devices import AUTO
from figureground.runtime.engines import EngineChoice
from figureground.runtime.progress import Progress
from figureground.schemas.records import CONSENSUS
from figureground.schemas.store.workspace import Workspace

BEST: Final = "best"
"""Stands for the saliency model, GrabCut and the best SAM, as far as they are installed."""
_ON_TORCH: Final = ("sam", *HUB_SAMS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalJob:
    """What models are asked, about which photos, and where they run."""

    workspace: Workspace
    settings: ProposalSettings
    scope: ProposalScope
    engine: EngineChoice | None
    """None for this process."""
    progress: Progress


def run_models(job: ProposalJob, choices: Sequence[ModelChoice], skimming: TriageSettings) -> ProposalReport:
    """Let one model propose; or several, one after the other, then fuse and rank their masks photo by photo.

    Raises:
        UsageError: as ``propose`` of ``annotate.verbs``; for a model that is named twice, or options of one model alone
            with several.
        DataError: at the end, with every photo that could not be read any more.
    """
    models = [model for choice in choices for model in _named(choice)]
    texts = job.settings.texts or ClassTexts()
    strange = texts.strange_synonyms(image.label for image in job.workspace.images()) if texts.synonyms else []
    if len(models) == 1 and len(choices) == 1:
        alone = run_model(job, models[0])
        alone.strange_synonyms = strange
        return alone
    _require_several(models)
    shipped_rule().reading(skimming.min_iou)  # an IoU that the rule does not know is refused before hours of work
    reports: dict[str, ProposalReport] = {}
    faults: dict[Fault, None] = {}
    for model in models:
        name = _title(model)
        try:
            reports[name] = run_model(_with_prompt_for(job, model), _fitting(model))
        except DataError as error:
            faults |= dict.fromkeys(error.faults)
            reports[name] = error.report if isinstance(error.report, ProposalReport) else ProposalReport()
    runs: dict[str, list[str]] = {}
    for report in reports.values():
        for image_id, run_id in report.runs.items():
            runs.setdefault(image_id, []).append(run_id)
    names = [model.segmenter for model in models]
    done = {image_id: ids for image_id, ids in runs.items() if len(ids) == len(names)}
    fused, lost = fuse_photos(job.workspace, done, job.settings.prompt_mode, progress=job.progress)
    faults |= dict.fromkeys(lost)
    if fused.runs:
        reports[CONSENSUS] = fused
    ranking = rank_photos(
        job.workspace, runs, segmenters=names, consensus=fused.runs, min_iou=skimming.min_iou, progress=job.progress
    )
    whole = ProposalReport.together(reports, ranking, triage(job.workspace, risk=skimming.risk))
    whole.strange_synonyms = strange
    if faults:
        raise DataError(list(faults), whole)
    return whole


def run_model(job: ProposalJob, choice: ModelChoice) -> ProposalReport:
    """Let one model propose, as it was chosen."""
    store = job.workspace
    choice, settings = _completed(store, choice, job.settings, job.scope)
    if job.engine is not None and job.engine.kind == "ray":
        from figureground.annotate.proposals.on_ray import propose_on_ray

        report = propose_on_ray(store, choice, settings, job.engine, scope=job.scope, progress=job.progress)
    else:
        segmenter, saliency = load_models(choice)
        report = propose(store, segmenter, settings, saliency=saliency, scope=job.scope, progress=job.progress)
    if settings.prompt_mode == "auto":
        named = (choice.boxes_by or choice.segmenter) if choice.by_text else ""
        report.boxes_by = named or ("saliency" if choice.with_saliency else "")
    return report


def _named(choice: ModelChoice) -> list[ModelChoice]:
    """The model, or those that ``best`` stands for on this machine."""
    if choice.segmenter != BEST:
        return [choice]
    if choice.checkpoint is not None:
        raise UsageError("best takes the default weights; leave the checkpoint out, or name the segmenters")
    models = [replace(choice, segmenter="grabcut")]
    if find_spec("onnxruntime") is not None:
        models.append(replace(choice, segmenter="saliency"))
    if (sam := best_sam()) is not None:
        models.append(replace(choice, segmenter=sam[0], checkpoint=sam[1]))
    return models


def _require_several(models: Sequence[ModelChoice]) -> None:
    names = Counter((model.segmenter, model.checkpoint) for model in models)
    twice = sorted({name for (name, _), count in names.items() if count > 1})
    if twice:
        raise UsageError(f"named twice: {', '.join(twice)}; name each segmenter, with each of its weights, once")
    if len(models) < 2:
        raise UsageError("a ranking is of the masks of two segmenters or more; name another one")


def _title(model: ModelChoice) -> str:
    return model.segmenter if model.checkpoint is None else f"{model.segmenter}={model.checkpoint}"


def _fitting(model: ModelChoice) -> ModelChoice:
    """One of several models with what it can use of the options that are given for all of them."""
    if model.segmenter == "grabcut":
        model = replace(model, device=AUTO)
    if model.segmenter not in _ON_TORCH:
        model = replace(model, precision="float32")
    if model.segmenter in (*UNPROMPTED, "grabcut"):
        model = replace(model, embeddings=None)
    if model.segmenter in UNPROMPTED:
        model = replace(model, boxes_by="", boxes_checkpoint=None)
    return model


def _with_prompt_for(job: ProposalJob, model: ModelChoice) -> ProposalJob:
    """The job with the prompt that one of several models takes: what looks at the whole photo takes no text."""
    if job.settings.prompt_mode == "text" and model.segmenter in UNPROMPTED:
        return replace(job, settings=replace(job.settings, prompt_mode="auto", texts=None))
    return job


def _completed(
    store: Workspace, choice: ModelChoice, settings: ProposalSettings, scope: ProposalScope
) -> tuple[ModelChoice, ProposalSettings]:
    """The models that the settings need, and the settings with the names of classes where these are asked for.

    The saliency model gives the prompts of a grid, and of photos without an annotated box; under ``auto`` what takes
    texts comes first.

    Raises:
        UsageError: for texts that nothing takes.
    """
    if settings.prompt_mode == "text":
        choice = replace(choice, by_text="alone")
        require_taker_of_texts(choice)
        return choice, replace(settings, texts=settings.texts or ClassTexts())
    if choice.boxes_by and settings.prompt_mode != "auto":
        raise UsageError(f"--boxes-by finds boxes by text: take --prompt text or auto, not {settings.prompt_mode}")
    if choice.segmenter in UNPROMPTED or settings.prompt_mode == "center":
        return choice, replace(settings, texts=None)
    photos = photos_to_annotate(store, scope.sources)
    bare = {image.label for image in photos if not image.boxes_xyxy_px}
    if settings.prompt_mode != "auto" or not bare:
        needed = settings.prompt_mode == "grid" or bool(bare)
        return replace(choice, with_saliency=needed, boxes_by=""), replace(settings, texts=None)
    texts, taker = settings.texts or ClassTexts(), choice.boxes_by or taker_of_texts(choice)
    if taker is None or not (choice.boxes_by or texts.cover(bare)):
        return replace(choice, with_saliency=True), replace(settings, texts=None)
    choice = replace(choice, by_text="too", boxes_by="" if taker == choice.segmenter else taker)
    return choice, replace(settings, texts=texts)
