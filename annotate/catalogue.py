"""The catalogue: every photo of a source measured once; the unusable ones reported by name, none of them fatal."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

from figureground.errors import DataError, Faults, ServiceError, UsageError, listed, printable
from figureground.runtime.processes import worker_pool
from figureground.runtime.progress import Progress
from figureground.schemas.rasters.photos import PhotoRejected, perceptual_hash, read_photo
from figureground.schemas.rasters.sizes import ORDER, spell_size
from figureground.schemas.records import DUPLICATE, ImageRecord
from figureground.schemas.sources.group_table import GROUP_COLUMN, read_groups
from figureground.schemas.sources.items import AMBIGUOUS, FILE_FAULT
from figureground.schemas.sources.names import PHOTO_ENDINGS, photo_name, same_names
from figureground.schemas.sources.opening import PhotoSource, SourceItem, count_passed_over
from figureground.schemas.store.workspace import Workspace
from figureground.schemas.terms import UNSTATED, source_terms

_BATCH: Final = 256  # photos in one transaction: what a killed run loses at most
_CHUNK: Final = 16  # photos that a worker is handed at a time, so that handing costs nothing
_IN_FLIGHT: Final = 4  # chunks a worker has ahead of it: bounds memory, hides a slow photo

_COMPARED: Final = 8  # photos that are compared to know a moved source from another one of the same name

_GROUP_TABLES: Final = (("labels", ()), ("groups", (GROUP_COLUMN,)))
"""Options of a source that name tables with groups, and the columns that these must have."""
_SHOWN: Final = 10
"""Rejections of one kind that a text spells out."""
_FOREIGN: Final = frozenset(
    {".arw", ".avif", ".cr2", ".cr3", ".dng", ".heic", ".heif", ".jp2", ".jxl", ".nef", ".orf", ".psd", ".raf", ".raw"}
)
"""Endings of pictures in formats that are not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A photo that is not catalogued."""

    source: str
    """Name of the source."""
    uri: str
    """Where the source keeps it."""
    reason: str
    """Stable code: those of ``PhotoRejected``, ``source_fault``, ``ambiguous_name``, ``file_fault``, ``size_mismatch``
    or ``label_conflict``."""
    detail: str
    """The rule that the photo breaks, and how."""


@dataclass(slots=True, kw_only=True)
class IndexReport:
    """Counts and rejections of one call of ``index_source``."""

    source: str
    """Name of the source."""
    added: int = 0
    """Photos that are new in the workspace."""
    already_there: int = 0
    """Photos that were catalogued before, duplicates of them included."""
    duplicates: int = 0
    """New files with the bytes and the label of a catalogued photo; one record stands for all of them."""
    rejections: list[Rejection] = field(default_factory=list)
    """Photos that cannot be used, in the order of the source; those of earlier runs too, if they are still bad."""
    flags: Counter[str] = field(default_factory=Counter)
    """Unusual but usable added photos by flag; ``exif_rotated`` for an orientation other than 1."""
    grouped: int = 0
    """Photos of the source that are in a group: of a video, a burst, a photographer."""
    groups: int = 0
    """Number of those groups."""
    passed_over: dict[str, int] = field(default_factory=dict)
    """Files that are no photos, by their ending, hidden ones, and columns that are not read."""
    alike: list[list[str]] = field(default_factory=list)
    """Labels that differ in capital letters alone."""
    terms: str = ""
    """The source's licence, and why its pixels may not be passed on; empty where nobody looked."""
    faults: Faults = field(default_factory=Faults)
    """What a person must settle: equal bytes under two labels, names that mean two things, files of many photos that
    cannot be read, and a source of which nothing can be used."""

    @property
    def rejected(self) -> dict[str, int]:
        """Number of rejected photos by reason, sorted."""
        return dict(sorted(Counter(rejection.reason for rejection in self.rejections).items()))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready fields."""
        return {
            "source": self.source,
            "added": self.added,
            "already_there": self.already_there,
            "duplicates": self.duplicates,
            "rejected": self.rejected,
            "rejections": [asdict(rejection) for rejection in self.rejections],
            "flags": dict(sorted(self.flags.items())),
            "grouped": self.grouped,
            "groups": self.groups,
            "passed_over": self.passed_over,
            "terms": self.terms,
            "warnings": self.warnings(),
            "faults": [str(fault) for fault in self.faults],
        }

    def warnings(self) -> list[str]:
        """Remarks for the person who indexes, one line each."""
        foreign = sum(count for ending, count in self.passed_over.items() if ending in _FOREIGN)
        formats = f"{foreign} files are pictures in formats that are not read: convert them to PNG or JPEG"
        lines = [formats] if foreign else []
        return lines + [f"labels that differ in capital letters alone: {listed(alike)}" for alike in self.alike]

    def __str__(self) -> str:
        """Counts, then the rejected photos by name, ten of a kind, then the warnings."""
        lines = [
            f"{self.source}: {self.added} photos added, {self.already_there} known before, "
            f"{self.duplicates} duplicates, {len(self.rejections)} rejected; "
            f"unusual but usable: {_counts(self.flags)}; passed over: {_counts(self.passed_over)}"
        ]
        lines += [f"  {self.grouped} of its photos are in {self.groups} groups"] if self.groups else []
        lines += [f"  licence: {self.terms}"] if self.terms else []
        kinds: dict[tuple[str, str], list[Rejection]] = {}
        for rejection in self.rejections:
            kinds.setdefault((rejection.reason, re.sub(r"\d+", "#", rejection.detail)), []).append(rejection)
        for alike in kinds.values():
            lines += [f"  {rejection.uri}: {rejection.reason} ({rejection.detail})" for rejection in alike[:_SHOWN]]
            lines += [f"  and {len(alike) - _SHOWN} more of this kind"] if len(alike) > _SHOWN else []
        return "\n".join(map(printable, [*lines, *(f"warning: {line}" for line in self.warnings())]))


def index_source(
    workspace: Workspace, source: PhotoSource, *, workers: int = 1, progress: Progress = lambda *_: None
) -> IndexReport:
    """Catalogue a source into a workspace; photos that are catalogued already are not read again.

    Photos that were rejected before are: they may have been mended, and if not, the report shall still name them.

    Args:
        workspace: Where the records go, a batch at a time; a killed run loses one batch at most.
        source: Where the photos lie; its path or Hub id is noted, so that a source that moved can be indexed again.
        workers: Processes that read and measure; only this process writes.
        progress: Called after every batch, and once where nothing was new.

    Returns:
        What was done. What a person must settle stands in ``faults``, for the caller to raise.

    Raises:
        UsageError: if the workspace knows other photos under this source's name.
        ServiceError: if the source cannot be reached any more; what was measured is stored.
    """
    _refuse_another_source(workspace, source)
    workspace.add_source(source.name, source.kind, source.locator, source.options)
    retried = {uri for name, uri, reason, _ in workspace.rejections() if name == source.name and reason != DUPLICATE}
    known = workspace.indexed_uris(source.name) - retried
    items = list(source)
    new = [item for item in items if item.uri not in known]
    report = IndexReport(source=source.name, passed_over=count_passed_over(source))
    report.already_there = done = len(items) - len(new)
    measured = measure_all(source, new, workers)
    while batch := list(islice(measured, _BATCH)):
        _store(workspace, batch, report)
        done += len(batch)
        progress("index", done, len(items))
    if not new:
        progress("index", done, len(items))
    _note_groups(workspace, source, items, report)
    report.alike = list(same_names(image.label for image in workspace.images() if image.source == source.name).values())
    if not (report.added or report.already_there or report.duplicates or len(report.faults)):
        report.faults.add(
            source.name,
            "",
            expected="at least one photo that can be used",
            got=f"{len(report.rejections)} rejected, passed over: {_counts(report.passed_over)}",
            remedy=_remedy(report),
        )
    return report


def terms_line(workspace: Workspace, source: str) -> str:
    """The licence of a source of the workspace, and what keeps its pixels from being passed on, for people."""
    photos = [image for image in workspace.images() if image.source == source]
    terms = source_terms(workspace.sources()[source], [p.uri for p in photos], [p.label for p in photos])
    if terms.restricted == UNSTATED:
        return "none stated, so publish will refuse these pixels; the same command with --licence TEXT states it"
    refused = f"; not to be passed on: {terms.restricted}" if terms.restricted else ""
    return f"{terms.licence or 'none stated'}{refused}"


def _note_groups(workspace: Workspace, source: PhotoSource, items: Sequence[SourceItem], report: IndexReport) -> None:
    """Store the groups of a source's photos, as its tables have them; those catalogued before get them too."""
    tables = [(source.options[key], required) for key, required in _GROUP_TABLES if key in source.options]
    read = [read_groups(Path(path), items, required=required) for path, required in tables]
    if not any(groups.by_uri or groups.faults for groups in read):
        return
    by_uri: dict[str, str] = {}
    photos = [image for image in workspace.images() if image.source == source.name]
    known = {image.uri for image in photos}
    for (path, _), groups in zip(tables, read, strict=True):
        by_uri.update(groups.by_uri)
        if path == source.options.get("groups"):
            report.passed_over.update(Counter(groups.passed_over))
            report.faults.extend(groups.faults)
        else:  # what is wrong with a table of labels has kept its photos out already
            report.faults.extend(fault for fault in groups.faults if fault.record in known)
    workspace.add_groups({image.image_id: by_uri.get(image.uri, "") for image in photos})
    report.grouped = sum(image.uri in by_uri for image in photos)
    report.groups = len({by_uri[image.uri] for image in photos if image.uri in by_uri})


