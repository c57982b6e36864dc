"""Rebuilding: a release without pixels, and the photos that somebody has, into the very same pixels."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

from pydantic import TypeAdapter

from figureground.build.geometry.objects import MeasuredObject
from figureground.build.planning.plan import Plan
from figureground.build.planning.selection import class_counts, select_objects
from figureground.build.recipes.pixel_rules import PIXEL_RULES
from figureground.errors import DataError, Fault, Faults, UsageError
from figureground.exports.dataset.building import make_repository, require_same_build
from figureground.exports.dataset.files import (
    ATTRIBUTE_COUNTS,
    CLASS_MAP,
    COVERAGE,
    CROSSED,
    GATES,
    LOCK,
    MANIFEST,
    OBJECTS,
    PLAN,
    RECIPE,
    REFUSED,
)
from figureground.exports.dataset.folder import DatasetFolder
from figureground.exports.dataset.inputs import BuildRequest, Design, FrozenObjects, History, Machines, PhotoPlaces
from figureground.exports.dataset.lock import (
    RecipeLock,
    environment,
    environment_differences,
    lock_inputs,
    locked_groups,
    split_counts,
)
from figureground.exports.dataset.locked.parts import locked_sizes
from figureground.exports.dataset.planned import PlannedBuild
from figureground.exports.rebuilding.drift import DriftedRow, find_drift, require_within
from figureground.exports.rebuilding.photo_search import PhotoSearch, find_photos
from figureground.runtime.files import write_text
from figureground.runtime.folders import require_absent, settle
from figureground.runtime.progress import Progress
from figureground.schemas.attributes import load_attribute_schema
from figureground.schemas.classes import load_class_map
from figureground.schemas.features import row_layout
from figureground.schemas.records import ObjectRecord, PhotoRef, PlanRow, SourceRow
from figureground.schemas.sources.names import photo_name
from figureground.schemas.sources.opening import PhotoSource

_NEEDED: Final = (RECIPE, LOCK, CLASS_MAP, OBJECTS, PLAN)
_COPIED: Final = (OBJECTS, REFUSED, COVERAGE, CROSSED, GATES, ATTRIBUTE_COUNTS)
"""What a rebuild cannot know: names of photos, and what was refused."""
_REPORT: Final = "report/rebuild.json"

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
    """Name of the repository's folder, without the folders above it."""
    rows: int
    """Rows that were made."""
    rows_of_release: int
    """Rows that the release has."""
    photos: int
    """Photos of the release that were there."""
    photos_read: int
    """Photos that were read to look for them."""
    missing: tuple[MissingPhoto, ...]
    drifted: tuple[DriftedRow, ...]
    """Rows whose pixels are not those of the release, and were taken."""
    environment_differs: tuple[str, ...]
    """Software that touches pixels and is not of the release's version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Release:
    """What a release says of itself."""

    dataset: DatasetFolder
    request: BuildRequest
    """What it was built from; where its photos lie is not known."""
    rows: tuple[PlanRow, ...]
    """Every row of it."""
    textures: Mapping[str, PhotoRef]
    """Photos that rows take as their texture, by image_id; where they lie is not known."""
    objects: Mapping[str, ObjectRecord]
    """Objects of the rows by object_id."""

    def photos_of(self, row: PlanRow) -> set[str]:
        """SHA-256 of the photos that a row shows."""
        sha256s = {self.objects[name].sha256 for name in (row.object_id, row.ground_id) if name}
        return sha256s | ({self.textures[row.texture_id].sha256} if row.texture_id else set())

    def name_digests(self) -> dict[str, str]:
        """SHA-256 of every photo to the digest of its name; textures have none."""
        digests = {photo.sha256: "" for photo in self.textures.values()}
        return digests | {record.sha256: record.uri for record in self.request.release.records}


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
        UsageError: if ``folder`` holds anything else than this very rebuild, or no photo is there.
        DataError: if the release is damaged, or rows drifted further than is tolerated.
    """
    if not (folder / MANIFEST).is_file():
        require_absent(folder)
    released = _read_release(DatasetFolder.open(release), workers)
    search = find_photos(released.name_digests(), sources, progress)
    rows = [row for row in released.rows if released.photos_of(row) <= set(search.locations)]
    if not rows:
        names = ", ".join(source.name for source in sources)
        raise UsageError(f"none of {len(released.rows)} rows can be made: not all photos of any row are in {names}")
    build = _plan(released, rows, search, sources)
    if (folder / MANIFEST).is_file():
        require_same_build(folder, build)
        settle(folder)
        return _read_report(folder)
    report = RebuildReport(
        folder=folder.name,
        rows=len(rows),
        rows_of_release=len(released.rows),
        photos=len(search.locations),
        photos_read=search.read,
        missing=_missing(released, search),
        drifted=(),
        environment_differs=environment_differences(released.dataset.lock, environment()),
    )

    def finish(partial: Path) -> None:
        nonlocal report
        drifted = find_drift(released.dataset, DatasetFolder.unfinished(partial))
        require_within(drifted, tolerance, report.environment_differs)
        report = replace(report, drifted=tuple(drifted))
        _write_reports(release, partial, report)

    make_repository(build, folder, progress=progress, finish=finish)
    return report


