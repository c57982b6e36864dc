"""recipe.lock.json: quotas, and the versions of everything that touches pixels."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Final

from PIL import features as pillow_features

from figureground.build.plan import Plan
from figureground.exports.shards import PNG_ENCODER
from figureground.schemas.classes import from_imagenet_train
from figureground.schemas.recipes import Recipe, RuleName
from figureground.schemas.records import ObjectRecord

_PIXEL_PACKAGES: Final = ("numpy", "opencv-python-headless", "pillow", "pyarrow", "pycocotools")
_PIXEL_LIBRARIES: Final = ("jpg", "zlib", "webp")


def make_lock(
    plan: Plan, recipe: Recipe, rules: RuleName, records: Sequence[ObjectRecord], *, draws: int
) -> dict[str, Any]:
    """The lock of a build: no time, no path, nothing that differs between two runs of the same."""
    taken = [candidate.record for candidate in plan.candidates.values()]
    unreviewed = [record for record in taken if record.state == "unreviewed"]
    refused = Counter(refusal.reason for refusal in plan.refusals)
    divided = Counter(plan.splits.values())
    more: dict[str, Any] = {}
    if recipe.splits is not None:
        more["splits"] = {name: divided[name] for name in recipe.split_names}
    if seen := sum(from_imagenet_train(record.uri) for record in taken):
        more["imagenet_train"] = seen
    if plan.textures:
        digest = hashlib.sha256("\0".join(sorted(each.sha256 for each in plan.textures.values())).encode()).hexdigest()
        more["textures"] = {"source": recipe.textures, "photos": len(plan.textures), "sha256": digest}
    if recipe.attributes != "none":
        more["attribute_schema"] = recipe.attributes
    return {
        **more,
        **environment(),
        "recipe": f"{recipe.name}@{recipe.version}",
        "rules": rules,
        "seed": recipe.seed,
        "draws": draws,
        "balanced": plan.balanced,
        "quotas": plan.class_counts,
        "objects": len(taken),
        "objects_in_release": len(records),
        "refused": dict(sorted(refused.items())),
        "refused_total": sum(refused.values()),
        "unreviewed": len(unreviewed),
        "segmenters": sorted({record.segmenter for record in unreviewed}),
    }


def environment() -> dict[str, Any]:
    """What may make pixels or file bytes differ between two machines."""
    return {
        "figureground": version("figureground"),
        "png": dict(PNG_ENCODER),
        "packages": {name: version(name) for name in _PIXEL_PACKAGES},
        "libraries": {name: pillow_features.version(name) or "none" for name in _PIXEL_LIBRARIES},
    }
