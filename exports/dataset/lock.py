"""recipe.lock.json: what a dataset was made of and by, in numbers and versions."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from PIL import features as pillow_features
from pydantic import Field

from figureground.build.planning.plan import Plan
from figureground.build.recipes.pixel_rules import PIXEL_RULES
from figureground.exports.dataset.inputs import BuildRequest, Design
from figureground.exports.dataset.locked.parts import LockedPolicy, LockedSizes, LockPart, locked_sizes
from figureground.schemas.classes import from_imagenet_train
from figureground.schemas.documents import read_document, validate_document
from figureground.schemas.features import row_layout
from figureground.schemas.rasters.png import PNG_ENCODER
from figureground.schemas.recipes import RuleName
from figureground.schemas.records import AGREEING_PROPOSALS, ObjectRecord, PhotoRef, PlanRow, SourceRow, canonical_json
from figureground.schemas.terms import source_terms

_PIXEL_PACKAGES: Final = ("deflate", "numpy", "opencv-python-headless", "pillow", "pyarrow", "pycocotools")
_PIXEL_LIBRARIES: Final = ("jpg", "zlib", "webp")


class Environment(LockPart):
    """What may make pixels or file bytes differ between two machines."""

    figureground: str
    """Version."""
    png: dict[str, Any]
    """The encoder of every image and its settings."""
    packages: dict[str, str]
    """Python package to version."""
    libraries: dict[str, str]
    """Library that Pillow decodes with to version; ``none`` where it lacks it."""


class LockedRelease(LockPart):
    """The frozen release that a dataset was built from."""

    version: str
    """Name of the release, such as ``v1``."""
    sha256: str
    """SHA-256 of its file."""


class LockedSource(LockPart):
    """A source that pixels come from."""

    photos: int
    """How many of its photos are shown."""
    licence: str
    """As the maintainer named it; empty where they did not."""
    restricted: str
    """Why its pixels may not be passed on; empty where nothing is known against it."""
    said: bool = False
    """Whether its maintainer said in as many words that they may, or may not; locks of earlier days do not tell."""


class LockedOrigin(LockPart):
    """Who made some of the masks that were imported, as whoever imported them says."""

    text: str
    """Who made them and how, in one line."""
    machine: bool
    """Whether a machine did."""
    objects: int
    """Objects of rows that have such a mask."""


class LockedAgreement(LockPart):
    """How many machine masks another segmenter's agree with."""

    min_iou: float
    """IoU from which two masks agree."""
    objects: int
    """Objects whose mask is a proposal that was compared with another segmenter's."""
    agreeing: int
    """Those of them whose IoU is ``min_iou`` or more."""


class LockedGroups(LockPart):
    """Photos that show one scene: of a video, a burst, a photographer."""

    groups: int
    """How many groups there are."""
    objects: int
    """Objects whose photo is in one of them."""


class LockedTextures(LockPart):
    """The photos that rows take their textures from."""

    source: str
    """Name of the source that they are of."""
    photos: int
    """How many there are."""
    sha256: str
    """SHA-256 over the NUL-joined SHA-256 of the photos, sorted."""


class LockedEarlier(LockPart):
    """The version that a dataset follows."""

    recipe: str
    """``name@version``."""
    release: str
    """Version of the frozen release that it was built from."""
    manifest_sha256: str
    """SHA-256 of its manifest.json."""


class LockedInputs(LockPart):
    """What decides the rows, by SHA-256 over canonical JSON: equal digests, equal content."""

    recipe: str
    """The recipe as it was used, with its licence, description and ``pixels``; without the names of other files."""
    class_map: str
    attributes: str
    """The attribute schema; the digest of none where there is none."""
    plan: str
    """Every row: its key, seed, donor and parameters."""