def _write_reports(release: Path, partial: Path, report: RebuildReport) -> None:
    """Put the release's own reports and that of the rebuild into the unfinished repository."""
    for name in _COPIED:
        if (release / name).is_file():
            shutil.copyfile(release / name, partial / name)
    write_text(partial / _REPORT, json.dumps(asdict(report), indent=1, sort_keys=True) + "\n")


def _read_report(folder: Path) -> RebuildReport:
    """The report of a rebuild that was finished before.

    Raises:
        UsageError: if the folder holds none, and so is no rebuild.
    """
    try:
        return TypeAdapter(RebuildReport).validate_json((folder / _REPORT).read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder} exists and is no rebuild; give another folder with -o, or delete it") from error


def _read_release(dataset: DatasetFolder, workers: int) -> _Release:
    """What a release was built from.

    Raises:
        DataError: if it is damaged, or its recipe names other files of this machine.
    """
    dataset.require(_NEEDED)
    lock, recipe, rows = dataset.lock, dataset.recipe, dataset.plan_rows()
    version, records = dataset.objects()
    request = BuildRequest(
        design=Design(
            recipe=recipe.model_copy(update={"pixels": True}),
            classes=load_class_map(recipe.class_map),
            attributes=load_attribute_schema(recipe.attributes),
            rules=lock.rules,
            draws=lock.draws,
        ),
        release=FrozenObjects(
            version=version, sha256=lock.release.sha256, records=records, annotation=lock.annotation or {}
        ),
        photos=PhotoPlaces(sources={}),
        history=History(changelog=tuple(dataset.changelog())),
        machines=Machines(workers=workers),
    )
    return _Release(
        dataset=dataset,
        request=request,
        rows=rows,
        textures={row.texture_id: _texture(row) for row in rows if row.texture_id},
        objects={record.object_id: record for record in records},
    )


def _texture(row: PlanRow) -> PhotoRef:
    """The texture of a row, as its parameters name it."""
    sha256 = json.loads(row.params)["texture"]["sha256"]
    return PhotoRef(image_id=row.texture_id, source="", uri="", sha256=sha256)


