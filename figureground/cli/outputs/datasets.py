"""Shapes of ``build``, ``recipe``, ``verify``, ``diff``, ``rebuild``, ``view``, ``export`` and ``publish``."""

from __future__ import annotations

from figureground.cli.outputs.printed import ABSENT, Output
from figureground.exports.dataset.building import BuildReport
from figureground.exports.dataset.changes import VersionChanges
from figureground.exports.dataset.verify import VerifyReport
from figureground.exports.layouts.coco import CocoLayout
from figureground.exports.layouts.imagenet9 import ImageNet9Layout
from figureground.exports.layouts.imagenet_a import ImageNetALayout
from figureground.exports.layouts.rival10 import LayoutReport
from figureground.exports.publishing.plan import PublishPlan
from figureground.exports.publishing.publish import PublishReport
from figureground.exports.rebuilding.rebuild import RebuildReport
from figureground.schemas.recipes import Recipe

Build = BuildReport | dict[str, str]
Verify = VerifyReport
Diff = VersionChanges
Rebuild = RebuildReport
Exported = ImageNet9Layout | ImageNetALayout | CocoLayout | LayoutReport
RecipeText = Recipe


class Publication(Output):
    """What publishing does, and what it did."""

    plan: PublishPlan
    report: PublishReport = ABSENT
    """Absent with ``--dry-run``."""


class View(Output):
    """A dataset that is served to a browser; printed before it is, so that a script may wait for it."""

    url: str
    """The page, with the token."""
    token: str
    """What a request has to bring."""
    dataset: str
    workspace: str
    """Where flags go; empty for nowhere."""
    rows: int
    photos: int
    pixels: bool
    """Whether the rows have images."""
    configs: list[str]
    splits: list[str]
    models: list[str]
    """Whose answers are shown."""
