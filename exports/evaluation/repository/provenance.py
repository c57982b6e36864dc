"""What rows say of a photo: how far its machine mask agrees with another's, and its group."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from figureground.exports.evaluation.values import EvaluationError, plain_line, require

_AGREEMENT: Final = "mask_agreement"  # columns of provenance
_GROUP: Final = "group"
_LONGEST: Final = 200  # characters of a group's name


def read_mask_agreement(paths: Iterable[Path]) -> dict[str, float]:
    """IoU in [0, 1] by image_id, of those photos whose masks were compared; none in datasets without that column.

    Args:
        paths: Shards of one config.

    Raises:
        EvaluationError: for a shard that cannot be read, or an IoU that is none.
    """
    ious: dict[str, float] = {}
    for path, image_id, iou in _stored(paths, _AGREEMENT):
        if not isinstance(iou, (int, float)) or not 0 <= iou <= 1:
            got = plain_line(repr(iou), 60)
            raise EvaluationError(f"{path}: provenance.{_AGREEMENT}: expected an IoU from 0 to 1, got {got}")
        ious[image_id] = min(float(iou), ious.get(image_id, 1.0))
    return ious


def read_groups(paths: Iterable[Path]) -> dict[str, str]:
    """Group by image_id, of those photos that are of a video, burst or photographer with others.

    Args:
        paths: Shards of one config.

    Raises:
        EvaluationError: for a shard that cannot be read, or a photo in two groups.
    """
    groups: dict[str, str] = {}
    for path, image_id, group in _stored(paths, _GROUP):
        if not isinstance(group, str) or not 0 < len(group) <= _LONGEST or groups.setdefault(image_id, group) != group:
            got = plain_line(repr(group), 60)
            expected = f"one text of at most {_LONGEST} characters a photo"
            raise EvaluationError(f"{path}: provenance.{_GROUP} of {image_id}: expected {expected}, got {got}")
    return groups


def _stored(paths: Iterable[Path], column: str) -> Iterator[tuple[Path, str, Any]]:
    """Shard, image_id and value of every row that has a value in a column of provenance."""
    import pyarrow.parquet as pq

    for path in paths:
        try:
            with pq.ParquetFile(path) as table:
                named = "image_id" in table.schema_arrow.names
                rows = table.read(columns=["image_id", f"provenance.{column}"]).to_pylist()
        except Exception as error:  # pyarrow raises its own errors and OSError alike
            raise EvaluationError(f"{path}: cannot be read: {plain_line(error, 120)}; download it again") from error
        require(named, f"{path}: has no column image_id; download or build the dataset again")
        for row in rows:
            own = row.get("provenance")
            value = own.get(column) if isinstance(own, dict) else None
            if value is not None:
                yield path, row["image_id"], value
