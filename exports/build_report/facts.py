"""What a page says of a build in words and numbers: what it is, what was left out and why, who made the masks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from figureground.errors import DataError, UsageError
from figureground.exports.build_report.masks import agreement_tables, lint_tables, policy_table
from figureground.exports.build_report.tables import Cell, FactTable
from figureground.exports.dataset.card import SplitSize, config_cells, masks_by_maker, percent_of
from figureground.exports.dataset.files import ATTRIBUTE_COUNTS, COVERAGE, CROSSED, DONORS, GATES, LOCK, RECIPE, REFUSED
from figureground.exports.dataset.folder import DatasetFolder
from figureground.exports.dataset.lock import RecipeLock
from figureground.exports.viewing.columns import RowColumns
from figureground.schemas.documents import parse_text, read_text
from figureground.schemas.recipes import Recipe
from figureground.schemas.tables import read_table

_COUNTED: Final = {
    COVERAGE: "Coverage: photos of each class, and what became of them",
    DONORS: "Donors: whose grounds the rows show",
    CROSSED: "Crossed grounds",
    ATTRIBUTE_COUNTS: "Attributes by class",
}
"""File of ``report/`` to the title of its table."""
_UNSTATED: Final = "not stated by the maintainer"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildFacts:
    """What is known of a build besides its rows."""

    title: str
    about: tuple[tuple[str, str], ...]
    """Name and value."""
    description: str
    contents: FactTable
    """Configs and their rows."""
    left_out: tuple[FactTable, ...]
    """Coverage, refusals, what the gates found, donors."""
    masks: tuple[FactTable, ...]
    """Who made the masks, how far people agree, what lint found."""
    terms: tuple[FactTable, ...]
    changes: tuple[tuple[str, tuple[str, ...]], ...]
    """Versions, newest first, with what each changed."""


def read_facts(dataset: DatasetFolder, columns: RowColumns, fingerprint: str) -> BuildFacts:
    """All that the files beside the rows say; what a dataset lacks is left out.

    Args:
        dataset: The dataset.
        columns: Its rows.
        fingerprint: What results call it.

    Raises:
        DataError: for a file that is damaged, or is not the one that the manifest lists.
    """
    parts = [name for name in (RECIPE, LOCK, GATES, REFUSED, *_COUNTED) if dataset.has(name)]
    dataset.require(parts)
    lock = dataset.lock if dataset.has(LOCK) else None
    recipe = dataset.recipe if lock is not None and dataset.has(RECIPE) else None
    try:
        return BuildFacts(
            title=lock.recipe if lock else Path(dataset.name).resolve().name,
            about=tuple(_about(columns, lock, fingerprint)),
            description=recipe.description if recipe else "",
            contents=_contents(columns, recipe),
            left_out=tuple(filter(None, [_refusals(lock), *_counted(dataset), _findings(dataset)])),
            masks=tuple(_masks(lock)),
            terms=tuple(_terms(lock, recipe)),
            changes=tuple((entry["version"], tuple(entry["changes"])) for entry in reversed(dataset.changelog())),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:  # a stranger's lock
        got = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        expected = "numbers as a build writes them"
        raise DataError.single(dataset.name, LOCK, expected=expected, got=got, remedy="get it again") from error


def _about(columns: RowColumns, lock: RecipeLock | None, fingerprint: str) -> Iterator[tuple[str, str]]:
    if lock is not None:
        yield "Recipe", lock.recipe
        yield "Rules", lock.rules
        yield "Seed", str(lock.seed)
        yield "Release", lock.release.version
        yield "Objects", f"{lock.objects:,} of {lock.objects_in_release:,} in the release"
        if lock.draws > 1:
            yield "Draws", f"{lock.draws} donors of each row"
        if (size := lock.effective_n) is not None and size.groups < size.photos:
            yield "Effective n", f"{size.effective:.1f}: {size.photos:,} photos in {size.groups:,} groups of like ones"
        if not lock.balanced:
            yield "Balance", "classes differ in size"
    yield "Rows", f"{columns.rows:,} of {len(columns.image.names):,} photos"
    if lock is not None:
        yield "Built by", f"figureground {lock.figureground}, pixel rules {lock.pixel_rules}"
        if lock.follows is not None:
            yield "Follows", f"{lock.follows.recipe}, release {lock.follows.release}"
    yield "Fingerprint", fingerprint


def _contents(columns: RowColumns, recipe: Recipe | None) -> FactTable:
    splits = columns.split.names
    counts = np.zeros((len(columns.config.names), len(splits)), dtype=np.int64)
    np.add.at(counts, (columns.config.codes, columns.split.codes), 1)
    rows = list[tuple[Cell, ...]]()
    for config, own in zip(columns.config.names, counts.tolist(), strict=True):
        more = [sum(own)] if len(splits) > 1 else []
        made = ""
        if recipe is not None and config in recipe.variants:
            sizes = {split: SplitSize(0, count) for split, count in zip(splits, own, strict=True)}
            made = config_cells(recipe, config, sizes)["layers"]
        rows.append((config, made, *own, *more))
    named = [f"rows of {split}" for split in splits] + (["rows"] if len(splits) > 1 else [])
    return FactTable.of("Configs, and the layers that their rows are painted in", ["config", "layers", *named], rows)


def _refusals(lock: RecipeLock | None) -> FactTable | None:
    if lock is None:
        return None
    rows = [
        (reason, count, percent_of(count, lock.objects_in_release))
        for reason, count in sorted(lock.refused.items(), key=lambda item: (-item[1], item[0]))
    ]
    note = (
        f"{lock.refused_total:,} of {lock.objects_in_release:,} objects of the release are left out. "
        f"{REFUSED} of the dataset names each with its reason."
    )
    return FactTable.of("Left out of the build, by reason", ["reason", "objects", "of the release"], rows, note=note)


def _counted(dataset: DatasetFolder) -> Iterator[FactTable]:
    """The tables of ``report/``, as they are stored."""
    for name, title in _COUNTED.items():
        if not dataset.has(name):
            continue
        try:
            table = read_table(dataset.files.path(name), ())
        except UsageError as error:
            raise DataError.single(dataset.name, name, expected="a table", got=str(error)) from error
        rows = [[row.cells.get(column, "") for column in table.header] for row in table.rows]
        yield FactTable.of(title, [column.replace("_", " ") for column in table.header], rows, note=f"From {name}.")


def _findings(dataset: DatasetFolder) -> FactTable | None:
    """What was found wanting before the build."""
    if not dataset.has(GATES):
        return None
    path = dataset.files.path(GATES)
    findings: Any = parse_text(read_text(path), where=str(path))
    if not isinstance(findings, list) or not all(isinstance(finding, dict) for finding in findings):
        raise DataError.single(str(path), "", expected="a list of findings", got=json.dumps(findings)[:80])
    rows = [
        tuple(str(finding.get(name, "")) for name in ("gate", "severity", "count", "expected")) for finding in findings
    ]
    note = f"From {GATES}, which has examples of each." if rows else "Nothing was found wanting."
    return FactTable.of("Checked before the build", ["gate", "severity", "count", "expected"], rows, note=note)


def _masks(lock: RecipeLock | None) -> Iterator[FactTable]:
    if lock is None:
        return
    note = f"Segmenters: {', '.join(lock.segmenters)}." if lock.segmenters else ""
    if (agreement := lock.agreement) is not None:
        note += (
            f" {agreement.agreeing:,} of {agreement.objects:,} machine masks agree with another segmenter's "
            f"(IoU of {agreement.min_iou:g} or more)."
        )
    made = masks_by_maker(lock).items()
    yield FactTable.of("Who made the masks", ["masks", "objects"], made, note=note.strip())
    if lock.origins:
        origins = [(one.text, "a machine" if one.machine else "people", one.objects) for one in lock.origins]
        head = ["origin, as whoever imported them says", "made by", "objects"]
        yield FactTable.of("Origins of imported masks", head, origins)
    annotation: Mapping[str, Any] = lock.annotation or {}
    yield from agreement_tables(annotation)
    yield from lint_tables(annotation)
    if (policy := lock.policy(where=LOCK)) is not None:
        yield policy_table(policy)


def _terms(lock: RecipeLock | None, recipe: Recipe | None) -> Iterator[FactTable]:
    if lock is None:
        return
    rows: list[Sequence[Cell]] = [
        (f"photos of {name}", source.photos, source.licence or _UNSTATED, source.restricted or "nothing known")
        for name, source in sorted(lock.sources.items())
    ]
    if recipe is not None:
        rows.append(("masks, attributes, parameters", "", recipe.licence or _UNSTATED, ""))
    note = "Images are made of the photos and keep the terms of all photos in them; so do the thumbnails of this page."
    yield FactTable.of("Terms of each part", ["part", "photos", "licence", "against passing them on"], rows, note=note)