def _remedy(report: IndexReport) -> str:
    """What may help where nothing of a source can be used."""
    flat = any("around it, got a file" in rejection.detail for rejection in report.rejections)
    if flat:
        return "photos without folders need a table, --labels; textures, which nobody labels, --kind textures"
    return f"photos are files {', '.join(sorted(PHOTO_ENDINGS))}"


def measure(source: PhotoSource, item: SourceItem) -> ImageRecord | Rejection:
    """Read one photo and measure it; whatever is wrong with it becomes a rejection.

    Raises:
        ServiceError: if the source itself cannot be reached: that is no fault of the photo.
    """
    if item.fault:
        return _rejection(source, item, item.reason, item.fault)
    try:
        data = source.read(item.uri)
        facts, pixels = read_photo(data)
    except PhotoRejected as error:
        return _rejection(source, item, error.reason, error.detail)
    except DataError as error:
        return _rejection(source, item, "source_fault", "; ".join(map(str, error.faults)))
    except OSError as error:
        raise ServiceError(f"{source.name}: {item.uri} cannot be read ({error}); run again to go on") from error
    if item.annotated_hw not in {None, (facts.height, facts.width)}:
        stored, annotated = spell_size((facts.height, facts.width)), spell_size(item.annotated_hw or ())
        detail = f"expected boxes drawn on the photo's {stored} {ORDER}, got boxes drawn on {annotated}"
        return _rejection(source, item, "size_mismatch", detail)
    digest = hashlib.sha256(data).hexdigest()
    return ImageRecord(
        image_id=digest[:32],
        source=source.name,
        uri=item.uri,
        sha256=digest,
        width=facts.width,
        height=facts.height,
        exif_orientation=facts.exif_orientation,
        label=item.label,
        source_split=item.source_split,
        boxes_xyxy_px=item.boxes_xyxy_px,
        phash=perceptual_hash(pixels),
        flags=facts.flags,
    )


