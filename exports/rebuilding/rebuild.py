"""Rebuilding: a release without pixels, and the photos that somebody has, into the very same pixels."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from figureground.build.planning.plan import Plan
from figureground.build.planning.plan_files import read_plan
from figureground.build.planning.selection import class_counts, select_objects
from figureground.build.recipes.loading import load_recipe
from figureground.errors import DataError, Fault, Faults, UsageError
from figureground.exports.dataset.building import BuildRequest, make_repository
from figureground.exports.dataset.changes import read_changelog
from figureground.exports.dataset.files import ATTRIBUTES, CLASS_MAP, LOCK, OBJECTS, PLAN, RECIPE, REFUSED
from figureground.exports.dataset.lock import environment, environment_differences
from figureground.exports.dataset.verify import read_manifest, require_files
from figureground.exports.rebuilding.drift import DriftedRow, find_drift, require_within
from figureground.exports.rebuilding.found_photos import FoundPhotos, find_photos
from figureground.runtime.files import write_text
from figureground.runtime.progress import Progress
from figureground.schemas.attributes import load_attribute_schema
from figureground.schemas.classes import load_class_map
from figureground.schemas.recipes import Recipe
from figureground.schemas.records import ObjectRecord, PhotoRef, PlanRow, SourceRow
from figureground.schemas.sources.opening import PhotoSource
from figureground.schemas.store.releases import read_release

_NEEDED: Final = (RECIPE, LOCK, CLASS_MAP, OBJECTS, PLAN)
_KEPT: Final = (OBJECTS, REFUSED, "report/coverage.csv", "report/gates.json", "report/attributes.csv")

Photo = TypeVar("Photo", ObjectRecord, PhotoRef)


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingPhoto:
    """A photo that rows needed and nobody had."""

    image_id: str
    sha256: str
    rows: int
    """Rows that are left out for want of it."""
    other_version: str
    """Where a photo of its name lies that has other bytes; empty where there is none."""
    got_sha256: str
    """SHA-256 of that one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuildReport:
    """What was rebuilt; also ``report/rebuild.json``."""

    folder: str
    rows: int
    """Rows that were made."""
    rows_of_release: int
    photos: int
    """Photos that were found."""
    photos_read: int
    missing: tuple[MissingPhoto, ...]
    drifted: tuple[DriftedRow, ...]
    """Rows whose pixels are not those of the release, and were taken."""
    environment_differs: tuple[str, ...]
    """Software that touches pixels and is not of the release's version."""


def rebuild_dataset(
    release: Path,
    sources: Sequence[PhotoSource],
    folder: Path,
    *,
    workers: int = 1,
    tolerance: int | None = None,
    progress: Progress = lambda *_: None,
) -> RebuildReport:
    """Make the rows of a release from photos, with their images; killed and called again, it goes on where it was.

    Rows whose photos are not all there are left out and named; the rest is made.

    Args:
        release: Folder of a dataset repository, with pixels or without.
        sources: Where the photos lie.
        folder: The repository to make.
        workers: Processes; never changes a byte.
        tolerance: Keep rows whose pixels differ from the release's if their block means differ by so many grey levels
            at most, [0, 255]. Only other versions of the libraries that decode and resize can make them differ: their
            photos are equal byte for byte. None to keep no such row.
        progress: Called with (stage, done, total).

    Raises:
        UsageError: if ``folder`` exists, or no photo is there.
        DataError: if the release is damaged, or rows drifted further than is tolerated.
    """
    if folder.exists():
        raise UsageError(f"{folder} exists; give another folder with -o, or delete it")
    require_files(release, read_manifest(release), _NEEDED)
    lock = json.loads((release / LOCK).read_text(encoding="utf-8"))
    request, textures = _request(release, lock, workers)
    rows, objects = read_plan(release / PLAN), {record.object_id: record for record in request.records}
    found = find_photos(_wanted(request.records, textures), sources, progress)
    kept = [row for row in rows if _photos_of(row, objects, textures) <= set(found.places)]
    if not kept:
        where = ", ".join(source.name for source in sources)
        raise UsageError(f"none of {len(rows)} rows can be made: not all photos of any row are in {where}")
    request = replace(
        request,
        records=tuple(_placed(record, found) for record in request.records if record.sha256 in found.places),
        sources={source.name: _source_row(source) for source in sources},
    )
    there = {key: _placed(each, found) for key, each in textures.items() if each.sha256 in found.places}
    plan = _plan(request, kept, there)
    told: list[RebuildReport] = []

    def finish(partial: Path) -> None:
        drifted, differs = find_drift(release, partial), environment_differences(lock, environment())
        require_within(drifted, tolerance, differs)
        for name in _KEPT:  # what a rebuild cannot know: names of photos, what was refused
            if (release / name).is_file():
                shutil.copyfile(release / name, partial / name)
        told.append(
            RebuildReport(
                folder=folder.name,
                rows=len(kept),
                rows_of_release=len(rows),
                photos=len(found.places),
                photos_read=found.read,
                missing=_missing(rows, objects, textures, found),
                drifted=tuple(drifted),
                environment_differs=differs,
            )
        )
        write_text(partial / "report" / "rebuild.json", json.dumps(asdict(told[0]), indent=1, sort_keys=True) + "\n")

    make_repository(request, plan, (), _lock(lock, plan, request), folder, progress=progress, finish=finish)
    return told[0]