class RecipeLock(Environment):
    """Content of recipe.lock.json: no time, no path, nothing that differs between two runs of the same build."""

    recipe: str
    """``name@version``."""
    rules: RuleName
    seed: int
    """Seed of the recipe."""
    draws: int
    """Donors of each row of a donor variant."""
    pixel_rules: int = 1
    """Version of the program's rules for pixels (``build.recipes.pixel_rules``); locks without it are of the first."""
    row_layout: int = 1
    """Version of the columns of rows (``schemas.features``); locks without it are of the first."""
    release: LockedRelease
    inputs: LockedInputs | None = None
    """None in datasets of earlier days, which are taken for no other build's."""
    quotas: dict[str, int]
    """Class name to objects, in the order of the classes where the lock was just made."""
    balanced: bool
    """Whether every class that has objects has equally many."""
    objects: int
    """Objects that rows are of."""
    objects_in_release: int
    """Objects of the frozen release."""
    refused: dict[str, int]
    """Reason to objects of the release that are left out."""
    refused_total: int
    """Sum over all reasons."""
    states: dict[str, int]
    """``accepted``, ``consensus``, ``machine_import``, ``unreviewed`` or ``unmasked`` to objects."""
    unreviewed: int
    """Objects whose mask is a machine's, proposed here or imported, that nobody reviewed."""
    segmenters: tuple[str, ...]
    """Names of the segmenters that proposed those masks, sorted."""
    origins: tuple[LockedOrigin, ...] | None = None
    """Origins of the masks that were imported, by text; None where none was, and in datasets of earlier days."""
    agreement: LockedAgreement | None = None
    """None where no mask was compared with another segmenter's, and in datasets of earlier days."""
    groups: LockedGroups | None = None
    """None where no photo is in a group, and in datasets of earlier days."""
    sources: dict[str, LockedSource] = Field(default_factory=dict)
    """Source by name."""
    effective_n: LockedSizes | None = None
    """None in datasets of earlier days."""
    splits: dict[str, int] | None = None
    """Split to objects; None where the recipe does not divide photos."""
    imagenet_train: int | None = None
    """Photos with file names of ImageNet-1k's training part; None where there are none."""
    textures: LockedTextures | None = None
    attribute_schema: str | None = None
    """Name of the recipe's attribute schema; None where it has none."""
    annotation: dict[str, Any] | None = None
    """How the masks came about, in numbers, as ``annotation_summary`` gives them; None where that is not known."""
    follows: LockedEarlier | None = None
    """The version that came before, where the dataset was built as the next one."""

    @property
    def environment(self) -> Environment:
        """The software alone."""
        return Environment.model_validate({name: getattr(self, name) for name in Environment.model_fields})

    def policy(self, *, where: str) -> LockedPolicy | None:
        """The policy that the release was frozen by; None where it was by none.

        Raises:
            DataError: for what is none, in the lock of a stranger; ``where`` is its name in errors.
        """
        value = (self.annotation or {}).get("policy")
        return None if value is None else validate_document(value, LockedPolicy, where=where)

    @property
    def recipe_version(self) -> str:
        """The version in ``recipe``."""
        return self.recipe.rpartition("@")[2]

    def to_dict(self) -> dict[str, Any]:
        """What the file holds, without what is None."""
        return {name: value for name, value in self.model_dump().items() if value is not None}

    def to_json(self) -> str:
        """Text of the file: equal locks, equal bytes."""
        return json.dumps(self.to_dict(), indent=1, sort_keys=True) + "\n"


def read_lock(path: Path) -> RecipeLock:
    """Read a lock.

    Raises:
        UsageError: if there is no such file.
        DataError: with everything that is not as in a lock.
    """
    return read_document(path, RecipeLock)


def make_lock(request: BuildRequest, plan: Plan, *, follows: LockedEarlier | None = None) -> RecipeLock:
    """The lock of a build.

    Args:
        request: What is built.
        plan: Its rows.
        follows: The earlier version, where there is one.
    """
    design, release = request.design, request.release
    records = [measured.record for measured in plan.objects.values()]
    unreviewed = [record for record in records if record.state in ("machine_import", "unreviewed")]
    groups = locked_groups(records)
    refused = Counter(refusal.reason for refusal in plan.refusals)
    recipe = design.recipe
    return RecipeLock(
        **dict(environment()),
        recipe=f"{recipe.name}@{recipe.version}",
        rules=design.rules,
        seed=recipe.seed,
        draws=design.draws,
        pixel_rules=PIXEL_RULES,
        row_layout=row_layout(grouped=groups is not None),
        release=LockedRelease(version=release.version, sha256=release.sha256),
        inputs=lock_inputs(design, plan.rows),
        quotas=plan.class_counts,
        balanced=plan.balanced,
        objects=len(records),
        objects_in_release=len(release.records),
        refused=dict(sorted(refused.items())),
        refused_total=refused.total(),
        states=dict(sorted(Counter(record.state for record in records).items())),
        unreviewed=len(unreviewed),
        segmenters=tuple(sorted({record.segmenter for record in unreviewed} - {""})),
        origins=locked_origins(records) or None,
        agreement=_agreement(records),
        groups=groups,
        sources=_sources(plan, request.photos.sources),
        effective_n=locked_sizes(plan, design),
        splits=split_counts(plan, recipe.split_names) if recipe.splits is not None else None,
        imagenet_train=sum(from_imagenet_train(record.uri) for record in records) or None,
        textures=_textures(plan, recipe.textures or ""),
        attribute_schema=recipe.attributes if recipe.attributes != "none" else None,
        annotation=dict(release.annotation) or None,
        follows=follows,
    )