def _rejection(source: PhotoSource, item: SourceItem, reason: str, detail: str) -> Rejection:
    return Rejection(source=source.name, uri=item.uri, reason=reason, detail=detail)


def measure_all(source: PhotoSource, items: Sequence[SourceItem], workers: int) -> Iterator[ImageRecord | Rejection]:
    """Measure photos, in the order in which they are given, whatever the number of workers.

    Raises:
        ServiceError: if the source cannot be reached any more, or a worker process dies.
    """
    if workers <= 1 or len(items) <= _CHUNK:
        yield from (measure(source, item) for item in items)
        return
    waiting: deque[Future[list[ImageRecord | Rejection]]] = deque()
    with worker_pool(workers) as pool:
        try:
            for start in range(0, len(items), _CHUNK):
                waiting.append(pool.submit(_measure_chunk, source, items[start : start + _CHUNK]))
                if len(waiting) >= _IN_FLIGHT * workers:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        except BrokenProcessPool as error:
            remedy = "run again; with --workers 1 the photo at fault is the last one read"
            raise ServiceError(f"{source.name}: a worker process died; {remedy}") from error
        finally:
            for future in waiting:
                future.cancel()


def _measure_chunk(source: PhotoSource, items: Sequence[SourceItem]) -> list[ImageRecord | Rejection]:
    return [measure(source, item) for item in items]


