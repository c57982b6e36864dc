"""Drift: rows of a rebuilt dataset whose pixels are not those of the release, and by how much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from figureground.errors import DataError, Fault
from figureground.schemas.rasters.sketches import sketch_distance

Key = tuple[str, str, str, int]
"""Variant, object, attribute, draw."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftedRow:
    """A row with other pixels than the release's."""

    variant: str
    row: str
    """Its object, attribute and draw."""
    levels: int
    """Largest difference of the mean grey of any of 8x8 blocks, [0, 255]; 0 where only rounding tells them apart."""


@dataclass(frozen=True, slots=True)
class _Pixels:
    """What is known of a row's pixels."""

    sha256: str
    sketch: str


def find_drift(release: Path, made: Path) -> list[DriftedRow]:
    """Rows of the repository ``made`` that ``release`` has with other pixels, in the order of its shards.

    Raises:
        DataError: for a row that the release does not have, or with a sketch that is none.
    """
    released, drifted = _read_pixels(release), []
    for key, pixels in _read_pixels(made).items():
        known = released.get(key)
        if known is None or known.sha256 != pixels.sha256:
            drifted.append(DriftedRow(variant=key[0], row=_shown(key), levels=_levels(release, key, known, pixels)))
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
            where=each.variant,
            record=each.row,
            expected="the pixels of the release",
            got=f"other pixels, {each.levels} grey levels off at most in the mean of a block",
            remedy=f"install the release's versions ({software}), take rows that differ this little with "
            f"--tolerance {each.levels}, or all rows with --accept-drift",
        )
        for each in drifted
        if tolerance is None or each.levels > tolerance
    ]
    if faults:
        raise DataError(faults)


def _levels(release: Path, key: Key, known: _Pixels | None, pixels: _Pixels) -> int:
    if known is None:
        raise DataError.single(str(release / "data"), f"{key[0]} {_shown(key)}", expected="the plan's row", got="none")
    try:
        return sketch_distance(known.sketch, pixels.sketch)
    except ValueError as error:
        where = f"{key[0]} {_shown(key)}"
        raise DataError.single(str(release / "data"), where, expected="a sketch", got=str(error)) from error


def _read_pixels(folder: Path) -> Mapping[Key, _Pixels]:
    found: dict[Key, _Pixels] = {}
    for shard in sorted((folder / "data").rglob("*.parquet")):
        for row in pq.read_table(shard, columns=["provenance", "variant", "draw", "attribute"]).to_pylist():
            told = row["provenance"]
            key = row["variant"], told["object_id"], row["attribute"] or "", row["draw"]
            found[key] = _Pixels(told["pixels_sha256"], told["sketch"] or "")
    return found


def _shown(key: Key) -> str:
    return " ".join(map(str, key[1:]))
