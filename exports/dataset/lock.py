"""recipe.lock.json: quotas, and the versions of everything that touches pixels."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any, Final

from PIL import features as pillow_features

from figureground.build.planning.plan import Plan
from figureground.schemas.classes import from_imagenet_train
from figureground.schemas.rasters.png import PNG_ENCODER
from figureground.schemas.recipes import Recipe, RuleName
from figureground.schemas.records import ObjectRecord, PhotoRef, SourceRow
from figureground.schemas.terms import source_terms

_PIXEL_PACKAGES: Final = ("deflate", "numpy", "opencv-python-headless", "pillow", "pyarrow", "pycocotools")
_PIXEL_LIBRARIES: Final = ("jpg", "zlib", "webp")


def make_lock(
    plan: Plan,
    recipe: Recipe,
    rules: RuleName,
    records: Sequence[ObjectRecord],
    *,
    sources: Mapping[str, SourceRow],
    draws: int,
) -> dict[str, Any]:
    """The lock of a build: no time, no path, nothing that differs between two runs of the same."""
    taken = [candidate.record for candidate in plan.objects.values()]
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
        "sources": _sources(plan, sources),
        "states": dict(sorted(Counter(record.state for record in taken).items())),
        "unreviewed": len(unreviewed),
        "segmenters": sorted({record.segmenter for record in unreviewed}),
    }


def _sources(plan: Plan, sources: Mapping[str, SourceRow]) -> dict[str, Any]:
    """Every source that pixels come from, with its photos and its terms."""
    uris: dict[str, list[str]] = defaultdict(list)
    photos: list[ObjectRecord | PhotoRef] = [candidate.record for candidate in plan.objects.values()]
    for photo in [*photos, *plan.textures.values()]:
        uris[photo.source].append(photo.uri)
    return {
        name: {"photos": len(set(found)), **asdict(source_terms(sources[name], found))}
        for name, found in sorted(uris.items())
        if name in sources
    }


def environment() -> dict[str, Any]:
    """What may make pixels or file bytes differ between two machines."""
    return {
        "figureground": version("figureground"),
        "png": dict(PNG_ENCODER),
        "packages": {name: version(name) for name in _PIXEL_PACKAGES},
        "libraries": {name: pillow_features.version(name) or "none" for name in _PIXEL_LIBRARIES},
    }


def environment_differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """Software that touches pixels and is not of one version in two locks, a line each."""
    told = []
    for part in ("packages", "libraries"):
        then, now = before.get(part, {}), after.get(part, {})
        told += [
            f"{name} {then.get(name)} there, {now.get(name)} here"
            for name in sorted({*then, *now})
            if then.get(name) != now.get(name)
        ]
    return tuple(told)