def _request(release: Path, lock: Mapping[str, Any], workers: int) -> tuple[BuildRequest, dict[str, PhotoRef]]:
    """What the release was built from, and its textures by image_id; nothing is placed yet."""
    recipe = load_recipe(str(release / RECIPE))
    _require_own_files(release, recipe)
    version, records = read_release(release / OBJECTS)
    textures = {}
    for row in read_plan(release / PLAN):
        if row.texture_id:
            told = json.loads(row.params)["texture"]
            textures[row.texture_id] = PhotoRef(image_id=row.texture_id, source="", uri="", sha256=told["sha256"])
    request = BuildRequest(
        recipe=recipe.model_copy(update={"pixels": True}),
        classes=load_class_map(recipe.class_map),
        attributes=load_attribute_schema(recipe.attributes),
        records=records,
        release_version=version,
        release_sha256=lock["release"]["sha256"],
        sources={},
        annotation=lock.get("annotation", {}),
        changelog=tuple(read_changelog(release)),
        rules=lock["rules"],
        draws=lock["draws"],
        workers=workers,
    )
    return request, textures


def _require_own_files(release: Path, recipe: Recipe) -> None:
    """A recipe that came with a release names the files beside it, and no others of this machine."""
    faults = Faults()
    for what, named, own in (
        ("class_map", recipe.class_map, [str(release / CLASS_MAP)]),
        ("attributes", recipe.attributes, ["none", str(release / ATTRIBUTES)]),
    ):
        if named not in own:
            faults.add(str(release / RECIPE), what, expected=Path(own[-1]).name, got=named)
    faults.raise_if_any()


def _lock(released: Mapping[str, Any], plan: Plan, request: BuildRequest) -> dict[str, Any]:
    """The release's lock with what is here and what was made; equal where all is there and the software is the same."""
    made = {**released, **environment(), "quotas": plan.class_counts, "objects": len(plan.objects)}
    if "splits" in released:
        divided = Counter(plan.splits.values())
        made["splits"] = {name: divided[name] for name in request.recipe.split_names}
    return made


def _wanted(records: Sequence[ObjectRecord], textures: Mapping[str, PhotoRef]) -> dict[str, str]:
    """SHA-256 of every photo to the digest of its name; textures have none."""
    return {each.sha256: "" for each in textures.values()} | {record.sha256: record.uri for record in records}


def _photos_of(row: PlanRow, objects: Mapping[str, ObjectRecord], textures: Mapping[str, PhotoRef]) -> set[str]:
    """SHA-256 of the photos that a row shows."""
    shown = {objects[name].sha256 for name in (row.object_id, row.ground_id) if name}
    return shown | ({textures[row.texture_id].sha256} if row.texture_id else set())


def _placed(record: Photo, found: FoundPhotos) -> Photo:
    place = found.places[record.sha256]
    return replace(record, source=place.source, uri=place.uri)


def _source_row(source: PhotoSource) -> SourceRow:
    return SourceRow(name=source.name, kind=source.kind, locator=source.locator, options=dict(source.options))


def _plan(request: BuildRequest, rows: Sequence[PlanRow], textures: dict[str, PhotoRef]) -> Plan:
    """The rows that can be made, with what rendering needs of their objects.

    Raises:
        DataError: if an object does not pass the release's own recipe any more.
    """
    used = {name for row in rows for name in (row.object_id, row.ground_id) if name}
    records = [record for record in request.records if record.object_id in used]
    objects, refusals = select_objects(records, request.recipe, request.recipe.rules[request.rules], request.classes)
    if refusals:
        remedy = "rebuild with the figureground that recipe.lock.json names"
        raise DataError(
            Fault(
                where=OBJECTS, record=each.object_id, expected="an object of the recipe", got=each.reason, remedy=remedy
            )
            for each in refusals
        )
    return Plan(
        rows=tuple(rows),
        objects={measured.object_id: measured for measured in objects},
        refusals=(),
        class_counts=class_counts(objects, request.classes),
        splits={row.object_id: row.split for row in rows},
        vanished=(),
        textures=textures,
    )


def _missing(
    rows: Sequence[PlanRow], objects: Mapping[str, ObjectRecord], textures: Mapping[str, PhotoRef], found: FoundPhotos
) -> tuple[MissingPhoto, ...]:
    counts = Counter(sha256 for row in rows for sha256 in _photos_of(row, objects, textures) - set(found.places))
    others = {each.sha256: each for each in found.changed}
    return tuple(
        MissingPhoto(
            image_id=sha256[:32],
            sha256=sha256,
            rows=count,
            other_version=f"{others[sha256].place.source}: {others[sha256].place.uri}" if sha256 in others else "",
            got_sha256=others[sha256].got_sha256 if sha256 in others else "",
        )
        for sha256, count in sorted(counts.items())
    )