def _plan(
    released: _Release, rows: Sequence[PlanRow], search: PhotoSearch, sources: Sequence[PhotoSource]
) -> PlannedBuild:
    """The rows that can be made, with what rendering needs of their objects.

    Raises:
        DataError: if an object does not pass the release's own recipe any more.
    """
    request, design = released.request, released.request.design
    locations = search.locations
    records = tuple(_locate(record, search) for record in request.release.records if record.sha256 in locations)
    request = replace(
        request,
        release=replace(request.release, records=records),
        photos=PhotoPlaces(sources={source.name: _source_row(source) for source in sources}),
    )
    used = {name for row in rows for name in (row.object_id, row.ground_id) if name}
    shown = [record for record in records if record.object_id in used]
    objects, refusals = select_objects(shown, design.recipe, design.rule_set, design.classes)
    if refusals:
        remedy = "rebuild with the figureground that recipe.lock.json names"
        expected = "an object of the recipe"
        raise DataError(
            Fault(where=OBJECTS, record=refusal.object_id, expected=expected, got=refusal.reason, remedy=remedy)
            for refusal in refusals
        )
    by_id = {measured.object_id: measured for measured in objects}
    _require_instances(rows, by_id, design)
    textures = released.textures
    plan = Plan(
        rows=tuple(rows),
        objects=by_id,
        refusals=(),
        class_counts=class_counts(objects, design.classes),
        splits={row.object_id: row.split for row in rows},
        vanished=(),
        textures={name: _locate(photo, search) for name, photo in textures.items() if photo.sha256 in locations},
    )
    lock = _lock(released.dataset.lock, plan, design)
    return PlannedBuild(request=request, plan=plan, findings=(), lock=lock)


def _require_instances(rows: Sequence[PlanRow], objects: Mapping[str, MeasuredObject], design: Design) -> None:
    """Check that rows of single instances are of instances that their objects have.

    Raises:
        DataError: with every row that is not.
    """
    faults = Faults()
    for row in rows:
        for view in {layer.view for layer in design.recipe.variants[row.variant].layers}:
            window, crops = design.rule_set.views[view].window, objects[row.object_id].crops.get(view, ())
            if window is not None and window.take == "each" and row.draw >= len(crops):
                faults.add(PLAN, str(row.key), expected=f"one of {len(crops)} instances", got=f"number {row.draw}")
    faults.raise_if_any()


def _lock(released: RecipeLock, plan: Plan, design: Design) -> RecipeLock:
    """The release's lock with what is here and what was made; equal where all is there and the software is the same.

    The recipe is written in words of the present pixel rules, so the lock names these.
    """
    counts = {
        "quotas": plan.class_counts,
        "objects": len(plan.objects),
        "inputs": lock_inputs(design, plan.rows) if released.inputs is not None else None,
    }
    groups = locked_groups(measured.record for measured in plan.objects.values())
    layout = {"row_layout": row_layout(grouped=groups is not None), "groups": groups}
    changes = {**dict(environment()), "pixel_rules": PIXEL_RULES, **layout, **counts}
    if released.effective_n is not None and len(plan.objects) < released.objects:
        changes["effective_n"] = locked_sizes(plan, design)
    if released.splits is not None:
        changes["splits"] = split_counts(plan, design.recipe.split_names)
    return released.model_copy(update=changes)


def _locate(photo: Photo, search: PhotoSearch) -> Photo:
    """The photo with the place where it lies here."""
    location = search.locations[photo.sha256]
    return replace(photo, source=location.source, uri=location.uri)


def _source_row(source: PhotoSource) -> SourceRow:
    return SourceRow(name=source.name, kind=source.kind, locator=source.locator, options=dict(source.options))


def _missing(released: _Release, search: PhotoSearch) -> tuple[MissingPhoto, ...]:
    """Photos that rows lack, with the number of the rows."""
    counts = Counter(sha256 for row in released.rows for sha256 in released.photos_of(row) - set(search.locations))
    others = {photo.sha256: photo for photo in search.changed}
    missing = []
    for sha256, count in sorted(counts.items()):
        other = others.get(sha256)
        missing.append(
            MissingPhoto(
                image_id=sha256[:32],
                sha256=sha256,
                rows=count,
                other_version=photo_name(other.location.source, other.location.uri) if other else "",
                got_sha256=other.got_sha256 if other else "",
            )
        )
    return tuple(missing)
