"""The shape of what each verb prints with ``--json``."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from figureground.cli.outputs import analyses, answers, datasets, installation, photos, scores, studio

OUTPUTS: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "index": photos.Index,
        "photos": photos.Photos,
        "duplicates": photos.Duplicates,
        "propose": photos.Proposals,
        "checkpoints": photos.Checkpoints,
        "import masks": photos.Imported,
        "import rival10": photos.Imported,
        "import coco": photos.ImportedCoco,
        "sheet make": photos.Sheet,
        "sheet read": photos.SheetDecisions,
        "agree": answers.Agreement,
        "lint": answers.Linted,
        "rims": answers.Rims,
        "policy": answers.Policies,
        "freeze": answers.Frozen,
        "forget": photos.Forgotten,
        "studio up": studio.Started,
        "studio down": studio.Stopped,
        "studio status": studio.Status,
        "studio push": studio.Pushed,
        "studio pull": studio.Pulled,
        "studio embeddings": studio.Embeddings,
        "build": datasets.Build,
        "recipe": datasets.RecipeText,
        "verify": datasets.Verify,
        "diff": datasets.Diff,
        "rebuild": datasets.Rebuild,
        "view": datasets.View,
        "export": datasets.Exported,
        "publish": datasets.Publication,
        "evaluate": scores.Evaluation,
        "report": scores.Files,
        "compare": scores.Compared,
        "plan-size": scores.SizePlan,
        "analyze saliency": analyses.Saliency,
        "analyze worst": analyses.Worst,
        "analyze probe": analyses.Probe,
        "analyze heads": analyses.Heads,
        "analyze features": analyses.Features,
        "analyze spuriosity": analyses.Spuriosity,
        "analyze conflict": analyses.Conflict,
        "human make": studio.Kit,
        "human push": studio.KitPushed,
        "human pull": studio.KitPulled,
        "human score": scores.HumanScores,
        "status": installation.Status,
        "doctor": installation.Doctor,
        "demo": installation.Demo,
    }
)
"""Verb, as it is typed, to a class or a union of some, in the order of ``figureground --help``."""
