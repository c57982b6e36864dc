"""Drift: rows of a rebuilt dataset whose pixels are not those of the release, and by how much."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from figureground.errors import DataError, Fault
from figureground.exports.dataset.folder import DatasetFolder
from figureground.exports.dataset.rows import KEY_COLUMNS, row_key
from figureground.schemas.rasters.sketches import sketch_distance
from figureground.schemas.records import RowKey

_COLUMNS = (*KEY_COLUMNS, "provenance.pixels_sha256", "provenance.sketch")


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftedRow:
    """A row with other pixels than the release's."""

    variant: str
    row: str
    """Its object, attribute and draw."""
    levels: int
    """Largest difference of the mean grey of any of 8x8 blocks, [0, 255]; 0 where only rounding tells them apart."""


class _Pixels(NamedTuple):
    """What is known of a row's pixels."""

    sha256: str
    sketch: str


def find_drift(release: DatasetFolder, rebuilt: DatasetFolder) -> list[DriftedRow]:
    """Rows that ``release`` has with other pixels than ``rebuilt``, in the order of the latter's shards.

    Raises:
        DataError: for a row that the release does not have, or with a sketch that is none.
    """
    released, drifted = dict(_read_pixels(release)), []
    for key, pixels in _read_pixels(rebuilt):
        known = released.get(key)
        if known is None or known.sha256 != pixels.sha256:
            levels = _levels(release, key, known, pixels)
            drifted.append(DriftedRow(variant=key.variant, row=key.in_variant, levels=levels))
    return drifted


def require_within(drifted: Sequence[DriftedRow], tolerance: int | None, differs: Sequence[str]) -> None:
    """Refuse rows that drifted too far.

    Args:
        drifted: Rows with other pixels.
        tolerance: Grey levels by which block means may differ; None to take no drifted row at all.
        differs: Software that is not of the release's version.

    Raises:
        DataError: with every such row.
    """
    software = "; ".join(differs) or "all libraries are of the release's versions"
    faults = [
        Fault(
            where=row.variant,
            record=row.row,
            expected="the pixels of the release",
            got=f"other pixels, {row.levels} grey levels off at most in the mean of a block",
            remedy=f"install the release's versions ({software}), take rows that differ this little with "
            f"--tolerance {row.levels}, or all rows with --accept-drift",
        )
        for row in drifted
        if tolerance is None or row.levels > tolerance
    ]
    if faults:
        raise DataError(faults)


def _levels(release: DatasetFolder, key: RowKey, known: _Pixels | None, pixels: _Pixels) -> int:
    where, record = f"{release.name}/data", f"{key.variant} {key.in_variant}"
    if known is None:
        raise DataError.single(where, record, expected="the plan's row", got="none")
    try:
        return sketch_distance(known.sketch, pixels.sketch)
    except ValueError as error:
        raise DataError.single(where, record, expected="a sketch", got=str(error)) from error


def _read_pixels(dataset: DatasetFolder) -> Iterator[tuple[RowKey, _Pixels]]:
    """Every row's key and what is known of its pixels, without the pixels."""
    for config in dataset.configs:
        for split in dataset.splits(config):
            for row in dataset.rows(config, split, _COLUMNS):
                provenance = row["provenance"]
                yield row_key(row, split), _Pixels(provenance["pixels_sha256"], provenance["sketch"] or "")