def lock_inputs(design: Design, rows: Iterable[PlanRow]) -> LockedInputs:
    """Digests of what decides the rows of a build."""
    # Where class map and attributes lie is nothing that a dataset is made of.
    recipe = design.recipe.model_dump(mode="json", exclude={"class_map", "attributes"}, exclude_defaults=True)
    plan = hashlib.sha256()
    for row in rows:
        plan.update(repr((tuple(row.key), row.seed, row.ground_id, row.params)).encode())
    return LockedInputs(
        recipe=_digest(recipe),
        class_map=_digest(design.classes.model_dump(mode="json")),
        attributes=_digest(design.attributes.model_dump(mode="json")),
        plan=plan.hexdigest(),
    )


def _digest(value: Any) -> str:  # noqa: ANN401  any JSON value
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def locked_origins(records: Iterable[ObjectRecord]) -> tuple[LockedOrigin, ...]:
    """Origins of imported masks with the number of their objects, by text; a consensus is nobody's mask alone."""
    imported = [record for record in records if record.origin and record.state != "consensus"]
    counts = Counter((record.origin, record.state == "machine_import") for record in imported)
    return tuple(
        LockedOrigin(text=text, machine=machine, objects=count) for (text, machine), count in sorted(counts.items())
    )


def locked_groups(records: Iterable[ObjectRecord]) -> LockedGroups | None:
    """The groups of some objects' photos; None where none of them is in one."""
    scenes = [record.scene for record in records if record.scene is not None]
    return LockedGroups(groups=len(set(scenes)), objects=len(scenes)) if scenes else None


def _agreement(records: Iterable[ObjectRecord]) -> LockedAgreement | None:
    ious = [record.agreement_iou for record in records if record.agreement_iou is not None]
    agreeing = sum(iou >= AGREEING_PROPOSALS for iou in ious)
    return LockedAgreement(min_iou=AGREEING_PROPOSALS, objects=len(ious), agreeing=agreeing) if ious else None


def split_counts(plan: Plan, names: Sequence[str]) -> dict[str, int]:
    """Objects of each split, in the order of ``names``."""
    counts = Counter(plan.splits.values())
    return {name: counts[name] for name in names}


def _textures(plan: Plan, source: str) -> LockedTextures | None:
    if not plan.textures:
        return None
    digest = hashlib.sha256("\0".join(sorted(photo.sha256 for photo in plan.textures.values())).encode())
    return LockedTextures(source=source, photos=len(plan.textures), sha256=digest.hexdigest())


def _sources(plan: Plan, sources: Mapping[str, SourceRow]) -> dict[str, LockedSource]:
    """Every source that pixels come from, with its photos and its terms."""
    uris: dict[str, list[str]] = defaultdict(list)
    labels: dict[str, set[str]] = defaultdict(set)
    for measured in plan.objects.values():
        labels[measured.record.source].add(measured.record.label)
    photos: list[ObjectRecord | PhotoRef] = [measured.record for measured in plan.objects.values()]
    for photo in [*photos, *plan.textures.values()]:
        uris[photo.source].append(photo.uri)
    return {
        name: LockedSource(photos=len(set(own)), **asdict(source_terms(sources[name], own, labels[name])))
        for name, own in sorted(uris.items())
        if name in sources
    }


def environment() -> Environment:
    """The software of this machine that touches pixels."""
    return Environment(
        figureground=version("figureground"),
        png=dict(PNG_ENCODER),
        packages={name: version(name) for name in _PIXEL_PACKAGES},
        libraries={name: pillow_features.version(name) or "none" for name in _PIXEL_LIBRARIES},
    )


def environment_differences(before: Environment, after: Environment) -> tuple[str, ...]:
    """Software that touches pixels and is not of one version in two environments, a line each."""
    lines = []
    for then, now in ((before.packages, after.packages), (before.libraries, after.libraries)):
        lines += [
            f"{name} {then.get(name)} there, {now.get(name)} here"
            for name in sorted({*then, *now})
            if then.get(name) != now.get(name)
        ]
    return tuple(lines)
