"""Build, publish and score datasets that tell how much a classifier looks at the object and how much at the rest.

All that a user needs is here; docs/python.md walks the whole path. A name is imported from where it is defined when it
is first asked for, so ``import figureground`` itself loads next to nothing.
"""

from __future__ import annotations

from importlib import import_module as _import_module

TYPE_CHECKING = False  # what typing says, without importing it; type checkers take the name for true
if TYPE_CHECKING:
    from figureground import metrics
    from figureground.annotate.agreement.report import AgreementReport
    from figureground.annotate.catalogue import IndexReport
    from figureground.annotate.freeze import FreezeReport
    from figureground.annotate.lint.checking import LintOptions
    from figureground.annotate.lint.linting import LintReport
    from figureground.annotate.proposals.proposing import ProposalSettings
    from figureground.annotate.proposals.reports import ProposalReport
    from figureground.annotate.segmenters.loading import ModelChoice
    from figureground.annotate.verbs import SourceReading, agree, freeze, index, lint, propose
    from figureground.build.recipes.loading import load_recipe
    from figureground.errors import DataError, Fault, FigureGroundError, MissingExtraError, ServiceError, UsageError
    from figureground.exports.dataset.building import BuildReport
    from figureground.exports.dataset.folder import DatasetFolder
    from figureground.exports.dataset.inputs import Machines
    from figureground.exports.dataset.lock import RecipeLock
    from figureground.exports.dataset.opening import open_dataset
    from figureground.exports.dataset.request import BuildOptions, build
    from figureground.exports.dataset.verify import VerifyReport
    from figureground.exports.evaluation.adapters import Adapter
    from figureground.exports.evaluation.model_files.torch_models import TorchAdapter
    from figureground.exports.evaluation.models import load_model
    from figureground.exports.evaluation.scoring import evaluate
    from figureground.exports.evaluation.values import EvaluationError
    from figureground.exports.publishing.plan import PublishPlan, PublishRequest
    from figureground.exports.publishing.publish import PublishReport
    from figureground.exports.rebuilding.rebuild import RebuildReport
    from figureground.exports.verbs import Published, export, publish, rebuild, report, report_build, verify
    from figureground.gallery import View, view
    from figureground.runtime.engines import EngineChoice
    from figureground.schemas.attributes import AttributeSchema, load_attribute_schema
    from figureground.schemas.classes import ClassMap, load_class_map
    from figureground.schemas.rasters.masks import Box, CocoRle, Mask
    from figureground.schemas.recipes import Recipe
    from figureground.schemas.records import ImageRecord, ObjectRecord
    from figureground.schemas.store.releases import read_release
    from figureground.schemas.store.workspace import Workspace, open_workspace

__version__: str
__all__ = [
    "Adapter",
    "AgreementReport",
    "AttributeSchema",
    "Box",
    "BuildOptions",
    "BuildReport",
    "ClassMap",
    "CocoRle",
    "DataError",
    "DatasetFolder",
    "EngineChoice",
    "EvaluationError",
    "Fault",
    "FigureGroundError",
    "FreezeReport",
    "ImageRecord",
    "IndexReport",
    "LintOptions",
    "LintReport",
    "Machines",
    "Mask",
    "MissingExtraError",
    "ModelChoice",
    "ObjectRecord",
    "ProposalReport",
    "ProposalSettings",
    "PublishPlan",
    "PublishReport",
    "PublishRequest",
    "Published",
    "RebuildReport",
    "Recipe",
    "RecipeLock",
    "ServiceError",
    "SourceReading",
    "TorchAdapter",
    "UsageError",
    "VerifyReport",
    "View",
    "Workspace",
    "agree",
    "build",
    "evaluate",
    "export",
    "freeze",
    "index",
    "lint",
    "load_attribute_schema",
    "load_class_map",
    "load_model",
    "load_recipe",
    "metrics",
    "open_dataset",
    "open_workspace",
    "propose",
    "publish",
    "read_release",
    "rebuild",
    "report",
    "report_build",
    "verify",
    "view",
]

_HOMES = {
    "figureground.annotate.agreement.report": ("AgreementReport",),
    "figureground.annotate.catalogue": ("IndexReport",),
    "figureground.annotate.freeze": ("FreezeReport",),
    "figureground.annotate.lint.checking": ("LintOptions",),
    "figureground.annotate.lint.linting": ("LintReport",),
    "figureground.annotate.proposals.proposing": ("ProposalSettings",),
    "figureground.annotate.proposals.reports": ("ProposalReport",),
    "figureground.annotate.segmenters.loading": ("ModelChoice",),
    "figureground.annotate.verbs": ("SourceReading", "agree", "freeze", "index", "lint", "propose"),
    "figureground.build.recipes.loading": ("load_recipe",),
    "figureground.errors": (
        "DataError",
        "Fault",
        "FigureGroundError",
        "MissingExtraError",
        "ServiceError",
        "UsageError",
    ),
    "figureground.exports.dataset.building": ("BuildReport",),
    "figureground.exports.dataset.folder": ("DatasetFolder",),
    "figureground.exports.dataset.inputs": ("Machines",),
    "figureground.exports.dataset.lock": ("RecipeLock",),
    "figureground.exports.dataset.opening": ("open_dataset",),
    "figureground.exports.dataset.request": ("BuildOptions", "build"),
    "figureground.exports.dataset.verify": ("VerifyReport",),
    "figureground.exports.evaluation.adapters": ("Adapter",),
    "figureground.exports.evaluation.model_files.torch_models": ("TorchAdapter",),
    "figureground.exports.evaluation.models": ("load_model",),
    "figureground.exports.evaluation.scoring": ("evaluate",),
    "figureground.exports.evaluation.values": ("EvaluationError",),
    "figureground.exports.publishing.plan": ("PublishPlan", "PublishRequest"),
    "figureground.exports.publishing.publish": ("PublishReport",),
    "figureground.exports.rebuilding.rebuild": ("RebuildReport",),
    "figureground.exports.verbs": ("Published", "export", "publish", "rebuild", "report", "report_build", "verify"),
    "figureground.gallery": ("View", "view"),
    "figureground.runtime.engines": ("EngineChoice",),
    "figureground.schemas.attributes": ("AttributeSchema", "load_attribute_schema"),
    "figureground.schemas.classes": ("ClassMap", "load_class_map"),
    "figureground.schemas.rasters.masks": ("Box", "CocoRle", "Mask"),
    "figureground.schemas.recipes": ("Recipe",),
    "figureground.schemas.records": ("ImageRecord", "ObjectRecord"),
    "figureground.schemas.store.releases": ("read_release",),
    "figureground.schemas.store.workspace": ("Workspace", "open_workspace"),
}
"""Module to the names that come from it: the imports above, said again for the interpreter; a test compares them."""

# The verb and the folder of its stage have one name. The folder holds no code: imported now, it binds that name here
# once, and no later import of a module in it does so again.
_import_module("figureground.build")
del globals()["build"]


if not TYPE_CHECKING:  # or type checkers would believe that every name is here

    def __getattr__(name: str) -> object:
        """A name of ``__all__``, imported from its home; PEP 562."""
        if name == "__version__":
            value = _import_module("importlib.metadata").version("figureground")
        elif name == "metrics":
            value = _import_module("figureground.metrics")
        elif home := next((module for module, names in _HOMES.items() if name in names), ""):
            value = getattr(_import_module(home), name)
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """What is here, imported or not."""
    return sorted({*globals(), *__all__, "__version__"})