def _refuse_another_source(workspace: Workspace, source: PhotoSource) -> None:
    """A moved source keeps its name; another source under that name would hide its photos behind known uris."""
    row = workspace.sources().get(source.name)
    if row is None or row.locator == source.locator:
        return
    known = list(islice((record for record in workspace.images() if record.source == source.name), _COMPARED))
    if known and not any(_holds(source, record) for record in known):
        raise UsageError(
            f"{source.locator} holds none of {len(known)} photos of the source {source.name!r}, which was indexed from "
            f"{row.locator}; restore them if that source moved, or give this one a name of its own with --name"
        )


def _holds(source: PhotoSource, record: ImageRecord) -> bool:
    try:
        return hashlib.sha256(source.read(record.uri)).hexdigest() == record.sha256
    except DataError:
        return False


def _store(workspace: Workspace, batch: Iterable[ImageRecord | Rejection], report: IndexReport) -> None:
    records: dict[str, ImageRecord] = {}
    rejections: list[Rejection] = []
    for result in batch:
        if isinstance(result, Rejection):
            rejections.append(result)
            _settle(result, report.faults)
            continue
        first = records.get(result.image_id) or workspace.image(result.image_id)
        if first is None:
            records[result.image_id] = result
        elif (first.source, first.uri) == (result.source, result.uri):  # another command catalogued it meanwhile
            report.already_there += 1
        else:
            rejections.append(_twin(result, first, report.faults))
    for record in records.values():
        report.flags.update([*record.flags, *(["exif_rotated"] if record.exif_orientation != 1 else [])])
    report.added += workspace.add_images(records.values())
    workspace.add_rejections(
        (rejection.source, rejection.uri, rejection.reason, rejection.detail) for rejection in rejections
    )
    duplicates = sum(rejection.reason == DUPLICATE for rejection in rejections)
    report.duplicates += duplicates
    report.rejections += [rejection for rejection in rejections if rejection.reason != DUPLICATE]


def _settle(rejection: Rejection, faults: Faults) -> None:
    """Note once, for a person to settle, what keeps photos out that may be whole themselves."""
    expected, _, got = rejection.detail.partition(", got ")
    if rejection.reason == AMBIGUOUS:
        remedy = "write names with their folders and endings, or take out what is not meant"
        if all((fault.expected, fault.got) != (expected.removeprefix("expected "), got) for fault in faults):
            faults.add(rejection.source, "", expected=expected.removeprefix("expected "), got=got, remedy=remedy)
    elif rejection.reason == FILE_FAULT:
        faults.add(rejection.source, rejection.uri, expected=expected.removeprefix("expected "), got=got)


def _twin(record: ImageRecord, first: ImageRecord, faults: Faults) -> Rejection:
    """The rejection of a photo whose bytes are catalogued already: a duplicate, or a contradiction of labels."""
    location = first.uri if first.source == record.source else photo_name(first.source, first.uri)
    if record.label == first.label:
        return Rejection(source=record.source, uri=record.uri, reason=DUPLICATE, detail=f"the bytes of {location}")
    faults.add(
        record.source,
        record.uri,
        expected=f"the label {first.label} of the equal photo {location}, which stays",
        got=f"the label {record.label}",
        remedy=f"delete the file under the wrong label; if that is {location}, forget {first.image_id} and index again",
    )
    detail = f"equal bytes stay catalogued as {first.label} in {location}; this file says {record.label}"
    return Rejection(source=record.source, uri=record.uri, reason="label_conflict", detail=detail)


def _counts(counts: Counter[str] | dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"
